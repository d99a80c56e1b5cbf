//! Bad input gets a clear message, and nothing is lost. Every case goes through the built program.

use std::path::Path;

use crate::cli::{Run, command, root, text, vitruvian};

/// Runs `weights check` on a file with these bytes.
fn check_weights(name: &str, bytes: &[u8]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    vitruvian(&["weights", "check", text(&path), "--network", "face_mesh"])
}

#[test]
fn corrupt_weights() {
    let good = std::fs::read(root("weights/face_mesh.safetensors")).unwrap();
    check_weights("face_mesh.safetensors", &good).assert_ok();
    check_weights("face_mesh.safetensors", &good[..good.len() / 2]).assert_failed_with("truncated");
    check_weights("face_mesh.safetensors", &good[..40])
        .assert_failed_with("ends within its header");
    check_weights("face_mesh.safetensors", b"").assert_failed_with("shorter than a header");
    let legacy = std::fs::read(root("tests/data/weights/legacy.pth")).unwrap();
    check_weights("old.pth", &legacy[..legacy.len() - 3]).assert_failed_with("truncated");
}

#[test]
fn foreign_weights() {
    let photo = std::fs::read(root("assets/samples/beard.jpg")).unwrap();
    check_weights("face_mesh.safetensors", &photo)
        .assert_failed_with("neither a safetensors nor a PyTorch file");
    let others = std::fs::read(root("weights/face_detector.safetensors")).unwrap();
    check_weights("face_mesh.safetensors", &others).assert_failed_with("do not fit");
    let small = std::fs::read(root("tests/data/weights/zip.pth")).unwrap();
    check_weights("face_mesh.pth", &small).assert_failed_with("missing");
}

#[test]
fn missing_weights() {
    let empty = tempfile::tempdir().unwrap();
    let output = command(&["weights", "check"])
        .env("VITRUVIAN_WEIGHTS", empty.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.contains("No weights named face_detector"),
        "{stderr}"
    );
    assert!(stderr.contains(text(empty.path())), "{stderr}");
}

#[test]
fn a_device_that_does_not_serve_is_refused_before_anything_is_done() {
    let photo = root("assets/samples/beard.jpg");
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let parse = ["face", "parse", text(&photo), "-o", text(&output)];
    if !cfg!(feature = "cuda") {
        vitruvian(&[&parse[..], &["--device", "cuda"]].concat())
            .assert_failed_with("built without cuda");
    }
    let pose = ["pose", "detect", text(&photo), "-o", text(&output)];
    vitruvian(&[&pose[..], &["--device", "metal"]].concat()).assert_failed_with("on the CPU only");
    vitruvian(&["lab", "theory", "--device", "cuda"]).assert_failed_with("on the CPU only");
    assert!(!output.exists());
}

/// A folder below a regular file cannot be written to, even by root.
#[test]
fn a_place_that_cannot_be_written() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let below = file.path().join("out.safetensors");
    let legacy = root("tests/data/weights/legacy.pth");
    vitruvian(&["weights", "import", text(&legacy), "-o", text(&below)])
        .assert_failed_with("Failed to write");
}

/// A PNG chunk: length, name, data, CRC-32.
fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&name[..], data].concat();
    let crc = body.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            }
        })
    });
    let len = u32::try_from(data.len()).unwrap().to_be_bytes();
    [&len[..], &body, &(!crc).to_be_bytes()].concat()
}

/// An RGB PNG that claims this size and holds almost nothing.
fn png_claiming(width: u32, height: u32) -> Vec<u8> {
    let header = [
        &width.to_be_bytes()[..],
        &height.to_be_bytes(),
        &[8, 2, 0, 0, 0],
    ]
    .concat();
    let empty = [0x78, 0x9c, 0x03, 0, 0, 0, 0, 1];
    let chunks = [
        chunk(b"IHDR", &header),
        chunk(b"IDAT", &empty),
        chunk(b"IEND", &[]),
    ]
    .concat();
    [b"\x89PNG\r\n\x1a\n", &chunks[..]].concat()
}

