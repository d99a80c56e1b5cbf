//! Futures without a network: everyone goes on as in the last step, turned by 20 angles.
//!
//! Schöller et al. 2020, "What the constant velocity model can teach us": headings from a normal distribution of 25°.
//! The angles here are its quantiles in place of random draws, so that nothing jumps from one frame to the next.
//! What the window shows where the weights of the network are missing, and says so.

use super::{Future, Futures, OBS_LEN, Past, SAMPLES};

/// Standard deviation of the headings, in radians.
const SPREAD: f64 = 25.0 * std::f64::consts::PI / 180.0;

/// 20 futures of equal weight.
pub fn going_on(past: &Past) -> Futures {
    let [from, to] = [past[OBS_LEN - 2], past[OBS_LEN - 1]];
    let step = [to[0] - from[0], to[1] - from[1]];
    let sample = |k: usize| -> Future {
        let (sin, cos) = (SPREAD * quantile((k as f64 + 0.5) / SAMPLES as f64)).sin_cos();
        let turned = [step[0] * cos - step[1] * sin, step[0] * sin + step[1] * cos];
        std::array::from_fn(|t| [0, 1].map(|i| to[i] + turned[i] * (t + 1) as f64))
    };
    Futures {
        samples: (0..SAMPLES).map(sample).collect(),
        weights: vec![1.0 / SAMPLES as f32; SAMPLES],
    }
}

/// The standard normal distribution's quantile (Tocher's logistic approximation: within 0.05 between 1 and 99 %).
fn quantile(share: f64) -> f64 {
    (share / (1.0 - share)).ln() / 1.702
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn futures_go_straight_on_in_the_middle_and_spread_evenly_to_both_sides() {
        let past: Past = std::array::from_fn(|i| [0.5 * i as f64, 1.0]);
        let futures = going_on(&past);
        let ends: Vec<_> = futures.destinations().map(|(p, _)| p).collect();
        let mean_y = ends.iter().map(|p| p[1] - 1.0).sum::<f64>() / ends.len() as f64;
        assert!(mean_y.abs() < 1e-9, "{mean_y}");
        for end in &ends {
            assert!(
                ((end[0] - 3.5).hypot(end[1] - 1.0) - 6.0).abs() < 1e-9,
                "the speed stays"
            );
        }
        let within = |angle: f64| {
            let turned = ends.iter().map(|p| (p[1] - 1.0).atan2(p[0] - 3.5).abs());
            turned.filter(|a| *a < angle).count()
        };
        assert!(
            (12..=16).contains(&within(SPREAD)),
            "two thirds lie within one deviation"
        );
        assert_eq!(within(3.0 * SPREAD), SAMPLES);
    }
}
