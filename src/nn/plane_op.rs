//! The bridge between [`Plane`] kernels and candle: one custom operation for all of them.

use super::cpu::plane::Plane;
use super::cpu::{slice, uninit};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

struct Forward(Plane);
struct Backward(Plane);

impl CustomOp1 for Forward {
    fn name(&self) -> &'static str {
        "plane"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, c, h, w) = layout.shape().dims4()?;
        let (ho, wo) = self.0.size(h, w);
        let mut out = uninit(n * c * ho * wo);
        self.0
            .forward(slice(storage, layout, self.name())?, h, w, &mut out);
        Ok((CpuStorage::F32(out), (n, c, ho, wo).into()))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(arg.apply_op2_no_bwd(
            &grad.contiguous()?,
            &Backward(self.0),
        )?))
    }
}

impl CustomOp2 for Backward {
    fn name(&self) -> &'static str {
        "plane-backward"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        grad: &CpuStorage,
        grad_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (n, c, h, w) = x_layout.shape().dims4()?;
        let mut out = uninit(n * c * h * w);
        let (x, grad) = (
            slice(x, x_layout, self.name())?,
            slice(grad, grad_layout, self.name())?,
        );
        self.0.backward(x, grad, h, w, &mut out);
        Ok((CpuStorage::F32(out), (n, c, h, w).into()))
    }
}

/// Applies `plane` to `xs` [N, C, H, W] on the CPU, differentiably.
pub(super) fn apply(xs: &Tensor, plane: Plane) -> Result<Tensor> {
    xs.contiguous()?.apply_op1(Forward(plane))
}

/// Whether our kernels serve this tensor; CUDA, Metal and other number types use candle's.
pub(super) fn is_ours(xs: &Tensor) -> bool {
    xs.device().is_cpu() && xs.dtype() == candle_core::DType::F32
}
