//! Who is who: found people beside labelled ones of the same photo.
//!
//! As COCO's evaluation matches them, without a threshold: the surest first, each takes the labelled person most like
//! it. Crowds and people without a labelled keypoint are left out.

use super::keypoints::{KEYPOINTS, Part, Person};
use super::metrics::{Measure, Truth, oks};

/// Pairs less alike than this are nobody's.
const LEAST_OKS: f64 = 0.1;

/// A labelled person that a found one stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// Index among the labelled people.
    pub truth: usize,
    /// Object keypoint similarity by everything that is labelled, 0 to 1.
    pub oks: f64,
    /// The same for each of [`Part::ALL`]; none where nothing of it is labelled.
    pub parts: [Option<f64>; 5],
}

/// Found people and labelled ones side by side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// For each found person.
    pub matches: Vec<Option<Match>>,
    /// Labelled people that nobody stands for.
    pub missed: Vec<usize>,
}

impl Comparison {
    /// Mean similarity over the labelled people that count, missed ones as 0; none without any.
    pub fn mean(&self) -> Option<f64> {
        let found: Vec<f64> = self.matches.iter().flatten().map(|m| m.oks).collect();
        let count = found.len() + self.missed.len();
        (count > 0).then(|| found.iter().sum::<f64>() / count as f64)
    }
}

/// x, y, score of all keypoints, as measures take them.
pub fn triples(person: &Person) -> Vec<[f64; 3]> {
    let of = |index| {
        let ([x, y], score) = person.get(index);
        [x, y, score].map(f64::from)
    };
    (0..KEYPOINTS).map(of).collect()
}

/// Compares the people of one photo.
pub fn compare(found: &[&Person], truth: &[Truth]) -> Comparison {
    let is_labelled = |truth: &Truth, part: Part| {
        let labels = truth.keypoints.get(part.range()).unwrap_or_default();
        labels.iter().any(|[_, _, v]| *v > 0.0)
    };
    let counts = |truth: &Truth| !truth.crowd && Part::ALL.iter().any(|p| is_labelled(truth, *p));
    let mut free: Vec<usize> = (0..truth.len()).filter(|i| counts(&truth[*i])).collect();
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by(|a, b| found[*b].score.total_cmp(&found[*a].score));
    let mut matches = vec![None; found.len()];
    for index in order {
        let keypoints = triples(found[index]);
        let similar = |i: usize| oks(&keypoints, &truth[i], Measure::Whole);
        let best = free.iter().enumerate();
        let best = best
            .map(|(place, i)| (place, *i, similar(*i)))
            .max_by(|a, b| a.2.total_cmp(&b.2));
        if let Some((place, i, value)) = best.filter(|(_, _, value)| *value >= LEAST_OKS) {
            free.remove(place);
            let part = |part: Part| {
                is_labelled(&truth[i], part)
                    .then(|| oks(&keypoints, &truth[i], Measure::Part(part)))
            };
            matches[index] = Some(Match {
                truth: i,
                oks: value,
                parts: Part::ALL.map(part),
            });
        }
    }
    Comparison {
        matches,
        missed: free,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(x: f32, score: f32) -> Person {
        let mut person = Person::new([x, 0.0, x + 60.0, 100.0], score);
        for index in 0..17 {
            person.set(index, [x + 3.0 * index as f32, 50.0], 0.9);
        }
        person
    }

    fn truth(x: f64, labelled: usize) -> Truth {
        let keypoint = |i: usize| match i < labelled {
            true => [x + 3.0 * i as f64, 50.0, 2.0],
            false => [0.0; 3],
        };
        Truth {
            keypoints: (0..KEYPOINTS).map(keypoint).collect(),
            area: 1000.0,
            bbox: [x, 0.0, 60.0, 100.0],
            crowd: false,
        }
    }

    #[test]
    fn each_found_person_takes_the_most_similar_and_the_rest_is_missed() {
        let mut crowd = truth(0.0, 17);
        crowd.crowd = true;
        let truth = [
            truth(0.0, 17),
            truth(400.0, 17),
            truth(800.0, 0),
            crowd,
            truth(1200.0, 17),
        ];
        let (a, b, stranger) = (person(401.0, 0.9), person(0.0, 0.5), person(3000.0, 0.95));
        let compared = compare(&[&stranger, &b, &a], &truth);
        assert_eq!(compared.matches[0], None);
        let same = compared.matches[1].as_ref().unwrap();
        assert_eq!((same.truth, same.oks), (0, 1.0));
        assert_eq!(same.parts, [Some(1.0), None, None, None, None]);
        let near = compared.matches[2].as_ref().unwrap();
        assert!(near.truth == 1 && near.oks > 0.8 && near.oks < 1.0);
        assert_eq!(compared.missed, [4]);
        let mean = compared.mean().unwrap();
        assert!((mean - (1.0 + near.oks) / 3.0).abs() < 1e-9);
        assert_eq!(compare(&[&a], &[]).mean(), None);
    }

    #[test]
    fn two_found_people_do_not_share_a_label_and_the_surer_comes_first() {
        let truth = [truth(0.0, 17)];
        let (sure, closer) = (person(2.0, 0.9), person(0.0, 0.4));
        let compared = compare(&[&closer, &sure], &truth);
        assert_eq!(compared.matches[0], None);
        assert!(compared.matches[1].is_some());
    }
}
