//! The face tab: what it holds, what it does with what arrives from its jobs, and when it starts which.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use eframe::egui::{self, Rect};

use super::classes::Classes;
use super::folder::Folder;
use super::hints::Hints;
use super::history_panel::StepPictures;
use super::moving::Moving;
use super::outline::Outline;
use super::result::ResultView;
use super::steps::Report;
use super::steps::{self, Dialog, Opened, Purpose, Reference, Source, Steps, Value};
use super::style::ReferenceSlot;
use super::tools::{Painting, Tool};
use super::work::Work;
use crate::face::edit::face_from_box;
use crate::face::recovery::{Orphan, Session};
use crate::gpu::Gpu;
use crate::raster::Similarity;
use crate::ui::canvas::Canvas;
use crate::ui::clipboard::Clipboard;
use crate::ui::job_bar::{Arrival, JobKind, Jobs, Log};
use crate::ui::settings::Settings;

/// What the tab starts jobs for; of several that run the bar shows the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Job {
    SaveProject,
    SaveResult,
    SaveMask,
    SaveRecipe,
    Clipboard,
    Open,
    Analyse,
    Reference,
    Change,
    Shape,
    Snapshot,
    Render,
    Models,
    Dialog,
    Keep,
    Recover,
}

/// What the panel at the left shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Parts,
    History,
}

impl JobKind for Job {
    fn name(self) -> &'static str {
        match self {
            Self::SaveResult => "save result",
            Self::SaveMask => "save mask",
            Self::SaveRecipe => "save edit",
            Self::Clipboard => "clipboard",
            Self::Open => "open photo",
            Self::Analyse => "analyse",
            Self::Reference => "style photo",
            Self::Change => "change mask",
            Self::Shape => "move part",
            Self::Snapshot => "snapshot",
            Self::Render => "render",
            Self::Models => "load weights",
            Self::Dialog => "file dialog",
            Self::SaveProject => "save project",
            Self::Keep => "keep work",
            Self::Recover => "find kept work",
        }
    }

    fn can_cancel(self) -> bool {
        !matches!(
            self,
            Self::SaveProject
                | Self::Keep
                | Self::Recover
                | Self::SaveMask
                | Self::SaveRecipe
                | Self::Models
                | Self::Dialog
        )
    }
}

