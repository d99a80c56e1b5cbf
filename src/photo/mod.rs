//! Picture files: opens any common photo, writes PNG, JPEG, TIFF and WebP.
//!
//! The format is told by content, never by the name. A photo turned by its camera is turned
//! upright. What the program works on is always 8-bit RGB; 16-bit, grey, palette and CMYK
//! pictures are converted. 16-bit pixels and transparency are kept beside, the colour profile and
//! the camera's data are carried through. Of an animation the first frame is opened. Sizes are
//! checked before anything is allocated.
//!
//! Left out: colour management, camera raw and HEIC, XMP and IPTC.

mod deep;
mod folder;
mod jpeg_end;
mod list;
mod metadata;
mod save;

pub use deep::Deep;
pub use folder::pictures_in;
pub use list::{Listing, MAX_PHOTOS, list};
pub use save::{
    Depth, Format, SaveOptions, encode, save, save_atomically, save_jpeg, save_png, save_with,
};

/// Endings of the files that can be opened, in lower case.
pub const EXTENSIONS: [&str; 9] = [
    "png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp", "gif", "pnm",
];

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail, ensure};
use image::codecs::tiff::TiffDecoder;
use image::error::{ImageError, LimitErrorKind};
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use rayon::prelude::*;

use crate::raster::{Grid, Rgb};

/// Longest side that is opened.
pub const MAX_SIDE_PX: u32 = 16_384;
/// Most pixels that are opened: 200 megapixels.
pub const MAX_AREA_PX: u64 = 200_000_000;
/// A 200-megapixel picture with 16 bits a channel, uncompressed, has 1.6 GB.
const MAX_FILE_BYTES: u64 = 2 << 30;

/// An opened picture, upright.
#[derive(Clone, Debug, PartialEq)]
pub struct Photo {
    pub rgb: Rgb,
    /// Opacity, 255 = opaque; none when every pixel is opaque.
    pub alpha: Option<Grid<u8>>,
    /// The RGB colour profile of the file, written back on saving so that colours look the same.
    pub icc_profile: Option<Vec<u8>>,
    /// The camera's data, upright and without its small picture.
    pub exif: Option<Vec<u8>>,
    /// The pixels with 16 bits a channel, if the file has them.
    pub deep: Option<Arc<Deep>>,
    /// What the user should know about the conversion, in plain words.
    pub notes: Vec<&'static str>,
}

impl Photo {
    /// A photo with nothing but pixels.
    pub fn from_rgb(rgb: Rgb) -> Self {
        Self {
            rgb,
            alpha: None,
            icc_profile: None,
            exif: None,
            deep: None,
            notes: Vec::new(),
        }
    }

    /// Puts edited pixels with their top left corner at (`x`, `y`), into the 16-bit pixels too.
    pub fn paste(&mut self, patch: &Rgb, x: usize, y: usize) {
        if let Some(deep) = &mut self.deep {
            Arc::make_mut(deep).paste(&self.rgb, patch, x, y);
        }
        self.rgb.paste(patch, x, y);
    }
}

/// Opens a picture file.
///
/// # Errors
/// No such file, a folder, not a picture, damaged or cut short, or too large; the message says
/// what to do about it.
pub fn open(path: &Path) -> Result<Photo> {
    read_bounded(path)
        .and_then(|bytes| decode(&bytes))
        .map_err(|err| anyhow!("Failed to open the photo. {err:#}: {}", path.display()))
}

/// The bytes of a picture file, if it is a file of a size that one can have.
///
/// # Errors
/// It is missing, a folder, too large or may not be read. The message does not name the path.
pub fn read_bounded(path: &Path) -> Result<Vec<u8>> {
    let metadata = std::fs::metadata(path).map_err(|err| match err.kind() {
        std::io::ErrorKind::NotFound => anyhow!("There is no such file"),
        std::io::ErrorKind::PermissionDenied => anyhow!("You may not read this file"),
        _ => anyhow!(err),
    })?;
    ensure!(!metadata.is_dir(), "This is a folder, not a picture");
    ensure!(
        metadata.len() <= MAX_FILE_BYTES,
        "The file has {} MB, more than any picture of {} megapixels",
        metadata.len() >> 20,
        MAX_AREA_PX / 1_000_000
    );
    std::fs::read(path).map_err(|err| match err.kind() {
        std::io::ErrorKind::PermissionDenied => anyhow!("You may not read this file"),
        _ => anyhow!(err),
    })
}

/// Width and height of a picture file, from its beginning; the camera's turn is not applied. None if they cannot be told:
/// opening it says why.
pub fn size_of(path: &Path) -> Option<[usize; 2]> {
    let reader = ImageReader::open(path).ok()?.with_guessed_format().ok()?;
    let (width, height) = reader.into_dimensions().ok()?;
    Some([width as usize, height as usize])
}

