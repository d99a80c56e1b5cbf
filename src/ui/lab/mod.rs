//! The lab tab: live runs with different normalisations side by side, and a page of theory to play with.

mod runs;
mod screen;
mod tab;
mod theory;

pub use tab::LabTab;
