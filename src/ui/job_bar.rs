//! The jobs of a tab and the bar at the bottom that shows them: what is being done, how far it is, cancel, and what
//! went wrong last. The bar keeps its height and its places whatever runs, so nothing jumps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use eframe::egui::{self, Align, Layout, RichText};

use super::keys::{self, Action};
use super::theme::{self, icon};
use crate::job::{Out, Slot, Update};

/// What a tab starts jobs for. Of several that run, the bar shows the least.
pub trait JobKind: Copy + Ord {
    /// The thread's name.
    fn name(self) -> &'static str;
    /// Whether the user may stop it.
    fn can_cancel(self) -> bool;
}

/// A slot for each kind of job.
pub struct Jobs<K, T> {
    running: BTreeMap<K, Running<T>>,
    wake: Arc<dyn Fn(bool) + Send + Sync>,
}

struct Running<T> {
    slot: Slot<T>,
    fraction: f32,
    note: String,
}

/// What has arrived from a job.
pub enum Arrival<T> {
    Value(T),
    /// With the error if it failed.
    Ended(Option<anyhow::Error>),
}

impl<K: JobKind, T: Send + 'static> Jobs<K, T> {
    /// `ctx` is repainted whenever something arrives.
    pub fn new(ctx: &egui::Context) -> Self {
        let ctx = ctx.clone();
        Self {
            running: BTreeMap::new(),
            wake: Arc::new(move |is_news| match is_news {
                true => ctx.request_repaint(),
                // Drawing the window for each step of progress would slow down the work it shows.
                false => ctx.request_repaint_after(PROGRESS_EVERY),
            }),
        }
    }

    /// Starts a job; one of the same kind that still runs is cancelled.
    pub fn start(&mut self, kind: K, work: impl FnOnce(&Out<T>) -> Result<()> + Send + 'static) {
        let running = self.running.entry(kind).or_insert_with(|| {
            let wake = Arc::clone(&self.wake);
            Running {
                slot: Slot::new(kind.name(), move |is_news| wake(is_news)),
                fraction: 0.0,
                note: String::new(),
            }
        });
        running.fraction = 0.0;
        running.note.clear();
        running.slot.start(work);
    }

    pub fn cancel(&mut self, kind: K) {
        if let Some(running) = self.running.get_mut(&kind) {
            running.slot.cancel();
        }
    }

    pub fn is_busy(&self, kind: K) -> bool {
        self.running.get(&kind).is_some_and(|r| r.slot.is_busy())
    }

    /// Whether anything runs.
    pub fn any_busy(&self) -> bool {
        self.running.values().any(|r| r.slot.is_busy())
    }

    /// Everything that has arrived since the last call, by kind.
    pub fn poll(&mut self) -> Vec<(K, Arrival<T>)> {
        let mut arrivals = Vec::new();
        for (kind, running) in &mut self.running {
            for update in running.slot.poll() {
                match update {
                    Update::Progress(fraction, note) => {
                        (running.fraction, running.note) = (fraction, note);
                    }
                    Update::Value(value) => arrivals.push((*kind, Arrival::Value(value))),
                    Update::Ended(result) => arrivals.push((*kind, Arrival::Ended(result.err()))),
                }
            }
        }
        arrivals
    }

    /// The job to show: kind, fraction done, what it does.
    fn current(&self) -> Option<(K, f32, &str)> {
        let mut busy = self.running.iter().filter(|(_, r)| r.slot.is_busy());
        busy.find(|(_, r)| !r.note.is_empty())
            .map(|(kind, r)| (*kind, r.fraction, r.note.as_str()))
    }
}

/// What the user was told, oldest first.
#[derive(Default)]
pub struct Log {
    entries: Vec<Entry>,
    /// Shown in the bar until something else is, or until it is dismissed; good news go by themselves.
    last: Option<usize>,
    /// When the bar first showed it, by the window's clock.
    shown_secs: Option<f64>,
}

struct Entry {
    kind: EntryKind,
    text: String,
}

#[derive(Clone, Copy, PartialEq)]
enum EntryKind {
    Done,
    Warning,
    Error,
}

const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// How long good news stay in the bar.
const DONE_SECS: f64 = 8.0;
/// Entries kept.
const LOG_LEN: usize = 500;

impl Log {
    /// Something went as asked.
    pub fn done(&mut self, text: impl Into<String>) {
        self.push(EntryKind::Done, text.into());
    }

