//! People of a whole photo by grouping keypoint candidates, and two simpler ways to compare with.
//!
//! The steps in order: candidates ([`Proposal`]) of several looks at the photo, grouping ([`Grouper`]), completion, removal of doubles. A group
//! names the joints it has a candidate for; the others come from the network's own decoding at the centre that the
//! group voted for, with less trust. Two groups can finish as one person (one took the left knee, one a false one):
//! of people who are nearly alike the better stays.

use std::cmp::Ordering;

use anyhow::{Context as _, Result};
use candle_core::Device;

use super::candidates::{Centre, Proposal};
use super::grouping::{Grouper, Grouping, MAX_CANDIDATES};
use super::grouping_geometry::{of_candidates, of_group};
use super::keypoints::{BODY_KEYPOINTS, Person, SIGMAS};
use crate::people::multipose::{FoundBody, JOINTS, MultiPose};
use crate::raster::{Rgb, Similarity};
use crate::weights::Store;

/// Longer side of the photo for candidates, in pixels.
pub const SIDE_PX: usize = 512;
/// A group must have voted for its centre with this share to be completed from it.
const MIN_CENTRE_SHARE: f32 = 0.2;
/// Trust in a joint that no candidate of the group stands for.
const COMPLETED: f32 = 0.5;
/// The centre's choice for a joint stands against the group's unless its evidence is less than this share of it: in
/// the middle of a person centres err less, and groups are for where several people meet.
const CENTRES_SAY: f32 = 0.5;
/// People more alike than this are one.
const SAME_PERSON: f32 = 0.6;
/// Trust in a centre that no group voted for, over that in a group.
const CENTRE_ALONE: f32 = 0.2;
/// Groups of less quality are left out.
const MIN_QUALITY: f32 = 0.02;
/// Greedy grouping: a candidate joins a person whose tag is this near, in sizes.
const TAG_DISTANCE: f32 = 0.5;

/// The two networks with their weights.
pub struct GroupingNetworks {
    pub multipose: MultiPose,
    pub grouper: Grouper,
}

impl GroupingNetworks {
    /// # Errors
    /// When a weight file is missing or does not fit.
    pub fn load(store: &Store) -> Result<Self> {
        Ok(Self {
            multipose: load_multipose(store)?,
            grouper: store
                .open("grouping", &Device::Cpu)?
                .load(Grouper::load)
                .context("Failed to load the grouping network")?,
        })
    }
}

/// MultiPose alone, for ways that need no grouping network.
///
/// # Errors
/// When the weight file is missing or does not fit.
pub fn load_multipose(store: &Store) -> Result<MultiPose> {
    let checkpoint = store.open("multipose", &Device::Cpu)?;
    checkpoint
        .load(MultiPose::load)
        .context("Failed to load the network for whole photos")
}

/// What grouping makes of a photo: everything a window needs to show how it came about.
pub struct Grouped {
    /// Candidates and centres, in pixels of the view.
    pub proposal: Proposal,
    /// Every pass, and the groups that are left.
    pub grouping: Grouping,
    /// In photo pixels, best first; the body alone is known.
    pub people: Vec<Person>,
}

/// The people of a photo, best first, with boxes and the 17 joints of the body: no limit to their number.
///
/// # Errors
/// When the photo has no pixels.
pub fn group_people(
    networks: &GroupingNetworks,
    photo: &Rgb,
    side_px: usize,
) -> Result<Vec<Person>> {
    Ok(group_photo(networks, photo, side_px)?.people)
}

/// The same, with candidates and passes.
///
/// # Errors
/// When the photo has no pixels.
pub fn group_photo(networks: &GroupingNetworks, photo: &Rgb, side_px: usize) -> Result<Grouped> {
    let mut proposal = Proposal::of(&networks.multipose, photo, side_px)?;
    proposal.limit(MAX_CANDIDATES);
    let grouping = networks.grouper.group(&proposal)?;
    let people = people_of_groups(&proposal, &grouping);
    Ok(Grouped {
        proposal,
        grouping,
        people,
    })
}

