//! The geometry of convolutions: sizes, padded tiles that hold a part of the input, phases of the transpose.
//!
//! A tile holds a few rows of a few channels with their padding. A stride of `s` is handled while copying into it:
//! the tile keeps `s × s` phase planes, so that neighbouring outputs read neighbouring values.

use super::micro;

/// Bytes of a tile that leave room in a 512 kB L2 cache for weights and outputs.
pub(super) const TILE_BYTES: usize = 160 << 10;
/// Depth of one pass of the micro-kernel: its weights (6 rows) and one panel stay in L1.
pub(super) const PASS_DEPTH: usize = 576;

/// Where the outputs of a convolution land in planes of `plane` values.
#[derive(Clone, Copy, Debug)]
pub struct OutMap {
    pub plane: usize,
    pub base: usize,
    pub row_step: usize,
    pub col_step: usize,
}

/// What happens to each sum before it is written.
#[derive(Clone, Copy, Debug)]
pub struct After<'a> {
    /// One value for each output channel.
    pub bias: Option<&'a [f32]>,
    pub clamp: micro::Clamp,
}

impl After<'_> {
    /// Sums as they are.
    pub const NOTHING: Self = After {
        bias: None,
        clamp: micro::Clamp::NONE,
    };
}

/// A convolution of `n` pictures of `ci` planes `h` × `w` to `co` planes `ho` × `wo`.
/// Output (y, x) and tap (i, j) read input row `y·stride + i − top`, column `x·stride + j − left`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Geometry {
    pub n: usize,
    pub ci: usize,
    pub h: usize,
    pub w: usize,
    pub co: usize,
    pub ho: usize,
    pub wo: usize,
    pub kh: usize,
    pub kw: usize,
    pub stride: usize,
    pub top: isize,
    pub left: isize,
}

/// The layout of a tile: phase planes of `ph` × `pw`, and the offset of each tap of each channel.
pub(super) struct Tiling {
    pub rows: usize,
    pub channels: usize,
    pub ph: usize,
    pub pw: usize,
    pub channel_step: usize,
}

impl Geometry {
    pub(super) fn depth(&self) -> usize {
        self.ci * self.kh * self.kw
    }

    /// Whether input and output can be walked in place as one row: 1 × 1, stride 1, no padding, a whole plane.
    pub fn is_pointwise(&self, map: OutMap) -> bool {
        map.col_step == 1
            && map.row_step == self.wo
            && self.kh * self.kw == 1
            && self.stride == 1
            && self.top == 0
            && self.left == 0
            && self.h == self.ho
            && self.w == self.wo
    }

    pub(super) fn tiling(&self, min_tasks: usize) -> Tiling {
        let s = self.stride;
        let pw = self.wo + (self.kw - 1) / s;
        let halo = (self.kh - 1) / s;
        // A block of few rows copies its halo again and again; one of few pixels leaves lanes idle.
        let least = (2 * micro::LANES)
            .div_ceil(self.wo.max(1))
            .max(2 * halo)
            .min(self.ho);
        let row_bytes = s * s * pw * 4;
        let channels = (TILE_BYTES / (row_bytes * (least + halo)))
            .min(PASS_DEPTH / (self.kh * self.kw))
            .clamp(1, self.ci);
        let by_cache = (TILE_BYTES / (row_bytes * channels)).saturating_sub(halo);
        let by_tasks = (self.n * self.ho).div_ceil(min_tasks);
        let rows = by_cache.min(by_tasks).clamp(least.max(1), self.ho.max(1));
        let ph = rows + halo;
        Tiling {
            rows,
            channels,
            ph,
            pw,
            channel_step: s * s * ph * pw,
        }
    }

    /// A tile that holds a whole plane, for one channel at a time.
    pub(super) fn tiling_whole(&self) -> Tiling {
        let s = self.stride;
        let (ph, pw) = (self.ho + (self.kh - 1) / s, self.wo + (self.kw - 1) / s);
        Tiling {
            rows: self.ho,
            channels: 1,
            ph,
            pw,
            channel_step: s * s * ph * pw,
        }
    }

