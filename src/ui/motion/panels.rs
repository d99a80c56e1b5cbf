//! The bar above and the panel at the side: what is shown, and the numbers.

use eframe::egui::{self, Button, RichText, Sense, Slider, vec2};

use super::reading::Source;
use super::steps::{PredictedWalker, Purpose};
use super::tab::{Job, MotionTab, Tool};
use super::timeline::removal_words;
use crate::gpu::ColorMap;
use crate::motion::SAMPLES;
use crate::motion::simulate::Place;
use crate::ui::heat_look::{color_map_row_ui, opacity_row_ui};
use crate::ui::keys::{self, Action};
use crate::ui::settings::{BANDWIDTH_M, MotionView, Settings};
use crate::ui::theme::{self, icon};

impl MotionTab {
    pub(super) fn bar_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        let open = Button::new(format!("{}  Open…", icon::OPEN));
        let tip = keys::tip_as(ui.ctx(), Action::Open, "Open tracks and their picture");
        if ui
            .add(open)
            .accessible_name("Open…")
            .on_hover_text(tip)
            .clicked()
        {
            self.ask(Purpose::Open, settings);
        }
        let scenes = ui.menu_button(format!("{}  Scenes", icon::WALK), |ui| {
            for place in Place::ALL {
                if ui.button(place.name()).clicked() {
                    self.open(Source::Simulated(place));
                    ui.close();
                }
            }
        });
        let response = scenes.response.accessible_name("Scenes");
        response.on_hover_text("Places with simulated walkers");
        ui.add_enabled_ui(self.can_save(), |ui| {
            let export = ui.menu_button(format!("{}  Export", icon::EXPORT), |ui| {
                for (text, purpose) in [
                    ("Picture (PNG)…", Purpose::SavePng),
                    ("Predictions (CSV)…", Purpose::SaveCsv),
                    ("Predictions (JSON)…", Purpose::SaveJson),
                ] {
                    if ui.button(text).clicked() {
                        self.ask(purpose, settings);
                        ui.close();
                    }
                }
            });
            let response = export.response.accessible_name("Export");
            response.on_hover_text("Save what is on the screen");
        });
        ui.separator();
        let (can_undo, can_redo) = self
            .work
            .as_ref()
            .map_or((false, false), |w| (w.can_undo(), w.can_redo()));
        for (icon, name, action, enabled) in [
            (icon::UNDO, "Undo", Action::Undo, can_undo),
            (icon::REDO, "Redo", Action::Redo, can_redo),
        ] {
            ui.add_enabled_ui(enabled, |ui| {
                if theme::icon_button_ui(ui, icon, name, &keys::tip(ui.ctx(), action)).clicked() {
                    self.do_action(ui.ctx(), action, settings);
                }
            });
        }
        ui.separator();
        for (tool, icon, name, action, words) in [
            (
                Tool::Select,
                icon::SELECT,
                "Select",
                Action::Select,
                "Click a walker to focus, drag a past to change it",
            ),
            (
                Tool::Draw,
                icon::PENCIL,
                "Draw a walker",
                Action::DrawWalker,
                "Draw how somebody has walked",
            ),
        ] {
            let tip = keys::tip_as(ui.ctx(), action, words);
            let button = Button::selectable(self.tool == tool, format!("{icon}  {name}"));
            if ui
                .add(button)
                .accessible_name(name)
                .on_hover_text(tip)
                .clicked()
            {
                self.tool = tool;
            }
        }
        ui.separator();
        if theme::icon_button_ui(ui, icon::FIT, "Fit", &keys::tip(ui.ctx(), Action::Fit)).clicked()
        {
            self.canvas.fit();
        }
    }

    pub(super) fn side_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        egui::ScrollArea::vertical()
            .auto_shrink(false)
            .show(ui, |ui| {
                self.recording_ui(ui);
                self.numbers_ui(ui);
                self.focus_ui(ui);
                ui.add_space(theme::SPACE_LARGE);
                view_ui(ui, &mut settings.motion, self.ground.is_some());
                ui.add_space(theme::SPACE_LARGE);
                self.heat_ui(ui, &mut settings.motion);
            });
    }

    fn recording_ui(&self, ui: &mut egui::Ui) {
        let Some(work) = &self.work else { return };
        ui.add(
            egui::Label::new(
                RichText::new(&work.name).font(egui::FontId::new(14.0, theme::strong())),
            )
            .truncate(),
        );
        let text = format!(
            "{} walkers, {:.0} s",
            work.tracks.tracks.len(),
            work.length_secs()
        );
        ui.label(RichText::new(text).color(theme::colors(ui).weak));
        ui.add_space(theme::SPACE_LARGE);
    }

    fn heat_ui(&self, ui: &mut egui::Ui, view: &mut MotionView) {
        let whose = match self.work.as_ref().and_then(|w| w.focus) {
            Some(_) => "Destinations of the walker in focus",
            None => "Destinations of all walkers",
        };
        theme::title_ui(ui, "Heat map");
        ui.add_space(theme::SPACE_SMALL);
        ui.checkbox(&mut view.heat, "Show the heat map")
            .on_hover_text(keys::tip_as(ui.ctx(), Action::ToggleHeat, whose));
        ui.add_enabled_ui(view.heat, |ui| {
            ui.checkbox(&mut view.contours, "Contours")
                .on_hover_text("Around 25, 50, 70 and 90 % of where they may arrive");
            egui::Grid::new("heat")
                .num_columns(2)
                .spacing([10.0, 6.0])
                .show(ui, |ui| {
                    ui.spacing_mut().slider_width = 84.0;
                    let label = ui.label("Bandwidth");
                    let slider = Slider::new(&mut view.bandwidth_m, BANDWIDTH_M)
                        .logarithmic(true)
                        .fixed_decimals(2)
                        .suffix(" m");
                    ui.add(slider)
                        .labelled_by(label.id)
                        .on_hover_text("Standard deviation of the kernel around each destination");
                    ui.end_row();
                    opacity_row_ui(ui, &mut view.heat_opacity);
                    color_map_row_ui(ui, "colour map", &mut view.color_map);
                });
            legend_ui(ui, view.color_map);
        });
    }

    fn numbers_ui(&self, ui: &mut egui::Ui) {
        theme::title_ui(ui, "This moment");
        ui.add_space(theme::SPACE_SMALL);
        let weak = theme::colors(ui).weak;
        let Some(predicted) = self.predicted() else {
            let text = match (&self.work, &self.predictor) {
                (Some(_), Some(_)) => "Nobody has been seen for eight steps yet",
                _ => "Nothing is predicted",
            };
            ui.label(RichText::new(text).color(weak));
            return;
        };
        let known = predicted
            .walkers
            .iter()
            .filter(|w| w.truth.is_some())
            .count();
        let scores = predicted.scores.as_ref();
        let metres = |value: Option<f64>| value.map_or("–".to_owned(), |v| format!("{v:.2} m"));
        let rows = [
            (
                "Predicted walkers",
                predicted.walkers.len().to_string(),
                "Seen for the last eight steps",
            ),
            (
                "Future known",
                known.to_string(),
                "Walkers who are seen for the next 4.8 s",
            ),
            (
                "ADE, best of 20",
                metres(scores.map(|s| s.ade)),
                "Mean distance of the best future from the truth",
            ),
            (
                "FDE, best of 20",
                metres(scores.map(|s| s.fde)),
                "Distance of the best destination from the true one",
            ),
            (
                "Off walkable",
                percent(scores.and_then(|s| s.off_walkable)),
                "Share of predicted points where nobody can walk",
            ),
        ];
        egui::Grid::new("numbers")
            .num_columns(2)
            .spacing([10.0, 4.0])
            .show(ui, |ui| {
                for (name, value, tip) in rows {
                    ui.label(RichText::new(name).color(weak)).on_hover_text(tip);
                    ui.label(value).on_hover_text(tip);
                    ui.end_row();
                }
            });
    }

    fn focus_ui(&mut self, ui: &mut egui::Ui) {
        let Some(id) = self.work.as_ref().and_then(|w| w.focus) else {
            ui.add_space(theme::SPACE_LARGE);
            ui.label(
                RichText::new("Click a walker to see their numbers alone")
                    .color(theme::colors(ui).weak),
            );
            return;
        };
        let walker = self
            .predicted()
            .and_then(|p| p.walkers.iter().find(|w| w.id == id))
            .map(numbers_of);
        let Some(work) = &mut self.work else { return };
        ui.add_space(theme::SPACE_LARGE);
        ui.horizontal(|ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(12.0, 12.0), Sense::hover());
            let [r, g, b] = super::draw::color_of(id);
            ui.painter()
                .circle_filled(rect.center(), 6.0, egui::Color32::from_rgb(r, g, b));
            theme::title_ui(ui, &work.name_of(id));
        });
        let weak = theme::colors(ui).weak;
        match walker {
            Some(rows) => {
                egui::Grid::new("focus")
                    .num_columns(2)
                    .spacing([10.0, 4.0])
                    .show(ui, |ui| {
                        for (name, value) in rows {
                            ui.label(RichText::new(name).color(weak));
                            ui.label(value);
                            ui.end_row();
                        }
                    });
            }
            None => {
                ui.label(RichText::new("Not seen for eight steps here").color(weak));
            }
        }
        if let Some(words) = removal_words(work)
            && ui
                .button(words)
                .on_hover_text(keys::tip(ui.ctx(), Action::RemoveWalker))
                .clicked()
        {
            let frame = work.frame();
            work.remove(frame, id);
        }
    }

    /// What the bar says when nothing happens.
    pub(super) fn idle_text(&self) -> String {
        match &self.work {
            Some(work) if work.is_playing => "Space pauses · click a walker to focus".to_owned(),
            Some(_) => {
                "Space plays · ← → step · D draws a walker · drag a past to change it".to_owned()
            }
            None => String::new(),
        }
    }

    /// How long the last prediction took.
    pub(super) fn status_text(&self) -> String {
        let Some(predicted) = self.predicted() else {
            return String::new();
        };
        let model = self
            .predictor
            .as_ref()
            .map(|p| p.name())
            .unwrap_or_default();
        let futures = predicted.walkers.len() * SAMPLES;
        format!(
            "{model} · {futures} futures in {:.0} ms",
            predicted.secs * 1e3
        )
    }

    /// Whether the network is at work for what is on the screen.
    pub fn is_predicting(&self) -> bool {
        self.jobs.is_busy(Job::Predict)
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or("–".to_owned(), |v| format!("{:.1} %", 100.0 * v))
}

