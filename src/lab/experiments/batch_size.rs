//! Accuracy against batch size, for several normalisations (the shape of SN's and SSN's ImageNet tables): batch
//! normalisation falls apart at small batches, switchable ones hold; and the share of batch statistics grows with the
//! batch.

use anyhow::{Result, ensure};

use super::{Common, failures, percent, percents, share, train};
use crate::job::Out;
use crate::lab::plot::{Axes, Series, plot};
use crate::lab::run::LabConfig;
use crate::lab::table::{Table, mean_and_deviation};
use crate::nn::norms::NormKind;

/// Flags of the experiment.
#[derive(Clone, Debug, clap::Args)]
pub struct BatchSize {
    #[command(flatten)]
    pub common: Common,

    /// Normalisations to compare
    #[arg(long, value_delimiter = ',', default_value = "bn,gn,sn,ssn")]
    pub norms: Vec<NormKind>,

    /// Batch sizes
    #[arg(long, value_delimiter = ',', default_value = "2,4,8,16,32,64")]
    pub batches: Vec<usize>,
}

/// Trains every case and returns the tables: accuracy, the share of batch statistics, and what failed. Runs are written to
/// `batch-size-runs.csv` as they end, so that an interruption keeps them; a case that fails is told and skipped.
///
/// # Errors
/// Wrong flags, cancel, a folder that cannot be written.
pub fn run<T>(config: &BatchSize, out: &Out<T>) -> Result<Vec<Table>> {
    let common = &config.common;
    ensure!(
        !config.norms.is_empty() && !config.batches.is_empty(),
        "There is nothing to compare: give --norms and --batches"
    );
    let folder = common.folder()?;
    let sets = common.digits()?;
    let mut runs = Table::new(
        "Runs",
        [
            "norm",
            "batch",
            "seed",
            "accuracy_percent",
            "bn_mean_ratio",
            "bn_var_ratio",
            "error",
        ],
    );
    let mut columns = vec!["norm".to_string()];
    columns.extend(config.batches.iter().map(ToString::to_string));
    let mut accuracies = Table::new(
        "Accuracy on held-out digits, %, by batch size",
        columns.clone(),
    );
    let mut shares = Table::new(
        "Share of batch statistics (mean / variance), by batch size",
        columns,
    );
    let mut failed = failures();
    let mut lines = Vec::new();
    let total = config.norms.len() * config.batches.len() * common.seeds as usize;
    let mut done = 0;
    for &norm in &config.norms {
        let (mut row, mut share_row) = (vec![norm.to_string()], vec![norm.to_string()]);
        let mut points = Vec::new();
        for &batch in &config.batches {
            let (mut found, mut weights) = (Vec::new(), Vec::new());
            for seed in common.all_seeds() {
                let case = LabConfig {
                    norm,
                    batch,
                    seed,
                    ..common.base.clone()
                };
                let part = out.part(done as f32 / total as f32, (done + 1) as f32 / total as f32);
                let note = format!("{norm}, batch {batch}, seed {seed}");
                let cells = [norm.to_string(), batch.to_string(), seed.to_string()];
                match train(case, &sets, &part, &note) {
                    Ok((_, end)) => {
                        let (mean, var) = share(&end.ratios, 2);
                        found.push(end.accuracy);
                        if !end.ratios.is_empty() {
                            weights.push((mean, var));
                        }
                        let ratio = |value: f64| match end.ratios.is_empty() {
                            true => String::new(),
                            false => format!("{value:.4}"),
                        };
                        let numbers = [
                            percent(end.accuracy),
                            ratio(mean),
                            ratio(var),
                            String::new(),
                        ];
                        runs.push(cells.into_iter().chain(numbers));
                    }
                    Err(error) if error.is::<crate::job::Cancelled>() => return Err(error),
                    Err(error) => {
                        failed.push([note, format!("{error:#}")]);
                        let empty = [String::new(), String::new(), String::new()];
                        runs.push(cells.into_iter().chain(empty).chain([format!("{error:#}")]));
                    }
                }
                runs.write_csv(&folder.join("batch-size-runs.csv"))?;
                done += 1;
            }
            row.push(if found.is_empty() {
                "failed".to_string()
            } else {
                percents(&found)
            });
            if !found.is_empty() {
                points.push((batch as f64, 100.0 * mean_and_deviation(&found).0));
            }
            let n = weights.len().max(1) as f64;
            let (mean, var) = weights
                .iter()
                .fold((0.0, 0.0), |(m, v), w| (m + w.0 / n, v + w.1 / n));
            share_row.push(if weights.is_empty() {
                "–".to_string()
            } else {
                format!("{mean:.2} / {var:.2}")
            });
        }
        accuracies.push(row);
        if norm.is_switchable() {
            shares.push(share_row);
        }
        lines.push(Series::line(norm.title(), points));
    }
    accuracies.write_csv(&folder.join("batch-size.csv"))?;
    shares.write_csv(&folder.join("batch-size-ratios.csv"))?;
    let axes = Axes {
        title: "Accuracy by batch size",
        x: "batch",
        y: "accuracy, %",
        is_log: true,
        y_max: None,
    };
    plot(&folder.join("batch-size.png"), axes, &lines)?;
    let mut tables = vec![accuracies, shares];
    if !failed.rows.is_empty() {
        tables.push(failed);
    }
    Ok(tables)
}
