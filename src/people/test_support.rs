//! What the tests of this folder share: shipped weights, pictures and golden tensors of `tests/data/people`.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use crate::raster::Rgb;

fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// The shipped weights `name`, as f32.
pub fn weights(name: &str) -> VarBuilder<'static> {
    let bytes = std::fs::read(path(&format!("weights/{name}.safetensors"))).unwrap();
    VarBuilder::from_buffered_safetensors(bytes, DType::F32, &Device::Cpu).unwrap()
}

/// The picture `name` as [1, 3, H, W] in [0, 1].
pub fn picture(name: &str) -> Tensor {
    let rgb = image::open(path(&format!("tests/data/people/{name}.png")))
        .unwrap()
        .to_rgb8();
    let (w, h) = (rgb.width() as usize, rgb.height() as usize);
    let values: Vec<f32> = rgb.as_raw().iter().map(|&v| f32::from(v) / 255.0).collect();
    let hwc = Tensor::from_vec(values, (h, w, 3), &Device::Cpu).unwrap();
    hwc.permute((2, 0, 1))
        .unwrap()
        .unsqueeze(0)
        .unwrap()
        .contiguous()
        .unwrap()
}

pub struct Golden(HashMap<String, Tensor>);

/// The golden tensors `name`.
pub fn golden(name: &str) -> Golden {
    let path = path(&format!("tests/data/people/{name}.safetensors"));
    Golden(candle_core::safetensors::load(path, &Device::Cpu).unwrap())
}

impl Golden {
    pub fn values(&self, key: &str) -> Vec<f32> {
        self.0[key].flatten_all().unwrap().to_vec1().unwrap()
    }

    /// Asserts that no value differs by more than `tolerance` of the golden values' range.
    pub fn assert_close(&self, key: &str, got: &Tensor, tolerance: f32) {
        self.assert_values_close(key, &self.values(key), got, tolerance);
    }

    pub fn assert_values_close(&self, key: &str, want: &[f32], got: &Tensor, tolerance: f32) {
        let got: Vec<f32> = got.flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(got.len(), want.len(), "{key}");
        let low = want.iter().copied().fold(f32::INFINITY, f32::min);
        let high = want.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let worst = got
            .iter()
            .zip(want)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(
            worst <= tolerance * (high - low),
            "{key}: {worst} of range {}",
            high - low
        );
        assert!(got.iter().all(|v| v.is_finite()), "{key}");
    }
}

/// The photo `name` as pixels.
pub fn photo(name: &str) -> Rgb {
    let rgb = image::open(path(&format!("tests/data/people/{name}.jpg")))
        .unwrap()
        .to_rgb8();
    Rgb::from_vec(rgb.width() as usize, rgb.height() as usize, rgb.into_raw()).unwrap()
}
