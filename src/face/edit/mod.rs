//! The steps of an edit, in order: find the faces, parse one, (paint), render, and put the result into the photo.
//!
//! Window and command line call the same functions. Masks have the photo's own size; what a network sees is a square
//! window of the aligned crop, cut and brought back by one similarity transform ([`window`]).
//! Left out: painting ([`super::mask`]) and files ([`crate::photo`]).

mod models;
mod upsample;
mod window;

pub use models::FaceModels;
pub use upsample::labels_from_probabilities;
pub use window::{Change, Window};

use anyhow::{Context as _, Result, ensure};

use super::align;
use super::blend::{Blend, match_colours};
use super::generator::{STYLE_SIDE, StyleCodes};
use super::labels::CLASS_COUNT;
use super::mask::Labels;
use super::parser;
use crate::job::Out;
use crate::photo::ensure_same_size;
use crate::raster::{Rect, Rgb, Similarity, warp_labels, warp_rgb};

/// How far beyond the aligned crop a found face is parsed, in crop sides: hair and cloth go on there, and landmarks
/// place the crop to a few hundredths only.
const PARSED_MARGIN: f64 = 0.03;
/// Faces looked for in one photo.
const MAX_FACES: usize = 50;

/// A face in a photo.
#[derive(Clone, Debug, PartialEq)]
pub struct Face {
    /// Left, top, right, bottom in photo pixels.
    pub bbox_in_image: [f32; 4],
    /// 0 to 1; 1 for a box that the user drew.
    pub score: f32,
    /// From the aligned crop, which is the unit square, to photo pixels.
    pub image_from_crop: Similarity,
    /// The 468 points of the face mesh; none for a box that the user drew.
    pub landmarks_in_image: Vec<[f32; 2]>,
}

impl Face {
    /// The face of a picture that is an aligned crop already.
    pub fn whole(picture: &Rgb) -> Self {
        let (width, height) = (picture.width as f32, picture.height as f32);
        face_from_box([0.0, 0.0, width, height])
    }

    /// The same face with a crop that reaches further by `margin` of its side, on each side.
    fn widened(&self, margin: f64) -> Self {
        let wider = Similarity::scale_shift(1.0 + 2.0 * margin, -margin, -margin);
        Self {
            image_from_crop: wider.then(&self.image_from_crop),
            ..self.clone()
        }
    }

    /// The face mesh in the aligned crop's unit square; empty for a box that the user drew.
    pub fn landmarks_in_crop(&self) -> Vec<[f32; 2]> {
        let crop_from_image = self.image_from_crop.inverse();
        let to_crop = |p: &[f32; 2]| crop_from_image.apply(p.map(f64::from)).map(|v| v as f32);
        self.landmarks_in_image.iter().map(to_crop).collect()
    }

    /// From pixels of the aligned crop, `side_px` a side, to photo pixels.
    pub fn image_from_crop_px(&self, side_px: usize) -> Similarity {
        Similarity::scale_shift(1.0 / side_px.max(1) as f64, 0.0, 0.0).then(&self.image_from_crop)
    }

    /// The aligned crop, `side_px` a side.
    pub fn crop(&self, photo: &Rgb, side_px: usize) -> Rgb {
        warp_rgb(photo, &self.image_from_crop_px(side_px), side_px, side_px)
    }

    /// The part of a mask of the photo that is the aligned crop, `side_px` a side.
    pub fn crop_labels(&self, mask: &Labels, side_px: usize) -> Labels {
        warp_labels(mask, &self.image_from_crop_px(side_px), side_px, side_px)
    }
}

/// The faces in a photo, largest first; empty when there is none.
///
/// # Errors
/// When cancelled or a network fails.
pub fn find_faces<T>(models: &FaceModels, photo: &Rgb, out: &Out<T>) -> Result<Vec<Face>> {
    out.progress(0.0, "Looking for faces")?;
    let found = models
        .find_faces(photo, MAX_FACES)
        .context("Failed to look for faces")?;
    out.progress(1.0, "Looking for faces")?;
    Ok(found)
}

/// The face in a box `[x0, y0, x1, y1]` that the user drew: the crop is the smallest upright square around it.
pub fn face_from_box(bbox_in_image: [f32; 4]) -> Face {
    Face {
        bbox_in_image,
        score: 1.0,
        image_from_crop: align::crop_from_box(bbox_in_image),
        landmarks_in_image: Vec::new(),
    }
}

/// The mask of a face at the photo's own size; background outside the crop and a margin around it.
///
/// # Errors
/// When cancelled or the network fails.
pub fn parse<T>(models: &FaceModels, photo: &Rgb, face: &Face, out: &Out<T>) -> Result<Labels> {
    out.progress(0.0, "Parsing the face")?;
    let seen = if face.landmarks_in_image.is_empty() {
        face.clone()
    } else {
        face.widened(PARSED_MARGIN)
    };
    let crop = seen.crop(photo, parser::SIDE);
    let mut landmarks = seen.landmarks_in_crop();
    if landmarks.is_empty() {
        // A box that the user drew, or a picture that is a crop already: the mesh may still see a face in it.
        landmarks = models
            .mesh
            .in_aligned_crop(&crop)
            .context("Failed to look for landmarks")?;
    }
    out.progress(0.2, "Parsing the face")?;
    let probabilities = models
        .parser
        .probabilities(&crop, &landmarks)
        .context("Failed to parse the face")?;
    out.progress(0.6, "Parsing the face")?;
    let side = probabilities.dim(2)?;
    let values = probabilities.flatten_all()?.to_vec1::<f32>()?;
    let labels = labels_from_probabilities(
        &values,
        side,
        &seen.image_from_crop,
        photo.width,
        photo.height,
    );
    out.progress(1.0, "Parsing the face")?;
    Ok(labels)
}

