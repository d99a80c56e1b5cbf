//! Depthwise convolution: one small filter per channel, planes in parallel.
//!
//! Shares tiles and phases ([`super::geometry`]) with the dense convolutions; here a tile is one whole padded plane.

use super::geometry::{After, Geometry, OutMap, Tiling, phases};
use super::{SharedMut, micro};
use rayon::prelude::*;
use std::cell::RefCell;

thread_local! {
    static TILE: RefCell<Padded> = const { RefCell::new(Padded { of: None, values: Vec::new() }) };
    static ROWS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// A plane with the zeros around it.
struct Padded {
    /// Whose zeros these are: the next plane of the same geometry finds them in place.
    of: Option<Geometry>,
    values: Vec<f32>,
}

impl Padded {
    fn fill(&mut self, g: &Geometry, t: &Tiling, x: &[f32]) {
        let is_padded = self.of == Some(*g);
        g.fill(t, x, (0, 1), 0, is_padded, &mut self.values);
        self.of = Some(*g);
    }
}

/// The geometry of one plane of a depthwise `g`.
fn single(g: &Geometry) -> Geometry {
    Geometry {
        n: 1,
        ci: 1,
        co: 1,
        ..*g
    }
}

/// The filters of all channels, to be laid over one plane at a time.
pub(super) struct Filters<'a> {
    plane: Geometry,
    tiling: Tiling,
    offsets: Vec<u32>,
    weight: &'a [f32],
    after: After<'a>,
    map: OutMap,
    avx2: bool,
}

impl<'a> Filters<'a> {
    /// `weight` is [channels, kh, kw].
    pub fn new(g: &Geometry, weight: &'a [f32], after: After<'a>, map: OutMap) -> Self {
        let plane = single(g);
        let tiling = plane.tiling_whole();
        Self {
            plane,
            offsets: plane.offsets(&tiling, 1),
            tiling,
            weight,
            after,
            map,
            avx2: micro::has_avx2(),
        }
    }

    /// `to = clamp(x ∗ weight[channel] + bias[channel])` of the plane `x`.
    ///
    /// # Safety
    /// `to` holds the plane that the map describes, and nobody else writes there.
    pub unsafe fn put(&self, x: &[f32], channel: usize, to: *mut f32) {
        let (g, t, map) = (&self.plane, &self.tiling, &self.map);
        let taps = g.kh * g.kw;
        let filter = Filter {
            weights: &self.weight[channel * taps..][..taps],
            offsets: &self.offsets,
            bias: self.after.bias.map_or(0.0, |b| b[channel]),
            clamp: self.after.clamp,
            avx2: self.avx2,
        };
        TILE.with_borrow_mut(|tile| {
            tile.fill(g, t, x);
            let from = tile.values.as_ptr();
            if map.col_step == 1 && g.wo >= PANEL {
                // Columns of panels, the last of which may overlap with the one before: they come out the same.
                for q in (0..g.wo).step_by(PANEL) {
                    let q = q.min(g.wo - PANEL);
                    // SAFETY: promised by the caller; panels end with the rows of tile and output.
                    unsafe {
                        let to = to.add(map.base + q);
                        filter.panels((from.add(q), t.pw), (to, map.row_step), g.ho);
                    }
                }
                return;
            }
            ROWS.with_borrow_mut(|rows| {
                // The plane as one run at the tile's pitch; columns past the width are dropped below.
                let panels = ((g.ho - 1) * t.pw + g.wo).div_ceil(PANEL);
                let padded = PANEL * panels;
                if rows.len() < padded {
                    rows.resize(padded, 0.0);
                }
                // SAFETY: `rows` holds `padded` values; the tile has two panels of slack behind its last row.
                unsafe { filter.panels((from, PANEL), (rows.as_mut_ptr(), PANEL), panels) };
                for y in 0..g.ho {
                    let row = &rows[y * t.pw..][..g.wo];
                    let at = map.base + y * map.row_step;
                    for (x, &v) in row.iter().enumerate() {
                        // SAFETY: promised by the caller.
                        unsafe { *to.add(at + x * map.col_step) = v };
                    }
                }
            });
        });
    }
}

