//! Training and cross-validation of the grouping network.
//!
//! Three losses, all binary cross-entropy: of edges in every pass, of merged groups being one person, and of the OKS
//! that a group reaches when completed (seen scenes alone). Passes run on the network's own merges, so that it learns
//! from its mistakes. Scenes are those of `grouping_scenes.rs`. With `--folds` the photos are split; each part is
//! grouped by a network that saw none of its photos, neither as they are nor cut to pieces, and the figures are over
//! all. The network that is kept at the end learns from all photos.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use rand::Rng as _;
use rand::rngs::SmallRng;
use rand::seq::index::sample;

use super::annotations::{Annotations, read_annotations};
use super::group_people::{complete, greedy_people, people_of_groups};
use super::grouping::{Edge, Grouper, Grouping, Level};
use super::grouping_compare::{Comparison, WAYS, found};
use super::grouping_geometry::of_group;
use super::grouping_photos::{FoldedScene, read_scenes};
use super::grouping_scenes::{Label, LabelledScene, Noise, counts, imagine};
use super::keypoints::{Part, Person};
use super::metrics::{Measure, Truth, oks};
use crate::job::Out;
use crate::training::{
    Adam, AdamConfig, RunDir, SmoothLoss, cosine_rate, draw_weights, rng_of_step,
};

/// Settings of one run: flags, and `config.json` beside the checkpoint.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize)]
pub struct TrainGrouping {
    /// Folder with images/ and COCO's person_keypoints.json
    #[arg(value_name = "DIR")]
    pub data: PathBuf,

    /// More poses in COCO's form, without pictures: imagined scenes are made of them
    #[arg(long, value_name = "FILE")]
    pub poses: Option<PathBuf>,

    /// Photos whose poses are not taken from that file, as they are to be measured on
    #[arg(long, value_delimiter = ',', value_name = "IDS")]
    pub without: Vec<u64>,

    /// Folder for checkpoint, log and weights
    #[arg(long, default_value = "runs/grouping")]
    pub run: PathBuf,

    /// Go on from the last checkpoint of the run
    #[arg(long)]
    pub resume: bool,

    /// Steps in all
    #[arg(long, default_value_t = 600)]
    pub steps: usize,

    /// Scenes a step
    #[arg(long, default_value_t = 3)]
    pub batch: usize,

    /// Highest learning rate
    #[arg(long, default_value_t = 3e-3)]
    pub rate: f64,

    /// Parts that the photos are split into for cross-validation before the last training; 0 for none
    #[arg(long, default_value_t = 4)]
    pub folds: usize,

    /// Longer sides at which photos are seen, in pixels; the first is the one to be measured at
    #[arg(long, value_delimiter = ',', default_values_t = [512, 416, 640])]
    pub sides: Vec<usize>,

    /// Assembled pictures
    #[arg(long, default_value_t = 120)]
    pub assembled: usize,

    /// Share of imagined scenes in a step
    #[arg(long, default_value_t = 0.3)]
    pub imagined: f64,

