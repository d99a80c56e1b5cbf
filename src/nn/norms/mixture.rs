//! Normalisation by a mixture of statistics, forward and backward in one custom operation: batch, population,
//! switchable, sparse and hard-ratio normalisation are all this.
//!
//! `y = act(γ·(x − Σₖ wₖ μₖ) / √(Σₖ w′ₖ σ²ₖ + ε) + β)` with k over instance, layer, batch and group statistics (Luo et
//! al. 2019, "Differentiable learning-to-normalize via switchable normalization", equations 2 to 5; the group is our
//! addition). All statistics come from the mean A and the variance B of each plane: with P the average over the planes
//! that a normaliser takes together, μ = P·A and σ² = P·B + P·(A − μ)². P is symmetric, so the backward pass is the same
//! average again: ∂A = P·u + 2(A − μ)·P·v and ∂B = P·v, for cotangents u of μ and v of σ². Two passes over the tensor
//! forward and two backward, as many as batch normalisation alone needs.
//!
//! Left out: parameters, running statistics and which ratios to take, which are [`super::Norm`]'s.

use std::sync::Arc;

use candle_core::{Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::sync::AllReduce;
use crate::nn::activation::Activation;
use crate::nn::norm::sum_of;

/// Which planes share statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normaliser {
    /// Each plane its own.
    Instance,
    /// All channels of a sample.
    Layer,
    /// All samples of a channel.
    Batch,
    /// This many groups of channels of a sample.
    Group(usize),
}

/// How variances count degrees of freedom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Correction {
    /// Divide by the number of values.
    Biased,
    /// Divide each plane's by one less; the others inherit it. The published code for pictures and volumes.
    Planes,
    /// Divide each by one less than it averages over. The published code for vectors.
    Each,
}

/// Where the statistics of the batch come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// From the batch.
    Batch,
    /// These means and variances, fixed: evaluation.
    Fixed(Vec<f64>, Vec<f64>),
    /// The running ones of the population, of which `keep` stays and the rest is the batch's. The backward pass is that
    /// of the batch's own statistics, shifted and scaled by constants as in batch renormalisation (Ioffe 2017): without
    /// it weights would grow against statistics that do not answer.
    Population {
        mean: Vec<f64>,
        var: Vec<f64>,
        keep: f64,
    },
}

/// One application of the operation.
#[derive(Clone)]
pub(super) struct Mixture {
    pub normalisers: Vec<Normaliser>,
    pub correction: Correction,
    pub eps: f64,
    pub act: Activation,
    pub source: Source,
    pub reduce: Option<Arc<dyn AllReduce>>,
}

/// What the forward pass leaves for the backward pass and for the running statistics; one value a plane.
pub(super) struct Saved {
    pub plane_mean: Vec<f64>,
    /// Mixed mean.
    pub mean: Vec<f64>,
    /// 1 / √(mixed variance + ε).
    pub rstd: Vec<f64>,
    /// For each normaliser, one after the other.
    means: Vec<f64>,
    vars: Vec<f64>,
    /// Variance of the batch where a population's takes its place.
    batch_var: Vec<f64>,
}

/// Mean and variance of each channel over the batch, `[C]` each.
pub(super) type BatchStats = (Tensor, Tensor);

/// Sizes [N, C, S] of a tensor [N, C, …].
pub(super) fn sizes(shape: &Shape) -> Result<(usize, usize, usize)> {
    match shape.dims() {
        [n, c, rest @ ..] => Ok((*n, *c, rest.iter().product())),
        _ => bail!("normalisation takes tensors [N, C, …], not {shape:?}"),
    }
}

impl Mixture {
    fn ranks(&self) -> usize {
        self.reduce.as_ref().map_or(1, |reduce| reduce.ranks())
    }

    /// Values that the variance of a plane is divided by.
    pub(super) fn plane_divisor(&self, s: usize) -> f64 {
        match self.correction {
            Correction::Planes if s > 1 => (s - 1) as f64,
            _ => s as f64,
        }
    }

    /// What a variance taken over normaliser `k` is multiplied with.
    pub(super) fn factor(&self, k: usize, n: usize, c: usize) -> f64 {
        let count = match (self.correction, self.normalisers[k]) {
            (Correction::Each, Normaliser::Batch) => n * self.ranks(),
            (Correction::Each, Normaliser::Layer) => c,
            _ => return 1.0,
        };
        count as f64 / (count.max(2) - 1) as f64
    }

