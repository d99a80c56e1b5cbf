//! The hands of people whose bodies are known: where to look, and the 21 joints of each.
//!
//! For each hand there are several guesses: the learned head's (`region_head.rs`), along the forearm, and where BlazePose
//! has index and little finger. The hand network says of each whether it shows a hand. Where it doubts, the palm
//! detector looks around the wrist for a second opinion. The joints found give a better crop, in which they are found
//! again; left hands are shown in a mirror, so that the network sees right ones only. All hands of all people go through
//! the networks together.

use candle_core::Result;

use super::body::{Body, Guess, Scored, middle};
use super::keypoints::BODY_KEYPOINTS;
use super::keypoints::joint::*;
use super::networks::Networks;
use crate::people::crop::{Region, in_batches, unit_views, views};
use crate::people::hand_landmarks::{INPUT_PX, JOINTS};
use crate::people::palm_detector::Palm;
use crate::raster::Rgb;

/// Side of the palm detector's view in pixels, and over that of a hand's crop.
const PALM_PX: usize = 128;
const PALM_OVER_HAND: f32 = 2.2;
const MIN_PALM_SCORE: f32 = 0.3;
/// The palm detector is asked about hands that score less than the first and that the learned head gives more than the
/// second, if the forearm is this long in the photo.
const ASKED_BELOW: f32 = 0.5;
const ASKED_ABOVE: f32 = 0.15;
const PALM_MIN_SIDE_PX: f32 = 16.0;
/// Palms in one view that are followed.
const MAX_PALMS: usize = 2;
/// A guess of this score ends the search.
const SURE: f32 = 0.85;
/// Guesses that the body makes of where a hand is.
const MAX_GUESSES: usize = 3;
/// Where the learned head believes less than this in a hand, there is one look and no more.
const HOPELESS: f32 = 0.1;
/// People whose hands are searched for as long as it takes, the surest ones, and what makes it worth for others: a
/// score of the hand network, or one of the learned head.
const FEW: usize = 4;
const TRACE: f32 = 0.02;
const NO_DOUBT: f32 = 0.8;
/// Further looks at each hand that scores at least this, and how much the crop must change to be worth one: its middle
/// over its side.
const WORTH_REFINING: f32 = 0.05;
const REFINED: [f32; 2] = [0.05, 0.1];
/// A better crop is used if it scores at least this share of the one before.
const KEPT: f32 = 0.7;
/// Hands nearer to each other than this share of their crop are the same hand.
const SAME_HAND: f32 = 0.15;
/// How fast belief in a hand falls with the distance of its wrist from the arm's, over the forearm.
const WRIST_WEIGHT: f32 = 6.0;
/// Below this the network has not found the hand: a relaxed one is put where the arm ends.
const FOUND: f32 = 0.25;
/// Joints below this are not seen.
const SEEN: f32 = 0.15;
/// Palm and finger joints whose box gives the next crop (MediaPipe's hand tracking), its margin and how far it is
/// moved towards the fingers.
const PALM_JOINTS: [usize; 12] = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18];
const TRACK_SCALE: f32 = 2.0;
const TRACK_SHIFT: f32 = 0.1;
/// The same for the palm detector's box.
const PALM_SCALE: f32 = 2.6;
const PALM_SHIFT: f32 = 0.5;

/// A hand in photo pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoomedHand {
    pub joints: [[f32; 2]; JOINTS],
    /// 0 to 1.
    pub score: f32,
    /// The crop the network saw last.
    pub region: Region,
}

/// An arm: where a hand should be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arm {
    wrist: Scored,
    /// Side of a crop that shows the whole hand.
    side: f32,
    /// From elbow to wrist, over the length that the forearm has in full view; zero if the elbow was not seen.
    direction: [f32; 2],
    is_left: bool,
}

