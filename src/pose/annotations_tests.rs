//! Files are written, read back, broken in every way; people survive the round trip.

use super::*;
use crate::pose::metrics::{Measure, evaluate};
use serde_json::{Value, json};

fn id_of(name: &str) -> ImageId {
    ImageId::of_file(Path::new(name))
}

#[test]
fn the_number_in_a_file_name_is_its_id() {
    assert_eq!(id_of("a/000000000785.jpg"), ImageId::Number(785));
    assert_eq!(id_of("photo_12.png"), ImageId::Number(12));
    assert_eq!(id_of("holiday.jpg"), ImageId::Name("holiday".into()));
    assert_eq!(id_of("2024-06-01.jpg"), ImageId::Name("2024-06-01".into()));
    let huge = "99999999999999999999999.jpg";
    assert!(matches!(id_of(huge), ImageId::Name(_)));
}

fn person(image: u64) -> Value {
    json!({
        "image_id": image, "category_id": 1, "id": 7, "area": 900.5, "bbox": [1.0, 2.0, 30.0, 40.0],
        "iscrowd": 0, "keypoints": vec![2.0; 51], "segmentation": {"counts": [1, 2], "size": [3, 4]},
    })
}

fn read(json: &Value) -> Result<Annotations> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    std::fs::write(&path, json.to_string()).unwrap();
    read_annotations(&path)
}

#[test]
fn people_are_read_with_their_photo_and_bad_entries_are_told() {
    let mut short = person(785);
    short["keypoints"] = json!([1, 2, 3]);
    let mut nameless = person(785);
    nameless["image_id"] = json!(null);
    let mut elephant = person(785);
    elephant["category_id"] = json!(22);
    let mut whole = person(785);
    for (field, numbers) in [
        ("foot_kpts", 18),
        ("face_kpts", 204),
        ("lefthand_kpts", 63),
        ("righthand_kpts", 63),
    ] {
        whole[field] = json!(vec![1.5; numbers]);
    }
    let file = json!({
        "images": [{"id": 785, "file_name": "000000000785.jpg", "width": 640}, {"file_name": 3}],
        "annotations": [person(785), short, nameless, elephant, whole, 17, person(9)],
    });
    let found = read(&file).unwrap();
    assert!(found.is_whole_body);
    let image = &found.images[&ImageId::Number(785)];
    assert_eq!(
        (image.file_name.as_str(), image.people.len()),
        ("000000000785.jpg", 2)
    );
    assert_eq!(image.people[0].area, 900.5);
    assert_eq!(image.people[0].keypoints[17], [0.0; 3]);
    assert_eq!(image.people[1].keypoints[132], [1.5; 3]);
    // Annotations of a photo that is not listed are kept: the photo may lie there all the same.
    assert_eq!(found.images[&ImageId::Number(9)].people.len(), 1);
    assert_eq!(found.notes.len(), 4, "{:?}", found.notes);
    assert!(
        found.notes[1].contains("3 numbers for the body, not 51"),
        "{:?}",
        found.notes
    );
}

#[test]
fn missing_area_and_box_are_made_up_from_the_keypoints() {
    let mut bare = person(1);
    for field in ["area", "bbox", "iscrowd"] {
        bare.as_object_mut().unwrap().remove(field);
    }
    let numbers: Vec<f64> = (0..17)
        .flat_map(|i| [f64::from(i), 10.0 * f64::from(i), 1.0])
        .collect();
    bare["keypoints"] = json!(numbers);
    let found = read(&json!({ "annotations": [bare] })).unwrap();
    let truth = &found.images[&ImageId::Number(1)].people[0];
    assert_eq!(truth.bbox, [0.0, 0.0, 16.0, 160.0]);
    assert!((truth.area - 0.53 * 16.0 * 160.0).abs() < 1e-9);
}

#[test]
fn files_without_poses_are_refused_with_the_reason() {
    let error = |json: Value| format!("{:#}", read(&json).unwrap_err());
    assert!(error(json!({ "annotations": [] })).contains("it lists nobody"));
    assert!(error(json!({ "annotations": [5] })).contains("annotation 0 was left out"));
    assert!(error(json!([1])).contains("as COCO annotations"));
    assert!(error(json!({ "images": [] })).contains("annotations"));
    let many = vec![json!(1); 20];
    assert!(error(json!({ "annotations": many })).contains("no poses"));
    let mut huge = person(1);
    huge["keypoints"][3] = json!(1e300);
    assert!(error(json!({ "annotations": [huge] })).contains("out of range"));
    let gone = read_annotations(Path::new("/nowhere/a.json")).unwrap_err();
    assert!(format!("{gone:#}").contains("/nowhere/a.json"));
    assert!(read_annotations(Path::new("/")).is_err());
}

#[test]
fn results_survive_the_round_trip() {
    let mut whole = Person::new([10.0, 20.0, 110.0, 220.0], 0.75);
    for index in 0..KEYPOINTS {
        whole.set(index, [index as f32 + 0.25, 2.0 * index as f32], 0.5);
    }
    let mut body = Person::new([0.0, 0.0, 5.0, 5.0], 0.25);
    for index in 0..BODY_KEYPOINTS {
        body.set(index, [1.0, 1.0], 0.125);
    }
    let (one, two) = (ImageId::Number(785), ImageId::Name("me".into()));
    let json = results_json([(&one, [whole, body].as_slice()), (&two, &[])]).unwrap();
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value.as_array().unwrap().len(), 2);
    assert_eq!(value[0]["bbox"], json!([10.0, 20.0, 100.0, 200.0]));
    assert_eq!(value[0]["face_kpts"].as_array().unwrap().len(), 204);
    assert_eq!(
        (&value[0]["image_id"], &value[0]["category_id"]),
        (&json!(785), &json!(1))
    );
    assert!(value[1]["face_kpts"].is_null());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.json");
    std::fs::write(&path, json).unwrap();
    let results = read_results(&path).unwrap();
    let people = &results.people[&one];
    assert_eq!((people.len(), results.notes.len()), (2, 0));
    assert_eq!(people[0].keypoints[132], [132.25, 264.0, 0.5]);
    assert_eq!(people[0].score, 0.75);
    assert_eq!(
        people[0].part_scores,
        [None, Some(0.375), Some(0.375), Some(0.375), Some(0.375)]
    );

    // Measured against itself it is perfect.
    let truth = Truth {
        keypoints: people[0].keypoints.clone(),
        area: 5000.0,
        bbox: [10.0, 20.0, 100.0, 200.0],
        crowd: false,
    };
    let image = AnnotatedImage {
        file_name: "785.jpg".into(),
        people: vec![truth],
    };
    let annotations = Annotations {
        images: BTreeMap::from([(one, image)]),
        ..Default::default()
    };
    let quality = evaluate(&scenes(&annotations, &results), Measure::Whole).unwrap();
    assert!((quality.ap - 1.0).abs() < 1e-9);

    std::fs::write(
        &path,
        r#"[{"image_id": 1, "score": 0.5, "keypoints": [1]}, {"image_id": 1}]"#,
    )
    .unwrap();
    let results = read_results(&path).unwrap();
    assert_eq!((results.people.len(), results.notes.len()), (0, 2));
}
