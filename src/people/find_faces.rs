//! Detector and mesh together: the faces in a photo that both of them believe in.
//!
//! The detector alone takes patterned cloth and cheeks for faces; the mesh network, looking closer, says whether there
//! is one. So the detector may be generous, and what it misses is looked for in the turned photo.

use candle_core::Result;

use super::face_detector::{Detection, FaceDetector};
use super::face_landmarks::Mesh;
use super::face_mesh::FaceMesh;
use crate::raster::Rgb;

/// Detections looked at more closely, at most.
const MAX_CANDIDATES: usize = 200;
/// One face of this score shows that the photo is the right way up.
const CONFIDENT_SCORE: f32 = 0.7;

/// A face found in a photo.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundFace {
    /// Left, top, right, bottom of the landmarks in photo pixels: forehead to chin, ear to ear. It may reach beyond
    /// the photo.
    pub bbox_in_image: [f32; 4],
    /// 0 to 1: detector's score times mesh's score.
    pub score: f32,
    /// Its landmarks.
    pub mesh: Mesh,
    /// For the choice between two faces in one place.
    evidence: f32,
}

/// The faces in a photo, largest first, at most `max_faces` of them (those with the best scores).
///
/// # Errors
/// When a network fails.
pub fn find_faces(
    detector: &FaceDetector,
    mesh: &FaceMesh,
    photo: &Rgb,
    max_faces: usize,
) -> Result<Vec<FoundFace>> {
    let mut faces = confirmed(mesh, photo, detector.candidates_in_photo(photo, &[0])?)?;
    // Some heads that are far from upright are found all the same, with low scores. Those whose roll is seen tell how
    // to turn the photo for the rest.
    let turns: Vec<usize> = if faces.sure.iter().all(|face| face.score < CONFIDENT_SCORE) {
        vec![1, 2, 3]
    } else {
        (1..4)
            .filter(|&quarter| {
                faces
                    .sure
                    .iter()
                    .any(|face| quarter_of(&face.mesh) == quarter)
            })
            .collect()
    };
    if !turns.is_empty() {
        let turned = confirmed(mesh, photo, detector.candidates_in_photo(photo, &turns)?)?;
        faces.sure.extend(turned.sure);
        faces.unsure.extend(turned.unsure);
    }
    let mut faces = without_doubles(if faces.sure.is_empty() {
        faces.unsure
    } else {
        faces.sure
    });
    faces.truncate(max_faces);
    faces.sort_by(|a, b| size_px(b).total_cmp(&size_px(a)));
    Ok(faces)
}

/// Detections that the mesh agrees with.
#[derive(Default)]
struct Confirmed {
    sure: Vec<FoundFace>,
    unsure: Vec<FoundFace>,
}

/// What the mesh makes of the detections.
fn confirmed(mesh: &FaceMesh, photo: &Rgb, candidates: Vec<Detection>) -> Result<Confirmed> {
    let mut faces = Confirmed::default();
    for detection in candidates.iter().take(MAX_CANDIDATES) {
        let mesh = mesh.landmarks(photo, detection)?;
        let face = FoundFace {
            bbox_in_image: bounds(&mesh.points_in_image),
            score: detection.score * mesh.score,
            evidence: evidence(detection.score, mesh.score),
            mesh,
        };
        if is_face(&face, detection.score) {
            faces.sure.push(face);
        } else if may_be_face(&face) {
            faces.unsure.push(face);
        }
    }
    Ok(faces)
}

/// Best first; doubles and parts of other faces dropped.
fn without_doubles(mut faces: Vec<FoundFace>) -> Vec<FoundFace> {
    faces.sort_by(|a, b| b.evidence.total_cmp(&a.evidence));
    let mut kept: Vec<FoundFace> = Vec::new();
    for face in faces {
        if !kept.iter().any(|other| overlap(&face, other)) {
            kept.push(face);
        }
    }
    kept
}

/// How many quarters the photo is to be turned clockwise for this head to be nearly upright.
fn quarter_of(mesh: &Mesh) -> usize {
    let [dx, dy] = mesh.eye_line();
    let clockwise = dy.atan2(dx) / std::f32::consts::FRAC_PI_2;
    (-clockwise).round().rem_euclid(4.0) as usize
}

fn logit(probability: f32) -> f32 {
    let p = probability.clamp(1e-6, 1.0 - 1e-6);
    (p / (1.0 - p)).ln()
}

/// Log odds of a face, were the two networks independent. The mesh saturates, so its part is bounded.
fn evidence(detected: f32, meshed: f32) -> f32 {
    logit(detected) + logit(meshed).clamp(-10.0, 10.0)
}

/// A sure detector needs no more than an undecided mesh (profiles), an undecided one (small faces) needs a sure mesh.
/// The bounds part all false finds from all faces but a few in a hundred photos with known faces.
fn is_face(face: &FoundFace, detected: f32) -> bool {
    let mesh = face.mesh.score;
    (detected >= 0.7 && mesh >= 0.4) || (detected >= 0.4 && logit(mesh) >= 8.5)
}

/// What may be a face if nothing else in the photo is one: half covered, or badly lit. Where there are faces, such are
/// badges and folds of cloth.
fn may_be_face(face: &FoundFace) -> bool {
    logit(face.mesh.score) >= 6.0
}

fn bounds(points: &[[f32; 2]]) -> [f32; 4] {
    let start = [
        f32::INFINITY,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NEG_INFINITY,
    ];
    points.iter().fold(start, |[x0, y0, x1, y1], &[x, y]| {
        [x0.min(x), y0.min(y), x1.max(x), y1.max(y)]
    })
}

fn size_px(face: &FoundFace) -> f32 {
    let [x0, y0, x1, y1] = face.bbox_in_image;
    (x1 - x0).max(y1 - y0)
}

/// Whether more than half of the smaller face lies within the other one.
fn overlap(a: &FoundFace, b: &FoundFace) -> bool {
    let ([ax0, ay0, ax1, ay1], [bx0, by0, bx1, by1]) = (a.bbox_in_image, b.bbox_in_image);
    let common = (ax1.min(bx1) - ax0.max(bx0)).max(0.0) * (ay1.min(by1) - ay0.max(by0)).max(0.0);
    let smaller = ((ax1 - ax0) * (ay1 - ay0)).min((bx1 - bx0) * (by1 - by0));
    common > 0.5 * smaller
}

#[cfg(test)]
#[path = "find_faces_tests.rs"]
mod tests;