/// Finds left and right hand of each person; none where nothing is known of the arm.
///
/// # Errors
/// When a network fails.
pub fn hands(
    networks: &Networks,
    photo: &Rgb,
    bodies: &[Body],
) -> Result<Vec<[Option<ZoomedHand>; 2]>> {
    let arms: Vec<Option<Arm>> = bodies
        .iter()
        .flat_map(|body| [true, false].map(|is_left| arm(&body.joints, is_left)))
        .collect();
    let mut best: Vec<Option<ZoomedHand>> = vec![None; arms.len()];
    // The second guess is for those whom the first did not convince.
    for number in 0..MAX_GUESSES {
        let guesses: Vec<(usize, Region)> = doubtful(&arms, &best)
            .filter(|(index, _)| number == 0 || !is_hopeless(bodies, *index))
            .filter(|(index, _)| number < 2 || is_worth_it(&best, bodies, *index))
            .filter_map(|(index, arm)| {
                let guess = guesses_of(arm, &bodies[index / 2]).nth(number)?;
                guess.is_usable().then_some((index, guess))
            })
            .collect();
        look(networks, photo, &arms, &guesses, &mut best)?;
    }
    second_opinion(networks, photo, bodies, &arms, &mut best)?;
    for change in REFINED {
        refine(networks, photo, change, &mut best)?;
    }
    let mut pairs = best.as_chunks::<2>().0.to_vec();
    for ((pair, arms), body) in pairs.iter_mut().zip(arms.as_chunks::<2>().0).zip(bodies) {
        doubt(pair, arms);
        for (hand, arm) in pair.iter_mut().zip(arms) {
            if let (Some(hand), Some(arm)) = (hand, arm)
                && hand.score < FOUND
                && let Some(region) = guesses_of(arm, body).find(Region::is_usable)
            {
                *hand = relaxed(&region, hand.score);
            }
        }
    }
    Ok(pairs)
}

/// What the learned head says of a hand: left and right of the first body, then of the next.
fn guess_of(bodies: &[Body], index: usize) -> Option<Guess> {
    bodies.get(index / 2)?.hand_guesses[index % 2]
}

/// Whether the learned head is sure that there is no hand to be seen.
fn is_hopeless(bodies: &[Body], index: usize) -> bool {
    guess_of(bodies, index).is_some_and(|guess| guess.score < HOPELESS)
}

/// Whether it is worth to look on for a hand that was not found so far. For the first people always; in a crowd only
/// where there was a trace of it, or the learned head has no doubt: time is short.
fn is_worth_it(best: &[Option<ZoomedHand>], bodies: &[Body], index: usize) -> bool {
    let trace = best.get(index).and_then(|hand| hand.as_ref());
    index / 2 < FEW
        || trace.is_some_and(|hand| hand.score >= TRACE)
        || guess_of(bodies, index).is_none_or(|guess| guess.score >= NO_DOUBT)
}

/// The region of a hand as the joints suggest it.
pub fn hand_by_rule(joints: &[Scored; BODY_KEYPOINTS], is_left: bool) -> Option<Region> {
    Some(along_forearm(&arm(joints, is_left)?))
}

pub(super) fn arm(joints: &[Scored; BODY_KEYPOINTS], is_left: bool) -> Option<Arm> {
    let pick = |left: usize, right: usize| joints[if is_left { left } else { right }];
    let (wrist, elbow) = (pick(LEFT_WRIST, RIGHT_WRIST), pick(LEFT_ELBOW, RIGHT_ELBOW));
    let shoulder = pick(LEFT_SHOULDER, RIGHT_SHOULDER);
    let apart = |a: Scored, b: Scored| {
        if a.1.min(b.1) >= SEEN {
            (a.0[0] - b.0[0]).hypot(a.0[1] - b.0[1])
        } else {
            0.0
        }
    };
    let torso = match (
        middle(joints[LEFT_SHOULDER], joints[RIGHT_SHOULDER]),
        middle(joints[LEFT_HIP], joints[RIGHT_HIP]),
    ) {
        (Some(s), Some(h)) => (s[0] - h[0]).hypot(s[1] - h[1]),
        _ => 0.0,
    };
    // The length of a forearm in full view, from whatever of the body lies across the line of sight.
    let forearm = [
        apart(wrist, elbow),
        0.85 * apart(elbow, shoulder),
        0.5 * torso,
        0.65 * apart(joints[LEFT_SHOULDER], joints[RIGHT_SHOULDER]),
        1.6 * apart(joints[LEFT_EAR], joints[RIGHT_EAR]),
    ]
    .into_iter()
    .fold(0.0, f32::max);
    let direction = if elbow.1 >= SEEN && forearm > 0.0 {
        [0, 1].map(|axis| (wrist.0[axis] - elbow.0[axis]) / forearm)
    } else {
        [0.0; 2]
    };
    (forearm >= 2.0 && wrist.1 >= 0.02).then_some(Arm {
        wrist,
        side: forearm,
        direction,
        is_left,
    })
}

