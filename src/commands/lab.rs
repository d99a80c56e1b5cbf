//! `vitruvian lab`: training and experiments with normalisations.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use candle_core::DType;

use super::{print, ranks};
use crate::cli::lab::{CheckRanks, LabCommand, ParserNorms, TrainLab};
use crate::face::train_parser::{self, TrainParser};
use crate::job::Out;
use crate::lab::dataset::Digits;
use crate::lab::experiments::{batch_size, decay, harden, theory};
use crate::lab::run::{Run, Sample};
use crate::lab::table::{Table, write};
use crate::training::Ranks;

pub fn run(command: &LabCommand) -> Result<()> {
    let out = Out::<()>::to_stderr("lab");
    match command {
        LabCommand::Train(args) => train(args),
        LabCommand::BatchSize(config) => show(&batch_size::run(config, &out)?),
        LabCommand::Harden(config) => show(&harden::run(config, &out)?),
        LabCommand::Decay(config) => show(&decay::run(config, &out)?),
        LabCommand::Theory(config) => show(&theory::run(config, &out)?),
        LabCommand::Parser(args) => parser(args),
        LabCommand::CheckRanks(args) => check_ranks(args),
    }
}

fn show(tables: &[Table]) -> Result<()> {
    tables.iter().for_each(print);
    Ok(())
}

fn train(args: &TrainLab) -> Result<()> {
    ranks::run(args.ranks, |ranks| train_as(args, ranks))
}

fn train_as(args: &TrainLab, ranks: &Ranks) -> Result<()> {
    let (train, held_out) = Digits::load(args.config.set)?;
    let is_first = ranks.is_first();
    let mut run = Run::new(
        args.config.clone(),
        (Arc::new(train), Arc::new(held_out)),
        ranks.clone(),
    )?;
    if let Some(path) = &args.init {
        run.net().initialise(path)?;
    }
    let folder = &args.output;
    if is_first {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("Failed to create the folder {}", folder.display()))?;
        let config = serde_json::to_string_pretty(&args.config).context("Failed to write JSON")?;
        write(&folder.join("config.json"), config.as_bytes())?;
    }
    let out = Out::<()>::to_stderr(format!("lab {}", args.config.norm));
    let mut log = Table::new("Log", ["step", "loss", "accuracy"]);
    let mut ratios = Table::new("Ratios", ["step", "layer", "set", "ratios", "decided"]);
    let accuracy = run.finish(|run, sample| {
        if !is_first {
            return Ok(());
        }
        let (step, steps) = run.progress();
        let mut note = format!("step {step} of {steps}, loss {:.3}", sample.loss);
        if let Some(accuracy) = sample.accuracy {
            write!(note, ", {:.1} % right", 100.0 * accuracy).context("Failed to write text")?;
        }
        out.progress(step as f32 / steps as f32, note)?;
        record(&mut log, &mut ratios, &sample);
        // What has been reached survives a rank that dies.
        log.write_csv(&folder.join("log.csv"))?;
        ratios.write_csv(&folder.join("ratios.csv"))?;
        match sample.accuracy {
            Some(_) => save(run, folder),
            None => Ok(()),
        }
    })?;
    if is_first {
        print(format_args!(
            "{:.2} % of the held-out digits are named rightly",
            100.0 * accuracy
        ));
    }
    Ok(())
}

fn record(log: &mut Table, ratios: &mut Table, sample: &Sample) {
    let accuracy = sample.accuracy.map_or(String::new(), |a| format!("{a:.4}"));
    log.push([
        sample.step.to_string(),
        format!("{:.5}", sample.loss),
        accuracy,
    ]);
    sample.push_ratios(ratios);
}

fn save(run: &Run, folder: &Path) -> Result<()> {
    let notes = [("norm".to_string(), run.config().norm.to_string())].into();
    let path = folder.join("weights.safetensors");
    Ok(crate::weights::save(
        &path,
        &run.tensors(),
        &notes,
        DType::F32,
    )?)
}

/// Trains the face parser once for each normalisation and compares what the logs end with.
fn parser(args: &ParserNorms) -> Result<()> {
    let mut table = Table::new(
        "Face parser on held-out faces",
        ["norm", "loss", "accuracy", "mean F1", "mean IoU"],
    );
    for &norm in &args.norms {
        let config = TrainParser {
            norm,
            run: args.base.run.join(norm.name()),
            ..args.base.clone()
        };
        let log = config.run.join("log.csv");
        let trained = train_parser::train(
            &config,
            &Ranks::alone(),
            &Out::to_stderr(format!("parser {norm}")),
        )
        .and_then(|()| last_line(&log));
        let mut row = vec![norm.to_string()];
        match trained {
            // step, loss, faces per second, accuracy, F1, IoU, …
            Ok(cells) => {
                row.extend([1, 3, 4, 5].map(|i| cells.get(i).cloned().unwrap_or_default()))
            }
            Err(error) => {
                super::print_error(&error.context(format!("{norm} was not trained to the end")));
                row.extend(["failed", "", "", ""].map(String::from));
            }
        }
        table.push(row);
        table.write_csv(&args.base.run.join("norms.csv"))?;
    }
    print(&table);
    let folders = args
        .norms
        .iter()
        .map(|norm| (norm, args.base.run.join(norm.name())));
    for (norm, folder) in folders.filter(|(_, folder)| folder.join("ratios.csv").exists()) {
        print(&learned_ratios(
            &norm.to_string(),
            &folder.join("ratios.csv"),
        )?);
    }
    Ok(())
}

/// What the layers of a training ended with, as `train parser` writes it.
fn learned_ratios(norm: &str, path: &Path) -> Result<Table> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("Failed to read {}", path.display()))?;
    let title = format!("Ratios of IN, LN, BN with {norm}");
    let mut table = Table::new(&title, ["layer", "mean", "variance"]);
    for line in text.lines().skip(1) {
        table.push(line.split(','));
    }
    Ok(table)
}

fn last_line(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("Failed to read {}", path.display()))?;
    let line = text.lines().last().context("The log is empty")?;
    Ok(line.split(',').map(String::from).collect())
}

fn check_ranks(args: &CheckRanks) -> Result<()> {
    use crate::lab::check_ranks::{STEPS, TOLERANCE, compare};
    ranks::run(true, |ranks| {
        let (train, held_out) = Digits::load(args.config.set)?;
        let sets = (Arc::new(train), Arc::new(held_out));
        let (rank, count) = (ranks.rank(), ranks.count());
        let found = compare(&args.config, &sets, ranks)?;
        if args.json {
            super::print_json(
                &serde_json::json!({ "rank": rank, "ranks": count, "norm": args.config.norm, "largest": found }),
            )?;
        } else {
            print(format_args!(
                "rank {rank} of {count}, {}: outputs {:.1e}, gradients {:.1e}, after {STEPS} steps {:.1e}",
                args.config.norm, found.outputs, found.gradients, found.weights
            ));
        }
        anyhow::ensure!(
            found.is_small(),
            "This rank is further than {TOLERANCE:.0e} from one process with the whole batch: {found:?}"
        );
        Ok(())
    })
}
