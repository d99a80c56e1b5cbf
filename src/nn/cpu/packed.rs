//! Weights in the order that the micro-kernel reads them in, and how its results are put down.

use super::SharedMut;
use super::geometry::{After, PASS_DEPTH};
use super::micro::{self, Clamp, LANES, Sink};

/// Splits `co` output channels into tiles of 6 and 4 rows with the least padding.
pub(super) fn row_tiles(co: usize) -> Vec<(usize, usize)> {
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
#[derive(Debug)]
pub struct Packed {
    /// First output channel and rows of each tile.
    pub(super) tiles: Vec<(usize, usize)>,
    /// Rows of all tiles, those that fill up included.
    pub(super) padded: usize,
    pub(super) values: Vec<f32>,
}

impl Packed {
    pub(super) fn new(weight: &[f32], co: usize, depth: usize, pass: usize) -> Self {
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
        Self {
            tiles,
            padded,
            values,
        }
    }

    /// Of a 1 × 1 convolution, [co, ci].
    pub fn pointwise(weight: &[f32], co: usize, ci: usize) -> Self {
        Self::new(weight, co, ci, PASS_DEPTH.min(ci).max(1))
    }
}

/// What one call of the micro-kernel reads: a tile's weights in one pass, and where each input row starts.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a> {
    /// `height` values for each offset.
    pub weights: &'a [f32],
    /// 6 or 4.
    pub height: usize,
    pub offsets: &'a [u32],
    pub avx2: bool,
}

impl Tile<'_> {
    /// Sums for 16 pixels.
    ///
    /// # Safety
    /// `b + offset + 15` is readable for every offset.
    pub unsafe fn sums(&self, b: *const f32) -> [[f32; LANES]; 6] {
        let mut acc = [[0f32; LANES]; 6];
        // SAFETY: promised by the caller.
        unsafe {
            if self.height == 6 {
                let weights = self.weights.as_ptr();
                micro::rows_by_16::<6>(weights, b, self.offsets, self.avx2, &mut acc);
            } else {
                let mut four = [[0f32; LANES]; 4];
                let weights = self.weights.as_ptr();
                micro::rows_by_16::<4>(weights, b, self.offsets, self.avx2, &mut four);
                acc[..4].copy_from_slice(&four);
            }
        }
        acc
    }

    /// 16 pixels, put where they belong.
    ///
    /// # Safety
    /// As [`Tile::sums`] and [`micro::rows_by_16_to`].
    pub unsafe fn put(&self, b: *const f32, sink: &Sink) {
        let weights = self.weights.as_ptr();
        // SAFETY: promised by the caller.
        unsafe {
            if self.height == 6 {
                micro::rows_by_16_to::<6>(weights, b, self.offsets, self.avx2, sink);
            } else {
                micro::rows_by_16_to::<4>(weights, b, self.offsets, self.avx2, sink);
            }
        }
    }
}

/// What is added to the rows of a tile on its first pass, and the bounds on its last one.
pub(super) fn finish(
    after: &After,
    row: usize,
    is_first: bool,
    is_last: bool,
) -> (Option<[f32; 6]>, Clamp) {
    let value = |r: usize| after.bias.and_then(|b| b.get(row + r)).copied();
    let bias = is_first.then(|| std::array::from_fn(|r| value(r).unwrap_or(0.0)));
    (bias, if is_last { after.clamp } else { Clamp::NONE })
}

/// Writes `values` `step` apart from `at`: plus `add` on the first pass, on top of what is there later.
///
/// # Safety
/// All addressed elements lie in the shared buffer and belong to the calling task.
#[inline]
pub(super) unsafe fn store(
    out: SharedMut,
    at: usize,
    step: usize,
    values: &[f32],
    add: Option<f32>,
    clamp: Clamp,
) {
    // SAFETY: promised by the caller.
    unsafe {
        let to = out.get().add(at);
        for (l, v) in values.iter().enumerate() {
            let o = to.add(l * step);
            *o = clamp.of(v + add.unwrap_or(*o));
        }
    }
}
