//! The result canvas: before and after with a line between, side by side, or as a heat map of what differs.

use std::sync::Arc;

use eframe::egui::{self, Align2, CursorIcon, Rect, Shape, Stroke, pos2, vec2};

use super::tab::FaceTab;
use super::views::{Place, chip_ui, split_line_ui};
use super::work::Work;
use crate::gpu::{Layer, PictureLayer};
use crate::ui::keys::{self, Action};
use crate::ui::theme::{icon, on_photo};

/// How near to the before/after line it can be grabbed.
const GRAB_POINTS: f32 = 9.0;

/// How the result is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResultView {
    #[default]
    Slider,
    SideBySide,
    Difference,
}

impl ResultView {
    /// Each with its icon and its name.
    pub const ALL: [(Self, &str, &str); 3] = [
        (Self::Slider, icon::COMPARE, "Before and after"),
        (Self::SideBySide, icon::COLUMNS, "Side by side"),
        (Self::Difference, icon::HEAT, "Difference"),
    ];

    /// The one after it.
    pub fn next(self) -> Self {
        match self {
            Self::Slider => Self::SideBySide,
            Self::SideBySide => Self::Difference,
            Self::Difference => Self::Slider,
        }
    }
}

impl FaceTab {
    /// Buttons for how the result is shown.
    pub(super) fn result_header_ui(&mut self, ui: &mut egui::Ui) {
        ui.spacing_mut().item_spacing.x = 2.0;
        let keys = keys::keys_text(ui.ctx(), Action::NextView);
        for (view, icon, name) in ResultView::ALL {
            let tip = format!("{name} ({keys} for the next view)");
            if super::options::toggle_ui(ui, self.result_view == view, icon, name, &tip) {
                self.result_view = view;
            }
        }
        let tip = keys::tip(ui.ctx(), Action::ToggleRegion);
        let is_on = self.is_region_shown;
        if super::options::toggle_ui(ui, is_on, icon::REGION, "Edited region", &tip) {
            self.is_region_shown = !is_on;
        }
    }

    /// The photo with the edits, in one of three ways.
    pub(super) fn result_canvas_ui(
        &mut self,
        ui: &mut egui::Ui,
        rect: Rect,
        work: &Work,
        pointer: Option<[f32; 2]>,
    ) {
        self.hints.result_place = Some(rect);
        let has_result = work.edits().any(|(_, edit)| edit.result.is_some());
        match self.result_view {
            ResultView::SideBySide if has_result => self.side_by_side_ui(ui, rect, work, pointer),
            _ => self.single_ui(ui, rect, work, pointer, has_result),
        }
    }

    fn before_stack(&self, work: &Work, until_px: f32) -> Vec<Layer> {
        let mut stack = vec![Layer::Picture(PictureLayer::new(Arc::clone(&work.texture)))];
        for before in work.edits().filter_map(|(_, edit)| edit.before_result()) {
            let mut layer = PictureLayer::new(Arc::clone(&before.texture));
            layer.span_px[1] = until_px;
            stack.push(Layer::Picture(layer));
        }
        stack
    }

    fn add_results(&self, stack: &mut Vec<Layer>, work: &Work, from_px: f32) {
        for result in work.edits().filter_map(|(_, edit)| edit.result.as_ref()) {
            let heat = result.heat.as_ref();
            let heat = heat.filter(|_| self.result_view == ResultView::Difference);
            let mut layer = PictureLayer::new(Arc::clone(heat.unwrap_or(&result.texture)));
            layer.span_px[0] = from_px;
            stack.push(Layer::Picture(layer));
        }
    }

    fn side_by_side_ui(
        &mut self,
        ui: &mut egui::Ui,
        rect: Rect,
        work: &Work,
        pointer: Option<[f32; 2]>,
    ) {
        let half = vec2((rect.width() - 1.0) / 2.0, rect.height());
        let left = Rect::from_min_size(rect.min, half);
        let right = Rect::from_min_max(pos2(rect.right() - half.x, rect.top()), rect.max);
        let size = work.size();
        let before = self.place(ui, left, "Before canvas", size);
        let after = self.place(ui, right, "Result canvas", size);
        self.drag_result(ui, &before, size, None);
        self.drag_result(ui, &after, size, None);
        self.draw(ui, &before, "before", self.before_stack(work, f32::MAX));
        let mut stack = self.before_stack(work, f32::MIN);
        self.add_results(&mut stack, work, f32::MIN);
        self.draw(ui, &after, "result", stack);
        for (place, text) in [(&before, "Before"), (&after, "After")] {
            let painter = ui.painter().with_clip_rect(place.rect);
            let bottom = pos2(place.rect.center().x, rect.bottom() - 24.0);
            chip_ui(&painter, bottom, Align2::CENTER_CENTER, text);
            pointer_ui(&painter, place, pointer);
            self.region_ui(&painter, place, work);
        }
    }

