//! `vitruvian motion`: predict where walkers go, measure it, draw it.

use std::fmt::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use candle_core::Device;
use serde::Serialize;

use super::{for_each_file, note, print, print_json};
use crate::cli::motion::{
    EvaluateArgs, FigureArgs, MotionCommand, PredictArgs, TrackArgs, WhichFrames,
};
use crate::job::Out;
use crate::motion::data;
use crate::motion::dscmp::Dscmp;
use crate::motion::evaluate::{Networks, evaluate, evaluate_drone};
use crate::motion::figure::{self, Column};
use crate::motion::moments::{Moment, Steps, moments};
use crate::motion::predict::{self, predict};
use crate::motion::scene::Scene;
use crate::motion::tracks::{self, Tracks};
use crate::motion::{Futures, OBS_LEN, Past};
use crate::photo;
use crate::weights::{Checkpoint, Store};

/// Name of the shipped weights.
const WEIGHTS: &str = "motion";

pub fn run(command: &MotionCommand) -> Result<()> {
    match command {
        MotionCommand::Predict(args) => predict_files(args),
        MotionCommand::Evaluate(args) => evaluate_runs(args),
        MotionCommand::Figure(args) => draw_figure(args),
    }
}

fn network(path: Option<&Path>) -> Result<Dscmp> {
    let checkpoint = match path {
        Some(path) => Checkpoint::open(path, &Device::Cpu)?,
        None => Store::find().open(WEIGHTS, &Device::Cpu)?,
    };
    predict::load(&checkpoint)
}

/// Tracks in metres.
fn open_tracks(path: &Path, reading: &TrackArgs) -> Result<Tracks> {
    let tracks = tracks::read(path)?;
    for text in &tracks.notes {
        note(text, path);
    }
    let tracks = match reading.step {
        Some(step) => tracks.with_step(step)?,
        None => tracks,
    };
    tracks.scaled(reading.metres_per_unit)
}

#[derive(Serialize)]
struct Predicted {
    agents: usize,
    predictions: usize,
}

impl fmt::Display for Predicted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} predictions for {} agents",
            self.predictions, self.agents
        )
    }
}

fn predict_files(args: &PredictArgs) -> Result<()> {
    let network = network(args.checkpoint.as_deref())?;
    let scene = match &args.scene {
        Some(folder) => Some(Scene::open_folder(folder)?),
        None => None,
    };
    let mut table = "file,agent,frame,sample,step,x,y\n".to_string();
    let mut rows = 0;
    let done = for_each_file(&args.tracks, false, |_, path| {
        let tracks = open_tracks(path, &args.reading)?;
        let out = Out::to_stderr("predict");
        let predicted = predict_tracks(
            &network,
            &tracks,
            scene.as_ref(),
            args,
            path,
            &mut table,
            &out,
        )?;
        rows += predicted.predictions;
        Ok(predicted)
    });
    // Files that could be read are worth their rows, whatever the others were.
    if rows > 0 {
        photo::save_atomically(&args.output, table.as_bytes())?;
    }
    done
}

/// Adds one file's rows to `table`.
fn predict_tracks(
    network: &Dscmp,
    tracks: &Tracks,
    scene: Option<&Scene>,
    args: &PredictArgs,
    path: &Path,
    table: &mut String,
    out: &Out<Vec<Futures>>,
) -> Result<Predicted> {
    let all = moments(tracks, Steps::Even);
    // First and last index of the moments of each track.
    let mut ends: Vec<Option<(usize, usize)>> = vec![None; tracks.tracks.len()];
    for (i, moment) in all.iter().enumerate() {
        for walker in &moment.walkers {
            let (first, _) = ends[walker.track].unwrap_or((i, i));
            ends[walker.track] = Some((first, i));
        }
    }
    let agents = ends.iter().flatten().count();
    if agents == 0 {
        bail!(
            "Nobody is seen for {OBS_LEN} steps of {} frames in a row. If steps are farther apart, say so with --step",
            tracks.step
        );
    }
    let file = quoted(&path.file_name().unwrap_or_default().to_string_lossy());
    let mut predictions = 0;
    for (i, moment) in all.iter().enumerate() {
        let is_wanted = |track: usize| {
            let (first, last) = ends[track].unwrap_or((i, i));
            match args.frames {
                WhichFrames::Ends => i == first || i == last,
                WhichFrames::First => i == first,
                WhichFrames::Last => i == last,
                WhichFrames::Every => true,
            }
        };
        let egos: Vec<usize> = (0..moment.walkers.len())
            .filter(|&w| is_wanted(moment.walkers[w].track))
            .collect();
        if egos.is_empty() {
            continue;
        }
        let pasts: Vec<Past> = moment.walkers.iter().map(|w| w.past).collect();
        let part = out.part(
            i as f32 / all.len() as f32,
            (i + 1) as f32 / all.len() as f32,
        );
        let futures = predict(network, &pasts, &egos, scene, args.care, &part)?;
        predictions += egos.len();
        for (&ego, futures) in egos.iter().zip(&futures) {
            let agent = quoted(&tracks.tracks[moment.walkers[ego].track].agent);
            for (sample, future) in futures.samples.iter().enumerate() {
                for (step, p) in (1..).zip(future) {
                    let [x, y] = p.map(|v| v / args.reading.metres_per_unit);
                    let frame = moment.frame;
                    writeln!(
                        table,
                        "{file},{agent},{frame},{sample},{step},{x:.4},{y:.4}"
                    )?;
                }
            }
        }
    }
    Ok(Predicted {
        agents,
        predictions,
    })
}

