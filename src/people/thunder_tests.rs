//! Parity with TensorFlow.js. The golden tensors come from `tests/data/people/make_reference.js`.

use candle_core::Device;

use super::*;
use crate::people::test_support::{golden, picture, weights};

/// Largest difference over the golden values' range; see the detector's.
const TOLERANCE: f32 = 1e-4;

#[test]
fn agrees_with_tensorflow_js_on_a_photographer() {
    let thunder = Thunder::load(weights("movenet_thunder")).unwrap();
    // The source multiplies by 0.007843, not by 2 / 255.
    let xs = ((picture("body_a") * (255.0 * 0.007843)).unwrap() - 1.0).unwrap();
    let body = thunder.in_crops(&xs).unwrap()[0];
    let rows = body.joints.iter().zip(&body.scores);
    let got: Vec<f32> = rows
        .flat_map(|([x, y], score)| [y / 256.0, x / 256.0, *score])
        .collect();
    let got = Tensor::new(got, &Device::Cpu).unwrap();
    golden("body_a").assert_close("joints", &got, TOLERANCE);
    // Read off the picture: the nose is at (123, 80), the right elbow is in front of the body.
    assert!((body.joints[0][0] - 123.0).abs() < 8.0 && (body.joints[0][1] - 80.0).abs() < 8.0);
    assert!(body.center > 0.1);
}

#[test]
fn several_crops_give_what_each_gives_alone() {
    let thunder = Thunder::load(weights("movenet_thunder")).unwrap();
    let one = ((picture("body_a") * 2.0).unwrap() - 1.0).unwrap();
    let one = one.narrow(2, 0, 128).unwrap().narrow(3, 32, 128).unwrap();
    let two = (&one * 0.5).unwrap();
    let alone = thunder.in_crops(&one).unwrap()[0];
    let both = thunder
        .in_crops(&Tensor::cat(&[&two, &one], 0).unwrap())
        .unwrap();
    assert_eq!(both.len(), 2);
    for (a, b) in alone.joints.iter().zip(&both[1].joints) {
        assert!((a[0] - b[0]).abs() < 0.01 && (a[1] - b[1]).abs() < 0.01);
    }
}
