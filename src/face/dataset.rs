//! Faces to train on: folders of aligned photos and masks, kept in memory, and how each sample is varied.
//!
//! Layout as the evaluation's: `images/NAME.jpg`, `masks/NAME.png` (ids 0–18). Masks of CelebAMask-HQ exchange left
//! and right in about 7 % of the images: [`repair_truth`] puts them right by position. Augmentation is geometric
//! (flip, rotation, scale, shift), photometric (gamma, contrast, colour, grey, blur, noise), and copies rare parts
//! (hats, glasses, earrings, necklaces) from face to face, which the common alignment allows.

use super::labels::{CLASS_COUNT, SIDED, flip_pair};
use crate::raster::{Grid, Rgb, resize_labels, resize_rgb};
use anyhow::{Context as _, Result, ensure};
use rand::Rng;
use rayon::prelude::*;
use std::path::Path;

/// Photos with masks of the same side.
pub struct Faces {
    /// Side of photos and masks, in pixels.
    pub side: usize,
    /// File names without ending, sorted.
    pub names: Vec<String>,
    /// Aligned photos, `side` × `side`.
    pub photos: Vec<Rgb>,
    /// Class ids of their pixels.
    pub masks: Vec<Grid<u8>>,
}

/// Names of the files in `folder` with one of `endings`, sorted, as (stem, path).
fn listed(folder: &Path, endings: &[&str]) -> Result<Vec<(String, std::path::PathBuf)>> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("Failed to read the folder {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let fits = |e: &std::ffi::OsStr| endings.iter().any(|known| e.eq_ignore_ascii_case(known));
        if let (Some(stem), true) = (path.file_stem(), path.extension().is_some_and(fits)) {
            found.push((stem.to_string_lossy().into_owned(), path.clone()));
        }
    }
    found.sort();
    Ok(found)
}

impl Faces {
    /// Reads all pairs of `folder`, shrunk to `side`.
    ///
    /// # Errors
    /// When there is no pair, or a file is no picture; the message ends with its path.
    pub fn load(folder: &Path, side: usize) -> Result<Self> {
        let files = listed(&folder.join("images"), &["jpg", "jpeg", "png"])?;
        ensure!(
            !files.is_empty(),
            "There are no photos in {}",
            folder.join("images").display()
        );
        let loaded: Vec<(String, Rgb, Grid<u8>)> = files
            .into_par_iter()
            .map(|(name, path)| {
                let photo = open_rgb(&path)?;
                let mask_path = folder.join("masks").join(&name).with_extension("png");
                let mask = image::open(&mask_path)
                    .with_context(|| format!("Failed to read {}", mask_path.display()))?
                    .into_luma8();
                let (w, h) = (mask.width() as usize, mask.height() as usize);
                let mut mask = Grid::from_vec(w, h, mask.into_raw())?;
                ensure!(
                    mask.data.iter().all(|&id| usize::from(id) < CLASS_COUNT),
                    "Not a mask of ids 0–18: {}",
                    mask_path.display()
                );
                repair_truth(&mut mask);
                Ok((
                    name,
                    resize_rgb(&photo, side, side),
                    resize_labels(&mask, side, side),
                ))
            })
            .collect::<Result<_>>()?;
        let mut faces = Self {
            side,
            names: Vec::new(),
            photos: Vec::new(),
            masks: Vec::new(),
        };
        for (name, photo, mask) in loaded {
            faces.names.push(name);
            faces.photos.push(photo);
            faces.masks.push(mask);
        }
        Ok(faces)
    }

    /// Divides into (training, validation): every ninth face is held out.
    pub fn split(self) -> (Self, Self) {
        let empty = || Self {
            side: self.side,
            names: Vec::new(),
            photos: Vec::new(),
            masks: Vec::new(),
        };
        let (mut train, mut held_out) = (empty(), empty());
        let all = self.names.into_iter().zip(self.photos).zip(self.masks);
        for (i, ((name, photo), mask)) in all.enumerate() {
            let to = if i % 9 == 4 {
                &mut held_out
            } else {
                &mut train
            };
            to.names.push(name);
            to.photos.push(photo);
            to.masks.push(mask);
        }
        (train, held_out)
    }

