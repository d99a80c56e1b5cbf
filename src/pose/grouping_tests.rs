//! Grouping with a network of random weights, and with one taught by hand-made scenes (see `train_grouping_tests.rs`).

use candle_core::DType;
use candle_nn::VarMap;

use super::*;
use crate::people::movenet::FEATURES;
use crate::people::multipose::JOINTS;
use crate::pose::grouping_tests_support::row_of_people;

fn random_network() -> Grouper {
    let vars = VarMap::new();
    Grouper::load(VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu)).unwrap()
}

#[test]
fn no_group_ever_has_two_candidates_of_one_joint_and_none_is_lost() {
    let proposal = row_of_people(8);
    let grouping = random_network().group(&proposal).unwrap();
    let mut seen = vec![0; proposal.candidates.len()];
    for group in &grouping.groups {
        let mut joints: Vec<usize> = group
            .members
            .iter()
            .map(|&m| proposal.candidates[m].joint)
            .collect();
        joints.sort_unstable();
        let count = joints.len();
        joints.dedup();
        assert_eq!(joints.len(), count);
        group.members.iter().for_each(|&m| seen[m] += 1);
        assert!((0.0..=1.0).contains(&group.quality) && (0.0..=1.0).contains(&group.whole));
    }
    assert!(seen.iter().all(|&count| count == 1));
    let ordered = grouping
        .groups
        .windows(2)
        .all(|w| w[0].quality >= w[1].quality);
    assert!(ordered);
}

#[test]
fn passes_can_be_followed_one_by_one() {
    let proposal = row_of_people(3);
    let grouping = random_network().group(&proposal).unwrap();
    assert_eq!(grouping.passes[0].before.len(), 51);
    for two in grouping.passes.windows(2) {
        let merged = two[0].merged.len();
        assert_eq!(two[0].before.len() - merged, two[1].before.len());
        for &edge in &two[0].merged {
            let [a, b] = two[0].edges[edge].groups;
            let whole = [two[0].before[a].clone(), two[0].before[b].clone()].concat();
            assert!(
                two[1]
                    .before
                    .iter()
                    .any(|g| whole.iter().all(|m| g.contains(m)))
            );
        }
    }
    let last = grouping.passes.last().unwrap();
    assert_eq!(last.before.len() - last.merged.len(), grouping.groups.len());
}

#[test]
fn gradients_reach_the_features_of_the_candidates() {
    let (network, proposal) = (random_network(), row_of_people(2));
    let geometries = of_candidates(&proposal);
    let values = network.values(&proposal, &geometries).unwrap();
    let values = candle_core::Var::from_tensor(&values).unwrap();
    let nodes = network.nodes_of(geometries, values.as_tensor()).unwrap();
    // Second level: macro-nodes of two candidates each, so that pooling is on the way.
    let members: Vec<Vec<usize>> = (0..17).map(|i| vec![2 * i, 2 * i + 1]).collect();
    let level = Level::of(&nodes.geometries, members);
    let verdict = network.judge(&proposal, &nodes, &level).unwrap();
    let logits = network
        .judge_groups(&proposal, &nodes, &level.members)
        .unwrap();
    let loss = (verdict.same.unwrap().sum_all().unwrap() + logits.sum_all().unwrap()).unwrap();
    let gradients = loss.backward().unwrap();
    let gradient = gradients.get(&values).unwrap().abs().unwrap();
    let features = gradient.narrow(1, JOINTS + 9, FEATURES).unwrap();
    let reached = features.sum(1).unwrap().to_vec1::<f32>().unwrap();
    assert!(reached.iter().all(|&v| v > 0.0), "{reached:?}");
}

#[test]
fn nothing_and_a_single_candidate_are_photos_too() {
    let network = random_network();
    let mut proposal = row_of_people(1);
    proposal.candidates.truncate(1);
    assert_eq!(network.group(&proposal).unwrap().groups.len(), 1);
    proposal.candidates.clear();
    assert_eq!(network.group(&proposal).unwrap(), Grouping::default());
}
