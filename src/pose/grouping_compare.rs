//! Grouping measured: COCO's body AP of several ways to make people of MultiPose's maps, on the same photos.
//!
//! With few photos an AP says little by itself: [`Comparison`] also tells how the gain of the last way over the first
//! varies when photos are drawn again and again from these (a paired bootstrap).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use super::group_people::{
    GroupingNetworks, greedy_people, people_of_bodies, people_of_groups, without_doubles,
};
use super::grouping::{Grouping, MAX_CANDIDATES};
use super::keypoints::{KEYPOINTS, Part, Person};
use super::looks::{self, Look};
use super::metrics::{Found, Measure, Quality, Scene, Truth, evaluate};
use crate::people::multipose::FoundBody;
use crate::raster::Rgb;

const BODY: Measure = Measure::Part(Part::Body);

/// Figures of some ways to group, over the same photos.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Comparison {
    pub photos: usize,
    /// By the name of the way.
    pub ways: BTreeMap<String, Quality>,
    /// By how much a way's AP exceeds the first's: 95 of 100 draws of photos lie between these two.
    pub gains: BTreeMap<String, [f64; 2]>,
}

/// Draws of photos that intervals are read from.
const DRAWS: usize = 400;

/// The middle 95 of 100 differences in AP between two ways over photos drawn with replacement.
fn gain(first: &[Scene], other: &[Scene]) -> Option<[f64; 2]> {
    let ap = |scenes: &[Scene], chosen: &[usize]| -> Option<f64> {
        let drawn = chosen.iter().filter_map(|&i| scenes.get(i)).cloned();
        evaluate(&drawn.collect::<Vec<_>>(), BODY).map(|quality| quality.ap)
    };
    let mut rng = SmallRng::seed_from_u64(1);
    let mut gains = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        let chosen: Vec<usize> = first
            .iter()
            .map(|_| rng.random_range(0..first.len()))
            .collect();
        // A draw of photos without people says nothing.
        if let (Some(a), Some(b)) = (ap(first, &chosen), ap(other, &chosen)) {
            gains.push(b - a);
        }
    }
    gains.sort_by(f64::total_cmp);
    let at = |share: f64| gains.get((share * gains.len() as f64) as usize).copied();
    Some([at(0.025)?, at(0.975)?])
}

impl Comparison {
    /// Measures people, given for each way and photo, as `truth` is, in photo pixels.
    pub fn of(truth: &[Vec<Truth>], ways: Vec<(&str, Vec<Vec<Person>>)>) -> Self {
        let (mut compared, mut gains) = (BTreeMap::new(), BTreeMap::new());
        let mut first: Option<Vec<Scene>> = None;
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
            if let Some(quality) = evaluate(&scenes, BODY) {
                compared.insert(name.to_owned(), quality);
            }
            match &first {
                None => first = Some(scenes),
                Some(first) => gains.extend(gain(first, &scenes).map(|g| (name.to_owned(), g))),
            }
        }
        Self {
            photos: truth.len(),
            ways: compared,
            gains,
        }
    }
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:<20} {:>7} {:>7} {:>7} {:>7} {:>7}   {} photos",
            "body", "AP", "AP50", "AP75", "AR", "people", self.photos
        )?;
        for (name, q) in &self.ways {
            write!(
                f,
                "\n{name:<20} {:>7.4} {:>7.4} {:>7.4} {:>7.4} {:>7}",
                q.ap, q.ap50, q.ap75, q.ar, q.people
            )?;
            if let Some([low, high]) = self.gains.get(name) {
                write!(f, "   {low:+.3} to {high:+.3} over the first")?;
            }
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

/// The names of the ways in [`Ways::people`], in order.
pub const WAYS: [&str; 5] = [
    "native, one look",
    "native, all looks",
    "centres, all looks",
    "greedy grouping",
    "graph grouping",
];

/// The people of one photo by each way, and how long the parts took.
pub struct Ways {
    /// As [`WAYS`] names them.
    pub people: [Vec<Person>; 5],
    /// From the photo to MultiPose's maps of all looks; from maps to people by graph grouping.
    pub maps_time: Duration,
    pub graph_time: Duration,
}

/// The people of the network's own decoding of several looks, doubles removed.
pub(super) fn native_people(looks: &[Look]) -> Vec<Person> {
    let bodies: Vec<FoundBody> = looks.iter().flat_map(Look::native).collect();
    people_of_bodies(&without_doubles(bodies))
}

/// Groups one photo in all ways from the same maps.
///
/// # Errors
/// When the photo has no pixels.
pub fn all_ways(networks: &GroupingNetworks, photo: &Rgb, side_px: usize) -> Result<Ways> {
    let start = Instant::now();
    let looks = Look::all(&networks.multipose, photo, side_px)?;
    let maps_time = start.elapsed();
    let start = Instant::now();
    let mut proposal = looks::proposal(&looks).context("There is nothing to look at")?;
    proposal.limit(MAX_CANDIDATES);
    let grouping = networks.grouper.group(&proposal)?;
    let graph = people_of_groups(&proposal, &grouping);
    let graph_time = start.elapsed();
    let one = looks.first().map(Look::native).unwrap_or_default();
    Ok(Ways {
        people: [
            people_of_bodies(&one),
            native_people(&looks),
            people_of_groups(&proposal, &Grouping::default()),
            greedy_people(&proposal),
            graph,
        ],
        maps_time,
        graph_time,
    })
}