    /// Number of faces.
    pub fn len(&self) -> usize {
        self.photos.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.photos.is_empty()
    }
}

/// Reads a photo as 8-bit RGB.
pub fn open_rgb(path: &Path) -> Result<Rgb> {
    let photo = image::open(path)
        .with_context(|| format!("Failed to read {}", path.display()))?
        .into_rgb8();
    let (w, h) = (photo.width() as usize, photo.height() as usize);
    Rgb::from_vec(w, h, photo.into_raw())
}

/// Exchanges left and right classes where their order along the row says that the annotator mixed them up: parts
/// that occur on both sides vote, and sided parts follow the vote.
pub fn repair_truth(mask: &mut Grid<u8>) {
    let mut moments = [(0f64, 0f64); CLASS_COUNT];
    for row in mask.rows() {
        for (x, &id) in row.iter().enumerate() {
            if let Some(m) = moments.get_mut(id as usize) {
                m.0 += x as f64;
                m.1 += 1.0;
            }
        }
    }
    let mut votes = 0;
    for (l, r) in SIDED {
        let (l, r) = (usize::from(l), usize::from(r));
        if moments[l].1 > 0.0 && moments[r].1 > 0.0 {
            // "l_" is the subject's left: further right in the picture.
            votes += if moments[l].0 / moments[l].1 < moments[r].0 / moments[r].1 {
                1
            } else {
                -1
            };
        }
    }
    if votes > 0 {
        mask.data.iter_mut().for_each(|id| *id = flip_pair(*id));
    }
}

/// How far samples are varied.
#[derive(Clone, Copy, Debug)]
pub struct Variation {
    /// Standard deviation of the rotation, degrees.
    pub rotation_deg: f32,
    /// Standard deviation of the logarithm of the scale.
    pub scale: f32,
    /// Standard deviation of the shift, as a share of the side.
    pub shift: f32,
    /// Strength of colour and sharpness changes, 0 … 1.
    pub photometric: f32,
}

/// One sample: planes in [−1, 1] and class ids.
pub struct Sample {
    /// [3, side, side].
    pub photo: Vec<f32>,
    /// [side, side].
    pub mask: Vec<u8>,
    /// How it lies in the face that it was made from.
    pub placing: Placing,
}

/// Where a varied copy took its pixels from, in the unit square.
#[derive(Clone, Copy, Debug)]
pub struct Placing {
    /// Whether it is a mirror image.
    pub is_flipped: bool,
    /// Cosine and sine of the turn, divided by the scale.
    turn: [f32; 2],
    shift: [f32; 2],
}

impl Placing {
    /// As the face is.
    pub const UNCHANGED: Self = Self {
        is_flipped: false,
        turn: [1.0, 0.0],
        shift: [0.0; 2],
    };

    /// From points of the face to points of the sample, both in the unit square.
    pub fn place(&self, points: &[[f32; 2]]) -> Vec<[f32; 2]> {
        let [c, s] = self.turn;
        let square = (c * c + s * s).max(1e-9);
        let one = |&[x, y]: &[f32; 2]| {
            let (dx, dy) = (x - 0.5 - self.shift[0], y - 0.5 - self.shift[1]);
            let x = (c * dx + s * dy) / square + 0.5;
            let y = (c * dy - s * dx) / square + 0.5;
            [if self.is_flipped { 1.0 - x } else { x }, y]
        };
        points.iter().map(one).collect()
    }
}

/// Roughly normal random number: the sum of four uniform ones.
fn normal(rng: &mut impl Rng) -> f32 {
    let sum: f32 = (0..4).map(|_| rng.random::<f32>() - 0.5).sum();
    sum * 1.732
}