/// Decodes a picture file that is in memory.
///
/// # Errors
/// As for [`open`], without a path.
pub fn decode(bytes: &[u8]) -> Result<Photo> {
    ensure!(!bytes.is_empty(), "The file is empty");
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let format = reader.format().ok_or_else(|| unknown_format(bytes))?;
    let mut decoder = reader.into_decoder().map_err(explain)?;
    let (width, height) = decoder.dimensions();
    ensure!(
        width > 0 && height > 0,
        "The picture is {width} × {height} pixels: it is empty"
    );
    ensure!(
        width <= MAX_SIDE_PX
            && height <= MAX_SIDE_PX
            && u64::from(width) * u64::from(height) <= MAX_AREA_PX,
        "The picture is {width} × {height} pixels. Make it at most {MAX_SIDE_PX} pixels a side \
         and {} megapixels",
        MAX_AREA_PX / 1_000_000
    );
    if format == ImageFormat::Jpeg {
        ensure!(jpeg_end::is_complete(bytes), "The file is cut short");
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE_PX);
    limits.max_image_height = Some(MAX_SIDE_PX);
    limits.max_alloc = Some(MAX_FILE_BYTES);
    decoder.set_limits(limits).map_err(explain)?;

    // A photo whose extras are unreadable is still a photo.
    let orientation = decoder
        .orientation()
        .unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut icc_profile = decoder.icc_profile().ok().flatten();
    if format == ImageFormat::Tiff {
        // The reader's own limits, set above, leave nothing for a TIFF's tags; a decoder's default is 1 MB.
        icc_profile = TiffDecoder::new(Cursor::new(bytes))
            .and_then(|mut decoder| decoder.icc_profile())
            .ok()
            .flatten();
    }
    let exif = decoder
        .exif_metadata()
        .ok()
        .flatten()
        .and_then(metadata::upright);
    let icc_profile = icc_profile.filter(|profile| profile.get(16..20) == Some(b"RGB "));
    let color_type = decoder.color_type();
    let mut picture = DynamicImage::from_decoder(decoder).map_err(explain)?;
    picture.apply_orientation(orientation);
    let is_deep = matches!(
        color_type,
        ColorType::L16
            | ColorType::La16
            | ColorType::Rgb16
            | ColorType::Rgba16
            | ColorType::Rgb32F
            | ColorType::Rgba32F
    );
    let deep = is_deep.then(|| Arc::new(Deep::of(&picture)));
    let (rgb, alpha) = split(picture)?;
    Ok(Photo {
        rgb,
        alpha,
        icc_profile,
        exif,
        deep,
        notes: if is_deep {
            vec![NOTE_DEPTH]
        } else {
            Vec::new()
        },
    })
}

/// Shown for pictures with more than 8 bits a channel.
pub const NOTE_DEPTH: &str =
    "Edited with 8 bits per channel. PNG and TIFF keep the 16 bits of what is not edited";

/// Colours and opacity apart.
fn split(picture: DynamicImage) -> Result<(Rgb, Option<Grid<u8>>)> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    if !picture.color().has_alpha() {
        let rgb = Rgb::from_vec(width, height, picture.into_rgb8().into_raw())?;
        return Ok((rgb, None));
    }
    let rgba = picture.into_rgba8().into_raw();
    let mut rgb = vec![0; width * height * 3];
    rgb.par_chunks_exact_mut(3)
        .with_min_len(1 << 16)
        .zip(rgba.par_chunks_exact(4))
        .for_each(|(out, pixel)| out.copy_from_slice(&pixel[..3]));
    let alpha: Vec<u8> = rgba.chunks_exact(4).map(|pixel| pixel[3]).collect();
    let is_opaque = alpha.iter().all(|&a| a == 255);
    let alpha = Grid::from_vec(width, height, alpha)?;
    Ok((
        Rgb::from_vec(width, height, rgb)?,
        (!is_opaque).then_some(alpha),
    ))
}

/// The decoder's error in the user's words.
fn explain(err: ImageError) -> anyhow::Error {
    match err {
        ImageError::Limits(err) => match err.kind() {
            LimitErrorKind::DimensionError => anyhow!("The picture is too large, or has no pixels"),
            _ => anyhow!("The picture needs more memory than is allowed"),
        },
        ImageError::Unsupported(err) => {
            anyhow!("This kind of picture is not supported ({err}). Save it as PNG or JPEG first")
        }
        ImageError::IoError(err) if err.kind() == std::io::ErrorKind::UnexpectedEof => {
            anyhow!("The file is cut short")
        }
        err => {
            let text = err.to_string();
            if ["end of file", "EOF", "exhausted"]
                .iter()
                .any(|w| text.contains(w))
            {
                anyhow!("The file is cut short")
            } else {
                anyhow!("The file is damaged ({text})")
            }
        }
    }
}

/// Names the formats that people try and that cannot be opened.
fn unknown_format(bytes: &[u8]) -> anyhow::Error {
    let brand = bytes.get(4..12).unwrap_or_default();
    let known = match brand {
        b"ftypheic" | b"ftypheix" | b"ftypmif1" | b"ftyphevc" => Some("HEIC"),
        b"ftypavif" | b"ftypavis" => Some("AVIF"),
        _ if bytes.starts_with(b"8BPS") => Some("Photoshop"),
        _ if bytes.starts_with(b"%PDF") => Some("PDF"),
        _ if bytes.starts_with(b"<svg") => Some("SVG"),
        _ => None,
    };
    match known {
        Some(name) => anyhow!("{name} files cannot be opened. Save it as PNG or JPEG first"),
        None => {
            anyhow!("This is not a picture. PNG, JPEG, BMP, TIFF, GIF and WebP files can be opened")
        }
    }
}

/// Refuses to continue with a picture of another size than the photo it belongs to.
///
/// # Errors
/// When the sizes differ.
pub fn ensure_same_size(what: &str, found: (usize, usize), photo: (usize, usize)) -> Result<()> {
    if found != photo {
        bail!(
            "The {what} is {} × {} pixels, but the photo is {} × {}. Use a {what} of the photo's \
             own size",
            found.0,
            found.1,
            photo.0,
            photo.1
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