/// The people that groups stand for, in photo pixels, best first. Their score is the geometric mean of the estimated
/// OKS and of the scores of all joints, missing ones counting nothing. Someone of whom there is a centre but no group
/// stays, far down.
pub fn people_of_groups(proposal: &Proposal, grouping: &Grouping) -> Vec<Person> {
    let geometries = of_candidates(proposal);
    let groups = grouping.groups.iter().filter(|g| g.quality >= MIN_QUALITY);
    let mut bodies: Vec<FoundBody> = groups
        .map(|group| {
            let main = of_group(&geometries, &group.members).main_centre();
            let members = group.members.iter();
            let scores = members.filter_map(|&m| proposal.candidates.get(m));
            let mean = scores.map(|c| c.score).sum::<f32>() / JOINTS as f32;
            let score = (group.quality * mean).sqrt();
            let mut body = complete(proposal, &group.members, main, score);
            hear_centre(&mut body, proposal, &group.members, main);
            body
        })
        .collect();
    for (index, centre) in proposal.centres.iter().enumerate() {
        let mean = centre.decoded.iter().map(|(_, score)| score).sum::<f32>() / JOINTS as f32;
        let score = (CENTRE_ALONE * centre.score.sqrt() * mean).sqrt();
        bodies.push(complete(proposal, &[], Some((index, 1.0)), score));
    }
    finish(bodies, &proposal.image_from_view)
}

/// The people of MultiPose's own decoding.
pub fn people_of_bodies(bodies: &[FoundBody]) -> Vec<Person> {
    let person = |body: &FoundBody| Person::from_body(&body.joints, body.bbox, body.score);
    bodies.iter().map(person).collect()
}

/// A group as a body, in pixels of the view: joints without a candidate come from the centre voted for.
pub(super) fn complete(
    proposal: &Proposal,
    members: &[usize],
    main_centre: Option<(usize, f32)>,
    score: f32,
) -> FoundBody {
    let mut joints = [([0.0; 2], 0.0); JOINTS];
    let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
    for candidate in members.iter().filter_map(|&m| proposal.candidates.get(m)) {
        if let Some(slot) = joints.get_mut(candidate.joint) {
            *slot = (candidate.at, candidate.score);
        }
        for axis in 0..2 {
            low[axis] = low[axis].min(candidate.at[axis]);
            high[axis] = high[axis].max(candidate.at[axis]);
        }
    }
    if let Some(centre) = trusted_centre(proposal, main_centre) {
        for (slot, (place, score)) in joints.iter_mut().zip(centre.decoded) {
            if slot.1 == 0.0 {
                *slot = (place, COMPLETED * score);
            }
        }
        let [x0, y0, x1, y1] = centre.bbox;
        low = [low[0].min(x0), low[1].min(y0)];
        high = [high[0].max(x1), high[1].max(y1)];
    }
    FoundBody {
        joints,
        bbox: [low[0], low[1], high[0], high[1]],
        score,
    }
}

/// The centre that a group voted for, if it did with enough of its votes.
fn trusted_centre(proposal: &Proposal, main_centre: Option<(usize, f32)>) -> Option<&Centre> {
    main_centre
        .filter(|(_, share)| *share >= MIN_CENTRE_SHARE)
        .and_then(|(index, _)| proposal.centres.get(index))
}

/// Puts the centre's choice in place of candidates that are hardly better than it.
fn hear_centre(
    body: &mut FoundBody,
    proposal: &Proposal,
    members: &[usize],
    main_centre: Option<(usize, f32)>,
) {
    let Some(centre) = trusted_centre(proposal, main_centre) else {
        return;
    };
    for candidate in members.iter().filter_map(|&m| proposal.candidates.get(m)) {
        let slots = body.joints.get_mut(candidate.joint);
        if let (Some(slot), Some(choice)) = (slots, centre.decoded.get(candidate.joint))
            && choice.1 > CENTRES_SAY * candidate.score
        {
            *slot = *choice;
        }
    }
}

/// How alike two bodies are, 0 to 1: OKS over the joints that both have, by the smaller body's size.
fn likeness(a: &FoundBody, b: &FoundBody) -> f32 {
    let area = |body: &FoundBody| {
        let [x0, y0, x1, y1] = body.bbox;
        ((x1 - x0) * (y1 - y0)).max(1.0)
    };
    let area = area(a).min(area(b)) * 0.53;
    let (mut sum, mut count) = (0.0, 0);
    for (((p, ps), (q, qs)), sigma) in a.joints.iter().zip(&b.joints).zip(SIGMAS) {
        if *ps > 0.0 && *qs > 0.0 {
            let square = (p[0] - q[0]).powi(2) + (p[1] - q[1]).powi(2);
            let spread = (2.0 * sigma as f32).powi(2);
            sum += (-square / (2.0 * spread * area)).exp();
            count += 1;
        }
    }
    if count == 0 { 0.0 } else { sum / count as f32 }
}

/// The best of those that are nearly alike, best first.
pub(super) fn without_doubles(mut bodies: Vec<FoundBody>) -> Vec<FoundBody> {
    bodies.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal));
    let mut kept: Vec<FoundBody> = Vec::new();
    for body in bodies {
        if kept
            .iter()
            .all(|other| likeness(other, &body) < SAME_PERSON)
        {
            kept.push(body);
        }
    }
    kept
}

