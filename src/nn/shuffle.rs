//! Space to depth and back.

use super::cpu::{slice, uninit};
use super::plane_op::is_ours;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

/// Rearranges blocks of `factor` × `factor` pixels; `to_depth` or back.
#[derive(Clone, Copy)]
struct Shuffle {
    factor: usize,
    to_depth: bool,
}

impl CustomOp1 for Shuffle {
    fn name(&self) -> &'static str {
        "pixel-shuffle"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(x, layout, self.name())?;
        let (n, c, h, w) = layout.shape().dims4()?;
        let f = self.factor;
        let mut out = uninit(x.len());
        if self.to_depth {
            let (ho, wo) = (h / f, w / f);
            out.par_chunks_mut((ho * wo).max(1))
                .enumerate()
                .for_each(|(i, out)| {
                    let (plane, dy, dx) = (i / (f * f), i / f % f, i % f);
                    for (y, row) in out.chunks_exact_mut(wo).enumerate() {
                        let src = &x[(plane * h + y * f + dy) * w + dx..];
                        row.iter_mut()
                            .zip(src.iter().step_by(f))
                            .for_each(|(o, &v)| *o = v);
                    }
                });
            return Ok((CpuStorage::F32(out), (n, c * f * f, ho, wo).into()));
        }
        let (ho, wo) = (h * f, w * f);
        out.par_chunks_mut((ho * wo).max(1))
            .enumerate()
            .for_each(|(plane, out)| {
                for (y, row) in out.chunks_exact_mut(wo).enumerate() {
                    for dx in 0..f {
                        let src = &x[((plane * f * f + y % f * f + dx) * h + y / f) * w..][..w];
                        row[dx..]
                            .iter_mut()
                            .step_by(f)
                            .zip(src)
                            .for_each(|(o, &v)| *o = v);
                    }
                }
            });
        Ok((CpuStorage::F32(out), (n, c / (f * f), ho, wo).into()))
    }

    fn bwd(&self, _arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(grad.contiguous()?.apply_op1_no_bwd(&Shuffle {
            to_depth: !self.to_depth,
            ..*self
        })?))
    }
}

/// [N, C·f², H, W] → [N, C, f·H, f·W], channels in PyTorch's order.
pub fn pixel_shuffle(xs: &Tensor, factor: usize) -> Result<Tensor> {
    if factor == 0 || !xs.dim(1)?.is_multiple_of(factor * factor) {
        bail!(
            "{} channels cannot be spread over blocks of {factor}×{factor}",
            xs.dim(1)?
        );
    }
    if is_ours(xs) {
        return xs.contiguous()?.apply_op1(Shuffle {
            factor,
            to_depth: false,
        });
    }
    candle_nn::ops::pixel_shuffle(xs, factor)
}

/// [N, C, f·H, f·W] → [N, C·f², H, W], channels in PyTorch's order.
pub fn pixel_unshuffle(xs: &Tensor, factor: usize) -> Result<Tensor> {
    let (_, _, h, w) = xs.dims4()?;
    if factor == 0 || !h.is_multiple_of(factor) || !w.is_multiple_of(factor) {
        bail!("{h}×{w} does not divide into blocks of {factor}×{factor}");
    }
    if is_ours(xs) {
        return xs.contiguous()?.apply_op1(Shuffle {
            factor,
            to_depth: true,
        });
    }
    candle_nn::ops::pixel_unshuffle(xs, factor)
}
