//! Ranks over threads; over MPI the same comparison is run by `scripts/test-mpi`.

use std::sync::Arc;

use super::check_ranks::{Deviation, compare};
use super::dataset::{Difficulty, Digits};
use super::run::LabConfig;
use crate::nn::norms::NormKind;
use crate::nn::norms::sync::{AllReduce, Team};
use crate::training::Ranks;

#[test]
fn two_ranks_train_as_one_process_with_the_whole_batch() {
    let (train, held_out) = Digits::load(Difficulty::Plain).unwrap();
    let sets = (Arc::new(train.thinned(200)), Arc::new(held_out.thinned(20)));
    let config = LabConfig {
        norm: NormKind::Switch,
        batch: 4,
        width: 4,
        rate: 0.02,
        set: Difficulty::Plain,
        ..LabConfig::default()
    };
    let found: Vec<Deviation> = std::thread::scope(|scope| {
        let threads: Vec<_> = Team::new(2)
            .into_iter()
            .enumerate()
            .map(|(rank, team)| {
                let (config, sets) = (config.clone(), sets.clone());
                let team: Arc<dyn AllReduce> = Arc::new(team);
                scope.spawn(move || compare(&config, &sets, &Ranks::new(rank, team)).unwrap())
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    for deviation in found {
        assert!(deviation.is_small(), "{deviation:?}");
        // Another order of sums leaves a trace, or nothing was compared.
        assert!(deviation.gradients > 0.0 && deviation.weights > 0.0);
    }
}
