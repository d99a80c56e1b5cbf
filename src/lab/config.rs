//! Settings of a run, and which of them cannot be trained.

use anyhow::{Result, ensure};

use super::dataset::{CLASSES, Difficulty};
use crate::nn::norms::NormKind;

/// Groups of group normalisation.
pub const GROUPS: usize = 4;

/// Settings of a run: flags, the tab's controls, and `config.json` beside the results.
#[derive(Clone, Debug, PartialEq, clap::Args, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct LabConfig {
    /// Normalisation: bn, in, ln, gn, pn, sn, sn-nobn, sn-gn, ssn or hard (sn, hardened at 60 % of the steps)
    #[arg(long, default_value = "sn")]
    pub norm: NormKind,

    /// Digits a step, on each rank
    #[arg(long, default_value_t = 16)]
    pub batch: usize,

    /// Residual blocks of each of the three stages
    #[arg(long, default_value_t = 1)]
    pub depth: usize,

    /// Channels of the first stage
    #[arg(long, default_value_t = 8)]
    pub width: usize,

    /// Learning rate for a batch of 32; it grows in proportion to the batch
    #[arg(long, default_value_t = 0.15)]
    pub rate: f64,

    /// Digits to train on in all, counted with repetition
    #[arg(long, default_value_t = 32_000)]
    pub digits: usize,

    /// Different digits to train on; 0 takes all 8,000. With few of them networks learn by heart
    #[arg(long, default_value_t = 0)]
    pub pool: usize,

    /// Plain digits, or the harder set made from them
    #[arg(long, value_enum, default_value_t = Difficulty::Hard)]
    pub set: Difficulty,

    /// ζ of gamma decay: adds ζγ² to the loss for every scale γ
    #[arg(long, default_value_t = 0.0)]
    pub gamma_decay: f64,

    /// Share of features dropped before the last layer
    #[arg(long, default_value_t = 0.0)]
    pub dropout: f64,

    /// Seed of weights and order
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Default for LabConfig {
    fn default() -> Self {
        Self {
            norm: NormKind::Switch,
            batch: 16,
            depth: 1,
            width: 8,
            rate: 0.15,
            digits: 32_000,
            pool: 0,
            set: Difficulty::Hard,
            gamma_decay: 0.0,
            dropout: 0.0,
            seed: 1,
        }
    }
}

impl LabConfig {
    /// What a run is called until the user says otherwise: `Switchable, batch 16`.
    pub fn title(&self) -> String {
        format!("{}, batch {}", self.norm.title(), self.batch)
    }

    /// Steps that the digits make, on `ranks` ranks.
    pub fn steps(&self, ranks: usize) -> usize {
        (self.digits / (self.batch * ranks).max(1)).max(1)
    }

    /// What cannot be trained is told before it starts.
    ///
    /// # Errors
    /// In words, with the flag to change.
    pub fn check(&self) -> Result<()> {
        ensure!(self.batch > 0, "--batch must be at least 1");
        ensure!(self.batch <= 1024, "--batch may be 1024 at most");
        ensure!(
            self.batch > 1 || !self.norm.needs_batch(),
            "Batch normalisation cannot learn from one digit at a time: take --batch 2 or more, or --norm sn-nobn or gn"
        );
        ensure!((1..=16).contains(&self.depth), "--depth goes from 1 to 16");
        ensure!(
            self.width > 0 && self.width.is_multiple_of(GROUPS) && self.width <= 128,
            "--width is a multiple of {GROUPS}, 128 at most"
        );
        ensure!(
            self.rate > 0.0 && self.rate.is_finite(),
            "--rate must be a positive number"
        );
        ensure!(
            (0.0..1.0).contains(&self.dropout),
            "--dropout lies from 0 to below 1"
        );
        ensure!(
            self.gamma_decay >= 0.0 && self.gamma_decay.is_finite(),
            "--gamma-decay must not be negative"
        );
        ensure!(
            (1..=100_000_000).contains(&self.digits),
            "--digits must be at least 1"
        );
        ensure!(
            self.pool == 0 || (CLASSES..=1_000_000).contains(&self.pool),
            "--pool must be 0 or at least {CLASSES}, one digit of each kind"
        );
        Ok(())
    }
}
