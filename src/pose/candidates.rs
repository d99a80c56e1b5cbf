//! Keypoint candidates of a whole photo: what the bottom-up way starts from.
//!
//! The paper (Jin et al. 2020, "Differentiable Hierarchical Graph Grouping for Multi-Person Pose Estimation", §3.1)
//! takes heat maps and relational feature maps from an hourglass network. Here both come from MoveNet MultiPose: every
//! peak of a joint's heat map is a candidate, placed below the cell by the offset map, with the 24 channels that the
//! heads look at as its relational features. In place of learned tags every candidate votes for the centres whose
//! expected joint lies near it; there may be any number of centres, not the six of the network's own decoding.
//! `looks.rs` reads maps of several sizes together; `grouping.rs` makes people of the candidates.

use candle_core::Result;
use serde::{Deserialize, Serialize};

use super::looks::{self, Look};
use crate::people::movenet::FEATURES;
use crate::people::multipose::{JOINTS, MultiPose, Planes, View};
use crate::raster::{Rgb, Similarity};

/// Spread of a joint around where its centre expects it, over the person's size.
pub(super) const VOTE_SPREAD: f32 = 0.12;
/// Weight of "none of the centres" beside a perfect vote for a sure one.
const NO_VOTE: f32 = 0.02;
/// Votes of one candidate that are kept.
const MAX_VOTES: usize = 4;
/// People are not smaller than this, in pixels of the view: keeps scales away from zero.
pub(super) const MIN_SIZE_PX: f32 = 8.0;

/// A place where a joint may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Which joint, in COCO's order.
    pub joint: usize,
    /// (x, y) in pixels of the view.
    pub at: [f32; 2],
    /// 0 to 1.
    pub score: f32,
    /// Relational features at the place; all zero where a scene has no picture.
    pub features: [f32; FEATURES],
    /// The likeliest centres and how likely each is; what is missing to 1 says "none of them".
    pub votes: Vec<(usize, f32)>,
}

/// A place where the network sees the centre of a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Centre {
    /// 0 to 1.
    pub score: f32,
    /// Left, top, right, bottom in pixels of the view.
    pub bbox: [f32; 4],
    /// Where each joint is expected.
    pub expected: [[f32; 2]; JOINTS],
    /// The candidate that suits each joint best and how well it does; where none does, the expected place.
    pub decoded: [([f32; 2], f32); JOINTS],
}

impl Centre {
    /// Middle of the box.
    pub fn middle(&self) -> [f32; 2] {
        let [x0, y0, x1, y1] = self.bbox;
        [0.5 * (x0 + x1), 0.5 * (y0 + y1)]
    }

    /// Square root of the box's area: the unit that distances within this person are measured in.
    pub fn size(&self) -> f32 {
        let [x0, y0, x1, y1] = self.bbox;
        ((x1 - x0) * (y1 - y0)).max(0.0).sqrt().max(MIN_SIZE_PX)
    }
}

/// Candidates and centres of one photo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    pub candidates: Vec<Candidate>,
    pub centres: Vec<Centre>,
    /// Width and height of what the view shows of the photo, in its pixels.
    pub size_px: (usize, usize),
    /// From pixels of the view to pixels of the photo.
    pub image_from_view: Similarity,
}

impl Proposal {
    /// Candidates and centres of a photo that is looked at in several ways, at `side_px` pixels along its longer side
    /// at most.
    ///
    /// # Errors
    /// When the photo has no pixels.
    pub fn of(network: &MultiPose, photo: &Rgb, side_px: usize) -> Result<Self> {
        let looks = Look::all(network, photo, side_px)?;
        looks::proposal(&looks)
            .ok_or_else(|| candle_core::Error::msg("there is nothing to look at"))
    }

    /// The same from the maps of a single look.
    pub fn read(planes: &Planes, view: &View) -> Self {
        looks::single(planes, view)
    }

    /// Keeps the `count` candidates with the best scores.
    pub fn limit(&mut self, count: usize) {
        if self.candidates.len() > count {
            self.candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
            self.candidates.truncate(count);
        }
    }

