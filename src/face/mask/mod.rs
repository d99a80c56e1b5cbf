//! The face mask the user paints: a label map, the tools that change it, and undo.
//!
//! Every tool returns a [`Patch`]: the rectangle it touched and the labels that were there. Work
//! and memory follow that rectangle, never the photo, so a 4096² mask paints like a small one.

mod brush;
mod file;
mod fill;
mod formats;
mod history;
mod history_file;
mod nearest;
mod orders;
mod packed;
mod part;
mod region;
mod reshape;
mod rle;
mod rules;
mod steady;

pub use brush::{Stroke, Tip, brush_dot};
pub use file::{decode_mask, encode_mask, read_mask, write_mask};
pub use fill::{fill, fill_to_edges, replace_class};
pub use formats::{Fit, MaskFormat, OpenedMask, open_mask, save_mask};
pub use history::{History, Step};
pub use packed::Packed;
pub use part::{Part, Placement, copy_part};
pub use region::{changed, changed_rect, dilate, distance_outside, squared_distance};
pub use reshape::{Reshape, class_rect, reshape};
pub use rle::{Counts, Rle};
pub use rules::{Axis, Guard, Rules, ellipse, paint_polygon, rectangle};
pub use steady::Steady;

use crate::raster::{Grid, Rect};

/// A label map: one class id (0…18) a pixel.
pub type Labels = Grid<u8>;

/// A rectangle of labels, as they were before (or will be after) a change.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    pub rect: Rect,
    /// Row-major labels of `rect`.
    pub labels: Vec<u8>,
}

impl Patch {
    /// The labels now in `rect`, which is cut to the mask.
    pub fn take(mask: &Labels, rect: Rect) -> Self {
        let rect = rect.intersect(mask.bounds());
        Self {
            rect,
            labels: mask.crop(rect).data,
        }
    }

    /// Exchanges the patch with the mask. Doing it again undoes it, so undo and redo are the
    /// same call. A patch of another mask's size exchanges only what lies inside.
    pub fn swap(&mut self, mask: &mut Labels) {
        let inside = self.rect.intersect(mask.bounds());
        for y in inside.y..inside.bottom() {
            let start = (y - self.rect.y) * self.rect.width + (inside.x - self.rect.x);
            let row = &mut mask.row_mut(y)[inside.x..inside.right()];
            if let Some(kept) = self.labels.get_mut(start..start + inside.width) {
                row.swap_with_slice(kept);
            }
        }
    }

    /// Cuts the patch to the pixels where it differs from `mask`; none when nothing does.
    pub fn trimmed(self, mask: &Labels) -> Option<Self> {
        let inside = self.rect.intersect(mask.bounds());
        let mut changed = Rect::default();
        for y in inside.y..inside.bottom() {
            let start = (y - self.rect.y) * self.rect.width + (inside.x - self.rect.x);
            let now = &mask.row(y)[inside.x..inside.right()];
            let before = self.labels.get(start..start + inside.width)?;
            if now == before {
                continue;
            }
            let differs = |(a, b): (&u8, &u8)| a != b;
            let first = now.iter().zip(before).position(differs)?;
            let last = now.iter().zip(before).rposition(differs)?;
            changed = changed.union(Rect::new(inside.x + first, y, last + 1 - first, 1));
        }
        if changed.is_empty() {
            return None;
        }
        let before = Grid {
            width: self.rect.width,
            height: self.rect.height,
            data: self.labels,
        };
        Some(Self {
            rect: changed,
            labels: before.crop(changed.relative_to(self.rect)).data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapping_twice_changes_nothing() {
        let mut mask = Grid::from_vec(4, 3, (0..12).collect()).unwrap();
        let before = mask.clone();
        let mut patch = Patch {
            rect: Rect::new(1, 1, 2, 2),
            labels: vec![15, 16, 17, 18],
        };
        patch.swap(&mut mask);
        assert_eq!(mask.data, [0, 1, 2, 3, 4, 15, 16, 7, 8, 17, 18, 11]);
        assert_eq!(patch.labels, [5, 6, 9, 10]);
        patch.swap(&mut mask);
        assert_eq!(mask, before);
    }

    #[test]
    fn a_patch_of_another_size_is_harmless() {
        let mut mask = Grid::new(3, 3, 1);
        let mut patch = Patch {
            rect: Rect::new(2, 2, 4, 4),
            labels: vec![7; 16],
        };
        patch.swap(&mut mask);
        assert_eq!(mask.data, [1, 1, 1, 1, 1, 1, 1, 1, 7]);
    }

    #[test]
    fn trimming_keeps_what_changed() {
        let mut mask = Grid::new(10, 10, 0);
        let patch = Patch::take(&mask, Rect::new(1, 1, 8, 8));
        assert_eq!(patch.clone().trimmed(&mask), None);
        mask.set(3, 4, 9);
        mask.set(6, 5, 9);
        let patch = patch.trimmed(&mask).unwrap();
        assert_eq!(patch.rect, Rect::new(3, 4, 4, 2));
        assert_eq!(patch.labels, [0; 8]);
    }
}