/// A folder with photos and masks made for one test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_string()
    }

    fn with(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    fn sample(&self) -> String {
        text(&root("assets/samples/beard.jpg")).to_string()
    }

    /// `face parse` on the photo, with a box so that a picture without a face will do.
    fn parse(&self, photo: &str) -> Run {
        vitruvian(&[
            "face",
            "parse",
            photo,
            "--box",
            "2,2,20,14",
            "-o",
            &self.path("mask.png"),
        ])
    }

    /// `face edit` of the sample with this mask.
    fn edit(&self, mask: &str) -> Run {
        vitruvian(&[
            "face",
            "edit",
            &self.sample(),
            "--mask",
            mask,
            "-o",
            &self.path("out.png"),
        ])
    }
}

#[test]
fn photos_that_cannot_be_opened() {
    let folder = Folder::new();
    let jpeg = std::fs::read(folder.sample()).unwrap();
    let bad = [
        ("text.jpg", b"Dear diary".to_vec(), "This is not a picture"),
        ("empty.png", Vec::new(), "The file is empty"),
        ("half.jpg", jpeg[..jpeg.len() / 2].to_vec(), "cut short"),
        ("none.png", png_claiming(0, 0), "dimensions"),
        ("huge.png", png_claiming(30_000, 30_000), "30000 × 30000"),
        (
            "photo.heic",
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec(),
            "HEIC files cannot be opened",
        ),
    ];
    for (name, bytes, words) in bad {
        let photo = folder.with(name, &bytes);
        let run = folder.parse(&photo);
        run.assert_failed_with(words);
        run.assert_failed_with(name);
        assert!(
            !Path::new(&folder.path("mask.png")).exists(),
            "{name} left a mask"
        );
    }
    folder
        .parse(&folder.path("nowhere.jpg"))
        .assert_failed_with("no such file");
    folder.parse(&folder.path("")).assert_failed_with("folder");
}

#[test]
fn unusual_photos_are_converted() {
    let folder = Folder::new();
    let deep = image::ImageBuffer::from_fn(24, 16, |x, y| {
        image::Rgb([x as u16 * 2000, y as u16 * 3000, 9999])
    });
    deep.save(folder.path("deep.png")).unwrap();
    let cmyk = std::fs::read(root("tests/data/photos/cmyk.jpg")).unwrap();
    let animated = std::fs::read(root("tests/data/photos/animated.webp")).unwrap();
    let good = [
        std::fs::read(folder.path("deep.png"))
            .map(|bytes| folder.with("deep.png", &bytes))
            .unwrap(),
        folder.with("cmyk.jpg", &cmyk),
        folder.with("animated.webp", &animated),
        folder.with("really-a-jpeg.png", &cmyk),
    ];
    for photo in good {
        folder.parse(&photo).assert_ok();
        let mask = image::open(folder.path("mask.png")).unwrap();
        let photo = image::ImageReader::open(&photo)
            .unwrap()
            .with_guessed_format()
            .unwrap();
        assert_eq!(
            (mask.width(), mask.height()),
            photo.into_dimensions().unwrap()
        );
        assert_eq!(mask.color(), image::ColorType::L8);
    }
}

#[test]
fn one_bad_photo_stops_no_other() {
    let folder = Folder::new();
    let bad = folder.with("bad.jpg", b"not a picture");
    let good = folder.sample();
    let run = vitruvian(&[
        "face",
        "parse",
        &bad,
        &good,
        "--aligned",
        "--json",
        "-o",
        &folder.path("masks"),
    ]);
    run.assert_failed_with("1 of 2 files failed");
    run.assert_failed_with("bad.jpg");
    let rows = run.json();
    assert!(
        rows[0]["error"].as_str().unwrap().contains("not a picture"),
        "{rows}"
    );
    assert_eq!(rows[1]["width"], 1024, "{rows}");
    assert!(Path::new(&folder.path("masks/beard.png")).exists());
}

#[test]
fn masks_that_do_not_fit() {
    let folder = Folder::new();
    let grey = |name: &str, width: u32, height: u32, id: u8| {
        image::GrayImage::from_pixel(width, height, image::Luma([id]))
            .save(folder.path(name))
            .unwrap();
        folder.path(name)
    };
    folder
        .edit(&grey("small.png", 512, 512, 0))
        .assert_failed_with("512 × 512");
    folder
        .edit(&grey("ids.png", 1024, 1024, 19))
        .assert_failed_with("the value 19");
    let rgb = image::RgbImage::from_pixel(1024, 1024, image::Rgb([1, 2, 3]));
    rgb.save(folder.path("rgb.png")).unwrap();
    folder
        .edit(&folder.path("rgb.png"))
        .assert_failed_with("the colour 1, 2, 3");
    folder
        .edit(&folder.sample())
        .assert_failed_with("must be a PNG file");
    folder
        .edit(&folder.path("nowhere.png"))
        .assert_failed_with("no such file");
    assert!(!Path::new(&folder.path("out.png")).exists());
}

