//! Kernel density estimation: a heat map of where walkers may arrive, and how likely the truth was.
//!
//! Gaussian kernels. [`density`] is what the heat map on the GPU is tested against; [`log_likelihood`] is the measure of
//! Trajectron (Ivanovic & Pavone 2019): Scott's bandwidth, clipped at −20 nats so that one miss does not decide a mean.

use rayon::prelude::*;

use super::Point;
use crate::raster::Grid;

/// A kernel ends here, in bandwidths: what is cut off is 4e-6 of its height.
pub const RADIUS_IN_BANDWIDTHS: f64 = 5.0;
/// The lowest log-likelihood of one point.
const LOWEST: f64 = -20.0;
/// Added to the variance of samples, in m²: less than 3 cm is below the precision of annotations.
const VARIANCE_FLOOR: f64 = 1e-3;

/// A rectangle of the plane, from its lowest to its highest coordinates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    pub min: Point,
    pub max: Point,
}

impl Bounds {
    /// A picture's pixels.
    pub fn of_pixels(width: usize, height: usize) -> Self {
        Self {
            min: [0.0; 2],
            max: [width as f64, height as f64],
        }
    }
}

/// Density of weighted samples at the middle of each cell, `width` × `height` over `bounds`, row 0 at the lowest y.
///
/// In units of 1/area of the samples' own unit: over the whole plane it integrates to 1. `bandwidth` is the standard
/// deviation of a kernel. Samples that are no numbers are left out; without any the map is zero.
pub fn density(
    samples: &[(Point, f32)],
    bounds: Bounds,
    (width, height): (usize, usize),
    bandwidth: f64,
) -> Grid<f32> {
    let mut grid = Grid::new(width, height, 0f32);
    let samples: Vec<(Point, f64)> = samples
        .iter()
        .map(|&(p, w)| (p, f64::from(w)))
        .filter(|(p, w)| p.iter().all(|v| v.is_finite()) && w.is_finite() && *w > 0.0)
        .collect();
    let total: f64 = samples.iter().map(|s| s.1).sum();
    let cell = [
        (bounds.max[0] - bounds.min[0]) / width.max(1) as f64,
        (bounds.max[1] - bounds.min[1]) / height.max(1) as f64,
    ];
    if grid.data.is_empty() || total <= 0.0 || bandwidth <= 0.0 || cell.iter().any(|&c| c <= 0.0) {
        return grid;
    }
    let peak = 1.0 / (std::f64::consts::TAU * bandwidth * bandwidth * total);
    // Cells that a kernel reaches along one axis, and its factor there: a Gaussian is a product of two.
    let reach = |axis: usize, at: f64, count: usize| -> (usize, usize) {
        let cells = |v: f64| (v - bounds.min[axis]) / cell[axis] - 0.5;
        let radius = RADIUS_IN_BANDWIDTHS * bandwidth;
        let first = cells(at - radius).ceil().max(0.0) as usize;
        let end = (cells(at + radius).floor() + 1.0).clamp(0.0, count as f64) as usize;
        (first, end)
    };
    let factor = |axis: usize, at: f64, i: usize| {
        let d = (bounds.min[axis] + (i as f64 + 0.5) * cell[axis] - at) / bandwidth;
        (-0.5 * d * d).exp()
    };
    // Each band of rows on its own, so that no two threads write one cell and the sum has one order.
    const BAND: usize = 32;
    let bands = grid.data.par_chunks_mut(BAND * width).enumerate();
    bands.for_each(|(band, cells)| {
        let rows = band * BAND..band * BAND + cells.len() / width;
        let mut along_x = Vec::with_capacity(width);
        for &(at, weight) in &samples {
            let (y0, y1) = reach(1, at[1], height);
            let (y0, y1) = (y0.max(rows.start), y1.min(rows.end));
            let (x0, x1) = reach(0, at[0], width);
            if y0 >= y1 || x0 >= x1 {
                continue;
            }
            along_x.clear();
            along_x.extend((x0..x1).map(|x| factor(0, at[0], x) as f32));
            for y in y0..y1 {
                let scale = (weight * peak * factor(1, at[1], y)) as f32;
                let start = (y - rows.start) * width;
                for (cell, f) in cells[start + x0..start + x1].iter_mut().zip(&along_x) {
                    *cell += scale * f;
                }
            }
        }
    });
    grid
}

/// A bandwidth for a heat map of these samples: Scott's rule on the mean variance of both axes.
pub fn scott_bandwidth(samples: &[(Point, f32)]) -> f64 {
    let Some((covariance, count)) = moments_of(samples) else {
        return VARIANCE_FLOOR.sqrt();
    };
    let variance = 0.5 * (covariance[0] + covariance[2]) + VARIANCE_FLOOR;
    variance.sqrt() * count.powf(-1.0 / 6.0)
}

