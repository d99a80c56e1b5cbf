//! Two-dimensional convolutions: dense, depthwise and transposed, differentiable on every device.
//!
//! Groups other than one and one-per-channel, and dilation, are left out: no model here uses them.

use super::activation::Activation;
use super::cpu::geometry::{After, Geometry, OutMap};
use super::cpu::micro::Clamp;
use super::cpu::{Packed, depthwise, direct, pointwise, slice, uninit};
use super::plane_op::is_ours;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor, bail};

/// Zero padding on each side, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pad {
    pub top: usize,
    pub bottom: usize,
    pub left: usize,
    pub right: usize,
}

impl Pad {
    /// The same padding on all four sides.
    pub const fn all(px: usize) -> Self {
        Self {
            top: px,
            bottom: px,
            left: px,
            right: px,
        }
    }

    /// TensorFlow's `SAME`: an output of `ceil(size / stride)`, the odd pixel at the bottom and right.
    pub fn same(size_hw: (usize, usize), kernel_hw: (usize, usize), stride: usize) -> Self {
        let total = |size: usize, k: usize| {
            (size.div_ceil(stride).saturating_sub(1) * stride + k).saturating_sub(size)
        };
        let (v, h) = (total(size_hw.0, kernel_hw.0), total(size_hw.1, kernel_hw.1));
        Self {
            top: v / 2,
            bottom: v - v / 2,
            left: h / 2,
            right: h - h / 2,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Dense,
    Depthwise,
    /// Dense, with input and output exchanged.
    Transposed,
}

/// One convolution: how the weight's shape reads, the geometry of the forward (not transposed) direction, and what
/// follows in the same pass.
#[derive(Clone)]
struct Conv {
    kind: Kind,
    geometry: Geometry,
    has_bias: bool,
    act: Activation,
    /// The weights of a 1 × 1 convolution as the kernel reads them, if they were packed before.
    packed: Option<Arc<Packed>>,
}

struct WeightGradient(Conv);
struct InputGradient(Conv);

impl Conv {
    fn full_map(&self) -> OutMap {
        let g = &self.geometry;
        OutMap {
            plane: g.ho * g.wo,
            base: 0,
            row_step: g.wo,
            col_step: 1,
        }
    }

    /// Input → output in the direction of [`direct::forward`].
    fn gather(&self, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> (Vec<f32>, Shape) {
        let g = &self.geometry;
        let mut out = uninit(g.n * g.co * g.ho * g.wo);
        let after = After {
            bias,
            clamp: self.act.clamp().unwrap_or(Clamp::NONE),
        };
        let map = self.full_map();
        match (self.kind, &self.packed) {
            (Kind::Depthwise, _) => depthwise::forward(g, x, weight, after, map, &mut out),
            (Kind::Dense, Some(packed)) if g.is_pointwise(map) => {
                pointwise::forward(g, x, packed, after, None, &mut out);
            }
            _ => direct::forward(g, x, weight, after, map, &mut out),
        }
        (out, (g.n, g.co, g.ho, g.wo).into())
    }

    /// Output → input: transposed convolution.
    fn scatter(&self, y: &[f32], weight: &[f32], bias: Option<&[f32]>) -> (Vec<f32>, Shape) {
        let g = &self.geometry;
        let mut out = uninit(g.n * g.ci * g.h * g.w);
        match self.kind {
            Kind::Depthwise => depthwise::transposed(g, y, weight, &mut out),
            _ => direct::transposed(g, y, weight, bias, &mut out),
        }
        (out, (g.n, g.ci, g.h, g.w).into())
    }
}

impl CustomOp3 for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (
            slice(x, x_layout, self.name())?,
            slice(weight, weight_layout, self.name())?,
        );
        let bias = if self.has_bias {
            Some(slice(bias, bias_layout, self.name())?)
        } else {
            None
        };
        let (out, shape) = match self.kind {
            Kind::Transposed => self.scatter(x, weight, bias),
            _ => self.gather(x, weight, bias),
        };
        Ok((CpuStorage::F32(out), shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = match self.act {
            Activation::None => grad.contiguous()?,
            act => act.back(res, grad)?,
        };
        let sums = || Self {
            act: Activation::None,
            packed: None,
            ..self.clone()
        };
        let dx = if x.track_op() {
            Some(grad.apply_op2_no_bwd(weight, &InputGradient(sums()))?)
        } else {
            None
        };
        let dw = if weight.track_op() {
            Some(
                x.apply_op2_no_bwd(&grad, &WeightGradient(sums()))?
                    .reshape(weight.shape())?,
            )
        } else {
            None
        };
        let db = if self.has_bias && bias.track_op() {
            Some(super::norm::channel_sums(&grad)?)
        } else {
            None
        };
        Ok((dx, dw, db))
    }
}

impl CustomOp2 for InputGradient {
    fn name(&self) -> &'static str {
        "conv-input-gradient"
    }

    fn cpu_fwd(
        &self,
        grad: &CpuStorage,
        grad_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (grad, weight) = (
            slice(grad, grad_layout, self.name())?,
            slice(weight, weight_layout, self.name())?,
        );
        let (out, shape) = match self.0.kind {
            Kind::Transposed => self.0.gather(grad, weight, None),
            _ => self.0.scatter(grad, weight, None),
        };
        Ok((CpuStorage::F32(out), shape))
    }
}

impl CustomOp2 for WeightGradient {
    fn name(&self) -> &'static str {
        "conv-weight-gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        grad: &CpuStorage,
        grad_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, grad) = (
            slice(x, x_layout, self.name())?,
            slice(grad, grad_layout, self.name())?,
        );
        let g = &self.0.geometry;
        let out = match self.0.kind {
            Kind::Dense => direct::weight_gradient(g, x, grad),
            Kind::Depthwise => depthwise::weight_gradient(g, x, grad),
            Kind::Transposed => direct::weight_gradient(g, grad, x),
        };
        let len = out.len();
        Ok((CpuStorage::F32(out), len.into()))
    }
}

