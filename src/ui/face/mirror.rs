//! The painted mask as the jobs see it: a copy that follows the window's, stroke by stroke.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError, RwLock};

use crate::face::mask::{Labels, Patch};

/// The painted mask as the jobs see it. The window hands over what each stroke changed, at the cost of the stroke;
/// the job brings its copy up to date before it starts.
pub struct Mirror {
    mask: RwLock<Mirrored>,
    behind: Mutex<Behind>,
}

struct Mirrored {
    labels: Labels,
    /// How many changes are in it.
    taken: u64,
}

#[derive(Default)]
struct Behind {
    patches: VecDeque<Patch>,
    /// How many changes there ever were.
    told: u64,
}

impl Mirror {
    pub fn new(labels: Labels) -> Self {
        let behind = Mutex::default();
        let mask = RwLock::new(Mirrored { labels, taken: 0 });
        Self { mask, behind }
    }

    /// Notes what a rectangle of the mask holds now. Never waits for a job.
    pub fn push(&self, now: Patch) {
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        behind.patches.push_back(now);
        behind.told += 1;
    }

    /// How many changes it was told of.
    pub fn told(&self) -> u64 {
        let behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        behind.told
    }

    /// Runs `read` on the mask as it is now. May wait for another job.
    pub fn read<R>(&self, read: impl FnOnce(&Labels) -> R) -> R {
        let mut mask = self.mask.write().unwrap_or_else(PoisonError::into_inner);
        self.catch_up(&mut mask, u64::MAX);
        drop(mask);
        let mask = self.mask.read().unwrap_or_else(PoisonError::into_inner);
        read(&mask.labels)
    }

    /// The mask as it was after so many changes; none when a job has taken more already.
    pub fn at(&self, told: u64) -> Option<Labels> {
        let mut mask = self.mask.write().unwrap_or_else(PoisonError::into_inner);
        self.catch_up(&mut mask, told);
        (mask.taken == told).then(|| mask.labels.clone())
    }

    fn catch_up(&self, mask: &mut Mirrored, told: u64) {
        while mask.taken < told {
            let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(mut patch) = behind.patches.pop_front() else {
                break;
            };
            drop(behind);
            patch.swap(&mut mask.labels);
            mask.taken += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raster::{Grid, Rect};

    #[test]
    fn the_mirror_follows_the_mask_stroke_by_stroke() {
        let mut mask = Grid::new(40, 30, 0_u8);
        let mirror = Mirror::new(mask.clone());
        for (i, x) in [3, 20, 8].into_iter().enumerate() {
            let rect = Rect::new(x, 5, 6, 4);
            for y in rect.y..rect.bottom() {
                mask.row_mut(y)[rect.x..rect.right()].fill(i as u8 + 1);
            }
            mirror.push(Patch::take(&mask, rect));
        }
        let behind = mirror.at(2).unwrap();
        assert_eq!((behind.get(21, 6), behind.get(8, 6)), (Some(&2), Some(&1)));
        mirror.read(|mirrored| assert_eq!(*mirrored, mask));
        assert_eq!((mirror.told(), mirror.at(2)), (3, None));
        assert_eq!(mirror.read(Clone::clone), mask);
    }
}
