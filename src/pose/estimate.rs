//! Whole-body pose of everyone in a photo, the steps in order: boxes, bodies, one body for each person, zoom-in, scores.

use anyhow::Result;
use clap::Args;
use serde::{Deserialize, Serialize};

use super::body::{Body, bounds, first_look, second_look};
use super::keypoints::{BODY_KEYPOINTS, SIGMAS};
use super::networks::Networks;
use super::zoomnet::{Zoomed, zoom_in};
use crate::job::Out;
use crate::people::find_faces::find_faces;
use crate::people::movenet::STRIDE_PX;
use crate::people::multipose::{Planes, View};
use crate::raster::Rgb;

/// Centres below this are nobody.
const MIN_CENTER: f32 = 0.1;
/// People this large, over the longer side of the photo, and this sure are found as well on a coarse view.
const LARGE: f32 = 0.45;
const CLEAR: f32 = 0.3;
/// Boxes that overlap by more than this share are one person, before bodies are known.
const SAME_BOX_IOU: f32 = 0.6;
/// Bodies more similar than this (as OKS has it) are one person.
const SAME_BODY: f32 = 0.55;
/// Joints below this do not count for the score of a person.
const SEEN: f32 = 0.1;
/// A person found by the face alone: the box over the face's.
const BODY_OVER_FACE: [f32; 3] = [1.5, 0.6, 6.0];
/// Candidate people of one photo that are looked at, over those that are wanted.
const CANDIDATES: usize = 2;

/// What to look for.
#[derive(Args, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoseConfig {
    /// Longer side of the photo, in pixels, as people are looked for: more finds smaller people and takes longer
    #[arg(long, value_name = "PX", default_value_t = 512, value_parser = clap::value_parser!(u32).range(128..=2048))]
    pub detector_px: u32,

    /// Find at most N people, those that are surest
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub max_people: u32,

    /// Leave out people below this score, 0 to 1
    #[arg(long, value_name = "SCORE", default_value_t = 0.1)]
    pub min_score: f32,
}

impl Default for PoseConfig {
    fn default() -> Self {
        Self {
            detector_px: 512,
            max_people: 30,
            min_score: 0.1,
        }
    }
}

/// Finds everyone in a photo, surest first.
///
/// # Errors
/// When a network fails, or `out` cancels.
pub fn detect<T>(
    networks: &Networks,
    photo: &Rgb,
    config: &PoseConfig,
    out: &Out<T>,
) -> Result<Vec<Zoomed>> {
    if photo.width == 0 || photo.height == 0 {
        return Ok(Vec::new());
    }
    out.progress(0.0, "Looking for people")?;
    let boxes = person_boxes(networks, photo, config)?;
    out.progress(0.2, format!("Bodies of {} candidates", boxes.len()))?;
    let places: Vec<[f32; 4]> = boxes.iter().map(|(bbox, _)| *bbox).collect();
    let bodies = first_look(networks, photo, &places)?;
    let scored = bodies.into_iter().zip(&boxes).map(|(body, (_, seed))| {
        let score = person_score(&body, *seed);
        (body, score)
    });
    let mut people = one_each(scored.collect());
    people.retain(|(_, score)| *score >= config.min_score);
    people.truncate(config.max_people as usize);
    let mut bodies: Vec<Body> = people.iter().map(|(body, _)| body.clone()).collect();
    out.progress(0.3, format!("{} people", bodies.len()))?;
    second_look(networks, photo, &mut bodies)?;
    let mut zoomed = zoom_in(networks, photo, &bodies, &out.part(0.4, 1.0))?;
    for (zoomed, (_, score)) in zoomed.iter_mut().zip(&people) {
        zoomed.person.score = *score;
    }
    Ok(zoomed)
}

