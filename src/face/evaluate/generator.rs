//! Scores of the generator: whole faces, hidden parts, parts of other faces, and fine detail, each beside the fills
//! of [`baselines`](crate::face::baselines).
//!
//! Pictures of 256² are compared, within the hole: the whole crop for (a); for (b) and (d) the window around the part
//! that the app renders, cut from the photo's own pixels. For (c) the rendered window goes back into the crop, which
//! the judge parses. PSNR and SSIM are means over faces; Laplacian energies are summed over faces before they are
//! divided.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::cases::{Part, SIDE, small, transplanted, window_for};
use super::parser::parse_aligned;
use super::sheet::Sheet;
use super::{FACE_SIDE, Goal, Mean, mean_of};
use crate::face::baselines::{border_fill, class_mean_fill, telea_fill};
use crate::face::dataset::Faces;
use crate::face::edit::{FaceModels, Window};
use crate::face::generator::{Generator, StyleCodes};
use crate::face::mask::{Labels, distance_outside};
use crate::face::metrics::{Confusion, laplacian_energy, psnr, ssim};
use crate::face::parser::Parser;
use crate::job::Out;
use crate::raster::{Grid, Rgb, Similarity, resize_rgb, warp_labels, warp_rgb};

/// How a hole is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    Generator,
    Border,
    Telea,
    ClassMean,
}

impl Fill {
    /// All, the generator first.
    pub const ALL: [Self; 4] = [Self::Generator, Self::Border, Self::Telea, Self::ClassMean];

    /// What to call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generator => "generator",
            Self::Border => "border colour",
            Self::Telea => "Telea",
            Self::ClassMean => "class mean",
        }
    }
}

/// One way to fill, within the hole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scores {
    pub fill: Fill,
    pub psnr_db: Option<f64>,
    pub ssim: Option<f64>,
    /// Laplacian energy of the filling over that of the photo.
    pub laplacian_ratio: Option<f64>,
}

/// (a): the whole crop from the true mask and the face's own style.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WholeScores {
    pub faces: u32,
    pub fills: Vec<Scores>,
    /// Over filling each class with its mean colour.
    pub gain_over_class_mean_db: Option<f64>,
}

/// (b): one part hidden, everything else given.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartScores {
    pub part: Part,
    pub faces: u32,
    pub fills: Vec<Scores>,
    pub gain_over_telea_db: Option<f64>,
    pub gain_over_class_mean_db: Option<f64>,
}

/// (c): a part of another face painted in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TransplantScores {
    pub part: Part,
    pub faces: u32,
    /// Mean IoU of the part's classes in the hole, as the judge parses the picture: each filling against the painted
    /// mask.
    pub iou: Vec<(Fill, Option<f64>)>,
    /// The unedited photo against its own truth, in the same holes.
    pub iou_of_photo: Option<f64>,
}

/// Everything measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GeneratorReport {
    pub faces: usize,
    pub whole: WholeScores,
    pub parts: Vec<PartScores>,
    pub transplants: Vec<TransplantScores>,
    pub goals: Vec<Goal>,
}

/// The report, and pictures to look at: source, masked, result, wanted.
pub struct Evaluation {
    pub report: GeneratorReport,
    pub sheet: Rgb,
}

/// Scores the generator on a folder. `judge` parses the results: a parser that took no part in the generator's
/// training.
///
/// # Errors
/// When cancelled, the folder holds no pairs, there is no generator, or a network fails.
pub fn evaluate_generator<T>(
    models: &FaceModels,
    judge: &Parser,
    dir: &Path,
    out: &Out<T>,
) -> Result<Evaluation> {
    out.progress(0.0, "Reading faces")?;
    let faces = Faces::load(dir, FACE_SIDE)?;
    let generator = models.generator()?;
    let render =
        |style: &StyleCodes, photo: &Rgb, target: &Labels, hole: &Grid<u8>, window: [f32; 4]| {
            Ok(generator.render(style, photo, target, hole, window)?)
        };
    let style = |photo: &Rgb, mask: &Labels| Ok(Generator::style(generator, photo, mask)?);
    evaluate(
        &faces,
        &style,
        &render,
        &|picture: &Rgb| parse_aligned(judge, &models.mesh, picture),
        out,
    )
}

