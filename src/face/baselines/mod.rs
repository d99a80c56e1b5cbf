//! Three ways to fill a hole without a network: what the generator has to beat.
//!
//! Every function leaves the pixels outside the hole (0) exactly as they are.

mod telea;

pub use telea::telea_fill;

use crate::face::labels::CLASS_COUNT;
use crate::face::mask::{Labels, dilate};
use crate::raster::{Grid, Rgb};

/// What a picture without known pixels is filled with.
const GREY: [u8; 3] = [128; 3];
/// Known pixels this near the hole are its border.
const BORDER_PX: f32 = 2.0;

/// Fills the hole with the mean colour of its border: known pixels within two pixels of it.
pub fn border_fill(photo: &Rgb, hole: &Grid<u8>) -> Rgb {
    let near = dilate(hole, BORDER_PX);
    let mut mean = Mean::default();
    for ((pixel, &hole), &near) in photo.pixels().zip(&hole.data).zip(&near.data) {
        if hole == 0 && near != 0 {
            mean.add(pixel);
        }
    }
    let colour = mean.colour().unwrap_or(GREY);
    filled(photo, hole, |_| colour)
}

/// Fills each pixel of the hole with its target class's mean colour in the style photo under the style mask. A class
/// that has no pixels there takes the mean of all.
pub fn class_mean_fill(
    photo: &Rgb,
    target: &Labels,
    hole: &Grid<u8>,
    style_photo: &Rgb,
    style_mask: &Labels,
) -> Rgb {
    let mut all = Mean::default();
    let mut means = [Mean::default(); CLASS_COUNT];
    for (pixel, &class) in style_photo.pixels().zip(&style_mask.data) {
        all.add(pixel);
        if let Some(mean) = means.get_mut(usize::from(class)) {
            mean.add(pixel);
        }
    }
    let fallback = all.colour().unwrap_or(GREY);
    let colours = means.map(|mean| mean.colour().unwrap_or(fallback));
    filled(photo, hole, |i| {
        let class = target.data.get(i).copied().unwrap_or(0);
        colours.get(usize::from(class)).copied().unwrap_or(fallback)
    })
}

fn filled(photo: &Rgb, hole: &Grid<u8>, colour_at: impl Fn(usize) -> [u8; 3]) -> Rgb {
    let mut out = photo.clone();
    for (i, (pixel, &hole)) in out.data.chunks_exact_mut(3).zip(&hole.data).enumerate() {
        if hole != 0 {
            pixel.copy_from_slice(&colour_at(i));
        }
    }
    out
}

#[derive(Clone, Copy, Default)]
struct Mean {
    sum: [u64; 3],
    count: u64,
}

impl Mean {
    fn add(&mut self, pixel: [u8; 3]) {
        for (sum, value) in self.sum.iter_mut().zip(pixel) {
            *sum += u64::from(value);
        }
        self.count += 1;
    }

    fn colour(&self) -> Option<[u8; 3]> {
        let count = self.count;
        (count > 0).then(|| self.sum.map(|sum| ((sum + count / 2) / count) as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_averaged() {
        let mut photo = Rgb::new(20, 20, [10, 20, 30]);
        photo.paste(&Rgb::new(10, 20, [30, 20, 10]), 10, 0);
        let mut hole = Grid::new(20, 20, 0);
        for y in 6..14 {
            hole.row_mut(y)[6..14].fill(1);
        }
        let filled = border_fill(&photo, &hole);
        assert_eq!(filled.get(9, 9), Some([20, 20, 20]));
        assert_eq!(filled.get(5, 9), Some([10, 20, 30]));
        assert_eq!(
            border_fill(&photo, &Grid::new(20, 20, 1)).get(3, 3),
            Some(GREY)
        );
    }

    #[test]
    fn classes_get_their_own_mean() {
        let photo = Rgb::from_vec(4, 1, vec![10, 0, 0, 20, 0, 0, 0, 100, 0, 0, 50, 0]).unwrap();
        let mask = Grid::from_vec(4, 1, vec![1, 1, 2, 2]).unwrap();
        let target = Grid::from_vec(4, 1, vec![2, 1, 3, 2]).unwrap();
        let hole = Grid::from_vec(4, 1, vec![1, 1, 1, 0]).unwrap();
        let filled = class_mean_fill(&photo, &target, &hole, &photo, &mask);
        // Class 3 has no pixels: the mean of all four.
        assert_eq!(filled.data, [0, 75, 0, 15, 0, 0, 8, 38, 0, 0, 50, 0]);
    }
}
