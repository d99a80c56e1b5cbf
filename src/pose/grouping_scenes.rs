//! What the grouping network learns from: labelled candidates of real, assembled and imagined scenes.
//!
//! Real: annotated photos, seen at several sizes and mirrored. Assembled: people cut out of annotated photos along
//! their outline and pasted into others. Imagined: poses without pictures put side by side, with candidates made up
//! by a [`Noise`] that is measured on real ones; these have no features. A candidate belongs to a person, is
//! spurious, or is not judged (a second peak at a joint, someone without labels).

use rand::Rng;
use rand::rngs::SmallRng;
use serde::{Deserialize, Serialize};

use super::candidates::{Candidate, Centre, Proposal};
use super::keypoints::{BODY_KEYPOINTS, MIRRORED, Person, SIGMAS};
use super::metrics::Truth;
use crate::people::movenet::FEATURES;
use crate::people::multipose::JOINTS;
use crate::raster::Similarity;

/// A candidate this similar to a labelled joint may be it.
const MIN_SIMILARITY: f64 = 0.4;
/// A candidate this similar to a joint that another candidate stands for is not judged.
const NEAR_SIMILARITY: f64 = 0.2;

/// Whose joint a candidate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Label {
    Person(usize),
    Spurious,
    Unjudged,
}

/// A scene with its labels.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LabelledScene {
    pub proposal: Proposal,
    pub labels: Vec<Label>,
    /// The labelled people, in pixels of the view.
    pub truth: Vec<Truth>,
    /// Whether the candidates come from a picture.
    pub is_seen: bool,
    /// MultiPose's own decoding, in photo pixels; of photos seen as they are.
    pub native: Vec<Person>,
    /// The same of all looks together.
    pub native_looks: Vec<Person>,
}

fn labelled(truth: &Truth, joint: usize) -> Option<[f64; 2]> {
    let [x, y, visibility] = truth.keypoints.get(joint).copied()?;
    (visibility > 0.0).then_some([x, y])
}

/// Whether a person has labels to learn from.
pub fn counts(truth: &Truth) -> bool {
    !truth.crowd && (0..BODY_KEYPOINTS).any(|joint| labelled(truth, joint).is_some())
}

fn similarity(candidate: &Candidate, truth: &Truth) -> f64 {
    let Some([x, y]) = labelled(truth, candidate.joint) else {
        return 0.0;
    };
    let (dx, dy) = (
        f64::from(candidate.at[0]) - x,
        f64::from(candidate.at[1]) - y,
    );
    let spread = 2.0 * SIGMAS.get(candidate.joint).copied().unwrap_or(0.1);
    (-(dx * dx + dy * dy) / (2.0 * spread * spread * truth.area.max(1.0))).exp()
}

fn is_within([x, y]: [f32; 2], [left, top, width, height]: [f64; 4]) -> bool {
    let (x, y) = (f64::from(x), f64::from(y));
    let (mx, my) = (0.1 * width, 0.1 * height);
    x > left - mx && x < left + width + mx && y > top - my && y < top + height + my
}

