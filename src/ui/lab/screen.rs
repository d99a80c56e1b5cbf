//! The lab tab as the window's frame sees it.

use std::path::PathBuf;

use eframe::egui;

use super::tab::{LabTab, Page, RunView};
use crate::ui::job_bar::{self, Log};
use crate::ui::keys::{self, Action};
use crate::ui::settings::Settings;
use crate::ui::tab::Tab;
use crate::ui::theme::{self, icon};

/// Sliders with their values need more room than the list of classes.
const SIDE_WIDTH: f32 = 290.0;

impl Tab for LabTab {
    fn logic(&mut self, _: &egui::Context, _: &mut Settings, log: &mut Log) {
        self.take_arrivals(log);
    }

    fn toolbar_ui(&mut self, ui: &mut egui::Ui, _: &mut Settings) {
        for (page, name, words) in [
            (Page::Runs, "Runs", "Train and compare"),
            (
                Page::Saved,
                "Saved",
                "Runs that were saved: open, compare, delete",
            ),
            (Page::Theory, "Theory", "What the equations say of one unit"),
        ] {
            let tip = keys::tip_as(ui.ctx(), Action::NextPage, words);
            ui.selectable_value(&mut self.page, page, name)
                .on_hover_text(tip);
        }
        if self.page != Page::Theory {
            ui.separator();
            let label = theme::field_label_ui(ui, "Folder");
            let field = egui::TextEdit::singleline(&mut self.folder).desired_width(180.0);
            ui.add(field)
                .labelled_by(label.id)
                .on_hover_text("Runs are saved into folders in this one, and found there again");
        }
        if self.page == Page::Runs
            && ui
                .add_enabled(
                    self.can_export(),
                    egui::Button::new(format!("{}  Export", icon::EXPORT)),
                )
                .accessible_name("Export")
                .on_hover_text(keys::tip_as(
                    ui.ctx(),
                    Action::SaveResult,
                    "Save all runs, and write their curves as CSV and PNG beside them",
                ))
                .clicked()
        {
            self.export();
        }
    }

    fn body_ui(&mut self, ui: &mut egui::Ui, _: &mut Settings) {
        egui::Panel::left("lab side")
            .frame(theme::side_frame(ui))
            .resizable(false)
            .exact_size(SIDE_WIDTH)
            .show(ui, |ui| match self.page {
                Page::Runs => self.runs_side_ui(ui),
                Page::Saved => self.saved_side_ui(ui),
                Page::Theory => self.theory_side_ui(ui),
            });
        let panel = theme::colors(ui).panel;
        let frame = egui::Frame::new()
            .fill(panel)
            .inner_margin(egui::Margin::same(10));
        egui::CentralPanel::no_frame().show(ui, |ui| {
            let area = ui.available_rect_before_wrap();
            ui.painter().rect_filled(area, 0.0, panel);
            theme::plot_style(ui);
            frame.show(ui, |ui| match self.page {
                Page::Runs => self.runs_main_ui(ui),
                Page::Saved => {
                    self.update_saved();
                    self.saved_main_ui(ui);
                }
                Page::Theory => {
                    self.update_theory();
                    self.theory_main_ui(ui);
                }
            });
        });
    }

    fn job_bar_ui(&mut self, ui: &mut egui::Ui, log: &mut Log) -> bool {
        let idle = "Start runs with different normalisations and compare them";
        let right = match self.runs.iter().filter(|run| run.is_open()).count() {
            0 => String::new(),
            1 => "1 run trains on the CPU".to_owned(),
            n => format!("{n} runs train on the CPU"),
        };
        job_bar::job_bar_ui(ui, &mut self.jobs, log, idle, &right)
    }

    fn questions_ui(&mut self, ctx: &egui::Context, _: &mut Settings) {
        self.delete_question_ui(ctx);
    }

    fn act(&mut self, _: &egui::Context, action: Action, _: &mut Settings) {
        match action {
            Action::SaveResult if self.can_export() => self.export(),
            Action::Cancel => {
                if let Some(id) = self.selected {
                    self.stop(id);
                }
            }
            Action::StartRun => self.start(),
            Action::PauseRun => self.toggle_pause(),
            Action::SaveRun => {
                if let Some(id) = self.selected {
                    self.save(id);
                }
            }
            Action::HardenRun => {
                if let Some(id) = self.selected {
                    self.harden(id);
                }
            }
            Action::RemoveRun => {
                if let Some(id) = self.selected {
                    self.remove(id);
                }
            }
            Action::NextPage => {
                self.page = match self.page {
                    Page::Runs => Page::Saved,
                    Page::Saved => Page::Theory,
                    Page::Theory => Page::Runs,
                };
            }
            _ => {}
        }
    }

    fn open_dropped(&mut self, _: Vec<PathBuf>) {}

    fn drop_hint(&self) -> &'static str {
        "The lab brings its own digits; photos go to the face tab"
    }

    fn unsaved(&self) -> Option<&'static str> {
        let any = |is: fn(&RunView) -> bool| self.runs.iter().any(is);
        match (any(RunView::is_open), any(RunView::is_unsaved)) {
            (true, _) => Some("Runs in the lab are still training."),
            (false, true) => Some("Runs in the lab are not saved."),
            (false, false) => None,
        }
    }
}
