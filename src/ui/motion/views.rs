//! The canvas: walkers over the picture, and what the pointer does to them.

use eframe::egui::{self, Align2, CursorIcon, FontId, Pos2, Rect, Sense, vec2};

use super::tab::{Job, MotionTab, Tool};
use super::work::{Id, Work, bent, past_along};
use crate::gpu;
use crate::motion::{DT_SECS, OBS_LEN, Past, Point};
use crate::ui::canvas::ImageFromUi;
use crate::ui::keys::{self, Action};
use crate::ui::settings::Settings;
use crate::ui::theme::{self, icon, on_photo};

/// How near to a walker or a handle the pointer must be.
const REACH_POINTS: f32 = 13.0;
/// Speed of a drawn walker whose stroke is long enough.
const DRAWN_SPEED: f64 = 1.3;

/// What the pointer holds.
pub enum Grab {
    /// A point of a past.
    Past {
        id: Id,
        index: usize,
        from: Point,
        past: Past,
    },
    /// A stroke that becomes a walker.
    Stroke { id: Id, points: Vec<Point> },
}

/// What lies under the pointer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Under {
    Handle(Id, usize),
    Walker(Id),
}

impl MotionTab {
    pub(super) fn canvas_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        let rect = ui.available_rect_before_wrap();
        ui.painter()
            .rect_filled(rect, 0.0, theme::colors(ui).canvas);
        let Some(mut work) = self.work.take() else {
            self.empty_ui(ui, rect);
            return;
        };
        let response = ui.interact(rect, ui.scope_id().with("walkers"), Sense::click_and_drag());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Canvas, true, "Walkers"));
        // Space plays here; the middle button and dragging the ground move the picture.
        self.canvas.navigate(ui, &response, rect, work.size);
        let way = self.canvas.image_from_ui(rect, work.size);
        self.last_place = Some(rect);
        self.take_pointer(ui, &response, way, rect, &mut work);
        let stack = self.stack(&work, &settings.motion, ui.pixels_per_point());
        let view = way.view(ui.pixels_per_point());
        let shape = gpu::paint(&self.gpu, rect, "motion", view, stack);
        ui.painter().with_clip_rect(rect).add(shape);
        self.words_ui(ui, rect, &work);
        self.work = Some(work);
    }

    fn empty_ui(&self, ui: &egui::Ui, rect: Rect) {
        if self.jobs.is_busy(Job::Open) {
            theme::empty_ui(ui, rect, icon::WALK, "Preparing the recording…", "");
            return;
        }
        let heading = "Drop tracks here, with their picture if you have it";
        let keys = keys::keys_text(ui.ctx(), Action::Open);
        let text = format!(
            "Text or CSV with frame, walker, x and y; {keys} opens them. Or choose a scene above: it \
             brings walkers of its own."
        );
        theme::empty_ui(ui, rect, icon::WALK, heading, &text);
    }

    /// What is under the pointer: a handle of the walker in focus, else the nearest walker.
    fn under(&self, work: &Work, way: ImageFromUi, pointer: Pos2) -> Option<Under> {
        let place = |world: Point| way.invert(work.scene.to_pixel(world).map(|v| v as f32));
        let near = |world: Point| place(world).distance(pointer);
        let frame = work.frame();
        let shown = work.shown(frame);
        if let Some(walker) = shown.iter().find(|w| work.focus == Some(w.id)) {
            let handles = walker.past.iter().enumerate();
            let nearest = handles
                .map(|(i, p)| (near(*p), i))
                .min_by(|a, b| a.0.total_cmp(&b.0));
            if let Some((distance, index)) = nearest
                && distance < REACH_POINTS
                && !work.is_playing
            {
                return Some(Under::Handle(walker.id, index));
            }
        }
        let now = work.positions().into_iter();
        let changed = shown
            .iter()
            .filter(|w| w.truth.is_none())
            .map(|w| (w.id, w.past[OBS_LEN - 1]));
        now.chain(changed)
            .map(|(id, at)| (near(at), id))
            .filter(|(distance, _)| *distance < REACH_POINTS)
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, id)| Under::Walker(id))
    }

    fn take_pointer(
        &mut self,
        ui: &egui::Ui,
        response: &egui::Response,
        way: ImageFromUi,
        rect: Rect,
        work: &mut Work,
    ) {
        let pointer = response.interact_pointer_pos().or(response.hover_pos());
        let under = pointer.and_then(|pointer| self.under(work, way, pointer));
        let world_at = |pos: Pos2| work.scene.to_world(way.apply(pos).map(f64::from));
        let primary = egui::PointerButton::Primary;
        if response.drag_started_by(primary) && !self.canvas.is_panning() {
            let origin = ui.input(|i| i.pointer.press_origin());
            if let Some(origin) = origin {
                let from = world_at(origin);
                let under = self.under(work, way, origin);
                self.begin_drag(work, under, from);
            }
        }
        if response.dragged_by(primary) && !self.canvas.is_panning() {
            match (&mut self.grab, pointer) {
                (Some(grab), Some(pos)) => drag(
                    grab,
                    work,
                    work.scene.to_world(way.apply(pos).map(f64::from)),
                ),
                _ => self.canvas.pan(rect, work.size, response.drag_delta()),
            }
        }
        if response.drag_stopped() {
            let is_dot = |points: &Vec<Point>| past_along(points, 1.0).is_none();
            if matches!(&self.grab, Some(Grab::Stroke { points, .. }) if is_dot(points)) {
                work.abandon_edit();
            }
            self.grab = None;
        }
        if response.clicked() && self.tool == Tool::Select {
            work.focus = match under {
                Some(Under::Walker(id) | Under::Handle(id, _)) if work.focus != Some(id) => {
                    Some(id)
                }
                Some(Under::Handle(id, _)) => Some(id),
                _ => None,
            };
        }
        if response.hovered() && !self.canvas.is_panning() {
            let cursor = match (self.tool, under) {
                _ if self.grab.is_some() => CursorIcon::Grabbing,
                (Tool::Draw, _) => CursorIcon::Crosshair,
                (_, Some(Under::Handle(..))) => CursorIcon::Grab,
                (_, Some(Under::Walker(_))) => CursorIcon::PointingHand,
                _ => CursorIcon::Default,
            };
            ui.ctx().set_cursor_icon(cursor);
        }
    }

    fn begin_drag(&mut self, work: &mut Work, under: Option<Under>, from: Point) {
        if self.tool == Tool::Draw {
            work.go(0);
            work.begin_edit();
            let id = work.new_drawn();
            work.focus = Some(id);
            self.grab = Some(Grab::Stroke {
                id,
                points: vec![from],
            });
            return;
        }
        let (id, index) = match under {
            Some(Under::Handle(id, index)) => (id, index),
            Some(Under::Walker(id)) => (id, OBS_LEN - 1),
            None => return,
        };
        work.go(0);
        let shown = work.shown(work.frame());
        if let Some(walker) = shown.iter().find(|w| w.id == id) {
            work.focus = Some(id);
            work.begin_edit();
            let past = walker.past;
            self.grab = Some(Grab::Past {
                id,
                index,
                from,
                past,
            });
        }
    }

    /// Words over the picture: what is in focus, and why nothing is predicted.
    fn words_ui(&self, ui: &egui::Ui, rect: Rect, work: &Work) {
        let painter = ui.painter().with_clip_rect(rect);
        let chip = |at: Pos2, align: Align2, text: &str| {
            let font = FontId::proportional(12.5);
            let galley = painter.layout_no_wrap(text.to_owned(), font, on_photo::TEXT);
            let place = align.anchor_size(at, galley.size());
            painter.rect_filled(place.expand2(vec2(8.0, 4.0)), theme::RADIUS, on_photo::CHIP);
            painter.galley(place.min, galley, on_photo::TEXT);
        };
        let bottom = rect.center_bottom() - vec2(0.0, 22.0);
        if self.model_error.is_some() {
            chip(
                bottom,
                Align2::CENTER_CENTER,
                "No weights: nothing is predicted",
            );
        } else if self.tool == Tool::Draw && self.grab.is_none() {
            chip(
                bottom,
                Align2::CENTER_CENTER,
                "Drag to draw how somebody has walked",
            );
        } else if work.focus.is_some() && !work.is_playing && self.grab.is_none() {
            chip(
                bottom,
                Align2::CENTER_CENTER,
                "Drag a point of the past to change it · Esc lets go",
            );
        }
    }
}

/// Moves what is held to a point of the ground.
fn drag(grab: &mut Grab, work: &mut Work, to: Point) {
    if !to.iter().all(|v| v.is_finite()) {
        return;
    }
    let frame = work.frame();
    match grab {
        Grab::Past {
            id,
            index,
            from,
            past,
        } => {
            let delta = [to[0] - from[0], to[1] - from[1]];
            work.set_past(frame, *id, bent(past, *index, delta));
        }
        Grab::Stroke { id, points } => {
            if points.last() != Some(&to) {
                points.push(to);
            }
            let step = DRAWN_SPEED * DT_SECS / work.metres_a_unit;
            if let Some(past) = past_along(points, step) {
                work.set_past(frame, *id, past);
            }
        }
    }
}
