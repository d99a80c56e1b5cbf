//! Whole-body pose of everyone in a photo, the steps in order: boxes, bodies, one body for each person, feet, zoom-in.
//!
//! There are two ways to bodies. Top-down, MultiPose's centres give boxes, and Thunder finds the joints in each, once
//! as the photo is and once in a mirror.
//! Bottom-up, MultiPose's keypoint candidates are grouped to people (`grouping.rs`), without any limit to their number.
//! Both together: the boxes of centres and groups go to Thunder, and a group that nobody found there stays as it is.

use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::body::{Body, Scored, add_feet, bounds, look_again, look_at_boxes};
use super::group_people::people_of_groups;
use super::grouping::MAX_CANDIDATES;
use super::keypoints::{BODY_KEYPOINTS, SIGMAS};
use super::looks::{self, Look};
use super::networks::Networks;
use super::zoomnet::{Zoomed, zoom_in};
use crate::job::Out;
use crate::people::find_faces::find_faces;
use crate::people::movenet::STRIDE_PX;
use crate::people::multipose::Seed;
use crate::raster::Rgb;

/// Centres below this are nobody, and so are those whose joints, as MultiPose has them, score less than the second.
const MIN_CENTER: f32 = 0.12;
const MIN_EXPECTED: f32 = 0.1;
/// Sizes at which boxes are looked for, over the one asked for: coarse looks find large people whole, fine ones small
/// people at all.
const SIZES: [f64; 3] = [0.5, 1.0, 2.0];
/// The finest look at most, in pixels: time and memory grow with its square.
const FINEST_PX: usize = 2048;
/// People this large, over the longer side of the photo, and this sure are found as well on a coarse view.
const LARGE: f32 = 0.45;
const CLEAR: f32 = 0.3;
/// What is fainter and lies this far within somebody large is a part of them.
const WITHIN: f32 = 0.7;
/// Boxes that overlap by more than this share are one person, before bodies are known.
const SAME_BOX_IOU: f32 = 0.6;
/// Bodies more similar than this (as OKS has it) are one person.
const SAME_BODY: f32 = 0.55;
/// How much it counts, among several bodies of one person, that MultiPose has the same one in that box.
const AGREEMENT: f32 = 0.3;
/// Joints below this do not count for the score of a person.
const SEEN: f32 = 0.1;
/// A person found by the face alone: the box over the face's.
const BODY_OVER_FACE: [f32; 3] = [1.5, 0.6, 6.0];
/// Candidate people of one photo that are looked at, over those that are wanted.
const CANDIDATES: usize = 2;

/// Trust in joints as MultiPose has them, over those that Thunder found.
const EXPECTED_ALONE: f32 = 0.8;
/// Groups below this are nobody.
const MIN_GROUP: f32 = 0.1;
/// Trust in a group that no other way found, over that in a body found in a box.
const GROUP_ALONE: f32 = 0.5;

/// The way to bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// A box for each person, and a network for one person in each box
    #[default]
    TopDown,
    /// Keypoints of the whole photo, grouped to people
    BottomUp,
    /// Groups and centres give the boxes; groups that are left over stay
    Both,
}

/// What to look for.
#[derive(Args, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoseConfig {
    /// How bodies are found
    #[arg(long, value_enum, default_value_t)]
    pub method: Method,

    /// Longer side of the photo, in pixels, as people are looked for, and half and twice that: more finds smaller people
    /// and takes longer
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
            method: Method::default(),
            detector_px: 512,
            max_people: 30,
            min_score: 0.1,
        }
    }
}

/// Seconds that each stage took, by name, in order.
pub type Stages = Vec<(&'static str, f64)>;

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
    detect_in_stages(networks, photo, config, out, &mut Stages::new())
}

/// The same; adds how long each stage took.
///
/// # Errors
/// When a network fails, or `out` cancels.
pub fn detect_in_stages<T>(
    networks: &Networks,
    photo: &Rgb,
    config: &PoseConfig,
    out: &Out<T>,
    stages: &mut Stages,
) -> Result<Vec<Zoomed>> {
    if photo.width == 0 || photo.height == 0 {
        return Ok(Vec::new());
    }
    let bodies = find_bodies(networks, photo, config, &out.part(0.0, 0.4), stages)?;
    let start = Instant::now();
    let (bodies, scores): (Vec<Body>, Vec<f32>) = bodies.into_iter().unzip();
    let mut zoomed = zoom_in(networks, photo, &bodies, &out.part(0.4, 1.0))?;
    stages.push(("faces and hands", start.elapsed().as_secs_f64()));
    for (zoomed, score) in zoomed.iter_mut().zip(scores) {
        zoomed.person.score = score;
    }
    Ok(zoomed)
}

