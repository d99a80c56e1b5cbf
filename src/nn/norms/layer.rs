//! One normalisation layer: its parameters, its running statistics, its ratios and what is decided about them.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use candle_core::{DType, Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};

use super::kinds::{Dims, NormKind};
use super::mixture::{BatchStats, Correction, Mixture, Normaliser, Source};
use super::mixture_op::{mix, one_hot, plain};
use super::sparsestmax::sparsestmax;
use super::{Norms, Shared, lock};
use crate::nn::activation::Activation;
use crate::nn::blocks::EPS;
use crate::nn::norm::group_norm;

/// A ratio this large is a decision; what is missing to 1 is rounding.
const DECIDED: f64 = 1.0 - 1e-6;

/// Which of its normalisers a layer has settled on: for the mean and for the variance.
pub type Decision = [Option<usize>; 2];

/// What a switchable layer has learned.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerRatios {
    /// The layer's name in the network.
    pub name: String,
    /// What is mixed, in the order of the ratios.
    pub normalisers: Vec<Normaliser>,
    /// Ratios of the means, which sum to 1.
    pub mean: Vec<f64>,
    /// Ratios of the variances, which sum to 1.
    pub var: Vec<f64>,
    /// Which are frozen to one choice.
    pub decision: Decision,
}

/// A layer without its activation; [`Norms`] keeps all of a network.
pub(super) struct Layer {
    name: String,
    channels: usize,
    kind: NormKind,
    weight: Tensor,
    bias: Tensor,
    normalisers: Vec<Normaliser>,
    correction: Correction,
    running: Option<Running>,
    switch: Option<Switch>,
}

/// Running statistics of the batch's branch.
struct Running {
    mean: Tensor,
    var: Tensor,
    momentum: f64,
    /// Passes that moved them.
    passes: Mutex<usize>,
    /// Sums of means and of second moments while averaging, and how many.
    sums: Mutex<(Vec<f64>, usize)>,
}

/// Control parameters.
struct Switch {
    mean_weight: Tensor,
    var_weight: Tensor,
    is_sparse: bool,
    /// Flags of the mean and of the variance, and the radius, `[1]` each.
    flags: Option<[Tensor; 3]>,
    decision: Mutex<Decision>,
}

impl Layer {
    pub fn new(shared: &Shared, channels: usize, dims: Dims, vb: &VarBuilder) -> Result<Self> {
        let kind = shared.kind;
        let groups = shared.groups;
        let uses_groups = matches!(kind, NormKind::Group | NormKind::SwitchGroup);
        if uses_groups && (groups == 0 || !channels.is_multiple_of(groups)) {
            bail!("{channels} channels do not divide into {groups} groups");
        }
        let has_form = match kind {
            NormKind::Instance | NormKind::SwitchNoBatch => dims != Dims::One,
            _ => true,
        };
        if !has_form {
            bail!("{kind} has nothing to normalise in vectors: each value is alone");
        }
        let normalisers = kind.normalisers(dims, groups);
        let is_switchable = kind.is_switchable();
        let ones = match dims {
            Dims::One => 0,
            Dims::Two => 2,
            Dims::Three => 3,
        };
        // The published layers keep dimensions for broadcasting; PyTorch's own do not.
        let padded = |count: usize| {
            let mut shape = vec![1, channels];
            shape.resize(2 + count, 1);
            shape
        };
        let (affine, buffer) = match is_switchable {
            true => (padded(ones), padded(usize::from(ones > 0))),
            false => (vec![channels], vec![channels]),
        };
        let get = |shape: &[usize], name: &str, value: f64| {
            vb.get_with_hints(shape, name, Init::Const(value))
        };
        let weight = get(&affine, "weight", 1.0)?;
        let bias = get(&affine, "bias", 0.0)?;
        let momentum = shared.momentum.unwrap_or(match (kind, dims) {
            (NormKind::SparseSwitch, _) => 0.997,
            (NormKind::Batch | NormKind::Population, _) | (_, Dims::Two) => 0.9,
            _ => 0.997,
        });
        let running = match normalisers.contains(&Normaliser::Batch) {
            true => Some(Running {
                mean: get(&buffer, "running_mean", 0.0)?,
                // The published layers start at 0, PyTorch's at 1.
                var: get(
                    &buffer,
                    "running_var",
                    if is_switchable { 0.0 } else { 1.0 },
                )?,
                momentum,
                passes: Mutex::new(0),
                sums: Mutex::default(),
            }),
            false => None,
        };
        let switch = match is_switchable {
            true => Some(Switch::new(kind, normalisers.len(), vb)?),
            false => None,
        };
        let correction = match (is_switchable, dims) {
            (false, _) => Correction::Biased,
            (true, Dims::One) => Correction::Each,
            (true, _) => Correction::Planes,
        };
        Ok(Self {
            name: vb.prefix(),
            channels,
            kind,
            weight,
            bias,
            normalisers,
            correction,
            running,
            switch,
        })
    }

