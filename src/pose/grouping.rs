//! Hierarchical graph grouping: keypoint candidates become people, pass by pass.
//!
//! Jin et al. 2020, "Differentiable Hierarchical Graph Grouping for Multi-Person Pose Estimation" (arXiv 2007.11864),
//! §3.2: candidates are the nodes of a graph; edge convolutions (Wang et al. 2019, "Dynamic Graph CNN") let each look
//! at its neighbours; an edge discriminator says which pairs belong to one person; the best pairs merge into
//! macro-nodes, whose features are pooled, and the same is done again with them. A macro-node discriminator says
//! whether all of a group are one person. No group takes two candidates of one joint. Everything up to the
//! discriminators is differentiable down to the candidates' features; which pairs merge is decided greedily.
//!
//! Of our own: votes for centres and the layout of a group are inputs too (`grouping_geometry.rs`), a merge needs the
//! consent of both discriminators, and a third output estimates how well the finished person will fit (its OKS), which
//! orders people. The paper's code was never published, so widths and thresholds are ours as well.
//!
//! `group_people.rs` makes candidates, groups and people of a photo; `train_grouping.rs` trains this.

use candle_core::{D, Device, Result, Tensor};
use candle_nn::VarBuilder;

use super::candidates::Proposal;
use super::grouping_geometry::{
    GROUP_VALUES, Geometry, NODE_VALUES, PAIR_VALUES, group_values, neighbours, node_values,
    of_candidates, of_group,
};
use crate::nn::activation::relu;
use crate::nn::blocks::Linear;

/// Width of nodes and macro-nodes.
const WIDTH: usize = 40;
/// Width inside discriminators and of a group's layout.
const HIDDEN: usize = 48;
/// Neighbours that an edge convolution looks at and that edges lead to.
const NEIGHBOURS: usize = 14;
/// 17 joints need five passes of merging by pairs; a few more pick up what was late.
const MAX_PASSES: usize = 8;
/// A merge needs this much from both discriminators together (the product of their probabilities).
const MIN_MERIT: f32 = 0.25;
/// Candidates of one photo, at most: the best are taken.
pub const MAX_CANDIDATES: usize = 700;

/// Two groups of a pass and what the discriminators say of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// Indices of the groups before the pass, the lower first.
    pub groups: [usize; 2],
    /// Probability that both are one person, by the edge discriminator.
    pub same: f32,
    /// Probability that both together are one person, by the macro-node discriminator.
    pub whole: f32,
}

/// Candidates that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Indices of candidates, ascending; no two of one joint.
    pub members: Vec<usize>,
    /// Probability that all are one person.
    pub whole: f32,
    /// Estimated OKS of the finished person.
    pub quality: f32,
}

/// One pass of merging, to be looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Pass {
    /// The groups before it, as indices of candidates.
    pub before: Vec<Vec<usize>>,
    /// Every pair that was considered.
    pub edges: Vec<Edge>,
    /// Those of `edges` that merged.
    pub merged: Vec<usize>,
}

/// The grouping of one photo with the way to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grouping {
    pub passes: Vec<Pass>,
    /// The groups that are left, best first.
    pub groups: Vec<Group>,
}

/// x_i' = x_i + max over neighbours j of MLP(x_i, x_j − x_i, pair values).
struct EdgeConv {
    own: Linear,
    other: Linear,
    pair: Linear,
    out: Linear,
}

impl EdgeConv {
    fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            own: Linear::new(WIDTH, WIDTH, 0.7, vb.pp("own"))?,
            other: Linear::new(WIDTH, WIDTH, 0.7, vb.pp("other"))?,
            pair: Linear::new(PAIR_VALUES, WIDTH, 0.7, vb.pp("pair"))?,
            out: Linear::new(WIDTH, WIDTH, 0.5, vb.pp("out"))?,
        })
    }

    /// [G, WIDTH] -> [G, WIDTH]
    fn forward(&self, xs: &Tensor, graph: &Graph) -> Result<Tensor> {
        let g = xs.dim(0)?;
        // A layer on (x_i, x_j − x_i) splits into one on x_i and one on x_j, each computed once a node.
        let others = self.other.forward(xs)?.index_select(&graph.others, 0)?;
        let pairs = (others + self.pair.forward(&graph.pairs)?)?;
        let pairs = pairs.reshape((g, NEIGHBOURS, WIDTH))?;
        let pairs = pairs.broadcast_add(&self.own.forward(xs)?.unsqueeze(1)?)?;
        let hidden = relu(&pairs.reshape((g * NEIGHBOURS, WIDTH))?)?;
        let messages = self.out.forward(&hidden)?;
        xs + messages.reshape((g, NEIGHBOURS, WIDTH))?.max(1)?
    }
}

