//! `vitruvian bench`: how fast things are, one file for each thing that is measured.
//!
//! Each number is the median of repeated runs after a warm-up. The number of threads is that of rayon
//! (`RAYON_NUM_THREADS`).

mod face;
mod kernels;
mod motion;
#[cfg(feature = "gui")]
mod painting;
mod pose;

use std::time::Instant;

use anyhow::Result;

use crate::cli::BenchSubject;

/// Runs of each case: at least three, then until this much time has gone.
const BUDGET_SECS: f64 = 0.5;

pub fn run(subject: BenchSubject, json: bool) -> Result<()> {
    match subject {
        BenchSubject::Kernels => kernels::run(json),
        BenchSubject::Face => face::run(json),
        BenchSubject::Motion => motion::run(json),
        BenchSubject::Pose => pose::run(json),
        #[cfg(feature = "gui")]
        BenchSubject::Painting => painting::run(json),
    }
}

/// `None` if the work cannot be done: candle has no backward pass for some operations.
fn median_ms<E>(work: impl Fn() -> std::result::Result<(), E>) -> Option<f64> {
    work().ok()?;
    let start = Instant::now();
    let mut times_ms = Vec::new();
    while times_ms.len() < 3 || start.elapsed().as_secs_f64() < BUDGET_SECS {
        let one = Instant::now();
        work().ok()?;
        times_ms.push(one.elapsed().as_secs_f64() * 1e3);
    }
    times_ms.sort_by(f64::total_cmp);
    times_ms.get(times_ms.len() / 2).copied()
}
