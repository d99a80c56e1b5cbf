//! The 16-bit pixels of a photo that has them, beside the 8-bit ones that everything works on.
//!
//! An edit is brought over as a difference: an 8-bit pixel that became brighter by d makes the 16-bit one brighter by
//! 257 · d. Where nothing changed every bit stays, and what is finer than 8 bits is kept under the edit as well, so
//! that a soft seam has no steps. Left out: half and full floating point, which is brought to 16 bits on opening.

use image::DynamicImage;

use crate::raster::Rgb;

/// A 16-bit value for each step of an 8-bit one: 255 becomes 65535.
const PER_STEP: u16 = 257;

/// 16 bits a channel, row-major, of the same size as the photo.
#[derive(Clone, Debug, PartialEq)]
pub struct Deep {
    /// Red, green, blue, red, …
    pub rgb: Vec<u16>,
    /// Opacity, 65535 = opaque; none when the file has no transparency.
    pub alpha: Option<Vec<u16>>,
}

impl Deep {
    /// The deep pixels of an opened picture.
    pub(super) fn of(picture: &DynamicImage) -> Self {
        if !picture.color().has_alpha() {
            let rgb = picture.to_rgb16().into_raw();
            return Self { rgb, alpha: None };
        }
        let rgba = picture.to_rgba16().into_raw();
        let (pixels, _) = rgba.as_chunks::<4>();
        Self {
            rgb: pixels
                .iter()
                .flat_map(|[r, g, b, _]| [*r, *g, *b])
                .collect(),
            alpha: Some(pixels.iter().map(|pixel| pixel[3]).collect()),
        }
    }

    /// 8-bit pixels, each value spread over the whole range.
    pub(super) fn widened(rgb: &Rgb, alpha: Option<&[u8]>) -> Self {
        let widen = |values: &[u8]| values.iter().map(|v| u16::from(*v) * PER_STEP).collect();
        Self {
            rgb: widen(&rgb.data),
            alpha: alpha.map(widen),
        }
    }

    /// Brings over what pasting `patch` at (`x`, `y`) will change in `photo`, which has the same size.
    pub(super) fn paste(&mut self, photo: &Rgb, patch: &Rgb, x: usize, y: usize) {
        let width = patch.width.min(photo.width.saturating_sub(x));
        for row in 0..patch.height.min(photo.height.saturating_sub(y)) {
            let start = ((y + row) * photo.width + x) * 3;
            let (old, new) = (&photo.data[start..], patch.row(row));
            let Some(deep) = self.rgb.get_mut(start..start + 3 * width) else {
                return;
            };
            for (deep, (old, new)) in deep.iter_mut().zip(old.iter().zip(new)) {
                let change = (i32::from(*new) - i32::from(*old)) * i32::from(PER_STEP);
                let value = (i32::from(*deep) + change).clamp(0, i32::from(u16::MAX));
                *deep = u16::try_from(value).unwrap_or(u16::MAX);
            }
        }
    }

    /// Pixels as the encoders take them: native-endian bytes, with opacity if there is any.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let (pixels, _) = self.rgb.as_chunks::<3>();
        match &self.alpha {
            None => self.rgb.iter().flat_map(|v| v.to_ne_bytes()).collect(),
            Some(alpha) => pixels
                .iter()
                .zip(alpha)
                .flat_map(|([r, g, b], a)| [*r, *g, *b, *a])
                .flat_map(u16::to_ne_bytes)
                .collect(),
        }
    }
}
