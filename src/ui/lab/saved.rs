//! The page of saved runs: a list of what lies in the folder, to open beside the live ones or to delete.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::SystemTime;

use eframe::egui::{self, RichText};

use super::tab::{Job, LabTab, Value};
use crate::lab::saved::{self, Found, Listed};
use crate::ui::question::question_ui;
use crate::ui::theme::{self, icon};

/// The page.
#[derive(Default)]
pub(super) struct SavedPage {
    /// The folder that was looked into last.
    asked: Option<String>,
    /// Whether a run was saved or deleted since.
    pub is_stale: bool,
    found: Option<Found>,
    /// Folders of the runs that are marked.
    marked: BTreeSet<PathBuf>,
    /// What the user is asked about.
    to_delete: Option<Vec<PathBuf>>,
}

impl SavedPage {
    pub(super) fn take(&mut self, found: Found) {
        let is_there = |folder: &PathBuf| found.runs.iter().any(|run| run.folder == *folder);
        self.marked.retain(is_there);
        self.found = Some(found);
    }

    fn runs(&self) -> &[Listed] {
        self.found.as_ref().map_or(&[], |found| &found.runs)
    }
}

impl LabTab {
    /// Looks into the folder, unless it was seen as it is.
    pub(super) fn update_saved(&mut self) {
        let page = &mut self.saved;
        if page.is_stale || page.asked.as_ref() != Some(&self.folder) {
            page.is_stale = false;
            page.asked = Some(self.folder.clone());
            let folder = PathBuf::from(self.folder.trim());
            self.jobs.start(Job::List, move |out| {
                let found = saved::list(&folder, out);
                // An old list would look like that of the new folder.
                let value = found
                    .as_ref()
                    .map_or_else(|_| Found::default(), Clone::clone);
                out.value(Value::Found(value))?;
                found.map(drop)
            });
        }
    }

    /// Reads runs into the list of live ones. One that cannot be read keeps no other away.
    fn open_saved(&mut self, folders: Vec<PathBuf>) {
        self.jobs.start(Job::Open, move |out| {
            let total = folders.len() as f32;
            for (i, folder) in folders.into_iter().enumerate() {
                out.progress(i as f32 / total, "Opening runs")?;
                out.value(match saved::open(&folder) {
                    Ok(run) => Value::Opened(folder, Box::new(run)),
                    Err(error) => Value::Failed(error.context("Failed to open a run")),
                })?;
            }
            Ok(())
        });
    }

    fn delete_saved(&mut self, folders: Vec<PathBuf>) {
        self.jobs.start(Job::Delete, move |out| {
            let total = folders.len() as f32;
            for (i, folder) in folders.into_iter().enumerate() {
                out.progress(i as f32 / total, "Deleting runs")?;
                out.value(match saved::delete(&folder) {
                    Ok(_) => Value::Deleted(folder),
                    Err(error) => Value::Failed(error),
                })?;
            }
            Ok(())
        });
    }

    pub(super) fn saved_side_ui(&mut self, ui: &mut egui::Ui) {
        theme::title_ui(ui, "Saved runs");
        ui.add_space(theme::SPACE_SMALL);
        let marked = self.saved.marked.len();
        let words = match (self.saved.runs().len(), marked) {
            (0, _) => "None in this folder".to_string(),
            (n, 0) => format!("{n} in this folder; mark those to open"),
            (n, marked) => format!("{marked} of {n} marked"),
        };
        theme::field_label_ui(ui, &words);
        ui.add_space(theme::SPACE);
        let name = match marked {
            0 | 1 => "Open run".to_string(),
            n => format!("Open {n} runs"),
        };
        ui.add_enabled_ui(marked > 0 && !self.jobs.is_busy(Job::Open), |ui| {
            let size = egui::vec2(ui.available_width(), 28.0);
            let open = ui.add_sized(size, theme::primary_button(ui, &name));
            let tip = "Beside the live ones, to compare with them and to train on";
            if open.on_hover_text(tip).clicked() {
                self.open_saved(self.saved.marked.iter().cloned().collect());
            }
        });
        ui.add_space(theme::SPACE);
        ui.horizontal(|ui| {
            let delete = egui::Button::new(format!("{}  Delete…", icon::TRASH));
            let delete = ui.add_enabled(marked > 0, delete);
            let delete = delete.accessible_name("Delete…");
            if delete.on_hover_text("Delete the marked runs").clicked() {
                self.saved.to_delete = Some(self.saved.marked.iter().cloned().collect());
            }
            let look = egui::Button::new(format!("{}  Look again", icon::REDO));
            let look = ui.add(look).accessible_name("Look again");
            if look.on_hover_text("Read the folder again").clicked() {
                self.saved.is_stale = true;
            }
        });
    }

