//! The motion tab: what it holds, what it does with what arrives from its jobs, and when it starts which.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eframe::egui::{self, Rect};

use super::draw;
use super::reading::{self, Source};
use super::steps::{
    self, Density, DensityKey, Load, PredictInput, Predicted, Predictor, Purpose, Value,
};
use super::views::Grab;
use super::work::{Id, Work};
use crate::gpu::{
    Gpu, HeatmapLayer, Layer, Lines, LinesLayer, MaskLayer, MaskTexture, PictureLayer,
};
use crate::motion::simulate::Place;
use crate::ui::canvas::Canvas;
use crate::ui::dialog::{Ask, AskKind, FileDialog, PathQuestion};
use crate::ui::job_bar::{Arrival, JobKind, Jobs, Log};
use crate::ui::keys::Action;
use crate::ui::settings::{MotionView, Settings};

/// What the tab starts jobs for; of several that run the bar shows the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Job {
    Save,
    Open,
    Model,
    Predict,
    Density,
    Dialog,
}

impl JobKind for Job {
    fn name(self) -> &'static str {
        match self {
            Self::Save => "save predictions",
            Self::Open => "open tracks",
            Self::Model => "load motion weights",
            Self::Predict => "predict",
            Self::Density => "density",
            Self::Dialog => "file dialog",
        }
    }

    fn can_cancel(self) -> bool {
        !matches!(self, Self::Save | Self::Model | Self::Dialog)
    }
}

/// What the pointer does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tool {
    /// Focus walkers and bend their pasts.
    #[default]
    Select,
    /// Draw the past of a new walker.
    Draw,
}

/// Where the next answer of the network belongs.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Wanted {
    frame: i64,
    revision: u64,
    is_full: bool,
}

/// The tab.
pub struct MotionTab {
    pub(super) gpu: Gpu,
    pub(super) jobs: Jobs<Job, Value>,
    dialog: FileDialog,
    pub(super) predictor: Option<Arc<dyn Predictor>>,
    /// Why nothing is predicted.
    pub(super) model_error: Option<String>,
    pub(super) work: Option<Work>,
    pub(super) canvas: Canvas,
    pub(super) tool: Tool,
    pub(super) grab: Option<Grab>,
    predictions: HashMap<i64, Arc<Predicted>>,
    running: Option<Wanted>,
    /// The heat map that is shown.
    pub(super) density: Option<Arc<Density>>,
    density_asked: Option<DensityKey>,
    /// Where nobody can walk.
    pub(super) ground: Option<Arc<MaskTexture>>,
    pub(super) last_place: Option<Rect>,
    /// Whether the tab was ever shown: only then does a recording begin.
    begun: bool,
    path_question: Option<PathQuestion<Purpose>>,
    /// Files that wait for the user to give up changes.
    to_open: Option<Vec<PathBuf>>,
}

impl MotionTab {
    /// Loads the model in the background.
    pub fn new(ctx: &egui::Context, gpu: Gpu, load: Load, dialog: FileDialog) -> Self {
        let mut tab = Self {
            gpu,
            jobs: Jobs::new(ctx),
            dialog,
            predictor: None,
            model_error: None,
            work: None,
            canvas: Canvas::default(),
            tool: Tool::Select,
            grab: None,
            predictions: HashMap::new(),
            running: None,
            density: None,
            density_asked: None,
            ground: None,
            last_place: None,
            begun: false,
            path_question: None,
            to_open: None,
        };
        tab.jobs.start(Job::Model, move |out| {
            out.progress(0.0, "Loading the weights")?;
            out.value(Value::Model(load()?))?;
            Ok(())
        });
        tab
    }

    /// The recording that is shown.
    pub fn work(&self) -> Option<&Work> {
        self.work.as_ref()
    }

    /// Whether any job runs.
    pub fn is_busy(&self) -> bool {
        self.jobs.any_busy()
    }

    /// The heat map that is shown.
    pub fn density(&self) -> Option<&Density> {
        self.density.as_deref()
    }

    /// What is predicted for the frame on the screen; while an answer is awaited, the one before.
    pub fn predicted(&self) -> Option<&Arc<Predicted>> {
        self.predicted_of(self.work.as_ref()?)
    }

