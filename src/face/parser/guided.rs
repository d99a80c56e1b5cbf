//! The guided parser, which ships: it starts from an encoder that knows people, and is told where the face mesh lies.
//!
//! The encoder is MobileNetV2 (Sandler et al. 2018) with MoveNet Lightning's weights at the start: 800 masks are too
//! few to learn what a hat is from nothing. The decoder adds levels from 8² to 64² with group normalisation (Wu &
//! He 2018); the outlines of the face mesh ([`super::mesh_map`]) enter at 16² and 64². Logits leave at 128².

use super::super::labels::CLASS_COUNT;
use super::super::pretrained::WIDTHS;
use super::mesh_map::OUTLINES;
use crate::nn::activation::Activation;
use crate::nn::blocks::{Conv, Linear, ResidualBlock};
use crate::nn::mobilenet::MobileNetV2;
use crate::nn::norms::{Norm, NormKind, Norms};
use crate::nn::pool::avg_pool2d;
use crate::nn::resize::upsample_nearest2x;
use crate::nn::shuffle::{pixel_shuffle, pixel_unshuffle};
use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;

/// Channels of the encoder at 128², 64², 32², 16², 8².
const ENCODER: [usize; 5] = [16, 24, 32, 96, 160];
/// Channels of the decoder at 64², 32², 16².
const DECODER: [usize; 3] = [48, 64, 96];
const GROUPS: usize = 8;
const ACT: Activation = Activation::Relu;
/// Blocks up to 64²: edges and textures that need no more learning.
pub(super) const FROZEN_BLOCKS: usize = 3;

#[derive(Clone)]
struct Up {
    /// From the level below.
    deeper: Conv,
    /// From the encoder and the mesh at this size.
    lateral: Conv,
    block: ResidualBlock,
}

/// The network.
#[derive(Clone)]
pub struct Guided {
    backbone: MobileNetV2,
    context: Linear,
    /// 16², 32², 64².
    ups: Vec<Up>,
    norm: Norm,
    head: Conv,
}

impl Guided {
    /// Builds the network from `vb`, with the normalisation that it was trained with.
    pub fn new(vb: VarBuilder) -> Result<Self> {
        let kind = NormKind::of_weights(&vb.pp("norm"));
        Self::with_norms(&Norms::new(kind, GROUPS), vb)
    }

    /// As [`Guided::new`] with any normalisation in the decoder.
    pub fn with_norms(norms: &Norms, vb: VarBuilder) -> Result<Self> {
        let extra = [4 * ENCODER[0] + 4 * OUTLINES, 0, OUTLINES];
        let mut ups = Vec::new();
        for i in (0..DECODER.len()).rev() {
            let vb = vb.pp("decoder").pp(i);
            let below = DECODER.get(i + 1).copied().unwrap_or(ENCODER[4]);
            ups.push(Up {
                deeper: Conv::new(below, DECODER[i], 1, 1, vb.pp("deeper"))?,
                lateral: Conv::new(
                    ENCODER[i + 1] + extra[i],
                    DECODER[i],
                    1,
                    1,
                    vb.pp("lateral"),
                )?,
                block: ResidualBlock::with_norms(DECODER[i], norms, ACT, vb.pp("block"))?,
            });
        }
        Ok(Self {
            backbone: MobileNetV2::new(WIDTHS, vb.pp("backbone"))?,
            context: Linear::new(ENCODER[4], ENCODER[4], 0.3, vb.pp("context"))?,
            ups,
            norm: norms.layer2d(DECODER[0], ACT, vb.pp("norm"))?,
            head: Conv::scaled(DECODER[0], CLASS_COUNT * 4, 3, 1, 0.3, vb.pp("head"))?,
        })
    }

    /// The network with its first layers outside of the gradient, to train the rest.
    pub fn with_frozen_start(mut self) -> Self {
        self.backbone = self.backbone.with_frozen_start(FROZEN_BLOCKS);
        self
    }

    /// `xs` [N, 3, 256, 256] in [−1, 1] and `mesh` [N, 9, 128, 128] → logits [N, 19, 128, 128].
    pub fn forward(&self, xs: &Tensor, mesh: &Tensor) -> Result<Tensor> {
        let levels = self.backbone.forward(xs)?;
        let [finest, at_64, at_32, at_16, deepest] = &levels[..] else {
            candle_core::bail!("the encoder has {} levels, not 5", levels.len())
        };
        let context = self.context.forward(&deepest.mean((2, 3))?)?;
        let mut ys = deepest.broadcast_add(&context.unsqueeze(2)?.unsqueeze(3)?)?;
        let laterals = [
            Tensor::cat(&[at_16, &avg_pool2d(mesh, 8, 8)?], 1)?,
            at_32.clone(),
            Tensor::cat(
                &[
                    at_64,
                    &pixel_unshuffle(finest, 2)?,
                    &pixel_unshuffle(mesh, 2)?,
                ],
                1,
            )?,
        ];
        for (up, lateral) in self.ups.iter().zip(&laterals) {
            ys = (upsample_nearest2x(&up.deeper.forward(&ys)?)? + up.lateral.forward(lateral)?)?;
            ys = up.block.forward(&ys)?;
        }
        pixel_shuffle(&self.head.forward(&self.norm.forward(&ys)?)?, 2)
    }

    pub(super) fn device(&self) -> &Device {
        self.context.device()
    }
}
