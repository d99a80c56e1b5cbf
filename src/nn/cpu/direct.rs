//! Direct convolution: padded tiles, no unfolded matrix.
//!
//! A task copies a few rows of a few channels into a zero-padded tile that stays in the L2 cache; a table holds
//! where each (channel, kernel row, kernel column) starts in it. A stride of `s` is handled while copying: the
//! tile keeps `s × s` phase planes, so that neighbouring outputs read neighbouring values. Transposed
//! convolution, which is also the gradient of the input, runs as one small stride-1 convolution per output phase.

use super::geometry::{Geometry, OutMap, PASS_DEPTH, TILE_BYTES, Tiling, phases};
use super::{SharedMut, micro};
use rayon::prelude::*;
use std::cell::RefCell;

thread_local! {
    static TILE: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static GRAD_TILE: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Splits `co` output channels into tiles of 6 and 4 rows with the least padding.
fn row_tiles(co: usize) -> Vec<(usize, usize)> {
    let fours = match co % 6 {
        0 => 0,
        1 if co < 6 => 1,
        1 => 2,
        2 if co < 6 => 1,
        2 => 2,
        3 | 4 => 1,
        _ => 0,
    };
    let mut tiles = Vec::new();
    let mut start = 0;
    while start + 4 * fours < co {
        tiles.push((start, 6));
        start += 6;
    }
    for _ in 0..fours {
        if start < co {
            tiles.push((start, 4));
            start += 4;
        }
    }
    tiles
}

/// Weights [co, depth] reordered so that the micro-kernel reads them in sequence, pass by pass.
struct Packed {
    tiles: Vec<(usize, usize)>,
    values: Vec<f32>,
}

impl Packed {
    fn new(weight: &[f32], co: usize, depth: usize, pass: usize) -> Self {
        let tiles = row_tiles(co);
        let padded: usize = tiles.iter().map(|t| t.1).sum();
        let mut values = vec![0f32; padded * depth];
        let mut at = 0;
        for k0 in (0..depth).step_by(pass) {
            let k1 = (k0 + pass).min(depth);
            for &(row, height) in &tiles {
                for k in k0..k1 {
                    for r in 0..height {
                        if row + r < co {
                            values[at] = weight[(row + r) * depth + k];
                        }
                        at += 1;
                    }
                }
            }
        }
        Self { tiles, values }
    }
}

/// `out = conv(x, weight) + bias`. `weight` is [co, ci, kh, kw].
pub fn forward(
    g: &Geometry,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    map: OutMap,
    out: &mut [f32],
) {
    let avx2 = micro::has_avx2();
    let threads = rayon::current_num_threads();
    let (h_w, depth) = (g.h * g.w, g.depth());
    let pointwise = g.is_pointwise(map);
    let t = if pointwise {
        // One long row; tasks of some hundred pixels.
        let pixels = g.ho * g.wo;
        let block = (TILE_BYTES / (4 * g.ci.min(PASS_DEPTH)))
            .clamp(4 * micro::LANES, 1024)
            .next_multiple_of(micro::LANES);
        Tiling {
            rows: block.min(pixels.max(1)),
            channels: PASS_DEPTH.min(g.ci),
            ph: 1,
            pw: 0,
            channel_step: h_w,
        }
    } else {
        g.tiling(4 * threads)
    };
    let taps = g.kh * g.kw;
    let packed = Packed::new(weight, g.co, depth, t.channels * taps);
    let padded: usize = packed.tiles.iter().map(|t| t.1).sum();
    let total_rows = if pointwise { g.ho * g.wo } else { g.ho };
    let per_sample = total_rows.div_ceil(t.rows);
    let shared = SharedMut(out.as_mut_ptr());
    let task = |id: usize| {
        let (n, y0) = (id / per_sample, (id % per_sample) * t.rows);
        let rows = t.rows.min(total_rows - y0);
        let sample = &x[n * g.ci * h_w..][..g.ci * h_w];
        TILE.with_borrow_mut(|tile| {
            for c0 in (0..g.ci).step_by(t.channels) {
                let channels = t.channels.min(g.ci - c0);
                let base = if pointwise {
                    &sample[c0 * h_w + y0..]
                } else {
                    g.fill(&t, sample, c0, channels, y0, tile);
                    &tile[..]
                };
                let offsets = if pointwise {
                    (0..channels).map(|c| (c * h_w) as u32).collect()
                } else {
                    g.offsets(&t, channels)
                };
                // Rows that fill whole panels are taken one by one, others as one run with unused columns.
                let by_row = !pointwise && g.wo.is_multiple_of(micro::LANES);
                let (runs, run_len, run_step) = if pointwise {
                    (1, rows, 0)
                } else if by_row {
                    (rows, g.wo, t.pw)
                } else {
                    (1, (rows - 1) * t.pw + g.wo, 0)
                };
                let mut a = c0 * taps * padded;
                for &(row, height) in &packed.tiles {
                    let weights = &packed.values[a..a + height * offsets.len()];
                    a += weights.len();
                    let live = height.min(g.co - row);
                    for run in 0..runs {
                        for q in (0..run_len).step_by(micro::LANES) {
                            let lanes = micro::LANES.min(run_len - q);
                            let mut acc = [[0f32; micro::LANES]; 6];
                            let start = run * run_step + q;
                            if pointwise && start + (channels - 1) * h_w + micro::LANES > base.len()
                            {
                                tail(weights, height, &base[start..], &offsets, lanes, &mut acc);
                            } else {
                                // SAFETY: the tile ends with two panels of slack; in place, whole panels lie inside each plane.
                                unsafe {
                                    panel(
                                        weights,
                                        height,
                                        base.as_ptr().add(start),
                                        &offsets,
                                        avx2,
                                        &mut acc,
                                    )
                                };
                            }
                            for (r, values) in acc.iter().enumerate().take(live) {
                                let o = row + r;
                                let plane = (n * g.co + o) * map.plane + map.base;
                                let add = if c0 == 0 {
                                    Some(bias.map_or(0.0, |b| b[o]))
                                } else {
                                    None
                                };
                                if pointwise {
                                    // SAFETY: each task writes its own pixels of its own sample.
                                    unsafe {
                                        store(shared, plane + y0 + q, 1, &values[..lanes], add)
                                    };
                                } else if by_row {
                                    let at = plane + (y0 + run) * map.row_step + q * map.col_step;
                                    // SAFETY: each task writes its own rows of its own sample.
                                    unsafe { store(shared, at, map.col_step, values, add) };
                                } else {
                                    // The panel runs over row ends; columns past the width belong to no output.
                                    let (mut y, mut x, mut l) = (q / t.pw, q % t.pw, 0);
                                    while l < lanes {
                                        let to_end = (t.pw - x).min(lanes - l);
                                        let live = g.wo.saturating_sub(x).min(to_end);
                                        let at = plane + (y0 + y) * map.row_step + x * map.col_step;
                                        // SAFETY: as above.
                                        unsafe {
                                            store(
                                                shared,
                                                at,
                                                map.col_step,
                                                &values[l..l + live],
                                                add,
                                            )
                                        };
                                        (y, x, l) = (y + 1, 0, l + to_end);
                                    }
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

/// Writes `values` `step` apart from `at`: plus `add` on the first pass, on top of what is there later.
///
/// # Safety
/// All addressed elements lie in the shared buffer and belong to the calling task.
#[inline]
unsafe fn store(out: SharedMut, at: usize, step: usize, values: &[f32], add: Option<f32>) {
    // SAFETY: promised by the caller.
    unsafe {
        let to = out.get().add(at);
        if step == 1 {
            let row = std::slice::from_raw_parts_mut(to, values.len());
            match add {
                Some(add) => row.iter_mut().zip(values).for_each(|(o, v)| *o = v + add),
                None => row.iter_mut().zip(values).for_each(|(o, v)| *o += v),
            }
            return;
        }
        for (l, v) in values.iter().enumerate() {
            let o = to.add(l * step);
            *o = match add {
                Some(add) => v + add,
                None => *o + v,
            };
        }
    }
}

/// One panel of 16 pixels for a tile of 6 or 4 output channels.
///
/// # Safety
/// As [`micro::rows_by_16`].
unsafe fn panel(
    weights: &[f32],
    height: usize,
    b: *const f32,
    offsets: &[u32],
    avx2: bool,
    acc: &mut [[f32; micro::LANES]; 6],
) {
    // SAFETY: promised by the caller; `weights` holds `height` values for each offset.
    unsafe {
        if height == 6 {
            micro::rows_by_16::<6>(weights.as_ptr(), b, offsets, avx2, acc);
        } else {
            let mut four = [[0f32; micro::LANES]; 4];
            micro::rows_by_16::<4>(weights.as_ptr(), b, offsets, avx2, &mut four);
            acc[..4].copy_from_slice(&four);
        }
    }
}

/// The last pixels of planes that are read in place, where a whole panel would reach past the end.
fn tail(
    weights: &[f32],
    height: usize,
    b: &[f32],
    offsets: &[u32],
    lanes: usize,
    acc: &mut [[f32; micro::LANES]; 6],
) {
    for (k, &offset) in offsets.iter().enumerate() {
        for l in 0..lanes {
            let v = b[offset as usize + l];
            for (r, row) in acc.iter_mut().enumerate().take(height) {
                row[l] += weights[k * height + r] * v;
            }
        }
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
        forward(&phase.geometry, y, &sub, bias, phase.map, out);
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
                        g.fill(&t, sample, c0, channels, y0, tile);
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
