//! [`Mixture`] as one custom operation on the CPU, and the same in candle's operations elsewhere.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp3, DType, IndexOp, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::mixture::{BatchStats, Mixture, Normaliser, Saved, Source, min_planes, sizes};
use super::sync::over_ranks;
use crate::nn::cpu::{slice, uninit, with_slice};
use crate::nn::plane_op::is_ours;

/// Sums of g and of g·(x − m) over a plane, where g is `grad` behind the activation.
fn gradient_sums(x: &[f32], y: &[f32], grad: &[f32], m: f32, slope: f32) -> (f64, f64) {
    let mut totals = (0f64, 0f64);
    for ((x, y), grad) in x.chunks(2048).zip(y.chunks(2048)).zip(grad.chunks(2048)) {
        let (mut one, mut two) = ([0f32; 16], [0f32; 16]);
        let whole = x.len() / 16 * 16;
        for i in (0..whole).step_by(16) {
            let (x, y, grad) = (&x[i..i + 16], &y[i..i + 16], &grad[i..i + 16]);
            for l in 0..16 {
                let g = if y[l] > 0.0 { grad[l] } else { slope * grad[l] };
                one[l] += g;
                two[l] += g * (x[l] - m);
            }
        }
        let (mut a, mut b) = (one.iter().sum::<f32>(), two.iter().sum::<f32>());
        for i in whole..x.len() {
            let g = if y[i] > 0.0 { grad[i] } else { slope * grad[i] };
            a += g;
            b += g * (x[i] - m);
        }
        totals.0 += f64::from(a);
        totals.1 += f64::from(b);
    }
    totals
}

struct Op {
    mixture: Mixture,
    saved: Arc<Mutex<Option<Saved>>>,
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

impl CustomOp3 for Op {
    fn name(&self) -> &'static str {
        "mixture-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        affine: &CpuStorage,
        al: &Layout,
        ratios: &CpuStorage,
        rl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, affine, ratios) = (
            slice(x, xl, self.name())?,
            slice(affine, al, self.name())?,
            slice(ratios, rl, self.name())?,
        );
        let dims = self.mixture.check(xl.shape(), affine.len(), ratios.len())?;
        let (_, c, s) = dims;
        let saved = self.mixture.statistics(x, dims, &widen(ratios))?;
        let mut out = uninit(x.len());
        out.par_chunks_mut(s)
            .zip(x.par_chunks(s))
            .enumerate()
            .with_min_len(min_planes(s))
            .for_each(|(p, (out, x))| {
                let scale = f64::from(affine[p % c]) * saved.rstd[p];
                let shift = f64::from(affine[c + p % c]) - saved.mean[p] * scale;
                let (scale, shift) = (scale as f32, shift as f32);
                self.mixture.act.map(out, x, |v| v * scale + shift);
            });
        *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = Some(saved);
        Ok((CpuStorage::F32(out), xl.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        affine: &Tensor,
        ratios: &Tensor,
        res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(saved) = saved.as_ref() else {
            bail!("the backward pass of a normalisation came before its forward pass");
        };
        let dims = sizes(x.shape())?;
        let (n, c, s) = dims;
        let affine_values = affine.to_vec1::<f32>()?;
        let ratio_values = widen(&ratios.flatten_all()?.to_vec1::<f32>()?);
        let slope = self.mixture.act.slope();
        let mut dx = uninit(x.elem_count());
        let mut sums = vec![(0f64, 0f64); n * c];
        let mut dratios = Vec::new();
        with_slice(x, self.name(), |x| {
            with_slice(res, self.name(), |y| {
                with_slice(grad, self.name(), |grad| -> Result<()> {
                    sums.par_iter_mut()
                        .enumerate()
                        .with_min_len(min_planes(s))
                        .for_each(|(p, sums)| {
                            let at = p * s..(p + 1) * s;
                            let m = saved.plane_mean[p] as f32;
                            *sums =
                                gradient_sums(&x[at.clone()], &y[at.clone()], &grad[at], m, slope);
                        });
                    let (da, db, d) =
                        self.mixture
                            .backward(saved, &sums, &affine_values, &ratio_values, dims)?;
                    dratios = d;
                    let divisor = self.mixture.plane_divisor(s);
                    dx.par_chunks_mut(s)
                        .enumerate()
                        .with_min_len(min_planes(s))
                        .for_each(|(p, dx)| {
                            let at = p * s..(p + 1) * s;
                            let (x, y, grad) = (&x[at.clone()], &y[at.clone()], &grad[at]);
                            let scale = (f64::from(affine_values[p % c]) * saved.rstd[p]) as f32;
                            let tilt = (2.0 * db[p] / divisor) as f32;
                            let shift = (da[p] / s as f64) as f32;
                            let m = saved.plane_mean[p] as f32;
                            for (((dx, &x), &y), &grad) in dx.iter_mut().zip(x).zip(y).zip(grad) {
                                let g = if y > 0.0 { grad } else { slope * grad };
                                *dx = scale * g + (tilt * (x - m) + shift);
                            }
                        });
                    Ok(())
                })
            })
        })????;
        let mut daffine = vec![0f64; 2 * c];
        for (p, (s1, s2)) in sums.iter().enumerate() {
            let centred = s2 + (saved.plane_mean[p] - saved.mean[p]) * s1;
            daffine[p % c] += saved.rstd[p] * centred;
            daffine[c + p % c] += s1;
        }
        let tensor = |values: Vec<f64>, like: &Tensor| -> Result<Option<Tensor>> {
            if !like.track_op() {
                return Ok(None);
            }
            let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
            Tensor::from_vec(values, like.shape(), like.device()).map(Some)
        };
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            tensor(daffine, affine)?,
            tensor(dratios, ratios)?,
        ))
    }
}

