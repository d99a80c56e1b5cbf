//! Operations on one plane at a time: upsampling, pooling, reflection padding; each with its transpose.

use super::for_each_chunk;

/// What to do with every plane of a tensor [N, C, H, W].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Plane {
    /// Each value twice in both directions.
    Nearest2x,
    /// Bilinear interpolation to `height` × `width`.
    Bilinear {
        height: usize,
        width: usize,
        align_corners: bool,
    },
    /// Maximum of windows.
    MaxPool { kernel: usize, stride: usize },
    /// Mean of windows.
    AvgPool { kernel: usize, stride: usize },
    /// Mirrored border of `px`, without repeating the edge.
    Reflect { px: usize },
}

/// Source index and weight of the upper neighbour for one output coordinate of a bilinear resize.
fn bilinear_tap(at: usize, from: usize, to: usize, align_corners: bool) -> (usize, usize, f32) {
    let position = if align_corners {
        if to > 1 {
            at as f32 * (from - 1) as f32 / (to - 1) as f32
        } else {
            0.0
        }
    } else {
        ((at as f32 + 0.5) * from as f32 / to as f32 - 0.5).max(0.0)
    };
    let low = (position as usize).min(from - 1);
    (low, (low + 1).min(from - 1), position - low as f32)
}

fn mirrored(at: usize, px: usize, size: usize) -> usize {
    let i = (at as isize - px as isize).unsigned_abs();
    if i < size { i } else { 2 * (size - 1) - i }
}

impl Plane {
    /// Height and width of the result.
    pub fn size(&self, h: usize, w: usize) -> (usize, usize) {
        match *self {
            Plane::Nearest2x => (2 * h, 2 * w),
            Plane::Bilinear { height, width, .. } => (height, width),
            Plane::MaxPool { kernel, stride } | Plane::AvgPool { kernel, stride } => {
                ((h - kernel) / stride + 1, (w - kernel) / stride + 1)
            }
            Plane::Reflect { px } => (h + 2 * px, w + 2 * px),
        }
    }

    /// All planes `h` × `w` of `x` into `out`.
    pub fn forward(&self, x: &[f32], h: usize, w: usize, out: &mut [f32]) {
        let (ho, wo) = self.size(h, w);
        let columns = self.columns(w, wo);
        for_each_chunk(out, ho * wo, |i, out| {
            let x = &x[i * h * w..][..h * w];
            for (y, row) in out.chunks_exact_mut(wo).enumerate() {
                match *self {
                    Plane::Nearest2x => {
                        let src = &x[y / 2 * w..][..w];
                        row.chunks_exact_mut(2)
                            .zip(src)
                            .for_each(|(pair, &v)| pair.fill(v));
                    }
                    Plane::Bilinear { align_corners, .. } => {
                        let (y0, y1, fy) = bilinear_tap(y, h, ho, align_corners);
                        let (top, bottom) = (&x[y0 * w..][..w], &x[y1 * w..][..w]);
                        for (v, &(x0, x1, fx)) in row.iter_mut().zip(&columns) {
                            let a = top[x0] + (top[x1] - top[x0]) * fx;
                            let b = bottom[x0] + (bottom[x1] - bottom[x0]) * fx;
                            *v = a + (b - a) * fy;
                        }
                    }
                    Plane::MaxPool { kernel, stride } => {
                        for (ox, v) in row.iter_mut().enumerate() {
                            *v = window(w, y, ox, kernel, stride)
                                .map(|at| x[at])
                                .fold(f32::NEG_INFINITY, f32::max);
                        }
                    }
                    Plane::AvgPool { kernel, stride } => {
                        let scale = 1.0 / (kernel * kernel) as f32;
                        for (ox, v) in row.iter_mut().enumerate() {
                            *v = window(w, y, ox, kernel, stride)
                                .map(|at| x[at])
                                .sum::<f32>()
                                * scale;
                        }
                    }
                    Plane::Reflect { px } => {
                        let src = &x[mirrored(y, px, h) * w..][..w];
                        row[px..px + w].copy_from_slice(src);
                        for at in (0..px).chain(px + w..w + 2 * px) {
                            row[at] = src[mirrored(at, px, w)];
                        }
                    }
                }
            }
        });
    }

    /// Gradient with respect to `x` of planes `h` × `w`, from the gradient of the result.
    pub fn backward(&self, x: &[f32], grad: &[f32], h: usize, w: usize, out: &mut [f32]) {
        let (ho, wo) = self.size(h, w);
        let columns = self.columns(w, wo);
        for_each_chunk(out, h * w, |i, out| {
            let (x, grad) = (&x[i * h * w..][..h * w], &grad[i * ho * wo..][..ho * wo]);
            if *self == Plane::Nearest2x {
                for (row, pair) in out.chunks_exact_mut(w).zip(grad.chunks_exact(2 * wo)) {
                    let (a, b) = pair.split_at(wo);
                    for ((v, a), b) in row.iter_mut().zip(a.chunks_exact(2)).zip(b.chunks_exact(2))
                    {
                        *v = (a[0] + a[1]) + (b[0] + b[1]);
                    }
                }
                return;
            }
            out.fill(0.0);
            for (y, row) in grad.chunks_exact(wo).enumerate() {
                match *self {
                    Plane::Nearest2x => {}
                    Plane::Bilinear { align_corners, .. } => {
                        let (y0, y1, fy) = bilinear_tap(y, h, ho, align_corners);
                        for (&g, &(x0, x1, fx)) in row.iter().zip(&columns) {
                            let (upper, lower) = (g * (1.0 - fy), g * fy);
                            out[y0 * w + x0] += upper * (1.0 - fx);
                            out[y0 * w + x1] += upper * fx;
                            out[y1 * w + x0] += lower * (1.0 - fx);
                            out[y1 * w + x1] += lower * fx;
                        }
                    }
                    Plane::MaxPool { kernel, stride } => {
                        for (ox, &g) in row.iter().enumerate() {
                            let mut at = window(w, y, ox, kernel, stride);
                            if let Some(first) = at.next() {
                                out[at.fold(
                                    first,
                                    |best, at| if x[at] > x[best] { at } else { best },
                                )] += g;
                            }
                        }
                    }
                    Plane::AvgPool { kernel, stride } => {
                        let scale = 1.0 / (kernel * kernel) as f32;
                        for (ox, &g) in row.iter().enumerate() {
                            window(w, y, ox, kernel, stride).for_each(|at| out[at] += g * scale);
                        }
                    }
                    Plane::Reflect { px } => {
                        let target = &mut out[mirrored(y, px, h) * w..][..w];
                        target
                            .iter_mut()
                            .zip(&row[px..px + w])
                            .for_each(|(v, g)| *v += g);
                        for at in (0..px).chain(px + w..w + 2 * px) {
                            target[mirrored(at, px, w)] += row[at];
                        }
                    }
                }
            }
        });
    }

    fn columns(&self, w: usize, wo: usize) -> Vec<(usize, usize, f32)> {
        match *self {
            Plane::Bilinear { align_corners, .. } => (0..wo)
                .map(|x| bilinear_tap(x, w, wo, align_corners))
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// Indices of the values under the window of output (y, x).
fn window(
    w: usize,
    y: usize,
    x: usize,
    kernel: usize,
    stride: usize,
) -> impl Iterator<Item = usize> {
    (0..kernel * kernel).map(move |i| (y * stride + i / kernel) * w + x * stride + i % kernel)
}
