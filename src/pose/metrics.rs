//! How good found poses are: object keypoint similarity (OKS), average precision and recall.
//!
//! The rules of COCO's keypoint evaluation (pycocotools `cocoeval.py`) and of its extension to whole bodies
//! (xtcocotools 1.14): at most 20 people a photo, similarity by the labelled keypoints of the part, people without a
//! labelled one and crowds ignored, 101-point interpolated precision, mean over the thresholds 0.50, 0.55 … 0.95.
//! `scripts/check_oks` compares with both programs. Left out: evaluation by size of person.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::keypoints::{KEYPOINTS, Part, SIGMAS};

/// People of one photo that count, best first.
const MAX_FOUND: usize = 20;
/// OKS thresholds.
const THRESHOLDS: usize = 10;
/// Recalls at which precision is read.
const RECALLS: usize = 101;

/// A labelled person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// x, y, visibility (0 = not labelled) in photo pixels: 133 of them; what has no label is zero.
    pub keypoints: Vec<[f64; 3]>,
    /// Area of the person in pixels: the scale of errors.
    pub area: f64,
    /// Left, top, width, height.
    pub bbox: [f64; 4],
    /// A group of people under one label: found people in it are neither right nor wrong.
    pub crowd: bool,
}

/// A person found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// x, y, score in photo pixels: 133 of them; what was not looked for is zero.
    pub keypoints: Vec<[f64; 3]>,
    /// Orders the people of all photos.
    pub score: f64,
    /// The same for each of [`Part::ALL`] by itself; `score` where there is none.
    pub part_scores: [Option<f64>; 5],
    /// The same for the whole body.
    pub whole_score: Option<f64>,
}

/// The people of one photo.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scene {
    pub truth: Vec<Truth>,
    pub found: Vec<Found>,
}

/// Which keypoints are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    Part(Part),
    Whole,
}

impl Measure {
    pub const ALL: [Self; 6] = [
        Self::Part(Part::Body),
        Self::Part(Part::Foot),
        Self::Part(Part::Face),
        Self::Part(Part::LeftHand),
        Self::Part(Part::RightHand),
        Self::Whole,
    ];

    /// In plain words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Part(part) => part.name(),
            Self::Whole => "whole",
        }
    }

    fn range(self) -> Range<usize> {
        match self {
            Self::Part(part) => part.range(),
            Self::Whole => 0..KEYPOINTS,
        }
    }

    fn score(self, found: &Found) -> f64 {
        match self {
            Self::Part(part) => found.part_scores.get(part as usize).copied().flatten(),
            Self::Whole => found.whole_score,
        }
        .unwrap_or(found.score)
    }
}

/// Precision and recall, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// Mean over the thresholds 0.50 … 0.95.
    pub ap: f64,
    /// At 0.50.
    pub ap50: f64,
    /// At 0.75.
    pub ap75: f64,
    /// Share of the labelled people that are found, mean over the thresholds.
    pub ar: f64,
    /// Labelled people that count.
    pub people: usize,
}

/// Object keypoint similarity, 0 to 1. Of someone without a labelled keypoint it tells instead whether `found` lies
/// within the box enlarged by its size on each side, as COCO has it.
pub fn oks(found: &[[f64; 3]], truth: &Truth, measure: Measure) -> f64 {
    let range = measure.range();
    let (Some(found), Some(labels), Some(sigmas)) = (
        found.get(range.clone()),
        truth.keypoints.get(range.clone()),
        SIGMAS.get(range),
    ) else {
        return 0.0;
    };
    let has_labels = labels.iter().any(|[_, _, v]| *v > 0.0);
    let [left, top, width, height] = truth.bbox;
    let beyond =
        |v: f64, low: f64, size: f64| (low - size - v).max(0.0) + (v - low - 2.0 * size).max(0.0);
    let (mut sum, mut count) = (0.0, 0);
    for (([x, y, _], [tx, ty, v]), sigma) in found.iter().zip(labels).zip(sigmas) {
        let (dx, dy) = match (has_labels, *v > 0.0) {
            (true, true) => (x - tx, y - ty),
            (true, false) => continue,
            (false, _) => (beyond(*x, left, width), beyond(*y, top, height)),
        };
        let variance = (2.0 * sigma).powi(2);
        sum += (-(dx * dx + dy * dy) / variance / (truth.area + f64::EPSILON) / 2.0).exp();
        count += 1;
    }
    sum / f64::from(count.max(1))
}

/// A found person after matching: its score, and for each threshold whether it is right, wrong or ignored.
struct Judged {
    score: f64,
    verdicts: [Verdict; THRESHOLDS],
}

#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Right,
    Wrong,
    Ignored,
}

