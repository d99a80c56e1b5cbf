//! A convolution with its weights and the activation behind it, computed in one pass.
//!
//! The networks whose batch normalisations are folded into their convolutions (`mobilenet.rs`, the landmark networks)
//! are made of these. Weights that never change can be packed once for the 1 × 1 kernel, instead of at every call.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use candle_nn::{Init, VarBuilder};

use super::activation::Activation;
use super::conv::{Pad, dense, depthwise_act, depthwise_geometry};
use super::cpu::geometry::{After, Geometry};
use super::cpu::micro::Clamp;
use super::cpu::{Packed, pointwise, slice, uninit, widened, with_slice};
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

    /// [`Self::dense`] with weights that stay as they are: see [`Self::fixed`].
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn fixed_dense(
        inputs: usize,
        outputs: usize,
        kernel: usize,
        act: Activation,
        vb: VarBuilder,
    ) -> Result<Self> {
        Ok(Self::dense(inputs, outputs, kernel, act, vb)?.fixed())
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
        if !self.is_depthwise && !self.is_learning() {
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

    /// This 1 × 1 layer and a depthwise one behind it. Where this one is fixed, what lies between them never goes to
    /// memory.
    ///
    /// # Errors
    /// As [`Self::forward`] of both.
    pub fn then_depthwise(
        &self,
        depthwise: &Self,
        xs: &Tensor,
        stride: usize,
        pad: Pad,
    ) -> Result<Tensor> {
        // What the second layer learns must not be lost.
        let packed = match depthwise.is_learning() {
            true => None,
            false => self.packed_for(xs)?,
        };
        let clamps = (self.act.clamp(), depthwise.act.clamp());
        let (Some(packed), (Some(between), Some(after))) = (packed, clamps) else {
            return depthwise.forward(&self.valid(xs)?, stride, pad);
        };
        let (n, _, h, w) = xs.dims4()?;
        let (co, ci, _, _) = self.weight.dims4()?;
        let wide = (n, co, h, w);
        let geometry = depthwise_geometry(wide, &depthwise.weight, stride, pad)?;
        xs.contiguous()?.apply_op1_no_bwd(&Widened {
            geometry,
            inputs: ci,
            packed,
            between,
            after,
            expand: self,
            depthwise,
        })
    }

    /// This 1 × 1 layer with a shortcut past it: `act(conv(xs) + shortcut)`. A shortcut of fewer channels counts as
    /// nothing in the others. Where the layer is fixed all is one pass.
    ///
    /// # Errors
    /// As [`Self::forward`], and when the shortcut does not fit the result.
    pub fn valid_plus(&self, xs: &Tensor, shortcut: &Tensor) -> Result<Tensor> {
        let (n, _, h, w) = xs.dims4()?;
        let (co, ci, _, _) = self.weight.dims4()?;
        let (sn, short, sh, sw) = shortcut.dims4()?;
        if (sn, sh, sw) != (n, h, w) || short > co {
            candle_core::bail!(
                "a shortcut of {short} maps {sh}×{sw} does not fit {co} maps {h}×{w}"
            );
        }
        let is_free = is_ours(shortcut) && !shortcut.track_op();
        match (self.packed_for(xs)?, self.act.clamp()) {
            (Some(packed), Some(clamp)) if is_free => {
                let op = Shortened {
                    inputs: ci,
                    outputs: co,
                    packed,
                    clamp,
                    layer: self,
                };
                xs.contiguous()?
                    .apply_op2_no_bwd(&shortcut.contiguous()?, &op)
            }
            _ => {
                let layer = (1, Pad::default());
                let bias = self.bias.as_ref();
                let sums = dense(xs, &self.weight, bias, layer, Activation::None, None)?;
                let shortcut = shortcut.pad_with_zeros(1, 0, co - short)?;
                self.act.apply(&(sums + shortcut)?)
            }
        }
    }

    /// The packed weights, if this layer is fixed and they serve this tensor.
    fn packed_for(&self, xs: &Tensor) -> Result<Option<Arc<Packed>>> {
        match &self.packed {
            Some(slot) if is_ours(xs) && !xs.track_op() => self.packed_in(slot),
            _ => Ok(None),
        }
    }

    fn is_learning(&self) -> bool {
        let bias = self.bias.as_ref();
        self.weight.track_op() || bias.is_some_and(|bias| bias.track_op())
    }

    /// Calls `body` with the values that are added to each channel, if there are any.
    fn with_bias<T>(&self, body: impl FnOnce(Option<&[f32]>) -> T) -> Result<T> {
        match &self.bias {
            Some(bias) => with_slice(bias, "conv", |bias| body(Some(bias))),
            None => Ok(body(None)),
        }
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

/// A 1 × 1 layer and a depthwise one behind it.
struct Widened<'a> {
    /// Of the depthwise layer.
    geometry: Geometry,
    /// Channels that enter the first layer, its weights and bounds.
    inputs: usize,
    packed: Arc<Packed>,
    between: Clamp,
    /// Bounds of the second.
    after: Clamp,
    expand: &'a ConvAct,
    depthwise: &'a ConvAct,
}

impl CustomOp1 for Widened<'_> {
    fn name(&self) -> &'static str {
        "widened"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let g = &self.geometry;
        let xs = slice(storage, layout, self.name())?;
        check_channels(layout, self.inputs)?;
        let mut out = uninit(g.n * g.co * g.ho * g.wo);
        self.expand.with_bias(|bias| {
            let clamp = self.between;
            let expand = (self.inputs, &*self.packed, After { bias, clamp });
            self.depthwise.with_bias(|bias| {
                let clamp = self.after;
                with_slice(&self.depthwise.weight, self.name(), |weight| {
                    widened::forward(g, xs, expand, (weight, After { bias, clamp }), &mut out);
                })
            })
        })???;
        Ok((CpuStorage::F32(out), (g.n, g.co, g.ho, g.wo).into()))
    }
}

