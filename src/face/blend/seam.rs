//! Lets a rendered hole meet its surroundings.
//!
//! A network's colours are a little off, and the eye sees it as a rim around the hole. Where a class goes on across the
//! hole's border, the step between the last rendered pixel and the first of the photo is known; it is spread into the
//! hole, within its class, finely near the border and ever more coarsely inside, and added. This is Poisson blending
//! (Pérez et al. 2003) solved approximately by normalised convolution on three scales, so that a border pixel of another
//! colour (a hair, a highlight) is averaged with its neighbours instead of being smeared inwards.

use super::blur;
use crate::face::labels::CLASS_COUNT;
use crate::face::mask::Labels;
use crate::raster::{Grid, Rgb};

/// Deviations of the spread, in parts of the window's side, finest first.
const SCALES: [f32; 3] = [0.015, 0.05, 0.15];
/// What a coarser scale counts against a finer one.
const COARSER: f32 = 0.02;
/// Classes with fewer border pixels stay as they are: a few pixels say nothing about a colour.
const LEAST_BORDER: usize = 8;

/// Shifts the pixels of `rendered` in the `hole` to the colours of the `photo` around it. All have the same size.
pub fn meet_surroundings(rendered: &mut Rgb, photo: &Rgb, target: &Labels, hole: &Grid<u8>) {
    let (width, height) = (hole.width, hole.height);
    let mut steps = Grid::new(width, height, [0f32; 3]);
    let mut counts = Grid::new(width, height, 0f32);
    let mut borders = [0usize; CLASS_COUNT];
    for y in 0..height {
        for x in 0..width {
            let at = y * width + x;
            if hole.data[at] == 0 {
                continue;
            }
            let around = [
                (x > 0).then(|| at - 1),
                (x + 1 < width).then_some(at + 1),
                (y > 0).then(|| at.wrapping_sub(width)),
                (y + 1 < height).then_some(at + width),
            ];
            for other in around.into_iter().flatten() {
                if hole.data[other] != 0 || target.data[other] != target.data[at] {
                    continue;
                }
                counts.data[at] += 1.0;
                for k in 0..3 {
                    let (new, old) = (rendered.data[3 * at + k], photo.data[3 * other + k]);
                    steps.data[at][k] += f32::from(old) - f32::from(new);
                }
                if let Some(border) = borders.get_mut(usize::from(target.data[at])) {
                    *border += 1;
                }
            }
        }
    }
    for class in (0..CLASS_COUNT).filter(|&c| borders[c] >= LEAST_BORDER) {
        let is_here = |i: usize| usize::from(target.data[i]) == class;
        let spread = |value: &dyn Fn(usize) -> f32| {
            let data: Vec<f32> = (0..hole.data.len())
                .map(|i| if is_here(i) { value(i) } else { 0.0 })
                .collect();
            let grid = Grid {
                data,
                width,
                height,
            };
            let mut sum = vec![0f32; hole.data.len()];
            let mut say = 1.0;
            for scale in SCALES {
                let blurred = blur(&grid, scale * width as f32);
                sum.iter_mut()
                    .zip(&blurred.data)
                    .for_each(|(s, b)| *s += say * b);
                say *= COARSER;
            }
            sum
        };
        let weight = spread(&|i| counts.data[i]);
        for k in 0..3 {
            let step = spread(&|i| steps.data[i][k]);
            for (i, _) in hole.data.iter().enumerate().filter(|(_, h)| **h != 0) {
                if is_here(i) && weight[i] > 0.0 {
                    let value = &mut rendered.data[3 * i + k];
                    *value =
                        (f32::from(*value) + step[i] / weight[i] + 0.5).clamp(0.0, 255.0) as u8;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 96;

    fn square_hole() -> Grid<u8> {
        let mut hole = Grid::new(SIDE, SIDE, 0u8);
        for y in 30..66 {
            for x in 30..66 {
                hole.set(x, y, 1);
            }
        }
        hole
    }

    #[test]
    fn a_wrong_tint_goes_and_texture_stays() {
        let photo = Rgb::new(SIDE, SIDE, [120, 100, 90]);
        let mut rendered = Rgb::new(SIDE, SIDE, [140, 90, 90]);
        // A dark dot in the middle, as an eye is.
        rendered.set(48, 48, [40, 20, 20]);
        let target = Grid::new(SIDE, SIDE, 1u8);
        meet_surroundings(&mut rendered, &photo, &target, &square_hole());
        for (x, y) in [(30, 30), (31, 50), (40, 40), (47, 47)] {
            let got = rendered.get(x, y).unwrap();
            assert!(
                got[0].abs_diff(120) <= 1 && got[1].abs_diff(100) <= 1,
                "{got:?}"
            );
        }
        assert_eq!(rendered.get(48, 48), Some([20, 30, 20]));
        // Outside nothing moves.
        assert_eq!(rendered.get(10, 10), Some([140, 90, 90]));
    }

    #[test]
    fn a_class_that_ends_inside_keeps_its_colour() {
        let photo = Rgb::new(SIDE, SIDE, [120; 3]);
        let mut rendered = Rgb::new(SIDE, SIDE, [100; 3]);
        let mut target = Grid::new(SIDE, SIDE, 1u8);
        for y in 40..56 {
            for x in 40..56 {
                target.set(x, y, 11);
                rendered.set(x, y, [200, 40, 40]);
            }
        }
        meet_surroundings(&mut rendered, &photo, &target, &square_hole());
        assert_eq!(rendered.get(48, 48), Some([200, 40, 40]));
        assert!(rendered.get(35, 35).unwrap()[0].abs_diff(120) <= 1);
    }

    #[test]
    fn a_hole_without_surroundings_stays() {
        let photo = Rgb::new(SIDE, SIDE, [0; 3]);
        let mut rendered = Rgb::new(SIDE, SIDE, [77; 3]);
        let target = Grid::new(SIDE, SIDE, 1u8);
        meet_surroundings(&mut rendered, &photo, &target, &Grid::new(SIDE, SIDE, 1));
        assert_eq!(rendered, Rgb::new(SIDE, SIDE, [77; 3]));
    }
}
