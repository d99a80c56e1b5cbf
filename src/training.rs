//! What every training run shares: variables, Adam with a running mean of the weights, checkpoints, schedule, log.
//!
//! Adam (Kingma & Ba 2015) with decoupled weight decay (Loshchilov & Hutter 2019), one pass over memory a step.
//! A checkpoint holds weights, moments, means and the step; a run resumes from it as if it had not stopped, since every
//! step draws its random numbers from (seed, step). Left out: data, models and losses, which the areas bring.

#[cfg(feature = "mpi")]
pub mod mpi;
#[cfg(feature = "nccl")]
pub mod nccl;
mod ranks;
#[cfg(test)]
mod tests;

pub use ranks::Ranks;

use anyhow::{Context as _, Result, bail};
use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, DType, Device, InplaceOp2, Layout, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use rand::SeedableRng as _;
use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::nn::norms::is_of_some_norms;

/// Settings of [`Adam`].
#[derive(Clone, Copy, Debug)]
pub struct AdamConfig {
    pub beta1: f64,
    pub beta2: f64,
    /// Decoupled decay of weights with two or more dimensions.
    pub weight_decay: f64,
    /// Largest norm of all gradients together; larger ones are scaled down.
    pub clip: f64,
    /// Share of the old value in the running mean of the weights.
    pub average: f64,
}

struct Slot {
    name: String,
    var: Var,
    m: Vec<f32>,
    v: Vec<f32>,
    mean: Vec<f32>,
    /// Share of the learning rate.
    rate: f32,
    /// Whether the last step had a gradient for it.
    has_gradient: bool,
}

/// Variables under one optimiser.
pub struct Adam {
    config: AdamConfig,
    slots: Vec<Slot>,
    steps: usize,
    ranks: Ranks,
}

/// One variable's update, in place.
struct Update<'a> {
    state: Mutex<(&'a mut [f32], &'a mut [f32], &'a mut [f32])>,
    scale: f32,
    lr: f32,
    decay: f32,
    beta: (f32, f32),
    corrections: (f32, f32),
    average: f32,
}

impl InplaceOp2 for Update<'_> {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(
        &self,
        value: &mut CpuStorage,
        vl: &Layout,
        grad: &CpuStorage,
        gl: &Layout,
    ) -> candle_core::Result<()> {
        let (CpuStorage::F32(value), CpuStorage::F32(grad)) = (value, grad) else {
            candle_core::bail!("training runs in f32");
        };
        let (Some((v0, v1)), Some((g0, g1))) = (vl.contiguous_offsets(), gl.contiguous_offsets())
        else {
            candle_core::bail!("training takes contiguous variables");
        };
        let Ok(mut state) = self.state.lock() else {
            candle_core::bail!("the optimiser's state was lost");
        };
        let (m, v, mean) = &mut *state;
        let (b1, b2) = self.beta;
        for ((((w, &g), m), v), mean) in value[v0..v1]
            .iter_mut()
            .zip(&grad[g0..g1])
            .zip(m.iter_mut())
            .zip(v.iter_mut())
            .zip(mean.iter_mut())
        {
            let g = g * self.scale;
            *m = b1 * *m + (1.0 - b1) * g;
            *v = b2 * *v + (1.0 - b2) * g * g;
            let step = *m * self.corrections.0 / ((*v * self.corrections.1).sqrt() + 1e-8);
            *w -= self.lr * (step + self.decay * *w);
            *mean = self.average * *mean + (1.0 - self.average) * *w;
        }
        Ok(())
    }
}