/// The same mask as ids, as RGB with equal values and in the official colours gives the same picture.
#[test]
fn masks_from_other_tools_are_understood() {
    let folder = Folder::new();
    vitruvian(&[
        "face",
        "parse",
        &folder.sample(),
        "--aligned",
        "-o",
        &folder.path("ids.png"),
    ])
    .assert_ok();
    let mut ids = image::open(folder.path("ids.png")).unwrap().into_luma8();
    // Skin where the mouth is: an edit.
    (560..640).for_each(|y| (440..580).for_each(|x| ids.put_pixel(x, y, image::Luma([1]))));
    ids.save(folder.path("ids.png")).unwrap();
    let equal =
        image::RgbImage::from_fn(1024, 1024, |x, y| image::Rgb([ids.get_pixel(x, y)[0]; 3]));
    equal.save(folder.path("equal.png")).unwrap();
    let official = image::RgbImage::from_fn(1024, 1024, |x, y| {
        image::Rgb(vitruvian::face::labels::CLASSES[usize::from(ids.get_pixel(x, y)[0])].official)
    });
    official.save(folder.path("official.png")).unwrap();
    let results = ["ids.png", "equal.png", "official.png"].map(|name| {
        let run = vitruvian(&[
            "face",
            "edit",
            &folder.sample(),
            "--aligned",
            "--mask",
            &folder.path(name),
            "-o",
            &folder.path("out.png"),
        ]);
        run.assert_ok();
        std::fs::read(folder.path("out.png")).unwrap()
    });
    assert!(results[0] == results[1] && results[0] == results[2]);
}

#[test]
fn results_that_cannot_be_written() {
    let folder = Folder::new();
    let sample = folder.sample();
    let parse = |output: &str| vitruvian(&["face", "parse", &sample, "--aligned", "-o", output]);
    let file = folder.with("file", b"kept");
    parse(&format!("{file}/mask.png")).assert_failed_with("mask.png");
    parse(&folder.path("no/such/mask.png")).assert_failed_with("no/such");
    let run = vitruvian(&["face", "parse", &sample, &sample, "--aligned", "-o", &file]);
    run.assert_failed_with("Failed to make the folder");
    assert_eq!(std::fs::read(&file).unwrap(), b"kept");
    #[cfg(target_os = "linux")]
    {
        parse("/dev/full").assert_failed_with("/dev/full");
        parse("/proc/mask.png").assert_failed_with("/proc/mask.png");
    }
    // The photo itself is never overwritten.
    let copy = folder.with("photo.png", &std::fs::read(&sample).unwrap());
    let before = std::fs::read(&copy).unwrap();
    vitruvian(&["face", "parse", &copy, "--aligned", "-o", &copy])
        .assert_failed_with("replace its own input");
    assert_eq!(std::fs::read(&copy).unwrap(), before);
}

#[test]
fn a_photo_without_a_face() {
    let folder = Folder::new();
    image::RgbImage::from_pixel(300, 200, image::Rgb([90, 120, 60]))
        .save(folder.path("lawn.png"))
        .unwrap();
    let run = vitruvian(&[
        "face",
        "parse",
        &folder.path("lawn.png"),
        "-o",
        &folder.path("mask.png"),
    ]);
    run.assert_failed_with("No face found");
    let run = vitruvian(&[
        "face",
        "parse",
        &folder.path("lawn.png"),
        "--aligned",
        "-o",
        &folder.path("mask.png"),
    ]);
    run.assert_failed_with("is square");
    let run = vitruvian(&[
        "face",
        "parse",
        &folder.path("lawn.png"),
        "--box",
        "400,0,500,90",
        "-o",
        &folder.path("mask.png"),
    ]);
    run.assert_failed_with("outside the photo");
}
