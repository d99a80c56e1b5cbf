//! From walkers and futures to lines and dots, and the colours they have.

use std::collections::HashMap;

use eframe::egui::Color32;
use eframe::egui::ecolor::Hsva;

use super::steps::Predicted;
use super::work::{Id, Work};
use crate::gpu::Segment;
use crate::motion::{OBS_LEN, Point};
use crate::ui::settings::MotionView;

const FUTURE_POINTS: f32 = 2.2;
const PAST_POINTS: f32 = 3.0;
/// What is not in focus is drawn with this much of its strength.
const ASIDE: f32 = 0.22;
pub const TRUE_DESTINATION: [u8; 4] = [232, 48, 48, 255];
const PREDICTED_DESTINATION: [u8; 4] = [10, 10, 12, 235];
const PAPER_WHITE: [u8; 4] = [250, 250, 250, 255];

/// The colour of a walker, the same at all times; neighbours in the list differ.
pub fn color_of(id: Id) -> [u8; 3] {
    let (n, saturation) = match id {
        Id::Track(n) => (n, 0.72),
        Id::Drawn(n) => (n + 5, 0.35),
    };
    let hue = (n as f32 * 0.618_034 + 0.08).fract();
    let color = Color32::from(Hsva::new(hue, saturation, 0.98, 1.0));
    [color.r(), color.g(), color.b()]
}

fn faded(color: [u8; 3], alpha: f32) -> [u8; 4] {
    let [r, g, b] = color;
    [r, g, b, (alpha.clamp(0.0, 1.0) * 255.0) as u8]
}

/// Strength of a walker's lines: all where nobody is in focus.
fn strength(id: Id, focus: Option<Id>) -> f32 {
    match focus {
        Some(focus) if focus != id => ASIDE,
        _ => 1.0,
    }
}

/// The lines and dots of everything that is shown.
pub fn segments(work: &Work, predicted: Option<&Predicted>, view: &MotionView) -> Vec<Segment> {
    let pixel = |world: Point| work.scene.to_pixel(world).map(|v| v as f32);
    let mut all = Vec::new();
    let now: HashMap<Id, Point> = work.positions().into_iter().collect();
    let walkers = predicted.map_or(&[][..], |p| &p.walkers);
    // Those in focus last, so that they lie on top.
    let ordered = |is_focus: bool| {
        walkers
            .iter()
            .filter(move |w| (work.focus == Some(w.id)) == is_focus)
    };
    for walker in ordered(false).chain(ordered(true)) {
        let (color, strength) = (color_of(walker.id), strength(walker.id, work.focus));
        let here = walker.past[OBS_LEN - 1];
        if view.futures {
            let likeliest = walker.futures.weights.iter().copied().fold(1e-6, f32::max);
            for (future, weight) in std::iter::zip(&walker.futures.samples, &walker.futures.weights)
            {
                let points: Vec<[f32; 2]> = std::iter::once(here)
                    .chain(future.iter().copied())
                    .map(pixel)
                    .collect();
                let alpha = (0.3 + 0.55 * (weight / likeliest).sqrt()) * strength;
                let fade = |share: f32| faded(color, alpha * (1.0 - 0.8 * share));
                all.extend(Segment::polyline(&points, FUTURE_POINTS, fade));
            }
        }
        if view.truth
            && let Some(truth) = &walker.truth
        {
            let points: Vec<[f32; 2]> = std::iter::once(here)
                .chain(truth.iter().copied())
                .map(pixel)
                .collect();
            let white = |_| faded([255; 3], 0.9 * strength);
            all.extend(Segment::polyline(&points, 1.6, white).map(|s| s.dashed(7.0)));
        }
        if view.pasts {
            let points: Vec<[f32; 2]> = walker.past.iter().copied().map(pixel).collect();
            let fade = |share: f32| faded(color, (0.15 + 0.85 * share) * strength);
            all.extend(Segment::polyline(&points, PAST_POINTS, fade));
        }
        if view.destinations {
            for (end, _) in walker.futures.destinations() {
                let color = faded([10, 10, 12], 0.92 * strength);
                all.push(Segment::dot(pixel(end), color, 4.5));
            }
            if let Some(end) = walker.truth.and_then(|truth| truth.last().copied()) {
                let [r, g, b, _] = TRUE_DESTINATION;
                all.push(Segment::dot(pixel(end), faded([255; 3], strength), 9.5));
                all.push(Segment::dot(pixel(end), faded([r, g, b], strength), 7.0));
            }
        }
    }
    heads(
        work,
        walkers.iter().map(|w| (w.id, w.past[OBS_LEN - 1])),
        &now,
        pixel,
        &mut all,
    );
    if let Some(walker) = walkers.iter().find(|w| work.focus == Some(w.id)) {
        // The handles of the past.
        for point in walker.past.iter().take(OBS_LEN - 1) {
            all.push(Segment::dot(pixel(*point), PREDICTED_DESTINATION, 8.0));
            all.push(Segment::dot(pixel(*point), PAPER_WHITE, 5.5));
        }
    }
    all
}

/// A dot for everybody who is there now, larger for whoever is in focus.
fn heads(
    work: &Work,
    predicted: impl Iterator<Item = (Id, Point)>,
    now: &HashMap<Id, Point>,
    pixel: impl Fn(Point) -> [f32; 2],
    all: &mut Vec<Segment>,
) {
    let mut places = now.clone();
    for (id, here) in predicted {
        // A walker whose past was changed stands where the change put them.
        let is_changed = work.edits.pasts.contains_key(&(work.frame(), id));
        if is_changed || !now.contains_key(&id) && matches!(id, Id::Drawn(_)) {
            places.insert(id, here);
        }
    }
    let mut places: Vec<(Id, Point)> = places.into_iter().collect();
    places.sort_by_key(|(id, _)| (work.focus == Some(*id), *id));
    for (id, place) in places {
        let is_focus = work.focus == Some(id);
        let strength = strength(id, work.focus).max(0.45);
        let (ring, inner) = if is_focus { (17.0, 12.0) } else { (11.5, 8.5) };
        all.push(Segment::dot(pixel(place), faded([255; 3], strength), ring));
        all.push(Segment::dot(
            pixel(place),
            faded(color_of(id), strength),
            inner,
        ));
    }
}
