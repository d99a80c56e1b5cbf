//! The motion tab as one of the tabs of the window.

use std::path::PathBuf;

use eframe::egui;

use super::tab::MotionTab;
use crate::ui::job_bar::{self, Log};
use crate::ui::keys::Action;
use crate::ui::settings::Settings;
use crate::ui::tab::Tab;
use crate::ui::theme;

impl Tab for MotionTab {
    fn logic(&mut self, _ctx: &egui::Context, settings: &mut Settings, log: &mut Log) {
        self.take_arrivals(settings, log);
    }

    fn toolbar_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        self.bar_ui(ui, settings);
    }

    fn body_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        self.begin();
        egui::Panel::left("motion side")
            .frame(theme::side_frame(ui))
            .resizable(false)
            .exact_size(theme::SIDE_WIDTH + 34.0)
            .show(ui, |ui| self.side_ui(ui, settings));
        egui::Panel::bottom("timeline")
            .frame(theme::side_frame(ui))
            .exact_size(44.0)
            .show(ui, |ui| self.timeline_ui(ui, settings));
        egui::CentralPanel::no_frame().show(ui, |ui| self.canvas_ui(ui, settings));
        self.play(ui, settings);
    }

    fn job_bar_ui(&mut self, ui: &mut egui::Ui, log: &mut Log) -> bool {
        let (idle, right) = (self.idle_text(), self.status_text());
        job_bar::job_bar_ui(ui, &mut self.jobs, log, &idle, &right)
    }

    fn questions_ui(&mut self, ctx: &egui::Context, settings: &mut Settings) {
        self.show_questions(ctx, &settings.motion);
    }

    fn act(&mut self, ctx: &egui::Context, action: Action, settings: &mut Settings) {
        self.do_action(ctx, action, settings);
    }

    fn open_dropped(&mut self, paths: Vec<PathBuf>) {
        self.open_paths(paths);
    }

    fn drop_hint(&self) -> &'static str {
        "Drop tracks, with their picture if you have it"
    }

    fn unsaved(&self) -> Option<&'static str> {
        self.has_unsaved()
            .then_some("The walkers you changed or drew have not been exported and would be lost.")
    }
}