/// A varied copy of `photo` and `mask`, at their own size.
pub fn vary(photo: &Rgb, mask: &Grid<u8>, v: Variation, rng: &mut impl Rng) -> Sample {
    let side = mask.width;
    let angle = normal(rng) * v.rotation_deg.to_radians();
    let scale = (normal(rng) * v.scale).exp();
    let (dx, dy) = (
        normal(rng) * v.shift * side as f32,
        normal(rng) * v.shift * side as f32,
    );
    let is_flipped = rng.random::<bool>();
    let half = side as f32 / 2.0;
    let (c, s) = (angle.cos() / scale, angle.sin() / scale);
    let mut sample = Sample {
        photo: vec![0.0; 3 * side * side],
        mask: vec![0; side * side],
        placing: Placing {
            is_flipped,
            turn: [c, s],
            shift: [dx / side as f32, dy / side as f32],
        },
    };
    let (red, rest) = sample.photo.split_at_mut(side * side);
    let (green, blue) = rest.split_at_mut(side * side);
    let last = (side - 1) as f32;
    for y in 0..side {
        for x in 0..side {
            let fx = if is_flipped { side - 1 - x } else { x } as f32 + 0.5 - half;
            let fy = y as f32 + 0.5 - half;
            let sx = (c * fx - s * fy + half + dx - 0.5).clamp(0.0, last);
            let sy = (s * fx + c * fy + half + dy - 0.5).clamp(0.0, last);
            let (x0, y0) = (sx as usize, sy as usize);
            let (x1, y1) = ((x0 + 1).min(side - 1), (y0 + 1).min(side - 1));
            let (wx, wy) = (sx - x0 as f32, sy - y0 as f32);
            let at = y * side + x;
            let nearest = (sy + 0.5) as usize * side + (sx + 0.5) as usize;
            let id = mask.data[nearest.min(side * side - 1)];
            sample.mask[at] = if is_flipped { flip_pair(id) } else { id };
            let (a, b) = (3 * (y0 * side + x0), 3 * (y0 * side + x1));
            let (p, q) = (3 * (y1 * side + x0), 3 * (y1 * side + x1));
            for (k, plane) in [&mut *red, &mut *green, &mut *blue].into_iter().enumerate() {
                let d = &photo.data;
                let top = d[a + k] as f32 * (1.0 - wx) + d[b + k] as f32 * wx;
                let bottom = d[p + k] as f32 * (1.0 - wx) + d[q + k] as f32 * wx;
                plane[at] = (top * (1.0 - wy) + bottom * wy) / 127.5 - 1.0;
            }
        }
    }
    if v.photometric > 0.0 {
        photometric(&mut sample.photo, side, v.photometric, rng);
    }
    sample
}

/// Gamma, contrast, brightness, colour cast, saturation, blur and noise, each at random.
fn photometric(planes: &mut [f32], side: usize, strength: f32, rng: &mut impl Rng) {
    let area = side * side;
    let gamma = (normal(rng) * 0.25 * strength).exp();
    let contrast = (normal(rng) * 0.2 * strength).exp();
    let offset = normal(rng) * 0.1 * strength;
    let saturation = if rng.random::<f32>() < 0.08 * strength {
        0.0
    } else {
        (normal(rng) * 0.25 * strength).exp()
    };
    let cast: [f32; 3] = std::array::from_fn(|_| normal(rng) * 0.06 * strength);
    // Gamma through a table: a power per pixel would cost more than the warp.
    let table: Vec<f32> = (0..=255)
        .map(|i| (i as f32 / 255.0).powf(gamma) * 2.0 - 1.0)
        .collect();
    for i in 0..area {
        let rgb: [f32; 3] =
            std::array::from_fn(|k| table[((planes[k * area + i] + 1.0) * 127.5) as usize & 255]);
        let grey = 0.3 * rgb[0] + 0.59 * rgb[1] + 0.11 * rgb[2];
        for (k, v) in rgb.into_iter().enumerate() {
            planes[k * area + i] =
                ((grey + (v - grey) * saturation) * contrast + offset + cast[k]).clamp(-1.0, 1.0);
        }
    }
    if rng.random::<f32>() < 0.25 * strength {
        let factor = rng.random_range(1.5f32..5.0);
        planes
            .chunks_exact_mut(area)
            .for_each(|plane| blur(plane, side, factor));
    }
    if rng.random::<f32>() < 0.3 * strength {
        let sigma = rng.random_range(0.01f32..0.12);
        planes
            .iter_mut()
            .for_each(|v| *v = (*v + normal(rng) * sigma).clamp(-1.0, 1.0));
    }
}

