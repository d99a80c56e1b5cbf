//! The lab tab as the window's frame sees it.

use std::path::PathBuf;

use eframe::egui;

use super::tab::{Job, LabTab, Page};
use crate::ui::job_bar::{self, Log};
use crate::ui::keys::Action;
use crate::ui::settings::Settings;
use crate::ui::tab::Tab;
use crate::ui::theme;

/// Sliders with their values need more room than the list of classes.
const SIDE_WIDTH: f32 = 290.0;

impl Tab for LabTab {
    fn logic(&mut self, _: &egui::Context, _: &mut Settings, log: &mut Log) {
        self.take_arrivals(log);
    }

    fn toolbar_ui(&mut self, ui: &mut egui::Ui, _: &mut Settings) {
        ui.selectable_value(&mut self.page, Page::Runs, "Runs");
        ui.selectable_value(&mut self.page, Page::Theory, "Theory");
        if self.page == Page::Runs {
            ui.separator();
            let field = egui::TextEdit::singleline(&mut self.folder).desired_width(180.0);
            ui.add(field)
                .on_hover_text("Folder for curves, ratios, settings and weights of all runs");
            let can_export = !self.runs.is_empty()
                && !self.folder.trim().is_empty()
                && !self.jobs.is_busy(Job::Export);
            if ui
                .add_enabled(can_export, egui::Button::new("Export"))
                .clicked()
            {
                self.export();
            }
        }
    }

    fn body_ui(&mut self, ui: &mut egui::Ui, _: &mut Settings) {
        egui::Panel::left("lab side")
            .frame(theme::side_frame(ui))
            .resizable(false)
            .exact_size(SIDE_WIDTH)
            .show(ui, |ui| match self.page {
                Page::Runs => self.runs_side_ui(ui),
                Page::Theory => self.theory_side_ui(ui),
            });
        let frame = egui::Frame::new().inner_margin(egui::Margin::same(8));
        egui::CentralPanel::no_frame().show(ui, |ui| {
            frame.show(ui, |ui| match self.page {
                Page::Runs => self.runs_main_ui(ui),
                Page::Theory => {
                    self.update_theory();
                    self.theory_main_ui(ui);
                }
            });
        });
    }

    fn job_bar_ui(&mut self, ui: &mut egui::Ui, log: &mut Log) -> bool {
        let idle = "Start runs with different norms and compare them";
        job_bar::job_bar_ui(ui, &mut self.jobs, log, idle, "")
    }

    fn questions_ui(&mut self, _: &egui::Context, _: &mut Settings) {}

    fn act(&mut self, _: &egui::Context, action: Action, _: &mut Settings) {
        match action {
            Action::SaveResult => self.export(),
            Action::Cancel => {
                if let Some(id) = self.selected {
                    self.stop(id);
                }
            }
            _ => {}
        }
    }

    fn open_dropped(&mut self, _: Vec<PathBuf>) {}

    fn drop_hint(&self) -> &'static str {
        "The lab brings its own digits; photos go to the face tab"
    }

    fn unsaved(&self) -> Option<&'static str> {
        let trains = self.runs.iter().any(super::tab::RunView::is_open);
        trains.then_some("Runs in the lab are still training.")
    }
}
