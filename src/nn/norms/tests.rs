//! Layers against the published code, against autograd of the plain formula in f64, and against finite differences.

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};

use super::mixture::{Correction, Mixture, Normaliser, Source};
use super::mixture_op::{mix, plain};
use super::{ConvNorm, Dims, NormKind, Norms};
use crate::nn::activation::Activation;
use crate::nn::norm::group_norm;
use crate::nn::tests::{compare, largest, random};

// SwitchNorm2d of the published code in PyTorch: x[i] = sin(0.7 i) of shape (2, 3, 2, 2), loss Σ y·cos(0.3 i).
const TRAIN: [f32; 24] = [
    -0.467463, 0.501654, 1.01498, 0.83109, 0.449872, -0.045661, -0.421982, -0.502101, -2.715697,
    -0.915823, 0.86209, 1.78186, 1.054981, 0.333761, -0.589585, -1.280793, -0.521582, -0.273587,
    0.1741, 0.610924, 1.71003, 1.296661, -0.251763, -2.206994,
];
const DX: [f32; 24] = [
    1.235071, 0.908729, 0.575896, 0.318599, 0.119735, 0.120092, 0.065103, -0.101393, -1.015,
    -1.573285, -1.906122, -1.947885, -1.340433, -1.010623, -0.565526, -0.09355, 0.023464, 0.097913,
    0.048456, -0.034465, 1.278082, 1.476095, 1.65198, 1.669066,
];
const EVAL: [f32; 24] = [
    -0.352505, 0.800208, 1.410783, 1.192055, 0.402377, -0.17177, -0.607792, -0.700621, -2.620625,
    -0.563537, 1.468451, 2.519663, 1.383295, 0.558709, -0.496973, -1.287246, -0.705766, -0.423056,
    0.087299, 0.585272, 2.472963, 1.996439, 0.21144, -2.04252,
];

fn wave(shape: &[usize], f: impl Fn(f64) -> f64) -> Var {
    let len: usize = shape.iter().product();
    let values: Vec<f32> = (0..len).map(|i| f(i as f64) as f32).collect();
    Var::from_vec(values, shape, &Device::Cpu).unwrap()
}

pub(super) fn builder(vars: &VarMap) -> VarBuilder<'static> {
    VarBuilder::from_varmap(vars, DType::F32, &Device::Cpu)
}

pub(super) fn set(vars: &VarMap, name: &str, values: &[f32]) {
    let data = vars.data().lock().unwrap();
    let var = &data[name];
    var.set(&Tensor::from_slice(values, var.shape(), &Device::Cpu).unwrap())
        .unwrap();
}

fn get(vars: &VarMap, name: &str) -> Vec<f32> {
    let var = vars.data().lock().unwrap()[name].clone();
    var.flatten_all().unwrap().to_vec1().unwrap()
}

pub(super) fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance, "{what} [{i}]: {f} and {e}");
    }
}