/// Shrinks by `factor` and enlarges again: what a small face in a photo looks like.
fn blur(plane: &mut [f32], side: usize, factor: f32) {
    let small = ((side as f32 / factor) as usize).max(8);
    let ratio = side as f32 / small as f32;
    let mut shrunk = vec![0f32; small * small];
    for y in 0..small {
        for x in 0..small {
            let range = |i: usize| {
                ((i as f32 * ratio) as usize)..(((i + 1) as f32 * ratio).ceil() as usize).min(side)
            };
            let (ys, xs) = (range(y), range(x));
            let count = (ys.len() * xs.len()) as f32;
            let sum: f32 = ys
                .map(|y| plane[y * side..][xs.clone()].iter().sum::<f32>())
                .sum();
            shrunk[y * small + x] = sum / count;
        }
    }
    for y in 0..side {
        for x in 0..side {
            let at = |i: usize| (((i as f32 + 0.5) / ratio - 0.5).max(0.0)).min((small - 1) as f32);
            let (sy, sx) = (at(y), at(x));
            let (y0, x0) = (sy as usize, sx as usize);
            let (y1, x1) = ((y0 + 1).min(small - 1), (x0 + 1).min(small - 1));
            let (fy, fx) = (sy - y0 as f32, sx - x0 as f32);
            let top = shrunk[y0 * small + x0] * (1.0 - fx) + shrunk[y0 * small + x1] * fx;
            let bottom = shrunk[y1 * small + x0] * (1.0 - fx) + shrunk[y1 * small + x1] * fx;
            plane[y * side + x] = top * (1.0 - fy) + bottom * fy;
        }
    }
}

/// Rare parts and what is copied with them: (class that a donor must have, classes copied).
const RARE_PARTS: [(u8, &[u8]); 4] = [
    (14, &[14]),
    (3, &[3, 4, 5]),
    (15, &[15, 8, 9]),
    (16, &[16, 17]),
];

/// Which faces have which rare part, and how often each face is drawn.
pub struct RareParts {
    donors: [Vec<usize>; 4],
    /// Running sums of the drawing weights.
    weights: Vec<f32>,
}

impl RareParts {
    /// Looks through `masks`; parts of fewer than 1/2000 of the pixels do not count.
    pub fn find(masks: &[Grid<u8>]) -> Self {
        let mut donors: [Vec<usize>; 4] = Default::default();
        let mut weights = Vec::with_capacity(masks.len());
        let mut total = 0.0;
        for (i, mask) in masks.iter().enumerate() {
            let mut weight = 1.0;
            for (part, (class, _)) in RARE_PARTS.iter().enumerate() {
                let count = mask.data.iter().filter(|&id| id == class).count();
                if count * 2000 > mask.data.len() {
                    donors[part].push(i);
                    weight += [3.0, 2.0, 0.7, 3.0][part];
                }
            }
            total += weight;
            weights.push(total);
        }
        Self { donors, weights }
    }

    /// A face, those with rare parts more often.
    pub fn draw(&self, rng: &mut impl Rng) -> usize {
        let total = self.weights.last().copied().unwrap_or(0.0);
        let at = rng.random::<f32>() * total;
        self.weights
            .partition_point(|&w| w <= at)
            .min(self.weights.len().saturating_sub(1))
    }

    /// A random donor and the classes to copy from it; none where the set has no rare part.
    pub fn donor(&self, rng: &mut impl Rng) -> Option<(usize, &'static [u8])> {
        let part = rng.random_range(0..RARE_PARTS.len());
        let donors = self.donors.get(part)?;
        let pick = *donors.get(rng.random_range(0..donors.len().max(1)))?;
        RARE_PARTS.get(part).map(|p| (pick, p.1))
    }
}

