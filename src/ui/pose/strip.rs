//! The strip of small pictures: all photos of the list, how many people each has, and which one is shown.

use eframe::egui::{
    self, Align2, Color32, FontId, Rect, ScrollArea, Sense, Stroke, StrokeKind, pos2, vec2,
};

use super::tab::PoseTab;
use crate::ui::theme::{self, icon, on_photo};

/// Of the panel with the strip.
pub const STRIP_HEIGHT: f32 = 86.0;
const ITEM: egui::Vec2 = vec2(92.0, 60.0);
const SPACE: f32 = 6.0;

impl PoseTab {
    pub(super) fn strip_ui(&mut self, ui: &mut egui::Ui) {
        let step = ITEM.x + SPACE;
        let width = step * self.photos.len() as f32 - SPACE;
        let mut chosen = None;
        let is_new = ui.data_mut(|data| {
            let id = egui::Id::unique("strip shows");
            let shown = data.get_temp::<usize>(id).replace(self.current);
            data.insert_temp(id, self.current);
            shown != Some(self.current)
        });
        ScrollArea::horizontal()
            .auto_shrink(false)
            .show_viewport(ui, |ui, viewport| {
                let origin = ui.min_rect().min;
                ui.set_width(width.max(1.0));
                ui.set_height(ITEM.y);
                let place = |index: usize| {
                    Rect::from_min_size(origin + vec2(step * index as f32, 0.0), ITEM)
                };
                if is_new {
                    // The neighbours too, so that it is seen where one can go.
                    ui.scroll_to_rect(place(self.current).expand2(vec2(step, 0.0)), None);
                }
                let first = (viewport.left() / step).floor().max(0.0) as usize;
                let last = (viewport.right() / step).ceil().max(0.0) as usize;
                let seen = first.min(self.photos.len())..last.min(self.photos.len());
                for index in seen.clone() {
                    if self.item_ui(ui, place(index), index) {
                        chosen = Some(index);
                    }
                }
                self.in_strip = seen;
            });
        if let Some(index) = chosen.filter(|index| *index != self.current) {
            self.show(index);
        }
    }

    /// One small picture. Returns whether it was clicked.
    fn item_ui(&self, ui: &mut egui::Ui, rect: Rect, index: usize) -> bool {
        let Some(entry) = self.photos.get(index) else {
            return false;
        };
        let response = ui.interact(rect, ui.scope_id().with(index), Sense::click());
        let is_current = index == self.current;
        response.widget_info(|| {
            let name = format!("Photo {}: {}", index + 1, entry.name);
            egui::WidgetInfo::selected(egui::Role::Button, true, is_current, name)
        });
        let colors = theme::colors(ui);
        let painter = ui
            .painter()
            .with_clip_rect(rect.expand(2.0).intersect(ui.clip_rect()));
        painter.rect_filled(rect, theme::RADIUS, colors.raised);
        let middle = |text: &str, color| {
            let font = FontId::proportional(18.0);
            painter.text(rect.center(), Align2::CENTER_CENTER, text, font, color);
        };
        match self.thumbs.get(&index) {
            Some(Some(texture)) => {
                let size = texture.size_vec2();
                let zoom = (rect.size() / size).min_elem();
                let place = Rect::from_center_size(rect.center(), size * zoom);
                let uv = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
                painter.image(texture.id(), place, uv, Color32::WHITE);
            }
            Some(None) => middle(icon::WARNING, colors.warning),
            None => middle(icon::PHOTO, colors.weak),
        }
        let badge = match (&entry.error, &entry.poses) {
            (Some(_), _) => Some((icon::WARNING.to_owned(), colors.warning)),
            (None, Some(poses)) => {
                let star = if poses.unsaved { " •" } else { "" };
                let count = poses.kept().count();
                Some((format!("{} {count}{star}", icon::PERSON), on_photo::TEXT))
            }
            _ => None,
        };
        if let Some((text, color)) = badge {
            let galley = painter.layout_no_wrap(text, FontId::proportional(11.5), color);
            let corner = rect.right_bottom() - vec2(4.0, 3.0) - galley.size();
            let place = Rect::from_min_size(corner, galley.size());
            painter.rect_filled(place.expand2(vec2(4.0, 1.0)), 3.0, on_photo::CHIP);
            painter.galley(corner, galley, color);
        }
        let line = match (is_current, response.hovered()) {
            (true, _) => Some(Stroke::new(2.0, colors.accent)),
            (false, true) => Some(Stroke::new(1.0, colors.weak)),
            _ => None,
        };
        if let Some(line) = line {
            painter.rect_stroke(rect, theme::RADIUS, line, StrokeKind::Inside);
        }
        let tip = match &entry.error {
            Some(why) => format!("{}\n{why}", entry.name),
            None => entry.name.clone(),
        };
        let response = response.on_hover_cursor(egui::CursorIcon::PointingHand);
        response.on_hover_text(tip).clicked()
    }
}
