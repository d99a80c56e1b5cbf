//! A run that is watched while it trains: it can be paused, hardened and read out at any step.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use candle_core::{DType, Tensor};

use super::dataset::Digits;
use super::plot::{Axes, Series, plot};
use super::run::{LabConfig, Run, Sample};
use super::table::{Table, write};
use crate::job::Out;
use crate::training::Ranks;

/// What a watcher may ask of a run; shared between both.
#[derive(Default)]
pub struct Control {
    is_paused: Mutex<bool>,
    changed: Condvar,
    harden: AtomicBool,
}

/// How often a paused run asks whether it was cancelled.
const PAUSE_POLL: Duration = Duration::from_millis(50);
/// Samples of a run: few enough to keep and draw them all.
const SAMPLES: usize = 200;
/// Samples between two looks at held-out digits.
const SAMPLES_PER_LOOK: usize = 10;
/// Held-out digits of a look.
const LOOK_DIGITS: usize = 500;

impl Control {
    /// Holds the run before its next step, or lets it go on.
    pub fn pause(&self, is_paused: bool) {
        *self
            .is_paused
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = is_paused;
        self.changed.notify_all();
    }

    /// Takes the largest ratios as the only ones at the next step.
    pub fn harden(&self) {
        self.harden.store(true, Relaxed);
    }

