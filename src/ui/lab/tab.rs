//! What the lab tab holds, what it starts, and what it does with what arrives.

use std::path::PathBuf;
use std::sync::Arc;

use eframe::egui;

use super::saved::SavedPage;
use super::theory::{Flow, TheoryPage};
use crate::lab::checkpoint::Checkpoint;
use crate::lab::live::{self, Control, News, Start};
use crate::lab::run::{LabConfig, Sample};
use crate::lab::saved::{self, Found, SavedRun};
use crate::ui::job_bar::{Arrival, JobKind, Jobs, Log};

/// What the tab starts jobs for: one for each run, so that they train side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Job {
    Export,
    Delete,
    Open,
    List,
    Theory,
    Save(u32),
    Run(u32),
}

impl JobKind for Job {
    fn name(self) -> &'static str {
        match self {
            Self::Export => "lab export",
            Self::Delete => "lab delete",
            Self::Open => "lab open",
            Self::List => "lab list",
            Self::Save(_) => "lab save",
            Self::Theory => "lab theory",
            Self::Run(_) => "lab run",
        }
    }

    fn can_cancel(self) -> bool {
        // Half a run on the disk helps nobody.
        !matches!(self, Self::Save(_) | Self::Delete)
    }
}

/// What jobs hand over.
pub(super) enum Value {
    News(News),
    /// A run is in its folder, with so many samples.
    Saved(u32, PathBuf, usize),
    Exported(PathBuf),
    Found(Found),
    /// A run from its folder.
    Opened(PathBuf, Box<SavedRun>),
    /// Something of several failed; the rest goes on.
    Failed(anyhow::Error),
    Deleted(PathBuf),
    Flow(Box<Flow>),
}

/// The pages of the tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Runs,
    Saved,
    Theory,
}

/// How a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Training,
    Paused,
    Done,
    Stopped,
    Failed(String),
}

/// One run as the window sees it.
pub(super) struct RunView {
    pub id: u32,
    pub name: String,
    pub config: LabConfig,
    pub control: Arc<Control>,
    pub state: State,
    pub samples: Vec<Sample>,
    /// What it can go on from.
    pub checkpoint: Option<Arc<Checkpoint>>,
    pub is_shown: bool,
    /// Where it is saved, and how many samples are.
    pub saved: Option<(PathBuf, usize)>,
}

impl RunView {
    /// Whether it may go on.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Training | State::Paused)
    }

    /// Steps in all.
    pub fn steps(&self) -> usize {
        let standing = self.checkpoint.as_ref().map(|c| c.standing.steps);
        standing.unwrap_or_else(|| self.config.steps(1))
    }

    /// Whether the folder holds all there is to see.
    pub fn is_saved(&self) -> bool {
        let saved = self.saved.as_ref();
        saved.is_some_and(|(_, samples)| *samples == self.samples.len())
    }

    /// Whether closing the window would lose something.
    pub fn is_unsaved(&self) -> bool {
        !self.samples.is_empty() && !self.is_saved()
    }

    fn to_save(&self) -> SavedRun {
        SavedRun {
            name: self.name.clone(),
            config: self.config.clone(),
            samples: self.samples.clone(),
            checkpoint: self.checkpoint.as_deref().cloned(),
        }
    }

    /// The last accuracy that was measured.
    pub fn accuracy(&self) -> Option<f64> {
        self.samples.iter().rev().find_map(|s| s.accuracy)
    }
}

/// The tab.
pub struct LabTab {
    pub(super) jobs: Jobs<Job, Value>,
    /// Settings of the next run.
    pub(super) draft: LabConfig,
    pub(super) runs: Vec<RunView>,
    pub(super) selected: Option<u32>,
    /// The layer whose ratios are drawn over time.
    pub(super) layer: usize,
    next_id: u32,
    pub(super) page: Page,
    pub(super) theory: TheoryPage,
    pub(super) saved: SavedPage,
    /// Folder that runs are saved to, and looked for in.
    pub(super) folder: String,
    /// Why the draft cannot be started.
    pub(super) fault: Option<String>,
}

impl LabTab {
    /// An empty laboratory.
    pub fn new(ctx: &egui::Context) -> Self {
        Self {
            jobs: Jobs::new(ctx),
            draft: LabConfig::default(),
            runs: Vec::new(),
            selected: None,
            layer: 0,
            next_id: 1,
            page: Page::Runs,
            theory: TheoryPage::default(),
            saved: SavedPage::default(),
            folder: "runs/lab/window".to_string(),
            fault: None,
        }
    }

    /// Whether any run trains or anything else is computed.
    pub fn is_busy(&self) -> bool {
        self.jobs.any_busy()
    }

    /// Names of the runs and the number of samples each has told, for tests.
    pub fn told(&self) -> Vec<(String, usize)> {
        let runs = self.runs.iter();
        runs.map(|r| (r.name.clone(), r.samples.len())).collect()
    }

