//! Training of the motion network.
//!
//! Annealed soft winner-takes-all: each person's samples are weighted by softmax(−ADE/T) for the mean error and by
//! softmax(−FDE/2T) for the last one, T falling from 1 m to 2 cm over the first 60 % of the steps, so that all futures
//! are drawn to the data first and then share it out. Mirroring, scales from 0.55 to 1.8, people walking backwards,
//! forgotten neighbours and forgotten ground vary the data. A running mean of the weights is validated and kept;
//! nothing but the validation part decides which.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use candle_core::{D, DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use rand::Rng;
use rand::rngs::SmallRng;

use super::data::{self, Recording, Split};
use super::dscmp::{Dscmp, DscmpConfig, Noise, Prediction};
use super::frame::{Batch, Crowd, View};
use super::metrics::Tally;
use super::predict::{futures_of, notes_of};
use super::scene::Scene;
use super::{Future, Futures, OBS_LEN, PRED_LEN, Past, SAMPLES};
use crate::job::Out;
use crate::training::{
    Adam, AdamConfig, Ranks, RunDir, SmoothLoss, cosine_rate, initialise, rng_of_step,
};

/// Settings of one run: flags, and `config.json` beside the checkpoint.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, clap::Args)]
pub struct TrainMotion {
    /// Folder of ETH/UCY in Social GAN's leave-one-out split
    #[arg(long, value_name = "DIR", default_value = "data/motion")]
    pub data: PathBuf,

    /// The scene that is left out (eth, hotel, univ, zara1, zara2), or all to train on every scene
    #[arg(long, default_value = "all")]
    pub fold: String,

    /// Train on Stanford Drone tracks in metres instead
    #[arg(long, value_name = "DIR", conflicts_with_all = ["data", "fold"])]
    pub sdd: Option<PathBuf>,

    /// Drone videos that validate
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_values_t = data::HELD_OUT.map(String::from))]
    pub held_out: Vec<String>,

    /// Folder for checkpoint, log and weights; by default runs/motion-FOLD
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,

    /// Go on from the last checkpoint of the run
    #[arg(long)]
    pub resume: bool,

    /// Start from these weights instead of random ones
    #[arg(long, value_name = "FILE")]
    pub init: Option<PathBuf>,

    /// Steps in all
    #[arg(long, default_value_t = 5000)]
    pub steps: usize,

    /// People a step
    #[arg(long, default_value_t = 256)]
    pub batch: usize,

    /// Highest learning rate
    #[arg(long, default_value_t = 1.5e-3)]
    pub rate: f64,

    /// Share of dropped channels
    #[arg(long, default_value_t = 0.2)]
    pub dropout: f32,

    /// How often a person does not see the neighbours
    #[arg(long, default_value_t = 0.3)]
    pub alone: f64,

    /// Scales go from exp(-S) to exp(S)
    #[arg(long, value_name = "S", default_value_t = 0.6)]
    pub scale: f64,

    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    #[command(flatten)]
    pub network: DscmpConfig,
}

/// Steps between two validations.
const VALIDATE_EVERY: usize = 250;
/// People that validate at most: the mean of 2,000 is known to 1 %.
const MAX_VAL_PEOPLE: usize = 2000;
/// People of one moment in a batch, so that one crowd never fills it.
const MAX_EGOS: usize = 8;
/// How often people walk backwards, and how often the ground is forgotten.
const BACKWARDS: f64 = 0.25;
const NO_GROUND: f64 = 0.5;
/// Weights of the loss's parts beside the mean displacement.
const SCORE_WEIGHT: f64 = 0.05;
const DIVERGENCE_WEIGHT: f64 = 1e-3;
/// Temperature of the assignment, in metres, and the part of the run in which it falls.
const TEMPERATURES: (f64, f64) = (1.0, 0.02);
const FALLING: f64 = 0.6;

