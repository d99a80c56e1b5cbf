//! How good networks are on the leave-one-out test files, beside constant velocity.
//!
//! Social GAN's people: those seen in 20 successive frames of a file in which somebody else is too. Every walker who is
//! seen for the eight observed steps is a neighbour, whether scored or not. Constant velocity goes on with the last
//! step. Its samples turn that step by a normal angle and stretch it by a normal factor: turns of 25° alone, as in
//! Schöller et al. 2020 ("What the constant velocity model can teach us"), leave it 0.342/0.723 m on the validation parts
//! of ETH/UCY; with [`ANGLE`] and [`SPEED`], chosen there, it is 0.264/0.508 m and a baseline worth beating.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use super::data::{FOLDS, Recording, TEST_PEOPLE, fold_part};
use super::dscmp::Dscmp;
use super::metrics::{Scores, Tally};
use super::moments::{Moment, is_scored};
use super::predict::{Care, predict};
use super::{Future, Futures, OBS_LEN, Past, SAMPLES};
use crate::job::Out;
use crate::training::{normal, rng_of_step};

/// Standard deviation of the sampled headings, in radians.
const ANGLE: f64 = 12.5 * std::f64::consts::PI / 180.0;
/// Standard deviation of the sampled speeds, as a part of the last step's.
const SPEED: f64 = 0.3;

/// One predictor on one fold.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub method: String,
    #[serde(flatten)]
    pub scores: Scores,
}

/// All predictors on one fold.
#[derive(Clone, Debug, Serialize)]
pub struct FoldReport {
    pub fold: String,
    pub people: usize,
    /// Whether as many people were scored as in the published tables.
    pub people_agree: bool,
    pub rows: Vec<Row>,
}

/// Every fold, and means over folds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub folds: Vec<FoldReport>,
    pub average: Vec<Row>,
}

/// Whose predictions count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// As in Social GAN's protocol, those who are not alone.
    Scored,
    /// Everyone, as is usual for drone tracks.
    Everyone,
}

/// Networks by name, for one fold.
pub type Networks = Vec<(String, Dscmp)>;

/// Scores constant velocity and all networks of each fold on its test files. `networks_of` loads them for a fold.
///
/// # Errors
/// Data that cannot be read, no such fold, a failure of a network.
pub fn evaluate(
    data: &Path,
    folds: &[String],
    care: Care,
    mut networks_of: impl FnMut(&str) -> Result<Networks>,
    out: &Out<()>,
) -> Result<Report> {
    ensure!(!folds.is_empty(), "There is no fold to evaluate");
    let mut reports = Vec::new();
    for (nth, fold) in folds.iter().enumerate() {
        let place = FOLDS.iter().position(|known| known == fold);
        let Some(place) = place else {
            anyhow::bail!("There is no fold {fold}; there are {}", FOLDS.join(", "));
        };
        let (networks, test) = (networks_of(fold)?, fold_part(data, fold, "test")?);
        let part = out.part(
            nth as f32 / folds.len() as f32,
            (nth + 1) as f32 / folds.len() as f32,
        );
        let rows = evaluate_recordings(&test, &networks, care, Who::Scored, fold, &part)?;
        let people = rows.first().map_or(0, |row| row.scores.people);
        reports.push(FoldReport {
            fold: fold.clone(),
            people,
            people_agree: people == TEST_PEOPLE[place],
            rows,
        });
    }
    let methods = reports.first().map_or(0, |report| report.rows.len());
    let average = (0..methods).map(|i| mean_of(reports.iter().filter_map(|r| r.rows.get(i))));
    Ok(Report {
        average: average.collect(),
        folds: reports,
    })
}

/// Scores on any recordings.
///
/// # Errors
/// Nobody to score, or a failure of a network.
pub fn evaluate_recordings(
    recordings: &[Recording],
    networks: &[(String, Dscmp)],
    care: Care,
    who: Who,
    label: &str,
    out: &Out<()>,
) -> Result<Vec<Row>> {
    let scored: Vec<(&Recording, &Moment)> = recordings
        .iter()
        .flat_map(|r| r.moments.iter().map(move |m| (r, m)))
        .filter(|(_, moment)| match who {
            Who::Scored => is_scored(moment),
            Who::Everyone => moment.complete().next().is_some(),
        })
        .collect();
    ensure!(
        !scored.is_empty(),
        "Nobody to score is seen for 20 steps in the files of {label}"
    );
    let mut tallies = vec![Tally::default(); 2 + networks.len()];
    for (nth, (recording, moment)) in scored.iter().enumerate() {
        if nth % 16 == 0 {
            out.progress(nth as f32 / scored.len() as f32, format!("Scoring {label}"))?;
        }
        let scene = recording.scene.as_deref();
        let pasts: Vec<Past> = moment.walkers.iter().map(|w| w.past).collect();
        let egos: Vec<usize> = moment.complete().map(|(i, ..)| i).collect();
        let truths: Vec<&Future> = moment.complete().map(|(_, _, f)| f).collect();
        let rng = &mut rng_of_step(1, nth);
        let mut answers: Vec<Vec<Futures>> = vec![
            egos.iter()
                .map(|&i| going_on(&pasts[i], &[(0.0, 1.0)]))
                .collect(),
            egos.iter()
                .map(|&i| {
                    let changes = std::iter::repeat_with(|| {
                        (ANGLE * normal(rng), SPEED.mul_add(normal(rng), 1.0))
                    });
                    let changes: Vec<_> = changes.take(SAMPLES).collect();
                    going_on(&pasts[i], &changes)
                })
                .collect(),
        ];
        for (_, network) in networks {
            answers.push(predict(
                network,
                &pasts,
                &egos,
                scene,
                care,
                &Out::silent(),
            )?);
        }
        for (tally, futures) in tallies.iter_mut().zip(&answers) {
            let people: Vec<(&Futures, &Future)> =
                futures.iter().zip(truths.iter().copied()).collect();
            tally.add(&people, scene);
        }
    }
    let names = ["constant velocity", "20 constant velocities"].map(String::from);
    let names = names
        .into_iter()
        .chain(networks.iter().map(|n| n.0.clone()));
    Ok(names
        .zip(tallies)
        .map(|(method, tally)| Row {
            method,
            scores: tally.scores(),
        })
        .collect())
}

