//! Shapes drawn as an outline and filled in the end: polygon, lasso, rectangle, ellipse.
//!
//! The polygon grows click by click until Enter, a click on its first point or a second click in place; the others
//! are one drag. Escape gives them up.

use eframe::egui::{self, Modifiers, Shape, Stroke};

use super::tab::FaceTab;
use super::tools::Tool;
use super::work::Work;
use crate::face::mask::{ellipse, paint_polygon, rectangle};
use crate::ui::canvas::ImageFromUi;
use crate::ui::settings::Settings;
use crate::ui::theme::on_photo;

/// How near to the polygon's first point a click closes it.
const CLOSE_POINTS: f32 = 8.0;
/// Points of the lasso lie at least this far apart, in photo pixels.
const LASSO_STEP_PX: f32 = 0.75;

/// A shape that is being drawn.
pub struct Outline {
    tool: Tool,
    /// In photo pixels; of a rectangle and an ellipse two opposite corners.
    points: Vec<[f32; 2]>,
    hover: [f32; 2],
}

fn distance([ax, ay]: [f32; 2], [bx, by]: [f32; 2]) -> f32 {
    (ax - bx).hypot(ay - by)
}

impl Outline {
    fn new(tool: Tool, point: [f32; 2]) -> Self {
        Self {
            tool,
            points: vec![point],
            hover: point,
        }
    }

    /// Whether it is drawn by clicks.
    fn is_polygon(&self) -> bool {
        self.tool == Tool::Polygon
    }

    /// The pointer has moved. `is_regular` makes squares and circles.
    fn moved(&mut self, point: [f32; 2], is_regular: bool) {
        self.hover = point;
        match self.tool {
            Tool::Lasso => {
                let last = self.points.last().copied().unwrap_or(point);
                if distance(last, point) >= LASSO_STEP_PX {
                    self.points.push(point);
                }
            }
            Tool::Rectangle | Tool::Ellipse => {
                let from = self.points.first().copied().unwrap_or(point);
                let (mut dx, mut dy) = (point[0] - from[0], point[1] - from[1]);
                if is_regular {
                    let side = dx.abs().max(dy.abs());
                    (dx, dy) = (side.copysign(dx), side.copysign(dy));
                }
                self.points.truncate(1);
                self.points.push([from[0] + dx, from[1] + dy]);
            }
            _ => {}
        }
    }

    /// A click of the polygon. Returns whether it is closed by it.
    fn click(&mut self, point: [f32; 2], near_px: f32) -> bool {
        let first = self.points.first().copied().unwrap_or(point);
        let last = self.points.last().copied().unwrap_or(point);
        let is_enough = self.points.len() >= 3;
        if is_enough && (distance(first, point) <= near_px || distance(last, point) < 1.0) {
            return true;
        }
        self.points.push(point);
        false
    }

    /// Takes the polygon's last point back. Returns whether there is any left.
    fn pop(&mut self) -> bool {
        self.points.pop();
        !self.points.is_empty()
    }

    /// What will be filled.
    fn corners(&self) -> Vec<[f32; 2]> {
        match (self.tool, self.points.as_slice()) {
            (Tool::Rectangle, &[a, b]) => rectangle([a[0], a[1], b[0], b[1]]),
            (Tool::Ellipse, &[a, b]) => ellipse([a[0], a[1], b[0], b[1]]),
            (Tool::Polygon | Tool::Lasso, points) => points.to_vec(),
            _ => Vec::new(),
        }
    }
}

impl FaceTab {
    pub(super) fn outline_press(
        &mut self,
        point: [f32; 2],
        image_from_ui: ImageFromUi,
        work: &mut Work,
        settings: &Settings,
    ) {
        match &mut self.outline {
            Some(outline) if outline.is_polygon() => {
                if outline.click(point, CLOSE_POINTS * image_from_ui.scale) {
                    self.finish_outline(work, settings);
                }
            }
            _ => self.outline = Some(Outline::new(self.tool, point)),
        }
    }

    pub(super) fn outline_move(&mut self, point: [f32; 2], modifiers: Modifiers) {
        if let Some(outline) = &mut self.outline {
            outline.moved(point, modifiers.shift);
        }
    }

    pub(super) fn outline_release(&mut self, work: &mut Work, settings: &Settings) {
        if self.outline.as_ref().is_some_and(|o| !o.is_polygon()) {
            self.finish_outline(work, settings);
        }
    }

    /// Fills the shape that was drawn.
    pub(super) fn finish_outline(&mut self, work: &mut Work, settings: &Settings) {
        let Some(outline) = self.outline.take() else {
            return;
        };
        let rules = self.rules(work, settings);
        let name = format!("{} {}", outline.tool.name(), self.classes.active_name());
        let class = self.classes.active;
        let Some(edit) = work.edit_mut() else {
            return;
        };
        if let Some(before) = paint_polygon(&mut edit.target, &outline.corners(), class, rules) {
            edit.show(&self.gpu, before.rect);
            edit.commit(&before, name);
            self.mask_changed(work, settings.live);
        }
    }

    /// Takes the polygon's last point back.
    pub(super) fn remove_outline_point(&mut self) {
        if self.outline.as_mut().is_some_and(|o| !o.pop()) {
            self.outline = None;
        }
    }

    /// Draws the shape over the mask.
    pub(super) fn outline_ui(&self, painter: &egui::Painter, image_from_ui: ImageFromUi) {
        let Some(outline) = &self.outline else {
            return;
        };
        let mut corners = outline.corners();
        if outline.is_polygon() {
            corners.push(outline.hover);
        }
        let points: Vec<_> = corners.iter().map(|p| image_from_ui.invert(*p)).collect();
        painter.add(Shape::closed_line(
            points.clone(),
            Stroke::new(3.0, on_photo::SHADOW),
        ));
        painter.add(Shape::closed_line(
            points.clone(),
            Stroke::new(1.25, on_photo::LINE),
        ));
        if outline.is_polygon() {
            for (index, point) in points.iter().enumerate().take(outline.points.len()) {
                let radius = if index == 0 { 4.5 } else { 3.0 };
                painter.circle_filled(*point, radius, on_photo::LINE);
                painter.circle_stroke(*point, radius, Stroke::new(1.0, on_photo::SHADOW));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polygon_closes_on_its_first_point_and_points_can_be_taken_back() {
        let mut outline = Outline::new(Tool::Polygon, [10.0, 10.0]);
        assert!(!outline.click([11.0, 10.0], 5.0), "too few points to close");
        assert!(!outline.click([50.0, 10.0], 5.0));
        assert!(outline.pop());
        assert!(!outline.click([50.0, 40.0], 5.0));
        assert!(outline.click([12.0, 12.0], 5.0));
        assert_eq!(
            outline.corners(),
            [[10.0, 10.0], [11.0, 10.0], [50.0, 40.0]]
        );
    }

    #[test]
    fn shift_makes_squares() {
        let mut outline = Outline::new(Tool::Rectangle, [50.0, 50.0]);
        outline.moved([20.0, 60.0], false);
        assert_eq!(outline.corners()[2], [20.0, 60.0]);
        outline.moved([20.0, 60.0], true);
        assert_eq!(outline.corners()[2], [20.0, 80.0]);
    }
}
