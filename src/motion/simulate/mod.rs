//! Walkers of our own making: a plaza and a crossing, so that the window has something to show and to try without any
//! recording. Nothing of a data set is in here.
//!
//! The walkers follow the social force model (Helbing & Molnár 1995, "Social force model for pedestrian dynamics"): a
//! pull to where they want to go, a push from other walkers that is stronger for those ahead, and a push from what
//! cannot be walked on. Numbers are those of Helbing, Farkas & Vicsek (2000) softened until people pass one another as
//! in the street. Left out: groups, cars, people who stop to look around.

mod place;

use anyhow::Result;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use super::scene::{Homography, Scene};
use super::tracks::{Track, TrackPoint, Tracks};
use super::{DT_SECS, Point};

pub use place::Place;

/// Frames between two steps, as in the ETH/UCY files.
const FRAMES_A_STEP: i64 = 10;
/// Movements computed for each step.
const SUBSTEPS: usize = 8;
/// How long it goes on.
const LENGTH_SECS: f64 = 60.0;
/// The place is left to itself for so long before, so that it is full when it begins.
const BEFORE_SECS: f64 = 30.0;

/// A recording that was made up, in metres.
pub struct Simulated {
    pub tracks: Tracks,
    pub scene: Scene,
}

/// One walker on the way.
struct Person {
    at: Point,
    velocity: Point,
    /// Speed that is comfortable, in m/s.
    speed: f64,
    /// Points to pass, the next one last.
    route: Vec<Point>,
    track: Track,
}

/// Makes up a recording: the same seed gives the same walkers.
///
/// # Errors
/// When the picture's homography cannot be inverted, which does not happen.
pub fn simulate(place: Place, seed: u64) -> Result<Simulated> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut people: Vec<Person> = Vec::new();
    let mut gone: Vec<Track> = Vec::new();
    let mut count = 0;
    let steps = ((LENGTH_SECS + BEFORE_SECS) / DT_SECS) as i64;
    let first = (BEFORE_SECS / DT_SECS) as i64;
    for step in 0..steps {
        let secs = step as f64 * DT_SECS;
        // Arrivals are a Poisson process, approximately: at most one each step.
        if rng.random_range(0.0..1.0) < place.arrivals_a_second() * DT_SECS
            && let Some(person) = arrive(place, &people, count + 1, &mut rng)
        {
            people.push(person);
            count += 1;
        }
        for _ in 0..SUBSTEPS {
            move_all(
                place,
                &mut people,
                secs,
                DT_SECS / SUBSTEPS as f64,
                &mut rng,
            );
        }
        if step >= first {
            for person in &mut people {
                let frame = (step - first) * FRAMES_A_STEP;
                // As precise as annotations are.
                let at = person.at.map(|v| (v * 1e3).round() / 1e3);
                person.track.points.push(TrackPoint { frame, at });
            }
        }
        let (left, here) = people.into_iter().partition(|p| p.route.is_empty());
        people = here;
        let left: Vec<Person> = left;
        gone.extend(left.into_iter().map(|person| person.track));
    }
    gone.extend(people.into_iter().map(|person| person.track));
    gone.retain(|track| !track.points.is_empty());
    gone.sort_by_key(|track| track.points.first().map(|point| point.frame));
    let pixel = 1.0 / place::PIXELS_A_METRE;
    let homography = [[pixel, 0.0, 0.0], [0.0, pixel, 0.0], [0.0, 0.0, 1.0]];
    Ok(Simulated {
        tracks: Tracks {
            tracks: gone,
            step: FRAMES_A_STEP,
            notes: Vec::new(),
        },
        scene: Scene {
            picture: Some(place.picture()),
            homography: Some(Homography::new(homography)?),
            walkable: Some(place.walkable()),
        },
    })
}

/// A new walker at one of the gates, unless somebody stands there.
fn arrive(place: Place, people: &[Person], count: usize, rng: &mut SmallRng) -> Option<Person> {
    let (at, mut route) = place.route(rng);
    let is_free = people.iter().all(|p| super::distance(p.at, at) > 0.9);
    route.reverse();
    let next = *route.last()?;
    // Speeds measured by Weidmann (1993): 1.34 ± 0.26 m/s; the sum of uniform numbers is near enough to normal.
    let normal: f64 = (0..6).map(|_| rng.random_range(-1.0..1.0)).sum::<f64>() / 2f64.sqrt();
    let speed = (1.34 + 0.26 * normal).clamp(0.7, 2.0);
    let away = super::distance(at, next).max(1e-6);
    is_free.then(|| Person {
        at,
        velocity: [0, 1].map(|i| (next[i] - at[i]) / away * speed),
        speed,
        route,
        track: Track {
            agent: count.to_string(),
            points: Vec::new(),
        },
    })
}

