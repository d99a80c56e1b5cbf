//! Faces of any size and roll in a whole photo: the face detector over a pyramid of scales.
//!
//! The network finds faces of about 12 to 140 pixels. The coarsest level shows the whole photo at 96 pixels, so that
//! a face as large as the photo is found; each further level is up to twice as fine, until faces of 40 photo pixels
//! reach the network at 16, or the level's area reaches its bound. Work is bounded by that area, not by the photo.
//! Overlapping boxes are merged by weighted non-maximum suppression (Bazarevsky et al. 2019, "BlazeFace", section 4).
//! The network knows faces up to 60° from upright; when it finds none with confidence, the photo is looked at turned
//! by 90, 180 and 270 degrees as well.

use candle_core::Device;

use super::face_detector::{Detection, FaceDetector, MULTIPLE_PX};
use crate::raster::{Rgb, Similarity, rgb_to_tensor, warp_rgb};

/// Long side of the photo on the coarsest level.
const COARSEST_PX: f64 = 96.0;
/// Scale between two levels.
const LEVEL_STEP: f64 = 2.0;
/// Faces of `SMALLEST_PHOTO_PX` are shown to the network at `SMALLEST_NETWORK_PX`.
const SMALLEST_PHOTO_PX: f64 = 40.0;
const SMALLEST_NETWORK_PX: f64 = 16.0;
/// Largest area of a level.
const MAX_LEVEL_AREA_PX: f64 = 2.0e6;
/// Kept free around the photo on every level: faces cut by its border are found from both sides of it.
const MARGIN_PX: usize = 16;
/// Cells below this score are dropped; what lies between this and `MIN_SCORE` needs confirmation by the face mesh.
const CANDIDATE_SCORE: f32 = 0.25;
/// Score of a face.
const MIN_SCORE: f32 = 0.5;
/// A face of this score makes looking at the turned photo unnecessary.
const CONFIDENT_SCORE: f32 = 0.7;
/// Boxes that overlap by more than this are one face.
const SAME_FACE_IOU: f32 = 0.3;

impl FaceDetector {
    /// The faces in a photo, largest first, at most `max_faces` of them (those with the best scores).
    ///
    /// Boxes and keypoints are in photo pixels; the line between the eye keypoints tells how the face is rolled.
    /// [`find_faces`](super::find_faces::find_faces) is surer: it asks the face mesh as well.
    ///
    /// # Errors
    /// When the network fails.
    pub fn detect(&self, photo: &Rgb, max_faces: usize) -> candle_core::Result<Vec<Detection>> {
        let mut found = self.candidates_in_photo(photo, &[0])?;
        if found.iter().all(|face| face.score < CONFIDENT_SCORE) {
            found.extend(self.candidates_in_photo(photo, &[1, 2, 3])?);
            found = merge(found);
        }
        found.retain(|face| face.score >= MIN_SCORE);
        found.truncate(max_faces);
        found.sort_by(|a, b| b.size_px().total_cmp(&a.size_px()));
        Ok(found)
    }

    /// All that might be a face, best first, in the photo turned clockwise by each of these numbers of quarters.
    pub(super) fn candidates_in_photo(
        &self,
        photo: &Rgb,
        quarters: &[usize],
    ) -> candle_core::Result<Vec<Detection>> {
        let mut found = Vec::new();
        for &quarter in quarters {
            found.extend(self.scan(photo, quarter)?);
        }
        Ok(merge(found))
    }

    /// Candidates from all levels of the photo, turned clockwise by so many quarters.
    fn scan(&self, photo: &Rgb, quarter: usize) -> candle_core::Result<Vec<Detection>> {
        let mut found = Vec::new();
        for scale in levels(photo.width, photo.height) {
            let (image_from_level, width, height) =
                level(photo.width, photo.height, scale, quarter);
            let picture = warp_rgb(photo, &image_from_level, width, height);
            let xs = rgb_to_tensor(&picture, &Device::Cpu)?.unsqueeze(0)?;
            let faces = self.candidates(&xs, CANDIDATE_SCORE)?;
            found.extend(faces.iter().map(|face| moved(face, &image_from_level)));
        }
        Ok(found)
    }
}

