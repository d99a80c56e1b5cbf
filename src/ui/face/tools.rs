//! The painting tools: what a press, a drag and a click on the mask do.

use eframe::egui::{self, Event, PointerButton, Pos2};

use super::work::Edit;
use crate::face::mask::{self, Labels, Rules, Steady, Stroke};
use crate::gpu::Gpu;
use crate::raster::Rect;
use crate::ui::canvas::{ImageFromUi, wheel_notches};
use crate::ui::keys::Action;
use crate::ui::settings::{BRUSH_PX, ToolSettings};
use crate::ui::theme::icon;

/// What the pointer does on the mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Brush,
    /// Brings back the mask as it was parsed.
    Eraser,
    Fill,
    /// Makes the part under the pointer the one that is painted.
    Pick,
    Polygon,
    Lasso,
    Rectangle,
    Ellipse,
    /// Moves, scales, turns and bends a part.
    Move,
}

impl Tool {
    /// Every tool: its icon, its name, its action.
    pub const ALL: [(Self, &str, &str, Action); 9] = [
        (Self::Brush, icon::BRUSH, "Brush", Action::Brush),
        (Self::Eraser, icon::ERASER, "Eraser", Action::Eraser),
        (Self::Fill, icon::FILL, "Fill", Action::Fill),
        (Self::Pick, icon::PICK, "Pick a part", Action::Pick),
        (Self::Move, icon::MOVE, "Move a part", Action::Move),
        (Self::Polygon, icon::POLYGON, "Polygon", Action::Polygon),
        (Self::Lasso, icon::LASSO, "Lasso", Action::Lasso),
        (
            Self::Rectangle,
            icon::RECTANGLE,
            "Rectangle",
            Action::Rectangle,
        ),
        (Self::Ellipse, icon::ELLIPSE, "Ellipse", Action::Ellipse),
    ];

    /// Whether it paints with the brush.
    pub fn has_brush(self) -> bool {
        matches!(self, Self::Brush | Self::Eraser)
    }

    /// Whether it draws an outline that is filled in the end.
    pub fn is_shape(self) -> bool {
        matches!(
            self,
            Self::Polygon | Self::Lasso | Self::Rectangle | Self::Ellipse
        )
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(tool, ..)| *tool == self);
        found.map_or("", |(_, _, name, _)| name)
    }

    /// The tool that an action chooses.
    pub fn of(action: Action) -> Option<Self> {
        let found = Self::ALL.iter().find(|(.., of)| *of == action);
        found.map(|(tool, ..)| *tool)
    }
}

/// A stroke that is being painted.
pub struct Painting {
    stroke: Stroke,
    steady: Steady,
    pointer: Option<[f32; 2]>,
    is_eraser: bool,
}

impl Painting {
    /// `brush_px` is the brush's width and `string_px` the length of the stabiliser's string, in photo pixels.
    pub fn new(
        tool: Tool,
        class: u8,
        brush_px: f32,
        string_px: f32,
        settings: &ToolSettings,
        rules: Rules,
    ) -> Self {
        Self {
            stroke: Stroke::new(class, brush_px / 2.0).with(settings.tip, rules),
            steady: Steady::new(string_px),
            pointer: None,
            is_eraser: tool == Tool::Eraser,
        }
    }

    /// Whether this is the eraser's.
    pub fn is_eraser(&self) -> bool {
        self.is_eraser
    }

    /// The string of the stabiliser, from the brush to the pointer.
    pub fn string(&self) -> Option<[[f32; 2]; 2]> {
        let (brush, pointer) = (self.steady.at()?, self.pointer?);
        (brush != pointer).then_some([brush, pointer])
    }

    /// The pointer has moved: paints on and shows it.
    pub fn to(&mut self, edit: &mut Edit, gpu: &Gpu, point_in_image: [f32; 2]) {
        self.pointer = Some(point_in_image);
        if let Some(point) = self.steady.follow(point_in_image) {
            self.paint_to(edit, gpu, point);
        }
    }

    fn paint_to(&mut self, edit: &mut Edit, gpu: &Gpu, point_in_image: [f32; 2]) {
        let rect = if self.is_eraser {
            self.stroke
                .restore_to(&mut edit.target, &edit.source, point_in_image)
        } else {
            self.stroke.to(&mut edit.target, point_in_image)
        };
        edit.show(gpu, rect);
    }

    /// Ends the stroke where the pointer is. Returns whether it changed anything.
    pub fn finish(mut self, edit: &mut Edit, gpu: &Gpu, name: String) -> bool {
        if let Some([_, pointer]) = self.string() {
            self.paint_to(edit, gpu, pointer);
        }
        let before = self.stroke.finish(&edit.target);
        let changed = before.is_some();
        before
            .into_iter()
            .for_each(|before| edit.commit(&before, name.clone()));
        changed
    }