/// Sorts, removes doubles, brings to photo pixels.
fn finish(bodies: Vec<FoundBody>, image_from_view: &Similarity) -> Vec<Person> {
    let kept = without_doubles(bodies);
    let bodies: Vec<FoundBody> = kept.iter().map(|b| b.through(image_from_view)).collect();
    people_of_bodies(&bodies)
}

/// Associative embedding's greedy grouping (Newell et al. 2017) with the middle voted for as the tag: joint by joint,
/// from the head down, each candidate joins the person with the nearest tag or starts a new one.
pub fn greedy_people(proposal: &Proposal) -> Vec<Person> {
    struct Gathered {
        members: Vec<usize>,
        joints: u32,
        tag: [f32; 2],
        size: f32,
    }
    let geometries = of_candidates(proposal);
    let mut people: Vec<Gathered> = Vec::new();
    for joint in 0..BODY_KEYPOINTS {
        let candidates = proposal.candidates.iter().enumerate();
        let mut own: Vec<_> = candidates.filter(|(_, c)| c.joint == joint).collect();
        own.sort_by(|a, b| b.1.score.total_cmp(&a.1.score));
        for (index, _) in own {
            let geometry = &geometries[index];
            let distance = |person: &Gathered| {
                let [dx, dy] = [0, 1].map(|axis| geometry.vote[axis] - person.tag[axis]);
                dx.hypot(dy) / (0.5 * (person.size + geometry.size))
            };
            let free = people
                .iter_mut()
                .filter(|p| p.joints & geometry.joints == 0);
            let nearest = free
                .map(|person| (distance(person), person))
                .min_by(|a, b| a.0.total_cmp(&b.0));
            match nearest {
                Some((distance, person)) if distance < TAG_DISTANCE => {
                    let count = person.members.len() as f32;
                    for axis in 0..2 {
                        person.tag[axis] +=
                            (geometry.vote[axis] - person.tag[axis]) / (count + 1.0);
                    }
                    person.size += (geometry.size - person.size) / (count + 1.0);
                    person.joints |= geometry.joints;
                    person.members.push(index);
                }
                _ => people.push(Gathered {
                    members: vec![index],
                    joints: geometry.joints,
                    tag: geometry.vote,
                    size: geometry.size,
                }),
            }
        }
    }
    let bodies = people.iter().map(|person| {
        let geometry = of_group(&geometries, &person.members);
        let main = geometry.main_centre();
        let scores = person
            .members
            .iter()
            .filter_map(|&m| proposal.candidates.get(m));
        // As associative embedding scores people: the mean over all joints, the missing ones counting nothing.
        let score = scores.map(|c| c.score).sum::<f32>() / JOINTS as f32;
        complete(proposal, &person.members, main, score)
    });
    finish(bodies.collect(), &proposal.image_from_view)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(x: f32, score: f32) -> FoundBody {
        FoundBody {
            joints: std::array::from_fn(|j| ([x, 10.0 * j as f32], 0.5)),
            bbox: [x - 40.0, 0.0, x + 40.0, 160.0],
            score,
        }
    }

    #[test]
    fn a_centre_overrules_a_group_only_where_it_has_evidence() {
        let mut proposal = crate::pose::grouping_tests_support::row_of_people(1);
        let (place, _) = proposal.centres[0].decoded[0];
        proposal.centres[0].decoded[0] = ([place[0] + 5.0, place[1]], 0.4);
        proposal.centres[0].decoded[1] = ([0.0; 2], 0.3);
        let members: Vec<usize> = (0..JOINTS).collect();
        let main = Some((0, 0.9));
        let mut body = complete(&proposal, &members, main, 0.5);
        hear_centre(&mut body, &proposal, &members, main);
        assert_eq!(body.joints[0], ([place[0] + 5.0, place[1]], 0.4));
        assert_eq!(body.joints[1], (proposal.candidates[1].at, 0.7));
        let mut alone = complete(&proposal, &members, Some((0, 0.1)), 0.5);
        hear_centre(&mut alone, &proposal, &members, Some((0, 0.1)));
        assert_eq!(alone.joints[0].0, place, "too few votes");
    }

    #[test]
    fn doubles_go_and_places_become_photo_pixels() {
        let twice = Similarity::scale_shift(2.0, 0.0, 0.0);
        let people = finish(
            vec![body(100.0, 0.3), body(101.0, 0.6), body(200.0, 0.4)],
            &twice,
        );
        assert_eq!(people.len(), 2);
        assert_eq!((people[0].score, people[1].score), (0.6, 0.4));
        assert_eq!(people[0].get(3), ([202.0, 60.0], 0.5));
        assert_eq!(people[1].bbox_in_image, [320.0, 0.0, 480.0, 320.0]);
    }
}
