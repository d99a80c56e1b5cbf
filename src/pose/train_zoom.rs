//! Training of the region head (`region_head.rs`) on any photos of people.
//!
//! Two losses: smooth L1 of corners and centre where the part networks accept something, and binary cross-entropy of
//! there being something. Figures are cross-validated: each photo is judged by a head that saw others only, and stands
//! beside the rule that the head starts from. The head that is kept learns from all photos.
//!
//! Finding what is right takes most of the time, so the samples are kept in the run's folder and taken from there the
//! next time. Training itself takes seconds; there is nothing to resume.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use rand::Rng as _;

use super::body::Guess;
use super::networks::Networks;
use super::region_head::{INPUTS, OUTPUTS, PartKind, RegionHead, guess_of};
use super::train_grouping::cross_entropy;
use super::zoom_samples::{Sample, samples};
use crate::job::Out;
use crate::people::crop::Region;
use crate::photo;
use crate::training::{
    Adam, AdamConfig, RunDir, SmoothLoss, cosine_rate, draw_weights, rng_of_step,
};
use crate::weights::Store;

/// Settings of one run: flags, and `config.json` beside the weights.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize)]
pub struct TrainZoom {
    /// Photos of people, or folders of them; no labels are needed
    #[arg(required = true, value_name = "PHOTO|DIR")]
    pub photos: Vec<PathBuf>,

    /// Folder for log, figures and weights
    #[arg(long, default_value = "runs/zoom")]
    pub run: PathBuf,

    /// Crops in which each person is seen
    #[arg(long, default_value_t = 24)]
    pub looks: usize,

    /// Steps
    #[arg(long, default_value_t = 600)]
    pub steps: usize,

    /// Parts of each kind a step
    #[arg(long, default_value_t = 128)]
    pub batch: usize,

    /// Highest learning rate
    #[arg(long, default_value_t = 2e-3)]
    pub rate: f64,

    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Parts that the photos are split into for cross-validation.
const FOLDS: usize = 5;
/// Share of the inputs that are hidden in training.
const HIDDEN: f64 = 0.5;
/// Weight of the head's trust in what it sees. Chosen by cross-validation: with less of it hands are found worse than by
/// the rule, since there are few to learn from.
const BOLDNESS: f64 = 10.0;
/// Weight of the question whether there is something, over that of where.
const PRESENCE: f64 = 0.3;

/// How well regions are found.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
struct Figures {
    /// Parts that are there.
    parts: usize,
    /// Mean distance of the middle, over the side; of the logarithm of the side; of the angle in degrees.
    center: f64,
    log_side: f64,
    degrees: f64,
    /// Share of the parts whose middle is within a fifth, side within a quarter and angle within 30 degrees.
    good: f64,
}

/// Trains, writing log, figures and weights into the run's folder.
///
/// # Errors
/// When photos or weights are missing, or nobody is found in the photos.
pub fn train(config: &TrainZoom, out: &Out<()>) -> Result<()> {
    ensure!(
        config.batch > 0 && config.steps > 0,
        "--batch and --steps must not be 0"
    );
    let run = RunDir::create(&config.run)?;
    let text = serde_json::to_vec_pretty(config)?;
    photo::save_atomically(&run.file("config.json"), &text)?;
    let samples = read_samples(config, &run, &out.part(0.0, 0.7))?;
    let mut judged: Vec<(&Sample, Guess)> = Vec::new();
    for fold in 0..FOLDS {
        let (unseen, seen): (Vec<&Sample>, Vec<&Sample>) =
            samples.iter().partition(|s| s.photo % FOLDS == fold);
        let part = out.part(
            0.7 + 0.25 * fold as f32 / FOLDS as f32,
            0.7 + 0.25 * (fold as f32 + 1.0) / FOLDS as f32,
        );
        if !unseen.is_empty() {
            let head = RegionHead::load(fit(config, &seen, &part)?.mean_builder()?)?;
            judged.extend(guesses(&head, &unseen)?);
        }
    }
    let mut figures = BTreeMap::new();
    for kind in PartKind::ALL {
        for (way, figure) in measure(kind, &judged) {
            let key = format!("{} {way}", kind.name());
            out.progress(0.95, format!("{key}: {figure:.3?}"))?;
            figures.insert(key, figure);
        }
    }
    let text = serde_json::to_vec_pretty(&figures)?;
    photo::save_atomically(&run.file("figures.json"), &text)?;
    let adam = fit(
        config,
        &samples.iter().collect::<Vec<_>>(),
        &out.part(0.95, 1.0),
    )?;
    let notes = BTreeMap::from([("step".to_owned(), config.steps.to_string())]);
    crate::weights::save(
        &run.file("zoom_regions.safetensors"),
        &adam.means()?,
        &notes,
        DType::F16,
    )
    .context("Failed to write the weights")
}

/// Samples on disk and what they were made with.
#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    key: String,
    samples: Vec<Sample>,
}

