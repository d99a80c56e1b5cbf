//! The steps on made-up bodies. The networks themselves are tested on photos where they are.

use super::*;
use crate::people::blaze_pose::LANDMARKS;
use crate::people::crop::Region;

fn body(x: f32, score: f32) -> Body {
    let mut body = Body {
        joints: [([0.0; 2], score); BODY_KEYPOINTS],
        feet: [([0.0; 2], 0.0); 6],
        landmarks: [([0.0; 2], 0.0); LANDMARKS],
        center: 0.5,
        region: Region::upright([x, 80.0], 200.0),
    };
    for (index, (point, _)) in body.joints.iter_mut().enumerate() {
        *point = [x + 5.0 * (index % 4) as f32, 10.0 * index as f32];
    }
    body
}

#[test]
fn one_person_found_twice_is_one_and_neighbours_are_two() {
    let people = [(0.0, 0.5), (1.0, 0.9), (60.0, 0.7)];
    let found = one_each(people.map(|(x, score)| (body(x, score), score)).into());
    let scores: Vec<f32> = found.iter().map(|(_, score)| *score).collect();
    assert_eq!(scores, [0.9, 0.7]);
}

#[test]
fn people_seen_whole_and_clearly_score_more() {
    let clear = person_score(&body(0.0, 0.8), 0.5);
    let faint = person_score(&body(0.0, 0.3), 0.5);
    let mut half = body(0.0, 0.8);
    half.joints[8..].iter_mut().for_each(|joint| joint.1 = 0.02);
    assert!(clear > person_score(&half, 0.5) && clear > faint && faint > 0.0);
    assert_eq!(person_score(&body(0.0, 0.0), 0.9), 0.0);
}

#[test]
fn boxes_overlap_by_their_common_share() {
    assert!((iou(&[0.0, 0.0, 2.0, 2.0], &[1.0, 0.0, 3.0, 2.0]) - 1.0 / 3.0).abs() < 1e-6);
    assert_eq!(iou(&[0.0, 0.0, 1.0, 1.0], &[5.0, 5.0, 6.0, 6.0]), 0.0);
}

#[test]
fn the_fine_view_is_spared_where_somebody_large_is_alone() {
    let photo = Rgb::new(200, 100, [0; 3]);
    let large = ([10.0, 0.0, 60.0, 100.0], 0.6);
    assert!(is_enough(&[large], &photo));
    assert!(!is_enough(&[], &photo));
    assert!(!is_enough(
        &[large, ([150.0, 40.0, 160.0, 60.0], 0.6)],
        &photo
    ));
    assert!(!is_enough(&[large, ([0.0, 0.0, 99.0, 99.0], 0.12)], &photo));
}