fn move_all(place: Place, people: &mut [Person], secs: f64, dt: f64, rng: &mut SmallRng) {
    /// Time to come back to the comfortable speed.
    const RELAXATION_SECS: f64 = 0.5;
    let seen: Vec<(Point, Point)> = people.iter().map(|p| (p.at, p.velocity)).collect();
    for (i, person) in people.iter_mut().enumerate() {
        while let Some(next) = person.route.last()
            && super::distance(person.at, *next) < 0.9
        {
            person.route.pop();
        }
        let Some(&goal) = person.route.last() else {
            continue;
        };
        let wanted = if place.must_wait(person.at, goal, secs) {
            [0.0; 2]
        } else {
            let towards = place.around_obstacles(person.at, goal);
            let away = super::distance(person.at, towards).max(1e-6);
            [0, 1].map(|k| (towards[k] - person.at[k]) / away * person.speed)
        };
        let mut force = [0, 1].map(|k| (wanted[k] - person.velocity[k]) / RELAXATION_SECS);
        for (j, (at, velocity)) in seen.iter().enumerate() {
            if i != j {
                let push = push_of(person, *at, *velocity);
                force = [force[0] + push[0], force[1] + push[1]];
            }
        }
        let wall = place.push(person.at);
        for k in 0..2 {
            force[k] += wall[k] + rng.random_range(-0.35..0.35);
            person.velocity[k] += force[k] * dt;
        }
        let speed = person.velocity[0].hypot(person.velocity[1]);
        let most = 1.3 * person.speed;
        let scale = if speed > most { most / speed } else { 1.0 };
        for k in 0..2 {
            person.velocity[k] *= scale;
            person.at[k] += person.velocity[k] * dt;
        }
    }
}

/// How another walker pushes: away from where the two will be nearest, as people look ahead.
fn push_of(person: &Person, at: Point, velocity: Point) -> Point {
    const STRENGTH: f64 = 2.6;
    const RANGE: f64 = 0.45;
    /// Sum of two radii.
    const TOUCH: f64 = 0.5;
    let between = [person.at[0] - at[0], person.at[1] - at[1]];
    let distance = between[0].hypot(between[1]).max(1e-3);
    if distance > 4.0 {
        return [0.0; 2];
    }
    let speed = person.velocity[0].hypot(person.velocity[1]).max(1e-3);
    let ahead =
        -(between[0] * person.velocity[0] + between[1] * person.velocity[1]) / (distance * speed);
    // What is behind counts a quarter.
    let sight = 0.25 + 0.75 * (1.0 + ahead) / 2.0;
    let near = STRENGTH * sight * ((TOUCH - distance) / RANGE).exp();
    let mut push = between.map(|v| v / distance * near);
    let relative = [0, 1].map(|k| person.velocity[k] - velocity[k]);
    let closing = -(between[0] * relative[0] + between[1] * relative[1]);
    if closing > 0.0 && distance > TOUCH {
        let secs = (closing / (relative[0].powi(2) + relative[1].powi(2)).max(1e-3)).min(3.0);
        let later = [0, 1].map(|k| between[k] + relative[k] * secs);
        let gap = later[0].hypot(later[1]);
        // Two who walk straight at each other both step to their right.
        let aside = if gap < 0.05 {
            [-relative[1], relative[0]]
        } else {
            later
        };
        let size = aside[0].hypot(aside[1]).max(1e-6);
        let strength = 1.8 * sight * ((0.7 - gap) / 0.3).min(1.0).exp() * (1.0 - secs / 3.0);
        push = [0, 1].map(|k| push[k] + aside[k] / size * strength);
    }
    push
}

#[cfg(test)]
mod tests {
    use super::super::moments::{Steps, moments};
    use super::*;

    #[test]
    fn people_walk_at_walking_speed_on_ground_that_can_be_walked_on() {
        for place in Place::ALL {
            let made = simulate(place, 1).unwrap();
            let all = moments(&made.tracks, Steps::Even);
            let most = all.iter().map(|m| m.walkers.len()).max().unwrap();
            assert!((8..=80).contains(&most), "{place:?}: {most} at once");
            let known = all.iter().flat_map(|m| m.complete()).count();
            assert!(known > 300, "{place:?}: {known} futures are known");

            let points = made.tracks.tracks.iter().flat_map(|t| &t.points);
            let on = points.filter_map(|p| made.scene.is_walkable(p.at));
            let (on, all): (Vec<bool>, Vec<bool>) = on.partition(|on| *on);
            let share = on.len() as f64 / (on.len() + all.len()) as f64;
            assert!(share > 0.985, "{place:?}: {share} on walkable ground");

            let mut speeds: Vec<f64> = made
                .tracks
                .tracks
                .iter()
                .flat_map(|t| t.points.windows(2))
                .map(|pair| crate::motion::distance(pair[0].at, pair[1].at) / DT_SECS)
                .collect();
            speeds.sort_by(f64::total_cmp);
            let median = speeds[speeds.len() / 2];
            assert!((1.0..1.6).contains(&median), "{place:?}: {median} m/s");
            assert!(speeds[speeds.len() - 1] < 2.9);
        }
    }

    #[test]
    fn nobody_walks_through_anybody_and_the_seed_decides() {
        let made = simulate(Place::Plaza, 1).unwrap();
        let mut close = 0;
        let mut pairs = 0;
        for frame in made.tracks.frames() {
            let here: Vec<Point> = made
                .tracks
                .tracks
                .iter()
                .filter_map(|t| t.at(frame))
                .collect();
            for (i, a) in here.iter().enumerate() {
                for b in &here[i + 1..] {
                    pairs += 1;
                    close += usize::from(crate::motion::distance(*a, *b) < 0.25);
                }
            }
        }
        assert!(close * 1000 < pairs, "{close} of {pairs} pairs too close");
        assert_eq!(simulate(Place::Plaza, 1).unwrap().tracks, made.tracks);
        assert_ne!(simulate(Place::Plaza, 2).unwrap().tracks, made.tracks);
    }
}
