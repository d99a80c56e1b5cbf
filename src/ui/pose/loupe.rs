//! The loupe: what the networks for face and hands saw of a person, with the keypoints they found.

use eframe::egui::{
    self, Align2, Color32, FontId, Rect, RichText, Sense, Stroke, TextureHandle, TextureOptions,
    pos2, vec2,
};

use super::steps::{CROP_PX, Crops};
use super::tab::{PoseTab, color_image};
use super::work::PersonState;
use crate::people::crop::Region;
use crate::pose::draw::{colour, opacity_above};
use crate::pose::keypoints::{FACE_LIMBS, LIMBS, Part};
use crate::ui::settings::PoseView;
use crate::ui::theme::{self, icon};

/// The parts in the order of the crops.
const PARTS: [(Part, &str); 3] = [
    (Part::Face, "Face"),
    (Part::LeftHand, "Left hand"),
    (Part::RightHand, "Right hand"),
];

/// The crops that are there or asked for.
#[derive(Default)]
pub struct Loupe {
    /// Photo and person that crops were asked of.
    asked: Option<(usize, usize)>,
    here: Option<(usize, usize)>,
    pictures: [Option<(Region, TextureHandle)>; 3],
}

impl Loupe {
    /// Whether the crops of a person must be cut; asks for them only once.
    pub fn asks(&mut self, index: usize, person: usize) -> bool {
        let is_new = self.asked != Some((index, person));
        self.asked = Some((index, person));
        is_new
    }

    /// Other people are found, or other photos opened: what is there is of nobody.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    pub fn take(&mut self, ctx: &egui::Context, crops: Crops) {
        self.here = Some((crops.index, crops.person));
        let mut number = 0;
        self.pictures = crops.pictures.map(|picture| {
            number += 1;
            let (region, picture) = picture?;
            let name = format!("crop {number}");
            let image = color_image(&picture);
            Some((
                region,
                ctx.load_texture(name, image, TextureOptions::LINEAR),
            ))
        });
    }

    /// How many crops there are of a photo.
    pub fn count(&self, index: usize) -> usize {
        match self.here {
            Some((of, _)) if of == index => self.pictures.iter().flatten().count(),
            _ => 0,
        }
    }
}

impl PoseTab {
    /// The three crops below one another. A click shows that part of the photo.
    pub(super) fn loupe_ui(&mut self, ui: &mut egui::Ui, view: &PoseView) {
        let Some(person) = self.person_in_loupe(view) else {
            theme::title_ui(ui, "What the networks saw");
            ui.add_space(theme::SPACE_SMALL);
            let text = "Face and hands of a person are shown here once somebody is found";
            ui.label(RichText::new(text).color(theme::colors(ui).weak));
            return;
        };
        theme::title_ui(ui, &format!("Person {}, close up", person + 1))
            .on_hover_text("What the networks for face and hands saw");
        ui.add_space(theme::SPACE_SMALL);
        let is_here = self.loupe.here == Some((self.current, person));
        let room = ui.available_size();
        // Above each crop its title, and space between all of them.
        let line = theme::ROW_HEIGHT + 4.0 * theme::SPACE_SMALL;
        let side = room.x.min(room.y / 3.0 - line).max(60.0);
        let mut zoom = None;
        let state = self.poses().and_then(|p| p.people.get(person));
        for (place, (part, name)) in PARTS.into_iter().enumerate() {
            let picture = self.loupe.pictures[place].as_ref().filter(|_| is_here);
            ui.horizontal(|ui| {
                ui.label(name);
                if let (Some((region, _)), Some(state)) = (picture, state) {
                    let score = state.person.part_score(part);
                    let text = format!("{:.0} px · {score:.2}", region.side);
                    let text = RichText::new(text).small().color(theme::colors(ui).weak);
                    let tip = "Side of this part of the photo, and how sure the network is";
                    ui.add(egui::Label::new(text).truncate()).on_hover_text(tip);
                }
            });
            let (rect, response) = ui.allocate_exact_size(vec2(side, side), Sense::click());
            response.widget_info(|| {
                let name = format!("{name} as the network saw it");
                egui::WidgetInfo::labeled(egui::Role::Image, picture.is_some(), name)
            });
            let painter = ui.painter().with_clip_rect(rect);
            match (picture, state) {
                (Some((region, texture)), Some(state)) => {
                    let uv = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
                    painter.image(texture.id(), rect, uv, Color32::WHITE);
                    points_ui(&painter, rect, region, part, state, view.keypoint_score);
                    if response.hovered() {
                        let line = Stroke::new(1.5, theme::colors(ui).accent);
                        ui.painter()
                            .rect_stroke(rect, 0.0, line, egui::StrokeKind::Inside);
                    }
                    let tip = match region.mirrored {
                        true => {
                            "Seen in a mirror, as the network for hands knows right ones. Click to see this part of the photo"
                        }
                        false => "Click to see this part of the photo",
                    };
                    if response.on_hover_text(tip).clicked() {
                        zoom = Some(*region);
                    }
                }
                _ => {
                    painter.rect_filled(rect, theme::RADIUS, theme::colors(ui).raised);
                    let (text, color) = match (is_here, theme::colors(ui).weak) {
                        (true, weak) => ("Not looked for", weak),
                        (false, weak) => (icon::SEARCH, weak),
                    };
                    let font = FontId::proportional(12.5);
                    painter.text(rect.center(), Align2::CENTER_CENTER, text, font, color);
                }
            }
            ui.add_space(theme::SPACE_SMALL);
        }
        if let (Some(region), Some(place)) = (zoom, self.last_place) {
            self.canvas.show(place, region.center, 1.25 * region.side);
        }
    }
}

fn points_ui(
    painter: &egui::Painter,
    rect: Rect,
    region: &Region,
    part: Part,
    state: &PersonState,
    least: f32,
) {
    let back = region.image_from_view(CROP_PX).inverse();
    let seen = |index: usize| {
        let (at, score) = state.person.get(index);
        let [x, y] = back
            .apply(at.map(f64::from))
            .map(|v| v as f32 / CROP_PX as f32);
        let x = if region.mirrored { 1.0 - x } else { x };
        let opacity = opacity_above(least, score);
        let is_there = opacity > 0.0 && x.is_finite() && y.is_finite();
        let [r, g, b] = colour(index);
        let color = Color32::from_rgba_unmultiplied(r, g, b, (opacity * 235.0) as u8);
        is_there.then(|| (rect.min + vec2(x, y) * rect.size(), color))
    };
    let (line, dot) = match part {
        Part::Face => (0.7, 0.9),
        _ => (1.2, 1.8),
    };
    for [a, b] in LIMBS.iter().chain(&FACE_LIMBS) {
        if part.range().contains(a)
            && part.range().contains(b)
            && let (Some((from, _)), Some((to, color))) = (seen(*a), seen(*b))
        {
            painter.line_segment([from, to], Stroke::new(line, color));
        }
    }
    for index in part.range() {
        if let Some((at, color)) = seen(index) {
            painter.circle_filled(at, dot, color);
        }
    }
}
