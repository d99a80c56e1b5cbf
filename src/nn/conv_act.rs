//! A convolution with its weights and the activation behind it, computed in one pass.
//!
//! The networks whose batch normalisations are folded into their convolutions (`mobilenet.rs`, the landmark networks)
//! are made of these. Weights that never change can be packed once for the 1 × 1 kernel, instead of at every call.

use std::sync::{Arc, OnceLock};

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

use super::activation::Activation;
use super::conv::{Pad, dense, depthwise_act};
use super::cpu::{Packed, with_slice};
use super::plane_op::is_ours;

/// One layer.
#[derive(Clone, Debug)]
pub struct ConvAct {
    weight: Tensor,
    bias: Option<Tensor>,
    act: Activation,
    is_depthwise: bool,
    /// For weights that never change.
    packed: Option<OnceLock<Arc<Packed>>>,
}

impl ConvAct {
    /// `weight` [outputs, inputs, kernel, kernel] and `bias` `[outputs]` from `vb`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn dense(
        inputs: usize,
        outputs: usize,
        kernel: usize,
        act: Activation,
        vb: VarBuilder,
    ) -> Result<Self> {
        let shape = (outputs, inputs, kernel, kernel);
        Self::load(shape, inputs * kernel * kernel, act, true, vb)
    }

    /// Each channel by itself: `weight` [channels, 1, kernel, kernel] and `bias` `[channels]`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn depthwise(
        channels: usize,
        kernel: usize,
        act: Activation,
        vb: VarBuilder,
    ) -> Result<Self> {
        let shape = (channels, 1, kernel, kernel);
        let layer = Self::load(shape, kernel * kernel, act, true, vb)?;
        Ok(Self {
            is_depthwise: true,
            ..layer
        })
    }

    /// Each channel by itself, 3 × 3, nothing added, nothing following.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn bare_depthwise(channels: usize, vb: VarBuilder) -> Result<Self> {
        let layer = Self::load((channels, 1, 3, 3), 9, Activation::None, false, vb)?;
        Ok(Self {
            is_depthwise: true,
            ..layer
        })
    }

    fn load(
        shape: (usize, usize, usize, usize),
        fan_in: usize,
        act: Activation,
        has_bias: bool,
        vb: VarBuilder,
    ) -> Result<Self> {
        let stdev = (2.0 / fan_in as f64).sqrt();
        Ok(Self {
            weight: vb.get_with_hints(shape, "weight", Init::Randn { mean: 0.0, stdev })?,
            bias: match has_bias {
                true => Some(vb.get_with_hints(shape.0, "bias", Init::Const(0.0))?),
                false => None,
            },
            act,
            is_depthwise: false,
            packed: None,
        })
    }

    /// The same for weights that will never change: they are packed at the first call. A network in training must not
    /// use it.
    pub fn fixed(mut self) -> Self {
        if !self.is_depthwise && !self.weight.track_op() {
            self.packed = Some(OnceLock::new());
        }
        self
    }

    /// The same, outside of the gradient.
    pub fn frozen(mut self) -> Self {
        self.weight = self.weight.detach();
        self.bias = self.bias.map(|bias| bias.detach());
        self
    }

    /// Padded with zeros as given.
    ///
    /// # Errors
    /// When the channels are others or the kernel does not fit.
    pub fn forward(&self, xs: &Tensor, stride: usize, pad: Pad) -> Result<Tensor> {
        let bias = self.bias.as_ref();
        if self.is_depthwise {
            return depthwise_act(xs, &self.weight, bias, (stride, pad), self.act);
        }
        let packed = match &self.packed {
            Some(slot) if is_ours(xs) => self.packed_in(slot)?,
            _ => None,
        };
        dense(xs, &self.weight, bias, (stride, pad), self.act, packed)
    }

    /// TensorFlow's `SAME`: output size is the input's over `stride`, the odd zero at the bottom and right.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn same(&self, xs: &Tensor, stride: usize) -> Result<Tensor> {
        let (_, _, h, w) = xs.dims4()?;
        self.forward(xs, stride, Pad::same((h, w), self.kernel()?, stride))
    }

    /// Where the kernel fits only, stride 1.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn valid(&self, xs: &Tensor) -> Result<Tensor> {
        self.forward(xs, 1, Pad::default())
    }

    /// Height and width of the kernel.
    ///
    /// # Errors
    /// Never: weights have four dimensions.
    pub fn kernel(&self) -> Result<(usize, usize)> {
        let (_, _, kh, kw) = self.weight.dims4()?;
        Ok((kh, kw))
    }

    fn packed_in(&self, slot: &OnceLock<Arc<Packed>>) -> Result<Option<Arc<Packed>>> {
        let (co, ci, kh, kw) = self.weight.dims4()?;
        if kh * kw != 1 {
            return Ok(None);
        }
        if let Some(packed) = slot.get() {
            return Ok(Some(packed.clone()));
        }
        let packed = with_slice(&self.weight, "conv", |weight| {
            Packed::pointwise(weight, co, ci)
        })?;
        Ok(Some(slot.get_or_init(|| Arc::new(packed)).clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::conv::conv2d;
    use candle_core::{DType, Device};
    use candle_nn::VarMap;

    fn largest(a: &Tensor, b: &Tensor) -> f32 {
        let apart = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
        apart.max(0).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn one_pass_gives_what_two_give_packed_or_not() {
        let vars = VarMap::new();
        let vb = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
        // Planes of few pixels, of some panels and a rest, of whole panels; more channels than one pass takes.
        for (ci, co, h, w) in [
            (5, 7, 3, 4),
            (600, 13, 7, 7),
            (24, 96, 16, 16),
            (3, 9, 5, 9),
        ] {
            let vb = vb.pp(format!("{ci}.{co}"));
            let xs = Tensor::randn(0f32, 1.0, (2, ci, h, w), &Device::Cpu).unwrap();
            let layer = ConvAct::dense(ci, co, 1, Activation::Relu6, vb.clone()).unwrap();
            let weight = vb.get((co, ci, 1, 1), "weight").unwrap();
            let bias = vb.get(co, "bias").unwrap();
            let sums = conv2d(&xs, &weight, Some(&bias), 1, Pad::default()).unwrap();
            let expected = sums.clamp(0f32, 6f32).unwrap();
            let product = weight.reshape((co, ci)).unwrap();
            let plain = product
                .broadcast_matmul(&xs.reshape((2, ci, h * w)).unwrap())
                .unwrap();
            assert!(largest(&plain.reshape(sums.shape()).unwrap(), &sums) < 1e-3);
            assert!(largest(&layer.valid(&xs).unwrap(), &expected) < 1e-5);
            let fixed = layer.frozen().fixed();
            for _ in 0..2 {
                assert!(largest(&fixed.valid(&xs).unwrap(), &expected) < 1e-5);
            }
            assert!(fixed.packed.unwrap().get().is_some());
        }
    }

    #[test]
    fn depthwise_layers_bound_their_results_at_every_width() {
        let vb = VarBuilder::zeros(DType::F32, &Device::Cpu);
        for (h, w, kernel, stride) in [(7, 7, 5, 1), (9, 13, 3, 2), (16, 16, 3, 1), (6, 41, 5, 2)] {
            let mut layer = ConvAct::depthwise(6, kernel, Activation::Relu, vb.clone()).unwrap();
            layer.weight = Tensor::randn(0f32, 1.0, (6, 1, kernel, kernel), &Device::Cpu).unwrap();
            let xs = Tensor::randn(0f32, 1.0, (2, 6, h, w), &Device::Cpu).unwrap();
            let pad = Pad::same((h, w), (kernel, kernel), stride);
            let padded = xs
                .pad_with_zeros(2, pad.top, pad.bottom)
                .unwrap()
                .pad_with_zeros(3, pad.left, pad.right)
                .unwrap();
            let expected = padded
                .conv2d(&layer.weight, 0, stride, 1, 6)
                .unwrap()
                .relu()
                .unwrap();
            assert!(largest(&layer.same(&xs, stride).unwrap(), &expected) < 1e-4);
        }
    }

    #[test]
    fn the_gradient_passes_the_activation() {
        let vars = VarMap::new();
        let vb = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
        let layer = ConvAct::dense(4, 6, 3, Activation::Relu, vb.clone()).unwrap();
        let xs = Tensor::randn(0f32, 1.0, (1, 4, 6, 8), &Device::Cpu).unwrap();
        let weight = vb.get((6, 4, 3, 3), "weight").unwrap();
        let gradient = |ys: Tensor| {
            let grads = ys.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            grads.get(&weight).unwrap().clone()
        };
        let one = gradient(layer.same(&xs, 1).unwrap());
        let bias = vb.get(6, "bias").unwrap();
        let sums = conv2d(&xs, &weight, Some(&bias), 1, Pad::all(1)).unwrap();
        let two = gradient(Activation::Relu.apply(&sums).unwrap());
        assert!(largest(&one, &two) < 1e-3);
    }
}
