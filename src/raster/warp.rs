//! Resampling through a similarity transform.
//!
//! Shrinking averages over the area a destination pixel covers (a grid of bilinear samples, one
//! or more per source pixel); enlarging is bicubic (Catmull–Rom: Keys, "Cubic convolution
//! interpolation for digital image processing", 1981, a = −½). Beyond the source its edge pixels
//! repeat. Label maps are never mixed: each destination pixel takes the label under its centre.

use rayon::prelude::*;

use super::shrink::shrunk;
use super::{Grid, Rgb, Similarity};

/// The picture seen through `src_from_dst`, `width` × `height` pixels of it.
///
/// At scale 1 without rotation and with whole-pixel shifts the result is exact.
pub fn warp_rgb(src: &Rgb, src_from_dst: &Similarity, width: usize, height: usize) -> Rgb {
    warp_rgb_with(src, src_from_dst, width, height, |plan| plan)
}

/// The same, but enlarging is bilinear: a quarter of the work, and what networks that look at crops were trained with.
pub fn warp_rgb_for_network(
    src: &Rgb,
    src_from_dst: &Similarity,
    width: usize,
    height: usize,
) -> Rgb {
    warp_rgb_with(src, src_from_dst, width, height, |plan| Plan {
        cubic: false,
        ..plan
    })
}

fn warp_rgb_with(
    src: &Rgb,
    src_from_dst: &Similarity,
    width: usize,
    height: usize,
    change: impl Fn(Plan) -> Plan,
) -> Rgb {
    let mut out = Rgb::new(width, height, [0; 3]);
    if src.width == 0 || src.height == 0 {
        return out;
    }
    let shrunk = shrunk(src, src_from_dst, width, height);
    let (src, src_from_dst) = shrunk
        .as_ref()
        .map_or((src, src_from_dst), |(small, transform)| (small, transform));
    let plan = change(Plan::new(src_from_dst));
    let source = Source::<u8, 3>::new(&src.data, src.width, src.height);
    out.data
        .par_chunks_mut(width.max(1) * 3)
        .enumerate()
        .for_each(|(y, row)| {
            for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
                let value = plan.sample(&source, x, y);
                for (byte, v) in pixel.iter_mut().zip(value) {
                    *byte = (v + 0.5).clamp(0.0, 255.0) as u8;
                }
            }
        });
    out
}

/// A grid of numbers seen through `src_from_dst`. Shrinking averages as in [`warp_rgb`]; enlarging is bilinear, so no
/// value leaves the range of its neighbours.
pub fn warp_grid(
    src: &Grid<f32>,
    src_from_dst: &Similarity,
    width: usize,
    height: usize,
) -> Grid<f32> {
    let mut out = Grid::new(width, height, 0.0);
    if src.width == 0 || src.height == 0 {
        return out;
    }
    let plan = Plan {
        cubic: false,
        ..Plan::new(src_from_dst)
    };
    let source = Source::<f32, 1>::new(&src.data, src.width, src.height);
    out.data
        .par_chunks_mut(width.max(1))
        .enumerate()
        .for_each(|(y, row)| {
            for (x, value) in row.iter_mut().enumerate() {
                [*value] = plan.sample(&source, x, y);
            }
        });
    out
}

/// A label map seen through `src_from_dst`: the label under each pixel's centre.
pub fn warp_labels(
    src: &Grid<u8>,
    src_from_dst: &Similarity,
    width: usize,
    height: usize,
) -> Grid<u8> {
    let mut out = Grid::new(width, height, 0);
    if src.width == 0 || src.height == 0 {
        return out;
    }
    let (last_x, last_y) = (src.width - 1, src.height - 1);
    out.data
        .par_chunks_mut(width.max(1))
        .enumerate()
        .for_each(|(y, row)| {
            for (x, label) in row.iter_mut().enumerate() {
                let [u, v] = src_from_dst.apply([x as f64 + 0.5, y as f64 + 0.5]);
                // Conversion to an unsigned number saturates, so points left of 0 give column 0.
                let (column, line) = ((u as usize).min(last_x), (v as usize).min(last_y));
                *label = src.data[line * src.width + column];
            }
        });
    out
}

