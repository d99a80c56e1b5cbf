//! Batch normalisation against what the theory says it amounts to: population normalisation (PN), PN with gamma decay,
//! and, for large batches that regularise little, BN with dropout (Luo et al. 2019, arXiv 1809.00846, section 5).
//!
//! What is claimed is a regularisation, so networks must have something to be kept from: few digits, seen many times.
//! Decays and shares of dropout are chosen for each batch size on a quarter of the training digits that no network
//! learns from; the held-out digits only judge the choice. Left out: down-sampled ImageNet.

use std::sync::Arc;

use anyhow::{Result, ensure};

use super::{Common, Sets, failures, percents, train};
use crate::job::{Cancelled, Out};
use crate::lab::dataset::Digits;
use crate::lab::plot::{Axes, Series, plot};
use crate::lab::run::LabConfig;
use crate::lab::table::{Table, mean_and_deviation};
use crate::nn::norms::NormKind;

/// Flags of the experiment. Few digits, seen 40 times at a rate that PN learns with, are the rule here.
#[derive(Clone, Debug, clap::Args)]
#[command(mut_arg("pool", |arg| arg.default_value("1000")))]
#[command(mut_arg("digits", |arg| arg.default_value("40000")))]
#[command(mut_arg("rate", |arg| arg.default_value("0.05")))]
pub struct Decay {
    #[command(flatten)]
    pub common: Common,

    /// Batch sizes
    #[arg(long, value_delimiter = ',', default_value = "8,32,128")]
    pub batches: Vec<usize>,

    /// ζ of gamma decay to choose from
    #[arg(long, value_delimiter = ',', default_value = "0.003,0.01,0.03,0.1")]
    pub decays: Vec<f64>,

    /// Shares to drop to choose from
    #[arg(long, value_delimiter = ',', default_value = "0.1,0.3")]
    pub drops: Vec<f64>,
}

/// One of the training digits in this many is for choosing.
const CHOOSE_ON: usize = 4;

/// A row of the table: its name, its normalisation, and what there is to choose from.
struct Case<'a> {
    name: &'static str,
    norm: NormKind,
    choices: &'a [f64],
    set: fn(&mut LabConfig, f64),
}

/// What the seeds of one setting ended with.
struct Outcome {
    choice: f64,
    /// On digits to choose on, held-out ones, and those learned from.
    choosing: Vec<f64>,
    held_out: Vec<f64>,
    training: Vec<f64>,
}

