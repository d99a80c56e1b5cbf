//! Whole photos: several faces, any roll, and none.

use super::*;
use crate::people::test_support::{photo, weights};
use crate::raster::{Similarity, warp_rgb};

fn networks() -> (FaceDetector, FaceMesh) {
    (
        FaceDetector::load(weights("face_detector")).unwrap(),
        FaceMesh::load(weights("face_mesh")).unwrap(),
    )
}

/// Two faces on grey, 200 and 110 pixels of picture, the whole turned clockwise by so many degrees.
fn scene(degrees: f64) -> (Rgb, Similarity) {
    let mut scene = Rgb::new(520, 360, [120, 110, 100]);
    for (name, side, x, y) in [("aligned_a", 200, 20, 100), ("aligned_b", 110, 330, 40)] {
        let picture = photo(name);
        let small = warp_rgb(
            &picture,
            &Similarity::scale_shift(256.0 / side as f64, 0.0, 0.0),
            side,
            side,
        );
        scene.paste(&small, x, y);
    }
    let (b, a) = degrees.to_radians().sin_cos();
    let turned_from_scene = Similarity {
        a,
        b,
        tx: 320.0 - (260.0 * a - 180.0 * b),
        ty: 320.0 - (260.0 * b + 180.0 * a),
    };
    (
        warp_rgb(&scene, &turned_from_scene.inverse(), 640, 640),
        turned_from_scene,
    )
}

#[test]
fn two_faces_are_found_at_any_roll_largest_first() {
    let (detector, mesh) = networks();
    for degrees in [0.0, 30.0, 90.0, 180.0] {
        let (picture, turned_from_scene) = scene(degrees);
        let faces = find_faces(&detector, &mesh, &picture, 10).unwrap();
        let boxes: Vec<_> = faces
            .iter()
            .map(|face| (face.bbox_in_image, face.score))
            .collect();
        assert_eq!(faces.len(), 2, "{degrees}: {boxes:?}");
        assert!(faces[0].score > 0.5 && size_px(&faces[0]) > size_px(&faces[1]));
        // The nose tip, and which way the eyes point.
        for (face, nose) in faces
            .iter()
            .zip([[20.0 + 100.0, 100.0 + 130.0], [330.0 + 55.0, 40.0 + 70.0]])
        {
            let [x, y] = turned_from_scene.apply(nose).map(|v| v as f32);
            let [tip_x, tip_y] = face.mesh.points_in_image[1];
            assert!(
                (x - tip_x).hypot(y - tip_y) < 20.0,
                "{degrees}: {x} {y}, {tip_x} {tip_y}"
            );
            let [dx, dy] = face.mesh.eye_line();
            let off = f64::from(dy).atan2(f64::from(dx)).to_degrees() - degrees;
            assert!(
                (off + 540.0).rem_euclid(360.0) - 180.0 < 12.0,
                "{degrees}: {off}"
            );
        }
    }
}

#[test]
fn the_number_of_faces_is_bounded_and_the_surest_stay() {
    let (detector, mesh) = networks();
    let (picture, _) = scene(0.0);
    assert_eq!(find_faces(&detector, &mesh, &picture, 1).unwrap().len(), 1);
    assert!(
        find_faces(&detector, &mesh, &picture, 0)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_photo_without_faces_has_none() {
    let (detector, mesh) = networks();
    let data = (0..300 * 400)
        .flat_map(|i| [(i % 251) as u8, (i / 400) as u8, (i * 7 % 256) as u8])
        .collect();
    let texture = Rgb::from_vec(400, 300, data).unwrap();
    for picture in [
        texture,
        Rgb::new(0, 0, [0; 3]),
        Rgb::new(500, 20, [200, 180, 170]),
    ] {
        assert_eq!(find_faces(&detector, &mesh, &picture, 10).unwrap(), []);
    }
}

fn found(bbox_in_image: [f32; 4], evidence: f32) -> FoundFace {
    let mesh = Mesh {
        points_in_image: vec![[0.0; 2]; 468],
        score: 1.0,
    };
    FoundFace {
        bbox_in_image,
        score: 1.0,
        mesh,
        evidence,
    }
}

#[test]
fn doubles_and_parts_go_neighbours_stay() {
    let faces = vec![
        found([0.0, 0.0, 100.0, 100.0], 9.0),
        found([5.0, 5.0, 105.0, 100.0], 10.0),
        found([60.0, 60.0, 90.0, 95.0], 5.0),
        found([95.0, 0.0, 180.0, 90.0], 1.0),
    ];
    let kept: Vec<f32> = without_doubles(faces)
        .iter()
        .map(|face| face.evidence)
        .collect();
    assert_eq!(kept, [10.0, 1.0]);
}

#[test]
fn the_turn_follows_from_the_eye_line() {
    let with_eyes = |dx: f32, dy: f32| {
        let mut points_in_image = vec![[0.0; 2]; 468];
        points_in_image[33] = [10.0, 10.0];
        points_in_image[263] = [10.0 + dx, 10.0 + dy];
        Mesh {
            points_in_image,
            score: 1.0,
        }
    };
    // Eyes down the photo: the head leans to the right, three quarters clockwise (one back) set it up.
    let turns = [[5.0, 1.0], [1.0, 5.0], [-5.0, 1.0], [1.0, -5.0]]
        .map(|[dx, dy]| quarter_of(&with_eyes(dx, dy)));
    assert_eq!(turns, [0, 3, 2, 1]);
}
