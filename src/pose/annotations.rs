//! Files of poses: reads COCO and COCO-WholeBody annotations and results, writes results.
//!
//! Annotations (Lin et al. 2014; Jin et al. 2020, `data_format.md`) hold `images` and `annotations`, each person with
//! `keypoints` (17 × x, y, visibility), for whole bodies also `foot_kpts`, `face_kpts`, `lefthand_kpts` and
//! `righthand_kpts`. Results are a list of people with the same fields, scores in place of visibilities.
//! Files come from anywhere: an entry that makes no sense is left out and told, the rest is read. Segmentations,
//! captions and categories other than persons are passed over.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::keypoints::{BODY_KEYPOINTS, KEYPOINTS, Part, Person};
use super::metrics::{Found, Scene, Truth};

/// Largest file read: COCO-WholeBody's training annotations have 0.5 GB.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// COCO's number of persons.
const PERSON: u64 = 1;
/// Area of a person over the area of the box, where the file names no area (as xtcocotools).
pub(super) const AREA_OVER_BOX: f64 = 0.53;
/// Entries told one by one before only their number is.
const MAX_NOTES: usize = 8;

/// What tells photos apart: COCO's number, or a file name where there is none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ImageId {
    Number(u64),
    Name(String),
}

impl ImageId {
    /// The id of a photo file: the number in its name (`000000000785.jpg`, `photo_12.png`) when there is exactly one,
    /// else the name without extension.
    pub fn of_file(path: &Path) -> Self {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let mut numbers = stem
            .split(|c: char| !c.is_ascii_digit())
            .filter(|digits| !digits.is_empty());
        match (numbers.next().map(str::parse), numbers.next()) {
            (Some(Ok(number)), None) => Self::Number(number),
            _ => Self::Name(stem.into_owned()),
        }
    }
}

impl std::fmt::Display for ImageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A photo that annotations speak of.
#[derive(Clone, Debug, PartialEq)]
pub struct AnnotatedImage {
    pub file_name: String,
    /// The labelled people, in the file's order.
    pub people: Vec<Truth>,
}

/// An annotation file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotations {
    pub images: BTreeMap<ImageId, AnnotatedImage>,
    /// Whether feet, face and hands are labelled too.
    pub is_whole_body: bool,
    /// What was left out, in plain words.
    pub notes: Vec<String>,
}

impl Annotations {
    /// What is said of a photo file: by its name, else by the number in it.
    pub fn of_file(&self, path: &Path) -> Option<&AnnotatedImage> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_named = |image: &&AnnotatedImage| {
            Path::new(&image.file_name)
                .file_name()
                .is_some_and(|own| own.to_string_lossy() == name)
        };
        let named = self.images.values().find(is_named);
        named.or_else(|| self.images.get(&ImageId::of_file(path)))
    }
}

/// People found, by photo.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    pub people: BTreeMap<ImageId, Vec<Found>>,
    /// What was left out, in plain words.
    pub notes: Vec<String>,
}

/// A value that may be of another kind than expected without spoiling the file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lenient<T> {
    Good(T),
    Bad(IgnoredAny),
}

#[derive(Deserialize)]
struct RawFile {
    #[serde(default)]
    images: Vec<Lenient<RawImage>>,
    annotations: Vec<Lenient<RawAnnotation>>,
}

#[derive(Deserialize)]
struct RawImage {
    id: ImageId,
    file_name: String,
}

#[derive(Deserialize)]
struct RawAnnotation {
    image_id: ImageId,
    category_id: Option<u64>,
    keypoints: Option<Vec<f64>>,
    foot_kpts: Option<Vec<f64>>,
    face_kpts: Option<Vec<f64>>,
    lefthand_kpts: Option<Vec<f64>>,
    righthand_kpts: Option<Vec<f64>>,
    bbox: Option<[f64; 4]>,
    area: Option<f64>,
    #[serde(default)]
    iscrowd: u64,
}

/// One person in COCO-WholeBody's result format. `foot_score` and its like order the people for their part alone;
/// xtcocotools reads them, others pass over them.
#[derive(Debug, Serialize, Deserialize)]
struct RawResult {
    image_id: ImageId,
    #[serde(default = "person")]
    category_id: u64,
    keypoints: Vec<f64>,
    foot_kpts: Option<Vec<f64>>,
    face_kpts: Option<Vec<f64>>,
    lefthand_kpts: Option<Vec<f64>>,
    righthand_kpts: Option<Vec<f64>>,
    score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    foot_score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    face_score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lefthand_score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    righthand_score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wholebody_score: Option<f64>,
    /// Left, top, width, height.
    bbox: Option<[f64; 4]>,
}

fn person() -> u64 {
    PERSON
}

