//! The list of steps at the left, with a small picture of each, and the snapshots that can be compared with.

use std::sync::Arc;

use eframe::egui::{
    self, Align2, Color32, ColorImage, FontId, Rect, Sense, Stroke, StrokeKind, TextureHandle,
    TextureOptions, pos2, vec2,
};

use super::steps;
use super::tab::{FaceTab, Job};
use super::work::{Edit, Work};
use crate::face::labels;
use crate::face::mask::{Labels, Packed};
use crate::ui::keys::{self, Action};
use crate::ui::settings::Settings;
use crate::ui::theme::{self, icon};

const ROW_POINTS: f32 = 32.0;
const PICTURE_POINTS: f32 = 26.0;

/// Pictures of the steps that are in sight, by place in the list and what they show.
#[derive(Default)]
pub struct StepPictures(Vec<(Labels, TextureHandle)>);

impl StepPictures {
    /// Few are in sight at once; more than this are let go.
    const KEPT: usize = 64;

    fn of(&mut self, ctx: &egui::Context, labels: &Labels) -> egui::TextureId {
        if let Some((_, texture)) = self.0.iter().find(|(shown, _)| shown == labels) {
            return texture.id();
        }
        let color = |label: &u8| {
            let [r, g, b] = labels::by_id(*label).map_or([0; 3], |class| class.screen);
            Color32::from_rgb(r, g, b)
        };
        let pixels = labels.data.iter().map(color).collect();
        let image = ColorImage::new([labels.width, labels.height], pixels);
        let texture = ctx.load_texture("step", image, TextureOptions::LINEAR);
        let id = texture.id();
        if self.0.len() >= Self::KEPT {
            drop(self.0.remove(0));
        }
        self.0.push((labels.clone(), texture));
        id
    }
}

impl FaceTab {
    /// The panel.
    pub(super) fn history_ui(&mut self, ui: &mut egui::Ui, settings: &Settings) {
        let Some(mut work) = self.work.take() else {
            ui.weak("Open a photo. What you do to it is listed here");
            return;
        };
        if work.edit().is_some() {
            self.snapshots_ui(ui, &mut work, settings);
            ui.add_space(theme::SPACE);
            theme::title_ui(ui, "Steps");
            ui.add_space(theme::SPACE_SMALL);
            self.steps_ui(ui, &mut work, settings);
        }
        self.work = Some(work);
    }

    fn steps_ui(&mut self, ui: &mut egui::Ui, work: &mut Work, settings: &Settings) {
        let Some(edit) = work.edit() else {
            return;
        };
        let history = &edit.history;
        let (len, position, forgotten) = (history.len(), history.position(), history.forgotten());
        let mut chosen = None;
        ui.spacing_mut().item_spacing.y = 0.0;
        let area = egui::ScrollArea::vertical()
            .id_salt("steps")
            .auto_shrink(false)
            .stick_to_bottom(true);
        area.show_rows(ui, ROW_POINTS, len + 1, |ui, rows| {
            for row in rows {
                let (name, picture) = match row.checked_sub(1).and_then(|i| history.step(i)) {
                    Some(step) => (step.name.clone(), Some(&step.thumbnail)),
                    None if forgotten > 0 => (format!("{forgotten} older steps"), None),
                    None => ("As it was found".to_owned(), None),
                };
                let texture = picture.map(|labels| self.step_pictures.of(ui.ctx(), labels));
                if step_row_ui(ui, &name, texture, row == position, row > position) {
                    chosen = Some(row);
                }
            }
        });
        if let Some(row) = chosen {
            self.jump(work, row, settings.live);
        }
    }

    /// Goes to where so many steps are made.
    fn jump(&mut self, work: &mut Work, position: usize, live: bool) {
        self.settle_tools(work, live);
        let gpu = self.gpu.clone();
        if work
            .edit_mut()
            .is_some_and(|edit| edit.jump(&gpu, position))
        {
            self.mask_changed(work, live);
        }
    }

