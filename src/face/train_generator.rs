//! Training of the compact generator: regions of faces are hidden and rendered again from mask, style and surroundings.
//!
//! Losses in the hole: L1, distance of the frozen parser's features, agreement of the parser with the target mask,
//! and, from a chosen step on, least-squares GAN with feature matching against the two-scale discriminator. Every
//! loss is divided by the share that is hidden. Windows around a part are drawn at their photo's own resolution, so
//! that the network learns texture; whole faces at 128² and 256² teach it the rest. Styles are read from the whole
//! face, hidden pixels included, as when a user edits. Kept is the running mean of the weights.

use super::dataset::{Faces, Sample, Variation, open_rgb, vary};
use super::discriminator::{Discriminator, Verdict, feature_matching, relative_distance};
use super::generator::{
    Generator, PIXELS, STYLE_SIDE, StyleInput, WindowInput, class_shares, place, window_pixels,
};
use super::holes::{Hole, bounds, draw};
use super::parser::{CLASSES, Parser, positions};
use super::style::{self, NUMBERS};
use crate::job::Out;
use crate::nn::losses::{IGNORED, SegmentationLoss, segmentation};
use crate::nn::pool::avg_pool2d;
use crate::raster::{Grid, Rgb, resize_labels, resize_rgb};
use crate::training::{Adam, AdamConfig, RunDir, cosine_rate, rng_of_step};
use anyhow::{Context as _, Result, ensure};
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

    /// Weights of the parser that judges the pictures
    #[arg(long, value_name = "FILE")]
    pub parser: PathBuf,

    /// Folder of aligned faces without masks; the parser makes them
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
/// Losses on features are divided by the hidden share; smaller holes than this are not raised further.
const LEAST_SHARE: f64 = 0.03;

const VARIATION: Variation = Variation {
    rotation_deg: 3.0,
    scale: 0.04,
    shift: 0.01,
    photometric: 0.0,
};

/// Side of most windows.
const SIDE: usize = 128;

/// A face to draw samples from, at 256² and, when the source has them, 512² pixels.
struct Face {
    at_256: (Rgb, Grid<u8>),
    at_512: Option<(Rgb, Grid<u8>)>,
}

/// How a sample shows the crop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    /// The whole crop at 128².
    Small,
    /// The whole crop at 256².
    Whole,
    /// Half the crop's side at its 256² pixels, or a quarter at its 512² pixels.
    Window,
}

/// One sample, ready to be batched.
struct Prepared {
    style_planes: Vec<f32>,
    style_mask: Vec<u8>,
    numbers: Vec<f32>,
    present: Vec<f32>,
    planes: Vec<f32>,
    labels: Vec<u8>,
    hole: Vec<f32>,
    pixels: Vec<f32>,
    window: [f32; 4],
    /// Whether the window shows 512² pixels.
    is_fine: bool,
}

/// Halves planes by averaging, labels by taking the upper left.
fn halve(planes: &[f32], mask: &[u8], side: usize) -> (Vec<f32>, Vec<u8>) {
    let half = side / 2;
    let mut out = Vec::with_capacity(planes.len() / 4);
    for plane in planes.chunks_exact(side * side) {
        for y in 0..half {
            let (a, b) = (
                &plane[2 * y * side..][..side],
                &plane[(2 * y + 1) * side..][..side],
            );
            out.extend(
                (0..half).map(|x| (a[2 * x] + a[2 * x + 1] + b[2 * x] + b[2 * x + 1]) / 4.0),
            );
        }
    }
    let labels = (0..half * half)
        .map(|i| mask[(i / half) * 2 * side + (i % half) * 2])
        .collect();
    (out, labels)
}

/// The square of `side` pixels at (x, y) of planes and labels of `from` pixels a side.
fn cut(
    planes: &[f32],
    mask: &[u8],
    from: usize,
    x: usize,
    y: usize,
    side: usize,
) -> (Vec<f32>, Vec<u8>) {
    let rows = |r: usize| (y + r) * from + x..(y + r) * from + x + side;
    let mut out = Vec::with_capacity(3 * side * side);
    for plane in planes.chunks_exact(from * from) {
        (0..side).for_each(|r| out.extend_from_slice(&plane[rows(r)]));
    }
    (
        out,
        (0..side)
            .flat_map(|r| mask[rows(r)].iter().copied())
            .collect(),
    )
}