/// A field of CSV.
fn quoted(field: &str) -> String {
    match field.contains([',', '"', '\n']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_string(),
    }
}

fn evaluate_runs(args: &EvaluateArgs) -> Result<()> {
    if let Some(weights) = &args.sdd {
        let network = network(Some(weights))?;
        let split = data::drone(&args.data, &args.held_out)?;
        let ratios = data::drone_ratios(&args.data.join("H_SDD.txt"))?;
        let networks = [("DSCMP".to_string(), network)];
        let out = Out::to_stderr("evaluate");
        let report = evaluate_drone(&split.val, &ratios, &networks, args.care, &out)?;
        return show(&report, args.json);
    }
    let networks_of = |fold: &str| -> Result<Networks> {
        let mut networks = Vec::new();
        for folder in &args.runs {
            let path = folder.join(format!("motion-{fold}/motion.safetensors"));
            ensure!(
                path.exists(),
                "There are no weights {}. Train them with `vitruvian train motion --fold {fold} --run {}`",
                path.display(),
                folder.join(format!("motion-{fold}")).display()
            );
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            let network = predict::load(&Checkpoint::open(&path, &Device::Cpu)?)?;
            networks.push((format!("DSCMP {name}"), network));
        }
        Ok(networks)
    };
    let out = Out::to_stderr("evaluate");
    let report = evaluate(&args.data, &args.folds, args.care, networks_of, &out)?;
    show(&report, args.json)
}

fn show(report: &(impl fmt::Display + Serialize), json: bool) -> Result<()> {
    if json {
        return print_json(report);
    }
    print(report);
    Ok(())
}

fn draw_figure(args: &FigureArgs) -> Result<()> {
    let network = network(args.checkpoint.as_deref())?;
    let mut columns = Vec::new();
    for panel in &args.panels {
        let tracks = open_tracks(&panel.tracks, &args.reading)?;
        let scene = Scene::open_folder(&panel.scene)?;
        let all = moments(&tracks, Steps::Listed);
        let moment = moment_to_draw(&all, panel.frame)
            .with_context(|| format!("{}", panel.tracks.display()))?
            .clone();
        let pasts: Vec<Past> = moment.walkers.iter().map(|w| w.past).collect();
        let egos: Vec<usize> = (0..pasts.len()).collect();
        let out = Out::silent();
        let futures = predict(
            &network,
            &pasts,
            &egos,
            Some(&scene),
            predict::Care::Full,
            &out,
        )?;
        columns.push(Column {
            scene,
            moment,
            futures,
        });
    }
    let picture = figure::draw(&columns, args.width as usize)?;
    photo::save_png(&args.output, &picture)
}

/// The moment at a frame, or the one with most walkers whose future is known.
fn moment_to_draw(all: &[Moment], frame: Option<i64>) -> Result<&Moment> {
    match frame {
        Some(frame) => all
            .iter()
            .find(|m| m.frame == frame)
            .with_context(|| format!("At frame {frame} nobody has been seen for {OBS_LEN} steps")),
        None => all
            .iter()
            .max_by_key(|m| m.complete().count())
            .with_context(|| format!("Nobody is seen for {OBS_LEN} steps")),
    }
}
