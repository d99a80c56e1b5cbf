//! Tests of the network, its training and its predictions together.

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};

use super::dscmp::{Dscmp, DscmpConfig};
use super::frame::{Batch, Crowd, View};
use super::predict::{self, Care, predict};
use super::scene::Scene;
use super::train::{TrainMotion, train};
use super::{Futures, PRED_LEN, Past, Point, SAMPLES, distance};
use crate::job::Out;
use crate::raster::Grid;
use crate::weights::Checkpoint;

fn small() -> DscmpConfig {
    DscmpConfig {
        hidden: 8,
        width: 16,
        ..DscmpConfig::default()
    }
}

fn network(config: &DscmpConfig) -> (Dscmp, VarMap) {
    let vars = VarMap::new();
    let builder = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
    (Dscmp::load(config, builder).unwrap(), vars)
}

fn walk(start: Point, step: Point) -> Past {
    std::array::from_fn(|t| [0, 1].map(|a| start[a] + t as f64 * step[a]))
}

fn crowd_of(walkers: usize) -> Vec<Past> {
    (0..walkers)
        .map(|i| {
            let angle = i as f64;
            walk(
                [(i % 40) as f64 * 1.5, (i / 40) as f64 * 1.5],
                [0.4 * angle.cos(), 0.4 * angle.sin()],
            )
        })
        .collect()
}

fn quick(network: &Dscmp, pasts: &[Past], egos: &[usize], scene: Option<&Scene>) -> Vec<Futures> {
    predict(network, pasts, egos, scene, Care::Quick, &Out::silent()).unwrap()
}

/// The greatest distance of two predictions.
fn apart(a: &Futures, b: &Futures) -> f64 {
    let points = a.samples.iter().flatten().zip(b.samples.iter().flatten());
    points.map(|(&p, &q)| distance(p, q)).fold(0.0, f64::max)
}

#[test]
fn every_weight_learns() {
    let (network, vars) = network(&small());
    let walkable = Grid::new(30, 30, true);
    let scene = Scene {
        walkable: Some(walkable),
        ..Scene::default()
    };
    let pasts = vec![
        walk([3.0, 5.0], [0.4, 0.1]),
        walk([5.0, 6.0], [-0.3, 0.0]),
        walk([4.0, 4.0], [0.1, 0.5]),
    ];
    let crowd = |scene| Crowd {
        pasts: pasts.clone(),
        egos: vec![0, 1],
        futures: Vec::new(),
        scene,
        view: View::PLAIN,
        is_social: vec![true; 2],
    };
    let batch = Batch::new(&[crowd(Some(&scene)), crowd(None)]).unwrap();
    let prediction = network.forward(&batch, None).unwrap();
    assert_eq!(prediction.futures.dims(), [4, SAMPLES, PRED_LEN * 2]);
    let sum = |t: &Tensor| t.sqr().unwrap().sum_all().unwrap();
    let loss = (sum(&prediction.futures) + sum(&prediction.scores)).unwrap();
    let grads = (loss + prediction.divergence).unwrap().backward().unwrap();
    for (name, var) in vars.data().lock().unwrap().iter() {
        let grad = grads
            .get(var)
            .unwrap_or_else(|| panic!("{name} has no gradient"));
        let size = sum(grad).to_scalar::<f32>().unwrap();
        assert!(size > 0.0 && size.is_finite(), "{name}: {size}");
    }
}

#[test]
fn each_module_matters_unless_it_is_switched_off() {
    let here = walk([3.0, 5.0], [0.4, 0.1]);
    let alone = vec![here];
    let company = vec![here, walk([5.0, 6.0], [-0.3, 0.0])];
    let mut walkable = Grid::new(30, 30, true);
    walkable.data[..450].fill(false);
    let scene = Scene {
        walkable: Some(walkable),
        ..Scene::default()
    };
    let changes = |config: DscmpConfig| {
        let (network, _) = network(&config);
        let plain = &quick(&network, &alone, &[0], None)[0];
        let social = apart(plain, &quick(&network, &company, &[0], None)[0]) > 1e-5;
        let ground = apart(plain, &quick(&network, &alone, &[0], Some(&scene))[0]) > 1e-5;
        (social, ground)
    };
    assert_eq!(changes(small()), (true, true));
    let no_scm = DscmpConfig {
        no_scm: true,
        ..small()
    };
    assert_eq!(changes(no_scm), (false, true));
    let no_scene = DscmpConfig {
        no_scene: true,
        ..small()
    };
    assert_eq!(changes(no_scene), (true, false));
    let names = |config: &DscmpConfig| -> Vec<Vec<usize>> {
        let (_, vars) = network(config);
        let data = vars.data().lock().unwrap();
        ["queue.hidden", "icm.weight"]
            .map(|name| data[name].dims().to_vec())
            .into()
    };
    let bare = DscmpConfig {
        queue: 1,
        no_icm: true,
        ..small()
    };
    assert_eq!(names(&small()), [vec![4, 8], vec![16, 64]]);
    assert_eq!(names(&bare), [vec![1, 8], vec![16, 8]]);
}

