//! Flood fill, by horizontal runs: memory follows the outline, not the area. One kind stops at edges of the photo.

use super::{Labels, Patch};
use crate::raster::{Grid, Rect, Rgb};

/// Gives `class` to the connected area (4 neighbours) of equal labels around pixel (`x`, `y`).
/// None when the point is outside or the area has that class already.
pub fn fill(mask: &mut Labels, x: usize, y: usize, class: u8) -> Option<Patch> {
    let old = *mask.get(x, y)?;
    if old == class {
        return None;
    }
    // Runs are painted as they are found, so `old` marks what is still to visit. Their list is
    // enough to restore the rectangle afterwards.
    let mut runs: Vec<(usize, usize, usize)> = Vec::new();
    let mut seeds = vec![(x, y)];
    let mut rect = Rect::default();
    while let Some((x, y)) = seeds.pop() {
        let row = mask.row_mut(y);
        if row.get(x) != Some(&old) {
            continue;
        }
        let left = row[..x]
            .iter()
            .rposition(|&c| c != old)
            .map_or(0, |i| i + 1);
        let right = row[x..]
            .iter()
            .position(|&c| c != old)
            .map_or(row.len(), |i| x + i);
        row[left..right].fill(class);
        runs.push((y, left, right));
        rect = rect.union(Rect::new(left, y, right - left, 1));
        for next in [y.checked_sub(1), Some(y + 1)].into_iter().flatten() {
            let row = mask.row(next);
            let mut inside = false;
            for (column, &c) in row.iter().enumerate().take(right).skip(left) {
                if c == old && !inside {
                    seeds.push((column, next));
                }
                inside = c == old;
            }
        }
    }
    let mut patch = Patch::take(mask, rect);
    for (y, left, right) in runs {
        let start = (y - rect.y) * rect.width;
        patch.labels[start + left - rect.x..start + right - rect.x].fill(old);
    }
    Some(patch)
}

/// The labels after a fill from pixel (`x`, `y`) that stays in the connected area of equal labels and does not cross
/// places where the photo changes by `edge` or more from one side of a pixel to the other, 0 to 255. The edge's own
/// pixels are painted, so that two fills from both sides meet. None when nothing changes.
pub fn fill_to_edges(
    mask: &Labels,
    photo: &Rgb,
    (x, y): (usize, usize),
    class: u8,
    edge: f32,
) -> Option<Patch> {
    let old = *mask.get(x, y)?;
    if old == class || (photo.width, photo.height) != (mask.width, mask.height) {
        return None;
    }
    let mut is_seen = Grid::new(mask.width, mask.height, false);
    let mut rect = Rect::new(x, y, 1, 1);
    let start = (x, y);
    let mut queue = vec![start];
    is_seen.set(x, y, true);
    while let Some((x, y)) = queue.pop() {
        // The pixel that was clicked may lie on an edge itself.
        rect = rect.union(Rect::new(x, y, 1, 1));
        if contrast_at(photo, x, y) >= edge && (x, y) != start {
            continue;
        }
        let around = [
            x.checked_sub(1).map(|x| (x, y)),
            Some((x + 1, y)),
            y.checked_sub(1).map(|y| (x, y)),
            Some((x, y + 1)),
        ];
        for (x, y) in around.into_iter().flatten() {
            if mask.get(x, y) == Some(&old) && is_seen.get(x, y) == Some(&false) {
                is_seen.set(x, y, true);
                queue.push((x, y));
            }
        }
    }
    let mut labels = mask.crop(rect).data;
    for (label, seen) in labels.iter_mut().zip(is_seen.crop(rect).data) {
        if seen {
            *label = class;
        }
    }
    Some(Patch { rect, labels })
}

/// How much the photo changes across a pixel, 0 to 255: Sobel's gradient of the brightness, scaled so that a step of
/// 100 gives 100.
fn contrast_at(photo: &Rgb, x: usize, y: usize) -> f32 {
    let at = |dx: isize, dy: isize| {
        let x = x.saturating_add_signed(dx).min(photo.width - 1);
        let y = y.saturating_add_signed(dy).min(photo.height - 1);
        let [r, g, b] = photo.get(x, y).unwrap_or_default().map(f32::from);
        0.299 * r + 0.587 * g + 0.114 * b
    };
    let column = |dx| at(dx, -1) + 2.0 * at(dx, 0) + at(dx, 1);
    let row = |dy| at(-1, dy) + 2.0 * at(0, dy) + at(1, dy);
    (column(1) - column(-1)).hypot(row(1) - row(-1)) / 4.0
}