/// The whole picture brought to another size (the aspect may change).
pub fn resize_rgb(src: &Rgb, width: usize, height: usize) -> Rgb {
    let scale_x = src.width as f64 / width.max(1) as f64;
    let scale_y = src.height as f64 / height.max(1) as f64;
    if scale_x == scale_y {
        return warp_rgb(
            src,
            &Similarity::scale_shift(scale_x, 0.0, 0.0),
            width,
            height,
        );
    }
    let mut out = Rgb::new(width, height, [0; 3]);
    if src.width == 0 || src.height == 0 {
        return out;
    }
    let plan = Plan::stretched(scale_x, scale_y);
    let source = Source::<u8, 3>::new(&src.data, src.width, src.height);
    out.data
        .par_chunks_mut(width.max(1) * 3)
        .enumerate()
        .for_each(|(y, row)| {
            for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
                for (byte, v) in pixel.iter_mut().zip(plan.sample(&source, x, y)) {
                    *byte = (v + 0.5).clamp(0.0, 255.0) as u8;
                }
            }
        });
    out
}

/// The whole label map brought to another size, nearest label.
pub fn resize_labels(src: &Grid<u8>, width: usize, height: usize) -> Grid<u8> {
    let mut out = Grid::new(width, height, 0);
    let column_of: Vec<usize> = (0..width)
        .map(|x| (2 * x + 1) * src.width / (2 * width))
        .collect();
    for y in 0..height {
        let row = src.row((2 * y + 1) * src.height / (2 * height));
        for (label, &column) in out.row_mut(y).iter_mut().zip(&column_of) {
            *label = row.get(column).copied().unwrap_or(0);
        }
    }
    out
}

/// Where destination pixels look in the source: the affine map `[u, v] = m·[x, y] + t` and how
/// many samples a side are averaged for one pixel.
struct Plan {
    matrix: [f64; 4],
    shift: [f64; 2],
    samples_x: usize,
    samples_y: usize,
    cubic: bool,
}

impl Plan {
    fn new(src_from_dst: &Similarity) -> Self {
        let Similarity { a, b, tx, ty } = *src_from_dst;
        let samples = samples_for(src_from_dst.scale());
        Self {
            matrix: [a, -b, b, a],
            shift: [tx, ty],
            samples_x: samples,
            samples_y: samples,
            cubic: samples == 1,
        }
    }

    fn stretched(scale_x: f64, scale_y: f64) -> Self {
        let (samples_x, samples_y) = (samples_for(scale_x), samples_for(scale_y));
        Self {
            matrix: [scale_x, 0.0, 0.0, scale_y],
            shift: [0.0, 0.0],
            samples_x,
            samples_y,
            cubic: samples_x == 1 && samples_y == 1,
        }
    }

    fn sample<T: Copy + Into<f32>, const C: usize>(
        &self,
        source: &Source<'_, T, C>,
        x: usize,
        y: usize,
    ) -> [f32; C] {
        if self.cubic {
            let [u, v] = self.point(x as f64 + 0.5, y as f64 + 0.5);
            return source.cubic(u, v);
        }
        let mut sum = [0f32; C];
        for j in 0..self.samples_y {
            let dst_y = y as f64 + (j as f64 + 0.5) / self.samples_y as f64;
            for i in 0..self.samples_x {
                let dst_x = x as f64 + (i as f64 + 0.5) / self.samples_x as f64;
                let [u, v] = self.point(dst_x, dst_y);
                for (total, value) in sum.iter_mut().zip(source.linear(u, v)) {
                    *total += value;
                }
            }
        }
        let count = (self.samples_x * self.samples_y) as f32;
        sum.map(|total| total / count)
    }

    fn point(&self, x: f64, y: f64) -> [f64; 2] {
        let [m00, m01, m10, m11] = self.matrix;
        [
            m00 * x + m01 * y + self.shift[0],
            m10 * x + m11 * y + self.shift[1],
        ]
    }
}

/// Samples a side for one destination pixel that is `scale` source pixels wide; a scale that is a
/// whole number up to rounding gets exactly that many, which makes the average exact.
fn samples_for(scale: f64) -> usize {
    ((scale - 1e-6).ceil().max(1.0) as usize).min(256)
}

/// The next whole number below, without the call into the mathematical library that `f64::floor` is on plain x86-64.
fn floor(value: f64) -> i64 {
    let truncated = value as i64;
    truncated - i64::from(truncated as f64 > value)
}

/// Source values of `C` interleaved channels.
struct Source<'a, T, const C: usize> {
    data: &'a [T],
    width: usize,
    height: usize,
}

impl<'a, T: Copy + Into<f32>, const C: usize> Source<'a, T, C> {
    fn new(data: &'a [T], width: usize, height: usize) -> Self {
        Self {
            data,
            width,
            height,
        }
    }

