//! The step that window and command line call: pasts of all walkers in, K futures of each out.
//!
//! The network is asked several times, looking at the world as it is and mirrored, larger and smaller, with and without
//! neighbours: each answer has errors of its own. All futures together are then brought back to K by Lloyd's algorithm
//! (weighted k-means over whole trajectories), started from the plain answer so that future k keeps its meaning across
//! walkers. Cost per walker does not depend on how many there are: neighbours come from an R-tree.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use candle_core::Device;
use candle_nn::ops::softmax;
use rayon::prelude::*;

use super::dscmp::{Dscmp, DscmpConfig, Prediction};
use super::frame::{Batch, Crowd, Neighbourhood, View};
use super::scene::Scene;
use super::{Future, Futures, PRED_LEN, Past, Point, SAMPLES};
use crate::job::Out;
use crate::weights::Checkpoint;

/// Name of the setting of a network among the notes of its weights.
const CONFIG_NOTE: &str = "config";
/// Walkers of one forward pass: enough to fill the matrices, few enough to stay in the cache and to cancel soon.
const CHUNK: usize = 256;
/// Rounds of Lloyd's algorithm; later ones hardly move anything.
const ROUNDS: usize = 3;

/// One way of asking the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ask {
    pub view: View,
    pub is_social: bool,
}

/// How often the network is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
pub enum Care {
    /// Once: for dragging, when each frame counts
    Quick,
    /// In several views, reduced to the best 20
    #[default]
    Full,
}

impl Care {
    /// The ways of asking; the first is the plain one.
    pub fn asks(self) -> Vec<Ask> {
        let ask = |mirrored, scale, is_social| Ask {
            view: View { mirrored, scale },
            is_social,
        };
        let plain = ask(false, 1.0, true);
        match self {
            Self::Quick => vec![plain],
            Self::Full => vec![
                plain,
                ask(true, 1.0, true),
                ask(false, 1.0, false),
                ask(true, 1.0, false),
                ask(false, 0.8, true),
                ask(true, 1.25, true),
            ],
        }
    }
}

/// Builds the network of a weight file, with the sizes that its notes name.
///
/// # Errors
/// Weights of something else.
pub fn load(checkpoint: &Checkpoint) -> Result<Dscmp> {
    let notes = checkpoint.metadata();
    let config = notes.get(CONFIG_NOTE).with_context(|| {
        format!(
            "These are no weights of the motion network: {}",
            checkpoint.path().display()
        )
    })?;
    let config: DscmpConfig = serde_json::from_str(config).with_context(|| {
        format!(
            "The settings in the weights are damaged: {}",
            checkpoint.path().display()
        )
    })?;
    anyhow::ensure!(
        (1..=1024).contains(&config.hidden) && (1..=4096).contains(&config.width),
        "The settings in the weights are not possible: {}",
        checkpoint.path().display()
    );
    Ok(checkpoint.load(|vb| Dscmp::load(&config, vb))?)
}

/// Notes for a weight file that [`load`] understands.
///
/// # Errors
/// When the settings cannot be written as JSON.
pub fn notes_of(
    config: &DscmpConfig,
    step: usize,
    quality: &str,
) -> Result<BTreeMap<String, String>> {
    let notes = [
        (CONFIG_NOTE, serde_json::to_string(config)?),
        ("step", step.to_string()),
        ("quality", quality.to_string()),
    ];
    Ok(notes.map(|(k, v)| (k.to_string(), v)).into())
}

/// K futures for each of `egos` (indices in `pasts`), in their order. Positions are in metres.
///
/// # Errors
/// Cancelled, or a failure of the network.
pub fn predict(
    network: &Dscmp,
    pasts: &[Past],
    egos: &[usize],
    scene: Option<&Scene>,
    care: Care,
    out: &Out<Vec<Futures>>,
) -> Result<Vec<Futures>> {
    predict_within(network, pasts, egos, scene, care, out)
}

