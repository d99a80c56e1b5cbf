//! Body and feet of people whose boxes are known: the first stage of the zoom-in.
//!
//! MoveNet Thunder finds the 17 joints, once as the photo is and once in a mirror, and from its features the regions of
//! face and hands are guessed (`region_head.rs`). BlazePose, looking at a crop turned so that the torso is upright, adds heels and toes, votes on
//! the joints and tells which way the hands point. It has no small toes; these are placed by [`small_toe`].
//!
//! Left out: the mirrored look at a tighter crop, around the joints found. On 24 photos it was worth less (body AP 0.390) than the
//! same crop in a mirror (0.409; 0.402 with one look).

use candle_core::Result;

use super::keypoints::{BODY_KEYPOINTS, MIRRORED, Part, joint::*};
use super::networks::Networks;
use super::toes::small_toe;
use crate::people::blaze_pose::{self, LANDMARKS};
use crate::people::crop::{Region, in_batches, unit_views, views};
use crate::people::thunder::{self, BodyInCrop};
use crate::raster::Rgb;

/// Side of the first crop over the longer side of the box.
const BOX_MARGIN: f32 = 1.15;
/// Joints below this say nothing about where the person is.
const SEEN: f32 = 0.2;
/// Side of BlazePose's crop over the distance from the hips to the farthest joint (MediaPipe: a circle around the
/// person, then a quarter more).
const BLAZE_MARGIN: f32 = 2.0 * 1.25;
/// How much of a joint comes from BlazePose where both are sure.
const BLAZE_SHARE: f32 = 0.3;

/// A place and how sure the network is of it, 0 to 1.
pub type Scored = ([f32; 2], f32);

/// How Thunder saw a body.
pub struct Look {
    /// [24, cells, cells], plane by plane.
    pub features: Vec<f32>,
    pub cells: usize,
    /// The crop.
    pub region: Region,
}

/// A region for a part network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guess {
    pub region: Region,
    /// 0 to 1: how sure it is that the part network will see its part there.
    pub score: f32,
}

/// What the first stage knows of a person, in photo pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// In COCO's order.
    pub joints: [Scored; BODY_KEYPOINTS],
    /// Left big toe, small toe, heel, then the right ones.
    pub feet: [Scored; 6],
    /// BlazePose's landmarks; scores are its probabilities of being within the crop.
    pub landmarks: [Scored; LANDMARKS],
    /// Score of the person's centre, 0 to 1.
    pub center: f32,
    /// The crop that the joints were found in.
    pub region: Region,
    /// Where the learned head has face, left hand and right hand.
    pub face_guess: Option<Guess>,
    pub hand_guesses: [Option<Guess>; 2],
}

/// Trust in a foot of BlazePose's where Thunder sees no ankle: where legs end at the photo's edge it puts feet elsewhere.
const FOOT_ALONE: f32 = 0.12;

/// BlazePose's landmark for each of COCO's joints.
const FROM_BLAZE: [usize; BODY_KEYPOINTS] = [
    0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28,
];
/// BlazePose's landmarks that are ankle, heel and big toe, left and right.
const BLAZE_FOOT: [[usize; 3]; 2] = [[27, 29, 31], [28, 30, 32]];

/// The people in these boxes (left, top, right, bottom in photo pixels) as Thunder sees them, and the features it saw.
///
/// # Errors
/// When the network fails.
pub fn look_at_boxes(
    networks: &Networks,
    photo: &Rgb,
    boxes: &[[f32; 4]],
) -> Result<Vec<(Body, Look)>> {
    let regions: Vec<Region> = boxes.iter().map(region_of_box).collect();
    look_at(networks, photo, &regions)
}

/// The same for regions.
///
/// # Errors
/// When the network fails.
pub fn look_at(networks: &Networks, photo: &Rgb, regions: &[Region]) -> Result<Vec<(Body, Look)>> {
    in_batches(regions, |batch| {
        let raw = networks
            .thunder
            .forward(&views(photo, batch, thunder::INPUT_PX)?)?;
        let bodies = raw.bodies()?.into_iter().zip(batch).enumerate();
        bodies
            .map(|(index, (body, region))| {
                let look = Look {
                    features: raw.features.get(index)?.flatten_all()?.to_vec1()?,
                    cells: raw.features.dim(3)?,
                    region: *region,
                };
                Ok((of_crop(&body, region), look))
            })
            .collect()
    })
}