/// Bodies and feet of everyone in a photo, with scores, surest first; adds how long each stage took.
///
/// # Errors
/// When a network fails, or `out` cancels.
pub fn find_bodies<T>(
    networks: &Networks,
    photo: &Rgb,
    config: &PoseConfig,
    out: &Out<T>,
    stages: &mut Stages,
) -> Result<Vec<(Body, f32)>> {
    let mut start = Instant::now();
    let mut over = |name: &'static str| {
        stages.push((name, start.elapsed().as_secs_f64()));
        start = Instant::now();
    };
    out.progress(0.0, "Looking for people")?;
    let places = person_boxes(networks, photo, config)?;
    over("people");
    out.progress(0.4, format!("Bodies of {} candidates", places.len()))?;
    let mut people = match config.method {
        Method::BottomUp => Vec::new(),
        _ => look_at_places(networks, photo, &to_look_at(&places))?,
    };
    add_groups(&mut people, &places, config.method);
    people.retain(|(_, score)| *score >= config.min_score);
    people.truncate(config.max_people as usize);
    over("bodies");
    out.progress(0.8, format!("{} people", people.len()))?;
    let (mut bodies, scores): (Vec<Body>, Vec<f32>) = people.into_iter().unzip();
    add_feet(networks, photo, &mut bodies)?;
    over("feet");
    Ok(bodies.into_iter().zip(scores).collect())
}

/// One body with its score for everyone whom Thunder sees in these places, surest first.
fn look_at_places(networks: &Networks, photo: &Rgb, places: &[&Place]) -> Result<Vec<(Body, f32)>> {
    let boxes: Vec<[f32; 4]> = places.iter().map(|place| place.bbox).collect();
    let looks = look_at_boxes(networks, photo, &boxes)?;
    let mut found = Vec::new();
    for ((mut body, look), place) in looks.into_iter().zip(places) {
        if let Some(head) = &networks.regions {
            head.guess_parts(&look, &mut body)?;
        }
        let agreement = place.joints.map_or(1.0, |joints| {
            let expected = Body::of_joints(joints, &place.bbox, place.score);
            similarity(&body, &expected)
        });
        let score = person_score(&body, place.score);
        let standing = score * (1.0 - AGREEMENT * (1.0 - agreement));
        found.push((body, standing, place.score));
    }
    let mut found = one_each(found, |(body, standing, _)| (body, *standing));
    let mut bodies: Vec<&mut Body> = found.iter_mut().map(|(body, ..)| body).collect();
    let is_same = |a: &Body, b: &Body| similarity(a, b) >= SAME_BODY;
    let is_confirmed = look_again(networks, photo, &mut bodies, is_same)?;
    let people = found.into_iter().zip(is_confirmed);
    let people = people.map(|((body, standing, seed), is_confirmed)| {
        let score = match is_confirmed {
            true => person_score(&body, seed),
            false => standing,
        };
        (body, score)
    });
    let mut people = one_each(people.collect(), |(body, score)| (body, *score));
    // In a crop with several people Thunder may see the neighbour: then MultiPose's joints must do.
    for place in places {
        let Some(joints) = place.joints else { continue };
        let expected = Body::of_joints(joints, &place.bbox, place.score);
        let is_new = |other: &(Body, f32)| similarity(&other.0, &expected) < SAME_BODY;
        if !place.is_group && people.iter().all(is_new) {
            let score = EXPECTED_ALONE * person_score(&expected, place.score);
            people.push((expected, score));
        }
    }
    people.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(people)
}

/// Where somebody may be.
#[derive(Clone, Debug)]
struct Place {
    /// Left, top, right, bottom in photo pixels.
    bbox: [f32; 4],
    /// How sure it is that somebody is there.
    score: f32,
    /// The joints as MultiPose's maps have them; none where a face was all that was found.
    joints: Option<[Scored; BODY_KEYPOINTS]>,
    /// Whether grouping found it.
    is_group: bool,
}

