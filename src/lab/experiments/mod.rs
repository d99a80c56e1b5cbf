//! Experiments: each trains or computes many cases, prints a table, and writes CSV and plots into a folder.

pub mod batch_size;
pub mod decay;
pub mod harden;
pub mod theory;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::dataset::Digits;
use super::run::{LabConfig, Run};
use super::table::Table;
use crate::job::Out;
use crate::nn::norms::LayerRatios;
use crate::training::Ranks;

/// What experiments on the network share.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    #[command(flatten)]
    pub base: LabConfig,

    /// Seeds: each case is trained so many times
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub seeds: u64,

    /// The first of the seeds
    #[arg(long, default_value_t = 1)]
    pub first_seed: u64,

    /// Folder for tables and plots
    #[arg(short, long, default_value = "runs/lab", value_name = "DIR")]
    pub output: PathBuf,
}

impl Common {
    fn all_seeds(&self) -> impl Iterator<Item = u64> + Clone {
        (0..self.seeds).map(|i| self.first_seed.wrapping_add(i))
    }

    fn folder(&self) -> Result<&Path> {
        std::fs::create_dir_all(&self.output)
            .with_context(|| format!("Failed to create the folder {}", self.output.display()))?;
        Ok(&self.output)
    }

    fn digits(&self) -> Result<Sets> {
        let (train, held_out) = Digits::load(self.base.set)?;
        Ok((Arc::new(train), Arc::new(held_out)))
    }
}

/// Cases that were skipped, and why.
fn failures() -> Table {
    Table::new("Failed", ["case", "reason"])
}

type Sets = (Arc<Digits>, Arc<Digits>);

/// What one training run ended with.
struct End {
    accuracy: f64,
    ratios: Vec<LayerRatios>,
}

/// Trains to the end, reporting the share of it that is done.
fn train<T>(config: LabConfig, sets: &Sets, out: &Out<T>, note: &str) -> Result<(Run, End)> {
    let mut run = Run::new(config, sets.clone(), Ranks::alone())?;
    let mut ratios = Vec::new();
    let accuracy = run.finish(|run, sample| {
        let (step, steps) = run.progress();
        ratios = sample.ratios;
        Ok(out.progress(step as f32 / steps as f32, note)?)
    })?;
    Ok((run, End { accuracy, ratios }))
}

/// Mean ratio of normaliser `index` over all layers: of the means and of the variances.
fn share(ratios: &[LayerRatios], index: usize) -> (f64, f64) {
    let mean = |of: fn(&LayerRatios) -> &Vec<f64>| {
        let values = ratios.iter().filter_map(|r| of(r).get(index));
        values.sum::<f64>() / ratios.len().max(1) as f64
    };
    (mean(|r| &r.mean), mean(|r| &r.var))
}

/// Percent with one digit behind the point.
fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

/// `mean ± deviation` in percent.
fn percents(values: &[f64]) -> String {
    let (mean, deviation) = super::table::mean_and_deviation(values);
    format!("{:.1} ± {:.1}", 100.0 * mean, 100.0 * deviation)
}
