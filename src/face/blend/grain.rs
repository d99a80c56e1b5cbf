//! The photo's fine detail and grain, for pixels that a network rendered too smoothly.
//!
//! Detail is the photo minus its Gaussian blur. Where the class did not change, a pixel gets its own back. Elsewhere
//! it gets detail of its new class from nearby: blocks of the photo that are all of that class, laid over each other
//! with windows whose squares sum to one, so that the grain keeps its strength (after the patch-based synthesis of
//! Efros and Freeman, "Image Quilting", 2001, without the search for seams: detail has no large shapes). A class that
//! the photo has no block of takes the quietest blocks there are: the grain of the camera. Detail that the rendering
//! has itself is not added a second time.

use std::f32::consts::PI;

use rayon::prelude::*;

use super::{Blend, blur, smooth_step};
use crate::face::labels::CLASS_COUNT;
use crate::raster::{Grid, Rect, Rgb};

/// Side of a block in deviations of the blur; detail is not correlated further than that.
const BLOCK_SIGMAS: f32 = 8.0;
const BLOCK_MIN_PX: usize = 16;
const BLOCK_MAX_PX: usize = 96;
/// Share of a block that must be of the class.
const PURE: f32 = 0.95;
/// Share of a class's blocks that may give: the rest, with the most energy, holds edges and highlights.
const CALM: f32 = 0.7;
/// Pixels of a class that its rendering's own detail is measured on, at least.
const MIN_SAMPLES: usize = 32;

/// Detail of the photo around a rectangle, and where to take it from.
pub(super) struct Detail<'a> {
    blend: &'a Blend<'a>,
    rect: Rect,
    /// Rectangle that donors may lie in; it holds `rect`.
    around: Rect,
    /// Detail of the three channels over `around`.
    planes: [Grid<f32>; 3],
    block_px: usize,
    /// Top left corners of the donor blocks of each class, in `around`.
    donors: Vec<Vec<(usize, usize)>>,
    /// How much of a class's detail the rendering lacks, by channel.
    gains: [[f32; 3]; CLASS_COUNT],
    /// Whether a pixel of `rect` is of the class that it had.
    is_same: Vec<bool>,
}

impl<'a> Detail<'a> {
    pub(super) fn new(
        blend: &'a Blend<'a>,
        rect: Rect,
        rendered: &Rgb,
        opacity: &Grid<f32>,
        sigma_px: f32,
    ) -> Self {
        let block_px = ((sigma_px * BLOCK_SIGMAS) as usize).clamp(BLOCK_MIN_PX, BLOCK_MAX_PX);
        let margin = (rect.width.max(rect.height) / 4).max(3 * block_px);
        let around = rect.grown(margin, blend.photo.bounds());
        let planes =
            [0, 1, 2].map(|channel| detail_of(&blend.photo.crop(around), channel, sigma_px));
        let mut this = Self {
            blend,
            rect,
            around,
            planes,
            block_px,
            donors: vec![Vec::new(); CLASS_COUNT],
            gains: [[1.0; 3]; CLASS_COUNT],
            is_same: Vec::with_capacity(rect.area()),
        };
        for y in rect.y..rect.bottom() {
            let (old, new) = (blend.source_mask.row(y), blend.target_mask.row(y));
            let rows = old.iter().zip(new).skip(rect.x).take(rect.width);
            this.is_same.extend(rows.map(|(a, b)| a == b));
        }
        let energies = this.find_donors();
        this.measure_gains(rendered, opacity, &energies, sigma_px);
        this
    }

