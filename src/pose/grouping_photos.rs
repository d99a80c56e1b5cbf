//! Annotated photos as scenes to learn grouping from: seen at several sizes and mirrored, and assembled ones.
//!
//! Looking at a photo takes the time of many training steps, so the scenes are kept in the run's folder and read
//! from there the next time. Every photo belongs to one fold; assembled pictures mix photos of one fold only.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use rand::Rng as _;
use serde::{Deserialize, Serialize};

use super::annotations::{ImageId, read_annotations};
use super::candidates::Proposal;
use super::group_people::{load_multipose, people_of_bodies};
use super::grouping::MAX_CANDIDATES;
use super::grouping_compare::native_people;
use super::grouping_cutouts::{paste, read_outlines};
use super::grouping_scenes::{LabelledScene, label, mirrored, truth_through};
use super::looks::{self, Look};
use super::metrics::Truth;
use super::train_grouping::TrainGrouping;
use crate::job::Out;
use crate::people::multipose::MultiPose;
use crate::photo;
use crate::raster::Rgb;
use crate::training::{RunDir, rng_of_step};
use crate::weights::Store;

/// A scene and which part of the photos it comes from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FoldedScene {
    pub scene: LabelledScene,
    pub fold: usize,
    /// Whether it is a photo as it is, at the size to be measured at.
    pub is_measured: bool,
}

/// Scenes on disk and what they were made with.
#[derive(Serialize, Deserialize)]
struct Kept {
    key: String,
    scenes: Vec<FoldedScene>,
}

struct Annotated {
    id: ImageId,
    rgb: Rgb,
    truth: Vec<Truth>,
    fold: usize,
}

/// Looks at one picture; gives what all looks show together and what the first shows by itself.
fn scenes_of(
    network: &MultiPose,
    rgb: &Rgb,
    truth: &[Truth],
    side_px: usize,
) -> Result<[LabelledScene; 2]> {
    let looks = Look::all(network, rgb, side_px)?;
    let first = looks.first().context("There is nothing to look at")?;
    let truth = truth_through(truth, &first.view.image_from_view.inverse());
    let scene = |mut proposal: Proposal| {
        proposal.limit(MAX_CANDIDATES);
        LabelledScene {
            labels: label(&proposal, &truth),
            proposal,
            truth: truth.clone(),
            is_seen: true,
            native: people_of_bodies(&first.native()),
            native_looks: native_people(&looks),
        }
    };
    let together = looks::proposal(&looks).context("There is nothing to look at")?;
    let alone = Proposal::read(&first.planes, &first.view);
    Ok([scene(together), scene(alone)])
}

/// The scenes of a training run: from its folder if they are there and fit its settings, else made and kept.
///
/// # Errors
/// When photos or annotations are missing or damaged, or MultiPose's weights are.
pub fn read_scenes(
    config: &TrainGrouping,
    run: &RunDir,
    out: &Out<()>,
) -> Result<Vec<FoldedScene>> {
    let key = format!(
        "looks {} {:?} {} {} {}",
        config.data.display(),
        config.sides,
        config.assembled,
        config.folds,
        config.seed
    );
    let path = run.file("scenes.json");
    if path.exists() {
        let text = std::fs::read(&path).context("Failed to read the scenes kept")?;
        if let Ok(kept) = serde_json::from_slice::<Kept>(&text)
            && kept.key == key
        {
            return Ok(kept.scenes);
        }
    }
    let scenes = make_scenes(config, out)?;
    let kept = Kept { key, scenes };
    photo::save_atomically(&path, &serde_json::to_vec(&kept)?)?;
    Ok(kept.scenes)
}

fn make_scenes(config: &TrainGrouping, out: &Out<()>) -> Result<Vec<FoldedScene>> {
    let network = load_multipose(&Store::find())?;
    let file: PathBuf = config.data.join("person_keypoints.json");
    let annotations = read_annotations(&file)?;
    let outlines = read_outlines(&file)?;
    let folds = config.folds.max(1);
    let mut photos = Vec::new();
    for (index, (id, image)) in annotations.images.into_iter().enumerate() {
        let name = std::path::Path::new(&image.file_name).file_name();
        let name = name.with_context(|| format!("Photo {id} has no file name"))?;
        photos.push(Annotated {
            rgb: photo::open(&config.data.join("images").join(name))?.rgb,
            id,
            truth: image.people,
            fold: index % folds,
        });
    }
    ensure!(!photos.is_empty(), "{} names no photos", file.display());
    let total = photos.len() * config.sides.len() * 4 + config.assembled;
    let mut scenes = Vec::new();
    let tell = |done: usize| {
        out.progress(
            done as f32 / total as f32,
            format!("looking at pictures, {done} of {total}"),
        )
    };
    for photo in &photos {
        let flipped = photo.rgb.flipped();
        let flipped_truth = mirrored(&photo.truth, photo.rgb.width as f64);
        for (number, &side) in config.sides.iter().enumerate() {
            let plain = scenes_of(&network, &photo.rgb, &photo.truth, side)?;
            let turned = scenes_of(&network, &flipped, &flipped_truth, side)?;
            let both = plain.into_iter().chain(turned).enumerate();
            scenes.extend(both.map(|(way, scene)| FoldedScene {
                scene,
                fold: photo.fold,
                is_measured: number == 0 && way == 0,
            }));
            tell(scenes.len())?;
        }
    }
    for number in 0..config.assembled {
        let rng = &mut rng_of_step(config.seed ^ 0xA55E, number);
        let background = &photos[rng.random_range(0..photos.len())];
        let mut rgb = background.rgb.clone();
        let mut truth = background.truth.clone();
        let donors: Vec<&Annotated> = photos
            .iter()
            .filter(|p| p.fold == background.fold && outlines.contains_key(&p.id))
            .collect();
        for _ in 0..rng.random_range(1..=5) {
            if donors.is_empty() {
                break;
            }
            let donor = donors[rng.random_range(0..donors.len())];
            let Some(people) = outlines.get(&donor.id) else {
                continue;
            };
            let person = &people[rng.random_range(0..people.len())];
            paste(&mut rgb, &mut truth, &donor.rgb, person, rng);
        }
        let side = config.sides[rng.random_range(0..config.sides.len())];
        let [together, alone] = scenes_of(&network, &rgb, &truth, side)?;
        let scene = if rng.random_bool(0.7) {
            together
        } else {
            alone
        };
        scenes.push(FoldedScene {
            scene,
            fold: background.fold,
            is_measured: false,
        });
        tell(scenes.len())?;
    }
    Ok(scenes)
}
