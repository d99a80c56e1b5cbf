//! From keypoints to lines and dots: everyone's skeletons, and dashed ones where people are labelled.

use super::work::Poses;
use crate::gpu::Segment;
use crate::pose::draw::{colour, opacity_above};
use crate::pose::keypoints::{FACE_LIMBS, KEYPOINTS, LIMBS, Part, Person};
use crate::pose::metrics::Truth;
use crate::ui::settings::PoseView;

/// People who are not selected while somebody is.
const ASIDE: f32 = 0.3;
/// Labels are drawn in this colour, dashed.
pub const TRUTH: [u8; 3] = [255, 255, 255];
const DASH_POINTS: f32 = 6.0;

/// Widths of a part's lines and dots: in points, and over the size of the person.
struct Widths {
    line: [f32; 2],
    dot: [f32; 2],
}

fn widths(part: Part) -> Widths {
    match part {
        Part::Body => Widths {
            line: [1.5, 0.006],
            dot: [3.0, 0.009],
        },
        Part::Foot => Widths {
            line: [1.2, 0.004],
            dot: [2.2, 0.006],
        },
        Part::Face => Widths {
            line: [0.4, 0.0012],
            dot: [0.6, 0.0022],
        },
        Part::LeftHand | Part::RightHand => Widths {
            line: [0.8, 0.002],
            dot: [1.4, 0.003],
        },
    }
}

fn faded([r, g, b]: [u8; 3], alpha: f32) -> [u8; 4] {
    [r, g, b, (alpha.clamp(0.0, 1.0) * 255.0) as u8]
}

/// Longer side of a person's box.
fn size_of(person: &Person) -> f32 {
    let [x0, y0, x1, y1] = person.bbox_in_image;
    (x1 - x0).max(y1 - y0).clamp(1.0, 1e5)
}

fn is_finite(point: [f32; 2]) -> bool {
    point.iter().all(|v| v.is_finite())
}

/// Everyone who is to be seen; the selected person last, so that they lie on top.
pub fn skeletons(
    poses: &Poses,
    view: &PoseView,
    selected: Option<usize>,
    keypoint: Option<usize>,
) -> Vec<Segment> {
    let mut all = Vec::new();
    let ordered = |is_selected: bool| {
        let seen = poses.seen(view.person_score);
        seen.filter(move |(index, _)| (selected == Some(*index)) == is_selected)
    };
    for (index, state) in ordered(false).chain(ordered(true)) {
        let strength = match selected {
            Some(selected) if selected != index => ASIDE,
            _ => 1.0,
        };
        skeleton(&state.person, view, strength, &mut all);
        if selected == Some(index)
            && let Some(keypoint) = keypoint
        {
            let (at, score) = state.person.get(keypoint);
            if score > 0.0 && is_finite(at) {
                all.push(Segment::dot(at, faded([255; 3], 1.0), 13.0));
                all.push(Segment::dot(at, faded([12, 12, 14], 1.0), 10.0));
                all.push(Segment::dot(at, faded(colour(keypoint), 1.0), 7.5));
            }
        }
    }
    all
}

fn skeleton(person: &Person, view: &PoseView, strength: f32, all: &mut Vec<Segment>) {
    let size = size_of(person);
    let seen = |index: usize| {
        let part = Part::of(index).filter(|part| view.shows(*part))?;
        let (at, score) = person.get(index);
        let opacity = opacity_above(view.keypoint_score, score);
        (opacity > 0.0 && is_finite(at)).then_some((part, at, opacity))
    };
    for [a, b] in LIMBS.iter().chain(&FACE_LIMBS) {
        if let (Some((_, from, first)), Some((part, to, second))) = (seen(*a), seen(*b)) {
            let [points, in_image] = widths(part).line;
            let alpha = |opacity: f32| 0.85 * strength * opacity;
            let mut line = Segment::line(from, to, [0; 4], points);
            line.start_color = faded(colour(*b), alpha(first));
            line.end_color = faded(colour(*b), alpha(second));
            line.width_in_image = in_image * size;
            all.push(line);
        }
    }
    for index in 0..KEYPOINTS {
        if let Some((part, at, opacity)) = seen(index) {
            let [points, in_image] = widths(part).dot;
            let mut dot = Segment::dot(at, faded(colour(index), strength * opacity), points);
            dot.width_in_image = in_image * size;
            all.push(dot);
        }
    }
}