    /// The pixel at a column and row that may lie outside: the nearest one inside.
    fn at(&self, x: i64, y: i64) -> [f32; C] {
        let x = x.clamp(0, self.width as i64 - 1) as usize;
        let y = y.clamp(0, self.height as i64 - 1) as usize;
        let start = (y * self.width + x) * C;
        let pixel = &self.data[start..start + C];
        std::array::from_fn(|c| pixel[c].into())
    }

    /// The pixels of a row from column `x` on, when `N` of them lie inside.
    fn run<const N: usize>(&self, x: i64, y: i64) -> Option<&'a [T]> {
        let start = usize::try_from(x).ok().filter(|x| x + N <= self.width)?
            + usize::try_from(y).ok()? * self.width;
        self.data.get(start * C..(start + N) * C)
    }

    fn linear(&self, u: f64, v: f64) -> [f32; C] {
        let (x, y) = (floor(u - 0.5), floor(v - 0.5));
        let (fx, fy) = ((u - 0.5 - x as f64) as f32, (v - 0.5 - y as f64) as f32);
        let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
        let mut out = [0f32; C];
        if let (Some(top), Some(bottom)) = (self.run::<2>(x, y), self.run::<2>(x, y + 1)) {
            let ((p00, p10), (p01, p11)) = (top.split_at(C), bottom.split_at(C));
            for (c, out) in out.iter_mut().enumerate() {
                let top = mix(p00[c].into(), p10[c].into(), fx);
                *out = mix(top, mix(p01[c].into(), p11[c].into(), fx), fy);
            }
            return out;
        }
        let (p00, p10) = (self.at(x, y), self.at(x + 1, y));
        let (p01, p11) = (self.at(x, y + 1), self.at(x + 1, y + 1));
        for (c, out) in out.iter_mut().enumerate() {
            *out = mix(mix(p00[c], p10[c], fx), mix(p01[c], p11[c], fx), fy);
        }
        out
    }

    fn cubic(&self, u: f64, v: f64) -> [f32; C] {
        let (x, y) = (floor(u - 0.5), floor(v - 0.5));
        let (fx, fy) = ((u - 0.5 - x as f64) as f32, (v - 0.5 - y as f64) as f32);
        if fx == 0.0 && fy == 0.0 {
            return self.at(x, y);
        }
        let (wx, wy) = (catmull_rom(fx), catmull_rom(fy));
        let mut sum = [0f32; C];
        for (row, weight) in (y - 1..).zip(wy) {
            let mut across = [0f32; C];
            match self.run::<4>(x - 1, row) {
                Some(run) => {
                    for (pixel, wx) in run.chunks_exact(C).zip(wx) {
                        for (sum, v) in across.iter_mut().zip(pixel) {
                            *sum += wx * (*v).into();
                        }
                    }
                }
                None => {
                    for (i, wx) in (x - 1..).zip(wx) {
                        for (sum, v) in across.iter_mut().zip(self.at(i, row)) {
                            *sum += wx * v;
                        }
                    }
                }
            }
            for (total, value) in sum.iter_mut().zip(across) {
                *total += weight * value;
            }
        }
        sum
    }
}

