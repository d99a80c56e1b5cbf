//! What the MoveNet networks share: MobileNetV2 with a feature pyramid, and heads of separable convolutions.
//!
//! MobileNetV2 (Sandler et al. 2018) of any width down to stride 32; lateral 1 × 1 convolutions and bilinear
//! upsampling bring it back to 24 channels at stride 4 (Lin et al. 2017, "Feature Pyramid Networks"); on these every
//! head is a depthwise 3 × 3, 96 channels with ReLU, and a 1 × 1. CenterNet's scheme (Zhou et al. 2019, "Objects as
//! Points"), as Google's MoveNet model card says. The batch norms are folded into the weights at the source.
//!
//! What the heads mean and how they are decoded is in each network's own file.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::nn::activation::{Activation, relu};
use crate::nn::conv::{Pad, conv2d, depthwise_conv2d};
use crate::nn::resize::resize_bilinear;

/// Inputs are multiples of this, so that every stage halves evenly.
pub const MULTIPLE_PX: usize = 32;
/// One cell of the maps, in input pixels.
pub const STRIDE_PX: usize = 4;
/// Channels of the features that the heads look at.
pub const FEATURES: usize = 24;

/// Channels inside a head.
const HEAD_CHANNELS: usize = 96;
/// Channels of MobileNetV2's last layer.
const TOP_CHANNELS: usize = 1280;
/// Blocks of each stage, as MobileNetV2 has them; the strides of their first blocks.
const STAGES: [(usize, usize); 7] = [(1, 1), (2, 2), (3, 2), (4, 2), (3, 1), (3, 2), (1, 1)];
/// Channels inside a block over those that enter it; the very first block has no expansion.
const EXPANSION: usize = 6;
/// The pyramid joins the outputs of these stages, from coarse to fine.
const JOINED: [usize; 3] = [3, 2, 1];
/// Channels at each pyramid level before joining, from coarse to fine.
const PYRAMID: [usize; 3] = [64, 32, 24];

/// Channels of the stem and after each stage.
#[derive(Clone, Copy, Debug)]
pub struct Widths {
    pub stem: usize,
    pub stages: [usize; 7],
}

struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Conv {
    fn load(inputs: usize, outputs: usize, kernel: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            weight: vb.get((outputs, inputs, kernel, kernel), "weight")?,
            bias: Some(vb.get(outputs, "bias")?),
        })
    }

    /// 3 × 3, each channel by itself.
    fn depthwise(channels: usize, has_bias: bool, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            weight: vb.get((channels, 1, 3, 3), "weight")?,
            bias: match has_bias {
                true => Some(vb.get(channels, "bias")?),
                false => None,
            },
        })
    }

    fn mix(&self, xs: &Tensor) -> Result<Tensor> {
        conv2d(xs, &self.weight, self.bias.as_ref(), 1, Pad::default())
    }

    fn spread(&self, xs: &Tensor, stride: usize) -> Result<Tensor> {
        let (_, _, h, w) = xs.dims4()?;
        let pad = Pad::same((h, w), (3, 3), stride);
        depthwise_conv2d(xs, &self.weight, self.bias.as_ref(), stride, pad)
    }
}

/// MobileNetV2's inverted residual: widen, spread, narrow; with a shortcut where nothing changes size.
struct Block {
    expand: Option<Conv>,
    depthwise: Conv,
    project: Conv,
    stride: usize,
    has_shortcut: bool,
}

