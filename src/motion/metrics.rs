//! How good predicted futures are.
//!
//! ADE and FDE, the mean and last displacement error, of the best of K samples: per person, the convention since 2020,
//! each of the two at its own best sample; and per joint scene as Social GAN's code does: errors of all people of a
//! moment are summed for each sample and the best sum counts. TCC, the temporal correlation coefficient that DSCMP
//! introduces, is here Pearson's correlation over time of the best sample by ADE, mean of both axes; an axis on which
//! the truth does not move (variance below 1e-6 m²) has none. KDE negative log-likelihood as in [`super::kde`].

use serde::Serialize;

use super::kde::log_likelihood;
use super::scene::Scene;
use super::{Future, Futures, PRED_LEN, Point, distance};

/// Variance below which an axis stands still, in m².
const STILL: f64 = 1e-6;

/// Mean displacement of one sample.
pub fn ade(sample: &Future, truth: &Future) -> f64 {
    let sum: f64 = sample
        .iter()
        .zip(truth)
        .map(|(&a, &b)| distance(a, b))
        .sum();
    sum / PRED_LEN as f64
}

/// Displacement of one sample at the last step.
pub fn fde(sample: &Future, truth: &Future) -> f64 {
    distance(sample[PRED_LEN - 1], truth[PRED_LEN - 1])
}

/// Lowest ADE and lowest FDE of the samples, each on its own; infinite when there are none.
pub fn best_of(samples: &[Future], truth: &Future) -> (f64, f64) {
    let each = samples.iter().map(|s| (ade(s, truth), fde(s, truth)));
    each.fold((f64::INFINITY, f64::INFINITY), |(a, f), (b, g)| {
        (a.min(b), f.min(g))
    })
}

/// Pearson's correlation over time of prediction and truth, mean over the axes on which the truth moves.
pub fn tcc(sample: &Future, truth: &Future) -> Option<f64> {
    let mut found = Vec::new();
    for axis in 0..2 {
        let column = |f: &Future| f.map(|p| p[axis]);
        let (a, b) = (column(sample), column(truth));
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let (ma, mb) = (mean(&a), mean(&b));
        let covariance = |u: &[f64], mu: f64, v: &[f64], mv: f64| {
            u.iter()
                .zip(v)
                .map(|(x, y)| (x - mu) * (y - mv))
                .sum::<f64>()
                / u.len() as f64
        };
        let (vb, va) = (covariance(&b, mb, &b, mb), covariance(&a, ma, &a, ma));
        if vb >= STILL {
            // A prediction that stands still has no correlation with one that moves.
            found.push(if va > 0.0 {
                covariance(&a, ma, &b, mb) / (va * vb).sqrt()
            } else {
                0.0
            });
        }
    }
    (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
}

/// Means over all people that were scored. Distances in the unit of the tracks.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Scores {
    pub people: usize,
    pub ade: f64,
    pub fde: f64,
    pub joint_ade: f64,
    pub joint_fde: f64,
    pub tcc: Option<f64>,
    /// None for a single sample, which has no spread.
    pub kde_nll: Option<f64>,
    /// Share of predicted points where the mask says that nobody walks; points outside of it do not count.
    pub off_walkable: Option<f64>,
}

/// Adds up scores, one moment at a time.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    people: usize,
    best: [f64; 2],
    joint: [f64; 2],
    tcc: (f64, usize),
    likelihood: (f64, usize),
    off: (usize, usize),
}

