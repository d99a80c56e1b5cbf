//! Parity with TensorFlow.js. The golden tensors come from `tests/data/people/make_reference.js`.

use candle_core::{Device, Tensor};

use super::*;
use crate::people::test_support::{golden, picture, weights};

/// Largest difference over the golden values' range. Both sides hold the same 16-bit weights and compute in f32, so
/// only the order of summation differs; 1e-4 leaves an order of magnitude over what is seen.
const TOLERANCE: f32 = 1e-4;

fn compare(name: &str) {
    let detector = FaceDetector::load(weights("face_detector")).unwrap();
    let xs = ((picture(name) * 2.0).unwrap() - 1.0).unwrap();
    let (scores, boxes) = detector.forward(&xs).unwrap();
    assert_eq!(scores.dims(), [1, 48, 48]);
    assert_eq!(boxes.dims(), [1, 48, 48, BOX_VALUES]);
    let golden = golden(name);
    golden.assert_close("scores", &scores, TOLERANCE);
    let cells: Vec<u32> = golden
        .values("cells")
        .iter()
        .map(|&cell| cell as u32)
        .collect();
    let cells = Tensor::new(cells, &Device::Cpu).unwrap();
    let boxes = boxes.reshape((48 * 48, BOX_VALUES)).unwrap();
    golden.assert_close("boxes", &boxes.index_select(&cells, 0).unwrap(), TOLERANCE);
}

#[test]
fn agrees_with_tensorflow_js_on_a_large_face() {
    compare("detector_a");
}

#[test]
fn agrees_with_tensorflow_js_on_a_small_rolled_face() {
    compare("detector_b");
}

#[test]
fn decodes_boxes_around_the_face() {
    let detector = FaceDetector::load(weights("face_detector")).unwrap();
    let xs = ((picture("detector_b") * 2.0).unwrap() - 1.0).unwrap();
    let found = detector.candidates(&xs, 0.5).unwrap();
    assert!(!found.is_empty());
    for face in found {
        let [x0, y0, x1, y1] = face.bbox_in_image;
        // Read off the picture: the head spans about 65..120 across and 55..135 down.
        assert!(
            x0 > 55.0 && x1 < 135.0 && y0 > 55.0 && y1 < 140.0,
            "{face:?}"
        );
        let [right_eye, left_eye, nose, mouth, ..] = face.keypoints_in_image;
        assert!(
            right_eye[0] < left_eye[0] && nose[1] > right_eye[1] && mouth[1] > nose[1],
            "{face:?}"
        );
        assert!(face.score >= 0.5 && face.score <= 1.0);
    }
}

#[test]
fn iou_of_boxes() {
    let face = |bbox_in_image| Detection {
        bbox_in_image,
        score: 1.0,
        keypoints_in_image: [[0.0; 2]; 6],
    };
    let a = face([0.0, 0.0, 2.0, 2.0]);
    assert_eq!(a.iou(&a), 1.0);
    assert_eq!(a.iou(&face([1.0, 0.0, 3.0, 2.0])), 1.0 / 3.0);
    assert_eq!(a.iou(&face([2.0, 2.0, 3.0, 3.0])), 0.0);
    assert_eq!(face([0.0; 4]).iou(&face([0.0; 4])), 0.0);
}