fn numbers_of(walker: &PredictedWalker) -> Vec<(&'static str, String)> {
    let metres = |k: usize| {
        walker
            .errors
            .map_or("–".to_owned(), |e| format!("{:.2} m", e[k]))
    };
    vec![
        ("ADE, best of 20", metres(0)),
        ("FDE, best of 20", metres(1)),
        ("Off walkable", percent(walker.off_walkable)),
    ]
}

fn view_ui(ui: &mut egui::Ui, view: &mut MotionView, has_ground: bool) {
    theme::title_ui(ui, "Show");
    ui.add_space(theme::SPACE_SMALL);
    for (on, name, tip) in [
        (&mut view.pasts, "Pasts", "The last 3.2 s of each walker"),
        (
            &mut view.futures,
            "Futures",
            "20 ways of going on for 4.8 s; likelier ones are stronger",
        ),
        (
            &mut view.truth,
            "True futures",
            "Where the walkers went, dashed",
        ),
        (
            &mut view.destinations,
            "Destinations",
            "Predicted ones black, the true one red",
        ),
    ] {
        ui.checkbox(on, name).on_hover_text(tip);
    }
    let blocked = egui::Checkbox::new(&mut view.ground, "Blocked ground");
    ui.add_enabled(has_ground, blocked)
        .on_hover_text("Where nobody can walk")
        .on_disabled_hover_text("This recording has no mask of walkable ground");
}

/// The colours from few to many.
fn legend_ui(ui: &mut egui::Ui, map: ColorMap) {
    ui.horizontal(|ui| {
        let weak = theme::colors(ui).weak;
        ui.label(RichText::new("rare").small().color(weak));
        let (rect, _) = ui.allocate_exact_size(vec2(120.0, 8.0), Sense::hover());
        const STRIPES: usize = 40;
        let width = rect.width() / STRIPES as f32;
        for i in 0..STRIPES {
            let [r, g, b] = map
                .color((i as f32 + 0.5) / STRIPES as f32)
                .map(|v| (v * 255.0) as u8);
            let left = rect.left() + i as f32 * width;
            let stripe = egui::Rect::from_min_size(
                egui::pos2(left, rect.top()),
                vec2(width + 0.5, rect.height()),
            );
            ui.painter()
                .rect_filled(stripe, 0.0, egui::Color32::from_rgb(r, g, b));
        }
        ui.label(RichText::new("likely").small().color(weak));
    });
}