impl Adam {
    /// All variables of `vars`, sorted by name.
    pub fn new(vars: &VarMap, config: AdamConfig) -> Result<Self> {
        let Ok(data) = vars.data().lock() else {
            bail!("the variables are locked by a failed thread")
        };
        let mut slots = Vec::with_capacity(data.len());
        for (name, var) in data.iter() {
            let mean = var.flatten_all()?.to_vec1::<f32>()?;
            let zeros = vec![0f32; mean.len()];
            slots.push(Slot {
                name: name.clone(),
                var: var.clone(),
                m: zeros.clone(),
                v: zeros,
                mean,
                rate: 1.0,
                has_gradient: true,
            });
        }
        slots.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            config,
            slots,
            steps: 0,
            ranks: Ranks::alone(),
        })
    }

    /// From now on this is one of several processes that train together: all get the first one's weights, and every
    /// step takes the mean of their gradients.
    ///
    /// # Errors
    /// When another rank is gone.
    pub fn share(&mut self, ranks: &Ranks) -> Result<()> {
        ranks.agree(&self.vars())?;
        for slot in &mut self.slots {
            slot.mean = slot.var.flatten_all()?.to_vec1()?;
        }
        self.ranks = ranks.clone();
        Ok(())
    }

    fn vars(&self) -> Vec<Var> {
        self.slots.iter().map(|slot| slot.var.clone()).collect()
    }

    /// Lets variables whose names begin with `prefix` learn at `share` of the rate.
    pub fn slow_down(&mut self, prefix: &str, share: f64) {
        for slot in self.slots.iter_mut().filter(|s| s.name.starts_with(prefix)) {
            slot.rate = share as f32;
        }
    }

    /// Number of trained values.
    pub fn parameters(&self) -> usize {
        self.slots.iter().map(|s| s.m.len()).sum()
    }

    /// Moves all variables against `grads` and returns the norm of the gradients before clipping.
    ///
    /// # Errors
    /// When gradients are not finite, or another rank is gone.
    pub fn step(&mut self, mut grads: GradStore, lr: f64) -> Result<f64> {
        self.ranks.average(&mut grads, &self.vars())?;
        let mut sum = 0f64;
        for slot in &self.slots {
            if let Some(g) = grads.get(&slot.var) {
                sum += g.sqr()?.sum_all()?.to_scalar::<f32>()? as f64;
            }
        }
        let norm = sum.sqrt();
        if !norm.is_finite() {
            bail!(
                "the gradients are not finite after {} steps: lower the learning rate and resume from the last checkpoint",
                self.steps
            );
        }
        self.steps += 1;
        let c = self.config;
        let correction =
            |beta: f64| (1.0 / (1.0 - beta.powi(self.steps.min(1 << 20) as i32))) as f32;
        // The running mean follows quickly at first, else it would remember the random start.
        let average =
            c.average
                .min((1.0 + self.steps as f64) / (10.0 + self.steps as f64)) as f32;
        for slot in &mut self.slots {
            let Some(g) = grads.get(&slot.var) else {
                slot.has_gradient = false;
                continue;
            };
            slot.has_gradient = true;
            // Vectors do not decay, nor do the scales of SN, which are [1, C, 1, 1].
            let sides = slot.var.dims().iter().filter(|&&side| side > 1).count();
            let decay = if sides >= 2 {
                c.weight_decay as f32
            } else {
                0.0
            };
            let update = Update {
                state: Mutex::new((&mut slot.m, &mut slot.v, &mut slot.mean)),
                scale: if norm > c.clip {
                    (c.clip / norm) as f32
                } else {
                    1.0
                },
                lr: lr as f32 * slot.rate,
                decay,
                beta: (c.beta1 as f32, c.beta2 as f32),
                corrections: (correction(c.beta1), correction(c.beta2)),
                average,
            };
            slot.var
                .as_tensor()
                .inplace_op2(&g.contiguous()?, &update)?;
        }
        Ok(norm)
    }

    /// Running means of the weights, by name.
    pub fn means(&self) -> Result<BTreeMap<String, Tensor>> {
        let tensor = |s: &Slot| {
            let tensor = match s.has_gradient {
                true => Tensor::from_slice(&s.mean, s.var.shape(), &Device::Cpu)?,
                // Running statistics and frozen weights are what they are.
                false => s.var.as_tensor().copy()?,
            };
            Ok((s.name.clone(), tensor))
        };
        self.slots.iter().map(tensor).collect()
    }

    /// A builder that hands out the running means, to evaluate with.
    pub fn mean_builder(&self) -> Result<VarBuilder<'static>> {
        let map: HashMap<String, Tensor> = self.means()?.into_iter().collect();
        Ok(VarBuilder::from_tensors(map, DType::F32, &Device::Cpu))
    }

    fn save_into(&self, prefix: &str, out: &mut HashMap<String, Tensor>) -> Result<()> {
        for s in &self.slots {
            for (kind, values) in [("m", &s.m), ("v", &s.v), ("mean", &s.mean)] {
                out.insert(
                    format!("{prefix}.{kind}.{}", s.name),
                    Tensor::from_slice(values, s.var.shape(), &Device::Cpu)?,
                );
            }
            out.insert(
                format!("{prefix}.weight.{}", s.name),
                s.var.as_tensor().clone(),
            );
        }
        out.insert(
            format!("{prefix}.steps"),
            Tensor::new(&[self.steps as u32], &Device::Cpu)?,
        );
        Ok(())
    }

    fn load_from(&mut self, prefix: &str, tensors: &HashMap<String, Tensor>) -> Result<()> {
        let get = |name: String| {
            tensors.get(&name).with_context(|| {
                format!("The checkpoint has no `{name}`: it belongs to another model")
            })
        };
        for s in &mut self.slots {
            let weight = get(format!("{prefix}.weight.{}", s.name))?;
            if weight.shape() != s.var.shape() {
                bail!(
                    "`{}` is {:?} in the checkpoint and {:?} here: it belongs to another model",
                    s.name,
                    weight.dims(),
                    s.var.dims()
                );
            }
            s.var.set(weight)?;
            s.m = get(format!("{prefix}.m.{}", s.name))?
                .flatten_all()?
                .to_vec1()?;
            s.v = get(format!("{prefix}.v.{}", s.name))?
                .flatten_all()?
                .to_vec1()?;
            s.mean = get(format!("{prefix}.mean.{}", s.name))?
                .flatten_all()?
                .to_vec1()?;
        }
        self.steps = get(format!("{prefix}.steps"))?
            .to_vec1::<u32>()?
            .first()
            .copied()
            .unwrap_or(0) as usize;
        Ok(())
    }
}

