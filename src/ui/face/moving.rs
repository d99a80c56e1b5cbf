//! Moving, scaling, turning and bending a part with handles.
//!
//! A press on a part lifts it; handles then change its [`Placement`], and a job works out the labels. What is seen is
//! a preview on the mask itself; the whole stay at the handles is one step of the history, noted when it ends.

use std::sync::Arc;

use eframe::egui::{self, CursorIcon, Modifiers, Pos2, Shape, Stroke, Vec2, pos2};

use super::steps::{self, Lifted, Placed};
use super::tab::{FaceTab, Job};
use super::tools::{Tool, pixel_at};
use super::work::{Edit, Work};
use crate::face::labels::{self, id};
use crate::face::mask::{Part, Patch, Placement};
use crate::gpu::Gpu;
use crate::raster::Rect;
use crate::ui::canvas::ImageFromUi;
use crate::ui::settings::Settings;
use crate::ui::theme::on_photo;

/// How near to a handle it can be grabbed.
const GRIP_POINTS: f32 = 9.0;
/// How far above the box the turning handle is.
const KNOB_POINTS: f32 = 24.0;
const MIN_SCALE: f32 = 0.05;

/// A part at its handles.
pub struct Moving {
    session: u64,
    part: Arc<Part>,
    classes: Vec<u8>,
    name: String,
    placement: Placement,
    /// What the preview lies over; none while the mask is as it was.
    before: Option<Patch>,
    drag: Option<Drag>,
    /// The pointer presses since before the part was lifted.
    is_pressed: bool,
    /// Ends as soon as the last placement has arrived.
    is_ending: bool,
}

struct Drag {
    grip: Grip,
    from: [f32; 2],
    start: Placement,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Grip {
    Inside,
    /// A corner or the middle of a side: −1, 0 or 1 for each axis.
    Side([f32; 2]),
    Turn,
    /// Row and column of the net.
    Bend(usize, usize),
}

/// The point between the handles in photo pixels.
fn center(rect: Rect, placement: &Placement) -> [f32; 2] {
    [
        rect.x as f32 + rect.width as f32 / 2.0 + placement.shift_px[0],
        rect.y as f32 + rect.height as f32 / 2.0 + placement.shift_px[1],
    ]
}

/// `point` seen from the middle of the part, upright.
fn local(rect: Rect, placement: &Placement, point: [f32; 2]) -> [f32; 2] {
    let [cx, cy] = center(rect, placement);
    let (dx, dy) = (point[0] - cx, point[1] - cy);
    let (sin, cos) = placement.angle_rad.sin_cos();
    [cos * dx + sin * dy, cos * dy - sin * dx]
}

/// The placement after a grip was dragged. `keep` keeps proportions, `mirror` bends both sides alike.
fn dragged(rect: Rect, drag: &Drag, to: [f32; 2], keep: bool, mirror: bool) -> Placement {
    let mut new = drag.start;
    let (was, now) = (
        local(rect, &drag.start, drag.from),
        local(rect, &drag.start, to),
    );
    match drag.grip {
        Grip::Inside => {
            for axis in 0..2 {
                new.shift_px[axis] += to[axis] - drag.from[axis];
            }
        }
        Grip::Side(side) => {
            let factor = |axis: usize| {
                let is_moved = side[axis] != 0.0 && was[axis].abs() > 1e-3;
                is_moved.then(|| now[axis] / was[axis])
            };
            let both = factor(0).into_iter().chain(factor(1));
            let most = both.reduce(|a, b| {
                if (a - 1.0).abs() > (b - 1.0).abs() {
                    a
                } else {
                    b
                }
            });
            for axis in 0..2 {
                let factor = if keep { most } else { factor(axis) };
                let scale = drag.start.scale[axis] * factor.unwrap_or(1.0);
                new.scale[axis] = scale.max(MIN_SCALE);
            }
        }
        Grip::Turn => {
            let angle = now[1].atan2(now[0]) - was[1].atan2(was[0]);
            new.angle_rad += angle;
            if keep {
                const STEP: f32 = std::f32::consts::PI / 12.0;
                new.angle_rad = (new.angle_rad / STEP).round() * STEP;
            }
        }
        Grip::Bend(row, column) => {
            let size = [rect.width.max(1) as f32, rect.height.max(1) as f32];
            let by =
                [0, 1].map(|axis| (now[axis] - was[axis]) / (size[axis] * drag.start.scale[axis]));
            let other = 2 - column;
            for axis in 0..2 {
                new.bend[row][column][axis] += by[axis];
                if mirror && other != column {
                    let sign = if axis == 0 { -1.0 } else { 1.0 };
                    new.bend[row][other][axis] += sign * by[axis];
                }
            }
        }
    }
    new
}

/// The classes that move with one: the lips and the mouth between them together, if that is wanted.
pub fn group_of(class: u8, whole_mouth: bool) -> (Vec<u8>, String) {
    const MOUTH: [u8; 3] = [id::U_LIP, id::MOUTH, id::L_LIP];
    if whole_mouth && MOUTH.contains(&class) {
        return (MOUTH.to_vec(), "whole mouth".into());
    }
    let title = labels::by_id(class).map_or("", |class| class.title);
    (vec![class], title.to_lowercase())
}

impl Moving {
    /// The preview as the step it will be; none while the mask is as it was.
    pub fn as_step(&self) -> Option<(&Patch, String)> {
        let before = self.before.as_ref()?;
        Some((before, self.step_name()))
    }

