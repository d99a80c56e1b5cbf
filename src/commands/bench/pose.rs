//! `vitruvian bench pose`: the networks of whole-body pose, a crop each, and the whole way for one and for ten people.
//!
//! The photo of ten is the astronaut's portrait, five by two. Left out: reading the photo, drawing the result.

use anyhow::{Context as _, Result};
use candle_core::{DType, Device, Tensor};

use super::median_ms;
use crate::commands::{print, print_json};
use crate::job::Out;
use crate::photo;
use crate::pose::estimate::{PoseConfig, detect};
use crate::pose::networks::Networks;
use crate::raster::Rgb;
use crate::weights::Store;

const ALONE: &[u8] = include_bytes!("../../../assets/samples/photographer.jpg");
const OF_TEN: &[u8] = include_bytes!("../../../assets/samples/astronaut.jpg");

/// Measures every step and prints milliseconds, a line each, or JSON.
///
/// # Errors
/// When weights are missing or a network fails.
pub fn run(json: bool) -> Result<()> {
    let networks = Networks::load(&Store::find())?;
    let alone = photo::decode(ALONE)?.rgb;
    let one = photo::decode(OF_TEN)?.rgb;
    let mut ten = Rgb::new(5 * one.width, 2 * one.height, [0; 3]);
    for place in 0..10 {
        ten.paste(&one, place % 5 * one.width, place / 5 * one.height);
    }
    let crop = |side: usize| Tensor::zeros((1, 3, side, side), DType::F32, &Device::Cpu);
    let [small, middle, large] = [crop(192)?, crop(224)?, crop(256)?];
    let quiet = Out::<()>::silent();
    let config = PoseConfig::default();
    let whole = |photo: &Rgb| detect(&networks, photo, &config, &quiet).map(drop);
    type Step<'a> = &'a dyn Fn() -> Result<()>;
    let steps: [(&str, Step); 8] = [
        ("multipose, 256 px", &|| {
            Ok(networks.multipose.maps(&large).map(drop)?)
        }),
        ("thunder", &|| {
            Ok(networks.thunder.in_crops(&large).map(drop)?)
        }),
        ("blaze pose", &|| {
            Ok(networks.blaze_pose.in_crops(&large).map(drop)?)
        }),
        ("face mesh", &|| {
            Ok(networks.face_mesh.in_crop(&small).map(drop)?)
        }),
        ("palm detector, 192 px", &|| {
            Ok(networks.palm_detector.in_pictures(&small, 0.5).map(drop)?)
        }),
        ("hand landmarks", &|| {
            Ok(networks.hand_landmarks.in_crops(&middle).map(drop)?)
        }),
        ("one person, all", &|| whole(&alone)),
        ("ten people, all", &|| whole(&ten)),
    ];
    let threads = rayon::current_num_threads();
    let mut times_ms = serde_json::Map::new();
    if !json {
        print(format_args!("{threads} threads, median times"));
    }
    for (name, step) in steps {
        let ms = median_ms(step).with_context(|| format!("Failed to run {name}"))?;
        if !json {
            print(format_args!("{name:<24} {ms:>8.1} ms"));
        }
        times_ms.insert(name.to_owned(), ms.into());
    }
    if json {
        print_json(&serde_json::json!({ "threads": threads, "times_ms": times_ms }))?;
    }
    Ok(())
}