    /// The same while the recording is taken out for drawing.
    fn predicted_of(&self, work: &Work) -> Option<&Arc<Predicted>> {
        let frame = work.frame();
        self.predictions.get(&frame).or_else(|| {
            // While it plays, futures of the last frames stay until the next are there.
            let position = work.position();
            let before = work.frames.get(position.saturating_sub(3)..position)?;
            let mut before = before.iter().rev().filter(|_| work.is_playing);
            before.find_map(|frame| self.predictions.get(frame))
        })
    }

    /// Shows the plaza the first time that the tab is seen.
    pub(super) fn begin(&mut self) {
        if !self.begun {
            self.begun = true;
            if self.work.is_none() && !self.jobs.is_busy(Job::Open) {
                self.open(Source::Simulated(Place::Plaza));
            }
        }
    }

    pub(super) fn open(&mut self, source: Source) {
        self.begun = true;
        let gpu = self.gpu.clone();
        self.jobs
            .start(Job::Open, move |out| reading::open(source, &gpu, out));
    }

    /// Opens files; asks first if there are changes that were not exported.
    pub fn open_paths(&mut self, paths: Vec<PathBuf>) {
        if self.has_unsaved() {
            self.to_open = Some(paths);
        } else {
            self.open_now(paths);
        }
    }

    fn open_now(&mut self, paths: Vec<PathBuf>) {
        let current = self.work.as_ref();
        let current = current.map(|w| (w.name.clone(), w.path.clone(), Arc::clone(&w.tracks)));
        self.open(Source::Files(paths, current));
    }

    pub(super) fn has_unsaved(&self) -> bool {
        self.work.as_ref().is_some_and(|work| work.unsaved)
    }

    /// Takes what has arrived from the jobs, and starts what is wanted next.
    pub(super) fn take_arrivals(&mut self, settings: &mut Settings, log: &mut Log) {
        for (job, arrival) in self.jobs.poll() {
            match arrival {
                Arrival::Value(value) => self.take(value, settings, log),
                Arrival::Ended(error) => {
                    if job == Job::Predict {
                        self.running = None;
                    }
                    if let Some(error) = error {
                        if job == Job::Model {
                            self.model_error = Some(format!("{error:#}"));
                        }
                        log.error(&error);
                    }
                }
            }
        }
        self.predict_what_is_shown();
        self.estimate_what_is_shown(&settings.motion);
    }

    fn take(&mut self, value: Value, settings: &mut Settings, log: &mut Log) {
        match value {
            Value::Model(predictor) => self.predictor = Some(predictor),
            Value::Opened(opened) => {
                if let Some(folder) = opened.path.as_deref().and_then(Path::parent) {
                    settings.folder = Some(folder.to_path_buf());
                }
                self.ground.clone_from(&opened.ground);
                let mut work = Work::new(*opened);
                work.is_playing = true;
                self.work = Some(work);
                self.forget();
                self.canvas.fit();
            }
            Value::Notes(notes) => notes.into_iter().for_each(|note| log.warn(note)),
            Value::Predicted(predicted) => {
                self.predictions.insert(predicted.frame, predicted);
            }
            Value::Density(density) => self.density = Some(density),
            Value::Chosen(purpose, paths) => self.path_chosen(purpose, paths, &settings.motion),
            Value::NoDialog(purpose, ask) => {
                self.path_question = Some(PathQuestion::new(purpose, ask))
            }
            Value::Saved(purpose, path) => {
                if let Some(work) = &mut self.work {
                    work.unsaved = false;
                }
                let what = match purpose {
                    Purpose::SavePng => "Picture",
                    _ => "Predictions",
                };
                log.done(format!("{what} saved to {}", path.display()));
            }
        }
    }

    fn forget(&mut self) {
        self.predictions.clear();
        self.density = None;
        self.density_asked = None;
        self.grab = None;
        self.running = None;
        self.jobs.cancel(Job::Predict);
        self.jobs.cancel(Job::Density);
    }

