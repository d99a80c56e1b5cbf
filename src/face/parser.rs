//! Face parsing: an aligned crop becomes 19 class probabilities.
//!
//! A residual encoder–decoder with group normalisation (Wu & He 2018). The 256² crop enters as 4 × 4 blocks, so
//! that most of the work happens at 64² and below; logits leave at 128². Trained by `vitruvian train parser`.
//! What it leaves out: finding and aligning the face ([`super::align`]).

use super::labels::{CLASS_COUNT, SIDED, flip_pair};
use crate::nn::activation::Activation;
use crate::nn::blocks::{Conv, GroupNorm, Linear, ResidualBlock};
use crate::nn::resize::{resize_bilinear, upsample_nearest2x};
use crate::nn::shuffle::{pixel_shuffle, pixel_unshuffle};
use crate::raster::{Rgb, resize_rgb, rgb_to_tensor};
use candle_core::{D, Device, IndexOp, Result, Tensor};
use candle_nn::VarBuilder;

/// Side of the crop that the network reads, in pixels.
pub const SIDE: usize = 256;
/// Side of the logits.
pub const LOGITS_SIDE: usize = 128;

/// Widths of the four levels, from 64² to 8².
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ParserConfig {
    /// Channels at 64², 32², 16² and 8², multiples of 8.
    pub widths: [usize; 4],
    /// Residual blocks of the encoder at the same levels.
    pub blocks: [usize; 4],
}

impl Default for ParserConfig {
    fn default() -> Self {
        Self {
            widths: [40, 64, 96, 128],
            blocks: [1, 2, 2, 2],
        }
    }
}

const GROUPS: usize = 8;
const ACT: Activation = Activation::Relu;

struct Level {
    /// From the level above (stride 2) or the stem.
    enter: Conv,
    blocks: Vec<ResidualBlock>,
}

struct Up {
    lateral: Conv,
    block: ResidualBlock,
}

/// The network.
pub struct Parser {
    levels: Vec<Level>,
    context: Linear,
    ups: Vec<Up>,
    norm: GroupNorm,
    head: Conv,
}

/// What the generator's perceptual loss reads beside the logits.
pub struct Features {
    /// Encoder outputs at 64², 32², 16² and 8².
    pub levels: Vec<Tensor>,
    /// [N, 19, 128, 128].
    pub logits: Tensor,
}

