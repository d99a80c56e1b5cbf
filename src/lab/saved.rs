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
pub(super) const CONFIG: &str = "config.json";
pub(super) const LOG: &str = "log.csv";
pub(super) const RATIOS: &str = "ratios.csv";
pub(super) const WEIGHTS: &str = "weights.safetensors";
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
