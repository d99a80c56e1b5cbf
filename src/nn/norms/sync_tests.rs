//! Data-parallel training over threads against one process with the whole batch.

use std::sync::Arc;

use candle_core::{DType, Result, Tensor, Var};
use candle_nn::VarMap;

use super::sync::{AllReduce, Team, sum_gradients};
use super::tests::{assert_close, builder, set, values};
use super::{ConvNorm, NormKind, Norms};
use crate::nn::activation::Activation;
use crate::nn::tests::random;

/// Two convolutions with normalisation, trained on fixed data; the loss of a rank is its mean over `ranks`.
struct Small {
    vars: VarMap,
    norms: Norms,
    units: [ConvNorm; 2],
}

impl Small {
    fn new(kind: NormKind) -> Self {
        let vars = VarMap::new();
        let norms = Norms::new(kind, 1);
        let mut units = Vec::new();
        for (i, inputs) in [2, 4].into_iter().enumerate() {
            let vb = builder(&vars).pp(i);
            let norm = norms.layer2d(4, Activation::Relu, vb.pp("norm")).unwrap();
            units.push(ConvNorm::new(inputs, 4, 3, 1, norm, vb.pp("conv")).unwrap());
            let weight = random(&[4, inputs, 3, 3], 40 + i as u64);
            set(&vars, &format!("{i}.conv.weight"), &values(&weight));
        }
        norms.set_training(true);
        let units = units.try_into().ok().unwrap();
        Self { vars, norms, units }
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        self.units[1].forward(&self.units[0].forward(xs)?)
    }

    fn sorted(&self) -> Vec<Var> {
        let data = self.vars.data().lock().unwrap();
        let mut pairs: Vec<_> = data.iter().map(|(n, v)| (n.clone(), v.clone())).collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.into_iter().map(|(_, v)| v).collect()
    }

    /// Plain gradient steps; returns the outputs of the first step, its gradients, and the weights at the end.
    fn train(
        &self,
        xs: &Tensor,
        target: &Tensor,
        reduce: Option<&dyn AllReduce>,
    ) -> Result<[Vec<f32>; 3]> {
        let mut first = (Vec::new(), Vec::new());
        for step in 0..20 {
            let ys = self.forward(xs)?;
            if step == 0 {
                first.0 = values(&ys);
            }
            let ranks = reduce.map_or(1, |r| r.ranks()) as f64;
            let loss = ((ys - target)?.sqr()?.mean_all()? / ranks)?;
            let mut grads = loss.backward()?;
            let vars = self.sorted();
            if let Some(reduce) = reduce {
                sum_gradients(&mut grads, &vars, reduce)?;
            }
            for var in vars {
                if let Some(grad) = grads.get(&var) {
                    if step == 0 {
                        first.1.extend(values(grad));
                    }
                    var.set(&(var.as_tensor() - (grad * 0.05)?)?)?;
                }
            }
        }
        let weights = self.sorted().iter().flat_map(|v| values(v)).collect();
        Ok([first.0, first.1, weights])
    }
}

#[test]
fn shards_on_ranks_equal_the_whole_batch_on_one() {
    let (xs, target) = (random(&[8, 2, 5, 5], 1), random(&[8, 4, 5, 5], 2));
    for kind in [NormKind::Switch, NormKind::Batch, NormKind::SparseSwitch] {
        let whole = Small::new(kind).train(&xs, &target, None).unwrap();
        for ranks in [2, 4] {
            let shard = 8 / ranks;
            let parts: Vec<[Vec<f32>; 3]> = std::thread::scope(|scope| {
                let threads: Vec<_> = Team::new(ranks)
                    .into_iter()
                    .enumerate()
                    .map(|(rank, team)| {
                        let (xs, target) = (
                            xs.narrow(0, rank * shard, shard).unwrap(),
                            target.narrow(0, rank * shard, shard).unwrap(),
                        );
                        scope.spawn(move || {
                            let team: Arc<dyn AllReduce> = Arc::new(team);
                            let small = Small::new(kind);
                            small.norms.synchronise(Some(Arc::clone(&team)));
                            small.train(&xs, &target, Some(&*team)).unwrap()
                        })
                    })
                    .collect();
                threads.into_iter().map(|t| t.join().unwrap()).collect()
            });
            let outputs: Vec<f32> = parts.iter().flat_map(|p| p[0].clone()).collect();
            assert_close(&outputs, &whole[0], 1e-5, "outputs");
            for part in &parts {
                assert_close(&part[1], &whole[1], 1e-5, "gradients");
                assert_close(&part[2], &whole[2], 1e-5, "weights after 20 steps");
            }
        }
    }
}