/// The samples: from the run's folder if they are there and fit the settings, else made and kept.
fn read_samples(config: &TrainZoom, run: &RunDir, out: &Out<()>) -> Result<Vec<Sample>> {
    let paths = photo::list(&config.photos)?.photos;
    let key = format!("{paths:?} {} {}", config.looks, config.seed);
    let file = run.file("samples.json");
    if let Ok(text) = std::fs::read(&file)
        && let Ok(kept) = serde_json::from_slice::<Kept>(&text)
        && kept.key == key
    {
        return Ok(kept.samples);
    }
    let networks = Networks::load_without_regions(&Store::find())?;
    let mut all = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        let rgb = photo::open(path)?.rgb;
        let rng = &mut rng_of_step(config.seed, index);
        let found = samples(&networks, (index, &rgb), config.looks, rng)
            .with_context(|| format!("Failed to find people in {}", path.display()))?;
        let said = format!("{} parts in {}", found.len(), path.display());
        out.progress((index + 1) as f32 / paths.len() as f32, said)?;
        all.extend(found);
    }
    let kept = Kept { key, samples: all };
    photo::save_atomically(&file, &serde_json::to_vec(&kept)?)?;
    Ok(kept.samples)
}

/// Has the head see each input around 0 with spread 1, as in the samples.
fn standardise(vars: &VarMap, kind: PartKind, samples: &[&Sample]) -> Result<()> {
    let of_kind: Vec<&&Sample> = samples.iter().filter(|s| s.kind == kind).collect();
    let (mut mean, mut square) = (vec![0.0f64; INPUTS], vec![0.0f64; INPUTS]);
    for (index, (mean, square)) in mean.iter_mut().zip(&mut square).enumerate() {
        for sample in &of_kind {
            let value = f64::from(sample.inputs[index]);
            *mean += value / of_kind.len() as f64;
            *square += value * value / of_kind.len() as f64;
        }
    }
    let scale: Vec<f32> = mean
        .iter()
        .zip(&square)
        // Inputs that hardly vary are not blown up.
        .map(|(mean, square)| (1.0 / (square - mean * mean).max(0.01).sqrt()) as f32)
        .collect();
    let mean: Vec<f32> = mean.iter().map(|v| *v as f32).collect();
    set(vars, &format!("{}.shift", kind.name()), &mean)?;
    set(vars, &format!("{}.scale", kind.name()), &scale)
}

fn set(vars: &VarMap, name: &str, values: &[f32]) -> Result<()> {
    let Ok(data) = vars.data().lock() else {
        anyhow::bail!("the variables are locked by a failed thread")
    };
    let var: &Var = data.get(name).with_context(|| format!("no `{name}`"))?;
    Ok(var.set(&Tensor::from_slice(values, values.len(), &Device::Cpu)?)?)
}

