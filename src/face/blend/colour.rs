//! Colour correction at the seam.
//!
//! Around the changed pixels the hole holds a ring whose class did not change: there the photo is still true, and the
//! rendering is compared with it. The difference, blurred within its class, is added to the rendering; away from the
//! ring it fades out. A lip's difference so never tints the skin beside it.

use rayon::prelude::*;

use super::blur;
use crate::face::labels::CLASS_COUNT;
use crate::face::mask::Labels;
use crate::raster::{Grid, Rgb};

/// Confidence that a difference needs: a ring this thin, after blurring, counts half.
const HALF_TRUST: f32 = 0.03;

/// Shifts `rendered` to the colours of `photo`. All rasters have the window's size.
///
/// `ring` says how far a pixel's photo colour can be trusted to be what the rendering should have been (0 outside the
/// hole); `opacity` where the result will be seen; `reach_px` how far a difference is carried.
pub fn match_colours(
    rendered: &Rgb,
    photo: &Rgb,
    target: &Labels,
    ring: &Grid<f32>,
    opacity: &Grid<f32>,
    reach_px: f32,
) -> Rgb {
    let mut is_needed = [false; CLASS_COUNT];
    for ((&class, &alpha), &trust) in target.data.iter().zip(&opacity.data).zip(&ring.data) {
        if alpha > 0.0
            && trust > 0.0
            && let Some(needed) = is_needed.get_mut(usize::from(class))
        {
            *needed = true;
        }
    }
    let mut out = rendered.clone();
    for class in (0..CLASS_COUNT as u8).filter(|&c| is_needed[usize::from(c)]) {
        let weight_of = |i: usize| {
            if target.data[i] == class {
                ring.data[i]
            } else {
                0.0
            }
        };
        let plane = |value: &(dyn Fn(usize) -> f32 + Sync)| {
            let data = (0..ring.data.len()).into_par_iter().map(value).collect();
            blur(&Grid { data, ..*ring }, reach_px)
        };
        let weight = plane(&weight_of);
        for channel in 0..3 {
            let difference = plane(&|i| {
                let (new, old) = (rendered.data[3 * i + channel], photo.data[3 * i + channel]);
                weight_of(i) * (f32::from(old) - f32::from(new))
            });
            for (i, pixel) in out.data.chunks_exact_mut(3).enumerate() {
                if target.data[i] == class && opacity.data[i] > 0.0 {
                    let shift = difference.data[i] / (weight.data[i] + HALF_TRUST);
                    pixel[channel] =
                        (f32::from(pixel[channel]) + shift + 0.5).clamp(0.0, 255.0) as u8;
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_taken_back_within_its_class_only() {
        // Photo: grey 100. The rendering of a disc-like square is 20 too bright in class 1, right in class 2.
        let side = 64;
        let photo = Rgb::new(side, side, [100; 3]);
        let mut rendered = photo.clone();
        let mut target = Grid::new(side, side, 2u8);
        let (mut ring, mut opacity) = (Grid::new(side, side, 0.0), Grid::new(side, side, 0.0));
        for y in 16..48 {
            for x in 16..48 {
                opacity.set(x, y, 1.0f32);
                let is_ring = !(22..42).contains(&x) || !(22..42).contains(&y);
                ring.set(x, y, if is_ring { 1.0f32 } else { 0.0 });
                if x < 32 {
                    target.set(x, y, 1);
                    rendered.set(x, y, [120; 3]);
                }
            }
        }
        let fixed = match_colours(&rendered, &photo, &target, &ring, &opacity, 6.0);
        // In and near the ring nearly all of the 20 is gone; class 2 never moves.
        assert!(fixed.get(19, 30).unwrap()[0] <= 103);
        assert!(fixed.get(25, 30).unwrap()[0] <= 106);
        for x in 32..64 {
            assert_eq!(fixed.get(x, 30), Some([100; 3]));
        }
        assert_eq!(fixed.get(3, 3), photo.get(3, 3));
    }

    #[test]
    fn without_a_ring_nothing_moves() {
        let rendered = Rgb::new(20, 20, [50, 60, 70]);
        let photo = Rgb::new(20, 20, [90; 3]);
        let zero = Grid::new(20, 20, 0.0);
        let one = Grid::new(20, 20, 1.0);
        let fixed = match_colours(&rendered, &photo, &Grid::new(20, 20, 1), &zero, &one, 5.0);
        assert_eq!(fixed, rendered);
    }
}