    /// Ratios of a switchable layer, frozen ones included.
    pub fn ratios(&self, radius: f64) -> Result<Option<LayerRatios>> {
        let Some(switch) = &self.switch else {
            return Ok(None);
        };
        let k = self.normalisers.len();
        let ratios = switch.ratios(radius)?.to_dtype(DType::F64)?;
        let rows = ratios.to_vec2::<f64>()?;
        let row = |i: usize| rows.get(i).cloned().unwrap_or_else(|| vec![0.0; k]);
        Ok(Some(LayerRatios {
            name: self.name.clone(),
            normalisers: self.normalisers.clone(),
            mean: row(0),
            var: row(1),
            decision: *lock(&switch.decision),
        }))
    }

    /// Freezes the sets of ratios that the radius has driven to one choice.
    pub fn freeze_decided(&self, radius: f64) -> Result<()> {
        let Some(switch) = self.switch.as_ref().filter(|s| s.is_sparse) else {
            return Ok(());
        };
        if let Some([_, _, saved]) = &switch.flags {
            write(saved, &[radius as f32])?;
        }
        let Some(ratios) = self.ratios(radius)? else {
            return Ok(());
        };
        for (which, ratios) in [ratios.mean, ratios.var].iter().enumerate() {
            if let Some(choice) = ratios.iter().position(|&r| r >= DECIDED) {
                switch.decide(which, choice)?;
            }
        }
        Ok(())
    }

    /// Whether the layer had ratios to harden.
    pub fn harden(&self, radius: f64) -> Result<bool> {
        let (Some(switch), Some(ratios)) = (&self.switch, self.ratios(radius)?) else {
            return Ok(false);
        };
        switch.decide(0, largest(&ratios.mean))?;
        switch.decide(1, largest(&ratios.var))?;
        Ok(true)
    }

    /// Takes over what was decided in a run that is gone on with, and how many passes its statistics have seen.
    pub fn resume(&self, decision: Decision, passes: usize) -> Result<()> {
        if let Some(running) = &self.running {
            *lock(&running.passes) = passes;
        }
        for (which, choice) in decision.into_iter().enumerate() {
            let Some(choice) = choice else { continue };
            let switch = self.switch.as_ref();
            match switch.filter(|_| choice < self.normalisers.len()) {
                Some(switch) => switch.decide(which, choice)?,
                None => bail!("{} has no ratio {choice} to decide for", self.name),
            }
        }
        Ok(())
    }

    pub fn clear_sums(&self) {
        if let Some(running) = &self.running {
            *lock(&running.sums) = (Vec::new(), 0);
        }
    }

