//! Writing pictures so that a failure never costs the file that was there: everything goes to a
//! temporary file beside it, which then takes its name.

use std::fs::{File, OpenOptions};
use std::io::{self, Cursor, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::codecs::tiff::TiffEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};
use serde::{Deserialize, Serialize};

use super::{Deep, Photo};
use crate::raster::Rgb;

/// Good enough that an edit cannot be told from recompression.
const JPEG_QUALITY: u8 = 95;

/// The kinds of files that are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// Every pixel exact.
    #[default]
    Png,
    Jpeg,
    /// Every pixel exact.
    WebP,
    /// Every pixel exact; without the camera's data.
    Tiff,
}

impl Format {
    pub const ALL: [Self; 4] = [Self::Png, Self::Jpeg, Self::WebP, Self::Tiff];

    /// As a file's name ends.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::WebP => "webp",
            Self::Tiff => "tif",
        }
    }

    /// What people call it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::WebP => "WebP",
            Self::Tiff => "TIFF",
        }
    }

    /// Whether it can hold 16 bits a channel.
    pub const fn is_deep(self) -> bool {
        matches!(self, Self::Png | Self::Tiff)
    }

    /// Whether it can hold the camera's data.
    pub const fn has_metadata(self) -> bool {
        !matches!(self, Self::Tiff)
    }

    /// The format that a name stands for, by its ending.
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_string_lossy().to_lowercase();
        Some(match extension.as_str() {
            "png" => Self::Png,
            "jpg" | "jpeg" => Self::Jpeg,
            "tif" | "tiff" => Self::Tiff,
            "webp" => Self::WebP,
            _ => return None,
        })
    }
}

/// Bits a channel of PNG and TIFF files. The others have 8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Depth {
    /// As many as the photo has.
    #[default]
    AsPhoto,
    Eight,
    Sixteen,
}

/// What is written beside the pixels, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SaveOptions {
    /// Of JPEG files, 1 to 100.
    pub quality: u8,
    pub depth: Depth,
    /// The camera's data goes with it.
    pub keep_metadata: bool,
    /// The colour profile goes with it. Without it colours may look different.
    pub keep_profile: bool,
}

impl Default for SaveOptions {
    fn default() -> Self {
        Self {
            quality: JPEG_QUALITY,
            depth: Depth::AsPhoto,
            keep_metadata: true,
            keep_profile: true,
        }
    }
}

/// Writes a photo as its name says: `.png`, `.tif`, `.tiff` or `.webp` (every pixel exact, with transparency), `.jpg`
/// or `.jpeg`. Colour profile and camera's data go with it.
///
/// # Errors
/// Another extension, or [`save_atomically`]'s.
pub fn save(path: &Path, photo: &Photo) -> Result<()> {
    save_with(path, photo, &SaveOptions::default())
}

/// [`save`] with choices.
///
/// # Errors
/// Another extension, 16 bits in a format that has 8, or [`save_atomically`]'s.
pub fn save_with(path: &Path, photo: &Photo, options: &SaveOptions) -> Result<()> {
    let format = Format::of_path(path).with_context(|| {
        format!(
            "Pictures are saved as .png, .jpg, .tif or .webp. Choose a name that ends so: {}",
            path.display()
        )
    })?;
    save_atomically(path, &encode(photo, format, options)?)
}

/// A photo as the bytes of a file.
///
/// # Errors
/// 16 bits in a format that has 8, or sides that the format does not allow.
pub fn encode(photo: &Photo, format: Format, options: &SaveOptions) -> Result<Vec<u8>> {
    if options.depth == Depth::Sixteen && !format.is_deep() {
        bail!(
            "{} files have 8 bits per channel. Choose PNG or TIFF for 16",
            format.title()
        );
    }
    let quality = options.quality.clamp(1, 100);
    let mut bytes = Vec::with_capacity(photo.rgb.data.len() / 4);
    match format {
        Format::Png => {
            let (fast, filter) = (CompressionType::Fast, FilterType::Adaptive);
            let encoder = PngEncoder::new_with_quality(&mut bytes, fast, filter);
            write(encoder, photo, format, options)?;
        }
        Format::Jpeg => {
            let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
            write(encoder, photo, format, options)?;
        }
        Format::Tiff => {
            let mut file = Cursor::new(bytes);
            write(TiffEncoder::new(&mut file), photo, format, options)?;
            bytes = file.into_inner();
        }
        Format::WebP => write(
            WebPEncoder::new_lossless(&mut bytes),
            photo,
            format,
            options,
        )?,
    }
    Ok(bytes)
}