/// Draws what to hide for a view.
fn draw_kind(view: View, rng: &mut impl Rng) -> Hole {
    let at = rng.random::<f32>();
    let table: &[(f32, Hole)] = match view {
        View::Window => &[
            (0.72, Hole::Parts),
            (0.84, Hole::HairEdge),
            (1.0, Hole::Strokes),
        ],
        _ => &[
            (0.5, Hole::Whole),
            (0.62, Hole::Face),
            (0.76, Hole::Hair),
            (0.9, Hole::Parts),
            (1.0, Hole::Strokes),
        ],
    };
    table
        .iter()
        .find(|(until, _)| at < *until)
        .map_or(Hole::Parts, |t| t.1)
}

/// Builds a sample of `face`.
fn prepare(
    face: &Face,
    view: View,
    kind: Hole,
    fallback: &[[f32; 3]; CLASSES],
    variation: Option<Variation>,
    rng: &mut impl Rng,
) -> Prepared {
    let coarse = &face.at_256;
    let wants_fine = view == View::Window && kind != Hole::HairEdge && rng.random_bool(0.5);
    let fine = face.at_512.as_ref().filter(|_| wants_fine);
    let (photo, mask) = fine.unwrap_or(coarse);
    let full = mask.width;
    let varied = match variation {
        Some(v) => vary(photo, mask, v, rng),
        None => Sample {
            photo: style::planes_of(photo),
            mask: mask.data.clone(),
        },
    };
    let (style_planes, style_mask) = if full == STYLE_SIDE {
        (varied.photo.clone(), varied.mask.clone())
    } else {
        halve(&varied.photo, &varied.mask, full)
    };
    let hole = draw(kind, &style_mask, STYLE_SIDE, rng);
    let [x0, y0, x1, y1] = bounds(&hole, STYLE_SIDE);
    let extent = (x1 - x0).max(y1 - y0);
    // A hole needs surroundings to fit into: large ones are shown at the coarser scale.
    let is_fine = fine.is_some() && extent < 52;
    let (planes, labels, window, shown) = match view {
        View::Whole => (varied.photo, varied.mask, [0.0, 0.0, 1.0, 1.0], STYLE_SIDE),
        View::Small => {
            let (p, l) = halve(&style_planes, &style_mask, STYLE_SIDE);
            (p, l, [0.0, 0.0, 1.0, 1.0], STYLE_SIDE)
        }
        View::Window => {
            let shown = if is_fine { SIDE / 2 } else { SIDE };
            let mut start = |from: usize, to: usize| {
                let jitter = rng.random_range(-0.15f32..0.15) * shown as f32;
                let at = (from + to) as f32 / 2.0 - shown as f32 / 2.0 + jitter;
                at.clamp(0.0, (STYLE_SIDE - shown) as f32) as usize
            };
            let (wx, wy) = (start(x0, x1), start(y0, y1));
            let unit = STYLE_SIDE as f32;
            let window = [
                wx as f32 / unit,
                wy as f32 / unit,
                (wx + shown) as f32 / unit,
                (wy + shown) as f32 / unit,
            ];
            let (p, l) = if is_fine {
                cut(&varied.photo, &varied.mask, full, 2 * wx, 2 * wy, SIDE)
            } else {
                cut(&style_planes, &style_mask, STYLE_SIDE, wx, wy, SIDE)
            };
            (p, l, window, shown)
        }
    };
    let side = if view == View::Whole {
        STYLE_SIDE
    } else {
        SIDE
    };
    let (ox, oy) = (
        (window[0] * STYLE_SIDE as f32) as usize,
        (window[1] * STYLE_SIDE as f32) as usize,
    );
    let hole: Vec<f32> = (0..side * side)
        .map(|i| {
            let (x, y) = (ox + i % side * shown / side, oy + i / side * shown / side);
            f32::from(u8::from(hole[y * STYLE_SIDE + x]))
        })
        .collect();
    let colours = style::class_colours(&style_planes, &style_mask, STYLE_SIDE);
    let mut present: Vec<f32> = colours
        .iter()
        .map(|c| f32::from(u8::from(c.share > 0.0)))
        .collect();
    let mut shown_colours = colours;
    if variation.is_some() {
        // Now and then a class is taken away, so that the codes of absent classes are learned.
        for (p, c) in present.iter_mut().zip(&mut shown_colours) {
            if rng.random_bool(0.04) {
                *p = 0.0;
                *c = style::ClassColour::default();
            }
        }
    }
    let base = style::base_picture(&shown_colours, fallback, &labels, side, window);
    Prepared {
        pixels: window_pixels(&planes, &hole, &base, side),
        numbers: shown_colours.iter().flat_map(|c| c.numbers()).collect(),
        present,
        style_planes,
        style_mask,
        planes,
        labels,
        hole,
        window,
        is_fine,
    }
}

