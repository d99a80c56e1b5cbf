//! The laboratory of normalisation: live runs on a small data set, and experiments that repeat the papers on its scale.
//!
//! [`run`] is one run, [`saved`] the folder it is kept in, [`experiments`] are tables made of many, [`theory`] needs no data. [`resnet`] holds the published
//! classifiers. The layers themselves are in [`crate::nn::norms`].

pub mod check_ranks;
pub mod checkpoint;
pub mod config;
pub mod dataset;
pub mod experiments;
pub mod live;
pub mod net;
pub mod optim;
pub mod plot;
pub mod random;
pub mod resnet;
pub mod run;
pub mod saved;
#[cfg(test)]
mod saved_tests;
pub mod table;
#[cfg(test)]
mod tests;
pub mod theory;
