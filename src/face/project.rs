//! Project files: a photo, its faces, what was painted on each and every step, in one `.vitruvian` file.
//!
//! A zip archive that other programs can look into: `project.json` (versioned), the photo's own bytes, and for each
//! face that was parsed `faces/N/source.png` and `faces/N/mask.png` (class ids) and `faces/N/history.bin`. Opening
//! gives exactly what was saved: numbers are written as decimal text that reads back to the same bits. The recovery
//! folder ([`crate::face::recovery`]) holds the same archive with the photo beside it instead of inside.
//!
//! Left out: results, which are rendered again, and the other photo of a style.

use std::io::{Cursor, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::edit::Face;
use super::mask::{History, Labels, decode_mask, encode_mask};
use crate::photo::{MAX_AREA_PX, ensure_same_size};
use crate::raster::Similarity;

/// What project files are called.
pub const EXTENSION: &str = "vitruvian";
const VERSION: u32 = 1;
/// No entry of the archive may be larger.
const MAX_ENTRY_BYTES: u64 = 2 << 30;
const MAX_FACES: usize = 1_000;
const MAX_LANDMARKS: usize = 10_000;

/// Everything in a project file but the photo.
#[derive(Clone, Debug, Default)]
pub struct Project {
    /// What the photo was called.
    pub photo_name: String,
    pub faces: Vec<Face>,
    /// Index of the face that is edited.
    pub current: usize,
    /// By face; none until parsed.
    pub edits: Vec<Option<ProjectEdit>>,
    pub view: ProjectView,
}

/// What was done to one face.
#[derive(Clone, Debug)]
pub struct ProjectEdit {
    /// As parsed.
    pub source: Arc<Labels>,
    /// As painted.
    pub target: Labels,
    pub history: History,
}

/// How the window was set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProjectView {
    pub active_class: u8,
    pub locked_classes: Vec<u8>,
}

/// `project.json`.
#[derive(Serialize, Deserialize)]
struct Manifest {
    version: u32,
    photo_name: String,
    /// The entry of the archive, or the file beside it, that holds the photo.
    photo: String,
    current: usize,
    faces: Vec<FaceEntry>,
    #[serde(default)]
    view: ProjectView,
}

/// Numbers as text: JSON readers round floating point numbers in ways of their own.
#[derive(Serialize, Deserialize)]
struct FaceEntry {
    bbox: String,
    score: String,
    image_from_crop: String,
    landmarks: String,
    is_parsed: bool,
}

fn text_of(numbers: impl IntoIterator<Item = f64>) -> String {
    let words: Vec<String> = numbers.into_iter().map(|n| n.to_string()).collect();
    words.join(" ")
}

fn numbers_of<const N: usize>(text: &str) -> Result<Vec<[f64; N]>> {
    let numbers: Vec<f64> = text
        .split_whitespace()
        .map(|word| word.parse::<f64>().ok().filter(|n| n.is_finite()))
        .collect::<Option<_>>()
        .context("The project has a number that is none")?;
    let (groups, rest) = numbers.as_chunks::<N>();
    ensure!(rest.is_empty(), "The project has a number too many");
    Ok(groups.to_vec())
}

fn one<const N: usize>(text: &str) -> Result<[f64; N]> {
    let mut all = numbers_of::<N>(text)?;
    ensure!(all.len() == 1, "The project has too few numbers");
    all.pop().context("The project has too few numbers")
}

impl FaceEntry {
    fn of(face: &Face, is_parsed: bool) -> Self {
        let crop = face.image_from_crop;
        Self {
            bbox: text_of(face.bbox_in_image.map(f64::from)),
            score: text_of([f64::from(face.score)]),
            image_from_crop: text_of([crop.a, crop.b, crop.tx, crop.ty]),
            landmarks: text_of(
                face.landmarks_in_image
                    .iter()
                    .flatten()
                    .map(|v| f64::from(*v)),
            ),
            is_parsed,
        }
    }

