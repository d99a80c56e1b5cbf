//! Activations, alone or behind a normalisation that applies them in the same pass.

use super::cpu::micro::Clamp;
use super::cpu::{slice, uninit, with_slice};
use super::plane_op::is_ours;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// An activation whose derivative follows from its result.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Activation {
    /// The value itself.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0)`, at most 6.
    Relu6,
    /// `x` where positive, `slope·x` elsewhere; `slope` is positive.
    LeakyRelu(f32),
}

/// Values that one task of a pointwise operation takes.
const CHUNK: usize = 1 << 15;

impl Activation {
    pub(super) fn slope(self) -> f32 {
        match self {
            Activation::None => 1.0,
            Activation::Relu | Activation::Relu6 => 0.0,
            Activation::LeakyRelu(slope) => slope,
        }
    }

    fn bound(self) -> f32 {
        match self {
            Activation::Relu6 => 6.0,
            _ => f32::INFINITY,
        }
    }

    /// `out = act(f(x))`.
    pub(super) fn map(self, out: &mut [f32], x: &[f32], f: impl Fn(f32) -> f32) {
        let (slope, bound) = (self.slope(), self.bound());
        out.iter_mut().zip(x).for_each(|(o, &x)| {
            let v = f(x);
            *o = (v.max(0.0) + slope * v.min(0.0)).min(bound);
        });
    }

    /// `values = act(values)`.
    pub(super) fn in_place(self, values: &mut [f32]) {
        let (slope, bound) = (self.slope(), self.bound());
        values
            .iter_mut()
            .for_each(|v| *v = (v.max(0.0) + slope * v.min(0.0)).min(bound));
    }

    /// `out = grad · act′`, from the activation's result `y`.
    pub(super) fn gradient(self, out: &mut [f32], y: &[f32], grad: &[f32]) {
        let (slope, bound) = (self.slope(), self.bound());
        out.iter_mut().zip(y).zip(grad).for_each(|((o, &y), &g)| {
            *o = if y > 0.0 && y < bound { g } else { slope * g };
        });
    }

    /// The gradient before the activation, from its result and the gradient behind it.
    pub(super) fn back(self, res: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let mut out = uninit(res.elem_count());
        with_slice(res, "activation", |y| {
            with_slice(grad, "activation", |grad| {
                let tasks = out
                    .par_chunks_mut(CHUNK)
                    .zip(y.par_chunks(CHUNK))
                    .zip(grad.par_chunks(CHUNK));
                tasks.for_each(|((out, y), grad)| self.gradient(out, y, grad));
            })
        })??;
        Tensor::from_vec(out, res.shape(), res.device())
    }

    /// The bounds that it keeps values within; none if it does more than that.
    pub(super) fn clamp(self) -> Option<Clamp> {
        match self {
            Activation::None => Some(Clamp::NONE),
            Activation::Relu | Activation::Relu6 => Some(Clamp {
                lo: 0.0,
                hi: self.bound(),
            }),
            Activation::LeakyRelu(_) => None,
        }
    }

    /// Applies it to any tensor.
    pub fn apply(self, xs: &Tensor) -> Result<Tensor> {
        match self {
            Activation::None => Ok(xs.clone()),
            _ if is_ours(xs) => xs.contiguous()?.apply_op1(Pointwise(self)),
            Activation::Relu => xs.relu(),
            Activation::Relu6 => xs.clamp(0f32, 6f32),
            Activation::LeakyRelu(slope) => xs.relu()? - (xs.neg()?.relu()? * slope as f64)?,
        }
    }
}

struct Pointwise(Activation);

impl CustomOp1 for Pointwise {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(x, layout, self.name())?;
        let mut out = uninit(x.len());
        out.par_chunks_mut(CHUNK)
            .zip(x.par_chunks(CHUNK))
            .for_each(|(out, x)| self.0.map(out, x, |v| v));
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, _arg: &Tensor, res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        self.0.back(res, grad).map(Some)
    }
}

/// `max(x, 0)`.
pub fn relu(xs: &Tensor) -> Result<Tensor> {
    Activation::Relu.apply(xs)
}

struct Prelu;

impl CustomOp2 for Prelu {
    fn name(&self) -> &'static str {
        "prelu"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        slope: &CpuStorage,
        sl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, slopes) = (slice(x, xl, self.name())?, slice(slope, sl, self.name())?);
        let (_, c, h, w) = xl.shape().dims4()?;
        let mut out = uninit(x.len());
        out.par_chunks_mut((h * w).max(1))
            .zip(x.par_chunks((h * w).max(1)))
            .enumerate()
            .with_min_len(4)
            .for_each(|(i, (out, x))| {
                Activation::LeakyRelu(slopes[i % c]).map(out, x, |v| v);
            });
        Ok((CpuStorage::F32(out), xl.shape().clone()))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        slope: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        // Only landmark networks with fixed weights use it: candle's operations are enough here.
        let negative = xs.neg()?.relu()?.neg()?;
        let is_positive = xs.gt(0.0)?.to_dtype(xs.dtype())?;
        let slopes = slope.reshape((1, (), 1, 1))?;
        let factor = (&is_positive + (1.0 - &is_positive)?.broadcast_mul(&slopes)?)?;
        let dslope = (negative * grad)?.sum((0, 2, 3))?;
        Ok((Some((factor * grad)?), Some(dslope)))
    }
}

/// `x` where positive, `slope[c]·x` elsewhere. `xs` [N, C, H, W], `slope` `[C]`.
pub fn prelu(xs: &Tensor, slope: &Tensor) -> Result<Tensor> {
    if is_ours(xs) {
        return xs.contiguous()?.apply_op2(&slope.contiguous()?, Prelu);
    }
    xs.relu()?.sub(
        &xs.neg()?
            .relu()?
            .broadcast_mul(&slope.reshape((1, (), 1, 1))?)?,
    )
}