/// A batch of samples of one view, as tensors.
struct Batch {
    style: StyleInput,
    present: Tensor,
    window: WindowInput,
    /// [N, 3, S, S] in [−1, 1].
    photo: Tensor,
    /// [N, 1, S, S].
    hole: Tensor,
    /// One-hot target [N, 19, S, S].
    classes: Tensor,
    /// Hole over (3 · its area · N): weights whose product with an error summed is the mean error in the holes.
    weight: Tensor,
    share: f64,
    windows: Vec<[f32; 4]>,
    fine: Vec<bool>,
}

fn batch(samples: Vec<Prepared>, side: usize) -> Result<Batch> {
    let cpu = &Device::Cpu;
    let n = samples.len();
    let gather = |f: &dyn Fn(&Prepared) -> &[f32]| {
        samples
            .iter()
            .flat_map(|s| f(s).iter().copied())
            .collect::<Vec<f32>>()
    };
    let hole = gather(&|s| &s.hole);
    let mut weight = Vec::with_capacity(hole.len());
    for s in &samples {
        let area: f32 = s.hole.iter().sum();
        weight.extend(s.hole.iter().map(|h| h / (3.0 * area.max(1.0) * n as f32)));
    }
    let share = f64::from(hole.iter().sum::<f32>()) / hole.len() as f64;
    let labels: Vec<u8> = samples
        .iter()
        .flat_map(|s| s.labels.iter().copied())
        .collect();
    let style_labels: Vec<u8> = samples
        .iter()
        .flat_map(|s| s.style_mask.iter().copied())
        .collect();
    let windows: Vec<[f32; 4]> = samples.iter().map(|s| s.window).collect();
    let pixels = Tensor::from_vec(gather(&|s| &s.pixels), (n, PIXELS - 3, side, side), cpu)?;
    Ok(Batch {
        style: StyleInput {
            photo: Tensor::from_vec(
                gather(&|s| &s.style_planes),
                (n, 3, STYLE_SIDE, STYLE_SIDE),
                cpu,
            )?,
            shares: class_shares(&style_labels, n, STYLE_SIDE, 4, cpu)?,
            numbers: Tensor::from_vec(gather(&|s| &s.numbers), (n, CLASSES, NUMBERS), cpu)?,
        },
        present: Tensor::from_vec(gather(&|s| &s.present), (n, CLASSES, 1), cpu)?,
        photo: Tensor::from_vec(gather(&|s| &s.planes), (n, 3, side, side), cpu)?,
        hole: Tensor::from_vec(hole, (n, 1, side, side), cpu)?,
        classes: class_shares(&labels, n, side, 1, cpu)?,
        weight: Tensor::from_vec(weight, (n, 1, side, side), cpu)?,
        window: WindowInput {
            pixels: Tensor::cat(&[pixels, place(&windows, side, cpu)?], 1)?,
            labels,
        },
        share: share.max(LEAST_SHARE),
        fine: samples.iter().map(|s| s.is_fine).collect(),
        windows,
    })
}

/// The picture with only its hole replaced.
fn composite(b: &Batch, out: &Tensor) -> Result<Tensor> {
    let keep = (1.0 - &b.hole)?;
    Ok((out.broadcast_mul(&b.hole)? + b.photo.broadcast_mul(&keep)?)?)
}

/// Distance of the parser's features, and its disagreement with the target in the hole.
fn judged(parser: &Parser, b: &Batch, picture: &Tensor, view: View) -> Result<(Tensor, Tensor)> {
    let zero = Tensor::zeros((), DType::F32, &Device::Cpu)?;
    let (mut distance, mut agreement) = (zero.clone(), zero);
    let n = b.windows.len();
    for is_fine in [false, true] {
        let chosen: Vec<usize> = (0..n).filter(|&i| b.fine[i] == is_fine).collect();
        if chosen.is_empty() {
            continue;
        }
        let index = Tensor::from_iter(chosen.iter().map(|&i| i as u32), &Device::Cpu)?;
        let mut fake = picture.index_select(&index, 0)?;
        let mut real = b.photo.index_select(&index, 0)?;
        let full = real.dim(2)?;
        if is_fine {
            // The parser knows faces at 256²: finer windows are shown to it at half size.
            (fake, real) = (avg_pool2d(&fake, 2, 2)?, avg_pool2d(&real, 2, 2)?);
        }
        let side = real.dim(2)?;
        let windows: Vec<[f32; 4]> = chosen.iter().map(|&i| b.windows[i]).collect();
        let at = positions(&windows, side / 4, &Device::Cpu)?;
        let (fake, real) = (parser.features(&fake, &at)?, parser.features(&real, &at)?);
        let part = chosen.len() as f64 / n as f64;
        let pairs = fake.levels.iter().zip(&real.levels).take(3);
        distance = (distance + (relative_distance(pairs)? * (part / b.share))?)?;
        if view != View::Small {
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
                weight: vec![1.0; CLASSES],
                dice: 0.0,
            };
            agreement = (agreement + (segmentation(&fake.logits, loss)? * part)?)?;
        }
    }
    Ok((distance, agreement))
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

