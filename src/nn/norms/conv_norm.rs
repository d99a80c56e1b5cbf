//! A convolution with the normalisation behind it, as one unit.
//!
//! In evaluation a normalisation that is a factor and a shift for each channel goes into the weights of the
//! convolution and costs nothing; what that applies to, [`Norm::as_affine`] says.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

use super::Norm;
use crate::nn::conv::{Pad, conv2d};

/// `act(norm(conv(x)))`, the convolution without bias.
#[derive(Clone)]
pub struct ConvNorm {
    weight: Tensor,
    stride: usize,
    norm: Norm,
}

impl ConvNorm {
    /// `kernel` × `kernel`, odd, padded so that stride 1 keeps the size. Key `weight` [O, I, k, k] in `vb`.
    ///
    /// # Errors
    /// If the weight is missing or has another shape.
    pub fn new(
        inputs: usize,
        outputs: usize,
        kernel: usize,
        stride: usize,
        norm: Norm,
        vb: VarBuilder,
    ) -> Result<Self> {
        let stdev = (2.0 / (inputs * kernel * kernel) as f64).sqrt();
        let init = Init::Randn { mean: 0.0, stdev };
        let weight = vb.get_with_hints((outputs, inputs, kernel, kernel), "weight", init)?;
        Ok(Self {
            weight,
            stride,
            norm,
        })
    }

    /// [N, I, H, W] → [N, O, H / stride, W / stride].
    ///
    /// # Errors
    /// Another number of channels, or what the normalisation says.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let pad = Pad::all(self.weight.dim(2)? / 2);
        if let Some((scale, shift)) = self.norm.as_affine()? {
            let weight = self.weight.broadcast_mul(&scale.reshape(((), 1, 1, 1))?)?;
            let ys = conv2d(xs, &weight, Some(&shift), self.stride, pad)?;
            return self.norm.activation().apply(&ys);
        }
        self.norm
            .forward(&conv2d(xs, &self.weight, None, self.stride, pad)?)
    }
}