    pub(super) fn saved_main_ui(&mut self, ui: &mut egui::Ui) {
        let Some(found) = &self.saved.found else {
            ui.centered_and_justified(|ui| theme::field_label_ui(ui, "Looking for runs…"));
            return;
        };
        if found.runs.is_empty() && found.broken.is_empty() {
            let text = format!(
                "There are no runs in {}. Save a run on the page Runs, or name a folder above that `vitruvian lab \
                 train` has written to.",
                self.folder.trim()
            );
            theme::empty_ui(ui, ui.max_rect(), icon::PROJECT, "No saved runs", &text);
            return;
        }
        let mut to_open = None;
        egui::ScrollArea::both().auto_shrink(false).show(ui, |ui| {
            to_open = list_ui(ui, &found.runs, &mut self.saved.marked);
            if !found.broken.is_empty() {
                ui.add_space(theme::SPACE_LARGE);
                theme::title_ui(ui, "Cannot be read");
                for broken in &found.broken {
                    let colors = theme::colors(ui);
                    ui.horizontal_top(|ui| {
                        ui.label(RichText::new(icon::WARNING).color(colors.warning));
                        let fault = RichText::new(&broken.fault).color(colors.weak);
                        ui.add(egui::Label::new(fault).wrap())
                            .on_hover_text(broken.folder.display().to_string());
                    });
                }
            }
        });
        if let Some(folder) = to_open {
            self.open_saved(vec![folder]);
        }
    }

    pub(super) fn delete_question_ui(&mut self, ctx: &egui::Context) {
        let Some(folders) = &self.saved.to_delete else {
            return;
        };
        let runs = self.saved.runs().iter();
        let names: Vec<&str> = runs
            .filter(|run| folders.contains(&run.folder))
            .map(|run| run.name.as_str())
            .collect();
        const SHOWN: usize = 6;
        let more = match names.len() > SHOWN {
            true => format!("\nand {} more", names.len() - SHOWN),
            false => String::new(),
        };
        let title = match names.len() {
            1 => "Delete this run?",
            _ => "Delete these runs?",
        };
        let text = format!(
            "{}{more}\n\nSettings, curves, ratios and weights are deleted from the disk and cannot be brought back. Other \
             files in the folders stay.",
            names[..names.len().min(SHOWN)].join("\n")
        );
        match question_ui(ctx, title, &text, "Delete", "Keep") {
            Some(true) => {
                let folders = self.saved.to_delete.take().unwrap_or_default();
                self.delete_saved(folders);
            }
            Some(false) => self.saved.to_delete = None,
            None => {}
        }
    }
}

/// The table of runs; marks them. Returns the one to open at once.
fn list_ui(ui: &mut egui::Ui, runs: &[Listed], marked: &mut BTreeSet<PathBuf>) -> Option<PathBuf> {
    let mut to_open = None;
    if runs.is_empty() {
        return to_open;
    }
    egui::Grid::new("saved runs")
        .num_columns(7)
        .spacing([16.0, 6.0])
        .show(ui, |ui| {
            ui.label("");
            ui.horizontal(|ui| {
                // As far in as the names below.
                ui.spacing_mut().item_spacing.x = 0.0;
                ui.add_space(ui.spacing().button_padding.x);
                theme::title_ui(ui, "Name");
            });
            for title in ["Normalisation", "Batch", "Steps", "Accuracy", "Saved (UTC)"] {
                theme::title_ui(ui, title);
            }
            ui.end_row();
            for run in runs {
                let mut is_marked = marked.contains(&run.folder);
                let mark = ui.checkbox(&mut is_marked, "");
                let mark = mark.accessible_name(format!("Mark {}", run.name));
                let mut is_toggled = mark.changed();
                let name = ui.selectable_label(is_marked, short(&run.name));
                let folder = run.folder.display();
                let name =
                    name.on_hover_text(format!("{}\n{folder}\nA double click opens it", run.name));
                if name.double_clicked() {
                    to_open = Some(run.folder.clone());
                } else if name.clicked() {
                    is_marked = !is_marked;
                    is_toggled = true;
                }
                if is_toggled {
                    match is_marked {
                        true => marked.insert(run.folder.clone()),
                        false => marked.remove(&run.folder),
                    };
                }
                ui.label(run.config.norm.title());
                ui.label(run.config.batch.to_string());
                let steps = ui.label(steps_text(run));
                if !run.has_weights {
                    steps.on_hover_text("Without weights: it cannot go on");
                }
                let accuracy = run.accuracy.map(|a| format!("{:.1} %", 100.0 * a));
                ui.label(accuracy.unwrap_or_else(|| "–".to_string()));
                ui.label(date_text(run.saved));
                ui.end_row();
            }
        });
    to_open
}

/// A name that leaves room for the columns behind it.
fn short(name: &str) -> String {
    const CHARS: usize = 34;
    match name.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_string(),
    }
}

fn steps_text(run: &Listed) -> String {
    let steps = run.config.steps(1);
    match run.step >= steps {
        true => run.step.to_string(),
        false => format!("{} of {steps}", run.step),
    }
}

/// `2026-11-25 19:40`, by the calendar of Greenwich (Howard Hinnant's `civil_from_days`).
fn date_text(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let secs = since.map_or(0, |since| since.as_secs());
    let days = secs / 86_400 + 719_468; // since the first of March of the year 0
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march = (5 * day + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let day = day - (153 * march + 2) / 5 + 1;
    let (hour, minute) = (secs / 3_600 % 24, secs / 60 % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |secs| date_text(SystemTime::UNIX_EPOCH + Duration::from_secs(secs));
        assert_eq!(at(0), "1970-01-01 00:00");
        assert_eq!(at(951_782_399), "2000-02-28 23:59");
        assert_eq!(at(951_782_400), "2000-02-29 00:00");
        assert_eq!(at(1_709_251_199), "2024-02-29 23:59");
        assert_eq!(at(1_798_761_600), "2027-01-01 00:00");
    }
}
