//! Whether ranks that share a batch do what one process does with all of it.

use std::sync::Arc;

use anyhow::{Result, ensure};
use candle_core::{DType, Tensor};

use super::dataset::Digits;
use super::run::{LabConfig, Run};
use crate::training::Ranks;

/// Steps that are compared.
pub const STEPS: usize = 20;
/// Largest difference that rounding in another order explains.
pub const TOLERANCE: f64 = 1e-5;

/// Largest absolute differences between this rank and one process with the whole batch.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Deviation {
    /// Logits of the first step, those of this rank's share.
    pub outputs: f64,
    /// Gradients of the first step.
    pub gradients: f64,
    /// Weights and running statistics after [`STEPS`] steps.
    pub weights: f64,
}

impl Deviation {
    /// Whether all are within [`TOLERANCE`].
    pub fn is_small(&self) -> bool {
        let all = [self.outputs, self.gradients, self.weights];
        all.into_iter().all(|v| v <= TOLERANCE)
    }
}

/// Trains both and compares. `config.batch` is what one rank takes.
///
/// # Errors
/// What training says.
pub fn compare(
    config: &LabConfig,
    sets: &(Arc<Digits>, Arc<Digits>),
    ranks: &Ranks,
) -> Result<Deviation> {
    let (rank, count) = (ranks.rank(), ranks.count());
    ensure!(rank < count, "There is no rank {rank} of {count}");
    let share = LabConfig {
        digits: STEPS * config.batch * count,
        ..config.clone()
    };
    let whole = LabConfig {
        batch: config.batch * count,
        ..share.clone()
    };
    let mut whole = Run::new(whole, sets.clone(), Ranks::alone())?;
    let mut share = Run::new(share, sets.clone(), ranks.clone())?;
    let mut found = Deviation::default();
    for step in 0..STEPS {
        let (_, all, whole_grads) = whole.gradients()?;
        let (_, own, share_grads) = share.gradients()?;
        if step == 0 {
            let mine = all.narrow(0, rank * config.batch, config.batch)?;
            found.outputs = largest_difference(&mine, &own)?;
            let pairs = whole
                .net()
                .named_vars()
                .into_iter()
                .zip(share.net().named_vars());
            for ((name, a), (_, b)) in pairs {
                match (whole_grads.get(&a), share_grads.get(&b)) {
                    (Some(a), Some(b)) => {
                        found.gradients = found.gradients.max(largest_difference(a, b)?);
                    }
                    (None, None) => {}
                    _ => anyhow::bail!("Only one side has a gradient of {name}"),
                }
            }
        }
        whole.apply(&whole_grads)?;
        share.apply(&share_grads)?;
    }
    let shared = share.tensors()?;
    for (name, a) in whole.tensors()? {
        if let Some(b) = shared.get(&name) {
            found.weights = found.weights.max(largest_difference(&a, b)?);
        }
    }
    Ok(found)
}

fn largest_difference(a: &Tensor, b: &Tensor) -> Result<f64> {
    let difference = (a.to_dtype(DType::F64)? - b.to_dtype(DType::F64)?)?.abs()?;
    Ok(difference.flatten_all()?.max(0)?.to_scalar::<f64>()?)
}
