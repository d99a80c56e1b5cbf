//! The plain parser: a residual encoder–decoder with group normalisation (Wu & He 2018), trained from nothing.
//!
//! The 256² crop enters as 4 × 4 blocks, so that most of the work happens at 64² and below; logits leave at 128². Its
//! encoder's features and its opinion are what the generator's training is judged by.

use super::super::labels::CLASS_COUNT;
use crate::nn::activation::Activation;
use crate::nn::blocks::{Conv, Linear, ResidualBlock};
use crate::nn::norms::{Norm, NormKind, Norms};
use crate::nn::resize::upsample_nearest2x;
use crate::nn::shuffle::{pixel_shuffle, pixel_unshuffle};
use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;
use std::collections::BTreeMap;

/// Widths of the four levels, from 64² to 8².
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PlainConfig {
    /// Channels at 64², 32², 16² and 8², multiples of 8.
    pub widths: [usize; 4],
    /// Residual blocks of the encoder at the same levels.
    pub blocks: [usize; 4],
}

impl Default for PlainConfig {
    fn default() -> Self {
        Self {
            widths: [40, 64, 96, 128],
            blocks: [1, 2, 2, 2],
        }
    }
}

impl PlainConfig {
    /// The sizes that the tensors' shapes tell; none if they are not a plain parser's.
    pub fn of(tensors: &BTreeMap<String, Tensor>) -> Option<Self> {
        let mut config = Self::default();
        for (i, (width, blocks)) in config.widths.iter_mut().zip(&mut config.blocks).enumerate() {
            *width = *tensors
                .get(&format!("encoder.{i}.enter.weight"))?
                .dims()
                .first()?;
            let has =
                |b: &usize| tensors.contains_key(&format!("encoder.{i}.blocks.{b}.conv1.weight"));
            *blocks = (0..64).take_while(has).count();
        }
        Some(config)
    }
}

/// Groups of group normalisation.
pub const GROUPS: usize = 8;
const ACT: Activation = Activation::Relu;

#[derive(Clone)]
struct Level {
    /// From the level above (stride 2) or the stem.
    enter: Conv,
    blocks: Vec<ResidualBlock>,
}

#[derive(Clone)]
struct Up {
    lateral: Conv,
    block: ResidualBlock,
}

/// The network.
#[derive(Clone)]
pub struct Plain {
    levels: Vec<Level>,
    context: Linear,
    ups: Vec<Up>,
    norm: Norm,
    head: Conv,
}

/// What the generator's perceptual loss reads beside the logits.
pub struct Features {
    /// Encoder outputs at 64², 32², 16² and 8².
    pub levels: Vec<Tensor>,
    /// [N, 19, 128, 128].
    pub logits: Tensor,
}

impl Plain {
    /// Builds the network of `config` from `vb`.
    pub fn new(config: &PlainConfig, vb: VarBuilder) -> Result<Self> {
        Self::with_norms(config, &Norms::new(NormKind::Group, GROUPS), vb)
    }

    /// As [`Plain::new`] with any normalisation.
    pub fn with_norms(config: &PlainConfig, norms: &Norms, vb: VarBuilder) -> Result<Self> {
        let w = config.widths;
        let mut levels = Vec::new();
        for i in 0..4 {
            let vb = vb.pp("encoder").pp(i);
            let (inputs, stride) = if i == 0 {
                (3 * 16 + 2, 1)
            } else {
                (w[i - 1], 2)
            };
            let enter = Conv::new(inputs, w[i], 3, stride, vb.pp("enter"))?;
            let blocks = (0..config.blocks[i])
                .map(|b| ResidualBlock::with_norms(w[i], norms, ACT, vb.pp("blocks").pp(b)))
                .collect::<Result<_>>()?;
            levels.push(Level { enter, blocks });
        }
        let mut ups = Vec::new();
        for i in (0..3).rev() {
            let vb = vb.pp("decoder").pp(i);
            ups.push(Up {
                lateral: Conv::new(w[i + 1], w[i], 1, 1, vb.pp("lateral"))?,
                block: ResidualBlock::with_norms(w[i], norms, ACT, vb.pp("block"))?,
            });
        }
        Ok(Self {
            levels,
            context: Linear::new(w[3], w[3], 0.3, vb.pp("context"))?,
            ups,
            norm: norms.layer2d(w[0], ACT, vb.pp("norm"))?,
            head: Conv::scaled(w[0], CLASS_COUNT * 4, 3, 1, 0.3, vb.pp("head"))?,
        })
    }

    /// `xs` [N, 3, H, W] in [−1, 1] and where each pixel lies in the crop, `positions` [N, 2, H/4, W/4] from −1 to 1 →
    /// encoder features and logits [N, 19, H/2, W/2]. Windows of a crop may be given; sides are multiples of 32.
    pub fn features(&self, xs: &Tensor, positions: &Tensor) -> Result<Features> {
        let mut ys = Tensor::cat(&[&pixel_unshuffle(xs, 4)?, positions], 1)?;
        let mut levels = Vec::with_capacity(4);
        for level in &self.levels {
            ys = level.enter.forward(&ys)?;
            for block in &level.blocks {
                ys = block.forward(&ys)?;
            }
            levels.push(ys.clone());
        }
        let context = self.context.forward(&ys.mean((2, 3))?)?;
        ys = ys.broadcast_add(&context.unsqueeze(2)?.unsqueeze(3)?)?;
        for (up, skip) in self.ups.iter().zip(levels.iter().rev().skip(1)) {
            ys = (upsample_nearest2x(&up.lateral.forward(&ys)?)? + skip)?;
            ys = up.block.forward(&ys)?;
        }
        let logits = pixel_shuffle(&self.head.forward(&self.norm.forward(&ys)?)?, 2)?;
        Ok(Features { levels, logits })
    }

    /// `xs` [N, 3, 256, 256] in [−1, 1] → logits [N, 19, 128, 128].
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let side = xs.dim(2)? / 4;
        let positions =
            positions(&[[0.0, 0.0, 1.0, 1.0]], side, xs.device())?.repeat((xs.dim(0)?, 1, 1, 1))?;
        Ok(self.features(xs, &positions)?.logits)
    }

    pub(super) fn device(&self) -> &Device {
        self.context.device()
    }
}

/// Position in the crop of each pixel of `windows` (x0, y0, x1, y1 in the unit square), −1 … 1:
/// [N, 2, side, side] (x, y).
pub fn positions(windows: &[[f32; 4]], side: usize, device: &Device) -> Result<Tensor> {
    let mut values = Vec::with_capacity(windows.len() * 2 * side * side);
    let at = |from: f32, to: f32, i: usize| {
        2.0 * (from + (to - from) * (i as f32 + 0.5) / side as f32) - 1.0
    };
    for &[x0, y0, x1, y1] in windows {
        values.extend((0..side * side).map(|i| at(x0, x1, i % side)));
        values.extend((0..side * side).map(|i| at(y0, y1, i / side)));
    }
    Tensor::from_vec(values, (windows.len(), 2, side, side), device)
}
