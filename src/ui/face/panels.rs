//! The panels around the canvases: the bar above, tools and parts at the left, and the questions asked in between.

use eframe::egui::{self, Align, Button, Layout, RichText, vec2};

use super::steps::Purpose;
use super::tab::{FaceTab, Job, Side};
use super::tools::Tool;
use super::work::Work;
use crate::ui::job_bar::Log;
use crate::ui::keys::{self, Action};
use crate::ui::settings::Settings;
use crate::ui::theme::{self, icon};
use crate::ui::{job_bar, question};

/// The words of the bar's buttons are left out where less than this many points are free.
const ROOM_FOR_WORDS: f32 = 300.0;
/// The same for buttons that others come after.
const ROOM_BEFORE_OTHERS: f32 = 490.0;

/// A button with icon and words. Returns its action when it was clicked.
fn text_button_ui(
    ui: &mut egui::Ui,
    icon: &str,
    text: &str,
    action: Action,
    enabled: bool,
    room: f32,
) -> egui::Response {
    // Beside the tabs of a small window there is room for the icons only.
    let label = match ui.available_width() < room {
        true => icon.to_owned(),
        false => format!("{icon}  {text}"),
    };
    let button = Button::new(label);
    let response = ui.add_enabled(enabled, button).accessible_name(text);
    response.on_hover_text(keys::tip(ui.ctx(), action))
}

/// How strongly the parts are tinted.
fn opacity_ui(ui: &mut egui::Ui, settings: &mut Settings) {
    ui.spacing_mut().slider_width = 44.0;
    let mut percent = settings.mask_opacity * 100.0;
    let slider = egui::Slider::new(&mut percent, 0.0..=100.0)
        .fixed_decimals(0)
        .suffix(" %");
    let response = ui.add(slider).accessible_name("Strength of the tint");
    if response.changed() {
        settings.mask_opacity = percent / 100.0;
    }
    let tip = keys::tip(ui.ctx(), Action::ToggleMask);
    response.on_hover_text(format!("How strongly the parts are tinted. {tip}"));
}

impl FaceTab {
    /// The tab's buttons in the bar at the top.
    pub fn toolbar_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        let has_photo = self.work.is_some();
        let has_edit = self.has_edit();
        let mut asked = None;
        let can_save_result = has_photo && !self.jobs.is_busy(Job::SaveResult);
        let can_save_mask = has_edit && !self.jobs.is_busy(Job::SaveMask);
        let can_save = has_photo && !self.jobs.is_busy(Job::SaveProject);
        for (icon, text, action, enabled) in [
            (icon::OPEN, "Open…", Action::Open, true),
            (icon::PROJECT, "Save project", Action::SaveProject, can_save),
            (
                icon::EXPORT,
                "Save result…",
                Action::SaveResult,
                can_save_result,
            ),
            (icon::SAVE, "Save mask…", Action::SaveMask, can_save_mask),
        ] {
            let response = text_button_ui(ui, icon, text, action, enabled, ROOM_BEFORE_OTHERS);
            if action == Action::SaveResult {
                self.hints.save_place = Some(response.rect);
            }
            asked = asked.or(response.clicked().then_some(action));
        }
        asked = asked.or(self.file_menu_ui(ui));
        ui.separator();

        let history = self
            .work
            .as_ref()
            .and_then(Work::edit)
            .map(|edit| &edit.history);
        let (can_undo, can_redo) = history.map_or((false, false), |h| (h.can_undo(), h.can_redo()));
        for (icon, name, action, enabled) in [
            (icon::UNDO, "Undo", Action::Undo, can_undo),
            (icon::REDO, "Redo", Action::Redo, can_redo),
        ] {
            ui.add_enabled_ui(enabled, |ui| {
                if theme::icon_button_ui(ui, icon, name, &keys::tip(ui.ctx(), action)).clicked() {
                    asked = Some(action);
                }
            });
        }
        ui.separator();

