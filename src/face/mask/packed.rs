//! A patch of labels packed for the history and for project files: runs of equal labels, one after the other.
//!
//! Masks are areas of few classes, so a patch of a megabyte packs to a few kilobytes. Left out: anything cleverer; a
//! zip archive does the rest.

use anyhow::{Result, ensure};

use super::{Labels, Patch};
use crate::raster::Rect;

/// A packed [`Patch`].
#[derive(Clone, Debug, PartialEq)]
pub struct Packed {
    rect: Rect,
    /// Label, then the run's length less one in base 128, low digits first, the top bit set on all but the last.
    runs: Vec<u8>,
}

impl Packed {
    /// Packs a patch.
    pub fn pack(patch: &Patch) -> Self {
        let mut runs = Vec::new();
        let mut rest = patch.labels.as_slice();
        while let Some(&label) = rest.first() {
            let len = rest.iter().position(|l| *l != label).unwrap_or(rest.len());
            runs.push(label);
            let mut value = len - 1;
            while value >= 128 {
                runs.push((value & 127) as u8 | 128);
                value >>= 7;
            }
            runs.push(value as u8);
            rest = &rest[len..];
        }
        runs.shrink_to_fit();
        let rect = patch.rect;
        Self { rect, runs }
    }

    /// All of a mask.
    pub fn of(mask: &Labels) -> Self {
        Self::pack(&Patch::take(mask, mask.bounds()))
    }

    /// The patch again.
    pub fn unpack(&self) -> Patch {
        let mut labels = Vec::with_capacity(self.rect.area());
        let mut bytes = self.runs.iter();
        while let Some(&label) = bytes.next() {
            let (mut len, mut shift) = (0_usize, 0);
            for byte in bytes.by_ref() {
                len |= usize::from(byte & 127) << shift;
                shift += 7;
                if byte & 128 == 0 || shift > 35 {
                    break;
                }
            }
            labels.extend(std::iter::repeat_n(label, len + 1));
        }
        Patch {
            rect: self.rect,
            labels,
        }
    }

    /// From the parts that [`Packed::rect`] and [`Packed::runs`] gave, perhaps through a damaged file: `rect` must
    /// lie in a mask of `size` and the runs must fill it with labels below `classes`.
    ///
    /// # Errors
    /// When they do not.
    pub fn checked(rect: Rect, runs: Vec<u8>, size: [usize; 2], classes: u8) -> Result<Self> {
        let is_inside = rect.x.checked_add(rect.width).is_some_and(|r| r <= size[0])
            && rect
                .y
                .checked_add(rect.height)
                .is_some_and(|b| b <= size[1]);
        ensure!(is_inside, "A step of the history lies outside the mask");
        let mut total = 0_u64;
        let mut bytes = runs.iter();
        while let Some(&label) = bytes.next() {
            ensure!(label < classes, "A step of the history has a label {label}");
            let (mut len, mut shift, mut is_whole) = (0_u64, 0, false);
            for byte in bytes.by_ref() {
                len |= u64::from(byte & 127) << shift;
                shift += 7;
                if byte & 128 == 0 {
                    is_whole = true;
                    break;
                }
                ensure!(shift <= 35, "A step of the history is damaged");
            }
            ensure!(is_whole, "A step of the history is cut short");
            total += len + 1;
        }
        ensure!(
            total == rect.area() as u64,
            "A step of the history does not fill its rectangle"
        );
        Ok(Self { rect, runs })
    }

    pub fn rect(&self) -> Rect {
        self.rect
    }

    pub fn runs(&self) -> &[u8] {
        &self.runs
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.runs.capacity() + size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(labels: Vec<u8>, width: usize) -> Patch {
        let rect = Rect::new(3, 4, width, labels.len() / width);
        Patch { rect, labels }
    }

    #[test]
    fn packing_and_unpacking_give_the_same_patch() {
        let mut seed = 7_u32;
        let noise: Vec<u8> = (0..600)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 28) as u8
            })
            .collect();
        let mut runs = vec![5_u8; 100_000];
        runs[70_000..].fill(6);
        for (labels, width) in [(noise, 20), (runs, 500), (vec![1], 1)] {
            let patch = patch(labels, width);
            assert_eq!(Packed::pack(&patch).unpack(), patch);
        }
    }

    #[test]
    fn areas_pack_small() {
        let packed = Packed::pack(&patch(vec![13; 1 << 20], 1024));
        assert!(packed.bytes() < 100, "{}", packed.bytes());
    }

    #[test]
    fn damaged_runs_are_refused() {
        let good = Packed::pack(&patch(vec![1, 1, 1, 2, 2, 2], 3));
        let check = |rect, runs: &[u8]| Packed::checked(rect, runs.to_vec(), [10, 10], 19);
        assert_eq!(check(good.rect, &good.runs).unwrap(), good);
        assert!(check(Rect::new(9, 4, 3, 2), &good.runs).is_err());
        assert!(check(Rect::new(3, 4, 4, 2), &good.runs).is_err());
        assert!(check(good.rect, &[1, 2, 19, 2]).is_err());
        assert!(check(good.rect, &[1, 2, 2]).is_err());
        assert!(check(good.rect, &[1, 255, 255, 255, 255, 255, 255, 127]).is_err());
        let far = Rect::new(usize::MAX, 0, 3, 2);
        assert!(check(far, &good.runs).is_err());
    }
}
