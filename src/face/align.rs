//! From landmarks to the aligned crop and back.
//!
//! The crop is CelebA-HQ's (Karras et al. 2018, "Progressive Growing of GANs", appendix C): its x axis is the mean of
//! the line between the eyes and the perpendicular of the line from eyes to mouth, its size the larger of twice the
//! eye distance and 1.8 times the eye–mouth distance on each side of the centre, its centre a tenth of the way from
//! eyes to mouth. Parser and generator are trained on pictures cut this way. A similarity transform maps the crop
//! to the photo, so the way back is exact.
//!
//! CelebA-HQ used hand-made landmarks; ours come from the face mesh. The constants below are the recipe's, corrected
//! so that the mean crop found in aligned pictures of CelebAMask-HQ is the whole picture.

use crate::raster::Similarity;

/// The eyelids of the person's right eye: both corners and two points on each lid.
const RIGHT_EYE: [usize; 6] = [33, 160, 158, 133, 153, 144];
/// The same of the left eye.
const LEFT_EYE: [usize; 6] = [362, 385, 387, 263, 373, 380];
/// The corners of the mouth.
const MOUTH: [usize; 2] = [61, 291];

/// Half the crop's side over the distance between the eyes (recipe: 2.0).
const HALF_OVER_EYES: f64 = 1.99;
/// Half the crop's side over the distance from eyes to mouth (recipe: 1.8).
const HALF_OVER_MOUTH: f64 = 1.845;
/// How far the crop's centre lies from the eyes towards the mouth (recipe: 0.1).
const CENTER_TO_MOUTH: f64 = 0.0915;

/// Where the aligned crop of a face lies: a transform from the unit square, (0, 0) top left, to image pixels.
///
/// `landmarks_in_image` are the 468 points of the face mesh. From points that hold no face (too few, or all in one
/// place) comes an upright square around them.
pub fn crop_from_landmarks(landmarks_in_image: &[[f32; 2]]) -> Similarity {
    crop_from_features(landmarks_in_image)
        .unwrap_or_else(|| crop_from_box(bounds(landmarks_in_image)))
}

/// The smallest upright square around a box `[x0, y0, x1, y1]` that the user drew, at least one pixel large, as a
/// transform from the unit square to image pixels.
pub fn crop_from_box([x0, y0, x1, y1]: [f32; 4]) -> Similarity {
    let [x0, y0, x1, y1] = [x0.min(x1), y0.min(y1), x0.max(x1), y0.max(y1)].map(f64::from);
    let side = (x1 - x0).max(y1 - y0).max(1.0);
    Similarity::scale_shift(side, 0.5 * (x0 + x1 - side), 0.5 * (y0 + y1 - side))
}

fn crop_from_features(points: &[[f32; 2]]) -> Option<Similarity> {
    let right_eye = mean(points, &RIGHT_EYE)?;
    let left_eye = mean(points, &LEFT_EYE)?;
    let mouth = mean(points, &MOUTH)?;
    let eyes = [
        0.5 * (right_eye[0] + left_eye[0]),
        0.5 * (right_eye[1] + left_eye[1]),
    ];
    let across = [left_eye[0] - right_eye[0], left_eye[1] - right_eye[1]];
    let down = [mouth[0] - eyes[0], mouth[1] - eyes[1]];
    // `down` turned by 90° points along the eyes; the two vote by their lengths.
    let axis = [across[0] + down[1], across[1] - down[0]];
    let length = axis[0].hypot(axis[1]);
    let half =
        (HALF_OVER_EYES * across[0].hypot(across[1])).max(HALF_OVER_MOUTH * down[0].hypot(down[1]));
    if !(length > 0.0 && half > 0.0 && length.is_finite() && half.is_finite()) {
        return None;
    }
    let (a, b) = (2.0 * half * axis[0] / length, 2.0 * half * axis[1] / length);
    let center = [
        eyes[0] + CENTER_TO_MOUTH * down[0],
        eyes[1] + CENTER_TO_MOUTH * down[1],
    ];
    Some(Similarity {
        a,
        b,
        tx: center[0] - 0.5 * (a - b),
        ty: center[1] - 0.5 * (b + a),
    })
}

fn mean(points: &[[f32; 2]], indices: &[usize]) -> Option<[f64; 2]> {
    let mut sum = [0.0; 2];
    for &index in indices {
        let [x, y] = points.get(index)?.map(f64::from);
        sum = [sum[0] + x, sum[1] + y];
    }
    Some(sum.map(|v| v / indices.len() as f64))
}