    fn step_name(&self) -> String {
        format!("Move {}", self.name)
    }

    /// Takes the preview off the mask. Returns the rectangle that changed.
    fn revert(&mut self, edit: &mut Edit, gpu: &Gpu) -> Option<Rect> {
        let mut before = self.before.take()?;
        before.swap(&mut edit.target);
        edit.show(gpu, before.rect);
        Some(before.rect)
    }

    fn handles(&self, is_bending: bool, view: ImageFromUi) -> Vec<(Grip, Pos2)> {
        let rect = self.part.rect();
        let at = |u: [f32; 2]| view.invert(self.placement.image_from_box(rect, u));
        let steps = [0.0, 0.5, 1.0];
        let mut handles = Vec::new();
        for (row, v) in steps.into_iter().enumerate() {
            for (column, u) in steps.into_iter().enumerate() {
                if is_bending {
                    handles.push((Grip::Bend(row, column), at([u, v])));
                } else if (row, column) != (1, 1) {
                    let side = [u * 2.0 - 1.0, v * 2.0 - 1.0];
                    handles.push((Grip::Side(side), at([u, v])));
                }
            }
        }
        if !is_bending {
            let top = at([0.5, 0.0]);
            let up = Vec2::angled(self.placement.angle_rad - std::f32::consts::FRAC_PI_2);
            handles.push((Grip::Turn, top + KNOB_POINTS * up));
        }
        handles
    }

    fn grip_at(&self, point: [f32; 2], is_bending: bool, view: ImageFromUi) -> Option<Grip> {
        let pos = view.invert(point);
        let near = self
            .handles(is_bending, view)
            .into_iter()
            .map(|(grip, at)| (grip, at.distance(pos)))
            .min_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((grip, distance)) = near
            && distance <= GRIP_POINTS
        {
            return Some(grip);
        }
        let u = self.placement.box_from_image(self.part.rect(), point);
        u.iter()
            .all(|v| (0.0..=1.0).contains(v))
            .then_some(Grip::Inside)
    }
}

impl FaceTab {
    /// Lifts a part, so that its handles appear. `pressed_at`: it is dragged at once.
    pub(super) fn lift(
        &mut self,
        work: &mut Work,
        class: u8,
        pressed_at: Option<[f32; 2]>,
        settings: &Settings,
    ) {
        self.end_moving_now(work, settings.live);
        let Some(edit) = work.edit() else {
            return;
        };
        if self.classes.is_locked(class) {
            self.notice = Some("This part is locked. Unlock it to move it".into());
            return;
        }
        self.moving_session += 1;
        self.moving_press = pressed_at;
        self.moving_pointer = pressed_at;
        self.moving_let_go = false;
        let (classes, name) = group_of(class, settings.tools.whole_mouth);
        let (mirror, session) = (Arc::clone(&edit.mirror), self.moving_session);
        self.jobs.start(Job::Shape, move |out| {
            steps::lift(&mirror, &classes, session, name, out)
        });
    }