/// The folder of one run: `checkpoint.safetensors`, `log.csv` and whatever the run adds.
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Creates the folder when it is missing.
    pub fn create(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path)
            .with_context(|| format!("Failed to create the folder {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// A file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes all optimisers and the step, replacing the last checkpoint in one move.
    pub fn save(&self, step: usize, optimisers: &[(&str, &Adam)]) -> Result<()> {
        let mut tensors = HashMap::new();
        for (prefix, adam) in optimisers {
            adam.save_into(prefix, &mut tensors)?;
        }
        tensors.insert("step".into(), Tensor::new(&[step as u32], &Device::Cpu)?);
        let (temporary, last) = (
            self.file("checkpoint.tmp"),
            self.file("checkpoint.safetensors"),
        );
        candle_core::safetensors::save(&tensors, &temporary)
            .with_context(|| format!("Failed to write {}", temporary.display()))?;
        std::fs::rename(&temporary, &last)
            .with_context(|| format!("Failed to write {}", last.display()))
    }

    /// Restores all optimisers from the last checkpoint and returns its step; `None` when there is none.
    pub fn resume(&self, optimisers: &mut [(&str, &mut Adam)]) -> Result<Option<usize>> {
        let path = self.file("checkpoint.safetensors");
        if !path.exists() {
            return Ok(None);
        }
        let tensors = candle_core::safetensors::load(&path, &Device::Cpu)
            .with_context(|| format!("Failed to read {}", path.display()))?;
        for (prefix, adam) in optimisers.iter_mut() {
            // An optimiser that the checkpoint knows nothing of starts afresh: a discriminator that joins later.
            if tensors.keys().any(|k| k.starts_with(&format!("{prefix}."))) {
                adam.load_from(prefix, &tensors)?;
            }
        }
        let step = tensors
            .get("step")
            .context("The checkpoint has no step")?
            .to_vec1::<u32>()?;
        Ok(step.first().map(|&s| s as usize))
    }

    /// Appends a line to `log.csv`; a new file starts with `header`.
    pub fn log(&self, header: &str, line: &str) -> Result<()> {
        let path = self.file("log.csv");
        let is_new = !path.exists();
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("Failed to write {}", path.display()))?;
        if is_new {
            writeln!(file, "{header}")?;
        }
        writeln!(file, "{line}").with_context(|| format!("Failed to write {}", path.display()))
    }
}

