//! Face parsing: an aligned crop becomes 19 class probabilities.
//!
//! Two networks do it: the guided one ([`guided`]), which ships, and the plain one ([`plain`]), which the generator's
//! training is judged by. Trained by `vitruvian train parser`. What it leaves out: finding and aligning the face
//! ([`super::align`]).

pub mod guided;
pub mod mesh_map;
pub mod plain;
mod sides;

use super::labels::{CLASS_COUNT, flip_pair};
use crate::nn::resize::resize_bilinear;
use crate::raster::{Rgb, resize_rgb, rgb_to_tensor};
use crate::weights::{Checkpoint, WeightsError};
use candle_core::{D, Device, IndexOp, Result, Tensor};
use candle_nn::VarBuilder;
use guided::Guided;
use plain::{Plain, PlainConfig};
use sides::repair_sides;

/// Side of the crop that the networks read, in pixels.
pub const SIDE: usize = 256;
/// Side of the logits.
pub const LOGITS_SIDE: usize = 128;

/// A parser.
#[derive(Clone)]
pub enum Parser {
    Guided(Guided),
    Plain(Plain),
}

impl Parser {
    /// The network that ships.
    pub fn load(vb: VarBuilder) -> Result<Self> {
        Ok(Self::Guided(Guided::new(vb)?))
    }

    /// A parser of either kind and, if plain, of any widths: its tensors tell.
    ///
    /// # Errors
    /// When the weights fit neither network; the message is about the one that they resemble.
    pub fn open(checkpoint: &Checkpoint) -> std::result::Result<Self, WeightsError> {
        match PlainConfig::of(checkpoint.tensors()) {
            Some(config) => checkpoint.load(|vb| Ok(Self::Plain(Plain::new(&config, vb)?))),
            None => checkpoint.load(Self::load),
        }
    }

    /// `xs` [N, 3, 256, 256] in [−1, 1] and `mesh` [N, 9, 128, 128], which the plain network does not look at →
    /// logits [N, 19, 128, 128].
    pub fn forward(&self, xs: &Tensor, mesh: &Tensor) -> Result<Tensor> {
        match self {
            Self::Guided(net) => net.forward(xs, mesh),
            Self::Plain(net) => net.forward(xs),
        }
    }

    fn device(&self) -> &Device {
        match self {
            Self::Guided(net) => net.device(),
            Self::Plain(net) => net.device(),
        }
    }

    /// Class probabilities [19, 256, 256] of an aligned square crop of any size: the mean over the crop and its mirror
    /// image, with left and right told apart by position. `landmarks_in_crop` are the points of the face mesh in the
    /// unit square, empty where there are none.
    pub fn probabilities(&self, crop: &Rgb, landmarks_in_crop: &[[f32; 2]]) -> Result<Tensor> {
        let resized;
        let crop = if (crop.width, crop.height) == (SIDE, SIDE) {
            crop
        } else {
            resized = resize_rgb(crop, SIDE, SIDE);
            &resized
        };
        let crop = rgb_to_tensor(crop, self.device())?.unsqueeze(0)?;
        let both = Tensor::cat(&[&crop, &flip(&crop)?], 0)?;
        let mesh = mesh_map::both_maps(landmarks_in_crop, self.device())?;
        let p = candle_nn::ops::softmax(&self.forward(&both, &mesh)?, 1)?;
        let swapped = p.i(1..2)?.index_select(&flipped_classes(p.device())?, 1)?;
        let mean = ((p.i(0..1)? + flip(&swapped)?)? * 0.5)?;
        let mean = repair_sides(&mean.squeeze(0)?)?;
        resize_bilinear(&mean.unsqueeze(0)?, SIDE, SIDE, false)?.squeeze(0)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::DType;
    use candle_nn::VarMap;

    #[test]
    fn logits_have_the_documented_shape_and_the_size_is_bounded() {
        let plain = |vb| Plain::new(&PlainConfig::default(), vb).map(Parser::Plain);
        for is_plain in [false, true] {
            let vars = VarMap::new();
            let vb = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
            let parser = if is_plain {
                plain(vb)
            } else {
                Parser::load(vb)
            }
            .unwrap();
            let xs = Tensor::zeros((1, 3, SIDE, SIDE), DType::F32, &Device::Cpu).unwrap();
            let mesh = mesh_map::both_maps(&[], &Device::Cpu)
                .unwrap()
                .i(0..1)
                .unwrap();
            assert_eq!(
                parser.forward(&xs, &mesh).unwrap().dims(),
                [1, CLASS_COUNT, LOGITS_SIDE, LOGITS_SIDE]
            );
            let count: usize = vars.all_vars().iter().map(|v| v.elem_count()).sum();
            assert!(count <= 2_500_000, "{count} parameters");
        }
    }
}
