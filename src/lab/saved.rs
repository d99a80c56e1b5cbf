//! The folder of a run: what the window and `vitruvian lab train` write, and what both open again.
//!
//! `config.json` has the settings, `log.csv` and `ratios.csv` the samples, `weights.safetensors` a [`Checkpoint`], and
//! `run.json` the name and the time. Only the first must be there: without a log there is nothing to see yet, without
//! weights nothing to go on from. Left out: several runs in one folder.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};

use super::checkpoint::Checkpoint;
use super::config::{GROUPS, LabConfig};
use super::run::Sample;
use super::table::{Table, write};
use crate::job::Out;
use crate::nn::norms::{Dims, LayerRatios};

const ABOUT: &str = "run.json";
const CONFIG: &str = "config.json";
const LOG: &str = "log.csv";
const RATIOS: &str = "ratios.csv";
const WEIGHTS: &str = "weights.safetensors";
/// Everything a run writes, and all that is deleted with it.
const FILES: [&str; 5] = [ABOUT, CONFIG, LOG, RATIOS, WEIGHTS];

/// Longer files are not what a run writes: 16 × 3 blocks, 200 samples and more.
const MAX_TEXT_BYTES: u64 = 64 << 20;
const MAX_NAME_CHARS: usize = 100;
/// Folders that are looked into.
const MAX_LISTED: usize = 1000;

/// What the user calls a run, and when it was saved, in seconds since 1970.
#[derive(Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct About {
    name: String,
    saved_at: u64,
}

/// A run as it was saved.
#[derive(Clone, Debug)]
pub struct SavedRun {
    pub name: String,
    pub config: LabConfig,
    pub samples: Vec<Sample>,
    /// What it can go on from.
    pub checkpoint: Option<Checkpoint>,
}

/// A run in a list.
#[derive(Clone, Debug)]
pub struct Listed {
    pub folder: PathBuf,
    pub name: String,
    pub config: LabConfig,
    /// Steps that the log knows of.
    pub step: usize,
    /// The last that was measured.
    pub accuracy: Option<f64>,
    pub saved: SystemTime,
    /// Whether it has weights.
    pub has_weights: bool,
}

/// A folder that holds a run which cannot be read.
#[derive(Clone, Debug)]
pub struct Broken {
    pub folder: PathBuf,
    /// Why, in words.
    pub fault: String,
}

/// The runs found in a folder, newest first, and what could not be read.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub runs: Vec<Listed>,
    pub broken: Vec<Broken>,
}

/// Writes a run into its folder; what was there of the same run is replaced file by file.
///
/// # Errors
/// If a file cannot be written.
pub fn save(folder: &Path, run: &SavedRun) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("Failed to create the folder {}", folder.display()))?;
    let config = serde_json::to_string_pretty(&run.config).context("Failed to write JSON")?;
    write(&folder.join(CONFIG), config.as_bytes())?;
    let mut log = Table::new("Log", ["step", "loss", "accuracy"]);
    let mut ratios = Table::new("Ratios", ["step", "layer", "set", "ratios", "decided"]);
    for sample in &run.samples {
        let accuracy = sample.accuracy.map_or(String::new(), |a| format!("{a:.4}"));
        let step = sample.step.to_string();
        log.push([step, format!("{:.5}", sample.loss), accuracy]);
        sample.push_ratios(&mut ratios);
    }
    log.write_csv(&folder.join(LOG))?;
    ratios.write_csv(&folder.join(RATIOS))?;
    if let Some(checkpoint) = &run.checkpoint {
        checkpoint.save(&folder.join(WEIGHTS), &run.config)?;
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let about = About {
        name: run.name.chars().take(MAX_NAME_CHARS).collect(),
        saved_at: now.map_or(0, |now| now.as_secs()),
    };
    let about = serde_json::to_string(&about).context("Failed to write JSON")?;
    write(&folder.join(ABOUT), about.as_bytes())
}

/// Reads a run.
///
/// # Errors
/// If the folder holds none, or a file of it cannot be understood; in words, with the file.
pub fn open(folder: &Path) -> Result<SavedRun> {
    let (name, config, _) = read_settings(folder)?;
    let samples = read_samples(folder, &config)?;
    let weights = folder.join(WEIGHTS);
    // Weights of an earlier version have no place to go on from; curves and ratios are worth seeing all the same.
    let checkpoint = match weights.exists() {
        true => Checkpoint::open(&weights).ok(),
        false => None,
    };
    Ok(SavedRun {
        name,
        config,
        samples,
        checkpoint,
    })
}