/// Looks at the same crops in a mirror and takes the mean of both looks, joint by joint, as each is sure of it; where
/// `is_same` says that the mirror shows somebody else, the first look stays. For each body: whether the mirror confirmed it.
///
/// # Errors
/// When the network fails.
pub fn look_again(
    networks: &Networks,
    photo: &Rgb,
    bodies: &mut [&mut Body],
    is_same: impl Fn(&Body, &Body) -> bool,
) -> Result<Vec<bool>> {
    let regions: Vec<Region> = bodies
        .iter()
        .map(|body| body.region.mirrored(!body.region.mirrored))
        .collect();
    let looks = look_at(networks, photo, &regions)?;
    let confirm = |(body, (other, _)): (&mut &mut Body, &(Body, Look))| {
        let is_confirmed = is_same(body, other);
        if is_confirmed {
            take_mean(body, other);
        }
        is_confirmed
    };
    Ok(bodies.iter_mut().zip(&looks).map(confirm).collect())
}

/// Moves joints to the mean of two looks.
fn take_mean(body: &mut Body, other: &Body) {
    for (joint, (point, score)) in body.joints.iter_mut().zip(other.joints) {
        let share = score / (joint.1 + score).max(1e-6);
        joint.0 = std::array::from_fn(|axis| {
            let own = joint.0[axis];
            own + share * (point[axis] - own)
        });
        joint.1 = 0.5 * (joint.1 + score);
    }
    body.center = 0.5 * (body.center + other.center);
}

/// Adds BlazePose's landmarks and everyone's feet, and lets it have a say about the joints.
///
/// # Errors
/// When a network fails.
pub fn add_feet(networks: &Networks, photo: &Rgb, bodies: &mut [Body]) -> Result<()> {
    let regions: Vec<Region> = bodies
        .iter()
        .map(|body| blaze_region(&body.joints).unwrap_or(body.region.mirrored(false)))
        .collect();
    add_blaze_pose(networks, photo, &regions, bodies)
}

impl Body {
    /// One of which only the joints are known, found in this box.
    pub fn of_joints(joints: [Scored; BODY_KEYPOINTS], bbox: &[f32; 4], center: f32) -> Self {
        Self {
            joints,
            feet: [([0.0; 2], 0.0); 6],
            landmarks: [([0.0; 2], 0.0); LANDMARKS],
            center,
            region: region_of_box(bbox),
            face_guess: None,
            hand_guesses: [None; 2],
        }
    }
}

/// The square that shows the whole box.
fn region_of_box([x0, y0, x1, y1]: &[f32; 4]) -> Region {
    let side = (x1 - x0).max(y1 - y0).max(8.0) * BOX_MARGIN;
    Region::upright([0.5 * (x0 + x1), 0.5 * (y0 + y1)], side)
}

/// Left, top, right, bottom of some points.
pub fn bounds(points: &[[f32; 2]]) -> [f32; 4] {
    points.iter().fold(
        [f32::MAX, f32::MAX, f32::MIN, f32::MIN],
        |[x0, y0, x1, y1], &[x, y]| [x0.min(x), y0.min(y), x1.max(x), y1.max(y)],
    )
}

fn of_crop(body: &BodyInCrop, region: &Region) -> Body {
    let mut joints = [([0.0; 2], 0.0); BODY_KEYPOINTS];
    for (index, slot) in joints.iter_mut().enumerate() {
        // In a mirror left is right.
        let seen = if region.mirrored {
            MIRRORED[index]
        } else {
            index
        };
        let point = region.to_image(thunder::INPUT_PX, body.joints[seen]);
        *slot = (point, body.scores[seen]);
    }
    Body {
        region: *region,
        ..Body::of_joints(joints, &[0.0; 4], body.center)
    }
}

/// Longer side of the joints seen, at least one pixel.
pub fn size_of(joints: &[Scored]) -> f32 {
    let seen: Vec<[f32; 2]> = joints
        .iter()
        .filter(|(_, score)| *score >= SEEN)
        .map(|(point, _)| *point)
        .collect();
    if seen.is_empty() {
        return 1.0;
    }
    let [x0, y0, x1, y1] = bounds(&seen);
    (x1 - x0).max(y1 - y0).max(1.0)
}

/// The middle of two joints if both were seen.
pub fn middle(a: Scored, b: Scored) -> Option<[f32; 2]> {
    (a.1.min(b.1) >= SEEN).then(|| [0.5 * (a.0[0] + b.0[0]), 0.5 * (a.0[1] + b.0[1])])
}

