//! The face tab: open a photo, paint its mask, see the face change, save.
//!
//! [`work`] is the data, [`tab`] what happens to it, [`steps`] what jobs do; the rest draws.

mod classes;
mod panels;
mod screen;
mod steps;
mod style;
mod tab;
mod tools;
mod views;
mod work;

pub use steps::{Dialog, OtherStyle, Purpose, Question, Source, Steps, Style, Value};
pub use tab::FaceTab;
pub use work::{Edit, Work};
