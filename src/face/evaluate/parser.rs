//! Scores of the face parser, on the aligned crops as they are and through face detection, as a user's photo goes.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::{FACE_SIDE, Goal};
use crate::face::dataset::Faces;
use crate::face::edit::{Face, FaceModels, find_faces, labels_from_probabilities, parse};
use crate::face::labels::CLASSES;
use crate::face::mask::Labels;
use crate::face::metrics::Confusion;
use crate::face::parser::Parser;
use crate::job::Out;
use crate::people::face_mesh::FaceMesh;
use crate::raster::{Grid, Rgb};

/// One class of a set of masks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassScore {
    pub class: &'static str,
    /// Share of the true pixels.
    pub share: f64,
    /// None when the class is neither in the truth nor in the prediction.
    pub f1: Option<f64>,
    pub iou: Option<f64>,
}

/// Scores of a set of masks, from one confusion matrix over all of it; see [`Confusion`] for classes that do not
/// occur.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MaskScores {
    pub pixel_accuracy: Option<f64>,
    /// Over the 18 classes that are not background.
    pub mean_f1: Option<f64>,
    /// Over all 19.
    pub mean_iou: Option<f64>,
    pub classes: Vec<ClassScore>,
}

impl MaskScores {
    fn of(confusion: &Confusion) -> Self {
        let all: u64 = (0..CLASSES.len()).map(|c| confusion.totals(c).0).sum();
        let score = |(c, class): (usize, &crate::face::labels::Class)| ClassScore {
            class: class.name,
            share: confusion.totals(c).0 as f64 / all.max(1) as f64,
            f1: confusion.f1(c),
            iou: confusion.iou(c),
        };
        Self {
            pixel_accuracy: confusion.pixel_accuracy(),
            mean_f1: confusion.mean_f1(),
            mean_iou: confusion.mean_iou(),
            classes: CLASSES.iter().enumerate().map(score).collect(),
        }
    }
}

/// What the parser reaches.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParserReport {
    pub faces: usize,
    /// The crops as they are.
    pub aligned: MaskScores,
    /// The same pictures as photos: the largest face found, aligned, parsed and brought back.
    pub detected: MaskScores,
    /// Pictures in which no face was found; their masks count as all background.
    pub not_found: usize,
    pub goals: Vec<Goal>,
}

/// Scores the parser on a folder.
///
/// # Errors
/// When cancelled, the folder holds no pairs, or a network fails.
pub fn evaluate_parser<T>(models: &FaceModels, dir: &Path, out: &Out<T>) -> Result<ParserReport> {
    out.progress(0.0, "Reading faces")?;
    let faces = Faces::load(dir, FACE_SIDE)?;
    let (mut aligned, mut detected) = (Confusion::default(), Confusion::default());
    let mut not_found = 0;
    for (i, (photo, truth)) in faces.photos.iter().zip(&faces.masks).enumerate() {
        out.progress(i as f32 / faces.len() as f32, "Parsing")?;
        aligned.add(truth, &parse_aligned(&models.parser, &models.mesh, photo)?)?;
        let labels = match find_faces(models, photo, &Out::<()>::silent())?.first() {
            Some(face) => parse(models, photo, face, &Out::<()>::silent())?,
            None => {
                not_found += 1;
                Grid::new(photo.width, photo.height, 0)
            }
        };
        detected.add(truth, &labels)?;
    }
    out.progress(1.0, "Parsing")?;
    let aligned = MaskScores::of(&aligned);
    let detected = MaskScores::of(&detected);
    let goals = vec![
        Goal::at_least("pixel accuracy", detected.pixel_accuracy, 0.91),
        Goal::at_least("mean F1", detected.mean_f1, 0.75),
        Goal::at_least("mean IoU", detected.mean_iou, 0.64),
    ];
    Ok(ParserReport {
        faces: faces.len(),
        aligned,
        detected,
        not_found,
        goals,
    })
}

/// The mask of a picture that is an aligned crop, at its own size.
pub(super) fn parse_aligned(parser: &Parser, mesh: &FaceMesh, crop: &Rgb) -> Result<Labels> {
    let probabilities = parser.probabilities(crop, &mesh.in_aligned_crop(crop)?)?;
    let side = probabilities.dim(2)?;
    let values = probabilities.flatten_all()?.to_vec1::<f32>()?;
    let image_from_crop = Face::whole(crop).image_from_crop;
    Ok(labels_from_probabilities(
        &values,
        side,
        &image_from_crop,
        crop.width,
        crop.height,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_scores_carry_names_and_shares() {
        let truth = Grid::from_vec(4, 1, vec![0, 1, 1, 13]).unwrap();
        let mut confusion = Confusion::default();
        confusion
            .add(&truth, &Grid::from_vec(4, 1, vec![0, 1, 0, 13]).unwrap())
            .unwrap();
        let scores = MaskScores::of(&confusion);
        assert_eq!(scores.classes.len(), 19);
        assert_eq!(
            (scores.classes[1].class, scores.classes[1].share),
            ("skin", 0.5)
        );
        assert_eq!(scores.classes[1].iou, Some(0.5));
        assert_eq!(scores.classes[13].f1, Some(1.0));
        assert_eq!(scores.classes[2].f1, None);
        assert_eq!(scores.pixel_accuracy, Some(0.75));
    }
}
