//! How one normalised unit learns from a teacher, as three numbers over time and as the real thing.
//!
//! Teacher z = g(w*ᵀx/√N), student g(γ·wᵀx/|w|), x normal, loss ½(z − y)² + ζγ², gradient steps of rate η on single
//! samples. With L = |w|/√N, R the cosine between w and w*, and t = steps/N, for N → ∞:
//!
//! dγ/dt = η(⟨δh̃⟩ − 2ζγ), dR/dt = (ηγ/L²)·I₃ − (η²γ²R/2L⁴)·I₂, dL/dt = η²γ²·I₂/(2L³),
//!
//! where the means are functions of R and γ ([`Means::of`]). The paper writes the decay as ζγ; its ζ is twice ours.

use rand::{SeedableRng as _, rngs::SmallRng};

use super::Unit;
use crate::lab::random::normal;

/// Scale γ, cosine R and length L.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    pub gamma: f64,
    pub r: f64,
    pub l: f64,
}

/// Where runs start.
pub const START: State = State {
    gamma: 0.5,
    r: 0.1,
    l: 1.0,
};

/// A unit with its learning rate and decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learner {
    pub unit: Unit,
    /// Learning rate η.
    pub eta: f64,
    /// Gamma decay ζ.
    pub zeta: f64,
}

/// Averages over normal inputs, with δ = (z − y)·g′.
#[derive(Clone, Copy, Debug)]
pub struct Means {
    /// ⟨δh̃⟩, what moves γ.
    pub pull: f64,
    /// I₂ = ⟨δ²⟩, the noise.
    pub noise: f64,
    /// I₃, what turns w towards the teacher.
    pub turn: f64,
}

impl Means {
    /// At scale `gamma` and cosine `r`.
    pub fn of(unit: Unit, gamma: f64, r: f64) -> Self {
        let r = r.clamp(-1.0, 1.0);
        match unit {
            Unit::Identity => Self {
                pull: r - gamma,
                noise: 1.0 + gamma * gamma - 2.0 * gamma * r,
                turn: 1.0 - r * r,
            },
            Unit::Relu => {
                let pi = std::f64::consts::PI;
                let (angle, height) = (pi - r.acos(), (1.0 - r * r).sqrt());
                let j = (height + r * angle) / (2.0 * pi);
                let k = (angle + r * height) / (2.0 * pi);
                Self {
                    pull: j - gamma / 2.0,
                    noise: k - 2.0 * gamma * j + gamma * gamma / 2.0,
                    turn: (1.0 - r * r) * angle / (2.0 * pi),
                }
            }
        }
    }
}

impl Learner {
    /// dγ/dt, dR/dt, dL/dt.
    pub fn flow(&self, s: State) -> State {
        let means = Means::of(self.unit, s.gamma, s.r);
        let (eta, l2) = (self.eta, s.l * s.l);
        State {
            gamma: eta * (means.pull - 2.0 * self.zeta * s.gamma),
            r: eta * s.gamma / l2 * means.turn
                - eta * eta * s.gamma * s.gamma * s.r / (2.0 * l2 * l2) * means.noise,
            l: eta * eta * s.gamma * s.gamma * means.noise / (2.0 * l2 * s.l),
        }
    }

    /// Where γ settles once R is 1.
    pub fn settled_gamma(&self) -> f64 {
        match self.unit {
            Unit::Identity => 1.0 / (1.0 + 2.0 * self.zeta),
            Unit::Relu => 1.0 / (1.0 + 4.0 * self.zeta),
        }
    }

    /// States at `points` + 1 times from 0 to `time`, by Runge and Kutta's method.
    pub fn integrate(&self, start: State, time: f64, points: usize) -> Vec<State> {
        let points = points.max(1);
        let inner = (time / points as f64 / 0.01).ceil().max(1.0);
        let dt = time / points as f64 / inner;
        let shift = |s: State, d: State, h: f64| State {
            gamma: s.gamma + h * d.gamma,
            r: s.r + h * d.r,
            l: s.l + h * d.l,
        };
        let mut states = vec![start];
        let mut s = start;
        for _ in 0..points {
            for _ in 0..inner as usize {
                let a = self.flow(s);
                let b = self.flow(shift(s, a, dt / 2.0));
                let c = self.flow(shift(s, b, dt / 2.0));
                let d = self.flow(shift(s, c, dt));
                for (k, weight) in [(a, 1.0), (b, 2.0), (c, 2.0), (d, 1.0)] {
                    s = shift(s, k, dt * weight / 6.0);
                }
                s.r = s.r.clamp(-1.0, 1.0);
            }
            states.push(s);
        }
        states
    }

    /// Gradient descent with `n` inputs from `start`: states at `points` + 1 times. `keep_going` is asked at each;
    /// the run ends early when it says no.
    pub fn descend(
        &self,
        start: State,
        time: f64,
        points: usize,
        n: usize,
        seed: u64,
        mut keep_going: impl FnMut(usize) -> bool,
    ) -> Vec<State> {
        let mut sim = Descent::new(*self, start, n, seed);
        let points = points.max(1);
        let mut states = vec![sim.state()];
        let mut done = 0;
        for point in 1..=points {
            let until = (time * n as f64 * point as f64 / points as f64).round() as usize;
            while done < until {
                sim.step(false);
                done += 1;
            }
            states.push(sim.state());
            if !keep_going(point) {
                break;
            }
        }
        states
    }
}