    /// P·values for each of `values`, each [N, C]: the mean over what `normaliser` takes together, at each plane.
    fn average(
        &self,
        normaliser: Normaliser,
        values: [&[f64]; 2],
        n: usize,
        c: usize,
    ) -> Result<[Vec<f64>; 2]> {
        let by_group = |groups: usize| {
            let size = (c / groups.max(1)).max(1);
            values.map(|v| {
                let means = v.chunks(size).flat_map(|g| {
                    std::iter::repeat_n(g.iter().sum::<f64>() / g.len() as f64, g.len())
                });
                means.collect()
            })
        };
        Ok(match normaliser {
            Normaliser::Instance => values.map(<[f64]>::to_vec),
            Normaliser::Layer => by_group(1),
            Normaliser::Group(groups) => by_group(groups),
            Normaliser::Batch => {
                let mut sums = vec![0.0; 2 * c];
                for (half, v) in sums.chunks_mut(c.max(1)).zip(values) {
                    for row in v.chunks(c.max(1)) {
                        half.iter_mut().zip(row).for_each(|(s, v)| *s += v);
                    }
                }
                if let Some(reduce) = &self.reduce {
                    reduce.sum(&mut sums)?;
                }
                let count = (n * self.ranks()) as f64;
                let at = |half: usize| {
                    (0..n * c)
                        .map(|i| sums[half * c + i % c.max(1)] / count)
                        .collect()
                };
                [at(0), at(1)]
            }
        })
    }

    pub(super) fn check(
        &self,
        shape: &Shape,
        affine: usize,
        ratios: usize,
    ) -> Result<(usize, usize, usize)> {
        let (n, c, s) = sizes(shape)?;
        if affine != 2 * c || ratios != 2 * self.normalisers.len() {
            bail!("a normalisation for {} channels was given {c}", affine / 2);
        }
        for normaliser in &self.normalisers {
            if let Normaliser::Group(groups) = normaliser
                && (*groups == 0 || !c.is_multiple_of(*groups))
            {
                bail!("{c} channels do not divide into {groups} groups");
            }
        }
        if n * c * s == 0 {
            bail!("there is nothing to normalise in {shape:?}");
        }
        Ok((n, c, s))
    }

    /// Statistics of every plane and of every normaliser, mixed.
    pub(super) fn statistics(
        &self,
        x: &[f32],
        dims: (usize, usize, usize),
        ratios: &[f64],
    ) -> Result<Saved> {
        let (n, c, s) = dims;
        let k = self.normalisers.len();
        let (w, v) = ratios.split_at(k);
        let is_fixed = |i: usize| {
            self.normalisers[i] == Normaliser::Batch && matches!(self.source, Source::Fixed(..))
        };
        // What nobody weighs is not computed; a layer that only reads running statistics computes nothing at all.
        let needs_var = (0..k).any(|i| v[i] != 0.0 && !is_fixed(i));
        let needs_mean = needs_var || (0..k).any(|i| w[i] != 0.0 && !is_fixed(i));
        let divisor = self.plane_divisor(s);
        let mut planes = vec![(0f64, 0f64); n * c];
        if needs_mean {
            let of = |x: &[f32]| {
                let mean = sum_of(|i| x[i], s) / s as f64;
                let m = mean as f32;
                if !needs_var {
                    return (mean, 0.0);
                }
                // Centred at the rounded mean; the remainder is put right.
                let rest = mean - f64::from(m);
                let sum = sum_of(|i| (x[i] - m) * (x[i] - m), s) - s as f64 * rest * rest;
                (mean, sum.max(0.0) / divisor)
            };
            planes
                .par_iter_mut()
                .zip(x.par_chunks(s))
                .with_min_len(min_planes(s))
                .for_each(|(plane, x)| *plane = of(x));
        }
        let (a, b): (Vec<f64>, Vec<f64>) = planes.into_iter().unzip();
        let mut saved = Saved {
            plane_mean: a,
            mean: vec![0.0; n * c],
            rstd: vec![0.0; n * c],
            means: Vec::with_capacity(k * n * c),
            vars: Vec::with_capacity(k * n * c),
            batch_var: Vec::new(),
        };
        for i in 0..k {
            let (mean, var) = match &self.source {
                Source::Fixed(mean, var) if is_fixed(i) => {
                    let at = |values: &[f64]| (0..n * c).map(|p| values[p % c]).collect::<Vec<_>>();
                    (at(mean), at(var))
                }
                // The batch's are still wanted for the running statistics.
                _ if w[i] == 0.0
                    && v[i] == 0.0
                    && (self.normalisers[i] != Normaliser::Batch || !needs_var) =>
                {
                    (vec![0.0; n * c], vec![0.0; n * c])
                }
                _ => self.group_statistics(i, &saved.plane_mean, &b, n, c)?,
            };
            let (mean, var) = match &self.source {
                Source::Population {
                    mean: old_mean,
                    var: old_var,
                    keep,
                } => {
                    let mix = |old: &[f64], new: &[f64]| {
                        let both = new.iter().enumerate();
                        both.map(|(p, new)| keep * old[p % c] + (1.0 - keep) * new)
                            .collect::<Vec<_>>()
                    };
                    let both = (mix(old_mean, &mean), mix(old_var, &var));
                    // The batch's own, which the gradient runs through.
                    saved.batch_var = var;
                    saved.batch_var.extend(mean);
                    both
                }
                _ => (mean, var),
            };
            for p in 0..n * c {
                saved.mean[p] += w[i] * mean[p];
                saved.rstd[p] += v[i] * var[p];
            }
            saved.means.extend(mean);
            saved.vars.extend(var);
        }
        for r in &mut saved.rstd {
            *r = 1.0 / (r.max(0.0) + self.eps).sqrt();
        }
        Ok(saved)
    }

