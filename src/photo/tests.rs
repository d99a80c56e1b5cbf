//! Good photos of every kind, and every kind of bad one.

use std::io::Cursor;

use image::{ExtendedColorType, ImageEncoder as _, Rgba, RgbaImage};

use super::*;

/// 6 × 4: red at the top left, green at the top right, blue below.
fn sample() -> Rgb {
    let mut picture = Rgb::new(6, 4, [0, 0, 255]);
    for x in 0..3 {
        picture.set(x, 0, [255, 0, 0]);
        picture.set(x + 3, 0, [0, 255, 0]);
    }
    picture
}

fn encoded(format: ImageFormat) -> Vec<u8> {
    let picture = sample();
    let mut bytes = Cursor::new(Vec::new());
    image::RgbImage::from_raw(6, 4, picture.data)
        .map(DynamicImage::ImageRgb8)
        .unwrap()
        .write_to(&mut bytes, format)
        .unwrap();
    bytes.into_inner()
}

fn message(result: Result<Photo>) -> String {
    format!("{:#}", result.unwrap_err())
}

/// A PNG chunk: length, name, data, CRC-32.
fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut body = name.to_vec();
    body.extend_from_slice(data);
    let mut crc = u32::MAX;
    for &byte in &body {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (0u32.wrapping_sub(crc & 1)));
        }
    }
    let mut out = (data.len() as u32).to_be_bytes().to_vec();
    out.extend_from_slice(&body);
    out.extend_from_slice(&(!crc).to_be_bytes());
    out
}

/// A PNG that claims a size and holds no rows.
fn png_claiming(width: u32, height: u32) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend_from_slice(&width.to_be_bytes());
    header.extend_from_slice(&height.to_be_bytes());
    header.extend_from_slice(&[8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    png.extend(chunk(b"IHDR", &header));
    png.extend(chunk(b"IDAT", &[0x78, 0x9c, 0x03, 0, 0, 0, 0, 1]));
    png.extend(chunk(b"IEND", &[]));
    png
}

/// Puts an EXIF block with this orientation after the start of a JPEG file.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend_from_slice(&[orientation, 0, 0, 0, 0, 0, 0, 0]);
    let mut out = jpeg[..2].to_vec();
    out.extend_from_slice(&[0xFF, 0xE1]);
    out.extend_from_slice(&(exif.len() as u16 + 2).to_be_bytes());
    out.extend_from_slice(&exif);
    out.extend_from_slice(&jpeg[2..]);
    out
}

#[test]
fn every_format_opens_whatever_its_name() {
    let folder = tempfile::tempdir().unwrap();
    for format in [
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
        ImageFormat::Gif,
        ImageFormat::WebP,
    ] {
        let path = folder.path().join("photo.jpg");
        std::fs::write(&path, encoded(format)).unwrap();
        let photo = open(&path).unwrap();
        assert_eq!(photo.rgb, sample(), "{format:?}");
        assert_eq!(photo.alpha, None);
    }
    let path = folder.path().join("photo.png");
    std::fs::write(&path, encoded(ImageFormat::Jpeg)).unwrap();
    let [r, g, b] = open(&path).unwrap().rgb.get(5, 3).unwrap();
    assert!(b > 200 && r < 60 && g < 60, "{r} {g} {b}");
}

#[test]
fn orientation_of_the_camera_is_honoured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.jpg");
    // Large blocks of colour survive JPEG: left half red, right half blue.
    let mut wide = Rgb::new(64, 32, [255, 0, 0]);
    wide.paste(&Rgb::new(32, 32, [0, 0, 255]), 32, 0);
    save_jpeg(&path, &wide, 95).unwrap();
    let jpeg = std::fs::read(&path).unwrap();
    let is_red = |rgb: &Rgb, x, y| rgb.get(x, y).unwrap()[0] > 200;
    // 6: the camera was turned, the right way up is a quarter turn clockwise, so left is up.
    let turned = decode(&with_orientation(&jpeg, 6)).unwrap().rgb;
    assert_eq!((turned.width, turned.height), (32, 64));
    assert!(is_red(&turned, 16, 8) && !is_red(&turned, 16, 56));
    let turned = decode(&with_orientation(&jpeg, 8)).unwrap().rgb;
    assert!(!is_red(&turned, 16, 8) && is_red(&turned, 16, 56));
    let mirrored = decode(&with_orientation(&jpeg, 2)).unwrap().rgb;
    assert!(!is_red(&mirrored, 8, 16) && is_red(&mirrored, 56, 16));
    let plain = decode(&with_orientation(&jpeg, 1)).unwrap().rgb;
    assert_eq!(plain, decode(&jpeg).unwrap().rgb);
}