    fn single_ui(
        &mut self,
        ui: &mut egui::Ui,
        rect: Rect,
        work: &Work,
        pointer: Option<[f32; 2]>,
        has_result: bool,
    ) {
        let place = self.place(ui, rect, "Result canvas", work.size());
        let is_split = has_result && self.result_view == ResultView::Slider;
        let line_x = rect.left() + self.split * rect.width();
        self.drag_result(ui, &place, work.size(), is_split.then_some(line_x));
        let line_x = match is_split {
            true => rect.left() + self.split * rect.width(),
            false => rect.left(),
        };
        let line_px = line_x * ui.pixels_per_point();
        let is_comparing = self.is_comparing(ui);
        self.hints.was_compared |= has_result && is_comparing;
        let mut stack = self.before_stack(work, if is_comparing { f32::MAX } else { line_px });
        if !is_comparing {
            self.add_results(&mut stack, work, line_px);
        }
        self.draw(ui, &place, "result", stack);

        let painter = ui.painter().with_clip_rect(rect);
        if !has_result {
            let text = self.waiting_text(work);
            let bottom = pos2(rect.center().x, rect.bottom() - 24.0);
            chip_ui(&painter, bottom, Align2::CENTER_CENTER, text);
            return;
        }
        if is_comparing {
            let top = pos2(rect.center().x, rect.top() + 20.0);
            chip_ui(&painter, top, Align2::CENTER_CENTER, "Before");
        } else if is_split {
            split_line_ui(&painter, rect, line_x);
        } else {
            let bottom = pos2(rect.center().x, rect.bottom() - 24.0);
            let text = "Difference: red a little, white a lot";
            chip_ui(&painter, bottom, Align2::CENTER_CENTER, text);
        }
        self.region_ui(&painter, &place, work);
        pointer_ui(&painter, &place, pointer);
    }

    /// A frame around what was rendered anew.
    fn region_ui(&self, painter: &egui::Painter, place: &Place, work: &Work) {
        if !self.is_region_shown {
            return;
        }
        for result in work.edits().filter_map(|(_, edit)| edit.result.as_ref()) {
            let rect = result.patch.rect;
            let edges = [rect.x, rect.y, rect.right(), rect.bottom()].map(|v| v as f32);
            let frame = place.image_from_ui.invert_box(edges);
            let corners = [
                frame.left_top(),
                frame.right_top(),
                frame.right_bottom(),
                frame.left_bottom(),
                frame.left_top(),
            ];
            painter.add(Shape::line(
                corners.to_vec(),
                Stroke::new(3.0, on_photo::SHADOW),
            ));
            let line = Stroke::new(1.25, on_photo::LINE);
            painter.extend(Shape::dashed_line(&corners, line, 5.0, 4.0));
        }
    }

    /// Dragging moves the before/after line where it is grabbed, and the photo elsewhere.
    fn drag_result(&mut self, ui: &egui::Ui, place: &Place, size: [usize; 2], line_x: Option<f32>) {
        let response = &place.response;
        let is_near = |x: f32| line_x.is_some_and(|line_x| (x - line_x).abs() <= GRAB_POINTS);
        if response.drag_started_by(egui::PointerButton::Primary) {
            let origin = ui.input(|i| i.pointer.press_origin());
            self.split_grabbed = origin.is_some_and(|origin| is_near(origin.x));
        }
        let pos = response.interact_pointer_pos().or(response.hover_pos());
        if !response.dragged_by(egui::PointerButton::Primary) {
            if line_x.is_some() {
                self.split_grabbed = false;
            }
        } else if self.split_grabbed {
            let x = pos.map_or(0.0, |pos| pos.x - place.rect.left());
            self.split = (x / place.rect.width()).clamp(0.0, 1.0);
        } else if !self.canvas.is_panning() {
            self.canvas.pan(place.rect, size, response.drag_delta());
        }
        if line_x.is_some() && (self.split_grabbed || pos.is_some_and(|pos| is_near(pos.x))) {
            ui.ctx().set_cursor_icon(CursorIcon::ResizeHorizontal);
        }
    }

    fn is_comparing(&self, ui: &egui::Ui) -> bool {
        let held = ui.input(|i| i.key_down(keys::COMPARE) && !i.modifiers.any());
        held && !ui.ctx().text_edit_focused()
    }
}

/// Where the pointer is on the mask.
fn pointer_ui(painter: &egui::Painter, place: &Place, pointer: Option<[f32; 2]>) {
    if let Some(point) = pointer {
        let center = place.image_from_ui.invert(point);
        painter.circle_stroke(center, 4.0, Stroke::new(3.0, on_photo::SHADOW));
        painter.circle_stroke(center, 4.0, Stroke::new(1.25, on_photo::LINE));
    }
}
