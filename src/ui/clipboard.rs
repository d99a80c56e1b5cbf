//! Pictures on the system's clipboard. Every call may wait for other programs, so only jobs make them.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::photo::{MAX_AREA_PX, MAX_SIDE_PX, Photo};
use crate::raster::{Grid, Rgb};

/// Where pictures are copied to and pasted from.
pub trait Clipboard: Send + Sync {
    /// Puts a picture there.
    fn copy(&self, picture: &Photo) -> Result<()>;

    /// The picture that is there.
    fn paste(&self) -> Result<Photo>;
}

/// The clipboard of the system. What was copied is there as long as this is: other programs ask for it when they paste.
#[derive(Default)]
pub struct SystemClipboard(Mutex<Option<arboard::Clipboard>>);

impl SystemClipboard {
    fn with<T>(
        &self,
        each: impl FnOnce(&mut arboard::Clipboard) -> Result<T, arboard::Error>,
    ) -> Result<T> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() {
            let opened = arboard::Clipboard::new();
            *held = Some(opened.map_err(|err| {
                anyhow!("Failed to reach the clipboard: there is no display ({err})")
            })?);
        }
        let clipboard = held.as_mut().context("Failed to reach the clipboard")?;
        each(clipboard).map_err(|err| match err {
            arboard::Error::ContentNotAvailable => {
                anyhow!("There is no picture on the clipboard. Copy one first")
            }
            err => anyhow!("Failed to use the clipboard ({err})"),
        })
    }
}

impl Clipboard for SystemClipboard {
    fn copy(&self, picture: &Photo) -> Result<()> {
        let (width, height) = (picture.rgb.width, picture.rgb.height);
        let alpha = picture.alpha.as_ref();
        let alpha = |i: usize| alpha.and_then(|alpha| alpha.data.get(i)).copied();
        let pixels = picture.rgb.pixels().enumerate();
        let bytes = pixels
            .flat_map(|(i, [r, g, b])| [r, g, b, alpha(i).unwrap_or(255)])
            .collect();
        self.with(|clipboard| {
            clipboard.set_image(arboard::ImageData {
                width,
                height,
                bytes,
            })
        })
    }

    fn paste(&self) -> Result<Photo> {
        let image = self.with(arboard::Clipboard::get_image)?;
        photo_of_rgba(image.width, image.height, &image.bytes)
    }
}

/// A photo from red, green, blue and opacity.
///
/// # Errors
/// When it is empty or larger than any photo may be.
fn photo_of_rgba(width: usize, height: usize, rgba: &[u8]) -> Result<Photo> {
    let side = MAX_SIDE_PX as usize;
    ensure!(
        width > 0 && height > 0,
        "The picture on the clipboard is empty"
    );
    ensure!(
        width <= side && height <= side && (width * height) as u64 <= MAX_AREA_PX,
        "The picture on the clipboard is {width} × {height} pixels. Make it at most {side} pixels a side"
    );
    let (pixels, _) = rgba.as_chunks::<4>();
    let rgb = pixels
        .iter()
        .flat_map(|[r, g, b, _]| [*r, *g, *b])
        .collect();
    let mut photo = Photo::from_rgb(Rgb::from_vec(width, height, rgb)?);
    if pixels.iter().any(|pixel| pixel[3] != 255) {
        let alpha = pixels.iter().map(|pixel| pixel[3]).collect();
        photo.alpha = Some(Grid::from_vec(width, height, alpha)?);
    }
    Ok(photo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasted_pixels_become_a_photo() {
        let photo = photo_of_rgba(2, 1, &[1, 2, 3, 255, 4, 5, 6, 255]).unwrap();
        assert_eq!(photo.rgb.data, [1, 2, 3, 4, 5, 6]);
        assert!(photo.alpha.is_none());
        let clear = photo_of_rgba(2, 1, &[1, 2, 3, 255, 4, 5, 6, 9]).unwrap();
        assert_eq!(clear.alpha.unwrap().data, [255, 9]);
        assert!(photo_of_rgba(0, 1, &[]).is_err());
        assert!(photo_of_rgba(2, 2, &[1, 2, 3, 4]).is_err());
        assert!(photo_of_rgba(1 << 20, 1 << 20, &[]).is_err());
    }
}