#[test]
fn deep_and_grey_pictures_become_8_bit_rgb() {
    let encode = |data: &[u8], kind| {
        let mut bytes = Vec::new();
        image::codecs::png::PngEncoder::new(&mut bytes)
            .write_image(data, 2, 1, kind)
            .unwrap();
        decode(&bytes).unwrap()
    };
    let deep: Vec<u8> = [65535u16, 0, 32896, 257, 514, 771]
        .iter()
        .flat_map(|v| v.to_ne_bytes())
        .collect();
    let photo = encode(&deep, ExtendedColorType::Rgb16);
    assert_eq!(photo.rgb.data, [255, 0, 128, 1, 2, 3]);
    assert_eq!(photo.notes, [NOTE_DEPTH]);
    let photo = encode(&[7, 200], ExtendedColorType::L8);
    assert_eq!(photo.rgb.data, [7, 7, 7, 200, 200, 200]);
    assert!(photo.notes.is_empty());
}

#[test]
fn transparency_is_kept_beside_and_written_back() {
    let picture = RgbaImage::from_fn(3, 2, |x, y| Rgba([10 * x as u8, 9, 8, 100 + y as u8]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clear.png");
    picture.save(&path).unwrap();
    let photo = open(&path).unwrap();
    assert_eq!(
        photo.alpha.as_ref().unwrap().data,
        [100, 100, 100, 101, 101, 101]
    );
    assert_eq!(photo.rgb.get(2, 1), Some([20, 9, 8]));
    let copy = folder.path().join("copy.PNG");
    save(&copy, &photo).unwrap();
    assert_eq!(open(&copy).unwrap(), photo);
    let opaque = RgbaImage::from_pixel(3, 2, Rgba([1, 2, 3, 255]));
    opaque.save(&path).unwrap();
    assert_eq!(open(&path).unwrap().alpha, None);
}

#[test]
fn a_colour_profile_is_carried_through() {
    let mut profile = vec![0u8; 128];
    profile[16..20].copy_from_slice(b"RGB ");
    let mut photo = Photo::from_rgb(sample());
    photo.icc_profile = Some(profile.clone());
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.png", "a.jpg"] {
        let path = folder.path().join(name);
        save(&path, &photo).unwrap();
        assert_eq!(open(&path).unwrap().icc_profile.as_ref(), Some(&profile));
    }
    // A profile of another colour space does not describe the RGB that was made from it.
    profile[16..20].copy_from_slice(b"CMYK");
    photo.icc_profile = Some(profile);
    let path = folder.path().join("b.png");
    save(&path, &photo).unwrap();
    assert_eq!(open(&path).unwrap().icc_profile, None);
}

#[test]
fn cmyk_jpegs_are_converted() {
    // 16 × 16, left half pure cyan, right half pure yellow; made by ImageMagick, with Adobe's
    // inverted values.
    let photo = decode(include_bytes!("../../tests/data/photos/cmyk.jpg")).unwrap();
    let [r, g, b] = photo.rgb.get(3, 8).unwrap();
    assert!(r < 60 && g > 130 && b > 180, "{r} {g} {b}");
    let [r, g, b] = photo.rgb.get(12, 8).unwrap();
    assert!(r > 200 && g > 190 && b < 70, "{r} {g} {b}");
}

#[test]
fn of_an_animation_the_first_frame_opens() {
    let frame = |colour| image::Frame::new(RgbaImage::from_pixel(5, 4, Rgba(colour)));
    let mut bytes = Vec::new();
    {
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
        encoder.encode_frame(frame([255, 0, 0, 255])).unwrap();
        encoder.encode_frame(frame([0, 255, 0, 255])).unwrap();
    }
    let photo = decode(&bytes).unwrap();
    assert_eq!(photo.rgb, Rgb::new(5, 4, [255, 0, 0]));
    let photo = decode(include_bytes!("../../tests/data/photos/animated.webp")).unwrap();
    assert_eq!((photo.rgb.width, photo.rgb.height), (8, 8));
    let [r, g, _] = photo.rgb.get(4, 4).unwrap();
    assert!(r > 200 && g < 60);
}

#[test]
fn what_is_not_a_picture_is_refused() {
    let text = message(decode(
        b"Dear diary, today I opened a text file as a photo.",
    ));
    assert!(text.contains("not a picture"), "{text}");
    assert!(message(decode(&[])).contains("empty"));
    let text = message(decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"));
    assert!(
        text.contains("HEIC") && text.contains("PNG or JPEG"),
        "{text}"
    );
    let folder = tempfile::tempdir().unwrap();
    let text = message(open(folder.path()));
    assert!(text.contains("folder"), "{text}");
    let missing = folder.path().join("none.png");
    let text = message(open(&missing));
    assert!(text.contains("no such file"), "{text}");
    assert!(text.ends_with("none.png"), "the path comes last: {text}");
}

#[test]
fn sizes_are_checked_before_allocation() {
    // 30,000 × 30,000 × 3 bytes would be 2.7 GB.
    let text = message(decode(&png_claiming(30_000, 30_000)));
    assert!(
        text.contains("30000 × 30000") && text.contains("16384"),
        "{text}"
    );
    // Within the side limit, over the area limit.
    let text = message(decode(&png_claiming(16_384, 16_384)));
    assert!(text.contains("200 megapixels"), "{text}");
    let mut bmp = encoded(ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&30_000u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&30_000u32.to_le_bytes());
    assert!(message(decode(&bmp)).contains("30000 × 30000"));
}

#[test]
fn pictures_without_pixels_are_refused() {
    assert!(decode(&png_claiming(0, 0)).is_err());
    let mut bmp = encoded(ImageFormat::Bmp);
    bmp[18..26].fill(0);
    let mut gif = encoded(ImageFormat::Gif);
    gif[6..10].fill(0);
    for bytes in [bmp, gif] {
        let text = message(decode(&bytes));
        assert!(!text.is_empty());
    }
}

#[test]
fn truncated_files_are_refused() {
    // Enough noise that half the file is half the picture.
    let noise: Vec<u8> = (0..64u32 * 64 * 3)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let picture = image::RgbImage::from_raw(64, 64, noise).unwrap();
    for format in [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
        ImageFormat::Gif,
        ImageFormat::WebP,
    ] {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        let bytes = bytes.into_inner();
        assert!(decode(&bytes).is_ok(), "{format:?}");
        for keep in [bytes.len() / 2, bytes.len() - bytes.len() / 10, 12] {
            let text = message(decode(&bytes[..keep]));
            assert!(
                ["cut short", "damaged", "not a picture", "no pixels"]
                    .iter()
                    .any(|w| text.contains(w)),
                "{format:?} {keep}: {text}"
            );
        }
    }
}

#[test]
fn saving_replaces_the_file_and_leaves_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.png");
    save_png(&path, &Rgb::new(2, 2, [1, 2, 3])).unwrap();
    save_png(&path, &sample()).unwrap();
    assert_eq!(open(&path).unwrap().rgb, sample());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn saving_says_what_to_do_and_keeps_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let fails = |path: &Path, word: &str| {
        let text = format!("{:#}", save_png(path, &sample()).unwrap_err());
        assert!(text.contains(word), "{text}");
        assert!(text.ends_with(&path.display().to_string()), "{text}");
    };
    fails(&folder.path().join("none/out.png"), "folder does not exist");
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    fails(&file.join("out.png"), "not a folder");
    let taken = folder.path().join("taken.png");
    std::fs::create_dir(&taken).unwrap();
    fails(&taken, "Choose another name");
    let kept = folder.path().join("kept.png");
    std::fs::write(&kept, "precious").unwrap();
    let mut permissions = std::fs::metadata(&kept).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&kept, permissions).unwrap();
    fails(&kept, "may not write");
    assert_eq!(std::fs::read(&kept).unwrap(), b"precious");
    let text = format!(
        "{:#}",
        save(&folder.path().join("out.tga"), &Photo::from_rgb(sample())).unwrap_err()
    );
    assert!(text.contains(".png, .jpg, .tif or .webp"), "{text}");
    let names = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(names, 3, "no temporary files are left");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_and_a_forbidden_folder_are_explained() {
    // /dev/full takes no byte; nothing can be created in /sys, not even by root.
    let text = format!(
        "{:#}",
        save_png(Path::new("/dev/full"), &sample()).unwrap_err()
    );
    assert!(text.contains("disk is full"), "{text}");
    let text = format!(
        "{:#}",
        save_png(Path::new("/sys/out.png"), &sample()).unwrap_err()
    );
    assert!(text.contains("may not write here"), "{text}");
}

#[test]
fn sizes_that_differ_are_named() {
    let text = format!(
        "{}",
        ensure_same_size("mask", (512, 512), (640, 480)).unwrap_err()
    );
    assert!(
        text.contains("512 × 512") && text.contains("640 × 480"),
        "{text}"
    );
    assert!(ensure_same_size("mask", (3, 4), (3, 4)).is_ok());
}

#[test]
fn exact_formats_give_back_pixels_transparency_and_profile() {
    let folder = tempfile::tempdir().unwrap();
    let data = (0..30 * 20 * 3).map(|i| (i * 7 % 251) as u8).collect();
    let mut photo = Photo::from_rgb(Rgb::from_vec(30, 20, data).unwrap());
    let mut profile = vec![0_u8; 132];
    profile[16..20].copy_from_slice(b"RGB ");
    photo.icc_profile = Some(profile);
    for has_alpha in [false, true] {
        let alpha = (0..30 * 20).map(|i| (i % 256) as u8).collect();
        photo.alpha = has_alpha.then(|| Grid::from_vec(30, 20, alpha).unwrap());
        for name in ["a.png", "a.tif", "a.TIFF", "a.webp"] {
            let path = folder.path().join(name);
            save(&path, &photo).unwrap();
            let opened = open(&path).unwrap();
            assert_eq!(opened.rgb, photo.rgb, "{name}");
            assert_eq!(opened.alpha, photo.alpha, "{name}");
            assert_eq!(opened.icc_profile, photo.icc_profile, "{name}");
        }
    }
}

/// 3 × 2 pixels with 16 bits that no 8-bit value widens to.
fn deep_png(alpha: bool) -> (Vec<u8>, Vec<u16>) {
    let channels = if alpha { 4 } else { 3 };
    let values: Vec<u16> = (0..6 * channels).map(|i| 1000 + 977 * i).collect();
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
    let kind = match alpha {
        true => ExtendedColorType::Rgba16,
        false => ExtendedColorType::Rgb16,
    };
    let mut file = Vec::new();
    image::codecs::png::PngEncoder::new(&mut file)
        .write_image(&bytes, 3, 2, kind)
        .unwrap();
    (file, values)
}

/// All channels of a file with 16 bits each.
fn deep_values(bytes: &[u8]) -> Vec<u16> {
    match image::load_from_memory(bytes).unwrap() {
        DynamicImage::ImageRgb16(picture) => picture.into_raw(),
        DynamicImage::ImageRgba16(picture) => picture.into_raw(),
        other => panic!("{:?}", other.color()),
    }
}

#[test]
fn sixteen_bits_stay_outside_the_edit_bit_for_bit() {
    let options = SaveOptions::default();
    for alpha in [false, true] {
        let (file, values) = deep_png(alpha);
        let mut photo = decode(&file).unwrap();
        for format in [Format::Png, Format::Tiff] {
            let copy = encode(&photo, format, &options).unwrap();
            assert_eq!(deep_values(&copy), values, "{format:?}");
        }
        // The pixel in the middle of the first row becomes brighter by one, one and three steps of 8 bits.
        let old = photo.rgb.get(1, 0).unwrap();
        let patch = Rgb::new(1, 1, [old[0] + 1, old[1] + 1, old[2] + 3]);
        photo.paste(&patch, 1, 0);
        let edited = deep_values(&encode(&photo, Format::Png, &options).unwrap());
        let at = values.len() / 6;
        for (i, (new, old)) in edited.iter().zip(&values).enumerate() {
            let step = match i.checked_sub(at) {
                Some(0 | 1) => 257,
                Some(2) => 771,
                _ => 0,
            };
            assert_eq!(*new, old + step, "value {i}");
        }
        // The 8-bit pixels of the saved file are those that were edited.
        let again = decode(&encode(&photo, Format::Png, &options).unwrap()).unwrap();
        assert_eq!(again.rgb, photo.rgb);
        let eight = SaveOptions {
            depth: Depth::Eight,
            ..options
        };
        let small = decode(&encode(&photo, Format::Png, &eight).unwrap()).unwrap();
        assert!(small.deep.is_none() && small.rgb == photo.rgb);
    }
    let sixteen = SaveOptions {
        depth: Depth::Sixteen,
        ..options
    };
    let shallow = Photo::from_rgb(sample());
    let wide = deep_values(&encode(&shallow, Format::Tiff, &sixteen).unwrap());
    let want = shallow.rgb.data.iter().map(|v| u16::from(*v) * 257);
    assert!(wide.into_iter().eq(want));
    let text = message(encode(&shallow, Format::Jpeg, &sixteen).map(|_| shallow.clone()));
    assert!(text.contains("PNG or TIFF"), "{text}");
}

/// EXIF with an orientation and a maker in its first directory and a small picture in its second.
fn camera_data(orientation: u8) -> Vec<u8> {
    let entry = |tag: u16, kind: u16, count: u32, value: u32| {
        let mut bytes = [tag.to_le_bytes(), kind.to_le_bytes()].concat();
        bytes.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
        bytes
    };
    let maker = u32::from_le_bytes(*b"Cam\0");
    let mut exif = b"II*\0\x08\0\0\0\x02\0".to_vec();
    exif.extend(entry(0x010F, 2, 4, maker));
    exif.extend(entry(0x0112, 3, 1, orientation.into()));
    exif.extend(38_u32.to_le_bytes());
    exif.extend(2_u16.to_le_bytes());
    exif.extend(entry(0x0201, 4, 1, 68));
    exif.extend(entry(0x0202, 4, 1, 5));
    exif.extend([0; 4]);
    exif.extend(b"small");
    exif
}

#[test]
fn camera_data_is_kept_upright_or_left_out_as_chosen() {
    let wide = Photo::from_rgb(Rgb::new(8, 4, [200, 30, 60]));
    let mut turned = wide.clone();
    turned.exif = Some(camera_data(6));
    let jpeg = encode(&turned, Format::Jpeg, &SaveOptions::default()).unwrap();
    let photo = decode(&jpeg).unwrap();
    assert_eq!((photo.rgb.width, photo.rgb.height), (4, 8));
    let exif = photo.exif.clone().unwrap();
    assert!(exif.windows(3).any(|w| w == b"Cam"));
    assert!(!exif.windows(5).any(|w| w == b"small"), "the old picture");
    assert_eq!(exif.len(), camera_data(6).len());
    for format in [Format::Jpeg, Format::Png, Format::WebP] {
        let copy = decode(&encode(&photo, format, &SaveOptions::default()).unwrap()).unwrap();
        assert_eq!((copy.rgb.width, copy.rgb.height), (4, 8), "{format:?}");
        assert_eq!(copy.exif, photo.exif, "{format:?}");
        let bare = SaveOptions {
            keep_metadata: false,
            ..Default::default()
        };
        let copy = decode(&encode(&photo, format, &bare).unwrap()).unwrap();
        assert_eq!(copy.exif, None, "{format:?}");
    }
    // Damaged data costs nobody the photo.
    for cut in 0..exif.len() {
        metadata::upright(exif[..cut].to_vec());
    }
}

#[test]
fn quality_and_profile_are_as_chosen() {
    let data = (0..64 * 64 * 3).map(|i| (i * 7919 % 251) as u8).collect();
    let mut photo = Photo::from_rgb(Rgb::from_vec(64, 64, data).unwrap());
    let mut profile = vec![0_u8; 132];
    profile[16..20].copy_from_slice(b"RGB ");
    photo.icc_profile = Some(profile);
    let at = |quality, keep_profile| {
        let options = SaveOptions {
            quality,
            keep_profile,
            ..Default::default()
        };
        encode(&photo, Format::Jpeg, &options).unwrap()
    };
    assert!(at(30, true).len() * 2 < at(95, true).len());
    assert!(decode(&at(95, true)).unwrap().icc_profile.is_some());
    assert!(decode(&at(95, false)).unwrap().icc_profile.is_none());
}
