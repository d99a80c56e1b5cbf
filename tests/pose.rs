//! `vitruvian pose` through the built program: results, measures, and what it says to bad input.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::{root, text, vitruvian};

/// A small grey PNG without anybody.
fn empty_photo(path: &Path) {
    image::GrayImage::from_fn(40, 30, |x, y| image::Luma([(x * 3 + y) as u8]))
        .save(path)
        .unwrap();
}

fn annotated(image: u64) -> Value {
    let keypoints: Vec<f64> = (0..17).flat_map(|i| [f64::from(i), 9.0, 2.0]).collect();
    json!({ "image_id": image, "category_id": 1, "area": 500.0, "bbox": [0, 0, 20, 20], "keypoints": keypoints })
}

#[test]
fn one_bad_photo_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let photos = ["7.png", "cut.jpg", "missing.png"].map(|name| folder.path().join(name));
    empty_photo(&photos[0]);
    let sample = std::fs::read(root("assets/samples/photographer.jpg")).unwrap();
    std::fs::write(&photos[1], &sample[..9000]).unwrap();
    let out = folder.path().join("out");
    let cmyk = root("tests/data/photos/cmyk.jpg");
    let [a, b, c] = &photos;
    let run = vitruvian(&[
        "pose",
        "detect",
        text(a),
        text(b),
        text(c),
        text(&cmyk),
        "-o",
        text(&out),
        "--detector-px",
        "128",
        "--json",
    ]);
    run.assert_failed_with("2 of 4 photos failed");
    run.assert_failed_with("There is no such file");
    let outcomes = run.json();
    assert_eq!(
        (&outcomes[0]["people"], &outcomes[3]["people"]),
        (&json!(0), &json!(0))
    );
    assert!(outcomes[1]["error"].as_str().unwrap().contains("cut short"));
    let results: Value =
        serde_json::from_slice(&std::fs::read(out.join("results.json")).unwrap()).unwrap();
    assert_eq!(results, json!([]));
    assert!(out.join("7.overlay.jpg").is_file() && out.join("cmyk.overlay.jpg").is_file());
}

#[test]
fn results_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    let annotations = folder.path().join("people.json");
    let results = folder.path().join("results.json");
    let file =
        json!({ "images": [{ "id": 5, "file_name": "5.jpg" }], "annotations": [annotated(5)] });
    std::fs::write(&annotations, file.to_string()).unwrap();
    let mut found = annotated(5);
    found["score"] = json!(0.5);
    let mut stranger = found.clone();
    stranger["image_id"] = json!("elsewhere");
    std::fs::write(
        &results,
        json!([found, stranger, { "image_id": 5 }]).to_string(),
    )
    .unwrap();
    let run = vitruvian(&[
        "pose",
        "evaluate",
        text(folder.path()),
        "--results",
        text(&results),
        "--json",
    ]);
    let json = run.assert_ok().json();
    assert!((json["parts"]["body"]["ap"].as_f64().unwrap() - 1.0).abs() < 1e-9);
    assert_eq!(
        (&json["parts"]["body"]["people"], &json["photos"]),
        (&json!(1), &json!(1))
    );
    assert!(json["parts"]["whole"].is_null());
    assert!(
        run.stderr.contains("1 photos without annotations")
            && run.stderr.contains("result 2 was left out"),
        "{}",
        run.stderr
    );
}

#[test]
fn annotations_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.json");
    let evaluate = |content: &str| {
        std::fs::write(&path, content).unwrap();
        vitruvian(&["pose", "evaluate", text(folder.path())])
    };
    evaluate("{\"annotations\": [").assert_failed_with("as COCO annotations");
    evaluate("{\"annotations\": []}").assert_failed_with("it lists nobody");
    let lonely = json!({ "annotations": [annotated(5)] });
    evaluate(&lonely.to_string()).assert_failed_with("None of the 1 annotated photos");
    vitruvian(&["pose", "evaluate", "/nowhere/people.json"])
        .assert_failed_with("/nowhere/people.json");
}