/// What it takes to go on with the run in `folder`.
///
/// # Errors
/// As [`open`]; also if the run has no checkpoint.
pub fn open_to_go_on(folder: &Path) -> Result<(SavedRun, Checkpoint)> {
    let mut run = open(folder)?;
    let checkpoint = Checkpoint::open(&folder.join(WEIGHTS))?;
    run.checkpoint = None;
    Ok((run, checkpoint))
}

/// Looks for runs in `folder` and the folders in it. Folders with nothing of a run in them are passed over.
///
/// # Errors
/// If the folder cannot be read, or the job was cancelled.
pub fn list<T>(folder: &Path, out: &Out<T>) -> Result<Found> {
    out.progress(0.0, "Looking for runs")?;
    let mut folders = vec![folder.to_owned()];
    if folder.exists() {
        let advice = || format!("Failed to read the folder {}", folder.display());
        for entry in std::fs::read_dir(folder).with_context(advice)? {
            let path = entry.with_context(advice)?.path();
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    ensure!(
        folders.len() <= MAX_LISTED,
        "{} has more than {MAX_LISTED} folders in it: choose one with runs",
        folder.display()
    );
    let mut found = Found::default();
    let total = folders.len() as f32;
    for (i, folder) in folders.into_iter().enumerate() {
        out.progress(i as f32 / total, "Looking for runs")?;
        if !is_run(&folder) {
            continue;
        }
        match summary(&folder) {
            Ok(run) => found.runs.push(run),
            Err(error) => found.broken.push(Broken {
                folder,
                fault: format!("{error:#}"),
            }),
        }
    }
    found
        .runs
        .sort_by(|a, b| (b.saved, &a.name).cmp(&(a.saved, &b.name)));
    found.broken.sort_by(|a, b| a.folder.cmp(&b.folder));
    Ok(found)
}

fn summary(folder: &Path) -> Result<Listed> {
    let (name, config, saved) = read_settings(folder)?;
    let log = read_log(folder)?;
    Ok(Listed {
        name,
        step: log.last().map_or(0, |s| s.step),
        accuracy: log.iter().rev().find_map(|s| s.accuracy),
        saved,
        has_weights: folder.join(WEIGHTS).exists(),
        config,
        folder: folder.to_owned(),
    })
}

/// Whether a run, readable or not, seems to lie in the folder itself.
pub fn is_run(folder: &Path) -> bool {
    folder.join(CONFIG).exists() || folder.join(ABOUT).exists()
}

/// Deletes the files of a run, and its folder if nothing else is in it. Returns whether the folder is gone.
///
/// # Errors
/// If there is no run or a file cannot be deleted.
pub fn delete(folder: &Path) -> Result<bool> {
    let there = FILES.map(|name| folder.join(name));
    ensure!(
        there.iter().any(|path| path.exists()),
        "There is no run in {}",
        folder.display()
    );
    for path in there.iter().filter(|path| path.exists()) {
        std::fs::remove_file(path)
            .with_context(|| format!("Failed to delete {}", path.display()))?;
    }
    // Fails where the user keeps something else, which stays.
    Ok(std::fs::remove_dir(folder).is_ok())
}

/// A folder in `parent` that nobody uses, named after the run.
pub fn free_folder(parent: &Path, name: &str) -> PathBuf {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = name.chars().map(allowed).take(MAX_NAME_CHARS).collect();
    let words: Vec<&str> = name.split('-').filter(|word| !word.is_empty()).collect();
    let name = match words.is_empty() {
        true => "run".to_string(),
        false => words.join("-"),
    };
    let first = parent.join(&name);
    let others = (2..).map(|n| parent.join(format!("{name}-{n}")));
    let mut all = std::iter::once(first.clone()).chain(others);
    all.find(|folder| !folder.exists()).unwrap_or(first)
}

fn read_text(path: &Path) -> Result<String> {
    let advice = || format!("Failed to read {}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).with_context(advice)?;
    let read = file.take(MAX_TEXT_BYTES + 1).read_to_string(&mut text);
    let bytes = read.with_context(advice)?;
    ensure!(
        bytes as u64 <= MAX_TEXT_BYTES,
        "{} is too large to be of a run",
        path.display()
    );
    Ok(text)
}

/// Name, settings, and when it was saved.
fn read_settings(folder: &Path) -> Result<(String, LabConfig, SystemTime)> {
    let path = folder.join(CONFIG);
    ensure!(
        path.exists(),
        "There is no {CONFIG} in {}: a run of the lab has one",
        folder.display()
    );
    let fault = || {
        format!(
            "{} does not hold the settings of a run of the lab",
            path.display()
        )
    };
    let text = read_text(&path)?;
    // Settings of other trainings lie in files of the same name, and every setting has a default.
    let value: serde_json::Value = serde_json::from_str(&text).with_context(fault)?;
    ensure!(
        ["norm", "batch", "digits"]
            .iter()
            .all(|key| value.get(key).is_some()),
        fault()
    );
    let config: LabConfig = serde_json::from_value(value).with_context(fault)?;
    config.check().with_context(fault)?;
    let about = folder.join(ABOUT);
    let about: About = match about.exists() {
        true => serde_json::from_str(&read_text(&about)?)
            .with_context(|| format!("Failed to understand {}", about.display()))?,
        false => About::default(),
    };
    let name: String = match about.name.trim() {
        "" => folder.file_name().map_or_else(
            || config.norm.title().to_string(),
            |name| name.to_string_lossy().into_owned(),
        ),
        name => name.to_string(),
    };
    let printable = name.chars().filter(|c| !c.is_control());
    let name = printable.take(MAX_NAME_CHARS).collect();
    let since = Duration::from_secs(about.saved_at);
    let saved = match about.saved_at {
        0 => std::fs::metadata(&path)
            .and_then(|data| data.modified())
            .ok(),
        _ => SystemTime::UNIX_EPOCH.checked_add(since),
    };
    Ok((name, config, saved.unwrap_or(SystemTime::UNIX_EPOCH)))
}

/// The samples without ratios; none if there is no log yet.
fn read_log(folder: &Path) -> Result<Vec<Sample>> {
    let path = folder.join(LOG);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = read_text(&path)?;
    let mut samples: Vec<Sample> = Vec::new();
    for (i, line) in text.lines().enumerate().skip(1) {
        let fault = || {
            format!(
                "Line {} of {} is not from a log of the lab",
                i + 1,
                path.display()
            )
        };
        let cells: Vec<&str> = line.split(',').collect();
        let [step, loss, accuracy] = cells[..] else {
            bail!(fault());
        };
        let sample = Sample {
            step: step.parse().with_context(fault)?,
            loss: loss.parse().with_context(fault)?,
            accuracy: match accuracy {
                "" => None,
                accuracy => Some(accuracy.parse().with_context(fault)?),
            },
            ratios: Vec::new(),
        };
        let is_sound = sample.loss.is_finite()
            && sample.accuracy.is_none_or(|a| (0.0..=1.0).contains(&a))
            && samples.last().is_none_or(|last| last.step < sample.step);
        ensure!(is_sound, fault());
        samples.push(sample);
    }
    Ok(samples)
}

fn read_samples(folder: &Path, config: &LabConfig) -> Result<Vec<Sample>> {
    let mut samples = read_log(folder)?;
    let path = folder.join(RATIOS);
    if !path.exists() || !config.norm.is_switchable() {
        return Ok(samples);
    }
    let text = read_text(&path)?;
    let normalisers = config.norm.normalisers(Dims::Two, GROUPS);
    let mut by_step: BTreeMap<usize, Vec<LayerRatios>> = BTreeMap::new();
    for (i, line) in text.lines().enumerate().skip(1) {
        let fault = || {
            format!(
                "Line {} of {} is not from ratios of the lab",
                i + 1,
                path.display()
            )
        };
        let cells: Vec<&str> = line.split(',').collect();
        let [step, layer, set, values, decided] = cells[..] else {
            bail!(fault());
        };
        let values: Vec<f64> = values
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .with_context(fault)?;
        let decided = match decided {
            "" => None,
            choice => Some(choice.parse::<usize>().with_context(fault)?),
        };
        let is_sound = values.len() == normalisers.len()
            && values.iter().all(|v| (-0.01..=1.01).contains(v))
            && decided.is_none_or(|choice| choice < normalisers.len());
        ensure!(is_sound, fault());
        let layers = by_step
            .entry(step.parse().with_context(fault)?)
            .or_default();
        match set {
            "mean" => layers.push(LayerRatios {
                name: layer.to_string(),
                normalisers: normalisers.clone(),
                mean: values,
                var: Vec::new(),
                decision: [decided, None],
            }),
            "variance" => {
                let last = layers.last_mut().filter(|last| last.name == layer);
                let last = last.with_context(fault)?;
                (last.var, last.decision[1]) = (values, decided);
            }
            _ => bail!(fault()),
        }
    }
    for sample in &mut samples {
        sample.ratios = by_step.remove(&sample.step).unwrap_or_default();
    }
    let expected = samples.iter().map(|s| s.ratios.len()).max().unwrap_or(0);
    let is_whole = |s: &Sample| {
        let layers = &s.ratios;
        layers.is_empty() || (layers.len() == expected && layers.iter().all(|l| !l.var.is_empty()))
    };
    ensure!(
        samples.iter().all(is_whole),
        "{} lacks layers that it has at other steps",
        path.display()
    );
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::dataset::{Difficulty, Digits};
    use crate::lab::run::{NormKind, Run};
    use crate::training::Ranks;
    use std::sync::Arc;

    fn sets() -> (Arc<Digits>, Arc<Digits>) {
        let (train, held_out) = Digits::load(Difficulty::Plain).unwrap();
        (Arc::new(train.thinned(60)), Arc::new(held_out.thinned(50)))
    }

    fn config(norm: NormKind) -> LabConfig {
        LabConfig {
            norm,
            batch: 4,
            width: 4,
            digits: 96,
            dropout: 0.2,
            set: Difficulty::Plain,
            ..LabConfig::default()
        }
    }

    fn weights(run: &Run) -> Vec<Vec<f32>> {
        let tensors = run.tensors().unwrap().into_values();
        tensors
            .map(|t| t.flatten_all().unwrap().to_vec1().unwrap())
            .collect()
    }

    #[test]
    fn a_run_goes_on_from_its_folder_as_if_it_had_not_stopped() {
        let folder = tempfile::tempdir().unwrap();
        for norm in [NormKind::SparseSwitch, NormKind::Hard, NormKind::Population] {
            let config = config(norm);
            let mut whole = Run::new(config.clone(), sets(), Ranks::alone()).unwrap();
            let mut samples = Vec::new();
            for _ in 0..20 {
                whole.step().unwrap();
                samples.push(whole.sample(None).unwrap());
            }
            let saved = SavedRun {
                name: format!("A {norm} run"),
                config: config.clone(),
                samples,
                checkpoint: Some(whole.checkpoint().unwrap()),
            };
            let folder = folder.path().join(norm.name());
            save(&folder, &saved).unwrap();
            let (found, checkpoint) = open_to_go_on(&folder).unwrap();
            assert_eq!((&found.name, &found.config), (&saved.name, &config));
            assert_eq!(checkpoint.standing, saved.checkpoint.unwrap().standing);
            for (a, b) in found.samples.iter().zip(&saved.samples) {
                assert_eq!((a.step, a.ratios.len()), (b.step, b.ratios.len()));
                assert!((a.loss - b.loss).abs() < 1e-5);
                for (a, b) in a.ratios.iter().zip(&b.ratios) {
                    assert_eq!((&a.name, a.decision), (&b.name, b.decision));
                    assert!((a.var[0] - b.var[0]).abs() < 1e-4);
                }
            }
            let mut again =
                Run::resume(config, sets(), Ranks::alone(), &checkpoint, |_| Ok(())).unwrap();
            for _ in 0..4 {
                assert_eq!(whole.step().unwrap(), again.step().unwrap(), "{norm}");
            }
            assert_eq!(weights(&whole), weights(&again), "{norm}");
        }
        let found = list(folder.path(), &Out::<()>::silent()).unwrap();
        assert_eq!((found.runs.len(), found.broken.len()), (3, 0));
        assert!(
            found
                .runs
                .iter()
                .all(|run| run.step == 20 && run.has_weights)
        );
    }

    #[test]
    fn foreign_and_broken_folders_are_told_apart_and_keep_nobody_from_the_rest() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        let run = SavedRun {
            name: "good".to_string(),
            config: config(NormKind::Batch),
            samples: Vec::new(),
            checkpoint: None,
        };
        for name in ["good", "log", "steps", "ratios", "weights"] {
            save(&at(name), &run).unwrap();
        }
        std::fs::create_dir_all(at("pictures")).unwrap();
        for (name, file, text) in [
            ("json", CONFIG, "{"),
            ("parser", CONFIG, "{\"steps\": 3, \"batch\": 4}"),
            (
                "batch",
                CONFIG,
                "{\"norm\": \"bn\", \"batch\": 1, \"digits\": 9}",
            ),
            ("log", LOG, "step,loss,accuracy\n1,nan,\n"),
            ("steps", LOG, "step,loss,accuracy\n2,1.0,\n1,1.0,\n"),
        ] {
            std::fs::create_dir_all(at(name)).unwrap();
            std::fs::write(at(name).join(file), text).unwrap();
        }
        let found = list(parent.path(), &Out::<()>::silent()).unwrap();
        assert_eq!(found.runs.len(), 3);
        let faults: Vec<&str> = found.broken.iter().map(|b| b.fault.as_str()).collect();
        assert_eq!(faults.len(), 5, "{faults:?}");
        for (fault, words) in faults.iter().zip([
            "one digit at a time",
            "settings of a run",
            "Line 2 of",
            "settings of a run",
            "Line 3 of",
        ]) {
            assert!(fault.contains(words), "{fault}");
        }
        // Ratios are read only when a run is opened.
        let switch = SavedRun {
            config: config(NormKind::Switch),
            ..run
        };
        save(&at("ratios"), &switch).unwrap();
        let text = "step,layer,set,ratios,decided\n1,stem.norm,mean,0.5 0.5,\n";
        std::fs::write(at("ratios").join(RATIOS), text).unwrap();
        let fault = format!("{:#}", open(&at("ratios")).unwrap_err());
        assert!(fault.contains("Line 2 of"), "{fault}");
        // Weights that are none leave the curves, and say why there is no going on.
        std::fs::write(at("weights").join(WEIGHTS), "none").unwrap();
        assert!(open(&at("weights")).unwrap().checkpoint.is_none());
        assert!(open_to_go_on(&at("weights")).is_err());
        let fault = format!("{:#}", open(&at("pictures")).unwrap_err());
        assert!(fault.contains("There is no config.json"), "{fault}");
    }

    #[test]
    fn a_checkpoint_of_another_network_is_refused() {
        let run = Run::new(config(NormKind::Batch), sets(), Ranks::alone()).unwrap();
        let checkpoint = run.checkpoint().unwrap();
        let refuse = |config: LabConfig, ranks: Ranks| {
            let run = Run::resume(config, sets(), ranks, &checkpoint, |_| Ok(()));
            run.err().unwrap().to_string()
        };
        let wider = LabConfig {
            width: 8,
            ..config(NormKind::Batch)
        };
        assert!(refuse(wider, Ranks::alone()).contains("another network"));
        let fault = refuse(config(NormKind::Switch), Ranks::alone());
        assert!(fault.contains("another network"), "{fault}");
        let team = crate::nn::norms::sync::Team::new(2).remove(0);
        let fault = refuse(config(NormKind::Batch), Ranks::new(0, Arc::new(team)));
        assert!(fault.contains("1 ranks"), "{fault}");
    }

    #[test]
    fn deleting_takes_the_run_and_leaves_what_is_not_of_it() {
        let parent = tempfile::tempdir().unwrap();
        let run = SavedRun {
            name: "1 Batch, batch 4".to_string(),
            config: config(NormKind::Batch),
            samples: Vec::new(),
            checkpoint: None,
        };
        let first = free_folder(parent.path(), &run.name);
        assert_eq!(first.file_name().unwrap(), "1-Batch-batch-4");
        save(&first, &run).unwrap();
        let second = free_folder(parent.path(), &run.name);
        assert_eq!(second.file_name().unwrap(), "1-Batch-batch-4-2");
        save(&second, &run).unwrap();
        std::fs::write(second.join("notes.txt"), "mine").unwrap();
        assert!(delete(&first).unwrap() && !first.exists());
        assert!(!delete(&second).unwrap());
        assert!(second.join("notes.txt").exists() && !second.join(CONFIG).exists());
        assert!(delete(&second).is_err());
    }
}
