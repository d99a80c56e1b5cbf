//! ResNet-50 with switchable normalisation, as published (Luo et al. 2019, Shao et al. 2019): the same keys, 373 for SN.
//!
//! The two repositories differ in one place that no key shows: SN pads the pooling behind the stem by one pixel, SSN does
//! not pad and rounds its size up. The mean over the last map is taken over all of it, which at 224² is the published
//! 7 × 7 window. Left out: dropout before the last layer, which evaluation does not have, and the other depths.

use candle_core::{Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};

use crate::nn::activation::Activation;
use crate::nn::norms::{ConvNorm, NormKind, Norms};
use crate::nn::pool::max_pool2d;

/// Blocks of the four stages.
const BLOCKS: [usize; 4] = [3, 4, 6, 3];
/// Channels of the 3 × 3 convolutions in the four stages; blocks put out four times as many.
const WIDTHS: [usize; 4] = [64, 128, 256, 512];
const EXPANSION: usize = 4;

struct Bottleneck {
    units: [ConvNorm; 3],
    downsample: Option<ConvNorm>,
}

impl Bottleneck {
    fn new(
        from: usize,
        width: usize,
        stride: usize,
        norms: &Norms,
        vb: &VarBuilder,
    ) -> Result<Self> {
        let to = width * EXPANSION;
        let unit = |i: usize, from, to, kernel, stride, act| {
            let norm = norms.layer2d(to, act, vb.pp(format!("sn{i}")))?;
            ConvNorm::new(from, to, kernel, stride, norm, vb.pp(format!("conv{i}")))
        };
        let downsample = match from == to && stride == 1 {
            true => None,
            false => {
                let vb = vb.pp("downsample");
                let norm = norms.layer2d(to, Activation::None, vb.pp(1))?;
                Some(ConvNorm::new(from, to, 1, stride, norm, vb.pp(0))?)
            }
        };
        Ok(Self {
            units: [
                unit(1, from, width, 1, 1, Activation::Relu)?,
                unit(2, width, width, 3, stride, Activation::Relu)?,
                unit(3, width, to, 1, 1, Activation::None)?,
            ],
            downsample,
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let mut ys = xs.clone();
        for unit in &self.units {
            ys = unit.forward(&ys)?;
        }
        let skip = match &self.downsample {
            Some(downsample) => downsample.forward(xs)?,
            None => xs.clone(),
        };
        Activation::Relu.apply(&(ys + skip)?)
    }
}

/// The classifier.
pub struct ResNet50 {
    norms: Norms,
    stem: ConvNorm,
    blocks: Vec<Bottleneck>,
    weight: Tensor,
    bias: Tensor,
}

impl ResNet50 {
    /// With SN (`sn`, or `sn-nobn` for networks trained with one picture a rank) or SSN, for `classes` labels.
    ///
    /// # Errors
    /// Another normalisation; tensors that are missing or have another shape.
    pub fn new(kind: NormKind, classes: usize, vb: VarBuilder) -> Result<Self> {
        if !matches!(
            kind,
            NormKind::Switch | NormKind::SwitchNoBatch | NormKind::SparseSwitch
        ) {
            bail!("ResNet-50 was published with sn, sn-nobn and ssn, not with {kind}");
        }
        let norms = Norms::new(kind, 1);
        let norm = norms.layer2d(64, Activation::Relu, vb.pp("sn1"))?;
        let stem = ConvNorm::new(3, 64, 7, 2, norm, vb.pp("conv1"))?;
        let mut blocks = Vec::new();
        let mut from = 64;
        for (stage, (width, count)) in WIDTHS.into_iter().zip(BLOCKS).enumerate() {
            for i in 0..count {
                let stride = if stage > 0 && i == 0 { 2 } else { 1 };
                let vb = vb.pp(format!("layer{}.{i}", stage + 1));
                blocks.push(Bottleneck::new(from, width, stride, &norms, &vb)?);
                from = width * EXPANSION;
            }
        }
        let init = Init::Randn {
            mean: 0.0,
            stdev: 0.01,
        };
        Ok(Self {
            norms,
            stem,
            blocks,
            weight: vb.get_with_hints((classes, from), "fc.weight", init)?,
            bias: vb.get_with_hints(classes, "fc.bias", Init::Const(0.0))?,
        })
    }

    /// What the normalisation layers share: their ratios, and hardening.
    pub fn norms(&self) -> &Norms {
        &self.norms
    }

    /// `xs` [N, 3, H, W], ImageNet's mean and spread taken off → logits [N, classes].
    ///
    /// # Errors
    /// Pictures below 32 pixels a side, or what a layer says.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let (_, _, h, w) = xs.dims4()?;
        if h < 32 || w < 32 {
            bail!("ResNet-50 takes pictures of 32 × 32 pixels and more, not {w} × {h}");
        }
        let ys = self.stem.forward(xs)?;
        let mut ys = max_pool2d(&self.padded(&ys)?, 3, 2)?;
        for block in &self.blocks {
            ys = block.forward(&ys)?;
        }
        ys.mean((2, 3))?
            .matmul(&self.weight.t()?)?
            .broadcast_add(&self.bias)
    }

    /// Zeros around the map for pooling; behind ReLU they never win.
    fn padded(&self, xs: &Tensor) -> Result<Tensor> {
        let (_, _, h, w) = xs.dims4()?;
        let (before, after): (usize, [usize; 2]) = match self.norms.kind() {
            // Windows of 3 with stride 2 that start inside: one more where the size is even.
            NormKind::SparseSwitch => (0, [(h + 1) % 2, (w + 1) % 2]),
            _ => (1, [1, 1]),
        };
        xs.pad_with_zeros(2, before, after[0])?
            .pad_with_zeros(3, before, after[1])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex};

    use candle_core::{DType, Device, Shape};
    use candle_nn::var_builder::SimpleBackend;

    use super::*;

    /// Makes every tensor by a formula of its place, and keeps their names and shapes.
    #[derive(Default)]
    struct Formula(Arc<Mutex<HashMap<String, Vec<usize>>>>);

    impl SimpleBackend for Formula {
        fn get(&self, s: Shape, name: &str, _: Init, dtype: DType, dev: &Device) -> Result<Tensor> {
            self.0
                .lock()
                .unwrap()
                .insert(name.to_string(), s.dims().to_vec());
            // 101 values repeat, so that making 25 million is quick.
            let spread = match s.dims() {
                [_, i, kh, kw] if i * kh * kw > 1 => (6.0 / (i * kh * kw) as f64).sqrt(),
                [_, i] => 1.0 / (*i as f64).sqrt(),
                _ => 0.3,
            };
            let offset = match name.rsplit('.').next() {
                Some("weight") if s.dims().first() == Some(&1) => 1.0,
                Some("running_var") => 1.0,
                _ => 0.0,
            };
            // Flags that say nothing is decided.
            let spread = if name.ends_with("_fixed") {
                0.0
            } else {
                spread
            };
            let seed = name.bytes().map(f64::from).sum::<f64>() % 17.0;
            let table: Vec<f32> = (0..101)
                .map(|i| (offset + spread * (f64::from(i) * 1.3 + seed).sin()) as f32)
                .collect();
            let values: Vec<f32> = (0..s.elem_count()).map(|i| table[i % 101]).collect();
            Tensor::from_vec(values, s, dev)?.to_dtype(dtype)
        }

        fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
            bail!("{name} was asked for without a shape")
        }

        fn contains_tensor(&self, _: &str) -> bool {
            true
        }
    }