/// Whose joint each candidate is.
pub fn label(proposal: &Proposal, truth: &[Truth]) -> Vec<Label> {
    let candidates = &proposal.candidates;
    let mut labels = vec![Label::Spurious; candidates.len()];
    for (candidate, label) in candidates.iter().zip(&mut labels) {
        let unjudged = truth.iter().any(|t| {
            let near = similarity(candidate, t) >= NEAR_SIMILARITY;
            // Nobody says whether this is where it should be.
            let unknown = labelled(t, candidate.joint).is_none() && is_within(candidate.at, t.bbox);
            near || unknown || (t.crowd && is_within(candidate.at, t.bbox))
        });
        if unjudged {
            *label = Label::Unjudged;
        }
    }
    // Each joint takes its best candidate, the surest pairs first.
    let mut pairs = Vec::new();
    for (index, candidate) in candidates.iter().enumerate() {
        for (person, t) in truth.iter().enumerate().filter(|(_, t)| counts(t)) {
            let similarity = similarity(candidate, t);
            if similarity >= MIN_SIMILARITY {
                pairs.push((similarity * f64::from(candidate.score), index, person));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut taken = std::collections::BTreeSet::new();
    for (_, index, person) in pairs {
        let free = !matches!(labels[index], Label::Person(_));
        if free && taken.insert((person, candidates[index].joint)) {
            labels[index] = Label::Person(person);
        }
    }
    labels
}

/// People in other coordinates.
pub fn truth_through(truth: &[Truth], there_from_here: &Similarity) -> Vec<Truth> {
    let scale = there_from_here.scale();
    let moved = |t: &Truth| {
        let mut t = t.clone();
        for point in &mut t.keypoints {
            if point[2] > 0.0 {
                let [x, y] = there_from_here.apply([point[0], point[1]]);
                *point = [x, y, point[2]];
            }
        }
        let [x, y] = there_from_here.apply([t.bbox[0], t.bbox[1]]);
        t.bbox = [x, y, t.bbox[2] * scale, t.bbox[3] * scale];
        t.area *= scale * scale;
        t
    };
    truth.iter().map(moved).collect()
}

/// People in a picture mirrored left to right, `width` pixels wide.
pub fn mirrored(truth: &[Truth], width: f64) -> Vec<Truth> {
    let mirror = |t: &Truth| {
        let mut out = t.clone();
        for (slot, &other) in out.keypoints.iter_mut().zip(&MIRRORED) {
            if let Some(&[x, y, v]) = t.keypoints.get(other) {
                *slot = if v > 0.0 { [width - x, y, v] } else { [0.0; 3] };
            }
        }
        out.bbox[0] = width - t.bbox[0] - t.bbox[2];
        out
    };
    truth.iter().map(mirror).collect()
}

/// How real candidates differ from the joints they stand for.
#[derive(Clone, Debug, Default)]
pub struct Noise {
    /// Distance of candidates to their joint, over twice sigma and the square root of the area: a draw of real ones.
    pub jitter: Vec<f32>,
    /// Scores of right and of spurious candidates: draws of real ones.
    pub scores: Vec<f32>,
    pub spurious_scores: Vec<f32>,
    /// Share of labelled joints without a candidate.
    pub missing: f64,
    /// Spurious candidates for each labelled joint.
    pub spurious: f64,
    /// Distance of the expected joint to the joint, over the person's size: a draw of real ones.
    pub expectation: Vec<f32>,
    /// Scores of centres that expect someone right, and the share of people without one.
    pub centre_scores: Vec<f32>,
    pub centre_missing: f64,
}

impl Noise {
    /// Measures it on seen scenes.
    pub fn measure<'a>(scenes: impl Iterator<Item = &'a LabelledScene>) -> Self {
        let mut noise = Self::default();
        let (mut joints, mut found, mut people, mut with_centre) = (0usize, 0usize, 0usize, 0usize);
        for scene in scenes.filter(|scene| scene.is_seen) {
            for (candidate, label) in scene.proposal.candidates.iter().zip(&scene.labels) {
                match label {
                    Label::Person(person) => {
                        found += 1;
                        noise.scores.push(candidate.score);
                        let similarity = similarity(candidate, &scene.truth[*person]);
                        noise
                            .jitter
                            .push((-2.0 * similarity.max(1e-6).ln()).sqrt() as f32);
                    }
                    Label::Spurious => noise.spurious_scores.push(candidate.score),
                    Label::Unjudged => {}
                }
            }
            for truth in scene.truth.iter().filter(|t| counts(t)) {
                people += 1;
                let points: Vec<_> = (0..JOINTS)
                    .filter_map(|joint| Some((joint, labelled(truth, joint)?)))
                    .collect();
                joints += points.len();
                let error = |centre: &Centre| {
                    let errors = points.iter().map(|(joint, [x, y])| {
                        let [ex, ey] = centre.expected[*joint];
                        (ex - *x as f32).hypot(ey - *y as f32) / centre.size()
                    });
                    errors.sum::<f32>() / points.len() as f32
                };
                let nearest = scene.proposal.centres.iter().map(|c| (error(c), c));
                let nearest = nearest.min_by(|a, b| a.0.total_cmp(&b.0));
                if let Some((error, centre)) = nearest.filter(|(error, _)| *error < 0.25) {
                    with_centre += 1;
                    noise.centre_scores.push(centre.score);
                    noise.expectation.push(error);
                }
            }
        }
        noise.missing = 1.0 - found as f64 / joints.max(1) as f64;
        noise.spurious = noise.spurious_scores.len() as f64 / joints.max(1) as f64;
        noise.centre_missing = 1.0 - with_centre as f64 / people.max(1) as f64;
        noise
    }
}

fn draw(values: &[f32], rng: &mut SmallRng) -> f32 {
    match values.len() {
        0 => 0.3,
        n => values[rng.random_range(0..n)],
    }
}

/// A point at `distance` in a random direction.
fn beside([x, y]: [f32; 2], distance: f32, rng: &mut SmallRng) -> [f32; 2] {
    let angle = rng.random_range(0.0..std::f32::consts::TAU);
    [x + distance * angle.cos(), y + distance * angle.sin()]
}

/// Side of an imagined picture, in pixels.
const IMAGINED_PX: f32 = 512.0;

/// Several people side by side and over each other, as MultiPose might see them.
pub fn imagine(poses: &[Truth], noise: &Noise, rng: &mut SmallRng) -> Option<LabelledScene> {
    if poses.is_empty() {
        return None;
    }
    let count = rng.random_range(2..=12);
    let typical = rng.random_range(0.12..0.7) * IMAGINED_PX;
    let mut truth: Vec<Truth> = Vec::new();
    for _ in 0..count {
        let pose = &poses[rng.random_range(0..poses.len())];
        let [left, top, width, height] = pose.bbox;
        let height_px = f64::from(typical * rng.random_range(0.7..1.4));
        let scale = height_px / width.max(height).max(1.0);
        let x = f64::from(rng.random_range(0.0..IMAGINED_PX)) - 0.5 * scale * width;
        let y = f64::from(rng.random_range(0.3..0.7) * IMAGINED_PX) - 0.5 * scale * height;
        let place = Similarity::scale_shift(scale, x - scale * left, y - scale * top);
        let mut person = truth_through(std::slice::from_ref(pose), &place);
        if rng.random_bool(0.5) {
            person = mirrored(&person, 2.0 * x + scale * width);
        }
        // Those in front hide those behind.
        for other in &mut truth {
            let [px, py, pw, ph] = person[0].bbox;
            let core = [px + 0.2 * pw, py + 0.1 * ph, 0.6 * pw, 0.8 * ph];
            for point in other.keypoints.iter_mut().filter(|p| p[2] > 0.0) {
                let inside = point[0] > core[0]
                    && point[0] < core[0] + core[2]
                    && point[1] > core[1]
                    && point[1] < core[1] + core[3];
                if inside && rng.random_bool(0.7) {
                    point[2] = 0.0;
                }
            }
        }
        truth.append(&mut person);
    }
    let mut proposal = Proposal {
        candidates: Vec::new(),
        centres: Vec::new(),
        size_px: (IMAGINED_PX as usize, IMAGINED_PX as usize),
        image_from_view: Similarity::IDENTITY,
    };
    let mut labels = Vec::new();
    let mut add = |joint: usize, at: [f32; 2], score: f32, label: Label| {
        if at.iter().all(|v| (0.0..IMAGINED_PX).contains(v)) {
            proposal.candidates.push(Candidate {
                joint,
                at,
                score,
                features: [0.0; FEATURES],
                votes: Vec::new(),
            });
            labels.push(label);
        }
    };
    let mut centres = Vec::new();
    for (index, person) in truth.iter().enumerate() {
        let [left, top, width, height] = person.bbox.map(|v| v as f32);
        let root = person.area.max(1.0).sqrt() as f32;
        let points: Vec<Option<[f32; 2]>> = (0..JOINTS)
            .map(|joint| labelled(person, joint).map(|p| p.map(|v| v as f32)))
            .collect();
        let error = draw(&noise.expectation, rng);
        let middle = [left + 0.5 * width, top + 0.5 * height];
        let mut expected = [middle; JOINTS];
        for (joint, point) in points.iter().enumerate() {
            let Some(point) = *point else { continue };
            let sigma = SIGMAS.get(joint).copied().unwrap_or(0.1) as f32;
            if !rng.random_bool(noise.missing.clamp(0.0, 0.9)) {
                let at = beside(point, draw(&noise.jitter, rng) * 2.0 * sigma * root, rng);
                add(joint, at, draw(&noise.scores, rng), Label::Person(index));
            }
            if rng.random_bool(noise.spurious.clamp(0.0, 0.9)) {
                // Most false peaks are the same joint's place on the other side of the body, or a neighbour's.
                let other = points[MIRRORED
                    .get(joint)
                    .copied()
                    .unwrap_or(joint)
                    .min(JOINTS - 1)];
                let at = match other.filter(|_| rng.random_bool(0.5)) {
                    Some(other) => beside(other, 0.05 * root, rng),
                    None => beside(point, rng.random_range(0.2..1.2) * root, rng),
                };
                add(
                    joint,
                    at,
                    draw(&noise.spurious_scores, rng),
                    Label::Spurious,
                );
            }
            expected[joint] = beside(point, error * (width * height).sqrt(), rng);
        }
        if !rng.random_bool(noise.centre_missing.clamp(0.0, 0.9)) {
            let wobble = 0.05 * (width * height).sqrt();
            let [x, y] = beside(middle, wobble, rng);
            let (w, h) = (0.5 * width * rng.random_range(0.9..1.1), 0.5 * height);
            centres.push(Centre {
                score: draw(&noise.centre_scores, rng),
                bbox: [x - w, y - h, x + w, y + h],
                expected,
                decoded: expected.map(|place| (place, 0.3)),
            });
        }
    }
    proposal.centres = centres;
    proposal.vote();
    Some(LabelledScene {
        proposal,
        labels,
        truth,
        is_seen: false,
        native: Vec::new(),
        native_looks: Vec::new(),
    })
}
