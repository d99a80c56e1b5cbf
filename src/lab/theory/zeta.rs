//! Batch normalisation is population normalisation plus gamma decay: the strength ζ in theory and measured.
//!
//! A linear unit y = γ(h − μ_B)/σ_B learns z = 0.6h + 0.8ε from batches of M, h of any distribution with mean 0 and
//! variance 1. At its best γ = 0.6 the expected loss exceeds that with the population's statistics by ζγ², with
//! ζ = 1/(2M) + (ρ + 2)/(8M) to first order in 1/M; ρ is the excess kurtosis of h. σ_B is the biased one.

use anyhow::Result;
use rand::{SeedableRng as _, rngs::SmallRng};

use crate::job::Out;
use crate::lab::random::{Distribution, normal};
use crate::lab::table::Table;

/// γ at which the gap is measured: the correlation of input and target.
const GAMMA: f64 = 0.6;
/// Batch sizes of the table.
pub const BATCHES: [usize; 5] = [4, 8, 16, 32, 64];

/// ζ in theory.
pub fn theory(batch: usize, kurtosis: f64) -> f64 {
    let m = batch as f64;
    1.0 / (2.0 * m) + (kurtosis + 2.0) / (8.0 * m)
}

/// (E loss with batch statistics − E loss with the population's) / γ², and its standard error, from `samples` values.
pub fn measure(
    distribution: Distribution,
    batch: usize,
    samples: usize,
    rng: &mut SmallRng,
) -> (f64, f64) {
    let batches = (samples / batch).max(2);
    let (mut sum, mut squares) = (0.0, 0.0);
    let mut h = vec![0.0; batch];
    let mut z = vec![0.0; batch];
    for _ in 0..batches {
        for (h, z) in h.iter_mut().zip(&mut z) {
            *h = distribution.draw(rng);
            *z = GAMMA * *h + (1.0 - GAMMA * GAMMA).sqrt() * normal(rng);
        }
        let m = batch as f64;
        let mean = h.iter().sum::<f64>() / m;
        let var = h.iter().map(|h| (h - mean).powi(2)).sum::<f64>() / m;
        let spread = var.sqrt().max(1e-12);
        // Both losses on the same values: most of the chance cancels.
        let gap: f64 = h
            .iter()
            .zip(&z)
            .map(|(h, z)| {
                let with_batch = z - GAMMA * (h - mean) / spread;
                let with_population = z - GAMMA * h;
                0.5 * (with_batch * with_batch - with_population * with_population)
            })
            .sum::<f64>()
            / m;
        sum += gap;
        squares += gap * gap;
    }
    let n = batches as f64;
    let mean = sum / n;
    let error = ((squares / n - mean * mean).max(0.0) / n).sqrt();
    (mean / (GAMMA * GAMMA), error / (GAMMA * GAMMA))
}

/// Theory and measurement for every distribution and batch size.
///
/// # Errors
/// Only when cancelled.
pub fn table<T>(samples: usize, seed: u64, out: &Out<T>) -> Result<(Table, Vec<Row>)> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut rows = Vec::new();
    let total = (BATCHES.len() * Distribution::ALL.len()) as f32;
    for batch in BATCHES {
        for distribution in Distribution::ALL {
            out.progress(rows.len() as f32 / total, "Gamma decay of a batch")?;
            let (measured, error) = measure(distribution, batch, samples, &mut rng);
            rows.push(Row {
                distribution,
                batch,
                theory: theory(batch, distribution.kurtosis()),
                measured,
                error,
            });
        }
    }
    let mut table = Table::new(
        "Gamma decay ζ that a batch of M amounts to",
        ["M", "input", "ζ in theory", "measured", "± error"],
    );
    for row in &rows {
        table.push([
            row.batch.to_string(),
            row.distribution.name().to_string(),
            format!("{:.4}", row.theory),
            format!("{:.4}", row.measured),
            format!("{:.4}", row.error),
        ]);
    }
    Ok((table, rows))
}

/// One cell of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub distribution: Distribution,
    pub batch: usize,
    pub theory: f64,
    pub measured: f64,
    /// Standard error of the measurement.
    pub error: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Measured with 8 million values each; standard errors up to 4e-4.
    #[test]
    fn gaps_are_those_measured_at_length() {
        let known = [
            (Distribution::Gaussian, 8, 0.0971),
            (Distribution::Uniform, 8, 0.0819),
            (Distribution::Laplace, 8, 0.1277),
            (Distribution::Gaussian, 32, 0.0237),
        ];
        let mut rng = SmallRng::seed_from_u64(3);
        for (distribution, batch, expected) in known {
            let (found, error) = measure(distribution, batch, 200_000, &mut rng);
            assert!(error < 0.004, "{error}");
            assert!(
                (found - expected).abs() < 4.0 * error + 4e-4,
                "{distribution:?} {batch}: {found} ± {error}"
            );
        }
        assert!((theory(4, 0.0) - 0.1875).abs() < 1e-12);
        assert!((theory(64, 3.0) - 0.0176).abs() < 1e-4);
    }
}
