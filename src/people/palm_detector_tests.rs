//! Parity with TensorFlow.js. The golden tensors come from `tests/data/people/make_reference.js`.

use super::*;
use crate::people::test_support::{golden, picture, weights};

/// Largest difference over the golden values' range; see the detector's.
const TOLERANCE: f32 = 1e-4;

#[test]
fn agrees_with_tensorflow_js_on_a_photographer() {
    let palms = PalmDetector::load(weights("palm_detector")).unwrap();
    let xs = ((picture("body_a") * 2.0).unwrap() - 1.0).unwrap();
    let levels = palms.forward(&xs).unwrap();
    // The source goes from fine to coarse, cell by cell, anchor by anchor.
    let rows = |map: &Tensor, values: usize| {
        map.permute((0, 2, 3, 1))
            .unwrap()
            .reshape(((), values))
            .unwrap()
    };
    let fine_first = |part: usize, values: usize| {
        let maps: Vec<Tensor> = levels
            .iter()
            .rev()
            .map(|level| rows(&level[part], values))
            .collect();
        Tensor::cat(&maps, 0).unwrap()
    };
    let golden = golden("body_a");
    golden.assert_close("palm_scores", &fine_first(0, 1), TOLERANCE);
    let boxes = fine_first(1, VALUES);
    let kept: Vec<u32> = (0..boxes.dim(0).unwrap() as u32).step_by(23).collect();
    let kept = Tensor::new(kept, boxes.device()).unwrap();
    golden.assert_close(
        "palm_boxes",
        &boxes.index_select(&kept, 0).unwrap(),
        TOLERANCE,
    );

    // Read off the picture: the gloves are at (105, 112) and (150, 105).
    let found = &palms_of(&levels, 0.5).unwrap()[0];
    assert!(!found.is_empty());
    for palm in found {
        let [x, y] = [
            0.5 * (palm.bbox[0] + palm.bbox[2]),
            0.5 * (palm.bbox[1] + palm.bbox[3]),
        ];
        assert!(
            (70.0..185.0).contains(&x) && (75.0..145.0).contains(&y),
            "{palm:?}"
        );
    }
}

#[test]
fn of_overlapping_palms_the_best_stays() {
    let palm = |x: f32, score: f32| Palm {
        bbox: [x, 0.0, x + 10.0, 10.0],
        score,
        keypoints: [[0.0; 2]; KEYPOINTS],
    };
    let kept = without_doubles(vec![palm(0.0, 0.6), palm(2.0, 0.9), palm(40.0, 0.5)]);
    let scores: Vec<f32> = kept.iter().map(|p| p.score).collect();
    assert_eq!(scores, [0.9, 0.5]);
}