/// Boxes in which somebody may be, the surest first.
fn person_boxes(networks: &Networks, photo: &Rgb, config: &PoseConfig) -> Result<Vec<Place>> {
    let wanted = CANDIDATES * config.max_people as usize;
    let side_px = config.detector_px as usize;
    let (mut found, mut groups, mut ready) = (Vec::new(), Vec::new(), Vec::new());
    if config.method != Method::TopDown {
        let looks = Look::all(&networks.multipose, photo, side_px)?;
        groups = groups_of(networks, &looks)?;
        // The finer first; they are the two coarsest of those below.
        ready.extend(looks.into_iter().filter(|look| !look.is_mirrored));
    }
    if config.method != Method::BottomUp {
        let mut sides_px = SIZES
            .map(|size| ((size * side_px as f64) as usize).min(FINEST_PX))
            .to_vec();
        sides_px.dedup();
        for side_px in sides_px {
            if is_enough(&found, photo) {
                break;
            }
            let look = match ready.pop() {
                Some(look) => look,
                None => Look::plain(&networks.multipose, photo, side_px)?,
            };
            found.extend(places_of_centres(&look, wanted));
        }
    }
    // Where a centre and a group have the same box, the centre's stays, and the group is looked at again afterwards.
    let mut places = without_doubles(found, wanted);
    places.extend(without_doubles(groups, wanted));
    if places.is_empty() {
        // Close-ups show too little of a body: the face tells that somebody is there.
        places = places_of_faces(networks, photo, config.max_people as usize)?;
    }
    Ok(places)
}

/// The places whose boxes Thunder looks at: those of centres, one for each body that MultiPose has there, and groups'
/// where there is no centre's.
fn to_look_at(places: &[Place]) -> Vec<&Place> {
    let (groups, centres): (Vec<&Place>, Vec<&Place>) =
        places.iter().partition(|place| place.is_group);
    let mut alone = Vec::new();
    let mut expected = Vec::new();
    for (index, place) in centres.iter().enumerate() {
        let Some(joints) = place.joints else {
            alone.push(*place);
            continue;
        };
        let body = Body::of_joints(joints, &place.bbox, place.score);
        let score = person_score(&body, place.score);
        if score >= MIN_EXPECTED {
            expected.push((body, score, index));
        }
    }
    let kept = one_each(expected, |(body, score, _)| (body, *score));
    alone.extend(kept.iter().filter_map(|(_, _, index)| centres.get(*index)));
    let is_new = |group: &&Place| {
        let mut centres = centres.iter();
        centres.all(|other| iou(&other.bbox, &group.bbox) < SAME_BOX_IOU)
    };
    alone.extend(groups.into_iter().filter(is_new));
    alone
}

/// Of places that overlap the surest stays; those too small to look at go.
fn without_doubles(mut found: Vec<Place>, count: usize) -> Vec<Place> {
    found.retain(|place| {
        let [x0, y0, x1, y1] = place.bbox;
        x1 - x0 >= 4.0 && y1 - y0 >= 4.0
    });
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Place> = Vec::new();
    for place in found {
        let is_new = kept
            .iter()
            .all(|other| iou(&other.bbox, &place.bbox) < SAME_BOX_IOU);
        if kept.len() < count && (is_new || place.is_group) {
            kept.push(place);
        }
    }
    kept
}

/// The people whose centres one look shows.
fn places_of_centres(look: &Look, wanted: usize) -> Vec<Place> {
    let image_from_view = &look.view.image_from_view;
    let scale = image_from_view.scale() as f32 * STRIDE_PX as f32;
    let seeds = look.planes.seeds(wanted, MIN_CENTER);
    let place = |seed: &Seed| {
        let [top, left, bottom, right] = seed.bbox.map(|v| v * scale);
        let body = look.planes.person(seed, &seeds);
        Place {
            bbox: [left, top, right, bottom],
            score: seed.score,
            joints: Some(body.through(image_from_view).joints),
            is_group: false,
        }
    };
    seeds.iter().map(place).collect()
}