/// Scores on held-out drone videos: each video, and the mean over people.
#[derive(Clone, Debug, Serialize)]
pub struct DroneReport {
    pub videos: Vec<String>,
    /// In metres.
    pub metres: Vec<Row>,
    /// Method, ADE and FDE in pixels of the videos.
    pub pixels: Vec<(String, f64, f64)>,
}

/// Scores everyone in drone videos whose tracks are in metres; `ratios` are the metres of a pixel of each video.
///
/// # Errors
/// As [`evaluate_recordings`], or a video without ratio.
pub fn evaluate_drone(
    recordings: &[Recording],
    ratios: &BTreeMap<String, f64>,
    networks: &[(String, Dscmp)],
    care: Care,
    out: &Out<()>,
) -> Result<DroneReport> {
    let mut videos: Vec<(f64, Vec<Row>)> = Vec::new();
    for (nth, recording) in recordings.iter().enumerate() {
        let name = &recording.name;
        let ratio = *ratios
            .get(name)
            .with_context(|| format!("There are no metres of a pixel for the video {name}"))?;
        let part = out.part(
            nth as f32 / recordings.len() as f32,
            (nth + 1) as f32 / recordings.len() as f32,
        );
        let one = std::slice::from_ref(recording);
        let rows = evaluate_recordings(one, networks, care, Who::Everyone, name, &part)?;
        videos.push((ratio, rows));
    }
    // Means over people, not over videos.
    let mean = |i: usize, of: &dyn Fn(f64, &Scores) -> f64| -> f64 {
        let weighted = |(ratio, rows): &(f64, Vec<Row>)| {
            let s = &rows[i].scores;
            (of(*ratio, s) * s.people as f64, s.people as f64)
        };
        let sums = videos
            .iter()
            .map(weighted)
            .fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
        sums.0 / f64::max(sums.1, 1.0)
    };
    let names: Vec<String> = videos.first().map_or(Vec::new(), |v| {
        v.1.iter().map(|r| r.method.clone()).collect()
    });
    let (mut metres, mut pixels) = (Vec::new(), Vec::new());
    for (i, method) in names.into_iter().enumerate() {
        let scores = Scores {
            people: videos.iter().map(|v| v.1[i].scores.people).sum(),
            ade: mean(i, &|_, s| s.ade),
            fde: mean(i, &|_, s| s.fde),
            joint_ade: mean(i, &|_, s| s.joint_ade),
            joint_fde: mean(i, &|_, s| s.joint_fde),
            tcc: Some(mean(i, &|_, s| s.tcc.unwrap_or(0.0))),
            kde_nll: videos
                .iter()
                .all(|v| v.1[i].scores.kde_nll.is_some())
                .then(|| mean(i, &|_, s| s.kde_nll.unwrap_or(0.0))),
            off_walkable: None,
        };
        let by_pixel = (mean(i, &|r, s| s.ade / r), mean(i, &|r, s| s.fde / r));
        pixels.push((method.clone(), by_pixel.0, by_pixel.1));
        metres.push(Row { method, scores });
    }
    Ok(DroneReport {
        videos: recordings.iter().map(|r| r.name.clone()).collect(),
        metres,
        pixels,
    })
}

impl fmt::Display for DroneReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let people = self.metres.first().map_or(0, |row| row.scores.people);
        writeln!(f, "{people} people of {}", self.videos.join(", "))?;
        write_rows(f, &self.metres)?;
        for (method, ade, fde) in &self.pixels {
            writeln!(
                f,
                "  {method:<24} {:>15} pixels",
                format!("{ade:.2}/{fde:.2}")
            )?;
        }
        Ok(())
    }
}

