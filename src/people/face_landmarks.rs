//! The face mesh in a photo: which crop the mesh network gets to see, and the way back.
//!
//! The crop is a square turned by the eye line, half again as large as the face, as the network was trained
//! (MediaPipe's face landmark graphs). The detector's box gives the first crop; the landmarks found in it give a
//! better one, in which they are found again.

use candle_core::{Device, Result};

use super::crop::Region;
use super::face_detector::Detection;
use super::face_mesh::{FaceMesh, INPUT_PX};
use crate::raster::{Rgb, rgbs_to_tensor, warp_rgb_for_network};

/// Side of the crop over the side of the face's box.
const CROP_OVER_BOX: f32 = 1.5;
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
        let upright = region_of(detection);
        let mut best = self.in_photo(photo, &upright)?;
        // The detector sees some upside down faces as upright ones.
        let [x, y] = upright.axis;
        for axis in [[-x, -y], [-y, x], [y, -x]] {
            if best.score >= UPRIGHT_SCORE {
                break;
            }
            let turned = self.in_photo(photo, &Region { axis, ..upright })?;
            if turned.score > best.score {
                best = turned;
            }
        }
        self.refined(photo, best)
    }

    /// The landmarks of a face that is upright in this region, about.
    ///
    /// # Errors
    /// When the network fails.
    pub fn landmarks_in(&self, photo: &Rgb, region: &Region) -> Result<Mesh> {
        let first = self.in_photo(photo, region)?;
        self.refined(photo, first)
    }

    /// The landmarks found again in the crop that they suggest.
    fn refined(&self, photo: &Rgb, first: Mesh) -> Result<Mesh> {
        let Some(region) = region_around(&first.points_in_image) else {
            return Ok(first);
        };
        let refined = self.in_photo(photo, &region)?;
        Ok(if refined.score >= first.score.min(0.5) {
            refined
        } else {
            first
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

    /// The landmarks in a region, seen at 192 pixels a side.
    fn in_photo(&self, photo: &Rgb, region: &Region) -> Result<Mesh> {
        let image_from_crop = region.image_from_view(INPUT_PX);
        let crop = warp_rgb_for_network(photo, &image_from_crop, INPUT_PX, INPUT_PX);
        let xs = rgbs_to_tensor(&[crop], [0.0, 1.0], &Device::Cpu)?;
        let found = self.in_crop(&xs)?;
        let to_image = |point: [f32; 2]| region.to_image(INPUT_PX, point);
        Ok(Mesh {
            points_in_image: found.points.into_iter().map(to_image).collect(),
            score: found.score,
        })
    }
}

/// The crop that suits a detection.
pub fn region_of(detection: &Detection) -> Region {
    let [x0, y0, x1, y1] = detection.bbox_in_image;
    let side = (x1 - x0).max(y1 - y0) * CROP_OVER_BOX;
    along(
        detection.eye_line(),
        [0.5 * (x0 + x1), 0.5 * (y0 + y1)],
        side,
    )
}

/// A region whose x axis runs along the eyes, from the person's right to the left.
fn along([dx, dy]: [f32; 2], center: [f32; 2], side: f32) -> Region {
    // Without a direction the head is taken to be upright.
    Region::with_up(center, side, [dy, -dx])
}

/// The crop that suits these landmarks; `None` when they have collapsed.
pub fn region_around(points: &[[f32; 2]]) -> Option<Region> {
    let [right, left] = EYE_CORNERS.map(|index| points.get(index).copied());
    let (right, left) = (right?, left?);
    let axis = [left[0] - right[0], left[1] - right[1]];
    let length = axis[0].hypot(axis[1]);
    if length.is_nan() || length <= 0.0 {
        return None;
    }
    // Their box along the eye line.
    let [a, b] = axis.map(|v| v / length);
    let turned = points.iter().map(|[x, y]| [x * a + y * b, y * a - x * b]);
    let (low, high) = turned.fold(([f32::MAX; 2], [f32::MIN; 2]), |(low, high), point| {
        (
            [0, 1].map(|i| low[i].min(point[i])),
            [0, 1].map(|i| high[i].max(point[i])),
        )
    });
    let side = (high[0] - low[0]).max(high[1] - low[1]) * CROP_OVER_BOX;
    let [x, y] = [0, 1].map(|i| 0.5 * (low[i] + high[i]));
    Some(along(axis, [x * a - y * b, x * b + y * a], side))
}

#[cfg(test)]
#[path = "face_landmarks_tests.rs"]
mod tests;