#[test]
fn futures_turn_and_move_with_the_world() {
    let (network, _) = network(&small());
    let turn = |[x, y]: Point| [50.0 - y, x - 20.0];
    let pasts = crowd_of(6);
    let turned: Vec<Past> = pasts.iter().map(|p| p.map(turn)).collect();
    let egos: Vec<usize> = (0..6).collect();
    let ask =
        |pasts: &[Past]| predict(&network, pasts, &egos, None, Care::Full, &Out::silent()).unwrap();
    for (here, there) in ask(&pasts).iter().zip(&ask(&turned)) {
        let expected = Futures {
            samples: here.samples.iter().map(|f| f.map(turn)).collect(),
            weights: here.weights.clone(),
        };
        assert!(apart(&expected, there) < 1e-3);
        assert!((there.weights.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert_eq!(there.samples.len(), SAMPLES);
    }
}

#[test]
fn one_of_many_gets_the_same_futures_as_when_asked_for_alone() {
    let (network, _) = network(&small());
    let pasts = crowd_of(600);
    let all: Vec<usize> = (0..600).collect();
    let together = quick(&network, &pasts, &all, None);
    for ego in [0, 299, 599] {
        let single = &quick(&network, &pasts, &[ego], None)[0];
        assert!(apart(single, &together[ego]) < 1e-4);
    }
    assert!(quick(&network, &pasts, &[], None).is_empty());
}

fn tiny_run(data: &std::path::Path, run: &std::path::Path, steps: usize, resume: bool) {
    let config = TrainMotion {
        data: "nowhere".into(),
        fold: "all".into(),
        sdd: Some(data.to_path_buf()),
        held_out: vec!["b".into()],
        run: Some(run.to_path_buf()),
        resume,
        init: None,
        steps,
        batch: 12,
        rate: 5e-3,
        dropout: 0.0,
        alone: 0.0,
        scale: 0.1,
        seed: 3,
        network: small(),
    };
    train(&config, &crate::training::Ranks::alone(), &Out::silent()).unwrap();
}

#[test]
fn training_learns_a_turn_and_keeps_weights_that_load() {
    let folder = tempfile::tempdir().unwrap();
    // Everyone goes straight for eight steps, then turns left or right: constant velocity is 2 m off on average.
    let mut text = String::new();
    for agent in 0..12 {
        let side = if agent % 2 == 0 { 0.35 } else { -0.35 };
        for step in 0..20 {
            let x = 0.4 * f64::from(step.min(8)) + f64::from(agent) * 20.0;
            let y = side * f64::from((step - 8).max(0));
            text += &format!("{} {agent} {x} {y}\n", step * 12);
        }
    }
    for name in ["a.txt", "b.txt"] {
        std::fs::write(folder.path().join(name), &text).unwrap();
    }
    let run = folder.path().join("run");
    tiny_run(folder.path(), &run, 60, false);
    tiny_run(folder.path(), &run, 120, true);
    let log = std::fs::read_to_string(run.join("log.csv")).unwrap();
    let column = |line: &str, i: usize| line.split(',').nth(i).unwrap().parse::<f64>().unwrap();
    let lines: Vec<&str> = log.lines().skip(1).collect();
    assert_eq!(lines.len(), 2, "{log}");
    // Loss and FDE. The loss keeps falling; the FDE of twelve people is near nothing already and jumps about.
    assert!(column(lines[1], 1) < column(lines[0], 1), "{log}");
    assert!(column(lines[1], 4) < 1.0, "{log}");
    let checkpoint = Checkpoint::open(&run.join("motion.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(predict::load(&checkpoint).unwrap().config(), &small());
}
