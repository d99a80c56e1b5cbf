//! The bottom-up way to look at: candidates, the edges of each pass of grouping, and the groups that come of it.

use eframe::egui::Color32;
use eframe::egui::ecolor::Hsva;

use crate::gpu::Segment;
use crate::pose::draw::colour;
use crate::pose::grouping::Pass;
use crate::pose::inside::{CENTRES, Inside};
use crate::pose::keypoints::{BODY_KEYPOINTS, LIMBS, name};

/// What is shown over the photo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    #[default]
    Poses,
    Heat,
    Grouping,
}

impl Look {
    pub const ALL: [Self; 3] = [Self::Poses, Self::Heat, Self::Grouping];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Poses => "Poses",
            Self::Heat => "Heat map",
            Self::Grouping => "Grouping",
        }
    }

    pub const fn tip(self) -> &'static str {
        match self {
            Self::Poses => "Everyone's keypoints, to look at and to correct",
            Self::Heat => "Where the network sees each joint",
            Self::Grouping => "How keypoint candidates become people, pass by pass",
        }
    }

    /// The one after it, around the end.
    pub fn next(self) -> Self {
        match self {
            Self::Poses => Self::Heat,
            Self::Heat => Self::Grouping,
            Self::Grouping => Self::Poses,
        }
    }
}

/// The name of a heat map.
pub fn heat_name(joint: usize) -> String {
    if joint == CENTRES {
        "centre of a person".to_owned()
    } else {
        name(joint).replace('_', " ")
    }
}

/// The last step of a grouping: candidates, a step for each pass, the people.
pub fn last_step(inside: &Inside) -> usize {
    inside.grouping.passes.len() + 1
}

/// What a step shows, in words.
pub fn step_words(inside: &Inside, step: usize) -> [String; 2] {
    let candidates = inside.proposal.candidates.len();
    match step
        .checked_sub(1)
        .map(|index| inside.grouping.passes.get(index))
    {
        None => [
            "Candidates".to_owned(),
            format!(
                "{candidates} peaks of the heat maps, each a group of its own; {} centres vote",
                inside.proposal.centres.len()
            ),
        ],
        Some(Some(pass)) => [
            format!("Pass {step} of {}", inside.grouping.passes.len()),
            format!(
                "{} groups, {} pairs considered, {} merge",
                pass.before.len(),
                pass.edges.len(),
                pass.merged.len()
            ),
        ],
        Some(None) => [
            "Groups".to_owned(),
            format!(
                "{} groups are left; stronger ones are likelier to be one person",
                inside.grouping.groups.len()
            ),
        ],
    }
}

fn place(inside: &Inside, candidate: usize) -> Option<[f32; 2]> {
    let at = inside.proposal.candidates.get(candidate)?.at;
    let at = inside.proposal.image_from_view.apply(at.map(f64::from));
    Some(at.map(|v| v as f32))
}

fn faded([r, g, b]: [u8; 3], alpha: f32) -> [u8; 4] {
    [r, g, b, (alpha.clamp(0.0, 1.0) * 255.0) as u8]
}

/// The candidates of one joint, or the centres.
pub fn candidates_of(inside: &Inside, joint: usize) -> Vec<Segment> {
    let mut all = Vec::new();
    let mut dot = |at: [f32; 2], color: [u8; 3], score: f32| {
        all.push(Segment::dot(at, faded([255; 3], 0.35 + 0.65 * score), 7.0));
        all.push(Segment::dot(at, faded(color, 0.35 + 0.65 * score), 4.5));
    };
    if joint == CENTRES {
        for centre in &inside.proposal.centres {
            let at = inside.proposal.image_from_view;
            let at = at.apply(centre.middle().map(f64::from));
            dot(at.map(|v| v as f32), [255, 205, 70], centre.score);
        }
    }
    for (index, candidate) in inside.proposal.candidates.iter().enumerate() {
        if let Some(at) = place(inside, index).filter(|_| candidate.joint == joint) {
            dot(at, colour(joint), candidate.score);
        }
    }
    all
}

/// A colour for each group that stays the same while it grows: that of its first candidate.
fn color_of(members: &[usize]) -> [u8; 3] {
    let first = members.first().copied().unwrap_or(0);
    let hue = (first as f32 * 0.618_034).fract();
    let color = Color32::from(Hsva::new(hue, 0.62, 1.0, 1.0));
    [color.r(), color.g(), color.b()]
}

/// What a step looks like.
pub fn segments(inside: &Inside, step: usize) -> Vec<Segment> {
    match step
        .checked_sub(1)
        .map(|index| inside.grouping.passes.get(index))
    {
        None => {
            let joints = 0..BODY_KEYPOINTS;
            joints
                .flat_map(|joint| candidates_of(inside, joint))
                .collect()
        }
        Some(Some(pass)) => pass_segments(inside, pass),
        Some(None) => {
            let mut all = Vec::new();
            // The best last, so that they lie on top.
            for group in inside.grouping.groups.iter().rev() {
                let strength = group.quality.sqrt().max(0.12);
                group_segments(inside, &group.members, 3.4, strength, &mut all);
            }
            all
        }
    }
}

