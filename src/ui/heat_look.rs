//! How heat maps look: the rows that the panels of motion and pose share.

use eframe::egui::{self, Slider};

use crate::gpu::ColorMap;

/// A row of a grid for the opacity, from 0 to 1.
pub fn opacity_row_ui(ui: &mut egui::Ui, opacity: &mut f32) {
    let label = ui.label("Opacity");
    let mut percent = *opacity * 100.0;
    let slider = Slider::new(&mut percent, 0.0..=100.0)
        .fixed_decimals(0)
        .suffix(" %");
    if ui.add(slider).labelled_by(label.id).changed() {
        *opacity = percent / 100.0;
    }
    ui.end_row();
}

/// A row of a grid for the colours.
pub fn color_map_row_ui(ui: &mut egui::Ui, id: &str, color_map: &mut ColorMap) {
    ui.label("Colours");
    egui::ComboBox::from_id_salt(id)
        .width(110.0)
        .selected_text(color_map.name())
        .show_ui(ui, |ui| {
            for map in ColorMap::ALL {
                ui.selectable_value(color_map, map, map.name());
            }
        })
        .response
        .accessible_name("Colours");
    ui.end_row();
}