/// Number of outputs along one side; an error when the kernel does not fit.
fn out_size(size: usize, pads: usize, kernel: usize, stride: usize) -> Result<usize> {
    if stride == 0 || kernel == 0 || size + pads < kernel {
        bail!(
            "a kernel of {kernel} with stride {stride} does not fit {size} pixels padded by {pads}"
        );
    }
    Ok((size + pads - kernel) / stride + 1)
}

fn run(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>, op: Conv) -> Result<Tensor> {
    let (xs, weight) = (xs.contiguous()?, weight.contiguous()?);
    let absent;
    let bias = match bias {
        Some(b) => b,
        None => {
            absent = Tensor::zeros(1, DType::F32, xs.device())?;
            &absent
        }
    };
    let apart = op.act;
    if apart.clamp().is_some() {
        return xs.apply_op3(&weight, &bias.contiguous()?, op);
    }
    let act = Activation::None;
    apart.apply(&xs.apply_op3(&weight, &bias.contiguous()?, Conv { act, ..op })?)
}

fn add_bias(ys: Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    match bias {
        Some(b) => ys.broadcast_add(&b.reshape((1, (), 1, 1))?),
        None => Ok(ys),
    }
}

fn zero_padded(xs: &Tensor, pad: Pad) -> Result<Tensor> {
    xs.pad_with_zeros(2, pad.top, pad.bottom)?
        .pad_with_zeros(3, pad.left, pad.right)
}

/// Convolution of `xs` [N, I, H, W] with `weight` [O, I, kh, kw] and `bias` `[O]`.
pub fn conv2d(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    pad: Pad,
) -> Result<Tensor> {
    dense(xs, weight, bias, (stride, pad), Activation::None, None)
}

