//! Parity with TensorFlow.js. The golden tensors come from `tests/data/people/make_reference.js`.

use candle_core::Device;

use super::*;
use crate::people::test_support::{golden, picture, weights};

/// Largest difference over the golden values' range; see the detector's.
const TOLERANCE: f32 = 1e-4;

#[test]
fn agrees_with_tensorflow_js_on_a_photographer() {
    let pose = BlazePose::load(weights("blaze_pose")).unwrap();
    let xs = picture("body_a");
    let [points, flag, heat] = pose.forward(&xs).unwrap();
    let golden = golden("body_a");
    golden.assert_close("points", &points, TOLERANCE);
    let flag = sigmoid(flag.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0]);
    assert!((flag - golden.values("flag")[0]).abs() < 1e-4);
    // The source has the channels last and keeps every 61st value here.
    let heat = heat.permute((0, 2, 3, 1)).unwrap().flatten_all().unwrap();
    let heat: Vec<f32> = heat.to_vec1::<f32>().unwrap();
    let kept: Vec<f32> = heat.into_iter().step_by(61).map(sigmoid).collect();
    golden.assert_close("heat", &Tensor::new(kept, &Device::Cpu).unwrap(), TOLERANCE);
}

#[test]
fn heat_pulls_points_near_it_and_leaves_others() {
    let mut heat = vec![-20.0; HEAT_PX * HEAT_PX];
    heat[10 * HEAT_PX + 20] = 5.0;
    let [x, y] = refined([84.0, 44.0], &heat);
    assert!((x - 80.0).abs() < 0.1 && (y - 40.0).abs() < 0.1, "{x} {y}");
    assert_eq!(refined([200.0, 44.0], &heat), [200.0, 44.0]);
    assert_eq!(refined([-5.0, 400.0], &heat), [-5.0, 400.0]);
}