/// [`predict`] as a part of a job that sends something else.
///
/// # Errors
/// As [`predict`].
pub fn predict_within<T>(
    network: &Dscmp,
    pasts: &[Past],
    egos: &[usize],
    scene: Option<&Scene>,
    care: Care,
    out: &Out<T>,
) -> Result<Vec<Futures>> {
    let asks = care.asks();
    let mut found: Vec<Vec<Futures>> = Vec::with_capacity(asks.len());
    for (nth, ask) in asks.iter().enumerate() {
        let seen: Vec<Past> = pasts.iter().map(|p| p.map(|q| ask.view.see(q))).collect();
        let hood = Neighbourhood::new(&seen);
        let mut crowd = Crowd {
            pasts: seen,
            egos: Vec::new(),
            futures: Vec::new(),
            scene,
            view: ask.view,
            is_social: Vec::new(),
        };
        let mut answers = Vec::with_capacity(egos.len());
        for chunk in egos.chunks(CHUNK) {
            let done = nth as f32 + answers.len() as f32 / egos.len() as f32;
            out.progress(done / asks.len() as f32, "Predicting")?;
            crowd.egos = chunk.to_vec();
            crowd.is_social = vec![ask.is_social; chunk.len()];
            let batch = Batch::of_crowd(&crowd, &hood)?;
            answers.extend(futures_of(
                &network.forward(&batch, None)?,
                &batch,
                ask.view,
            )?);
        }
        found.push(answers);
    }
    if found.len() == 1 {
        return Ok(found.pop().unwrap_or_default());
    }
    let merged = (0..egos.len())
        .into_par_iter()
        .map(|i| merge(found.iter().map(|answers| &answers[i])));
    Ok(merged.collect())
}

/// What the network said, in the world.
pub(super) fn futures_of(
    prediction: &Prediction,
    batch: &Batch,
    view: View,
) -> candle_core::Result<Vec<Futures>> {
    let cpu = &Device::Cpu;
    let points = prediction
        .futures
        .to_device(cpu)?
        .flatten_all()?
        .to_vec1::<f32>()?;
    let weights = softmax(&prediction.scores, 1)?
        .to_device(cpu)?
        .to_vec2::<f32>()?;
    let each = points
        .chunks_exact(SAMPLES * PRED_LEN * 2)
        .zip(weights)
        .zip(&batch.frames);
    Ok(each
        .map(|((points, weights), frame)| {
            let sample = |values: &[f32]| -> Future {
                std::array::from_fn(|t| {
                    let own = [f64::from(values[2 * t]), f64::from(values[2 * t + 1])];
                    view.unsee(frame.to_world(own))
                })
            };
            Futures {
                samples: points.chunks_exact(PRED_LEN * 2).map(sample).collect(),
                weights,
            }
        })
        .collect())
}

/// As many futures as the first answer has, that stand for all answers.
fn merge<'a>(answers: impl Iterator<Item = &'a Futures>) -> Futures {
    let mut all: Vec<(&Future, f64)> = Vec::new();
    let mut centres: Vec<Future> = Vec::new();
    for answer in answers {
        if centres.is_empty() {
            centres.clone_from(&answer.samples);
        }
        // Each future counts by how likely it is, and a little for being there: a rare way is to be kept.
        let share = 1.0 / answer.samples.len().max(1) as f64;
        let weights = answer.weights.iter().map(|&w| 0.5 * (f64::from(w) + share));
        all.extend(answer.samples.iter().zip(weights));
    }
    let mut weights = vec![0.0; centres.len()];
    for _ in 0..ROUNDS {
        let mut sums = vec![([[0.0; 2]; PRED_LEN], 0.0); centres.len()];
        for (future, weight) in &all {
            let nearest = centres
                .iter()
                .map(|centre| apart(centre, future))
                .enumerate()
                .min_by(|a, b| a.1.total_cmp(&b.1));
            if let Some((nearest, _)) = nearest {
                let (sum, total) = &mut sums[nearest];
                for (s, p) in sum.iter_mut().zip(future.iter()) {
                    *s = [s[0] + weight * p[0], s[1] + weight * p[1]];
                }
                *total += weight;
            }
        }
        for ((centre, weight), (sum, total)) in centres.iter_mut().zip(&mut weights).zip(sums) {
            *weight = total;
            if total > 0.0 {
                *centre = sum.map(|s| [s[0] / total, s[1] / total]);
            }
        }
    }
    let total: f64 = weights.iter().sum::<f64>().max(1e-12);
    Futures {
        samples: centres,
        weights: weights.into_iter().map(|w| (w / total) as f32).collect(),
    }
}

/// Mean distance, the last step counting as much as all together.
fn apart(a: &Future, b: &Future) -> f64 {
    // Not `hypot`: its care for huge numbers costs four times as much, and this is where merging spends its time.
    let off = |p: Point, q: Point| ((p[0] - q[0]).powi(2) + (p[1] - q[1]).powi(2)).sqrt();
    let sum: f64 = a.iter().zip(b).map(|(&p, &q)| off(p, q)).sum();
    sum / PRED_LEN as f64 + off(a[PRED_LEN - 1], b[PRED_LEN - 1])
}