/// The same with what follows, and weights that may have been packed before.
pub(super) fn dense(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    (stride, pad): (usize, Pad),
    act: Activation,
    packed: Option<Arc<Packed>>,
) -> Result<Tensor> {
    let (n, ci, h, w) = xs.dims4()?;
    let (co, wi, kh, kw) = weight.dims4()?;
    if wi != ci {
        bail!("a convolution for {wi} channels was given {ci}");
    }
    let (ho, wo) = (
        out_size(h, pad.top + pad.bottom, kh, stride)?,
        out_size(w, pad.left + pad.right, kw, stride)?,
    );
    if !is_ours(xs) {
        let sums = zero_padded(xs, pad)?.conv2d(weight, 0, stride, 1, 1)?;
        return act.apply(&add_bias(sums, bias)?);
    }
    let geometry = Geometry {
        n,
        ci,
        h,
        w,
        co,
        ho,
        wo,
        kh,
        kw,
        stride,
        top: pad.top as isize,
        left: pad.left as isize,
    };
    run(
        xs,
        weight,
        bias,
        Conv {
            kind: Kind::Dense,
            geometry,
            has_bias: bias.is_some(),
            act,
            packed,
        },
    )
}

/// Depthwise convolution of `xs` [N, C, H, W] with `weight` [C, 1, kh, kw] and `bias` `[C]`.
pub fn depthwise_conv2d(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    pad: Pad,
) -> Result<Tensor> {
    depthwise_act(xs, weight, bias, (stride, pad), Activation::None)
}

/// The geometry of a depthwise convolution of [N, C, H, W].
pub(super) fn depthwise_geometry(
    (n, c, h, w): (usize, usize, usize, usize),
    weight: &Tensor,
    stride: usize,
    pad: Pad,
) -> Result<Geometry> {
    let (wc, one, kh, kw) = weight.dims4()?;
    if wc != c || one != 1 {
        bail!("a depthwise convolution with weight [{wc}, {one}, …] was given {c} channels");
    }
    Ok(Geometry {
        n,
        ci: c,
        h,
        w,
        co: c,
        ho: out_size(h, pad.top + pad.bottom, kh, stride)?,
        wo: out_size(w, pad.left + pad.right, kw, stride)?,
        kh,
        kw,
        stride,
        top: pad.top as isize,
        left: pad.left as isize,
    })
}

/// The same with what follows.
pub(super) fn depthwise_act(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    (stride, pad): (usize, Pad),
    act: Activation,
) -> Result<Tensor> {
    let geometry = depthwise_geometry(xs.dims4()?, weight, stride, pad)?;
    if !is_ours(xs) {
        let sums = zero_padded(xs, pad)?.conv2d(weight, 0, stride, 1, geometry.ci)?;
        return act.apply(&add_bias(sums, bias)?);
    }
    run(
        xs,
        weight,
        bias,
        Conv {
            kind: Kind::Depthwise,
            geometry,
            has_bias: bias.is_some(),
            act,
            packed: None,
        },
    )
}

/// Transposed convolution of `xs` [N, I, H, W] with `weight` [I, O, kh, kw] and `bias` `[O]`, as PyTorch's
/// `ConvTranspose2d`: output side (H − 1)·stride − 2·padding + k + output_padding.
pub fn conv_transpose2d(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
    output_padding: usize,
) -> Result<Tensor> {
    let (n, ci, h, w) = xs.dims4()?;
    let (wi, co, kh, kw) = weight.dims4()?;
    if wi != ci {
        bail!("a transposed convolution for {wi} channels was given {ci}");
    }
    if h == 0
        || w == 0
        || stride == 0
        || (h - 1) * stride + kh + output_padding <= 2 * padding
        || (w - 1) * stride + kw + output_padding <= 2 * padding
    {
        bail!(
            "a transposed convolution of {h}×{w} with kernel {kh}×{kw} and padding {padding} has no output"
        );
    }
    if !is_ours(xs) {
        return add_bias(
            xs.conv_transpose2d(weight, padding, output_padding, stride, 1)?,
            bias,
        );
    }
    let (out_h, out_w) = (
        (h - 1) * stride + kh + output_padding - 2 * padding,
        (w - 1) * stride + kw + output_padding - 2 * padding,
    );
    let pad = padding as isize;
    let geometry = Geometry {
        n,
        ci: co,
        h: out_h,
        w: out_w,
        co: ci,
        ho: h,
        wo: w,
        kh,
        kw,
        stride,
        top: pad,
        left: pad,
    };
    run(
        xs,
        weight,
        bias,
        Conv {
            kind: Kind::Transposed,
            geometry,
            has_bias: bias.is_some(),
            act: Activation::None,
            packed: None,
        },
    )
}
