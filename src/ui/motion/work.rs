//! The recording that is shown, what the user has changed in it, and where in time the window is.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use crate::gpu::{MaskTexture, PictureTexture};
use crate::motion::moments::{Moment, Walker};
use crate::motion::scene::Scene;
use crate::motion::tracks::Tracks;
use crate::motion::{DT_SECS, Future, OBS_LEN, Past, Point};
use crate::ui::keys::Action;

/// One of the walkers on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    /// Of the recording: index of its track.
    Track(usize),
    /// Drawn by the user.
    Drawn(usize),
}

/// What the user has changed: pasts of walkers at a frame, drawn ones included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edits {
    pub pasts: BTreeMap<(i64, Id), Past>,
    next_drawn: usize,
}

/// One walker as it is shown and predicted at a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    pub id: Id,
    pub past: Past,
    /// What came then; none where the past is not as it was recorded.
    pub truth: Option<Future>,
}

/// The recording.
pub struct Work {
    pub name: String,
    pub path: Option<PathBuf>,
    pub tracks: Arc<Tracks>,
    pub scene: Arc<Scene>,
    pub texture: Arc<PictureTexture>,
    /// Width and height of the picture, or of the paper that stands for one.
    pub size: [usize; 2],
    /// Metres on one unit of the tracks: the network thinks in metres.
    pub metres_a_unit: f64,
    /// Every annotated frame, rising.
    pub frames: Vec<i64>,
    moments: HashMap<i64, Moment>,
    /// Seconds since the first frame.
    pub secs: f64,
    pub is_playing: bool,
    pub focus: Option<Id>,
    pub edits: Edits,
    undo: Vec<Edits>,
    redo: Vec<Edits>,
    /// Grows with each change of the edits.
    pub revision: u64,
    /// Whether there are changes that were not exported.
    pub unsaved: bool,
}

/// What a job has read or made up.
pub struct Opened {
    pub name: String,
    pub path: Option<PathBuf>,
    pub tracks: Arc<Tracks>,
    pub scene: Arc<Scene>,
    pub texture: Arc<PictureTexture>,
    pub size: [usize; 2],
    pub metres_a_unit: f64,
    pub moments: Vec<Moment>,
    /// 1 where nobody can walk, as large as the picture.
    pub ground: Option<Arc<MaskTexture>>,
}

impl Work {
    pub fn new(opened: Opened) -> Self {
        let moments = opened.moments.into_iter().map(|m| (m.frame, m)).collect();
        let frames = opened.tracks.frames();
        let mut work = Self {
            name: opened.name,
            path: opened.path,
            tracks: opened.tracks,
            scene: opened.scene,
            texture: opened.texture,
            size: opened.size,
            metres_a_unit: opened.metres_a_unit,
            frames,
            moments,
            secs: 0.0,
            is_playing: false,
            focus: None,
            edits: Edits::default(),
            undo: Vec::new(),
            redo: Vec::new(),
            revision: 0,
            unsaved: false,
        };
        // Begin where there is something to predict.
        let begin = work
            .frames
            .iter()
            .position(|f| work.moments.contains_key(f));
        work.secs = begin.map_or(0.0, |i| work.secs_of(work.frames[i]));
        work
    }

    fn step(&self) -> i64 {
        self.tracks.step.max(1)
    }

    fn first_frame(&self) -> i64 {
        self.frames.first().copied().unwrap_or(0)
    }

    /// When a frame was, since the first.
    pub fn secs_of(&self, frame: i64) -> f64 {
        (frame - self.first_frame()) as f64 / self.step() as f64 * DT_SECS
    }

    /// Length of the recording.
    pub fn length_secs(&self) -> f64 {
        self.frames.last().map_or(0.0, |frame| self.secs_of(*frame))
    }

    /// Position among the frames of the last one that has been reached.
    pub fn position(&self) -> usize {
        let frame = self.first_frame() as f64 + self.secs / DT_SECS * self.step() as f64;
        let after = self.frames.partition_point(|f| *f as f64 <= frame + 1e-6);
        after.saturating_sub(1)
    }

    /// The last frame that has been reached.
    pub fn frame(&self) -> i64 {
        self.frames.get(self.position()).copied().unwrap_or(0)
    }