/// `out[n, c] = clamp(x[n, c] ∗ weight[c] + bias[c])`; `g.ci` = `g.co` = channels, `weight` is [channels, kh, kw].
pub fn forward(
    g: &Geometry,
    x: &[f32],
    weight: &[f32],
    after: After,
    map: OutMap,
    out: &mut [f32],
) {
    let filters = Filters::new(g, weight, after, map);
    let shared = SharedMut(out.as_mut_ptr());
    let plane = g.h * g.w;
    let one = |id: usize| {
        // SAFETY: every task writes its own plane of `out`.
        unsafe {
            let to = shared.get().add(id * map.plane);
            filters.put(&x[id * plane..][..plane], id % g.ci, to);
        }
    };
    (0..g.n * g.ci)
        .into_par_iter()
        .with_min_len((TASK / (g.ho * g.wo).max(1)).max(4))
        .for_each(one);
}

/// Pixels that a filter computes side by side.
const PANEL: usize = 8;
/// Outputs that one task should compute, so that sharing pays.
const TASK: usize = 1 << 13;

/// One channel's filter.
struct Filter<'a> {
    weights: &'a [f32],
    offsets: &'a [u32],
    bias: f32,
    clamp: micro::Clamp,
    avx2: bool,
}

impl Filter<'_> {
    /// `count` panels of eight outputs, with their steps in tile and output.
    ///
    /// # Safety
    /// `to` holds all panels, `from` what the filter reads for them.
    unsafe fn panels(
        &self,
        (from, from_step): (*const f32, usize),
        (to, to_step): (*mut f32, usize),
        count: usize,
    ) {
        let what = (self.weights, self.offsets);
        let after = (self.bias, self.clamp);
        let mut p = 0;
        while p < count {
            // SAFETY: promised by the caller.
            unsafe {
                let from = (from.add(p * from_step), from_step);
                let to = (to.add(p * to_step), to_step);
                match count - p {
                    8.. => {
                        micro::filter::<8>(what, from, after, self.avx2, to);
                        p += 8;
                    }
                    4.. => {
                        micro::filter::<4>(what, from, after, self.avx2, to);
                        p += 4;
                    }
                    2.. => {
                        micro::filter::<2>(what, from, after, self.avx2, to);
                        p += 2;
                    }
                    _ => {
                        micro::filter::<1>(what, from, after, self.avx2, to);
                        p += 1;
                    }
                }
            }
        }
    }
}

/// Gradient of [`forward`]'s input from `grad` [n, channels, ho, wo].
pub fn transposed(g: &Geometry, grad: &[f32], weight: &[f32], out: &mut [f32]) {
    if g.kh < g.stride || g.kw < g.stride {
        out.fill(0.0);
    }
    let taps = g.kh * g.kw;
    for phase in phases(g) {
        let (kh, kw) = (phase.geometry.kh, phase.geometry.kw);
        let mut sub = Vec::with_capacity(g.ci * kh * kw);
        for filter in weight.chunks_exact(taps) {
            for a in 0..kh {
                for b in 0..kw {
                    sub.push(filter[phase.tap(g, a, b)]);
                }
            }
        }
        forward(&phase.geometry, grad, &sub, After::NOTHING, phase.map, out);
    }
}

/// Gradient of the filters [channels, kh, kw].
pub fn weight_gradient(g: &Geometry, x: &[f32], grad: &[f32]) -> Vec<f32> {
    let avx2 = micro::has_avx2();
    let plane = single(g);
    let t = plane.tiling_whole();
    let offsets = plane.offsets(&t, 1);
    let taps = g.kh * g.kw;
    let mut out = vec![0f32; g.ci * taps];
    out.par_chunks_mut(taps)
        .enumerate()
        .with_min_len(4)
        .for_each(|(c, sums)| {
            TILE.with_borrow_mut(|tile| {
                ROWS.with_borrow_mut(|rows| {
                    for n in 0..g.n {
                        let id = n * g.ci + c;
                        tile.fill(&plane, &t, &x[id * g.h * g.w..][..g.h * g.w]);
                        let padded = (g.ho * t.pw).next_multiple_of(8);
                        rows.clear();
                        rows.resize(padded, 0.0);
                        for y in 0..g.ho {
                            rows[y * t.pw..][..g.wo]
                                .copy_from_slice(&grad[(id * g.ho + y) * g.wo..][..g.wo]);
                        }
                        for (k, sums) in sums.chunks_mut(9).enumerate() {
                            // SAFETY: the tile has slack behind its last row; offsets past the last repeat it.
                            let dots = unsafe {
                                let b = std::array::from_fn(|i| {
                                    tile.values
                                        .as_ptr()
                                        .add(offsets[(9 * k + i).min(taps - 1)] as usize)
                                });
                                micro::dots_1xk::<9>(rows.as_ptr(), b, padded, avx2)
                            };
                            sums.iter_mut().zip(dots).for_each(|(s, d)| *s += d);
                        }
                    }
                });
            });
        });
    out
}