fn bounds(points: &[[f32; 2]]) -> [f32; 4] {
    let finite = points.iter().filter(|p| p.iter().all(|v| v.is_finite()));
    finite
        .map(|&[x, y]| [x, y, x, y])
        .reduce(|a, b| {
            [
                a[0].min(b[0]),
                a[1].min(b[1]),
                a[2].max(b[2]),
                a[3].max(b[3]),
            ]
        })
        .unwrap_or([0.0; 4])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::{face_detector::FaceDetector, face_mesh::FaceMesh, find_faces::find_faces};
    use crate::raster::{Rgb, warp_rgb};
    use candle_core::{DType, Device};
    use candle_nn::VarBuilder;

    fn file(relative: &str) -> Vec<u8> {
        std::fs::read(format!("{}/{relative}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn crop_in(photo: &Rgb) -> Similarity {
        let load = |name| {
            let bytes = file(&format!("weights/{name}.safetensors"));
            VarBuilder::from_buffered_safetensors(bytes, DType::F32, &Device::Cpu).unwrap()
        };
        let detector = FaceDetector::load(load("face_detector")).unwrap();
        let mesh = FaceMesh::load(load("face_mesh")).unwrap();
        let faces = find_faces(&detector, &mesh, photo, 5).unwrap();
        crop_from_landmarks(&faces[0].mesh.points_in_image)
    }

    /// Generated faces with FFHQ's alignment, which follows the same recipe.
    fn aligned(name: &str) -> Rgb {
        let picture = image::load_from_memory(&file(&format!("tests/data/people/{name}.jpg")))
            .unwrap()
            .to_rgb8();
        Rgb::from_vec(256, 256, picture.into_raw()).unwrap()
    }

    /// The mean distance between the corners of two crops, in parts of the second one's side.
    fn corner_error(got: &Similarity, want: &Similarity) -> f64 {
        let corners = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]];
        let distance = |corner: [f64; 2]| {
            let (a, b) = (got.apply(corner), want.apply(corner));
            (a[0] - b[0]).hypot(a[1] - b[1])
        };
        corners.into_iter().map(distance).sum::<f64>() / 4.0 / want.scale()
    }

    #[test]
    fn the_crop_of_an_aligned_picture_is_the_picture() {
        let whole = Similarity::scale_shift(256.0, 0.0, 0.0);
        let errors = ["aligned_a", "aligned_b", "aligned_c"]
            .map(|name| corner_error(&crop_in(&aligned(name)), &whole));
        // Over CelebAMask-HQ the mean is 0.017: the noise of its hand-made landmarks.
        assert!(errors.iter().all(|&error| error < 0.05), "{errors:?}");
        assert!(errors.iter().sum::<f64>() / 3.0 < 0.035, "{errors:?}");
    }

    #[test]
    fn the_crop_moves_with_the_face() {
        let picture = aligned("aligned_a");
        let crop = crop_in(&picture);
        for (degrees, scale) in [(20.0f64, 0.7), (-100.0, 1.1), (180.0, 0.5)] {
            let (b, a) = degrees.to_radians().sin_cos();
            let (a, b) = (scale * a, scale * b);
            let moved_from_picture = Similarity {
                a,
                b,
                tx: 300.0 - 128.0 * (a - b),
                ty: 250.0 - 128.0 * (a + b),
            };
            let moved = warp_rgb(&picture, &moved_from_picture.inverse(), 560, 520);
            let error = corner_error(&crop_in(&moved), &crop.then(&moved_from_picture));
            assert!(error < 0.03, "{degrees}°, {scale}: {error}");
        }
    }

    /// A face of the recipe's own proportions: eyes 0.25 apart, mouth 0.25 below.
    fn points() -> Vec<[f32; 2]> {
        let mut points = vec![[0.5, 0.5]; 468];
        for (eye, x) in [(RIGHT_EYE, 0.375), (LEFT_EYE, 0.625)] {
            for index in eye {
                points[index] = [x, 0.475];
            }
        }
        for (index, x) in MOUTH.into_iter().zip([0.4, 0.6]) {
            points[index] = [x, 0.725];
        }
        points
    }

    #[test]
    fn the_recipe_on_paper() {
        let crop = crop_from_landmarks(&points());
        // Twice the eye distance on each side of the centre; the centre a tenth down to the mouth.
        assert!((crop.scale() - 2.0 * HALF_OVER_EYES * 0.25).abs() < 1e-6);
        let center = crop.apply([0.5, 0.5]);
        assert!(
            (center[0] - 0.5).abs() < 1e-6
                && (center[1] - 0.475 - CENTER_TO_MOUTH * 0.25).abs() < 1e-6
        );
        assert!(crop.b.abs() < 1e-6);
    }

    #[test]
    fn a_profile_is_sized_by_its_height() {
        let mut points = points();
        for point in &mut points {
            point[0] = 0.5 + 0.3 * (point[0] - 0.5);
        }
        assert!((crop_from_landmarks(&points).scale() - 2.0 * HALF_OVER_MOUTH * 0.25).abs() < 1e-6);
    }

    #[test]
    fn the_crop_turns_and_grows_with_the_points_and_the_way_back_is_exact() {
        let upright = crop_from_landmarks(&points());
        let turn = Similarity {
            a: -30.0,
            b: 40.0,
            tx: 900.0,
            ty: -20.0,
        };
        let turned: Vec<[f32; 2]> = points()
            .iter()
            .map(|p| turn.apply(p.map(f64::from)).map(|v| v as f32))
            .collect();
        let (got, want) = (crop_from_landmarks(&turned), upright.then(&turn));
        assert!(corner_error(&got, &want) < 1e-5);
        let back = got.inverse().apply(got.apply([0.3, 0.9]));
        assert!((back[0] - 0.3).abs() < 1e-12 && (back[1] - 0.9).abs() < 1e-12);
    }

    #[test]
    fn points_without_a_face_give_a_square_around_them() {
        let crop = crop_from_landmarks(&[[10.0, 20.0], [50.0, 30.0]]);
        assert_eq!(
            (crop.apply([0.0, 0.0]), crop.apply([1.0, 1.0])),
            ([10.0, 5.0], [50.0, 45.0])
        );
        assert_eq!(crop_from_landmarks(&[[7.0, 7.0]; 468]).scale(), 1.0);
        assert_eq!(crop_from_landmarks(&[]).scale(), 1.0);
        assert!(crop_from_landmarks(&[[f32::NAN; 2]; 468]).scale() > 0.0);
    }

    #[test]
    fn a_box_drawn_in_any_direction_gives_the_square_around_it() {
        for corners in [[10.0, 20.0, 50.0, 30.0], [50.0, 30.0, 10.0, 20.0]] {
            let crop = crop_from_box(corners);
            assert_eq!((crop.apply([0.0, 0.0]), crop.scale()), ([10.0, 5.0], 40.0));
        }
        assert_eq!(crop_from_box([3.0; 4]).scale(), 1.0);
    }
}
