//! The zoom-in: whole bodies of people whose boxes are known.
//!
//! After ZoomNet (Jin et al. 2020, "Whole-Body Human Pose Estimation in the Wild", section 4): body and feet first, from
//! these the regions of face and hands, then a network of its own for each region, looking at the original photo as
//! closely as it goes. A learned head has corners and centre of each region (`region_head.rs`), as in ZoomNet; where the
//! part network does not accept what it sees there, rules and detectors give a second opinion (`face_region.rs`,
//! `hand_region.rs`).

use anyhow::Result;
use rayon::prelude::*;

use super::body::{Body, FIRST_FOOT};
use super::face_region::{ZoomedFace, face};
use super::hand_region::{ZoomedHand, hands};
use super::keypoints::{KEYPOINTS, Part, Person};
use super::networks::Networks;
use crate::job::Out;
use crate::people::crop::Region;
use crate::raster::Rgb;

/// Part points never score less: a place that was guessed is better than none.
const LEAST_SCORE: f32 = 0.01;

/// A person and what the networks looked at to find it.
#[derive(Clone, Debug, PartialEq)]
pub struct Zoomed {
    pub person: Person,
    /// What the face, left hand and right hand networks saw; none where there was nothing to look at.
    pub face_region: Option<Region>,
    pub hand_regions: [Option<Region>; 2],
}

/// Adds faces and hands to bodies. `out` learns of progress and may cancel.
///
/// # Errors
/// When a network fails, or `out` cancels.
pub fn zoom_in<T>(
    networks: &Networks,
    photo: &Rgb,
    bodies: &[Body],
    out: &Out<T>,
) -> Result<Vec<Zoomed>> {
    out.progress(0.0, format!("Faces and hands of {}", bodies.len()))?;
    let (hands, faces) = rayon::join(
        || hands(networks, photo, bodies),
        || {
            let faces = bodies.par_iter().map(|body| face(networks, photo, body));
            faces.collect::<candle_core::Result<Vec<_>>>()
        },
    );
    let parts = hands?.into_iter().zip(faces?);
    out.progress(1.0, "Whole bodies")?;
    Ok(bodies
        .iter()
        .zip(parts)
        .map(|(body, (hands, face))| {
            let mut zoomed = joined(body, face, hands);
            doubt_outside(&mut zoomed.person, photo.width, photo.height);
            zoomed
        })
        .collect())
}

fn joined(body: &Body, face: Option<ZoomedFace>, hands: [Option<ZoomedHand>; 2]) -> Zoomed {
    let mut person = Person::new([0.0; 4], body.center);
    for (index, (point, score)) in body.joints.iter().enumerate() {
        person.set(index, *point, *score);
    }
    for (index, (point, score)) in body.feet.iter().enumerate() {
        person.set(FIRST_FOOT + index, *point, score.max(LEAST_SCORE));
    }
    // Where nothing was looked for, a place all the same: the nose for the face, the wrist for a hand.
    let mut fill = |part: Part, points: Option<(&[[f32; 2]], f32)>, instead: [f32; 2]| {
        for (offset, index) in part.range().enumerate() {
            let (point, score) = match points {
                Some((points, score)) => (points.get(offset).copied().unwrap_or(instead), score),
                None => (instead, LEAST_SCORE),
            };
            person.set(index, point, score.max(LEAST_SCORE));
        }
    };
    let nose = body.joints[0].0;
    let found = face.as_ref().map(|f| (f.points.as_slice(), f.score));
    fill(Part::Face, found, nose);
    for ((part, wrist), hand) in [(Part::LeftHand, 9), (Part::RightHand, 10)]
        .into_iter()
        .zip(&hands)
    {
        let found = hand.as_ref().map(|h| (h.joints.as_slice(), h.score));
        fill(part, found, body.joints[wrist].0);
    }
    person.bbox_in_image = seen_bounds(&person);
    Zoomed {
        person,
        face_region: face.map(|f| f.region),
        hand_regions: hands.map(|hand| hand.map(|h| h.region)),
    }
}

/// Beyond the border of the photo a network only extrapolates: such points stay, but nobody has seen them.
fn doubt_outside(person: &mut Person, width: usize, height: usize) {
    for index in 0..KEYPOINTS {
        let ([x, y], score) = person.get(index);
        let is_inside = x >= 0.0 && y >= 0.0 && x <= width as f32 && y <= height as f32;
        if !is_inside {
            person.set(index, [x, y], score.min(LEAST_SCORE));
        }
    }
    person.bbox_in_image = seen_bounds(person);
}

/// Left, top, right, bottom of the points that were seen; of all if none was.
fn seen_bounds(person: &Person) -> [f32; 4] {
    let points = |least: f32| -> Vec<[f32; 2]> {
        (0..KEYPOINTS)
            .map(|index| person.get(index))
            .filter(|(_, score)| *score >= least)
            .map(|(point, _)| point)
            .collect()
    };
    let seen = points(0.2);
    super::body::bounds(&if seen.is_empty() { points(0.0) } else { seen })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_have_all_keypoints_even_where_nothing_was_found() {
        let mut body = Body {
            feet: [([7.0, 90.0], 0.4); 6],
            ..Body::of_joints([([5.0, 6.0], 0.5); 17], &[0.0; 4], 0.3)
        };
        body.joints[10] = ([50.0, 60.0], 0.5);
        let right = ZoomedHand {
            joints: [[51.0, 61.0]; 21],
            score: 0.9,
            region: Region::upright([51.0, 61.0], 20.0),
        };
        let zoomed = joined(&body, None, [None, Some(right)]);
        let person = &zoomed.person;
        assert_eq!(person.get(22), ([7.0, 90.0], 0.4));
        assert_eq!(person.get(30), ([5.0, 6.0], LEAST_SCORE));
        assert_eq!(person.get(91), ([5.0, 6.0], LEAST_SCORE));
        assert_eq!(person.get(132), ([51.0, 61.0], 0.9));
        assert_eq!(person.bbox_in_image, [5.0, 6.0, 51.0, 90.0]);
        assert!(zoomed.hand_regions[1].is_some() && zoomed.face_region.is_none());
        let mut person = zoomed.person.clone();
        doubt_outside(&mut person, 60, 80);
        assert_eq!(person.get(22), ([7.0, 90.0], LEAST_SCORE));
        assert_eq!(person.get(132).1, 0.9);
        assert_eq!(person.bbox_in_image[3], 61.0);
    }
}