    /// Settings of the next run, for tests to shorten it.
    pub fn draft_mut(&mut self) -> &mut LabConfig {
        &mut self.draft
    }

    /// Takes another folder for the export.
    pub fn set_folder(&mut self, folder: &std::path::Path) {
        self.folder = folder.to_string_lossy().into_owned();
    }

    /// Starts a run with the settings at the side.
    pub(super) fn start(&mut self) {
        if let Err(error) = self.draft.check() {
            self.fault = Some(format!("{error:#}"));
            return;
        }
        self.fault = None;
        let name = format!("{} {}", self.next_id, self.draft.title());
        let id = self.add(name, self.draft.clone());
        self.train(id, Start::Fresh);
    }

    /// A run in the list, chosen, which has told nothing yet.
    fn add(&mut self, name: String, config: LabConfig) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        self.runs.push(RunView {
            id,
            name,
            config,
            control: Arc::default(),
            state: State::Stopped,
            samples: Vec::new(),
            checkpoint: None,
            is_shown: true,
            saved: None,
        });
        self.selected = Some(id);
        id
    }

    fn train(&mut self, id: u32, start: Start) {
        let Some(run) = self.run_mut(id) else { return };
        let (config, control) = (run.config.clone(), Arc::new(Control::default()));
        run.control = Arc::clone(&control);
        run.state = State::Training;
        self.jobs.start(Job::Run(id), move |out| {
            live::watch(config, &start, &control, out, |news| {
                Ok(out.value(Value::News(news))?)
            })
            .map(drop)
        });
    }

    /// Whether a run that does not train could.
    pub(super) fn can_go_on(&self, run: &RunView) -> bool {
        !run.is_open() && run.checkpoint.is_some() && !self.jobs.is_busy(Job::Run(run.id))
    }

    /// Trains a run further: from where it was stopped, or past its end.
    pub(super) fn go_on(&mut self, id: u32) {
        let run = self.runs.iter().find(|run| run.id == id);
        let Some(run) = run.filter(|run| self.can_go_on(run)) else {
            return;
        };
        let Some(checkpoint) = run.checkpoint.clone() else {
            return;
        };
        let step = checkpoint.standing.step;
        if let Some(run) = self.run_mut(id) {
            // What came after the checkpoint is trained again.
            run.samples.retain(|s| s.step <= step);
        }
        self.train(id, Start::From(checkpoint));
    }

    /// A run from its folder; one that is open already is chosen.
    fn take_opened(&mut self, folder: PathBuf, run: SavedRun) {
        let has_folder =
            |view: &&mut RunView| view.saved.as_ref().is_some_and(|(f, _)| *f == folder);
        if let Some(view) = self.runs.iter_mut().find(has_folder) {
            view.is_shown = true;
            self.selected = Some(view.id);
            return;
        }
        let is_taken = |name: &String| self.runs.iter().any(|run| run.name == *name);
        // Plots tell runs apart by name.
        let others = (2..).map(|n| format!("{} ({n})", run.name));
        let mut names = std::iter::once(run.name.clone()).chain(others);
        let name = names.find(|name| !is_taken(name)).unwrap_or_default();
        let id = self.add(name, run.config);
        if let Some(view) = self.run_mut(id) {
            view.saved = Some((folder, run.samples.len()));
            view.samples = run.samples;
            view.checkpoint = run.checkpoint.map(Arc::new);
            if view.samples.last().is_some_and(|s| s.step >= view.steps()) {
                view.state = State::Done;
            }
        }
    }

    /// The run with this number.
    pub(super) fn run_mut(&mut self, id: u32) -> Option<&mut RunView> {
        self.runs.iter_mut().find(|run| run.id == id)
    }

    /// The run that is looked at.
    pub(super) fn selected_run(&self) -> Option<&RunView> {
        let id = self.selected?;
        self.runs.iter().find(|run| run.id == id)
    }

    /// Ends a run; its curves stay, and it can go on later.
    pub(super) fn stop(&mut self, id: u32) {
        if let Some(run) = self.run_mut(id).filter(|run| run.is_open()) {
            run.control.stop();
            run.state = State::Stopped;
        }
    }

    /// Pauses a run that trains, or lets it go on.
    pub(super) fn pause(&mut self, id: u32, is_paused: bool) {
        if let Some(run) = self.run_mut(id).filter(|run| run.is_open()) {
            run.control.pause(is_paused);
            run.state = if is_paused {
                State::Paused
            } else {
                State::Training
            };
        }
    }

    /// Pauses the chosen run, or lets it go on.
    pub(super) fn toggle_pause(&mut self) {
        if let Some(run) = self.selected_run() {
            let (id, is_paused) = (run.id, run.state == State::Paused);
            match run.is_open() {
                true => self.pause(id, !is_paused),
                false => self.go_on(id),
            }
        }
    }

    /// Keeps only the largest ratio of each layer of a run, which then fine-tunes.
    pub(super) fn harden(&mut self, id: u32) {
        let can = |run: &&mut RunView| run.is_open() && run.config.norm.is_switchable();
        if let Some(run) = self.run_mut(id).filter(can) {
            run.control.harden();
        }
    }

    /// Whether there is anything to write and a folder to write it to.
    pub(super) fn can_export(&self) -> bool {
        !self.runs.is_empty() && !self.folder.trim().is_empty() && !self.jobs.is_busy(Job::Export)
    }

    /// Forgets a run.
    pub(super) fn remove(&mut self, id: u32) {
        self.jobs.cancel(Job::Run(id));
        self.runs.retain(|run| run.id != id);
        if self.selected == Some(id) {
            self.selected = self.runs.last().map(|run| run.id);
        }
    }

    /// Whether a run has something to save that is not, and a folder to go to.
    pub(super) fn can_save(&self, run: &RunView) -> bool {
        run.is_unsaved() && !self.folder.trim().is_empty() && !self.jobs.is_busy(Job::Save(run.id))
    }

    /// Saves a run: into its own folder, or a new one in the folder of all.
    pub(super) fn save(&mut self, id: u32) {
        let parent = PathBuf::from(self.folder.trim());
        let Some(run) = self.runs.iter().find(|run| run.id == id) else {
            return;
        };
        if !self.can_save(run) {
            return;
        }
        let folder = run.saved.as_ref().map(|(folder, _)| folder.clone());
        let run = run.to_save();
        self.jobs.start(Job::Save(id), move |out| {
            out.progress(0.0, "Saving the run")?;
            let folder = folder.unwrap_or_else(|| saved::free_folder(&parent, &run.name));
            saved::save(&folder, &run)?;
            Ok(out.value(Value::Saved(id, folder, run.samples.len()))?)
        });
    }

    /// Writes the curves of all runs into the folder, and saves those that are not.
    pub(super) fn export(&mut self) {
        let folder = PathBuf::from(self.folder.trim());
        let runs = self.runs.iter();
        let curves: Vec<_> = runs.map(|r| (r.name.clone(), r.samples.clone())).collect();
        let ids: Vec<u32> = self.runs.iter().map(|run| run.id).collect();
        ids.into_iter().for_each(|id| self.save(id));
        self.jobs.start(Job::Export, move |out| {
            out.progress(0.0, "Writing curves")?;
            live::export(&folder, &curves)?;
            Ok(out.value(Value::Exported(folder))?)
        });
    }

    /// Takes what has arrived.
    pub(super) fn take_arrivals(&mut self, log: &mut Log) {
        for (job, arrival) in self.jobs.poll() {
            match (job, arrival) {
                (Job::Run(id), Arrival::Value(Value::News(news))) => {
                    if let Some(run) = self.run_mut(id) {
                        match news {
                            News::Sample(sample) => run.samples.push(sample),
                            News::Checkpoint(checkpoint) => run.checkpoint = Some(checkpoint),
                        }
                    }
                }
                (Job::Run(id), Arrival::Ended(None)) => {
                    if let Some(run) = self.run_mut(id).filter(|run| run.is_open()) {
                        run.state = State::Done;
                    }
                }
                (Job::Run(id), Arrival::Ended(Some(error))) => {
                    // The curves so far stay.
                    if let Some(run) = self.run_mut(id) {
                        run.state = State::Failed(format!("{error:#}"));
                    }
                    log.error(&error);
                }
                (_, Arrival::Value(Value::Exported(folder))) => {
                    log.done(format!("Exported to {}", folder.display()));
                }
                (_, Arrival::Value(Value::Saved(id, folder, samples))) => {
                    log.done(format!("Saved in {}", folder.display()));
                    self.saved.is_stale = true;
                    if let Some(run) = self.run_mut(id) {
                        run.saved = Some((folder, samples));
                    }
                }
                (_, Arrival::Value(Value::Found(found))) => self.saved.take(found),
                (_, Arrival::Value(Value::Opened(folder, run))) => {
                    self.take_opened(folder, *run);
                    self.page = Page::Runs;
                }
                (_, Arrival::Value(Value::Deleted(folder))) => {
                    self.saved.is_stale = true;
                    for run in &mut self.runs {
                        run.saved.take_if(|(saved, _)| *saved == folder);
                    }
                }
                (_, Arrival::Value(Value::Failed(error))) => log.error(&error),
                (_, Arrival::Value(Value::Flow(flow))) => self.theory.take(*flow),
                (_, Arrival::Ended(Some(error))) => log.error(&error),
                (_, Arrival::Value(_) | Arrival::Ended(None)) => {}
            }
        }
        // A run that was cancelled in the bar below sends no last word.
        for run in &mut self.runs {
            if run.is_open() && !self.jobs.is_busy(Job::Run(run.id)) {
                run.state = State::Stopped;
            }
        }
    }
}