/// The style of a face, for [`render`]. The same photo, face and mask give the same style: keep it.
///
/// # Errors
/// When the mask has another size, there is no generator, or it fails.
pub fn style_of(
    models: &FaceModels,
    photo: &Rgb,
    face: &Face,
    mask: &Labels,
) -> Result<StyleCodes> {
    ensure_same_size(
        "mask",
        (mask.width, mask.height),
        (photo.width, photo.height),
    )?;
    let crop = face.crop(photo, STYLE_SIDE);
    let labels = face.crop_labels(mask, STYLE_SIDE);
    models
        .generator()?
        .style(&crop, &labels)
        .context("Failed to read the style of the face")
}

/// What to render.
#[derive(Clone, Copy)]
pub struct EditRequest<'a> {
    pub photo: &'a Rgb,
    pub face: &'a Face,
    /// The mask before and after painting, at the photo's size.
    pub source_mask: &'a Labels,
    pub target_mask: &'a Labels,
    /// Classes that are rendered again wherever they are, because their style is not the photo's.
    pub restyled: [bool; CLASS_COUNT],
}

impl<'a> EditRequest<'a> {
    /// An edit by the mask alone.
    pub fn new(
        photo: &'a Rgb,
        face: &'a Face,
        source_mask: &'a Labels,
        target_mask: &'a Labels,
    ) -> Self {
        Self {
            photo,
            face,
            source_mask,
            target_mask,
            restyled: [false; CLASS_COUNT],
        }
    }
}

/// How fine to render.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// A window of 128²: about a quarter of the time.
    Preview,
    /// A window of 256².
    Full,
}

impl Quality {
    fn window_px(self) -> usize {
        match self {
            Self::Preview => 128,
            Self::Full => 256,
        }
    }
}

/// A part of the photo after the edit. Outside the edit and its feather it equals the photo byte for byte.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderedPatch {
    pub rect: Rect,
    /// The pixels of `rect`.
    pub rgb: Rgb,
}

/// Renders an edit. None: nothing changed inside the face's crop.
///
/// # Errors
/// When cancelled, a mask has another size, there is no generator, or it fails.
pub fn render<T>(
    models: &FaceModels,
    request: &EditRequest,
    style: &StyleCodes,
    quality: Quality,
    out: &Out<T>,
) -> Result<Option<RenderedPatch>> {
    let generator = models.generator()?;
    render_with(request, quality, out, |window, photo, target| {
        generator
            .render(
                style,
                photo,
                target,
                &window.hole,
                window.in_crop.map(|v| v as f32),
            )
            .context("Failed to render the edit")
    })
}

/// [`render`] with any renderer: it gets the window, the photo in it and the target mask in it.
pub fn render_with<T>(
    request: &EditRequest,
    quality: Quality,
    out: &Out<T>,
    renderer: impl FnOnce(&Window, &Rgb, &Labels) -> Result<Rgb>,
) -> Result<Option<RenderedPatch>> {
    const NOTE: &str = "Rendering the edit";
    let photo = request.photo;
    for mask in [request.source_mask, request.target_mask] {
        ensure_same_size(
            "mask",
            (mask.width, mask.height),
            (photo.width, photo.height),
        )?;
    }
    out.progress(0.0, NOTE)?;
    let change = Change {
        source: request.source_mask,
        target: request.target_mask,
        restyled: request.restyled,
    };
    let Some(window) = Window::around(&change, &request.face.image_from_crop, quality.window_px())
    else {
        return Ok(None);
    };
    let side = window.side_px;
    let seen = warp_rgb(photo, &window.image_from_window, side, side);
    let target = warp_labels(request.target_mask, &window.image_from_window, side, side);
    out.progress(0.1, NOTE)?;
    let rendered = renderer(&window, &seen, &target)?;
    ensure!(
        (rendered.width, rendered.height) == (side, side),
        "The rendering has another size than its window"
    );
    out.progress(0.8, NOTE)?;
    let rendered = match_colours(
        &rendered,
        &seen,
        &target,
        &window.ring(),
        &window.opacity,
        window.reach_px,
    );
    let blend = Blend {
        photo,
        source_mask: request.source_mask,
        target_mask: request.target_mask,
        rendered: &rendered,
        opacity: &window.opacity,
        distance: &window.distance,
        image_from_window: window.image_from_window,
    };
    let rect = blend.rect();
    if rect.is_empty() {
        return Ok(None);
    }
    let rgb = blend.run(rect);
    out.progress(1.0, NOTE)?;
    Ok(Some(RenderedPatch { rect, rgb }))
}

#[cfg(test)]
mod tests;