    /// Detail to add to the rendering over `rect`, three channels a pixel. `distance` is to the nearest changed pixel,
    /// and `sigma_window_px` the blur's deviation, both in window pixels: nearer than a few deviations the photo's own
    /// detail still shows the edge that was edited away.
    pub(super) fn layer(&self, distance: &Grid<f32>, sigma_window_px: f32) -> Vec<[f32; 3]> {
        let rect = self.rect;
        let mut out = self.laid();
        let (dx, dy) = (rect.x - self.around.x, rect.y - self.around.y);
        out.par_chunks_mut(rect.width.max(1))
            .enumerate()
            .for_each(|(y, row)| {
                let own =
                    [0, 1, 2].map(|c: usize| &self.planes[c].row(y + dy)[dx..dx + rect.width]);
                let classes = &self.blend.target_mask.row(rect.y + y)[rect.x..rect.right()];
                for (x, (value, &class)) in row.iter_mut().zip(classes).enumerate() {
                    let i = y * rect.width + x;
                    let share = if self.is_same[i] {
                        smooth_step(sigma_window_px, 3.0 * sigma_window_px, distance.data[i])
                    } else {
                        0.0
                    };
                    let gains = self
                        .gains
                        .get(usize::from(class))
                        .copied()
                        .unwrap_or_default();
                    for c in 0..3 {
                        value[c] = gains[c] * (share * own[c][x] + (1.0 - share) * value[c]);
                    }
                }
            });
        out
    }

    /// Fills `donors`; gives each class's mean squared detail by channel.
    fn find_donors(&mut self) -> Vec<[f32; 3]> {
        let (block, step) = (self.block_px, self.block_px / 2);
        let mut found: Vec<Vec<(f32, (usize, usize))>> = vec![Vec::new(); CLASS_COUNT];
        for y in (0..self.around.height.saturating_sub(block - 1)).step_by(step) {
            for x in (0..self.around.width.saturating_sub(block - 1)).step_by(step) {
                if let Some(class) = self.pure_class(x, y) {
                    let energy: f32 = self.energy((x, y)).iter().sum();
                    found[usize::from(class)].push((energy, (x, y)));
                }
            }
        }
        let mut quiet: Vec<(f32, (usize, usize))> = found.iter().flatten().copied().collect();
        quiet.sort_by(|a, b| a.0.total_cmp(&b.0));
        quiet.truncate(quiet.len().div_ceil(4));
        for (class, mut blocks) in found.into_iter().enumerate() {
            if blocks.is_empty() {
                blocks.clone_from(&quiet);
            } else {
                blocks.sort_by(|a, b| a.0.total_cmp(&b.0));
                blocks.truncate(((blocks.len() as f32 * CALM).ceil() as usize).max(1));
            }
            self.donors[class] = blocks.into_iter().map(|(_, at)| at).collect();
        }
        self.donors
            .iter()
            .map(|blocks| {
                let mut mean = [0.0; 3];
                for &at in blocks {
                    let energy = self.energy(at);
                    (0..3).for_each(|c| mean[c] += energy[c] / blocks.len() as f32);
                }
                mean
            })
            .collect()
    }

    /// The source class that fills the block at (`x`, `y`) of `around`.
    fn pure_class(&self, x: usize, y: usize) -> Option<u8> {
        let block = self.block_px;
        let mut counts = [0usize; CLASS_COUNT];
        for row in 0..block {
            let start = self.around.x + x;
            let labels = self.blend.source_mask.row(self.around.y + y + row);
            for &class in labels.get(start..start + block)? {
                *counts.get_mut(usize::from(class))? += 1;
            }
        }
        let (class, &count) = counts.iter().enumerate().max_by_key(|(_, count)| **count)?;
        (count as f32 >= PURE * (block * block) as f32).then_some(class as u8)
    }

    /// Mean squared detail of a block, by channel.
    fn energy(&self, (x, y): (usize, usize)) -> [f32; 3] {
        let block = self.block_px;
        [0, 1, 2].map(|c| {
            let rows = (y..y + block).map(|row| &self.planes[c].row(row)[x..x + block]);
            rows.flatten().map(|v| v * v).sum::<f32>() / (block * block) as f32
        })
    }

    /// The rendering's own detail of each class decides how much is added: variances add up.
    fn measure_gains(
        &mut self,
        rendered: &Rgb,
        opacity: &Grid<f32>,
        energies: &[[f32; 3]],
        sigma_px: f32,
    ) {
        for channel in 0..3 {
            let detail = detail_of(rendered, channel, sigma_px);
            let (mut sums, mut counts) = ([0f32; CLASS_COUNT], [0usize; CLASS_COUNT]);
            for y in 0..self.rect.height {
                let classes = self.blend.target_mask.row(self.rect.y + y);
                for x in 0..self.rect.width {
                    let i = y * self.rect.width + x;
                    let class = classes.get(self.rect.x + x).map_or(0, |&c| usize::from(c));
                    if opacity.data[i] > 0.5 && class < CLASS_COUNT {
                        sums[class] += detail.data[i] * detail.data[i];
                        counts[class] += 1;
                    }
                }
            }
            for class in 0..CLASS_COUNT {
                let wanted = energies.get(class).map_or(0.0, |e| e[channel]);
                if counts[class] >= MIN_SAMPLES && wanted > 0.0 {
                    let present = sums[class] / counts[class] as f32;
                    self.gains[class][channel] = (1.0 - present / wanted).max(0.0).sqrt();
                }
            }
        }
    }