/// Where the hand is if it goes on as the forearm does.
fn along_forearm(arm: &Arm) -> Region {
    let [dx, dy] = arm.direction;
    let region = if dx.hypot(dy) > 0.1 {
        let center = [0, 1].map(|axis| arm.wrist.0[axis] + 0.35 * arm.side * arm.direction[axis]);
        Region::with_up(center, 1.1 * arm.side, [dx, dy])
    } else {
        Region::upright(arm.wrist.0, 1.3 * arm.side)
    };
    region.mirrored(arm.is_left)
}

/// Where BlazePose's index and little finger have the hand, if it saw them.
pub(super) fn by_fingers(arm: &Arm, body: &Body) -> Option<Region> {
    let [pinky, index, wrist] = if arm.is_left {
        [17, 19, 15]
    } else {
        [18, 20, 16]
    };
    let [pinky, index, wrist] = [pinky, index, wrist].map(|i| body.landmarks[i]);
    if pinky.1.min(index.1).min(wrist.1) < 0.3 {
        return None;
    }
    let palm: [f32; 2] =
        std::array::from_fn(|axis| (2.0 * index.0[axis] + pinky.0[axis]) / 3.0 - wrist.0[axis]);
    let side = (2.6 * palm[0].hypot(palm[1])).clamp(0.7 * arm.side, 1.5 * arm.side);
    let center = std::array::from_fn(|axis| arm.wrist.0[axis] + palm[axis]);
    Some(Region::with_up(center, side, palm).mirrored(arm.is_left))
}

/// Where the hand may be, the best guess first.
fn guesses_of(arm: &Arm, body: &Body) -> impl Iterator<Item = Region> {
    let learned = body.hand_guesses[usize::from(!arm.is_left)].map(|guess| guess.region);
    let guesses = [learned, Some(along_forearm(arm)), by_fingers(arm, body)];
    guesses.into_iter().flatten()
}

/// Shows the network some regions for some hands and keeps the best of each.
pub(super) fn look(
    networks: &Networks,
    photo: &Rgb,
    arms: &[Option<Arm>],
    guesses: &[(usize, Region)],
    best: &mut [Option<ZoomedHand>],
) -> Result<()> {
    let regions: Vec<Region> = guesses.iter().map(|(_, region)| *region).collect();
    for (hand, (index, _)) in run(networks, photo, &regions)?.into_iter().zip(guesses) {
        let (Some(slot), Some(Some(arm))) = (best.get_mut(*index), arms.get(*index)) else {
            continue;
        };
        if slot
            .as_ref()
            .is_none_or(|old| suits(old, arm) < suits(&hand, arm))
        {
            *slot = Some(hand);
        }
    }
    Ok(())
}

/// The arms whose hand is not surely found yet, with their numbers.
fn doubtful<'a>(
    arms: &'a [Option<Arm>],
    best: &'a [Option<ZoomedHand>],
) -> impl Iterator<Item = (usize, &'a Arm)> {
    let arms = arms.iter().zip(best).enumerate();
    arms.filter_map(|(index, (arm, hand))| {
        let arm = arm.as_ref()?;
        let is_sure = hand.as_ref().is_some_and(|hand| suits(hand, arm) >= SURE);
        (!is_sure).then_some((index, arm))
    })
}

