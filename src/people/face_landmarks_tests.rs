//! Crops, and landmarks that must stay on the face however the photo is turned.

use super::*;
use crate::people::test_support::{photo, weights};
use crate::raster::{Similarity, warp_rgb};

fn near(a: [f32; 2], b: [f32; 2]) -> bool {
    (a[0] - b[0]).hypot(a[1] - b[1]) <= 1e-4
}

#[test]
fn the_first_crop_lies_around_the_detection_along_the_eyes() {
    let mut detection = Detection {
        bbox_in_image: [43.0, 33.0, 57.0, 47.0],
        score: 0.9,
        keypoints_in_image: [[50.0, 38.0]; 6],
    };
    detection.keypoints_in_image[1] = [50.0, 41.0];
    let crop = region_of(&detection);
    assert!(near(crop.center, [50.0, 40.0]) && (crop.side - 21.0).abs() < 1e-4);
    // The eyes lie one below the other, so the crop's top left corner is the square's top right one.
    assert!(near(crop.to_image(1, [0.0, 0.0]), [60.5, 29.5]));
    assert!(near(crop.to_image(1, [1.0, 0.0]), [60.5, 50.5]));
    detection.keypoints_in_image[1] = detection.keypoints_in_image[0];
    assert!(near(region_of(&detection).axis, [1.0, 0.0]));
}

#[test]
fn the_second_crop_follows_the_landmarks() {
    let mut points = vec![[100.0f32, 100.0]; 468];
    points[EYE_CORNERS[0]] = [80.0, 90.0];
    points[EYE_CORNERS[1]] = [120.0, 90.0];
    points[152] = [100.0, 150.0];
    let crop = region_around(&points).unwrap();
    // Landmarks span 40 × 60; the larger side counts, half as much again.
    assert!((crop.side - 90.0).abs() < 1e-4 && near(crop.center, [100.0, 120.0]));
    assert!(region_around(&[[1.0, 1.0]; 468]).is_none());
    assert!(region_around(&[[f32::NAN; 2]; 468]).is_none());
    assert!(region_around(&[]).is_none());
}

/// A face seen upright in `aligned_a`, as the detector would give it.
fn face(image_from_photo: &Similarity, eye_axis: [f32; 2]) -> Detection {
    let [x, y] = image_from_photo.apply([128.0, 148.0]).map(|v| v as f32);
    let half = 75.0 * image_from_photo.scale() as f32;
    let mut keypoints_in_image = [[x, y]; 6];
    keypoints_in_image[1] = [x + eye_axis[0], y + eye_axis[1]];
    Detection {
        bbox_in_image: [x - half, y - half, x + half, y + half],
        score: 0.9,
        keypoints_in_image,
    }
}

#[test]
fn landmarks_turn_with_the_photo() {
    let mesh = FaceMesh::load(weights("face_mesh")).unwrap();
    let upright = photo("aligned_a");
    let want = mesh
        .landmarks(&upright, &face(&Similarity::IDENTITY, [1.0, 0.0]))
        .unwrap();
    assert!(want.score > 0.99);
    for (degrees, scale) in [(-35.0f64, 1.0), (90.0, 1.3), (180.0, 0.7), (145.0, 2.0)] {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let (a, b) = (scale * cos, scale * sin);
        // About the centres of a photo of 256 and an image of 600 pixels.
        let image_from_photo = Similarity {
            a,
            b,
            tx: 300.0 - 128.0 * (a - b),
            ty: 300.0 - 128.0 * (a + b),
        };
        let turned = warp_rgb(&upright, &image_from_photo.inverse(), 600, 600);
        let eye_axis = [cos as f32, sin as f32];
        // The right axis, and three wrong ones that the mesh has to see through.
        for axis in [eye_axis, eye_axis.map(|v| -v), [-eye_axis[1], eye_axis[0]]] {
            let got = mesh
                .landmarks(&turned, &face(&image_from_photo, axis))
                .unwrap();
            assert!(got.score > 0.9, "{degrees}: {}", got.score);
            let errors =
                got.points_in_image
                    .iter()
                    .zip(&want.points_in_image)
                    .map(|(got, want)| {
                        let [x, y] = image_from_photo.apply(want.map(f64::from));
                        (f64::from(got[0]) - x).hypot(f64::from(got[1]) - y) / scale
                    });
            let mean = errors.sum::<f64>() / 468.0;
            assert!(mean < 2.5, "{degrees} {axis:?}: {mean} of 256 pixels");
        }
    }
}
