//! The face tab: open a photo, paint its mask, see the face change, save.
//!
//! [`work`] is the data, [`tab`] and [`actions`] what happens to it, [`steps`] what jobs do; the rest draws.

mod actions;
mod classes;
mod export;
mod folder;
mod hints;
mod history_panel;
mod keeping;
mod mirror;
mod moving;
mod options;
mod outline;
mod panels;
mod paths;
mod result;
mod saving;
mod screen;
mod status;
mod steps;
mod style;
mod tab;
mod tools;
mod views;
mod work;

pub use classes::at_position as class_at_position;
pub use steps::{Dialog, OtherStyle, Purpose, Question, Source, Steps, Style, Value};
pub use tab::FaceTab;
pub use work::{Edit, Work};