/// The tab.
pub struct FaceTab {
    pub(super) gpu: Gpu,
    pub(super) jobs: Jobs<Job, Value>,
    pub(super) dialog: Dialog,
    pub(super) clipboard: Arc<dyn Clipboard>,
    pub(super) steps: Option<Arc<dyn Steps>>,
    /// Why there are no models.
    pub(super) models_error: Option<String>,
    pub(super) work: Option<Work>,
    pub(super) canvas: Canvas,
    pub(super) classes: Classes,
    pub(super) tool: Tool,
    pub(super) painting: Option<Painting>,
    pub(super) outline: Option<Outline>,
    pub(super) moving: Option<Moving>,
    /// Counts lifted parts, so that answers of jobs find theirs.
    pub(super) moving_session: u64,
    /// Where the pointer pressed on a part that is being lifted.
    pub(super) moving_press: Option<[f32; 2]>,
    /// Where the pointer has been since.
    pub(super) moving_pointer: Option<[f32; 2]>,
    /// It was let go before the part was lifted.
    pub(super) moving_let_go: bool,
    /// The handles bend instead of scaling.
    pub(super) is_bending: bool,
    /// Where the mirror line lies: the crop of the face that was drawn last.
    pub(super) mirror_crop: Option<Similarity>,
    pub(super) side: Side,
    pub(super) step_pictures: StepPictures,
    /// What the user is to be told next.
    pub(super) notice: Option<String>,
    pub(super) mask_hidden: bool,
    /// The parts are not tinted.
    pub(super) outline_only: bool,
    pub(super) result_view: ResultView,
    pub(super) is_region_shown: bool,
    /// What is known of the last full render.
    pub(super) report: Option<Report>,
    /// Place of the before/after line: 0 left, 1 right.
    pub(super) split: f32,
    pub(super) split_grabbed: bool,
    /// The user draws the box of a face.
    pub(super) framing: bool,
    pub(super) frame_from: Option<([f32; 2], [f32; 2])>,
    pub(super) reference: ReferenceSlot,
    /// Where the mask canvas was in the last frame.
    pub(super) last_place: Option<Rect>,
    pub(super) hints: Hints,
    /// How long the last render took and what it ran on.
    pub(super) last_render: Option<(f32, &'static str)>,
    /// What waits to be opened until the user gives up unsaved work.
    pub(super) to_open: Option<Source>,
    /// The photos that the user goes through.
    pub(super) folder: Option<Folder>,
    pub(super) is_export_open: bool,
    /// A path that is asked for in the window, where the system shows no dialog.
    pub(super) path_asked: Option<(Purpose, String)>,
    /// The answer to that.
    pub(super) path_answered: Option<(Purpose, PathBuf)>,
    /// Where the work is kept in case of a crash; none: nowhere.
    pub(super) session: Option<Arc<Session>>,
    /// The work has changed since it was kept.
    pub(super) is_unkept: bool,
    /// When it is to be kept, by the window's clock.
    pub(super) keep_at_secs: Option<f64>,
    /// Work found that another program left.
    pub(super) orphan: Option<Orphan>,
    /// What the work that is shown came from.
    pub(super) orphan_taken: Option<Orphan>,
}

impl FaceTab {
    /// Loads the models in the background. Work is kept in the folder `recovery` in case of a crash.
    pub fn new(
        ctx: &egui::Context,
        gpu: Gpu,
        load: impl FnOnce() -> Result<Arc<dyn Steps>> + Send + 'static,
        dialog: Dialog,
        clipboard: Arc<dyn Clipboard>,
        recovery: Option<PathBuf>,
    ) -> Self {
        let mut tab = Self {
            gpu,
            jobs: Jobs::new(ctx),
            dialog,
            clipboard,
            steps: None,
            models_error: None,
            work: None,
            canvas: Canvas::default(),
            classes: Classes::default(),
            tool: Tool::Brush,
            painting: None,
            outline: None,
            moving: None,
            moving_session: 0,
            moving_press: None,
            moving_pointer: None,
            moving_let_go: false,
            is_bending: false,
            mirror_crop: None,
            side: Side::Parts,
            step_pictures: StepPictures::default(),
            notice: None,
            mask_hidden: false,
            outline_only: false,
            result_view: ResultView::default(),
            is_region_shown: false,
            report: None,
            split: 0.0,
            split_grabbed: false,
            framing: false,
            frame_from: None,
            reference: ReferenceSlot::default(),
            last_place: None,
            hints: Hints::default(),
            last_render: None,
            to_open: None,
            folder: None,
            is_export_open: false,
            path_asked: None,
            path_answered: None,
            session: recovery.map(|base| Arc::new(Session::new(base))),
            is_unkept: false,
            keep_at_secs: None,
            orphan: None,
            orphan_taken: None,
        };
        tab.jobs.start(Job::Models, move |out| {
            out.progress(0.0, "Loading the weights")?;
            out.value(Value::Models(load()?))?;
            Ok(())
        });
        tab.look_for_orphan();
        tab
    }

    /// The photo being edited.
    pub fn work(&self) -> Option<&Work> {
        self.work.as_ref()
    }

    /// Whether there are strokes that were not saved.
    pub fn has_unsaved(&self) -> bool {
        self.work.as_ref().is_some_and(|work| work.unsaved)
    }

    /// Whether any job runs.
    pub fn is_busy(&self) -> bool {
        self.jobs.any_busy()
    }

    /// Takes what has arrived from the jobs. Runs also while the window is hidden.
    pub fn logic(&mut self, ctx: &egui::Context, settings: &mut Settings, log: &mut Log) {
        for (job, arrival) in self.jobs.poll() {
            match arrival {
                Arrival::Value(value) => self.take(ctx, value, settings, log),
                Arrival::Ended(error) => {
                    if let Some(error) = error {
                        if job == Job::Models {
                            self.models_error = Some(format!("{error:#}"));
                        }
                        log.error(&error);
                    }
                    if job == Job::Shape {
                        self.placing_ended(settings.live);
                    }
                }
            }
        }
        if let Some((purpose, path)) = self.path_answered.take() {
            self.path_chosen(purpose, path, settings);
        }
        self.keep_if_due(ctx);
        if let Some(notice) = self.notice.take() {
            log.warn(notice);
        }
    }

