//! One live run: a network with one normalisation learns the digits and tells how it goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use candle_core::backprop::GradStore;
use candle_core::{D, DType, Tensor};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use super::checkpoint::{Checkpoint, Standing};
pub use super::config::{GROUPS, LabConfig};
use super::dataset::Digits;
use super::net::{Net, NetConfig};
use super::optim::{Sgd, SgdConfig};
use super::table::Table;
use crate::nn::norms::Norms;
pub use crate::nn::norms::{LayerRatios, NormKind, Normaliser};
use crate::training::Ranks;

/// When `hard` hardens, as a share of the steps; what is left of them fine-tunes at a tenth of the rate.
pub const HARDEN_AT: f64 = 0.6;
const WEIGHT_DECAY: f64 = 1e-4;
/// Shares of old running statistics that stay: short runs cannot wait for the published 0.997.
const MOMENTUM: f64 = 0.9;
/// Held-out digits that an evaluation takes at once.
const EVAL_BATCH: usize = 250;

/// What a run tells.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Steps done.
    pub step: usize,
    /// Mean training loss since the sample before.
    pub loss: f64,
    /// Share of held-out digits named rightly, where it was measured.
    pub accuracy: Option<f64>,
    /// What each switchable layer has learned so far.
    pub ratios: Vec<LayerRatios>,
}

impl Sample {
    /// Appends a row for each set of ratios: step, layer, set, ratios, the decision.
    pub fn push_ratios(&self, table: &mut Table) {
        for layer in &self.ratios {
            for (set, values, decision) in [
                ("mean", &layer.mean, layer.decision[0]),
                ("variance", &layer.var, layer.decision[1]),
            ] {
                let values: Vec<String> = values.iter().map(|v| format!("{v:.4}")).collect();
                table.push([
                    self.step.to_string(),
                    layer.name.clone(),
                    set.to_string(),
                    values.join(" "),
                    decision.map_or(String::new(), |d| d.to_string()),
                ]);
            }
        }
    }
}

/// A run that can be advanced step by step.
pub struct Run {
    config: LabConfig,
    steps: usize,
    step: usize,
    train: Arc<Digits>,
    held_out: Arc<Digits>,
    net: Net,
    sgd: Sgd,
    order: Vec<usize>,
    rng: SmallRng,
    ranks: Ranks,
    /// Factor of the rate, and the step it counts from: fine-tuning starts a schedule of its own.
    schedule: (f64, usize),
    loss: f64,
    samples: usize,
}

impl Run {
    /// A run on both sets. One of several ranks takes its share of each batch.
    ///
    /// # Errors
    /// What [`LabConfig::check`] says; empty sets.
    pub fn new(
        config: LabConfig,
        (train, held_out): (Arc<Digits>, Arc<Digits>),
        ranks: Ranks,
    ) -> Result<Self> {
        config.check()?;
        ensure!(
            !train.is_empty() && !held_out.is_empty(),
            "There are no digits to learn from"
        );
        let train = match config.pool {
            0 => train,
            pool => Arc::new(train.thinned(pool)),
        };
        let mut rng = SmallRng::seed_from_u64(config.seed);
        let norms = Norms::with_momentum(config.norm, GROUPS, Some(MOMENTUM));
        let shape = NetConfig {
            depth: config.depth,
            width: config.width,
            dropout: config.dropout,
        };
        let net = Net::new(shape, norms, ranks.device(), &mut rng)
            .context("Failed to build the network")?;
        net.norms().synchronise(ranks.reduce());
        let sgd = SgdConfig {
            momentum: 0.9,
            weight_decay: WEIGHT_DECAY,
            gamma_decay: config.gamma_decay,
        };
        Ok(Self {
            steps: config.steps(ranks.count()),
            sgd: Sgd::new(net.named_vars(), sgd),
            config,
            step: 0,
            train,
            held_out,
            net,
            order: Vec::new(),
            rng,
            ranks,
            schedule: (1.0, 0),
            loss: 0.0,
            samples: 0,
        })
    }

