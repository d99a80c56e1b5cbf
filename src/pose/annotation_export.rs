//! Writes corrected people as annotations in COCO-WholeBody's form (Jin et al. 2020, `data_format.md`), to train or
//! measure with. Everything that reads COCO reads it, this program too.
//!
//! What was neither placed by hand nor seen with enough certainty has no label. Left out: segmentations; a person's
//! area is estimated from the box, as xtcocotools does where it is missing.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::annotations::{AREA_OVER_BOX, ImageId};
use super::keypoints::{BODY_KEYPOINTS, KEYPOINTS, LIMBS, Part, Person, name};

/// COCO's word for a keypoint that is labelled and can be seen.
const VISIBLE: f64 = 2.0;

/// A photo with its people.
pub struct Annotated {
    pub id: ImageId,
    pub file_name: String,
    /// Width and height.
    pub size: [usize; 2],
    /// Each person, and which of their 133 keypoints were placed by hand.
    pub people: Vec<(Person, Vec<bool>)>,
}

/// The annotation file. Keypoints with a score of at least `least` are labelled, and those placed by hand.
///
/// # Errors
/// When a number cannot be written.
pub fn annotations_json(photos: &[Annotated], least: f32) -> Result<String> {
    let images: Vec<Value> = photos
        .iter()
        .map(|photo| {
            let [width, height] = photo.size;
            json!({ "id": photo.id, "file_name": photo.file_name, "width": width, "height": height })
        })
        .collect();
    let people = photos
        .iter()
        .flat_map(|photo| photo.people.iter().map(move |person| (&photo.id, person)));
    let annotations: Vec<Value> = people
        .enumerate()
        .map(|(index, (id, (person, placed)))| annotation(index + 1, id, person, placed, least))
        .collect();
    let names: Vec<String> = (0..BODY_KEYPOINTS).map(name).collect();
    let body = |[a, b]: &&[usize; 2]| (*a).max(*b) < BODY_KEYPOINTS;
    let skeleton: Vec<[usize; 2]> = LIMBS
        .iter()
        .filter(body)
        .map(|[a, b]| [a + 1, b + 1])
        .collect();
    let category = json!({
        "id": 1, "name": "person", "supercategory": "person", "keypoints": names, "skeleton": skeleton,
    });
    let file = json!({ "images": images, "annotations": annotations, "categories": [category] });
    serde_json::to_string(&file).context("Failed to write the annotations as JSON")
}

fn annotation(number: usize, id: &ImageId, person: &Person, placed: &[bool], least: f32) -> Value {
    let rounded = |v: f32| (f64::from(v) * 100.0).round() / 100.0;
    let label = |index: usize| {
        let ([x, y], score) = person.get(index);
        let is_placed = placed.get(index).copied().unwrap_or(false);
        let is_labelled = score > 0.0 && (is_placed || score >= least);
        is_labelled.then(|| [rounded(x), rounded(y)])
    };
    let list = |part: Part| -> Vec<f64> {
        let each = part.range().flat_map(|index| match label(index) {
            Some([x, y]) => [x, y, VISIBLE],
            None => [0.0; 3],
        });
        each.collect()
    };
    let bounds = |range: std::ops::Range<usize>| -> Option<[f64; 4]> {
        let points: Vec<[f64; 2]> = range.filter_map(label).collect();
        let low = |k: usize| points.iter().map(|p| p[k]).fold(f64::MAX, f64::min);
        let high = |k: usize| points.iter().map(|p| p[k]).fold(f64::MIN, f64::max);
        let (x, y) = (low(0), low(1));
        (!points.is_empty()).then(|| [x, y, high(0) - x, high(1) - y])
    };
    let [x0, y0, x1, y1] = person.bbox_in_image.map(rounded);
    let bbox = bounds(0..KEYPOINTS).unwrap_or([x0, y0, x1 - x0, y1 - y0]);
    let part = |part: Part| (list(part), bounds(part.range()));
    let (face, face_box) = part(Part::Face);
    let (left, left_box) = part(Part::LeftHand);
    let (right, right_box) = part(Part::RightHand);
    let (foot, foot_box) = part(Part::Foot);
    json!({
        "id": number,
        "image_id": id,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": bbox,
        "area": (bbox[2] * bbox[3] * AREA_OVER_BOX * 100.0).round() / 100.0,
        "num_keypoints": Part::Body.range().filter(|index| label(*index).is_some()).count(),
        "keypoints": list(Part::Body),
        "foot_valid": foot_box.is_some(),
        "foot_kpts": foot,
        "face_valid": face_box.is_some(),
        "face_box": face_box.unwrap_or_default(),
        "face_kpts": face,
        "lefthand_valid": left_box.is_some(),
        "lefthand_box": left_box.unwrap_or_default(),
        "lefthand_kpts": left,
        "righthand_valid": right_box.is_some(),
        "righthand_box": right_box.unwrap_or_default(),
        "righthand_kpts": right,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::annotations::read_annotations;

    #[test]
    fn what_is_sure_or_placed_by_hand_is_labelled_and_reads_back() {
        let mut person = Person::new([10.0, 20.0, 110.0, 220.0], 0.8);
        person.set(0, [30.25, 40.0], 0.9);
        person.set(1, [35.0, 38.0], 0.2);
        person.set(2, [25.0, 38.0], 0.2);
        person.set(95, [90.0, 120.5], 0.7);
        let mut placed = vec![false; KEYPOINTS];
        placed[2] = true;
        let photo = Annotated {
            id: ImageId::Number(7),
            file_name: "7.jpg".to_owned(),
            size: [640, 480],
            people: vec![(person, placed)],
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("people.json");
        std::fs::write(&path, annotations_json(&[photo], 0.3).unwrap()).unwrap();
        let read = read_annotations(&path).unwrap();
        assert!(read.is_whole_body && read.notes.is_empty());
        let image = &read.images[&ImageId::Number(7)];
        assert_eq!(image.file_name, "7.jpg");
        let truth = &image.people[0];
        assert_eq!(truth.keypoints[0], [30.25, 40.0, 2.0]);
        assert_eq!(truth.keypoints[1], [0.0; 3], "too unsure");
        assert_eq!(truth.keypoints[2], [25.0, 38.0, 2.0], "placed by hand");
        assert_eq!(truth.keypoints[95], [90.0, 120.5, 2.0]);
        assert_eq!(truth.bbox, [25.0, 38.0, 65.0, 82.5]);
        assert!((truth.area - 65.0 * 82.5 * 0.53).abs() < 0.01);
    }
}