type Style<'a, S> = &'a dyn Fn(&Rgb, &Labels) -> Result<S>;
type Render<'a, S> = &'a dyn Fn(&S, &Rgb, &Labels, &Grid<u8>, [f32; 4]) -> Result<Rgb>;
type Judge<'a> = &'a dyn Fn(&Rgb) -> Result<Labels>;

/// The evaluation with any networks.
fn evaluate<T, S>(
    faces: &Faces,
    style_of: Style<S>,
    render: Render<S>,
    judge: Judge,
    out: &Out<T>,
) -> Result<Evaluation> {
    let mut whole = Tally::default();
    let mut parts: Vec<Tally> = vec![Tally::default(); Part::ALL.len()];
    let mut transplants: Vec<Transplants> = vec![Transplants::default(); Part::TRANSPLANTED.len()];
    let mut sheet = Sheet::default();
    let smalls: Vec<Labels> = faces.masks.iter().map(small).collect();
    for (i, (photo, fine_mask)) in faces.photos.iter().zip(&faces.masks).enumerate() {
        out.progress(i as f32 / faces.len() as f32, "Rendering faces")?;
        let mask = &smalls[i];
        let truth = resize_rgb(photo, SIDE, SIDE);
        let face = Case {
            photo,
            truth: &truth,
            mask,
            style: style_of(&truth, mask)?,
            render,
        };

        let hole = Grid::new(SIDE, SIDE, 1u8);
        let result = (face.render)(&face.style, &truth, mask, &hole, [0.0, 0.0, 1.0, 1.0])?;
        sheet.add(0, &truth, &hole, &result, &truth);
        whole.add(&truth, &face.fills(&truth, result, mask, &hole), &hole);

        for (k, part) in Part::ALL.into_iter().enumerate() {
            out.progress(i as f32 / faces.len() as f32, "Rendering faces")?;
            let Some(view) = part
                .region(mask)
                .and_then(|region| face.view(&region, fine_mask))
            else {
                continue;
            };
            let result = face.render(&view)?;
            let hole = &view.window.hole;
            sheet.add(1 + k, &view.photo, hole, &result, &view.photo);
            parts[k].add(
                &view.photo,
                &face.fills(&view.photo, result, &view.target, hole),
                hole,
            );
        }

        let other = &faces.masks[(i + 1) % smalls.len()];
        for (k, part) in Part::TRANSPLANTED.into_iter().enumerate() {
            out.progress(i as f32 / faces.len() as f32, "Rendering faces")?;
            let Some(fine_target) = transplanted(part, fine_mask, other) else {
                continue;
            };
            let target = small(&fine_target);
            let mut changed = target.clone();
            for (c, (a, b)) in changed
                .data
                .iter_mut()
                .zip(target.data.iter().zip(&mask.data))
            {
                *c = u8::from(a != b);
            }
            let Some(view) = face.view(&changed, &fine_target) else {
                continue;
            };
            let (result, hole) = face.back_in_crop(&view, &face.render(&view)?, &changed);
            sheet.add_painted(1 + Part::ALL.len() + k, &truth, &hole, &result, &target);
            let fills = face.fills(&truth, result, &target, &hole);
            transplants[k].add(judge, &truth, mask, &target, &fills, &hole)?;
        }
    }
    out.progress(1.0, "Rendering faces")?;
    let report = GeneratorReport::new(faces.len(), &whole, &parts, &transplants);
    Ok(Evaluation {
        report,
        sheet: sheet.picture(),
    })
}

/// One face and how it is rendered.
struct Case<'a, S> {
    /// The photo at its own size, and at [`SIDE`]².
    photo: &'a Rgb,
    truth: &'a Rgb,
    mask: &'a Labels,
    style: S,
    render: Render<'a, S>,
}

