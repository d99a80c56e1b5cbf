//! Parity with TensorFlow.js. The golden tensors come from `tests/data/people/make_reference.js`.

use super::*;
use crate::people::test_support::{golden, picture, weights};

/// Largest difference over the golden values' range; both sides hold the same 16-bit weights and compute in f32.
const TOLERANCE: f32 = 1e-3;

fn network() -> MultiPose {
    MultiPose::load(weights("multipose")).unwrap()
}

fn two_people() -> Tensor {
    ((picture("multipose_a") * 2.0).unwrap() - 1.0).unwrap()
}

#[test]
fn maps_and_people_agree_with_tensorflow_js() {
    let golden = golden("multipose_a");
    let maps = network().maps(&two_people()).unwrap();
    assert_eq!(maps.features.dims(), [24, 32, 48]);
    assert_eq!(maps.regress.dims(), [34, 32, 48]);
    for (key, map) in [
        ("features", &maps.features),
        ("center", &maps.center.unsqueeze(0).unwrap()),
        ("heat", &maps.heat),
        ("regress", &maps.regress),
        ("offset", &maps.offset),
        ("box_size", &maps.box_size),
        ("box_offset", &maps.box_offset),
    ] {
        let rows = map.flatten_from(1).unwrap().t().unwrap(); // [cells, C]
        let cells = Tensor::arange_step(0, rows.dim(0).unwrap() as u32, 11, &Device::Cpu).unwrap();
        let kept = rows.contiguous().unwrap().index_select(&cells, 0).unwrap();
        golden.assert_close(key, &kept, TOLERANCE);
    }

    // A row of the reference: y, x, score of each joint, then top, left, bottom, right, score, over height and width.
    let found = decode(&maps).unwrap();
    let mut rows = Vec::new();
    for person in &found {
        for ([x, y], score) in person.joints {
            rows.extend([y / 128.0, x / 192.0, score]);
        }
        let [x0, y0, x1, y1] = person.bbox;
        rows.extend([y0 / 128.0, x0 / 192.0, y1 / 128.0, x1 / 192.0, person.score]);
    }
    let want = golden.values("people");
    assert_eq!(rows.len(), want.len());
    let rows = Tensor::from_vec(rows, want.len(), &Device::Cpu).unwrap();
    golden.assert_close("people", &rows, TOLERANCE);
}

#[test]
fn finds_both_people_of_a_photo_at_any_scale_in_its_own_pixels() {
    let small = crate::raster::tensor_to_rgb(&two_people()).unwrap();
    let photo = resize_rgb(&small, 384, 256);
    let found = network().find_people(&photo, 192).unwrap();
    let sure: Vec<_> = found.iter().filter(|person| person.score > 0.2).collect();
    assert_eq!(sure.len(), 2, "{found:?}");
    for (person, nose_x) in sure.iter().zip([115.0, 340.0]) {
        let ([x, y], score) = person.joints[0];
        // Read off the picture.
        assert!(
            (x - nose_x).abs() < 12.0 && (y - 60.0).abs() < 12.0,
            "{x} {y}"
        );
        assert!(score > 0.3);
    }
}

#[test]
fn a_view_is_filled_up_to_multiples_and_its_pixels_lead_back() {
    let photo = Rgb::new(1000, 300, [255, 0, 0]);
    let view = View::of(&photo, 512).unwrap();
    assert_eq!(view.xs.dims(), [1, 3, 160, 512]);
    assert_eq!(view.content, (512, 154));
    let [x, y] = view.image_from_view.apply([512.0, 153.6]);
    assert!((x - 1000.0).abs() < 1e-9 && (y - 300.0).abs() < 1e-9);
    let below = view.xs.narrow(2, 154, 6).unwrap();
    assert_eq!(below.max_all().unwrap().to_scalar::<f32>().unwrap(), -1.0);
    assert!(View::of(&Rgb::new(0, 9, [0; 3]), 512).is_err());
    // A line of pixels is a photo too.
    assert_eq!(
        View::of(&Rgb::new(5000, 1, [9; 3]), 512).unwrap().content,
        (512, 1)
    );
}

#[test]
fn other_sizes_are_refused() {
    let xs = Tensor::zeros((1, 3, 100, 96), candle_core::DType::F32, &Device::Cpu).unwrap();
    let error = network().maps(&xs).err().unwrap().to_string();
    assert!(
        error.contains("96 × 100") && error.contains("32"),
        "{error}"
    );
}