/// Level pixels per photo pixel, coarsest first.
fn levels(width: usize, height: usize) -> Vec<f64> {
    if width == 0 || height == 0 {
        return Vec::new();
    }
    let coarsest = COARSEST_PX / width.max(height) as f64;
    let by_area = (MAX_LEVEL_AREA_PX / (width as f64 * height as f64)).sqrt();
    let finest = (SMALLEST_NETWORK_PX / SMALLEST_PHOTO_PX)
        .min(by_area)
        .max(coarsest);
    let steps = ((finest / coarsest).ln() / LEVEL_STEP.ln()).ceil() as i32;
    (0..=steps)
        .map(|step| coarsest * (finest / coarsest).powf(f64::from(step) / f64::from(steps.max(1))))
        .collect()
}

/// How a level lies in the photo, and its size: the turned photo in the middle, with a margin.
fn level(width: usize, height: usize, scale: f64, quarter: usize) -> (Similarity, usize, usize) {
    let side = |length: usize| {
        let content = (length as f64 * scale).ceil() as usize;
        (content + 2 * MARGIN_PX).div_ceil(MULTIPLE_PX) * MULTIPLE_PX
    };
    let (mut w, mut h) = (side(width), side(height));
    if quarter % 2 == 1 {
        (w, h) = (h, w);
    }
    // Level axes as seen in the photo, for a photo turned clockwise.
    let (cos, sin) = match quarter % 4 {
        0 => (1.0, 0.0),
        1 => (0.0, -1.0),
        2 => (-1.0, 0.0),
        _ => (0.0, 1.0),
    };
    let (a, b) = (cos / scale, sin / scale);
    let (x, y) = (w as f64 / 2.0, h as f64 / 2.0);
    let image_from_level = Similarity {
        a,
        b,
        tx: width as f64 / 2.0 - (a * x - b * y),
        ty: height as f64 / 2.0 - (b * x + a * y),
    };
    (image_from_level, w, h)
}

fn moved(face: &Detection, to: &Similarity) -> Detection {
    let point = |[x, y]: [f32; 2]| to.apply([f64::from(x), f64::from(y)]).map(|v| v as f32);
    let [x0, y0, x1, y1] = face.bbox_in_image;
    let ([ax, ay], [bx, by]) = (point([x0, y0]), point([x1, y1]));
    Detection {
        bbox_in_image: [ax.min(bx), ay.min(by), ax.max(bx), ay.max(by)],
        score: face.score,
        keypoints_in_image: face.keypoints_in_image.map(point),
    }
}

/// Weighted non-maximum suppression: the best box takes in all that overlap it, and becomes their mean weighted by
/// score. Best first.
fn merge(mut faces: Vec<Detection>) -> Vec<Detection> {
    faces.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut merged = Vec::new();
    while !faces.is_empty() {
        let best = faces.remove(0);
        let (mut same, rest): (Vec<_>, Vec<_>) = faces
            .into_iter()
            .partition(|face| face.iou(&best) > SAME_FACE_IOU);
        // Keypoints found upside down are not to be mixed in.
        same.retain(|face| rolled_alike(face, &best));
        same.push(best.clone());
        merged.push(weighted_mean(&best, &same));
        faces = rest;
    }
    merged
}

/// Whether the eye lines of two faces are at most 45° apart.
fn rolled_alike(a: &Detection, b: &Detection) -> bool {
    let ([ax, ay], [bx, by]) = (a.eye_line(), b.eye_line());
    let dot = ax * bx + ay * by;
    dot >= std::f32::consts::FRAC_1_SQRT_2 * ax.hypot(ay) * bx.hypot(by)
}

fn weighted_mean(best: &Detection, faces: &[Detection]) -> Detection {
    let mut mean = Detection {
        bbox_in_image: [0.0; 4],
        score: best.score,
        keypoints_in_image: [[0.0; 2]; 6],
    };
    let total: f32 = faces.iter().map(|face| face.score).sum();
    for face in faces {
        let weight = face.score / total;
        for (sum, value) in mean.bbox_in_image.iter_mut().zip(face.bbox_in_image) {
            *sum += weight * value;
        }
        let sums = mean.keypoints_in_image.as_flattened_mut();
        for (sum, value) in sums.iter_mut().zip(face.keypoints_in_image.as_flattened()) {
            *sum += weight * value;
        }
    }
    mean
}

#[cfg(test)]
#[path = "face_search_tests.rs"]
mod tests;