/// A window of a face as the app would cut it, and what is wanted there.
struct View {
    window: Window,
    photo: Rgb,
    target: Labels,
}

impl<S> Case<'_, S> {
    /// The window for a change of the crop at [`SIDE`]². The target may be finer: a painted mask has the photo's size.
    fn view(&self, changed: &Grid<u8>, target: &Labels) -> Option<View> {
        let window = window_for(changed, self.photo.width)?;
        let side = window.side_px;
        let photo_from_crop =
            Similarity::scale_shift(self.photo.width as f64 / SIDE as f64, 0.0, 0.0);
        let target_from_crop = Similarity::scale_shift(target.width as f64 / SIDE as f64, 0.0, 0.0);
        let photo_from_window = window.image_from_window.then(&photo_from_crop);
        Some(View {
            photo: warp_rgb(self.photo, &photo_from_window, side, side),
            target: warp_labels(
                target,
                &window.image_from_window.then(&target_from_crop),
                side,
                side,
            ),
            window,
        })
    }

    fn render(&self, view: &View) -> Result<Rgb> {
        let place = view.window.in_crop.map(|v| v as f32);
        (self.render)(
            &self.style,
            &view.photo,
            &view.target,
            &view.window.hole,
            place,
        )
    }

    /// The crop at [`SIDE`]² with a rendered window in it, and the hole there: grown from the same pixels by the same
    /// reach.
    fn back_in_crop(&self, view: &View, rendered: &Rgb, changed: &Grid<u8>) -> (Rgb, Grid<u8>) {
        let crop_from_window = &view.window.image_from_window;
        let reach_px = view.window.reach_px * crop_from_window.scale() as f32;
        let hole = distance_outside(changed).map(|&d| u8::from(d <= reach_px));
        let back = warp_rgb(rendered, &crop_from_window.inverse(), SIDE, SIDE);
        let mut result = self.truth.clone();
        for (i, _) in hole.data.iter().enumerate().filter(|(_, v)| **v == 1) {
            result.data[3 * i..3 * i + 3].copy_from_slice(&back.data[3 * i..3 * i + 3]);
        }
        (result, hole)
    }

    /// The result and the three baselines for the same hole, in the order of [`Fill::ALL`].
    fn fills(&self, photo: &Rgb, result: Rgb, target: &Labels, hole: &Grid<u8>) -> [Rgb; 4] {
        let ((border, telea), mean) = rayon::join(
            || rayon::join(|| border_fill(photo, hole), || telea_fill(photo, hole)),
            || class_mean_fill(photo, target, hole, self.truth, self.mask),
        );
        [result, border, telea, mean]
    }
}

/// Sums over the faces of one kind of hole.
#[derive(Clone, Default)]
struct Tally {
    faces: u32,
    psnr: [Mean; 4],
    ssim: [Mean; 4],
    gains: [Mean; 4],
    energy: [f64; 4],
    true_energy: f64,
}

impl Tally {
    fn add(&mut self, truth: &Rgb, fills: &[Rgb; 4], hole: &Grid<u8>) {
        self.faces += 1;
        let weight = hole.data.iter().filter(|&&v| v != 0).count() as f64;
        let energy = |picture: &Rgb| laplacian_energy(picture, Some(hole)).unwrap_or(0.0) * weight;
        self.true_energy += energy(truth);
        let own = psnr(&fills[0], truth, Some(hole));
        for (i, fill) in fills.iter().enumerate() {
            let value = psnr(fill, truth, Some(hole));
            self.psnr[i].add(value);
            self.ssim[i].add(ssim(fill, truth, Some(hole)));
            self.gains[i].add(own.zip(value).map(|(own, other)| own - other));
            self.energy[i] += energy(fill);
        }
    }