/// Trains until `steps`, writing checkpoints, a log and the best weights (`motion.safetensors`) into the run's folder.
///
/// # Errors
/// When data are missing or unfit, when a checkpoint belongs to another model, when gradients are not finite.
pub fn train(config: &TrainMotion, ranks: &Ranks, out: &Out<()>) -> Result<()> {
    ensure!(
        config.batch > 0 && config.steps > 0,
        "--batch and --steps must be at least 1"
    );
    ensure!(
        (0.0..1.0).contains(&config.dropout) && (0.0..=1.0).contains(&config.alone),
        "--dropout and --alone are shares"
    );
    ensure!(
        config.network.hidden > 0 && config.network.width > 0,
        "--hidden and --width must be at least 1"
    );
    let name = config.sdd.as_ref().map_or(config.fold.as_str(), |_| "sdd");
    let by_default = PathBuf::from(format!("runs/motion-{name}"));
    let run = RunDir::create(&ranks.folder(config.run.as_ref().unwrap_or(&by_default)))?;
    out.progress(0.0, "Reading tracks")?;
    let split = split_of(config)?;
    let sampler = Sampler::new(&split.train);
    ensure!(
        sampler.total > 0.0,
        "Nobody in the training files is seen for {} steps",
        OBS_LEN + PRED_LEN
    );
    let vars = VarMap::new();
    let builder = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
    let network = Dscmp::load(&config.network, builder)?;
    if let Some(path) = &config.init {
        initialise(&vars, path)?;
    }
    let mut adam = Adam::new(
        &vars,
        AdamConfig {
            beta1: 0.9,
            beta2: 0.99,
            weight_decay: 1e-2,
            clip: 1.0,
            // A quarter of the run, 1,000 steps at most: a longer memory would hold weights from before the cooling.
            average: 1.0 - 1.0 / (config.steps as f64 / 4.0).clamp(10.0, 1000.0),
        },
    )?;
    adam.share(ranks)?;
    let mut first = 0;
    if config.resume {
        first = run
            .resume(&mut [("motion", &mut adam)])?
            .context("There is no checkpoint to resume from: leave out --resume")?;
    }
    let settings = serde_json::to_vec_pretty(config)?;
    crate::photo::save_atomically(&run.file("config.json"), &settings)?;
    let (mut best, mut running, started) =
        (best_so_far(&run), SmoothLoss::default(), Instant::now());
    for step in first..config.steps {
        let rng = &mut rng_of_step(ranks.seed(config.seed), step);
        let crowds = sampler.draw(config, rng);
        let batch = Batch::new(&crowds)?;
        let noise = Noise {
            dropout: config.dropout,
            draws: 0.1,
        };
        let fraction = step as f64 / (FALLING * config.steps as f64);
        let (hot, cold) = TEMPERATURES;
        let temperature = hot * (cold / hot).powf(fraction.min(1.0));
        let loss = loss(&network.forward(&batch, Some(noise))?, &batch, temperature)?;
        adam.step(
            loss.backward()?,
            cosine_rate(config.rate, step, config.steps, 100),
        )?;
        let value = f64::from(loss.to_scalar::<f32>()?);
        let smooth = running.add(value);
        let done = step + 1;
        if done % 10 == 0 {
            out.progress(
                done as f32 / config.steps as f32,
                format!("step {done} of {}, loss {smooth:.3}", config.steps),
            )?;
        }
        if done % VALIDATE_EVERY != 0 && done != config.steps {
            continue;
        }
        run.save(done, &[("motion", &adam)])?;
        let mean = Dscmp::load(&config.network, adam.mean_builder()?)?;
        let (ade, fde) = validate(&mean, &split.val)?;
        let per_step = started.elapsed().as_secs_f64() / (done - first) as f64;
        run.log(
            "step,loss,secs_per_step,val_ade,val_fde",
            &format!("{done},{smooth:.4},{per_step:.4},{ade:.4},{fde:.4}"),
        )?;
        // Both errors count; ADE is about half of FDE.
        let score = 2.0 * ade + fde;
        if score < best {
            best = score;
            let quality = format!("validation ADE {ade:.4}, FDE {fde:.4}");
            let notes = notes_of(&config.network, done, &quality)?;
            let path = run.file("motion.safetensors");
            crate::weights::save(&path, &adam.means()?, &notes, DType::F16)?;
            crate::photo::save_atomically(&run.file("best.txt"), best.to_string().as_bytes())?;
        }
    }
    Ok(())
}

fn split_of(config: &TrainMotion) -> Result<Split> {
    match &config.sdd {
        Some(folder) => data::drone(folder, &config.held_out),
        None => data::fold(&config.data, &config.fold),
    }
}

/// The lowest validation score of an earlier part of the run.
fn best_so_far(run: &RunDir) -> f64 {
    let text = std::fs::read_to_string(run.file("best.txt"));
    text.ok()
        .and_then(|t| t.trim().parse().ok())
        .unwrap_or(f64::INFINITY)
}

/// Draws people, each as often as any other.
struct Sampler<'a> {
    /// Recording and moment, people with a future, and the sum of chances up to it.
    moments: Vec<(&'a Recording, usize, f64)>,
    total: f64,
}

impl<'a> Sampler<'a> {
    fn new(recordings: &'a [Recording]) -> Self {
        let (mut moments, mut total) = (Vec::new(), 0.0);
        for recording in recordings {
            for (i, moment) in recording.moments.iter().enumerate() {
                let people = moment.complete().count();
                if people > 0 {
                    total += (people as f64 / MAX_EGOS as f64).max(1.0);
                    moments.push((recording, i, total));
                }
            }
        }
        Self { moments, total }
    }

    fn draw(&self, config: &TrainMotion, rng: &mut SmallRng) -> Vec<Crowd<'a>> {
        let (mut crowds, mut people) = (Vec::new(), 0);
        while people < config.batch {
            let at = rng.random_range(0.0..self.total);
            let found = self.moments.partition_point(|m| m.2 <= at);
            let (recording, moment, _) = self.moments[found.min(self.moments.len() - 1)];
            let crowd = crowd_of(recording, moment, config, rng);
            people += crowd.egos.len();
            crowds.push(crowd);
        }
        crowds
    }
}