/// Who looks at whom.
struct Graph {
    /// [G · NEIGHBOURS]: the neighbours of each.
    others: Tensor,
    /// [G · NEIGHBOURS, PAIR_VALUES]
    pairs: Tensor,
    /// Pairs that could merge, the lower index first.
    edges: Vec<[usize; 2]>,
}

impl Graph {
    fn of(geometries: &[Geometry], device: &Device) -> Result<Self> {
        let lists = neighbours(geometries, NEIGHBOURS);
        let count = geometries.len() * NEIGHBOURS;
        let (mut others, mut pairs) = (Vec::with_capacity(count), Vec::new());
        let mut edges = Vec::new();
        for (index, list) in lists.iter().enumerate() {
            for &other in list {
                others.push(other as u32);
                pairs.extend(geometries[index].pair_values(&geometries[other]));
                let conflict = geometries[index].joints & geometries[other].joints != 0;
                if other != index && !conflict {
                    edges.push([index.min(other), index.max(other)]);
                }
            }
        }
        edges.sort_unstable();
        edges.dedup();
        Ok(Self {
            others: Tensor::from_vec(others, count, device)?,
            pairs: Tensor::from_vec(pairs, (count, PAIR_VALUES), device)?,
            edges,
        })
    }
}

/// Groups in the middle of grouping.
pub(super) struct Level {
    pub members: Vec<Vec<usize>>,
    pub geometries: Vec<Geometry>,
}

impl Level {
    fn of(candidates: &[Geometry], members: Vec<Vec<usize>>) -> Self {
        let geometries = members.iter().map(|m| of_group(candidates, m)).collect();
        Self {
            members,
            geometries,
        }
    }
}

/// What the network says of one level: logits, differentiable.
pub(super) struct Verdict {
    /// Pairs of groups that could merge.
    pub edges: Vec<[usize; 2]>,
    /// `[E]`: logit of both being one person.
    pub same: Option<Tensor>,
}

/// Candidates as the network's first layers see them.
pub(super) struct Nodes {
    pub geometries: Vec<Geometry>,
    /// [N, WIDTH]
    pub states: Tensor,
}

/// The grouping network with its weights.
pub struct Grouper {
    node: Linear,
    node_convs: [EdgeConv; 2],
    layout: Linear,
    group: Linear,
    group_conv: EdgeConv,
    edge: [Linear; 2],
    whole: [Linear; 2],
    device: Device,
}

fn probability(logits: &Tensor) -> Result<Vec<f32>> {
    let logits = logits.flatten_all()?.to_vec1::<f32>()?;
    Ok(logits
        .into_iter()
        .map(|v| 1.0 / (1.0 + (-v).exp()))
        .collect())
}

