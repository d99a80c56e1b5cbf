//! How a photo lies on the screen: zoom, pan, fit, and the way from the pointer to photo pixels.
//!
//! One [`Canvas`] can serve several places on the screen at once: mask and result share theirs, so that they always
//! show the same part at the same size. Units: `ui` is egui points, `image` is photo pixels, corners at whole numbers.

use eframe::egui::{self, Pos2, Rect, Vec2};

use crate::gpu::View;

/// Screen points per photo pixel, smallest and largest.
const ZOOM: std::ops::RangeInclusive<f32> = 0.005..=64.0;
/// Free space around a fitted photo, in points.
const MARGIN: f32 = 12.0;
/// One notch of the wheel.
const WHEEL_STEP: f32 = 1.2;
/// Scroll distance that counts as a notch where the system reports points.
const POINTS_PER_NOTCH: f32 = 50.0;

/// What part of the photo is shown, and how large.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
enum Shown {
    /// All of it, as large as it fits.
    #[default]
    Fit,
    /// `center` of the place shows this point of the photo.
    Free {
        center_in_image: Vec2,
        ui_from_image: f32,
    },
}

/// Zoom and pan of a photo.
#[derive(Default)]
pub struct Canvas {
    shown: Shown,
    panning: bool,
}

/// `image = offset + scale · ui`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageFromUi {
    pub offset: Vec2,
    pub scale: f32,
}

impl ImageFromUi {
    /// Photo coordinates of a screen position.
    pub fn apply(&self, position: Pos2) -> [f32; 2] {
        (self.offset + position.to_vec2() * self.scale).into()
    }

    /// Screen position of photo coordinates.
    pub fn invert(&self, [x, y]: [f32; 2]) -> Pos2 {
        ((Vec2::new(x, y) - self.offset) / self.scale).to_pos2()
    }

    /// Screen rectangle of a box in the photo: left, top, right, bottom.
    pub fn invert_box(&self, [left, top, right, bottom]: [f32; 4]) -> Rect {
        Rect::from_min_max(self.invert([left, top]), self.invert([right, bottom]))
    }

    /// The same for the GPU, which counts framebuffer pixels.
    pub fn view(&self, pixels_per_point: f32) -> View {
        View {
            offset_in_image: self.offset.into(),
            image_from_px: self.scale / pixels_per_point,
        }
    }
}

impl Canvas {
    /// Shows all of the photo.
    pub fn fit(&mut self) {
        self.shown = Shown::Fit;
    }

    /// Shows one photo pixel as one pixel of the screen, around the point that is now in the middle.
    pub fn actual_size(&mut self, place: Rect, size: [usize; 2], pixels_per_point: f32) {
        let (center_in_image, _) = self.resolved(place, size);
        self.shown = Shown::Free {
            center_in_image,
            ui_from_image: 1.0 / pixels_per_point,
        };
    }

    /// Shows a square part of the photo as large as it fits.
    pub fn show(&mut self, place: Rect, center_in_image: [f32; 2], side_in_image: f32) {
        let room = place.size().min_elem().max(1.0);
        let zoom = room / side_in_image.max(1.0);
        self.shown = Shown::Free {
            center_in_image: center_in_image.into(),
            ui_from_image: zoom.clamp(*ZOOM.start(), *ZOOM.end()),
        };
    }

    /// Centre in the photo and points per photo pixel.
    fn resolved(&self, place: Rect, [width, height]: [usize; 2]) -> (Vec2, f32) {
        match self.shown {
            Shown::Free {
                center_in_image,
                ui_from_image,
            } => (center_in_image, ui_from_image),
            Shown::Fit => {
                let size = Vec2::new(width.max(1) as f32, height.max(1) as f32);
                let room = (place.size() - Vec2::splat(2.0 * MARGIN)).max(Vec2::splat(1.0));
                let zoom = (room / size).min_elem();
                (size / 2.0, zoom.clamp(*ZOOM.start(), *ZOOM.end()))
            }
        }
    }

    /// Screen points per photo pixel.
    pub fn zoom(&self, place: Rect, size: [usize; 2]) -> f32 {
        self.resolved(place, size).1
    }

