//! Samples for the generator's training: which face, which hole, which window, and what the networks read of it.
//!
//! Windows around a part are taken at their photo's own pixels (half the crop's side at 256², a quarter at 512²), so
//! that the network learns texture; whole crops at 128² and 256² teach it the rest.

use super::dataset::{Faces, Placing, Sample, Variation, open_rgb, vary};
use super::generator::{
    PIXELS, STYLE_SIDE, StyleInput, WindowInput, class_shares, place, window_pixels,
};
use super::holes::{Hole, bounds, draw};
use super::labels::CLASS_COUNT;
use super::parser::Parser;
use super::style::{self, NUMBERS};
use crate::job::Out;
use crate::people::face_mesh::FaceMesh;
use crate::raster::{Grid, Rgb, resize_labels, resize_rgb};
use anyhow::{Context as _, Result};
use candle_core::{Device, Tensor};
use rand::Rng;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Losses on features are divided by the hidden share; smaller holes than this are not raised further.
const LEAST_SHARE: f64 = 0.03;

pub(super) const VARIATION: Variation = Variation {
    rotation_deg: 3.0,
    scale: 0.04,
    shift: 0.01,
    photometric: 0.0,
};

/// Side of most windows.
pub(super) const SIDE: usize = 128;

/// A face to draw samples from, at 256² and, when the source has them, 512² pixels.
pub(super) struct Face {
    at_256: (Rgb, Grid<u8>),
    at_512: Option<(Rgb, Grid<u8>)>,
}

/// How a sample shows the crop.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// The whole crop at 128².
    Small,
    /// The whole crop at 256².
    Whole,
    /// Half the crop's side at its 256² pixels, or a quarter at its 512² pixels.
    Window,
}

/// One sample, ready to be batched.
pub(super) struct Prepared {
    style_planes: Vec<f32>,
    style_mask: Vec<u8>,
    numbers: Vec<f32>,
    present: Vec<f32>,
    planes: Vec<f32>,
    labels: Vec<u8>,
    hole: Vec<f32>,
    pixels: Vec<f32>,
    window: [f32; 4],
    /// Whether the window shows 512² pixels.
    is_fine: bool,
}

/// Halves planes by averaging, labels by taking the upper left.
fn halve(planes: &[f32], mask: &[u8], side: usize) -> (Vec<f32>, Vec<u8>) {
    let half = side / 2;
    let mut out = Vec::with_capacity(planes.len() / 4);
    for plane in planes.chunks_exact(side * side) {
        for y in 0..half {
            let (a, b) = (
                &plane[2 * y * side..][..side],
                &plane[(2 * y + 1) * side..][..side],
            );
            out.extend(
                (0..half).map(|x| (a[2 * x] + a[2 * x + 1] + b[2 * x] + b[2 * x + 1]) / 4.0),
            );
        }
    }
    let labels = (0..half * half)
        .map(|i| mask[(i / half) * 2 * side + (i % half) * 2])
        .collect();
    (out, labels)
}

/// The square of `side` pixels at (x, y) of planes and labels of `from` pixels a side.
fn cut(
    planes: &[f32],
    mask: &[u8],
    from: usize,
    x: usize,
    y: usize,
    side: usize,
) -> (Vec<f32>, Vec<u8>) {
    let rows = |r: usize| (y + r) * from + x..(y + r) * from + x + side;
    let mut out = Vec::with_capacity(3 * side * side);
    for plane in planes.chunks_exact(from * from) {
        (0..side).for_each(|r| out.extend_from_slice(&plane[rows(r)]));
    }
    (
        out,
        (0..side)
            .flat_map(|r| mask[rows(r)].iter().copied())
            .collect(),
    )
}

/// Draws what to hide for a view.
pub(super) fn draw_kind(view: View, rng: &mut impl Rng) -> Hole {
    let at = rng.random::<f32>();
    let table: &[(f32, Hole)] = match view {
        View::Window => &[
            (0.72, Hole::Parts),
            (0.84, Hole::HairEdge),
            (1.0, Hole::Strokes),
        ],
        _ => &[
            (0.5, Hole::Whole),
            (0.62, Hole::Face),
            (0.76, Hole::Hair),
            (0.9, Hole::Parts),
            (1.0, Hole::Strokes),
        ],
    };
    table
        .iter()
        .find(|(until, _)| at < *until)
        .map_or(Hole::Parts, |t| t.1)
}

