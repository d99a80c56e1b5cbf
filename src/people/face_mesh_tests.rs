//! Parity with TensorFlow.js. The golden tensors come from `tests/data/people/make_reference.js`.

use candle_core::{Device, Tensor};

use super::*;
use crate::people::test_support::{golden, picture, weights};

/// Largest difference over the golden values' range; see the detector's.
const TOLERANCE: f32 = 1e-4;

fn flat(points: &[[f32; 2]]) -> Tensor {
    Tensor::new(points.as_flattened(), &Device::Cpu).unwrap()
}

fn compare(name: &str) {
    let mesh = FaceMesh::load(weights("face_mesh")).unwrap();
    let raw = mesh.raw(&picture(name)).unwrap();
    let golden = golden(name);
    // The golden mesh has depth too.
    let points: Vec<f32> = golden
        .values("mesh")
        .chunks_exact(3)
        .flat_map(|p| [p[0], p[1]])
        .collect();
    golden.assert_values_close("mesh", &points, &flat(&raw.mesh), TOLERANCE);
    let [lips, right_eye, left_eye] = &raw.regions;
    golden.assert_close("lips", &flat(lips), TOLERANCE);
    golden.assert_close("r_eye", &flat(right_eye), TOLERANCE);
    golden.assert_close("l_eye", &flat(left_eye), TOLERANCE);
    // One value has no range: the logits of faces are about 20.
    assert!((raw.flag - golden.values("flag")[0]).abs() < 2e-3);
}

#[test]
fn agrees_with_tensorflow_js_on_a_close_up() {
    compare("mesh_a");
}

#[test]
fn agrees_with_tensorflow_js_on_an_open_mouth() {
    compare("mesh_b");
}

#[test]
fn agrees_with_tensorflow_js_on_a_rolled_face() {
    compare("mesh_c");
}

#[test]
fn refined_points_replace_the_mesh() {
    let mesh = FaceMesh::load(weights("face_mesh")).unwrap();
    let raw = mesh.raw(&picture("mesh_b")).unwrap();
    let found = mesh.in_crop(&picture("mesh_b")).unwrap();
    assert_eq!(found.points.len(), POINTS);
    assert!(found.score > 0.99);
    let refined: std::collections::HashSet<usize> = [&LIPS, &RIGHT_EYE, &LEFT_EYE]
        .iter()
        .flat_map(|region| region.points)
        .copied()
        .collect();
    assert_eq!(refined.len(), 80 + 71 + 71);
    for (index, (refined_point, raw_point)) in found.points.iter().zip(&raw.mesh).enumerate() {
        assert_eq!(
            refined_point != raw_point,
            refined.contains(&index),
            "point {index}"
        );
    }
    assert_eq!(found.points[61], raw.regions[0][0]);
}

#[test]
fn a_face_at_the_border_and_no_face_give_finite_points() {
    let mesh = FaceMesh::load(weights("face_mesh")).unwrap();
    let shifted = picture("mesh_a")
        .narrow(3, 100, 92)
        .unwrap()
        .pad_with_zeros(3, 0, 100)
        .unwrap();
    for xs in [
        shifted,
        Tensor::zeros(
            (1, 3, INPUT_PX, INPUT_PX),
            candle_core::DType::F32,
            &Device::Cpu,
        )
        .unwrap(),
    ] {
        let found = mesh.in_crop(&xs).unwrap();
        assert!(found.points.as_flattened().iter().all(|v| v.is_finite()));
        assert!((0.0..=1.0).contains(&found.score));
    }
}

#[test]
fn no_face_scores_low() {
    let mesh = FaceMesh::load(weights("face_mesh")).unwrap();
    let ramp: Vec<f32> = (0..3 * INPUT_PX * INPUT_PX)
        .map(|i| (i % INPUT_PX) as f32 / INPUT_PX as f32)
        .collect();
    let xs = Tensor::from_vec(ramp, (1, 3, INPUT_PX, INPUT_PX), &Device::Cpu).unwrap();
    assert!(mesh.in_crop(&xs).unwrap().score < 0.5);
}

#[test]
fn a_region_frame_spans_its_points_with_margin() {
    static CROSS: Region = Region {
        name: "cross",
        points: &[0, 1, 2, 3],
        axis: [0, 1],
    };
    // A horizontal axis 4 long, points 1 above and below it.
    let mesh = [[0.0, 0.0], [4.0, 0.0], [2.0, -1.0], [2.0, 1.0]];
    let frame = CROSS.frame(&mesh).unwrap();
    assert_eq!(frame.apply([0.0, 0.0]), [-1.0, -1.5]);
    assert_eq!(frame.apply([1.0, 1.0]), [5.0, 1.5]);
    // The same turned by 90 degrees.
    let turned = mesh.map(|[x, y]| [-y, x]);
    assert_eq!(CROSS.frame(&turned).unwrap().apply([1.0, 0.0]), [1.5, 5.0]);
    assert!(CROSS.frame(&[[1.0, 1.0]; 4]).is_none());
    assert!(CROSS.frame(&[[f32::NAN, 1.0]; 4]).is_none());
}