    /// Steps between checkpoints
    #[arg(long, default_value_t = 100)]
    pub every: usize,

    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// How often a seen scene is shown without its features, so that votes and layout alone must do.
const HIDE_FEATURES: f64 = 0.2;
/// Groups judged in a pass, at most.
const JUDGED_GROUPS: usize = 64;
const MAX_PASSES: usize = 6;

/// Mean binary cross-entropy of logits, weighted; `None` when nothing has weight.
pub(super) fn cross_entropy(
    logits: &Tensor,
    targets: &[f32],
    weights: &[f32],
) -> Result<Option<Tensor>> {
    let total: f32 = weights.iter().sum();
    if total <= 0.0 {
        return Ok(None);
    }
    let logits = logits.flatten_all()?;
    let like = |values: &[f32]| Tensor::from_slice(values, values.len(), logits.device());
    // log(1 + e^x) − t·x, written so that no exponential overflows.
    let soft = ((logits.abs()?.neg()?.exp()? + 1.0)?.log()? + logits.relu()?)?;
    let loss = (soft - (&logits * like(targets)?)?)?;
    Ok(Some(
        ((loss * like(weights)?)?.sum_all()? / f64::from(total))?,
    ))
}

/// Share of judged pairs across two groups that are one person, and whether any was judged.
fn pair_target(labels: &[Label], a: &[usize], b: &[usize]) -> (f32, f32) {
    let (mut same, mut judged) = (0, 0);
    for &i in a {
        for &j in b {
            match (labels[i], labels[j]) {
                (Label::Person(p), Label::Person(q)) => {
                    judged += 1;
                    same += usize::from(p == q);
                }
                (Label::Person(_), Label::Spurious) | (Label::Spurious, Label::Person(_)) => {
                    judged += 1;
                }
                _ => {}
            }
        }
    }
    match judged {
        0 => (0.0, 0.0),
        n => (same as f32 / n as f32, 1.0),
    }
}

/// Whether all judged candidates of a group are one person, and whether that can be said.
fn whole_target(labels: &[Label], members: &[usize]) -> (f32, f32) {
    let mut owners = members.iter().filter_map(|&m| match labels[m] {
        Label::Person(p) => Some(Some(p)),
        Label::Spurious => Some(None),
        Label::Unjudged => None,
    });
    let Some(first) = owners.next() else {
        return (0.0, 0.0);
    };
    let mut mixed = false;
    let mut has_person = first.is_some();
    for owner in owners {
        has_person |= owner.is_some();
        mixed |= owner != first;
    }
    match has_person {
        true => (if mixed { 0.0 } else { 1.0 }, 1.0),
        // Several spurious ones may be a person whom nobody labelled.
        false => (0.0, 0.0),
    }
}

/// The OKS that a group reaches when completed; weight 0 where nobody can say.
fn quality_target(
    scene: &LabelledScene,
    members: &[usize],
    level: &Level,
    index: usize,
) -> (f32, f32) {
    let main = level.geometries.get(index).and_then(|g| g.main_centre());
    let body = complete(&scene.proposal, members, main, 0.0);
    let body = found(body.joints.into_iter(), 0.0);
    let measure = Measure::Part(Part::Body);
    let similarity = |truth: &&Truth| oks(&body.keypoints, truth, measure);
    let best = scene
        .truth
        .iter()
        .filter(|t| counts(t))
        .map(|t| similarity(&t));
    let best = best.fold(0.0, f64::max);
    // What COCO ignores is no mistake.
    let ignored = scene
        .truth
        .iter()
        .filter(|t| !counts(t))
        .any(|t| similarity(&t) >= 0.4);
    let unjudged = members
        .iter()
        .filter(|&&m| scene.labels[m] == Label::Unjudged)
        .count();
    if best < 0.4 && (ignored || 2 * unjudged > members.len()) {
        return (0.0, 0.0);
    }
    (best as f32, 1.0)
}

/// The loss of one scene.
fn scene_loss(
    grouper: &Grouper,
    scene: &LabelledScene,
    rng: &mut SmallRng,
) -> Result<Option<Tensor>> {
    let (proposal, labels) = (&scene.proposal, scene.labels.as_slice());
    if proposal.candidates.len() < 2 {
        return Ok(None);
    }
    let nodes = grouper.nodes(proposal)?;
    let mut level = Grouper::first_level(&nodes);
    let (mut edge_losses, mut whole_losses, mut quality_losses) = (vec![], vec![], vec![]);
    let quality_pass = rng.random_range(1..MAX_PASSES);
    for number in 0..MAX_PASSES {
        let verdict = grouper.judge(proposal, &nodes, &level)?;
        if let Some(same) = &verdict.same {
            let targets = verdict
                .edges
                .iter()
                .map(|[a, b]| pair_target(labels, &level.members[*a], &level.members[*b]));
            let (targets, weights): (Vec<f32>, Vec<f32>) = targets.unzip();
            edge_losses.extend(cross_entropy(same, &targets, &weights)?);
        }
        let (pass, next) = grouper.pass(proposal, &nodes, &level, &verdict)?;
        let union = |edge: &Edge| {
            let [a, b] = edge.groups.map(|group| pass.before[group].as_slice());
            [a, b].concat()
        };
        let count = pass.edges.len().min(JUDGED_GROUPS);
        let chosen = sample(rng, pass.edges.len(), count);
        let unions: Vec<Vec<usize>> = chosen.iter().map(|i| union(&pass.edges[i])).collect();
        if !unions.is_empty() {
            let logits = grouper
                .judge_groups(proposal, &nodes, &unions)?
                .narrow(1, 0, 1)?;
            let (targets, weights): (Vec<f32>, Vec<f32>) =
                unions.iter().map(|m| whole_target(labels, m)).unzip();
            whole_losses.extend(cross_entropy(&logits, &targets, &weights)?);
        }
        let is_last = next.is_none() || number + 1 == MAX_PASSES;
        if scene.is_seen && (number == quality_pass || is_last) {
            let logits = grouper
                .judge_groups(proposal, &nodes, &level.members)?
                .narrow(1, 1, 1)?;
            let members = level.members.iter().enumerate();
            let (targets, weights): (Vec<f32>, Vec<f32>) = members
                .map(|(i, m)| quality_target(scene, m, &level, i))
                .unzip();
            quality_losses.extend(cross_entropy(&logits, &targets, &weights)?);
        }
        match next {
            Some(next) => level = next,
            None => break,
        }
    }
    let mut total: Option<Tensor> = None;
    for losses in [edge_losses, whole_losses, quality_losses] {
        let count = losses.len() as f64;
        for loss in losses {
            let loss = (loss / count)?;
            total = Some(match total {
                Some(total) => (total + loss)?,
                None => loss,
            });
        }
    }
    Ok(total)
}

/// One training run on some scenes; returns the optimiser with the weights.
fn run_training(
    config: &TrainGrouping,
    scenes: &[&LabelledScene],
    poses: &[Truth],
    run: &RunDir,
    resume: bool,
    out: &Out<()>,
) -> Result<Adam> {
    ensure!(!scenes.is_empty(), "There are no scenes to train on");
    let vars = VarMap::new();
    let grouper = Grouper::load(VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu))?;
    draw_weights(&vars, config.seed)?;
    let mut adam = Adam::new(
        &vars,
        AdamConfig {
            beta1: 0.9,
            beta2: 0.99,
            weight_decay: 3e-2,
            clip: 2.0,
            average: 0.98,
        },
    )?;
    let mut first = 0;
    if resume {
        first = run.resume(&mut [("grouping", &mut adam)])?.unwrap_or(0);
    }
    let noise = Noise::measure(scenes.iter().copied());
    let mut losses = SmoothLoss::default();
    for step in first..config.steps {
        let rng = &mut rng_of_step(config.seed, step);
        let mut total: Option<Tensor> = None;
        for _ in 0..config.batch {
            let imagined = match rng.random_bool(config.imagined.clamp(0.0, 1.0)) {
                true => imagine(poses, &noise, rng),
                false => None,
            };
            let mut scene = match imagined {
                Some(scene) => scene,
                None => scenes[rng.random_range(0..scenes.len())].clone(),
            };
            if rng.random_bool(HIDE_FEATURES) {
                for candidate in &mut scene.proposal.candidates {
                    candidate.features = Default::default();
                }
            }
            if let Some(loss) = scene_loss(&grouper, &scene, rng)? {
                total = Some(match total {
                    Some(total) => (total + loss)?,
                    None => loss,
                });
            }
        }
        let Some(total) = total else { continue };
        let loss = (total / config.batch as f64)?;
        let rate = cosine_rate(config.rate, step, config.steps, 30);
        adam.step(loss.backward()?, rate)?;
        let smooth = losses.add(f64::from(loss.to_scalar::<f32>()?));
        out.progress(
            (step + 1) as f32 / config.steps as f32,
            format!("step {} of {}, loss {smooth:.3}", step + 1, config.steps),
        )?;
        if (step + 1) % config.every.max(1) == 0 || step + 1 == config.steps {
            run.save(step + 1, &[("grouping", &adam)])?;
            run.log("step,loss", &format!("{},{smooth:.4}", step + 1))?;
        }
    }
    Ok(adam)
}

