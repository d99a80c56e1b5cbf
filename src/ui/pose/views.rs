//! The canvas: people over the photo, and what the pointer does to them.

use eframe::egui::{self, Align2, CursorIcon, FontId, Pos2, Rect, Sense, pos2, vec2};

use super::inside::Look;
use super::tab::{Job, PoseTab};
use super::work::PersonState;
use crate::gpu;
use crate::pose::draw::opacity_above;
use crate::pose::keypoints::{KEYPOINTS, Part, name};
use crate::ui::canvas::ImageFromUi;
use crate::ui::keys::{self, Action};
use crate::ui::settings::{PoseView, Settings};
use crate::ui::theme::{self, icon, on_photo};

/// How near to a keypoint the pointer must be.
const REACH_POINTS: f32 = 9.0;

/// A keypoint that the pointer holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grab {
    pub person: usize,
    pub keypoint: usize,
    /// From the pointer to the keypoint, in photo pixels.
    offset: [f32; 2],
}

/// What lies under the pointer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Under {
    Keypoint(usize, usize),
    Person(usize),
}

impl PoseTab {
    pub(super) fn canvas_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        let rect = ui.available_rect_before_wrap();
        ui.painter()
            .rect_filled(rect, 0.0, theme::colors(ui).canvas);
        let Some(shown) = self.shown.take() else {
            self.empty_ui(ui, rect);
            return;
        };
        let response = ui.interact(rect, ui.scope_id().with("poses"), Sense::click_and_drag());
        response.widget_info(|| {
            egui::WidgetInfo::labeled(egui::Role::Canvas, true, "Photo with people")
        });
        let size = [shown.rgb.width, shown.rgb.height];
        self.canvas.navigate(ui, &response, rect, size);
        let way = self.canvas.image_from_ui(rect, size);
        self.last_place = Some(rect);
        self.take_pointer(ui, &response, way, rect, size, &settings.pose);
        let ppp = ui.pixels_per_point();
        let stack = self.stack(&shown, &settings.pose, ppp);
        self.shown = Some(shown);
        let shape = gpu::paint(&self.gpu, rect, "poses", way.view(ppp), stack);
        ui.painter().with_clip_rect(rect).add(shape);
        self.words_ui(ui, &response, rect, way, &settings.pose);
    }

    fn empty_ui(&self, ui: &egui::Ui, rect: Rect) {
        let say = |heading: &str, text: &str| {
            theme::empty_ui(ui, rect, icon::PEOPLE, heading, text);
        };
        if [Job::List, Job::Open]
            .iter()
            .any(|job| self.jobs.is_busy(*job))
        {
            return say("Opening the photo…", "");
        }
        let entry = self.photos.get(self.current);
        if let Some(error) = entry.and_then(|e| e.error.as_ref()) {
            return say("This photo cannot be shown", error);
        }
        let keys = keys::keys_text(ui.ctx(), Action::Open);
        let text = format!(
            "Everyone's body, feet, face and hands will be found. {keys} opens photos, the menu above a folder; \
             annotations in COCO's form can be dropped too, to compare with."
        );
        say("Drop photos or a folder here", &text);
    }

    /// The keypoint under the pointer, that of the person in focus before others; else the smallest person around it.
    fn under(&self, way: ImageFromUi, pointer: Pos2, view: &PoseView) -> Option<Under> {
        let poses = self.poses().filter(|_| self.look == Look::Poses)?;
        let mut nearest: Option<(f32, usize, usize)> = None;
        for (person, state) in poses.seen(view.person_score) {
            // What is faint because somebody else is in focus is harder to hit.
            let is_aside = self.person.is_some_and(|focus| focus != person);
            let reach = if is_aside { 0.6 } else { 1.0 } * REACH_POINTS;
            for keypoint in 0..KEYPOINTS {
                let Some(at) = seen(state, keypoint, view) else {
                    continue;
                };
                let distance = way.invert(at).distance(pointer);
                let weighed = if is_aside { distance + 4.0 } else { distance };
                if distance < reach && nearest.is_none_or(|(best, ..)| weighed < best) {
                    nearest = Some((weighed, person, keypoint));
                }
            }
        }
        if let Some((_, person, keypoint)) = nearest {
            return Some(Under::Keypoint(person, keypoint));
        }
        let [x, y] = way.apply(pointer);
        let around = poses.seen(view.person_score).filter(|(_, state)| {
            let [x0, y0, x1, y1] = state.person.bbox_in_image;
            (x0..=x1).contains(&x) && (y0..=y1).contains(&y)
        });
        let area = |state: &PersonState| {
            let [x0, y0, x1, y1] = state.person.bbox_in_image;
            (x1 - x0) * (y1 - y0)
        };
        let smallest = around.min_by(|a, b| area(a.1).total_cmp(&area(b.1)));
        smallest.map(|(person, _)| Under::Person(person))
    }

    fn take_pointer(
        &mut self,
        ui: &egui::Ui,
        response: &egui::Response,
        way: ImageFromUi,
        rect: Rect,
        size: [usize; 2],
        view: &PoseView,
    ) {
        let primary = egui::PointerButton::Primary;
        let pointer = response.interact_pointer_pos().or(response.hover_pos());
        if response.drag_started_by(primary)
            && !self.canvas.is_panning()
            && let Some(origin) = ui.input(|i| i.pointer.press_origin())
            && let Some(Under::Keypoint(person, keypoint)) = self.under(way, origin, view)
        {
            self.begin_drag(person, keypoint, way.apply(origin));
        }
        if response.dragged_by(primary) && !self.canvas.is_panning() {
            match (self.grab, pointer) {
                (Some(grab), Some(pos)) => self.drag(grab, way.apply(pos), size),
                _ => self.canvas.pan(rect, size, response.drag_delta()),
            }
        }
        if response.drag_stopped() {
            self.grab = None;
        }
        if response.clicked()
            && let Some(pos) = pointer
        {
            (self.person, self.keypoint) = match self.under(way, pos, view) {
                Some(Under::Keypoint(person, keypoint)) => (Some(person), Some(keypoint)),
                Some(Under::Person(person)) => (Some(person), None),
                None => (None, None),
            };
        }
        if response.hovered() && !self.canvas.is_panning() {
            let under = pointer.and_then(|pos| self.under(way, pos, view));
            let cursor = match under {
                _ if self.grab.is_some() => CursorIcon::Grabbing,
                Some(Under::Keypoint(..)) => CursorIcon::Grab,
                Some(Under::Person(_)) => CursorIcon::PointingHand,
                None => CursorIcon::Default,
            };
            ui.ctx().set_cursor_icon(cursor);
        }
    }

    fn begin_drag(&mut self, person: usize, keypoint: usize, from: [f32; 2]) {
        let Some(poses) = self.poses_mut() else {
            return;
        };
        let Some(state) = poses.people.get(person) else {
            return;
        };
        let at = state.person.get(keypoint).0;
        let offset = [at[0] - from[0], at[1] - from[1]];
        poses.begin(person);
        (self.person, self.keypoint) = (Some(person), Some(keypoint));
        self.grab = Some(Grab {
            person,
            keypoint,
            offset,
        });
    }

    /// Moves what is held. It stays within the photo.
    fn drag(&mut self, grab: Grab, to: [f32; 2], size: [usize; 2]) {
        let at = [0, 1].map(|k| (to[k] + grab.offset[k]).clamp(0.0, size[k] as f32));
        if at.iter().all(|v| v.is_finite())
            && let Some(poses) = self.poses_mut()
        {
            poses.place(grab.person, grab.keypoint, Some(at));
        }
    }

    /// Words over the photo: what is under the pointer or selected, and why there is nothing to see.
    fn words_ui(
        &self,
        ui: &egui::Ui,
        response: &egui::Response,
        rect: Rect,
        way: ImageFromUi,
        view: &PoseView,
    ) {
        let painter = ui.painter().with_clip_rect(rect);
        let chip = |at: Pos2, align: Align2, text: &str| {
            let font = FontId::proportional(12.5);
            let galley = painter.layout_no_wrap(text.to_owned(), font, on_photo::TEXT);
            let place = align.anchor_size(at, galley.size());
            // Within the canvas, whatever lies at its edge.
            let room = rect.shrink2(vec2(12.0, 8.0));
            let left = place.left().min(room.right() - place.width());
            let top = place.top().min(room.bottom() - place.height());
            let place = Rect::from_min_size(
                pos2(left.max(room.left()), top.max(room.top())),
                place.size(),
            );
            painter.rect_filled(place.expand2(vec2(8.0, 4.0)), theme::RADIUS, on_photo::CHIP);
            painter.galley(place.min, galley, on_photo::TEXT);
        };
        if self.look == Look::Poses {
            let hovered = response.hover_pos().filter(|_| self.grab.is_none());
            let under = hovered.and_then(|pos| self.under(way, pos, view));
            let told = match under {
                Some(Under::Keypoint(person, keypoint)) => Some((person, keypoint)),
                _ => self.person.zip(self.keypoint),
            };
            if let Some((person, keypoint)) = told
                && let Some(state) = self.poses().and_then(|p| p.people.get(person))
                && let Some(at) = seen(state, keypoint, view)
            {
                let score = state.person.get(keypoint).1;
                let words = match state.placed.get(keypoint) {
                    Some(true) => "placed by hand".to_owned(),
                    _ => format!("{score:.2}"),
                };
                let text = format!("{} · {words}", readable(keypoint));
                chip(
                    way.invert(at) + vec2(14.0, -18.0),
                    Align2::LEFT_CENTER,
                    &text,
                );
            }
        }
        let bottom = rect.center_bottom() - vec2(0.0, 22.0);
        let is_here = self.shown.as_ref().is_some_and(|s| s.index == self.current);
        let entry = self.photos.get(self.current);
        let error = entry.and_then(|e| e.error.as_ref());
        let nobody = |poses: &super::work::Poses| poses.kept().next().is_none();
        let text = if let Some(error) = error {
            error.clone()
        } else if !is_here {
            "Opening the photo…".to_owned()
        } else if self.model_error.is_some() {
            "No weights: nobody is found. The button Weights says what is missing".to_owned()
        } else if self.jobs.is_busy(Job::Find) {
            "Looking for people…".to_owned()
        } else if self.look != Look::Poses && self.inside().is_none() {
            "Computing heat maps and grouping…".to_owned()
        } else if self.look == Look::Poses && self.poses().is_some_and(nobody) {
            "Nobody was found in this photo".to_owned()
        } else if self.look == Look::Poses
            && self
                .poses()
                .is_some_and(|poses| poses.seen(view.person_score).next().is_none())
        {
            "Everybody is hidden, or less sure than the slider asks for".to_owned()
        } else if self.grab.is_none() && self.keypoint.is_some() && self.look == Look::Poses {
            "Drag the keypoint to correct it · Delete removes it · Esc lets go".to_owned()
        } else {
            return;
        };
        chip(bottom, Align2::CENTER_CENTER, &text);
    }
}

/// Where a keypoint is, if it is to be seen.
fn seen(state: &PersonState, keypoint: usize, view: &PoseView) -> Option<[f32; 2]> {
    let part = Part::of(keypoint)?;
    let (at, score) = state.person.get(keypoint);
    let is_seen = view.shows(part) && opacity_above(view.keypoint_score, score) > 0.0;
    (is_seen && at.iter().all(|v| v.is_finite())).then_some(at)
}

/// A keypoint's name in plain words.
pub(super) fn readable(keypoint: usize) -> String {
    let words = name(keypoint).replace('_', " ");
    match Part::of(keypoint) {
        Some(Part::Face) => words.replace("face-", "face point "),
        _ => words,
    }
}