    fn take(&mut self, ctx: &egui::Context, value: Value, settings: &mut Settings, log: &mut Log) {
        match value {
            Value::Models(steps) => {
                self.steps = Some(steps);
                self.catch_up();
            }
            Value::Chosen(purpose, path) => self.path_chosen(purpose, path, settings),
            Value::NoDialog(purpose) => self.ask_here(purpose, settings),
            Value::Folder(files) => self.folder = Some(Folder::new(files)),
            Value::Opened(opened) => self.take_photo(*opened, settings, log),
            Value::Faces(faces) => {
                if let Some(work) = &mut self.work {
                    match faces.len() {
                        0 => log.warn("No face found. Drag a box around the face"),
                        1 => {}
                        n => log.done(format!("{n} faces found. Click on a face to edit it")),
                    }
                    work.set_faces(faces);
                }
            }
            Value::Parsed(parsed) => {
                if let Some(work) = &mut self.work {
                    work.set_parsed(*parsed);
                    // A style chosen before shows on the new face too.
                    if self.reference.is_on() {
                        self.start_render();
                    }
                }
            }
            Value::Rendered(rendered) => {
                self.last_render = Some((rendered.secs, rendered.device));
                self.report = None;
                let edit = self
                    .work
                    .as_mut()
                    .and_then(|work| work.edit_of(rendered.face));
                if let Some(edit) = edit {
                    edit.set_rendered(*rendered);
                }
            }
            Value::Reference(reference) => self.take_reference(ctx, *reference),
            Value::Project(project) => self.take_project(*project),
            Value::Orphan(orphan) => self.orphan = Some(*orphan),
            Value::Kept(failed) => self.take_kept(failed),
            Value::Report(face, revision, report) => {
                let edit = self.work.as_mut().and_then(|work| work.edit_of(face));
                if edit.is_some_and(|edit| edit.revision == revision) {
                    self.report = Some(report);
                }
            }
            Value::Changed(change) => self.take_change(*change, settings.live),
            Value::Lifted(lifted) => self.take_lifted(lifted, settings),
            Value::Placed(placed) => self.take_placed(placed),
            Value::Snapshot(face, packed) => {
                let edit = self.work.as_mut().and_then(|work| work.edit_of(face));
                edit.into_iter()
                    .for_each(|edit| edit.add_snapshot(packed.clone()));
                self.side = Side::History;
            }
            Value::Copied => log.done("The result is on the clipboard"),
            Value::Saved(purpose, path) => {
                if let Some(work) = &mut self.work {
                    work.unsaved &= purpose == Purpose::SaveRecipe;
                }
                self.hints.was_saved |= purpose == Purpose::SaveResult;
                let what = match purpose {
                    Purpose::SaveProject => "Project",
                    Purpose::SaveMask => "Mask",
                    Purpose::SaveRecipe => "Recipe",
                    _ => "Result",
                };
                log.done(format!("{what} saved to {}", path.display()));
            }
        }
    }

    fn take_photo(&mut self, opened: Opened, settings: &mut Settings, log: &mut Log) {
        let folder = opened.path.as_deref().and_then(Path::parent);
        // A pasted photo has no folder.
        if let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) {
            settings.folder = Some(folder.to_path_buf());
        }
        for note in &opened.photo.notes {
            log.warn(*note);
        }
        self.show_photo(opened);
        self.analyse();
    }

    /// Shows a photo of which nothing is known yet.
    pub(super) fn show_photo(&mut self, opened: Opened) {
        for job in [Job::Analyse, Job::Render, Job::Change, Job::Shape] {
            self.jobs.cancel(job);
        }
        self.work = Some(Work::new(opened));
        self.painting = None;
        self.outline = None;
        self.moving = None;
        self.moving_session += 1;
        self.framing = false;
        self.frame_from = None;
        self.last_render = None;
        self.split = 0.0;
        self.is_unkept = false;
        self.canvas.fit();
    }