/// Sets all of `vars` from a weight file, to go on from shipped weights where no checkpoint is left. What only some
/// normalisations have (ratios, running statistics) may be missing: a network goes on with another one than it began with.
///
/// # Errors
/// When any other variable is missing in the file, or one has another shape there.
pub fn initialise(vars: &VarMap, path: &Path) -> Result<()> {
    let checkpoint = crate::weights::Checkpoint::open(path, &Device::Cpu)?;
    let Ok(data) = vars.data().lock() else {
        bail!("the variables are locked by a failed thread")
    };
    for (name, var) in data.iter() {
        let tensor = checkpoint.tensors().get(name);
        if tensor.is_none() && is_of_some_norms(name) {
            continue;
        }
        // SN keeps a number for each channel as [1, C, 1, 1], others as [C].
        let long =
            |t: &Tensor| -> Vec<usize> { t.dims().iter().copied().filter(|&d| d != 1).collect() };
        let tensor = tensor.filter(|t| long(t) == long(var)).with_context(|| {
            format!(
                "`{name}` of shape {:?} is not in {}: it belongs to another model",
                var.dims(),
                path.display()
            )
        })?;
        var.set(&tensor.to_dtype(DType::F32)?.reshape(var.shape())?)?;
    }
    Ok(())
}

/// Draws the weights of a fresh network again, from `seed`: candle's own draws cannot be repeated. Matrices get the
/// normal numbers of He et al. 2015, drawn biases become zero, constants stay.
///
/// # Errors
/// When a variable cannot be read or set.
pub fn draw_weights(vars: &VarMap, seed: u64) -> Result<()> {
    let Ok(data) = vars.data().lock() else {
        bail!("the variables are locked by a failed thread")
    };
    let by_name: BTreeMap<_, _> = data.iter().collect();
    for (nth, var) in by_name.into_values().enumerate() {
        let old = var.flatten_all()?.to_vec1::<f32>()?;
        if old.windows(2).all(|pair| pair[0] == pair[1]) {
            continue;
        }
        let fan_in: usize = var.dims().iter().skip(1).product();
        let spread = match var.rank() {
            0 | 1 => 0.0,
            _ => (2.0 / fan_in.max(1) as f64).sqrt(),
        };
        let rng = &mut rng_of_step(seed, nth);
        let new = old.iter().map(|_| (spread * normal(rng)) as f32).collect();
        var.set(&Tensor::from_vec(new, var.shape(), &Device::Cpu)?)?;
    }
    Ok(())
}

/// A standard normal number (Box & Muller 1958).
pub fn normal(rng: &mut impl rand::Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random_range(1e-12..1.0), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Random numbers of one step: the same for the same seed and step, however often the run was resumed.
pub fn rng_of_step(seed: u64, step: usize) -> rand::rngs::SmallRng {
    rand::rngs::SmallRng::seed_from_u64(seed ^ (step as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// Learning rate at `step` of `total`: linear warm-up over `warm_up` steps, then a half cosine down to 2 % of `peak`.
pub fn cosine_rate(peak: f64, step: usize, total: usize, warm_up: usize) -> f64 {
    if step < warm_up {
        return peak * (step + 1) as f64 / warm_up as f64;
    }
    let t = (step - warm_up) as f64 / total.saturating_sub(warm_up).max(1) as f64;
    peak * (0.02 + 0.98 * 0.5 * (1.0 + (std::f64::consts::PI * t.min(1.0)).cos()))
}

/// A loss as it is shown: a mean over the last steps, recent ones counting more.
#[derive(Clone, Copy, Debug, Default)]
pub struct SmoothLoss(Option<f64>);

impl SmoothLoss {
    /// What an older value keeps at each step.
    const KEPT: f64 = 0.95;

    /// Takes in the loss of a step and gives the mean.
    pub fn add(&mut self, loss: f64) -> f64 {
        let mean = self
            .0
            .map_or(loss, |mean| Self::KEPT * mean + (1.0 - Self::KEPT) * loss);
        self.0 = Some(mean);
        mean
    }
}
