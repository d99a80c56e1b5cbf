//! The window: tabs, canvases, panels. Everything slow is a job; here jobs are only started and polled.

mod app;
mod canvas;
pub mod clipboard;
mod commands;
pub mod dialog;
pub mod face;
mod heat_look;
mod hint;
mod job_bar;
mod keys;
pub mod lab;
pub mod motion;
mod picture;
pub mod pose;
mod question;
mod settings;
mod tab;
mod theme;
mod weights_window;

use std::path::PathBuf;

use crate::weights::DeviceKind;

pub use app::{App, Setup, run, run_with};
pub use tab::TabName;

/// What the command line asks of the window.
pub struct Options {
    /// None opens the sample portrait.
    pub photo: Option<PathBuf>,
    /// What parses and renders.
    pub device: DeviceKind,
}
