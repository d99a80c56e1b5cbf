//! Undo, redo and the list of steps: packed patches, each with a name and a small picture of what it painted.
//!
//! A step keeps only the rectangle it changed, packed, so thousands of strokes take a few megabytes. The oldest steps
//! go when the whole passes a memory limit.

use std::collections::VecDeque;

use super::{Labels, Packed, Patch};
use crate::raster::{Grid, Rect};

/// Memory for undo, at most. The newest step is kept whatever its size.
const LIMIT_BYTES: usize = 256 << 20;
/// Side of a step's picture.
pub const THUMBNAIL_PX: usize = 24;

/// One change of the mask.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub name: String,
    /// The labels around the change, just after it: [`THUMBNAIL_PX`] a side.
    pub thumbnail: Grid<u8>,
    /// What to swap in to undo or, once undone, to redo it.
    pub(super) patch: Packed,
}

impl Step {
    fn new(before: &Patch, name: String, mask: &Labels) -> Self {
        Self {
            name,
            thumbnail: thumbnail(mask, before.rect),
            patch: Packed::pack(before),
        }
    }

    fn bytes(&self) -> usize {
        self.patch.bytes() + self.name.len() + self.thumbnail.data.len()
    }

    /// Exchanges the step with the mask.
    fn swap(&mut self, mask: &mut Labels) -> Rect {
        let mut patch = self.patch.unpack();
        patch.swap(mask);
        self.patch = Packed::pack(&patch);
        patch.rect
    }
}

/// What undo and redo can bring back.
#[derive(Clone, Debug)]
pub struct History {
    pub(super) undo: VecDeque<Step>,
    pub(super) redo: Vec<Step>,
    pub(super) forgotten: usize,
    bytes: usize,
    limit_bytes: usize,
}

impl Default for History {
    fn default() -> Self {
        Self::with_limit(LIMIT_BYTES)
    }
}

impl History {
    /// A history that holds this many bytes at most.
    pub fn with_limit(limit_bytes: usize) -> Self {
        Self {
            undo: VecDeque::new(),
            redo: Vec::new(),
            forgotten: 0,
            bytes: 0,
            limit_bytes,
        }
    }

    /// Notes a change that was just made to `mask`: `before` is what it painted over. Forgets the redo steps, which no
    /// longer fit.
    pub fn push(&mut self, before: &Patch, name: impl Into<String>, mask: &Labels) {
        self.bytes -= self.redo.drain(..).map(|step| step.bytes()).sum::<usize>();
        self.add(Step::new(before, name.into(), mask));
    }

    /// Adds a step that was made already.
    pub(super) fn add(&mut self, step: Step) {
        self.bytes += step.bytes();
        self.undo.push_back(step);
        while self.bytes > self.limit_bytes && self.undo.len() > 1 {
            if let Some(oldest) = self.undo.pop_front() {
                self.bytes -= oldest.bytes();
                self.forgotten += 1;
            }
        }
    }

    /// Takes the last change back. Gives the rectangle to redraw, or none at the beginning.
    pub fn undo(&mut self, mask: &mut Labels) -> Option<Rect> {
        let mut step = self.undo.pop_back()?;
        self.bytes -= step.bytes();
        let rect = step.swap(mask);
        self.bytes += step.bytes();
        self.redo.push(step);
        Some(rect)
    }

    /// Makes the last undone change again.
    pub fn redo(&mut self, mask: &mut Labels) -> Option<Rect> {
        let mut step = self.redo.pop()?;
        self.bytes -= step.bytes();
        let rect = step.swap(mask);
        self.bytes += step.bytes();
        self.undo.push_back(step);
        Some(rect)
    }

    /// Goes to where `position` steps are made. Gives the rectangle to redraw, or none when it is there already.
    pub fn jump(&mut self, mask: &mut Labels, position: usize) -> Option<Rect> {
        let mut touched: Option<Rect> = None;
        while self.position() != position.min(self.len()) {
            let rect = if self.position() > position {
                self.undo(mask)?
            } else {
                self.redo(mask)?
            };
            touched = Some(touched.map_or(rect, |touched| touched.union(rect)));
        }
        touched
    }

    /// How many of the steps that are kept are made.
    pub fn position(&self) -> usize {
        self.undo.len()
    }

    /// How many steps are kept, undone ones included.
    pub fn len(&self) -> usize {
        self.undo.len() + self.redo.len()
    }

    /// Whether there is no step.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A step, counted from the oldest that is kept.
    pub fn step(&self, index: usize) -> Option<&Step> {
        match self.undo.get(index) {
            Some(step) => Some(step),
            None => self.redo.iter().rev().nth(index - self.undo.len()),
        }
    }

    /// Steps that were dropped to save memory.
    pub fn forgotten(&self) -> usize {
        self.forgotten
    }

    /// Whether there is something to undo.
    pub fn can_undo(&self) -> bool {
        !self.undo.is_empty()
    }

