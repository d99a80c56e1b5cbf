//! Class probabilities of the crop to a mask of the photo: the probabilities are interpolated and the largest wins,
//! so edges are smooth at any size, where enlarging the labels would give steps.

use rayon::prelude::*;

use crate::face::mask::Labels;
use crate::raster::{Grid, Rect, Similarity};

/// The mask of a `width` × `height` photo. `probabilities` are `[classes, side, side]`, row-major, over the unit
/// square that `image_from_crop` places; outside it the mask is 0.
pub fn labels_from_probabilities(
    probabilities: &[f32],
    side: usize,
    image_from_crop: &Similarity,
    width: usize,
    height: usize,
) -> Labels {
    let mut out = Grid::new(width, height, 0u8);
    let area = side * side;
    if area == 0 || probabilities.len() < area {
        return out;
    }
    let best = best_classes(probabilities, area);
    let [x0, y0, x1, y1] = image_from_crop.bounds_of([0.0, 0.0, 1.0, 1.0]);
    let rect = Rect::from_edges(
        x0.floor() as usize,
        y0.floor() as usize,
        x1.ceil() as usize,
        y1.ceil() as usize,
    )
    .intersect(out.bounds());
    let crop_from_image = image_from_crop.inverse();
    let last = side - 1;
    out.data
        .par_chunks_mut(width.max(1))
        .enumerate()
        .skip(rect.y)
        .take(rect.height)
        .for_each(|(y, row)| {
            for (x, label) in row.iter_mut().enumerate().take(rect.right()).skip(rect.x) {
                let [u, v] = crop_from_image.apply([x as f64 + 0.5, y as f64 + 0.5]);
                if !(0.0..1.0).contains(&u) || !(0.0..1.0).contains(&v) {
                    continue;
                }
                let (u, v) = (
                    (u * side as f64 - 0.5).clamp(0.0, last as f64),
                    (v * side as f64 - 0.5).clamp(0.0, last as f64),
                );
                let (i, j) = (u as usize, v as usize);
                let (right, down) = ((i + 1).min(last), (j + 1).min(last));
                let corners = [
                    j * side + i,
                    j * side + right,
                    down * side + i,
                    down * side + right,
                ];
                let first = best[corners[0]];
                // A class that is best at all four corners is best between them.
                *label = if corners.iter().all(|&c| best[c] == first) {
                    first
                } else {
                    let (fu, fv) = ((u - i as f64) as f32, (v - j as f64) as f32);
                    let weights = [
                        (1.0 - fu) * (1.0 - fv),
                        fu * (1.0 - fv),
                        (1.0 - fu) * fv,
                        fu * fv,
                    ];
                    best_between(probabilities, area, corners, weights)
                };
            }
        });
    out
}

fn best_classes(probabilities: &[f32], area: usize) -> Vec<u8> {
    (0..area)
        .into_par_iter()
        .with_min_len(4096)
        .map(|i| best_between(probabilities, area, [i; 4], [1.0, 0.0, 0.0, 0.0]))
        .collect()
}

fn best_between(probabilities: &[f32], area: usize, corners: [usize; 4], weights: [f32; 4]) -> u8 {
    let mut best = (f32::NEG_INFINITY, 0u8);
    for (class, plane) in probabilities.chunks_exact(area).enumerate() {
        let value: f32 = corners
            .iter()
            .zip(weights)
            .map(|(&c, w)| plane[c] * w)
            .sum();
        if value > best.0 {
            best = (value, class as u8);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two classes over 8 × 8: class 1 right of a slanted line, with probabilities that cross on it.
    fn slanted() -> Vec<f32> {
        let one = |i: usize| {
            let (x, y) = ((i % 8) as f32 + 0.5, (i / 8) as f32 + 0.5);
            0.5 + 0.05 * (x - 4.0 + 0.5 * (y - 4.0))
        };
        (0..64)
            .map(|i| 1.0 - one(i))
            .chain((0..64).map(one))
            .collect()
    }

    #[test]
    fn edges_follow_the_line_at_any_size() {
        let labels = labels_from_probabilities(
            &slanted(),
            8,
            &Similarity::scale_shift(400.0, 0.0, 0.0),
            400,
            400,
        );
        for y in (60..340).step_by(7) {
            let edge = labels.row(y).iter().position(|&c| c == 1).unwrap() as f64;
            let expected = 200.0 - 0.5 * (y as f64 + 0.5 - 200.0);
            assert!((edge - expected).abs() <= 1.0, "{y}: {edge} {expected}");
            assert!(labels.row(y)[edge as usize..].iter().all(|&c| c == 1));
        }
    }

    #[test]
    fn a_turned_crop_lands_where_the_face_is() {
        // The crop is turned by a quarter and lies at (10, 20) to (50, 60): its right is the photo's bottom.
        let image_from_crop = Similarity {
            a: 0.0,
            b: 40.0,
            tx: 50.0,
            ty: 20.0,
        };
        let mut p = vec![0.0f32; 2 * 16];
        for i in 0..16 {
            p[16 * usize::from(i % 4 >= 2) + i] = 1.0;
        }
        let labels = labels_from_probabilities(&p, 4, &image_from_crop, 70, 80);
        assert_eq!(labels.get(30, 58), Some(&1));
        assert_eq!(labels.get(30, 22), Some(&0));
        assert_eq!(labels.get(30, 61), Some(&0));
        assert_eq!(labels.get(52, 58), Some(&0));
        let ones = labels.data.iter().filter(|&&c| c == 1).count();
        assert_eq!(ones, 40 * 20);
        // A crop that sticks out of the photo on all sides is cut.
        let big = Similarity::scale_shift(200.0, -50.0, -50.0);
        let labels = labels_from_probabilities(&p, 4, &big, 70, 80);
        assert_eq!(labels.get(69, 5), Some(&1));
        assert_eq!(labels.get(0, 5), Some(&0));
    }
}