/// One training run; returns the optimiser with the weights.
fn fit(config: &TrainZoom, samples: &[&Sample], out: &Out<()>) -> Result<Adam> {
    let vars = VarMap::new();
    let head = RegionHead::load(VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu))?;
    draw_weights(&vars, config.seed)?;
    for kind in PartKind::ALL {
        standardise(&vars, kind, samples)?;
    }
    let mut adam = Adam::new(
        &vars,
        AdamConfig {
            beta1: 0.9,
            beta2: 0.99,
            weight_decay: 0.3,
            clip: 2.0,
            average: 0.99,
        },
    )?;
    let mut by_kind = Vec::new();
    for kind in PartKind::ALL {
        let of_kind: Vec<&Sample> = samples.iter().copied().filter(|s| s.kind == kind).collect();
        ensure!(
            of_kind.iter().any(|sample| sample.right.is_some()),
            "No {} was found in the photos; give more of them",
            kind.name()
        );
        by_kind.push((kind, of_kind));
    }
    let mut losses = SmoothLoss::default();
    for step in 0..config.steps {
        let rng = &mut rng_of_step(config.seed ^ 0x5eed, step);
        let mut total: Option<Tensor> = None;
        for (kind, samples) in &by_kind {
            let batch: Vec<&Sample> = (0..config.batch)
                .filter_map(|_| {
                    samples
                        .get(rng.random_range(0..samples.len().max(1)))
                        .copied()
                })
                .collect();
            let kept = (1.0 / (1.0 - HIDDEN)) as f32;
            let mask: Vec<f32> = (0..batch.len() * INPUTS)
                .map(|_| if rng.random_bool(HIDDEN) { 0.0 } else { kept })
                .collect();
            let mask = Tensor::from_vec(mask, (batch.len(), INPUTS), &Device::Cpu)?;
            let loss = loss(&head, *kind, &batch, &mask)?;
            total = Some(match total {
                Some(total) => (total + loss)?,
                None => loss,
            });
        }
        let total = total.context("There is nothing to learn")?;
        let rate = cosine_rate(config.rate, step, config.steps, 50);
        adam.step(total.backward()?, rate)?;
        let smooth = losses.add(f64::from(total.to_scalar::<f32>()?));
        if (step + 1) % 50 == 0 || step + 1 == config.steps {
            let done = (step + 1) as f32 / config.steps as f32;
            let said = format!("step {} of {}, loss {smooth:.4}", step + 1, config.steps);
            out.progress(done, said)?;
        }
    }
    Ok(adam)
}

fn stacked(batch: &[&Sample]) -> Result<Tensor> {
    let xs: Vec<f32> = batch
        .iter()
        .flat_map(|s| s.inputs.iter().copied())
        .collect();
    Ok(Tensor::from_vec(xs, (batch.len(), INPUTS), &Device::Cpu)?)
}

fn loss(head: &RegionHead, kind: PartKind, batch: &[&Sample], mask: &Tensor) -> Result<Tensor> {
    let out = head.forward(kind, &stacked(batch)?, Some(mask))?;
    let n = batch.len();
    let (mut targets, mut is_there) = (Vec::new(), Vec::new());
    for sample in batch {
        let target = sample.target();
        is_there.push(if target.is_some() { 1.0f32 } else { 0.0 });
        targets.extend(target.unwrap_or_default());
    }
    let count: f32 = is_there.iter().sum();
    let targets = Tensor::from_vec(targets, (n, OUTPUTS - 1), &Device::Cpu)?;
    let there = Tensor::from_slice(&is_there, (n, 1), &Device::Cpu)?;
    let off = (out.narrow(1, 0, OUTPUTS - 1)? - targets)?.abs()?;
    // Smooth L1: a square up to 0.2, straight beyond.
    let near = off.clamp(0.0, 0.2)?;
    let smooth = ((near.sqr()? * 2.5)? + (off - near)?)?;
    let places = smooth.broadcast_mul(&there)?.sum_all()?;
    let numbers = f64::from(count.max(1.0)) * (OUTPUTS - 1) as f64;
    let places = (places / numbers)?;
    let logits = out.narrow(1, OUTPUTS - 1, 1)?;
    let presence = cross_entropy(&logits, &is_there, &vec![1.0; n])?.context("There is nobody")?;
    let bold = (head.boldness(kind)? * BOLDNESS)?;
    Ok(((places + (presence * PRESENCE)?)? + bold)?)
}

/// What the head says of bodies as they are seen when poses are found.
fn guesses<'a>(head: &RegionHead, samples: &[&'a Sample]) -> Result<Vec<(&'a Sample, Guess)>> {
    let mut found = Vec::new();
    for kind in PartKind::ALL {
        let plain: Vec<&Sample> = samples
            .iter()
            .copied()
            .filter(|s| s.kind == kind && s.is_plain)
            .collect();
        if plain.is_empty() {
            continue;
        }
        let outputs: Vec<Vec<f32>> = head.forward(kind, &stacked(&plain)?, None)?.to_vec2()?;
        let pairs = plain.into_iter().zip(&outputs);
        found.extend(pairs.map(|(sample, out)| (sample, guess_of(out, &sample.frame))));
    }
    Ok(found)
}