impl Parser {
    /// Builds the network of `config` from `vb`.
    pub fn new(config: &ParserConfig, vb: VarBuilder) -> Result<Self> {
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
                .map(|b| ResidualBlock::new(w[i], GROUPS, ACT, vb.pp("blocks").pp(b)))
                .collect::<Result<_>>()?;
            levels.push(Level { enter, blocks });
        }
        let mut ups = Vec::new();
        for i in (0..3).rev() {
            let vb = vb.pp("decoder").pp(i);
            ups.push(Up {
                lateral: Conv::new(w[i + 1], w[i], 1, 1, vb.pp("lateral"))?,
                block: ResidualBlock::new(w[i], GROUPS, ACT, vb.pp("block"))?,
            });
        }
        Ok(Self {
            levels,
            context: Linear::new(w[3], w[3], 0.3, vb.pp("context"))?,
            ups,
            norm: GroupNorm::new(w[0], GROUPS, ACT, vb.pp("norm"))?,
            head: Conv::scaled(w[0], CLASS_COUNT * 4, 3, 1, 0.3, vb.pp("head"))?,
        })
    }

    /// The shipped network.
    pub fn load(vb: VarBuilder) -> Result<Self> {
        Self::new(&ParserConfig::default(), vb)
    }

    /// A parser of any widths, such as an independent judge's: its sizes are read from the tensors' shapes.
    pub fn of_any_size(checkpoint: &crate::weights::Checkpoint) -> Result<Self> {
        let tensors = checkpoint.tensors();
        let mut config = ParserConfig::default();
        for (i, (width, blocks)) in config.widths.iter_mut().zip(&mut config.blocks).enumerate() {
            let name = format!("encoder.{i}.enter.weight");
            let Some(weight) = tensors.get(&name) else {
                candle_core::bail!("`{name}` is missing: this is no parser")
            };
            *width = weight.dim(0)?;
            *blocks = (0..64)
                .take_while(|b| {
                    tensors.contains_key(&format!("encoder.{i}.blocks.{b}.conv1.weight"))
                })
                .count();
        }
        Self::new(&config, checkpoint.var_builder())
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

    /// Class probabilities [19, 256, 256] of an aligned square crop of any size.
    pub fn probabilities(&self, crop: &Rgb) -> Result<Tensor> {
        let resized;
        let crop = if (crop.width, crop.height) == (SIDE, SIDE) {
            crop
        } else {
            resized = resize_rgb(crop, SIDE, SIDE);
            &resized
        };
        self.probabilities_of(&rgb_to_tensor(crop, self.device())?)
    }

    fn device(&self) -> &Device {
        self.context.device()
    }

    /// Class probabilities [19, 256, 256] of an aligned crop [3, 256, 256] in [−1, 1]: the mean over the crop and its
    /// mirror image, with left and right told apart by position (see [`repair_sides`]).
    pub fn probabilities_of(&self, crop: &Tensor) -> Result<Tensor> {
        let crop = crop.unsqueeze(0)?;
        let both = Tensor::cat(&[&crop, &flip(&crop)?], 0)?;
        let p = candle_nn::ops::softmax(&self.forward(&both)?, 1)?;
        let swapped = p.i(1..2)?.index_select(&flipped_classes(p.device())?, 1)?;
        let mean = ((p.i(0..1)? + flip(&swapped)?)? * 0.5)?;
        let mean = repair_sides(&mean.squeeze(0)?)?;
        resize_bilinear(&mean.unsqueeze(0)?, SIDE, SIDE, false)?.squeeze(0)
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

/// Mirror image along the last dimension.
fn flip(xs: &Tensor) -> Result<Tensor> {
    let w = xs.dim(D::Minus1)? as u32;
    let order = Tensor::from_iter((0..w).rev(), xs.device())?;
    xs.contiguous()?.index_select(&order, xs.rank() - 1)
}

/// Class order after a mirror image: left and right exchanged.
fn flipped_classes(device: &Device) -> Result<Tensor> {
    Tensor::from_iter(
        (0..CLASS_COUNT as u8).map(|id| u32::from(flip_pair(id))),
        device,
    )
}

/// Tells left from right by position: eyes, brows and ears of one kind are pooled, split where their columns divide
/// into two groups, and the group at the viewer's right becomes the subject's left. A single group keeps the side that
/// most of its probability says. `p` [19, H, W].
fn repair_sides(p: &Tensor) -> Result<Tensor> {
    let (c, h, w) = p.dims3()?;
    let mut values = p.flatten_all()?.to_vec1::<f32>()?;
    for (l, r) in SIDED {
        let (l, r) = (usize::from(l), usize::from(r));
        let (at_l, at_r) = (l * h * w, r * h * w);
        let mut columns = vec![0f64; w];
        let mut mass = [0f64; 2];
        for i in 0..h * w {
            let (a, b) = (values[at_l + i], values[at_r + i]);
            // Stray probability far from any eye must not move the split.
            if a + b > 0.3 {
                columns[i % w] += f64::from(a + b);
                mass[0] += f64::from(a);
                mass[1] += f64::from(b);
            }
        }
        let split = split_column(&columns);
        for i in 0..h * w {
            let both = values[at_l + i] + values[at_r + i];
            let is_left = match split {
                Some(split) => (i % w) as f64 >= split,
                None => mass[0] >= mass[1],
            };
            (values[at_l + i], values[at_r + i]) = if is_left { (both, 0.0) } else { (0.0, both) };
        }
    }
    Tensor::from_vec(values, (c, h, w), p.device())
}

/// The column between two groups of mass, or none when there is one group (or nothing).
fn split_column(columns: &[f64]) -> Option<f64> {
    let total: f64 = columns.iter().sum();
    if total <= 0.0 {
        return None;
    }
    let centre = |range: std::ops::Range<usize>| {
        let mass: f64 = columns[range.clone()].iter().sum();
        let moment: f64 = range.map(|x| columns[x] * x as f64).sum();
        (moment / mass.max(1e-9), mass)
    };
    let mut split = centre(0..columns.len()).0;
    let mut centres = (0.0, 0.0);
    // Two means in one dimension; a few rounds settle.
    for _ in 0..8 {
        let at = (split.ceil() as usize).min(columns.len());
        let ((a, mass_a), (b, mass_b)) = (centre(0..at), centre(at..columns.len()));
        if mass_a.min(mass_b) < 0.05 * total {
            return None;
        }
        centres = (a, b);
        split = (a + b) / 2.0;
    }
    // Closer than an eighth of the crop is one part, split by chance.
    (centres.1 - centres.0 > columns.len() as f64 / 8.0).then_some(split)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::DType;
    use candle_nn::VarMap;

    #[test]
    fn logits_have_the_documented_shape_and_the_size_is_bounded() {
        let vars = VarMap::new();
        let vb = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
        let parser = Parser::load(vb).unwrap();
        let xs = Tensor::zeros((1, 3, SIDE, SIDE), DType::F32, &Device::Cpu).unwrap();
        assert_eq!(
            parser.forward(&xs).unwrap().dims(),
            [1, CLASS_COUNT, LOGITS_SIDE, LOGITS_SIDE]
        );
        let count: usize = vars.all_vars().iter().map(|v| v.elem_count()).sum();
        assert!(count <= 2_500_000, "{count} parameters");
    }

    #[test]
    fn sides_follow_position_not_the_network() {
        let (h, w) = (16, 32);
        let mut p = vec![0f32; CLASS_COUNT * h * w];
        let mut put = |class: usize, x0: usize| {
            for y in 6..10 {
                for x in x0..x0 + 4 {
                    p[(class * h + y) * w + x] = 0.9;
                }
            }
        };
        // Both eyes called "left"; brows exchanged; one ear only.
        put(4, 6);
        put(4, 20);
        put(6, 6);
        put(7, 20);
        put(9, 1);
        let p = Tensor::from_vec(p, (CLASS_COUNT, h, w), &Device::Cpu).unwrap();
        let r = repair_sides(&p).unwrap().to_vec3::<f32>().unwrap();
        assert_eq!((r[5][7][7], r[4][7][7]), (0.9, 0.0));
        assert_eq!((r[4][7][21], r[5][7][21]), (0.9, 0.0));
        assert_eq!((r[7][7][7], r[6][7][21]), (0.9, 0.9));
        assert_eq!((r[9][7][2], r[8][7][2]), (0.9, 0.0));
    }
}
