//! Grows, shrinks, smooths and cleans one class of a mask. Each gives the labels to swap in, so undo is the same call.
//!
//! What a class gives up goes to the nearest other class ([`fill_gaps`]); what it takes must be allowed by the
//! [`Guard`]. Work follows the rectangle around the class.

use super::nearest::fill_gaps;
use super::{Guard, Labels, Patch, dilate, squared_distance};
use crate::raster::{Grid, Rect};

/// What is done to a class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reshape {
    /// Further out by so many pixels.
    Grow(f32),
    /// Further in by so many pixels.
    Shrink(f32),
    /// Corners and ripples finer than so many pixels are rounded.
    Smooth(f32),
    /// Enclosed areas of other classes up to so many pixels become the class.
    FillHoles(usize),
    /// Separate pieces up to so many pixels go; the largest piece stays.
    RemoveIslands(usize),
}

/// The labels after `change` to `class`; none when nothing changes.
pub fn reshape(mask: &Labels, class: u8, change: Reshape, guard: Guard) -> Option<Patch> {
    let of = class_rect(mask, |label| label == class);
    let margin = match change {
        Reshape::Grow(px) | Reshape::Smooth(px) => px.max(0.0).ceil() as usize + 1,
        _ => 1,
    };
    if of.is_empty() {
        return None;
    }
    let rect = of.grown(margin, mask.bounds());
    let old = mask.crop(rect);
    let region = old.map(|label| u8::from(*label == class));
    let wanted = match change {
        Reshape::Grow(px) => dilate(&region, px),
        Reshape::Shrink(px) => {
            let limit = px * px;
            squared_distance(&region.map(|v| 1 - v)).map(|d| u8::from(*d > limit))
        }
        Reshape::Smooth(px) => smoothed(&region, px),
        Reshape::FillHoles(area) => {
            let mut wanted = region.clone();
            for piece in pieces(&region.map(|v| 1 - v)) {
                if !piece.touches_edge && piece.pixels.len() <= area {
                    piece.pixels.iter().for_each(|at| wanted.data[*at] = 1);
                }
            }
            wanted
        }
        Reshape::RemoveIslands(area) => {
            let mut wanted = region.clone();
            let mut found = pieces(&region);
            found.sort_by_key(|piece| std::cmp::Reverse(piece.pixels.len()));
            for piece in found.iter().skip(1).filter(|p| p.pixels.len() <= area) {
                piece.pixels.iter().for_each(|at| wanted.data[*at] = 0);
            }
            wanted
        }
    };
    let mut new = old;
    let mut gap = Grid::new(rect.width, rect.height, 0);
    for at in 0..new.data.len() {
        match (region.data[at], wanted.data[at]) {
            (1, 0) => gap.data[at] = 1,
            (0, 1) if guard.allows(new.data[at]) => new.data[at] = class,
            _ => {}
        }
    }
    fill_gaps(&mut new, &gap, |label| label != class);
    Patch {
        rect,
        labels: new.data,
    }
    .trimmed(mask)
}

/// The smallest rectangle around the pixels whose label `is_meant`; empty when there is none.
pub fn class_rect(mask: &Labels, is_meant: impl Fn(u8) -> bool) -> Rect {
    let mut rect = Rect::default();
    for (y, row) in mask.rows().enumerate() {
        if let Some(first) = row.iter().position(|l| is_meant(*l))
            && let Some(last) = row.iter().rposition(|l| is_meant(*l))
        {
            rect = rect.union(Rect::new(first, y, last + 1 - first, 1));
        }
    }
    rect
}

/// 1 where a blurred copy of the region is more than half inside.
fn smoothed(region: &Grid<u8>, px: f32) -> Grid<u8> {
    let radius = (px.max(1.0) / 2.0).round().max(1.0) as usize;
    let mut values = region.map(|v| f32::from(*v));
    // Two box blurs make a tent, round enough for outlines.
    for _ in 0..2 {
        values = transposed(&blurred_rows(&values, radius));
        values = transposed(&blurred_rows(&values, radius));
    }
    values.map(|v| u8::from(*v >= 0.5))
}

fn blurred_rows(values: &Grid<f32>, radius: usize) -> Grid<f32> {
    let mut out = values.clone();
    let mut sums = vec![0.0_f64; values.width + 1];
    for y in 0..values.height {
        for (x, value) in values.row(y).iter().enumerate() {
            sums[x + 1] = sums[x] + f64::from(*value);
        }
        for (x, out) in out.row_mut(y).iter_mut().enumerate() {
            let (left, right) = (x.saturating_sub(radius), (x + radius + 1).min(values.width));
            *out = ((sums[right] - sums[left]) / (right - left) as f64) as f32;
        }
    }
    out
}

fn transposed(values: &Grid<f32>) -> Grid<f32> {
    let mut out = Grid::new(values.height, values.width, 0.0);
    for (y, row) in values.rows().enumerate() {
        for (x, value) in row.iter().enumerate() {
            out.data[x * values.height + y] = *value;
        }
    }
    out
}

struct Piece {
    /// Indices into the region.
    pixels: Vec<usize>,
    touches_edge: bool,
}

