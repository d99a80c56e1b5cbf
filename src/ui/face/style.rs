//! The slot for another photo whose style is used: which photo, which parts take its style, and how much of it.

use eframe::egui::{self, Align, ColorImage, Layout, TextureHandle, TextureOptions, vec2};

use super::classes::Classes;
use super::steps::{OtherStyle, Purpose, Reference, Style};
use super::tab::{FaceTab, Job};
use crate::ui::settings::Settings;
use crate::ui::theme::{self, icon};

/// Side of the picture of the other face, in points.
const THUMBNAIL_POINTS: f32 = 40.0;

/// The other photo, if there is one.
pub struct ReferenceSlot {
    loaded: Option<Loaded>,
    /// 0 is the photo's own style, 1 the other's.
    strength: f32,
}

struct Loaded {
    name: String,
    style: Style,
    thumbnail: TextureHandle,
}

impl Default for ReferenceSlot {
    fn default() -> Self {
        let (loaded, strength) = (None, 1.0);
        Self { loaded, strength }
    }
}

impl ReferenceSlot {
    pub fn set(&mut self, ctx: &egui::Context, reference: Reference) {
        let picture = reference.thumbnail;
        let image = ColorImage::from_rgb([picture.width, picture.height], &picture.data);
        self.loaded = Some(Loaded {
            name: reference.name,
            style: reference.style,
            thumbnail: ctx.load_texture("style photo", image, TextureOptions::LINEAR),
        });
    }

    pub fn is_on(&self) -> bool {
        self.loaded.is_some() && self.strength > 0.0
    }

    /// What rendering needs to know.
    pub fn other_style(&self, classes: &Classes) -> Option<OtherStyle> {
        let loaded = self.loaded.as_ref().filter(|_| self.is_on())?;
        Some(OtherStyle {
            style: loaded.style.clone(),
            share: self.strength,
            takes: classes.restyled(),
        })
    }

    pub fn is_loaded(&self) -> bool {
        self.loaded.is_some()
    }
}

impl FaceTab {
    /// The slot, under the list of parts.
    pub(super) fn style_ui(&mut self, ui: &mut egui::Ui, settings: &Settings) {
        theme::title_ui(ui, "Style from another photo");
        ui.add_space(theme::SPACE_SMALL);
        let Some(loaded) = &self.reference.loaded else {
            let text = format!("{}  Choose a photo…", icon::STYLE);
            let button = egui::Button::new(text).min_size(vec2(ui.available_width(), 28.0));
            let is_ready = self.has_edit() && !self.jobs.is_busy(Job::Reference);
            let response = ui
                .add_enabled(is_ready, button)
                .accessible_name("Choose a style photo");
            if response
                .on_hover_text("Hair, skin, lips and the rest take their look from another face")
                .clicked()
            {
                self.ask(Purpose::OpenReference, settings);
            }
            return;
        };

        let mut changed = false;
        let mut removed = false;
        ui.horizontal(|ui| {
            let size = vec2(THUMBNAIL_POINTS, THUMBNAIL_POINTS);
            let picture =
                egui::Image::new((loaded.thumbnail.id(), size)).corner_radius(theme::RADIUS);
            ui.add(picture).on_hover_text(&loaded.name);
            let all = ui.selectable_label(self.classes.restyles_all(), "All");
            if all.on_hover_text("All parts take the style").clicked() {
                self.classes.restyle_all(true);
                changed = true;
            }
            let none = ui.selectable_label(false, "None");
            if none
                .on_hover_text("Then choose parts in the list above")
                .clicked()
            {
                self.classes.restyle_all(false);
                changed = true;
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let name = "Remove the style photo";
                removed = theme::icon_button_ui(ui, icon::CLOSE, name, name).clicked();
            });
        });
        ui.spacing_mut().slider_width = ui.available_width() - 62.0;
        let slider = egui::Slider::new(&mut self.reference.strength, 0.0..=1.0)
            .custom_formatter(|value, _| format!("{:.0} %", 100.0 * value))
            .custom_parser(|text| {
                text.trim_end_matches(['%', ' '])
                    .parse::<f64>()
                    .ok()
                    .map(|v| v / 100.0)
            });
        let response = ui.add(slider).accessible_name("Strength of the style");
        // While the knob is held only the number changes.
        changed |= response.drag_stopped() || (response.changed() && !response.dragged());
        response.on_hover_text("How much of the other style is taken");
        if removed {
            self.reference = ReferenceSlot::default();
        }
        if changed || removed {
            self.style_changed(settings.live);
        }
    }
}