pub(super) fn values(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn switch_norm_agrees_with_the_published_code() {
    let vars = VarMap::new();
    let norms = Norms::new(NormKind::Switch, 1);
    let norm = norms
        .layer2d(3, Activation::None, builder(&vars).pp("sn"))
        .unwrap();
    set(&vars, "sn.mean_weight", &[0.2, -0.3, 0.5]);
    set(&vars, "sn.var_weight", &[-0.1, 0.4, 0.0]);
    set(&vars, "sn.weight", &[1.0, 0.5, 2.0]);
    set(&vars, "sn.bias", &[0.1, 0.0, -0.2]);
    let xs = wave(&[2, 3, 2, 2], |i| (0.7 * i).sin());
    norms.set_training(true);
    let ys = norm.forward(&xs).unwrap();
    assert_close(&values(&ys), &TRAIN, 1e-5, "training");
    let loss = (ys * wave(&[2, 3, 2, 2], |i| (0.3 * i).cos()).as_tensor())
        .unwrap()
        .sum_all()
        .unwrap();
    let grads = loss.backward().unwrap();
    assert_close(&values(grads.get(&xs).unwrap()), &DX, 1e-5, "∂x");
    let of = |name: &str| {
        let var = vars.data().lock().unwrap()[name].clone();
        values(grads.get(&var).unwrap())
    };
    let expected = [-1.092713, 0.416245, 0.676468];
    assert_close(&of("sn.mean_weight"), &expected, 1e-5, "∂mean_weight");
    let expected = [0.141957, -0.138438, -0.003519];
    assert_close(&of("sn.var_weight"), &expected, 1e-5, "∂var_weight");
    assert_close(
        &of("sn.weight"),
        &[0.628931, 1.961084, 0.568884],
        1e-5,
        "∂γ",
    );
    assert_close(&of("sn.bias"), &[1.078535, 1.635929, 0.107049], 1e-5, "∂β");
    let expected = [0.030255, -0.034549, 0.034851];
    assert_close(
        &get(&vars, "sn.running_mean"),
        &expected,
        1e-6,
        "running mean",
    );
    let expected = [0.048894, 0.046096, 0.045886];
    assert_close(
        &get(&vars, "sn.running_var"),
        &expected,
        1e-6,
        "running variance",
    );
    norms.set_training(false);
    assert_close(
        &values(&norm.forward(&xs).unwrap()),
        &EVAL,
        1e-5,
        "evaluation",
    );
    assert_close(
        &get(&vars, "sn.running_mean"),
        &[0.030255, -0.034549, 0.034851],
        1e-6,
        "evaluation leaves them",
    );
}

fn mixture(normalisers: &[Normaliser], correction: Correction, source: Source) -> Mixture {
    Mixture {
        normalisers: normalisers.to_vec(),
        correction,
        eps: 1e-5,
        act: Activation::LeakyRelu(0.2),
        source,
        reduce: None,
    }
}

/// Every combination of statistics, sources and shapes; the reference is candle's autograd in f64.
#[test]
fn mixtures_agree_with_autograd_of_the_plain_formula() {
    use Correction::{Biased, Each, Planes};
    use Normaliser::{Batch, Group, Instance, Layer};
    let fixed = || Source::Fixed(vec![0.1, -0.2, 0.3, 0.0, 0.5, -0.4], vec![0.3; 6]);
    let population = || Source::Population {
        mean: vec![0.05; 6],
        var: vec![0.25; 6],
        keep: 0.7,
    };
    let cases: [(&[usize], &[Normaliser], Correction, Source); 12] = [
        (&[3, 6, 5, 4], &[Batch], Biased, Source::Batch),
        (&[2, 6, 33, 17], &[Batch], Biased, Source::Batch),
        (&[3, 6, 5, 4], &[Batch], Biased, fixed()),
        (&[3, 6, 5, 4], &[Batch], Biased, population()),
        (
            &[3, 6, 5, 4],
            &[Instance, Layer, Batch],
            Planes,
            Source::Batch,
        ),
        (&[3, 6, 5, 4], &[Instance, Layer, Batch], Planes, fixed()),
        (&[1, 6, 5, 4], &[Instance, Layer], Planes, Source::Batch),
        (
            &[3, 6, 5, 4],
            &[Instance, Layer, Batch, Group(3)],
            Planes,
            Source::Batch,
        ),
        (&[5, 6], &[Layer, Batch], Each, Source::Batch),
        (&[5, 6], &[Layer, Batch], Each, fixed()),
        (
            &[2, 6, 3, 4, 2],
            &[Instance, Layer, Batch],
            Planes,
            Source::Batch,
        ),
        (&[2, 6, 4, 4], &[Group(2), Batch], Biased, Source::Batch),
    ];
    for (shape, normalisers, correction, source) in cases {
        let k = normalisers.len();
        let positive = (random(&[2, k], 4).as_tensor().abs().unwrap() + 0.2).unwrap();
        let vars = [
            random(shape, 1),
            random(&[12], 2),
            Var::from_tensor(&positive).unwrap(),
        ];
        let m = mixture(normalisers, correction, source);
        // One statistic alone has the constant ratio 1.
        let one = |t: &[Tensor]| match t.get(2) {
            Some(ratios) => Ok(ratios.clone()),
            None => Tensor::ones((2, 1), t[0].dtype(), &Device::Cpu),
        };
        compare(
            &vars[..if k == 1 { 2 } else { 3 }],
            |t| Ok(mix(&t[0], &t[1], &one(t)?, m.clone())?.0),
            |t| Ok(plain(&t[0], &t[1], &one(t)?, &m)?.0),
        );
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    use Normaliser::{Batch, Instance, Layer};
    let m = mixture(&[Instance, Layer, Batch], Correction::Planes, Source::Batch);
    let vars = [
        random(&[2, 4, 3, 3], 1),
        random(&[8], 2),
        Var::new(&[[0.2f32, 0.5, 0.3], [0.6, 0.1, 0.3]], &Device::Cpu).unwrap(),
    ];
    let inputs: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let weights = random(&[2, 4, 3, 3], 9);
    let loss = |t: &[Tensor]| {
        let ys = mix(&t[0], &t[1], &t[2], m.clone()).unwrap().0;
        (ys * weights.as_tensor()).unwrap().sum_all().unwrap()
    };
    let grads = loss(&inputs).backward().unwrap();
    for (i, v) in vars.iter().enumerate() {
        let d = random(v.dims(), 20 + i as u64);
        let at = |step: f64| {
            let mut moved = inputs.clone();
            moved[i] = (&inputs[i] + (d.as_tensor() * step).unwrap()).unwrap();
            f64::from(loss(&moved).to_scalar::<f32>().unwrap())
        };
        let numeric = (at(1e-3) - at(-1e-3)) / 2e-3;
        let analytic = (grads.get(v).unwrap() * d.as_tensor())
            .unwrap()
            .sum_all()
            .unwrap();
        let analytic = f64::from(analytic.to_scalar::<f32>().unwrap());
        assert!(
            (numeric - analytic).abs() < 5e-3 * analytic.abs().max(1.0),
            "argument {i}: {numeric} and {analytic}"
        );
    }
}

#[test]
fn far_from_zero_statistics_keep_their_precision() {
    let m = mixture(&[Normaliser::Batch], Correction::Biased, Source::Batch);
    let near = random(&[4, 2, 16, 16], 1);
    let far = (near.as_tensor() + 1000.0).unwrap();
    let affine = Tensor::new(&[1f32, 1.0, 0.0, 0.0], &Device::Cpu).unwrap();
    let ratios = Tensor::ones((2, 1), DType::F32, &Device::Cpu).unwrap();
    let a = mix(&near, &affine, &ratios, m.clone()).unwrap().0;
    let b = mix(&far, &affine, &ratios, m).unwrap().0;
    // 1000 has a rounding step of 6e-5, a spread of 0.58 makes that 1e-4.
    assert!(largest(&(a - b).unwrap()) < 5e-4);
}

#[test]
fn one_statistic_alone_is_the_norm_of_that_name() {
    let xs = random(&[2, 6, 5, 3], 1);
    let affine = random(&[12], 2);
    let (gamma, beta) = (
        affine.narrow(0, 0, 6).unwrap(),
        affine.narrow(0, 6, 6).unwrap(),
    );
    let ratios = Tensor::ones((2, 1), DType::F32, &Device::Cpu).unwrap();
    for (normaliser, groups) in [
        (Normaliser::Instance, 6),
        (Normaliser::Layer, 1),
        (Normaliser::Group(3), 3),
    ] {
        let m = mixture(&[normaliser], Correction::Biased, Source::Batch);
        let act = m.act;
        let ours = mix(&xs, &affine, &ratios, m).unwrap().0;
        let theirs = group_norm(&xs, &gamma, &beta, groups, 1e-5, act).unwrap();
        assert!(largest(&(ours - theirs).unwrap()) < 1e-5, "{normaliser:?}");
    }
}

#[test]
fn names_and_shapes_are_those_of_the_published_code() {
    let expected: [(NormKind, Dims, &str, &[usize]); 12] = [
        (NormKind::Switch, Dims::Two, "weight", &[1, 4, 1, 1]),
        (NormKind::Switch, Dims::Two, "running_var", &[1, 4, 1]),
        (NormKind::Switch, Dims::Two, "mean_weight", &[3]),
        (NormKind::Switch, Dims::One, "bias", &[1, 4]),
        (NormKind::Switch, Dims::One, "running_mean", &[1, 4]),
        (NormKind::Switch, Dims::One, "var_weight", &[2]),
        (NormKind::Switch, Dims::Three, "weight", &[1, 4, 1, 1, 1]),
        (NormKind::Switch, Dims::Three, "running_mean", &[1, 4, 1]),
        (NormKind::SwitchNoBatch, Dims::Two, "mean_weight", &[2]),
        (NormKind::SparseSwitch, Dims::Two, "mean_fixed", &[1]),
        (NormKind::SparseSwitch, Dims::Two, "radius", &[1]),
        (NormKind::Batch, Dims::Two, "running_var", &[4]),
    ];
    for (kind, dims, name, shape) in expected {
        let vars = VarMap::new();
        Norms::new(kind, 2)
            .layer(4, dims, Activation::None, builder(&vars))
            .unwrap();
        let data = vars.data().lock().unwrap();
        assert_eq!(data[name].dims(), shape, "{kind} {dims:?} {name}");
        assert_eq!(
            data.contains_key("running_mean"),
            !matches!(kind, NormKind::SwitchNoBatch)
        );
    }
}

/// Every kind learns to undo a shift of its input, in training and evaluation.
#[test]
fn every_kind_trains_and_evaluates() {
    for kind in NormKind::ALL {
        let vars = VarMap::new();
        let norms = Norms::with_momentum(kind, 2, Some(0.5));
        let norm = norms.layer2d(4, Activation::Relu, builder(&vars)).unwrap();
        let xs = Var::from_tensor(&(random(&[4, 4, 6, 6], 3).as_tensor() * 3.0).unwrap()).unwrap();
        norms.set_training(true);
        let mut ys = norm.forward(&xs).unwrap();
        for _ in 0..20 {
            ys = norm.forward(&xs).unwrap();
        }
        let mean = ys.mean_all().unwrap().to_scalar::<f32>().unwrap();
        assert!((0.2..0.6).contains(&mean), "{kind}: {mean}");
        let grads = ys.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        assert!(largest(grads.get(&xs).unwrap()).is_finite());
        norms.set_training(false);
        let again = norm.forward(&xs).unwrap();
        // Running statistics have arrived at those of the one batch.
        assert!(largest(&(again - ys).unwrap()) < 0.05, "{kind}");
        assert_eq!(
            norms.ratios().unwrap().len(),
            usize::from(kind.is_switchable())
        );
        assert_eq!(kind.name().parse::<NormKind>().unwrap(), kind);
    }
    assert!("xn".parse::<NormKind>().unwrap_err().contains("sn-nobn"));
}

#[test]
fn the_radius_decides_every_sparse_layer_and_the_flags_are_kept() {
    let vars = VarMap::new();
    let norms = Norms::new(NormKind::SparseSwitch, 1);
    let norm = norms.layer2d(3, Activation::None, builder(&vars)).unwrap();
    set(&vars, "mean_weight", &[1.1, 1.0, 0.9]);
    norms.set_training(true);
    let xs = random(&[2, 3, 4, 4], 1);
    norms.set_radius(0.3).unwrap();
    assert_eq!(norms.ratios().unwrap()[0].decision, [None, None]);
    norms.set_radius(0.82).unwrap();
    let ratios = norms.ratios().unwrap();
    assert_eq!(ratios[0].decision, [Some(0), Some(0)], "{ratios:?}");
    assert_eq!(get(&vars, "mean_weight"), [1.0, 0.0, 0.0]);
    assert_eq!(get(&vars, "mean_fixed"), [1.0]);
    assert!((get(&vars, "radius")[0] - 0.82).abs() < 1e-6);
    let grads = norm
        .forward(&xs)
        .unwrap()
        .sqr()
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    let var = vars.data().lock().unwrap()["mean_weight"].clone();
    assert!(grads.get(&var).is_none(), "a frozen layer has no gradient");
    // Another network with the same tensors knows that it is decided.
    let tensors = vars
        .data()
        .lock()
        .unwrap()
        .iter()
        .map(|(k, v)| (k.clone(), v.as_tensor().clone()))
        .collect();
    let loaded = Norms::new(NormKind::SparseSwitch, 1);
    let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let twin = loaded.layer2d(3, Activation::None, vb).unwrap();
    assert_eq!(loaded.ratios().unwrap()[0].decision, [Some(0), Some(0)]);
    let (a, b) = (norm.forward(&xs).unwrap(), twin.forward(&xs).unwrap());
    assert!(largest(&(a - b).unwrap()) < 1e-6);
}

#[test]
fn hardening_takes_the_largest_ratio_of_each_set() {
    let vars = VarMap::new();
    let norms = Norms::new(NormKind::Switch, 1);
    let norm = norms.layer2d(3, Activation::None, builder(&vars)).unwrap();
    set(&vars, "mean_weight", &[0.0, 0.5, 0.4]);
    set(&vars, "var_weight", &[0.3, 0.1, 0.9]);
    norms.harden().unwrap();
    assert_eq!(norms.ratios().unwrap()[0].decision, [Some(1), Some(2)]);
    assert_eq!(norms.ratios().unwrap()[0].var, [0.0, 0.0, 1.0]);
    norms.set_training(true);
    let xs = random(&[3, 3, 4, 5], 1);
    let ones = Tensor::new(&[1f32, 1.0, 1.0, 0.0, 0.0, 0.0], &Device::Cpu).unwrap();
    let ratios = Tensor::new(&[[0f32, 1.0, 0.0], [0.0, 0.0, 1.0]], &Device::Cpu).unwrap();
    let mut m = mixture(
        &[Normaliser::Instance, Normaliser::Layer, Normaliser::Batch],
        Correction::Planes,
        Source::Batch,
    );
    m.act = Activation::None;
    let plain = plain(&xs, &ones, &ratios, &m).unwrap().0;
    let hard = norm.forward(&xs).unwrap();
    assert!(largest(&(hard - plain).unwrap()) < 1e-5);
    assert!(Norms::new(NormKind::Group, 1).harden().is_err());
}

#[test]
fn batch_parts_fold_into_the_convolution() {
    for kind in [NormKind::Batch, NormKind::Population, NormKind::Hard] {
        let vars = VarMap::new();
        let vb = builder(&vars);
        let norms = Norms::with_momentum(kind, 1, Some(0.0));
        let norm = norms.layer2d(4, Activation::Relu, vb.pp("norm")).unwrap();
        let unit = ConvNorm::new(3, 4, 3, 1, norm.clone(), vb.pp("conv")).unwrap();
        set(&vars, "norm.weight", &[1.0, -0.5, 2.0, 0.7]);
        set(&vars, "norm.bias", &[0.1, 0.2, -0.3, 0.0]);
        norms.set_training(true);
        let xs = random(&[2, 3, 6, 6], 5);
        unit.forward(&xs).unwrap();
        if kind == NormKind::Hard {
            set(&vars, "norm.mean_weight", &[0.0, 0.0, 1.0]);
            set(&vars, "norm.var_weight", &[0.0, 0.0, 1.0]);
            assert!(norm.as_affine().unwrap().is_none());
            norms.harden().unwrap();
        }
        assert!(norm.as_affine().unwrap().is_none(), "not while training");
        norms.set_training(false);
        assert!(norm.as_affine().unwrap().is_some());
        let weight = vars.data().lock().unwrap()["conv.weight"].clone();
        let pad = crate::nn::conv::Pad::all(1);
        let ys = crate::nn::conv::conv2d(&xs, &weight, None, 1, pad).unwrap();
        let apart = norm.forward(&ys).unwrap();
        assert!(
            largest(&(unit.forward(&xs).unwrap() - apart).unwrap()) < 1e-5,
            "{kind}"
        );
    }
}

#[test]
fn batch_average_weighs_all_passes_alike() {
    let vars = VarMap::new();
    let norms = Norms::new(NormKind::Switch, 1);
    let norm = norms.layer2d(2, Activation::None, builder(&vars)).unwrap();
    norms.set_training(true);
    norms.start_average();
    assert!(norms.finish_average().is_err(), "nothing was averaged");
    norms.start_average();
    let batches = [random(&[2, 2, 8, 8], 1), random(&[2, 2, 8, 8], 2)];
    for xs in &batches {
        norm.forward(xs).unwrap();
    }
    norms.finish_average().unwrap();
    let all = Tensor::cat(&[batches[0].as_tensor(), batches[1].as_tensor()], 0).unwrap();
    let mean = all.mean((0, 2, 3)).unwrap().to_vec1::<f32>().unwrap();
    assert_close(&get(&vars, "running_mean"), &mean, 1e-6, "mean");
    let square = all
        .sqr()
        .unwrap()
        .mean((0, 2, 3))
        .unwrap()
        .to_vec1::<f32>()
        .unwrap();
    for c in 0..2 {
        let var = square[c] - mean[c] * mean[c];
        // The published variance divides each plane by one value less: 64/63 of the part within planes.
        let found = get(&vars, "running_var")[c];
        assert!((found / var - 1.0).abs() < 0.02, "{found} and {var}");
    }
}

#[test]
fn what_cannot_be_normalised_is_refused_in_words() {
    let vars = VarMap::new();
    let norms = Norms::new(NormKind::Batch, 1);
    let norm = norms.layer2d(2, Activation::None, builder(&vars)).unwrap();
    norms.set_training(true);
    let message = |xs: &Tensor| norm.forward(xs).unwrap_err().to_string();
    let one = Tensor::zeros((1, 2, 1, 1), DType::F32, &Device::Cpu).unwrap();
    assert!(message(&one).contains("batch of 2 or more"));
    let none = Tensor::zeros((0, 2, 4, 4), DType::F32, &Device::Cpu).unwrap();
    assert!(norm.forward(&none).is_err());
    let other = Tensor::zeros((2, 3, 4, 4), DType::F32, &Device::Cpu).unwrap();
    assert!(message(&other).contains("for 2 channels"));
    let groups = Norms::new(NormKind::Group, 4);
    assert!(groups.layer2d(6, Activation::None, builder(&vars)).is_err());
    let vectors = Norms::new(NormKind::Instance, 1);
    assert!(
        vectors
            .layer(6, Dims::One, Activation::None, builder(&vars))
            .is_err()
    );
}

#[test]
fn weights_tell_which_normalisation_they_were_trained_with() {
    for (kind, found) in [
        (NormKind::Group, NormKind::Group),
        (NormKind::Instance, NormKind::Group),
        (NormKind::Batch, NormKind::Batch),
        (NormKind::Switch, NormKind::Switch),
        (NormKind::SparseSwitch, NormKind::SparseSwitch),
        (NormKind::Hard, NormKind::SparseSwitch),
    ] {
        let vars = VarMap::new();
        let norms = Norms::new(kind, 1);
        norms
            .layer2d(4, Activation::None, builder(&vars).pp("norm"))
            .unwrap();
        let data = vars.data().lock().unwrap();
        let tensors = data
            .iter()
            .map(|(name, var)| (name.clone(), var.as_tensor().clone()));
        let weights = VarBuilder::from_tensors(tensors.collect(), DType::F32, &Device::Cpu);
        assert_eq!(NormKind::of_weights(&weights.pp("norm")), found, "{kind}");
    }
}