    pub fn take_average(&self) -> Result<()> {
        let Some(running) = &self.running else {
            return Ok(());
        };
        let (sums, count) = std::mem::take(&mut *lock(&running.sums));
        if self.decides_without_batch() {
            return Ok(());
        }
        if count == 0 {
            bail!("there was no pass over data between start and end of the average");
        }
        let c = self.channels;
        let mean: Vec<f32> = sums[..c]
            .iter()
            .map(|s| (s / count as f64) as f32)
            .collect();
        let var = sums[c..].iter().zip(&mean);
        let var: Vec<f32> = var
            .map(|(s, &m)| (s / count as f64 - f64::from(m) * f64::from(m)).max(0.0) as f32)
            .collect();
        write(&running.mean, &mean)?;
        write(&running.var, &var)
    }

    /// Whether frozen ratios leave the batch out.
    fn decides_without_batch(&self) -> bool {
        let Some([Some(mean), Some(var)]) = self.switch.as_ref().map(|s| *lock(&s.decision)) else {
            return false;
        };
        self.normalisers[mean] != Normaliser::Batch && self.normalisers[var] != Normaliser::Batch
    }

    fn affine(&self) -> Result<Tensor> {
        Tensor::cat(&[self.weight.flatten_all()?, self.bias.flatten_all()?], 0)
    }

    /// What is mixed now, with its ratios [2, K]: of a decided layer only what it uses.
    fn mixed(&self, radius: f64) -> Result<(Vec<Normaliser>, Tensor)> {
        let Some(switch) = &self.switch else {
            let ratios = Tensor::ones((2, 1), self.weight.dtype(), self.weight.device())?;
            return Ok((self.normalisers.clone(), ratios));
        };
        if let [Some(mean), Some(var)] = *lock(&switch.decision) {
            let used = if mean == var {
                vec![mean]
            } else {
                vec![mean, var]
            };
            let choice = [0, used.len() - 1];
            let ratios = one_hot(choice, used.len(), &self.weight)?;
            let used = used.into_iter().map(|i| self.normalisers[i]).collect();
            return Ok((used, ratios));
        }
        Ok((self.normalisers.clone(), switch.ratios(radius)?))
    }

    fn source(&self, is_training: bool) -> Result<Source> {
        let Some(running) = &self.running else {
            return Ok(Source::Batch);
        };
        let is_population = self.kind == NormKind::Population;
        if is_training && !is_population {
            return Ok(Source::Batch);
        }
        let values = |t: &Tensor| t.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>();
        let (mean, var) = (values(&running.mean)?, values(&running.var)?);
        if !is_training {
            return Ok(Source::Fixed(mean, var));
        }
        // The first passes average, so that the start is forgotten at once.
        let passes = *lock(&running.passes) as f64;
        let keep = running.momentum.min(passes / (passes + 1.0));
        Ok(Source::Population { mean, var, keep })
    }

