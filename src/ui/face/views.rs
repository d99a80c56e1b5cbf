//! The mask canvas, which is painted on, and what lies over it. It shares zoom and pan with the result's.

use std::sync::Arc;

use eframe::egui::{
    self, Align2, Color32, CursorIcon, FontId, Rect, Sense, Shape, Stroke, StrokeKind, pos2, vec2,
};

use super::tab::FaceTab;
use super::tools::{self, Painting, Tool, Touch};
use super::work::Work;
use crate::face::mask::fill_to_edges;
use crate::gpu::{self, Layer, MaskLayer, PictureLayer};
use crate::ui::canvas::ImageFromUi;
use crate::ui::keys;
use crate::ui::settings::Settings;
use crate::ui::theme::{self, icon, on_photo};

/// Brushes that look smaller than this get a cross hair, since their ring can hardly be seen.
const SMALL_RING_POINTS: f32 = 5.0;
/// A box smaller than this is a slip of the hand.
const MIN_BOX_PX: f32 = 16.0;
const OUTLINE_PX: f32 = 1.5;

/// A canvas on the screen this frame.
pub(super) struct Place {
    pub rect: Rect,
    pub response: egui::Response,
    pub image_from_ui: ImageFromUi,
}

impl FaceTab {
    /// Both canvases, side by side and equally large.
    pub(super) fn canvases_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        let all = ui.available_rect_before_wrap();
        let half = (all.width() - 1.0) / 2.0;
        let left = Rect::from_min_size(all.min, vec2(half, all.height()));
        let right = Rect::from_min_max(pos2(all.right() - half, all.top()), all.max);
        ui.painter().rect_filled(all, 0.0, theme::colors(ui).canvas);
        let Some(work) = self.work.take() else {
            self.empty_ui(ui, all);
            return;
        };
        // Taken out for the time of drawing, so that its parts and the tab's can be used together.
        let mut work = work;
        let hover = self.mask_canvas_ui(ui, left, &mut work, settings);
        self.result_canvas_ui(ui, right, &work, hover);
        self.work = Some(work);
        let line = Stroke::new(1.0, theme::colors(ui).line);
        ui.painter().vline(all.center().x, all.y_range(), line);
    }

    fn empty_ui(&self, ui: &mut egui::Ui, rect: Rect) {
        let keys = keys::keys_text(ui.ctx(), keys::Action::Open);
        let text = format!("{keys} opens a photo or a project. Nothing leaves this computer.");
        theme::empty_ui(
            ui,
            rect,
            icon::PHOTO,
            "Drop a photo here, or open one",
            &text,
        );
    }

    pub(super) fn place(
        &mut self,
        ui: &mut egui::Ui,
        rect: Rect,
        name: &str,
        size: [usize; 2],
    ) -> Place {
        let response = ui.interact(rect, ui.scope_id().with(name), Sense::click_and_drag());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Canvas, true, name));
        if response.has_focus() {
            let focus = Stroke::new(1.0, theme::colors(ui).accent);
            ui.ctx()
                .layer_painter(ui.layer_id())
                .rect_stroke(rect, 0.0, focus, StrokeKind::Inside);
        }
        self.canvas.navigate(ui, &response, rect, size);
        let image_from_ui = self.canvas.image_from_ui(rect, size);
        Place {
            rect,
            response,
            image_from_ui,
        }
    }

    /// Paints the mask and takes the pointer. Returns where the pointer is in the photo.
    fn mask_canvas_ui(
        &mut self,
        ui: &mut egui::Ui,
        rect: Rect,
        work: &mut Work,
        settings: &mut Settings,
    ) -> Option<[f32; 2]> {
        let place = self.place(ui, rect, "Mask canvas", work.size());
        self.last_place = Some(rect);
        let over = place.response.contains_pointer() && !self.canvas.is_panning();
        if over {
            settings.brush_px = tools::wheel_brush(ui, settings.brush_px);
        }
        let touches = tools::touches(ui, &place.response, place.image_from_ui);
        self.mirror_crop = work.face().map(|face| face.image_from_crop);
        let is_framing = work.faces.as_ref().is_some_and(Vec::is_empty) || self.framing;
        if is_framing {
            self.frame_face(&touches, work);
        } else {
            self.paint(ui, &touches, &place, work, settings);
        }

        let pointer = ui.input(|i| i.pointer.hover_pos()).filter(|_| over);
        let pointer = pointer.map(|pos| place.image_from_ui.apply(pos));
        let mut stack = vec![Layer::Picture(PictureLayer::new(Arc::clone(&work.texture)))];
        if let Some(edit) = work.edit() {
            let brush = pointer.filter(|_| self.tool.has_brush() && !is_framing);
            stack.push(Layer::Mask(Box::new(MaskLayer {
                texture: Arc::clone(&edit.texture),
                colors: if self.mask_hidden {
                    Default::default()
                } else {
                    self.classes.palette()
                },
                opacity: if self.outline_only {
                    0.0
                } else {
                    settings.mask_opacity
                },
                outline_px: if settings.outline || self.outline_only {
                    OUTLINE_PX * ui.pixels_per_point()
                } else {
                    0.0
                },
                active_class: self.classes.active,
                brush: brush.map(|center| (center, settings.brush_px / 2.0)),
                pixels_per_point: ui.pixels_per_point(),
            })));
        }
        self.draw(ui, &place, "mask", stack);
        self.faces_ui(ui, &place, work);
        self.tool_ui(ui, &place, settings);
        if is_framing {
            framing_ui(ui, &place, self.frame_from, pointer);
        }
        if over {
            self.set_cursor(ui, &place, is_framing, settings.brush_px);
        }
        pointer
    }

    /// What the tools draw over the mask.
    fn tool_ui(&self, ui: &egui::Ui, place: &Place, settings: &Settings) {
        let painter = ui.painter().with_clip_rect(place.rect);
        if settings.tools.mirror
            && let Some(axis) = self.mirror_line(place)
        {
            painter.line_segment(axis, Stroke::new(1.0, on_photo::SHADOW));
            let dashes = Shape::dashed_line(&axis, Stroke::new(1.0, on_photo::LINE), 6.0, 6.0);
            painter.extend(dashes);
        }
        if let Some(string) = self.painting.as_ref().and_then(Painting::string) {
            let ends = string.map(|point| place.image_from_ui.invert(point));
            painter.line_segment(ends, Stroke::new(1.25, on_photo::LINE));
        }
        self.outline_ui(&painter, place.image_from_ui);
        self.moving_ui(ui, &painter, place.image_from_ui);
    }

    /// The middle of the face, along its crop.
    fn mirror_line(&self, place: &Place) -> Option<[egui::Pos2; 2]> {
        let crop = self.mirror_crop?;
        let end = |y: f64| {
            let point = crop.apply([0.5, y]).map(|v| v as f32);
            place.image_from_ui.invert(point)
        };
        Some([end(0.0), end(1.0)])
    }

    pub(super) fn draw(
        &self,
        ui: &egui::Ui,
        place: &Place,
        canvas: &'static str,
        stack: Vec<Layer>,
    ) {
        let view = place.image_from_ui.view(ui.pixels_per_point());
        let shape = gpu::paint(&self.gpu, place.rect, canvas, view, stack);
        ui.painter().with_clip_rect(place.rect).add(shape);
    }

    fn set_cursor(&self, ui: &egui::Ui, place: &Place, is_framing: bool, brush_px: f32) {
        if ui.input(|i| i.key_down(egui::Key::Space)) {
            return;
        }
        let ring_points = brush_px / place.image_from_ui.scale;
        let cursor = match self.tool {
            _ if is_framing => CursorIcon::Crosshair,
            Tool::Move => return,
            Tool::Brush | Tool::Eraser if ring_points >= SMALL_RING_POINTS => CursorIcon::None,
            _ => CursorIcon::Crosshair,
        };
        ui.ctx().set_cursor_icon(cursor);
    }

    /// Turns what the pointer did into strokes, fills and picks.
    fn paint(
        &mut self,
        ui: &egui::Ui,
        touches: &[Touch],
        place: &Place,
        work: &mut Work,
        settings: &Settings,
    ) {
        let modifiers = ui.input(|i| i.modifiers);
        let alt = modifiers.alt;
        for touch in touches {
            match *touch {
                Touch::Press(_) if self.canvas.is_panning() => {}
                Touch::Press(point) if !alt && work.other_face_at(point).is_some() => {
                    if let Some(face) = work.other_face_at(point) {
                        self.choose_face(work, face, settings.live);
                    }
                }
                Touch::Press(point) => self.press(point, alt, place, work, settings),
                Touch::Move(point) => {
                    if let (Some(painting), Some(edit)) = (&mut self.painting, work.edit_mut()) {
                        painting.to(edit, &self.gpu, point);
                    }
                    self.outline_move(point, modifiers);
                    self.moving_move(point, modifiers, settings);
                }
                Touch::Release => {
                    self.end_stroke(work, settings.live);
                    self.outline_release(work, settings);
                    self.moving_release(work, settings.live);
                }
            }
        }
    }

    fn press(
        &mut self,
        point: [f32; 2],
        alt: bool,
        place: &Place,
        work: &mut Work,
        settings: &Settings,
    ) {
        let rules = self.rules(work, settings);
        let Some(edit) = work.edit_mut() else {
            return;
        };
        let pixel = tools::pixel_at(&edit.target, point);
        match self.tool {
            _ if alt || self.tool == Tool::Pick => {
                if let Some(class) = pixel.and_then(|(x, y)| edit.target.get(x, y)) {
                    self.classes.activate(*class);
                }
            }
            Tool::Fill => {
                if let Some(pixel) = pixel {
                    self.fill(pixel, work, settings);
                }
            }
            Tool::Move => self.moving_press(point, place.image_from_ui, work, settings),
            tool if tool.is_shape() => {
                self.outline_press(point, place.image_from_ui, work, settings);
            }
            _ => {
                // What is being rendered is out of date from the first dab on.
                self.cancel_render();
                let string_px = settings.tools.steady_points * place.image_from_ui.scale;
                let (class, brush_px) = (self.classes.active, settings.brush_px);
                let tools = &settings.tools;
                let mut painting =
                    Painting::new(self.tool, class, brush_px, string_px, tools, rules);
                painting.to(edit, &self.gpu, point);
                self.painting = Some(painting);
            }
        }
    }

    fn fill(&mut self, pixel: (usize, usize), work: &mut Work, settings: &Settings) {
        let class = self.classes.active;
        let name = format!("Fill {}", self.classes.active_name());
        let photo = Arc::clone(&work.photo);
        let Some(edit) = work.edit_mut() else {
            return;
        };
        let old = edit.target.get(pixel.0, pixel.1).copied();
        if !old.is_some_and(|old| self.classes.guard().allows(old)) {
            self.notice = Some("This part is locked or not the one to paint over".into());
            return;
        }
        let tools = &settings.tools;
        if tools.fill_to_edges && !tools.fill_all {
            let edge = tools.edge;
            self.change_mask(work, name, move |mask| {
                Ok(fill_to_edges(mask, &photo.rgb, pixel, class, edge))
            });
        } else if tools::fill(edit, &self.gpu, pixel, class, tools.fill_all, name) {
            self.mask_changed(work, settings.live);
        }
    }

    pub(super) fn end_stroke(&mut self, work: &mut Work, live: bool) {
        let (Some(painting), Some(edit)) = (self.painting.take(), work.edit_mut()) else {
            return;
        };
        let name = match painting.is_eraser() {
            true => "Erase".to_owned(),
            false => format!("Paint {}", self.classes.active_name()),
        };
        if painting.finish(edit, &self.gpu, name) {
            self.mask_changed(work, live);
        } else {
            self.render_again(work, live);
        }
    }

    /// Lets the user draw the box of a face that was not found.
    fn frame_face(&mut self, touches: &[Touch], work: &mut Work) {
        for touch in touches {
            match *touch {
                Touch::Press(_) if self.canvas.is_panning() => {}
                Touch::Press(point) => self.frame_from = Some((point, point)),
                Touch::Move(point) => {
                    if let Some((_, to)) = &mut self.frame_from {
                        *to = point;
                    }
                }
                Touch::Release => {
                    if let Some((from, to)) = self.frame_from.take()
                        && let Some(frame) = checked_box(from, to, work.size())
                    {
                        self.add_face(work, frame);
                    }
                }
            }
        }
    }

    /// Frames around the faces, when there are several.
    fn faces_ui(&self, ui: &egui::Ui, place: &Place, work: &Work) {
        let faces = work.faces.as_deref().unwrap_or_default();
        if faces.len() < 2 {
            return;
        }
        let painter = ui.painter().with_clip_rect(place.rect);
        for (index, face) in faces
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != work.current)
        {
            let frame = place.image_from_ui.invert_box(face.bbox_in_image);
            let line = Stroke::new(1.5, on_photo::LINE);
            painter.rect_stroke(
                frame,
                theme::RADIUS,
                Stroke::new(3.5, on_photo::SHADOW),
                StrokeKind::Middle,
            );
            painter.rect_stroke(frame, theme::RADIUS, line, StrokeKind::Middle);
            let text = format!("{} Face {}", icon::FACE, index + 1);
            chip_ui(
                &painter,
                frame.left_top() - vec2(0.0, 14.0),
                Align2::LEFT_CENTER,
                &text,
            );
        }
    }
}