    pub(super) fn take_lifted(&mut self, lifted: Lifted, settings: &Settings) {
        if lifted.session != self.moving_session || self.tool != Tool::Move {
            return;
        }
        let start = Placement::default();
        let drag = self.moving_press.map(|from| Drag {
            grip: Grip::Inside,
            from,
            start,
        });
        self.moving = Some(Moving {
            session: lifted.session,
            part: lifted.part,
            classes: lifted.classes,
            name: lifted.name,
            placement: start,
            before: None,
            is_pressed: drag.is_some(),
            drag,
            is_ending: false,
        });
        // What the pointer did while the part was being lifted.
        if let Some(point) = self.moving_pointer {
            self.moving_move(point, Modifiers::NONE, settings);
        }
        if std::mem::take(&mut self.moving_let_go)
            && let Some(moving) = &mut self.moving
        {
            moving.drag = None;
            moving.is_pressed = false;
        }
        self.moving_press = None;
    }

    pub(super) fn take_placed(&mut self, placed: Placed) {
        let Some(mut moving) = self.moving.take_if(|m| m.session == placed.session) else {
            return;
        };
        if let Some(mut work) = self.work.take() {
            if let Some(edit) = work.edit_mut() {
                let old = moving.revert(edit, &self.gpu);
                if let Some(mut patch) = placed.patch {
                    patch.swap(&mut edit.target);
                    edit.show(&self.gpu, patch.rect);
                    moving.before = Some(patch);
                }
                let new = moving.before.as_ref().map(|before| before.rect);
                edit.note_preview(old.unwrap_or_default().union(new.unwrap_or_default()));
            }
            self.moving = Some(moving);
            self.work = Some(work);
        }
    }

    /// The part is where it was dragged to. If the pointer let go meanwhile, that place is kept now.
    pub(super) fn placing_ended(&mut self, live: bool) {
        let Some(moving) = &self.moving else {
            return;
        };
        // One that was lifted or dragged further in the same frame.
        if self.jobs.is_busy(Job::Shape) {
            return;
        }
        let (is_held, is_ending) = (moving.drag.is_some(), moving.is_ending);
        self.with_work(|tab, work| {
            if is_ending {
                tab.end_moving(work, true, live);
            } else if !is_held {
                tab.hand_preview_over(work, live);
            }
        });
    }

    /// The pointer lets go: what is previewed is rendered, or what its press had stopped.
    fn hand_preview_over(&mut self, work: &mut Work, live: bool) {
        if work.edit_mut().is_some_and(Edit::hand_preview_over) {
            self.mask_changed(work, live);
        } else if !self.jobs.is_busy(Job::Render) {
            self.render_again(work, live);
        }
    }

    pub(super) fn moving_press(
        &mut self,
        point: [f32; 2],
        view: ImageFromUi,
        work: &mut Work,
        settings: &Settings,
    ) {
        let is_bending = self.is_bending;
        let class = work.edit().and_then(|edit| {
            let (x, y) = pixel_at(&edit.target, point)?;
            edit.target.get(x, y).copied()
        });
        // Another part that lies within the box of this one is meant itself: lips in the box of the hair.
        let is_other = |moving: &Moving| {
            let own = |class: &u8| {
                moving.classes.contains(class) || [id::SKIN, id::BACKGROUND].contains(class)
            };
            !class.as_ref().is_some_and(own)
        };
        let grip = self.moving.as_ref().and_then(|moving| {
            let grip = moving.grip_at(point, is_bending, view)?;
            (grip != Grip::Inside || !is_other(moving)).then_some(grip)
        });
        if let (Some(grip), Some(moving)) = (grip, &mut self.moving) {
            self.jobs.cancel(Job::Render);
            let start = moving.placement;
            moving.is_pressed = true;
            moving.drag = Some(Drag {
                grip,
                from: point,
                start,
            });
            return;
        }
        if let Some(class) = class {
            self.classes.activate(class);
            self.lift(work, class, Some(point), settings);
        }
    }