    /// Takes the stroke back.
    pub fn abandon(self, edit: &mut Edit, gpu: &Gpu) {
        let rect: Rect = self.stroke.abandon(&mut edit.target);
        edit.show(gpu, rect);
    }
}

/// The pixel that a point of the photo lies in.
pub fn pixel_at(labels: &Labels, [x, y]: [f32; 2]) -> Option<(usize, usize)> {
    let inside = x >= 0.0 && y >= 0.0 && x < labels.width as f32 && y < labels.height as f32;
    inside.then_some((x as usize, y as usize))
}

/// Fills the area at a pixel, or the class everywhere. Returns whether that changed anything.
pub fn fill(
    edit: &mut Edit,
    gpu: &Gpu,
    (x, y): (usize, usize),
    class: u8,
    everywhere: bool,
    name: String,
) -> bool {
    let before = match (everywhere, edit.target.get(x, y).copied()) {
        (true, Some(old)) => mask::replace_class(&mut edit.target, old, class),
        _ => mask::fill(&mut edit.target, x, y, class),
    };
    let Some(before) = before else {
        return false;
    };
    edit.show(gpu, before.rect);
    edit.commit(&before, name);
    true
}

/// One thing the primary button did on the canvas, in the order it happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Touch {
    Press([f32; 2]),
    Move([f32; 2]),
    Release,
}

/// Everything the primary button did since the last frame: every position, so that a fast stroke keeps its shape. Where
/// the pointer is by now says nothing of where it was pressed: a frame may be slow.
pub fn touches(ui: &egui::Ui, response: &egui::Response, image_from_ui: ImageFromUi) -> Vec<Touch> {
    let is_on_top = |pos: Pos2| ui.ctx().layer_id_at(pos) == Some(response.layer_id);
    let inside = |pos: Pos2| response.rect.contains(pos) && is_on_top(pos);
    let touch = |event: Event| match event {
        Event::PointerButton {
            pos,
            button: PointerButton::Primary,
            pressed,
            ..
        } => match pressed {
            true => inside(pos).then(|| Touch::Press(image_from_ui.apply(pos))),
            false => Some(Touch::Release),
        },
        Event::PointerMoved(pos) => Some(Touch::Move(image_from_ui.apply(pos))),
        Event::PointerGone => Some(Touch::Release),
        _ => None,
    };
    let events = ui.input(|input| input.events.clone());
    events.into_iter().filter_map(touch).collect()
}

/// The brush after the wheel was turned with Ctrl or Alt held.
pub fn wheel_brush(ui: &egui::Ui, brush_px: f32) -> f32 {
    let notches: f32 = ui.input(|input| {
        let events = input.events.iter();
        events
            .filter_map(|event| wheel_notches(event, |m| m.command || m.alt))
            .sum()
    });
    scaled_brush(brush_px, notches)
}

/// The brush, `steps` sizes larger or smaller: an eighth each, at least one pixel.
pub fn scaled_brush(brush_px: f32, steps: f32) -> f32 {
    if steps == 0.0 {
        return brush_px;
    }
    let scaled = brush_px * 1.125_f32.powf(steps);
    let stepped = if steps > 0.0 {
        scaled.max(brush_px + 1.0)
    } else {
        scaled.min(brush_px - 1.0)
    };
    stepped.round().clamp(*BRUSH_PX.start(), *BRUSH_PX.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brush_reaches_both_ends_and_comes_back() {
        let mut brush = 24.0;
        for _ in 0..60 {
            brush = scaled_brush(brush, 1.0);
        }
        assert_eq!(brush, 300.0);
        for _ in 0..120 {
            brush = scaled_brush(brush, -1.0);
        }
        assert_eq!(brush, 1.0);
        assert_eq!(scaled_brush(brush, 1.0), 2.0);
        assert_eq!(scaled_brush(31.5, 0.0), 31.5);
    }

    #[test]
    fn points_outside_have_no_pixel() {
        let labels = Labels::new(10, 5, 0);
        assert_eq!(pixel_at(&labels, [9.9, 0.0]), Some((9, 0)));
        assert_eq!(pixel_at(&labels, [10.0, 0.0]), None);
        assert_eq!(pixel_at(&labels, [-0.1, 2.0]), None);
        assert_eq!(pixel_at(&labels, [f32::NAN, 2.0]), None);
    }

    #[test]
    fn every_tool_has_an_action_of_its_own() {
        for (tool, _, name, action) in Tool::ALL {
            assert_eq!(Tool::of(action), Some(tool));
            assert_eq!(tool.name(), name);
        }
    }
}