/// How well a hand suits an arm: its own score, less the farther its wrist is from the arm's.
fn suits(hand: &ZoomedHand, arm: &Arm) -> f32 {
    let [x, y] = hand.joints[0];
    let apart = (x - arm.wrist.0[0]).hypot(y - arm.wrist.0[1]) / arm.side;
    hand.score * (-WRIST_WEIGHT * apart * apart).exp()
}

fn run(networks: &Networks, photo: &Rgb, regions: &[Region]) -> Result<Vec<ZoomedHand>> {
    in_batches(regions, |batch| {
        let xs = unit_views(photo, batch, INPUT_PX)?;
        let found = networks.hand_landmarks.in_crops(&xs)?.into_iter();
        let hands = found.zip(batch).map(|(hand, region)| ZoomedHand {
            joints: hand.joints.map(|joint| region.to_image(INPUT_PX, joint)),
            // Joints beyond what the network saw are made up.
            score: hand.score * share_inside(&hand.joints),
            region: *region,
        });
        Ok(hands.collect())
    })
}

/// Share of the joints, in pixels of the crop, that lie within it.
fn share_inside(joints: &[[f32; 2]; JOINTS]) -> f32 {
    let crop = 0.0..=INPUT_PX as f32;
    let inside = joints
        .iter()
        .filter(|joint| joint.iter().all(|v| crop.contains(v)));
    inside.count() as f32 / JOINTS as f32
}

/// Asks the palm detector about the hands of which the network is not sure.
pub(super) fn second_opinion(
    networks: &Networks,
    photo: &Rgb,
    bodies: &[Body],
    arms: &[Option<Arm>],
    best: &mut [Option<ZoomedHand>],
) -> Result<()> {
    let views_of: Vec<(usize, Region)> = doubtful(arms, best)
        .filter(|(index, _)| is_worth_it(best, bodies, *index))
        .filter_map(|(index, arm)| {
            let center = std::array::from_fn(|axis| {
                arm.wrist.0[axis] + 0.3 * arm.side * arm.direction[axis]
            });
            let region = Region::upright(center, PALM_OVER_HAND * arm.side);
            let found = best.get(index).and_then(|hand| hand.as_ref());
            let is_found = found.is_some_and(|hand| suits(hand, arm) >= ASKED_BELOW);
            let may_be_seen =
                guess_of(bodies, index).is_none_or(|guess| guess.score >= ASKED_ABOVE);
            let is_large = arm.side >= PALM_MIN_SIDE_PX && arm.wrist.1 >= SEEN;
            (!is_found && may_be_seen && is_large && region.is_usable()).then_some((index, region))
        })
        .collect();
    let regions: Vec<Region> = views_of.iter().map(|(_, region)| *region).collect();
    let palms = in_batches(&regions, |batch| {
        let xs = views(photo, batch, PALM_PX)?;
        networks.palm_detector.in_pictures(&xs, MIN_PALM_SCORE)
    })?;
    let mut guesses = Vec::new();
    for ((index, region), palms) in views_of.iter().zip(palms) {
        let is_left = index % 2 == 0;
        let found = palms
            .iter()
            .take(MAX_PALMS)
            .map(|palm| region_of_palm(palm, region));
        guesses.extend(
            found
                .filter(Region::is_usable)
                .map(|region| (*index, region.mirrored(is_left))),
        );
    }
    look(networks, photo, arms, &guesses, best)
}

/// The crop for a palm found in a view.
fn region_of_palm(palm: &Palm, view: &Region) -> Region {
    let scale = view.side / PALM_PX as f32;
    let point = |p: [f32; 2]| view.to_image(PALM_PX, p);
    let (wrist, finger) = (point(palm.keypoints[0]), point(palm.keypoints[2]));
    let up = [finger[0] - wrist[0], finger[1] - wrist[1]];
    let [x0, y0, x1, y1] = palm.bbox;
    let size = (x1 - x0).max(y1 - y0) * scale;
    let middle = point([0.5 * (x0 + x1), 0.5 * (y0 + y1)]);
    shifted(middle, up, PALM_SHIFT * size, PALM_SCALE * size)
}