    /// What it takes to go on from here.
    ///
    /// # Errors
    /// If weights cannot be copied.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        let ratios = self.net.norms().ratios()?;
        Ok(Checkpoint {
            standing: Standing {
                step: self.step,
                steps: self.steps,
                schedule: self.schedule,
                pending: (self.loss, self.samples),
                decisions: ratios.iter().map(|r| r.decision).collect(),
                ranks: self.ranks.count(),
            },
            weights: self.tensors()?,
            velocities: self.sgd.velocities(),
        })
    }

    /// A run that goes on from `checkpoint` as if it had not stopped. `tell` hears the share that is done of drawing
    /// its random numbers again.
    ///
    /// # Errors
    /// As [`Run::new`]; if the checkpoint belongs to another network or other ranks; whatever `tell` returns.
    pub fn resume(
        config: LabConfig,
        sets: (Arc<Digits>, Arc<Digits>),
        ranks: Ranks,
        checkpoint: &Checkpoint,
        mut tell: impl FnMut(f32) -> Result<()>,
    ) -> Result<Self> {
        const TELL_EVERY: usize = 256;
        let standing = &checkpoint.standing;
        let (then, now) = (standing.ranks, ranks.count());
        ensure!(
            then == now,
            "The run was trained on {then} ranks and can go on with as many only, not with {now}"
        );
        let mut run = Self::new(config, sets, ranks)?;
        for step in 0..standing.step {
            let batch = run.next_batch().len();
            run.net.skip(batch, &mut run.rng);
            if step % TELL_EVERY == 0 {
                tell(step as f32 / standing.step as f32)?;
            }
        }
        for (name, var) in run.net.named_vars() {
            let tensor = checkpoint.weights.get(&name);
            let tensor = tensor.filter(|t| t.shape() == var.shape());
            let tensor = tensor.with_context(|| {
                let shape = var.dims();
                format!(
                    "The checkpoint has no `{name}` of {shape:?}: it belongs to another network"
                )
            })?;
            var.set(&tensor.to_device(var.device())?)?;
        }
        let velocities = checkpoint.velocities.iter();
        let velocities = velocities.map(|(name, v)| {
            let v = v.to_device(run.ranks.device())?;
            Ok((name.clone(), v))
        });
        run.sgd.set_velocities(velocities.collect::<Result<_>>()?)?;
        let norms = run.net.norms();
        if run.config.norm == NormKind::SparseSwitch {
            let radius = match standing.is_unfinished() {
                true => standing.step as f64 / standing.steps.max(1) as f64,
                false => 1.0,
            };
            norms.set_radius(radius)?;
        }
        norms.resume(&standing.decisions, standing.step)?;
        (run.step, run.steps) = (standing.step, standing.steps);
        run.schedule = standing.schedule;
        (run.loss, run.samples) = standing.pending;
        Ok(run)
    }

    /// Steps done and steps in all.
    pub fn progress(&self) -> (usize, usize) {
        (self.step, self.steps)
    }

    /// The network as it is.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// Settings of the run.
    pub fn config(&self) -> &LabConfig {
        &self.config
    }

    /// Digits of the next batch of this rank. Every rank shuffles alike and takes its own part.
    fn next_batch(&mut self) -> Vec<usize> {
        let (rank, ranks) = (self.ranks.rank(), self.ranks.count());
        let batch = self.config.batch;
        let mut whole = Vec::with_capacity(batch * ranks);
        while whole.len() < batch * ranks {
            if self.order.is_empty() {
                self.order = (0..self.train.len()).collect();
                for i in (1..self.order.len()).rev() {
                    self.order.swap(i, self.rng.random_range(0..=i));
                }
            }
            whole.extend(self.order.pop());
        }
        whole[rank * batch..(rank + 1) * batch].to_vec()
    }

    /// Digits where the network computes.
    fn batch(&self, digits: &Digits, numbers: &[usize]) -> Result<(Tensor, Tensor)> {
        let (xs, labels) = digits.batch(numbers)?;
        let device = self.ranks.device();
        Ok((xs.to_device(device)?, labels.to_device(device)?))
    }

    fn rate(&self) -> f64 {
        let peak = self.config.rate * (self.config.batch * self.ranks.count()) as f64 / 32.0;
        let (factor, from) = self.schedule;
        let total = self.steps.saturating_sub(from).max(1);
        let at = self.step.saturating_sub(from);
        // A tenth of the way up, then half a cosine down.
        let warm_up = if from == 0 { total / 10 } else { 0 };
        factor * crate::training::cosine_rate(peak, at, total, warm_up)
    }

    /// One step; the loss of its batch (of this rank's share of it).
    ///
    /// # Errors
    /// A loss that is no number; another rank that is gone.
    pub fn step(&mut self) -> Result<f64> {
        let norms = self.net.norms().clone();
        norms.set_training(true);
        if self.config.norm == NormKind::SparseSwitch {
            // The published schedule: from 0 to 1 in a straight line, so that all is decided at 82 % of the steps.
            norms.set_radius(self.step as f64 / self.steps as f64)?;
        }
        if self.config.norm == NormKind::Hard
            && self.schedule.1 == 0
            && self.step as f64 >= HARDEN_AT * self.steps as f64
        {
            self.harden()?;
        }
        let (value, _, grads) = self.gradients()?;
        self.apply(&grads)?;
        self.loss += value;
        self.samples += 1;
        Ok(value)
    }

    /// Loss and logits of the next batch (of this rank's share), and the gradients, averaged over the ranks. Of training
    /// it is the first half; [`Run::apply`] is the second.
    ///
    /// # Errors
    /// A loss that is no number; another rank that is gone.
    pub fn gradients(&mut self) -> Result<(f64, Tensor, GradStore)> {
        self.net.norms().set_training(true);
        let numbers = self.next_batch();
        let (xs, labels) = self.batch(&self.train, &numbers)?;
        let logits = self.net.forward(&xs, Some(&mut self.rng))?;
        let loss = candle_nn::loss::cross_entropy(&logits, &labels)?;
        let value = f64::from(loss.to_scalar::<f32>()?);
        ensure!(
            value.is_finite(),
            "The loss is no longer a number after {} steps: lower the learning rate",
            self.step
        );
        let mut grads = loss.backward()?;
        self.ranks.average(&mut grads, &self.sgd.vars())?;
        Ok((value, logits, grads))
    }

    /// Moves the weights against `grads`.
    ///
    /// # Errors
    /// If a gradient is not finite.
    pub fn apply(&mut self, grads: &GradStore) -> Result<()> {
        let rate = self.rate();
        self.sgd.step(grads, rate)?;
        self.step += 1;
        if self.step == self.steps && self.config.norm == NormKind::SparseSwitch {
            self.net.norms().set_radius(1.0)?;
        }
        Ok(())
    }

    /// Takes the largest ratios as the only ones; what is left of the steps fine-tunes at a tenth of the rate.
    ///
    /// # Errors
    /// If the normalisation has no ratios.
    pub fn harden(&mut self) -> Result<()> {
        self.net.norms().harden()?;
        self.schedule = (0.1, self.step.max(1));
        Ok(())
    }

    /// Adds steps after the end, at `factor` of the rate.
    pub fn extend(&mut self, steps: usize, factor: f64) {
        self.schedule = (factor, self.step.max(1));
        self.steps = self.step + steps;
    }

    /// Share of the first `count` held-out digits (of all, if there are fewer) named rightly.
    ///
    /// # Errors
    /// What the network says.
    pub fn accuracy(&self, count: usize) -> Result<f64> {
        match count < self.held_out.len() {
            true => self.accuracy_on(&self.held_out.thinned(count)),
            false => self.accuracy_on(&self.held_out),
        }
    }

    /// Share of the digits it trains on that are named rightly.
    ///
    /// # Errors
    /// What the network says.
    pub fn training_accuracy(&self) -> Result<f64> {
        self.accuracy_on(&self.train)
    }

    /// Share of these digits named rightly.
    ///
    /// # Errors
    /// What the network says.
    pub fn accuracy_on(&self, digits: &Digits) -> Result<f64> {
        let norms = self.net.norms();
        norms.set_training(false);
        let numbers: Vec<usize> = (0..digits.len()).collect();
        let mut right = 0f64;
        for part in numbers.chunks(EVAL_BATCH) {
            let (xs, labels) = self.batch(digits, part)?;
            let found = self.net.forward(&xs, None)?.argmax(D::Minus1)?;
            let hits = found.eq(&labels)?.to_dtype(DType::F32)?.sum_all()?;
            right += f64::from(hits.to_scalar::<f32>()?);
        }
        norms.set_training(true);
        Ok(right / digits.len().max(1) as f64)
    }

    /// Replaces running statistics by averages over `passes` batches with the weights as they are.
    ///
    /// # Errors
    /// What the network says.
    pub fn average_statistics(&mut self, passes: usize) -> Result<()> {
        let norms = self.net.norms().clone();
        norms.set_training(true);
        norms.start_average();
        for _ in 0..passes {
            let numbers = self.next_batch();
            let (xs, _) = self.batch(&self.train, &numbers)?;
            self.net.forward(&xs, None)?;
        }
        Ok(norms.finish_average()?)
    }

    /// What happened since the last call, with the accuracy if it was measured.
    ///
    /// # Errors
    /// If control parameters are not finite.
    pub fn sample(&mut self, accuracy: Option<f64>) -> Result<Sample> {
        let loss = self.loss / self.samples.max(1) as f64;
        (self.loss, self.samples) = (0.0, 0);
        Ok(Sample {
            step: self.step,
            loss,
            accuracy,
            ratios: self.net.norms().ratios()?,
        })
    }

    /// Advances to the end, with about 50 samples on the way; every fifth measures the accuracy on 500 digits, the last
    /// on all.
    ///
    /// # Errors
    /// What a step says, and whatever `tell` returns: that is how a run is cancelled.
    pub fn finish(&mut self, mut tell: impl FnMut(&mut Self, Sample) -> Result<()>) -> Result<f64> {
        let every = (self.steps / 50).max(1);
        while self.step < self.steps {
            self.step()?;
            if self.step.is_multiple_of(every) && self.step < self.steps {
                let accuracy = match (self.step / every).is_multiple_of(5) {
                    true => Some(self.accuracy(500)?),
                    false => None,
                };
                let sample = self.sample(accuracy)?;
                tell(self, sample)?;
            }
        }
        let accuracy = self.accuracy(usize::MAX)?;
        let sample = self.sample(Some(accuracy))?;
        tell(self, sample)?;
        Ok(accuracy)
    }

    /// Copies of weights and buffers by name: the run itself goes on changing its own.
    ///
    /// # Errors
    /// If they cannot be copied.
    pub fn tensors(&self) -> Result<BTreeMap<String, Tensor>> {
        let named = self.net.named_vars().into_iter();
        named
            .map(|(name, var)| Ok((name, var.as_tensor().copy()?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::dataset::Difficulty;

    fn digits() -> (Arc<Digits>, Arc<Digits>) {
        let (train, held_out) = Digits::load(Difficulty::Plain).unwrap();
        (
            Arc::new(train.thinned(200)),
            Arc::new(held_out.thinned(100)),
        )
    }

    fn config(norm: NormKind) -> LabConfig {
        LabConfig {
            norm,
            batch: 10,
            width: 4,
            digits: 600,
            set: Difficulty::Plain,
            ..LabConfig::default()
        }
    }

    #[test]
    fn a_short_run_learns_and_tells() {
        let longer = LabConfig {
            digits: 2500,
            rate: 0.2,
            ..config(NormKind::Switch)
        };
        let mut run = Run::new(longer, digits(), Ranks::alone()).unwrap();
        let before = run.accuracy(100).unwrap();
        let mut told = Vec::new();
        let after = run
            .finish(|_, sample| {
                told.push(sample);
                Ok(())
            })
            .unwrap();
        assert!(after > 0.4 && after > before + 0.2, "{before} → {after}");
        assert!(told.len() >= 50 && told.last().unwrap().step == 250);
        assert!(
            told.iter()
                .all(|s| s.loss.is_finite() && s.ratios.len() == 9)
        );
        let moved = told.last().unwrap().ratios.iter();
        assert!(
            moved
                .flat_map(|r| &r.mean)
                .any(|r| (r - 1.0 / 3.0).abs() > 1e-4)
        );
    }

    #[test]
    fn sparse_layers_are_all_decided_and_hard_ones_too() {
        for norm in [NormKind::SparseSwitch, NormKind::Hard] {
            let mut run = Run::new(
                LabConfig {
                    digits: 200,
                    ..config(norm)
                },
                digits(),
                Ranks::alone(),
            )
            .unwrap();
            run.finish(|_, _| Ok(())).unwrap();
            let ratios = run.net().norms().ratios().unwrap();
            assert!(
                ratios
                    .iter()
                    .all(|r| r.decision.iter().all(Option::is_some)),
                "{norm}: {ratios:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_trained_is_refused_in_words() {
        let refuse = |change: &dyn Fn(&mut LabConfig)| {
            let mut config = config(NormKind::Batch);
            change(&mut config);
            Run::new(config, digits(), Ranks::alone())
                .err()
                .unwrap()
                .to_string()
        };
        assert!(refuse(&|c| c.batch = 1).contains("--batch 2 or more"));
        assert!(refuse(&|c| c.width = 6).contains("multiple of 4"));
        assert!(refuse(&|c| c.rate = f64::NAN).contains("--rate"));
        assert!(refuse(&|c| c.depth = 0).contains("--depth"));
        let mut run = Run::new(
            LabConfig {
                rate: 1e30,
                ..config(NormKind::Batch)
            },
            digits(),
            Ranks::alone(),
        )
        .unwrap();
        let error = run.finish(|_, _| Ok(())).unwrap_err().to_string();
        assert!(error.contains("lower the learning rate"), "{error}");
    }
}