/// Average precision and recall over all photos; `None` when nobody has a labelled keypoint of this kind. Where
/// scores are equal the order of the scenes counts: pycocotools takes photos by rising id.
pub fn evaluate(scenes: &[Scene], measure: Measure) -> Option<Quality> {
    let mut judged = Vec::new();
    let mut people = 0;
    for scene in scenes {
        people += judge(scene, measure, &mut judged);
    }
    if people == 0 {
        return None;
    }
    judged.sort_by(|a, b| b.score.total_cmp(&a.score)); // stable, as numpy's mergesort
    let mut aps = [0.0; THRESHOLDS];
    let mut recalls = [0.0; THRESHOLDS];
    for (index, (ap, recall)) in aps.iter_mut().zip(&mut recalls).enumerate() {
        let verdicts = judged.iter().filter_map(|j| j.verdicts.get(index).copied());
        (*ap, *recall) = precision_and_recall(verdicts, people);
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    Some(Quality {
        ap: mean(&aps),
        ap50: aps[0],
        ap75: aps[5],
        ar: mean(&recalls),
        people,
    })
}

/// Matches the people of one photo; returns how many labelled ones count.
fn judge(scene: &Scene, measure: Measure, judged: &mut Vec<Judged>) -> usize {
    let range = measure.range();
    let is_seen = |keypoints: &[[f64; 3]]| {
        let part = keypoints.get(range.clone()).unwrap_or_default();
        part.iter().any(|[_, _, v]| *v > 0.0)
    };
    // Those that count first, the order of the file otherwise.
    let mut truth: Vec<(&Truth, bool)> = scene
        .truth
        .iter()
        .map(|t| (t, t.crowd || !is_seen(&t.keypoints)))
        .collect();
    truth.sort_by_key(|(_, ignored)| *ignored);
    let mut found: Vec<&Found> = scene
        .found
        .iter()
        .filter(|f| is_seen(&f.keypoints))
        .collect();
    found.sort_by(|a, b| measure.score(b).total_cmp(&measure.score(a)));
    found.truncate(MAX_FOUND);

    let similarity: Vec<Vec<f64>> = found
        .iter()
        .map(|f| {
            truth
                .iter()
                .map(|(t, _)| oks(&f.keypoints, t, measure))
                .collect()
        })
        .collect();
    let start = judged.len();
    judged.extend(found.iter().map(|f| Judged {
        score: measure.score(f),
        verdicts: [Verdict::Wrong; THRESHOLDS],
    }));
    for index in 0..THRESHOLDS {
        let mut taken = vec![false; truth.len()];
        for (row, judged) in similarity.iter().zip(judged.iter_mut().skip(start)) {
            let Some(best) = best_match(row, &truth, &taken, threshold(index)) else {
                continue;
            };
            let ignored = truth.get(best).is_some_and(|(_, ignored)| *ignored);
            if let Some(verdict) = judged.verdicts.get_mut(index) {
                *verdict = if ignored {
                    Verdict::Ignored
                } else {
                    Verdict::Right
                };
            }
            if let Some(slot) = taken.get_mut(best) {
                *slot = true;
            }
        }
    }
    truth.iter().filter(|(_, ignored)| !ignored).count()
}

/// The labelled person most similar to a found one. One that counts is taken before any that is ignored; a crowd may
/// be matched many times.
fn best_match(
    similarity: &[f64],
    truth: &[(&Truth, bool)],
    taken: &[bool],
    threshold: f64,
) -> Option<usize> {
    let mut least = threshold.min(1.0 - 1e-10);
    let mut best: Option<(usize, bool)> = None;
    for (index, ((&value, &(person, ignored)), &taken)) in
        similarity.iter().zip(truth).zip(taken).enumerate()
    {
        if taken && !person.crowd {
            continue;
        }
        if ignored && best.is_some_and(|(_, best_ignored)| !best_ignored) {
            break;
        }
        if value >= least {
            least = value;
            best = Some((index, ignored));
        }
    }
    best.map(|(index, _)| index)
}

/// As `numpy.linspace(0.5, 0.95, 10)`, to the last bit.
fn threshold(index: usize) -> f64 {
    let step = (0.95 - 0.5) / 9.0;
    if index == THRESHOLDS - 1 {
        0.95
    } else {
        0.5 + index as f64 * step
    }
}

/// Mean of the interpolated precision, and the last recall.
fn precision_and_recall(verdicts: impl Iterator<Item = Verdict>, people: usize) -> (f64, f64) {
    let (mut right, mut wrong) = (0.0, 0.0);
    let mut recall = Vec::new();
    let mut precision = Vec::new();
    for verdict in verdicts {
        match verdict {
            Verdict::Right => right += 1.0,
            Verdict::Wrong => wrong += 1.0,
            Verdict::Ignored => {}
        }
        recall.push(right / people as f64);
        precision.push(right / (right + wrong + f64::EPSILON));
    }
    // What more recall still reaches counts for less recall too.
    let mut best = 0.0f64;
    for value in precision.iter_mut().rev() {
        best = best.max(*value);
        *value = best;
    }
    let mut sum = 0.0;
    for index in 0..RECALLS {
        let wanted = if index == RECALLS - 1 {
            1.0
        } else {
            index as f64 * 0.01
        };
        let at = recall.partition_point(|&r| r < wanted);
        sum += precision.get(at).copied().unwrap_or(0.0);
    }
    (
        sum / RECALLS as f64,
        recall.last().copied().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: Measure = Measure::Part(Part::Body);

    fn truth(offset: f64, labelled: usize) -> Truth {
        let keypoint = |i: usize| match i < labelled {
            true => [offset + 3.0 * i as f64, 50.0, 2.0],
            false => [0.0; 3],
        };
        Truth {
            keypoints: (0..KEYPOINTS).map(keypoint).collect(),
            area: 1000.0,
            bbox: [offset, 0.0, 60.0, 100.0],
            crowd: false,
        }
    }

    fn found(truth: &Truth, shift: f64, score: f64) -> Found {
        let moved = |[x, y, _]: &[f64; 3]| [x + shift, *y, 0.5];
        Found {
            keypoints: truth.keypoints.iter().map(moved).collect(),
            score,
            part_scores: [None; 5],
            whole_score: None,
        }
    }

    #[test]
    fn similarity_falls_with_distance_over_the_labelled_keypoints() {
        let person = truth(0.0, 1); // the nose only, sigma 0.026
        assert!((oks(&found(&person, 0.0, 1.0).keypoints, &person, BODY) - 1.0).abs() < 1e-12);
        let shift = 2.0 * 0.026 * 1000f64.sqrt();
        let similarity = oks(&found(&person, shift, 1.0).keypoints, &person, BODY);
        assert!((similarity - (-0.5f64).exp()).abs() < 1e-9);
        let nobody = truth(100.0, 0);
        assert_eq!(oks(&[[130.0, 50.0, 1.0]; 133], &nobody, BODY), 1.0);
        assert!(oks(&[[900.0, 50.0, 1.0]; 133], &nobody, BODY) < 1e-6);
        assert_eq!(oks(&[], &nobody, BODY), 0.0);
    }

    #[test]
    fn one_right_before_one_wrong_is_full_precision_and_the_other_way_is_half() {
        let person = truth(0.0, 17);
        let far = |score| found(&person, 900.0, score);
        let scene = |found| Scene {
            truth: vec![person.clone()],
            found,
        };
        let good = evaluate(&[scene(vec![found(&person, 0.0, 0.9), far(0.1)])], BODY).unwrap();
        assert!((good.ap - 1.0).abs() < 1e-12 && good.ar == 1.0 && good.people == 1);
        let bad = evaluate(&[scene(vec![found(&person, 0.0, 0.1), far(0.9)])], BODY).unwrap();
        assert!((bad.ap - 0.5).abs() < 1e-9 && (bad.ap75 - 0.5).abs() < 1e-9 && bad.ar == 1.0);
        let none = evaluate(&[scene(vec![])], BODY).unwrap();
        assert_eq!((none.ap, none.ar), (0.0, 0.0));
    }

    #[test]
    fn crowds_and_unlabelled_people_excuse_what_is_found_in_them() {
        let person = truth(0.0, 17);
        let (nobody, mut crowd) = (truth(300.0, 0), truth(2000.0, 17));
        crowd.crowd = true;
        let in_crowd = found(&crowd, 0.0, 0.95);
        let mut in_nobody = found(&person, 0.0, 0.99);
        for keypoint in &mut in_nobody.keypoints {
            keypoint[0] += 300.0;
        }
        let scene = Scene {
            truth: vec![nobody, crowd, person.clone()],
            found: vec![
                in_nobody,
                in_crowd.clone(),
                in_crowd,
                found(&person, 0.0, 0.2),
            ],
        };
        let quality = evaluate(&[scene], BODY).unwrap();
        assert!((quality.ap - 1.0).abs() < 1e-9, "{quality:?}");
        assert_eq!(quality.people, 1);
    }

    #[test]
    fn parts_are_ranked_by_their_own_scores_and_absent_ones_left_out() {
        let person = truth(0.0, KEYPOINTS);
        let mut wrong = found(&person, 900.0, 0.9);
        wrong.part_scores[Part::Face as usize] = Some(0.1);
        for keypoint in &mut wrong.keypoints[Part::Foot.range()] {
            keypoint[2] = 0.0;
        }
        let scenes = [Scene {
            truth: vec![person.clone()],
            found: vec![wrong, found(&person, 0.0, 0.5)],
        }];
        let ap = |part| evaluate(&scenes, Measure::Part(part)).unwrap().ap;
        assert!((ap(Part::Face) - 1.0).abs() < 1e-9);
        assert!((ap(Part::Foot) - 1.0).abs() < 1e-9);
        assert!((ap(Part::LeftHand) - 0.5).abs() < 1e-9);
        assert!((evaluate(&scenes, Measure::Whole).unwrap().ap - 0.5).abs() < 1e-9);
        assert!(evaluate(&[], BODY).is_none());
    }
}