/// The people that grouping finds in several looks.
fn groups_of(networks: &Networks, looks: &[Look]) -> Result<Vec<Place>> {
    let mut proposal = looks::proposal(looks).context("There is nothing to look at")?;
    proposal.limit(MAX_CANDIDATES);
    let grouping = networks.grouper.group(&proposal)?;
    let people = people_of_groups(&proposal, &grouping);
    Ok(people
        .iter()
        .filter(|person| person.score >= MIN_GROUP)
        .map(|person| Place {
            bbox: person.bbox_in_image,
            score: person.score,
            joints: Some(std::array::from_fn(|index| person.get(index))),
            is_group: true,
        })
        .collect())
}

/// Adds the people of groups whom nobody stands for yet.
fn add_groups(people: &mut Vec<(Body, f32)>, places: &[Place], method: Method) {
    let trust = match method {
        Method::TopDown => return,
        Method::BottomUp => 1.0,
        Method::Both => GROUP_ALONE,
    };
    for place in places.iter().filter(|place| place.is_group) {
        let Some(joints) = place.joints else { continue };
        let body = Body::of_joints(joints, &place.bbox, place.score);
        let is_new = people
            .iter()
            .all(|(other, _)| similarity(other, &body) < SAME_BODY);
        if is_new {
            people.push((body, trust * place.score));
        }
    }
    people.sort_by(|a, b| b.1.total_cmp(&a.1));
}

/// Boxes of the bodies that faces suggest.
fn places_of_faces(networks: &Networks, photo: &Rgb, count: usize) -> Result<Vec<Place>> {
    let faces = find_faces(&networks.face_detector, &networks.face_mesh, photo, count)?;
    let [wide, above, below] = BODY_OVER_FACE;
    let places = faces.iter().map(|face| {
        let [x0, y0, x1, y1] = face.bbox_in_image;
        let (w, h) = (x1 - x0, y1 - y0);
        Place {
            bbox: [
                (x0 - wide * w).max(0.0),
                (y0 - above * h).max(0.0),
                (x1 + wide * w).min(photo.width as f32),
                (y1 + below * h).min(photo.height as f32),
            ],
            score: face.score,
            joints: None,
            is_group: false,
        }
    });
    Ok(places.collect())
}

/// Whether what was found on the coarse view leaves nothing to look for on the fine one: one large person, and no faint
/// sign of anybody else. Several large ones may hide another.
fn is_enough(found: &[Place], photo: &Rgb) -> bool {
    let large = LARGE * photo.width.max(photo.height) as f32;
    let is_clear = |place: &&Place| {
        let [x0, y0, x1, y1] = place.bbox;
        (x1 - x0).max(y1 - y0) >= large && place.score >= CLEAR
    };
    let is_part = |place: &Place| {
        let mut clear = found.iter().filter(is_clear);
        place.score < CLEAR && clear.any(|other| share_within(&place.bbox, &other.bbox) >= WITHIN)
    };
    let clear = found.iter().filter(is_clear).count();
    clear == 1 && found.iter().all(|place| is_clear(&place) || is_part(place))
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

/// Of bodies that are one person the best stays. Best first. `of` tells body and score.
fn one_each<T>(mut people: Vec<T>, of: impl Fn(&T) -> (&Body, f32)) -> Vec<T> {
    people.sort_by(|a, b| of(b).1.total_cmp(&of(a).1));
    let mut kept: Vec<T> = Vec::new();
    for person in people {
        let (body, _) = of(&person);
        if kept
            .iter()
            .all(|other| similarity(of(other).0, body) < SAME_BODY)
        {
            kept.push(person);
        }
    }
    kept
}

/// Object keypoint similarity of two found bodies, by the joints that the first was seen with.
pub fn similarity(a: &Body, b: &Body) -> f32 {
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

fn area([x0, y0, x1, y1]: &[f32; 4]) -> f32 {
    (x1 - x0).max(0.0) * (y1 - y0).max(0.0)
}

/// What two boxes have in common.
fn common(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    area(&[
        a[0].max(b[0]),
        a[1].max(b[1]),
        a[2].min(b[2]),
        a[3].min(b[3]),
    ])
}

fn iou(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    common(a, b) / (area(a) + area(b) - common(a, b)).max(1e-6)
}

/// How much of the first box lies within the second.
fn share_within(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    common(a, b) / area(a).max(1e-6)
}

#[cfg(test)]
#[path = "estimate_tests.rs"]
mod tests;
