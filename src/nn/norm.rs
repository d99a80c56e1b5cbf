//! Group normalisation (Wu & He 2018), instance normalisation as its special case, and normalisation whose
//! scale and shift come from a map (Park et al. 2019, SPADE); each with the activation that follows it.
//!
//! One custom operation each, with the analytic backward pass: candle's chain of broadcasts costs ten times more.

use super::activation::Activation;
use super::cpu::{SharedMut, slice, uninit, with_slice};
use super::plane_op::is_ours;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail,
};
use rayon::prelude::*;

/// Sum over a slice in `f64`, from short `f32` runs that vectorise.
pub(super) fn sum_of(values: impl Fn(usize) -> f32, len: usize) -> f64 {
    let mut total = 0f64;
    let mut start = 0;
    while start < len {
        let end = (start + 2048).min(len);
        let mut lanes = [0f32; 16];
        let whole = start + (end - start) / 16 * 16;
        for i in (start..whole).step_by(16) {
            for (l, v) in lanes.iter_mut().enumerate() {
                *v += values(i + l);
            }
        }
        total += lanes.iter().sum::<f32>() as f64 + (whole..end).map(&values).sum::<f32>() as f64;
        start = end;
    }
    total
}

/// Mean and 1/√(variance + ε) of a group, with the biased variance.
fn statistics(x: &[f32], eps: f64) -> (f32, f32) {
    let mean = sum_of(|i| x[i], x.len()) / x.len() as f64;
    let m = mean as f32;
    let var = sum_of(|i| (x[i] - m) * (x[i] - m), x.len()) / x.len() as f64;
    (m, (1.0 / (var + eps).sqrt()) as f32)
}

#[derive(Clone, Copy)]
struct Norm {
    groups: usize,
    eps: f64,
    act: Activation,
}

/// Sizes of a normalised tensor: samples, channels, values of a plane, channels of a group.
struct Sizes {
    n: usize,
    c: usize,
    s: usize,
    per_group: usize,
}

impl Norm {
    fn sizes(&self, shape: &Shape) -> Result<Sizes> {
        let (n, c, h, w) = shape.dims4()?;
        if self.groups == 0 || !c.is_multiple_of(self.groups) {
            bail!("{c} channels do not divide into {} groups", self.groups);
        }
        Ok(Sizes {
            n,
            c,
            s: h * w,
            per_group: c / self.groups,
        })
    }
}

/// Scale and shift per channel, shared by all samples.
#[derive(Clone, Copy)]
struct ChannelNorm(Norm);

impl CustomOp3 for ChannelNorm {
    fn name(&self) -> &'static str {
        "group-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        gamma: &CpuStorage,
        gl: &Layout,
        beta: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, gamma, beta) = (
            slice(x, xl, self.name())?,
            slice(gamma, gl, self.name())?,
            slice(beta, bl, self.name())?,
        );
        let z = self.0.sizes(xl.shape())?;
        let mut out = uninit(x.len());
        let block = z.per_group * z.s;
        out.par_chunks_mut(block.max(1))
            .zip(x.par_chunks(block.max(1)))
            .enumerate()
            .for_each(|(i, (out, x))| {
                let (mean, rstd) = statistics(x, self.0.eps);
                let first = i % self.0.groups * z.per_group;
                for (c, (out, x)) in out
                    .chunks_exact_mut(z.s)
                    .zip(x.chunks_exact(z.s))
                    .enumerate()
                {
                    let scale = gamma[first + c] * rstd;
                    let shift = beta[first + c] - mean * scale;
                    self.0.act.map(out, x, |v| v * scale + shift);
                }
            });
        Ok((CpuStorage::F32(out), xl.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let z = self.0.sizes(x.shape())?;
        let mut dx = uninit(x.elem_count());
        let mut sums = vec![0f32; 2 * z.n * z.c];
        let block = z.per_group * z.s;
        with_slice(x, self.name(), |x| {
            with_slice(res, self.name(), |y| {
                with_slice(grad, self.name(), |grad| {
                    with_slice(gamma, self.name(), |gamma| {
                        let tasks = dx
                            .par_chunks_mut(block.max(1))
                            .zip(sums.par_chunks_mut(2 * z.per_group))
                            .enumerate();
                        tasks.for_each(|(i, (dx, sums))| {
                            let (x, y, grad) = (
                                &x[i * block..][..block],
                                &y[i * block..][..block],
                                &grad[i * block..][..block],
                            );
                            let (mean, rstd) = statistics(x, self.0.eps);
                            let first = i % self.0.groups * z.per_group;
                            let (mut a, mut b) = (0f64, 0f64);
                            for c in 0..z.per_group {
                                let range = c * z.s..(c + 1) * z.s;
                                let (x, y, grad, dx) = (
                                    &x[range.clone()],
                                    &y[range.clone()],
                                    &grad[range.clone()],
                                    &mut dx[range],
                                );
                                self.0.act.gradient(dx, y, grad);
                                let (s1, s2) = (
                                    sum_of(|i| dx[i], z.s),
                                    sum_of(|i| dx[i] * (x[i] - mean), z.s) * rstd as f64,
                                );
                                sums[2 * c] = s2 as f32;
                                sums[2 * c + 1] = s1 as f32;
                                let gamma = gamma[first + c] as f64;
                                a += gamma * s1;
                                b += gamma * s2;
                            }
                            let (a, b) =
                                ((a / block as f64) as f32, (b / block as f64) as f32 * rstd);
                            for (c, (dx, x)) in dx
                                .chunks_exact_mut(z.s)
                                .zip(x.chunks_exact(z.s))
                                .enumerate()
                            {
                                let gamma = gamma[first + c];
                                dx.iter_mut().zip(x).for_each(|(d, &x)| {
                                    *d = rstd * (gamma * *d - a - (x - mean) * b)
                                });
                            }
                        });
                    })
                })
            })
        })????;
        let per_channel = |which: usize| -> Result<Tensor> {
            let total: Vec<f32> = (0..z.c)
                .map(|c| (0..z.n).map(|n| sums[2 * (n * z.c + c) + which]).sum())
                .collect();
            Tensor::from_vec(total, z.c, x.device())
        };
        let dgamma = if gamma.track_op() {
            Some(per_channel(0)?)
        } else {
            None
        };
        let dbeta = if beta.track_op() {
            Some(per_channel(1)?)
        } else {
            None
        };
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            dgamma,
            dbeta,
        ))
    }
}

