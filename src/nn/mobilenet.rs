//! MobileNetV2's encoder (Sandler et al. 2018) with batch normalisation already folded into its convolutions.
//!
//! The converted MoveNet networks are built on it, at several widths, and the face parser starts from one of them.
//! Left out: the classifier, and the last 1 × 1 convolution before it.

use super::activation::Activation;
use super::conv::{Pad, conv2d, depthwise_conv2d};
use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

/// A convolution with bias, dense or depthwise, padded as TensorFlow's `SAME`.
#[derive(Clone, Debug)]
struct Conv {
    weight: Tensor,
    bias: Tensor,
    stride: usize,
    is_depthwise: bool,
}

impl Conv {
    fn dense(
        inputs: usize,
        outputs: usize,
        kernel: usize,
        stride: usize,
        vb: VarBuilder,
    ) -> Result<Self> {
        let shape = (outputs, inputs, kernel, kernel);
        Self::new(shape, inputs * kernel * kernel, stride, false, vb)
    }

    fn depthwise(channels: usize, stride: usize, vb: VarBuilder) -> Result<Self> {
        Self::new((channels, 1, 3, 3), 9, stride, true, vb)
    }

    fn new(
        shape: (usize, usize, usize, usize),
        fan_in: usize,
        stride: usize,
        is_depthwise: bool,
        vb: VarBuilder,
    ) -> Result<Self> {
        let stdev = (2.0 / fan_in as f64).sqrt();
        Ok(Self {
            weight: vb.get_with_hints(shape, "weight", Init::Randn { mean: 0.0, stdev })?,
            bias: vb.get_with_hints(shape.0, "bias", Init::Const(0.0))?,
            stride,
            is_depthwise,
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let (_, _, h, w) = xs.dims4()?;
        let (_, _, kh, kw) = self.weight.dims4()?;
        let pad = Pad::same((h, w), (kh, kw), self.stride);
        if self.is_depthwise {
            depthwise_conv2d(xs, &self.weight, Some(&self.bias), self.stride, pad)
        } else {
            conv2d(xs, &self.weight, Some(&self.bias), self.stride, pad)
        }
    }
}

/// Widen, filter each channel, narrow again; a shortcut where the size stays.
#[derive(Clone, Debug)]
struct InvertedResidual {
    expand: Option<Conv>,
    depthwise: Conv,
    project: Conv,
    has_shortcut: bool,
}

impl InvertedResidual {
    fn new(
        inputs: usize,
        middle: usize,
        outputs: usize,
        stride: usize,
        vb: VarBuilder,
    ) -> Result<Self> {
        let expand = (middle != inputs)
            .then(|| Conv::dense(inputs, middle, 1, 1, vb.pp("expand")))
            .transpose()?;
        Ok(Self {
            expand,
            depthwise: Conv::depthwise(middle, stride, vb.pp("depthwise"))?,
            project: Conv::dense(middle, outputs, 1, 1, vb.pp("project"))?,
            has_shortcut: stride == 1 && inputs == outputs,
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let act = Activation::Relu6;
        let widened = match &self.expand {
            Some(expand) => &act.apply(&expand.forward(xs)?)?,
            None => xs,
        };
        let filtered = act.apply(&self.depthwise.forward(widened)?)?;
        let ys = self.project.forward(&filtered)?;
        if self.has_shortcut { xs + ys } else { Ok(ys) }
    }
}

/// Blocks of each stage and the stride of its first, from 1/2 to 1/32 of the input's side.
const STAGES: [(usize, usize); 7] = [(1, 1), (2, 2), (3, 2), (4, 2), (3, 1), (3, 2), (1, 1)];
/// How much wider the middle of a block is than its input, but in the first.
const EXPANSION: usize = 6;

/// Channels of the stem and of each stage; a shorter list ends the encoder early.
#[derive(Clone, Copy, Debug)]
pub struct Widths<'a> {
    pub stem: usize,
    pub stages: &'a [usize],
}

/// The encoder. Keys `stem`, `blocks.{i}.expand|depthwise|project`, each with `weight` and `bias`.
#[derive(Clone, Debug)]
pub struct MobileNetV2 {
    stem: Conv,
    /// Each with whether the next one halves the size, so that this is the last at its size.
    blocks: Vec<(InvertedResidual, bool)>,
}

impl MobileNetV2 {
    /// Builds the encoder from `vb`.
    pub fn new(widths: Widths, vb: VarBuilder) -> Result<Self> {
        let mut blocks = Vec::new();
        let mut inputs = widths.stem;
        for (stage, &outputs) in widths.stages.iter().enumerate().take(STAGES.len()) {
            let (count, first_stride) = STAGES[stage];
            for i in 0..count {
                let middle = inputs * if stage == 0 { 1 } else { EXPANSION };
                let stride = if i == 0 { first_stride } else { 1 };
                let vb = vb.pp("blocks").pp(blocks.len());
                let block = InvertedResidual::new(inputs, middle, outputs, stride, vb)?;
                let next_halves = i + 1 == count
                    && (stage + 1 == widths.stages.len()
                        || STAGES.get(stage + 1).is_none_or(|next| next.1 == 2));
                blocks.push((block, next_halves));
                inputs = outputs;
            }
        }
        Ok(Self {
            stem: Conv::dense(3, widths.stem, 3, 2, vb.pp("stem"))?,
            blocks,
        })
    }

    /// The encoder with its stem and first `count` blocks outside of the gradient.
    pub fn with_frozen_start(mut self, count: usize) -> Self {
        let freeze = |conv: &mut Conv| {
            conv.weight = conv.weight.detach();
            conv.bias = conv.bias.detach();
        };
        freeze(&mut self.stem);
        for (block, _) in self.blocks.iter_mut().take(count) {
            block.expand.iter_mut().for_each(freeze);
            freeze(&mut block.depthwise);
            freeze(&mut block.project);
        }
        self
    }

    /// `xs` [N, 3, H, W] in [−1, 1] → the last output at each size, finest (H/2 × W/2) first.
    pub fn forward(&self, xs: &Tensor) -> Result<Vec<Tensor>> {
        let mut ys = Activation::Relu6.apply(&self.stem.forward(xs)?)?;
        let mut levels = Vec::new();
        for (block, is_last_of_size) in &self.blocks {
            ys = block.forward(&ys)?;
            if *is_last_of_size {
                levels.push(ys.clone());
            }
        }
        Ok(levels)
    }
}

/// The layers of the first `stages` as the converted MoveNet networks name them (`stem`, `stages.{stage}.{block}.…`),
/// each with its name here.
pub fn movenet_layers(stages: usize) -> Vec<(String, String)> {
    let mut names = vec![("stem".to_owned(), "stem".to_owned())];
    let mut i = 0;
    for (stage, (count, _)) in STAGES.iter().enumerate().take(stages) {
        for block in 0..*count {
            for part in ["expand", "depthwise", "project"] {
                if i > 0 || part != "expand" {
                    let theirs = format!("stages.{stage}.{block}.{part}");
                    names.push((theirs, format!("blocks.{i}.{part}")));
                }
            }
            i += 1;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use candle_nn::VarMap;

    #[test]
    fn levels_halve_and_have_the_stages_widths() {
        let vars = VarMap::new();
        let vb = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
        let widths = Widths {
            stem: 8,
            stages: &[4, 6, 8, 10, 12, 14],
        };
        let net = MobileNetV2::new(widths, vb).unwrap();
        let xs = Tensor::zeros((2, 3, 64, 96), DType::F32, &Device::Cpu).unwrap();
        let levels = net.forward(&xs).unwrap();
        let dims: Vec<_> = levels.iter().map(|l| l.dims().to_vec()).collect();
        assert_eq!(
            dims,
            [
                [2, 4, 32, 48],
                [2, 6, 16, 24],
                [2, 8, 8, 12],
                [2, 12, 4, 6],
                [2, 14, 2, 3]
            ]
        );
        let known: Vec<String> = movenet_layers(6).into_iter().map(|n| n.1).collect();
        let data = vars.data().lock().unwrap();
        for layer in data.keys().filter_map(|k| k.strip_suffix(".weight")) {
            assert!(known.iter().any(|k| k == layer), "{layer}");
        }
        assert_eq!(known.len() * 2, data.len());
    }
}