/// Mean colour of every class over `faces`.
fn class_means(faces: &[Face]) -> [[f32; 3]; CLASSES] {
    let mut sums = [[0f64; 4]; CLASSES];
    for face in faces {
        for (sum, c) in sums
            .iter_mut()
            .zip(style::class_colours_of(&face.at_256.0, &face.at_256.1))
        {
            for k in 0..3 {
                sum[k] += f64::from(c.mean[k] * c.share);
            }
            sum[3] += f64::from(c.share);
        }
    }
    sums.map(|s| std::array::from_fn(|k| (s[k] / s[3].max(1e-9)) as f32))
}

fn load_parser(path: &Path) -> Result<Parser> {
    let checkpoint = crate::weights::Checkpoint::open(path, &Device::Cpu)?;
    Parser::load(checkpoint.var_builder())
        .with_context(|| format!("Failed to build the parser from {}", path.display()))
}

/// Faces with masks at both sizes; (training, held out).
fn labelled(folder: &Path) -> Result<(Vec<Face>, Vec<Face>)> {
    let (train, held_out) = Faces::load(folder, 512)?.split();
    let faces = |set: Faces| -> Vec<Face> {
        let pairs = set.photos.into_par_iter().zip(set.masks);
        pairs
            .map(|(photo, mask)| Face {
                at_256: (resize_rgb(&photo, 256, 256), resize_labels(&mask, 256, 256)),
                at_512: Some((photo, mask)),
            })
            .collect()
    };
    Ok((faces(train), faces(held_out)))
}

/// Faces without masks, which `parser` makes.
fn unlabelled(folder: &Path, count: usize, parser: &Parser, out: &Out<()>) -> Result<Vec<Face>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .with_context(|| format!("Failed to read the folder {}", folder.display()))?
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "jpg" || e == "png"))
        .collect();
    paths.sort();
    // Spread over the folder: neighbours may be the same person.
    let step = (paths.len() / count.max(1)).max(1);
    let paths: Vec<_> = paths.into_iter().step_by(step).take(count).collect();
    let mut faces = Vec::with_capacity(paths.len());
    for (i, path) in paths.iter().enumerate() {
        let photo = resize_rgb(&open_rgb(path)?, 256, 256);
        let labels = parser
            .probabilities(&photo)?
            .argmax(0)?
            .flatten_all()?
            .to_vec1::<u32>()?;
        let mask = Grid::from_vec(256, 256, labels.into_iter().map(|l| l as u8).collect())?;
        faces.push(Face {
            at_256: (photo, mask),
            at_512: None,
        });
        out.progress(
            0.0,
            format!("Parsing face {} of {}", (i + 1) / 100 * 100, paths.len()),
        )?;
    }
    Ok(faces)
}