    /// Donor blocks laid over `rect`, each pixel from blocks of its new class.
    fn laid(&self) -> Vec<[f32; 3]> {
        let (rect, block) = (self.rect, self.block_px);
        let step = block / 2;
        // Half a sine: at every place the squares of two neighbours sum to one.
        let window: Vec<f32> = (0..block)
            .map(|i| (PI * (i as f32 + 0.5) / block as f32).sin())
            .collect();
        let mut out = vec![[0.0; 3]; rect.area()];
        out.par_chunks_mut(rect.width.max(1) * step)
            .enumerate()
            .for_each(|(band, rows)| {
                let columns = rect.width.div_ceil(step) + 1;
                // A band of half a block's rows is covered by the blocks that start in it and in the band above.
                for (block_row, first) in [(band, step), (band + 1, 0)] {
                    for block_column in 0..columns {
                        self.lay(rows, band * step, (block_column, block_row), first, &window);
                    }
                }
            });
        out
    }

    /// Lays the block at (column, row) of the grid of half blocks onto `rows`, which start at `top`; `first` is the
    /// block's row that falls on the first of them.
    fn lay(
        &self,
        rows: &mut [[f32; 3]],
        top: usize,
        at: (usize, usize),
        first: usize,
        window: &[f32],
    ) {
        let rect = self.rect;
        let step = self.block_px / 2;
        let mut donor_of = [None; CLASS_COUNT];
        // Block column 0 starts half a block left of the rectangle.
        let left = (at.0 * step).saturating_sub(step);
        let skipped = (left + step) - at.0 * step;
        for (j, row) in rows.chunks_exact_mut(rect.width.max(1)).enumerate() {
            let Some(weight_y) = window.get(first + j) else {
                return;
            };
            let classes = &self.blend.target_mask.row(rect.y + top + j)[rect.x..rect.right()];
            let pixels = row.iter_mut().zip(classes).skip(left);
            for ((pixel, &class), (i, weight_x)) in
                pixels.zip(window.iter().enumerate().skip(skipped))
            {
                let class = usize::from(class);
                let Some(slot) = donor_of.get_mut(class) else {
                    continue;
                };
                let donor = *slot.get_or_insert_with(|| self.pick(class, at));
                if let Some((dx, dy)) = donor {
                    let weight = weight_y * weight_x;
                    let from = (dy + first + j) * self.around.width + dx + i;
                    for (value, plane) in pixel.iter_mut().zip(&self.planes) {
                        *value += weight * plane.data[from];
                    }
                }
            }
        }
    }

    /// The donor for a place: by chance, but the same each time, so that a preview does not flicker.
    fn pick(&self, class: usize, (column, row): (usize, usize)) -> Option<(usize, usize)> {
        let blocks = self.donors.get(class)?;
        let mut hash = (column as u64) << 40 ^ (row as u64) << 16 ^ class as u64;
        // SplitMix64's finaliser.
        hash = (hash ^ hash >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        hash = (hash ^ hash >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        hash ^= hash >> 31;
        let index = (hash % blocks.len().max(1) as u64) as usize;
        blocks.get(index).copied()
    }
}

/// One channel minus its blur.
fn detail_of(picture: &Rgb, channel: usize, sigma_px: f32) -> Grid<f32> {
    let plane = Grid {
        width: picture.width,
        height: picture.height,
        data: picture
            .data
            .iter()
            .skip(channel)
            .step_by(3)
            .map(|&v| f32::from(v))
            .collect(),
    };
    let mut detail = blur(&plane, sigma_px);
    for (low, value) in detail.data.iter_mut().zip(&plane.data) {
        *low = value - *low;
    }
    detail
}
