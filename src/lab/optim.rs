//! Gradient descent with momentum as the papers train: control parameters of SN at a tenth of the rate, without decay
//! and with their gradient clipped to norm 1; decay on weights of convolutions only; gamma decay if asked for.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use candle_core::{Tensor, Var, backprop::GradStore};

/// Settings that stay during a run.
#[derive(Clone, Copy, Debug)]
pub struct SgdConfig {
    pub momentum: f64,
    /// Decay of convolutions and linear layers.
    pub weight_decay: f64,
    /// ζ of the term ζγ² in the loss, over all scales of normalisation layers.
    pub gamma_decay: f64,
}

struct Slot {
    name: String,
    var: Var,
    velocity: Option<Tensor>,
    is_control: bool,
    decay: f64,
}

/// The optimiser with its velocities.
pub struct Sgd {
    config: SgdConfig,
    slots: Vec<Slot>,
}

impl Sgd {
    /// For the variables of a network, by name; buffers among them get no gradient and stay.
    pub fn new(named: Vec<(String, Var)>, config: SgdConfig) -> Self {
        let slots = named.into_iter().map(|(name, var)| {
            let is_control = name.ends_with("mean_weight") || name.ends_with("var_weight");
            let is_scale = name.ends_with("norm.weight");
            let is_weight = name.ends_with(".weight") && !is_scale;
            Slot {
                name,
                var,
                velocity: None,
                is_control,
                // Loss ζγ² has the gradient 2ζγ.
                decay: match (is_scale, is_weight) {
                    (true, _) => 2.0 * config.gamma_decay,
                    (_, true) => config.weight_decay,
                    _ => 0.0,
                },
            }
        });
        Self {
            config,
            slots: slots.collect(),
        }
    }

    /// The variables, in a fixed order.
    pub fn vars(&self) -> Vec<Var> {
        self.slots.iter().map(|slot| slot.var.clone()).collect()
    }

    /// The velocities of variables that have one, by name.
    pub fn velocities(&self) -> BTreeMap<String, Tensor> {
        let slots = self.slots.iter();
        slots
            .filter_map(|slot| Some((slot.name.clone(), slot.velocity.clone()?)))
            .collect()
    }

    /// Takes over velocities; variables without one stand still.
    ///
    /// # Errors
    /// If one has another shape than its variable.
    pub fn set_velocities(&mut self, mut velocities: BTreeMap<String, Tensor>) -> Result<()> {
        for slot in &mut self.slots {
            slot.velocity = velocities.remove(&slot.name);
            if let Some(velocity) = &slot.velocity {
                ensure!(
                    velocity.shape() == slot.var.shape(),
                    "The velocity of `{}` has another shape: it belongs to another network",
                    slot.name
                );
            }
        }
        Ok(())
    }

    /// One step against `grads`.
    ///
    /// # Errors
    /// If a gradient is not finite; nothing is changed then.
    pub fn step(&mut self, grads: &GradStore, rate: f64) -> Result<()> {
        let mut control = 0f64;
        for slot in &self.slots {
            if let Some(grad) = grads.get(&slot.var) {
                let sum = f64::from(grad.sqr()?.sum_all()?.to_scalar::<f32>()?);
                if !sum.is_finite() {
                    bail!("The gradients are no longer finite: lower the learning rate");
                }
                control += if slot.is_control { sum } else { 0.0 };
            }
        }
        let clip = 1.0 / control.sqrt().max(1.0);
        for slot in &mut self.slots {
            let Some(grad) = grads.get(&slot.var) else {
                slot.velocity = None;
                continue;
            };
            let mut grad = grad.clone();
            if slot.is_control {
                grad = (grad * clip)?;
            }
            if slot.decay > 0.0 {
                grad = (grad + (slot.var.as_tensor() * slot.decay)?)?;
            }
            let velocity = match &slot.velocity {
                Some(old) => ((old * self.config.momentum)? + grad)?,
                None => grad,
            }
            .detach();
            let rate = if slot.is_control { 0.1 * rate } else { rate };
            slot.var
                .set(&(slot.var.as_tensor() - (&velocity * rate)?)?)?;
            slot.velocity = Some(velocity);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn groups_move_at_their_own_rates() {
        let var = |v: f32| Var::new(&[v, v], &Device::Cpu).unwrap();
        let vars = [var(1.0), var(1.0), var(1.0), var(1.0)];
        let names = [
            "a.conv.weight",
            "a.norm.weight",
            "a.norm.mean_weight",
            "a.norm.bias",
        ];
        let named = names.iter().map(|n| (*n).to_string()).zip(vars.clone());
        let config = SgdConfig {
            momentum: 0.5,
            weight_decay: 0.1,
            gamma_decay: 0.25,
        };
        let mut sgd = Sgd::new(named.collect(), config);
        let loss = |scale: f64| {
            let mut sum = vars[0].sum_all().unwrap();
            for v in &vars[1..] {
                sum = (sum + v.sum_all().unwrap()).unwrap();
            }
            (sum * scale).unwrap()
        };
        sgd.step(&loss(1.0).backward().unwrap(), 0.1).unwrap();
        let at = |i: usize| vars[i].to_vec1::<f32>().unwrap()[0];
        let close = |a: f32, b: f32| assert!((a - b).abs() < 1e-6, "{a} and {b}");
        close(at(0), 1.0 - 0.1 * 1.1);
        close(at(1), 1.0 - 0.1 * 1.5);
        close(at(2), 1.0 - 0.01 / 2f32.sqrt());
        close(at(3), 0.9);
        sgd.step(&loss(1.0).backward().unwrap(), 0.1).unwrap();
        close(at(3), 0.9 - 0.1 * 1.5);
        let broken = sgd
            .step(&loss(f64::NAN).backward().unwrap(), 0.1)
            .unwrap_err();
        assert!(broken.to_string().contains("lower the learning rate"));
        close(at(3), 0.75);
    }
}
