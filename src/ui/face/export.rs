//! The choices of how results and masks are written, and the menu of everything that has to do with files.

use eframe::egui::{self, Align, Button, Layout, RichText, vec2};

use super::steps::Purpose;
use super::tab::FaceTab;
use crate::face::mask::MaskFormat;
use crate::photo::{Depth, Format};
use crate::ui::keys::{self, Action};
use crate::ui::settings::Settings;
use crate::ui::theme::{self, icon};

const MENU_WIDTH: f32 = 290.0;

impl FaceTab {
    /// A menu of what is done with files. Returns what was asked for.
    pub(super) fn file_menu_ui(&self, ui: &mut egui::Ui) -> Option<Action> {
        let mut asked = None;
        let (has_photo, has_edit) = (self.work.is_some(), self.has_edit());
        let button = Button::new(icon::DOWN);
        let (response, _) = egui::containers::menu::MenuButton::from_button(button).ui(ui, |ui| {
            ui.set_min_width(MENU_WIDTH);
            let groups: [&[(Action, &str, bool)]; 3] = [
                &[
                    (Action::OpenFolder, "Open folder…", true),
                    (Action::PastePhoto, "Paste photo", true),
                    (Action::OpenMask, "Open mask…", has_edit),
                ],
                &[
                    (Action::Export, "Export…", has_photo),
                    (Action::CopyResult, "Copy result", has_photo),
                ],
                &[
                    (Action::SaveRecipe, "Save edit as recipe…", has_edit),
                    (Action::ApplyRecipe, "Apply recipe…", has_edit),
                ],
            ];
            for (i, group) in groups.into_iter().enumerate() {
                if i > 0 {
                    ui.separator();
                }
                for (action, words, enabled) in group {
                    let item = Button::new(*words)
                        .shortcut_text(keys::keys_text(ui.ctx(), *action))
                        .min_size(vec2(MENU_WIDTH, 0.0));
                    let response = ui.add_enabled(*enabled, item).accessible_name(*words);
                    if response.clicked() {
                        asked = Some(*action);
                        ui.close();
                    }
                }
            }
        });
        response
            .accessible_name("More files")
            .on_hover_text("Folders, clipboard, masks, export and saved edits");
        asked
    }

    /// Asks how to export, if that is open.
    pub(super) fn export_ui(&mut self, ctx: &egui::Context, settings: &mut Settings) {
        if !self.is_export_open {
            return;
        }
        let is_deep = self.work.as_ref().is_some_and(|w| w.photo.deep.is_some());
        let has_data = self.work.as_ref().is_some_and(|w| w.photo.exif.is_some());
        let has_edit = self.has_edit();
        let modal = egui::Modal::new(egui::Id::unique("export"))
            .frame(theme::question_frame(ctx))
            .show(ctx, |ui| {
                ui.set_width(430.0);
                ui.heading("Export");
                ui.add_space(theme::SPACE);
                theme::title_ui(ui, "Result");
                result_choices_ui(ui, settings, is_deep, has_data);
                ui.add_space(theme::SPACE);
                theme::title_ui(ui, "Mask");
                mask_choice_ui(ui, settings);
                ui.add_space(theme::SPACE_LARGE);
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    let result = ui.button("Export result…").clicked();
                    let mask = Button::new("Export mask…");
                    let mask = ui.add_enabled(has_edit, mask).clicked();
                    let cancelled = ui.button("Cancel").clicked();
                    (result, mask, cancelled)
                })
                .inner
            });
        let (result, mask, cancelled) = modal.inner;
        self.is_export_open = !(result || mask || cancelled || modal.should_close());
        if result {
            self.ask(Purpose::SaveResult, settings);
        } else if mask {
            self.ask(Purpose::SaveMask, settings);
        }
    }
}

fn result_choices_ui(ui: &mut egui::Ui, settings: &mut Settings, is_deep: bool, has_data: bool) {
    let export = &mut settings.export;
    let grid = egui::Grid::new("export")
        .num_columns(2)
        .spacing([24.0, 8.0]);
    grid.show(ui, |ui| {
        ui.label("Format");
        ui.horizontal(|ui| {
            for format in Format::ALL {
                ui.selectable_value(&mut export.format, format, format.title());
            }
        });
        ui.end_row();

        let options = &mut export.options;
        let label = ui.label("Quality");
        let is_jpeg = export.format == Format::Jpeg;
        let slider = egui::Slider::new(&mut options.quality, 1..=100);
        ui.add_enabled(is_jpeg, slider)
            .labelled_by(label.id)
            .on_hover_text("Of JPEG files. The others keep every pixel as it is")
            .on_disabled_hover_text("This format keeps every pixel as it is");
        ui.end_row();

        ui.label("Bits per channel");
        ui.add_enabled_ui(export.format.is_deep(), |ui| {
            ui.horizontal(|ui| {
                let own = if is_deep {
                    "As the photo (16)"
                } else {
                    "As the photo (8)"
                };
                for (depth, words) in [
                    (Depth::AsPhoto, own),
                    (Depth::Eight, "8"),
                    (Depth::Sixteen, "16"),
                ] {
                    ui.selectable_value(&mut options.depth, depth, words);
                }
            });
        });
        ui.end_row();

        ui.label("Keep");
        ui.vertical(|ui| {
            let can = export.format.has_metadata();
            let words = match has_data {
                true => "Camera data (EXIF)",
                false => "Camera data (this photo has none)",
            };
            let response =
                ui.add_enabled(can, egui::Checkbox::new(&mut options.keep_metadata, words));
            response
                .on_hover_text("Camera, date, place. Off, nobody can read where a photo was taken")
                .on_disabled_hover_text("TIFF files are written without it");
            ui.checkbox(&mut options.keep_profile, "Colour profile")
                .on_hover_text("Without it, colours may look different elsewhere");
        });
        ui.end_row();
    });
}

fn mask_choice_ui(ui: &mut egui::Ui, settings: &mut Settings) {
    let format = &mut settings.export.mask;
    ui.horizontal(|ui| {
        let label = ui.label("Form");
        let text = RichText::new(format.title());
        let combo = egui::ComboBox::from_id_salt("mask form").selected_text(text);
        let response = combo.width(220.0).show_ui(ui, |ui| {
            for each in MaskFormat::ALL {
                ui.selectable_value(format, each, each.title());
            }
        });
        response.response.labelled_by(label.id);
    });
}