    fn face(&self) -> Result<Face> {
        let [a, b, tx, ty] = one(&self.image_from_crop)?;
        ensure!(a != 0.0 || b != 0.0, "A face of the project has no size");
        let [score] = one(&self.score)?;
        let landmarks = numbers_of::<2>(&self.landmarks)?;
        ensure!(
            landmarks.len() <= MAX_LANDMARKS,
            "A face has too many points"
        );
        Ok(Face {
            bbox_in_image: one(&self.bbox)?.map(|v| v as f32),
            score: score as f32,
            image_from_crop: Similarity { a, b, tx, ty },
            landmarks_in_image: landmarks
                .into_iter()
                .map(|point| point.map(|v| v as f32))
                .collect(),
        })
    }
}

/// Whether bytes are a project and not a picture.
pub fn is_project(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// A project as the bytes of its file. `photo` is inside; none if it lies in a file `photo` beside.
///
/// # Errors
/// When a mask has no size that fits a file.
pub fn encode(project: &Project, photo: Option<&[u8]>) -> Result<Vec<u8>> {
    let faces = project.faces.iter().enumerate().map(|(i, face)| {
        let is_parsed = project.edits.get(i).is_some_and(Option::is_some);
        FaceEntry::of(face, is_parsed)
    });
    let manifest = Manifest {
        version: VERSION,
        photo_name: project.photo_name.clone(),
        photo: "photo".into(),
        current: project.current,
        faces: faces.collect(),
        view: project.view.clone(),
    };
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    // Pictures are compressed already, and steps are packed.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut add = |name: String, bytes: &[u8]| -> Result<()> {
        zip.start_file(name, options)
            .context("Failed to write the project")?;
        zip.write_all(bytes).context("Failed to write the project")
    };
    let json = serde_json::to_vec_pretty(&manifest).context("Failed to write the project")?;
    add("project.json".into(), &json)?;
    if let Some(photo) = photo {
        add("photo".into(), photo)?;
    }
    for (i, edit) in project.edits.iter().enumerate() {
        if let Some(edit) = edit {
            add(format!("faces/{i}/source.png"), &encode_mask(&edit.source)?)?;
            add(format!("faces/{i}/mask.png"), &encode_mask(&edit.target)?)?;
            add(format!("faces/{i}/history.bin"), &edit.history.encode())?;
        }
    }
    let written = zip.finish().context("Failed to write the project")?;
    Ok(written.into_inner())
}

/// Reads a project. Gives the photo's bytes too, or none if it lies beside.
///
/// # Errors
/// Not a project, damaged, made by a newer version, or with masks of different sizes.
pub fn decode(bytes: &[u8]) -> Result<(Project, Option<Vec<u8>>)> {
    let mut zip = ZipArchive::new(Cursor::new(bytes)).context("The project is damaged")?;
    let json = entry(&mut zip, "project.json")?.context("This is not a project of Vitruvian")?;
    let manifest: Manifest = serde_json::from_slice(&json).context("The project is damaged")?;
    if manifest.version > VERSION {
        bail!("The project was made by a newer Vitruvian. Open it with that");
    }
    let photo = entry(&mut zip, &manifest.photo)?;
    ensure!(
        manifest.faces.len() <= MAX_FACES,
        "The project has too many faces"
    );
    let mut faces = Vec::new();
    let mut edits = Vec::new();
    for (i, face) in manifest.faces.iter().enumerate() {
        faces.push(face.face()?);
        edits.push(match face.is_parsed {
            true => Some(edit_of(&mut zip, i)?),
            false => None,
        });
    }
    let project = Project {
        photo_name: manifest.photo_name,
        current: manifest.current.min(faces.len().saturating_sub(1)),
        faces,
        edits,
        view: manifest.view,
    };
    Ok((project, photo))
}

fn edit_of(zip: &mut ZipArchive<Cursor<&[u8]>>, face: usize) -> Result<ProjectEdit> {
    let mut read = |name: &str| {
        let name = format!("faces/{face}/{name}");
        entry(zip, &name)?.with_context(|| format!("The project is damaged: {name} is missing"))
    };
    let source = decode_mask(&read("source.png")?)?;
    let target = decode_mask(&read("mask.png")?)?;
    let size = (source.width, source.height);
    ensure_same_size("mask", (target.width, target.height), size)?;
    let history = History::decode(&read("history.bin")?, [size.0, size.1])?;
    Ok(ProjectEdit {
        source: Arc::new(source),
        target,
        history,
    })
}