    /// Lets every candidate vote for the centres that expect such a joint near it.
    pub fn vote(&mut self) {
        for candidate in &mut self.candidates {
            let mut weights: Vec<(usize, f32)> = self
                .centres
                .iter()
                .enumerate()
                .map(|(index, centre)| {
                    let [ex, ey] = centre.expected[candidate.joint];
                    let [x, y] = candidate.at;
                    let unit = VOTE_SPREAD * centre.size();
                    let square = ((x - ex).powi(2) + (y - ey).powi(2)) / (unit * unit);
                    (index, centre.score * (-0.5 * square).exp())
                })
                .filter(|(_, weight)| *weight > 1e-4)
                .collect();
            let total = NO_VOTE + weights.iter().map(|(_, weight)| weight).sum::<f32>();
            weights.sort_by(|a, b| b.1.total_cmp(&a.1));
            weights.truncate(MAX_VOTES);
            candidate.votes = weights.into_iter().map(|(c, w)| (c, w / total)).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn centre_at(x: f32, y: f32, score: f32) -> Centre {
        Centre {
            score,
            bbox: [x - 50.0, y - 50.0, x + 50.0, y + 50.0],
            expected: [[x, y - 20.0]; JOINTS],
            decoded: [([x, y], 0.5); JOINTS],
        }
    }

    fn candidate_at(x: f32, y: f32) -> Candidate {
        Candidate {
            joint: 3,
            at: [x, y],
            score: 0.8,
            features: [0.0; FEATURES],
            votes: Vec::new(),
        }
    }

    #[test]
    fn candidates_vote_for_the_centre_that_expects_them_and_for_none_when_all_are_far() {
        let mut proposal = Proposal {
            candidates: vec![
                candidate_at(105.0, 82.0),
                candidate_at(296.0, 80.0),
                candidate_at(200.0, 80.0),
            ],
            centres: vec![centre_at(100.0, 100.0, 0.6), centre_at(300.0, 100.0, 0.3)],
            size_px: (400, 200),
            image_from_view: Similarity::IDENTITY,
        };
        proposal.vote();
        let votes: Vec<_> = proposal.candidates.iter().map(|c| &c.votes).collect();
        assert_eq!(votes[0][0].0, 0);
        assert!(votes[0][0].1 > 0.9);
        assert_eq!(votes[1][0].0, 1);
        assert!(
            votes[1][0].1 > 0.8 && votes[1][0].1 < votes[0][0].1,
            "a less sure centre"
        );
        assert!(votes[2].iter().map(|v| v.1).sum::<f32>() < 0.1);
        assert_eq!(proposal.centres[0].size(), 100.0);
    }

    #[test]
    fn the_two_people_of_a_picture_are_among_the_candidates() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let store = crate::weights::Store::at(root.join("weights"));
        let checkpoint = store.open("multipose", &candle_core::Device::Cpu).unwrap();
        let network = checkpoint.load(MultiPose::load).unwrap();
        let photo = crate::photo::open(&root.join("tests/data/people/multipose_a.png")).unwrap();
        let proposal = Proposal::of(&network, &photo.rgb, 192).unwrap();
        for nose_x in [57.0, 170.0] {
            // Read off the picture.
            let nose = proposal.candidates.iter().find(|c| {
                c.joint == 0 && (c.at[0] - nose_x).abs() < 6.0 && (c.at[1] - 30.0).abs() < 6.0
            });
            let nose = nose.unwrap();
            let (voted, share) = nose.votes[0];
            assert!(share > 0.5);
            assert!((proposal.centres[voted].middle()[0] - nose_x).abs() < 25.0);
            assert!(nose.features.iter().any(|&v| v > 0.0));
        }
        let everything = proposal.candidates.iter();
        assert!(
            everything
                .clone()
                .all(|c| c.score > 0.05 && c.score <= 1.0 && c.joint < JOINTS)
        );
    }
}
