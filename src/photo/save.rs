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

use super::Photo;
use crate::raster::Rgb;

/// Good enough that an edit cannot be told from recompression.
const JPEG_QUALITY: u8 = 95;

/// Writes a photo as its name says: `.png`, `.tif`, `.tiff` or `.webp` (every pixel exact, with transparency), `.jpg`
/// or `.jpeg`. The colour profile goes with it.
///
/// # Errors
/// Another extension, or [`save_atomically`]'s.
pub fn save(path: &Path, photo: &Photo) -> Result<()> {
    let extension = path
        .extension()
        .map(|e| e.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let bytes = match extension.as_str() {
        "png" => encode_png(photo)?,
        "jpg" | "jpeg" => encode_jpeg(photo, JPEG_QUALITY)?,
        "tif" | "tiff" => {
            let mut bytes = Cursor::new(Vec::new());
            write_exactly(TiffEncoder::new(&mut bytes), photo)?;
            bytes.into_inner()
        }
        "webp" => {
            let mut bytes = Vec::new();
            write_exactly(WebPEncoder::new_lossless(&mut bytes), photo)?;
            bytes
        }
        _ => bail!(
            "Pictures are saved as .png, .jpg, .tif or .webp. Choose a name that ends so: {}",
            path.display()
        ),
    };
    save_atomically(path, &bytes)
}

/// Writes every pixel as it is, with transparency and colour profile.
fn write_exactly(mut encoder: impl ImageEncoder, photo: &Photo) -> Result<()> {
    if let Some(icc) = &photo.icc_profile {
        encoder
            .set_icc_profile(icc.clone())
            .context("Failed to add the colour profile")?;
    }
    let rgb = &photo.rgb;
    let (width, height) = (u32::try_from(rgb.width)?, u32::try_from(rgb.height)?);
    let written = match &photo.alpha {
        None => encoder.write_image(&rgb.data, width, height, ExtendedColorType::Rgb8),
        Some(alpha) => {
            let rgba = with_alpha(rgb, &alpha.data);
            encoder.write_image(&rgba, width, height, ExtendedColorType::Rgba8)
        }
    };
    written.context("Failed to encode the picture")
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
    save_atomically(path, &encode_png_pixels(rgb, None, None)?)
}

/// Writes a JPEG file of plain pixels; quality is 1 to 100.
///
/// # Errors
/// [`save_atomically`]'s.
pub fn save_jpeg(path: &Path, rgb: &Rgb, quality: u8) -> Result<()> {
    save_atomically(path, &encode_jpeg_pixels(rgb, None, quality)?)
}

fn encode_png(photo: &Photo) -> Result<Vec<u8>> {
    let alpha = photo.alpha.as_ref().map(|alpha| alpha.data.as_slice());
    encode_png_pixels(&photo.rgb, alpha, photo.icc_profile.as_deref())
}

fn encode_png_pixels(rgb: &Rgb, alpha: Option<&[u8]>, icc: Option<&[u8]>) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(rgb.data.len() / 2);
    let mut encoder =
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive);
    if let Some(icc) = icc {
        encoder
            .set_icc_profile(icc.to_vec())
            .context("Failed to add the colour profile")?;
    }
    let (width, height) = (u32::try_from(rgb.width)?, u32::try_from(rgb.height)?);
    let written = match alpha {
        None => encoder.write_image(&rgb.data, width, height, ExtendedColorType::Rgb8),
        Some(alpha) => {
            let rgba = with_alpha(rgb, alpha);
            encoder.write_image(&rgba, width, height, ExtendedColorType::Rgba8)
        }
    };
    written.context("Failed to encode the picture as PNG")?;
    Ok(bytes)
}

fn encode_jpeg(photo: &Photo, quality: u8) -> Result<Vec<u8>> {
    encode_jpeg_pixels(&photo.rgb, photo.icc_profile.as_deref(), quality)
}

fn encode_jpeg_pixels(rgb: &Rgb, icc: Option<&[u8]>, quality: u8) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(rgb.data.len() / 4);
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, quality.clamp(1, 100));
    if let Some(icc) = icc {
        encoder
            .set_icc_profile(icc.to_vec())
            .context("Failed to add the colour profile")?;
    }
    encoder
        .write_image(
            &rgb.data,
            u32::try_from(rgb.width)?,
            u32::try_from(rgb.height)?,
            ExtendedColorType::Rgb8,
        )
        .context("Failed to encode the picture as JPEG")?;
    Ok(bytes)
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
