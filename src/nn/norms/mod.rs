//! Every normalisation of the project behind one constructor, [`Norms::layer`]: batch, instance, layer, group,
//! population, switchable (SN), sparse switchable (SSN) and hard-ratio normalisation, for vectors, pictures and volumes.
//!
//! A network makes one [`Norms`] and asks it for its layers. They share what changes during training: whether it is
//! training at all, SSN's radius, how running statistics are gathered, and the ranks to synchronise with; and
//! [`Norms::ratios`] reads what every switchable layer has learned. Keys of parameters are those of the published code.
//!
//! Luo et al. 2019 (SN, ICLR), Shao et al. 2019 (SSN, CVPR), Luo et al. 2018 (arXiv 1811.07727, hard ratios),
//! Luo et al. 2019 (arXiv 1809.00846, population normalisation). Left out: switchable whitening.

mod conv_norm;
mod kinds;
mod layer;
mod mixture;
mod mixture_op;
pub mod sparsestmax;
pub mod sync;
#[cfg(test)]
mod sync_tests;
#[cfg(test)]
mod tests;

pub use conv_norm::ConvNorm;
pub use kinds::{Dims, NormKind};
pub use layer::{Decision, LayerRatios, Norm};
pub use mixture::Normaliser;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::Result;
use candle_nn::VarBuilder;

use crate::nn::activation::Activation;
use layer::Layer;
use sync::AllReduce;

/// Whether a variable of this name is one that only some normalisations have: ratios and what belongs to them, running
/// statistics. What it is multiplied with and what is added all of them have.
pub fn is_of_some_norms(name: &str) -> bool {
    const OWN: [&str; 7] = [
        "mean_weight",
        "var_weight",
        "mean_fixed",
        "var_fixed",
        "radius",
        "running_mean",
        "running_var",
    ];
    name.rsplit('.')
        .next()
        .is_some_and(|last| OWN.contains(&last))
}

/// All normalisation layers of one network. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Norms(Arc<Shared>);

