//! Folders of runs: written and read, gone on with, broken and foreign ones.

use super::config::LabConfig;
use super::saved::{
    CONFIG, LOG, RATIOS, SavedRun, WEIGHTS, delete, free_folder, list, open, open_to_go_on, save,
};
use crate::job::Out;
use crate::lab::dataset::{Difficulty, Digits};
use crate::lab::run::{NormKind, Run};
use crate::training::Ranks;
use std::sync::Arc;

fn sets() -> (Arc<Digits>, Arc<Digits>) {
    let (train, held_out) = Digits::load(Difficulty::Plain).unwrap();
    (Arc::new(train.thinned(60)), Arc::new(held_out.thinned(50)))
}

fn config(norm: NormKind) -> LabConfig {
    LabConfig {
        norm,
        batch: 4,
        width: 4,
        digits: 96,
        dropout: 0.2,
        set: Difficulty::Plain,
        ..LabConfig::default()
    }
}

fn weights(run: &Run) -> Vec<Vec<f32>> {
    let tensors = run.tensors().unwrap().into_values();
    tensors
        .map(|t| t.flatten_all().unwrap().to_vec1().unwrap())
        .collect()
}

#[test]
fn a_run_goes_on_from_its_folder_as_if_it_had_not_stopped() {
    let folder = tempfile::tempdir().unwrap();
    for norm in [NormKind::SparseSwitch, NormKind::Hard, NormKind::Population] {
        let config = config(norm);
        let mut whole = Run::new(config.clone(), sets(), Ranks::alone()).unwrap();
        let mut samples = Vec::new();
        for _ in 0..20 {
            whole.step().unwrap();
            samples.push(whole.sample(None).unwrap());
        }
        let saved = SavedRun {
            name: format!("A {norm} run"),
            config: config.clone(),
            samples,
            checkpoint: Some(whole.checkpoint().unwrap()),
        };
        let folder = folder.path().join(norm.name());
        save(&folder, &saved).unwrap();
        let (found, checkpoint) = open_to_go_on(&folder).unwrap();
        assert_eq!((&found.name, &found.config), (&saved.name, &config));
        assert_eq!(checkpoint.standing, saved.checkpoint.unwrap().standing);
        for (a, b) in found.samples.iter().zip(&saved.samples) {
            assert_eq!((a.step, a.ratios.len()), (b.step, b.ratios.len()));
            assert!((a.loss - b.loss).abs() < 1e-5);
            for (a, b) in a.ratios.iter().zip(&b.ratios) {
                assert_eq!((&a.name, a.decision), (&b.name, b.decision));
                assert!((a.var[0] - b.var[0]).abs() < 1e-4);
            }
        }
        let mut again =
            Run::resume(config, sets(), Ranks::alone(), &checkpoint, |_| Ok(())).unwrap();
        for _ in 0..4 {
            assert_eq!(whole.step().unwrap(), again.step().unwrap(), "{norm}");
        }
        assert_eq!(weights(&whole), weights(&again), "{norm}");
    }
    let found = list(folder.path(), &Out::<()>::silent()).unwrap();
    assert_eq!((found.runs.len(), found.broken.len()), (3, 0));
    assert!(
        found
            .runs
            .iter()
            .all(|run| run.step == 20 && run.has_weights)
    );
}