    /// Starts predicting the frame on the screen, or the next one while it plays.
    fn predict_what_is_shown(&mut self) {
        let (Some(work), Some(predictor)) = (&self.work, &self.predictor) else {
            return;
        };
        let (frame, revision) = (work.frame(), work.revision);
        let is_hasty = work.is_playing || self.grab.is_some();
        let has = |frame: i64, is_full: bool| {
            self.predictions
                .get(&frame)
                .is_some_and(|p| p.revision == revision && (p.is_full || !is_full))
        };
        let wanted = |frame, is_full| Wanted {
            frame,
            revision,
            is_full,
        };
        let next = work
            .next_frame()
            .filter(|next| work.is_playing && !has(*next, false));
        let wanted = if !has(frame, false) {
            wanted(frame, false)
        } else if !is_hasty && !has(frame, true) {
            wanted(frame, true)
        } else if let Some(next) = next {
            wanted(next, false)
        } else {
            return;
        };
        // A quick answer is let finish even if it is out of date: otherwise a drag would never see one.
        let is_waiting = self
            .running
            .is_some_and(|running| running == wanted || !running.is_full);
        if is_waiting && self.jobs.is_busy(Job::Predict) {
            return;
        }
        let shown = work.shown(wanted.frame);
        let input = PredictInput {
            predictor: Arc::clone(predictor),
            scene: Arc::clone(&work.scene),
            metres_a_unit: work.metres_a_unit,
            frame: wanted.frame,
            revision,
            is_full: wanted.is_full,
            shown,
        };
        self.running = Some(wanted);
        self.jobs
            .start(Job::Predict, move |out| steps::predict(&input, out));
    }

    /// Estimates the heat map of the futures on the screen.
    fn estimate_what_is_shown(&mut self, view: &MotionView) {
        let (Some(work), Some(predicted)) = (&self.work, self.predicted()) else {
            return;
        };
        if !view.heat {
            return;
        }
        let key = DensityKey {
            frame: predicted.frame,
            revision: predicted.revision,
            is_full: predicted.is_full,
            focus: work.focus,
            bandwidth: (f64::from(view.bandwidth_m) / work.metres_a_unit) as f32,
        };
        if self.density_asked == Some(key) || self.jobs.is_busy(Job::Density) {
            return;
        }
        let (predicted, scene, gpu) = (
            Arc::clone(predicted),
            Arc::clone(&work.scene),
            self.gpu.clone(),
        );
        self.density_asked = Some(key);
        self.jobs.start(Job::Density, move |out| {
            steps::density(&predicted, key, &scene, &gpu, out)
        });
    }

    /// What is drawn, bottom first.
    pub(super) fn stack(
        &self,
        work: &Work,
        view: &MotionView,
        pixels_per_point: f32,
    ) -> Vec<Layer> {
        let mut stack = vec![Layer::Picture(PictureLayer::new(Arc::clone(&work.texture)))];
        if view.ground
            && let Some(texture) = &self.ground
        {
            let mut colors = [[0.0; 4]; crate::gpu::CLASS_SLOTS];
            colors[1] = [0.9, 0.25, 0.3, 1.0];
            stack.push(Layer::Mask(Box::new(MaskLayer {
                texture: Arc::clone(texture),
                colors,
                opacity: 0.3,
                outline_px: 1.5 * pixels_per_point,
                active_class: 0,
                brush: None,
                pixels_per_point,
            })));
        }
        let predicted = self.predicted_of(work);
        if view.heat
            && let (Some(density), Some(_)) = (&self.density, predicted)
        {
            stack.push(Layer::Heatmap(Box::new(HeatmapLayer {
                texture: Arc::clone(&density.texture),
                grid_from_image: density.grid_from_image,
                color_map: view.color_map,
                range: [0.0, density.peak.max(1e-12)],
                opacity: view.heat_opacity,
                fade_in: 0.25,
                levels: if view.contours {
                    density.levels.clone()
                } else {
                    Vec::new()
                },
                contour_px: 1.3 * pixels_per_point,
            })));
        }
        let segments = draw::segments(work, predicted.map(|p| &**p), view);
        let mut lines =
            LinesLayer::new(Arc::new(Lines::new(&self.gpu, &segments)), pixels_per_point);
        (lines.border_px, lines.border_color) = (0.8 * pixels_per_point, [0.0, 0.0, 0.0, 0.35]);
        stack.push(Layer::Lines(lines));
        stack
    }

