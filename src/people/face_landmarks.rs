//! The face mesh in a photo: which crop the mesh network gets to see, and the way back.
//!
//! The crop is a square turned by the eye line, half again as large as the face, as the network was trained
//! (MediaPipe's face landmark graphs). The detector's box gives the first crop; the landmarks found in it give a
//! better one, in which they are found again.

use candle_core::{Device, Result};

use super::face_detector::Detection;
use super::face_mesh::{FaceMesh, INPUT_PX};
use crate::raster::{Rgb, Similarity, rgb_to_tensor, warp_rgb};

/// Side of the crop over the side of the face's box.
const CROP_OVER_BOX: f64 = 1.5;
/// Upright faces score at least this (their logits are about 20). Upside down ones with glasses come close to it, so
/// below it the other rolls are tried as well.
const UPRIGHT_SCORE: f32 = 0.999_999;
/// Where a face lies in CelebA-HQ's crop, in the unit square: its box, and the detector's six points.
const ALIGNED_BOX: [[f32; 2]; 2] = [[0.24, 0.32], [0.76, 0.84]];
const ALIGNED_POINTS: [[f32; 2]; 6] = [
    [0.375, 0.48],
    [0.625, 0.48],
    [0.5, 0.6],
    [0.5, 0.75],
    [0.24, 0.52],
    [0.76, 0.52],
];
/// Outer corners of the person's right and left eye.
const EYE_CORNERS: [usize; 2] = [33, 263];

/// The landmarks of one face.
#[derive(Clone, Debug, PartialEq)]
pub struct Mesh {
    /// 468 points in photo pixels, lips and eyes refined. They may lie outside the photo.
    pub points_in_image: Vec<[f32; 2]>,
    /// 0 to 1: probability that a face is there.
    pub score: f32,
}

impl Mesh {
    /// From the outer corner of the person's right eye to that of the left: to the right when the head is upright.
    pub fn eye_line(&self) -> [f32; 2] {
        let [right, left] =
            EYE_CORNERS.map(|index| self.points_in_image.get(index).copied().unwrap_or_default());
        [left[0] - right[0], left[1] - right[1]]
    }
}

impl FaceMesh {
    /// The landmarks of a detected face, whatever its roll.
    ///
    /// # Errors
    /// When the network fails.
    pub fn landmarks(&self, photo: &Rgb, detection: &Detection) -> Result<Mesh> {
        let [dx, dy] = detection.eye_line().map(f64::from);
        let [x0, y0, x1, y1] = detection.bbox_in_image.map(f64::from);
        let side = (x1 - x0).max(y1 - y0) * CROP_OVER_BOX;
        let center = [0.5 * (x0 + x1), 0.5 * (y0 + y1)];
        let mut best = self.in_photo(photo, &square(center, [dx, dy], side))?;
        // The detector sees some upside down faces as upright ones.
        for axis in [[-dx, -dy], [-dy, dx], [dy, -dx]] {
            if best.score >= UPRIGHT_SCORE {
                break;
            }
            let turned = self.in_photo(photo, &square(center, axis, side))?;
            if turned.score > best.score {
                best = turned;
            }
        }
        let Some(crop) = crop_around(&best.points_in_image) else {
            return Ok(best);
        };
        let refined = self.in_photo(photo, &crop)?;
        Ok(if refined.score >= best.score.min(0.5) {
            refined
        } else {
            best
        })
    }

    /// The landmarks of a picture that is cut as CelebA-HQ's are, in the unit square; empty when no face is seen there.
    ///
    /// # Errors
    /// When the network fails.
    pub fn in_aligned_crop(&self, crop: &Rgb) -> Result<Vec<[f32; 2]>> {
        let (w, h) = (crop.width as f32, crop.height as f32);
        if w == 0.0 || h == 0.0 {
            return Ok(Vec::new());
        }
        let place = |[x, y]: [f32; 2]| [x * w, y * h];
        let [[x0, y0], [x1, y1]] = ALIGNED_BOX.map(place);
        let template = Detection {
            bbox_in_image: [x0, y0, x1, y1],
            score: 1.0,
            keypoints_in_image: ALIGNED_POINTS.map(place),
        };
        let mesh = self.landmarks(crop, &template)?;
        if mesh.score < 0.5 {
            return Ok(Vec::new());
        }
        let to_unit = |[x, y]: [f32; 2]| [x / w, y / h];
        Ok(mesh.points_in_image.into_iter().map(to_unit).collect())
    }

    /// The landmarks in the crop that `image_from_crop` cuts out, 192 pixels a side.
    fn in_photo(&self, photo: &Rgb, image_from_crop: &Similarity) -> Result<Mesh> {
        let crop = warp_rgb(photo, image_from_crop, INPUT_PX, INPUT_PX);
        let xs = rgb_to_tensor(&crop, &Device::Cpu)?.unsqueeze(0)?;
        let found = self.in_crop(&((xs + 1.0)? * 0.5)?)?;
        let to_image = |[x, y]: [f32; 2]| {
            image_from_crop
                .apply([f64::from(x), f64::from(y)])
                .map(|v| v as f32)
        };
        Ok(Mesh {
            points_in_image: found.points.into_iter().map(to_image).collect(),
            score: found.score,
        })
    }
}

/// A square around `center` whose x axis runs along `axis`, as the transform from crop pixels.
fn square(center: [f64; 2], axis: [f64; 2], side: f64) -> Similarity {
    let length = axis[0].hypot(axis[1]);
    let scale = side / INPUT_PX as f64;
    // Without a direction the head is taken to be upright.
    let (a, b) = if length > 0.0 {
        (scale * axis[0] / length, scale * axis[1] / length)
    } else {
        (scale, 0.0)
    };
    let half = INPUT_PX as f64 / 2.0;
    Similarity {
        a,
        b,
        tx: center[0] - (a * half - b * half),
        ty: center[1] - (b * half + a * half),
    }
}

/// The crop that suits these landmarks; `None` when they have collapsed.
fn crop_around(points: &[[f32; 2]]) -> Option<Similarity> {
    let [right, left] = EYE_CORNERS.map(|index| points.get(index).map(|p| p.map(f64::from)));
    let (right, left) = (right?, left?);
    let axis = [left[0] - right[0], left[1] - right[1]];
    let length = axis[0].hypot(axis[1]);
    if length.is_nan() || length <= 0.0 {
        return None;
    }
    // Their box along the eye line.
    let upright = Similarity {
        a: axis[0] / length,
        b: axis[1] / length,
        tx: 0.0,
        ty: 0.0,
    };
    let from_image = upright.inverse();
    let (mut low, mut high) = ([f64::MAX; 2], [f64::MIN; 2]);
    for point in points {
        let [x, y] = from_image.apply(point.map(f64::from));
        low = [low[0].min(x), low[1].min(y)];
        high = [high[0].max(x), high[1].max(y)];
    }
    let side = (high[0] - low[0]).max(high[1] - low[1]) * CROP_OVER_BOX;
    let center = upright.apply([0.5 * (low[0] + high[0]), 0.5 * (low[1] + high[1])]);
    Some(square(center, axis, side))
}

#[cfg(test)]
#[path = "face_landmarks_tests.rs"]
mod tests;
