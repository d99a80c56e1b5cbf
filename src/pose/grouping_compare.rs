//! Grouping measured: COCO's body AP of the three ways to make people of MultiPose's maps, on the same photos.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::candidates::Proposal;
use super::group_people::{GroupingNetworks, greedy_people, people_of_bodies, people_of_groups};
use super::grouping::MAX_CANDIDATES;
use super::keypoints::{KEYPOINTS, Part, Person};
use super::metrics::{Found, Measure, Quality, Scene, Truth, evaluate};
use crate::people::multipose::{Planes, View, decode};
use crate::raster::Rgb;

/// Figures of some ways to group, over the same photos.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Comparison {
    pub photos: usize,
    /// By the name of the way.
    pub ways: BTreeMap<String, Quality>,
}

impl Comparison {
    /// Measures people, given for each way and photo, as `truth` is, in photo pixels.
    pub fn of(truth: &[Vec<Truth>], ways: Vec<(&str, Vec<Vec<Person>>)>) -> Self {
        let mut compared = BTreeMap::new();
        for (name, people) in ways {
            let scenes: Vec<Scene> = truth
                .iter()
                .zip(people)
                .map(|(truth, people)| Scene {
                    truth: truth.clone(),
                    found: people
                        .iter()
                        .map(|p| found((0..KEYPOINTS).map(|k| p.get(k)), p.score))
                        .collect(),
                })
                .collect();
            if let Some(quality) = evaluate(&scenes, Measure::Part(Part::Body)) {
                compared.insert(name.to_owned(), quality);
            }
        }
        Self {
            photos: truth.len(),
            ways: compared,
        }
    }
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:<18} {:>7} {:>7} {:>7} {:>7} {:>7}   {} photos",
            "body", "AP", "AP50", "AP75", "AR", "people", self.photos
        )?;
        for (name, q) in &self.ways {
            write!(
                f,
                "\n{name:<18} {:>7.4} {:>7.4} {:>7.4} {:>7.4} {:>7}",
                q.ap, q.ap50, q.ap75, q.ar, q.people
            )?;
        }
        Ok(())
    }
}

/// A body or person as the measures take it.
pub(super) fn found(points: impl Iterator<Item = ([f32; 2], f32)>, score: f32) -> Found {
    let mut keypoints: Vec<[f64; 3]> = points
        .map(|([x, y], s)| [f64::from(x), f64::from(y), f64::from(s)])
        .collect();
    keypoints.resize(KEYPOINTS, [0.0; 3]);
    Found {
        keypoints,
        score: f64::from(score),
        part_scores: [None; 5],
        whole_score: None,
    }
}

/// The people of one photo by each way, and how long the parts took.
pub struct Ways {
    pub native: Vec<Person>,
    pub greedy: Vec<Person>,
    pub graph: Vec<Person>,
    /// From the photo to MultiPose's maps; from maps to people by graph grouping.
    pub maps_time: Duration,
    pub graph_time: Duration,
}

/// Groups one photo in all three ways from the same maps.
///
/// # Errors
/// When the photo has no pixels.
pub fn all_ways(networks: &GroupingNetworks, photo: &Rgb, side_px: usize) -> Result<Ways> {
    let start = Instant::now();
    let view = View::of(photo, side_px)?;
    let maps = networks.multipose.maps(&view.xs)?;
    let maps_time = start.elapsed();
    let bodies = decode(&maps)?;
    let bodies: Vec<_> = bodies
        .iter()
        .map(|b| b.through(&view.image_from_view))
        .collect();
    let start = Instant::now();
    let mut proposal = Proposal::read(&Planes::of(&maps)?, &view);
    proposal.limit(MAX_CANDIDATES);
    let grouping = networks.grouper.group(&proposal)?;
    let graph = people_of_groups(&proposal, &grouping);
    Ok(Ways {
        native: people_of_bodies(&bodies),
        greedy: greedy_people(&proposal),
        graph,
        maps_time,
        graph_time: start.elapsed(),
    })
}