/// BlazePose's crop: around the hips, the torso upright. None if hips or shoulders were not seen.
fn blaze_region(joints: &[Scored; BODY_KEYPOINTS]) -> Option<Region> {
    let hips = middle(joints[LEFT_HIP], joints[RIGHT_HIP])?;
    let shoulders = middle(joints[LEFT_SHOULDER], joints[RIGHT_SHOULDER])?;
    let up = [shoulders[0] - hips[0], shoulders[1] - hips[1]];
    let farthest = joints
        .iter()
        .filter(|(_, score)| *score >= SEEN)
        .map(|([x, y], _)| (x - hips[0]).hypot(y - hips[1]))
        .fold(up[0].hypot(up[1]), f32::max);
    let region = Region::with_up(hips, farthest * BLAZE_MARGIN, up);
    region.is_usable().then_some(region)
}

fn add_blaze_pose(
    networks: &Networks,
    photo: &Rgb,
    regions: &[Region],
    bodies: &mut [Body],
) -> Result<()> {
    let found = in_batches(regions, |batch| {
        let xs = unit_views(photo, batch, blaze_pose::INPUT_PX)?;
        networks.blaze_pose.in_crops(&xs)
    })?;
    for ((pose, region), body) in found.iter().zip(regions).zip(bodies) {
        for (index, slot) in body.landmarks.iter_mut().enumerate() {
            let point = region.to_image(blaze_pose::INPUT_PX, pose.points[index]);
            *slot = (point, pose.present[index] * pose.score);
        }
        vote(body);
        body.feet = feet(body);
    }
    Ok(())
}

/// Lets BlazePose move the joints it agrees on.
fn vote(body: &mut Body) {
    let tolerance = 0.06 * size_of(&body.joints);
    for (joint, index) in body.joints.iter_mut().zip(FROM_BLAZE) {
        let (point, score) = body.landmarks[index];
        let apart = (point[0] - joint.0[0]).hypot(point[1] - joint.0[1]);
        if apart <= tolerance {
            let share = BLAZE_SHARE * score;
            joint.0 = [
                joint.0[0] + share * (point[0] - joint.0[0]),
                joint.0[1] + share * (point[1] - joint.0[1]),
            ];
        }
    }
}

/// Heels and toes by BlazePose, hung on Thunder's ankles.
fn feet(body: &Body) -> [Scored; 6] {
    let ankles = [body.joints[LEFT_ANKLE], body.joints[RIGHT_ANKLE]];
    let tolerance = 0.15 * size_of(&body.joints);
    let distance = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
    // Where BlazePose takes left for right, its feet are swapped to suit the ankles.
    let mismatch = |swap: usize| -> f32 {
        (0..2)
            .map(|side| distance(ankles[side].0, body.landmarks[BLAZE_FOOT[side ^ swap][0]].0))
            .sum()
    };
    let swap = usize::from(mismatch(1) < 0.5 * mismatch(0));
    let across = [
        body.joints[LEFT_HIP].0[0] - body.joints[RIGHT_HIP].0[0],
        body.joints[LEFT_HIP].0[1] - body.joints[RIGHT_HIP].0[1],
    ];
    let mut feet = [([0.0; 2], 0.0); 6];
    for side in 0..2 {
        let [ankle, heel, toe] = BLAZE_FOOT[side ^ swap].map(|index| body.landmarks[index]);
        let (place, seen) = ankles[side];
        // The foot goes where the ankle goes, if both networks mean the same one.
        let shift = [place[0] - ankle.0[0], place[1] - ankle.0[1]];
        let is_agreed = seen >= SEEN && shift[0].hypot(shift[1]) <= tolerance;
        let (shift, trust) = match is_agreed {
            true => (shift, 0.3 + 0.7 * seen.min(1.0)),
            false => ([0.0; 2], FOOT_ALONE),
        };
        let moved = |(point, _): Scored| [point[0] + shift[0], point[1] + shift[1]];
        let score = |(_, present): Scored| present * trust;
        let (big, back) = (moved(toe), moved(heel));
        let outward = if side == 0 {
            across
        } else {
            across.map(|v| -v)
        };
        feet[3 * side] = (big, score(toe));
        feet[3 * side + 1] = (small_toe(big, back, place, outward), 0.9 * score(toe));
        feet[3 * side + 2] = (back, score(heel));
    }
    feet
}

/// Index of the first foot keypoint among the 133.
pub const FIRST_FOOT: usize = Part::Foot.range().start;

#[cfg(test)]
mod tests {
    use super::*;

    fn joints() -> [Scored; BODY_KEYPOINTS] {
        // A person standing, seen from the front, 170 pixels tall.
        let points = [
            [100.0, 15.0],
            [104.0, 12.0],
            [96.0, 12.0],
            [108.0, 14.0],
            [92.0, 14.0],
            [120.0, 40.0],
            [80.0, 40.0],
            [126.0, 70.0],
            [74.0, 70.0],
            [128.0, 98.0],
            [72.0, 98.0],
            [112.0, 95.0],
            [88.0, 95.0],
            [112.0, 135.0],
            [88.0, 135.0],
            [112.0, 172.0],
            [88.0, 172.0],
        ];
        points.map(|point| (point, 0.8))
    }

