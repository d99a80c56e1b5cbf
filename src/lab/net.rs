//! The lab's network: a residual CNN for 28² pictures, of any depth, with any normalisation.
//!
//! A stem halves the side to 14; three stages at 14², 7² and 4² double the width each; mean over pixels, dropout and a
//! linear layer give ten logits. The last maps are small on purpose: at batch 2 a channel has 32 values there, which is
//! where batch statistics become noise.

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use rand::{Rng as _, rngs::SmallRng};

use super::dataset::CLASSES;
use crate::nn::activation::Activation;
use crate::nn::blocks::Linear;
use crate::nn::norms::{ConvNorm, Norms};

/// Shape of the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetConfig {
    /// Residual blocks of each stage.
    pub depth: usize,
    /// Channels of the first stage, a multiple of 4.
    pub width: usize,
    /// Share of features dropped before the last layer while training.
    pub dropout: f64,
}

struct Block {
    first: ConvNorm,
    second: ConvNorm,
    /// Where the side halves.
    shortcut: Option<ConvNorm>,
}

impl Block {
    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let ys = self.second.forward(&self.first.forward(xs)?)?;
        let skip = match &self.shortcut {
            Some(shortcut) => shortcut.forward(xs)?,
            None => xs.clone(),
        };
        Activation::Relu.apply(&(ys + skip)?)
    }
}

/// The network with its variables.
pub struct Net {
    vars: VarMap,
    norms: Norms,
    stem: ConvNorm,
    blocks: Vec<Block>,
    head: Linear,
    /// Values of a picture that the last layer sees.
    features: usize,
    dropout: f64,
}

impl Net {
    /// A network with fresh weights on `device`. The same `rng` gives the same weights, whatever the normalisation.
    ///
    /// # Errors
    /// If the width does not suit the normalisation.
    pub fn new(
        config: NetConfig,
        norms: Norms,
        device: &Device,
        rng: &mut SmallRng,
    ) -> Result<Self> {
        let vars = VarMap::new();
        let vb = VarBuilder::from_varmap(&vars, DType::F32, device);
        let unit = |from: usize, to: usize, kernel: usize, stride: usize, act, name: String| {
            let norm = norms.layer2d(to, act, vb.pp(format!("{name}.norm")))?;
            ConvNorm::new(
                from,
                to,
                kernel,
                stride,
                norm,
                vb.pp(format!("{name}.conv")),
            )
        };
        let (relu, none) = (Activation::Relu, Activation::None);
        let stem = unit(1, config.width, 3, 2, relu, "stem".to_string())?;
        let mut blocks = Vec::new();
        let mut from = config.width;
        for stage in 0..3 {
            let to = config.width << stage;
            for i in 0..config.depth {
                let stride = if stage > 0 && i == 0 { 2 } else { 1 };
                let name = format!("stage{}.{i}", stage + 1);
                let shortcut = match stride {
                    2 => Some(unit(from, to, 1, 2, none, format!("{name}.shortcut"))?),
                    _ => None,
                };
                blocks.push(Block {
                    first: unit(from, to, 3, stride, relu, format!("{name}.first"))?,
                    second: unit(to, to, 3, 1, none, format!("{name}.second"))?,
                    shortcut,
                });
                from = to;
            }
        }
        let net = Self {
            head: Linear::new(from, CLASSES, 0.7, vb.pp("head"))?,
            features: from,
            vars,
            norms,
            stem,
            blocks,
            dropout: config.dropout,
        };
        net.draw_weights(rng)?;
        Ok(net)
    }

    /// candle draws weights from a generator of its own, in the order of asking; here by name, so that runs with
    /// different normalisations start alike.
    fn draw_weights(&self, rng: &mut SmallRng) -> Result<()> {
        for (name, var) in self.named_vars() {
            let is_weight = name.ends_with("conv.weight") || name == "head.weight";
            if is_weight {
                let fan_in: usize = var.dims().iter().skip(1).product();
                let gain = if name == "head.weight" { 0.7 } else { 1.0 };
                let spread = gain * (2.0 / fan_in as f64).sqrt();
                let values: Vec<f32> = (0..var.elem_count())
                    .map(|_| (spread * super::random::normal(rng)) as f32)
                    .collect();
                var.set(&Tensor::from_vec(values, var.shape(), var.device())?)?;
            }
        }
        Ok(())
    }

    /// `xs` [N, 1, 28, 28] → logits [N, 10]. `rng` chooses what dropout drops; `None` drops nothing.
    ///
    /// # Errors
    /// What the normalisation says.
    pub fn forward(&self, xs: &Tensor, rng: Option<&mut SmallRng>) -> Result<Tensor> {
        let mut ys = self.stem.forward(xs)?;
        for block in &self.blocks {
            ys = block.forward(&ys)?;
        }
        let mut ys = ys.mean((2, 3))?;
        if let Some(rng) = rng.filter(|_| self.dropout > 0.0) {
            let keep = 1.0 - self.dropout;
            let mask: Vec<f32> = (0..ys.elem_count())
                .map(|_| {
                    if rng.random::<f64>() < keep {
                        (1.0 / keep) as f32
                    } else {
                        0.0
                    }
                })
                .collect();
            ys = (&ys * Tensor::from_vec(mask, ys.shape(), ys.device())?)?;
        }
        self.head.forward(&ys)
    }

    /// Draws from `rng` what a training pass over `batch` pictures draws, without computing it.
    pub fn skip(&self, batch: usize, rng: &mut SmallRng) {
        if self.dropout > 0.0 {
            for _ in 0..batch * self.features {
                rng.random::<f64>();
            }
        }
    }

    /// What all its normalisation layers share.
    pub fn norms(&self) -> &Norms {
        &self.norms
    }

    /// Takes all weights and buffers from a file.
    ///
    /// # Errors
    /// If one is missing there or has another shape.
    pub fn initialise(&self, path: &std::path::Path) -> anyhow::Result<()> {
        crate::training::initialise(&self.vars, path)
    }

    /// Variables and buffers by name, sorted.
    pub fn named_vars(&self) -> Vec<(String, Var)> {
        let data = self.vars.data().lock();
        let data = data.unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut named: Vec<_> = data.iter().map(|(n, v)| (n.clone(), v.clone())).collect();
        named.sort_by(|a, b| a.0.cmp(&b.0));
        named
    }
}