    /// Fills `tile` with rows `y0 ..` of some channels (the first, and how many) of picture `x` (all planes of one
    /// sample); `is_padded` if the tile was filled for the same geometry before, so that its padding is there.
    pub(super) fn fill(
        &self,
        t: &Tiling,
        x: &[f32],
        (c0, channels): (usize, usize),
        y0: usize,
        is_padded: bool,
        tile: &mut Vec<f32>,
    ) {
        let s = self.stride;
        let len = channels * t.channel_step + 2 * micro::LANES;
        if tile.len() < len {
            tile.resize(len, 0.0);
        }
        for c in 0..channels {
            let plane = &x[(c0 + c) * self.h * self.w..][..self.h * self.w];
            for phase_y in 0..s {
                for phase_x in 0..s {
                    let block = &mut tile
                        [c * t.channel_step + (phase_y * s + phase_x) * t.ph * t.pw..]
                        [..t.ph * t.pw];
                    for (r, row) in block.chunks_exact_mut(t.pw).enumerate() {
                        let iy = ((y0 + r) * s + phase_y) as isize - self.top;
                        if iy < 0 || iy >= self.h as isize {
                            if !is_padded {
                                row.fill(0.0);
                            }
                            continue;
                        }
                        let src = &plane[iy as usize * self.w..][..self.w];
                        let shift = phase_x as isize - self.left;
                        // Columns p with 0 ≤ p·s + shift < w hold picture, the rest is padding.
                        let first = ((-shift).max(0) as usize).div_ceil(s).min(t.pw);
                        let end = if self.w as isize > shift {
                            ((self.w as isize - shift) as usize)
                                .div_ceil(s)
                                .clamp(first, t.pw)
                        } else {
                            first
                        };
                        if !is_padded {
                            row[..first].fill(0.0);
                            row[end..].fill(0.0);
                        }
                        let start = (first * s) as isize + shift;
                        if first == end {
                            continue;
                        }
                        if s == 1 {
                            row[first..end].copy_from_slice(&src[start as usize..][..end - first]);
                        } else {
                            gather(&mut row[first..end], &src[start as usize..], s);
                        }
                    }
                }
            }
        }
        if !is_padded {
            tile[channels * t.channel_step..len].fill(0.0);
        }
    }

    pub(super) fn offsets(&self, t: &Tiling, channels: usize) -> Vec<u32> {
        let s = self.stride;
        let mut out = Vec::with_capacity(channels * self.kh * self.kw);
        for c in 0..channels {
            for i in 0..self.kh {
                for j in 0..self.kw {
                    out.push(
                        (c * t.channel_step
                            + ((i % s) * s + j % s) * t.ph * t.pw
                            + (i / s) * t.pw
                            + j / s) as u32,
                    );
                }
            }
        }
        out
    }
}

/// Every `step`-th value.
fn gather(to: &mut [f32], from: &[f32], step: usize) {
    if step != 2 {
        to.iter_mut()
            .zip(from.iter().step_by(step))
            .for_each(|(v, &u)| *v = u);
        return;
    }
    // In pairs the compiler makes shuffles of it.
    let (pairs, rest) = from.as_chunks::<2>();
    to.iter_mut().zip(pairs).for_each(|(v, [u, _])| *v = *u);
    if let (Some(v), Some(&u)) = (to.get_mut(pairs.len()), rest.first()) {
        *v = u;
    }
}

/// One of the `stride²` stride-1 convolutions that a transposed convolution is made of.
pub struct Phase {
    /// Its geometry, from the outputs of the forward convolution to a sub-grid of its inputs.
    pub geometry: Geometry,
    /// Where that sub-grid lies.
    pub map: OutMap,
    first_tap: (usize, usize),
}

impl Phase {
    /// Index in a [kh, kw] filter of this phase's tap (a, b), counted in the order of the sub-filter.
    pub fn tap(&self, g: &Geometry, a: usize, b: usize) -> usize {
        let (i, j) = (self.geometry.kh - 1 - a, self.geometry.kw - 1 - b);
        (self.first_tap.0 + g.stride * i) * g.kw + self.first_tap.1 + g.stride * j
    }
}

/// The phases of the transpose of `g`; where a filter is smaller than the stride, some outputs have none.
pub fn phases(g: &Geometry) -> Vec<Phase> {
    let s = g.stride;
    let mut out = Vec::with_capacity(s * s);
    for ry in 0..s.min(g.kh) {
        for rx in 0..s.min(g.kw) {
            let (kh, kw) = ((g.kh - ry).div_ceil(s), (g.kw - rx).div_ceil(s));
            // Output rows of this phase are iy = t·s + ry − top, from the first t that makes it non-negative.
            let first = |pad: isize, r: usize| (pad - r as isize).max(0).unsigned_abs().div_ceil(s);
            let (ty, tx) = (first(g.top, ry), first(g.left, rx));
            let (iy, ix) = (
                (ty * s + ry) as isize - g.top,
                (tx * s + rx) as isize - g.left,
            );
            let count = |size: usize, at: isize| {
                if at >= size as isize {
                    0
                } else {
                    (size - at as usize).div_ceil(s)
                }
            };
            let (ho, wo) = (count(g.h, iy), count(g.w, ix));
            if ho == 0 || wo == 0 {
                continue;
            }
            let geometry = Geometry {
                n: g.n,
                ci: g.co,
                h: g.ho,
                w: g.wo,
                co: g.ci,
                ho,
                wo,
                kh,
                kw,
                stride: 1,
                top: kh as isize - 1 - ty as isize,
                left: kw as isize - 1 - tx as isize,
            };
            let map = OutMap {
                plane: g.h * g.w,
                base: iy as usize * g.w + ix as usize,
                row_step: s * g.w,
                col_step: s,
            };
            out.push(Phase {
                geometry,
                map,
                first_tap: (ry, rx),
            });
        }
    }
    out
}
