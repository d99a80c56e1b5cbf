//! Motion prediction: where walkers will be in the next 4.8 seconds, as a set of futures each.
//!
//! Eight observed steps and twelve predicted ones, 0.4 s apart: the protocol of Social LSTM (Alahi et al. 2016) and
//! Social GAN (Gupta et al. 2018). [`tracks`] reads files, [`moments`] says who is seen when, [`scene`] is the place,
//! [`dscmp`] the network, [`predict`] the step that window and command line call.
pub mod data;
pub mod dscmp;
pub mod evaluate;
pub mod export;
pub mod figure;
pub mod frame;
pub mod kde;
pub mod metrics;
pub mod moments;
pub mod open;
pub mod predict;
pub mod scene;
pub mod simulate;
pub mod tracks;
pub mod train;
pub mod velocity;

/// Steps that must have been seen before a prediction.
pub const OBS_LEN: usize = 8;
/// Steps that are predicted.
pub const PRED_LEN: usize = 12;
/// Seconds between two steps.
pub const DT_SECS: f64 = 0.4;
/// Futures of each walker.
pub const SAMPLES: usize = 20;

/// A position; the network wants metres, everything else takes any unit.
pub type Point = [f64; 2];
/// The last observed positions, oldest first.
pub type Past = [Point; OBS_LEN];
/// Positions of the next steps; the first is [`DT_SECS`] after the last observed one.
pub type Future = [Point; PRED_LEN];

/// What one walker may do: K futures and how likely each is.
///
/// Sample k of all walkers of a moment belongs together: it is one joint future of the scene.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Futures {
    pub samples: Vec<Future>,
    /// One for each sample, summing to 1.
    pub weights: Vec<f32>,
}

impl Futures {
    /// Where the walker may be at the last step: (position, weight).
    pub fn destinations(&self) -> impl Iterator<Item = (Point, f32)> + '_ {
        let ends = self.samples.iter().map(|future| future[PRED_LEN - 1]);
        ends.zip(self.weights.iter().copied())
    }
}

/// Distance of two points.
pub fn distance(a: Point, b: Point) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

#[cfg(test)]
mod tests;
