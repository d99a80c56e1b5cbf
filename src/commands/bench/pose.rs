//! `vitruvian bench pose`: the networks of whole-body pose, a crop each, and the whole way for one and for ten people,
//! stage by stage.
//!
//! Times are those of the fastest of several runs: other programs on the machine only ever make a run slower.
//! The photo of ten is the astronaut's portrait, five by two. Left out: reading the photo, drawing the result.

use std::time::Instant;

use anyhow::{Context as _, Result};
use candle_core::{DType, Device, Tensor};

use super::BUDGET_SECS;
use crate::commands::{print, print_json};
use crate::job::Out;
use crate::photo;
use crate::pose::estimate::{PoseConfig, Stages, detect_in_stages};
use crate::pose::networks::Networks;
use crate::raster::Rgb;
use crate::weights::Store;

const ALONE: &[u8] = include_bytes!("../../../assets/samples/photographer.jpg");
const OF_TEN: &[u8] = include_bytes!("../../../assets/samples/astronaut.jpg");

/// Runs of each thing, at least.
const RUNS: usize = 5;

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
    let [least, small, middle, large] = [crop(128)?, crop(192)?, crop(224)?, crop(256)?];
    type Step<'a> = &'a dyn Fn() -> Result<()>;
    let steps: [(&str, Step); 6] = [
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
        ("palm detector, 128 px", &|| {
            Ok(networks.palm_detector.in_pictures(&least, 0.5).map(drop)?)
        }),
        ("hand landmarks", &|| {
            Ok(networks.hand_landmarks.in_crops(&middle).map(drop)?)
        }),
    ];
    let threads = rayon::current_num_threads();
    let mut times_ms = serde_json::Map::new();
    if !json {
        print(format_args!(
            "{threads} threads, the fastest of several runs each"
        ));
    }
    for (name, step) in steps {
        let ms = fastest_ms(step).with_context(|| format!("Failed to run {name}"))?;
        if !json {
            print(format_args!("{name:<28} {ms:>8.1} ms"));
        }
        times_ms.insert(name.to_owned(), ms.into());
    }
    for (name, photo, people) in [("one person", &alone, 1.0), ("ten people", &ten, 10.0)] {
        let whole = whole(&networks, photo).with_context(|| format!("Failed to find {name}"))?;
        let total: f64 = whole.iter().map(|(_, ms)| ms).sum();
        let stages = whole.into_iter();
        for (stage, ms) in stages.chain([("all", total), ("all, for each", total / people)]) {
            let name = format!("{name}: {stage}");
            if !json {
                print(format_args!("{name:<28} {ms:>8.1} ms"));
            }
            times_ms.insert(name, ms.into());
        }
    }
    if json {
        print_json(&serde_json::json!({ "threads": threads, "times_ms": times_ms }))?;
    }
    Ok(())
}

/// The fastest of many runs after a first one.
fn fastest_ms(work: impl Fn() -> Result<()>) -> Result<f64> {
    work()?;
    let start = Instant::now();
    let (mut runs, mut best) = (0, f64::INFINITY);
    while runs < RUNS || start.elapsed().as_secs_f64() < BUDGET_SECS {
        let one = Instant::now();
        work()?;
        best = best.min(1e3 * one.elapsed().as_secs_f64());
        runs += 1;
    }
    Ok(best)
}

/// Milliseconds of each stage, in the run that was fastest in all.
fn whole(networks: &Networks, photo: &Rgb) -> Result<Stages> {
    let quiet = Out::<()>::silent();
    let mut best: Option<Stages> = None;
    let seconds = |stages: &Stages| stages.iter().map(|(_, s)| s).sum::<f64>();
    for _ in 0..RUNS {
        let mut stages = Stages::new();
        let config = PoseConfig::default();
        detect_in_stages(networks, photo, &config, &quiet, &mut stages)?;
        if best.as_ref().is_none_or(|b| seconds(&stages) < seconds(b)) {
            best = Some(stages);
        }
    }
    let stages = best.unwrap_or_default().into_iter();
    Ok(stages.map(|(name, s)| (name, 1e3 * s)).collect())
}
