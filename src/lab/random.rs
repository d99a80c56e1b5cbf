//! Random numbers of the distributions that the theory speaks of; each has mean 0 and variance 1.

use rand::Rng;

/// Standard normal, by Box and Muller's method.
pub fn normal(rng: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

/// Distributions with different tails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    Gaussian,
    Uniform,
    Laplace,
}

impl Distribution {
    /// From no tails to heavy ones.
    pub const ALL: [Self; 3] = [Self::Gaussian, Self::Uniform, Self::Laplace];

    /// The name, for tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gaussian => "Gaussian",
            Self::Uniform => "uniform",
            Self::Laplace => "Laplace",
        }
    }

    /// Excess kurtosis ρ.
    pub fn kurtosis(self) -> f64 {
        match self {
            Self::Gaussian => 0.0,
            Self::Uniform => -1.2,
            Self::Laplace => 3.0,
        }
    }

    /// One number.
    pub fn draw(self, rng: &mut impl Rng) -> f64 {
        match self {
            Self::Gaussian => normal(rng),
            Self::Uniform => 3f64.sqrt() * (2.0 * rng.random::<f64>() - 1.0),
            Self::Laplace => {
                let size = -(1.0 - rng.random::<f64>()).ln() / std::f64::consts::SQRT_2;
                if rng.random() { size } else { -size }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng as _, rngs::SmallRng};

    #[test]
    fn moments_are_as_named() {
        let mut rng = SmallRng::seed_from_u64(1);
        for d in Distribution::ALL {
            let n = 100_000;
            let xs: Vec<f64> = (0..n).map(|_| d.draw(&mut rng)).collect();
            let moment = |p: i32| xs.iter().map(|x| x.powi(p)).sum::<f64>() / f64::from(n);
            assert!(moment(1).abs() < 0.02, "{d:?}");
            assert!((moment(2) - 1.0).abs() < 0.03, "{d:?}");
            assert!((moment(4) - 3.0 - d.kurtosis()).abs() < 0.4, "{d:?}");
        }
    }
}