/// Copies the pixels of `classes` from a donor into `photo` and `mask`.
pub fn copy_parts(
    photo: &mut Rgb,
    mask: &mut Grid<u8>,
    donor_photo: &Rgb,
    donor_mask: &Grid<u8>,
    classes: &[u8],
) {
    for (i, id) in donor_mask.data.iter().enumerate() {
        if classes.contains(id) {
            mask.data[i] = *id;
            photo.data[3 * i..3 * i + 3].copy_from_slice(&donor_photo.data[3 * i..3 * i + 3]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    fn face() -> (Rgb, Grid<u8>) {
        let mut mask = Grid::new(32, 32, 1u8);
        let mut photo = Rgb::new(32, 32, [100, 120, 140]);
        for y in 10..14 {
            for x in 5..10 {
                mask.set(x, y, 5);
                photo.set(x, y, [200, 10, 10]);
                mask.set(x + 16, y, 4);
                photo.set(x + 16, y, [10, 200, 10]);
            }
        }
        (photo, mask)
    }

    #[test]
    fn truth_with_exchanged_sides_is_put_right() {
        let (_, right) = face();
        let mut wrong = right.map(|&id| flip_pair(id));
        repair_truth(&mut wrong);
        assert_eq!(wrong, right);
        let mut kept = right.clone();
        repair_truth(&mut kept);
        assert_eq!(kept, right);
    }

    #[test]
    fn points_move_as_the_pixels_do() {
        let (photo, mask) = face();
        let v = Variation {
            rotation_deg: 8.0,
            scale: 0.1,
            shift: 0.05,
            photometric: 0.0,
        };
        // The middle of the right eye.
        let point = [7.5 / 32.0, 12.0 / 32.0];
        for seed in 0..20 {
            let s = vary(
                &photo,
                &mask,
                v,
                &mut rand::rngs::SmallRng::seed_from_u64(seed),
            );
            let id = if s.placing.is_flipped { 4 } else { 5 };
            let (mut x, mut y, mut n) = (0.0, 0.0, 0.0);
            for (i, _) in s.mask.iter().enumerate().filter(|(_, m)| **m == id) {
                x += (i % 32) as f32 + 0.5;
                y += (i / 32) as f32 + 0.5;
                n += 1.0;
            }
            let [px, py] = s.placing.place(&[point])[0];
            assert!((px * 32.0 - x / n).abs() < 0.6, "{seed}: {px} {}", x / n);
            assert!((py * 32.0 - y / n).abs() < 0.6, "{seed}: {py} {}", y / n);
        }
    }

    #[test]
    fn photo_and_mask_move_together_and_sides_stay_right() {
        let (photo, mask) = face();
        let v = Variation {
            rotation_deg: 5.0,
            scale: 0.05,
            shift: 0.02,
            photometric: 0.0,
        };
        for seed in 0..20 {
            let s = vary(
                &photo,
                &mask,
                v,
                &mut rand::rngs::SmallRng::seed_from_u64(seed),
            );
            let mean_x = |class: u8| {
                let xs: Vec<usize> = (0..1024)
                    .filter(|&i| s.mask[i] == class)
                    .map(|i| i % 32)
                    .collect();
                xs.iter().sum::<usize>() as f32 / xs.len() as f32
            };
            assert!(
                mean_x(4) > mean_x(5),
                "the subject's left eye lies at the right"
            );
            let inside = (0..1024).filter(|&i| s.mask[i] == 4 || s.mask[i] == 5);
            let coloured = inside
                .clone()
                .filter(|&i| (s.photo[i] - s.photo[1024 + i]).abs() > 0.3)
                .count();
            assert!(coloured as f32 > 0.6 * inside.count() as f32);
        }
    }

    #[test]
    fn parts_are_copied_with_their_pixels() {
        let (donor_photo, donor_mask) = face();
        let (mut photo, mut mask) = (Rgb::new(32, 32, [0, 0, 0]), Grid::new(32, 32, 0u8));
        copy_parts(&mut photo, &mut mask, &donor_photo, &donor_mask, &[5]);
        assert_eq!(mask.data.iter().filter(|&&id| id == 5).count(), 20);
        assert_eq!(photo.get(6, 11), Some([200, 10, 10]));
        assert_eq!(photo.get(22, 11), Some([0, 0, 0]));
    }
}