#[test]
fn annotated_photos_that_are_missing_are_told_and_the_rest_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    empty_photo(&folder.path().join("5.png"));
    let file = json!({
        "images": [{ "id": 5, "file_name": "5.png" }, { "id": 6, "file_name": "../6.png" }],
        "annotations": [annotated(5), annotated(6)],
    });
    std::fs::write(folder.path().join("people.json"), file.to_string()).unwrap();
    let run = vitruvian(&[
        "pose",
        "evaluate",
        text(folder.path()),
        "--detector-px",
        "128",
        "--json",
    ]);
    run.assert_failed_with("1 photos could not be looked at");
    let json = run.json();
    assert_eq!(
        (&json["photos"], &json["parts"]["body"]["ap"]),
        (&json!(1), &json!(0.0))
    );
}

/// The two people of a test picture, side by side this often across and down, on black of some size.
fn crowd(path: &Path, across: u32, down: u32, scale: f32, size: (u32, u32)) {
    let pair = image::open(root("tests/data/people/multipose_a.png"))
        .unwrap()
        .to_rgb8();
    let [w, h] = [pair.width(), pair.height()].map(|px| (px as f32 * scale).max(1.0) as u32);
    let pair = image::imageops::thumbnail(&pair, w, h);
    let mut photo = image::RgbImage::new(size.0, size.1);
    for row in 0..down {
        for column in 0..across {
            let (x, y) = (i64::from(column * w), i64::from(row * h));
            image::imageops::replace(&mut photo, &pair, x, y);
        }
    }
    photo.save(path).unwrap();
}

#[test]
fn crowds_specks_and_panoramas_are_looked_at_like_any_photo() {
    let folder = tempfile::tempdir().unwrap();
    let [crowded, specks, panorama] =
        ["1.png", "2.png", "3.png"].map(|name| folder.path().join(name));
    // 200 people; two of ten pixels; a strip whose shorter side almost vanishes in the network's view.
    crowd(&crowded, 10, 10, 0.3, (570, 380));
    crowd(&specks, 1, 1, 0.09, (300, 300));
    crowd(&panorama, 1, 1, 0.5, (9000, 64));
    let out = folder.path().join("out");
    let run = vitruvian(&[
        "pose",
        "detect",
        text(&crowded),
        text(&specks),
        text(&panorama),
        "-o",
        text(&out),
        "--detector-px",
        "256",
        "--method",
        "bottom-up",
        "--max-people",
        "1",
        "--json",
    ]);
    let outcomes = run.assert_ok().json();
    assert!(outcomes[0]["people"].as_u64().unwrap() <= 1);
    assert_eq!(outcomes.as_array().unwrap().len(), 3);
    let results = std::fs::read(out.join("results.json")).unwrap();
    let results: Value = serde_json::from_slice(&results).unwrap();
    for person in results.as_array().unwrap() {
        let numbers = person["keypoints"].as_array().unwrap();
        assert_eq!(numbers.len(), 51);
        assert!(numbers.iter().all(|v| v.as_f64().unwrap().is_finite()));
    }
}

#[test]
fn ways_to_bodies_that_do_not_exist_are_told_with_those_that_do() {
    let run = vitruvian(&["pose", "detect", "a.png", "-o", "x", "--method", "up"]);
    assert!(
        run.stderr.contains("top-down, bottom-up, both"),
        "{}",
        run.stderr
    );
}