/// Scale and shift per pixel: `x̂·(1 + γ) + β` with γ, β the halves of a map [N, 2C, H, W].
#[derive(Clone, Copy)]
struct MapNorm(Norm);

impl CustomOp2 for MapNorm {
    fn name(&self) -> &'static str {
        "modulated-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        map: &CpuStorage,
        ml: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, map) = (slice(x, xl, self.name())?, slice(map, ml, self.name())?);
        let z = self.0.sizes(xl.shape())?;
        let mut out = uninit(x.len());
        let block = z.per_group * z.s;
        out.par_chunks_mut(block.max(1))
            .zip(x.par_chunks(block.max(1)))
            .enumerate()
            .for_each(|(i, (out, x))| {
                let (mean, rstd) = statistics(x, self.0.eps);
                let (n, first) = (i / self.0.groups, i % self.0.groups * z.per_group);
                let gamma = &map[(2 * n * z.c + first) * z.s..][..block];
                let beta = &map[((2 * n + 1) * z.c + first) * z.s..][..block];
                for (((o, &x), &g), &b) in out.iter_mut().zip(x).zip(gamma).zip(beta) {
                    *o = (x - mean) * rstd * (1.0 + g) + b;
                }
                self.0.act.in_place(out);
            });
        Ok((CpuStorage::F32(out), xl.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        map: &Tensor,
        res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let z = self.0.sizes(x.shape())?;
        let mut dx = uninit(x.elem_count());
        let mut dmap = uninit(map.elem_count());
        let shared = SharedMut(dmap.as_mut_ptr());
        let block = z.per_group * z.s;
        with_slice(x, self.name(), |x| {
            with_slice(res, self.name(), |y| {
                with_slice(grad, self.name(), |grad| {
                    with_slice(map, self.name(), |map| {
                        dx.par_chunks_mut(block.max(1))
                            .enumerate()
                            .for_each(|(i, dx)| {
                                let (x, y, grad) = (
                                    &x[i * block..][..block],
                                    &y[i * block..][..block],
                                    &grad[i * block..][..block],
                                );
                                let (mean, rstd) = statistics(x, self.0.eps);
                                let (n, first) =
                                    (i / self.0.groups, i % self.0.groups * z.per_group);
                                let (at_gamma, at_beta) = (
                                    (2 * n * z.c + first) * z.s,
                                    ((2 * n + 1) * z.c + first) * z.s,
                                );
                                let gamma = &map[at_gamma..][..block];
                                // SAFETY: the γ and β blocks of this sample and group belong to this task alone.
                                let (dgamma, dbeta) = unsafe {
                                    (
                                        std::slice::from_raw_parts_mut(
                                            shared.get().add(at_gamma),
                                            block,
                                        ),
                                        std::slice::from_raw_parts_mut(
                                            shared.get().add(at_beta),
                                            block,
                                        ),
                                    )
                                };
                                self.0.act.gradient(dbeta, y, grad);
                                for ((dg, &db), &x) in dgamma.iter_mut().zip(dbeta.iter()).zip(x) {
                                    *dg = db * (x - mean) * rstd;
                                }
                                dx.iter_mut()
                                    .zip(dbeta.iter())
                                    .zip(gamma)
                                    .for_each(|((d, &db), &g)| *d = db * (1.0 + g));
                                let a = (sum_of(|i| dx[i], block) / block as f64) as f32;
                                let b = (sum_of(|i| dx[i] * (x[i] - mean), block) * rstd as f64
                                    / block as f64) as f32
                                    * rstd;
                                dx.iter_mut()
                                    .zip(x)
                                    .for_each(|(d, &x)| *d = rstd * (*d - a - (x - mean) * b));
                            });
                    })
                })
            })
        })????;
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            Some(Tensor::from_vec(dmap, map.shape(), x.device())?),
        ))
    }
}

