//! The pose tab as one of the tabs of the window.

use std::path::PathBuf;

use eframe::egui;

use super::files::LOST;
use super::inside::Look;
use super::strip::STRIP_HEIGHT;
use super::tab::PoseTab;
use crate::ui::job_bar::{self, Log};
use crate::ui::keys::Action;
use crate::ui::settings::Settings;
use crate::ui::tab::Tab;
use crate::ui::theme;

/// Width of the crops at the side.
const LOUPE_WIDTH: f32 = 190.0;

impl Tab for PoseTab {
    fn logic(&mut self, ctx: &egui::Context, settings: &mut Settings, log: &mut Log) {
        self.take_arrivals(ctx, settings, log);
    }

    fn toolbar_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        self.bar_ui(ui, settings);
    }

    fn body_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        self.begin();
        egui::Panel::left("pose side")
            .frame(theme::side_frame(ui))
            .resizable(false)
            .exact_size(theme::SIDE_WIDTH + 20.0)
            .show(ui, |ui| self.side_ui(ui, settings));
        if settings.pose.loupe && self.look == Look::Poses && !self.photos().is_empty() {
            egui::Panel::right("pose loupe")
                .frame(theme::side_frame(ui))
                .resizable(false)
                .exact_size(LOUPE_WIDTH)
                .show(ui, |ui| self.loupe_ui(ui, &settings.pose));
        }
        if self.photos().len() > 1 {
            egui::Panel::bottom("pose strip")
                .frame(theme::side_frame(ui).inner_margin(egui::Margin::symmetric(8, 6)))
                .exact_size(STRIP_HEIGHT)
                .show(ui, |ui| self.strip_ui(ui));
        }
        egui::CentralPanel::no_frame().show(ui, |ui| self.canvas_ui(ui, settings));
    }

    fn job_bar_ui(&mut self, ui: &mut egui::Ui, log: &mut Log) -> bool {
        let (idle, right) = (self.idle_text(), self.status_text());
        job_bar::job_bar_ui(ui, &mut self.jobs, log, &idle, &right)
    }

    fn questions_ui(&mut self, ctx: &egui::Context, settings: &mut Settings) {
        self.show_questions(ctx, &settings.pose);
    }

    fn act(&mut self, ctx: &egui::Context, action: Action, settings: &mut Settings) {
        self.do_action(ctx, action, settings);
    }

    fn open_dropped(&mut self, paths: Vec<PathBuf>) {
        self.open_paths(paths);
    }

    fn drop_hint(&self) -> &'static str {
        "Drop photos, a folder, or annotations to compare with"
    }

    fn unsaved(&self) -> Option<&'static str> {
        self.has_unsaved().then_some(LOST)
    }
}