impl Block {
    fn load(
        inputs: usize,
        outputs: usize,
        stride: usize,
        expands: bool,
        vb: VarBuilder,
    ) -> Result<Self> {
        let middle = if expands { EXPANSION * inputs } else { inputs };
        Ok(Self {
            expand: match expands {
                true => Some(Conv::load(inputs, middle, 1, vb.pp("expand"))?),
                false => None,
            },
            depthwise: Conv::depthwise(middle, true, vb.pp("depthwise"))?,
            project: Conv::load(middle, outputs, 1, vb.pp("project"))?,
            stride,
            has_shortcut: stride == 1 && inputs == outputs,
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let ys = match &self.expand {
            Some(expand) => Activation::Relu6.apply(&expand.mix(xs)?)?,
            None => xs.clone(),
        };
        let ys = Activation::Relu6.apply(&self.depthwise.spread(&ys, self.stride)?)?;
        let ys = self.project.mix(&ys)?;
        if self.has_shortcut { xs + ys } else { Ok(ys) }
    }
}

/// One step up the pyramid: the finer stage's lateral and the smoothing after joining.
struct Level {
    lateral: Conv,
    depthwise: Conv,
    pointwise: Conv,
}

/// The trunk with its weights.
pub struct Trunk {
    stem: Conv,
    stages: Vec<Vec<Block>>,
    top: Conv,
    top_lateral: Conv,
    levels: Vec<Level>,
}

impl Trunk {
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn load(widths: &Widths, vb: VarBuilder) -> Result<Self> {
        let mut inputs = widths.stem;
        let mut stages = Vec::new();
        for (stage, ((blocks, stride), &width)) in
            STAGES.into_iter().zip(&widths.stages).enumerate()
        {
            let mut loaded = Vec::new();
            for index in 0..blocks {
                let stride = if index == 0 { stride } else { 1 };
                let vb = vb.pp("stages").pp(stage).pp(index);
                loaded.push(Block::load(inputs, width, stride, stage > 0, vb)?);
                inputs = width;
            }
            stages.push(loaded);
        }
        let mut levels = Vec::new();
        for (index, (stage, channels)) in JOINED.into_iter().zip(PYRAMID).enumerate() {
            let vb = vb.pp("pyramid").pp(index);
            let next = PYRAMID.get(index + 1).copied().unwrap_or(FEATURES);
            levels.push(Level {
                lateral: Conv::load(widths.stages[stage], channels, 1, vb.pp("lateral"))?,
                depthwise: Conv::depthwise(channels, false, vb.pp("depthwise"))?,
                pointwise: Conv::load(channels, next, 1, vb.pp("pointwise"))?,
            });
        }
        Ok(Self {
            stem: Conv::load(3, widths.stem, 3, vb.pp("stem"))?,
            stages,
            top: Conv::load(inputs, TOP_CHANNELS, 1, vb.pp("top"))?,
            top_lateral: Conv::load(TOP_CHANNELS, PYRAMID[0], 1, vb.pp("top_lateral"))?,
            levels,
        })
    }

    /// Features [N, 24, H/4, W/4] of pictures [N, 3, H, W] in [-1, 1], H and W multiples of 32.
    ///
    /// # Errors
    /// When the shape is another.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let (_, _, h, w) = xs.dims4()?;
        if h % MULTIPLE_PX != 0 || w % MULTIPLE_PX != 0 || h == 0 || w == 0 {
            candle_core::bail!("{w} × {h} pixels are not multiples of {MULTIPLE_PX}");
        }
        let pad = Pad::same((h, w), (3, 3), 2);
        let Conv { weight, bias } = &self.stem;
        let mut ys = Activation::Relu6.apply(&conv2d(xs, weight, bias.as_ref(), 2, pad)?)?;
        let mut outputs = Vec::new();
        for stage in &self.stages {
            for block in stage {
                ys = block.forward(&ys)?;
            }
            outputs.push(ys.clone());
        }
        ys = self
            .top_lateral
            .mix(&Activation::Relu6.apply(&self.top.mix(&ys)?)?)?;
        for (level, stage) in self.levels.iter().zip(JOINED) {
            let fine = level.lateral.mix(&outputs[stage])?;
            let (_, _, h, w) = fine.dims4()?;
            ys = (resize_bilinear(&ys, h, w, false)? + fine)?;
            ys = relu(&level.pointwise.mix(&level.depthwise.spread(&ys, 1)?)?)?;
        }
        Ok(ys)
    }
}

/// One head with its weights.
pub struct Head {
    depthwise: Conv,
    hidden: Conv,
    output: Conv,
}

impl Head {
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn load(outputs: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            depthwise: Conv::depthwise(FEATURES, false, vb.pp("depthwise"))?,
            hidden: Conv::load(FEATURES, HEAD_CHANNELS, 1, vb.pp("hidden"))?,
            output: Conv::load(HEAD_CHANNELS, outputs, 1, vb.pp("output"))?,
        })
    }

    /// Features [N, 24, h, w] -> raw values [N, outputs, h, w].
    ///
    /// # Errors
    /// When the shape is another.
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        let ys = relu(&self.hidden.mix(&self.depthwise.spread(features, 1)?)?)?;
        self.output.mix(&ys)
    }
}

/// The names of the source's layers and ours, for the weight import. A head is given as its name (the same there and
/// here) and the numbers that the source puts behind its separable and its last convolution.
pub(super) fn tfjs_layers(heads: &[(&str, usize, usize)]) -> Vec<(String, String)> {
    let mut names = Vec::new();
    let trunk = "center_net_mobile_net_v2fpn_feature_extractor.model_1";
    let mut add = |theirs: String, ours: String| names.push((format!("{trunk}.{theirs}"), ours));
    let numbered = |name: &str, number: usize| match number {
        0 => name.to_owned(),
        n => format!("{name}_{n}"),
    };
    add("model.Conv1".into(), "stem".into());
    let mut number = 0;
    for (stage, (blocks, _)) in STAGES.into_iter().enumerate() {
        for index in 0..blocks {
            let theirs = match number {
                0 => "model.expanded_conv".to_owned(),
                n => format!("model.block_{n}"),
            };
            for part in ["expand", "depthwise", "project"] {
                if number > 0 || part != "expand" {
                    add(
                        format!("{theirs}_{part}"),
                        format!("stages.{stage}.{index}.{part}"),
                    );
                }
            }
            number += 1;
        }
    }
    add("model.Conv_1".into(), "top".into());
    add("conv2d".into(), "top_lateral".into());
    for level in 0..JOINED.len() {
        let separable = numbered("separable_conv2d", level);
        let ours = format!("pyramid.{level}");
        add(format!("conv2d_{}", level + 1), format!("{ours}.lateral"));
        add(
            format!("{separable}.separable_conv2d"),
            format!("{ours}.depthwise"),
        );
        add(
            format!("{separable}.separable_conv2d_weights"),
            format!("{ours}.pointwise"),
        );
    }
    for (head, separable, last) in heads {
        let theirs = format!("{head}_0");
        let within = format!("{theirs}.separable_conv2d_{separable}.separable_conv2d");
        names.push((within.clone(), format!("{head}.depthwise")));
        names.push((
            format!("{within}.ReadVariableOp_1"),
            format!("{head}.hidden"),
        ));
        names.push((format!("{theirs}.conv2d_{last}"), format!("{head}.output")));
    }
    names
}