#[test]
fn foreign_and_broken_folders_are_told_apart_and_keep_nobody_from_the_rest() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let run = SavedRun {
        name: "good".to_string(),
        config: config(NormKind::Batch),
        samples: Vec::new(),
        checkpoint: None,
    };
    for name in ["good", "log", "steps", "ratios", "weights"] {
        save(&at(name), &run).unwrap();
    }
    std::fs::create_dir_all(at("pictures")).unwrap();
    for (name, file, text) in [
        ("json", CONFIG, "{"),
        ("parser", CONFIG, "{\"steps\": 3, \"batch\": 4}"),
        (
            "batch",
            CONFIG,
            "{\"norm\": \"bn\", \"batch\": 1, \"digits\": 9}",
        ),
        ("log", LOG, "step,loss,accuracy\n1,nan,\n"),
        ("steps", LOG, "step,loss,accuracy\n2,1.0,\n1,1.0,\n"),
    ] {
        std::fs::create_dir_all(at(name)).unwrap();
        std::fs::write(at(name).join(file), text).unwrap();
    }
    let found = list(parent.path(), &Out::<()>::silent()).unwrap();
    assert_eq!(found.runs.len(), 3);
    let faults: Vec<&str> = found.broken.iter().map(|b| b.fault.as_str()).collect();
    assert_eq!(faults.len(), 5, "{faults:?}");
    for (fault, words) in faults.iter().zip([
        "one digit at a time",
        "settings of a run",
        "Line 2 of",
        "settings of a run",
        "Line 3 of",
    ]) {
        assert!(fault.contains(words), "{fault}");
    }
    // Ratios are read only when a run is opened.
    let switch = SavedRun {
        config: config(NormKind::Switch),
        ..run
    };
    save(&at("ratios"), &switch).unwrap();
    let text = "step,layer,set,ratios,decided\n1,stem.norm,mean,0.5 0.5,\n";
    std::fs::write(at("ratios").join(RATIOS), text).unwrap();
    let fault = format!("{:#}", open(&at("ratios")).unwrap_err());
    assert!(fault.contains("Line 2 of"), "{fault}");
    // Weights that are none leave the curves, and say why there is no going on.
    std::fs::write(at("weights").join(WEIGHTS), "none").unwrap();
    assert!(open(&at("weights")).unwrap().checkpoint.is_none());
    assert!(open_to_go_on(&at("weights")).is_err());
    let fault = format!("{:#}", open(&at("pictures")).unwrap_err());
    assert!(fault.contains("There is no config.json"), "{fault}");
}

#[test]
fn a_checkpoint_of_another_network_is_refused() {
    let run = Run::new(config(NormKind::Batch), sets(), Ranks::alone()).unwrap();
    let checkpoint = run.checkpoint().unwrap();
    let refuse = |config: LabConfig, ranks: Ranks| {
        let run = Run::resume(config, sets(), ranks, &checkpoint, |_| Ok(()));
        run.err().unwrap().to_string()
    };
    let wider = LabConfig {
        width: 8,
        ..config(NormKind::Batch)
    };
    assert!(refuse(wider, Ranks::alone()).contains("another network"));
    let fault = refuse(config(NormKind::Switch), Ranks::alone());
    assert!(fault.contains("another network"), "{fault}");
    let team = crate::nn::norms::sync::Team::new(2).remove(0);
    let fault = refuse(config(NormKind::Batch), Ranks::new(0, Arc::new(team)));
    assert!(fault.contains("1 ranks"), "{fault}");
}

#[test]
fn deleting_takes_the_run_and_leaves_what_is_not_of_it() {
    let parent = tempfile::tempdir().unwrap();
    let run = SavedRun {
        name: "1 Batch, batch 4".to_string(),
        config: config(NormKind::Batch),
        samples: Vec::new(),
        checkpoint: None,
    };
    let first = free_folder(parent.path(), &run.name);
    assert_eq!(first.file_name().unwrap(), "1-Batch-batch-4");
    save(&first, &run).unwrap();
    let second = free_folder(parent.path(), &run.name);
    assert_eq!(second.file_name().unwrap(), "1-Batch-batch-4-2");
    save(&second, &run).unwrap();
    std::fs::write(second.join("notes.txt"), "mine").unwrap();
    assert!(delete(&first).unwrap() && !first.exists());
    assert!(!delete(&second).unwrap());
    assert!(second.join("notes.txt").exists() && !second.join(CONFIG).exists());
    assert!(delete(&second).is_err());
}
