//! `vitruvian lab`: training and experiments with normalisations.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};

use super::print;
use super::ranks::{self, Place};
use crate::cli::lab::{CheckRanks, LabCommand, ParserNorms, TrainLab};
use crate::face::train_parser::{self, TrainParser};
use crate::job::Out;
use crate::lab::dataset::Digits;
use crate::lab::experiments::{batch_size, decay, harden, theory};
use crate::lab::run::{LabConfig, Run};
use crate::lab::saved::{self, SavedRun};
use crate::lab::table::Table;
use crate::training::Ranks;
use crate::weights::DeviceKind;

pub fn run(command: &LabCommand, device: DeviceKind) -> Result<()> {
    ensure!(
        device == DeviceKind::Cpu || matches!(command, LabCommand::Train(_)),
        "Experiments are done on the CPU only. Leave out --device"
    );
    let out = Out::<()>::to_stderr("lab");
    match command {
        LabCommand::Train(args) => train(args, device),
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

fn train(args: &TrainLab, device: DeviceKind) -> Result<()> {
    let place = Place {
        is_ranked: args.ranks,
        device,
    };
    ranks::run(place, |ranks| train_as(args, ranks))
}

fn train_as(args: &TrainLab, ranks: &Ranks) -> Result<()> {
    let (folder, is_first) = (&args.output, ranks.is_first());
    let out = Out::<()>::to_stderr("lab");
    let (mut saved, mut run) = match args.resume {
        true => {
            let (mut saved, checkpoint) = saved::open_to_go_on(folder)?;
            let standing = &checkpoint.standing;
            anyhow::ensure!(
                standing.is_unfinished(),
                "The run in {} has made all its {} steps",
                folder.display(),
                standing.steps
            );
            saved.samples.retain(|s| s.step <= standing.step);
            let sets = read_digits(&saved.config)?;
            let tell = |share| Ok(out.progress(share, "Finding the place")?);
            let run = Run::resume(saved.config.clone(), sets, ranks.clone(), &checkpoint, tell)?;
            (saved, run)
        }
        false => {
            let config = args.config.clone();
            let run = Run::new(config.clone(), read_digits(&config)?, ranks.clone())?;
            if let Some(path) = &args.init {
                run.net().initialise(path)?;
            }
            let saved = SavedRun {
                name: config.title(),
                config,
                samples: Vec::new(),
                checkpoint: None,
            };
            (saved, run)
        }
    };
    if is_first {
        // Weights and log of an older run in the same folder are not of this one.
        if !args.resume && saved::is_run(folder) {
            saved::delete(folder)?;
        }
        saved::save(folder, &saved)?;
    }
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
        saved.checkpoint = match sample.accuracy {
            Some(_) => Some(run.checkpoint()?),
            None => None,
        };
        saved.samples.push(sample);
        // What has been reached survives a rank that dies.
        saved::save(folder, &saved)
    })?;
    if is_first {
        print(format_args!(
            "{:.2} % of the held-out digits are named rightly",
            100.0 * accuracy
        ));
    }
    Ok(())
}

fn read_digits(config: &LabConfig) -> Result<(Arc<Digits>, Arc<Digits>)> {
    let (train, held_out) = Digits::load(config.set)?;
    Ok((Arc::new(train), Arc::new(held_out)))
}

/// Trains the face parser once for each normalisation and compares what the logs end with.
fn parser(args: &ParserNorms) -> Result<()> {
    let mut table = Table::new(
        "Face parser on held-out faces",
        ["norm", "loss", "accuracy", "mean F1", "mean IoU"],
    );
    let mut finished = 0;
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
                finished += 1;
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
    anyhow::ensure!(
        finished > 0,
        "No parser was trained to its end; the reasons are above"
    );
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
    let place = Place {
        is_ranked: true,
        device: DeviceKind::Cpu,
    };
    ranks::run(place, |ranks| {
        let sets = read_digits(&args.config)?;
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