/// Labelled people, dashed.
pub fn truths(truth: &[Truth], view: &PoseView, only: Option<usize>) -> Vec<Segment> {
    let mut all = Vec::new();
    for (index, truth) in truth.iter().enumerate() {
        let strength = match only {
            Some(only) if only != index => ASIDE,
            _ => 0.95,
        };
        let seen = |index: usize| {
            let part = Part::of(index).filter(|part| view.shows(*part))?;
            let [x, y, v] = *truth.keypoints.get(index)?;
            (v > 0.0).then_some((part, [x as f32, y as f32]))
        };
        for [a, b] in LIMBS.iter().chain(&FACE_LIMBS) {
            if let (Some((_, from)), Some((part, to))) = (seen(*a), seen(*b)) {
                let is_fine = !matches!(part, Part::Body | Part::Foot);
                let width = if is_fine { 0.9 } else { 1.7 };
                let line = Segment::line(from, to, faded(TRUTH, strength), width);
                all.push(line.dashed(if is_fine { 4.0 } else { DASH_POINTS }));
            }
        }
        for index in 0..KEYPOINTS {
            if let Some((part, at)) = seen(index) {
                let is_fine = !matches!(part, Part::Body | Part::Foot);
                let width = if is_fine { 1.8 } else { 4.0 };
                all.push(Segment::dot(at, faded(TRUTH, strength), width));
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::zoomnet::Zoomed;

    fn poses() -> Poses {
        let mut person = Person::new([0.0, 0.0, 100.0, 200.0], 0.8);
        for index in 0..KEYPOINTS {
            person.set(index, [index as f32, 2.0 * index as f32], 0.9);
        }
        person.set(9, [9.0, 18.0], 0.2);
        let zoomed = || Zoomed {
            person: person.clone(),
            face_region: None,
            hand_regions: [None, None],
        };
        Poses::new(vec![zoomed(), zoomed()], [300, 300], 0.0)
    }

    #[test]
    fn parts_and_people_can_be_left_out_and_doubt_is_seen() {
        let view = PoseView {
            keypoint_score: 0.1,
            ..PoseView::default()
        };
        let mut poses = poses();
        let both = skeletons(&poses, &view, None, None);
        let limbs = LIMBS.len() + FACE_LIMBS.len();
        assert_eq!(both.len(), 2 * (limbs + KEYPOINTS));
        // A wrist of which the network is unsure fades: a quarter of the way from 0.1 to 0.5.
        let wrist = both
            .iter()
            .find(|s| s.start == s.end && s.start == [9.0, 18.0]);
        assert_eq!(wrist.unwrap().start_color[3], 63);
        poses.hidden[1] = true;
        let one = skeletons(&poses, &view, None, None);
        assert_eq!(one.len(), limbs + KEYPOINTS);
        let body = PoseView {
            face: false,
            left_hand: false,
            right_hand: false,
            feet: false,
            ..view
        };
        let one = skeletons(&poses, &body, Some(0), Some(3));
        let dots = one.iter().filter(|s| s.start == s.end).count();
        assert_eq!(dots, 17 + 3, "and the selected keypoint's ring");
    }

    #[test]
    fn left_and_right_differ_in_hue() {
        let poses = poses();
        let all = skeletons(&poses, &PoseView::default(), None, None);
        let dot = |index: f32| {
            let at = [index, 2.0 * index];
            let dot = all.iter().find(|s| s.start == at && s.end == at);
            dot.unwrap().start_color
        };
        let (left, right) = (dot(5.0), dot(6.0));
        assert!(
            left[2] > left[0] && right[0] > right[2],
            "{left:?} {right:?}"
        );
        assert_ne!(dot(95.0)[..3], dot(120.0)[..3]);
    }

    #[test]
    fn labels_are_dashed() {
        let mut keypoints = vec![[0.0; 3]; KEYPOINTS];
        keypoints[5] = [10.0, 10.0, 2.0];
        keypoints[7] = [20.0, 30.0, 1.0];
        let truth = Truth {
            keypoints,
            area: 100.0,
            bbox: [0.0; 4],
            crowd: false,
        };
        let drawn = truths(&[truth], &PoseView::default(), None);
        assert_eq!(drawn.len(), 3);
        assert!(drawn[0].dash_points > 0.0);
    }
}
