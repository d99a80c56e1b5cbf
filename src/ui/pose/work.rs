//! The photos that are open, who was found in each, and what the user has corrected.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::people::crop::Region;
use crate::photo::{self, Photo};
use crate::pose::annotations::ImageId;
use crate::pose::body::bounds;
use crate::pose::keypoints::{KEYPOINTS, Person};
use crate::pose::zoomnet::Zoomed;

/// People that are remembered of all photos together: 60 MB.
const MAX_REMEMBERED: usize = 20_000;
/// Steps that can be taken back in one photo.
const MAX_UNDO: usize = 1_000;

/// Where a photo comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    File(PathBuf),
    Sample(&'static str, &'static [u8]),
}

impl Source {
    /// The name of the file.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => {
                let name = path.file_name().unwrap_or_default();
                name.to_string_lossy().into_owned()
            }
            Self::Sample(name, _) => (*name).to_owned(),
        }
    }

    /// What it is called in COCO's files.
    pub fn id(&self) -> ImageId {
        ImageId::of_file(Path::new(&self.name()))
    }

    /// Reads it; call it from a job.
    pub fn open(&self) -> Result<Photo> {
        match self {
            Self::File(path) => photo::open(path),
            Self::Sample(_, bytes) => photo::decode(bytes),
        }
    }
}

/// A photo of the list.
pub struct Entry {
    pub source: Source,
    pub name: String,
    pub poses: Option<Poses>,
    /// Why it cannot be shown.
    pub error: Option<String>,
    /// When its people were last looked at, in turns of the list.
    used: u64,
}

impl Entry {
    pub fn new(source: Source) -> Self {
        Self {
            name: source.name(),
            source,
            poses: None,
            error: None,
            used: 0,
        }
    }
}

/// A person as shown and corrected.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonState {
    pub person: Person,
    /// What the networks for the face, the left and the right hand saw.
    pub regions: [Option<Region>; 3],
    /// Which keypoints the user has placed.
    pub placed: Vec<bool>,
    /// Taken out of the photo by the user.
    pub is_removed: bool,
}

impl PersonState {
    fn new(zoomed: Zoomed) -> Self {
        let [left, right] = zoomed.hand_regions;
        Self {
            person: zoomed.person,
            regions: [zoomed.face_region, left, right],
            placed: vec![false; KEYPOINTS],
            is_removed: false,
        }
    }

    /// Puts a keypoint somewhere, or takes it away.
    fn place(&mut self, index: usize, at: Option<[f32; 2]>) {
        let old = self.person.get(index).0;
        let score = if at.is_some() { 1.0 } else { 0.0 };
        self.person.set(index, at.unwrap_or(old), score);
        if let Some(placed) = self.placed.get_mut(index) {
            *placed = at.is_some();
        }
        let all = (0..KEYPOINTS).map(|i| self.person.get(i));
        let seen: Vec<[f32; 2]> = all.filter(|(_, s)| *s >= 0.2).map(|(p, _)| p).collect();
        if !seen.is_empty() {
            self.person.bbox_in_image = bounds(&seen);
        }
    }
}

/// The other side of a step: what a person was before it, or after it once it is taken back.
struct Step {
    person: usize,
    state: PersonState,
}

/// The people of one photo.
pub struct Poses {
    /// Width and height of the photo.
    pub size: [usize; 2],
    pub people: Vec<PersonState>,
    /// People that the user does not want to see now.
    pub hidden: Vec<bool>,
    /// How long finding took.
    pub secs: f32,
    /// Grows with each change.
    pub revision: u64,
    /// Whether there are corrections that were not exported.
    pub unsaved: bool,
    undo: Vec<Step>,
    redo: Vec<Step>,
}

impl Poses {
    pub fn new(found: Vec<Zoomed>, size: [usize; 2], secs: f32) -> Self {
        Self {
            size,
            hidden: vec![false; found.len()],
            people: found.into_iter().map(PersonState::new).collect(),
            secs,
            revision: 0,
            unsaved: false,
            undo: Vec::new(),
            redo: Vec::new(),
        }
    }

    /// People who were not taken out, with their places in the list.
    pub fn kept(&self) -> impl Iterator<Item = (usize, &PersonState)> {
        let all = self.people.iter().enumerate();
        all.filter(|(_, state)| !state.is_removed)
    }

    /// Those of them who are seen: not hidden and sure enough.
    pub fn seen(&self, least: f32) -> impl Iterator<Item = (usize, &PersonState)> {
        self.kept().filter(move |(index, state)| {
            let is_hidden = self.hidden.get(*index).copied().unwrap_or(false);
            !is_hidden && (state.person.score >= least || state.placed.contains(&true))
        })
    }

    /// Remembers a person before a change, for undo.
    pub fn begin(&mut self, person: usize) {
        if let Some(state) = self.people.get(person) {
            let state = state.clone();
            self.undo.push(Step { person, state });
            if self.undo.len() > MAX_UNDO {
                self.undo.remove(0);
            }
            self.redo.clear();
        }
    }

