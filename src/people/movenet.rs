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

use crate::nn::activation::Activation;
use crate::nn::conv_act::ConvAct;
use crate::nn::mobilenet::{MobileNetV2, STAGES};
use crate::nn::resize::resize_bilinear;

pub use crate::nn::mobilenet::Widths;

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
/// The pyramid joins the outputs of these stages, from coarse to fine.
const JOINED: [usize; 3] = [3, 2, 1];
/// Channels at each pyramid level before joining, from coarse to fine.
const PYRAMID: [usize; 3] = [64, 32, 24];

/// One step up the pyramid: the finer stage's lateral and the smoothing after joining.
struct Level {
    lateral: ConvAct,
    depthwise: ConvAct,
    pointwise: ConvAct,
}

/// The trunk with its weights.
pub struct Trunk {
    encoder: MobileNetV2,
    top: ConvAct,
    top_lateral: ConvAct,
    levels: Vec<Level>,
}

impl Trunk {
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn load(widths: Widths, vb: VarBuilder) -> Result<Self> {
        let width = |stage: usize| widths.stages.get(stage).copied().unwrap_or_default();
        let mut levels = Vec::new();
        for (index, (stage, channels)) in JOINED.into_iter().zip(PYRAMID).enumerate() {
            let vb = vb.pp("pyramid").pp(index);
            let next = PYRAMID.get(index + 1).copied().unwrap_or(FEATURES);
            let lateral = ConvAct::fixed_dense(
                width(stage),
                channels,
                1,
                Activation::None,
                vb.pp("lateral"),
            )?;
            levels.push(Level {
                lateral,
                depthwise: ConvAct::bare_depthwise(channels, vb.pp("depthwise"))?,
                pointwise: ConvAct::fixed_dense(
                    channels,
                    next,
                    1,
                    Activation::Relu,
                    vb.pp("pointwise"),
                )?,
            });
        }
        let last = width(widths.stages.len().saturating_sub(1));
        Ok(Self {
            encoder: MobileNetV2::of_movenet(widths, vb.clone())?,
            top: ConvAct::fixed_dense(last, TOP_CHANNELS, 1, Activation::Relu6, vb.pp("top"))?,
            top_lateral: ConvAct::fixed_dense(
                TOP_CHANNELS,
                PYRAMID[0],
                1,
                Activation::None,
                vb.pp("top_lateral"),
            )?,
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
        let outputs = self.encoder.stages(xs)?;
        let Some(last) = outputs.last() else {
            candle_core::bail!("the encoder has no stages");
        };
        let mut ys = self.top_lateral.valid(&self.top.valid(last)?)?;
        for (level, stage) in self.levels.iter().zip(JOINED) {
            let fine = &outputs[stage];
            let (_, _, h, w) = fine.dims4()?;
            let raised = resize_bilinear(&ys, h, w, false)?;
            ys = level.lateral.valid_plus(fine, &raised)?;
            ys = level.pointwise.valid(&level.depthwise.same(&ys, 1)?)?;
        }
        Ok(ys)
    }
}

/// One head with its weights.
pub struct Head {
    depthwise: ConvAct,
    hidden: ConvAct,
    output: ConvAct,
}

impl Head {
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn load(outputs: usize, vb: VarBuilder) -> Result<Self> {
        let act = Activation::Relu;
        Ok(Self {
            depthwise: ConvAct::bare_depthwise(FEATURES, vb.pp("depthwise"))?,
            hidden: ConvAct::fixed_dense(FEATURES, HEAD_CHANNELS, 1, act, vb.pp("hidden"))?,
            output: ConvAct::fixed_dense(
                HEAD_CHANNELS,
                outputs,
                1,
                Activation::None,
                vb.pp("output"),
            )?,
        })
    }

    /// Features [N, 24, h, w] -> raw values [N, outputs, h, w].
    ///
    /// # Errors
    /// When the shape is another.
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        let spread = self.depthwise.same(features, 1)?;
        self.output.valid(&self.hidden.valid(&spread)?)
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
