//! What the grouping network is told of candidates, groups and pairs of groups, as plain numbers.
//!
//! Everything is measured in units of the person's size (from the boxes of the centres that were voted for), so that
//! the network need not learn scale. The paper gives its network type, position and features of a candidate; the votes
//! for centres stand here beside them, and a group is also told where its joints lie to each other.

use super::candidates::{Candidate, Centre, Proposal};
use crate::people::movenet::FEATURES;
use crate::people::multipose::JOINTS;

/// Numbers for a candidate.
pub const NODE_VALUES: usize = JOINTS + 9 + FEATURES + 1;
/// Numbers for a group.
pub const GROUP_VALUES: usize = 4 * JOINTS + 8;
/// Numbers for a pair of groups, in order.
pub const PAIR_VALUES: usize = 8;

/// Distances are cut off here, in sizes: farther is just far.
const FAR: f32 = 3.0;
/// Size of a person where nobody is voted for, over the picture's longer side.
const DEFAULT_SIZE: f32 = 0.15;
/// The 24 features reach some tens; brought to the order of one.
const FEATURE_SCALE: f32 = 0.25;

/// Where a candidate or a group lies and what it votes for.
#[derive(Clone, Debug, PartialEq)]
pub struct Geometry {
    /// Mean place of the candidates, in pixels of the view.
    pub at: [f32; 2],
    /// Middle of the person voted for.
    pub vote: [f32; 2],
    /// Size of the person voted for, in pixels.
    pub size: f32,
    /// Share of the votes for each centre; what is missing to 1 is for none.
    pub votes: Vec<(usize, f32)>,
    /// Bit k is set when joint k is taken.
    pub joints: u32,
}

