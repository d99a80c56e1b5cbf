//! The face of a person whose body is known: where to look, and the 68 points.
//!
//! Nose, eyes and ears say where the head is and how large. The face detector looks there for the face; the face mesh
//! is laid on what it finds, or on what the joints suggest where it finds nothing, and the surer one is kept. The 68
//! points are those of the mesh that lie where iBUG's are (the table is that of PeizhiYan/Mediapipe_2_Dlib_Landmarks,
//! MIT), with lips and eyes refined by the mesh network's own branches.

use candle_core::Result;

use super::body::{Body, Scored, middle};
use super::keypoints::joint::*;
use super::networks::Networks;
use crate::people::crop::{Region, views};
use crate::people::face_detector::Detection;
use crate::people::face_landmarks::{Mesh, region_around, region_of};
use crate::raster::Rgb;

/// Points of a face, as iBUG's 68 and as COCO-WholeBody's keypoints 23 to 90.
pub const POINTS: usize = 68;

/// Mesh vertices whose mean is each point; the same one twice where one lies on it.
const FROM_MESH: [[usize; 2]; POINTS] = [
    [127, 127],
    [234, 234],
    [93, 93],
    [132, 58],
    [58, 172],
    [136, 136],
    [150, 150],
    [176, 176],
    [152, 152],
    [400, 400],
    [379, 379],
    [365, 365],
    [397, 288],
    [361, 361],
    [323, 323],
    [454, 454],
    [356, 356],
    [70, 70],
    [63, 63],
    [105, 105],
    [66, 66],
    [107, 107],
    [336, 336],
    [296, 296],
    [334, 334],
    [293, 293],
    [300, 300],
    [168, 6],
    [197, 195],
    [5, 5],
    [4, 4],
    [75, 75],
    [97, 97],
    [2, 2],
    [326, 326],
    [305, 305],
    [33, 33],
    [160, 160],
    [158, 158],
    [133, 133],
    [153, 153],
    [144, 144],
    [362, 362],
    [385, 385],
    [387, 387],
    [263, 263],
    [373, 373],
    [380, 380],
    [61, 61],
    [39, 39],
    [37, 37],
    [0, 0],
    [267, 267],
    [269, 269],
    [291, 291],
    [321, 321],
    [314, 314],
    [17, 17],
    [84, 84],
    [91, 91],
    [78, 78],
    [82, 82],
    [13, 13],
    [312, 312],
    [308, 308],
    [317, 317],
    [14, 14],
    [87, 87],
];

/// Side of the detector's view over the size of the head, and in pixels.
const SEARCH_OVER_HEAD: f32 = 3.0;
const SEARCH_PX: usize = 128;
/// Cells of the detector below this are no candidates.
const MIN_SCORE: f32 = 0.25;
/// A detection of this score needs no comparison with what the joints suggest.
const SURE: f32 = 0.6;
/// Where the learned head believes less than this in a face, nobody looks for it: it is turned away.
const HOPELESS: f32 = 0.1;
/// A mesh of this score needs no second opinion.
const ACCEPTED: f32 = 0.9;
/// Side of a face's box, as the detector draws it, over the size of the head.
const BOX_OVER_HEAD: f32 = 0.95;
/// Joints below this say nothing about the head.
const SEEN: f32 = 0.1;

/// A face in photo pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoomedFace {
    pub points: [[f32; 2]; POINTS],
    /// 0 to 1.
    pub score: f32,
    /// Where the face was looked for.
    pub region: Region,
}

/// Where the joints have the head.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Head {
    center: [f32; 2],
    /// Width of the head, about.
    size: f32,
    up: [f32; 2],
    /// Mean score of its joints.
    score: f32,
}

/// Finds the face of a person; none if nothing is known of the head.
///
/// # Errors
/// When a network fails.
pub fn face(networks: &Networks, photo: &Rgb, body: &Body) -> Result<Option<ZoomedFace>> {
    let mut best: Option<(Mesh, f32)> = None;
    if let Some(guess) = body.face_guess.filter(|guess| guess.score >= HOPELESS) {
        let mesh = networks.face_mesh.landmarks_in(photo, &guess.region)?;
        let score = mesh.score * guess.score;
        best = Some((mesh, score));
    }
    let is_hopeless = body.face_guess.is_some_and(|guess| guess.score < HOPELESS);
    if !best
        .as_ref()
        .is_some_and(|(mesh, _)| mesh.score >= ACCEPTED)
        && let Some(other) = by_detector(networks, photo, body, !is_hopeless)?
        && best.as_ref().is_none_or(|(_, score)| *score < other.1)
    {
        best = Some(other);
    }
    Ok(best.and_then(|(mesh, score)| {
        let region = region_around(&mesh.points_in_image).filter(Region::is_usable)?;
        Some(ZoomedFace {
            points: points(&mesh.points_in_image)?,
            score: score.clamp(0.0, 1.0),
            region,
        })
    }))
}