/// Builds a sample of `face`.
pub(super) fn prepare(
    face: &Face,
    view: View,
    kind: Hole,
    fallback: &[[f32; 3]; CLASS_COUNT],
    variation: Option<Variation>,
    rng: &mut impl Rng,
) -> Prepared {
    let coarse = &face.at_256;
    let wants_fine = view == View::Window && kind != Hole::HairEdge && rng.random_bool(0.5);
    let fine = face.at_512.as_ref().filter(|_| wants_fine);
    let (photo, mask) = fine.unwrap_or(coarse);
    let full = mask.width;
    let varied = match variation {
        Some(v) => vary(photo, mask, v, rng),
        None => Sample {
            photo: style::planes_of(photo),
            mask: mask.data.clone(),
            placing: Placing::UNCHANGED,
        },
    };
    let (style_planes, style_mask) = if full == STYLE_SIDE {
        (varied.photo.clone(), varied.mask.clone())
    } else {
        halve(&varied.photo, &varied.mask, full)
    };
    let hole = draw(kind, &style_mask, STYLE_SIDE, rng);
    let [x0, y0, x1, y1] = bounds(&hole, STYLE_SIDE);
    let extent = (x1 - x0).max(y1 - y0);
    // A hole needs surroundings to fit into: large ones are shown at the coarser scale.
    let is_fine = fine.is_some() && extent < 52;
    let (planes, labels, window, shown) = match view {
        View::Whole => (varied.photo, varied.mask, [0.0, 0.0, 1.0, 1.0], STYLE_SIDE),
        View::Small => {
            let (p, l) = halve(&style_planes, &style_mask, STYLE_SIDE);
            (p, l, [0.0, 0.0, 1.0, 1.0], STYLE_SIDE)
        }
        View::Window => {
            let shown = if is_fine { SIDE / 2 } else { SIDE };
            let mut start = |from: usize, to: usize| {
                let jitter = rng.random_range(-0.15f32..0.15) * shown as f32;
                let at = (from + to) as f32 / 2.0 - shown as f32 / 2.0 + jitter;
                at.clamp(0.0, (STYLE_SIDE - shown) as f32) as usize
            };
            let (wx, wy) = (start(x0, x1), start(y0, y1));
            let unit = STYLE_SIDE as f32;
            let window = [
                wx as f32 / unit,
                wy as f32 / unit,
                (wx + shown) as f32 / unit,
                (wy + shown) as f32 / unit,
            ];
            let (p, l) = if is_fine {
                cut(&varied.photo, &varied.mask, full, 2 * wx, 2 * wy, SIDE)
            } else {
                cut(&style_planes, &style_mask, STYLE_SIDE, wx, wy, SIDE)
            };
            (p, l, window, shown)
        }
    };
    let side = if view == View::Whole {
        STYLE_SIDE
    } else {
        SIDE
    };
    let (ox, oy) = (
        (window[0] * STYLE_SIDE as f32) as usize,
        (window[1] * STYLE_SIDE as f32) as usize,
    );
    let hole: Vec<f32> = (0..side * side)
        .map(|i| {
            let (x, y) = (ox + i % side * shown / side, oy + i / side * shown / side);
            f32::from(u8::from(hole[y * STYLE_SIDE + x]))
        })
        .collect();
    let colours = style::class_colours(&style_planes, &style_mask, STYLE_SIDE);
    let mut present: Vec<f32> = colours
        .iter()
        .map(|c| f32::from(u8::from(c.share > 0.0)))
        .collect();
    let mut shown_colours = colours;
    if variation.is_some() {
        // Now and then a class is taken away, so that the codes of absent classes are learned.
        for (p, c) in present.iter_mut().zip(&mut shown_colours) {
            if rng.random_bool(0.04) {
                *p = 0.0;
                *c = style::ClassColour::default();
            }
        }
    }
    let base = style::base_picture(&shown_colours, fallback, &labels, side, window);
    Prepared {
        pixels: window_pixels(&planes, &hole, &base, side),
        numbers: shown_colours.iter().flat_map(|c| c.numbers()).collect(),
        present,
        style_planes,
        style_mask,
        planes,
        labels,
        hole,
        window,
        is_fine,
    }
}

/// A batch of samples of one view, as tensors.
pub(super) struct Batch {
    pub style: StyleInput,
    pub present: Tensor,
    pub window: WindowInput,
    /// [N, 3, S, S] in [−1, 1].
    pub photo: Tensor,
    /// [N, 1, S, S].
    pub hole: Tensor,
    /// One-hot target [N, 19, S, S].
    pub classes: Tensor,
    /// Hole over (3 · its area · N): weights whose product with an error summed is the mean error in the holes.
    pub weight: Tensor,
    pub share: f64,
    pub windows: Vec<[f32; 4]>,
    pub fine: Vec<bool>,
}