    fn wait_while_paused<T>(&self, out: &Out<T>, fraction: f32) -> Result<()> {
        let mut paused = self
            .is_paused
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while *paused {
            out.progress(fraction, "Paused")?;
            let waited = self.changed.wait_timeout(paused, PAUSE_POLL);
            paused = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }
}

/// Trains and tells; ends early when cancelled. The samples carry everything there is to draw; `finished` gets the run
/// itself at the end, to save its weights.
///
/// # Errors
/// What a run says.
pub fn watch<T>(
    config: LabConfig,
    control: &Control,
    out: &Out<T>,
    mut tell: impl FnMut(Sample) -> Result<()>,
) -> Result<Run> {
    out.progress(0.0, "Reading digits")?;
    config.check()?;
    let (train, held_out) = Digits::load(config.set)?;
    let mut run = Run::new(
        config,
        (Arc::new(train), Arc::new(held_out)),
        Ranks::alone(),
    )?;
    let (_, steps) = run.progress();
    let every = (steps / SAMPLES).max(1);
    let (mut told, mut last) = (0, Instant::now());
    loop {
        let (step, _) = run.progress();
        let fraction = step as f32 / steps as f32;
        control.wait_while_paused(out, fraction)?;
        if control.harden.swap(false, Relaxed) {
            run.harden()?;
        }
        run.step()?;
        let (step, _) = run.progress();
        if step >= steps {
            break;
        }
        if step.is_multiple_of(every) {
            let looks = told % SAMPLES_PER_LOOK == SAMPLES_PER_LOOK - 1;
            let accuracy = if looks {
                Some(run.accuracy(LOOK_DIGITS)?)
            } else {
                None
            };
            told += 1;
            tell(run.sample(accuracy)?)?;
        }
        if last.elapsed() > PAUSE_POLL {
            last = Instant::now();
            out.progress(fraction, format!("Step {step} of {steps}"))?;
        }
    }
    out.progress(1.0, "Looking at all held-out digits")?;
    let accuracy = run.accuracy(usize::MAX)?;
    tell(run.sample(Some(accuracy))?)?;
    Ok(run)
}

/// Weights and buffers by name.
pub type Weights = Arc<BTreeMap<String, Tensor>>;

/// A run to write out.
pub struct Record {
    /// What the user calls it.
    pub name: String,
    pub config: LabConfig,
    pub samples: Vec<Sample>,
    /// Weights, of a run that has ended.
    pub weights: Option<Weights>,
}

/// Loss against step.
pub fn losses(samples: &[Sample]) -> Vec<(f64, f64)> {
    samples.iter().map(|s| (s.step as f64, s.loss)).collect()
}

/// Accuracy in percent against step, where it was measured.
pub fn accuracies(samples: &[Sample]) -> Vec<(f64, f64)> {
    let found = samples.iter();
    found
        .filter_map(|s| Some((s.step as f64, 100.0 * s.accuracy?)))
        .collect()
}

/// Writes curves of all runs as CSV and PNG, and settings, ratios and weights of each, into a folder.
///
/// # Errors
/// If there is nothing to write or a file cannot be written.
pub fn export(folder: &Path, records: &[Record]) -> Result<()> {
    ensure!(
        records.iter().any(|r| !r.samples.is_empty()),
        "There is nothing to export yet: start a run"
    );
    std::fs::create_dir_all(folder)
        .with_context(|| format!("Failed to create the folder {}", folder.display()))?;
    let mut curves = Table::new("Curves", ["run", "step", "loss", "accuracy"]);
    for record in records {
        let mut ratios = Table::new("Ratios", ["step", "layer", "set", "ratios", "decided"]);
        for sample in &record.samples {
            let accuracy = sample.accuracy.map_or(String::new(), |a| format!("{a:.4}"));
            let step = sample.step.to_string();
            curves.push([
                record.name.clone(),
                step,
                format!("{:.5}", sample.loss),
                accuracy,
            ]);
            sample.push_ratios(&mut ratios);
        }
        let file = |rest: &str| folder.join(format!("{}-{rest}", file_name(&record.name)));
        if !ratios.rows.is_empty() {
            ratios.write_csv(&file("ratios.csv"))?;
        }
        let config =
            serde_json::to_string_pretty(&record.config).context("Failed to write JSON")?;
        write(&file("config.json"), config.as_bytes())?;
        if let Some(weights) = &record.weights {
            let notes = [("norm".to_string(), record.config.norm.to_string())].into();
            crate::weights::save(&file("weights.safetensors"), weights, &notes, DType::F32)?;
        }
    }
    curves.write_csv(&folder.join("curves.csv"))?;
    type Points = fn(&[Sample]) -> Vec<(f64, f64)>;
    let plots: [(&str, &str, &str, Points); 2] = [
        ("loss.png", "Training loss", "loss", losses),
        (
            "accuracy.png",
            "Accuracy on held-out digits",
            "%",
            accuracies,
        ),
    ];
    for (name, title, y, points) in plots {
        let series = records
            .iter()
            .map(|r| Series::line(r.name.clone(), points(&r.samples)));
        let series: Vec<Series> = series.filter(|s| !s.points.is_empty()).collect();
        if series.is_empty() {
            continue;
        }
        let axes = Axes {
            title,
            x: "step",
            y,
            is_log: false,
            y_max: None,
        };
        plot(&folder.join(name), axes, &series)?;
    }
    Ok(())
}

/// Letters, digits and dashes of a name.
fn file_name(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    name.chars().map(allowed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Slot, Update};
    use crate::lab::dataset::Difficulty;
    use crate::nn::norms::NormKind;

    fn config() -> LabConfig {
        LabConfig {
            norm: NormKind::Switch,
            batch: 4,
            width: 4,
            digits: 160,
            set: Difficulty::Plain,
            ..LabConfig::default()
        }
    }

    #[test]
    fn a_watched_run_hardens_when_asked_and_exports() {
        let control = Control::default();
        control.harden();
        let mut samples = Vec::new();
        let run = watch(config(), &control, &Out::<()>::silent(), |s| {
            samples.push(s);
            Ok(())
        })
        .unwrap();
        assert_eq!(samples.len(), 40);
        assert!(samples[0].ratios.iter().all(|r| r.decision[0].is_some()));
        let folder = tempfile::tempdir().unwrap();
        let record = Record {
            name: "SN, batch 4".to_string(),
            config: config(),
            samples,
            weights: Some(Arc::new(run.tensors())),
        };
        export(folder.path(), &[record]).unwrap();
        let csv = std::fs::read_to_string(folder.path().join("curves.csv")).unwrap();
        assert_eq!(csv.lines().count(), 41);
        for file in [
            "loss.png",
            "accuracy.png",
            "SN--batch-4-ratios.csv",
            "SN--batch-4-weights.safetensors",
        ] {
            assert!(folder.path().join(file).exists(), "{file}");
        }
        assert!(export(folder.path(), &[]).is_err());
    }

    #[test]
    fn a_paused_run_stands_still_and_can_be_cancelled() {
        let control = Arc::new(Control::default());
        control.pause(true);
        let shared = Arc::clone(&control);
        let mut slot = Slot::new("run", |_| {});
        slot.start(move |out| watch(config(), &shared, out, |s| Ok(out.value(s.step)?)).map(drop));
        let mut paused = false;
        for _ in 0..2000 {
            for update in slot.poll() {
                match update {
                    Update::Progress(_, note) => paused |= note == "Paused",
                    Update::Value(step) => panic!("step {step} while paused"),
                    Update::Ended(result) => panic!("{result:?}"),
                }
            }
            if paused {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(paused);
        control.pause(false);
        let mut steps = 0;
        for _ in 0..4000 {
            steps += slot
                .poll()
                .iter()
                .filter(|u| matches!(u, Update::Value(_)))
                .count();
            if !slot.is_busy() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(steps, 40);
    }
}