/// The corners put in order and cut to the photo; none if the box is too small to be meant.
fn checked_box(from: [f32; 2], to: [f32; 2], size: [usize; 2]) -> Option<[f32; 4]> {
    let [width, height] = size.map(|side| side as f32);
    let [left, right] = [from[0].min(to[0]).max(0.0), from[0].max(to[0]).min(width)];
    let [top, bottom] = [from[1].min(to[1]).max(0.0), from[1].max(to[1]).min(height)];
    let is_large = right - left >= MIN_BOX_PX && bottom - top >= MIN_BOX_PX;
    is_large.then_some([left, top, right, bottom])
}

fn framing_ui(
    ui: &egui::Ui,
    place: &Place,
    frame: Option<([f32; 2], [f32; 2])>,
    pointer: Option<[f32; 2]>,
) {
    let painter = ui.painter().with_clip_rect(place.rect);
    if let Some((from, to)) = frame {
        let corners = [
            place.image_from_ui.invert(from),
            place.image_from_ui.invert(to),
        ];
        let rect = Rect::from_points(&corners);
        painter.rect_stroke(
            rect,
            0.0,
            Stroke::new(3.5, on_photo::SHADOW),
            StrokeKind::Middle,
        );
        painter.rect_stroke(
            rect,
            0.0,
            Stroke::new(1.5, on_photo::LINE),
            StrokeKind::Middle,
        );
    } else if let Some(point) = pointer {
        let pos = place.image_from_ui.invert(point);
        let faint = Stroke::new(1.0, on_photo::SHADOW);
        painter.hline(place.rect.x_range(), pos.y, faint);
        painter.vline(pos.x, place.rect.y_range(), faint);
    }
    let top = pos2(place.rect.center().x, place.rect.top() + 24.0);
    let text = "Drag a box around the face, from brows to chin";
    chip_ui(&painter, top, Align2::CENTER_CENTER, text);
}

