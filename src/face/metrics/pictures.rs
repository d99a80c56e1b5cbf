//! Scores of pictures against the true one. Values are 8-bit sRGB; a region is 1 where it counts, none means
//! everywhere.

use rayon::prelude::*;

use crate::raster::{Grid, Rect, Rgb};

/// Mean of the squared differences over the region's pixels and the three channels; none without pixels, or when
/// the sizes differ.
pub fn mean_squared_error(a: &Rgb, b: &Rgb, region: Option<&Grid<u8>>) -> Option<f64> {
    if (a.width, a.height) != (b.width, b.height)
        || region.is_some_and(|r| (r.width, r.height) != (a.width, a.height))
    {
        return None;
    }
    let (mut sum, mut count) = (0u64, 0u64);
    for (i, (p, q)) in a.pixels().zip(b.pixels()).enumerate() {
        if region.is_none_or(|r| r.data.get(i).is_some_and(|&v| v != 0)) {
            let square = |c: usize| u64::from(p[c].abs_diff(q[c])).pow(2);
            sum += square(0) + square(1) + square(2);
            count += 3;
        }
    }
    (count > 0).then(|| sum as f64 / count as f64)
}

/// Peak signal-to-noise ratio in dB, peak 255; infinite for equal pictures.
pub fn psnr(a: &Rgb, b: &Rgb, region: Option<&Grid<u8>>) -> Option<f64> {
    mean_squared_error(a, b, region).map(psnr_of)
}

/// The ratio in dB for a mean squared error.
pub fn psnr_of(mean_squared_error: f64) -> f64 {
    10.0 * (255.0f64.powi(2) / mean_squared_error).log10()
}

/// Half the width of the SSIM window, and its deviation in pixels.
const WINDOW_HALF: usize = 5;
const WINDOW_SIGMA: f64 = 1.5;
/// The paper's constants (0.01·255)² and (0.03·255)².
const C1: f64 = 6.5025;
const C2: f64 = 58.5225;

/// Structural similarity with an 11 × 11 Gaussian window (σ 1.5): the mean over the three channels and over every
/// pixel of the region whose whole window lies in the picture. None when there is no such pixel or the sizes differ.
pub fn ssim(a: &Rgb, b: &Rgb, region: Option<&Grid<u8>>) -> Option<f64> {
    if (a.width, a.height) != (b.width, b.height) {
        return None;
    }
    let Some(region) = region else {
        return ssim_in(a, b, &Grid::new(a.width, a.height, 1));
    };
    if (region.width, region.height) != (a.width, a.height) {
        return None;
    }
    // Nothing beyond the region's windows takes part.
    let rect = bounds_of(region).grown(WINDOW_HALF, region.bounds());
    ssim_in(&a.crop(rect), &b.crop(rect), &region.crop(rect))
}

fn bounds_of(region: &Grid<u8>) -> Rect {
    let mut bounds = Rect::default();
    for (y, row) in region.rows().enumerate() {
        let first = row.iter().position(|&v| v != 0);
        let last = row.iter().rposition(|&v| v != 0);
        if let (Some(first), Some(last)) = (first, last) {
            bounds = bounds.union(Rect::new(first, y, last + 1 - first, 1));
        }
    }
    bounds
}