fn shifted(center: [f32; 2], up: [f32; 2], by: f32, side: f32) -> Region {
    let length = up[0].hypot(up[1]).max(1e-6);
    let center = std::array::from_fn(|axis| center[axis] + by * up[axis] / length);
    Region::with_up(center, side, up)
}

/// The crop that suits the joints of a hand.
pub(super) fn region_of_joints(joints: &[[f32; 2]; JOINTS]) -> Region {
    let [wrist, index, middle, ring] = [0, 5, 9, 13].map(|i| joints[i]);
    let knuckles: [f32; 2] =
        std::array::from_fn(|axis| 0.25 * (index[axis] + ring[axis]) + 0.5 * middle[axis]);
    let up = [knuckles[0] - wrist[0], knuckles[1] - wrist[1]];
    let upright = Region::with_up([0.0; 2], 1.0, up);
    let [ax, ay] = upright.axis;
    let turned = PALM_JOINTS.map(|i| {
        let [x, y] = joints[i];
        [x * ax + y * ay, y * ax - x * ay]
    });
    let [x0, y0, x1, y1] = super::body::bounds(&turned);
    let (cx, cy) = (0.5 * (x0 + x1), 0.5 * (y0 + y1));
    let center = [cx * ax - cy * ay, cx * ay + cy * ax];
    let size = (x1 - x0).max(y1 - y0);
    shifted(center, up, TRACK_SHIFT * (y1 - y0), TRACK_SCALE * size)
}

/// Looks again at every hand whose joints suggest a crop that differs by more than `change`.
pub(super) fn refine(
    networks: &Networks,
    photo: &Rgb,
    change: f32,
    best: &mut [Option<ZoomedHand>],
) -> Result<()> {
    let better: Vec<(usize, Region)> = best
        .iter()
        .enumerate()
        .filter_map(|(index, hand)| {
            let hand = hand.as_ref()?;
            if hand.score < WORTH_REFINING {
                return None;
            }
            let region = region_of_joints(&hand.joints).mirrored(hand.region.mirrored);
            let old = &hand.region;
            let moved = (region.center[0] - old.center[0]).hypot(region.center[1] - old.center[1]);
            let turned = region.axis[0] * old.axis[0] + region.axis[1] * old.axis[1];
            let is_new = moved > change * old.side
                || (region.side / old.side).ln().abs() > 2.0 * change
                || turned < 1.0 - 0.6 * change;
            let is_sane = (0.4..2.5).contains(&(region.side / old.side));
            (is_new && is_sane && region.is_usable()).then_some((index, region))
        })
        .collect();
    let regions: Vec<Region> = better.iter().map(|(_, region)| *region).collect();
    for (hand, (index, _)) in run(networks, photo, &regions)?.into_iter().zip(&better) {
        if let Some(Some(old)) = best.get_mut(*index)
            && hand.score >= KEPT * old.score
        {
            *old = hand;
        }
    }
    Ok(())
}

/// A hand half closed, seen from its back, in a crop of side 1 with the thumb to the left: what most hands look like
/// that are too small or too hidden to be found.
const RELAXED: [[f32; 2]; JOINTS] = [
    [0.50, 0.80],
    [0.57, 0.75],
    [0.62, 0.67],
    [0.64, 0.59],
    [0.64, 0.53],
    [0.57, 0.55],
    [0.59, 0.46],
    [0.59, 0.41],
    [0.58, 0.37],
    [0.51, 0.54],
    [0.52, 0.44],
    [0.52, 0.39],
    [0.51, 0.36],
    [0.46, 0.55],
    [0.46, 0.46],
    [0.46, 0.41],
    [0.46, 0.38],
    [0.41, 0.57],
    [0.40, 0.50],
    [0.40, 0.46],
    [0.41, 0.43],
];

/// The relaxed hand in this region.
fn relaxed(region: &Region, score: f32) -> ZoomedHand {
    let view = INPUT_PX as f32;
    ZoomedHand {
        joints: RELAXED.map(|[x, y]| region.to_image(INPUT_PX, [x * view, y * view])),
        score,
        region: *region,
    }
}