    /// Asks for paths.
    pub(super) fn ask(&mut self, purpose: Purpose, settings: &Settings) {
        const TRACKS: [&str; 12] = [
            "txt", "csv", "tsv", "png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp", "gif", "pnm",
        ];
        if self.jobs.is_busy(Job::Dialog) {
            return;
        }
        let (title, ending) = match purpose {
            Purpose::Open => ("Open tracks, and their picture", ""),
            Purpose::SavePng => ("Export the picture", "png"),
            Purpose::SaveCsv => ("Export the predictions", "csv"),
            Purpose::SaveJson => ("Export the predictions", "json"),
        };
        let frame = self.work.as_ref().map_or(0, Work::frame);
        let name = self.work.as_ref().map_or("walkers", |work| &work.name);
        let stem = name
            .rsplit_once('.')
            .map_or(name, |(stem, _)| stem)
            .to_lowercase();
        let ask = Ask {
            title,
            kind: match purpose {
                Purpose::Open => AskKind::Open("Tracks and pictures", &TRACKS),
                _ => AskKind::Save,
            },
            folder: settings.folder.clone(),
            name: match purpose {
                Purpose::Open => String::new(),
                _ => format!("{stem}-{frame}.{ending}"),
            },
        };
        let dialog = Arc::clone(&self.dialog);
        self.jobs.start(Job::Dialog, move |out| {
            steps::choose(&dialog, purpose, ask, out)
        });
    }

    fn path_chosen(&mut self, purpose: Purpose, paths: Vec<PathBuf>, view: &MotionView) {
        if purpose == Purpose::Open {
            return self.open_paths(paths);
        }
        let (Some(path), Some(work), Some(predicted)) =
            (paths.into_iter().next(), &self.work, self.predicted())
        else {
            return;
        };
        if purpose == Purpose::SavePng {
            let (stack, size, gpu) = (self.stack(work, view, 1.5), work.size, self.gpu.clone());
            self.jobs.start(Job::Save, move |out| {
                steps::save_png(&stack, size, path, &gpu, out)
            });
        } else {
            let name_of = |id: Id| match id {
                Id::Track(track) => work
                    .tracks
                    .tracks
                    .get(track)
                    .map_or_else(String::new, |t| t.agent.clone()),
                Id::Drawn(n) => format!("drawn-{}", n + 1),
            };
            let exported = steps::exported(work.name.clone(), predicted, name_of);
            self.jobs.start(Job::Save, move |out| {
                steps::save_numbers(purpose, path, &exported, out)
            });
        }
    }

    /// Whether there is anything to export.
    pub(super) fn can_save(&self) -> bool {
        self.predicted().is_some() && !self.jobs.is_busy(Job::Save)
    }

    pub(super) fn show_questions(&mut self, ctx: &egui::Context, view: &MotionView) {
        if let Some(mut question) = self.path_question.take() {
            match question.ui(ctx) {
                Some(paths) if !paths.is_empty() => self.path_chosen(question.purpose, paths, view),
                Some(_) => {}
                None => self.path_question = Some(question),
            }
        }
        if let Some(paths) = self.to_open.take() {
            let text = "The walkers you changed or drew have not been exported and would be lost.";
            let answer = crate::ui::question::question_ui(
                ctx,
                "Open another recording?",
                text,
                "Open anyway",
                "Keep working",
            );
            match answer {
                Some(true) => self.open_now(paths),
                Some(false) => {}
                None => self.to_open = Some(paths),
            }
        }
    }

    /// Does what a key or a button asks for.
    pub(super) fn do_action(
        &mut self,
        ctx: &egui::Context,
        action: Action,
        settings: &mut Settings,
    ) {
        match action {
            Action::Open => self.ask(Purpose::Open, settings),
            Action::SaveResult | Action::SaveProject if self.can_save() => {
                self.ask(Purpose::SavePng, settings)
            }
            Action::Undo | Action::Redo => {
                self.grab = None;
                if let Some(work) = &mut self.work {
                    work.step_edits(action == Action::Undo);
                }
            }
            Action::Fit => self.canvas.fit(),
            Action::ActualSize => {
                if let (Some(place), Some(work)) = (self.last_place, &self.work) {
                    self.canvas
                        .actual_size(place, work.size, ctx.pixels_per_point());
                }
            }
            Action::Cancel => self.cancel(),
            Action::Select => self.tool = Tool::Select,
            Action::DrawWalker => self.tool = Tool::Draw,
            Action::ToggleHeat => settings.motion.heat = !settings.motion.heat,
            _ => {
                if let Some(work) = &mut self.work {
                    work.act(action);
                }
            }
        }
    }

    /// Takes back the drag that is under way, else lets go of the focus, else stops what runs.
    fn cancel(&mut self) {
        let Some(work) = &mut self.work else { return };
        if self.grab.take().is_some() {
            work.abandon_edit();
        } else if work.focus.take().is_none() {
            for job in [Job::Open, Job::Predict, Job::Density] {
                self.jobs.cancel(job);
            }
        }
    }
}
