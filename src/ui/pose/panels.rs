//! The bar above and the panel at the side: people, parts, what is selected, heat maps, steps of the grouping.

use eframe::egui::{self, Align, Button, Layout, RichText, ScrollArea, Slider, vec2};

use super::files::Waiting;
use super::inside::{self, Look};
use super::steps::Purpose;
use super::tab::{Job, PoseTab};
use super::views::readable;
use crate::pose::draw::colour;
use crate::pose::estimate::Method;
use crate::pose::inside::CENTRES;
use crate::pose::keypoints::Part;
use crate::ui::heat_look::{color_map_row_ui, opacity_row_ui};
use crate::ui::keys::{self, Action};
use crate::ui::settings::{PoseView, Settings};
use crate::ui::theme::{self, icon};

impl PoseTab {
    pub(super) fn bar_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        let open = ui.menu_button(format!("{}  Open", icon::OPEN), |ui| {
            for (text, purpose) in [
                ("Photos…", Purpose::OpenPhotos),
                ("Folder…", Purpose::OpenFolder),
                ("Annotations…", Purpose::OpenAnnotations),
            ] {
                if ui.button(text).clicked() {
                    self.ask(purpose, settings);
                    ui.close();
                }
            }
            ui.separator();
            if ui.button("Sample photos").clicked() {
                self.wait(Waiting::Samples);
                ui.close();
            }
        });
        let tip = keys::tip_as(ui.ctx(), Action::Open, "Photos, a folder, or labels");
        open.response.accessible_name("Open").on_hover_text(tip);
        ui.add_enabled_ui(self.can_save() || self.shown.is_some(), |ui| {
            let export = ui.menu_button(format!("{}  Export", icon::EXPORT), |ui| {
                for (text, purpose, tip) in [
                    (
                        "Annotations (JSON)…",
                        Purpose::SaveAnnotations,
                        "Labels in COCO-WholeBody's form, of all photos that were looked at",
                    ),
                    (
                        "Results (JSON)…",
                        Purpose::SaveResults,
                        "The same with scores, as detectors write them",
                    ),
                    (
                        "Picture (PNG)…",
                        Purpose::SavePng,
                        "This photo with what is drawn over it",
                    ),
                ] {
                    let is_on = purpose == Purpose::SavePng || self.can_save();
                    if ui
                        .add_enabled(is_on, Button::new(text))
                        .on_hover_text(tip)
                        .clicked()
                    {
                        self.ask(purpose, settings);
                        ui.close();
                    }
                }
            });
            let response = export.response.accessible_name("Export");
            response.on_hover_text("Save people, or the picture");
        });
        ui.separator();
        let (can_undo, can_redo) = self
            .poses()
            .map_or((false, false), |p| (p.can_undo(), p.can_redo()));
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
        for look in Look::ALL {
            let tip = keys::tip_as(ui.ctx(), Action::NextLook, look.tip());
            let button = Button::selectable(self.look == look, look.name());
            if ui.add(button).on_hover_text(tip).clicked() {
                self.look = look;
            }
        }
        ui.separator();
        if theme::icon_button_ui(ui, icon::FIT, "Fit", &keys::tip(ui.ctx(), Action::Fit)).clicked()
        {
            self.canvas.fit();
        }
        let tip = keys::tip(ui.ctx(), Action::FindAgain);
        ui.add_enabled_ui(self.models.is_some() && self.shown.is_some(), |ui| {
            if theme::icon_button_ui(ui, icon::RESTORE, "Find again", &tip).clicked() {
                self.wait(Waiting::FindAgain);
            }
        });
        let is_on = &mut settings.pose.loupe;
        let button = Button::selectable(*is_on, RichText::new(icon::FACE).size(16.0));
        let button = button.min_size(vec2(theme::ROW_HEIGHT + 4.0, theme::ROW_HEIGHT));
        let response = ui.add_enabled(self.look == Look::Poses, button);
        let response = response.accessible_name("Loupe");
        let tip = keys::tip(ui.ctx(), Action::ToggleLoupe);
        if response.on_hover_text(tip).clicked() {
            *is_on = !*is_on;
        }
    }

    pub(super) fn side_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            self.photo_ui(ui, settings.pose.method);
            match self.look {
                Look::Poses => {
                    self.people_ui(ui, &settings.pose);
                    self.method_ui(ui, &mut settings.pose);
                    self.truth_ui(ui);
                    self.keypoint_ui(ui);
                    ui.add_space(theme::SPACE_LARGE);
                    self.parts_ui(ui, &mut settings.pose);
                }
                Look::Heat => self.heat_ui(ui, &mut settings.pose),
                Look::Grouping => self.grouping_ui(ui),
            }
        });
    }

    fn photo_ui(&mut self, ui: &mut egui::Ui, method: Method) {
        let weak = theme::colors(ui).weak;
        let Some(entry) = self.photos.get(self.current) else {
            ui.label(RichText::new("No photo is open").color(weak));
            return;
        };
        let font = egui::FontId::new(14.0, theme::strong());
        let name = RichText::new(&entry.name).font(font);
        ui.add(egui::Label::new(name).truncate());
        let size = self.shown.as_ref().filter(|s| s.index == self.current);
        let size = size.map(|s| format!("{} × {}", s.rgb.width, s.rgb.height));
        let count = self.photos.len();
        let place = (count > 1).then(|| format!("photo {} of {count}", self.current + 1));
        let text: Vec<String> = size.into_iter().chain(place).collect();
        ui.label(RichText::new(text.join(" · ")).color(weak));
        let others = self.others_unlooked();
        if others > 0 && self.models.is_some() {
            ui.add_space(theme::SPACE_SMALL);
            let is_busy = self.jobs.is_busy(Job::FindAll);
            let text = match others {
                1 => "Find people in the other photo".to_owned(),
                _ => format!("Find people in {others} other photos"),
            };
            let tip = keys::tip(ui.ctx(), Action::FindAll);
            let button = ui.add_enabled(!is_busy, Button::new(text));
            if button.on_hover_text(tip).clicked() {
                self.find_all(method);
            }
        }
        ui.add_space(theme::SPACE_LARGE);
    }

    /// The way people are found; another one looks again.
    fn method_ui(&mut self, ui: &mut egui::Ui, view: &mut PoseView) {
        let before = view.method;
        ui.add_space(theme::SPACE_SMALL);
        ui.horizontal(|ui| {
            ui.label("Find by");
            let (name, tip) = method_words(view.method);
            let combo = egui::ComboBox::from_id_salt("method").selected_text(name);
            let shown = combo.width(ui.available_width()).show_ui(ui, |ui| {
                for method in [Method::TopDown, Method::BottomUp, Method::Both] {
                    let (name, tip) = method_words(method);
                    ui.selectable_value(&mut view.method, method, name)
                        .on_hover_text(tip);
                }
            });
            let response = shown.response.accessible_name("How people are found");
            response.on_hover_text(tip);
        });
        if view.method != before {
            self.jobs.cancel(Job::Find);
            self.wait(Waiting::FindAgain);
        }
    }

    fn people_ui(&mut self, ui: &mut egui::Ui, view: &PoseView) {
        theme::title_ui(ui, "People");
        ui.add_space(theme::SPACE_SMALL);
        let colors = theme::colors(ui);
        let Some(poses) = self.poses() else {
            let text = match (self.jobs.is_busy(Job::Find), &self.model_error) {
                (true, _) => "Looking for people…",
                (_, Some(_)) => "No weights: nobody is found",
                _ => "Nobody has looked yet",
            };
            ui.label(RichText::new(text).color(colors.weak));
            return;
        };
        struct Row {
            person: usize,
            score: f32,
            is_hidden: bool,
            is_unsure: bool,
            is_corrected: bool,
            oks: Option<f64>,
        }
        let comparison = self.comparison();
        let oks = |person: usize| Some(comparison?.matches.get(person)?.as_ref()?.oks);
        let rows: Vec<Row> = poses
            .kept()
            .map(|(person, state)| Row {
                person,
                score: state.person.score,
                is_hidden: poses.hidden.get(person).copied().unwrap_or(false),
                is_unsure: state.person.score < view.person_score && !state.placed.contains(&true),
                is_corrected: state.placed.contains(&true),
                oks: oks(person),
            })
            .collect();
        if rows.is_empty() {
            ui.label(RichText::new("Nobody was found").color(colors.weak));
        }
        let (mut toggled, mut chosen) = (None, None);
        let height = theme::LIST_ROW_HEIGHT + ui.spacing().item_spacing.y;
        ScrollArea::vertical()
            .id_salt("people")
            .max_height(7.4 * height)
            .auto_shrink([false, true])
            .show(ui, |ui| {
                for row in &rows {
                    ui.horizontal(|ui| {
                        let (eye, verb) = match row.is_hidden {
                            true => (icon::HIDDEN, "Show"),
                            false => (icon::SHOWN, "Hide"),
                        };
                        let name = format!("{verb} person {}", row.person + 1);
                        if theme::icon_button_ui(ui, eye, &name, &name).clicked() {
                            toggled = Some(row.person);
                        }
                        let is_faint = row.is_hidden || row.is_unsure;
                        let color = if is_faint { colors.weak } else { colors.text };
                        let mut text = format!("Person {}", row.person + 1);
                        if row.is_corrected {
                            text.push_str(" •");
                        }
                        let numbers = match row.oks {
                            Some(oks) => format!("OKS {oks:.2}   {:.2}", row.score),
                            None => format!("{:.2}", row.score),
                        };
                        let is_chosen = self.person == Some(row.person);
                        let button =
                            Button::selectable(is_chosen, RichText::new(text).color(color))
                                .right_text(RichText::new(numbers).color(colors.weak))
                                .min_size(vec2(ui.available_width(), theme::LIST_ROW_HEIGHT));
                        let response = ui
                            .add(button)
                            .accessible_name(format!("Person {}", row.person + 1));
                        let tip = match (row.is_unsure, row.oks) {
                            (true, _) => "Less sure than the slider asks for",
                            (_, Some(_)) => {
                                "Similarity to the labels (OKS), and how sure the networks are"
                            }
                            _ => "How sure the networks are",
                        };
                        if response.on_hover_text(tip).clicked() {
                            chosen = Some(row.person);
                        }
                    });
                }
            });
        if let Some(person) = toggled
            && let Some(is_hidden) = self.poses_mut().and_then(|p| p.hidden.get_mut(person))
        {
            *is_hidden = !*is_hidden;
        }
        if let Some(person) = chosen {
            self.keypoint = None;
            self.person = (self.person != Some(person)).then_some(person);
        }
    }

    /// What the labels say of the photo.
    fn truth_ui(&mut self, ui: &mut egui::Ui) {
        let Some(labels) = &self.truth else { return };
        let path = &labels.path;
        let comparison = self.comparison();
        let (missed, mean) = comparison.map_or((0, None), |c| (c.missed.len(), c.mean()));
        let weak = theme::colors(ui).weak;
        ui.add_space(theme::SPACE);
        let mut close = false;
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let tip = path.display().to_string();
        ui.horizontal(|ui| {
            theme::title_ui(ui, "Labels");
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                close = theme::icon_button_ui(
                    ui,
                    icon::CLOSE,
                    "Close the annotations",
                    "Close the annotations",
                )
                .clicked();
                let label = RichText::new(file).color(weak);
                ui.add(egui::Label::new(label).truncate())
                    .on_hover_text(tip);
            });
        });
        let text = match (self.truth_here(), mean) {
            (None, _) => "They say nothing of this photo".to_owned(),
            (Some(image), _) if self.poses().is_none() => {
                format!("{} labelled people", image.people.len())
            }
            (Some(_), None) => "Nobody has a labelled keypoint here".to_owned(),
            (Some(_), Some(mean)) => {
                let missed = match missed {
                    0 => "nobody missed".to_owned(),
                    missed => format!("{missed} missed"),
                };
                format!("Mean OKS {mean:.2} · {missed}")
            }
        };
        ui.label(RichText::new(text).color(weak))
            .on_hover_text("Similarity of found and labelled keypoints; who is missed counts as 0");
        if let Some(person) = self.person
            && let Some(comparison) = self.comparison()
            && let Some(Some(found)) = comparison.matches.get(person)
        {
            let parts = Part::ALL.into_iter().zip(found.parts);
            let parts: Vec<String> = parts
                .filter_map(|(part, oks)| Some(format!("{} {:.2}", part.name(), oks?)))
                .collect();
            ui.label(RichText::new(parts.join(" · ")).small().color(weak));
        }
        if close {
            self.truth = None;
            self.forget_comparison();
        }
    }

    fn keypoint_ui(&mut self, ui: &mut egui::Ui) {
        let weak = theme::colors(ui).weak;
        let (Some(person), Some(keypoint)) = (self.person, self.keypoint) else {
            ui.add_space(theme::SPACE);
            let text = "Click a keypoint to see what it is, drag it to correct it";
            ui.label(RichText::new(text).color(weak));
            return;
        };
        let state = self.poses().and_then(|p| p.people.get(person));
        let Some(state) = state else { return };
        let ([x, y], score) = state.person.get(keypoint);
        let is_placed = state.placed.get(keypoint).copied().unwrap_or(false);
        ui.add_space(theme::SPACE_LARGE);
        let [r, g, b] = colour(keypoint);
        ui.horizontal(|ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(12.0, 12.0), egui::Sense::hover());
            let color = egui::Color32::from_rgb(r, g, b);
            ui.painter().circle_filled(rect.center(), 5.0, color);
            theme::title_ui(ui, &readable(keypoint));
        });
        let rows = [
            ("Number", format!("{} of 133", keypoint + 1)),
            (
                "Score",
                if is_placed {
                    "placed by hand".to_owned()
                } else {
                    format!("{score:.3}")
                },
            ),
            ("Position", format!("{x:.1}, {y:.1}")),
        ];
        egui::Grid::new("keypoint")
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

    fn parts_ui(&mut self, ui: &mut egui::Ui, view: &mut PoseView) {
        let has_truth = self.truth.is_some();
        theme::title_ui(ui, "Show");
        ui.add_space(theme::SPACE_SMALL);
        egui::Grid::new("parts")
            .num_columns(2)
            .spacing([18.0, 4.0])
            .show(ui, |ui| {
                ui.checkbox(&mut view.body, "Body");
                ui.checkbox(&mut view.feet, "Feet");
                ui.end_row();
                ui.checkbox(&mut view.face, "Face");
                ui.add_enabled(
                    has_truth,
                    egui::Checkbox::new(&mut view.truth, "Labels, dashed"),
                )
                .on_disabled_hover_text("Open annotations to compare with");
                ui.end_row();
                ui.checkbox(&mut view.left_hand, "Left hand");
                ui.checkbox(&mut view.right_hand, "Right hand");
                ui.end_row();
            });
        ui.add_space(theme::SPACE);
        egui::Grid::new("scores")
            .num_columns(2)
            .spacing([10.0, 6.0])
            .show(ui, |ui| {
                ui.spacing_mut().slider_width = 84.0;
                for (name, value, tip) in [
                    (
                        "People from",
                        &mut view.person_score,
                        "People who are less sure are not shown",
                    ),
                    (
                        "Points from",
                        &mut view.keypoint_score,
                        "Keypoints that are less sure are not shown nor exported as labels",
                    ),
                ] {
                    let label = ui.label(name);
                    let slider = Slider::new(value, 0.0..=1.0).fixed_decimals(2);
                    ui.add(slider).labelled_by(label.id).on_hover_text(tip);
                    ui.end_row();
                }
            });
    }

    fn heat_ui(&mut self, ui: &mut egui::Ui, view: &mut PoseView) {
        theme::title_ui(ui, "Heat map");
        ui.add_space(theme::SPACE_SMALL);
        egui::Grid::new("heat")
            .num_columns(2)
            .spacing([10.0, 6.0])
            .show(ui, |ui| {
                ui.spacing_mut().slider_width = 84.0;
                ui.label("Of");
                egui::ComboBox::from_id_salt("joint")
                    .width(150.0)
                    .height(420.0)
                    .selected_text(inside::heat_name(self.joint))
                    .show_ui(ui, |ui| {
                        for joint in 0..=CENTRES {
                            ui.selectable_value(&mut self.joint, joint, inside::heat_name(joint));
                        }
                    })
                    .response
                    .accessible_name("Heat map of")
                    .on_hover_text("↑ ↓ go through them");
                ui.end_row();
                opacity_row_ui(ui, &mut view.heat_opacity);
                color_map_row_ui(ui, "heat colours", &mut view.color_map);
            });
        ui.add_space(theme::SPACE);
        let weak = theme::colors(ui).weak;
        let text = "What MoveNet MultiPose sees of the whole photo. Dots are the candidates that grouping starts from. \
                    Feet, face and hands come from networks that answer with places, so they have no heat maps.";
        ui.label(RichText::new(text).color(weak));
    }

    fn grouping_ui(&mut self, ui: &mut egui::Ui) {
        theme::title_ui(ui, "Grouping, step by step");
        ui.add_space(theme::SPACE_SMALL);
        let weak = theme::colors(ui).weak;
        let Some((inside, step)) = self.inside() else {
            ui.label(RichText::new("Not computed yet").color(weak));
            return;
        };
        let last = inside::last_step(inside);
        let [title, text] = inside::step_words(inside, step.min(last));
        let people = inside.people.len();
        ui.horizontal(|ui| {
            let mut go = 0isize;
            let tip = keys::tip(ui.ctx(), Action::PreviousPerson);
            ui.add_enabled_ui(step > 0, |ui| {
                if theme::icon_button_ui(ui, icon::LEFT, "Previous pass", &tip).clicked() {
                    go = -1;
                }
            });
            let tip = keys::tip(ui.ctx(), Action::NextPerson);
            ui.add_enabled_ui(step < last, |ui| {
                if theme::icon_button_ui(ui, icon::RIGHT, "Next pass", &tip).clicked() {
                    go = 1;
                }
            });
            ui.spacing_mut().slider_width = 130.0;
            let slider = Slider::new(&mut self.pass, 0..=last).show_value(false);
            ui.add(slider).accessible_name("Step of the grouping");
            self.pass = self.pass.saturating_add_signed(go).min(last);
        });
        ui.add_space(theme::SPACE_SMALL);
        let font = egui::FontId::new(13.0, theme::strong());
        ui.label(RichText::new(title).font(font));
        ui.label(RichText::new(text).color(weak));
        ui.add_space(theme::SPACE);
        let key = match step {
            0 => "Dots are candidates: cold colours are a person's left, warm ones their right",
            step if step < last => {
                "Thick white lines merge in this pass; dashed yellow ones are refused, the stronger the nearer it was"
            }
            _ => "Joints that no candidate stands for are filled in afterwards, from the centres",
        };
        ui.label(RichText::new(key).color(weak));
        if step == last {
            let noun = if people == 1 { "person" } else { "people" };
            let text = format!("{people} {noun} come of it, faint ones included");
            ui.label(RichText::new(text).color(weak));
        }
    }
}

/// What a way of finding people is called, and what it does.
fn method_words(method: Method) -> (&'static str, &'static str) {
    match method {
        Method::TopDown => (
            "Boxes, one person each",
            "Top-down: looks for each person, then closely at each. The most exact",
        ),
        Method::BottomUp => (
            "Keypoints, grouped",
            "Bottom-up: finds keypoints of the whole photo and groups them to people",
        ),
        Method::Both => (
            "Both together",
            "Boxes of people and groups of keypoints. Finds a few more in crowds, and takes longer",
        ),
    }
}