/// A 1 × 1 layer and a shortcut past it.
struct Shortened<'a> {
    inputs: usize,
    outputs: usize,
    packed: Arc<Packed>,
    clamp: Clamp,
    layer: &'a ConvAct,
}

impl CustomOp2 for Shortened<'_> {
    fn name(&self) -> &'static str {
        "shortened"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        layout: &Layout,
        shortcut: &CpuStorage,
        shortcut_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let [n, h, w] = check_channels(layout, self.inputs)?;
        let g = Geometry {
            n,
            ci: self.inputs,
            h,
            w,
            co: self.outputs,
            ho: h,
            wo: w,
            kh: 1,
            kw: 1,
            stride: 1,
            top: 0,
            left: 0,
        };
        let xs = slice(xs, layout, self.name())?;
        let shortcut = slice(shortcut, shortcut_layout, self.name())?;
        let mut out = uninit(n * self.outputs * h * w);
        self.layer.with_bias(|bias| {
            let clamp = self.clamp;
            let after = After { bias, clamp };
            pointwise::forward(&g, xs, &self.packed, after, Some(shortcut), &mut out);
        })?;
        Ok((CpuStorage::F32(out), (n, self.outputs, h, w).into()))
    }
}

/// Samples, height and width of a tensor with so many channels.
fn check_channels(layout: &Layout, channels: usize) -> Result<[usize; 3]> {
    let (n, c, h, w) = layout.shape().dims4()?;
    if c != channels {
        candle_core::bail!("a layer for {channels} channels was given {c}");
    }
    Ok([n, h, w])
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
            for short in [co, co / 2] {
                let past = Tensor::randn(0f32, 1.0, (2, short, h, w), &Device::Cpu).unwrap();
                let wide = past.pad_with_zeros(1, 0, co - short).unwrap();
                let sum = (&sums + &wide).unwrap().clamp(0f32, 6f32).unwrap();
                for layer in [layer.clone(), layer.clone().frozen().fixed()] {
                    assert!(largest(&layer.valid_plus(&xs, &past).unwrap(), &sum) < 1e-5);
                    let flat = past.narrow(2, 0, h - 1).unwrap();
                    assert!(layer.valid_plus(&xs, &flat).is_err());
                }
            }
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
    fn two_layers_in_one_give_what_they_give_one_after_the_other() {
        let vb = VarBuilder::zeros(DType::F32, &Device::Cpu);
        let random = |shape: &[usize]| Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap();
        // Planes that are cut into blocks and small ones; channels that do not fill their tiles; more than one pass.
        for (n, ci, co, h, w, kernel, stride) in [
            (1, 16, 64, 37, 41, 3, 1),
            (2, 24, 43, 14, 14, 5, 1),
            (1, 600, 31, 7, 7, 3, 1),
            (3, 5, 10, 9, 30, 5, 2),
            (1, 8, 14, 3, 3, 3, 2),
        ] {
            let mut expand = ConvAct::dense(ci, co, 1, Activation::Relu6, vb.clone()).unwrap();
            expand.weight = random(&[co, ci, 1, 1]);
            expand.bias = Some(random(&[co]));
            let mut depthwise =
                ConvAct::depthwise(co, kernel, Activation::Relu6, vb.clone()).unwrap();
            depthwise.weight = random(&[co, 1, kernel, kernel]);
            depthwise.bias = Some(random(&[co]));
            let xs = random(&[n, ci, h, w]);
            let pad = Pad::same((h, w), (kernel, kernel), stride);
            let apart = expand.valid(&xs).unwrap();
            let apart = depthwise.forward(&apart, stride, pad).unwrap();
            let unfixed = expand.then_depthwise(&depthwise, &xs, stride, pad).unwrap();
            assert_eq!(largest(&unfixed, &apart), 0.0);
            let fixed = expand.fixed();
            let in_one = fixed.then_depthwise(&depthwise, &xs, stride, pad).unwrap();
            assert!(largest(&in_one, &apart) < 1e-4, "{ci} to {co}, {h} × {w}");
            let other = random(&[n, ci + 1, h, w]);
            assert!(
                fixed
                    .then_depthwise(&depthwise, &other, stride, pad)
                    .is_err()
            );
        }
    }

    #[test]
    fn a_depthwise_layer_behind_a_fixed_one_still_learns() {
        let vars = VarMap::new();
        let learning = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
        let still = VarBuilder::zeros(DType::F32, &Device::Cpu);
        let expand = ConvAct::fixed_dense(3, 4, 1, Activation::Relu, still).unwrap();
        let depthwise = ConvAct::depthwise(4, 3, Activation::Relu, learning.clone()).unwrap();
        let xs = Tensor::randn(0f32, 1.0, (1, 3, 6, 6), &Device::Cpu).unwrap();
        let ys = expand.then_depthwise(&depthwise, &xs, 1, Pad::all(1));
        let grads = ys.unwrap().sum_all().unwrap().backward().unwrap();
        let weight = learning.get((4, 1, 3, 3), "weight").unwrap();
        assert!(grads.get(&weight).is_some());
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
