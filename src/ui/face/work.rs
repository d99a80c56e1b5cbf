//! The photo that is edited: its faces, and for each the mask, its history and the newest result.
//!
//! Plain data with no window: the tab paints on it, jobs read it through [`Mirror`] and shared pixels.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::history_panel::Snapshot;
use super::mirror::Mirror;
use super::saving::ResultPart;
use super::steps::{Opened, OtherStyle, Parsed, RenderInput, Rendered, Steps, StyleCell};
use crate::face::edit::{Face, Quality, RenderedPatch};
use crate::face::mask::{History, Labels, Patch};
use crate::gpu::{Gpu, MaskTexture, PictureTexture};
use crate::photo::Photo;
use crate::raster::Rect;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A photo and what was done to it.
pub struct Work {
    /// None for the sample portrait.
    pub path: Option<PathBuf>,
    pub photo: Arc<Photo>,
    /// The photo's file, to be kept in projects.
    pub bytes: Arc<Vec<u8>>,
    /// Tells this photo from those before.
    pub id: u64,
    /// Where the project was saved last.
    pub project_path: Option<PathBuf>,
    pub texture: Arc<PictureTexture>,
    /// None until they were looked for.
    pub faces: Option<Vec<Face>>,
    /// Index of the face that is edited.
    pub current: usize,
    /// By face; none until parsed.
    edits: Vec<Option<Edit>>,
    /// Whether there are strokes that were not saved.
    pub unsaved: bool,
}

impl Work {
    pub fn new(opened: Opened) -> Self {
        Self {
            path: opened.path,
            photo: opened.photo,
            bytes: opened.bytes,
            id: NEXT_ID.fetch_add(1, Relaxed),
            project_path: None,
            texture: opened.texture,
            faces: None,
            current: 0,
            edits: Vec::new(),
            unsaved: false,
        }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> [usize; 2] {
        [self.photo.rgb.width, self.photo.rgb.height]
    }

    /// What to call the photo.
    pub fn name(&self) -> String {
        let name = self.path.as_deref().and_then(Path::file_name);
        name.map_or_else(
            || "Sample portrait".into(),
            |name| name.to_string_lossy().into_owned(),
        )
    }

    /// A file name to propose: the photo's own with something added.
    pub fn proposed_name(&self, added: &str, extension: &str) -> String {
        let stem = self.path.as_deref().and_then(Path::file_stem);
        let stem = stem.map_or_else(
            || "sample".into(),
            |stem| stem.to_string_lossy().into_owned(),
        );
        format!("{stem}_{added}.{extension}")
    }

    pub fn set_faces(&mut self, faces: Vec<Face>) {
        self.edits = faces.iter().map(|_| None).collect();
        self.faces = Some(faces);
        self.current = 0;
    }

    /// Adds a face that the user framed, and makes it the current one. Returns its index.
    pub fn add_face(&mut self, face: Face) -> usize {
        self.faces.get_or_insert_default().push(face);
        self.edits.push(None);
        self.current = self.edits.len() - 1;
        self.current
    }

    pub fn set_parsed(&mut self, parsed: Parsed) {
        if let Some(edit) = self.edits.get_mut(parsed.face) {
            *edit = Some(Edit::new(parsed));
        }
    }

    /// Takes a face's masks and history from a project.
    pub fn set_restored(&mut self, parsed: Parsed, history: History) {
        let face = parsed.face;
        self.set_parsed(parsed);
        if let Some(edit) = self.edit_of(face) {
            edit.history = history;
            // What was painted is not rendered yet.
            edit.revision = u64::from(*edit.source != edit.target);
        }
    }

    pub fn face(&self) -> Option<&Face> {
        self.faces.as_ref()?.get(self.current)
    }

    pub fn edit(&self) -> Option<&Edit> {
        self.edits.get(self.current)?.as_ref()
    }

    pub fn edit_mut(&mut self) -> Option<&mut Edit> {
        self.edits.get_mut(self.current)?.as_mut()
    }

    pub fn edit_of(&mut self, face: usize) -> Option<&mut Edit> {
        self.edits.get_mut(face)?.as_mut()
    }

    /// Edits of all faces that were parsed.
    pub fn edits(&self) -> impl Iterator<Item = (usize, &Edit)> {
        let parsed = self.edits.iter().enumerate();
        parsed.filter_map(|(index, edit)| Some((index, edit.as_ref()?)))
    }

    /// The face under a point of the photo, other than the current one, if that point is not on the current one.
    pub fn other_face_at(&self, [x, y]: [f32; 2]) -> Option<usize> {
        let inside = |face: &Face| {
            let [left, top, right, bottom] = face.bbox_in_image;
            (left..right).contains(&x) && (top..bottom).contains(&y)
        };
        let faces = self.faces.as_ref()?;
        if faces.get(self.current).is_some_and(inside) {
            return None;
        }
        faces.iter().position(inside)
    }

    /// What a job needs to render a face.
    pub fn render_input(
        &self,
        face: usize,
        steps: &Arc<dyn Steps>,
        other_style: Option<OtherStyle>,
    ) -> Option<RenderInput> {
        let edit = self.edits.get(face)?.as_ref()?;
        Some(RenderInput {
            steps: Arc::clone(steps),
            photo: Arc::clone(&self.photo),
            face_index: face,
            face: self.faces.as_ref()?.get(face)?.clone(),
            source: Arc::clone(&edit.source),
            target: Arc::clone(&edit.mirror),
            revision: edit.revision,
            style: Arc::clone(&edit.style),
            other_style,
        })
    }

    /// All faces' parts of the result.
    pub fn result_parts(
        &self,
        steps: Option<&Arc<dyn Steps>>,
        other_style: Option<&OtherStyle>,
    ) -> Vec<ResultPart> {
        let part = |(face, edit): (usize, &Edit)| match (&edit.result, edit.is_result_current()) {
            (Some(result), true) => Some(ResultPart::Ready(Arc::clone(&result.patch))),
            (None, true) => None,
            (_, false) => {
                let input = self.render_input(face, steps?, other_style.cloned())?;
                Some(ResultPart::Missing(Box::new(input)))
            }
        };
        self.edits().filter_map(part).collect()
    }
}

/// The mask of one face and what came of it.
pub struct Edit {
    /// As parsed.
    pub source: Arc<Labels>,
    /// As painted.
    pub target: Labels,
    pub history: History,
    pub texture: Arc<MaskTexture>,
    pub mirror: Arc<Mirror>,
    pub style: StyleCell,
    /// Counts changes of mask or style; tells results of an older mask from those of this one.
    pub revision: u64,
    /// Revision and quality of `result`.
    rendered: (u64, Quality),
    pub result: Option<Shown>,
    pub snapshots: Vec<Snapshot>,
    /// How many were ever taken, for their names.
    pub snapshots_taken: usize,
    /// The snapshot that before and after compare with; none for the photo.
    pub compared: Option<usize>,
    /// What a preview changed that the jobs do not know yet.
    previewed: Rect,
}

/// Pixels of a result, ready to show and to save.
#[derive(Clone)]
pub struct Shown {
    pub patch: Arc<RenderedPatch>,
    pub texture: Arc<PictureTexture>,
    /// What differs from the photo; none for a quick answer.
    pub heat: Option<Arc<PictureTexture>>,
}

impl Edit {
    fn new(parsed: Parsed) -> Self {
        Self {
            source: parsed.source,
            target: parsed.target,
            history: History::default(),
            texture: parsed.texture,
            mirror: parsed.mirror,
            style: parsed.style,
            revision: 0,
            rendered: (0, Quality::Full),
            result: None,
            snapshots: Vec::new(),
            snapshots_taken: 0,
            compared: None,
            previewed: Rect::default(),
        }
    }

