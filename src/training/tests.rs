//! Adam, checkpoints, schedules and ranks.

use super::*;

const CONFIG: AdamConfig = AdamConfig {
    beta1: 0.9,
    beta2: 0.99,
    weight_decay: 0.0,
    clip: 1.0,
    average: 0.9,
};

fn problem() -> (VarMap, Tensor, Tensor) {
    let vars = VarMap::new();
    let vb = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
    let w = vb
        .get_with_hints((2, 2), "w", candle_nn::Init::Const(0.5))
        .unwrap();
    let b = vb
        .get_with_hints(2, "b", candle_nn::Init::Const(0.0))
        .unwrap();
    (vars, w, b)
}

fn loss(w: &Tensor, b: &Tensor) -> Tensor {
    let target = Tensor::new(&[[1f32, -2.0], [0.5, 3.0]], &Device::Cpu).unwrap();
    let y = w.broadcast_add(b).unwrap();
    (y - target).unwrap().sqr().unwrap().sum_all().unwrap()
}

#[test]
fn shown_losses_follow_slowly() {
    let mut smooth = SmoothLoss::default();
    assert_eq!(smooth.add(2.0), 2.0);
    assert!((smooth.add(1.0) - 1.95).abs() < 1e-12);
}

#[test]
fn descends_and_resumes_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::create(folder.path()).unwrap();
    let (vars, w, b) = problem();
    let mut adam = Adam::new(&vars, CONFIG).unwrap();
    let first = loss(&w, &b).to_scalar::<f32>().unwrap();
    let advance = |adam: &mut Adam, w: &Tensor, b: &Tensor, n: usize| {
        for _ in 0..n {
            adam.step(loss(w, b).backward().unwrap(), 0.05).unwrap();
        }
    };
    advance(&mut adam, &w, &b, 20);
    run.save(20, &[("model", &adam)]).unwrap();
    advance(&mut adam, &w, &b, 20);
    let (vars, w2, b2) = problem();
    let mut again = Adam::new(&vars, CONFIG).unwrap();
    assert_eq!(run.resume(&mut [("model", &mut again)]).unwrap(), Some(20));
    advance(&mut again, &w2, &b2, 20);
    assert_eq!(w.to_vec2::<f32>().unwrap(), w2.to_vec2::<f32>().unwrap());
    assert_eq!(
        adam.means().unwrap()["b"].to_vec1::<f32>().unwrap(),
        again.means().unwrap()["b"].to_vec1::<f32>().unwrap()
    );
    assert!(loss(&w, &b).to_scalar::<f32>().unwrap() < 0.2 * first);
}

#[test]
fn ranks_together_do_what_one_process_does_with_the_mean_loss() {
    use crate::nn::norms::sync::{AllReduce, Team};
    use std::sync::Arc;
    // Two ranks that start apart and see half of the targets each.
    let part = |w: &Tensor, b: &Tensor, row: usize| {
        let y = w.broadcast_add(b).unwrap().narrow(0, row, 1).unwrap();
        let target = [[1f32, -2.0], [0.5, 3.0]][row];
        let target = Tensor::new(&[target], &Device::Cpu).unwrap();
        (y - target).unwrap().sqr().unwrap().sum_all().unwrap()
    };
    let train = |ranks: Ranks| {
        let (mut vars, w, b) = problem();
        if !ranks.is_first() {
            vars.set_one(
                "w",
                Tensor::zeros((2, 2), DType::F32, &Device::Cpu).unwrap(),
            )
            .unwrap();
        }
        let mut adam = Adam::new(&vars, CONFIG).unwrap();
        adam.share(&ranks).unwrap();
        for _ in 0..10 {
            let loss = match ranks.count() {
                1 => ((part(&w, &b, 0) + part(&w, &b, 1)).unwrap() * 0.5).unwrap(),
                _ => part(&w, &b, ranks.rank()),
            };
            adam.step(loss.backward().unwrap(), 0.05).unwrap();
        }
        let means = adam.means().unwrap()["w"].clone();
        (w.to_vec2::<f32>().unwrap(), means.to_vec2::<f32>().unwrap())
    };
    let alone = train(Ranks::alone());
    let team: Vec<Arc<dyn AllReduce>> = Team::new(2)
        .into_iter()
        .map(|t| Arc::new(t) as Arc<dyn AllReduce>)
        .collect();
    let both: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = team
            .into_iter()
            .enumerate()
            .map(|(rank, reduce)| {
                let train = &train;
                scope.spawn(move || train(Ranks::new(rank, reduce)))
            })
            .collect();
        handles.into_iter().map(|h| h.join().unwrap()).collect()
    });
    assert_eq!(both[0], both[1]);
    let pairs = alone.0.iter().flatten().zip(both[0].0.iter().flatten());
    assert!(pairs.clone().all(|(a, b)| (a - b).abs() < 1e-6), "{both:?}");
    assert_ne!(
        Ranks::alone().seed(5),
        Ranks::new(1, Arc::new(Team::new(2).remove(1))).seed(5)
    );
}

#[test]
fn refuses_broken_gradients_and_foreign_checkpoints() {
    let (vars, w, b) = problem();
    let mut adam = Adam::new(&vars, CONFIG).unwrap();
    let broken = (loss(&w, &b) * f64::NAN).unwrap();
    assert!(adam.step(broken.backward().unwrap(), 0.1).is_err());
    assert_eq!(w.to_vec2::<f32>().unwrap(), [[0.5, 0.5], [0.5, 0.5]]);
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::create(folder.path()).unwrap();
    run.save(1, &[("model", &adam)]).unwrap();
    let other = VarMap::new();
    VarBuilder::from_varmap(&other, DType::F32, &Device::Cpu)
        .get_with_hints(3, "b", candle_nn::Init::Const(0.0))
        .unwrap();
    let mut foreign = Adam::new(&other, CONFIG).unwrap();
    assert!(run.resume(&mut [("model", &mut foreign)]).is_err());
}

#[test]
fn starts_from_a_weight_file_and_refuses_a_foreign_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let (vars, w, _) = problem();
    let mut adam = Adam::new(&vars, CONFIG).unwrap();
    adam.slots[1].mean = vec![1.0, 2.0, 3.0, 4.0];
    let means = adam.means().unwrap();
    crate::weights::save(&path, &means, &BTreeMap::new(), DType::F16).unwrap();
    initialise(&vars, &path).unwrap();
    assert_eq!(w.to_vec2::<f32>().unwrap(), [[1.0, 2.0], [3.0, 4.0]]);
    let other = VarMap::new();
    let vb = VarBuilder::from_varmap(&other, DType::F32, &Device::Cpu);
    vb.get_with_hints(3, "b", candle_nn::Init::Const(0.0))
        .unwrap();
    assert!(initialise(&other, &path).is_err());
    // A normalisation that the file's network did not have starts afresh.
    let switched = VarMap::new();
    let vb = VarBuilder::from_varmap(&switched, DType::F32, &Device::Cpu);
    let ones = candle_nn::Init::Const(1.0);
    let ratios = vb.get_with_hints(3, "norm.mean_weight", ones).unwrap();
    initialise(&switched, &path).unwrap();
    assert_eq!(ratios.to_vec1::<f32>().unwrap(), [1.0; 3]);
}

#[test]
fn schedule_rises_and_falls() {
    assert!(cosine_rate(1.0, 0, 100, 10) < 0.11);
    assert_eq!(cosine_rate(1.0, 10, 100, 10), 1.0);
    assert!((cosine_rate(1.0, 100, 100, 10) - 0.02).abs() < 1e-9);
}