fn ssim_in(a: &Rgb, b: &Rgb, region: &Grid<u8>) -> Option<f64> {
    let (width, height) = (a.width, a.height);
    if width <= 2 * WINDOW_HALF || height <= 2 * WINDOW_HALF {
        return None;
    }
    let (inner_width, inner_height) = (width - 2 * WINDOW_HALF, height - 2 * WINDOW_HALF);
    let inner = region.crop(Rect::new(
        WINDOW_HALF,
        WINDOW_HALF,
        inner_width,
        inner_height,
    ));
    let count = inner.data.iter().filter(|&&v| v != 0).count();
    let total: f64 = (0..3usize)
        .into_par_iter()
        .map(|channel| {
            let plane = |picture: &Rgb| -> Vec<f64> {
                picture
                    .data
                    .iter()
                    .skip(channel)
                    .step_by(3)
                    .map(|&v| f64::from(v))
                    .collect()
            };
            let (p, q) = (plane(a), plane(b));
            let product = |u: &[f64], v: &[f64]| -> Vec<f64> {
                u.iter().zip(v).map(|(u, v)| u * v).collect()
            };
            let [mp, mq, pp, qq, pq] = [
                p.clone(),
                q.clone(),
                product(&p, &p),
                product(&q, &q),
                product(&p, &q),
            ]
            .map(|plane| blur_valid(&plane, width));
            let mut sum = 0.0;
            for (i, _) in inner.data.iter().enumerate().filter(|(_, v)| **v != 0) {
                let (mp, mq) = (mp[i], mq[i]);
                let (vp, vq, cov) = (pp[i] - mp * mp, qq[i] - mq * mq, pq[i] - mp * mq);
                sum += (2.0 * mp * mq + C1) * (2.0 * cov + C2)
                    / ((mp * mp + mq * mq + C1) * (vp + vq + C2));
            }
            sum
        })
        .sum();
    (count > 0).then(|| total / (3 * count) as f64)
}

/// The window's weighted mean at every place where it fits.
fn blur_valid(plane: &[f64], width: usize) -> Vec<f64> {
    let mut weights = [0.0; 2 * WINDOW_HALF + 1];
    for (i, weight) in weights.iter_mut().enumerate() {
        let offset = i as f64 - WINDOW_HALF as f64;
        *weight = (-offset * offset / (2.0 * WINDOW_SIGMA * WINDOW_SIGMA)).exp();
    }
    let sum: f64 = weights.iter().sum();
    let weights = weights.map(|w| w / sum);
    let add = |out: &mut [f64], weight: f64, values: &[f64]| {
        out.iter_mut()
            .zip(values)
            .for_each(|(o, v)| *o += weight * v);
    };
    let (inner, height) = (width - 2 * WINDOW_HALF, plane.len() / width);
    let mut across = vec![0.0; inner * height];
    for (out, row) in across
        .chunks_exact_mut(inner)
        .zip(plane.chunks_exact(width))
    {
        weights
            .iter()
            .enumerate()
            .for_each(|(k, &w)| add(out, w, &row[k..k + inner]));
    }
    let mut out = vec![0.0; inner * (height - 2 * WINDOW_HALF)];
    for (y, row) in out.chunks_exact_mut(inner).enumerate() {
        let from = |k: usize| &across[(y + k) * inner..(y + k + 1) * inner];
        weights
            .iter()
            .enumerate()
            .for_each(|(k, &w)| add(row, w, from(k)));
    }
    out
}