struct Shared {
    kind: NormKind,
    groups: usize,
    momentum: Option<f64>,
    is_training: AtomicBool,
    /// Bits of SSN's radius.
    radius: AtomicU64,
    /// Whether running statistics are summed up instead of moved.
    is_averaging: AtomicBool,
    reduce: Mutex<Option<Arc<dyn AllReduce>>>,
    layers: Mutex<Vec<Arc<Layer>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Norms {
    /// Layers of `kind`, evaluating until [`Norms::set_training`] says otherwise. `groups` matter to group
    /// normalisation only.
    pub fn new(kind: NormKind, groups: usize) -> Self {
        Self::with_momentum(kind, groups, None)
    }

    /// As [`Norms::new`], with the share of the old value that running statistics keep at each step; by default what
    /// the published code keeps: 0.9, and 0.997 for SSN and for SN of vectors and volumes.
    pub fn with_momentum(kind: NormKind, groups: usize, momentum: Option<f64>) -> Self {
        Self(Arc::new(Shared {
            kind,
            groups,
            momentum,
            is_training: AtomicBool::new(false),
            radius: AtomicU64::new(0f64.to_bits()),
            is_averaging: AtomicBool::new(false),
            reduce: Mutex::default(),
            layers: Mutex::default(),
        }))
    }

    /// One layer behind a convolution or a linear layer, with the activation that follows it.
    ///
    /// # Errors
    /// If `channels` do not divide into the groups, or the kind has no form for `dims`.
    pub fn layer(
        &self,
        channels: usize,
        dims: Dims,
        act: Activation,
        vb: VarBuilder,
    ) -> Result<Norm> {
        let layer = Layer::new(&self.0, channels, dims, &vb)?;
        let layer = Arc::new(layer);
        lock(&self.0.layers).push(Arc::clone(&layer));
        Ok(Norm::new(layer, self.clone(), act))
    }

    /// A layer for pictures [N, C, H, W].
    ///
    /// # Errors
    /// As [`Norms::layer`].
    pub fn layer2d(&self, channels: usize, act: Activation, vb: VarBuilder) -> Result<Norm> {
        self.layer(channels, Dims::Two, act, vb)
    }

    /// The kind of all layers.
    pub fn kind(&self) -> NormKind {
        self.0.kind
    }

    /// Training reads the batch and moves the running statistics; evaluation only reads the running ones.
    pub fn set_training(&self, is_training: bool) {
        self.0.is_training.store(is_training, Relaxed);
    }

    /// Whether layers normalise with the statistics of the batch.
    pub fn is_training(&self) -> bool {
        self.0.is_training.load(Relaxed)
    }

    /// SSN's radius; the published schedule grows it from 0 at the first step to 1 at the last. Layers whose ratios
    /// have become one choice are frozen, which happens at √6/3 ≈ 0.8165 at the latest.
    ///
    /// # Errors
    /// If control parameters are not finite.
    pub fn set_radius(&self, radius: f64) -> Result<()> {
        self.0.radius.store(radius.to_bits(), Relaxed);
        if self.0.kind == NormKind::SparseSwitch {
            for layer in self.layers() {
                layer.freeze_decided(radius)?;
            }
        }
        Ok(())
    }

    /// SSN's radius now.
    pub fn radius(&self) -> f64 {
        f64::from_bits(self.0.radius.load(Relaxed))
    }

    /// Takes the largest ratio of each switchable layer, for mean and for variance separately, as its only one.
    ///
    /// # Errors
    /// If the layers have no ratios.
    pub fn harden(&self) -> Result<()> {
        let mut count = 0;
        for layer in self.layers() {
            count += usize::from(layer.harden(self.radius())?);
        }
        if count == 0 {
            candle_core::bail!(
                "only switchable normalisation (sn, sn-nobn, sn-gn, ssn, hard) has ratios to harden, not {}",
                self.0.kind
            );
        }
        Ok(())
    }

    /// What each switchable layer has learned, in the order of the network; empty for other kinds.
    ///
    /// # Errors
    /// If control parameters are not finite.
    pub fn ratios(&self) -> Result<Vec<LayerRatios>> {
        let radius = self.radius();
        let layers = self.layers().into_iter();
        layers
            .filter_map(|layer| layer.ratios(radius).transpose())
            .collect()
    }

    /// Goes on where a run stopped after `passes` training passes: `decisions` are what [`Norms::ratios`] said then, of
    /// each layer in the order of the network. Parameters and buffers are the caller's to restore, before this.
    ///
    /// # Errors
    /// If the decisions belong to another network.
    pub fn resume(&self, decisions: &[Decision], passes: usize) -> Result<()> {
        let layers = self.layers();
        let expected = match self.0.kind.is_switchable() {
            true => layers.len(),
            false => 0,
        };
        if decisions.len() != expected {
            candle_core::bail!(
                "{} decisions for {expected} switchable layers",
                decisions.len()
            );
        }
        let decisions = decisions
            .iter()
            .copied()
            .chain(std::iter::repeat([None; 2]));
        for (layer, decision) in layers.iter().zip(decisions) {
            layer.resume(decision, passes)?;
        }
        Ok(())
    }

    /// Statistics of the batch are summed over these ranks from now on.
    pub fn synchronise(&self, reduce: Option<Arc<dyn AllReduce>>) {
        *lock(&self.0.reduce) = reduce;
    }

    /// Starts batch averages: training passes until [`Norms::finish_average`] are summed up with equal weight. With
    /// frozen weights this gives steadier statistics than a moving average if batches are small.
    pub fn start_average(&self) {
        for layer in self.layers() {
            layer.clear_sums();
        }
        self.0.is_averaging.store(true, Relaxed);
    }

    /// Takes the averages of the passes since [`Norms::start_average`] as running statistics.
    ///
    /// # Errors
    /// If there was no pass.
    pub fn finish_average(&self) -> Result<()> {
        self.0.is_averaging.store(false, Relaxed);
        for layer in self.layers() {
            layer.take_average()?;
        }
        Ok(())
    }

    fn layers(&self) -> Vec<Arc<Layer>> {
        lock(&self.0.layers).clone()
    }

    fn reduce(&self) -> Option<Arc<dyn AllReduce>> {
        lock(&self.0.reduce).clone()
    }
}