        let live = Button::selectable(settings.live, format!("{}  Live", icon::LIVE));
        let response = ui.add(live).accessible_name("Live");
        if response
            .on_hover_text(keys::tip(ui.ctx(), Action::ToggleLive) + ": render after each stroke")
            .clicked()
        {
            asked = Some(Action::ToggleLive);
        }
        if !settings.live {
            let action = Action::Render;
            let response =
                text_button_ui(ui, icon::LIVE, "Render", action, has_edit, ROOM_FOR_WORDS);
            asked = asked.or(response.clicked().then_some(action));
        }
        if let Some(action) = asked {
            self.act(ui.ctx(), action, settings);
        }
    }

    /// Tools, then parts and style or the history, at the left.
    pub fn side_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        let mut asked = None;
        ui.scope(|ui| {
            ui.spacing_mut().item_spacing = egui::Vec2::splat(theme::SPACE_SMALL);
            for row in Tool::ALL.chunks(5) {
                ui.horizontal(|ui| {
                    for (tool, icon, name, action) in row {
                        let icon = RichText::new(*icon).size(18.0);
                        let button =
                            Button::selectable(self.tool == *tool, icon).min_size(vec2(41.0, 30.0));
                        let mut tip = keys::tip(ui.ctx(), *action);
                        if *tool == Tool::Eraser {
                            tip += ": brings back the mask as it was found";
                        }
                        let response = ui.add(button).accessible_name(*name);
                        if response.on_hover_text(tip).clicked() {
                            asked = Some(*action);
                        }
                    }
                });
            }
        });
        if let Some(action) = asked {
            self.act(ui.ctx(), action, settings);
        }
        ui.add_space(theme::SPACE_SMALL);
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = theme::SPACE_SMALL;
            for (side, name) in [(Side::Parts, "Parts"), (Side::History, "History")] {
                let button = Button::selectable(self.side == side, name);
                let tip = match side {
                    Side::Parts => "What can be painted".to_owned(),
                    Side::History => keys::tip(ui.ctx(), Action::ShowHistory),
                };
                if ui.add(button).on_hover_text(tip).clicked() {
                    self.side = side;
                }
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                self.part_menu_ui(ui, settings);
            });
        });
        ui.add_space(theme::SPACE_SMALL);
        match self.side {
            Side::Parts => {
                let area = egui::ScrollArea::vertical().auto_shrink(false);
                area.show(ui, |ui| {
                    ui.scope(|ui| {
                        if self.classes.list_ui(ui, self.reference.is_loaded()) {
                            self.style_changed(settings.live);
                        }
                    });
                    ui.add_space(theme::SPACE);
                    self.style_ui(ui, settings);
                });
            }
            Side::History => self.history_ui(ui, settings),
        }
    }

    /// What can be done to the part that is painted.
    fn part_menu_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        let mut asked = None;
        let is_ready = self.has_edit();
        let button = Button::new(RichText::new(icon::MORE).size(16.0));
        let title = self.classes.active_title();
        let (response, _) = egui::containers::menu::MenuButton::from_button(button).ui(ui, |ui| {
            ui.set_min_width(250.0);
            theme::title_ui(ui, title);
            for (action, words) in [
                (Action::Grow, "Grow"),
                (Action::Shrink, "Shrink"),
                (Action::Smooth, "Smooth"),
                (Action::FillHoles, "Fill holes"),
                (Action::RemoveIslands, "Remove specks"),
                (Action::CopyPart, "Copy from another mask…"),
            ] {
                let item = Button::new(words)
                    .shortcut_text(keys::keys_text(ui.ctx(), action))
                    .min_size(vec2(250.0, 0.0));
                let response = ui.add_enabled(is_ready, item).accessible_name(words);
                if response.clicked() {
                    asked = Some(action);
                    ui.close();
                }
            }
            ui.separator();
            ui.horizontal(|ui| {
                let label = ui.label("Grow, shrink, smooth by");
                let value = egui::DragValue::new(&mut settings.tools.reshape_px)
                    .range(1.0..=200.0)
                    .fixed_decimals(0)
                    .suffix(" px");
                ui.add(value).labelled_by(label.id);
            });
            ui.horizontal(|ui| {
                let label = ui.label("Holes and specks up to");
                let value = egui::DragValue::new(&mut settings.tools.speck_px)
                    .range(1.0..=500.0)
                    .fixed_decimals(0)
                    .suffix(" px");
                ui.add(value).labelled_by(label.id);
            });
        });
        response
            .accessible_name("Change the part")
            .on_hover_text("Grow, shrink, smooth and clean the part");
        if let Some(action) = asked {
            self.act(ui.ctx(), action, settings);
        }
    }

    /// The canvases with a line of headings above.
    pub fn main_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        let panel = theme::colors(ui).panel;
        let header = egui::Frame::new()
            .fill(panel)
            .inner_margin(egui::Margin::symmetric(10, 2));
        egui::Panel::top("tool options")
            .frame(header)
            .show(ui, |ui| self.options_ui(ui, settings));
        egui::Panel::top("canvas header")
            .frame(header)
            .show(ui, |ui| {
                self.header_ui(ui, settings);
            });
        self.canvases_ui(ui, settings);
    }

    fn header_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        ui.columns(2, |columns| {
            let [left, right] = columns else { return };
            left.horizontal(|ui| {
                theme::title_ui(ui, "Mask");
                opacity_ui(ui, settings);
                if let Some(size) = self.work.as_ref().map(Work::size) {
                    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                        self.view_buttons_ui(ui, size, settings);
                    });
                }
            });
            right.horizontal(|ui| {
                theme::title_ui(ui, "Result");
                self.folder_ui(ui, settings);
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    ui.scope(|ui| {
                        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                            self.result_header_ui(ui);
                        });
                    });
                });
            });
        });
    }

    /// Buttons for what part of the photo is shown, from the right.
    fn view_buttons_ui(&mut self, ui: &mut egui::Ui, size: [usize; 2], settings: &mut Settings) {
        ui.add_space(theme::SPACE_SMALL);
        let tip = keys::tip(ui.ctx(), Action::ActualSize);
        let zoom = self.last_place.map(|place| self.canvas.zoom(place, size));
        let percent = zoom.map_or(100.0, |zoom| 100.0 * zoom * ui.pixels_per_point());
        let text = RichText::new(format!("{percent:.0} %")).color(theme::colors(ui).weak);
        let actual = Button::new(text)
            .frame_when_inactive(false)
            .min_size(vec2(52.0, 0.0));
        let mut asked = None;
        if ui
            .add(actual)
            .accessible_name("Actual size")
            .on_hover_text(tip)
            .clicked()
        {
            asked = Some(Action::ActualSize);
        }
        let tip = keys::tip(ui.ctx(), Action::Fit);
        if theme::icon_button_ui(ui, icon::FIT, "Fit", &tip).clicked() {
            asked = Some(Action::Fit);
        }
        let tip = keys::tip(ui.ctx(), Action::FrameFace) + ": draw a box around it";
        if super::options::toggle_ui(ui, self.framing, icon::FACE, "Frame a face", &tip) {
            asked = Some(Action::FrameFace);
        }
        if let Some(action) = asked {
            self.act(ui.ctx(), action, settings);
        }
    }

    /// The bar at the bottom. Returns whether the log was asked for.
    pub fn job_bar_ui(&mut self, ui: &mut egui::Ui, log: &mut Log) -> bool {
        let idle = self.idle_text();
        let photo = self.photo_text();
        job_bar::job_bar_ui(ui, &mut self.jobs, log, &idle, &photo)
    }

    /// Questions that wait for an answer.
    pub fn questions_ui(&mut self, ctx: &egui::Context) {
        self.orphan_question_ui(ctx);
        self.discard_question_ui(ctx);
        self.path_question_ui(ctx);
    }

    fn discard_question_ui(&mut self, ctx: &egui::Context) {
        let Some(source) = self.to_open.clone() else {
            return;
        };
        let text = "The strokes on this photo have not been saved and would be lost.";
        let answer = question::question_ui(
            ctx,
            "Open another photo?",
            text,
            "Open anyway",
            "Keep working",
        );
        if answer == Some(true) {
            self.open(source);
        }
        if answer.is_some() {
            self.to_open = None;
        }
    }

    fn path_question_ui(&mut self, ctx: &egui::Context) {
        let Some((purpose, mut text)) = self.path_asked.take() else {
            return;
        };
        let (title, verb) = match purpose {
            Purpose::OpenPhoto => ("Open a photo", "Open"),
            Purpose::OpenFolder => ("Open a folder of photos", "Open"),
            Purpose::OpenReference => ("Choose a style photo", "Open"),
            Purpose::OpenPart => ("Copy the part from a mask", "Open"),
            Purpose::OpenMask => ("Open a mask for this photo", "Open"),
            Purpose::OpenRecipe => ("Apply a saved edit", "Apply"),
            Purpose::SaveRecipe => ("Save the edit as a recipe", "Save"),
            Purpose::SaveProject => ("Save the project", "Save"),
            Purpose::SaveMask => ("Save the mask", "Save"),
            Purpose::SaveResult => ("Save the result", "Save"),
        };
        let modal = egui::Modal::new(egui::Id::unique("path"))
            .frame(theme::question_frame(ctx))
            .show(ctx, |ui| {
                ui.set_width(460.0);
                ui.heading(title);
                ui.add_space(theme::SPACE);
                let label = ui.label("File");
                let field = egui::TextEdit::singleline(&mut text).desired_width(f32::INFINITY);
                let response = ui.add(field).labelled_by(label.id);
                let entered =
                    response.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
                if ui.memory(|memory| memory.focused().is_none()) && !entered {
                    response.request_focus();
                }
                if purpose == Purpose::SaveResult {
                    ui.weak("The name's ending chooses the format: .png, .jpg, .tif or .webp");
                }
                ui.add_space(theme::SPACE_LARGE);
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    let done = ui
                        .add_enabled(!text.is_empty(), theme::primary_button(ui, verb))
                        .clicked();
                    let cancelled = ui.button("Cancel").clicked();
                    (done || (entered && !text.is_empty()), cancelled)
                })
                .inner
            });
        let (done, cancelled) = modal.inner;
        if done {
            self.path_answered = Some((purpose, text.into()));
        } else if !cancelled && !modal.should_close() {
            self.path_asked = Some((purpose, text));
        }
    }
}
