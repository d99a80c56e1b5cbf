//! 1 × 1 convolutions, read and written in place: products of matrices.
//!
//! A task takes some pixels of one sample and some of the output channels: maps of few pixels and many channels, as
//! networks end with, keep all cores busy too.

use super::SharedMut;
use super::geometry::{After, Geometry, PASS_DEPTH, TILE_BYTES};
use super::micro::{self, LANES, Sink};
use super::packed::{Packed, Tile, finish, store};
use rayon::prelude::*;
use std::ops::Range;

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

/// A 1 × 1 convolution of planes of `plane` pixels.
pub(super) struct Product<'a> {
    inputs: usize,
    plane: usize,
    weight: &'a Packed,
    after: After<'a>,
    /// Whether sums go on top of what is there, instead of on the bias.
    is_onto: bool,
    /// Channels of one pass, and where each begins.
    pass: usize,
    offsets: Vec<u32>,
    avx2: bool,
}

impl<'a> Product<'a> {
    pub fn new(inputs: usize, plane: usize, weight: &'a Packed, after: After<'a>) -> Self {
        let pass = PASS_DEPTH.min(inputs).max(1);
        Self {
            inputs,
            plane,
            weight,
            after,
            is_onto: false,
            pass,
            offsets: (0..pass).map(|c| (c * plane) as u32).collect(),
            avx2: micro::has_avx2(),
        }
    }

    /// Tiles of output channels.
    pub fn tiles(&self) -> &'a [(usize, usize)] {
        &self.weight.tiles
    }

    /// Some pixels of a sample's output channels, those of some tiles. The first of these channels is written to `to`,
    /// the others each `plane` further; of `outputs` channels in all.
    ///
    /// # Safety
    /// `to` holds the planes of these channels, whose pixels in question nobody else touches.
    pub unsafe fn put(
        &self,
        sample: &[f32],
        pixels: Range<usize>,
        tiles: Range<usize>,
        outputs: usize,
        to: SharedMut,
    ) {
        let Range { start: first, end } = pixels;
        let rows_before: usize = self.weight.tiles[..tiles.start].iter().map(|t| t.1).sum();
        let first_row = self.weight.tiles[tiles.start].0;
        for c0 in (0..self.inputs).step_by(self.pass) {
            let channels = self.pass.min(self.inputs - c0);
            let base = &sample[c0 * self.plane..];
            let mut a = c0 * self.weight.padded + channels * rows_before;
            for &(row, height) in &self.weight.tiles[tiles.clone()] {
                let tile = Tile {
                    weights: &self.weight.values[a..a + height * channels],
                    height,
                    offsets: &self.offsets[..channels],
                    avx2: self.avx2,
                };
                a += height * channels;
                let is_last = c0 + channels == self.inputs;
                let is_first = c0 == 0 && !self.is_onto;
                let (bias, clamp) = finish(&self.after, row, is_first, is_last);
                let live = height.min(outputs - row);
                let at = (row - first_row) * self.plane;
                let mut q = first;
                while q + LANES <= end {
                    // SAFETY: whole panels lie inside each plane; the rest is promised by the caller.
                    unsafe {
                        let sink = Sink {
                            to: to.get().add(at + q),
                            step: self.plane,
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
                    unsafe { store(to, at + r * self.plane + q, 1, values, add, clamp) };
                }
            }
        }
    }
}

/// `out = clamp(x · weight + bias + shortcut)`; the shortcut has planes of the output's size for its first channels.
pub fn forward(
    g: &Geometry,
    x: &[f32],
    weight: &Packed,
    after: After,
    shortcut: Option<&[f32]>,
    out: &mut [f32],
) {
    let threads = rayon::current_num_threads();
    let plane = g.ho * g.wo;
    let product = Product {
        is_onto: shortcut.is_some(),
        ..Product::new(g.ci, plane, weight, after)
    };
    let cut = Cut::of(g, weight.tiles.len(), threads);
    let shared = SharedMut(out.as_mut_ptr());
    let short = shortcut.map_or(0, |values| values.len() / (g.n * plane).max(1));
    let task = |id: usize| {
        let (rest, group) = (id / cut.groups, id % cut.groups);
        let (n, first) = (rest / cut.blocks, rest % cut.blocks * cut.pixels);
        let pixels = first..(first + cut.pixels).min(plane);
        let tiles = cut.tiles * group..(cut.tiles * (group + 1)).min(weight.tiles.len());
        let row = weight.tiles[tiles.start].0;
        if let Some(shortcut) = shortcut {
            let end = weight.tiles.get(tiles.end).map_or(g.co, |tile| tile.0);
            for channel in row..end {
                let bias = after.bias.map_or(0.0, |bias| bias[channel]);
                let at = (n * g.co + channel) * plane;
                // SAFETY: each task writes its own pixels and channels.
                let out = unsafe {
                    let start = shared.get().add(at + pixels.start);
                    std::slice::from_raw_parts_mut(start, pixels.len())
                };
                if channel < short {
                    let from = &shortcut[(n * short + channel) * plane..][pixels.clone()];
                    out.iter_mut().zip(from).for_each(|(o, v)| *o = v + bias);
                } else {
                    out.fill(bias);
                }
            }
        }
        let sample = &x[n * g.ci * plane..][..g.ci * plane];
        // SAFETY: each task writes its own pixels and channels.
        unsafe {
            let to = SharedMut(shared.get().add((n * g.co + row) * plane));
            product.put(sample, pixels, tiles, g.co, to);
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
