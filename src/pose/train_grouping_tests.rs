//! Targets of the losses, and a short training that must succeed.

use rand::SeedableRng as _;

use super::*;
use crate::pose::grouping_scenes::label;
use crate::pose::grouping_tests_support::row_of_people;
use crate::pose::keypoints::KEYPOINTS;

/// A row of people with true joints where the candidates are.
fn scene(people: usize) -> LabelledScene {
    let proposal = row_of_people(people);
    let truth: Vec<Truth> = proposal
        .centres
        .iter()
        .map(|centre| {
            let mut keypoints = vec![[0.0; 3]; KEYPOINTS];
            for (slot, [x, y]) in keypoints.iter_mut().zip(centre.expected) {
                *slot = [f64::from(x), f64::from(y), 2.0];
            }
            let [x0, y0, x1, y1] = centre.bbox.map(f64::from);
            Truth {
                keypoints,
                area: 0.5 * (x1 - x0) * (y1 - y0),
                bbox: [x0, y0, x1 - x0, y1 - y0],
                crowd: false,
            }
        })
        .collect();
    LabelledScene {
        labels: label(&proposal, &truth),
        proposal,
        truth,
        is_seen: true,
        native: Vec::new(),
        native_looks: Vec::new(),
    }
}

#[test]
fn candidates_are_labelled_by_the_joints_they_lie_on() {
    let scene = scene(3);
    for (index, label) in scene.labels.iter().enumerate() {
        assert_eq!(*label, Label::Person(index / 17));
    }
    let mut moved = scene.proposal.clone();
    moved.candidates[0].at = [60.0, 190.0];
    moved.candidates.push(scene.proposal.candidates[1].clone());
    let labels = label(&moved, &scene.truth);
    assert_eq!(labels[0], Label::Spurious, "a nose at the feet");
    assert_eq!(labels[51], Label::Unjudged, "a second peak at one joint");
}

#[test]
fn targets_say_who_belongs_together() {
    let labels = [
        Label::Person(0),
        Label::Person(0),
        Label::Person(1),
        Label::Spurious,
        Label::Unjudged,
    ];
    assert_eq!(pair_target(&labels, &[0], &[1]), (1.0, 1.0));
    assert_eq!(pair_target(&labels, &[0], &[1, 2]), (0.5, 1.0));
    assert_eq!(pair_target(&labels, &[0], &[3]), (0.0, 1.0));
    assert_eq!(pair_target(&labels, &[3], &[4]), (0.0, 0.0));
    assert_eq!(whole_target(&labels, &[0, 1, 4]), (1.0, 1.0));
    assert_eq!(whole_target(&labels, &[0, 2]), (0.0, 1.0));
    assert_eq!(whole_target(&labels, &[0, 3]), (0.0, 1.0));
    assert_eq!(whole_target(&labels, &[3]), (0.0, 0.0));
}

#[test]
fn cross_entropy_is_what_the_formula_says() {
    let logits = Tensor::new(&[2.0f32, -1.0, 50.0], &Device::Cpu).unwrap();
    let loss = cross_entropy(&logits, &[1.0, 1.0, 0.0], &[1.0, 1.0, 0.0])
        .unwrap()
        .unwrap();
    let want = 0.5 * ((1.0 + (-2f64).exp()).ln() + (1.0 + 1f64.exp()).ln());
    assert!((f64::from(loss.to_scalar::<f32>().unwrap()) - want).abs() < 1e-6);
    assert!(
        cross_entropy(&logits, &[1.0; 3], &[0.0; 3])
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_short_training_learns_to_tell_neighbours_apart() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::create(folder.path()).unwrap();
    let config = TrainGrouping {
        data: PathBuf::new(),
        poses: None,
        without: Vec::new(),
        run: folder.path().to_owned(),
        resume: false,
        steps: 80,
        batch: 1,
        rate: 5e-3,
        folds: 0,
        sides: vec![512],
        assembled: 0,
        imagined: 0.0,
        every: 80,
        seed: 1,
    };
    let scene = scene(3);
    let adam = run_training(&config, &[&scene], &[], &run, false, &Out::silent()).unwrap();
    let grouper = Grouper::load(adam.mean_builder().unwrap()).unwrap();
    let grouping = grouper.group(&scene.proposal).unwrap();
    let whole = grouping.groups.iter().filter(|g| g.members.len() >= 14);
    assert_eq!(whole.count(), 3, "{:?}", grouping.groups);
    let people = people_of_groups(&scene.proposal, &grouping);
    let comparison = Comparison::of(
        std::slice::from_ref(&scene.truth),
        vec![("graph", vec![people])],
    );
    assert!(comparison.ways["graph"].ap > 0.9);
    assert!(run.file("checkpoint.safetensors").exists());
}

#[test]
fn imagined_scenes_have_people_and_noise_as_measured() {
    let scene = scene(3);
    let mut noise = Noise::measure([&scene].into_iter());
    assert_eq!(
        (noise.missing, noise.spurious, noise.centre_missing),
        (0.0, 0.0, 0.0)
    );
    assert!(noise.jitter.iter().all(|&v| v < 1e-3));
    noise.spurious_scores = vec![0.2];
    noise.spurious = 0.5;
    let mut rng = SmallRng::seed_from_u64(4);
    let imagined = imagine(&scene.truth, &noise, &mut rng).unwrap();
    let count = |wanted: fn(&Label) -> bool| imagined.labels.iter().filter(|l| wanted(l)).count();
    assert!(count(|l| matches!(l, Label::Person(_))) > 20);
    assert!(count(|l| *l == Label::Spurious) > 5);
    assert_eq!(imagined.labels.len(), imagined.proposal.candidates.len());
    assert!(imagine(&[], &noise, &mut rng).is_none());
}