    fn snapshots_ui(&mut self, ui: &mut egui::Ui, work: &mut Work, settings: &Settings) {
        theme::title_ui(ui, "Snapshots");
        ui.add_space(theme::SPACE_SMALL);
        let tip = keys::tip(ui.ctx(), Action::Snapshot);
        let text = format!("{}  Take a snapshot", icon::SNAPSHOT);
        let button = egui::Button::new(text).min_size(vec2(ui.available_width(), 26.0));
        let response = ui.add(button).accessible_name("Take a snapshot");
        if response.on_hover_text(tip).clicked() {
            self.take_snapshot(work);
        }
        let Some(edit) = work.edit_mut() else {
            return;
        };
        let mut restored = None;
        let mut removed = None;
        for (index, snapshot) in edit.snapshots.iter().enumerate() {
            ui.horizontal(|ui| {
                ui.add(egui::Label::new(&snapshot.name).truncate());
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    let name = format!("Remove {}", snapshot.name);
                    if theme::icon_button_ui(ui, icon::TRASH, &name, &name).clicked() {
                        removed = Some(index);
                    }
                    let name = format!("Go back to {}", snapshot.name);
                    if theme::icon_button_ui(ui, icon::RESTORE, &name, &name).clicked() {
                        restored = Some(index);
                    }
                    let is_on = edit.compared == Some(index);
                    let name = format!("Compare with {}", snapshot.name);
                    let tip = "Before and after compare with this snapshot instead of the photo";
                    if super::options::toggle_ui(ui, is_on, icon::COMPARE, &name, tip) {
                        edit.compared = (!is_on).then_some(index);
                    }
                });
            });
        }
        if let Some(index) = removed {
            edit.remove_snapshot(index);
        }
        if let Some(index) = restored {
            self.restore_snapshot(work, index, settings);
        }
    }

    /// Keeps the mask and its result to compare with or to come back to.
    pub(super) fn take_snapshot(&mut self, work: &mut Work) {
        let face = work.current;
        if let Some(edit) = work.edit_mut() {
            let mirror = Arc::clone(&edit.mirror);
            self.jobs.start(Job::Snapshot, move |out| {
                steps::snapshot(&mirror, face, out)
            });
        }
    }

    fn restore_snapshot(&mut self, work: &mut Work, index: usize, settings: &Settings) {
        self.settle_tools(work, settings.live);
        let Some(snapshot) = work.edit().and_then(|edit| edit.snapshots.get(index)) else {
            return;
        };
        let (mask, name) = (snapshot.mask.clone(), format!("Back to {}", snapshot.name));
        self.change_mask(work, name, move |now| Ok(mask.unpack().trimmed(now)));
    }
}

/// One row. Returns whether it was clicked.
fn step_row_ui(
    ui: &mut egui::Ui,
    name: &str,
    picture: Option<egui::TextureId>,
    is_current: bool,
    is_undone: bool,
) -> bool {
    let colors = theme::colors(ui);
    let size = vec2(ui.available_width(), ROW_POINTS);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, is_current, name));
    let fill = match (is_current, response.hovered()) {
        (true, _) => colors.chosen,
        (false, true) => colors.hovered,
        (false, false) => Color32::TRANSPARENT,
    };
    let painter = ui.painter();
    painter.rect_filled(rect.shrink2(vec2(0.0, 1.0)), theme::RADIUS, fill);
    if response.has_focus() {
        let focus = Stroke::new(1.0, colors.accent);
        painter.rect_stroke(rect, theme::RADIUS, focus, StrokeKind::Inside);
    }
    let square = Rect::from_center_size(
        pos2(rect.left() + 18.0, rect.center().y),
        vec2(PICTURE_POINTS, PICTURE_POINTS),
    );
    match picture {
        Some(texture) => {
            let tint = if is_undone {
                Color32::from_white_alpha(90)
            } else {
                Color32::WHITE
            };
            egui::Image::new((texture, square.size()))
                .corner_radius(4)
                .tint(tint)
                .paint_at(ui, square);
        }
        None => {
            let font = FontId::proportional(16.0);
            painter.text(
                square.center(),
                Align2::CENTER_CENTER,
                icon::PHOTO,
                font,
                colors.weak,
            );
        }
    }
    let color = if is_undone { colors.weak } else { colors.text };
    let galley = egui::WidgetText::from(egui::RichText::new(name).color(color)).into_galley(
        ui,
        Some(egui::TextWrapMode::Truncate),
        rect.width() - 44.0,
        FontId::proportional(13.0),
    );
    let at = pos2(rect.left() + 38.0, rect.center().y - galley.size().y / 2.0);
    ui.painter().galley(at, galley, color);
    response.clicked()
}

/// A mask that was kept.
pub struct Snapshot {
    pub name: String,
    pub mask: Packed,
    /// What was shown for it; none when nothing was changed or nothing was rendered.
    pub result: Option<super::work::Shown>,
}

impl Edit {
    /// Adds a snapshot of the mask and of the result that is shown.
    pub fn add_snapshot(&mut self, mask: Packed) {
        self.snapshots_taken += 1;
        self.snapshots.push(Snapshot {
            name: format!("Snapshot {}", self.snapshots_taken),
            mask,
            result: self.result.clone(),
        });
    }

    fn remove_snapshot(&mut self, index: usize) {
        self.snapshots.remove(index);
        self.compared = match self.compared {
            Some(at) if at == index => None,
            Some(at) if at > index => Some(at - 1),
            other => other,
        };
    }
}