/// Normalised `xs` from candle's own operations, for devices and number types without a kernel of ours.
fn plain(xs: &Tensor, groups: usize, eps: f64) -> Result<Tensor> {
    let (n, c, h, w) = xs.dims4()?;
    if groups == 0 || c % groups != 0 {
        bail!("{c} channels do not divide into {groups} groups");
    }
    let xs = xs.reshape((n, groups, ()))?;
    let centred = xs.broadcast_sub(&xs.mean_keepdim(2)?)?;
    let var = centred.sqr()?.mean_keepdim(2)?;
    centred
        .broadcast_div(&(var + eps)?.sqrt()?)?
        .reshape((n, c, h, w))
}

/// Group normalisation of `xs` [N, C, H, W] with `gamma`, `beta` `[C]`, then `act`. Biased variance.
pub fn group_norm(
    xs: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    groups: usize,
    eps: f64,
    act: Activation,
) -> Result<Tensor> {
    if is_ours(xs) {
        return xs
            .contiguous()?
            .apply_op3(gamma, beta, ChannelNorm(Norm { groups, eps, act }));
    }
    let scaled = plain(xs, groups, eps)?.broadcast_mul(&gamma.reshape((1, (), 1, 1))?)?;
    act.apply(&scaled.broadcast_add(&beta.reshape((1, (), 1, 1))?)?)
}

/// Instance normalisation without parameters, as PyTorch's `InstanceNorm2d(affine=False)`, then `act`.
pub fn instance_norm(xs: &Tensor, eps: f64, act: Activation) -> Result<Tensor> {
    let c = xs.dim(1)?;
    let gamma = Tensor::ones(c, xs.dtype(), xs.device())?;
    group_norm(xs, &gamma, &gamma.zeros_like()?, c, eps, act)
}

/// Group normalisation of `xs` [N, C, H, W], then `x̂·(1 + γ) + β` with `map` [N, 2C, H, W] = γ ⊕ β, then `act`.
pub fn modulated_norm(
    xs: &Tensor,
    map: &Tensor,
    groups: usize,
    eps: f64,
    act: Activation,
) -> Result<Tensor> {
    if is_ours(xs) {
        return xs
            .contiguous()?
            .apply_op2(&map.contiguous()?, MapNorm(Norm { groups, eps, act }));
    }
    let c = xs.dim(1)?;
    let scaled = (plain(xs, groups, eps)? * (map.narrow(1, 0, c)? + 1.0)?)?;
    act.apply(&(scaled + map.narrow(1, c, c)?)?)
}

struct ChannelSums;

impl CustomOp1 for ChannelSums {
    fn name(&self) -> &'static str {
        "channel-sums"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, c, h, w) = layout.shape().dims4()?;
        let (x, s) = (slice(x, layout, self.name())?, h * w);
        let sum = |c0: usize| {
            (0..n)
                .map(|i| &x[(i * c + c0) * s..][..s])
                .map(|p| sum_of(|i| p[i], s))
                .sum::<f64>() as f32
        };
        let mut sums = vec![0f32; c];
        sums.par_iter_mut()
            .enumerate()
            .with_min_len(8)
            .for_each(|(c0, v)| *v = sum(c0));
        Ok((CpuStorage::F32(sums), c.into()))
    }
}

/// Sums of `xs` [N, C, H, W] over samples and pixels: `[C]`. No gradient.
pub(super) fn channel_sums(xs: &Tensor) -> Result<Tensor> {
    xs.contiguous()?.apply_op1_no_bwd(&ChannelSums)
}
