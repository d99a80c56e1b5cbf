//! 1 × 1 convolutions, read and written in place: products of matrices.
//!
//! A task takes some pixels of one sample and some of the output channels: maps of few pixels and many channels, as
//! networks end with, keep all cores busy too.

use super::SharedMut;
use super::geometry::{After, Geometry, PASS_DEPTH, TILE_BYTES};
use super::micro::{self, LANES, Sink};
use super::packed::{Packed, Tile, finish, store};
use rayon::prelude::*;

/// Products that are not worth another task.
const TASK: usize = 1 << 19;
/// Pixels that a task takes at least, where there are enough.
const LEAST_PIXELS: usize = 4 * LANES;

/// How the work is cut.
struct Cut {
    /// Pixels of a task, a multiple of 16 unless it is all of them; tasks across the pixels.
    pixels: usize,
    blocks: usize,
    /// Tiles of output channels of a task; tasks across the channels.
    tiles: usize,
    groups: usize,
}

impl Cut {
    fn of(g: &Geometry, tiles: usize, threads: usize) -> Self {
        let pixels = g.ho * g.wo;
        let work = g.n * pixels * g.ci * g.co;
        let wanted = if threads < 2 {
            1
        } else {
            (work / TASK).clamp(1, 3 * threads)
        };
        let by_cache = (TILE_BYTES / (4 * g.ci.clamp(1, PASS_DEPTH))).clamp(LEAST_PIXELS, 1024);
        let by_tasks = pixels.div_ceil(wanted.div_ceil(g.n.max(1)));
        let block = by_cache
            .min(by_tasks.max(LEAST_PIXELS))
            .next_multiple_of(LANES)
            .min(pixels.max(1));
        let blocks = pixels.div_ceil(block);
        let groups = wanted
            .div_ceil((g.n * blocks).max(1))
            .clamp(1, tiles.max(1));
        let per_group = tiles.div_ceil(groups).max(1);
        Self {
            pixels: block,
            blocks,
            tiles: per_group,
            groups: tiles.div_ceil(per_group),
        }
    }
}

/// `out = clamp(x · weight + bias)`.
pub fn forward(g: &Geometry, x: &[f32], weight: &Packed, after: After, out: &mut [f32]) {
    let threads = rayon::current_num_threads();
    let plane = g.ho * g.wo;
    let pass = PASS_DEPTH.min(g.ci).max(1);
    let offsets: Vec<u32> = (0..pass).map(|c| (c * plane) as u32).collect();
    let cut = Cut::of(g, weight.tiles.len(), threads);
    let shared = SharedMut(out.as_mut_ptr());
    let avx2 = micro::has_avx2();
    let task = |id: usize| {
        let (rest, group) = (id / cut.groups, id % cut.groups);
        let (n, first) = (rest / cut.blocks, rest % cut.blocks * cut.pixels);
        let end = (first + cut.pixels).min(plane);
        let sample = &x[n * g.ci * plane..][..g.ci * plane];
        let mine = cut.tiles * group..(cut.tiles * (group + 1)).min(weight.tiles.len());
        let rows_before: usize = weight.tiles[..mine.start].iter().map(|t| t.1).sum();
        for c0 in (0..g.ci).step_by(pass) {
            let channels = pass.min(g.ci - c0);
            let base = &sample[c0 * plane..];
            let mut a = c0 * weight.padded + channels * rows_before;
            for &(row, height) in &weight.tiles[mine.clone()] {
                let tile = Tile {
                    weights: &weight.values[a..a + height * channels],
                    height,
                    offsets: &offsets[..channels],
                    avx2,
                };
                a += height * channels;
                let (bias, clamp) = finish(&after, row, c0 == 0, c0 + channels == g.ci);
                let live = height.min(g.co - row);
                let at = (n * g.co + row) * plane;
                let mut q = first;
                while q + LANES <= end {
                    // SAFETY: whole panels lie inside each plane; each task writes its own pixels and channels.
                    unsafe {
                        let sink = Sink {
                            to: shared.get().add(at + q),
                            step: plane,
                            live,
                            bias,
                            clamp,
                        };
                        tile.put(base.as_ptr().add(q), &sink);
                    }
                    q += LANES;
                }
                if q == end {
                    continue;
                }
                // The last pixels are computed with some before them, or one by one where there are none.
                let (sums, skip) = if end >= LANES {
                    // SAFETY: the panel ends where the plane's part ends.
                    (
                        unsafe { tile.sums(base.as_ptr().add(end - LANES)) },
                        LANES - (end - q),
                    )
                } else {
                    (few(&tile, &base[q..], end - q), 0)
                };
                for (r, values) in sums.iter().enumerate().take(live) {
                    let add = bias.map(|bias| bias[r]);
                    let values = &values[skip..skip + end - q];
                    // SAFETY: as above.
                    unsafe { store(shared, at + r * plane + q, 1, values, add, clamp) };
                }
            }
        }
    };
    let tasks = g.n * cut.blocks * cut.groups;
    if tasks < 2 || threads < 2 {
        (0..tasks).for_each(task);
    } else {
        (0..tasks).into_par_iter().for_each(task);
    }
}

/// Sums of fewer pixels than a panel has.
fn few(tile: &Tile, b: &[f32], lanes: usize) -> [[f32; LANES]; 6] {
    let mut acc = [[0f32; LANES]; 6];
    for (weights, &offset) in tile.weights.chunks_exact(tile.height).zip(tile.offsets) {
        for l in 0..lanes {
            let v = b[offset as usize + l];
            for (row, w) in acc.iter_mut().zip(weights) {
                row[l] += w * v;
            }
        }
    }
    acc
}
