//! Stands in for the edit steps and the generator until they exist.

use crate::face::labels::CLASS_COUNT;
use crate::face::mask::Labels;
use crate::raster::{Rect, Rgb, Similarity};

#[derive(Clone, Debug)]
pub struct Face {
    pub bbox_in_image: [f32; 4],
    pub score: f32,
    pub image_from_crop: Similarity,
    pub landmarks_in_image: Vec<[f32; 2]>,
}

pub fn face_from_box([left, top, right, bottom]: [f32; 4]) -> Face {
    let (width, height) = (f64::from(right - left), f64::from(bottom - top));
    let side = width.max(height);
    Face {
        bbox_in_image: [left, top, right, bottom],
        score: 1.0,
        image_from_crop: Similarity {
            a: side,
            b: 0.0,
            tx: f64::from(left),
            ty: f64::from(top),
        },
        landmarks_in_image: Vec::new(),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    Preview,
    Full,
}

pub struct RenderedPatch {
    pub rect: Rect,
    pub rgb: Rgb,
}

pub struct EditRequest<'a> {
    pub photo: &'a Rgb,
    pub face: &'a Face,
    pub source_mask: &'a Labels,
    pub target_mask: &'a Labels,
    pub restyled: [bool; CLASS_COUNT],
}