/// Lowers the score of hands that are far from their wrist, and of the worse of two that are one and the same.
pub(super) fn doubt(pair: &mut [Option<ZoomedHand>; 2], arms: &[Option<Arm>; 2]) {
    for (hand, arm) in pair.iter_mut().zip(arms) {
        if let (Some(hand), Some(arm)) = (hand, arm) {
            hand.score = suits(hand, arm);
        }
    }
    if let [Some(left), Some(right)] = pair {
        let apart: f32 = left
            .joints
            .iter()
            .zip(&right.joints)
            .map(|(a, b)| (a[0] - b[0]).hypot(a[1] - b[1]))
            .sum::<f32>()
            / JOINTS as f32;
        if apart < SAME_HAND * left.region.side.max(right.region.side) {
            let worse = if left.score < right.score {
                left
            } else {
                right
            };
            worse.score *= 0.2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An open hand pointing up, wrist at the origin, 100 long.
    fn hand() -> [[f32; 2]; JOINTS] {
        let mut joints = [[0.0; 2]; JOINTS];
        for finger in 0..5 {
            for bone in 0..4 {
                let x = -30.0 + 15.0 * finger as f32;
                joints[1 + 4 * finger + bone] = [x, -45.0 - 18.0 * bone as f32];
            }
        }
        joints
    }

    #[test]
    fn the_next_crop_holds_the_hand_whichever_way_it_points() {
        for angle in [0.0f32, 1.0, 2.5, -2.0] {
            let (sin, cos) = angle.sin_cos();
            let turned =
                hand().map(|[x, y]| [x * cos - y * sin + 300.0, x * sin + y * cos + 200.0]);
            let region = region_of_joints(&turned);
            assert!((region.axis[0] - cos).abs() < 0.2 && (region.axis[1] - sin).abs() < 0.2);
            let inverse = region.image_from_view(224).inverse();
            for [x, y] in turned {
                let [u, v] = inverse.apply([f64::from(x), f64::from(y)]);
                assert!(
                    (0.0..224.0).contains(&u) && (0.0..224.0).contains(&v),
                    "{angle} {u} {v}"
                );
            }
        }
    }

    fn zoomed(x: f32, score: f32) -> Option<ZoomedHand> {
        Some(ZoomedHand {
            joints: hand().map(|[u, v]| [u + x, v]),
            score,
            region: Region::upright([x, -50.0], 120.0),
        })
    }

    #[test]
    fn hands_that_lie_beyond_their_crop_are_doubted() {
        let inside = hand().map(|[x, y]| [112.0 + x, 200.0 + y]);
        assert_eq!(share_inside(&inside), 1.0);
        // Moved until the fingers, half of the joints, are cut off at most.
        let cut = inside.map(|[x, y]| [x, y - 130.0]);
        assert!(
            (0.2..0.7).contains(&share_inside(&cut)),
            "{}",
            share_inside(&cut)
        );
    }

    #[test]
    fn one_hand_is_not_two_and_far_hands_are_doubted() {
        let arm = |x: f32| {
            Some(Arm {
                wrist: ([x, 0.0], 0.9),
                side: 100.0,
                direction: [0.0, -1.0],
                is_left: true,
            })
        };
        let mut pair = [zoomed(0.0, 0.9), zoomed(3.0, 0.8)];
        doubt(&mut pair, &[arm(0.0), arm(0.0)]);
        let scores = pair.map(|hand| hand.unwrap().score);
        assert!(scores[0] > 0.85 && scores[1] < 0.2, "{scores:?}");
        let relaxed = relaxed(&Region::with_up([50.0, 50.0], 100.0, [0.0, -1.0]), 0.1);
        assert!((relaxed.joints[0][1] - 80.0).abs() < 0.01 && relaxed.score == 0.1);
        let mut pair = [zoomed(0.0, 0.9), zoomed(300.0, 0.8)];
        doubt(&mut pair, &[arm(0.0), arm(150.0)]);
        assert!(pair[1].as_ref().unwrap().score < 0.02);
    }
}
