//! What it takes to go on with a run as if it had never stopped: weights, velocities, and where it stood.
//!
//! Random numbers are not kept: a run draws the same ones again from its seed, and skips those it has used. The file is
//! the weights file of the run, with velocities under names of their own and the rest as a note, so whatever reads
//! weights can read it. Left out: going on with another number of ranks.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use candle_core::{DType, Device, Tensor};

use super::run::LabConfig;
use crate::nn::norms::Decision;

/// Before the names of velocities.
const VELOCITY: &str = "velocity.";
/// The note that holds a [`Standing`].
const NOTE: &str = "standing";

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Standing {
    /// Steps done.
    pub step: usize,
    /// Steps in all: more than the settings say if the run was extended.
    pub steps: usize,
    /// Factor of the rate, and the step that its schedule counts from.
    pub schedule: (f64, usize),
    /// Sum of losses since the last sample, and of how many steps.
    pub pending: (f64, usize),
    /// What each switchable layer has decided, in the order of the network.
    pub decisions: Vec<Decision>,
    /// Ranks that trained together.
    pub ranks: usize,
}

/// A run to go on with.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    pub standing: Standing,
    /// Weights and buffers by name.
    pub weights: BTreeMap<String, Tensor>,
    /// Velocities of the optimiser by the names of their weights.
    pub velocities: BTreeMap<String, Tensor>,
}

impl Standing {
    /// Whether there are steps left.
    pub fn is_unfinished(&self) -> bool {
        self.step < self.steps
    }

    /// What no run can have written is refused.
    fn check(&self) -> Result<()> {
        /// Twice what the settings allow.
        const MAX_STEPS: usize = 200_000_000;
        let (factor, from) = self.schedule;
        let is_sound = self.step <= self.steps
            && self.steps <= MAX_STEPS
            && from <= self.step
            && self.pending.0.is_finite()
            && self.pending.1 <= self.step
            && factor > 0.0
            && factor <= 1.0;
        ensure!(is_sound, "It was not written by a run: {self:?}");
        Ok(())
    }
}

impl Checkpoint {
    /// Writes the file, by way of a temporary one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path, config: &LabConfig) -> Result<()> {
        let mut tensors = self.weights.clone();
        let velocities = self.velocities.iter();
        tensors.extend(velocities.map(|(name, v)| (format!("{VELOCITY}{name}"), v.clone())));
        let standing = serde_json::to_string(&self.standing).context("Failed to write JSON")?;
        let notes = [
            ("norm".to_string(), config.norm.to_string()),
            (NOTE.to_string(), standing),
        ];
        Ok(crate::weights::save(
            path,
            &tensors,
            &notes.into(),
            DType::F32,
        )?)
    }

    /// Reads it.
    ///
    /// # Errors
    /// If the file cannot be read, or holds weights alone.
    pub fn open(path: &Path) -> Result<Self> {
        let file = crate::weights::Checkpoint::open(path, &Device::Cpu)?;
        let notes = file.metadata();
        let note = notes.get(NOTE).with_context(|| {
            format!(
                "{} holds weights, but not where the run stood: take it with --init",
                path.display()
            )
        })?;
        let standing: Standing = serde_json::from_str(note)
            .with_context(|| format!("Failed to understand {}", path.display()))?;
        standing
            .check()
            .with_context(|| format!("Failed to understand {}", path.display()))?;
        let (mut weights, mut velocities) = (BTreeMap::new(), BTreeMap::new());
        for (name, tensor) in file.tensors() {
            let tensor = tensor.to_dtype(DType::F32)?;
            match name.strip_prefix(VELOCITY) {
                Some(name) => velocities.insert(name.to_string(), tensor),
                None => weights.insert(name.clone(), tensor),
            };
        }
        Ok(Self {
            standing,
            weights,
            velocities,
        })
    }
}
