//! Direct convolution: padded tiles, no unfolded matrix.
//!
//! A task copies a few rows of a few channels into a zero-padded tile that stays in the L2 cache; a table holds
//! where each (channel, kernel row, kernel column) starts in it. A stride of `s` is handled while copying: the
//! tile keeps `s × s` phase planes, so that neighbouring outputs read neighbouring values. Transposed
//! convolution, which is also the gradient of the input, runs as one small stride-1 convolution per output phase.

use super::geometry::{After, Geometry, OutMap, phases};
use super::micro::Sink;
use super::packed::{Packed, Tile, finish, store};
use super::{SharedMut, micro, pointwise};
use rayon::prelude::*;
use std::cell::RefCell;

thread_local! {
    static TILE: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static GRAD_TILE: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// `out = clamp(conv(x, weight) + bias)`. `weight` is [co, ci, kh, kw].
pub fn forward(
    g: &Geometry,
    x: &[f32],
    weight: &[f32],
    after: After,
    map: OutMap,
    out: &mut [f32],
) {
    if g.is_pointwise(map) {
        let packed = Packed::pointwise(weight, g.co, g.ci);
        return pointwise::forward(g, x, &packed, after, None, out);
    }
    let avx2 = micro::has_avx2();
    let threads = rayon::current_num_threads();
    let (h_w, depth) = (g.h * g.w, g.depth());
    let t = g.tiling(4 * threads);
    let taps = g.kh * g.kw;
    let packed = Packed::new(weight, g.co, depth, t.channels * taps);
    let per_sample = g.ho.div_ceil(t.rows);
    let shared = SharedMut(out.as_mut_ptr());
    let task = |id: usize| {
        let (n, y0) = (id / per_sample, (id % per_sample) * t.rows);
        let rows = t.rows.min(g.ho - y0);
        let sample = &x[n * g.ci * h_w..][..g.ci * h_w];
        TILE.with_borrow_mut(|tile| {
            for c0 in (0..g.ci).step_by(t.channels) {
                let channels = t.channels.min(g.ci - c0);
                g.fill(&t, sample, (c0, channels), y0, false, tile);
                let base = &tile[..];
                let offsets = g.offsets(&t, channels);
                // Rows that fill whole panels are taken one by one, others as one run with unused columns.
                let by_row = g.wo.is_multiple_of(micro::LANES);
                let (runs, run_len, run_step) = if by_row {
                    (rows, g.wo, t.pw)
                } else {
                    (1, (rows - 1) * t.pw + g.wo, 0)
                };
                let mut a = c0 * taps * packed.padded;
                for &(row, height) in &packed.tiles {
                    let tile = Tile {
                        weights: &packed.values[a..a + height * offsets.len()],
                        height,
                        offsets: &offsets,
                        avx2,
                    };
                    a += tile.weights.len();
                    let (bias, clamp) = finish(&after, row, c0 == 0, c0 + channels == g.ci);
                    let live = height.min(g.co - row);
                    let plane = (n * g.co + row) * map.plane + map.base;
                    for run in 0..runs {
                        for q in (0..run_len).step_by(micro::LANES) {
                            let start = run * run_step + q;
                            let at = plane + (y0 + run) * map.row_step + q * map.col_step;
                            if by_row && map.col_step == 1 {
                                // SAFETY: the tile ends with two panels of slack; each task writes its own rows of
                                // its own sample.
                                unsafe {
                                    let sink = Sink {
                                        to: shared.get().add(at),
                                        step: map.plane,
                                        live,
                                        bias,
                                        clamp,
                                    };
                                    tile.put(base.as_ptr().add(start), &sink);
                                }
                                continue;
                            }
                            let lanes = micro::LANES.min(run_len - q);
                            // SAFETY: the tile ends with two panels of slack.
                            let acc = unsafe { tile.sums(base.as_ptr().add(start)) };
                            for (r, values) in acc.iter().enumerate().take(live) {
                                let add = bias.map(|bias| bias[r]);
                                if by_row {
                                    let (at, step) = (at + r * map.plane, map.col_step);
                                    // SAFETY: each task writes its own rows of its own sample.
                                    unsafe { store(shared, at, step, values, add, clamp) };
                                    continue;
                                }
                                // The panel runs over row ends; columns past the width belong to no output.
                                let plane = plane + r * map.plane;
                                let (mut y, mut x, mut l) = (q / t.pw, q % t.pw, 0);
                                while l < lanes {
                                    let to_end = (t.pw - x).min(lanes - l);
                                    let live = g.wo.saturating_sub(x).min(to_end);
                                    let at = plane + (y0 + y) * map.row_step + x * map.col_step;
                                    let values = &values[l..l + live];
                                    // SAFETY: as above.
                                    unsafe { store(shared, at, map.col_step, values, add, clamp) };
                                    (y, x, l) = (y + 1, 0, l + to_end);
                                }
                            }
                        }
                    }
                }
            }
        });
    };
    let tasks = g.n * per_sample;
    if tasks < 2 || threads < 2 {
        (0..tasks).for_each(task);
    } else {
        (0..tasks).into_par_iter().for_each(task);
    }
}

/// Transposed convolution of `y` [n, co, ho, wo] into `out` [n, ci, h, w]: the gradient of [`forward`]'s input.
/// `weight` is [co, ci, kh, kw] as in [`forward`]; `bias` is `[ci]`.
pub fn transposed(g: &Geometry, y: &[f32], weight: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
    if g.kh < g.stride || g.kw < g.stride {
        for (i, plane) in out.chunks_exact_mut(g.h * g.w).enumerate() {
            plane.fill(bias.map_or(0.0, |b| b[i % g.ci]));
        }
    }
    let taps = g.kh * g.kw;
    for phase in phases(g) {
        let (kh, kw) = (phase.geometry.kh, phase.geometry.kw);
        let mut sub = Vec::with_capacity(g.ci * g.co * kh * kw);
        for c in 0..g.ci {
            for o in 0..g.co {
                let filter = &weight[(o * g.ci + c) * taps..][..taps];
                for a in 0..kh {
                    for b in 0..kw {
                        sub.push(filter[phase.tap(g, a, b)]);
                    }
                }
            }
        }
        let after = After {
            bias,
            ..After::NOTHING
        };
        forward(&phase.geometry, y, &sub, after, phase.map, out);
    }
}

/// Gradient of the weights [co, ci, kh, kw] from the input `x` [n, ci, h, w] and `grad` [n, co, ho, wo].
pub fn weight_gradient(g: &Geometry, x: &[f32], grad: &[f32]) -> Vec<f32> {
    let avx2 = micro::has_avx2();
    let threads = rayon::current_num_threads();
    let t = g.tiling(threads);
    let depth = g.depth();
    let per_sample = g.ho.div_ceil(t.rows);
    let tasks = g.n * per_sample;
    let workers = threads.min(tasks).max(1);
    let by_row = g.wo.is_multiple_of(8);
    let taps = g.kh * g.kw;
    let work = |worker: usize| {
        let mut sum = vec![0f32; g.co * depth];
        for id in (worker..tasks).step_by(workers) {
            let (n, y0) = (id / per_sample, (id % per_sample) * t.rows);
            let rows = t.rows.min(g.ho - y0);
            let sample = &x[n * g.ci * g.h * g.w..][..g.ci * g.h * g.w];
            let out_plane = g.ho * g.wo;
            let grads = &grad[n * g.co * out_plane..][..g.co * out_plane];
            let run = rows * t.pw;
            let padded_run = run.next_multiple_of(8);
            GRAD_TILE.with_borrow_mut(|gt| {
                if !by_row {
                    // Rows at the tile's own pitch, zero where the tile has no output column.
                    gt.clear();
                    gt.resize(g.co * padded_run, 0.0);
                    for o in 0..g.co {
                        for r in 0..rows {
                            gt[o * padded_run + r * t.pw..][..g.wo]
                                .copy_from_slice(&grads[o * out_plane + (y0 + r) * g.wo..][..g.wo]);
                        }
                    }
                }
                let (g_base, g_plane, segments, g_step, b_step, len) = if by_row {
                    (&grads[y0 * g.wo..], out_plane, rows, g.wo, t.pw, g.wo)
                } else {
                    (&gt[..], padded_run, 1, 0, 0, padded_run)
                };
                TILE.with_borrow_mut(|tile| {
                    for c0 in (0..g.ci).step_by(t.channels) {
                        let channels = t.channels.min(g.ci - c0);
                        g.fill(&t, sample, (c0, channels), y0, false, tile);
                        let offsets = g.offsets(&t, channels);
                        for o in (0..g.co).step_by(4) {
                            // SAFETY: rows past the last repeat it; their sums are dropped below.
                            let gp = std::array::from_fn(|i| unsafe {
                                g_base.as_ptr().add((o + i).min(g.co - 1) * g_plane)
                            });
                            for k in (0..offsets.len()).step_by(3) {
                                // SAFETY: as above; the tile ends with slack for the last partial step.
                                let bp = std::array::from_fn(|j| unsafe {
                                    tile.as_ptr()
                                        .add(offsets[(k + j).min(offsets.len() - 1)] as usize)
                                });
                                // SAFETY: all rows lie inside their buffers.
                                let dots = unsafe {
                                    micro::dots_4x3(gp, bp, segments, g_step, b_step, len, avx2)
                                };
                                for (i, row) in dots.iter().enumerate().take((g.co - o).min(4)) {
                                    for (j, v) in
                                        row.iter().enumerate().take((offsets.len() - k).min(3))
                                    {
                                        sum[(o + i) * depth + c0 * taps + k + j] += v;
                                    }
                                }
                            }
                        }
                    }
                });
            });
        }
        sum
    };
    let mut parts: Vec<Vec<f32>> = if workers == 1 {
        vec![work(0)]
    } else {
        (0..workers).into_par_iter().map(work).collect()
    };
    let mut total = parts.swap_remove(0);
    for part in parts {
        total.iter_mut().zip(&part).for_each(|(a, b)| *a += b);
    }
    total
}
