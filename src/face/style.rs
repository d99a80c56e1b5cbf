//! What a face's classes look like, in numbers that need no network: colour, spread and shading of each class.
//!
//! A class's colours are fitted by a plane over the crop, colour = mean + slope · (position − centre), which carries
//! the light falling from one side. Painting a mask with these planes gives the generator its base picture.

use super::labels::CLASS_COUNT;
use crate::raster::{Grid, Rgb};

/// Numbers a class gives the style encoder: mean, deviation, slopes (3 each for x and y), share of the crop, presence.
pub const NUMBERS: usize = 14;

/// Colour statistics of one class, in [−1, 1] per channel and crop units.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClassColour {
    /// Share of the crop's pixels; 0 when the class is absent.
    pub share: f32,
    /// Mean colour.
    pub mean: [f32; 3],
    /// Standard deviation of each channel.
    pub deviation: [f32; 3],
    /// Change of colour per crop width, and per crop height.
    pub slope: [[f32; 3]; 2],
    /// Mean position in the unit square.
    pub centre: [f32; 2],
}

/// Statistics of all classes.
pub type ClassColours = [ClassColour; CLASS_COUNT];

/// Pixels below which a class counts as absent, per pixel of the crop.
const LEAST_SHARE: f32 = 1e-4;
/// Pull of the slopes towards zero, as a variance of position: small parts have no reliable slope.
const RIDGE: f64 = 2e-3;

/// Statistics from planes [3, side, side] in [−1, 1] and their class ids.
pub fn class_colours(planes: &[f32], mask: &[u8], side: usize) -> ClassColours {
    let area = side * side;
    // Sums of 1, x, y, xx, xy, yy, then of colour, colour², colour·x, colour·y for each channel.
    let mut sums = [[0f64; 18]; CLASS_COUNT];
    for (i, &id) in mask.iter().enumerate().take(area) {
        let Some(s) = sums.get_mut(id as usize) else {
            continue;
        };
        let x = ((i % side) as f64 + 0.5) / side as f64;
        let y = ((i / side) as f64 + 0.5) / side as f64;
        for (v, add) in s.iter_mut().zip([1.0, x, y, x * x, x * y, y * y]) {
            *v += add;
        }
        for k in 0..3 {
            let c = planes[k * area + i] as f64;
            for (v, add) in s[6 + 4 * k..].iter_mut().zip([c, c * c, c * x, c * y]) {
                *v += add;
            }
        }
    }
    sums.map(|s| {
        let n = s[0];
        if n < (LEAST_SHARE as f64 * area as f64).max(1.0) {
            return ClassColour::default();
        }
        let (cx, cy) = (s[1] / n, s[2] / n);
        let (xx, xy, yy) = (
            s[3] / n - cx * cx + RIDGE,
            s[4] / n - cx * cy,
            s[5] / n - cy * cy + RIDGE,
        );
        let determinant = (xx * yy - xy * xy).max(1e-12);
        let mut out = ClassColour {
            share: (n / area as f64) as f32,
            centre: [cx as f32, cy as f32],
            ..Default::default()
        };
        for k in 0..3 {
            let t = &s[6 + 4 * k..];
            let mean = t[0] / n;
            let (vx, vy) = (t[2] / n - mean * cx, t[3] / n - mean * cy);
            out.mean[k] = mean as f32;
            out.deviation[k] = (t[1] / n - mean * mean).max(0.0).sqrt() as f32;
            out.slope[0][k] = ((yy * vx - xy * vy) / determinant) as f32;
            out.slope[1][k] = ((xx * vy - xy * vx) / determinant) as f32;
        }
        out
    })
}

/// Statistics of an aligned square photo and its mask of the same size.
pub fn class_colours_of(photo: &Rgb, mask: &Grid<u8>) -> ClassColours {
    class_colours(&planes_of(photo), &mask.data, mask.width)
}