/// Gives `class` to every pixel that has class `old`, connected or not.
pub fn replace_class(mask: &mut Labels, old: u8, class: u8) -> Option<Patch> {
    if old == class {
        return None;
    }
    let mut rect = Rect::default();
    for y in 0..mask.height {
        let row = mask.row(y);
        if let Some(first) = row.iter().position(|&c| c == old)
            && let Some(last) = row.iter().rposition(|&c| c == old)
        {
            rect = rect.union(Rect::new(first, y, last + 1 - first, 1));
        }
    }
    if rect.is_empty() {
        return None;
    }
    let patch = Patch::take(mask, rect);
    for y in rect.y..rect.bottom() {
        for label in &mut mask.row_mut(y)[rect.x..rect.right()] {
            if *label == old {
                *label = class;
            }
        }
    }
    Some(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_of_the_photo_stops_the_fill() {
        let mut photo = Rgb::new(40, 20, [100, 100, 100]);
        for y in 0..20 {
            for x in 20..40 {
                photo.set(x, y, [180, 180, 180]);
            }
        }
        let mask = Grid::new(40, 20, 1);
        let count = |edge: f32, at: (usize, usize)| {
            let patch = fill_to_edges(&mask, &photo, at, 13, edge).unwrap();
            patch.labels.iter().filter(|l| **l == 13).count()
        };
        // The step of 80 is felt on both of its sides: columns 19 and 20.
        assert_eq!(count(60.0, (5, 10)), 20 * 20);
        assert_eq!(count(60.0, (30, 10)), 20 * 20);
        assert_eq!(count(120.0, (5, 10)), 800, "too weak an edge");
        assert_eq!(fill_to_edges(&mask, &photo, (5, 10), 1, 60.0), None);
        assert_eq!(fill_to_edges(&mask, &photo, (50, 10), 2, 60.0), None);
    }

    #[test]
    fn fills_the_connected_area_only() {
        #[rustfmt::skip]
        let mut mask = Grid::from_vec(5, 4, vec![
            1, 1, 0, 1, 1,
            1, 0, 1, 0, 1,
            1, 0, 0, 0, 1,
            1, 1, 1, 1, 1,
        ]).unwrap();
        let before = mask.clone();
        let mut patch = fill(&mut mask, 2, 2, 9).unwrap();
        #[rustfmt::skip]
        assert_eq!(mask.data, [
            1, 1, 0, 1, 1,
            1, 9, 1, 9, 1,
            1, 9, 9, 9, 1,
            1, 1, 1, 1, 1,
        ]);
        assert_eq!(patch.rect, Rect::new(1, 1, 3, 2));
        patch.swap(&mut mask);
        assert_eq!(mask, before);
        assert_eq!(fill(&mut mask, 2, 0, 0), None);
        assert_eq!(fill(&mut mask, 5, 0, 3), None);
    }

    #[test]
    fn fills_winding_and_whole_areas() {
        let mut mask = Grid::new(301, 201, 4);
        // Walls with gaps at alternating ends make one long corridor.
        for x in (2..301).step_by(4) {
            for y in 0..200 {
                mask.set(x, if x % 8 == 2 { y } else { 200 - y }, 0);
            }
        }
        let walls = mask.data.iter().filter(|&&c| c == 0).count();
        let before = mask.clone();
        let mut patch = fill(&mut mask, 0, 0, 17).unwrap();
        let filled = mask.data.iter().filter(|&&c| c == 17).count();
        assert_eq!(filled, 301 * 201 - walls);
        patch.swap(&mut mask);
        assert_eq!(mask, before);
    }

    #[test]
    fn replaces_a_class_everywhere() {
        let mut mask = Grid::from_vec(4, 2, vec![1, 2, 3, 2, 1, 1, 2, 1]).unwrap();
        let mut patch = replace_class(&mut mask, 2, 8).unwrap();
        assert_eq!(mask.data, [1, 8, 3, 8, 1, 1, 8, 1]);
        patch.swap(&mut mask);
        assert_eq!(mask.data, [1, 2, 3, 2, 1, 1, 2, 1]);
        assert_eq!(replace_class(&mut mask, 9, 1), None);
    }
}