impl Tally {
    /// Adds the people of one moment: what was predicted, and what they did. All have the same number of samples.
    pub fn add(&mut self, people: &[(&Futures, &Future)], scene: Option<&Scene>) {
        let Some(count) = people.iter().map(|(f, _)| f.samples.len()).min() else {
            return;
        };
        self.people += people.len();
        let (mut ades, mut fdes) = (vec![0.0; count], vec![0.0; count]);
        for (futures, truth) in people {
            let (a, f) = best_of(&futures.samples, truth);
            self.best[0] += a;
            self.best[1] += f;
            for (k, sample) in futures.samples.iter().take(count).enumerate() {
                ades[k] += ade(sample, truth);
                fdes[k] += fde(sample, truth);
            }
            let nearest = futures
                .samples
                .iter()
                .min_by(|s, t| ade(s, truth).total_cmp(&ade(t, truth)));
            if let Some(value) = nearest.and_then(|sample| tcc(sample, truth)) {
                self.tcc.0 += value;
                self.tcc.1 += 1;
            }
            if count > 1 {
                for (step, &at) in truth.iter().enumerate() {
                    let points: Vec<(Point, f32)> = futures
                        .samples
                        .iter()
                        .map(|s| s[step])
                        .zip(futures.weights.iter().copied())
                        .collect();
                    self.likelihood.0 += log_likelihood(&points, at);
                    self.likelihood.1 += 1;
                }
            }
            if let Some(scene) = scene {
                for on in futures
                    .samples
                    .iter()
                    .flatten()
                    .filter_map(|&p| scene.is_walkable(p))
                {
                    self.off.0 += usize::from(!on);
                    self.off.1 += 1;
                }
            }
        }
        let lowest = |sums: Vec<f64>| sums.into_iter().fold(f64::INFINITY, f64::min);
        self.joint[0] += lowest(ades);
        self.joint[1] += lowest(fdes);
    }

    /// The means so far.
    pub fn scores(&self) -> Scores {
        let people = self.people.max(1) as f64;
        let mean = |(sum, count): (f64, usize)| (count > 0).then(|| sum / count as f64);
        Scores {
            people: self.people,
            ade: self.best[0] / people,
            fde: self.best[1] / people,
            joint_ade: self.joint[0] / people,
            joint_fde: self.joint[1] / people,
            tcc: mean(self.tcc),
            kde_nll: mean(self.likelihood).map(|v| -v),
            off_walkable: mean((self.off.0 as f64, self.off.1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(start: Point, step: Point) -> Future {
        std::array::from_fn(|k| {
            let t = (k + 1) as f64;
            [start[0] + t * step[0], start[1] + t * step[1]]
        })
    }

    fn futures(samples: Vec<Future>) -> Futures {
        let weights = vec![1.0 / samples.len() as f32; samples.len()];
        Futures { samples, weights }
    }

    #[test]
    fn displacement_errors_of_a_line_that_is_too_fast() {
        let (truth, fast) = (line([0.0; 2], [1.0, 0.0]), line([0.0; 2], [1.1, 0.0]));
        // Errors 0.1, 0.2, … 1.2: mean 0.65, last 1.2.
        assert!((ade(&fast, &truth) - 0.65).abs() < 1e-12);
        assert!((fde(&fast, &truth) - 1.2).abs() < 1e-12);
    }

    #[test]
    fn ade_and_fde_may_come_from_two_samples() {
        let truth = line([0.0; 2], [1.0, 0.0]);
        let mut late = truth.map(|p| [p[0], p[1] + 2.0]);
        late[PRED_LEN - 1] = truth[PRED_LEN - 1];
        let near = truth.map(|p| [p[0], p[1] + 0.5]);
        assert_eq!(best_of(&[late, near], &truth), (0.5, 0.0));
    }

    #[test]
    fn a_joint_sample_is_the_same_one_for_all() {
        let (truth, off) = (line([0.0; 2], [1.0, 0.0]), line([0.0, 1.0], [1.0, 0.0]));
        let (a, b) = (futures(vec![truth, off]), futures(vec![off, truth]));
        let mut tally = Tally::default();
        tally.add(&[(&a, &truth), (&b, &truth)], None);
        let scores = tally.scores();
        assert_eq!((scores.people, scores.ade, scores.fde), (2, 0.0, 0.0));
        assert!((scores.joint_ade - 0.5).abs() < 1e-12 && (scores.joint_fde - 0.5).abs() < 1e-12);
        assert_eq!(scores.off_walkable, None);
    }

    #[test]
    fn correlation_is_one_for_any_speed_and_minus_one_backwards() {
        let truth = line([3.0, 1.0], [1.0, 0.5]);
        assert!((tcc(&line([0.0; 2], [2.0, 0.1]), &truth).unwrap() - 1.0).abs() < 1e-9);
        assert!((tcc(&line([0.0; 2], [-1.0, 0.5]), &truth).unwrap()).abs() < 1e-9);
        assert_eq!(tcc(&truth, &[[1.0, 1.0]; PRED_LEN]), None);
        assert_eq!(tcc(&[[1.0, 1.0]; PRED_LEN], &truth), Some(0.0));
    }
}
