//! MobileNetV2's encoder (Sandler et al. 2018) with batch normalisation already folded into its convolutions.
//!
//! The converted MoveNet networks are built on it, at several widths, and the face parser starts from one of them.
//! Left out: the classifier, and the last 1 × 1 convolution before it.

use super::activation::Activation;
use super::conv::Pad;
use super::conv_act::ConvAct;
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

/// Widen, filter each channel, narrow again; a shortcut where the size stays.
#[derive(Clone, Debug)]
struct InvertedResidual {
    expand: Option<ConvAct>,
    depthwise: ConvAct,
    project: ConvAct,
    stride: usize,
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
        let act = Activation::Relu6;
        let expand = (middle != inputs)
            .then(|| ConvAct::dense(inputs, middle, 1, act, vb.pp("expand")))
            .transpose()?;
        Ok(Self {
            expand,
            depthwise: ConvAct::depthwise(middle, 3, act, vb.pp("depthwise"))?,
            project: ConvAct::dense(middle, outputs, 1, Activation::None, vb.pp("project"))?,
            stride,
            has_shortcut: stride == 1 && inputs == outputs,
        })
    }

    fn map(self, change: impl Fn(ConvAct) -> ConvAct) -> Self {
        Self {
            expand: self.expand.map(&change),
            depthwise: change(self.depthwise),
            project: change(self.project),
            ..self
        }
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let depthwise = &self.depthwise;
        let filtered = match &self.expand {
            Some(expand) => {
                let (_, _, h, w) = xs.dims4()?;
                let pad = Pad::same((h, w), depthwise.kernel()?, self.stride);
                expand.then_depthwise(depthwise, xs, self.stride, pad)?
            }
            None => depthwise.same(xs, self.stride)?,
        };
        match self.has_shortcut {
            true => self.project.valid_plus(&filtered, xs),
            false => self.project.valid(&filtered),
        }
    }
}

/// Blocks of each stage and the stride of its first, from 1/2 to 1/32 of the input's side.
pub const STAGES: [(usize, usize); 7] = [(1, 1), (2, 2), (3, 2), (4, 2), (3, 1), (3, 2), (1, 1)];
/// How much wider the middle of a block is than its input, but in the first.
const EXPANSION: usize = 6;

/// Channels of the stem and of each stage; a shorter list ends the encoder early.
#[derive(Clone, Copy, Debug)]
pub struct Widths<'a> {
    pub stem: usize,
    pub stages: &'a [usize],
}

/// Where the weights of a block are: its stage, its number there, and its number in all.
type BlockName = fn(usize, usize, usize) -> String;

/// The encoder. Keys `stem` and, for each block, `expand|depthwise|project`, each with `weight` and `bias`.
#[derive(Clone, Debug)]
pub struct MobileNetV2 {
    stem: ConvAct,
    stages: Vec<Vec<InvertedResidual>>,
}

impl MobileNetV2 {
    /// Builds the encoder from `vb`; blocks are `blocks.{i}`, counted through all stages.
    pub fn new(widths: Widths, vb: VarBuilder) -> Result<Self> {
        Self::named(widths, |_, _, number| format!("blocks.{number}"), vb)
    }

    /// The same with blocks named `stages.{stage}.{i}`, as the weights of the MoveNet networks have them, for use as it
    /// is: nothing of it can be trained.
    pub fn of_movenet(widths: Widths, vb: VarBuilder) -> Result<Self> {
        let net = Self::named(widths, |stage, i, _| format!("stages.{stage}.{i}"), vb)?;
        let fixed = |block: InvertedResidual| block.map(ConvAct::fixed);
        let stages = net.stages.into_iter();
        Ok(Self {
            stages: stages
                .map(|blocks| blocks.into_iter().map(fixed).collect())
                .collect(),
            ..net
        })
    }

    fn named(widths: Widths, name: BlockName, vb: VarBuilder) -> Result<Self> {
        let mut stages = Vec::new();
        let (mut inputs, mut number) = (widths.stem, 0);
        for (stage, (&outputs, (count, stride))) in widths.stages.iter().zip(STAGES).enumerate() {
            let mut blocks = Vec::new();
            for i in 0..count {
                let middle = inputs * if stage == 0 { 1 } else { EXPANSION };
                let stride = if i == 0 { stride } else { 1 };
                let vb = vb.pp(name(stage, i, number));
                blocks.push(InvertedResidual::new(inputs, middle, outputs, stride, vb)?);
                inputs = outputs;
                number += 1;
            }
            stages.push(blocks);
        }
        Ok(Self {
            stem: ConvAct::dense(3, widths.stem, 3, Activation::Relu6, vb.pp("stem"))?,
            stages,
        })
    }

    /// The encoder with its stem and first `count` blocks outside of the gradient.
    pub fn with_frozen_start(mut self, count: usize) -> Self {
        self.stem = self.stem.frozen();
        for block in self.stages.iter_mut().flatten().take(count) {
            *block = block.clone().map(ConvAct::frozen);
        }
        self
    }

    /// `xs` [N, 3, H, W] in [−1, 1] → the output of every stage.
    pub fn stages(&self, xs: &Tensor) -> Result<Vec<Tensor>> {
        let mut ys = self.stem.same(xs, 2)?;
        let mut outputs = Vec::new();
        for stage in &self.stages {
            for block in stage {
                ys = block.forward(&ys)?;
            }
            outputs.push(ys.clone());
        }
        Ok(outputs)
    }

    /// `xs` [N, 3, H, W] in [−1, 1] → the last output at each size, finest (H/2 × W/2) first.
    pub fn forward(&self, xs: &Tensor) -> Result<Vec<Tensor>> {
        let outputs = self.stages(xs)?;
        let count = outputs.len();
        let next_halves =
            |stage: usize| stage + 1 == count || STAGES.get(stage + 1).is_none_or(|s| s.1 == 2);
        let last_of_size = outputs.into_iter().enumerate();
        Ok(last_of_size
            .filter(|(stage, _)| next_halves(*stage))
            .map(|(_, ys)| ys)
            .collect())
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