/// A photo as planes [3, H, W] in [−1, 1].
pub fn planes_of(photo: &Rgb) -> Vec<f32> {
    let area = photo.width * photo.height;
    let mut planes = vec![0f32; 3 * area];
    for (i, pixel) in photo.data.chunks_exact(3).enumerate() {
        for (k, &v) in pixel.iter().enumerate() {
            planes[k * area + i] = f32::from(v) / 127.5 - 1.0;
        }
    }
    planes
}

impl ClassColour {
    /// The numbers that the style encoder reads.
    pub fn numbers(&self) -> [f32; NUMBERS] {
        let (m, d, [sx, sy]) = (self.mean, self.deviation, self.slope);
        let presence = if self.share > 0.0 { 1.0 } else { 0.0 };
        [
            m[0],
            m[1],
            m[2],
            d[0],
            d[1],
            d[2],
            sx[0],
            sx[1],
            sx[2],
            sy[0],
            sy[1],
            sy[2],
            self.share.sqrt(),
            presence,
        ]
    }

    /// The plane's colour at a position of the unit square, kept within two deviations of the mean.
    fn at(&self, x: f32, y: f32) -> [f32; 3] {
        std::array::from_fn(|k| {
            let d =
                self.slope[0][k] * (x - self.centre[0]) + self.slope[1][k] * (y - self.centre[1]);
            let most = 2.0 * self.deviation[k] + 0.02;
            (self.mean[k] + d.clamp(-most, most)).clamp(-1.0, 1.0)
        })
    }
}

/// The mask painted with each class's plane: planes [3, side, side] of a window (x0, y0, x1, y1 in the unit crop).
/// Absent classes take `fallback`'s mean colour.
pub fn base_picture(
    colours: &ClassColours,
    fallback: &[[f32; 3]; CLASS_COUNT],
    mask: &[u8],
    side: usize,
    window: [f32; 4],
) -> Vec<f32> {
    let area = side * side;
    let mut out = vec![0f32; 3 * area];
    let [x0, y0, x1, y1] = window;
    for (i, &id) in mask.iter().enumerate().take(area) {
        let id = (id as usize).min(CLASS_COUNT - 1);
        let x = x0 + (x1 - x0) * ((i % side) as f32 + 0.5) / side as f32;
        let y = y0 + (y1 - y0) * ((i / side) as f32 + 0.5) / side as f32;
        let colour = if colours[id].share > 0.0 {
            colours[id].at(x, y)
        } else {
            fallback[id]
        };
        for (k, v) in colour.into_iter().enumerate() {
            out[k * area + i] = v;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_is_found_and_painted_again() {
        let side = 32;
        let mask: Vec<u8> = (0..side * side).map(|i| u8::from(i % side > 12)).collect();
        let mut planes = vec![0f32; 3 * side * side];
        for i in 0..side * side {
            let (x, y) = ((i % side) as f32 / 32.0, (i / side) as f32 / 32.0);
            planes[i] = 0.4 * x - 0.2 * y;
            planes[side * side + i] = 0.3;
        }
        let colours = class_colours(&planes, &mask, side);
        assert!(
            (colours[1].slope[0][0] - 0.4).abs() < 0.05,
            "{:?}",
            colours[1]
        );
        assert_eq!(colours[5], ClassColour::default());
        let base = base_picture(
            &colours,
            &[[0.0; 3]; CLASS_COUNT],
            &mask,
            side,
            [0.0, 0.0, 1.0, 1.0],
        );
        let worst = base
            .iter()
            .zip(&planes)
            .map(|(a, b)| (a - b).abs())
            .fold(0f32, f32::max);
        assert!(worst < 0.05, "{worst}");
        let absent = base_picture(
            &colours,
            &[[0.5; 3]; CLASS_COUNT],
            &[7; 1024],
            side,
            [0.0, 0.0, 1.0, 1.0],
        );
        assert_eq!(absent[0], 0.5);
    }
}