    fn take_reference(&mut self, ctx: &egui::Context, reference: Reference) {
        self.reference.set(ctx, reference);
        self.style_changed(true);
    }

    /// The models are there: does what a photo or a project that was opened before had to go without.
    fn catch_up(&mut self) {
        self.analyse();
        self.with_work(|tab, work| match work.edit() {
            Some(_) => tab.render_again(work, true),
            None if work.faces.is_some() => tab.parse_face(work),
            None => {}
        });
    }

    /// Looks for faces once there are both a photo and models.
    fn analyse(&mut self) {
        let (Some(work), Some(steps)) = (&self.work, &self.steps) else {
            return;
        };
        if work.faces.is_some() {
            return;
        }
        let (steps, photo, gpu) = (Arc::clone(steps), Arc::clone(&work.photo), self.gpu.clone());
        self.jobs.start(Job::Analyse, move |out| {
            steps::analyse(&*steps, &photo, &gpu, out)
        });
    }

    /// Makes a face the one that is edited.
    pub(super) fn choose_face(&mut self, work: &mut Work, face: usize, live: bool) {
        self.settle_tools(work, live);
        work.current = face;
        if work.edit().is_none() {
            self.parse_face(work);
        }
    }

    /// Adds a face that the user framed.
    pub(super) fn add_face(&mut self, work: &mut Work, frame: [f32; 4]) {
        self.framing = false;
        work.add_face(face_from_box(frame));
        self.parse_face(work);
    }

    pub(super) fn parse_face(&mut self, work: &Work) {
        let (Some(steps), Some(face)) = (&self.steps, work.face()) else {
            return;
        };
        let (steps, photo, gpu) = (Arc::clone(steps), Arc::clone(&work.photo), self.gpu.clone());
        let (face, index) = (face.clone(), work.current);
        self.jobs.start(Job::Analyse, move |out| {
            steps::parse(&*steps, &photo, &face, index, &gpu, out)
        });
    }

    /// Opens a photo; asks first if there is work that was not saved.
    pub fn open_path(&mut self, path: PathBuf) {
        self.open_unless_unsaved(Source::File(path));
    }

    /// [`Self::open_path`] for any source.
    pub(super) fn open_unless_unsaved(&mut self, source: Source) {
        if self.has_unsaved() {
            self.to_open = Some(source);
        } else {
            self.open(source);
        }
    }

    /// Opens a photo and gives up what was done to the one before.
    pub fn open(&mut self, source: Source) {
        self.follow_folder(&source);
        let gpu = self.gpu.clone();
        self.jobs
            .start(Job::Open, move |out| steps::open(source, &gpu, out));
    }

    /// The mask was painted on, or a step was taken back.
    pub(super) fn mask_changed(&mut self, work: &mut Work, live: bool) {
        work.unsaved = true;
        self.is_unkept = true;
        if live {
            self.render_work(work);
        } else {
            self.cancel_render();
        }
    }

    /// A stroke that changed nothing cancelled a render that is still wanted.
    pub(super) fn render_again(&mut self, work: &Work, live: bool) {
        let is_stale = work.edit().is_some_and(|edit| !edit.is_result_current());
        if live && is_stale {
            self.render_work(work);
        }
    }

    /// The style taken from the other photo changed.
    pub(super) fn style_changed(&mut self, live: bool) {
        if let Some(edit) = self.work.as_mut().and_then(Work::edit_mut) {
            edit.revision += 1;
        }
        if live {
            self.start_render();
        }
    }

    pub(super) fn cancel_render(&mut self) {
        self.jobs.cancel(Job::Render);
    }

    /// Renders the mask as it is.
    pub(super) fn start_render(&mut self) {
        if let Some(work) = self.work.take() {
            self.render_work(&work);
            self.work = Some(work);
        }
    }

    fn render_work(&mut self, work: &Work) {
        let Some(steps) = &self.steps else {
            return;
        };
        let Some(input) = work.render_input(work.current, steps, self.other_style()) else {
            return;
        };
        let gpu = self.gpu.clone();
        self.jobs
            .start(Job::Render, move |out| steps::render(&input, &gpu, out));
    }

    pub(super) fn has_edit(&self) -> bool {
        self.work.as_ref().is_some_and(|work| work.edit().is_some())
    }
}