    fn body() -> Body {
        let mut body = Body {
            landmarks: [([0.0; 2], 0.9); LANDMARKS],
            ..Body::of_joints(joints(), &[20.0, 10.0, 180.0, 180.0], 0.5)
        };
        for (joint, index) in joints().into_iter().zip(FROM_BLAZE) {
            body.landmarks[index] = ([joint.0[0] + 2.0, joint.0[1]], 1.0);
        }
        for (side, x) in [(0, 112.0), (1, 88.0)] {
            let [_, heel, toe] = BLAZE_FOOT[side];
            body.landmarks[heel] = ([x + 2.0, 178.0], 1.0);
            body.landmarks[toe] = ([x + 6.0, 186.0], 1.0);
        }
        body
    }

    #[test]
    fn crops_show_the_whole_person() {
        let region = region_of_box(&[80.0, 0.0, 120.0, 190.0]);
        assert!(region.side > 190.0 && region.center == [100.0, 95.0]);
        let region = blaze_region(&joints()).unwrap();
        assert_eq!(region.center, [100.0, 95.0]);
        assert!(region.side > 2.0 * 80.0 && region.axis[0] > 0.99);
    }

    #[test]
    fn in_a_mirror_left_is_right() {
        let mut crop = BodyInCrop {
            joints: [[0.0; 2]; 17],
            scores: [0.5; 17],
            center: 0.5,
        };
        crop.joints[LEFT_WRIST] = [200.0, 64.0];
        let region = Region::upright([128.0, 128.0], 256.0);
        assert_eq!(of_crop(&crop, &region).joints[LEFT_WRIST].0, [200.0, 64.0]);
        let seen = of_crop(&crop, &region.mirrored(true));
        assert_eq!(seen.joints[RIGHT_WRIST].0, [56.0, 64.0]);
    }

    #[test]
    fn two_looks_meet_where_the_surer_one_is_nearer() {
        let (mut body, mut other) = (body(), body());
        other.joints[LEFT_KNEE] = ([120.0, 143.0], 0.2);
        other.joints[RIGHT_KNEE].1 = 0.0;
        other.center = 0.3;
        take_mean(&mut body, &other);
        let (point, score) = body.joints[LEFT_KNEE];
        let expected = [112.0 + 0.2 * 8.0, 135.0 + 0.2 * 8.0];
        assert!((point[0] - expected[0]).abs() < 1e-4 && (point[1] - expected[1]).abs() < 1e-4);
        assert!((score - 0.5).abs() < 1e-6 && (body.center - 0.4).abs() < 1e-6);
        assert_eq!(body.joints[RIGHT_KNEE], ([88.0, 135.0], 0.4));
        assert_eq!(body.joints[LEFT_HIP], ([112.0, 95.0], 0.8));
    }

    #[test]
    fn feet_hang_on_the_ankles_and_are_swapped_where_needed() {
        let straight = body();
        let found = feet(&straight);
        // BlazePose's ankle lies two pixels to the right of Thunder's, so the foot moves back by two.
        assert_eq!(found[2].0, [112.0, 178.0]);
        assert_eq!(found[0].0, [116.0, 186.0]);
        assert_eq!(found[5].0, [88.0, 178.0]);
        // Small toes are on the outer side.
        assert!(found[1].0[0] > found[0].0[0] && found[4].0[0] < found[3].0[0]);
        let mut swapped = straight.clone();
        for [left, right] in [[27, 28], [29, 30], [31, 32]] {
            swapped.landmarks.swap(left, right);
        }
        assert_eq!(feet(&swapped), found);
        // Legs that end at the photo's edge: no ankle is seen, or BlazePose has it elsewhere.
        let (mut unseen, mut apart) = (straight.clone(), straight.clone());
        unseen.joints[LEFT_ANKLE].1 = 0.05;
        apart.joints[LEFT_ANKLE].0[0] += 60.0;
        for body in [unseen, apart] {
            let found = feet(&body);
            assert!(found[..3].iter().all(|(_, score)| *score <= FOOT_ALONE));
            assert!(found[3..].iter().all(|(_, score)| *score > 0.5));
        }
        let mut voted = straight.clone();
        vote(&mut voted);
        assert!((voted.joints[LEFT_HIP].0[0] - (112.0 + 2.0 * BLAZE_SHARE)).abs() < 1e-4);
    }
}