    /// The way from the screen to a photo of `size` (width, height) that is shown in `place`.
    pub fn image_from_ui(&self, place: Rect, size: [usize; 2]) -> ImageFromUi {
        let (center, zoom) = self.resolved(place, size);
        let scale = 1.0 / zoom;
        let offset = center - place.center().to_vec2() * scale;
        ImageFromUi { offset, scale }
    }

    /// Zooms by `factor`; the photo stays where it is under `pivot`.
    pub fn zoom_at(&mut self, place: Rect, size: [usize; 2], pivot: Pos2, factor: f32) {
        let (center, zoom) = self.resolved(place, size);
        let new_zoom = (zoom * factor).clamp(*ZOOM.start(), *ZOOM.end());
        let from_center = pivot - place.center();
        self.shown = Shown::Free {
            center_in_image: center + from_center / zoom - from_center / new_zoom,
            ui_from_image: new_zoom,
        };
    }

    /// Moves the photo by `delta` points. Some of it always stays in sight.
    pub fn pan(&mut self, place: Rect, size: [usize; 2], delta: Vec2) {
        let (center, zoom) = self.resolved(place, size);
        let last = Vec2::new(size[0] as f32, size[1] as f32);
        self.shown = Shown::Free {
            center_in_image: (center - delta / zoom).clamp(Vec2::ZERO, last),
            ui_from_image: zoom,
        };
    }

    /// Whether the pointer is moving the photo, so that it does not paint.
    pub fn is_panning(&self) -> bool {
        self.panning
    }

    /// Handles wheel, pinch, and dragging with the middle button or with space held. Call it for each place.
    pub fn navigate(
        &mut self,
        ui: &egui::Ui,
        response: &egui::Response,
        place: Rect,
        size: [usize; 2],
    ) {
        let space = ui.input(|i| i.key_down(egui::Key::Space)) && !ui.ctx().text_edit_focused();
        let (middle, primary) = ui.input(|i| {
            let middle = i.pointer.middle_down();
            (middle, i.pointer.primary_down())
        });
        if response.contains_pointer() {
            let pressed = ui.input(|i| i.pointer.any_pressed());
            self.panning |= pressed && (middle || (space && primary));
            if space || self.panning {
                let held = if self.panning {
                    egui::CursorIcon::Grabbing
                } else {
                    egui::CursorIcon::Grab
                };
                ui.ctx().set_cursor_icon(held);
            }
            let pivot = ui.input(|i| i.pointer.hover_pos());
            let pivot = pivot.unwrap_or(place.center());
            let factor = wheel_factor(ui);
            if factor != 1.0 {
                self.zoom_at(place, size, pivot, factor);
            }
            if self.panning {
                let delta = ui.input(|i| i.pointer.delta());
                if delta != Vec2::ZERO {
                    self.pan(place, size, delta);
                }
            }
        }
        if !middle && !primary {
            self.panning = false;
        }
    }
}

/// By how much wheel and pinch zoom this frame. With Ctrl or Alt held the wheel is for the brush.
fn wheel_factor(ui: &egui::Ui) -> f32 {
    ui.input(|i| {
        let factors = i.events.iter().map(|event| match event {
            egui::Event::Zoom(factor) => *factor,
            egui::Event::MouseWheel { .. } => wheel_notches(event, |m| !m.command && !m.alt)
                .map_or(1.0, |notches| WHEEL_STEP.powf(notches)),
            _ => 1.0,
        });
        factors.product()
    })
}

/// Notches of a wheel event whose modifiers `wanted` accepts; positive is away from the user.
pub fn wheel_notches(
    event: &egui::Event,
    wanted: impl Fn(&egui::Modifiers) -> bool,
) -> Option<f32> {
    let egui::Event::MouseWheel {
        unit,
        delta,
        modifiers,
        ..
    } = event
    else {
        return None;
    };
    if !wanted(modifiers) {
        return None;
    }
    // With Alt or Shift held some systems report the wheel as sideways.
    let way = if delta.y == 0.0 { delta.x } else { delta.y };
    Some(match unit {
        egui::MouseWheelUnit::Point => way / POINTS_PER_NOTCH,
        egui::MouseWheelUnit::Line | egui::MouseWheelUnit::Page => way,
    })
}

