//! Two-dimensional convolutions.
use candle_core::{Result, Tensor};

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

/// Convolution of `xs` [N, I, H, W] with `weight` [O, I, kh, kw] and `bias` [O].
pub fn conv2d(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    pad: Pad,
) -> Result<Tensor> {
    let xs = xs
        .pad_with_zeros(2, pad.top, pad.bottom)?
        .pad_with_zeros(3, pad.left, pad.right)?;
    let ys = xs.conv2d(weight, 0, stride, 1, 1)?;
    match bias {
        Some(b) => ys.broadcast_add(&b.reshape((1, (), 1, 1))?),
        None => Ok(ys),
    }
}

/// Depthwise convolution of `xs` [N, C, H, W] with `weight` [C, 1, kh, kw] and `bias` [C].
pub fn depthwise_conv2d(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    pad: Pad,
) -> Result<Tensor> {
    let c = xs.dim(1)?;
    let xs = xs
        .pad_with_zeros(2, pad.top, pad.bottom)?
        .pad_with_zeros(3, pad.left, pad.right)?;
    let ys = xs.conv2d(weight, 0, stride, 1, c)?;
    match bias {
        Some(b) => ys.broadcast_add(&b.reshape((1, (), 1, 1))?),
        None => Ok(ys),
    }
}