/// How far the rule's regions and the head's are from the right ones.
fn measure(kind: PartKind, judged: &[(&Sample, Guess)]) -> Vec<(&'static str, Figures)> {
    let of_kind = || judged.iter().filter(|(s, _)| s.kind == kind);
    let of = |region: &dyn Fn(&(&Sample, Guess)) -> Region| {
        let pairs = of_kind().filter_map(|pair| Some((region(pair), pair.0.right?)));
        figures(&pairs.collect::<Vec<_>>())
    };
    let count = of_kind().count();
    let told = of_kind().filter(|(s, guess)| s.right.is_some() == (guess.score >= 0.5));
    let told = Figures {
        parts: count,
        good: told.count() as f64 / count.max(1) as f64,
        ..Figures::default()
    };
    vec![
        ("by rule", of(&|(sample, _)| sample.frame)),
        ("by the head", of(&|(_, guess)| guess.region)),
        ("told whether it is there", told),
    ]
}

fn figures(pairs: &[(Region, Region)]) -> Figures {
    let mut sum = Figures {
        parts: pairs.len(),
        ..Figures::default()
    };
    let n = pairs.len().max(1) as f64;
    for (found, right) in pairs {
        let apart = |axis: usize| f64::from((found.center[axis] - right.center[axis]) / right.side);
        let center = apart(0).hypot(apart(1));
        let log_side = f64::from((found.side / right.side).ln().abs());
        let cos = found.axis[0] * right.axis[0] + found.axis[1] * right.axis[1];
        let degrees = f64::from(cos.clamp(-1.0, 1.0).acos().to_degrees());
        sum.center += center / n;
        sum.log_side += log_side / n;
        sum.degrees += degrees / n;
        if center < 0.2 && log_side < 1.25f64.ln() && degrees < 30.0 {
            sum.good += 1.0 / n;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts that are always up and to the right of the frame and half as large, and there if the last inputs say so.
    fn sample(index: usize) -> Sample {
        let rng = &mut rng_of_step(3, index);
        let mut inputs: Vec<f32> = (0..INPUTS).map(|_| rng.random_range(-1.0..1.0)).collect();
        let is_there = rng.random_bool(0.6);
        inputs[INPUTS - 60..].fill(if is_there { 1.0 } else { -1.0 });
        let frame = Region::with_up([50.0, 60.0], 40.0, [0.2, -1.0]);
        let right = Region {
            center: frame.to_image(1, [0.7, 0.3]),
            side: 20.0,
            ..frame
        };
        Sample {
            kind: PartKind::ALL[index % 2],
            photo: index / 4,
            inputs,
            frame,
            right: is_there.then_some(right),
            is_plain: true,
        }
    }

    #[test]
    fn what_the_rule_always_gets_wrong_is_learned_and_what_is_not_there_is_told() {
        let samples: Vec<Sample> = (0..400).map(sample).collect();
        let config = TrainZoom {
            photos: Vec::new(),
            run: PathBuf::new(),
            looks: 1,
            steps: 150,
            batch: 32,
            rate: 1e-2,
            seed: 1,
        };
        let (unseen, seen): (Vec<&Sample>, Vec<&Sample>) =
            samples.iter().partition(|s| s.photo % 4 == 0);
        let adam = fit(&config, &seen, &Out::silent()).unwrap();
        let head = RegionHead::load(adam.mean_builder().unwrap()).unwrap();
        let judged = guesses(&head, &unseen).unwrap();
        for kind in PartKind::ALL {
            let ways = measure(kind, &judged);
            let [rule, learned, told] = [0, 1, 2].map(|i| ways[i].1);
            assert!(rule.good < 0.01 && rule.center > 0.5, "{rule:?}");
            assert!(learned.good > 0.95 && learned.center < 0.15, "{learned:?}");
            assert!(told.good > 0.9 && told.parts > learned.parts, "{told:?}");
        }
        let nobody: Vec<&Sample> = seen.into_iter().filter(|s| s.right.is_none()).collect();
        let error = fit(&config, &nobody, &Out::silent()).err().unwrap();
        assert!(error.to_string().contains("give more"), "{error:#}");
    }
}