/// Weights of the pixels at −1, 0, 1, 2 for a point at `t` in 0…1.
fn catmull_rom(t: f32) -> [f32; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [
        0.5 * (-t + 2.0 * t2 - t3),
        0.5 * (2.0 - 5.0 * t2 + 3.0 * t3),
        0.5 * (t + 4.0 * t2 - 3.0 * t3),
        0.5 * (t3 - t2),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(width: usize, height: usize) -> Rgb {
        let data = (0..height)
            .flat_map(|y| (0..width).flat_map(move |x| [(3 * x) as u8, (3 * y) as u8, 200]))
            .collect();
        Rgb::from_vec(width, height, data).unwrap()
    }

    #[test]
    fn networks_see_straight_lines_between_pixels() {
        // One bright pixel in the dark, four times as large: bilinear rises and falls in a straight line and never
        // overshoots, cubic does.
        let mut src = Rgb::new(7, 1, [100; 3]);
        src.row_mut(0)[9..12].fill(200);
        let enlarge = Similarity::scale_shift(0.25, 0.0, 0.0);
        let linear = warp_rgb_for_network(&src, &enlarge, 28, 4);
        let row: Vec<u8> = (8..20).map(|x| linear.get(x, 1).unwrap()[0]).collect();
        assert_eq!(
            row,
            [100, 100, 113, 138, 163, 188, 188, 163, 138, 113, 100, 100]
        );
        let cubic = warp_rgb(&src, &enlarge, 28, 4);
        assert!((0..28).any(|x| cubic.get(x, 1).unwrap()[0] < 100));
        assert_eq!([-1.5, -1.0, -0.2, 0.0, 2.9].map(floor), [-2, -1, -1, 0, 2]);
    }

    #[test]
    fn whole_pixel_shifts_are_exact_and_edges_repeat() {
        let src = ramp(20, 10);
        assert_eq!(warp_rgb(&src, &Similarity::IDENTITY, 20, 10), src);
        let shifted = warp_rgb(&src, &Similarity::scale_shift(1.0, 3.0, -2.0), 20, 10);
        assert_eq!(shifted.get(0, 2), src.get(3, 0));
        assert_eq!(shifted.get(19, 0), src.get(19, 0));
    }

    #[test]
    fn halving_averages_four_pixels() {
        let src = Rgb::from_vec(2, 2, vec![0, 0, 0, 100, 0, 0, 50, 0, 0, 250, 0, 8]).unwrap();
        assert_eq!(resize_rgb(&src, 1, 1).data, [100, 0, 2]);
        // Averages need every source pixel: a single bright one in 64 must count 1/64.
        let mut src = Rgb::new(8, 8, [0; 3]);
        src.set(5, 6, [128, 64, 255]);
        assert_eq!(resize_rgb(&src, 1, 1).data, [2, 1, 4]);
    }

    #[test]
    fn enlarging_keeps_a_ramp_a_ramp() {
        let src = ramp(16, 16);
        let big = resize_rgb(&src, 64, 64);
        for x in 12..52 {
            // Destination centre x + ½ is source (x + ½)/4, whose value is 3·(that − ½).
            let expected = 3.0 * ((x as f64 + 0.5) / 4.0 - 0.5);
            let [value, _, blue] = big.get(x, 30).unwrap();
            assert!((f64::from(value) - expected).abs() <= 0.51, "{x}: {value}");
            assert_eq!(blue, 200);
        }
    }

    #[test]
    fn a_quarter_turn_moves_pixels_whole() {
        let src = ramp(8, 8);
        // Destination (x, y) looks at source (8 − y, x).
        let turn = Similarity {
            a: 0.0,
            b: 1.0,
            tx: 8.0,
            ty: 0.0,
        };
        let turned = warp_rgb(&src, &turn, 8, 8);
        assert_eq!(turned.get(2, 5), src.get(2, 2));
        assert_eq!(turned.get(0, 0), src.get(7, 0));
        let labels = Grid::from_vec(8, 8, (0..64).collect()).unwrap();
        assert_eq!(warp_labels(&labels, &turn, 8, 8).get(2, 5), Some(&18));
    }

    #[test]
    fn there_and_back_stays_close() {
        let src = ramp(64, 64);
        let zoom = Similarity {
            a: 0.8,
            b: 0.3,
            tx: 5.0,
            ty: -4.0,
        };
        let there = warp_rgb(&src, &zoom, 96, 96);
        let back = warp_rgb(&there, &zoom.inverse(), 64, 64);
        let mut worst = 0;
        for y in 24..40 {
            for x in 24..40 {
                let (a, b) = (src.get(x, y).unwrap(), back.get(x, y).unwrap());
                worst = worst.max(a[0].abs_diff(b[0])).max(a[1].abs_diff(b[1]));
            }
        }
        assert!(worst <= 2, "{worst}");
    }

    #[test]
    fn labels_are_picked_never_mixed() {
        let labels = Grid::from_vec(2, 1, vec![3, 17]).unwrap();
        assert_eq!(
            resize_labels(&labels, 4, 2).data,
            [3, 3, 17, 17, 3, 3, 17, 17]
        );
        let half = Similarity::scale_shift(0.5, 0.0, 0.0);
        assert_eq!(
            warp_labels(&labels, &half, 6, 1).data,
            [3, 3, 17, 17, 17, 17]
        );
        let empty = Grid::new(0, 0, 0);
        assert_eq!(warp_labels(&empty, &half, 2, 1).data, [0, 0]);
    }

    #[test]
    fn numbers_average_like_pixels() {
        let grid = Grid::from_vec(4, 4, (0..16).map(|v| v as f32).collect()).unwrap();
        let half = warp_grid(&grid, &Similarity::scale_shift(2.0, 0.0, 0.0), 2, 2);
        assert_eq!(half.data, [2.5, 4.5, 10.5, 12.5]);
    }
}
