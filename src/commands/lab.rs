//! `vitruvian lab`: training and experiments with normalisations.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use candle_core::DType;

use super::print;
use crate::cli::lab::{CheckRanks, LabCommand, ParserNorms, TrainLab};
use crate::face::train_parser::{self, TrainParser};
use crate::job::Out;
use crate::lab::dataset::Digits;
use crate::lab::experiments::{batch_size, decay, harden, theory};
use crate::lab::run::{Run, Sample};
use crate::lab::table::{Table, write};
use crate::nn::norms::sync::AllReduce;

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

/// This rank's number and what sums over the ranks.
type Rank = (usize, Arc<dyn AllReduce>);

fn train(args: &TrainLab) -> Result<()> {
    match args.ranks {
        true => on_ranks(|rank| train_as(args, Some(rank))),
        false => train_as(args, None),
    }
}

/// Runs `work` on every process that mpirun started. One that fails ends all of them: the others would wait for it.
#[cfg(feature = "mpi")]
fn on_ranks(work: impl FnOnce(Rank) -> Result<()>) -> Result<()> {
    let world = crate::lab::ranks::World::join()?;
    let rank = world.rank();
    let result = work((rank, Arc::new(world.reduce())));
    if let Err(error) = &result {
        super::print_error(&anyhow::anyhow!("rank {rank}: {error:#}"));
        world.abort();
    }
    result
}

#[cfg(not(feature = "mpi"))]
fn on_ranks(_: impl FnOnce(Rank) -> Result<()>) -> Result<()> {
    anyhow::bail!(
        "This vitruvian was built without MPI. Build it with `cargo build --release --features mpi`, see scripts/test-mpi"
    )
}

fn train_as(args: &TrainLab, rank: Option<Rank>) -> Result<()> {
    let (train, held_out) = Digits::load(args.config.set)?;
    let is_first = rank.as_ref().is_none_or(|(rank, _)| *rank == 0);
    let mut run = Run::new(
        args.config.clone(),
        (Arc::new(train), Arc::new(held_out)),
        rank,
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
        let trained = train_parser::train(&config, &Out::to_stderr(format!("parser {norm}")))
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
    Ok(())
}

fn last_line(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("Failed to read {}", path.display()))?;
    let line = text.lines().last().context("The log is empty")?;
    Ok(line.split(',').map(String::from).collect())
}

fn check_ranks(args: &CheckRanks) -> Result<()> {
    use crate::lab::check_ranks::{STEPS, TOLERANCE, compare};
    on_ranks(|(rank, reduce)| {
        let (train, held_out) = Digits::load(args.config.set)?;
        let sets = (Arc::new(train), Arc::new(held_out));
        let ranks = reduce.ranks();
        let found = compare(&args.config, &sets, rank, reduce)?;
        if args.json {
            super::print_json(
                &serde_json::json!({ "rank": rank, "ranks": ranks, "norm": args.config.norm, "largest": found }),
            )?;
        } else {
            print(format_args!(
                "rank {rank} of {ranks}, {}: outputs {:.1e}, gradients {:.1e}, after {STEPS} steps {:.1e}",
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