#[cfg(test)]
mod tests {
    use eframe::egui::{pos2, vec2};

    use super::*;

    const PLACE: Rect = Rect {
        min: pos2(200.0, 50.0),
        max: pos2(700.0, 450.0),
    };
    const SIZE: [usize; 2] = [1000, 500];

    fn near(a: [f32; 2], b: [f32; 2]) -> bool {
        (a[0] - b[0]).abs() < 1e-2 && (a[1] - b[1]).abs() < 1e-2
    }

    #[test]
    fn fit_centres_the_photo_inside_the_margin() {
        let canvas = Canvas::default();
        let way = canvas.image_from_ui(PLACE, SIZE);
        assert!(near(way.apply(PLACE.center()), [500.0, 250.0]));
        assert!(near(way.apply(pos2(200.0 + MARGIN, 250.0)), [0.0, 250.0]));
        let corners = way.invert_box([0.0, 0.0, 1000.0, 500.0]);
        assert!(PLACE.contains_rect(corners));
    }

    #[test]
    fn to_the_photo_and_back_is_where_it_began() {
        let mut canvas = Canvas::default();
        canvas.zoom_at(PLACE, SIZE, pos2(321.0, 77.0), 3.3);
        let way = canvas.image_from_ui(PLACE, SIZE);
        let there = way.apply(pos2(444.0, 123.0));
        assert!(way.invert(there).distance(pos2(444.0, 123.0)) < 1e-2);
        // Framebuffer pixels are points times the scale of the screen.
        let view = way.view(2.0);
        let x = view.offset_in_image[0] + view.image_from_px * 888.0;
        assert!((x - there[0]).abs() < 1e-2);
    }

    #[test]
    fn zooming_keeps_what_is_under_the_pointer() {
        let mut canvas = Canvas::default();
        let pivot = pos2(612.0, 119.0);
        let before = canvas.image_from_ui(PLACE, SIZE).apply(pivot);
        for factor in [1.2, 5.0, 0.1, 40.0, 40.0, 40.0, 1e-9] {
            canvas.zoom_at(PLACE, SIZE, pivot, factor);
            let after = canvas.image_from_ui(PLACE, SIZE).apply(pivot);
            assert!(near(before, after), "{before:?} {after:?}");
            assert!(ZOOM.contains(&canvas.zoom(PLACE, SIZE)));
        }
    }

    #[test]
    fn panning_moves_with_the_pointer_and_never_loses_the_photo() {
        let mut canvas = Canvas::default();
        canvas.zoom_at(PLACE, SIZE, PLACE.center(), 4.0);
        let before = canvas.image_from_ui(PLACE, SIZE).apply(pos2(400.0, 200.0));
        canvas.pan(PLACE, SIZE, vec2(30.0, -20.0));
        let after = canvas.image_from_ui(PLACE, SIZE).apply(pos2(430.0, 180.0));
        assert!(near(before, after));
        canvas.pan(PLACE, SIZE, vec2(1e6, -1e6));
        let center = canvas.image_from_ui(PLACE, SIZE).apply(PLACE.center());
        assert!(near(center, [0.0, 500.0]));
    }

    #[test]
    fn actual_size_shows_a_photo_pixel_on_a_screen_pixel() {
        let mut canvas = Canvas::default();
        canvas.actual_size(PLACE, SIZE, 2.0);
        let way = canvas.image_from_ui(PLACE, SIZE);
        assert_eq!(way.view(2.0).image_from_px, 1.0);
        assert!(near(way.apply(PLACE.center()), [500.0, 250.0]));
        canvas.show(PLACE, [300.0, 100.0], 200.0);
        let way = canvas.image_from_ui(PLACE, SIZE);
        assert!(near(way.apply(PLACE.center()), [300.0, 100.0]));
        assert!(near(way.apply(PLACE.center_top()), [300.0, 0.0]));
        canvas.fit();
        assert_eq!(canvas.shown, Shown::Fit);
    }
}
