//! How good the shipped networks are, in numbers that anyone can print again.
//!
//! A test set is a folder as [`dataset`](super::dataset) reads it: `images/NAME.jpg` and `masks/NAME.png`, aligned
//! square crops of any size. Left and right of the truth are put right by position first.
//! Left out: FID and other scores that need a network which is not ours.

mod cases;
mod generator;
mod parser;
mod sheet;
mod table;

pub use cases::Part;
pub use generator::{
    Evaluation, Fill, GeneratorReport, PartScores, Scores, TransplantScores, WholeScores,
    evaluate_generator,
};
pub use parser::{ClassScore, MaskScores, ParserReport, evaluate_parser};

use serde::Serialize;

/// Side that faces are read at: CelebAMask-HQ's masks have it.
const FACE_SIDE: usize = 512;

/// A number that was aimed for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Goal {
    pub name: String,
    /// None when nothing could be measured.
    pub value: Option<f64>,
    pub wanted: f64,
    /// Whether the value must be at least what is wanted, or at most.
    pub at_least: bool,
    pub is_met: bool,
}

impl Goal {
    fn at_least(name: &str, value: Option<f64>, wanted: f64) -> Self {
        let is_met = value.is_some_and(|v| v >= wanted);
        Self {
            name: name.to_string(),
            value,
            wanted,
            at_least: true,
            is_met,
        }
    }

    fn at_most(name: &str, value: Option<f64>, wanted: f64) -> Self {
        let is_met = value.is_some_and(|v| v <= wanted);
        Self {
            name: name.to_string(),
            value,
            wanted,
            at_least: false,
            is_met,
        }
    }
}

/// A running mean of finite values.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value.filter(|v| v.is_finite()) {
            self.sum += value;
            self.count += 1;
        }
    }

    fn get(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }
}

fn mean_of(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let mut mean = Mean::default();
    values.into_iter().for_each(|v| mean.add(v));
    mean.get()
}