    pub(super) fn moving_move(
        &mut self,
        point: [f32; 2],
        modifiers: Modifiers,
        settings: &Settings,
    ) {
        let guard = self.classes.guard();
        if self.moving_press.is_some() {
            self.moving_pointer = Some(point);
        }
        let Some(moving) = &mut self.moving else {
            return;
        };
        let Some(drag) = &moving.drag else {
            return;
        };
        let mirror = settings.tools.mirror;
        let placement = dragged(moving.part.rect(), drag, point, modifiers.shift, mirror);
        if placement == moving.placement {
            return;
        }
        moving.placement = placement;
        let (part, session) = (Arc::clone(&moving.part), moving.session);
        self.jobs.start(Job::Shape, move |out| {
            steps::place(&part, &placement, guard, session, out)
        });
    }

    pub(super) fn moving_release(&mut self, work: &mut Work, live: bool) {
        let Some(moving) = &mut self.moving else {
            self.moving_let_go = self.moving_press.is_some();
            return;
        };
        self.moving_press = None;
        moving.drag = None;
        let was_pressed = std::mem::take(&mut moving.is_pressed);
        if was_pressed && !self.jobs.is_busy(Job::Shape) {
            self.hand_preview_over(work, live);
        }
    }

    /// Keeps the new place as it is shown, without waiting for a placement that is still being worked out.
    pub(super) fn end_moving_now(&mut self, work: &mut Work, live: bool) {
        self.jobs.cancel(Job::Shape);
        self.end_moving(work, true, live);
    }

    /// Ends the stay at the handles: keeps the new place as one step of the history, or puts the part back.
    pub(super) fn end_moving(&mut self, work: &mut Work, keep: bool, live: bool) {
        self.moving_press = None;
        let Some(mut moving) = self.moving.take() else {
            return;
        };
        if keep && self.jobs.is_busy(Job::Shape) && !moving.is_ending {
            moving.is_ending = true;
            moving.drag = None;
            self.moving = Some(moving);
            return;
        }
        self.jobs.cancel(Job::Shape);
        let Some(edit) = work.edit_mut() else {
            return;
        };
        if !keep {
            let rect = moving.revert(edit, &self.gpu);
            edit.note_preview(rect.unwrap_or_default());
        }
        let is_new = edit.hand_preview_over();
        if let Some((before, name)) = moving.as_step() {
            edit.note_step(before, name);
        }
        if is_new {
            self.mask_changed(work, live);
        }
    }

