//! The encoder that BlazePose and the hand landmark network share: MobileNetV2's inverted residuals (Sandler et al.
//! 2018) in the widths and kernel sizes of MediaPipe's landmark models (Bazarevsky et al. 2020, "BlazePose"; Zhang et
//! al. 2020, "MediaPipe Hands"). Sixteen blocks from stride 2 down to stride 32; the last ends wide, before its
//! projection. The batch norms are folded into the weights at the source.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::nn::activation::Activation;
use crate::nn::conv::Pad;
use crate::nn::conv_act::ConvAct;

/// How zeros are put around a map before a stride of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Padding {
    /// TensorFlow's `SAME`: the odd pixel at the bottom and right.
    Same,
    /// The same on all sides.
    Even,
}

impl Padding {
    /// Output size is the input's over `stride`.
    fn pad(self, conv: &ConvAct, xs: &Tensor, stride: usize) -> Result<Pad> {
        let (_, _, h, w) = xs.dims4()?;
        let kernel = conv.kernel()?;
        Ok(match self {
            Padding::Same => Pad::same((h, w), kernel, stride),
            Padding::Even => Pad::all(kernel.0 / 2),
        })
    }
}

/// Widen by 1 × 1, spread by a depthwise kernel, narrow by 1 × 1; a shortcut where nothing changes size.
struct Block {
    expand: ConvAct,
    depthwise: ConvAct,
    project: Option<ConvAct>,
    stride: usize,
    has_shortcut: bool,
}

/// Kernel, stride, and which of the widths comes out, for blocks 1 to 14; block 15 has no projection.
const BLOCKS: [(usize, usize, usize); 15] = [
    (3, 2, 0),
    (3, 1, 0),
    (5, 2, 1),
    (5, 1, 1),
    (3, 2, 2),
    (3, 1, 2),
    (3, 1, 2),
    (5, 1, 3),
    (5, 1, 3),
    (5, 1, 3),
    (5, 2, 4),
    (5, 1, 4),
    (5, 1, 4),
    (5, 1, 4),
    (3, 1, 5),
];
/// Channels of the stem and of its projection.
const STEM: [usize; 2] = [24, 16];
/// Channels inside the first block; in all others six times those that enter.
const FIRST_MIDDLE: usize = 64;
const EXPANSION: usize = 6;

/// The encoder with its weights.
pub(super) struct Trunk {
    stem: [ConvAct; 3],
    blocks: Vec<Block>,
    padding: Padding,
}

impl Trunk {
    /// `widths`: channels that come out at strides 4, 8, 16, 16 and 32.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn load(widths: [usize; 5], padding: Padding, vb: VarBuilder) -> Result<Self> {
        let mut inputs = STEM[1];
        let mut blocks = Vec::new();
        for (index, (kernel, stride, width)) in BLOCKS.into_iter().enumerate() {
            let vb = vb.pp("blocks").pp(index);
            let middle = if index == 0 {
                FIRST_MIDDLE
            } else {
                EXPANSION * inputs
            };
            let outputs = widths.get(width).copied();
            let project = match outputs {
                Some(outputs) => Some(ConvAct::fixed_dense(
                    middle,
                    outputs,
                    1,
                    Activation::None,
                    vb.pp("project"),
                )?),
                None => None,
            };
            blocks.push(Block {
                expand: ConvAct::fixed_dense(
                    inputs,
                    middle,
                    1,
                    Activation::Relu6,
                    vb.pp("expand"),
                )?,
                depthwise: ConvAct::depthwise(
                    middle,
                    kernel,
                    Activation::Relu6,
                    vb.pp("depthwise"),
                )?,
                project,
                stride,
                has_shortcut: stride == 1 && outputs == Some(inputs),
            });
            inputs = outputs.unwrap_or(middle);
        }
        let stem = vb.pp("stem");
        Ok(Self {
            stem: [
                ConvAct::fixed_dense(3, STEM[0], 3, Activation::Relu6, stem.pp("conv"))?,
                ConvAct::depthwise(STEM[0], 3, Activation::Relu6, stem.pp("depthwise"))?,
                ConvAct::fixed_dense(STEM[0], STEM[1], 1, Activation::None, stem.pp("project"))?,
            ],
            blocks,
            padding,
        })
    }

    /// The outputs of all fifteen blocks for pictures [N, 3, H, W].
    pub fn forward(&self, xs: &Tensor) -> Result<Vec<Tensor>> {
        let [conv, depthwise, project] = &self.stem;
        let pad = |conv: &ConvAct, xs: &Tensor, stride| self.padding.pad(conv, xs, stride);
        let ys = conv.forward(xs, 2, pad(conv, xs, 2)?)?;
        let ys = depthwise.forward(&ys, 1, pad(depthwise, &ys, 1)?)?;
        let mut ys = project.valid(&ys)?;
        let mut outputs = Vec::new();
        for block in &self.blocks {
            let (depthwise, stride) = (&block.depthwise, block.stride);
            let pad = pad(depthwise, &ys, stride)?;
            let spread = block.expand.then_depthwise(depthwise, &ys, stride, pad)?;
            ys = match &block.project {
                Some(project) if block.has_shortcut => project.valid_plus(&spread, &ys)?,
                Some(project) => project.valid(&spread)?,
                None => spread,
            };
            outputs.push(ys.clone());
        }
        Ok(outputs)
    }
}

/// The names of the source's layers and ours: its convolutions are numbered through in one order, its depthwise ones
/// in another.
pub(super) fn tfjs_layers(dense: &str, depthwise: &str) -> Vec<(String, String)> {
    let numbered = |name: &str, number: usize| match number {
        0 => name.to_owned(),
        n => format!("{name}_{n}"),
    };
    let mut names = vec![
        (dense.to_owned(), "stem.conv".to_owned()),
        (depthwise.to_owned(), "stem.depthwise".to_owned()),
        (numbered(dense, 1), "stem.project".to_owned()),
    ];
    for index in 0..BLOCKS.len() {
        let ours = format!("blocks.{index}");
        names.push((numbered(dense, 2 * index + 2), format!("{ours}.expand")));
        names.push((numbered(depthwise, index + 1), format!("{ours}.depthwise")));
        if index + 1 < BLOCKS.len() {
            names.push((numbered(dense, 2 * index + 3), format!("{ours}.project")));
        }
    }
    names
}
