//! From soft ratios to hard ones: SN, the same network hardened and fine-tuned, the same network fine-tuned soft, and
//! SSN, which decides by itself. Says also what each layer chose.

use anyhow::{Result, anyhow, ensure};

use super::{Common, Sets, percent, percents, train};
use crate::job::{Cancelled, Out};
use crate::lab::run::LabConfig;
use crate::lab::table::Table;
use crate::nn::norms::{LayerRatios, NormKind, Normaliser};

/// Flags of the experiment.
#[derive(Clone, Debug, clap::Args)]
pub struct Harden {
    #[command(flatten)]
    pub common: Common,

    /// Steps of fine-tuning, as a share of training
    #[arg(long, default_value_t = 1.0)]
    pub fine_tune: f64,

    /// Rate of fine-tuning, as a share of training's
    #[arg(long, default_value_t = 0.3)]
    pub fine_rate: f64,
}

/// The names of normalisers, for tables.
pub fn short_name(normaliser: Normaliser) -> &'static str {
    match normaliser {
        Normaliser::Instance => "IN",
        Normaliser::Layer => "LN",
        Normaliser::Batch => "BN",
        Normaliser::Group(_) => "GN",
    }
}

const NAMES: [&str; 5] = [
    "SN",
    "SN fine-tuned",
    "SN hardened",
    "SN hardened, fine-tuned",
    "SSN",
];

/// What one seed ended with.
struct Seed {
    /// Accuracies in the order of [`NAMES`].
    found: [f64; 5],
    /// Ratios of SSN that are decided, and how many there are.
    decided: (usize, usize),
    /// Soft, hard and sparse layers.
    layers: [Vec<LayerRatios>; 3],
}

/// Trains every case and returns the tables: accuracies, and the choices of the last seed's layers. `harden.csv` is
/// written after each seed, so that an interruption keeps those before it; a seed that fails is told and skipped.
///
/// # Errors
/// If no seed gets to its end; cancel, a folder that cannot be written.
pub fn run<T>(config: &Harden, out: &Out<T>) -> Result<Vec<Table>> {
    let common = &config.common;
    ensure!(
        config.fine_tune > 0.0 && config.fine_tune <= 10.0,
        "--fine-tune lies above 0, and at 10 at most"
    );
    ensure!(
        config.fine_rate > 0.0 && config.fine_rate <= 1.0,
        "--fine-rate lies above 0, and at 1 at most"
    );
    let folder = common.folder()?;
    let sets = common.digits()?;
    let mut seeds = Vec::new();
    let mut failures = Vec::new();
    let mut table = Table::default();
    for (nth, seed) in (0u64..).zip(common.all_seeds()) {
        let share = |i: u64| i as f32 / common.seeds as f32;
        match one_seed(config, &sets, seed, &out.part(share(nth), share(nth + 1))) {
            Ok(found) => seeds.push(found),
            Err(error) if error.is::<Cancelled>() => return Err(error),
            Err(error) => failures.push(error.context(format!("Seed {seed} failed"))),
        }
        table = accuracies(&seeds);
        for failure in &failures {
            table.push([format!("{failure:#}"), String::new(), String::new()]);
        }
        table.write_csv(&folder.join("harden.csv"))?;
    }
    let Some(last) = seeds.last() else {
        return Err(failures
            .pop()
            .unwrap_or_else(|| anyhow!("There are no seeds")));
    };
    let choices = choices(&last.layers);
    choices.write_csv(&folder.join("harden-layers.csv"))?;
    Ok(vec![table, choices])
}

fn one_seed<T>(config: &Harden, sets: &Sets, seed: u64, out: &Out<T>) -> Result<Seed> {
    let mut found = [0.0; 5];
    let mut layers: [Vec<LayerRatios>; 3] = Default::default();
    let case = |norm: NormKind| LabConfig {
        norm,
        seed,
        ..config.common.base.clone()
    };
    let third = |i: usize| out.part(i as f32 / 3.0, (i + 1) as f32 / 3.0);
    let note = format!("SN, seed {seed}");
    for (i, is_hard) in [false, true].into_iter().enumerate() {
        let part = third(i);
        let (mut run, end) = train(case(NormKind::Switch), sets, &part, &note)?;
        if is_hard {
            run.harden()?;
            found[2] = run.accuracy(usize::MAX)?;
        } else {
            found[0] = end.accuracy;
            layers[0] = end.ratios;
        }
        let steps = (config.fine_tune * run.progress().1 as f64).ceil() as usize;
        run.extend(steps, config.fine_rate);
        let mut ratios = Vec::new();
        let accuracy = run.finish(|_, sample| {
            ratios = sample.ratios;
            Ok(part.progress(1.0, "Fine-tuning")?)
        })?;
        found[if is_hard { 3 } else { 1 }] = accuracy;
        if is_hard {
            layers[1] = ratios;
        }
    }
    let note = format!("SSN, seed {seed}");
    let (_, end) = train(case(NormKind::SparseSwitch), sets, &third(2), &note)?;
    found[4] = end.accuracy;
    let sure = end.ratios.iter().flat_map(|r| r.decision).flatten().count();
    let decided = (sure, 2 * end.ratios.len());
    layers[2] = end.ratios;
    Ok(Seed {
        found,
        decided,
        layers,
    })
}

fn accuracies(seeds: &[Seed]) -> Table {
    let mut table = Table::new(
        "Accuracy on held-out digits, %",
        ["network", "mean ± deviation", "each seed"],
    );
    for (i, name) in NAMES.into_iter().enumerate() {
        let values: Vec<f64> = seeds.iter().map(|seed| seed.found[i]).collect();
        let each: Vec<String> = values.iter().map(|&v| percent(v)).collect();
        table.push([name.to_string(), percents(&values), each.join(" ")]);
    }
    // Both learn from the same weights and digits, so seeds say more in pairs.
    let gains: Vec<f64> = seeds.iter().map(|s| s.found[3] - s.found[1]).collect();
    let each: Vec<String> = gains.iter().map(|g| format!("{:+.1}", 100.0 * g)).collect();
    let gain = percents(&gains);
    table.push([
        "hard less soft, fine-tuned".to_string(),
        gain,
        each.join(" "),
    ]);
    let decided = seeds
        .iter()
        .map(|s| format!("{} of {}", s.decided.0, s.decided.1));
    let decided: Vec<String> = decided.collect();
    table.push([
        "SSN ratios decided".to_string(),
        String::new(),
        decided.join(", "),
    ]);
    table
}

fn choices(layers: &[Vec<LayerRatios>; 3]) -> Table {
    let mut choices = Table::new(
        "What the layers weigh or chose, mean / variance (last seed)",
        ["layer", "SN", "hard", "SSN"],
    );
    for (i, layer) in layers[0].iter().enumerate() {
        let soft = |ratios: &[f64]| {
            let cells = ratios.iter().map(|r| format!("{r:.2}"));
            cells.collect::<Vec<_>>().join(" ")
        };
        let chosen = |ratios: &[LayerRatios]| {
            let names = ratios.get(i).map(|r| {
                r.decision
                    .map(|d| d.map_or("–", |k| short_name(r.normalisers[k])))
                    .join(" / ")
            });
            names.unwrap_or_default()
        };
        choices.push([
            layer.name.clone(),
            format!("{} / {}", soft(&layer.mean), soft(&layer.var)),
            chosen(&layers[1]),
            chosen(&layers[2]),
        ]);
    }
    choices
}