/// Covariance [xx, xy, yy] and the effective number of samples (Kish).
fn moments_of(samples: &[(Point, f32)]) -> Option<([f64; 3], f64)> {
    let total: f64 = samples.iter().map(|s| f64::from(s.1)).sum();
    if total.is_nan() || total <= 0.0 {
        return None;
    }
    let share = |w: f32| f64::from(w) / total;
    let mean = samples.iter().fold([0.0; 2], |m, (p, w)| {
        [m[0] + share(*w) * p[0], m[1] + share(*w) * p[1]]
    });
    let squares: f64 = samples.iter().map(|s| share(s.1).powi(2)).sum();
    let mut covariance = [0.0; 3];
    for (p, w) in samples {
        let (dx, dy, w) = (p[0] - mean[0], p[1] - mean[1], share(*w));
        covariance[0] += w * dx * dx;
        covariance[1] += w * dx * dy;
        covariance[2] += w * dy * dy;
    }
    Some((
        covariance.map(|c| c / (1.0 - squares).max(1e-9)),
        1.0 / squares,
    ))
}

/// Log of the estimated density at `truth`, in nats for metres; the kernel has the shape of the samples' covariance.
pub fn log_likelihood(samples: &[(Point, f32)], truth: Point) -> f64 {
    let Some(([xx, xy, yy], count)) = moments_of(samples) else {
        return LOWEST;
    };
    let shrink = count.powf(-1.0 / 3.0);
    let (xx, xy, yy) = (
        (xx + VARIANCE_FLOOR) * shrink,
        xy * shrink,
        (yy + VARIANCE_FLOOR) * shrink,
    );
    let determinant = xx * yy - xy * xy;
    let total: f64 = samples.iter().map(|s| f64::from(s.1)).sum();
    let density: f64 = samples
        .iter()
        .map(|(p, w)| {
            let (dx, dy) = (truth[0] - p[0], truth[1] - p[1]);
            let distance = (yy * dx * dx - 2.0 * xy * dx * dy + xx * dy * dy) / determinant;
            f64::from(*w) / total * (-0.5 * distance).exp()
        })
        .sum();
    (density / (std::f64::consts::TAU * determinant.sqrt()))
        .ln()
        .max(LOWEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        min: [-4.0, -3.0],
        max: [4.0, 3.0],
    };

    #[test]
    fn one_kernel_is_the_normal_density_and_integrates_to_one() {
        let grid = density(&[([0.5, -0.25], 3.0)], BOUNDS, (160, 120), 0.4);
        let cell = 0.05 * 0.05;
        let sum: f32 = grid.data.iter().sum::<f32>() * cell;
        assert!((sum - 1.0).abs() < 1e-3, "{sum}");
        for (x, y) in [(90usize, 55usize), (70, 70), (100, 40)] {
            let at = [
                -4.0 + (x as f64 + 0.5) * 0.05 - 0.5,
                -3.0 + (y as f64 + 0.5) * 0.05 + 0.25,
            ];
            let expected = (-(at[0] * at[0] + at[1] * at[1]) / 0.32).exp()
                / (2.0 * std::f64::consts::PI * 0.16);
            let found = f64::from(grid.data[y * 160 + x]);
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn weights_and_order_do_not_matter_beyond_their_share() {
        let samples = [([0.0, 0.0], 1.0), ([1.0, 1.0], 3.0), ([f64::NAN, 0.0], 5.0)];
        let scaled = [([1.0, 1.0], 0.75), ([0.0, 0.0], 0.25)];
        let (a, b) = (
            density(&samples, BOUNDS, (33, 70), 0.5),
            density(&scaled, BOUNDS, (33, 70), 0.5),
        );
        assert!(
            a.data
                .iter()
                .zip(&b.data)
                .all(|(a, b)| (a - b).abs() < 1e-6)
        );
        assert!(
            density(&[], BOUNDS, (3, 3), 0.5)
                .data
                .iter()
                .all(|&v| v == 0.0)
        );
    }

    #[test]
    fn the_truth_is_likelier_near_the_samples() {
        let ring: Vec<(Point, f32)> = (0..20)
            .map(|i| {
                (
                    [
                        (i as f64 * 0.314).cos(),
                        (i as f64 * 0.314).sin() * 0.2 + i as f64 * 1e-3,
                    ],
                    0.05,
                )
            })
            .collect();
        let (near, far) = (
            log_likelihood(&ring, [0.9, 0.0]),
            log_likelihood(&ring, [0.9, 3.0]),
        );
        assert!(near > -1.5 && far == LOWEST, "{near} {far}");
        let wide: Vec<(Point, f32)> = ring
            .iter()
            .map(|(p, w)| ([p[0] * 10.0, p[1] * 10.0], *w))
            .collect();
        // Ten times as wide in both directions: a density a hundred times lower.
        let lower = near - log_likelihood(&wide, [9.0, 0.0]);
        assert!((lower - 100f64.ln()).abs() < 0.05, "{lower}");
        assert!(scott_bandwidth(&wide) > 5.0 * scott_bandwidth(&ring));
    }
}