/// The connected pieces (4 neighbours) of a region.
fn pieces(region: &Grid<u8>) -> Vec<Piece> {
    let (width, height) = (region.width, region.height);
    let mut is_seen = vec![false; width * height];
    let mut found = Vec::new();
    for start in 0..width * height {
        if region.data[start] == 0 || is_seen[start] {
            continue;
        }
        let mut piece = Piece {
            pixels: vec![start],
            touches_edge: false,
        };
        is_seen[start] = true;
        let mut next = 0;
        while let Some(&at) = piece.pixels.get(next) {
            next += 1;
            let (x, y) = (at % width, at / width);
            piece.touches_edge |= x == 0 || y == 0 || x + 1 == width || y + 1 == height;
            let around = [
                (x > 0).then(|| at - 1),
                (x + 1 < width).then_some(at + 1),
                (y > 0).then(|| at - width),
                (y + 1 < height).then_some(at + width),
            ];
            for n in around.into_iter().flatten() {
                if region.data[n] != 0 && !is_seen[n] {
                    is_seen[n] = true;
                    piece.pixels.push(n);
                }
            }
        }
        found.push(piece);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::brush_dot;
    use super::*;

    fn after(mask: &Labels, class: u8, change: Reshape, guard: Guard) -> Labels {
        let mut mask = mask.clone();
        if let Some(mut patch) = reshape(&mask, class, change, guard) {
            patch.swap(&mut mask);
        }
        mask
    }

    fn count(mask: &Labels, class: u8) -> usize {
        mask.data.iter().filter(|label| **label == class).count()
    }

    fn disc(radius: f32) -> Labels {
        let mut mask = Grid::new(80, 80, 1);
        brush_dot(&mut mask, [40.0, 40.0], radius, 4);
        mask
    }

    #[test]
    fn growing_and_shrinking_move_the_outline_by_the_pixels_asked_for() {
        let mask = disc(12.0);
        let area = |radius: f32| std::f32::consts::PI * radius * radius;
        let grown = count(&after(&mask, 4, Reshape::Grow(5.0), Guard::ALL), 4) as f32;
        assert!((grown - area(17.0)).abs() < 30.0, "{grown}");
        let shrunk = after(&mask, 4, Reshape::Shrink(5.0), Guard::ALL);
        let left = count(&shrunk, 4) as f32;
        assert!((left - area(7.0)).abs() < 20.0, "{left}");
        assert_eq!(count(&shrunk, 4) + count(&shrunk, 1), 6400);
        assert_eq!(
            count(&after(&mask, 4, Reshape::Shrink(50.0), Guard::ALL), 4),
            0
        );
        assert_eq!(reshape(&mask, 9, Reshape::Grow(5.0), Guard::ALL), None);
        let locked = Guard::ALL.never(1);
        assert_eq!(reshape(&mask, 4, Reshape::Grow(5.0), locked), None);
    }

    #[test]
    fn what_shrinks_goes_to_the_nearest_neighbour() {
        let mut mask = Grid::new(30, 9, 1);
        for y in 0..9 {
            mask.row_mut(y)[10..20].fill(4);
            mask.row_mut(y)[20..].fill(2);
        }
        let shrunk = after(&mask, 4, Reshape::Shrink(3.0), Guard::ALL);
        assert_eq!(shrunk.row(4)[9..21], [1, 1, 1, 1, 4, 4, 4, 4, 2, 2, 2, 2]);
    }

    #[test]
    fn smoothing_takes_ripples_and_keeps_the_shape() {
        let mut mask = Grid::new(60, 60, 1);
        for y in 20..40 {
            mask.row_mut(y)[10..50].fill(4);
        }
        for x in (10..50).step_by(4) {
            mask.set(x, 19, 4);
            mask.set(x, 18, 4);
        }
        let smooth = after(&mask, 4, Reshape::Smooth(6.0), Guard::ALL);
        let teeth = (10..50).filter(|x| smooth.get(*x, 18) == Some(&4)).count();
        assert_eq!(teeth, 0);
        assert!(count(&smooth, 4).abs_diff(800) < 40);
    }

    #[test]
    fn holes_and_islands_up_to_a_size_go() {
        let mut mask = disc(30.0);
        brush_dot(&mut mask, [40.0, 30.0], 2.0, 7);
        brush_dot(&mut mask, [40.0, 50.0], 8.0, 7);
        let holes = (count(&mask, 7), count(&mask, 4));
        let filled = after(&mask, 4, Reshape::FillHoles(20), Guard::ALL);
        assert_eq!(filled.get(40, 30), Some(&4));
        assert_eq!(filled.get(40, 50), Some(&7));
        let small = holes.0 - count(&filled, 7);
        assert!((10..=16).contains(&small), "{small}");
        assert_eq!(count(&filled, 4), holes.1 + small);

        brush_dot(&mut mask, [4.0, 4.0], 2.0, 4);
        let pieces = count(&mask, 4);
        let cleaned = after(&mask, 4, Reshape::RemoveIslands(20), Guard::ALL);
        assert_eq!(cleaned.get(4, 4), Some(&1));
        assert_eq!(pieces - count(&cleaned, 4), small);
        assert_eq!(
            reshape(&mask, 4, Reshape::RemoveIslands(3), Guard::ALL),
            None
        );
    }
}
