//! The motion tab: walkers over a picture, where each may go next, and where all of them may arrive.
//!
//! [`work`] is the data, [`tab`] what happens to it, [`steps`] what jobs do; the rest draws.

mod draw;
mod panels;
mod reading;
mod screen;
mod steps;
mod tab;
mod timeline;
mod views;
mod work;

pub use steps::{Density, Load, Predicted, Predictor, Value, load};
pub use tab::MotionTab;
pub use work::{Id, Work};