fn write(
    mut encoder: impl ImageEncoder,
    photo: &Photo,
    format: Format,
    options: &SaveOptions,
) -> Result<()> {
    if let Some(icc) = photo.icc_profile.as_ref().filter(|_| options.keep_profile) {
        encoder
            .set_icc_profile(icc.clone())
            .context("Failed to add the colour profile")?;
    }
    let has_metadata = options.keep_metadata && format.has_metadata();
    if let Some(exif) = photo.exif.as_ref().filter(|_| has_metadata) {
        encoder
            .set_exif_metadata(exif.clone())
            .context("Failed to add the camera's data")?;
    }
    let rgb = &photo.rgb;
    let (width, height) = (u32::try_from(rgb.width)?, u32::try_from(rgb.height)?);
    let alpha = photo.alpha.as_ref().map(|alpha| alpha.data.as_slice());
    let is_deep = match options.depth {
        Depth::AsPhoto => photo.deep.is_some() && format.is_deep(),
        Depth::Eight => false,
        Depth::Sixteen => true,
    };
    let written = if is_deep {
        let widened;
        let deep = match &photo.deep {
            Some(deep) => &**deep,
            None => {
                widened = Deep::widened(rgb, alpha);
                &widened
            }
        };
        let kind = match deep.alpha {
            None => ExtendedColorType::Rgb16,
            Some(_) => ExtendedColorType::Rgba16,
        };
        encoder.write_image(&deep.bytes(), width, height, kind)
    } else if let Some(alpha) = alpha.filter(|_| format != Format::Jpeg) {
        let rgba = with_alpha(rgb, alpha);
        encoder.write_image(&rgba, width, height, ExtendedColorType::Rgba8)
    } else {
        encoder.write_image(&rgb.data, width, height, ExtendedColorType::Rgb8)
    };
    written.with_context(|| format!("Failed to encode the picture as {}", format.title()))
}

fn with_alpha(rgb: &Rgb, alpha: &[u8]) -> Vec<u8> {
    let pixels = rgb.pixels().zip(alpha);
    pixels.flat_map(|([r, g, b], &a)| [r, g, b, a]).collect()
}

/// Writes a PNG file of plain pixels.
///
/// # Errors
/// [`save_atomically`]'s.
pub fn save_png(path: &Path, rgb: &Rgb) -> Result<()> {
    save_pixels(path, rgb, Format::Png, JPEG_QUALITY)
}

/// Writes a JPEG file of plain pixels; quality is 1 to 100.
///
/// # Errors
/// [`save_atomically`]'s.
pub fn save_jpeg(path: &Path, rgb: &Rgb, quality: u8) -> Result<()> {
    save_pixels(path, rgb, Format::Jpeg, quality)
}

fn save_pixels(path: &Path, rgb: &Rgb, format: Format, quality: u8) -> Result<()> {
    let options = SaveOptions {
        quality,
        ..Default::default()
    };
    let photo = Photo::from_rgb(rgb.clone());
    save_atomically(path, &encode(&photo, format, &options)?)
}

/// Writes a whole file, or leaves what was there. A device or pipe is written to directly.
///
/// # Errors
/// No such folder, no right to write there, a full disk; the message says what to do.
pub fn save_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, bytes)
        .map_err(|err| anyhow!("Failed to save. {}: {}", advice(&err), path.display()))
}

fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Ok(metadata) = std::fs::metadata(path) {
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !metadata.is_file() {
            let mut device = OpenOptions::new().write(true).open(path)?;
            return device.write_all(bytes).and_then(|()| device.flush());
        }
        // Renaming over a file asks only for rights in its folder. A file that is marked
        // read-only is meant to stay.
        if metadata.permissions().readonly() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
    }
    // The link stays a link: what it points at is replaced.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let temporary = temporary_beside(&path)?;
    let written = write_new(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, &path));
    if written.is_err() {
        // It may not exist, and the first error is the one to tell.
        std::fs::remove_file(&temporary).ok();
    }
    written
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    // Some disks tell only now that they are full.
    file.sync_all()
}

/// A name in the same folder that is not taken.
fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let process = std::process::id();
    for attempt in 0..100 {
        let mut candidate = std::ffi::OsString::from(".");
        candidate.push(name);
        candidate.push(format!(".{process}-{attempt}.tmp"));
        let candidate = path.with_file_name(candidate);
        if !candidate.exists() {
            return Ok(candidate);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// What went wrong and what helps.
fn advice(err: &io::Error) -> String {
    use io::ErrorKind as Kind;
    let text = match err.kind() {
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => {
            "The disk is full. Free some space or save to another disk"
        }
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => {
            "You may not write here. Choose another folder or name"
        }
        Kind::NotFound => "The folder does not exist. Create it or choose another",
        Kind::NotADirectory => "Part of the path is a file, not a folder. Choose another folder",
        Kind::IsADirectory => "A folder has this name. Choose another name",
        Kind::InvalidFilename => "This is not a file name. Choose another name",
        _ => return format!("The system says \"{err}\". Try another folder"),
    };
    text.to_string()
}
