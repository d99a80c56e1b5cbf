//! A run that is watched while it trains: it can be paused, hardened and read out at any step.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::checkpoint::Checkpoint;
use super::dataset::Digits;
use super::plot::{Axes, Series, plot};
use super::run::{LabConfig, Run, Sample};
use super::table::Table;
use crate::job::Out;
use crate::training::Ranks;

/// What a watcher may ask of a run; shared between both.
#[derive(Default)]
pub struct Control {
    is_paused: Mutex<bool>,
    changed: Condvar,
    harden: AtomicBool,
    stop: AtomicBool,
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

    /// Ends the run before its next step; it tells what it can go on from.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
        self.pause(false);
    }

    fn is_paused(&self) -> bool {
        *self
            .is_paused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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

/// Where a run starts.
pub enum Start {
    /// With fresh weights.
    Fresh,
    /// From where it stood; if it was at its end, with a quarter of its steps more at a tenth of the rate.
    From(Arc<Checkpoint>),
}

/// What a run tells while it trains.
pub enum News {
    Sample(Sample),
    /// What it can go on from: at each look, when it is paused, and when it ends.
    Checkpoint(Arc<Checkpoint>),
}

/// Share of the steps that a finished run gets more when it goes on, and the factor of its rate.
const MORE: (f64, f64) = (0.25, 0.1);

/// Trains and tells; ends early when stopped or cancelled. The samples carry everything there is to draw.
///
/// # Errors
/// What a run says.
pub fn watch<T>(
    config: LabConfig,
    start: &Start,
    control: &Control,
    out: &Out<T>,
    mut tell: impl FnMut(News) -> Result<()>,
) -> Result<Run> {
    out.progress(0.0, "Reading digits")?;
    config.check()?;
    let (train, held_out) = Digits::load(config.set)?;
    let sets = (Arc::new(train), Arc::new(held_out));
    let mut run = match start {
        Start::Fresh => Run::new(config, sets, Ranks::alone())?,
        Start::From(checkpoint) => {
            Run::resume(config, sets, Ranks::alone(), checkpoint, |share| {
                Ok(out.progress(share, "Finding the place")?)
            })?
        }
    };
    if let (step, steps) = run.progress()
        && step >= steps
    {
        run.extend(((MORE.0 * steps as f64) as usize).max(1), MORE.1);
    }
    let (_, steps) = run.progress();
    let every = (run.config().steps(1) / SAMPLES).max(1);
    let mut last = Instant::now();
    loop {
        let (step, _) = run.progress();
        let fraction = step as f32 / steps as f32;
        if control.is_paused() {
            tell(News::Checkpoint(Arc::new(run.checkpoint()?)))?;
            control.wait_while_paused(out, fraction)?;
        }
        if control.stop.load(Relaxed) {
            tell(News::Checkpoint(Arc::new(run.checkpoint()?)))?;
            return Ok(run);
        }
        if control.harden.swap(false, Relaxed) {
            run.harden()?;
        }
        run.step()?;
        let (step, _) = run.progress();
        if step >= steps {
            break;
        }
        if step.is_multiple_of(every) {
            let looks = (step / every).is_multiple_of(SAMPLES_PER_LOOK);
            let accuracy = if looks {
                Some(run.accuracy(LOOK_DIGITS)?)
            } else {
                None
            };
            tell(News::Sample(run.sample(accuracy)?))?;
            if looks {
                tell(News::Checkpoint(Arc::new(run.checkpoint()?)))?;
            }
        }
        if last.elapsed() > PAUSE_POLL {
            last = Instant::now();
            out.progress(fraction, format!("Step {step} of {steps}"))?;
        }
    }
    out.progress(1.0, "Looking at all held-out digits")?;
    let accuracy = run.accuracy(usize::MAX)?;
    tell(News::Sample(run.sample(Some(accuracy))?))?;
    tell(News::Checkpoint(Arc::new(run.checkpoint()?)))?;
    Ok(run)
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

/// Writes curves of all runs as CSV and PNG into a folder.
///
/// # Errors
/// If there is nothing to write or a file cannot be written.
pub fn export(folder: &Path, runs: &[(String, Vec<Sample>)]) -> Result<()> {
    ensure!(
        runs.iter().any(|(_, samples)| !samples.is_empty()),
        "There is nothing to export yet: start a run"
    );
    std::fs::create_dir_all(folder)
        .with_context(|| format!("Failed to create the folder {}", folder.display()))?;
    let mut curves = Table::new("Curves", ["run", "step", "loss", "accuracy"]);
    for (name, samples) in runs {
        for sample in samples {
            let accuracy = sample.accuracy.map_or(String::new(), |a| format!("{a:.4}"));
            let numbers = [sample.step.to_string(), format!("{:.5}", sample.loss)];
            let row = std::iter::once(name.clone()).chain(numbers);
            curves.push(row.chain([accuracy]));
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
        let series = runs
            .iter()
            .map(|(name, samples)| Series::line(name.clone(), points(samples)));
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
    fn a_watched_run_hardens_when_asked_and_its_curves_are_exported() {
        let control = Control::default();
        control.harden();
        let (mut samples, mut last) = (Vec::new(), None);
        watch(
            config(),
            &Start::Fresh,
            &control,
            &Out::<()>::silent(),
            |news| {
                match news {
                    News::Sample(sample) => samples.push(sample),
                    News::Checkpoint(checkpoint) => last = Some(checkpoint),
                }
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(samples.len(), 40);
        assert!(samples[0].ratios.iter().all(|r| r.decision[0].is_some()));
        let folder = tempfile::tempdir().unwrap();
        export(folder.path(), &[("SN, batch 4".to_string(), samples)]).unwrap();
        let csv = std::fs::read_to_string(folder.path().join("curves.csv")).unwrap();
        assert_eq!(csv.lines().count(), 41);
        assert!(folder.path().join("loss.png").exists());
        assert!(export(folder.path(), &[]).is_err());

        // A finished run goes on with a quarter more.
        let start = Start::From(last.unwrap());
        let mut steps = Vec::new();
        let control = Control::default();
        watch(config(), &start, &control, &Out::<()>::silent(), |news| {
            if let News::Sample(sample) = news {
                assert!(sample.ratios.iter().all(|r| r.decision[0].is_some()));
                steps.push(sample.step);
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(steps, (41..=50).collect::<Vec<_>>());
    }

    #[test]
    fn a_stopped_run_goes_on_to_the_same_end() {
        let end_of = |start: &Start, stop_at: Option<usize>| {
            let (control, mut last) = (Control::default(), None);
            let run = watch(config(), start, &control, &Out::<()>::silent(), |news| {
                match news {
                    News::Sample(s) if Some(s.step) == stop_at => control.stop(),
                    News::Sample(_) => {}
                    News::Checkpoint(checkpoint) => last = Some(checkpoint),
                }
                Ok(())
            });
            (run.unwrap().accuracy(200).unwrap(), last.unwrap())
        };
        let (accuracy, whole) = end_of(&Start::Fresh, None);
        let (_, half) = end_of(&Start::Fresh, Some(17));
        assert_eq!((half.standing.step, half.standing.steps), (17, 40));
        let (again, end) = end_of(&Start::From(half), None);
        assert_eq!((accuracy, &whole.standing), (again, &end.standing));
    }

    #[test]
    fn a_paused_run_stands_still_and_can_be_cancelled() {
        let control = Arc::new(Control::default());
        control.pause(true);
        let shared = Arc::clone(&control);
        let mut slot = Slot::new("run", |_| {});
        slot.start(move |out| {
            watch(config(), &Start::Fresh, &shared, out, |news| match news {
                News::Sample(sample) => Ok(out.value(sample.step)?),
                News::Checkpoint(_) => Ok(()),
            })
            .map(drop)
        });
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
