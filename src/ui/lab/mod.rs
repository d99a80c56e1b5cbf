//! The lab tab: live runs with different normalisations side by side, saved ones to compare
//! them with, and a page of theory to play with.

mod runs;
mod saved;
mod screen;
mod tab;
mod theory;

pub use tab::LabTab;
