//! One training in several processes: each rank takes batches of its own, gradients are averaged, and the weights stay
//! the same everywhere.
//!
//! What a training does for it: it draws from [`Ranks::seed`], writes into [`Ranks::folder`], and gives the ranks to
//! [`super::Adam::share`]. A batch is then `ranks` times as large as the one asked for; the learning rate is the
//! caller's. How sums are made is [`AllReduce`]'s: MPI between processes, NCCL between cards, `Team` between threads. Left
//! out: models
//! that are too large for one rank.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{Device, Result, Tensor, Var};

use crate::nn::norms::sync::{AllReduce, sum_gradients};

/// This process among those of a training, and what it computes on. Cheap to clone.
#[derive(Clone)]
pub struct Ranks {
    member: Option<(usize, Arc<dyn AllReduce>)>,
    device: Device,
}

impl Ranks {
    /// A training in one process, on the CPU.
    pub fn alone() -> Self {
        Self {
            member: None,
            device: Device::Cpu,
        }
    }

    /// The process with this number among those that `reduce` sums over, on the CPU.
    pub fn new(rank: usize, reduce: Arc<dyn AllReduce>) -> Self {
        Self {
            member: Some((rank, reduce)),
            device: Device::Cpu,
        }
    }

    /// The same on another device.
    pub fn on(self, device: Device) -> Self {
        Self { device, ..self }
    }

    /// Where this process computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The number of this process.
    pub fn rank(&self) -> usize {
        self.member.as_ref().map_or(0, |(rank, _)| *rank)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.member.as_ref().map_or(1, |(_, reduce)| reduce.ranks())
    }

    /// Whether this is the process that reports.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// What sums over the ranks; none in one process. Normalisation layers that share statistics need it.
    pub fn reduce(&self) -> Option<Arc<dyn AllReduce>> {
        self.member.as_ref().map(|(_, reduce)| Arc::clone(reduce))
    }

    /// The seed of what this rank draws: the run's own for the first, another for each other.
    pub fn seed(&self, seed: u64) -> u64 {
        seed ^ (self.rank() as u64).wrapping_mul(0xD1B5_4A32_D192_ED03)
    }

    /// Where this rank writes: the run's folder for the first, a folder in it for each other.
    pub fn folder(&self, run: &Path) -> PathBuf {
        match self.rank() {
            0 => run.to_owned(),
            rank => run.join(format!("rank-{rank}")),
        }
    }

    /// Replaces the gradients of `vars` by their means over the ranks. Every rank must have gradients for the same
    /// variables.
    ///
    /// # Errors
    /// When another rank is gone.
    pub fn average(&self, grads: &mut GradStore, vars: &[Var]) -> Result<()> {
        let Some((_, reduce)) = &self.member else {
            return Ok(());
        };
        sum_gradients(grads, vars, &**reduce)?;
        let share = 1.0 / reduce.ranks() as f64;
        for var in vars {
            if let Some(grad) = grads.get(var) {
                let mean = (grad * share)?;
                grads.insert(var, mean);
            }
        }
        Ok(())
    }

    /// Gives every rank the first one's values: weights are drawn at random in each process.
    ///
    /// # Errors
    /// When another rank is gone.
    pub fn agree(&self, vars: &[Var]) -> Result<()> {
        let Some((rank, reduce)) = &self.member else {
            return Ok(());
        };
        let mut values = Vec::new();
        for var in vars {
            let own = var.flatten_all()?.to_vec1::<f32>()?;
            values.extend(own.into_iter().map(|v| match rank {
                0 => f64::from(v),
                _ => 0.0,
            }));
        }
        reduce.sum(&mut values)?;
        let mut values = values.into_iter().map(|v| v as f32);
        for var in vars {
            let first: Vec<f32> = values.by_ref().take(var.elem_count()).collect();
            var.set(&Tensor::from_vec(first, var.shape(), var.device())?)?;
        }
        Ok(())
    }
}
