//! What the tests of grouping share: a scene that is easy to group.

use super::candidates::{Candidate, Centre, Proposal};
use crate::people::movenet::FEATURES;
use crate::people::multipose::JOINTS;
use crate::raster::Similarity;

/// `people` side by side, each with all joints and a centre; every joint of one has features of its own.
pub fn row_of_people(people: usize) -> Proposal {
    let mut candidates = Vec::new();
    let mut centres = Vec::new();
    for person in 0..people {
        let x = 60.0 + 100.0 * person as f32;
        let place = |joint: usize| [x + 8.0 * (joint % 2) as f32, 20.0 + 9.0 * joint as f32];
        for joint in 0..JOINTS {
            candidates.push(Candidate {
                joint,
                at: place(joint),
                score: 0.7,
                features: [0.1 * (person % 3) as f32; FEATURES],
                votes: Vec::new(),
            });
        }
        centres.push(Centre {
            score: 0.6,
            bbox: [x - 30.0, 10.0, x + 40.0, 180.0],
            expected: std::array::from_fn(place),
            decoded: std::array::from_fn(|joint| (place(joint), 0.6)),
        });
    }
    let mut proposal = Proposal {
        candidates,
        centres,
        size_px: (100 * people + 60, 200),
        image_from_view: Similarity::IDENTITY,
    };
    proposal.vote();
    proposal
}