    /// Uploads a rectangle that was painted, so that it shows at once.
    pub fn show(&self, gpu: &Gpu, rect: Rect) {
        self.texture.update(gpu, &self.target, rect);
    }

    /// Ends a change of the mask: notes it for undo under a name and hands it to the jobs.
    pub fn commit(&mut self, before: &Patch, name: impl Into<String>) {
        self.hand_over(before.rect);
        self.note_step(before, name);
    }

    /// Notes a change for undo that the jobs know already.
    pub fn note_step(&mut self, before: &Patch, name: impl Into<String>) {
        self.history.push(before, name, &self.target);
    }

    /// A preview changed the mask in a rectangle.
    pub fn note_preview(&mut self, rect: Rect) {
        self.previewed = self.previewed.union(rect);
    }

    /// Hands what a preview changed to the jobs. Returns whether there was anything.
    pub fn hand_preview_over(&mut self) -> bool {
        let rect = std::mem::take(&mut self.previewed);
        let is_any = !rect.is_empty();
        if is_any {
            self.hand_over(rect);
        }
        is_any
    }

    /// What before and after compare with, if it is not the photo.
    pub fn before_result(&self) -> Option<&Shown> {
        self.snapshots.get(self.compared?)?.result.as_ref()
    }

    /// Takes the last change back, or makes it again. Returns whether there was one.
    pub fn step(&mut self, gpu: &Gpu, back: bool) -> bool {
        let rect = if back {
            self.history.undo(&mut self.target)
        } else {
            self.history.redo(&mut self.target)
        };
        self.show_change(gpu, rect)
    }

    /// Goes to where so many steps are made. Returns whether that changed anything.
    pub fn jump(&mut self, gpu: &Gpu, position: usize) -> bool {
        let rect = self.history.jump(&mut self.target, position);
        self.show_change(gpu, rect)
    }

    fn show_change(&mut self, gpu: &Gpu, rect: Option<Rect>) -> bool {
        if let Some(rect) = rect {
            self.show(gpu, rect);
            self.hand_over(rect);
        }
        rect.is_some()
    }

    fn hand_over(&mut self, rect: Rect) {
        self.mirror.push(Patch::take(&self.target, rect));
        self.revision += 1;
    }

    /// Whether the result shown belongs to the mask as it is, in full quality.
    pub fn is_result_current(&self) -> bool {
        self.rendered == (self.revision, Quality::Full)
    }

    /// Takes a result; one of an older mask is better than the one before, so it is shown too.
    pub fn set_rendered(&mut self, rendered: Rendered) {
        let done = rendered.patch.is_none();
        let quality = if done {
            Quality::Full
        } else {
            rendered.quality
        };
        self.rendered = (rendered.revision, quality);
        let heat = rendered.heat;
        self.result = rendered.patch.map(|(patch, texture)| Shown {
            patch,
            texture,
            heat,
        });
    }
}
