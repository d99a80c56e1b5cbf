//! Vitruvian: understand and edit pictures of people.
//!
//! | folder or file | what is in it |
//! |---|---|
//! | [`face`] | find, align, parse, edit and export a face |
//! | [`pose`] | the 133 keypoints of everyone in a photo; how good they are |
//! | [`people`] | where faces are in a photo: detector and landmark networks |
//! | [`motion`] | tracks of walkers, their futures and destination heat maps |
//! | [`lab`] | normalisation: live training, experiments, theory |
//! | [`nn`] | the layers the models are made of, with fast CPU kernels |
//! | [`raster`], [`photo`] | pixel buffers, warps; picture files |
//! | [`job`] | slow work on its own thread, with progress and cancel |
//! | [`weights`], [`legacy_pth`] | weight files and what fits where |
//! | [`training`] | the training loop: step, log, checkpoint, resume |
//! | `gpu`, `ui` | what you see (feature `gui`) |
//! | [`commands`], [`cli`] | the same work without a window |

pub mod cli;
pub mod commands;
pub mod face;
#[cfg(feature = "gui")]
pub mod gpu;
pub mod job;
pub mod lab;
pub mod legacy_pth;
pub mod motion;
pub mod nn;
pub mod people;
pub mod photo;
pub mod pose;
pub mod raster;
pub mod training;
#[cfg(feature = "gui")]
pub mod ui;
pub mod weights;
