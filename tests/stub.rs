//! Steps of the face tab without models: an oval face with eyes, brows and a mouth wherever the photo is, and
//! renders that paint changed pixels in one colour.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use anyhow::Result;
use vitruvian::face::edit::{EditRequest, Face, Quality, RenderedPatch, face_from_box};
use vitruvian::face::labels::id;
use vitruvian::face::mask::{Labels, changed_rect};
use vitruvian::job::Out;
use vitruvian::raster::{Grid, Rgb};
use vitruvian::ui::face::{OtherStyle, Steps, Style, Value};

/// What changed pixels become.
pub const EDITED: [u8; 3] = [250, 20, 200];
/// What pixels of parts with another photo's style become.
pub const RESTYLED: [u8; 3] = [20, 250, 120];

/// The stub. Its switches can be set while the window runs.
#[derive(Default)]
pub struct Stub {
    /// Boxes of the faces that are found.
    pub faces: Vec<[f32; 4]>,
    /// The models are still loading.
    pub late: AtomicBool,
    /// Renders wait, so that they can be cancelled.
    pub slow: AtomicBool,
    /// Renders fail.
    pub fails: AtomicBool,
    /// Renders that were begun.
    pub renders: AtomicUsize,
}

impl Stub {
    /// One face in the middle of a photo of this size.
    pub fn new(width: usize, height: usize) -> Arc<Self> {
        let [w, h] = [width as f32, height as f32];
        Arc::new(Self {
            faces: vec![[0.2 * w, 0.15 * h, 0.8 * w, 0.95 * h]],
            ..Default::default()
        })
    }

    /// The steps, once the models are loaded.
    pub fn load(self: Arc<Self>) -> Result<Arc<dyn Steps>> {
        while self.late.load(SeqCst) {
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(self)
    }

    /// No face at all.
    pub fn blind() -> Arc<Self> {
        Arc::default()
    }
}

/// Classes as ellipses: centre, half axes, in units of the face's box.
const PARTS: [(u8, [f32; 4]); 12] = [
    (id::CLOTH, [0.5, 1.25, 0.9, 0.3]),
    (id::NECK, [0.5, 0.98, 0.25, 0.3]),
    (id::HAIR, [0.5, 0.42, 0.62, 0.55]),
    (id::SKIN, [0.5, 0.52, 0.42, 0.48]),
    (id::R_BROW, [0.32, 0.34, 0.13, 0.03]),
    (id::L_BROW, [0.68, 0.34, 0.13, 0.03]),
    (id::R_EYE, [0.32, 0.42, 0.09, 0.035]),
    (id::L_EYE, [0.68, 0.42, 0.09, 0.035]),
    (id::NOSE, [0.5, 0.55, 0.08, 0.12]),
    (id::U_LIP, [0.5, 0.745, 0.17, 0.03]),
    (id::L_LIP, [0.5, 0.79, 0.15, 0.035]),
    (id::MOUTH, [0.5, 0.765, 0.13, 0.012]),
];

fn class_at([x, y]: [f32; 2], [left, top, right, bottom]: [f32; 4]) -> u8 {
    let (u, v) = ((x - left) / (right - left), (y - top) / (bottom - top));
    let inside =
        |[cx, cy, rx, ry]: [f32; 4]| ((u - cx) / rx).powi(2) + ((v - cy) / ry).powi(2) < 1.0;
    let top_most = PARTS.iter().rev().find(|(_, ellipse)| inside(*ellipse));
    top_most.map_or(id::BACKGROUND, |(class, _)| *class)
}

impl Steps for Stub {
    fn device(&self) -> &'static str {
        "paper"
    }

    fn find_faces(&self, _photo: &Rgb, _out: &Out<Value>) -> Result<Vec<Face>> {
        Ok(self.faces.iter().map(|bbox| face_from_box(*bbox)).collect())
    }

    fn parse(&self, photo: &Rgb, face: &Face, _out: &Out<Value>) -> Result<Labels> {
        let (width, height) = (photo.width, photo.height);
        let at = |i: usize| class_at([(i % width) as f32, (i / width) as f32], face.bbox_in_image);
        Grid::from_vec(width, height, (0..width * height).map(at).collect())
    }

    fn style(&self, _photo: &Rgb, _face: &Face, _labels: &Labels) -> Result<Style> {
        Ok(Arc::new(()))
    }

    fn render(
        &self,
        request: &EditRequest<'_>,
        _own: &Style,
        _other: Option<&OtherStyle>,
        _quality: Quality,
        out: &Out<Value>,
    ) -> Result<Option<RenderedPatch>> {
        self.renders.fetch_add(1, SeqCst);
        while self.slow.load(SeqCst) {
            out.progress(0.5, "Rendering")?;
            std::thread::sleep(Duration::from_millis(2));
        }
        anyhow::ensure!(!self.fails.load(SeqCst), "The generator is out of paint");
        let is_restyled = request.restyled.contains(&true);
        let changed = changed_rect(request.source_mask, request.target_mask);
        let rect = if is_restyled {
            request.photo.bounds()
        } else {
            changed
        };
        if rect.is_empty() {
            return Ok(None);
        }
        let mut rgb = request.photo.crop(rect);
        for (x, y) in (0..rect.height).flat_map(|y| (0..rect.width).map(move |x| (x, y))) {
            let (px, py) = (rect.x + x, rect.y + y);
            let target = *request.target_mask.get(px, py).unwrap();
            if request.source_mask.get(px, py) != Some(&target) {
                rgb.set(x, y, EDITED);
            } else if request.restyled[usize::from(target)] {
                rgb.set(x, y, RESTYLED);
            }
        }
        Ok(Some(RenderedPatch { rect, rgb }))
    }
}