/// Normalises `xs` [N, C, …] with `affine` `[2C]` = γ ⊕ β and `ratios` [2, K], weights of means and of variances. Returns
/// the statistics of the batch too, unless they were given or nobody needs them.
pub(super) fn mix(
    xs: &Tensor,
    affine: &Tensor,
    ratios: &Tensor,
    mixture: Mixture,
) -> Result<(Tensor, Option<BatchStats>)> {
    if !is_ours(xs) {
        return plain(xs, affine, ratios, &mixture);
    }
    let saved = Arc::new(Mutex::new(None));
    let op = Op {
        mixture: mixture.clone(),
        saved: Arc::clone(&saved),
    };
    let ys = xs
        .contiguous()?
        .apply_op3(&affine.contiguous()?, &ratios.contiguous()?, op)?;
    let c = xs.dim(1)?;
    let saved = saved.lock().unwrap_or_else(PoisonError::into_inner);
    let stats = saved.as_ref().and_then(|s| mixture.batch_stats(s, c));
    let stats = match stats {
        Some((mean, var)) => Some((
            Tensor::from_vec(mean, c, xs.device())?,
            Tensor::from_vec(var, c, xs.device())?,
        )),
        None => None,
    };
    Ok((ys, stats))
}

/// The same in candle's operations, for devices and number types without a kernel of ours.
pub(super) fn plain(
    xs: &Tensor,
    affine: &Tensor,
    ratios: &Tensor,
    mixture: &Mixture,
) -> Result<(Tensor, Option<BatchStats>)> {
    let (n, c, s) = mixture.check(xs.shape(), affine.elem_count(), ratios.elem_count())?;
    let x = xs.reshape((n, c, s))?;
    let a = x.mean_keepdim(2)?;
    let b = (x.broadcast_sub(&a)?.sqr()?.sum_keepdim(2)? / mixture.plane_divisor(s))?;
    let second = (&b + a.sqr()?)?;
    let constant = |values: &[f64]| {
        let values = Tensor::from_slice(values, (1, c, 1), xs.device())?;
        values.to_dtype(xs.dtype())?.broadcast_as((n, c, 1))
    };
    let (mut mean, mut var) = (a.zeros_like()?, a.zeros_like()?);
    let (mut stats, mut moved) = (None, None);
    for (k, normaliser) in mixture.normalisers.iter().enumerate() {
        let average = |t: &Tensor| -> Result<Tensor> {
            match *normaliser {
                Normaliser::Instance => Ok(t.clone()),
                Normaliser::Layer => t.mean_keepdim(1)?.broadcast_as((n, c, 1)),
                Normaliser::Batch => {
                    let mean = t.mean_keepdim(0)?;
                    let mean = match &mixture.reduce {
                        Some(reduce) => (over_ranks(&mean, reduce)? / reduce.ranks() as f64)?,
                        None => mean,
                    };
                    mean.broadcast_as((n, c, 1))
                }
                Normaliser::Group(groups) => t
                    .reshape((n, groups, c / groups))?
                    .mean_keepdim(2)?
                    .broadcast_as((n, groups, c / groups))?
                    .reshape((n, c, 1)),
            }
        };
        let (m, v) = match &mixture.source {
            Source::Fixed(m, v) if *normaliser == Normaliser::Batch => (constant(m)?, constant(v)?),
            _ => {
                let m = average(&a)?;
                let v = ((average(&second)? - m.sqr()?)? * mixture.factor(k, n, c))?;
                (m, v)
            }
        };
        let mut batch = (m.clone(), v.clone());
        if let Source::Population {
            mean: m_old,
            var: v_old,
            keep,
        } = &mixture.source
        {
            let mix = |old: &[f64], new: &Tensor| {
                (constant(old)? * *keep)? + (new.detach() * (1.0 - keep))?
            };
            batch = (mix(m_old, &m)?, mix(v_old, &v)?);
            // x̂ = (x − μ_B)/σ_B · r + d with r = σ_B/σ_P and d = (μ_B − μ_P)/σ_P held constant.
            let (sb, sp) = (
                (&v + mixture.eps)?.sqrt()?,
                (&batch.1 + mixture.eps)?.sqrt()?,
            );
            let (r, d) = ((sb.detach() / &sp)?, ((m.detach() - &batch.0)? / &sp)?);
            let hat = x.broadcast_sub(&m)?.broadcast_div(&sb)?;
            moved = Some(hat.broadcast_mul(&r)?.broadcast_add(&d)?);
        }
        if *normaliser == Normaliser::Batch && !matches!(mixture.source, Source::Fixed(..)) {
            let first = |t: &Tensor| t.detach().narrow(0, 0, 1)?.reshape(c)?.contiguous();
            stats = Some((first(&batch.0)?, first(&batch.1)?));
        }
        mean = (mean + m.broadcast_mul(&ratios.i((0, k))?)?)?;
        var = (var + v.broadcast_mul(&ratios.i((1, k))?)?)?;
    }
    let hat = match moved {
        Some(hat) => hat,
        None => x
            .broadcast_sub(&mean)?
            .broadcast_div(&(var + mixture.eps)?.sqrt()?)?,
    };
    let gamma = affine.narrow(0, 0, c)?.reshape((1, c, 1))?;
    let beta = affine.narrow(0, c, c)?.reshape((1, c, 1))?;
    let ys = hat.broadcast_mul(&gamma)?.broadcast_add(&beta)?;
    let ys = mixture.act.apply(&ys.reshape(xs.shape())?)?;
    Ok((ys, stats))
}

/// One `1` at `choice` for means and for variances: [2, K].
pub(super) fn one_hot(choice: [usize; 2], k: usize, like: &Tensor) -> Result<Tensor> {
    let row = |at: usize| (0..k).map(move |i| f32::from(u8::from(i == at)));
    let values: Vec<f32> = row(choice[0]).chain(row(choice[1])).collect();
    Tensor::from_vec(values, (2, k), like.device())?
        .to_dtype(DType::F32)?
        .to_dtype(like.dtype())
}