#[test]
fn groups_of_photos_that_can_be_read_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let [people, nobody, broken] = ["7.png", "8.png", "9.png"].map(|name| folder.path().join(name));
    crowd(&people, 1, 1, 1.0, (192, 128));
    empty_photo(&nobody);
    std::fs::write(&broken, b"not a picture").unwrap();
    let results = folder.path().join("results.json");
    let run = vitruvian(&[
        "pose",
        "group",
        text(&people),
        text(&broken),
        text(&nobody),
        "-o",
        text(&results),
        "--side",
        "192",
        "--json",
    ]);
    run.assert_failed_with("1 of 3 files failed");
    let outcomes = run.json();
    assert!(outcomes[0]["people"].as_u64().unwrap() >= 2);
    assert!(outcomes[1]["error"].is_string());
    assert!(outcomes[2]["error"].is_null());
    let found: Value = serde_json::from_slice(&std::fs::read(&results).unwrap()).unwrap();
    let sure = |f: &&Value| f["score"].as_f64().unwrap() > 0.1;
    let sure: Vec<&Value> = found.as_array().unwrap().iter().filter(sure).collect();
    assert!(
        sure.len() >= 2 && sure.iter().all(|f| f["image_id"] == 7),
        "{sure:?}"
    );

    let file = json!({
        "images": [{ "id": 7, "file_name": "7.png" }, { "id": 6, "file_name": "6.png" }],
        "annotations": [annotated(7), annotated(6)],
    });
    let annotations = folder.path().join("people.json");
    std::fs::write(&annotations, file.to_string()).unwrap();
    let run = vitruvian(&[
        "pose",
        "evaluate-grouping",
        text(folder.path()),
        "--side",
        "192",
        "--json",
    ]);
    run.assert_failed_with("1 photos could not be looked at");
    assert_eq!(run.json()["side_px"], json!(192));
    std::fs::remove_file(&people).unwrap();
    vitruvian(&["pose", "evaluate-grouping", text(&annotations)])
        .assert_failed_with("None of the annotated photos could be opened");
    std::fs::write(&annotations, "{ \"images\": [").unwrap();
    vitruvian(&["pose", "evaluate-grouping", text(&annotations)])
        .assert_failed_with("as COCO annotations");
}

#[test]
fn a_figure_shows_the_labelled_faces_and_hands_enlarged() {
    let folder = tempfile::tempdir().unwrap();
    let photo = folder.path().join("5.png");
    empty_photo(&photo);
    let other = folder.path().join("6.png");
    empty_photo(&other);
    let labels = |count: usize, from: f64| -> Vec<f64> {
        let all = (0..count).map(|i| i as f64);
        all.flat_map(|i| [from + i % 7.0, 10.0 + (i / 7.0).floor(), 2.0])
            .collect()
    };
    let mut person = annotated(5);
    person["face_kpts"] = json!(labels(68, 4.0));
    person["lefthand_kpts"] = json!(labels(21, 20.0));
    let bare = annotated(5);
    let annotations = folder.path().join("people.json");
    let file =
        json!({ "images": [{ "id": 5, "file_name": "5.png" }], "annotations": [person, bare] });
    std::fs::write(&annotations, file.to_string()).unwrap();
    let figure = folder.path().join("figure.png");
    let figure_of = |photos: &[&Path]| {
        let mut arguments = vec![
            "pose",
            "figure",
            "-o",
            text(&figure),
            "--json",
            "--annotations",
        ];
        arguments.push(text(&annotations));
        arguments.extend(photos.iter().map(|photo| text(photo)));
        vitruvian(&arguments)
    };
    let run = figure_of(&[&photo, &other]);
    run.assert_failed_with("1 of 2 files failed");
    assert_eq!(
        run.json()[0]["people"],
        json!(1),
        "who has a body alone is left out"
    );
    let drawn = image::open(&figure).unwrap().into_rgb8();
    // Body, face, left hand, right hand; the last has no labels.
    assert_eq!((drawn.width(), drawn.height()), (4 * 420 + 3 * 10, 420));
    let colours = |column: u32| {
        let tile = image::imageops::crop_imm(&drawn, column * 430, 0, 420, 420).to_image();
        let all: std::collections::BTreeSet<[u8; 3]> = tile.pixels().map(|p| p.0).collect();
        all.len()
    };
    assert!(colours(1) > 50 && colours(2) > 50);
    assert_eq!(colours(3), 1);
    figure_of(&[&other]).assert_failed_with("say nothing of this photo");
}