fn pass_segments(inside: &Inside, pass: &Pass) -> Vec<Segment> {
    let mut all = Vec::new();
    for (index, edge) in pass.edges.iter().enumerate() {
        let [a, b] = edge.groups;
        let (Some(a), Some(b)) = (pass.before.get(a), pass.before.get(b)) else {
            continue;
        };
        let Some((from, to)) = nearest(inside, a, b) else {
            continue;
        };
        let merit = edge.same * edge.whole;
        if pass.merged.contains(&index) {
            all.push(Segment::line(from, to, faded([255; 3], 0.95), 3.4));
        } else {
            let line = Segment::line(from, to, faded([255, 214, 90], 0.12 + 0.6 * merit), 1.1);
            all.push(line.dashed(5.0));
        }
    }
    for members in &pass.before {
        group_segments(inside, members, 2.2, 1.0, &mut all);
    }
    all
}

/// The two candidates of two groups that lie nearest.
fn nearest(inside: &Inside, a: &[usize], b: &[usize]) -> Option<([f32; 2], [f32; 2])> {
    let places = |group: &[usize]| -> Vec<[f32; 2]> {
        let places = group.iter().filter_map(|member| place(inside, *member));
        places.collect()
    };
    let (a, b) = (places(a), places(b));
    let pairs = a.iter().flat_map(|p| b.iter().map(move |q| (*p, *q)));
    let square = |(p, q): &([f32; 2], [f32; 2])| (p[0] - q[0]).powi(2) + (p[1] - q[1]).powi(2);
    pairs.min_by(|x, y| square(x).total_cmp(&square(y)))
}

/// A group as a tree: limbs where it has both ends, else the shortest way.
fn group_segments(
    inside: &Inside,
    members: &[usize],
    width: f32,
    strength: f32,
    all: &mut Vec<Segment>,
) {
    /// A limb is taken before another line that is less than three times shorter.
    const LIMB: f32 = 0.33;
    let color = color_of(members);
    let nodes: Vec<(usize, [f32; 2])> = members
        .iter()
        .filter_map(|member| {
            let joint = inside.proposal.candidates.get(*member)?.joint;
            Some((joint, place(inside, *member)?))
        })
        .collect();
    let length = |a: usize, b: usize| {
        let ((joint, p), (other, q)) = (nodes[a], nodes[b]);
        let is_limb = LIMBS.contains(&[joint, other]) || LIMBS.contains(&[other, joint]);
        (p[0] - q[0]).hypot(p[1] - q[1]) * if is_limb { LIMB } else { 1.0 }
    };
    let (mut tree, mut rest): (Vec<usize>, Vec<usize>) = (vec![0], (1..nodes.len()).collect());
    while !rest.is_empty() {
        let pairs = tree.iter().flat_map(|a| rest.iter().map(move |b| (*a, *b)));
        let Some((a, b)) = pairs.min_by(|x, y| length(x.0, x.1).total_cmp(&length(y.0, y.1)))
        else {
            break;
        };
        let color = faded(color, 0.9 * strength);
        all.push(Segment::line(nodes[a].1, nodes[b].1, color, width));
        rest.retain(|other| *other != b);
        tree.push(b);
    }
    for (_, at) in &nodes {
        all.push(Segment::dot(*at, faded(color, strength), 2.0 * width));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::movenet::FEATURES;
    use crate::pose::candidates::{Candidate, Proposal};
    use crate::pose::grouping::{Edge, Group, Grouping};
    use crate::raster::Similarity;

    /// Two people with shoulders and elbows each.
    fn inside() -> Inside {
        let candidate = |joint: usize, x: f32, y: f32| Candidate {
            joint,
            at: [x, y],
            score: 0.9,
            features: [0.0; FEATURES],
            votes: Vec::new(),
        };
        let edge = |groups, same| Edge {
            groups,
            same,
            whole: 0.9,
        };
        Inside {
            heat: Vec::new(),
            grid_from_image: [[0.0; 3]; 3],
            proposal: Proposal {
                candidates: vec![
                    candidate(5, 10.0, 10.0),
                    candidate(7, 10.0, 40.0),
                    candidate(5, 90.0, 10.0),
                    candidate(7, 90.0, 40.0),
                ],
                centres: Vec::new(),
                size_px: (100, 50),
                image_from_view: Similarity::scale_shift(2.0, 0.0, 0.0),
            },
            grouping: Grouping {
                passes: vec![Pass {
                    before: (0..4).map(|i| vec![i]).collect(),
                    edges: vec![edge([0, 1], 0.9), edge([2, 3], 0.8), edge([1, 2], 0.3)],
                    merged: vec![0, 1],
                }],
                groups: [[0, 1], [2, 3]]
                    .map(|members| Group {
                        members: members.into(),
                        whole: 0.9,
                        quality: 0.8,
                    })
                    .into(),
            },
            people: Vec::new(),
        }
    }

    #[test]
    fn steps_go_from_candidates_over_passes_to_groups() {
        let inside = inside();
        assert_eq!(last_step(&inside), 2);
        let lines = |step: usize| -> Vec<Segment> {
            let all = segments(&inside, step);
            all.into_iter().filter(|s| s.start != s.end).collect()
        };
        assert!(lines(0).is_empty());
        let pass = lines(1);
        assert_eq!(pass.len(), 3);
        assert_eq!(pass.iter().filter(|s| s.dash_points > 0.0).count(), 1);
        let groups = lines(2);
        // In photo pixels, shoulder to elbow.
        assert_eq!(groups.len(), 2);
        assert!(
            groups
                .iter()
                .all(|s| s.start[0] == s.end[0] && (s.start[1] - s.end[1]).abs() == 60.0)
        );
        assert!(step_words(&inside, 1)[1].contains("3 pairs considered, 2 merge"));
        assert_eq!(
            candidates_of(&inside, 7).len(),
            4,
            "a dot and its ring for two elbows"
        );
    }
}