    /// μₖ and σ²ₖ at each plane.
    fn group_statistics(
        &self,
        k: usize,
        a: &[f64],
        b: &[f64],
        n: usize,
        c: usize,
    ) -> Result<(Vec<f64>, Vec<f64>)> {
        let factor = self.factor(k, n, c);
        let normaliser = self.normalisers[k];
        if normaliser == Normaliser::Instance {
            return Ok((a.to_vec(), b.to_vec()));
        }
        if self.reduce.is_some() && normaliser == Normaliser::Batch {
            // One collective call, as the published code: first and second moments together.
            let second: Vec<f64> = a.iter().zip(b).map(|(a, b)| b + a * a).collect();
            let [mean, second] = self.average(normaliser, [a, &second], n, c)?;
            let var = second.iter().zip(&mean);
            let var = var.map(|(t, m)| (factor * (t - m * m)).max(0.0)).collect();
            return Ok((mean, var));
        }
        let [mean, within] = self.average(normaliser, [a, b], n, c)?;
        let apart: Vec<f64> = a
            .iter()
            .zip(&mean)
            .map(|(a, m)| (a - m) * (a - m))
            .collect();
        let [between, _] = self.average(normaliser, [&apart, &apart], n, c)?;
        let var = within.iter().zip(&between);
        Ok((mean, var.map(|(w, b)| factor * (w + b)).collect()))
    }

    /// ∂A and ∂B of each plane and the gradients of the ratios, from the sums of g and g·(x − A) over each plane.
    pub(super) fn backward(
        &self,
        saved: &Saved,
        sums: &[(f64, f64)],
        gamma: &[f32],
        ratios: &[f64],
        dims: (usize, usize, usize),
    ) -> Result<(Vec<f64>, Vec<f64>, Vec<f64>)> {
        let (n, c, _) = dims;
        let (planes, k) = (n * c, self.normalisers.len());
        let (w, v) = ratios.split_at(k);
        let (mut dmean, mut dvar) = (vec![0.0; planes], vec![0.0; planes]);
        for p in 0..planes {
            let (gamma, rstd) = (f64::from(gamma[p % c]), saved.rstd[p]);
            let (s1, s2) = sums[p];
            let centred = s2 + (saved.plane_mean[p] - saved.mean[p]) * s1;
            dmean[p] = -gamma * rstd * s1;
            dvar[p] = -0.5 * gamma * rstd.powi(3) * centred;
        }
        let (mut da, mut db) = (vec![0.0; planes], vec![0.0; planes]);
        let mut dratios = vec![0.0; 2 * k];
        for i in 0..k {
            let (means, vars) = (
                &saved.means[i * planes..][..planes],
                &saved.vars[i * planes..],
            );
            for p in 0..planes {
                dratios[i] += dmean[p] * means[p];
                dratios[k + i] += dvar[p] * vars[p];
            }
            let normaliser = self.normalisers[i];
            let is_constant =
                normaliser == Normaliser::Batch && matches!(self.source, Source::Fixed(..));
            if is_constant || (w[i] == 0.0 && v[i] == 0.0) {
                continue;
            }
            let mut through_mean: Vec<f64> = dmean.iter().map(|d| w[i] * d).collect();
            let mut through_var: Vec<f64> = dvar.iter().map(|d| v[i] * d).collect();
            let mut centre = means;
            if matches!(self.source, Source::Population { .. }) {
                let (batch_var, batch_mean) = saved.batch_var.split_at(planes);
                centre = batch_mean;
                for p in 0..planes {
                    let (gamma, rstd) = (f64::from(gamma[p % c]), saved.rstd[p]);
                    let (s1, s2) = sums[p];
                    let centred = s2 + (saved.plane_mean[p] - batch_mean[p]) * s1;
                    through_mean[p] = -gamma * rstd * s1;
                    through_var[p] = -0.5 * gamma * rstd * centred / (batch_var[p] + self.eps);
                }
            }
            let [pu, pv] = self.average(normaliser, [&through_mean, &through_var], n, c)?;
            let factor = self.factor(i, n, c);
            for p in 0..planes {
                da[p] += pu[p] + 2.0 * factor * (saved.plane_mean[p] - centre[p]) * pv[p];
                db[p] += factor * pv[p];
            }
        }
        Ok((da, db, dratios))
    }

    /// Mean and variance of the batch's branch, if it was computed here.
    pub(super) fn batch_stats(&self, saved: &Saved, c: usize) -> Option<(Vec<f32>, Vec<f32>)> {
        let k = self
            .normalisers
            .iter()
            .position(|n| *n == Normaliser::Batch)?;
        if matches!(self.source, Source::Fixed(..)) {
            return None;
        }
        let planes = saved.mean.len();
        let first = |values: &[f64]| {
            values[k * planes..][..c]
                .iter()
                .map(|&v| v as f32)
                .collect::<Vec<f32>>()
        };
        Some((first(&saved.means), first(&saved.vars)))
    }
}

/// Planes that one task takes at least: small maps are not worth a task each.
pub(super) fn min_planes(s: usize) -> usize {
    ((1 << 14) / s.max(1)).max(1)
}