/// The five lists as 133 keypoints; what is not given is zero.
///
/// # Errors
/// When a list has another length than its part, or the body is missing.
fn joined(lists: [Option<&Vec<f64>>; 5]) -> Result<Vec<[f64; 3]>> {
    let mut keypoints = vec![[0.0; 3]; KEYPOINTS];
    for (part, list) in Part::ALL.into_iter().zip(lists) {
        let Some(list) = list else {
            ensure!(part != Part::Body, "it has no keypoints");
            continue;
        };
        let (triples, rest) = list.as_chunks::<3>();
        ensure!(
            triples.len() == part.range().len() && rest.is_empty(),
            "it has {} numbers for the {}, not {}",
            list.len(),
            part.name(),
            3 * part.range().len()
        );
        ensure!(
            list.iter().all(|v| v.is_finite() && v.abs() < 1e7),
            "a number for the {} is out of range",
            part.name()
        );
        if let Some(slots) = keypoints.get_mut(part.range()) {
            slots.copy_from_slice(triples);
        }
    }
    Ok(keypoints)
}

/// Collects what was left out.
#[derive(Default)]
struct Notes {
    told: Vec<String>,
    more: usize,
}

impl Notes {
    fn add(&mut self, what: &str, index: usize, why: impl std::fmt::Display) {
        if self.told.len() < MAX_NOTES {
            self.told
                .push(format!("{what} {index} was left out: {why}"));
        } else {
            self.more += 1;
        }
    }

    fn finish(mut self) -> Vec<String> {
        if self.more > 0 {
            self.told
                .push(format!("{} more entries were left out", self.more));
        }
        self.told
    }
}

fn read_json<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T> {
    let read = || -> Result<T> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        ensure!(!metadata.is_dir(), "This is a folder");
        ensure!(
            metadata.len() <= MAX_FILE_BYTES,
            "It has more than {} MB",
            MAX_FILE_BYTES >> 20
        );
        let bounded = BufReader::new(file).take(MAX_FILE_BYTES);
        Ok(serde_json::from_reader(bounded)?)
    };
    read().with_context(|| format!("Failed to read {} as {what}", path.display()))
}

/// Reads an annotation file.
///
/// # Errors
/// When it cannot be read, is no JSON, or holds no poses at all.
pub fn read_annotations(path: &Path) -> Result<Annotations> {
    let raw: RawFile = read_json(path, "COCO annotations")?;
    let mut notes = Notes::default();
    let mut images = BTreeMap::new();
    for (index, image) in raw.images.into_iter().enumerate() {
        match image {
            Lenient::Good(RawImage { id, file_name }) => {
                let people = Vec::new();
                images.insert(id, AnnotatedImage { file_name, people });
            }
            Lenient::Bad(_) => notes.add("image", index, "it has no id or no file name"),
        }
    }
    let mut is_whole_body = false;
    let mut people = 0;
    for (index, annotation) in raw.annotations.into_iter().enumerate() {
        let Lenient::Good(annotation) = annotation else {
            notes.add(
                "annotation",
                index,
                "its fields are of other kinds than COCO's",
            );
            continue;
        };
        if annotation.category_id.is_some_and(|id| id != PERSON) {
            continue;
        }
        is_whole_body |= annotation.face_kpts.is_some();
        match truth(&annotation) {
            Ok(truth) => {
                let id = annotation.image_id;
                let file_name = id.to_string();
                let image = images.entry(id).or_insert_with(|| AnnotatedImage {
                    file_name,
                    people: Vec::new(),
                });
                image.people.push(truth);
                people += 1;
            }
            Err(why) => notes.add("annotation", index, why),
        }
    }
    let notes = notes.finish();
    if people == 0 {
        let why = notes.first().map_or("it lists nobody", String::as_str);
        bail!("There are no poses in {}: {why}", path.display());
    }
    Ok(Annotations {
        images,
        is_whole_body,
        notes,
    })
}

fn truth(raw: &RawAnnotation) -> Result<Truth> {
    let keypoints = joined([
        raw.keypoints.as_ref(),
        raw.foot_kpts.as_ref(),
        raw.face_kpts.as_ref(),
        raw.lefthand_kpts.as_ref(),
        raw.righthand_kpts.as_ref(),
    ])?;
    let bbox = raw.bbox.unwrap_or_else(|| bounds(&keypoints));
    ensure!(
        bbox.iter().all(|v| v.is_finite() && v.abs() < 1e7),
        "its box is out of range"
    );
    let area = raw.area.unwrap_or(bbox[2] * bbox[3] * AREA_OVER_BOX);
    ensure!(area.is_finite() && area >= 0.0, "its area is no area");
    Ok(Truth {
        keypoints,
        area,
        bbox,
        crowd: raw.iscrowd != 0,
    })
}