    fn network(kind: NormKind) -> (ResNet50, HashMap<String, Vec<usize>>) {
        let formula = Formula::default();
        let seen = Arc::clone(&formula.0);
        let vb = VarBuilder::from_backend(Box::new(formula), DType::F32, Device::Cpu);
        let net = ResNet50::new(kind, 1000, vb).unwrap();
        let seen = seen.lock().unwrap().clone();
        (net, seen)
    }

    #[test]
    fn keys_are_the_published_ones() {
        let (_, seen) = network(NormKind::Switch);
        assert_eq!(seen.len(), 373);
        let elements: usize = seen.values().map(|s| s.iter().product::<usize>()).sum();
        assert_eq!(elements, 25_557_350 + 53_120);
        for (name, shape) in [
            ("sn1.running_var", vec![1, 64, 1]),
            ("layer1.0.downsample.1.mean_weight", vec![3]),
            ("layer2.3.sn3.bias", vec![1, 512, 1, 1]),
            ("layer4.2.conv2.weight", vec![512, 512, 3, 3]),
            ("fc.weight", vec![1000, 2048]),
        ] {
            assert_eq!(seen.get(name), Some(&shape), "{name}");
        }
        assert!(!seen.contains_key("layer1.1.downsample.0.weight"));
    }

    /// Logits by an independent reading of the published code in numpy (f64, evaluation, the formula's tensors).
    #[test]
    fn logits_are_those_of_the_published_network() {
        let known: [(NormKind, [f32; 7]); 2] = [
            (
                NormKind::Switch,
                [
                    0.720794, 2.94978, 2.362042, -1.763476, 3.310558, -1.575422, 1.383551,
                ],
            ),
            (
                NormKind::SparseSwitch,
                [
                    1.290977, 3.685374, 2.702787, -2.072962, 4.15785, -1.676127, 1.832572,
                ],
            ),
        ];
        let xs: Vec<f32> = (0..3 * 48 * 40)
            .map(f64::from)
            .map(|i| ((0.05 * i).sin() + 0.5 * (0.011 * i).cos()) as f32)
            .collect();
        let xs = Tensor::from_vec(xs, (1, 3, 48, 40), &Device::Cpu).unwrap();
        for (kind, known) in known {
            let (net, _) = network(kind);
            if kind == NormKind::SparseSwitch {
                assert!(net.norms().ratios().unwrap()[0].decision[0].is_none());
            }
            let logits = net
                .forward(&xs)
                .unwrap()
                .get(0)
                .unwrap()
                .to_vec1::<f32>()
                .unwrap();
            let found = [0, 1, 2, 3, 500, 998, 999].map(|i| logits[i]);
            for (f, k) in found.iter().zip(known) {
                assert!((f - k).abs() < 2e-3, "{kind}: {found:?} and {known:?}");
            }
        }
    }

    #[test]
    fn other_norms_and_tiny_pictures_are_refused() {
        let (net, _) = network(NormKind::SwitchNoBatch);
        let tiny = Tensor::zeros((1, 3, 16, 64), DType::F32, &Device::Cpu).unwrap();
        assert!(net.forward(&tiny).unwrap_err().to_string().contains("32"));
        let vb = VarBuilder::from_backend(Box::<Formula>::default(), DType::F32, Device::Cpu);
        assert!(ResNet50::new(NormKind::Batch, 10, vb).is_err());
    }
}
