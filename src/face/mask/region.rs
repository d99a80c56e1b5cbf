//! Regions (1 inside, 0 outside): where two masks differ, growing, and exact distances.
//!
//! Distances: Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions", 2012
//! (lower envelope of parabolas, linear in the number of pixels).

use rayon::prelude::*;

use super::Labels;
use crate::raster::{Grid, Rect};

/// 1 where the masks differ. Both must have the same size; beyond the smaller nothing differs.
pub fn changed(source: &Labels, target: &Labels, rect: Rect) -> Grid<u8> {
    let rect = rect.intersect(source.bounds()).intersect(target.bounds());
    let mut out = Grid::new(rect.width, rect.height, 0);
    for y in 0..rect.height {
        let a = &source.row(rect.y + y)[rect.x..rect.right()];
        let b = &target.row(rect.y + y)[rect.x..rect.right()];
        for (cell, (a, b)) in out.row_mut(y).iter_mut().zip(a.iter().zip(b)) {
            *cell = u8::from(a != b);
        }
    }
    out
}

/// The smallest rectangle around every pixel where the masks differ; empty when none does.
pub fn changed_rect(source: &Labels, target: &Labels) -> Rect {
    let height = source.height.min(target.height);
    (0..height)
        .into_par_iter()
        .map(|y| {
            let (a, b) = (source.row(y), target.row(y));
            if a == b {
                return Rect::default();
            }
            let differs = |(a, b): (&u8, &u8)| a != b;
            let width = a.len().min(b.len());
            let first = a.iter().zip(b).position(differs);
            let last = a[..width].iter().zip(&b[..width]).rposition(differs);
            match (first, last) {
                (Some(first), Some(last)) => Rect::new(first, y, last + 1 - first, 1),
                _ => Rect::default(),
            }
        })
        .reduce(Rect::default, |a, b| a.union(b))
}

/// The region grown by `radius_px` in every direction (round).
pub fn dilate(region: &Grid<u8>, radius_px: f32) -> Grid<u8> {
    let limit = radius_px * radius_px;
    squared_distance(region).map(|&d| u8::from(d <= limit))
}

/// Distance in pixels of every pixel centre to the nearest one inside; 0 inside.
pub fn distance_outside(region: &Grid<u8>) -> Grid<f32> {
    squared_distance(region).map(|d| d.sqrt())
}

/// Square of the distance of every pixel centre to the nearest one inside; very large (over
/// 10¹¹) everywhere when the region is empty.
pub fn squared_distance(region: &Grid<u8>) -> Grid<f32> {
    const FAR: f32 = 1e12;
    let (width, height) = (region.width, region.height);
    // Columns first: a plain two-way scan gives the distance along the column.
    let mut columns = Grid::new(width, height, FAR);
    let mut run = vec![f32::INFINITY; width];
    for down in [true, false] {
        run.fill(f32::INFINITY);
        for step in 0..height {
            let y = if down { step } else { height - 1 - step };
            let inside = region.row(y);
            for ((distance, run), &inside) in
                columns.row_mut(y).iter_mut().zip(&mut run).zip(inside)
            {
                *run = if inside != 0 { 0.0 } else { *run + 1.0 };
                *distance = distance.min(*run * *run);
            }
        }
    }
    columns
        .data
        .par_chunks_mut(width.max(1))
        .for_each_init(Envelope::default, |envelope, row| envelope.transform(row));
    columns
}

/// Work space for one row of the lower envelope.
#[derive(Default)]
struct Envelope {
    values: Vec<f32>,
    roots: Vec<usize>,
    starts: Vec<f64>,
}

impl Envelope {
    /// Replaces `row[x]` by the least `row[i] + (x − i)²`.
    fn transform(&mut self, row: &mut [f32]) {
        self.values.clear();
        self.values.extend_from_slice(row);
        self.roots.clear();
        self.starts.clear();
        for (q, &value) in self.values.iter().enumerate() {
            let height_of = |i: usize, v: f32| f64::from(v) + (i * i) as f64;
            loop {
                let Some((&root, &start)) = self.roots.last().zip(self.starts.last()) else {
                    self.roots.push(q);
                    self.starts.push(f64::NEG_INFINITY);
                    break;
                };
                let crossing = (height_of(q, value) - height_of(root, self.values[root]))
                    / (2 * (q - root)) as f64;
                if crossing > start {
                    self.roots.push(q);
                    self.starts.push(crossing);
                    break;
                }
                self.roots.pop();
                self.starts.pop();
            }
        }
        let mut k = 0;
        for (x, out) in row.iter_mut().enumerate() {
            while self.starts.get(k + 1).is_some_and(|&s| s < x as f64) {
                k += 1;
            }
            let root = self.roots[k];
            let offset = x.abs_diff(root) as f32;
            *out = self.values[root] + offset * offset;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_where_masks_differ() {
        let source = Grid::new(40, 30, 1);
        let mut target = source.clone();
        assert!(changed_rect(&source, &target).is_empty());
        target.set(7, 9, 2);
        target.set(30, 20, 3);
        let rect = changed_rect(&source, &target);
        assert_eq!(rect, Rect::from_edges(7, 9, 31, 21));
        let region = changed(&source, &target, rect);
        assert_eq!(region.data.iter().filter(|&&v| v == 1).count(), 2);
        assert_eq!(region.get(0, 0), Some(&1));
    }

    #[test]
    fn distances_match_brute_force() {
        let mut region = Grid::new(37, 23, 0);
        for (x, y) in [(3, 4), (30, 2), (18, 20), (19, 20), (36, 22)] {
            region.set(x, y, 1);
        }
        let fast = squared_distance(&region);
        for y in 0..23i32 {
            for x in 0..37i32 {
                let slow = [(3, 4), (30, 2), (18, 20), (19, 20), (36, 22)]
                    .iter()
                    .map(|&(a, b): &(i32, i32)| (a - x).pow(2) + (b - y).pow(2))
                    .min()
                    .unwrap();
                assert_eq!(fast.get(x as usize, y as usize), Some(&(slow as f32)));
            }
        }
    }

    #[test]
    fn growing_is_round_and_an_empty_region_stays_empty() {
        let mut region = Grid::new(41, 41, 0);
        assert!(dilate(&region, 30.0).data.iter().all(|&v| v == 0));
        region.set(20, 20, 1);
        let grown = dilate(&region, 10.0);
        let area = grown.data.iter().filter(|&&v| v == 1).count();
        // Lattice points within distance 10 of the origin.
        assert_eq!(area, 317);
        assert_eq!(distance_outside(&region).get(23, 24), Some(&5.0));
    }
}