/// People by the labels themselves: what grouping could reach with these candidates.
fn perfect_people(scene: &LabelledScene) -> Vec<Person> {
    let geometries = super::grouping_geometry::of_candidates(&scene.proposal);
    let people = (0..scene.truth.len()).filter_map(|person| {
        let members: Vec<usize> = (0..scene.labels.len())
            .filter(|&i| scene.labels[i] == Label::Person(person))
            .collect();
        if members.is_empty() {
            return None;
        }
        let main = of_group(&geometries, &members).main_centre();
        let body = complete(&scene.proposal, &members, main, members.len() as f32 / 17.0);
        Some(body.through(&scene.proposal.image_from_view))
    });
    super::group_people::people_of_bodies(&people.collect::<Vec<_>>())
}

/// Trains, with cross-validation first, writing checkpoints, log, figures and weights into the run's folder.
///
/// # Errors
/// When data are missing or unfit, when a checkpoint belongs to another network, when gradients are not finite.
pub fn train(config: &TrainGrouping, out: &Out<()>) -> Result<()> {
    ensure!(
        config.batch > 0 && config.steps > 0 && !config.sides.is_empty(),
        "--batch, --steps and --sides must not be empty"
    );
    let run = RunDir::create(&config.run)?;
    serde_json::to_writer_pretty(std::fs::File::create(run.file("config.json"))?, config)?;
    let scenes: Vec<FoldedScene> = read_scenes(config, &run, &out.part(0.0, 0.3))?;
    let poses = match &config.poses {
        Some(path) => poses_of(&read_annotations(path)?, &config.without),
        None => Vec::new(),
    };
    if config.folds > 1 {
        let out = out.part(0.3, 0.8);
        let mut ways: [Vec<Vec<Person>>; 6] = Default::default();
        let mut truth = Vec::new();
        for fold in 0..config.folds {
            let (from, to) = (fold as f32, fold as f32 + 1.0);
            let part = out.part(from / config.folds as f32, to / config.folds as f32);
            let seen: Vec<&LabelledScene> = scenes
                .iter()
                .filter(|s| s.fold != fold)
                .map(|s| &s.scene)
                .collect();
            let folder = RunDir::create(&run.file(&format!("fold{fold}")))?;
            let adam = run_training(config, &seen, &poses, &folder, config.resume, &part)?;
            let grouper = Grouper::load(adam.mean_builder()?)?;
            for held_out in scenes.iter().filter(|s| s.fold == fold && s.is_measured) {
                let scene = &held_out.scene;
                let grouping = grouper.group(&scene.proposal)?;
                truth.push(super::grouping_scenes::truth_through(
                    &scene.truth,
                    &scene.proposal.image_from_view,
                ));
                let proposal = &scene.proposal;
                let people = [
                    scene.native.clone(),
                    scene.native_looks.clone(),
                    people_of_groups(proposal, &Grouping::default()),
                    greedy_people(proposal),
                    people_of_groups(proposal, &grouping),
                    perfect_people(scene),
                ];
                for (all, own) in ways.iter_mut().zip(people) {
                    all.push(own);
                }
            }
        }
        let names = WAYS.into_iter().chain(["perfect grouping"]);
        let comparison = Comparison::of(&truth, names.zip(ways).collect());
        let path = run.file("cross_validation.json");
        serde_json::to_writer_pretty(std::fs::File::create(&path)?, &comparison)?;
        std::fs::write(run.file("cross_validation.txt"), format!("{comparison}\n"))?;
        out.progress(1.0, format!("cross-validation: {comparison}"))?;
    }
    let all: Vec<&LabelledScene> = scenes.iter().map(|s| &s.scene).collect();
    let last = out.part(0.8, 1.0);
    let adam = run_training(config, &all, &poses, &run, config.resume, &last)?;
    let notes = BTreeMap::from([
        ("step".to_owned(), config.steps.to_string()),
        ("scenes".to_owned(), all.len().to_string()),
    ]);
    crate::weights::save(
        &run.file("grouping.safetensors"),
        &adam.means()?,
        &notes,
        DType::F16,
    )
    .context("Failed to write the weights")
}

/// The poses of a file with enough labels, except those of some photos.
fn poses_of(annotations: &Annotations, without: &[u64]) -> Vec<Truth> {
    use super::annotations::ImageId;
    let images = annotations.images.iter().filter(|(id, _)| match id {
        ImageId::Number(number) => !without.contains(number),
        ImageId::Name(_) => true,
    });
    let people = images.flat_map(|(_, image)| &image.people);
    let is_rich = |t: &&Truth| {
        let points = t.keypoints.iter().take(17);
        !t.crowd && points.filter(|p| p[2] > 0.0).count() >= 6
    };
    people.filter(is_rich).cloned().collect()
}

#[cfg(test)]
#[path = "train_grouping_tests.rs"]
mod tests;