/// Left, top, width, height of the points that are there; zero without any.
fn bounds(keypoints: &[[f64; 3]]) -> [f64; 4] {
    let seen = keypoints.iter().filter(|[_, _, v]| *v > 0.0);
    let [x0, y0, x1, y1] = seen.fold(
        [f64::MAX, f64::MAX, f64::MIN, f64::MIN],
        |[x0, y0, x1, y1], &[x, y, _]| [x0.min(x), y0.min(y), x1.max(x), y1.max(y)],
    );
    if x1 >= x0 {
        [x0, y0, x1 - x0, y1 - y0]
    } else {
        [0.0; 4]
    }
}

/// Reads a result file.
///
/// # Errors
/// When it cannot be read or is no list.
pub fn read_results(path: &Path) -> Result<Results> {
    Ok(results_of(read_json(path, "a list of found people")?))
}

/// The same from memory.
///
/// # Errors
/// When it is no list.
pub fn parse_results(json: &str) -> Result<Results> {
    let raw = serde_json::from_str(json).context("Failed to read a list of found people")?;
    Ok(results_of(raw))
}

fn results_of(raw: Vec<Lenient<RawResult>>) -> Results {
    let mut notes = Notes::default();
    let mut people: BTreeMap<ImageId, Vec<Found>> = BTreeMap::new();
    for (index, result) in raw.into_iter().enumerate() {
        let Lenient::Good(raw) = result else {
            notes.add("result", index, "its fields are of other kinds than COCO's");
            continue;
        };
        if raw.category_id != PERSON {
            continue;
        }
        let keypoints = joined([
            Some(&raw.keypoints),
            raw.foot_kpts.as_ref(),
            raw.face_kpts.as_ref(),
            raw.lefthand_kpts.as_ref(),
            raw.righthand_kpts.as_ref(),
        ]);
        match keypoints {
            Ok(keypoints) => people.entry(raw.image_id).or_default().push(Found {
                keypoints,
                score: raw.score,
                part_scores: [
                    None,
                    raw.foot_score,
                    raw.face_score,
                    raw.lefthand_score,
                    raw.righthand_score,
                ],
                whole_score: raw.wholebody_score,
            }),
            Err(why) => notes.add("result", index, why),
        }
    }
    Results {
        people,
        notes: notes.finish(),
    }
}

/// A found person as it stands in result files, so that measuring memory and file gives the same.
fn raw_result(id: &ImageId, person: &Person) -> RawResult {
    let rounded = |v: f32, digits: f64| (f64::from(v) * digits).round() / digits;
    let list = |part: Part| -> Vec<f64> {
        part.range()
            .flat_map(|index| {
                let ([x, y], score) = person.get(index);
                [rounded(x, 100.0), rounded(y, 100.0), rounded(score, 1e4)]
            })
            .collect()
    };
    let has_parts = (BODY_KEYPOINTS..KEYPOINTS).any(|index| person.get(index).1 > 0.0);
    let part = |part| has_parts.then(|| list(part));
    let score = |part| has_parts.then(|| rounded(person.part_score(part) * person.score, 1e6));
    let [x0, y0, x1, y1] = person.bbox_in_image.map(|v| rounded(v, 100.0));
    RawResult {
        image_id: id.clone(),
        category_id: PERSON,
        keypoints: list(Part::Body),
        foot_kpts: part(Part::Foot),
        face_kpts: part(Part::Face),
        lefthand_kpts: part(Part::LeftHand),
        righthand_kpts: part(Part::RightHand),
        score: rounded(person.score, 1e6),
        foot_score: score(Part::Foot),
        face_score: score(Part::Face),
        lefthand_score: score(Part::LeftHand),
        righthand_score: score(Part::RightHand),
        wholebody_score: None,
        bbox: Some([x0, y0, x1 - x0, y1 - y0]),
    }
}

/// The people found in some photos as a result file. Parts are left out of those of whom the body alone is known.
///
/// # Errors
/// When a number cannot be written.
pub fn results_json<'a>(
    found: impl IntoIterator<Item = (&'a ImageId, &'a [Person])>,
) -> Result<String> {
    let results: Vec<RawResult> = found
        .into_iter()
        .flat_map(|(id, people)| people.iter().map(move |person| raw_result(id, person)))
        .collect();
    serde_json::to_string(&results).context("Failed to write the results as JSON")
}

/// Annotations and results side by side, for [`evaluate`](super::metrics::evaluate): a scene for each photo with
/// annotations, by rising id.
pub fn scenes(annotations: &Annotations, results: &Results) -> Vec<Scene> {
    let images = annotations.images.iter();
    images
        .map(|(id, image)| Scene {
            truth: image.people.clone(),
            found: results.people.get(id).cloned().unwrap_or_default(),
        })
        .collect()
}

#[cfg(test)]
#[path = "annotations_tests.rs"]
mod tests;