    /// Forgets the change that was begun last, as if it had never been.
    pub fn abandon(&mut self) {
        if let Some(Step { person, state }) = self.undo.pop()
            && let Some(slot) = self.people.get_mut(person)
        {
            *slot = state;
            self.revision += 1;
            self.unsaved &= self.can_undo();
        }
    }

    /// Puts a keypoint somewhere, or takes it away. Call [`Poses::begin`] first.
    pub fn place(&mut self, person: usize, index: usize, at: Option<[f32; 2]>) {
        if let Some(state) = self.people.get_mut(person) {
            state.place(index, at);
            self.changed();
        }
    }

    /// Takes a person out.
    pub fn remove(&mut self, person: usize) {
        self.begin(person);
        if let Some(state) = self.people.get_mut(person) {
            state.is_removed = true;
            self.changed();
        }
    }

    fn changed(&mut self) {
        self.revision += 1;
        self.unsaved = true;
    }

    pub fn can_undo(&self) -> bool {
        !self.undo.is_empty()
    }

    pub fn can_redo(&self) -> bool {
        !self.redo.is_empty()
    }

    /// Takes the last change back, or brings it back.
    pub fn step(&mut self, back: bool) {
        let (from, to) = match back {
            true => (&mut self.undo, &mut self.redo),
            false => (&mut self.redo, &mut self.undo),
        };
        if let Some(Step { person, state }) = from.pop()
            && let Some(slot) = self.people.get_mut(person)
        {
            let state = std::mem::replace(slot, state);
            to.push(Step { person, state });
            self.changed();
        }
    }
}

/// Forgets the people of photos that were not looked at for long, once there are too many. What the user has
/// corrected stays, and so does photo `current`.
pub fn forget_old(photos: &mut [Entry], current: usize) {
    let count = |entry: &Entry| entry.poses.as_ref().map_or(0, |p| p.people.len().max(1));
    let mut total: usize = photos.iter().map(count).sum();
    while total > MAX_REMEMBERED {
        let is_free = |entry: &Entry| entry.poses.as_ref().is_some_and(|p| !p.can_undo());
        let free = photos
            .iter_mut()
            .enumerate()
            .filter(|(index, entry)| *index != current && is_free(entry));
        let Some((_, oldest)) = free.min_by_key(|(_, entry)| entry.used) else {
            return;
        };
        total -= count(oldest);
        oldest.poses = None;
    }
}

/// Marks the photo as looked at.
pub fn touch(photos: &mut [Entry], index: usize) {
    let turn = photos.iter().map(|entry| entry.used).max().unwrap_or(0) + 1;
    if let Some(entry) = photos.get_mut(index) {
        entry.used = turn;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poses(people: usize) -> Poses {
        let zoomed = || Zoomed {
            person: Person::new([0.0, 0.0, 10.0, 10.0], 0.5),
            face_region: None,
            hand_regions: [None, None],
        };
        Poses::new((0..people).map(|_| zoomed()).collect(), [100, 80], 0.1)
    }

    #[test]
    fn steps_are_taken_back_and_brought_back() {
        let mut poses = poses(2);
        let before = poses.people.clone();
        poses.begin(1);
        poses.place(1, 9, Some([30.0, 40.0]));
        poses.place(1, 9, Some([31.0, 41.0]));
        let moved = poses.people.clone();
        assert_eq!(moved[1].person.get(9), ([31.0, 41.0], 1.0));
        assert!(moved[1].placed[9] && poses.unsaved);
        poses.remove(0);
        assert_eq!(poses.kept().map(|(i, _)| i).collect::<Vec<_>>(), [1]);
        poses.step(true);
        assert_eq!(poses.people, moved);
        poses.step(true);
        assert_eq!(poses.people, before);
        poses.step(true);
        poses.step(false);
        assert_eq!(poses.people, moved);
        poses.begin(1);
        poses.place(1, 9, None);
        assert_eq!(poses.people[1].person.get(9), ([31.0, 41.0], 0.0));
        assert!(!poses.can_redo());
        poses.abandon();
        assert_eq!(poses.people, moved);
    }

    #[test]
    fn old_results_are_forgotten_but_no_corrections() {
        let mut photos: Vec<Entry> = (0..5)
            .map(|_| Entry::new(Source::Sample("a", &[])))
            .collect();
        for (index, entry) in photos.iter_mut().enumerate() {
            entry.poses = Some(poses(MAX_REMEMBERED / 4));
            entry.used = 5 - index as u64;
        }
        if let Some(poses) = &mut photos[4].poses {
            poses.remove(0);
        }
        touch(&mut photos, 3);
        forget_old(&mut photos, 0);
        let known: Vec<bool> = photos.iter().map(|e| e.poses.is_some()).collect();
        assert_eq!(known, [true, true, false, true, true]);
    }
}
