//! The pyramid's bounds and geometry, merging, and faces from 40 to 1,800 pixels.

use super::*;
use crate::people::test_support::{photo, weights};

#[test]
fn levels_reach_from_the_whole_photo_to_small_faces_within_bounds() {
    for (w, h) in [
        (1, 1),
        (60, 40),
        (512, 512),
        (4000, 3000),
        (16_384, 12_000),
        (16_384, 3),
        (7, 16_384),
    ] {
        let levels = levels(w, h);
        assert!((levels[0] * w.max(h) as f64 - COARSEST_PX).abs() < 1e-6);
        assert!(levels.len() <= 9, "{w} × {h}: {levels:?}");
        for pair in levels.windows(2) {
            assert!(
                pair[1] / pair[0] > 1.0 && pair[1] / pair[0] <= LEVEL_STEP + 1e-9,
                "{w} × {h}: {levels:?}"
            );
        }
        for &scale in &levels {
            let (_, w, h) = level(w, h, scale, 0);
            assert!(w % MULTIPLE_PX == 0 && h % MULTIPLE_PX == 0);
            assert!(w * h < 3_000_000, "{w} × {h}");
        }
    }
    // Faces of 40 pixels reach the network at 16 in photos of up to 12.5 megapixels.
    assert!((levels(4000, 3000).last().unwrap() - 0.4).abs() < 1e-9);
    assert!(levels(0, 100).is_empty() && levels(100, 0).is_empty());
}

#[test]
fn a_level_shows_the_whole_photo_in_its_middle_however_turned() {
    for quarter in 0..4 {
        let (image_from_level, w, h) = level(300, 200, 0.5, quarter);
        let (content_w, content_h) = if quarter % 2 == 0 {
            (150, 100)
        } else {
            (100, 150)
        };
        assert!(w >= content_w + 2 * MARGIN_PX && h >= content_h + 2 * MARGIN_PX);
        let middle = image_from_level.apply([w as f64 / 2.0, h as f64 / 2.0]);
        assert!((middle[0] - 150.0).abs() < 1e-9 && (middle[1] - 100.0).abs() < 1e-9);
        // Turned clockwise by a quarter, the photo's left edge is on top.
        let up = image_from_level.apply([w as f64 / 2.0, 0.0]);
        let towards =
            [up[0] - 150.0, up[1] - 100.0].map(|v| if v.abs() < 1e-9 { 0.0 } else { v.signum() });
        assert_eq!(
            towards,
            [[0.0, -1.0], [-1.0, 0.0], [0.0, 1.0], [1.0, 0.0]][quarter]
        );
    }
}

fn face(bbox_in_image: [f32; 4], score: f32, eye_line: [f32; 2]) -> Detection {
    let mut keypoints_in_image = [[1.0; 2]; 6];
    keypoints_in_image[1] = [1.0 + eye_line[0], 1.0 + eye_line[1]];
    Detection {
        bbox_in_image,
        score,
        keypoints_in_image,
    }
}

#[test]
fn overlapping_boxes_become_their_weighted_mean() {
    let merged = merge(vec![
        face([0.0, 0.0, 10.0, 10.0], 0.3, [3.0, 0.0]),
        face([2.0, 0.0, 12.0, 10.0], 0.6, [3.0, 0.0]),
        face([50.0, 50.0, 60.0, 60.0], 0.5, [3.0, 0.0]),
    ]);
    assert_eq!(merged.len(), 2);
    assert_eq!(merged[0].score, 0.6);
    let mean = merged[0].bbox_in_image;
    assert!(
        (mean[0] - 4.0 / 3.0).abs() < 1e-5 && (mean[2] - 34.0 / 3.0).abs() < 1e-5,
        "{mean:?}"
    );
    assert_eq!(merged[1].bbox_in_image, [50.0, 50.0, 60.0, 60.0]);
}

#[test]
fn keypoints_found_upside_down_are_not_mixed_in() {
    let merged = merge(vec![
        face([0.0, 0.0, 10.0, 10.0], 0.6, [4.0, 0.0]),
        face([0.0, 0.0, 10.0, 10.0], 0.5, [-4.0, 0.0]),
    ]);
    assert_eq!(merged.len(), 1);
    assert_eq!(merged[0].eye_line(), [4.0, 0.0]);
}

#[test]
fn boxes_of_no_size_or_no_number_end() {
    let nan = f32::NAN;
    let merged = merge(vec![
        face([5.0; 4], 0.6, [0.0; 2]),
        face([5.0; 4], 0.5, [0.0; 2]),
        face([nan, 0.0, nan, 1.0], 0.4, [nan, nan]),
    ]);
    assert!(merged.len() <= 3);
}

/// The face box in `aligned_a`, in parts of its side: forehead to chin.
const FACE: [f32; 4] = [0.23, 0.28, 0.77, 0.9];

#[test]
fn faces_of_40_to_1800_pixels_are_found_where_they_are() {
    let detector = FaceDetector::load(weights("face_detector")).unwrap();
    let upright = photo("aligned_a");
    for (side, canvas) in [(70.0, 500), (300.0, 400), (3000.0, 3000)] {
        // In the lower right corner of a grey photo.
        let offset = canvas as f64 - side;
        let mut scene = Rgb::new(canvas, canvas, [110, 115, 120]);
        let part = warp_rgb(
            &upright,
            &Similarity::scale_shift(256.0 / side, 0.0, 0.0),
            side as usize,
            side as usize,
        );
        scene.paste(&part, offset as usize, offset as usize);
        let found = detector.detect(&scene, 10).unwrap();
        let want = face(
            FACE.map(|v| v * side as f32 + offset as f32),
            1.0,
            [1.0, 0.0],
        );
        assert!(found[0].iou(&want) > 0.6, "{side}: {:?} {want:?}", found[0]);
        let [dx, dy] = found[0].eye_line().map(|v| v / side as f32);
        assert!(
            dx > 0.15 && dx < 0.35 && dy.abs() < 0.1,
            "{side}: {dx} {dy}"
        );
    }
}

#[test]
fn an_empty_photo_has_no_faces() {
    let detector = FaceDetector::load(weights("face_detector")).unwrap();
    assert_eq!(detector.detect(&Rgb::new(0, 0, [0; 3]), 10).unwrap(), []);
    assert_eq!(detector.detect(&Rgb::new(1, 1, [9; 3]), 10).unwrap(), []);
    assert_eq!(
        detector.detect(&Rgb::new(320, 200, [128; 3]), 10).unwrap(),
        []
    );
}
