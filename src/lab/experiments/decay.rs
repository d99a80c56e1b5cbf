//! Batch normalisation against what the theory says it amounts to: population normalisation (PN), PN with gamma decay,
//! and, for large batches that regularise little, BN with dropout.

use anyhow::{Result, ensure};

use super::{Common, percents, train};
use crate::job::Out;
use crate::lab::plot::{Axes, Series, plot};
use crate::lab::run::LabConfig;
use crate::lab::table::{Table, mean_and_deviation};
use crate::nn::norms::NormKind;

/// Flags of the experiment.
#[derive(Clone, Debug, clap::Args)]
pub struct Decay {
    #[command(flatten)]
    pub common: Common,

    /// Batch sizes
    #[arg(long, value_delimiter = ',', default_value = "8,16,32,64,128")]
    pub batches: Vec<usize>,

    /// Gamma decay is this divided by twice the batch size. The theory's value for one unit is 1; a network adds up
    /// the decay of all its units, whose maps give each more values than the batch has samples
    #[arg(long, default_value_t = 0.02)]
    pub strength: f64,

    /// Share that dropout drops
    #[arg(long, default_value_t = 0.2)]
    pub drop: f64,
}

/// Trains every case and returns the table.
///
/// # Errors
/// Wrong flags, cancel, a folder that cannot be written.
pub fn run<T>(config: &Decay, out: &Out<T>) -> Result<Vec<Table>> {
    let common = &config.common;
    ensure!(
        !config.batches.is_empty(),
        "There is nothing to compare: give --batches"
    );
    ensure!(
        config.strength >= 0.0 && config.strength.is_finite(),
        "--strength must not be negative"
    );
    let folder = common.folder()?;
    let sets = common.digits()?;
    let cases: [(&str, NormKind, bool, f64); 4] = [
        ("BN", NormKind::Batch, false, 0.0),
        ("PN", NormKind::Population, false, 0.0),
        ("PN + gamma decay", NormKind::Population, true, 0.0),
        ("BN + dropout", NormKind::Batch, false, config.drop),
    ];
    let mut columns = vec!["network".to_string()];
    columns.extend(config.batches.iter().map(ToString::to_string));
    let mut table = Table::new("Accuracy on held-out digits, %, by batch size", columns);
    let mut lines = Vec::new();
    let total = (cases.len() * config.batches.len() * common.seeds as usize) as f32;
    let mut done = 0f32;
    for (name, norm, decays, dropout) in cases {
        let mut row = vec![name.to_string()];
        let mut points = Vec::new();
        for &batch in &config.batches {
            let mut found = Vec::new();
            for seed in 1..=common.seeds {
                let zeta = config.strength / (2.0 * batch as f64);
                let case = LabConfig {
                    norm,
                    batch,
                    seed,
                    dropout,
                    gamma_decay: if decays { zeta } else { 0.0 },
                    ..common.base.clone()
                };
                let part = out.part(done / total, (done + 1.0) / total);
                let note = format!("{name}, batch {batch}, seed {seed}");
                match train(case, &sets, &part, &note) {
                    Ok((_, end)) => found.push(end.accuracy),
                    Err(error) if error.is::<crate::job::Cancelled>() => return Err(error),
                    // Told by the word in the table; the other cases are still worth having.
                    Err(_) => found.push(f64::NAN),
                }
                done += 1.0;
            }
            let lost = found.iter().any(|v| v.is_nan());
            row.push(if lost {
                "diverged".to_string()
            } else {
                percents(&found)
            });
            if !lost {
                points.push((batch as f64, 100.0 * mean_and_deviation(&found).0));
            }
        }
        table.push(row);
        table.write_csv(&folder.join("decay.csv"))?;
        lines.push(Series::line(name, points));
    }
    let axes = Axes {
        title: "Batch, population, gamma decay and dropout",
        x: "batch",
        y: "accuracy, %",
        is_log: true,
        y_max: None,
    };
    plot(&folder.join("decay.png"), axes, &lines)?;
    Ok(vec![table])
}
