//! Parity with TensorFlow.js. The golden tensors come from `tests/data/people/make_reference.js`.

use super::*;
use crate::people::test_support::{golden, picture, weights};

/// Largest difference over the golden values' range; see the detector's.
const TOLERANCE: f32 = 1e-4;

#[test]
fn agrees_with_tensorflow_js_on_a_glove() {
    let hands = HandLandmarks::load(weights("hand_landmarks")).unwrap();
    let xs = picture("hand_a");
    let [joints, _, _] = hands.forward(&xs).unwrap();
    let golden = golden("hand_a");
    golden.assert_close("joints", &joints, TOLERANCE);
    let hand = &hands.in_crops(&xs).unwrap()[0];
    assert!((hand.score - golden.values("flag")[0]).abs() < 1e-5);
    assert!((hand.handedness - golden.values("side")[0]).abs() < 1e-4);
    assert_eq!(
        hand.joints[20][0],
        joints.get(0).unwrap().to_vec1::<f32>().unwrap()[60]
    );
}