    /// Goes to the frame `steps` further, within the recording, and stops there.
    pub fn go(&mut self, steps: isize) {
        let last = self.frames.len().saturating_sub(1);
        let position = self.position().saturating_add_signed(steps).min(last);
        self.secs = self.frames.get(position).map_or(0.0, |f| self.secs_of(*f));
        self.is_playing = false;
    }

    /// Does what concerns only the recording.
    pub fn act(&mut self, action: Action) {
        match action {
            Action::Play => self.is_playing = !self.is_playing,
            Action::StepBack => self.go(-1),
            Action::StepForward => self.go(1),
            Action::ToStart => self.go(isize::MIN),
            Action::ToEnd => self.go(isize::MAX),
            Action::RemoveWalker => {
                if let Some(id) = self.focus {
                    self.remove(self.frame(), id);
                }
            }
            _ => {}
        }
    }

    /// Moves time on by `secs`; starts again at the end.
    pub fn advance(&mut self, secs: f64) {
        self.secs += secs;
        if self.secs > self.length_secs() {
            self.secs = 0.0;
        }
    }

    /// The next frame, for which futures can be made ready.
    pub fn next_frame(&self) -> Option<i64> {
        self.frames.get(self.position() + 1).copied()
    }

    /// Everyone who can be predicted at a frame, with the user's changes.
    pub fn shown(&self, frame: i64) -> Vec<Shown> {
        let recorded = self.moments.get(&frame).map_or(&[][..], |m| &m.walkers);
        let of_track = |walker: &Walker| {
            let id = Id::Track(walker.track);
            match self.edits.pasts.get(&(frame, id)) {
                Some(past) => Shown {
                    id,
                    past: *past,
                    truth: None,
                },
                None => Shown {
                    id,
                    past: walker.past,
                    truth: walker.future,
                },
            }
        };
        let drawn = self
            .edits
            .pasts
            .range((frame, Id::Drawn(0))..=(frame, Id::Drawn(usize::MAX)));
        let drawn = drawn.map(|((_, id), past)| Shown {
            id: *id,
            past: *past,
            truth: None,
        });
        recorded.iter().map(of_track).chain(drawn).collect()
    }

    /// Where everybody is now, between two frames too.
    pub fn positions(&self) -> Vec<(Id, Point)> {
        let position = self.position();
        let (Some(&frame), next) = (self.frames.get(position), self.next_frame()) else {
            return Vec::new();
        };
        let (from, until) = (self.secs_of(frame), next.map(|next| self.secs_of(next)));
        let share = until.map_or(0.0, |until| (self.secs - from) / (until - from).max(1e-9));
        let share = share.clamp(0.0, 1.0);
        let each = self.tracks.tracks.iter().enumerate();
        each.filter_map(|(track, walker)| {
            let here = walker.at(frame)?;
            let there = next.and_then(|next| walker.at(next)).unwrap_or(here);
            Some((
                Id::Track(track),
                [0, 1].map(|k| here[k] + (there[k] - here[k]) * share),
            ))
        })
        .collect()
    }

    /// What a walker is called.
    pub fn name_of(&self, id: Id) -> String {
        match id {
            Id::Track(track) => {
                let agent = self.tracks.tracks.get(track).map(|t| t.agent.as_str());
                format!("Walker {}", agent.unwrap_or("?"))
            }
            Id::Drawn(n) => format!("Drawn walker {}", n + 1),
        }
    }

    /// Remembers the state before a change, for undo.
    pub fn begin_edit(&mut self) {
        self.undo.push(self.edits.clone());
        self.redo.clear();
    }

    /// Sets the past of a walker at the frame.
    pub fn set_past(&mut self, frame: i64, id: Id, past: Past) {
        self.edits.pasts.insert((frame, id), past);
        self.changed();
    }

    /// A name for a new walker.
    pub fn new_drawn(&mut self) -> Id {
        self.edits.next_drawn += 1;
        Id::Drawn(self.edits.next_drawn - 1)
    }

    /// Drops the last edit that was begun, as if it had never been.
    pub fn abandon_edit(&mut self) {
        if let Some(edits) = self.undo.pop() {
            self.edits = edits;
            self.changed();
        }
    }

