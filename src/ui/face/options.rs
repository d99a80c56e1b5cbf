//! The bar of options above the canvases: what the chosen tool can be told, and how the mask is shown.

use eframe::egui::{self, Align, Button, Layout, RichText, vec2};

use super::tab::FaceTab;
use super::tools::Tool;
use crate::face::labels;
use crate::face::mask::Tip;
use crate::ui::keys::{self, Action};
use crate::ui::settings::{BRUSH_PX, STEADY_POINTS, Settings};
use crate::ui::theme::{self, icon};

/// A slider with its name before it.
fn slider_ui(
    ui: &mut egui::Ui,
    name: &str,
    slider: egui::Slider<'_>,
    tip: impl Into<egui::WidgetText>,
) -> egui::Response {
    let label = theme::field_label_ui(ui, name);
    ui.add(slider).labelled_by(label.id).on_hover_text(tip)
}

/// A button that stays pressed: icon, name for screen readers, tooltip. Returns whether it was clicked.
pub(super) fn toggle_ui(ui: &mut egui::Ui, is_on: bool, icon: &str, name: &str, tip: &str) -> bool {
    let button = Button::selectable(is_on, RichText::new(icon).size(15.0))
        .min_size(vec2(theme::ROW_HEIGHT + 4.0, theme::ROW_HEIGHT));
    ui.add(button)
        .accessible_name(name)
        .on_hover_text(tip)
        .clicked()
}

impl FaceTab {
    /// The bar.
    pub(super) fn options_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        ui.spacing_mut().slider_width = 72.0;
        ui.horizontal(|ui| {
            ui.set_min_height(theme::ROW_HEIGHT);
            match self.tool {
                Tool::Brush | Tool::Eraser => brush_options_ui(ui, settings),
                Tool::Fill => fill_options_ui(ui, settings),
                Tool::Move => self.move_options_ui(ui, settings),
                Tool::Pick => {
                    ui.weak("Click on a part to paint with it");
                }
                Tool::Polygon => {
                    ui.weak("Click the corners · Enter fills · Backspace takes one back");
                }
                Tool::Lasso => {
                    ui.weak("Drag around an area");
                }
                Tool::Rectangle | Tool::Ellipse => {
                    ui.weak("Drag from corner to corner · Shift for equal sides");
                }
            }
            if self.tool.has_brush() || self.tool.is_shape() || self.tool == Tool::Move {
                let tip = keys::tip(ui.ctx(), Action::ToggleMirror)
                    + ": the other side of the face too, with left and right swapped";
                let is_on = settings.tools.mirror;
                if toggle_ui(ui, is_on, icon::MIRROR, "Mirrored painting", &tip) {
                    settings.tools.mirror = !is_on;
                }
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                self.over_ui(ui);
            });
        });
    }

    /// Which parts may be painted over.
    fn over_ui(&mut self, ui: &mut egui::Ui) {
        if matches!(self.tool, Tool::Pick) {
            return;
        }
        let only = self.classes.only_over;
        let title = |class: u8| labels::by_id(class).map_or("", |class| class.title);
        let shown = only.map_or("everything", title);
        let combo = egui::ComboBox::from_id_salt("over")
            .selected_text(shown)
            .width(104.0)
            .height(420.0);
        let response = combo.show_ui(ui, |ui| {
            ui.selectable_value(&mut self.classes.only_over, None, "everything");
            for class in super::classes::ORDER {
                ui.selectable_value(&mut self.classes.only_over, Some(class), title(class));
            }
        });
        response
            .response
            .accessible_name("Paint over")
            .on_hover_text("Only this part is painted over. Locked parts never are");
        theme::field_label_ui(ui, "Paints over");
    }

    fn move_options_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        let is_on = self.is_bending;
        if toggle_ui(
            ui,
            is_on,
            icon::BEND,
            "Bend",
            &(keys::tip(ui.ctx(), Action::Bend) + ": nine handles on the part"),
        ) {
            self.is_bending = !is_on;
        }
        ui.checkbox(&mut settings.tools.whole_mouth, "Whole mouth")
            .on_hover_text("Lips and mouth move together");
        let is_moving = self.moving.is_some();
        let done = Button::new("Done");
        let tip = keys::tip(ui.ctx(), Action::Finish);
        let mut asked = None;
        if ui.add_enabled(is_moving, done).on_hover_text(tip).clicked() {
            asked = Some(Action::Finish);
        }
        let back = Button::new("Put back");
        let tip = keys::tip(ui.ctx(), Action::Cancel);
        if ui.add_enabled(is_moving, back).on_hover_text(tip).clicked() {
            asked = Some(Action::Cancel);
        }
        if !is_moving && ui.available_width() > 320.0 {
            ui.weak("Drag a part");
        }
        if let Some(action) = asked {
            self.act(ui.ctx(), action, settings);
        }
    }
}

fn brush_options_ui(ui: &mut egui::Ui, settings: &mut Settings) {
    let slider = egui::Slider::new(&mut settings.brush_px, BRUSH_PX)
        .logarithmic(true)
        .fixed_decimals(0)
        .suffix(" px");
    let [smaller, larger] =
        [Action::SmallerBrush, Action::LargerBrush].map(|action| keys::keys_text(ui.ctx(), action));
    let tip =
        format!("Width of the brush in the photo ({smaller} and {larger}, or Ctrl and wheel)");
    slider_ui(ui, "Brush", slider, tip);
    let tools = &mut settings.tools;
    for (tip, icon, name) in [
        (Tip::Round, icon::ELLIPSE, "Round brush"),
        (Tip::Square, icon::SQUARE, "Square brush"),
    ] {
        let text = keys::tip_as(ui.ctx(), Action::BrushTip, name);
        if toggle_ui(ui, tools.tip == tip, icon, name, &text) {
            tools.tip = tip;
        }
    }
    let slider = egui::Slider::new(&mut tools.steady_points, STEADY_POINTS).fixed_decimals(0);
    let tip = "Stabiliser: the brush follows on a string of this length, so that the line is calm";
    slider_ui(ui, "Steady", slider, tip);
}

fn fill_options_ui(ui: &mut egui::Ui, settings: &mut Settings) {
    let tools = &mut settings.tools;
    let everywhere = ui.selectable_label(tools.fill_all, "Everywhere");
    if everywhere
        .on_hover_text(keys::tip_as(
            ui.ctx(),
            Action::FillEverywhere,
            "The whole part that is clicked, connected or not",
        ))
        .clicked()
    {
        tools.fill_all = !tools.fill_all;
    }
    ui.add_enabled_ui(!tools.fill_all, |ui| {
        let edges = ui.selectable_label(tools.fill_to_edges, "Up to edges");
        if edges
            .on_hover_text(keys::tip_as(
                ui.ctx(),
                Action::FillToEdges,
                "Stop where the photo changes: at the line of the hair, for example",
            ))
            .clicked()
        {
            tools.fill_to_edges = !tools.fill_to_edges;
        }
        if tools.fill_to_edges {
            let slider = egui::Slider::new(&mut tools.edge, 5.0..=120.0).fixed_decimals(0);
            slider_ui(
                ui,
                "Edge",
                slider,
                "How much the brightness must change to count as an edge",
            );
        }
    });
}