/// Trains every case and returns the tables: accuracy, what was chosen, accuracy on the digits that were learned from, and
/// what failed. `decay-runs.csv` has every run, written as they end.
///
/// # Errors
/// Wrong flags, cancel, a folder that cannot be written.
pub fn run<T>(config: &Decay, out: &Out<T>) -> Result<Vec<Table>> {
    let common = &config.common;
    ensure!(
        !config.batches.is_empty() && !config.decays.is_empty() && !config.drops.is_empty(),
        "There is nothing to compare: give --batches, --decays and --drops"
    );
    let folder = common.folder()?;
    let (train, held_out) = common.digits()?;
    let (choosing, learned) = train.split(CHOOSE_ON);
    let sets = (Arc::new(learned), held_out);
    let cases = [
        Case {
            name: "BN",
            norm: NormKind::Batch,
            choices: &[0.0],
            set: |_, _| {},
        },
        Case {
            name: "PN",
            norm: NormKind::Population,
            choices: &[0.0],
            set: |_, _| {},
        },
        Case {
            name: "PN + gamma decay",
            norm: NormKind::Population,
            choices: &config.decays,
            set: |config, zeta| config.gamma_decay = zeta,
        },
        Case {
            name: "BN + dropout",
            norm: NormKind::Batch,
            choices: &config.drops,
            set: |config, share| config.dropout = share,
        },
    ];
    let columns = || {
        let batches = config.batches.iter().map(ToString::to_string);
        std::iter::once("network".to_string()).chain(batches)
    };
    let mut table = Table::new("Accuracy on held-out digits, %, by batch size", columns());
    let mut chosen = Table::new("Chosen: ζ, share dropped", columns());
    let mut learned = Table::new("Accuracy on the digits learned from, %", columns());
    let mut runs = Table::new(
        "Runs",
        [
            "network", "batch", "choice", "seed", "choosing", "held_out", "training",
        ],
    );
    let mut failed = failures();
    let mut lines = Vec::new();
    let settings: usize = cases.iter().map(|case| case.choices.len()).sum();
    let total = (settings * config.batches.len() * common.seeds as usize) as f32;
    let mut done = 0f32;
    for case in &cases {
        let mut rows = [(); 3].map(|()| vec![case.name.to_string()]);
        let mut points = Vec::new();
        for &batch in &config.batches {
            let mut outcomes = Vec::new();
            for &choice in case.choices {
                let part = out.part(done / total, (done + common.seeds as f32) / total);
                done += common.seeds as f32;
                let outcome = outcome(common, case, (batch, choice), &sets, &choosing, &part);
                let outcome = match outcome {
                    Ok(outcome) => outcome,
                    Err(error) if error.is::<Cancelled>() => return Err(error),
                    // A setting that diverges is no choice; the others are still worth having.
                    Err(error) => {
                        let setting = format!("{} {choice}, batch {batch}", case.name);
                        failed.push([setting, format!("{error:#}")]);
                        continue;
                    }
                };
                for (i, seed) in common.all_seeds().enumerate() {
                    let shares = [&outcome.choosing, &outcome.held_out, &outcome.training];
                    let shares = shares.map(|s| format!("{:.4}", s[i]));
                    let cells = [case.name.to_string(), batch.to_string()];
                    let cells = cells
                        .into_iter()
                        .chain([choice.to_string(), seed.to_string()]);
                    runs.push(cells.chain(shares));
                }
                runs.write_csv(&folder.join("decay-runs.csv"))?;
                outcomes.push(outcome);
            }
            let mean = |o: &Outcome| mean_and_deviation(&o.choosing).0;
            let best = outcomes.iter().max_by(|a, b| mean(a).total_cmp(&mean(b)));
            let [accuracy, choice, training] = &mut rows;
            let Some(best) = best else {
                for row in &mut rows {
                    row.push("failed".to_string());
                }
                continue;
            };
            accuracy.push(percents(&best.held_out));
            choice.push(best.choice.to_string());
            training.push(percents(&best.training));
            points.push((batch as f64, 100.0 * mean_and_deviation(&best.held_out).0));
        }
        let [accuracy, choice, training] = rows;
        table.push(accuracy);
        learned.push(training);
        if case.choices.len() > 1 {
            chosen.push(choice);
        }
        table.write_csv(&folder.join("decay.csv"))?;
        lines.push(Series::line(case.name, points));
    }
    let axes = Axes {
        title: "Batch, population, gamma decay and dropout",
        x: "batch",
        y: "accuracy, %",
        is_log: true,
        y_max: None,
    };
    plot(&folder.join("decay.png"), axes, &lines)?;
    let mut tables = vec![table, chosen, learned];
    if !failed.rows.is_empty() {
        tables.push(failed);
    }
    Ok(tables)
}

/// All seeds of one setting.
fn outcome<T>(
    common: &Common,
    case: &Case<'_>,
    (batch, choice): (usize, f64),
    sets: &Sets,
    choosing: &Digits,
    out: &Out<T>,
) -> Result<Outcome> {
    let mut outcome = Outcome {
        choice,
        choosing: Vec::new(),
        held_out: Vec::new(),
        training: Vec::new(),
    };
    for (nth, seed) in (0u64..).zip(common.all_seeds()) {
        let mut config = LabConfig {
            norm: case.norm,
            batch,
            seed,
            ..common.base.clone()
        };
        (case.set)(&mut config, choice);
        config.check()?;
        let part = |i: u64| i as f32 / common.seeds as f32;
        let part = out.part(part(nth), part(nth + 1));
        let note = format!("{} {choice}, batch {batch}, seed {seed}", case.name);
        let (run, end) = train(config, sets, &part, &note)?;
        outcome.held_out.push(end.accuracy);
        outcome.choosing.push(run.accuracy_on(choosing)?);
        outcome.training.push(run.training_accuracy()?);
    }
    Ok(outcome)
}
