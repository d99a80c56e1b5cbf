//! Averages of whole blocks of pixels: the fast first half of strong shrinking.
//!
//! A photo of 40 megapixels seen at 200 × 200 needs every one of its pixels; adding them up row by row is some
//! thirty times as fast as sampling each through the transform.

use rayon::prelude::*;

use super::{Rect, Rgb, Similarity};

/// What is left for sampling after blocks were averaged: this many blocks a side or more for one pixel.
const BLOCKS_PER_PIXEL: f64 = 2.0;

/// The part of `src` that a view of `width` × `height` pixels needs, in averaged blocks, and the view's transform
/// into it. `None` when the view does not shrink enough for that.
pub(super) fn shrunk(
    src: &Rgb,
    src_from_dst: &Similarity,
    width: usize,
    height: usize,
) -> Option<(Rgb, Similarity)> {
    let block = (src_from_dst.scale() / BLOCKS_PER_PIXEL) as usize;
    if block < 2 || src.width == 0 || src.height == 0 {
        return None;
    }
    let [x0, y0, x1, y1] = src_from_dst.bounds_of([0.0, 0.0, width as f64, height as f64]);
    // A block of slack, for the neighbours that sampling looks at. Outside the source its edge is what is needed.
    let range = |low: f64, high: f64, size: usize| {
        let first = ((low.max(0.0) as usize).min(size - 1) / block).saturating_sub(1) * block;
        let end = ((high.max(0.0) as usize / block)
            .saturating_add(2)
            .saturating_mul(block))
        .min(size);
        (first, end.max(first + 1))
    };
    let ((left, right), (top, bottom)) = (range(x0, x1, src.width), range(y0, y1, src.height));
    let part = Rect::from_edges(left, top, right, bottom);
    let part_from_src = Similarity::scale_shift(1.0, -(left as f64), -(top as f64));
    let small_from_part = Similarity::scale_shift(1.0 / block as f64, 0.0, 0.0);
    let small_from_dst = src_from_dst.then(&part_from_src).then(&small_from_part);
    Some((average_blocks(src, part, block), small_from_dst))
}

/// Means of `block` × `block` pixels of `part`; the last column and row average what there is.
fn average_blocks(src: &Rgb, part: Rect, block: usize) -> Rgb {
    let (width, height) = (part.width.div_ceil(block), part.height.div_ceil(block));
    let mut out = Rgb::new(width, height, [0; 3]);
    out.data
        .par_chunks_mut(width.max(1) * 3)
        .enumerate()
        .for_each(|(row, bytes)| {
            let mut sums = vec![0u32; width * 3];
            let first = part.y + row * block;
            let rows = first..(first + block).min(part.bottom());
            for y in rows.clone() {
                let line = src.row(y).get(part.x * 3..part.right() * 3).unwrap_or(&[]);
                for (sum, pixels) in sums.chunks_exact_mut(3).zip(line.chunks(block * 3)) {
                    for pixel in pixels.chunks_exact(3) {
                        for (total, &value) in sum.iter_mut().zip(pixel) {
                            *total += u32::from(value);
                        }
                    }
                }
            }
            for (column, (sum, pixel)) in sums
                .chunks_exact(3)
                .zip(bytes.chunks_exact_mut(3))
                .enumerate()
            {
                let columns = block.min(part.width - column * block);
                let count = (columns * rows.len()) as u32;
                for (byte, total) in pixel.iter_mut().zip(sum) {
                    *byte = ((total + count / 2) / count.max(1)) as u8;
                }
            }
        });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raster::warp_rgb;

    fn waves(width: usize, height: usize) -> Rgb {
        let value = |x: usize, y: usize| {
            (127.5 + 60.0 * (x as f64 / 40.0).sin() + 60.0 * (y as f64 / 55.0).cos()) as u8
        };
        let data =
            (0..height).flat_map(|y| (0..width).flat_map(move |x| [value(x, y), value(y, x), 9]));
        Rgb::from_vec(width, height, data.collect()).unwrap()
    }

    #[test]
    fn blocks_are_means_and_the_rest_at_the_border_too() {
        let src = Rgb::from_vec(
            3,
            2,
            [10, 20, 90, 30, 40, 94]
                .into_iter()
                .flat_map(|v| [v, 0, 255])
                .collect(),
        )
        .unwrap();
        let small = average_blocks(&src, src.bounds(), 2);
        assert_eq!((small.width, small.height), (2, 1));
        assert_eq!(small.data, [25, 0, 255, 92, 0, 255]);
    }

    #[test]
    fn a_strongly_shrunk_turned_view_shows_the_same_as_its_source() {
        let src = waves(900, 700);
        let src_from_dst = Similarity {
            a: 6.3,
            b: 4.1,
            tx: 200.0,
            ty: -130.0,
        };
        let view = warp_rgb(&src, &src_from_dst, 80, 60);
        for (x, y) in [(10, 40), (40, 30), (60, 45), (70, 10)] {
            let [u, v] = src_from_dst.apply([x as f64 + 0.5, y as f64 + 0.5]);
            if u < 10.0 || v < 10.0 || u > 890.0 || v > 690.0 {
                continue;
            }
            let (got, want) = (
                view.get(x, y).unwrap(),
                src.get(u as usize, v as usize).unwrap(),
            );
            assert!(
                got[0].abs_diff(want[0]) <= 4 && got[1].abs_diff(want[1]) <= 4,
                "{x} {y}: {got:?} {want:?}"
            );
        }
    }

    #[test]
    fn views_partly_and_wholly_outside_repeat_the_edge() {
        let mut src = Rgb::new(400, 300, [50, 60, 70]);
        for y in 0..300 {
            for x in 300..400 {
                src.set(x, y, [200, 210, 220]);
            }
        }
        let view = |tx, ty| warp_rgb(&src, &Similarity::scale_shift(10.0, tx, ty), 8, 8);
        assert_eq!(view(5000.0, -9000.0).get(3, 3), Some([200, 210, 220]));
        assert_eq!(view(-5000.0, 9000.0).get(3, 3), Some([50, 60, 70]));
        assert_eq!(view(390.0, 290.0).get(7, 7), Some([200, 210, 220]));
        assert_eq!(view(-40.0, 0.0).get(0, 0), Some([50, 60, 70]));
    }
}
