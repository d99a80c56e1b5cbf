//! The steps on made-up bodies. The networks themselves are tested on photos where they are.

use super::*;

fn body(x: f32, score: f32) -> Body {
    let mut body = Body::of_joints([([0.0; 2], score); BODY_KEYPOINTS], &[0.0; 4], 0.5);
    for (index, (point, _)) in body.joints.iter_mut().enumerate() {
        *point = [x + 5.0 * (index % 4) as f32, 10.0 * index as f32];
    }
    body
}

#[test]
fn one_person_found_twice_is_one_and_neighbours_are_two() {
    let people = [(0.0, 0.5), (1.0, 0.9), (60.0, 0.7)];
    let people = people.map(|(x, score)| (body(x, score), score)).into();
    let found: Vec<(Body, f32)> = one_each(people, |(body, score)| (body, *score));
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
    let place = |bbox: [f32; 4], score: f32| Place {
        bbox,
        score,
        joints: None,
        is_group: false,
    };
    let large = || place([10.0, 0.0, 60.0, 100.0], 0.6);
    assert!(is_enough(&[large()], &photo));
    assert!(!is_enough(&[], &photo));
    let small = place([150.0, 40.0, 160.0, 60.0], 0.6);
    assert!(!is_enough(&[large(), small], &photo));
    let faint = place([0.0, 0.0, 99.0, 99.0], 0.15);
    assert!(!is_enough(&[large(), faint], &photo));
    assert!(!is_enough(
        &[large(), place([110.0, 0.0, 170.0, 100.0], 0.6)],
        &photo
    ));
    let bag = place([20.0, 50.0, 62.0, 80.0], 0.15);
    assert!(is_enough(&[large(), bag], &photo));
}

#[test]
fn groups_that_nobody_stands_for_are_added_with_less_trust() {
    let group = |x: f32, score: f32| Place {
        bbox: [x, 0.0, x + 20.0, 160.0],
        score,
        joints: Some(body(x, 0.6).joints),
        is_group: true,
    };
    let places = [group(1.0, 0.8), group(90.0, 0.4)];
    let found = || vec![(body(0.0, 0.9), 0.7)];
    let scores = |people: &[(Body, f32)]| people.iter().map(|p| p.1).collect::<Vec<_>>();
    let mut people = found();
    add_groups(&mut people, &places, Method::Both);
    assert_eq!(scores(&people), [0.7, 0.2]);
    assert_eq!(people[1].0.joints, body(90.0, 0.6).joints);
    let mut people = found();
    add_groups(&mut people, &places, Method::TopDown);
    assert_eq!(scores(&people), [0.7]);
    let mut people = Vec::new();
    add_groups(&mut people, &places, Method::BottomUp);
    assert_eq!(scores(&people), [0.8, 0.4]);
}

#[test]
fn boxes_that_overlap_are_one_and_specks_are_none() {
    let place = |x: f32, width: f32, score: f32| Place {
        bbox: [x, 0.0, x + width, 100.0],
        score,
        joints: None,
        is_group: false,
    };
    let found = vec![
        place(0.0, 50.0, 0.4),
        place(5.0, 50.0, 0.6),
        place(70.0, 3.0, 0.9),
        place(90.0, 40.0, 0.3),
    ];
    let kept = without_doubles(found, 5);
    let lefts: Vec<f32> = kept.iter().map(|place| place.bbox[0]).collect();
    assert_eq!(lefts, [5.0, 90.0]);
}
