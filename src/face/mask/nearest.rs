//! Fills gaps in a label map with the labels around them: each pixel takes that of the nearest pixel outside the gap.
//!
//! Breadth first from the rim, each pixel remembering which rim pixel it came from, so distances are Euclidean but for
//! ties (Danielsson, "Euclidean Distance Mapping", 1980). Left out: pictures; only labels are filled.

use super::Labels;
use crate::raster::Grid;

const NONE: u32 = u32::MAX;

/// Gives every pixel where `gap` is 1 the label of the nearest pixel outside the gap whose label `is_seed` accepts.
/// Gaps that no such pixel touches stay as they are. Both maps have the same size.
pub fn fill_gaps(labels: &mut Labels, gap: &Grid<u8>, is_seed: impl Fn(u8) -> bool) {
    let (width, height) = (labels.width, labels.height);
    if (gap.width, gap.height) != (width, height) {
        return;
    }
    let mut origin = vec![NONE; width * height];
    for (at, origin) in origin.iter_mut().enumerate() {
        if gap.data[at] == 0 && is_seed(labels.data[at]) {
            *origin = at as u32;
        }
    }
    let around = |at: usize| {
        let (x, y) = (at % width, at / width);
        let rows = y.saturating_sub(1)..(y + 2).min(height);
        rows.flat_map(move |y| {
            (x.saturating_sub(1)..(x + 2).min(width)).map(move |x| y * width + x)
        })
    };
    let mut is_queued = vec![false; width * height];
    let mut layer: Vec<usize> = Vec::new();
    for at in 0..width * height {
        if gap.data[at] != 0 && around(at).any(|n| origin[n] != NONE) {
            is_queued[at] = true;
            layer.push(at);
        }
    }
    while !layer.is_empty() {
        let nearest: Vec<u32> = layer
            .iter()
            .map(|&at| {
                let (x, y) = (at % width, at / width);
                let distance = |seed: u32| {
                    let seed = seed as usize;
                    x.abs_diff(seed % width).pow(2) + y.abs_diff(seed / width).pow(2)
                };
                around(at)
                    .map(|n| origin[n])
                    .filter(|seed| *seed != NONE)
                    .min_by_key(|seed| (distance(*seed), *seed))
                    .unwrap_or(NONE)
            })
            .collect();
        let mut next = Vec::new();
        for (&at, seed) in layer.iter().zip(nearest) {
            origin[at] = seed;
        }
        for at in layer {
            for n in around(at) {
                if gap.data[n] != 0 && !is_queued[n] {
                    is_queued[n] = true;
                    next.push(n);
                }
            }
        }
        layer = next;
    }
    for at in 0..width * height {
        if gap.data[at] != 0 && origin[at] != NONE {
            labels.data[at] = labels.data[origin[at] as usize];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_takes_the_nearest_label() {
        // Left half 1, right half 2, a gap across both.
        let mut labels = Grid::new(20, 11, 1);
        for y in 0..11 {
            labels.row_mut(y)[10..].fill(2);
        }
        let whole = labels.clone();
        let mut gap = Grid::new(20, 11, 0);
        for y in 3..8 {
            gap.row_mut(y)[4..16].fill(1);
            labels.row_mut(y)[4..16].fill(9);
        }
        fill_gaps(&mut labels, &gap, |_| true);
        assert_eq!(labels, whole);
    }

    #[test]
    fn gaps_without_a_seed_stay() {
        let mut labels = Grid::new(6, 6, 5);
        let gap = Grid::new(6, 6, 1);
        fill_gaps(&mut labels, &gap, |_| true);
        assert_eq!(labels, Grid::new(6, 6, 5));
        let mut gap = Grid::new(6, 6, 0);
        gap.set(3, 3, 1);
        fill_gaps(&mut labels, &gap, |label| label != 5);
        assert_eq!(labels, Grid::new(6, 6, 5));
    }
}
