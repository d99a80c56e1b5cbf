//! What the lab tab holds, what it starts, and what it does with what arrives.

use std::path::PathBuf;
use std::sync::Arc;

use eframe::egui;

use super::theory::{Flow, TheoryPage};
use crate::lab::live::{self, Control, Record, Weights};
use crate::lab::run::{LabConfig, Sample};
use crate::ui::job_bar::{Arrival, JobKind, Jobs, Log};

/// What the tab starts jobs for: one for each run, so that they train side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Job {
    Export,
    Theory,
    Run(u32),
}

impl JobKind for Job {
    fn name(self) -> &'static str {
        match self {
            Self::Export => "lab export",
            Self::Theory => "lab theory",
            Self::Run(_) => "lab run",
        }
    }

    fn can_cancel(self) -> bool {
        true
    }
}

/// What jobs hand over.
pub(super) enum Value {
    Sample(Sample),
    Weights(Weights),
    Exported(PathBuf),
    Flow(Box<Flow>),
}

/// The pages of the tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Runs,
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
    pub weights: Option<Weights>,
    pub is_shown: bool,
}

impl RunView {
    /// Whether it may go on.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Training | State::Paused)
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
    /// Folder of the export.
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
        let (id, config) = (self.next_id, self.draft.clone());
        self.next_id += 1;
        let control = Arc::new(Control::default());
        let name = format!("{id} {}, batch {}", config.norm.title(), config.batch);
        self.runs.push(RunView {
            id,
            name,
            config: config.clone(),
            control: Arc::clone(&control),
            state: State::Training,
            samples: Vec::new(),
            weights: None,
            is_shown: true,
        });
        self.selected = Some(id);
        self.jobs.start(Job::Run(id), move |out| {
            let run = live::watch(config, &control, out, |sample| {
                Ok(out.value(Value::Sample(sample))?)
            })?;
            Ok(out.value(Value::Weights(Arc::new(run.tensors())))?)
        });
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

    /// Ends a run; its curves stay.
    pub(super) fn stop(&mut self, id: u32) {
        self.jobs.cancel(Job::Run(id));
        if let Some(run) = self.run_mut(id).filter(|run| run.is_open()) {
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
            self.pause(id, !is_paused);
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

    /// Writes all runs into the folder.
    pub(super) fn export(&mut self) {
        let folder = PathBuf::from(self.folder.trim());
        let records: Vec<Record> = self
            .runs
            .iter()
            .map(|run| Record {
                name: run.name.clone(),
                config: run.config.clone(),
                samples: run.samples.clone(),
                weights: run.weights.clone(),
            })
            .collect();
        self.jobs.start(Job::Export, move |out| {
            out.progress(0.0, "Writing curves and weights")?;
            live::export(&folder, &records)?;
            Ok(out.value(Value::Exported(folder))?)
        });
    }

    /// Takes what has arrived.
    pub(super) fn take_arrivals(&mut self, log: &mut Log) {
        for (job, arrival) in self.jobs.poll() {
            match (job, arrival) {
                (Job::Run(id), Arrival::Value(Value::Sample(sample))) => {
                    if let Some(run) = self.run_mut(id) {
                        run.samples.push(sample);
                    }
                }
                (Job::Run(id), Arrival::Value(Value::Weights(weights))) => {
                    if let Some(run) = self.run_mut(id) {
                        run.weights = Some(weights);
                    }
                }
                (Job::Run(id), Arrival::Ended(None)) => {
                    if let Some(run) = self.run_mut(id) {
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
