//! What gamma decay gains on unseen data: the double descent of a linear unit, in theory and by solving it.
//!
//! N inputs, P = αN samples of a teacher of length 1 with noise of variance δ². Weight normalisation with gamma decay
//! ζ is ridge regression with λ = 2ζ. With c = 1/α and the Marchenko–Pastur resolvent
//! m(λ) = [−(1 − c + λ) + √((1 − c + λ)² + 4cλ)]/(2cλ), the excess risk for N → ∞ is −λ²m′ + δ²c(m + λm′), bias and
//! variance. The best λ is δ²/α.

use rand::{SeedableRng as _, rngs::SmallRng};

use crate::lab::random::normal;

/// Excess risk in theory; infinite at α = 1 without decay.
pub fn theory(alpha: f64, lambda: f64, noise: f64) -> f64 {
    let c = 1.0 / alpha;
    if lambda <= 0.0 {
        return match alpha {
            a if a > 1.0 => noise * c / (1.0 - c),
            a if a < 1.0 => (1.0 - a) + noise * a / (1.0 - a),
            _ => f64::INFINITY,
        };
    }
    let m = |l: f64| {
        let b = 1.0 - c + l;
        (-b + (b * b + 4.0 * c * l).sqrt()) / (2.0 * c * l)
    };
    // The derivative of the closed form.
    let b = 1.0 - c + lambda;
    let root = (b * b + 4.0 * c * lambda).sqrt();
    let slope = ((b + 2.0 * c) / root - 1.0) / (2.0 * c * lambda) - m(lambda) / lambda;
    -lambda * lambda * slope + noise * c * (m(lambda) + lambda * slope)
}

/// The decay with the smallest risk, as λ.
pub fn best_lambda(alpha: f64, noise: f64) -> f64 {
    noise / alpha
}

/// Excess risk of the solution for `samples` = αN random samples, averaged over `runs`. `lambda` 0 is taken as 1e-9,
/// which gives the shortest solution if there are many.
pub fn measure(n: usize, samples: usize, lambda: f64, noise: f64, runs: usize, seed: u64) -> f64 {
    let mut rng = SmallRng::seed_from_u64(seed);
    let total: f64 = (0..runs)
        .map(|_| one(n, samples, lambda.max(1e-9), noise, &mut rng))
        .sum();
    total / runs.max(1) as f64
}

/// Solves (XᵀX/P + λ)w = Xᵀy/P for one draw; |w − w*|².
fn one(n: usize, samples: usize, lambda: f64, noise: f64, rng: &mut SmallRng) -> f64 {
    let mut teacher: Vec<f64> = (0..n).map(|_| normal(rng)).collect();
    let length = teacher.iter().map(|t| t * t).sum::<f64>().sqrt();
    teacher.iter_mut().for_each(|t| *t /= length);
    let mut matrix = vec![0.0; n * n];
    let mut right = vec![0.0; n];
    let p = samples.max(1) as f64;
    for _ in 0..samples {
        let x: Vec<f64> = (0..n).map(|_| normal(rng)).collect();
        let clean: f64 = x.iter().zip(&teacher).map(|(x, t)| x * t).sum();
        let y = clean + noise.sqrt() * normal(rng);
        for i in 0..n {
            right[i] += x[i] * y / p;
            let row = &mut matrix[i * n..=i * n + i];
            let xi = x[i] / p;
            row.iter_mut().zip(&x).for_each(|(m, x)| *m += xi * x);
        }
    }
    for i in 0..n {
        matrix[i * n + i] += lambda;
    }
    cholesky_solve(&mut matrix, &mut right, n);
    right
        .iter()
        .zip(&teacher)
        .map(|(w, t)| (w - t) * (w - t))
        .sum()
}

/// Solves a symmetric positive system in place; only the lower triangle of `a` is read.
fn cholesky_solve(a: &mut [f64], b: &mut [f64], n: usize) {
    for i in 0..n {
        for j in 0..=i {
            let (before, row) = a.split_at_mut(i * n);
            let dot = |u: &[f64], v: &[f64]| u.iter().zip(v).map(|(u, v)| u * v).sum::<f64>();
            if j == i {
                let rest = row[i] - row[..i].iter().map(|v| v * v).sum::<f64>();
                row[i] = rest.max(1e-300).sqrt();
            } else {
                let other = &before[j * n..=j * n + j];
                row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
            }
        }
    }
    for i in 0..n {
        let sum: f64 = (0..i).map(|j| a[i * n + j] * b[j]).sum();
        b[i] = (b[i] - sum) / a[i * n + i];
    }
    for i in (0..n).rev() {
        let sum: f64 = (i + 1..n).map(|j| a[j * n + i] * b[j]).sum();
        b[i] = (b[i] - sum) / a[i * n + i];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOISE: f64 = 0.25;

    #[test]
    fn the_curve_is_the_known_one() {
        // (α, λ, risk)
        let known = [
            (0.5, 0.0, 0.75),
            (0.5, 0.5, 0.640),
            (0.9, 0.25, 0.431),
            (1.0, 1.0 / 32.0, 0.678),
            (1.5, 0.25, 0.258),
            (2.0, 0.0, 0.25),
            (4.0, 0.5, 0.181),
            (8.0, 1.0 / 32.0, 0.034),
        ];
        for (alpha, lambda, risk) in known {
            let found = theory(alpha, lambda, NOISE);
            assert!(
                (found - risk).abs() < 1e-3,
                "α {alpha} λ {lambda}: {found} and {risk}"
            );
        }
        assert!(theory(1.0, 0.0, NOISE).is_infinite());
        for (alpha, best) in [(0.5, 0.640), (1.0, 0.390), (2.0, 0.175), (4.0, 0.075)] {
            let lambda = best_lambda(alpha, NOISE);
            let found = theory(alpha, lambda, NOISE);
            assert!((found - best).abs() < 1e-3, "{alpha}: {found}");
            assert!(theory(alpha, 0.8 * lambda, NOISE) > found);
            assert!(theory(alpha, 1.25 * lambda, NOISE) > found);
        }
    }

    #[test]
    fn solving_agrees_with_the_curve() {
        for (samples, lambda) in [(30, 0.5), (60, 0.25), (120, 0.25), (240, 0.0)] {
            let found = measure(60, samples, lambda, NOISE, 20, 5);
            let expected = theory(samples as f64 / 60.0, lambda, NOISE);
            assert!(
                (found / expected - 1.0).abs() < 0.12,
                "{samples}: {found} and {expected}"
            );
        }
    }
}