    /// Whether there is something to redo.
    pub fn can_redo(&self) -> bool {
        !self.redo.is_empty()
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets everything, as when another photo is opened.
    pub fn clear(&mut self) {
        *self = Self::with_limit(self.limit_bytes);
    }
}

/// A square of the mask around `rect`, small.
fn thumbnail(mask: &Labels, rect: Rect) -> Grid<u8> {
    let side = (rect.width.max(rect.height) as f32 * 1.4).max(THUMBNAIL_PX as f32);
    let (cx, cy) = (
        rect.x as f32 + rect.width as f32 / 2.0,
        rect.y as f32 + rect.height as f32 / 2.0,
    );
    let mut out = Grid::new(THUMBNAIL_PX, THUMBNAIL_PX, 0);
    let at = |i: usize, center: f32, last: usize| {
        let v = center + ((i as f32 + 0.5) / THUMBNAIL_PX as f32 - 0.5) * side;
        (v.max(0.0) as usize).min(last)
    };
    if mask.width == 0 || mask.height == 0 {
        return out;
    }
    for y in 0..THUMBNAIL_PX {
        for x in 0..THUMBNAIL_PX {
            let from = (at(x, cx, mask.width - 1), at(y, cy, mask.height - 1));
            out.set(x, y, mask.get(from.0, from.1).copied().unwrap_or(0));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{brush_dot, fill};
    use super::*;

    /// A mask with four changes and the states between.
    fn painted() -> (Labels, History, Vec<Labels>) {
        let mut mask = Grid::new(60, 60, 0);
        let mut history = History::default();
        let mut states = vec![mask.clone()];
        for (x, class) in [(10.0, 1), (20.0, 2), (30.0, 3)] {
            let before = brush_dot(&mut mask, [x, 30.0], 9.0, class).unwrap();
            history.push(&before, format!("Dot {class}"), &mask);
            states.push(mask.clone());
        }
        let before = fill(&mut mask, 0, 0, 13).unwrap();
        history.push(&before, "Fill", &mask);
        states.push(mask.clone());
        (mask, history, states)
    }

    #[test]
    fn undo_and_redo_walk_the_same_states() {
        let (mut mask, mut history, states) = painted();
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
    fn any_step_can_be_jumped_to_and_the_list_stays() {
        let (mut mask, mut history, states) = painted();
        for position in [1, 4, 0, 3, 2, 2, 9] {
            history.jump(&mut mask, position);
            assert_eq!(history.position(), position.min(4));
            assert_eq!(mask, states[position.min(4)]);
            let names: Vec<&str> = (0..4)
                .map(|i| history.step(i).unwrap().name.as_str())
                .collect();
            assert_eq!(names, ["Dot 1", "Dot 2", "Dot 3", "Fill"]);
        }
        assert_eq!(history.step(4), None);
        assert_eq!(history.jump(&mut mask, 4), None);
        let middle = THUMBNAIL_PX / 2;
        let shown = &history.step(1).unwrap().thumbnail;
        assert_eq!(shown.get(middle, middle), Some(&2));
    }

    #[test]
    fn a_new_change_forgets_redo() {
        let mut mask = Grid::new(20, 20, 0);
        let mut history = History::default();
        let before = brush_dot(&mut mask, [5.0, 5.0], 2.0, 1).unwrap();
        history.push(&before, "One", &mask);
        let one = history.bytes();
        history.undo(&mut mask);
        assert!(history.can_redo());
        let before = brush_dot(&mut mask, [9.0, 5.0], 2.0, 1).unwrap();
        history.push(&before, "Two", &mask);
        assert!(!history.can_redo() && history.can_undo());
        assert_eq!(history.bytes(), one);
        history.clear();
        assert_eq!((history.bytes(), history.can_undo()), (0, false));
    }

    #[test]
    fn memory_is_bounded_and_the_newest_step_stays() {
        let mask = Grid::new(64, 64, 0);
        let mut history = History::with_limit(20_000);
        // Chequered, so that nothing packs: two bytes a label.
        let labels: Vec<u8> = (0..64 * 64).map(|i| (i % 2) as u8).collect();
        let before = Patch {
            rect: mask.bounds(),
            labels,
        };
        for _ in 0..6 {
            history.push(&before, "Noise", &mask);
        }
        assert_eq!((history.len(), history.forgotten()), (2, 4));
        assert!(history.bytes() <= 20_000);
        let mut small = History::with_limit(10);
        small.push(&before, "Noise", &mask);
        assert_eq!(small.len(), 1);
    }

    #[test]
    fn a_thousand_strokes_take_little_memory() {
        let mut mask = Grid::new(1024, 1024, 1);
        let mut history = History::default();
        for i in 0..1000 {
            let at = [(i * 37 % 1024) as f32, (i * 61 % 1024) as f32];
            if let Some(before) = brush_dot(&mut mask, at, 60.0, (i % 19) as u8) {
                history.push(&before, "Dot", &mask);
            }
        }
        assert!(history.len() >= 999);
        assert!(history.bytes() < 8 << 20, "{}", history.bytes());
    }
}