/// Boxes in which somebody may be (left, top, right, bottom in photo pixels), and how sure that is.
fn person_boxes(
    networks: &Networks,
    photo: &Rgb,
    config: &PoseConfig,
) -> Result<Vec<([f32; 4], f32)>> {
    let wanted = CANDIDATES * config.max_people as usize;
    let mut found = Vec::new();
    for side in [config.detector_px / 2, config.detector_px] {
        if is_enough(&found, photo) {
            break;
        }
        let view = View::of(photo, side as usize)?;
        let planes = Planes::of(&networks.multipose.maps(&view.xs)?)?;
        let scale = view.image_from_view.scale() as f32 * STRIDE_PX as f32;
        for seed in planes.seeds(wanted, MIN_CENTER) {
            let [top, left, bottom, right] = seed.bbox.map(|v| v * scale);
            found.push(([left, top, right, bottom], seed.score));
        }
    }
    found.retain(|([x0, y0, x1, y1], _)| x1 - x0 >= 4.0 && y1 - y0 >= 4.0);
    found.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut boxes: Vec<([f32; 4], f32)> = Vec::new();
    for (bbox, score) in found {
        if boxes.len() < wanted
            && boxes
                .iter()
                .all(|(other, _)| iou(other, &bbox) < SAME_BOX_IOU)
        {
            boxes.push((bbox, score));
        }
    }
    if boxes.is_empty() {
        // Close-ups show too little of a body: the face tells that somebody is there.
        let faces = find_faces(
            &networks.face_detector,
            &networks.face_mesh,
            photo,
            config.max_people as usize,
        )?;
        let [wide, above, below] = BODY_OVER_FACE;
        boxes.extend(faces.iter().map(|face| {
            let [x0, y0, x1, y1] = face.bbox_in_image;
            let (w, h) = (x1 - x0, y1 - y0);
            let bbox = [
                (x0 - wide * w).max(0.0),
                (y0 - above * h).max(0.0),
                (x1 + wide * w).min(photo.width as f32),
                (y1 + below * h).min(photo.height as f32),
            ];
            (bbox, face.score)
        }));
    }
    Ok(boxes)
}

/// Whether what was found on the coarse view leaves nothing to look for on the fine one: somebody large, and no faint
/// sign of anybody else.
fn is_enough(found: &[([f32; 4], f32)], photo: &Rgb) -> bool {
    let large = LARGE * photo.width.max(photo.height) as f32;
    let is_large = |[x0, y0, x1, y1]: &[f32; 4]| (x1 - x0).max(y1 - y0) >= large;
    !found.is_empty()
        && found
            .iter()
            .all(|(bbox, score)| is_large(bbox) && *score >= CLEAR)
}

/// How sure it is that this is somebody and well found: the centre's score and that of the joints seen.
fn person_score(body: &Body, seed: f32) -> f32 {
    let seen: Vec<f32> = body
        .joints
        .iter()
        .map(|(_, score)| *score)
        .filter(|score| *score >= SEEN)
        .collect();
    if seen.is_empty() {
        return 0.0;
    }
    let mean = seen.iter().sum::<f32>() / seen.len() as f32;
    let share = seen.len() as f32 / BODY_KEYPOINTS as f32;
    seed.max(body.center).max(1e-3).powf(0.25) * mean * share.sqrt()
}

/// Of bodies that are one person the best stays. Best first.
fn one_each(mut people: Vec<(Body, f32)>) -> Vec<(Body, f32)> {
    people.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut kept: Vec<(Body, f32)> = Vec::new();
    for (body, score) in people {
        if kept
            .iter()
            .all(|(other, _)| similarity(other, &body) < SAME_BODY)
        {
            kept.push((body, score));
        }
    }
    kept
}

/// Object keypoint similarity of two found bodies, by the joints that the first was seen with.
fn similarity(a: &Body, b: &Body) -> f32 {
    let points: Vec<[f32; 2]> = a.joints.iter().map(|(point, _)| *point).collect();
    let [x0, y0, x1, y1] = bounds(&points);
    let area = ((x1 - x0) * (y1 - y0)).max(1.0);
    let (mut sum, mut count) = (0.0, 0.0f32);
    for (((p, score), (q, _)), sigma) in a.joints.iter().zip(&b.joints).zip(SIGMAS) {
        if *score >= SEEN {
            let square = (p[0] - q[0]).powi(2) + (p[1] - q[1]).powi(2);
            let variance = (2.0 * sigma as f32).powi(2);
            sum += (-square / variance / area / 2.0).exp();
            count += 1.0;
        }
    }
    sum / count.max(1.0)
}

fn iou(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area = |[x0, y0, x1, y1]: [f32; 4]| (x1 - x0).max(0.0) * (y1 - y0).max(0.0);
    let common = area([
        a[0].max(b[0]),
        a[1].max(b[1]),
        a[2].min(b[2]),
        a[3].min(b[3]),
    ]);
    common / (area(*a) + area(*b) - common).max(1e-6)
}

#[cfg(test)]
#[path = "estimate_tests.rs"]
mod tests;
