//! A 1 × 1 convolution and the depthwise one behind it, a few channels at a time.
//!
//! Inverted residuals make their maps six times wider for one filter to each channel. Computed one after the other, the
//! wide maps go to memory and come back; here what is widened stays in the cache until it is filtered.

use super::SharedMut;
use super::depthwise::Filters;
use super::geometry::{After, Geometry, OutMap};
use super::packed::Packed;
use super::pointwise::Product;
use rayon::prelude::*;
use std::cell::RefCell;

thread_local! {
    static WIDE: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Bytes of widened planes that a task holds: they leave room in the L2 cache for what they are made of.
const WIDE_BYTES: usize = 320 << 10;
/// Products that are not worth another task.
const TASK: usize = 1 << 19;
/// Pixels that are widened at a time, so that what they are made of is still near for the next tile.
const PIXELS: usize = 512;

/// `out = clamp(clamp(x · weight + bias) ∗ filters + bias)`: `expand` from `inputs` channels to those of the depthwise
/// `g`, whose `weight` is [channels, kh, kw].
pub fn forward(
    g: &Geometry,
    x: &[f32],
    (inputs, expand, between): (usize, &Packed, After),
    (weight, after): (&[f32], After),
    out: &mut [f32],
) {
    let map = OutMap {
        plane: g.ho * g.wo,
        base: 0,
        row_step: g.wo,
        col_step: 1,
    };
    let plane = g.h * g.w;
    let product = Product::new(inputs, plane, expand, between);
    let filters = Filters::new(g, weight, after, map);
    let tiles = product.tiles();
    // Tiles have six rows at most. A task takes as many as make it worth while, the cache holds and other cores spare.
    let worth = TASK.div_ceil((6 * inputs * plane).max(1));
    let by_cache = WIDE_BYTES / (6 * size_of::<f32>() * plane).max(1);
    let by_cores = tiles.len().div_ceil(rayon::current_num_threads());
    let of_task = worth.min(by_cache).min(by_cores).max(1);
    let groups = tiles.len().div_ceil(of_task);
    let shared = SharedMut(out.as_mut_ptr());
    let task = |id: usize| {
        let (n, group) = (id / groups, id % groups);
        let mine = of_task * group..(of_task * (group + 1)).min(tiles.len());
        let Some(&[(first, _), ..]) = tiles.get(mine.clone()) else {
            return;
        };
        let end = tiles.get(mine.end).map_or(g.ci, |tile| tile.0);
        let sample = &x[n * inputs * plane..][..inputs * plane];
        WIDE.with_borrow_mut(|wide| {
            let len = (end - first) * plane;
            if wide.len() < len {
                wide.resize(len, 0.0);
            }
            let to = SharedMut(wide.as_mut_ptr());
            for start in (0..plane).step_by(PIXELS) {
                let pixels = start..(start + PIXELS).min(plane);
                // SAFETY: the buffer is this thread's and holds the planes of these tiles.
                unsafe { product.put(sample, pixels, mine.clone(), g.ci, to) };
            }
            for channel in first..end {
                let x = &wide[(channel - first) * plane..][..plane];
                // SAFETY: every task writes the planes of its own channels.
                unsafe {
                    let to = shared.get().add((n * g.ci + channel) * map.plane);
                    filters.put(x, channel, to);
                }
            }
        });
    };
    let tasks = g.n * groups;
    if tasks < 2 {
        (0..tasks).for_each(task);
    } else {
        (0..tasks).into_par_iter().for_each(task);
    }
}