/// The face where the detector has it, or else where the joints suggest it; and its score.
///
/// # Errors
/// When a network fails.
pub(super) fn by_detector(
    networks: &Networks,
    photo: &Rgb,
    body: &Body,
    is_worth_looking: bool,
) -> Result<Option<(Mesh, f32)>> {
    let Some(head) = head(&body.joints) else {
        return Ok(None);
    };
    let region = Region::with_up(head.center, head.size * SEARCH_OVER_HEAD, head.up);
    if !region.is_usable() {
        return Ok(None);
    }
    let mut best: Option<(Mesh, f32)> = None;
    if is_worth_looking && let Some(found) = detect(networks, photo, &region, &head)? {
        let mesh = networks.face_mesh.landmarks(photo, &found)?;
        let score = found.score * mesh.score;
        best = Some((mesh, score));
    }
    if best.as_ref().is_none_or(|(_, score)| *score < SURE) {
        let suggested = region_of(&suggestion(&head, &body.joints));
        let mesh = networks.face_mesh.landmarks_in(photo, &suggested)?;
        // Nobody but the joints speaks for this one.
        let score = 0.5 * mesh.score * head.score;
        if best.as_ref().is_none_or(|(_, other)| *other < score) {
            best = Some((mesh, score));
        }
    }
    Ok(best)
}

/// The mesh network's region as the joints suggest it.
pub fn face_by_rule(joints: &[Scored]) -> Option<Region> {
    let head = head(joints)?;
    Some(region_of(&suggestion(&head, joints)))
}

/// The 68 points of a mesh; none if vertices are missing.
pub fn points(mesh: &[[f32; 2]]) -> Option<[[f32; 2]; POINTS]> {
    let mut points = [[0.0; 2]; POINTS];
    for (point, [a, b]) in points.iter_mut().zip(FROM_MESH) {
        let (a, b) = (mesh.get(a)?, mesh.get(b)?);
        *point = [0.5 * (a[0] + b[0]), 0.5 * (a[1] + b[1])];
    }
    Some(points)
}

fn head(joints: &[Scored]) -> Option<Head> {
    let get = |index: usize| joints.get(index).copied().unwrap_or_default();
    let seen: Vec<Scored> = (NOSE..=RIGHT_EAR)
        .map(get)
        .filter(|(_, score)| *score >= SEEN)
        .collect();
    if seen.is_empty() {
        return None;
    }
    let total: f32 = seen.iter().map(|(_, score)| score).sum();
    let mean = |axis: usize| seen.iter().map(|(p, s)| p[axis] * s).sum::<f32>() / total;
    let center = [mean(0), mean(1)];
    let apart = |a: usize, b: usize| {
        let (a, b) = (get(a), get(b));
        if a.1.min(b.1) >= SEEN {
            (a.0[0] - b.0[0]).hypot(a.0[1] - b.0[1])
        } else {
            0.0
        }
    };
    // What each distance is of a head's width, as heads are made.
    let mut size = [
        apart(LEFT_EAR, RIGHT_EAR),
        2.3 * apart(LEFT_EYE, RIGHT_EYE),
        1.3 * apart(NOSE, LEFT_EAR),
        1.3 * apart(NOSE, RIGHT_EAR),
        1.6 * apart(LEFT_EYE, LEFT_EAR),
        1.6 * apart(RIGHT_EYE, RIGHT_EAR),
        2.0 * apart(NOSE, LEFT_EYE),
        2.0 * apart(NOSE, RIGHT_EYE),
    ]
    .into_iter()
    .fold(0.0, f32::max);
    let shoulders = middle(get(LEFT_SHOULDER), get(RIGHT_SHOULDER));
    let hips = middle(get(LEFT_HIP), get(RIGHT_HIP));
    let wide = 0.4 * apart(LEFT_SHOULDER, RIGHT_SHOULDER);
    let tall = match (shoulders, hips) {
        (Some(s), Some(h)) => 0.3 * (s[0] - h[0]).hypot(s[1] - h[1]),
        _ => 0.0,
    };
    let by_torso = wide.max(tall);
    if by_torso > 0.0 {
        // Single joints may be far off; a torso bounds the head both ways.
        size = size.clamp(0.6 * by_torso, 2.2 * by_torso);
    }
    let (left, right) = (get(LEFT_EYE), get(RIGHT_EYE));
    let up = match shoulders {
        Some(s) if (center[0] - s[0]).hypot(center[1] - s[1]) > 0.3 * size => {
            [center[0] - s[0], center[1] - s[1]]
        }
        // From the right eye to the left one is to the right in the picture; up is a quarter turn from there.
        _ if left.1.min(right.1) >= SEEN => [left.0[1] - right.0[1], right.0[0] - left.0[0]],
        _ => [0.0, -1.0],
    };
    (size >= 1.0).then_some(Head {
        center,
        size,
        up,
        score: total / 5.0,
    })
}