impl Grouper {
    /// Builds the network from the tensors of `weights/grouping.safetensors`, or from random ones for training.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn load(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            node: Linear::new(NODE_VALUES, WIDTH, 1.0, vb.pp("node"))?,
            node_convs: [
                EdgeConv::new(vb.pp("node_convs.0"))?,
                EdgeConv::new(vb.pp("node_convs.1"))?,
            ],
            layout: Linear::new(GROUP_VALUES, HIDDEN, 1.0, vb.pp("layout"))?,
            group: Linear::new(WIDTH + HIDDEN, WIDTH, 1.0, vb.pp("group"))?,
            group_conv: EdgeConv::new(vb.pp("group_conv"))?,
            edge: [
                Linear::new(2 * WIDTH + PAIR_VALUES - 2, HIDDEN, 1.0, vb.pp("edge.0"))?,
                Linear::new(HIDDEN, 1, 0.3, vb.pp("edge.1"))?,
            ],
            whole: [
                Linear::new(WIDTH + HIDDEN, HIDDEN, 1.0, vb.pp("whole.0"))?,
                Linear::new(HIDDEN, 2, 0.3, vb.pp("whole.1"))?,
            ],
            device: vb.device().clone(),
        })
    }

    /// The values of every candidate [N, NODE_VALUES], the end that gradients can reach down to.
    pub(super) fn values(&self, proposal: &Proposal, geometries: &[Geometry]) -> Result<Tensor> {
        let values: Vec<f32> = proposal
            .candidates
            .iter()
            .zip(geometries)
            .flat_map(|(candidate, geometry)| node_values(candidate, geometry, proposal))
            .collect();
        Tensor::from_vec(values, (geometries.len(), NODE_VALUES), &self.device)
    }

    /// First layers: candidates look at each other.
    pub(super) fn nodes(&self, proposal: &Proposal) -> Result<Nodes> {
        let geometries = of_candidates(proposal);
        let values = self.values(proposal, &geometries)?;
        self.nodes_of(geometries, &values)
    }

    pub(super) fn nodes_of(&self, geometries: Vec<Geometry>, values: &Tensor) -> Result<Nodes> {
        let graph = Graph::of(&geometries, &self.device)?;
        let mut states = relu(&self.node.forward(values)?)?;
        for conv in &self.node_convs {
            states = conv.forward(&states, &graph)?;
        }
        Ok(Nodes { geometries, states })
    }

    /// Every candidate a group of its own.
    pub(super) fn first_level(nodes: &Nodes) -> Level {
        let members = (0..nodes.geometries.len()).map(|i| vec![i]).collect();
        Level::of(&nodes.geometries, members)
    }

    /// Pooled states and layout [G, WIDTH + HIDDEN] of groups.
    fn pooled(
        &self,
        proposal: &Proposal,
        nodes: &Nodes,
        members: &[Vec<usize>],
        geometries: &[Geometry],
    ) -> Result<Tensor> {
        let (g, n) = (members.len(), nodes.geometries.len());
        let mut share = vec![0f32; g * n];
        let mut layout = Vec::with_capacity(g * GROUP_VALUES);
        for (index, (group, geometry)) in members.iter().zip(geometries).enumerate() {
            for &member in group {
                share[index * n + member] = 1.0 / group.len() as f32;
            }
            layout.extend(group_values(proposal, group, geometry));
        }
        let mean = Tensor::from_vec(share, (g, n), &self.device)?.matmul(&nodes.states)?;
        let layout = Tensor::from_vec(layout, (g, GROUP_VALUES), &self.device)?;
        Tensor::cat(&[mean, relu(&self.layout.forward(&layout)?)?], 1)
    }

    /// The edge discriminator on one level.
    pub(super) fn judge(
        &self,
        proposal: &Proposal,
        nodes: &Nodes,
        level: &Level,
    ) -> Result<Verdict> {
        let graph = Graph::of(&level.geometries, &self.device)?;
        let edges = graph.edges.clone();
        if edges.is_empty() {
            return Ok(Verdict { edges, same: None });
        }
        let pooled = self.pooled(proposal, nodes, &level.members, &level.geometries)?;
        let states = relu(&self.group.forward(&pooled)?)?;
        let states = self.group_conv.forward(&states, &graph)?;
        let end = |side: usize| -> Result<Tensor> {
            let indices: Vec<u32> = edges.iter().map(|edge| edge[side] as u32).collect();
            states.index_select(&Tensor::from_vec(indices, edges.len(), &self.device)?, 0)
        };
        let (a, b) = (end(0)?, end(1)?);
        let pairs: Vec<f32> = edges
            .iter()
            .flat_map(|[a, b]| {
                let [_, _, symmetric @ ..] =
                    level.geometries[*a].pair_values(&level.geometries[*b]);
                symmetric
            })
            .collect();
        let pairs = Tensor::from_vec(pairs, (edges.len(), PAIR_VALUES - 2), &self.device)?;
        let values = Tensor::cat(&[(&a + &b)?, (a - b)?.abs()?, pairs], 1)?;
        let [first, last] = &self.edge;
        let same = last
            .forward(&relu(&first.forward(&values)?)?)?
            .squeeze(D::Minus1)?;
        Ok(Verdict {
            edges,
            same: Some(same),
        })
    }

    /// The macro-node discriminator: logits [G, 2] of a group being one person, and of its OKS.
    pub(super) fn judge_groups(
        &self,
        proposal: &Proposal,
        nodes: &Nodes,
        members: &[Vec<usize>],
    ) -> Result<Tensor> {
        let geometries: Vec<Geometry> = members
            .iter()
            .map(|m| of_group(&nodes.geometries, m))
            .collect();
        let pooled = self.pooled(proposal, nodes, members, &geometries)?;
        let [first, last] = &self.whole;
        last.forward(&relu(&first.forward(&pooled)?)?)
    }

    /// One pass: judges all pairs, merges the best that do not touch. `None` when nothing merges.
    pub(super) fn pass(
        &self,
        proposal: &Proposal,
        nodes: &Nodes,
        level: &Level,
        verdict: &Verdict,
    ) -> Result<(Pass, Option<Level>)> {
        let same = match &verdict.same {
            Some(logits) => probability(logits)?,
            None => Vec::new(),
        };
        // What the edge discriminator alone refuses need not be looked at together.
        let mut edges: Vec<Edge> = verdict
            .edges
            .iter()
            .zip(same)
            .filter(|(_, same)| *same >= MIN_MERIT)
            .map(|(&groups, same)| Edge {
                groups,
                same,
                whole: 0.0,
            })
            .collect();
        if !edges.is_empty() {
            let unions: Vec<Vec<usize>> = edges.iter().map(|e| union(level, e.groups)).collect();
            let logits = self.judge_groups(proposal, nodes, &unions)?;
            let whole = probability(&logits.narrow(1, 0, 1)?)?;
            for (edge, whole) in edges.iter_mut().zip(whole) {
                edge.whole = whole;
            }
        }
        edges.sort_by(|a, b| (b.same * b.whole).total_cmp(&(a.same * a.whole)));
        let mut taken = vec![false; level.members.len()];
        let mut merged = Vec::new();
        let mut members = Vec::new();
        for (index, edge) in edges.iter().enumerate() {
            let [a, b] = edge.groups;
            if edge.same * edge.whole >= MIN_MERIT && !taken[a] && !taken[b] {
                (taken[a], taken[b]) = (true, true);
                merged.push(index);
                members.push(union(level, edge.groups));
            }
        }
        let pass = Pass {
            before: level.members.clone(),
            edges,
            merged,
        };
        if members.is_empty() {
            return Ok((pass, None));
        }
        let rest = level.members.iter().zip(taken).filter(|(_, taken)| !taken);
        members.extend(rest.map(|(group, _)| group.clone()));
        let next = Level::of(&nodes.geometries, members);
        Ok((pass, Some(next)))
    }

    /// Groups the candidates of one photo. More than [`MAX_CANDIDATES`] are an error: [`Proposal::limit`] cuts them.
    ///
    /// # Errors
    /// Too many candidates; weights of another network.
    pub fn group(&self, proposal: &Proposal) -> Result<Grouping> {
        if proposal.candidates.is_empty() {
            return Ok(Grouping::default());
        }
        if proposal.candidates.len() > MAX_CANDIDATES {
            candle_core::bail!("{} candidates are too many", proposal.candidates.len());
        }
        let nodes = self.nodes(proposal)?;
        let mut level = Self::first_level(&nodes);
        let mut passes = Vec::new();
        for _ in 0..MAX_PASSES {
            let verdict = self.judge(proposal, &nodes, &level)?;
            let (pass, next) = self.pass(proposal, &nodes, &level, &verdict)?;
            passes.push(pass);
            match next {
                Some(next) => level = next,
                None => break,
            }
        }
        let logits = self.judge_groups(proposal, &nodes, &level.members)?;
        let whole = probability(&logits.narrow(1, 0, 1)?)?;
        let quality = probability(&logits.narrow(1, 1, 1)?)?;
        let judged = level.members.into_iter().zip(whole).zip(quality);
        let mut groups: Vec<Group> = judged
            .map(|((members, whole), quality)| Group {
                members,
                whole,
                quality,
            })
            .collect();
        groups.sort_by(|a, b| b.quality.total_cmp(&a.quality));
        Ok(Grouping { passes, groups })
    }
}

/// The members of both groups, ascending.
fn union(level: &Level, [a, b]: [usize; 2]) -> Vec<usize> {
    let mut members: Vec<usize> = [a, b]
        .iter()
        .filter_map(|&group| level.members.get(group))
        .flatten()
        .copied()
        .collect();
    members.sort_unstable();
    members
}

#[cfg(test)]
#[path = "grouping_tests.rs"]
mod tests;