    /// Takes a drawn walker away, or the changes to a recorded one.
    pub fn remove(&mut self, frame: i64, id: Id) {
        if self.edits.pasts.contains_key(&(frame, id)) {
            self.begin_edit();
            self.edits.pasts.remove(&(frame, id));
            self.changed();
        }
    }

    fn changed(&mut self) {
        self.revision += 1;
        self.unsaved = !self.edits.pasts.is_empty();
        let frame = self.frame();
        if let Some(id @ Id::Drawn(_)) = self.focus
            && !self.edits.pasts.contains_key(&(frame, id))
        {
            self.focus = None;
        }
    }

    pub fn can_undo(&self) -> bool {
        !self.undo.is_empty()
    }

    pub fn can_redo(&self) -> bool {
        !self.redo.is_empty()
    }

    /// Takes the last change back, or brings it back.
    pub fn step_edits(&mut self, back: bool) {
        let (from, to) = match back {
            true => (&mut self.undo, &mut self.redo),
            false => (&mut self.redo, &mut self.undo),
        };
        if let Some(edits) = from.pop() {
            to.push(std::mem::replace(&mut self.edits, edits));
            self.changed();
        }
    }
}

/// The past after its point `grabbed` was moved by `delta`: later points come along, earlier ones less and less, so that
/// the first point stays and the walk bends. Moving the first point moves all.
pub fn bent(past: &Past, grabbed: usize, delta: Point) -> Past {
    std::array::from_fn(|i| {
        let share = if i >= grabbed {
            1.0
        } else {
            i as f64 / grabbed as f64
        };
        [0, 1].map(|k| past[i][k] + delta[k] * share)
    })
}

/// The last eight steps of someone who walked along `stroke` at `step_length` and is now at its end. A stroke that is
/// too short is walked more slowly. None for a stroke without length.
pub fn past_along(stroke: &[Point], step_length: f64) -> Option<Past> {
    let total: f64 = stroke
        .windows(2)
        .map(|pair| crate::motion::distance(pair[0], pair[1]))
        .sum();
    if total <= 0.0 {
        return None;
    }
    let step = step_length.min(total / (OBS_LEN - 1) as f64);
    let mut past = [*stroke.last()?; OBS_LEN];
    for (back, point) in past.iter_mut().rev().enumerate() {
        *point = back_from_end(stroke, step * back as f64)?;
    }
    Some(past)
}

fn back_from_end(stroke: &[Point], mut way: f64) -> Option<Point> {
    for pair in stroke.windows(2).rev() {
        let length = crate::motion::distance(pair[0], pair[1]);
        if length >= way && length > 0.0 {
            let share = way / length;
            return Some([0, 1].map(|k| pair[1][k] + (pair[0][k] - pair[1][k]) * share));
        }
        way -= length;
    }
    stroke.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bent_past_keeps_its_beginning_and_swings_its_end() {
        let past: Past = std::array::from_fn(|i| [i as f64, 0.0]);
        let swung = bent(&past, 7, [0.0, 7.0]);
        assert_eq!(swung[0], [0.0, 0.0]);
        assert_eq!(swung[3], [3.0, 3.0]);
        assert_eq!(swung[7], [7.0, 7.0]);
        let moved = bent(&past, 0, [2.0, 1.0]);
        assert!((0..8).all(|i| moved[i] == [i as f64 + 2.0, 1.0]));
    }

    #[test]
    fn a_stroke_becomes_eight_steps_that_end_at_the_pointer() {
        let stroke = [[0.0, 0.0], [6.0, 0.0], [6.0, 2.0]];
        let past = past_along(&stroke, 0.5).unwrap();
        assert_eq!(past[7], [6.0, 2.0]);
        assert!((past[6][1] - 1.5).abs() < 1e-9);
        assert!(
            (past[0][0] - 4.5).abs() < 1e-9 && past[0][1].abs() < 1e-9,
            "around the corner"
        );
        let slow = past_along(&[[0.0, 0.0], [0.7, 0.0]], 0.5).unwrap();
        assert!((slow[1][0] - 0.1).abs() < 1e-9 && slow[0][0].abs() < 1e-9);
        assert_eq!(past_along(&[[1.0, 1.0]], 0.5), None);
    }
}
