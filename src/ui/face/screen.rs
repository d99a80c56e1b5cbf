//! The face tab as one of the tabs of the window.

use std::path::PathBuf;

use eframe::egui;

use super::steps::Source;
use super::tab::FaceTab;
use crate::ui::job_bar::Log;
use crate::ui::keys::Action;
use crate::ui::settings::Settings;
use crate::ui::tab::Tab;
use crate::ui::theme;

impl Tab for FaceTab {
    fn logic(&mut self, ctx: &egui::Context, settings: &mut Settings, log: &mut Log) {
        self.logic(ctx, settings, log);
    }

    fn toolbar_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        self.toolbar_ui(ui, settings);
    }

    fn body_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        egui::Panel::left("side")
            .frame(theme::side_frame(ui))
            .resizable(false)
            .exact_size(theme::SIDE_WIDTH)
            .show(ui, |ui| self.side_ui(ui, settings));
        egui::CentralPanel::no_frame().show(ui, |ui| self.main_ui(ui, settings));
    }

    fn job_bar_ui(&mut self, ui: &mut egui::Ui, log: &mut Log) -> bool {
        self.job_bar_ui(ui, log)
    }

    fn questions_ui(&mut self, ctx: &egui::Context, settings: &mut Settings) {
        self.hints_ui(ctx, settings);
        self.export_ui(ctx, settings);
        self.questions_ui(ctx);
    }

    fn act(&mut self, ctx: &egui::Context, action: Action, settings: &mut Settings) {
        self.act(ctx, action, settings);
    }

    fn open_dropped(&mut self, paths: Vec<PathBuf>) {
        match <[PathBuf; 1]>::try_from(paths) {
            Ok([path]) => self.open_path(path),
            Err(paths) => self.open_unless_unsaved(Source::Files(paths)),
        }
    }

    fn drop_hint(&self) -> &'static str {
        "Drop to open the photo, or a folder of photos"
    }

    fn unsaved(&self) -> Option<&'static str> {
        self.has_unsaved()
            .then_some("The strokes on the photo have not been saved and would be lost.")
    }
}
