//! The pose tab: the 133 keypoints of everyone in some photos, to look at, to correct, and to compare with labels.
//!
//! [`work`] is the data, [`tab`] what happens to it, [`steps`] what jobs do, `inside` the bottom-up way step by step;
//! the rest draws.

mod actions;
mod draw;
mod files;
mod inside;
mod loupe;
mod panels;
mod screen;
mod steps;
mod strip;
mod tab;
mod views;
mod work;

pub use steps::{Load, PoseSteps, Value, load};
pub use tab::PoseTab;
pub use work::{Entry, PersonState, Poses, Source};
