//! Undo and redo: two stacks of patches. A step keeps only the rectangle it changed, and the
//! oldest steps go when the whole passes a memory limit.

use std::collections::VecDeque;

use super::{Labels, Patch};
use crate::raster::Rect;

/// Labels kept for undo, at most; about 600 strokes with a 300 px brush. The newest step is kept
/// whatever its size.
const LIMIT_BYTES: usize = 256 << 20;

/// What undo and redo can bring back.
#[derive(Debug, Default)]
pub struct History {
    undo: VecDeque<Patch>,
    redo: Vec<Patch>,
    bytes: usize,
}

impl History {
    /// Notes a change that was just made: `before` is what it painted over. Forgets the redo
    /// steps, which no longer fit.
    pub fn push(&mut self, before: Patch) {
        self.bytes -= self.redo.drain(..).map(|p| p.labels.len()).sum::<usize>();
        self.bytes += before.labels.len();
        self.undo.push_back(before);
        while self.bytes > LIMIT_BYTES && self.undo.len() > 1 {
            if let Some(oldest) = self.undo.pop_front() {
                self.bytes -= oldest.labels.len();
            }
        }
    }

    /// Takes the last change back. Gives the rectangle to redraw, or none at the beginning.
    pub fn undo(&mut self, mask: &mut Labels) -> Option<Rect> {
        let mut patch = self.undo.pop_back()?;
        patch.swap(mask);
        let rect = patch.rect;
        self.redo.push(patch);
        Some(rect)
    }

    /// Makes the last undone change again.
    pub fn redo(&mut self, mask: &mut Labels) -> Option<Rect> {
        let mut patch = self.redo.pop()?;
        patch.swap(mask);
        let rect = patch.rect;
        self.undo.push_back(patch);
        Some(rect)
    }

    /// Whether there is something to undo.
    pub fn can_undo(&self) -> bool {
        !self.undo.is_empty()
    }

    /// Whether there is something to redo.
    pub fn can_redo(&self) -> bool {
        !self.redo.is_empty()
    }

    /// Labels held, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets everything, as when another photo is opened.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{brush_dot, fill};
    use super::*;
    use crate::raster::Grid;

    #[test]
    fn undo_and_redo_walk_the_same_states() {
        let mut mask = Grid::new(60, 60, 0);
        let mut history = History::default();
        let mut states = vec![mask.clone()];
        for (x, class) in [(10.0, 1), (20.0, 2), (30.0, 3)] {
            history.push(brush_dot(&mut mask, [x, 30.0], 9.0, class).unwrap());
            states.push(mask.clone());
        }
        history.push(fill(&mut mask, 0, 0, 13).unwrap());
        states.push(mask.clone());
        for state in states.iter().rev().skip(1) {
            history.undo(&mut mask).unwrap();
            assert_eq!(&mask, state);
        }
        assert_eq!(history.undo(&mut mask), None);
        for state in &states[1..] {
            history.redo(&mut mask).unwrap();
            assert_eq!(&mask, state);
        }
        assert_eq!(history.redo(&mut mask), None);
    }

    #[test]
    fn a_new_change_forgets_redo() {
        let mut mask = Grid::new(20, 20, 0);
        let mut history = History::default();
        history.push(brush_dot(&mut mask, [5.0, 5.0], 2.0, 1).unwrap());
        history.undo(&mut mask);
        assert!(history.can_redo());
        history.push(brush_dot(&mut mask, [9.0, 5.0], 2.0, 1).unwrap());
        assert!(!history.can_redo() && history.can_undo());
        assert_eq!(history.bytes(), 16);
        history.clear();
        assert_eq!((history.bytes(), history.can_undo()), (0, false));
    }

    #[test]
    fn memory_is_bounded_and_the_newest_step_stays() {
        let mut history = History::default();
        let rect = Rect::whole(8192, 8192);
        for _ in 0..6 {
            history.push(Patch {
                rect,
                labels: vec![0; rect.area()],
            });
        }
        assert_eq!(history.bytes(), LIMIT_BYTES);
    }
}
