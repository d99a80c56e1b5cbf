//! The critic of the generator's training: a PatchGAN at two scales (Isola et al. 2017; Wang et al. 2018).
//!
//! It sees the target mask and the picture, and the picture's high frequencies once more, amplified: without them it
//! does not learn to tell soft from sharp at these widths. It is not shipped.

use super::labels::CLASS_COUNT;
use crate::nn::activation::Activation;
use crate::nn::blocks::{Conv, GroupNorm};
use crate::nn::pool::avg_pool2d;
use crate::nn::resize::upsample_nearest2x;
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

const ACT: Activation = Activation::LeakyRelu(0.2);
const WIDTHS: [usize; 3] = [32, 64, 128];
const HIGH_PASS_GAIN: f64 = 5.0;

struct Scale {
    convs: Vec<Conv>,
    norms: Vec<GroupNorm>,
    last: Conv,
}

/// Discriminators at full and half resolution.
pub struct Discriminator {
    scales: Vec<Scale>,
}

/// What one scale says: features of its layers, and a score for each patch.
pub struct Verdict {
    pub features: Vec<Tensor>,
    /// [N, 1, h, w]; 1 is real, 0 is generated.
    pub score: Tensor,
}

impl Discriminator {
    /// Builds both scales from `vb`.
    pub fn new(vb: VarBuilder) -> Result<Self> {
        let scale = |vb: VarBuilder| -> Result<Scale> {
            let inputs = [CLASS_COUNT + 7, WIDTHS[0], WIDTHS[1]];
            let mut convs = Vec::new();
            let mut norms = Vec::new();
            for (i, (from, to)) in inputs.into_iter().zip(WIDTHS).enumerate() {
                convs.push(Conv::new(from, to, 4, 2, vb.pp("convs").pp(i))?);
                if i > 0 {
                    norms.push(GroupNorm::new(to, 8, ACT, vb.pp("norms").pp(i))?);
                }
            }
            let last = Conv::scaled(WIDTHS[2], 1, 3, 1, 0.3, vb.pp("last"))?;
            Ok(Scale { convs, norms, last })
        };
        let scales = (0..2)
            .map(|i| scale(vb.pp("scales").pp(i)))
            .collect::<Result<_>>()?;
        Ok(Self { scales })
    }

    /// `picture` [N, 3, S, S] in [−1, 1], `hole` [N, 1, S, S], `classes` [N, 19, S, S] one-hot; S a multiple of 16.
    pub fn forward(
        &self,
        picture: &Tensor,
        hole: &Tensor,
        classes: &Tensor,
    ) -> Result<Vec<Verdict>> {
        let low = upsample_nearest2x(&avg_pool2d(picture, 2, 2)?)?;
        let high = ((picture - low)? * HIGH_PASS_GAIN)?;
        let mut xs = Tensor::cat(&[picture, &high, hole, classes], 1)?;
        let mut verdicts = Vec::with_capacity(2);
        for (i, scale) in self.scales.iter().enumerate() {
            if i > 0 {
                xs = avg_pool2d(&xs, 2, 2)?;
            }
            let mut ys = ACT.apply(&scale.convs[0].forward(&xs)?)?;
            let mut features = vec![ys.clone()];
            for (conv, norm) in scale.convs[1..].iter().zip(&scale.norms) {
                ys = norm.forward(&conv.forward(&ys)?)?;
                features.push(ys.clone());
            }
            verdicts.push(Verdict {
                features,
                score: scale.last.forward(&ys)?,
            });
        }
        Ok(verdicts)
    }
}

/// Mean distance of features, relative to their size, averaged over all layers of all scales.
pub fn feature_matching(fake: &[Verdict], real: &[Verdict]) -> Result<Tensor> {
    let pairs = fake
        .iter()
        .zip(real)
        .flat_map(|(f, r)| f.features.iter().zip(&r.features));
    relative_distance(pairs)
}

/// Mean over pairs (a, b) of |a − b| / |b|, without gradient into `b`.
pub fn relative_distance<'a>(
    pairs: impl Iterator<Item = (&'a Tensor, &'a Tensor)>,
) -> Result<Tensor> {
    let mut sum = Tensor::zeros((), candle_core::DType::F32, &candle_core::Device::Cpu)?;
    let mut count = 0;
    for (a, b) in pairs {
        let b = b.detach();
        let size = b.abs()?.mean_all()?.to_scalar::<f32>()?.max(1e-3);
        sum = (sum + ((a - &b)?.abs()?.mean_all()? / f64::from(size))?)?;
        count += 1;
    }
    sum / f64::from(count.max(1))
}
