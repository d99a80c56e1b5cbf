//! Depthwise convolution: one small filter per channel, planes in parallel.
//!
//! Shares tiles and phases ([`super::geometry`]) with the dense convolutions; here a tile is one whole padded plane.

use super::geometry::{Geometry, OutMap, phases};
use super::{SharedMut, micro};
use rayon::prelude::*;
use std::cell::RefCell;

thread_local! {
    static TILE: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static ROWS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
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

/// `out[n, c] = x[n, c] ∗ weight[c] + bias[c]`; `g.ci` = `g.co` = channels, `weight` is [channels, kh, kw].
pub fn forward(
    g: &Geometry,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    map: OutMap,
    out: &mut [f32],
) {
    let avx2 = micro::has_avx2();
    let plane = single(g);
    let t = plane.tiling_whole();
    let offsets = plane.offsets(&t, 1);
    let shared = SharedMut(out.as_mut_ptr());
    let taps = g.kh * g.kw;
    (0..g.n * g.ci)
        .into_par_iter()
        .with_min_len(4)
        .for_each(|id| {
            let c = id % g.ci;
            let (filter, add) = (&weight[c * taps..][..taps], bias.map_or(0.0, |b| b[c]));
            TILE.with_borrow_mut(|tile| {
                ROWS.with_borrow_mut(|rows| {
                    plane.fill(&t, &x[id * g.h * g.w..][..g.h * g.w], 0, 1, 0, tile);
                    // The plane as one run at the tile's pitch; columns past the width are dropped below.
                    let run = (g.ho - 1) * t.pw + g.wo;
                    let padded = run.next_multiple_of(8);
                    if rows.len() < padded {
                        rows.resize(padded, 0.0);
                    }
                    let mut q = 0;
                    while q < padded {
                        let (b, to) = (
                            tile.as_ptr().wrapping_add(q),
                            rows.as_mut_ptr().wrapping_add(q),
                        );
                        // SAFETY: `rows` holds `padded` values; the tile has two panels of slack behind its last row.
                        unsafe {
                            if q + 64 <= padded {
                                micro::filter::<8>(filter, b, &offsets, add, avx2, to);
                                q += 64;
                            } else if q + 32 <= padded {
                                micro::filter::<4>(filter, b, &offsets, add, avx2, to);
                                q += 32;
                            } else {
                                micro::filter::<1>(filter, b, &offsets, add, avx2, to);
                                q += 8;
                            }
                        }
                    }
                    for y in 0..g.ho {
                        let row = &rows[y * t.pw..][..g.wo];
                        let at = id * map.plane + map.base + y * map.row_step;
                        for (x, &v) in row.iter().enumerate() {
                            // SAFETY: every task writes its own plane of `out`.
                            unsafe { *shared.get().add(at + x * map.col_step) = v };
                        }
                    }
                });
            });
        });
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
        forward(&phase.geometry, grad, &sub, None, phase.map, out);
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
                        plane.fill(&t, &x[id * g.h * g.w..][..g.h * g.w], 0, 1, 0, tile);
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
                                    tile.as_ptr()
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