/// Size assumed where nothing tells it.
fn default_size(proposal: &Proposal) -> f32 {
    let mut sizes: Vec<f32> = proposal.centres.iter().map(Centre::size).collect();
    if sizes.is_empty() {
        return DEFAULT_SIZE * proposal.size_px.0.max(proposal.size_px.1) as f32;
    }
    let middle = sizes.len() / 2;
    *sizes.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// The geometry of every candidate.
pub fn of_candidates(proposal: &Proposal) -> Vec<Geometry> {
    let unknown = default_size(proposal);
    let of = |candidate: &Candidate| {
        let mut rest = 1.0;
        let (mut vote, mut log_size) = ([0.0; 2], 0.0);
        for &(centre, share) in &candidate.votes {
            if let Some(centre) = proposal.centres.get(centre) {
                let [x, y] = centre.middle();
                vote = [vote[0] + share * x, vote[1] + share * y];
                log_size += share * centre.size().ln();
                rest -= share;
            }
        }
        let [x, y] = candidate.at;
        let rest = rest.max(0.0);
        Geometry {
            at: candidate.at,
            vote: [vote[0] + rest * x, vote[1] + rest * y],
            size: (log_size + rest * unknown.ln()).exp(),
            votes: candidate.votes.clone(),
            joints: 1 << candidate.joint,
        }
    };
    proposal.candidates.iter().map(of).collect()
}

/// The geometry of a group of candidates.
pub fn of_group(candidates: &[Geometry], members: &[usize]) -> Geometry {
    let mut sum = Geometry {
        at: [0.0; 2],
        vote: [0.0; 2],
        size: 0.0,
        votes: Vec::new(),
        joints: 0,
    };
    let count = members.len().max(1) as f32;
    for member in members.iter().filter_map(|&m| candidates.get(m)) {
        for axis in 0..2 {
            sum.at[axis] += member.at[axis] / count;
            sum.vote[axis] += member.vote[axis] / count;
        }
        sum.size += member.size.ln() / count;
        sum.joints |= member.joints;
        for &(centre, share) in &member.votes {
            match sum.votes.iter_mut().find(|(c, _)| *c == centre) {
                Some((_, total)) => *total += share / count,
                None => sum.votes.push((centre, share / count)),
            }
        }
    }
    sum.size = sum.size.exp();
    sum
}

impl Geometry {
    /// The centre with most votes and its share.
    pub fn main_centre(&self) -> Option<(usize, f32)> {
        let votes = self.votes.iter().copied();
        votes.max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Probability that both vote for the same centre.
    pub fn agreement(&self, other: &Self) -> f32 {
        let mut sum = 0.0;
        for (centre, share) in &self.votes {
            if let Some((_, theirs)) = other.votes.iter().find(|(c, _)| c == centre) {
                sum += share * theirs;
            }
        }
        sum
    }

    /// How far apart two are, for choosing neighbours: mostly by what they vote for.
    pub fn distance(&self, other: &Self) -> f32 {
        let size = 0.5 * (self.size + other.size);
        let apart = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).hypot(a[1] - b[1]) / size;
        apart(self.vote, other.vote) + 0.3 * apart(self.at, other.at) - self.agreement(other)
    }

    /// Numbers for the pair, seen from `self`; the first two change sign when the pair is turned round.
    pub fn pair_values(&self, other: &Self) -> [f32; PAIR_VALUES] {
        let size = 0.5 * (self.size + other.size);
        let between = |a: [f32; 2], b: [f32; 2]| {
            [(b[0] - a[0]) / size, (b[1] - a[1]) / size].map(|v| v.clamp(-FAR, FAR))
        };
        let [dx, dy] = between(self.at, other.at);
        let [vx, vy] = between(self.vote, other.vote);
        [
            dx,
            dy,
            dx.abs(),
            dy.abs(),
            dx.hypot(dy),
            vx.hypot(vy),
            self.agreement(other),
            (self.size / other.size).ln().abs().min(FAR),
        ]
    }
}

/// Numbers for a candidate: type, place, score, votes, features.
pub fn node_values(
    candidate: &Candidate,
    geometry: &Geometry,
    proposal: &Proposal,
) -> [f32; NODE_VALUES] {
    let mut values = [0.0; NODE_VALUES];
    let (kinds, rest) = values.split_at_mut(JOINTS);
    if let Some(kind) = kinds.get_mut(candidate.joint) {
        *kind = 1.0;
    }
    let (about, features) = rest.split_at_mut(9);
    let [x, y] = candidate.at;
    let longer = proposal.size_px.0.max(proposal.size_px.1).max(1) as f32;
    let to_vote =
        |axis: usize| ((geometry.vote[axis] - geometry.at[axis]) / geometry.size).clamp(-FAR, FAR);
    let best = candidate.votes.first();
    let best_score = best
        .and_then(|(centre, _)| proposal.centres.get(*centre))
        .map_or(0.0, |centre| centre.score);
    about.copy_from_slice(&[
        x / longer,
        y / longer,
        candidate.score,
        to_vote(0),
        to_vote(1),
        (geometry.size / longer).max(1e-3).ln() * 0.5,
        best.map_or(0.0, |(_, share)| *share),
        candidate.votes.iter().map(|(_, share)| share).sum(),
        best_score,
    ]);
    let has_features = candidate.features.iter().any(|&v| v != 0.0);
    for (slot, value) in features.iter_mut().zip(candidate.features) {
        *slot = value * FEATURE_SCALE;
    }
    if let Some(last) = features.last_mut() {
        *last = if has_features { 1.0 } else { 0.0 };
    }
    values
}

/// Numbers for a group: for each joint whether it is there, its place from the middle voted for and its score; then
/// how many there are, how sure and how united they are.
pub fn group_values(
    proposal: &Proposal,
    members: &[usize],
    geometry: &Geometry,
) -> [f32; GROUP_VALUES] {
    let mut values = [0.0; GROUP_VALUES];
    let (layout, about) = values.split_at_mut(4 * JOINTS);
    let count = members.len().max(1) as f32;
    let (mut score, mut low, mut high) = (0.0, [f32::MAX; 2], [f32::MIN; 2]);
    for candidate in members.iter().filter_map(|&m| proposal.candidates.get(m)) {
        let relative = |axis: usize| {
            ((candidate.at[axis] - geometry.vote[axis]) / geometry.size).clamp(-FAR, FAR)
        };
        let slots = layout.get_mut(4 * candidate.joint..4 * candidate.joint + 4);
        if let Some(slots) = slots {
            slots.copy_from_slice(&[1.0, relative(0), relative(1), candidate.score]);
        }
        score += candidate.score / count;
        for axis in 0..2 {
            low[axis] = low[axis].min(candidate.at[axis]);
            high[axis] = high[axis].max(candidate.at[axis]);
        }
    }
    let main = geometry.main_centre();
    let centre = main.and_then(|(index, _)| proposal.centres.get(index));
    let decoded = centre.map_or(0.0, |centre| {
        centre.decoded.iter().map(|(_, score)| score).sum::<f32>() / JOINTS as f32
    });
    let longer = proposal.size_px.0.max(proposal.size_px.1).max(1) as f32;
    let extent = (0.5 * (high[0] - low[0] + high[1] - low[1])).max(0.0);
    about.copy_from_slice(&[
        members.len() as f32 / JOINTS as f32,
        score,
        centre.map_or(0.0, |centre| centre.score),
        main.map_or(0.0, |(_, share)| share),
        geometry.votes.iter().map(|(_, share)| share).sum(),
        (geometry.size / longer).max(1e-3).ln() * 0.5,
        (extent / geometry.size).min(FAR),
        decoded,
    ]);
    values
}

/// For each geometry its `count` nearest others, padded with itself.
pub fn neighbours(geometries: &[Geometry], count: usize) -> Vec<Vec<usize>> {
    let nearest = |(index, own): (usize, &Geometry)| {
        let others = geometries.iter().enumerate().filter(|(i, _)| *i != index);
        let mut others: Vec<(f32, usize)> = others.map(|(i, g)| (own.distance(g), i)).collect();
        if others.len() > count && count > 0 {
            others.select_nth_unstable_by(count - 1, |a, b| a.0.total_cmp(&b.0));
            others.truncate(count);
        }
        others.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut indices: Vec<usize> = others.into_iter().map(|(_, i)| i).collect();
        indices.resize(count, index);
        indices
    };
    geometries.iter().enumerate().map(nearest).collect()
}