/// A short text that can be read on any photo.
pub(super) fn chip_ui(painter: &egui::Painter, anchor: egui::Pos2, align: Align2, text: &str) {
    let font = FontId::proportional(12.5);
    let galley = painter.layout_no_wrap(text.to_owned(), font, on_photo::TEXT);
    let rect = align.anchor_size(anchor, galley.size() + vec2(18.0, 8.0));
    painter.rect_filled(rect, rect.height() / 2.0, on_photo::CHIP);
    painter.galley(rect.center() - galley.size() / 2.0, galley, Color32::WHITE);
}

pub(super) fn split_line_ui(painter: &egui::Painter, rect: Rect, x: f32) {
    let range = rect.y_range();
    painter.vline(x, range, Stroke::new(3.0, on_photo::SHADOW));
    painter.vline(x, range, Stroke::new(1.5, on_photo::LINE));
    // The knob stays whole at both ends.
    let knob = pos2(
        x.clamp(rect.left() + 13.0, rect.right() - 13.0),
        rect.center().y,
    );
    painter.add(Shape::circle_filled(knob, 12.0, on_photo::CHIP));
    painter.circle_stroke(knob, 12.0, Stroke::new(1.5, on_photo::LINE));
    let font = FontId::proportional(14.0);
    painter.text(
        knob,
        Align2::CENTER_CENTER,
        icon::SPLIT,
        font,
        on_photo::TEXT,
    );
    let bottom = rect.bottom() - 24.0;
    if x - rect.left() > 80.0 {
        chip_ui(
            painter,
            pos2(x - 12.0, bottom),
            Align2::RIGHT_CENTER,
            "Before",
        );
    }
    if rect.right() - x > 70.0 {
        chip_ui(
            painter,
            pos2(x.max(rect.left() + 2.0) + 12.0, bottom),
            Align2::LEFT_CENTER,
            "After",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_put_in_order_and_cut_to_the_photo() {
        let size = [300, 200];
        let found = checked_box([250.0, 190.0], [100.0, 20.0], size);
        assert_eq!(found, Some([100.0, 20.0, 250.0, 190.0]));
        let found = checked_box([-50.0, -5.0], [400.0, 400.0], size);
        assert_eq!(found, Some([0.0, 0.0, 300.0, 200.0]));
        assert_eq!(checked_box([10.0, 10.0], [12.0, 150.0], size), None);
        assert_eq!(checked_box([500.0, 10.0], [600.0, 150.0], size), None);
    }
}