    /// Something the user should know.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.push(EntryKind::Warning, text.into());
    }

    /// Something failed.
    pub fn error(&mut self, error: &anyhow::Error) {
        self.push(EntryKind::Error, format!("{error:#}"));
    }

    fn push(&mut self, kind: EntryKind, text: String) {
        if self.entries.len() >= LOG_LEN {
            self.entries.remove(0);
        }
        self.entries.push(Entry { kind, text });
        self.last = Some(self.entries.len() - 1);
        self.shown_secs = None;
    }

    /// Lets go of good news that were shown long enough.
    fn expire(&mut self, ctx: &egui::Context) {
        let is_done = |entry: &Entry| entry.kind == EntryKind::Done;
        if !self
            .last
            .and_then(|index| self.entries.get(index))
            .is_some_and(is_done)
        {
            return;
        }
        let now = ctx.input(|i| i.time);
        let left = *self.shown_secs.get_or_insert(now) + DONE_SECS - now;
        if left <= 0.0 {
            self.last = None;
        } else {
            ctx.request_repaint_after(Duration::from_secs_f64(left));
        }
    }

    /// The text shown in the bar.
    pub fn last(&self) -> Option<&str> {
        let entry = self.entries.get(self.last?)?;
        Some(&entry.text)
    }

    /// The log window's content.
    pub fn log_ui(&self, ui: &mut egui::Ui) {
        ui.set_min_width(420.0);
        if self.entries.is_empty() {
            ui.weak("Nothing has happened yet.");
        }
        egui::ScrollArea::vertical()
            .max_height(320.0)
            .stick_to_bottom(true)
            .show(ui, |ui| {
                for entry in &self.entries {
                    ui.horizontal_wrapped(|ui| {
                        entry_icon_ui(ui, entry.kind);
                        ui.add(egui::Label::new(&entry.text).selectable(true));
                    });
                }
            });
        if !self.entries.is_empty() && ui.button("Copy all").clicked() {
            let lines: Vec<&str> = self.entries.iter().map(|e| e.text.as_str()).collect();
            ui.ctx().copy_text(lines.join("\n"));
        }
    }
}

fn entry_icon_ui(ui: &mut egui::Ui, kind: EntryKind) {
    let colors = theme::colors(ui);
    let (icon, color) = match kind {
        EntryKind::Done => (icon::DONE, colors.good),
        EntryKind::Warning => (icon::WARNING, colors.warning),
        EntryKind::Error => (icon::ERROR, colors.error),
    };
    ui.label(RichText::new(icon).color(color).size(15.0));
}

/// The bar. `idle` is shown when nothing runs and there is nothing to tell. Returns whether the log was asked for.
pub fn job_bar_ui<K: JobKind, T: Send + 'static>(
    ui: &mut egui::Ui,
    jobs: &mut Jobs<K, T>,
    log: &mut Log,
    idle: &str,
    right: &str,
) -> bool {
    log.expire(ui.ctx());
    let mut log_asked = false;
    let mut cancelled = None;
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        let button = theme::icon_button_ui(
            ui,
            icon::LOG,
            "Messages",
            &keys::tip(ui.ctx(), Action::ShowMessages),
        );
        log_asked = button.clicked();
        ui.label(RichText::new(right).color(theme::colors(ui).weak));
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            if let Some((kind, fraction, note)) = jobs.current() {
                let bar = egui::ProgressBar::new(fraction)
                    .desired_width(120.0)
                    .desired_height(6.0)
                    .fill(theme::colors(ui).accent);
                ui.add(bar).accessible_name("Progress");
                if kind.can_cancel()
                    && theme::icon_button_ui(
                        ui,
                        icon::CLOSE,
                        "Cancel",
                        &keys::tip(ui.ctx(), Action::Cancel),
                    )
                    .clicked()
                {
                    cancelled = Some(kind);
                }
                ui.add(egui::Label::new(note).truncate());
            } else if let Some(entry) = log.last.and_then(|index| log.entries.get(index)) {
                entry_icon_ui(ui, entry.kind);
                let dismiss = entry.kind != EntryKind::Done
                    && theme::icon_button_ui(ui, icon::CLOSE, "Dismiss", "Dismiss").clicked();
                ui.add(egui::Label::new(&entry.text).truncate())
                    .on_hover_text(&entry.text);
                if dismiss {
                    log.last = None;
                }
            } else {
                let text = RichText::new(idle).color(theme::colors(ui).weak);
                ui.add(egui::Label::new(text).truncate());
            }
        });
    });
    if let Some(kind) = cancelled {
        jobs.cancel(kind);
    }
    log_asked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    enum Kind {
        Save,
        Render,
    }

    impl JobKind for Kind {
        fn name(self) -> &'static str {
            "test"
        }
        fn can_cancel(self) -> bool {
            self == Self::Render
        }
    }

    fn wait(jobs: &mut Jobs<Kind, u32>) -> Vec<(Kind, Arrival<u32>)> {
        let mut all = Vec::new();
        while jobs.any_busy() {
            all.extend(jobs.poll());
            std::thread::yield_now();
        }
        all
    }

    #[test]
    fn each_kind_has_its_own_slot_and_failures_are_told() {
        let mut jobs = Jobs::new(&egui::Context::default());
        jobs.start(Kind::Render, |out| Ok(out.value(1)?));
        jobs.start(Kind::Save, |_| anyhow::bail!("The disk is full"));
        let arrivals = wait(&mut jobs);
        let rendered = |a: &(Kind, Arrival<u32>)| matches!(a, (Kind::Render, Arrival::Value(1)));
        assert!(arrivals.iter().any(rendered));
        let mut errors = arrivals.iter().filter_map(|(kind, arrival)| match arrival {
            Arrival::Ended(Some(error)) => Some((*kind, error.to_string())),
            _ => None,
        });
        let (kind, text) = errors.next().unwrap();
        assert!(kind == Kind::Save && text == "The disk is full");
        assert!(errors.next().is_none());
    }

    #[test]
    fn the_log_shows_the_newest_and_forgets_the_oldest() {
        let mut log = Log::default();
        assert_eq!(log.last(), None);
        for i in 0..LOG_LEN + 3 {
            log.done(i.to_string());
        }
        log.error(&anyhow::anyhow!("inner").context("Failed to save"));
        assert_eq!(log.last(), Some("Failed to save: inner"));
        assert_eq!(log.entries.len(), LOG_LEN);
        assert_eq!(log.entries[0].text, "4");
    }
}
