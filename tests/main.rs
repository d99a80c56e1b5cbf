//! All integration tests in one program: one link step instead of one for each file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod bad_input;
mod batch;
mod cli;
mod layers;
mod motion;
#[cfg(feature = "gui")]
mod overlays;
mod pose;
#[cfg(feature = "gui")]
mod shaders;
#[cfg(feature = "gui")]
mod stub;
#[cfg(feature = "gui")]
mod ui;