    /// Box, net and handles over the mask.
    pub(super) fn moving_ui(&self, ui: &egui::Ui, painter: &egui::Painter, view: ImageFromUi) {
        let Some(moving) = &self.moving else {
            return;
        };
        let rect = moving.part.rect();
        let lines: &[f32] = if self.is_bending {
            &[0.0, 0.5, 1.0]
        } else {
            &[0.0, 1.0]
        };
        let along = |fixed: f32, is_row: bool| -> Vec<Pos2> {
            (0..=16)
                .map(|i| {
                    let t = i as f32 / 16.0;
                    let u = if is_row { [t, fixed] } else { [fixed, t] };
                    view.invert(moving.placement.image_from_box(rect, u))
                })
                .collect()
        };
        for (fixed, is_row) in lines.iter().flat_map(|f| [(*f, true), (*f, false)]) {
            let points = along(fixed, is_row);
            painter.add(Shape::line(
                points.clone(),
                Stroke::new(3.0, on_photo::SHADOW),
            ));
            painter.add(Shape::line(points, Stroke::new(1.25, on_photo::LINE)));
        }
        for (grip, at) in moving.handles(self.is_bending, view) {
            let dark = Stroke::new(1.25, on_photo::SHADOW);
            match grip {
                Grip::Turn => {
                    let up = Vec2::angled(moving.placement.angle_rad - std::f32::consts::FRAC_PI_2);
                    let foot = at - KNOB_POINTS * up;
                    painter.line_segment([foot, at], Stroke::new(1.25, on_photo::LINE));
                    painter.circle(at, 5.0, on_photo::LINE, dark);
                }
                Grip::Bend(..) => {
                    painter.circle(at, 5.0, on_photo::LINE, dark);
                }
                _ => {
                    let square = egui::Rect::from_center_size(at, Vec2::splat(8.0));
                    painter.rect(square, 1.5, on_photo::LINE, dark, egui::StrokeKind::Outside);
                }
            }
        }
        if let Some(pos) = ui.input(|i| i.pointer.hover_pos()) {
            let grip = moving.grip_at(view.apply(pos2(pos.x, pos.y)), self.is_bending, view);
            let cursor = match grip {
                Some(Grip::Inside) => CursorIcon::Move,
                Some(Grip::Turn) => CursorIcon::Alias,
                Some(Grip::Side([_, 0.0])) => CursorIcon::ResizeHorizontal,
                Some(Grip::Side([0.0, _])) => CursorIcon::ResizeVertical,
                Some(Grip::Side([x, y])) if x == y => CursorIcon::ResizeNwSe,
                Some(Grip::Side(_)) => CursorIcon::ResizeNeSw,
                Some(Grip::Bend(..)) => CursorIcon::Grab,
                None => CursorIcon::Default,
            };
            if painter.clip_rect().contains(pos) {
                ui.ctx().set_cursor_icon(cursor);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECT: Rect = Rect {
        x: 100,
        y: 200,
        width: 60,
        height: 20,
    };

    fn drag(grip: Grip, from: [f32; 2]) -> Drag {
        let start = Placement::default();
        Drag { grip, from, start }
    }

    #[test]
    fn handles_scale_about_the_middle_and_shift_keeps_proportions() {
        let side = drag(Grip::Side([1.0, 0.0]), [160.0, 210.0]);
        let wide = dragged(RECT, &side, [175.0, 230.0], false, false);
        assert_eq!(wide.scale, [1.5, 1.0]);
        let both = dragged(RECT, &side, [175.0, 210.0], true, false);
        assert_eq!(both.scale, [1.5, 1.5]);
        let gone = dragged(RECT, &side, [20.0, 210.0], false, false);
        assert_eq!(gone.scale[0], MIN_SCALE);
    }

    #[test]
    fn turning_follows_the_pointer_and_shift_snaps() {
        let turn = drag(Grip::Turn, [130.0, 180.0]);
        let quarter = dragged(RECT, &turn, [160.0, 210.0], false, false);
        assert!((quarter.angle_rad - std::f32::consts::FRAC_PI_2).abs() < 1e-5);
        let snapped = dragged(RECT, &turn, [158.0, 211.0], true, false);
        assert!((snapped.angle_rad - std::f32::consts::FRAC_PI_2).abs() < 1e-5);
    }

    #[test]
    fn a_mirrored_bend_smiles_on_both_sides() {
        let bend = drag(Grip::Bend(1, 2), [160.0, 210.0]);
        let smile = dragged(RECT, &bend, [166.0, 200.0], false, true);
        assert_eq!(smile.bend[1][2], [0.1, -0.5]);
        assert_eq!(smile.bend[1][0], [-0.1, -0.5]);
        assert_eq!(smile.bend[1][1], [0.0, 0.0]);
    }

    #[test]
    fn lips_and_mouth_move_together_if_wanted() {
        assert_eq!(group_of(id::U_LIP, true).0.len(), 3);
        assert_eq!(group_of(id::U_LIP, false).0, [id::U_LIP]);
        assert_eq!(group_of(id::NOSE, true), (vec![id::NOSE], "nose".into()));
    }
}