/// The face that the detector sees nearest to where the head is.
fn detect(
    networks: &Networks,
    photo: &Rgb,
    region: &Region,
    head: &Head,
) -> Result<Option<Detection>> {
    let xs = views(photo, std::slice::from_ref(region), SEARCH_PX)?;
    let candidates = networks.face_detector.candidates(&xs, MIN_SCORE)?;
    let scale = region.side / SEARCH_PX as f32;
    let suits = |face: &Detection| {
        let [x, y] = region.to_image(SEARCH_PX, face.center_in_image());
        let apart = (x - head.center[0]).hypot(y - head.center[1]) / head.size;
        let growth = (face.size_px() * scale / (BOX_OVER_HEAD * head.size)).ln();
        face.score * (-apart * apart - 0.5 * growth * growth).exp()
    };
    let best = candidates
        .into_iter()
        .max_by(|a, b| suits(a).total_cmp(&suits(b)));
    Ok(best.map(|face| {
        let [x, y] = region.to_image(SEARCH_PX, face.center_in_image());
        let half = 0.5 * face.size_px() * scale;
        Detection {
            bbox_in_image: [x - half, y - half, x + half, y + half],
            score: face.score,
            keypoints_in_image: face
                .keypoints_in_image
                .map(|point| region.to_image(SEARCH_PX, point)),
        }
    }))
}

/// What the detector might have said, from the joints alone.
fn suggestion(head: &Head, joints: &[Scored]) -> Detection {
    let length = head.up[0].hypot(head.up[1]).max(1e-6);
    let right = [-head.up[1] / length, head.up[0] / length];
    let get = |index: usize| joints.get(index).copied().unwrap_or_default();
    let eye = |index: usize, side: f32| match get(index) {
        (point, score) if score >= 2.0 * SEEN => point,
        _ => std::array::from_fn(|axis| head.center[axis] + side * 0.2 * head.size * right[axis]),
    };
    let half = 0.5 * BOX_OVER_HEAD * head.size;
    let [x, y] = head.center;
    Detection {
        bbox_in_image: [x - half, y - half, x + half, y + half],
        score: head.score,
        keypoints_in_image: [
            eye(RIGHT_EYE, -1.0),
            eye(LEFT_EYE, 1.0),
            get(NOSE).0,
            head.center,
            get(RIGHT_EAR).0,
            get(LEFT_EAR).0,
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joints(points: &[(usize, [f32; 2])]) -> [Scored; 17] {
        let mut joints = [([0.0; 2], 0.0); 17];
        for &(index, point) in points {
            joints[index] = (point, 0.8);
        }
        joints
    }

    #[test]
    fn heads_are_found_from_what_is_seen_of_them() {
        let front = joints(&[
            (NOSE, [100.0, 55.0]),
            (LEFT_EYE, [107.0, 48.0]),
            (RIGHT_EYE, [93.0, 48.0]),
            (LEFT_EAR, [116.0, 52.0]),
            (RIGHT_EAR, [84.0, 52.0]),
            (LEFT_SHOULDER, [140.0, 100.0]),
            (RIGHT_SHOULDER, [60.0, 100.0]),
        ]);
        let found = head(&front).unwrap();
        assert!((found.center[0] - 100.0).abs() < 1.0 && (28.0..45.0).contains(&found.size));
        assert!(found.up[1] < 0.0 && found.up[0].abs() < 1.0);
        let eyes_only = joints(&[(LEFT_EYE, [48.0, 93.0]), (RIGHT_EYE, [48.0, 107.0])]);
        let found = head(&eyes_only).unwrap();
        // Lying: the left eye is above the right one, so up is to the left.
        assert!(
            found.up[0] < 0.0 && found.up[1].abs() < 1e-3,
            "{:?}",
            found.up
        );
        assert!(head(&joints(&[])).is_none());
        let suggested = suggestion(&found, &eyes_only);
        assert_eq!(suggested.keypoints_in_image[1], [48.0, 93.0]);
    }

    #[test]
    fn points_come_from_the_mesh() {
        let mesh: Vec<[f32; 2]> = (0..468).map(|i| [i as f32, 0.0]).collect();
        let found = points(&mesh).unwrap();
        assert_eq!(
            (found[0][0], found[3][0], found[67][0]),
            (127.0, 95.0, 87.0)
        );
        assert!(points(&mesh[..300]).is_none());
    }
}
