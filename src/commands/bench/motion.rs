//! `vitruvian bench motion`: what futures cost by the number of walkers, and what a heat map costs on the CPU.
//!
//! Walkers stand on a grid with two metres to the next one and walk in four directions, so each has as many neighbours
//! as the network looks at, however many there are. Weights are the shipped ones.

use std::fmt;

use anyhow::{Context as _, Result};
use candle_core::Device;
use serde::Serialize;

use super::median_ms;
use crate::commands::{print, print_json};
use crate::job::Out;
use crate::motion::kde::{Bounds, density};
use crate::motion::predict::{self, Care, predict};
use crate::motion::{Past, Point, SAMPLES};
use crate::weights::Store;

const WALKERS: [usize; 5] = [1, 10, 50, 500, 2000];
/// Samples and side of the heat map, as the window's largest.
const HEAT_SAMPLES: [usize; 3] = [1_000, 10_000, 100_000];
const HEAT_SIDE: usize = 1024;

#[derive(Serialize)]
struct Walked {
    walkers: usize,
    care: Care,
    ms: f64,
    us_per_walker: f64,
}

#[derive(Serialize)]
struct Heated {
    samples: usize,
    side: usize,
    ms: f64,
}

#[derive(Serialize)]
struct Report {
    futures: Vec<Walked>,
    heat_maps: Vec<Heated>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{SAMPLES} futures of each walker")?;
        writeln!(
            f,
            "  {:>8} {:>8} {:>10} {:>14}",
            "walkers", "care", "ms", "us a walker"
        )?;
        for row in &self.futures {
            let care = format!("{:?}", row.care).to_lowercase();
            let (ms, each) = (row.ms, row.us_per_walker);
            writeln!(f, "  {:>8} {care:>8} {ms:>10.2} {each:>14.1}", row.walkers)?;
        }
        writeln!(f, "heat map on the CPU, {HEAT_SIDE} x {HEAT_SIDE}")?;
        for row in &self.heat_maps {
            writeln!(f, "  {:>8} samples {:>10.2} ms", row.samples, row.ms)?;
        }
        Ok(())
    }
}

pub fn run(json: bool) -> Result<()> {
    let network = predict::load(&Store::find().open("motion", &Device::Cpu)?)?;
    let mut report = Report {
        futures: Vec::new(),
        heat_maps: Vec::new(),
    };
    for care in [Care::Quick, Care::Full] {
        for walkers in WALKERS {
            let pasts = crowd(walkers);
            let egos: Vec<usize> = (0..walkers).collect();
            let ms = median_ms(|| {
                predict(&network, &pasts, &egos, None, care, &Out::silent()).map(drop)
            });
            let ms = ms.context("The network failed")?;
            report.futures.push(Walked {
                walkers,
                care,
                ms,
                us_per_walker: 1e3 * ms / walkers as f64,
            });
        }
    }
    for samples in HEAT_SAMPLES {
        // A low-discrepancy cloud over the whole map (Roberts' R2 sequence).
        let at = |i: usize| {
            [0.754_877_67, 0.569_840_29].map(|a| (i as f64 * a).fract() * HEAT_SIDE as f64)
        };
        let cloud: Vec<(Point, f32)> = (0..samples).map(|i| (at(i), 1.0)).collect();
        let bounds = Bounds::of_pixels(HEAT_SIDE, HEAT_SIDE);
        let ms = median_ms(|| {
            std::hint::black_box(density(&cloud, bounds, (HEAT_SIDE, HEAT_SIDE), 12.0));
            Ok::<(), anyhow::Error>(())
        });
        report.heat_maps.push(Heated {
            samples,
            side: HEAT_SIDE,
            ms: ms.context("The heat map failed")?,
        });
    }
    match json {
        true => print_json(&report),
        false => {
            print(&report);
            Ok(())
        }
    }
}

fn crowd(walkers: usize) -> Vec<Past> {
    let side = (walkers as f64).sqrt().ceil() as usize;
    (0..walkers)
        .map(|i| {
            let (x, y) = ((i % side) as f64 * 2.0, (i / side) as f64 * 2.0);
            let angle = (i % 4) as f64 * std::f64::consts::FRAC_PI_2 + 0.1;
            std::array::from_fn(|t| {
                let way = 0.45 * t as f64;
                [x + way * angle.cos(), y + way * angle.sin()]
            })
        })
        .collect()
}