/// A moment as training shows it: varied, some people chosen.
fn crowd_of<'a>(
    recording: &'a Recording,
    moment: usize,
    config: &TrainMotion,
    rng: &mut SmallRng,
) -> Crowd<'a> {
    let moment = &recording.moments[moment];
    let view = View {
        mirrored: rng.random_bool(0.5),
        scale: rng.random_range(-config.scale..=config.scale).exp(),
    };
    let mut people: Vec<(Past, Option<Future>)> = match rng.random_bool(BACKWARDS) {
        true => moment
            .complete()
            .map(|(_, w, future)| backwards(&w.past, future))
            .map(|(past, future)| (past, Some(future)))
            .collect(),
        false => moment.walkers.iter().map(|w| (w.past, w.future)).collect(),
    };
    for (past, future) in &mut people {
        *past = past.map(|p| view.see(p));
        *future = future.map(|f| f.map(|p| view.see(p)));
    }
    let mut egos: Vec<usize> = (0..people.len())
        .filter(|&i| people[i].1.is_some())
        .collect();
    while egos.len() > MAX_EGOS {
        egos.swap_remove(rng.random_range(0..egos.len()));
    }
    let scene = recording.scene.as_deref();
    Crowd {
        futures: egos.iter().filter_map(|&i| people[i].1).collect(),
        is_social: egos
            .iter()
            .map(|_| !rng.random_bool(config.alone))
            .collect(),
        pasts: people.into_iter().map(|p| p.0).collect(),
        scene: scene.filter(|_| !rng.random_bool(NO_GROUND)),
        egos,
        view,
    }
}

/// The same way walked from its end.
fn backwards(past: &Past, future: &Future) -> (Past, Future) {
    let whole: Vec<_> = future
        .iter()
        .rev()
        .chain(past.iter().rev())
        .copied()
        .collect();
    (
        std::array::from_fn(|t| whole[t]),
        std::array::from_fn(|t| whole[OBS_LEN + t]),
    )
}

fn loss(prediction: &Prediction, batch: &Batch, temperature: f64) -> candle_core::Result<Tensor> {
    let truth = batch.truth.as_ref();
    let Some(truth) = truth else {
        candle_core::bail!("there is no truth to learn from");
    };
    let n = truth.dim(0)?;
    let off = prediction.futures.broadcast_sub(truth)?;
    let off = off.reshape((n, SAMPLES, PRED_LEN, 2))?;
    let distance = (off.sqr()?.sum(D::Minus1)? + 1e-6)?.sqrt()?; // [n, SAMPLES, PRED_LEN]
    let ade = distance.mean(D::Minus1)?;
    let fde = distance.narrow(2, PRED_LEN - 1, 1)?.squeeze(2)?;
    let assigned = |errors: &Tensor, t: f64| -> candle_core::Result<Tensor> {
        candle_nn::ops::softmax(&(errors.detach() * (-1.0 / t))?, D::Minus1)
    };
    let by_mean = assigned(&ade, temperature)?;
    let by_last = assigned(&fde, 2.0 * temperature)?;
    let mean = |t: Tensor| -> candle_core::Result<Tensor> { t.sum_all()? / n as f64 };
    let scores = candle_nn::ops::log_softmax(&prediction.scores, D::Minus1)?;
    let displacement = (mean((&by_mean * &ade)?)? + mean((by_last * fde)?)?)?;
    let score = (mean((by_mean * scores)?)? * -SCORE_WEIGHT)?;
    (displacement + score)? + (&prediction.divergence * DIVERGENCE_WEIGHT)?
}

/// ADE and FDE per person on at most [`MAX_VAL_PEOPLE`] people, spread evenly over the recordings.
fn validate(network: &Dscmp, recordings: &[Recording]) -> Result<(f64, f64)> {
    let all: Vec<(&Recording, usize)> = recordings
        .iter()
        .flat_map(|r| (0..r.moments.len()).map(move |m| (r, m)))
        .filter(|(r, m)| r.moments[*m].complete().count() > 0)
        .collect();
    let people: usize = all
        .iter()
        .map(|(r, m)| r.moments[*m].complete().count())
        .sum();
    let every = people.div_ceil(MAX_VAL_PEOPLE).max(1);
    let mut tally = Tally::default();
    for (recording, moment) in all.into_iter().step_by(every) {
        let moment = &recording.moments[moment];
        let egos: Vec<usize> = moment.complete().map(|(i, ..)| i).collect();
        let crowd = Crowd {
            pasts: moment.walkers.iter().map(|w| w.past).collect(),
            is_social: vec![true; egos.len()],
            egos,
            futures: Vec::new(),
            scene: recording.scene.as_deref().map(|s: &Scene| s),
            view: View::PLAIN,
        };
        let batch = Batch::new(&[crowd])?;
        let futures: Vec<Futures> =
            futures_of(&network.forward(&batch, None)?, &batch, View::PLAIN)?;
        let truths = moment.complete().map(|(_, _, future)| future);
        let pairs: Vec<(&Futures, &Future)> = futures.iter().zip(truths).collect();
        tally.add(&pairs, None);
    }
    let scores = tally.scores();
    ensure!(
        scores.people > 0,
        "Nobody in the validation files is seen for 20 steps"
    );
    Ok((scores.ade, scores.fde))
}