/// A student that is really trained.
pub struct Descent {
    learner: Learner,
    teacher: Vec<f64>,
    w: Vec<f64>,
    gamma: f64,
    rng: SmallRng,
}

impl Descent {
    /// `n` inputs, a student at cosine `start.r` from a random teacher.
    pub fn new(learner: Learner, start: State, n: usize, seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let root = (n as f64).sqrt();
        let mut unit = |against: Option<&[f64]>| -> Vec<f64> {
            let mut v: Vec<f64> = (0..n).map(|_| normal(&mut rng)).collect();
            if let Some(against) = against {
                let along = dot(&v, against) / dot(against, against);
                v.iter_mut().zip(against).for_each(|(v, a)| *v -= along * a);
            }
            let length = dot(&v, &v).sqrt();
            v.iter_mut().for_each(|v| *v *= root / length);
            v
        };
        let teacher = unit(None);
        let across = unit(Some(&teacher));
        let (r, l) = (start.r, start.l);
        let side = (1.0 - r * r).max(0.0).sqrt();
        let w = teacher.iter().zip(&across);
        let w = w.map(|(t, a)| l * (r * t + side * a)).collect();
        Self {
            learner,
            teacher,
            w,
            gamma: start.gamma,
            rng,
        }
    }

    /// γ, R and L as they are.
    pub fn state(&self) -> State {
        let n = self.w.len() as f64;
        let length = dot(&self.w, &self.w).sqrt();
        State {
            gamma: self.gamma,
            r: dot(&self.w, &self.teacher) / (length * n.sqrt()),
            l: length / n.sqrt(),
        }
    }

    /// One sample. With `keeps_length`, w is brought back to its length, so that the effective rate stays.
    pub fn step(&mut self, keeps_length: bool) {
        let n = self.w.len();
        let root = (n as f64).sqrt();
        let x: Vec<f64> = (0..n).map(|_| normal(&mut self.rng)).collect();
        let length = dot(&self.w, &self.w).sqrt();
        let (t, h) = (dot(&self.teacher, &x) / root, dot(&self.w, &x) / length);
        let delta = match self.learner.unit {
            Unit::Identity => t - self.gamma * h,
            // γ may become negative on the way; the unit looks at γh̃.
            Unit::Relu if self.gamma * h > 0.0 => t.max(0.0) - self.gamma * h,
            Unit::Relu => 0.0,
        };
        let eta = self.learner.eta;
        let pull = eta * delta * self.gamma / length;
        let back = pull * h / length;
        self.w
            .iter_mut()
            .zip(&x)
            .for_each(|(w, x)| *w += pull * x - back * *w);
        self.gamma += eta / n as f64 * (delta * h - 2.0 * self.learner.zeta * self.gamma);
        if keeps_length {
            let now = dot(&self.w, &self.w).sqrt();
            self.w.iter_mut().for_each(|w| *w *= length / now);
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The six settings that the theory is checked at.
pub const CASES: [Learner; 6] = {
    const fn case(unit: Unit, eta: f64, zeta: f64) -> Learner {
        Learner { unit, eta, zeta }
    }
    [
        case(Unit::Identity, 0.5, 0.0),
        case(Unit::Identity, 0.5, 0.05),
        case(Unit::Identity, 1.0, 0.25),
        case(Unit::Relu, 0.5, 0.0),
        case(Unit::Relu, 0.5, 0.05),
        case(Unit::Relu, 1.0, 0.25),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Integrated and simulated (N = 1000) apart from this code, to T = 8.
    #[test]
    fn lines_and_dots_are_where_they_were_found_before() {
        let known = [
            [0.8383, 0.9510, 1.1146],
            [0.7592, 0.9387, 1.1082],
            [0.6436, 0.9743, 1.2455],
            [0.5478, 0.5700, 1.0493],
            [0.4589, 0.5284, 1.0404],
            [0.3288, 0.6276, 1.0782],
        ];
        for (learner, known) in CASES.into_iter().zip(known) {
            let end = *learner.integrate(START, 8.0, 10).last().unwrap();
            let found = [end.gamma, end.r, end.l];
            for (f, k) in found.iter().zip(known) {
                assert!((f - k).abs() < 2e-3, "{learner:?}: {found:?} and {known:?}");
            }
        }
        let learner = CASES[2];
        let dots = learner.descend(START, 8.0, 4, 300, 1, |_| true);
        let line = learner.integrate(START, 8.0, 4);
        assert_eq!(dots.len(), line.len());
        for (dot, line) in dots.iter().zip(&line) {
            assert!((dot.r - line.r).abs() < 0.08, "{dots:?} {line:?}");
            assert!((dot.gamma - line.gamma).abs() < 0.12, "{dots:?} {line:?}");
        }
    }

    #[test]
    fn gamma_settles_where_the_theory_says() {
        for unit in [Unit::Identity, Unit::Relu] {
            for zeta in [0.0, 0.01, 0.05, 0.25] {
                let learner = Learner {
                    unit,
                    eta: 0.3,
                    zeta,
                };
                let still = State {
                    gamma: learner.settled_gamma(),
                    r: 1.0,
                    l: 1.0,
                };
                assert!(learner.flow(still).gamma.abs() < 1e-12);
            }
        }
        let end = Learner {
            unit: Unit::Identity,
            eta: 0.5,
            zeta: 0.05,
        };
        let end = *end.integrate(START, 60.0, 2).last().unwrap();
        assert!((end.gamma - 1.0 / 1.1).abs() < 0.01 && end.r > 0.99);
    }
}
