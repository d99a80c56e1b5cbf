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