/// An entry of the archive; none if there is no such.
fn entry(zip: &mut ZipArchive<Cursor<&[u8]>>, name: &str) -> Result<Option<Vec<u8>>> {
    let Some(index) = zip.index_for_name(name) else {
        return Ok(None);
    };
    let file = zip.by_index(index).context("The project is damaged")?;
    ensure!(
        file.size() <= MAX_ENTRY_BYTES,
        "The project holds more than any photo of {} megapixels",
        MAX_AREA_PX / 1_000_000
    );
    let mut bytes = Vec::new();
    file.take(MAX_ENTRY_BYTES)
        .read_to_end(&mut bytes)
        .context("The project is damaged")?;
    Ok(Some(bytes))
}

/// The photo's name without its folder.
pub fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::face::edit::face_from_box;
    use crate::face::mask::brush_dot;
    use crate::raster::Grid;

    /// Two faces, one of them painted in three steps with one undone.
    pub fn project() -> Project {
        let source: Labels = Grid::new(80, 60, 1);
        let mut target = source.clone();
        let mut history = History::default();
        for (x, class) in [(10.0, 4), (30.0, 13), (50.0, 17)] {
            let before = brush_dot(&mut target, [x, 30.0], 8.0, class).unwrap();
            history.push(&before, format!("Paint {class}"), &target);
        }
        history.undo(&mut target);
        let mut face = face_from_box([3.1, 4.7, 50.3, 55.9]);
        face.image_from_crop.b = 0.1 + 0.2;
        face.landmarks_in_image = vec![[1.0 / 3.0, 2.7], [1e-7, 40.0]];
        Project {
            photo_name: "me.jpg".into(),
            faces: vec![face, face_from_box([1.0, 2.0, 9.0, 12.0])],
            current: 1,
            edits: vec![
                Some(ProjectEdit {
                    source: Arc::new(source),
                    target,
                    history,
                }),
                None,
            ],
            view: ProjectView {
                active_class: 7,
                locked_classes: vec![1, 13],
            },
        }
    }

    #[test]
    fn what_is_saved_opens_exactly() {
        let saved = project();
        let photo = b"any bytes".as_slice();
        let bytes = encode(&saved, Some(photo)).unwrap();
        assert!(is_project(&bytes) && !is_project(b"\x89PNG"));
        let (opened, inside) = decode(&bytes).unwrap();
        assert_eq!(inside.as_deref(), Some(photo));
        assert_eq!(opened.faces, saved.faces);
        assert_eq!((opened.current, &opened.view), (1, &saved.view));
        assert!(opened.edits[1].is_none());
        let (mut a, mut b) = (
            opened.edits[0].clone().unwrap(),
            saved.edits[0].clone().unwrap(),
        );
        assert_eq!((&a.source, &a.target), (&b.source, &b.target));
        assert_eq!((a.history.len(), a.history.position()), (3, 2));
        // Every state of the history is the same.
        for position in [3, 0, 1] {
            a.history.jump(&mut a.target, position);
            b.history.jump(&mut b.target, position);
            assert_eq!(a.target, b.target);
        }
        assert_eq!(a.history.step(1), b.history.step(1));
        let (_, beside) = decode(&encode(&saved, None).unwrap()).unwrap();
        assert_eq!(beside, None);
    }

    #[test]
    fn damaged_projects_are_refused_in_words() {
        let bytes = encode(&project(), Some(b"photo")).unwrap();
        let message = |bytes: &[u8]| format!("{:#}", decode(bytes).unwrap_err());
        assert!(message(&bytes[..bytes.len() / 2]).contains("damaged"));
        assert!(message(b"PK\x03\x04").contains("damaged"));
        let mut other = ZipWriter::new(Cursor::new(Vec::new()));
        other
            .start_file(
                "a.txt",
                SimpleFileOptions::default().compression_method(CompressionMethod::Stored),
            )
            .unwrap();
        let other = other.finish().unwrap().into_inner();
        assert!(message(&other).contains("not a project"));
        // Any flipped byte is an error or opens; it never panics.
        for at in (0..bytes.len()).step_by(37) {
            let mut bad = bytes.clone();
            bad[at] ^= 0x55;
            decode(&bad).ok();
        }
    }
}