/// Going on with the last step, turned by each angle and stretched by the factor beside it.
fn going_on(past: &Past, changes: &[(f64, f64)]) -> Futures {
    let (last, before) = (past[OBS_LEN - 1], past[OBS_LEN - 2]);
    let (vx, vy) = (last[0] - before[0], last[1] - before[1]);
    let samples = changes.iter().map(|(angle, factor)| {
        let (s, c) = (factor * angle.sin(), factor * angle.cos());
        let step = [c * vx - s * vy, s * vx + c * vy];
        std::array::from_fn(|k| [0, 1].map(|a| last[a] + (k + 1) as f64 * step[a]))
    });
    Futures {
        samples: samples.collect(),
        weights: vec![1.0 / changes.len().max(1) as f32; changes.len()],
    }
}

/// Means over rows; people are added up. A measure that one row has not is left out for all.
pub fn mean_of<'a>(rows: impl Iterator<Item = &'a Row> + Clone) -> Row {
    let count = rows.clone().count().max(1) as f64;
    let mean = |of: fn(&Scores) -> f64| rows.clone().map(|r| of(&r.scores)).sum::<f64>() / count;
    let some = |of: fn(&Scores) -> Option<f64>| -> Option<f64> {
        let values: Option<Vec<f64>> = rows.clone().map(|r| of(&r.scores)).collect();
        Some(values?.iter().sum::<f64>() / count)
    };
    Row {
        method: rows
            .clone()
            .next()
            .map_or(String::new(), |r| r.method.clone()),
        scores: Scores {
            people: rows.clone().map(|r| r.scores.people).sum(),
            ade: mean(|s| s.ade),
            fde: mean(|s| s.fde),
            joint_ade: mean(|s| s.joint_ade),
            joint_fde: mean(|s| s.joint_fde),
            tcc: some(|s| s.tcc),
            kde_nll: some(|s| s.kde_nll),
            off_walkable: some(|s| s.off_walkable),
        },
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for report in &self.folds {
            let agree = match report.people_agree {
                true => "as in the published tables",
                false => "NOT as many as in the published tables",
            };
            writeln!(f, "{}: {} people, {agree}", report.fold, report.people)?;
            write_rows(f, &report.rows)?;
        }
        writeln!(f, "average of {} folds", self.folds.len())?;
        write_rows(f, &self.average)
    }
}

fn write_rows(f: &mut fmt::Formatter<'_>, rows: &[Row]) -> fmt::Result {
    writeln!(
        f,
        "  {:<24} {:>15} {:>15} {:>7} {:>8} {:>7}",
        "", "person ADE/FDE", "joint ADE/FDE", "TCC", "KDE NLL", "off"
    )?;
    for Row { method, scores: s } in rows {
        let or_dash = |v: Option<f64>| v.map_or("-".to_string(), |v| format!("{v:.3}"));
        let off = s
            .off_walkable
            .map_or("-".to_string(), |v| format!("{:.1} %", 100.0 * v));
        writeln!(
            f,
            "  {method:<24} {:>15} {:>15} {:>7} {:>8} {off:>7}",
            format!("{:.3}/{:.3}", s.ade, s.fde),
            format!("{:.3}/{:.3}", s.joint_ade, s.joint_fde),
            or_dash(s.tcc),
            or_dash(s.kde_nll),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::moments::{Steps, moments};
    use super::super::tracks;
    use super::*;

    #[test]
    fn constant_velocity_is_exact_for_those_who_go_on() {
        let line = |s: i64| {
            format!(
                "{s} 1 {} 0\n{s} 2 0 {}\n{s} 3 5 5\n",
                0.4 * s as f64,
                0.3 * s as f64
            )
        };
        let text: String = (0..20).map(line).collect();
        let recording = Recording {
            name: "two".to_string(),
            moments: moments(&tracks::parse(&text).unwrap(), Steps::Listed),
            scene: None,
        };
        let ask = |who| {
            let one = std::slice::from_ref(&recording);
            evaluate_recordings(one, &[], Care::Full, who, "two", &Out::silent()).unwrap()
        };
        let rows = ask(Who::Scored);
        assert_eq!(ask(Who::Everyone)[0].scores.people, 3);
        let one = &rows[0].scores;
        assert_eq!(one.people, 3);
        assert!(one.ade < 1e-9 && one.joint_fde < 1e-9);
        assert!((one.tcc.unwrap() - 1.0).abs() < 1e-9);
        assert!(one.kde_nll.is_none() && one.off_walkable.is_none());
        let many = &rows[1].scores;
        // Twenty headings: the best is near, the same one for all is farther.
        assert!(many.ade > 0.0 && many.ade < 0.5 && many.joint_ade > many.ade);
        assert!(many.kde_nll.unwrap().is_finite());
    }

    #[test]
    fn means_leave_out_what_one_row_has_not() {
        let row = |ade: f64, off: Option<f64>| Row {
            method: "m".to_string(),
            scores: Scores {
                people: 2,
                ade,
                off_walkable: off,
                tcc: Some(ade),
                ..Scores::default()
            },
        };
        let mean = mean_of([row(1.0, None), row(3.0, Some(0.5))].iter());
        assert_eq!((mean.scores.people, mean.scores.ade), (4, 2.0));
        assert_eq!(
            (mean.scores.tcc, mean.scores.off_walkable),
            (Some(2.0), None)
        );
    }
}
