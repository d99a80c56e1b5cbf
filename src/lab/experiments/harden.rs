//! From soft ratios to hard ones: SN, the same network hardened and fine-tuned, the same network fine-tuned soft, and
//! SSN, which decides by itself. Says also what each layer chose.

use anyhow::Result;

use super::{Common, percent, percents, train};
use crate::job::Out;
use crate::lab::run::LabConfig;
use crate::lab::table::Table;
use crate::nn::norms::{LayerRatios, NormKind, Normaliser};

/// Flags of the experiment.
#[derive(Clone, Debug, clap::Args)]
pub struct Harden {
    #[command(flatten)]
    pub common: Common,

    /// Steps of fine-tuning, as a share of training
    #[arg(long, default_value_t = 0.25)]
    pub fine_tune: f64,

    /// Rate of fine-tuning, as a share of training's
    #[arg(long, default_value_t = 0.1)]
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

/// Trains every case and returns the tables: accuracies, and the choices of the last seed's layers.
///
/// # Errors
/// A run that fails, cancel, a folder that cannot be written.
pub fn run<T>(config: &Harden, out: &Out<T>) -> Result<Vec<Table>> {
    let common = &config.common;
    anyhow::ensure!(
        config.fine_tune > 0.0 && config.fine_tune <= 10.0,
        "--fine-tune lies above 0, and at 10 at most"
    );
    anyhow::ensure!(
        config.fine_rate > 0.0 && config.fine_rate <= 1.0,
        "--fine-rate lies above 0, and at 1 at most"
    );
    let folder = common.folder()?;
    let sets = common.digits()?;
    let names = [
        "SN",
        "SN fine-tuned",
        "SN hardened",
        "SN hardened, fine-tuned",
        "SSN",
    ];
    let mut found: [Vec<f64>; 5] = Default::default();
    let mut decided = Vec::new();
    let mut layers: [Vec<LayerRatios>; 3] = Default::default();
    for (nth, seed) in (0..).zip(common.all_seeds()) {
        let span = |i: u64| (3 * nth + i) as f32 / (3 * common.seeds) as f32;
        let case = |norm: NormKind| LabConfig {
            norm,
            seed,
            ..common.base.clone()
        };
        for (i, is_hard) in [false, true].into_iter().enumerate() {
            let part = out.part(span(i as u64), span(i as u64 + 1));
            let note = format!("SN, seed {seed}");
            let (mut run, end) = train(case(NormKind::Switch), &sets, &part, &note)?;
            if is_hard {
                run.harden()?;
                found[2].push(run.accuracy(usize::MAX)?);
            } else {
                found[0].push(end.accuracy);
                layers[0] = end.ratios;
            }
            let steps = (config.fine_tune * run.progress().1 as f64).ceil() as usize;
            run.extend(steps, config.fine_rate);
            let mut ratios = Vec::new();
            let accuracy = run.finish(|_, sample| {
                ratios = sample.ratios;
                Ok(part.progress(1.0, "Fine-tuning")?)
            })?;
            found[if is_hard { 3 } else { 1 }].push(accuracy);
            if is_hard {
                layers[1] = ratios;
            }
        }
        let part = out.part(span(2), span(3));
        let note = format!("SSN, seed {seed}");
        let (_, end) = train(case(NormKind::SparseSwitch), &sets, &part, &note)?;
        found[4].push(end.accuracy);
        let sure = end.ratios.iter().flat_map(|r| r.decision).flatten().count();
        decided.push(format!("{sure} of {}", 2 * end.ratios.len()));
        layers[2] = end.ratios;
    }
    let mut table = Table::new(
        "Accuracy on held-out digits, %",
        ["network", "mean ± deviation", "each seed"],
    );
    for (name, values) in names.into_iter().zip(&found) {
        let each: Vec<String> = values.iter().map(|&v| percent(v)).collect();
        table.push([name.to_string(), percents(values), each.join(" ")]);
    }
    table.push([
        "SSN ratios decided".to_string(),
        String::new(),
        decided.join(", "),
    ]);
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
    table.write_csv(&folder.join("harden.csv"))?;
    choices.write_csv(&folder.join("harden-layers.csv"))?;
    Ok(vec![table, choices])
}
