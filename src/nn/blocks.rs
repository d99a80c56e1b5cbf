//! Small layers with parameters, and the residual block that parser, generator and discriminators share.

use super::activation::Activation;
use super::conv::{Pad, conv2d};
use super::norm::group_norm;
use super::norms::{Norm, NormKind, Norms};
use candle_core::{Device, Result, Tensor};
use candle_nn::{Init, VarBuilder};

/// Variance added before the square root of a normalisation, as in PyTorch.
pub const EPS: f64 = 1e-5;

/// A dense convolution with bias.
#[derive(Clone, Debug)]
pub struct Conv {
    weight: Tensor,
    bias: Tensor,
    stride: usize,
}

impl Conv {
    /// `kernel` × `kernel`, padded so that stride 1 keeps the size. Keys `weight` [O, I, k, k], `bias` `[O]`.
    pub fn new(
        inputs: usize,
        outputs: usize,
        kernel: usize,
        stride: usize,
        vb: VarBuilder,
    ) -> Result<Self> {
        Self::scaled(inputs, outputs, kernel, stride, 1.0, vb)
    }

    /// As [`Conv::new`] with the initial weights multiplied by `gain`; 0 makes a branch start silent.
    pub fn scaled(
        inputs: usize,
        outputs: usize,
        kernel: usize,
        stride: usize,
        gain: f64,
        vb: VarBuilder,
    ) -> Result<Self> {
        let stdev = gain * (2.0 / (inputs * kernel * kernel) as f64).sqrt();
        let init = Init::Randn { mean: 0.0, stdev };
        let weight = vb.get_with_hints((outputs, inputs, kernel, kernel), "weight", init)?;
        let bias = vb.get_with_hints(outputs, "bias", Init::Const(0.0))?;
        Ok(Self {
            weight,
            bias,
            stride,
        })
    }

    /// [N, I, H, W] → [N, O, H / stride, W / stride].
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let kernel = self.weight.dim(2)?;
        // Even kernels pad by one less than half: 4 × 4 with stride 2 halves the size.
        let pad = Pad::all((kernel - 1) / 2);
        conv2d(xs, &self.weight, Some(&self.bias), self.stride, pad)
    }
}

/// Group normalisation with scale and shift per channel, and the activation behind it.
#[derive(Clone, Debug)]
pub struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: usize,
    act: Activation,
}

impl GroupNorm {
    /// Keys `weight`, `bias` `[C]`.
    pub fn new(channels: usize, groups: usize, act: Activation, vb: VarBuilder) -> Result<Self> {
        let weight = vb.get_with_hints(channels, "weight", Init::Const(1.0))?;
        let bias = vb.get_with_hints(channels, "bias", Init::Const(0.0))?;
        Ok(Self {
            weight,
            bias,
            groups,
            act,
        })
    }

    /// Keeps the shape.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        group_norm(xs, &self.weight, &self.bias, self.groups, EPS, self.act)
    }
}

/// `x + conv(act(norm(conv(act(norm(x))))))`: the pre-activation residual block (He et al. 2016).
#[derive(Clone, Debug)]
pub struct ResidualBlock {
    norm1: Norm,
    conv1: Conv,
    norm2: Norm,
    conv2: Conv,
}

impl ResidualBlock {
    /// `channels` in and out, in groups of normalisation.
    pub fn new(channels: usize, groups: usize, act: Activation, vb: VarBuilder) -> Result<Self> {
        let norms = Norms::new(NormKind::Group, groups);
        Self::with_norms(channels, &norms, act, vb)
    }

    /// As [`ResidualBlock::new`] with any normalisation.
    pub fn with_norms(
        channels: usize,
        norms: &Norms,
        act: Activation,
        vb: VarBuilder,
    ) -> Result<Self> {
        Ok(Self {
            norm1: norms.layer2d(channels, act, vb.pp("norm1"))?,
            conv1: Conv::new(channels, channels, 3, 1, vb.pp("conv1"))?,
            norm2: norms.layer2d(channels, act, vb.pp("norm2"))?,
            conv2: Conv::scaled(channels, channels, 3, 1, 0.3, vb.pp("conv2"))?,
        })
    }

    /// Keeps the shape.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let ys = self.conv1.forward(&self.norm1.forward(xs)?)?;
        xs + self.conv2.forward(&self.norm2.forward(&ys)?)?
    }
}

/// A fully connected layer.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Keys `weight` [O, I], `bias` `[O]`.
    pub fn new(inputs: usize, outputs: usize, gain: f64, vb: VarBuilder) -> Result<Self> {
        let stdev = gain * (2.0 / inputs as f64).sqrt();
        let init = Init::Randn { mean: 0.0, stdev };
        let weight = vb.get_with_hints((outputs, inputs), "weight", init)?;
        let bias = vb.get_with_hints(outputs, "bias", Init::Const(0.0))?;
        Ok(Self { weight, bias })
    }

    /// Where the layer runs.
    pub fn device(&self) -> &Device {
        self.weight.device()
    }

    /// [N, I] → [N, O].
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        xs.matmul(&self.weight.t()?)?.broadcast_add(&self.bias)
    }
}