/// Trains until `steps`, writing checkpoints, a log, picture grids and weights into the run's folder.
///
/// # Errors
/// When data or parser are missing or unfit, when a checkpoint belongs to another model, when gradients are not finite.
pub fn train(config: &TrainGenerator, out: &Out<()>) -> Result<()> {
    ensure!(
        config.batch >= 4 && config.steps > 0,
        "--batch must be at least 4 and --steps at least 1"
    );
    let run = RunDir::create(&config.run)?;
    let parser = load_parser(&config.parser)?;
    out.progress(0.0, "Reading faces")?;
    let (mut faces, held_out) = labelled(&config.data)?;
    ensure!(
        !faces.is_empty(),
        "There are too few faces to train on in {}",
        config.data.display()
    );
    let means = class_means(&faces);
    if let Some(folder) = &config.unlabelled {
        faces.extend(unlabelled(folder, config.unlabelled_count, &parser, out)?);
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
        let rng = &mut rng_of_step(config.seed, step);
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
        if step % 2 == 0 {
            let (distance, agreement) = judged(&parser, &b, &picture, view)?;
            smooth.add("perceptual", &distance)?;
            smooth.add("agreement", &agreement)?;
            loss = (loss + (distance * (2.0 * PERCEPTUAL))? + (agreement * (2.0 * AGREEMENT))?)?;
        }
        if step >= config.gan_from {
            let real = critic.forward(&b.photo, &b.hole, &b.classes)?;
            let fake = critic.forward(&picture.detach(), &b.hole, &b.classes)?;
            let critic_loss = ((least_squares(&real, &b.hole, 1.0)?
                + least_squares(&fake, &b.hole, 0.0)?)?
                * 0.5)?;
            smooth.add("critic", &critic_loss)?;
            adam_d.step(&critic_loss.backward()?, rate)?;
            let verdicts = frozen.forward(&picture, &b.hole, &b.classes)?;
            let fooled = least_squares(&verdicts, &b.hole, 1.0)?;
            let matching = (feature_matching(&verdicts, &real)? / b.share)?;
            smooth.add("fooled", &fooled)?;
            smooth.add("matching", &matching)?;
            // Its say grows over 500 steps: a fresh discriminator's first opinions are noise.
            let say = config.gan * ((step - config.gan_from) as f64 / 500.0).min(1.0);
            loss = (loss + (fooled * say)? + (matching * (MATCHING * say))?)?;
        }
        adam_g.step(&loss.backward()?, rate)?;
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

/// Fixed samples of held-out faces: the same holes at every checkpoint.
fn fixed_sample(
    face: &Face,
    i: usize,
    view: View,
    kind: Hole,
    means: &[[f32; 3]; CLASSES],
) -> Prepared {
    prepare(face, view, kind, means, None, &mut rng_of_step(7, i))
}

fn render(generator: &Generator, sample: Prepared, side: usize) -> Result<(Batch, Tensor)> {
    let b = batch(vec![sample], side)?;
    let made = generator.forward(&b.window, &generator.codes(&b.style, &b.present)?)?;
    let picture = composite(&b, &made)?;
    Ok((b, picture))
}

/// PSNR in dB over all hidden pixels of held-out faces: whole faces at 256², and parts in windows.
fn validate(
    generator: &Generator,
    held_out: &[Face],
    means: &[[f32; 3]; CLASSES],
) -> Result<(f64, f64)> {
    let score = |view: View, kind: Hole, side: usize, count: usize| -> Result<f64> {
        let mut total = 0f64;
        for (i, face) in held_out.iter().take(count).enumerate() {
            let (b, picture) = render(generator, fixed_sample(face, i, view, kind, means), side)?;
            let picture = picture.clamp(-1.0, 1.0)?;
            let mean_square = ((picture - &b.photo)? * 0.5)?
                .sqr()?
                .broadcast_mul(&b.weight)?
                .sum_all()?;
            total += -10.0 * f64::from(mean_square.to_scalar::<f32>()?.max(1e-9)).log10();
        }
        Ok(total / count.min(held_out.len()).max(1) as f64)
    };
    Ok((
        score(View::Whole, Hole::Whole, STYLE_SIDE, 16)?,
        score(View::Window, Hole::Parts, SIDE, 48)?,
    ))
}

/// Rows of (photo, hidden, rendered) for held-out faces: whole at 256² and parts in windows.
fn grid(
    generator: &Generator,
    held_out: &[Face],
    means: &[[f32; 3]; CLASSES],
    path: &Path,
) -> Result<()> {
    let (columns, cell) = (9, SIDE);
    let mut sheet = Rgb::new(columns * cell, 6 * cell, [0, 0, 0]);
    for i in 0..18 {
        let (view, kind, side) = match i {
            0..3 => (View::Whole, Hole::Whole, STYLE_SIDE),
            3..6 => (View::Whole, Hole::Hair, STYLE_SIDE),
            _ => (View::Window, Hole::Parts, SIDE),
        };
        let Some(face) = held_out.get(i * 5) else {
            continue;
        };
        let (b, picture) = render(generator, fixed_sample(face, i, view, kind, means), side)?;
        let hidden = b.window.pixels.narrow(1, 0, 3)?;
        for (k, t) in [&b.photo, &hidden, &picture].into_iter().enumerate() {
            let shown = crate::raster::tensor_to_rgb(&t.squeeze(0)?)?;
            sheet.paste(
                &resize_rgb(&shown, cell, cell),
                (i % 3 * 3 + k) * cell,
                i / 3 * cell,
            );
        }
    }
    let (w, h) = (sheet.width as u32, sheet.height as u32);
    image::save_buffer(path, &sheet.data, w, h, image::ExtendedColorType::Rgb8)
        .with_context(|| format!("Failed to write {}", path.display()))
}