    fn note_stats(&self, stats: BatchStats, values: usize, is_averaging: bool) -> Result<()> {
        let Some(running) = &self.running else {
            return Ok(());
        };
        let to_vec = |t: &Tensor| t.to_dtype(DType::F64)?.to_vec1::<f64>();
        let (mean, mut var) = (to_vec(&stats.0)?, to_vec(&stats.1)?);
        if !is_averaging {
            *lock(&running.passes) += 1;
        }
        if self.kind == NormKind::Population && !is_averaging {
            write(&running.mean, &narrow(&mean))?;
            return write(&running.var, &narrow(&var));
        }
        if self.kind == NormKind::Batch && values > 1 {
            // PyTorch normalises with the biased variance and remembers the unbiased one.
            let factor = values as f64 / (values - 1) as f64;
            var.iter_mut().for_each(|v| *v *= factor);
        }
        if is_averaging {
            let mut sums = lock(&running.sums);
            sums.0.resize(2 * self.channels, 0.0);
            let (first, second) = sums.0.split_at_mut(self.channels);
            first.iter_mut().zip(&mean).for_each(|(s, m)| *s += m);
            let moments = mean.iter().zip(&var).map(|(m, v)| m * m + v);
            second.iter_mut().zip(moments).for_each(|(s, t)| *s += t);
            sums.1 += 1;
            return Ok(());
        }
        for (buffer, new) in [(&running.mean, &mean), (&running.var, &var)] {
            let old = to_vec(&buffer.flatten_all()?)?;
            let moved = old.iter().zip(new);
            let moved =
                moved.map(|(old, new)| running.momentum * old + (1.0 - running.momentum) * new);
            write(buffer, &moved.map(|v| v as f32).collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

impl Switch {
    fn new(kind: NormKind, k: usize, vb: &VarBuilder) -> Result<Self> {
        let get =
            |name: &str, len: usize, value: f64| vb.get_with_hints(len, name, Init::Const(value));
        let keeps_flags = matches!(kind, NormKind::SparseSwitch | NormKind::Hard);
        let switch = Self {
            mean_weight: get("mean_weight", k, 1.0)?,
            var_weight: get("var_weight", k, 1.0)?,
            is_sparse: kind == NormKind::SparseSwitch,
            flags: match keeps_flags {
                true => Some([
                    get("mean_fixed", 1, 0.0)?,
                    get("var_fixed", 1, 0.0)?,
                    get("radius", 1, 0.0)?,
                ]),
                false => None,
            },
            decision: Mutex::default(),
        };
        switch.read_flags()?;
        Ok(switch)
    }

    /// Takes over what a checkpoint says is decided.
    fn read_flags(&self) -> Result<()> {
        let Some([mean, var, _]) = &self.flags else {
            return Ok(());
        };
        for (which, flag) in [mean, var].into_iter().enumerate() {
            if flag.to_dtype(DType::F32)?.to_vec1::<f32>()? != [0.0] {
                let weights = self.weights(which).to_dtype(DType::F64)?.to_vec1::<f64>()?;
                lock(&self.decision)[which] = Some(largest(&weights));
            }
        }
        Ok(())
    }

    fn weights(&self, which: usize) -> &Tensor {
        if which == 0 {
            &self.mean_weight
        } else {
            &self.var_weight
        }
    }

    /// Ratios [2, K]; frozen rows are constants.
    fn ratios(&self, radius: f64) -> Result<Tensor> {
        let decision = *lock(&self.decision);
        let row = |which: usize| -> Result<Tensor> {
            let weights = self.weights(which);
            match decision[which] {
                Some(choice) => one_hot([choice, choice], weights.elem_count(), weights)?.get(0),
                None if self.is_sparse => sparsestmax(weights, radius),
                None => candle_nn::ops::softmax(weights, 0),
            }
        };
        Tensor::stack(&[row(0)?, row(1)?], 0)
    }

    /// Freezes one set: the choice goes into the parameter, the flag into its buffer. Done already, it stays.
    fn decide(&self, which: usize, choice: usize) -> Result<()> {
        if lock(&self.decision)[which].is_some() {
            return Ok(());
        }
        let weights = self.weights(which);
        let k = weights.elem_count();
        let one_hot: Vec<f32> = (0..k).map(|i| f32::from(u8::from(i == choice))).collect();
        write(weights, &one_hot)?;
        if let Some(flag) = self.flags.as_ref().and_then(|flags| flags.get(which)) {
            write(flag, &[1.0])?;
        }
        lock(&self.decision)[which] = Some(choice);
        Ok(())
    }
}

fn largest(values: &[f64]) -> usize {
    let pairs = values.iter().enumerate();
    // The first of equals.
    pairs
        .rev()
        .max_by(|a, b| a.1.total_cmp(b.1))
        .map_or(0, |(i, _)| i)
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

/// Overwrites a parameter or buffer in place, so that the variable it came from changes too.
fn write(to: &Tensor, values: &[f32]) -> Result<()> {
    let values = Tensor::from_slice(values, to.shape(), to.device())?.to_dtype(to.dtype())?;
    to.slice_set(&values, 0, 0)
}

/// A layer of a network: normalises, scales and shifts each channel, and applies the activation.
#[derive(Clone)]
pub struct Norm {
    layer: Arc<Layer>,
    norms: Norms,
    act: Activation,
}

impl std::fmt::Debug for Norm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Norm")
            .field("kind", &self.layer.kind)
            .field("name", &self.layer.name)
            .field("channels", &self.layer.channels)
            .finish_non_exhaustive()
    }
}

impl Norm {
    pub(super) fn new(layer: Arc<Layer>, norms: Norms, act: Activation) -> Self {
        Self { layer, norms, act }
    }

    /// `xs` [N, C], [N, C, H, W] or [N, C, D, H, W], as the layer was made for; keeps the shape.
    ///
    /// # Errors
    /// Another number of channels; batch normalisation in training with one value a channel.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let layer = &self.layer;
        let dims = xs.dims();
        if dims.len() < 2 || dims[1] != layer.channels {
            bail!(
                "a normalisation for {} channels was given {dims:?}",
                layer.channels
            );
        }
        let groups = match layer.kind {
            NormKind::Instance => Some(layer.channels),
            NormKind::Layer => Some(1),
            NormKind::Group => Some(self.norms.0.groups),
            _ => None,
        };
        if let Some(groups) = groups {
            let flat = xs.reshape((dims[0], dims[1], (), 1))?;
            return group_norm(&flat, &layer.weight, &layer.bias, groups, EPS, self.act)?
                .reshape(dims);
        }
        let is_training = self.norms.is_training();
        let reduce = self.norms.reduce();
        let ranks = reduce.as_ref().map_or(1, |r| r.ranks());
        let values = xs.elem_count() / layer.channels * ranks;
        if is_training && layer.kind == NormKind::Batch && values < 2 {
            bail!(
                "batch normalisation cannot train on one value a channel: take a batch of 2 or more, or another normalisation (gn, sn)"
            );
        }
        let (normalisers, ratios) = layer.mixed(self.norms.radius())?;
        let mixture = Mixture {
            normalisers,
            correction: layer.correction,
            eps: EPS,
            act: self.act,
            source: layer.source(is_training)?,
            reduce: reduce.filter(|_| is_training),
        };
        let (ys, stats) = mix(xs, &layer.affine()?, &ratios, mixture)?;
        if let Some(stats) = stats.filter(|_| is_training) {
            let is_averaging = self.norms.0.is_averaging.load(Relaxed);
            layer.note_stats(stats, values, is_averaging)?;
        }
        Ok(ys)
    }

    /// As [`Norm::forward`] with candle's own operations, one by one: what `vitruvian bench` compares with.
    ///
    /// # Errors
    /// As [`Norm::forward`].
    pub fn forward_plain(&self, xs: &Tensor) -> Result<Tensor> {
        let layer = &self.layer;
        let (normalisers, ratios) = layer.mixed(self.norms.radius())?;
        let mixture = Mixture {
            normalisers,
            correction: layer.correction,
            eps: EPS,
            act: self.act,
            source: layer.source(self.norms.is_training())?,
            reduce: None,
        };
        Ok(plain(xs, &layer.affine()?, &ratios, &mixture)?.0)
    }

    /// Factor and shift of each channel, `[C]` each, if in evaluation the layer is nothing else: batch or population
    /// normalisation, or a layer decided for the batch twice. The activation is not in it.
    ///
    /// # Errors
    /// If the parameters cannot be read.
    pub fn as_affine(&self) -> Result<Option<(Tensor, Tensor)>> {
        let layer = &self.layer;
        if self.norms.is_training() {
            return Ok(None);
        }
        let (normalisers, _) = layer.mixed(self.norms.radius())?;
        let (Some(running), [Normaliser::Batch]) = (&layer.running, normalisers.as_slice()) else {
            return Ok(None);
        };
        let flat = |t: &Tensor| t.flatten_all();
        let scale = (flat(&layer.weight)? / (flat(&running.var)? + EPS)?.sqrt()?)?;
        let shift = (flat(&layer.bias)? - (flat(&running.mean)? * &scale)?)?;
        Ok(Some((scale, shift)))
    }

    /// The activation behind the normalisation.
    pub fn activation(&self) -> Activation {
        self.act
    }
}
