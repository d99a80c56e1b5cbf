//! Flood fill, by horizontal runs: memory follows the outline, not the area.

use super::{Labels, Patch};
use crate::raster::Rect;

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
    use crate::raster::Grid;

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