/// How much fine detail there is: the mean square of the 4-neighbour Laplacian of the luma (Rec. 601), over the
/// region's pixels that have four neighbours. None when there is none.
pub fn laplacian_energy(picture: &Rgb, region: Option<&Grid<u8>>) -> Option<f64> {
    let (width, height) = (picture.width, picture.height);
    let luma: Vec<f64> = picture
        .pixels()
        .map(|[r, g, b]| 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b))
        .collect();
    let (mut sum, mut count) = (0.0, 0u64);
    for y in 1..height.saturating_sub(1) {
        for x in 1..width.saturating_sub(1) {
            if region.is_none_or(|r| r.get(x, y).is_some_and(|&v| v != 0)) {
                let i = y * width + x;
                let laplacian =
                    luma[i - width] + luma[i + width] + luma[i - 1] + luma[i + 1] - 4.0 * luma[i];
                sum += laplacian * laplacian;
                count += 1;
            }
        }
    }
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repeatable picture with structure at several scales.
    fn texture(width: usize, height: usize, seed: u32) -> Rgb {
        let mut state = seed;
        let mut data = Vec::new();
        for y in 0..height {
            for x in 0..width {
                for c in 0..3 {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let wave = 60.0 * ((x as f64 / 7.0 + c as f64).sin() + (y as f64 / 5.0).cos());
                    data.push((128.0 + wave + f64::from(state >> 28)) as u8);
                }
            }
        }
        Rgb::from_vec(width, height, data).unwrap()
    }

    #[test]
    fn psnr_matches_its_formula() {
        let a = Rgb::new(4, 4, [100, 100, 100]);
        let b = Rgb::new(4, 4, [110, 100, 100]);
        // Mean squared error 100/3.
        assert!((psnr(&a, &b, None).unwrap() - 32.902_016).abs() < 1e-5);
        assert_eq!(psnr(&a, &a, None), Some(f64::INFINITY));
        let mut c = a.clone();
        c.set(1, 1, [130, 130, 130]);
        let mut region = Grid::new(4, 4, 0);
        region.set(1, 1, 1);
        assert_eq!(mean_squared_error(&a, &c, Some(&region)), Some(900.0));
        assert_eq!(mean_squared_error(&a, &c, None), Some(900.0 / 16.0));
        assert_eq!(mean_squared_error(&a, &c, Some(&Grid::new(4, 4, 0))), None);
        assert_eq!(psnr(&a, &Rgb::new(3, 4, [0; 3]), None), None);
    }

    #[test]
    fn ssim_of_flat_pictures_is_its_luminance_term() {
        let a = Rgb::new(20, 16, [100; 3]);
        let b = Rgb::new(20, 16, [150; 3]);
        // No variance: (2·100·150 + C1) / (100² + 150² + C1).
        let expected = (30_000.0 + C1) / (32_500.0 + C1);
        assert!((ssim(&a, &b, None).unwrap() - expected).abs() < 1e-9);
        assert!((ssim(&a, &a, None).unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(
            ssim(&Rgb::new(10, 20, [0; 3]), &Rgb::new(10, 20, [0; 3]), None),
            None
        );
    }

    #[test]
    fn ssim_matches_a_direct_computation() {
        let (a, b) = (texture(23, 19, 1), texture(23, 19, 7));
        // One window by the definition, at the pixel (9, 8).
        let mut region = Grid::new(23, 19, 0);
        region.set(9, 8, 1);
        let mut expected = 0.0;
        for c in 0..3 {
            let (mut w, mut p, mut q, mut pp, mut qq, mut pq) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
            for j in -5i32..=5 {
                for i in -5i32..=5 {
                    let k = (-f64::from(i * i + j * j) / 4.5).exp();
                    let (x, y) = ((9 + i) as usize, (8 + j) as usize);
                    let (u, v) = (
                        f64::from(a.get(x, y).unwrap()[c]),
                        f64::from(b.get(x, y).unwrap()[c]),
                    );
                    w += k;
                    p += k * u;
                    q += k * v;
                    pp += k * u * u;
                    qq += k * v * v;
                    pq += k * u * v;
                }
            }
            let (p, q) = (p / w, q / w);
            let (vp, vq, cov) = (pp / w - p * p, qq / w - q * q, pq / w - p * q);
            expected += (2.0 * p * q + C1) * (2.0 * cov + C2)
                / ((p * p + q * q + C1) * (vp + vq + C2))
                / 3.0;
        }
        assert!((ssim(&a, &b, Some(&region)).unwrap() - expected).abs() < 1e-9);
        // A region outside every window has no score.
        let mut corner = Grid::new(23, 19, 0);
        corner.set(0, 0, 1);
        assert_eq!(ssim(&a, &b, Some(&corner)), None);
    }

    #[test]
    fn laplacian_energy_counts_edges() {
        let mut picture = Rgb::new(5, 5, [10; 3]);
        assert_eq!(laplacian_energy(&picture, None), Some(0.0));
        picture.set(2, 2, [20; 3]);
        // −40 at the pixel, 10 at each of its four neighbours, over 9 inner pixels.
        let energy = laplacian_energy(&picture, None).unwrap();
        assert!((energy - 2000.0 / 9.0).abs() < 1e-9, "{energy}");
        let mut region = Grid::new(5, 5, 0);
        region.set(2, 2, 1);
        assert!((laplacian_energy(&picture, Some(&region)).unwrap() - 1600.0).abs() < 1e-9);
        assert_eq!(laplacian_energy(&Rgb::new(2, 2, [0; 3]), None), None);
    }
}