/// Where there is no kernel of ours the same is written in candle's operations; numbers of f64 go that way on the CPU.
#[test]
fn shards_equal_the_whole_batch_in_operations_of_candle_too() {
    const WHOLE: usize = 6;
    let values = |t: &Tensor| values(&t.to_dtype(DType::F32).unwrap());
    let xs = random(&[WHOLE, 4, 3, 3], 5).to_dtype(DType::F64).unwrap();
    let weigh = random(&[WHOLE, 4, 3, 3], 6).to_dtype(DType::F64).unwrap();
    // Outputs, and gradients of inputs and of control parameters.
    let pass = |xs: &Tensor, weigh: &Tensor, kind, reduce: Option<Arc<dyn AllReduce>>| {
        let vars = VarMap::new();
        let vb = candle_nn::VarBuilder::from_varmap(&vars, DType::F64, xs.device());
        let norms = Norms::new(kind, 1);
        let layer = norms.layer2d(4, Activation::None, vb).unwrap();
        norms.set_training(true);
        norms.synchronise(reduce.clone());
        let xs = Var::from_tensor(xs).unwrap();
        let ys = layer.forward(&xs).unwrap();
        let loss = (&ys * weigh).unwrap().sum_all().unwrap();
        let mut grads = loss.backward().unwrap();
        let mut named: Vec<_> = vars.data().lock().unwrap().clone().into_iter().collect();
        named.sort_by(|a, b| a.0.cmp(&b.0));
        let vars: Vec<Var> = named.into_iter().map(|(_, var)| var).collect();
        if let Some(reduce) = &reduce {
            sum_gradients(&mut grads, &vars, &**reduce).unwrap();
        }
        let of_vars = vars.iter().filter_map(|var| grads.get(var));
        let of_vars: Vec<f32> = of_vars.flat_map(values).collect();
        let running = vars.iter().flat_map(|var| values(var));
        let all = of_vars.into_iter().chain(running).collect::<Vec<f32>>();
        (values(&ys), values(grads.get(&xs).unwrap()), all)
    };
    for kind in [NormKind::Switch, NormKind::Batch, NormKind::Population] {
        let whole = pass(&xs, &weigh, kind, None);
        let parts: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = Team::new(3)
                .into_iter()
                .enumerate()
                .map(|(rank, team)| {
                    let part = |t: &Tensor| t.narrow(0, 2 * rank, 2).unwrap().copy().unwrap();
                    let (xs, weigh) = (part(&xs), part(&weigh));
                    scope.spawn(move || pass(&xs, &weigh, kind, Some(Arc::new(team))))
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let outputs: Vec<f32> = parts.iter().flat_map(|p| p.0.clone()).collect();
        let inputs: Vec<f32> = parts.iter().flat_map(|p| p.1.clone()).collect();
        assert_close(&outputs, &whole.0, 1e-6, "outputs");
        assert_close(&inputs, &whole.1, 1e-6, "gradients of inputs");
        for part in &parts {
            assert_close(&part.2, &whole.2, 1e-5, "gradients and running statistics");
        }
    }
}

#[test]
fn a_rank_that_stops_is_noticed_by_the_others() {
    let mut team = Team::new(2);
    let gone = team.pop().unwrap();
    drop(gone);
    let message = team[0].sum(&mut [1.0]).unwrap_err().to_string();
    assert!(message.contains("another rank has stopped"), "{message}");
}