    fn scores(&self) -> Vec<Scores> {
        let score = |(i, fill): (usize, Fill)| Scores {
            fill,
            psnr_db: self.psnr[i].get(),
            ssim: self.ssim[i].get(),
            laplacian_ratio: (self.true_energy > 0.0).then(|| self.energy[i] / self.true_energy),
        };
        Fill::ALL.into_iter().enumerate().map(score).collect()
    }

    fn gain_over(&self, fill: Fill) -> Option<f64> {
        let index = Fill::ALL.iter().position(|f| *f == fill)?;
        self.gains[index].get()
    }
}

/// What the judge sees of one transplanted part, over all faces.
#[derive(Clone, Default)]
struct Transplants {
    faces: u32,
    fills: [Confusion; 4],
    photo: Confusion,
}

impl Transplants {
    fn add(
        &mut self,
        judge: Judge,
        truth: &Rgb,
        mask: &Labels,
        target: &Labels,
        fills: &[Rgb; 4],
        hole: &Grid<u8>,
    ) -> Result<()> {
        self.faces += 1;
        for (confusion, fill) in self.fills.iter_mut().zip(fills) {
            confusion.add_within(target, &judge(fill)?, hole)?;
        }
        self.photo.add_within(mask, &judge(truth)?, hole)
    }
}

impl GeneratorReport {
    fn new(faces: usize, whole: &Tally, parts: &[Tally], transplants: &[Transplants]) -> Self {
        let whole = WholeScores {
            faces: whole.faces,
            fills: whole.scores(),
            gain_over_class_mean_db: whole.gain_over(Fill::ClassMean),
        };
        let parts: Vec<PartScores> = Part::ALL
            .into_iter()
            .zip(parts)
            .map(|(part, tally)| PartScores {
                part,
                faces: tally.faces,
                fills: tally.scores(),
                gain_over_telea_db: tally.gain_over(Fill::Telea),
                gain_over_class_mean_db: tally.gain_over(Fill::ClassMean),
            })
            .collect();
        let transplants: Vec<TransplantScores> = Part::TRANSPLANTED
            .into_iter()
            .zip(transplants)
            .map(|(part, seen)| {
                let iou = |confusion: &Confusion| confusion.mean_iou_of(part.classes());
                TransplantScores {
                    part,
                    faces: seen.faces,
                    iou: Fill::ALL
                        .into_iter()
                        .zip(seen.fills.iter().map(iou))
                        .collect(),
                    iou_of_photo: iou(&seen.photo),
                }
            })
            .collect();
        let goals = goals(&whole, &parts, &transplants);
        Self {
            faces,
            whole,
            parts,
            transplants,
            goals,
        }
    }
}

fn goals(whole: &WholeScores, parts: &[PartScores], transplants: &[TransplantScores]) -> Vec<Goal> {
    let telea = mean_of(parts.iter().map(|p| p.gain_over_telea_db));
    let class_mean = mean_of(parts.iter().map(|p| p.gain_over_class_mean_db));
    let drop = mean_of(transplants.iter().map(|t| {
        let own = t.iou.first().and_then(|(_, iou)| *iou);
        t.iou_of_photo.zip(own).map(|(photo, own)| photo - own)
    }));
    let ratios: Vec<Option<f64>> = parts
        .iter()
        .map(|p| p.fills.first().and_then(|s| s.laplacian_ratio))
        .collect();
    let ratio = mean_of(ratios);
    vec![
        Goal::at_least(
            "(a) whole face: gain over class mean, dB",
            whole.gain_over_class_mean_db,
            1.5,
        ),
        Goal::at_least("(b) hidden parts: mean gain over Telea, dB", telea, 5.0),
        Goal::at_least(
            "(b) hidden parts: mean gain over class mean, dB",
            class_mean,
            4.5,
        ),
        Goal::at_most(
            "(c) transplanted parts: IoU lost against the photo",
            drop,
            0.03,
        ),
        Goal::at_least("(d) Laplacian energy in parts, over real", ratio, 0.6),
        Goal::at_most("(d) Laplacian energy in parts, over real", ratio, 1.3),
    ]
}

#[cfg(test)]
mod tests;
