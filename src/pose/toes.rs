//! Where the small toe is, which no network here looks for: a linear function of what is known of the foot.
//!
//! Seen from anywhere and from not too near, the picture of a point of a stiff foot is a linear combination of the
//! pictures of its axes. Heel and big toe give the forward axis, heel and ankle the upward one; the hips, on the
//! person's outer side of the foot, stand in for the sideways one, which cannot be seen directly.
//! [`fit`] finds the factors by least squares over feet of average shape turned every way; `vitruvian train toes`
//! prints them.

use rand::Rng as _;
use rand::SeedableRng as _;

/// Small toe − big toe over (big toe − heel), (ankle − heel) and half the hips (outer − inner hip), as [`fit`] gives.
const FACTORS: [f32; 3] = [-0.273, -0.114, 0.372];

/// The small toe from big toe, heel and ankle in photo pixels, and the vector from the other hip to this side's.
pub fn small_toe(big: [f32; 2], heel: [f32; 2], ankle: [f32; 2], outward: [f32; 2]) -> [f32; 2] {
    std::array::from_fn(|axis| {
        big[axis]
            + FACTORS[0] * (big[axis] - heel[axis])
            + FACTORS[1] * (ankle[axis] - heel[axis])
            + FACTORS[2] * outward[axis]
    })
}

/// A foot in centimetres (forward, up, outward), heel at the origin: average proportions of an adult's foot 25 cm
/// long and 10 cm wide, and of hips whose joints are 20 cm apart as pictures are labelled.
const BIG_TOE: [f64; 3] = [23.0, 2.0, -2.0];
const SMALL_TOE: [f64; 3] = [18.0, 1.0, 6.0];
const ANKLE: [f64; 3] = [5.0, 8.0, 1.0];
const HIPS: [f64; 3] = [0.0, 0.0, 20.0];
/// Largest angle by which feet point outward or inward of where the hips face, and by which heels are raised.
const SPLAY: (f64, f64) = (-0.2, 0.8);
const RAISED: (f64, f64) = (-0.3, 0.9);

/// The factors that suit `feet` random feet, and the root of the mean squared error left, over the length of the foot.
pub fn fit(feet: usize, seed: u64) -> ([f64; 3], f64) {
    let mut rng = rand::rngs::SmallRng::seed_from_u64(seed);
    let (mut normal, mut right) = ([[0.0; 3]; 3], [0.0; 3]);
    let mut samples = Vec::new();
    for _ in 0..feet.max(1) {
        let splay = rng.random_range(SPLAY.0..SPLAY.1);
        let raised = rng.random_range(RAISED.0..RAISED.1);
        // The camera goes all around, and looks down more often than up.
        let around = rng.random_range(0.0..std::f64::consts::TAU);
        let down = rng.random_range(-0.2..0.7);
        let in_body = |p: [f64; 3]| {
            let [f, u, o] = p;
            let (f, u) = (
                f * raised.cos() + u * raised.sin(),
                u * raised.cos() - f * raised.sin(),
            );
            [
                f * splay.cos() - o * splay.sin(),
                u,
                f * splay.sin() + o * splay.cos(),
            ]
        };
        let project = |[f, u, o]: [f64; 3]| {
            let (x, depth) = (
                f * around.cos() + o * around.sin(),
                o * around.cos() - f * around.sin(),
            );
            [x, -u * f64::cos(down) + depth * f64::sin(down)]
        };
        let seen = |p| project(in_body(p));
        let (big, small, ankle) = (seen(BIG_TOE), seen(SMALL_TOE), seen(ANKLE));
        let hips = project(HIPS);
        for axis in 0..2 {
            let inputs = [big[axis], ankle[axis], hips[axis]];
            samples.push((inputs, small[axis] - big[axis]));
        }
    }
    for (inputs, wanted) in &samples {
        for i in 0..3 {
            right[i] += inputs[i] * wanted;
            for j in 0..3 {
                normal[i][j] += inputs[i] * inputs[j];
            }
        }
    }
    let factors = solve(normal, right);
    let square: f64 = samples
        .iter()
        .map(|(inputs, wanted)| {
            let guess: f64 = inputs.iter().zip(factors).map(|(x, f)| x * f).sum();
            (guess - wanted).powi(2)
        })
        .sum();
    let per_foot = 2.0 * square / samples.len() as f64;
    (factors, per_foot.sqrt() / BIG_TOE[0])
}

/// Solves a system of three equations by Cramer's rule; zero when they say nothing.
fn solve(m: [[f64; 3]; 3], b: [f64; 3]) -> [f64; 3] {
    let determinant = |m: &[[f64; 3]; 3]| {
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
            - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
            + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    };
    let whole = determinant(&m);
    std::array::from_fn(|column| {
        let mut replaced = m;
        for (row, &value) in replaced.iter_mut().zip(&b) {
            row[column] = value;
        }
        if whole.abs() > 1e-9 {
            determinant(&replaced) / whole
        } else {
            0.0
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_are_solved() {
        let m = [[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 4.0]];
        let x = solve(m, [4.0, 9.0, 13.0]);
        for (row, want) in m.iter().zip([4.0, 9.0, 13.0]) {
            let got: f64 = row.iter().zip(x).map(|(a, b)| a * b).sum();
            assert!((got - want).abs() < 1e-9);
        }
        assert_eq!(solve([[0.0; 3]; 3], [1.0; 3]), [0.0; 3]);
    }

    #[test]
    fn the_factors_here_are_those_that_fit() {
        let (factors, error) = fit(20_000, 1);
        for (ours, fitted) in FACTORS.iter().zip(factors) {
            assert!((f64::from(*ours) - fitted).abs() < 0.02, "{factors:?}");
        }
        // Without the offset the error is that of taking the big toe for the small one.
        assert!(error < 0.25, "{error}");
    }

    #[test]
    fn small_toes_are_outward_and_behind() {
        let [x, y] = small_toe([10.0, 50.0], [10.0, 40.0], [10.0, 35.0], [20.0, 0.0]);
        assert!(x > 14.0 && y < 50.0);
    }
}
