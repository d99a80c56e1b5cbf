//! Who is seen at a frame: the windows of eight observed and twelve later steps.
//!
//! Social GAN's rule (Gupta et al. 2018, code) takes 20 successive frames *of the file*, however far apart, and counts
//! people only where at least two are seen in all 20. That is for comparing numbers ([`Steps::Listed`], [`is_scored`]);
//! for predictions steps are as far apart as the recording says ([`Steps::Even`]).

use std::collections::{BTreeMap, HashMap};

use super::tracks::Tracks;
use super::{Future, OBS_LEN, PRED_LEN, Past};

/// Everyone who was seen for the last eight steps at one frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moment {
    /// The last observed frame.
    pub frame: i64,
    pub walkers: Vec<Walker>,
}

/// One walker at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Walker {
    /// Index in [`Tracks::tracks`].
    pub track: usize,
    pub past: Past,
    /// What came then, where all twelve steps are known.
    pub future: Option<Future>,
}

/// What the next step of a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    /// The frame [`Tracks::step`] later.
    Even,
    /// The next annotated frame of the recording.
    Listed,
}

/// All moments at which somebody was seen for eight steps, by rising frame.
pub fn moments(tracks: &Tracks, steps: Steps) -> Vec<Moment> {
    let frames = tracks.frames();
    let index: HashMap<i64, i64> = frames.iter().copied().zip(0..).collect();
    let step = tracks.step.max(1);
    let mut found: BTreeMap<i64, Vec<Walker>> = BTreeMap::new();
    for (track, points) in tracks.tracks.iter().map(|t| &t.points).enumerate() {
        // With `Even` a file may hold more points than steps; each of the interleaved rows is followed by itself.
        let mut rows: BTreeMap<i64, Vec<(i64, usize)>> = BTreeMap::new();
        for (i, point) in points.iter().enumerate() {
            let (row, slot) = match steps {
                Steps::Even => (point.frame.rem_euclid(step), point.frame.div_euclid(step)),
                Steps::Listed => (0, index.get(&point.frame).copied().unwrap_or_default()),
            };
            rows.entry(row).or_default().push((slot, i));
        }
        for row in rows.values() {
            for end in OBS_LEN..=row.len() {
                let seen = &row[end - OBS_LEN..end];
                if !is_unbroken(seen) {
                    continue;
                }
                let at = |k: usize| points[row[k].1].at;
                let later = row
                    .get(end - 1..end + PRED_LEN)
                    .filter(|later| is_unbroken(later));
                found
                    .entry(points[row[end - 1].1].frame)
                    .or_default()
                    .push(Walker {
                        track,
                        past: std::array::from_fn(|k| at(end - OBS_LEN + k)),
                        future: later.map(|_| std::array::from_fn(|k| at(end + k))),
                    });
            }
        }
    }
    found
        .into_iter()
        .map(|(frame, walkers)| Moment { frame, walkers })
        .collect()
}

fn is_unbroken(slots: &[(i64, usize)]) -> bool {
    slots.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1)
}

impl Moment {
    /// The walkers whose future is known, with it.
    pub fn complete(&self) -> impl Iterator<Item = (usize, &Walker, &Future)> {
        let walkers = self.walkers.iter().enumerate();
        walkers.filter_map(|(i, walker)| Some((i, walker, walker.future.as_ref()?)))
    }
}

/// Whether Social GAN's protocol scores this moment: at least two walkers are seen in all 20 steps.
pub fn is_scored(moment: &Moment) -> bool {
    moment.walkers.iter().filter(|w| w.future.is_some()).count() > 1
}

#[cfg(test)]
mod tests {
    use super::super::tracks::parse;
    use super::*;

    /// Lines of one walker who goes along x by `speed` a step of ten frames.
    fn walk(agent: usize, steps: std::ops::Range<i64>, speed: f64) -> String {
        steps
            .map(|s| format!("{} {agent} {} {agent}\n", s * 10, s as f64 * speed))
            .collect()
    }

    #[test]
    fn a_walker_of_twenty_steps_gives_thirteen_moments_one_with_a_future() {
        let tracks = parse(&walk(1, 0..20, 0.5)).unwrap();
        let all = moments(&tracks, Steps::Even);
        assert_eq!(all.len(), 13);
        assert_eq!(all[0].frame, 70);
        let with_future: Vec<&Moment> = all.iter().filter(|m| m.complete().count() > 0).collect();
        assert_eq!(with_future.len(), 1);
        let (_, walker, future) = with_future[0].complete().next().unwrap();
        assert_eq!(
            (walker.past[7], future[0], future[11]),
            ([3.5, 1.0], [4.0, 1.0], [9.5, 1.0])
        );
        assert!(!is_scored(with_future[0]), "a single walker is not scored");
    }

    #[test]
    fn a_gap_of_one_walker_breaks_it_a_gap_of_the_file_only_when_steps_are_even() {
        let others = walk(2, 0..8, 1.0) + &walk(2, 9..21, 1.0);
        let tracks = parse(&others).unwrap();
        assert_eq!(
            moments(&tracks, Steps::Even)
                .iter()
                .filter(|m| is_complete(m))
                .count(),
            0
        );
        assert_eq!(
            moments(&tracks, Steps::Listed)
                .iter()
                .filter(|m| is_complete(m))
                .count(),
            1
        );
        let tracks = parse(&(others + &walk(1, 0..21, 1.0))).unwrap();
        let listed = moments(&tracks, Steps::Listed);
        assert!(
            listed
                .iter()
                .all(|m| m.complete().all(|(_, w, _)| w.track == 1))
        );
    }

    fn is_complete(moment: &Moment) -> bool {
        moment.complete().count() > 0
    }

    #[test]
    fn all_walkers_of_a_frame_come_together() {
        let lines: String = (1..=300).map(|agent| walk(agent, 0..20, 0.1)).collect();
        let all = moments(&parse(&lines).unwrap(), Steps::Listed);
        assert_eq!(all.len(), 13);
        assert_eq!(all[0].walkers.len(), 300);
        assert!(is_scored(&all[0]) && !is_scored(&all[12]));
    }
}