pub(super) fn batch(samples: Vec<Prepared>, side: usize) -> Result<Batch> {
    let cpu = &Device::Cpu;
    let n = samples.len();
    let gather = |f: &dyn Fn(&Prepared) -> &[f32]| {
        samples
            .iter()
            .flat_map(|s| f(s).iter().copied())
            .collect::<Vec<f32>>()
    };
    let hole = gather(&|s| &s.hole);
    let mut weight = Vec::with_capacity(hole.len());
    for s in &samples {
        let area: f32 = s.hole.iter().sum();
        weight.extend(s.hole.iter().map(|h| h / (3.0 * area.max(1.0) * n as f32)));
    }
    let share = f64::from(hole.iter().sum::<f32>()) / hole.len() as f64;
    let labels: Vec<u8> = samples
        .iter()
        .flat_map(|s| s.labels.iter().copied())
        .collect();
    let style_labels: Vec<u8> = samples
        .iter()
        .flat_map(|s| s.style_mask.iter().copied())
        .collect();
    let windows: Vec<[f32; 4]> = samples.iter().map(|s| s.window).collect();
    let pixels = Tensor::from_vec(gather(&|s| &s.pixels), (n, PIXELS - 3, side, side), cpu)?;
    Ok(Batch {
        style: StyleInput {
            photo: Tensor::from_vec(
                gather(&|s| &s.style_planes),
                (n, 3, STYLE_SIDE, STYLE_SIDE),
                cpu,
            )?,
            shares: class_shares(&style_labels, n, STYLE_SIDE, 4, cpu)?,
            numbers: Tensor::from_vec(gather(&|s| &s.numbers), (n, CLASS_COUNT, NUMBERS), cpu)?,
        },
        present: Tensor::from_vec(gather(&|s| &s.present), (n, CLASS_COUNT, 1), cpu)?,
        photo: Tensor::from_vec(gather(&|s| &s.planes), (n, 3, side, side), cpu)?,
        hole: Tensor::from_vec(hole, (n, 1, side, side), cpu)?,
        classes: class_shares(&labels, n, side, 1, cpu)?,
        weight: Tensor::from_vec(weight, (n, 1, side, side), cpu)?,
        window: WindowInput {
            pixels: Tensor::cat(&[pixels, place(&windows, side, cpu)?], 1)?,
            labels,
        },
        share: share.max(LEAST_SHARE),
        fine: samples.iter().map(|s| s.is_fine).collect(),
        windows,
    })
}

/// The picture with only its hole replaced.
pub(super) fn composite(b: &Batch, out: &Tensor) -> Result<Tensor> {
    let keep = (1.0 - &b.hole)?;
    Ok((out.broadcast_mul(&b.hole)? + b.photo.broadcast_mul(&keep)?)?)
}

/// Mean colour of every class over `faces`.
pub(super) fn class_means(faces: &[Face]) -> [[f32; 3]; CLASS_COUNT] {
    let mut sums = [[0f64; 4]; CLASS_COUNT];
    for face in faces {
        for (sum, c) in sums
            .iter_mut()
            .zip(style::class_colours_of(&face.at_256.0, &face.at_256.1))
        {
            for k in 0..3 {
                sum[k] += f64::from(c.mean[k] * c.share);
            }
            sum[3] += f64::from(c.share);
        }
    }
    sums.map(|s| std::array::from_fn(|k| (s[k] / s[3].max(1e-9)) as f32))
}

/// Faces with masks at both sizes; (training, held out).
pub(super) fn labelled(folder: &Path) -> Result<(Vec<Face>, Vec<Face>)> {
    let (train, held_out) = Faces::load(folder, 512)?.split();
    let faces = |set: Faces| -> Vec<Face> {
        let pairs = set.photos.into_par_iter().zip(set.masks);
        pairs
            .map(|(photo, mask)| Face {
                at_256: (resize_rgb(&photo, 256, 256), resize_labels(&mask, 256, 256)),
                at_512: Some((photo, mask)),
            })
            .collect()
    };
    Ok((faces(train), faces(held_out)))
}

/// Faces without masks, which `parser` makes, told by `mesh`.
pub(super) fn unlabelled(
    folder: &Path,
    count: usize,
    parser: &Parser,
    mesh: &FaceMesh,
    out: &Out<()>,
) -> Result<Vec<Face>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .with_context(|| format!("Failed to read the folder {}", folder.display()))?
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "jpg" || e == "png"))
        .collect();
    paths.sort();
    // Spread over the folder: neighbours may be the same person.
    let step = (paths.len() / count.max(1)).max(1);
    let paths: Vec<_> = paths.into_iter().step_by(step).take(count).collect();
    let mut faces = Vec::with_capacity(paths.len());
    for (i, path) in paths.iter().enumerate() {
        let photo = resize_rgb(&open_rgb(path)?, 256, 256);
        let labels = parser
            .probabilities(&photo, &mesh.in_aligned_crop(&photo)?)?
            .argmax(0)?
            .flatten_all()?
            .to_vec1::<u32>()?;
        let mask = Grid::from_vec(256, 256, labels.into_iter().map(|l| l as u8).collect())?;
        faces.push(Face {
            at_256: (photo, mask),
            at_512: None,
        });
        out.progress(
            0.0,
            format!("Parsing face {} of {}", (i + 1) / 100 * 100, paths.len()),
        )?;
    }
    Ok(faces)
}
