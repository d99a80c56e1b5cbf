//! What the region head learns from: where the part networks themselves accept a face or a hand.
//!
//! Nobody labelled the regions. For each person in a photo the part networks look at many crops around the places that
//! rules and detectors suggest, far more than time allows when poses are wanted, and keep what they like best. Bodies
//! are seen in many slightly different crops, so that the head learns from features as Thunder may have them.

use anyhow::Result;
use rand::Rng as _;
use rand::rngs::SmallRng;
use serde::{Deserialize, Serialize};

use super::body::{Body, look_at};
use super::estimate::{PoseConfig, Stages, find_bodies, similarity};
use super::face_region::{by_detector, face_by_rule};
use super::hand_region::{
    Arm, ZoomedHand, arm, by_fingers, doubt, hand_by_rule, look, refine, region_of_joints,
    second_opinion,
};
use super::networks::Networks;
use super::region_head::{OUTPUTS, PartKind, inputs, target};
use crate::job::Out;
use crate::people::crop::Region;
use crate::people::face_landmarks::region_around;
use crate::raster::Rgb;

/// One part of one person, seen once.
#[derive(Clone, Serialize, Deserialize)]
pub struct Sample {
    pub kind: PartKind,
    /// Number of the photo.
    pub photo: usize,
    pub inputs: Vec<f32>,
    /// The region by rule.
    pub frame: Region,
    /// The right one; `None` where there is nothing to be seen.
    pub right: Option<Region>,
    /// Whether the body was seen as it is when poses are found.
    pub is_plain: bool,
}

impl Sample {
    /// Corners and centre of the right region, as the head should give them.
    pub fn target(&self) -> Option<[f32; OUTPUTS - 1]> {
        Some(target(&self.right?, &self.frame))
    }
}

/// Parts that score more are accepted; less than the second, there is nothing.
const ACCEPTED: f32 = 0.5;
const REJECTED: f32 = 0.15;
/// Crops tried around each suggestion: their sides over its own, and how far they are turned.
const SCALES: [f32; 3] = [0.75, 1.0, 1.3];
const TURNS: [f32; 3] = [-0.6, 0.0, 0.6];
/// The bodies' crops vary by so much: their side, and their middle over it.
const SCALE_SPREAD: f32 = 0.22;
const SHIFT_SPREAD: f32 = 0.08;
/// A look that finds somebody less alike has found another.
const SAME_BODY: f32 = 0.5;

/// What is right: a region, nothing to be seen, or nobody knows.
#[derive(Clone, Copy)]
enum Verdict {
    Region(Region),
    Nothing,
    Unknown,
}

impl Verdict {
    fn of(region: Option<Region>, score: f32) -> Self {
        match region.filter(Region::is_usable) {
            Some(region) if score >= ACCEPTED => Self::Region(region),
            _ if score < REJECTED => Self::Nothing,
            _ => Self::Unknown,
        }
    }
}

/// The samples of a photo with this number: each of its people, seen `looks` times.
///
/// # Errors
/// When a network fails.
pub fn samples(
    networks: &Networks,
    (number, photo): (usize, &Rgb),
    looks: usize,
    rng: &mut SmallRng,
) -> Result<Vec<Sample>> {
    let quiet = Out::<()>::silent();
    let config = PoseConfig::default();
    let bodies = find_bodies(networks, photo, &config, &quiet, &mut Stages::new())?;
    let mut samples = Vec::new();
    for (body, _) in &bodies {
        let face = face_verdict(networks, photo, body)?;
        let hands = hand_verdicts(networks, photo, body)?;
        let regions: Vec<Region> = (0..looks.max(1))
            .map(|index| match index {
                0 => body.region,
                _ => varied(&body.region, rng),
            })
            .collect();
        for (index, (seen, look)) in look_at(networks, photo, &regions)?.into_iter().enumerate() {
            if similarity(body, &seen) < SAME_BODY {
                continue;
            }
            let mut add = |kind, verdict: Verdict, frame: Option<Region>| -> Result<()> {
                let right = match verdict {
                    Verdict::Region(region) => Some(region),
                    Verdict::Nothing => None,
                    Verdict::Unknown => return Ok(()),
                };
                let Some(frame) = frame.filter(Region::is_usable) else {
                    return Ok(());
                };
                samples.push(Sample {
                    kind,
                    photo: number,
                    inputs: inputs(&look, &seen.joints, &frame)?,
                    frame,
                    right,
                    is_plain: index == 0,
                });
                Ok(())
            };
            add(PartKind::Face, face, face_by_rule(&seen.joints))?;
            for (verdict, is_left) in hands.into_iter().zip([true, false]) {
                add(PartKind::Hand, verdict, hand_by_rule(&seen.joints, is_left))?;
            }
        }
    }
    Ok(samples)
}

/// The region, moved and scaled a little; every other time in a mirror.
fn varied(region: &Region, rng: &mut SmallRng) -> Region {
    let mut off = |spread: f32| rng.random_range(-spread..=spread);
    let side = region.side * off(SCALE_SPREAD).exp();
    let center = region.center.map(|v| v + off(SHIFT_SPREAD) * region.side);
    Region {
        center,
        side,
        ..*region
    }
    .mirrored(rng.random_bool(0.5))
}

fn face_verdict(networks: &Networks, photo: &Rgb, body: &Body) -> Result<Verdict> {
    let found = by_detector(networks, photo, body, true)?;
    Ok(found.map_or(Verdict::Nothing, |(mesh, score)| {
        Verdict::of(region_around(&mesh.points_in_image), score)
    }))
}

/// Left and right hand, after a long search.
fn hand_verdicts(networks: &Networks, photo: &Rgb, body: &Body) -> Result<[Verdict; 2]> {
    let arms: [Option<Arm>; 2] = [true, false].map(|is_left| arm(&body.joints, is_left));
    let mut tries = Vec::new();
    for (index, arm) in arms.iter().enumerate() {
        let Some(arm) = arm else { continue };
        let suggested = [
            hand_by_rule(&body.joints, index == 0),
            by_fingers(arm, body),
        ];
        for region in suggested.into_iter().flatten() {
            for scale in SCALES {
                for turn in TURNS {
                    tries.push((index, turned(&region, scale, turn)));
                }
            }
        }
    }
    tries.retain(|(_, region)| region.is_usable());
    let mut best: Vec<Option<ZoomedHand>> = vec![None; arms.len()];
    look(networks, photo, &arms, &tries, &mut best)?;
    second_opinion(
        networks,
        photo,
        std::slice::from_ref(body),
        &arms,
        &mut best,
    )?;
    for _ in 0..2 {
        refine(networks, photo, 0.0, &mut best)?;
    }
    let mut pair: [Option<ZoomedHand>; 2] = std::array::from_fn(|index| best[index].take());
    doubt(&mut pair, &arms);
    Ok(pair.map(|hand| match hand {
        None => Verdict::Nothing,
        Some(hand) => {
            let region = region_of_joints(&hand.joints).mirrored(hand.region.mirrored);
            Verdict::of(Some(region), hand.score)
        }
    }))
}

fn turned(region: &Region, scale: f32, turn: f32) -> Region {
    let (sin, cos) = turn.sin_cos();
    let [a, b] = region.axis;
    Region {
        side: scale * region.side,
        axis: [a * cos - b * sin, a * sin + b * cos],
        ..*region
    }
}
