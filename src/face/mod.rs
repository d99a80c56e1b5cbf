//! Face editing: find, align, parse, paint, generate, blend, export.
pub mod align;
pub mod baselines;
pub mod blend;
pub mod dataset;
pub mod dense_mapping;
pub mod discriminator;
pub mod edit;
pub mod generator;
mod generator_progress;
pub mod holes;
pub mod labels;
pub mod mask;
pub mod metrics;
pub mod parser;
mod samples;
pub mod style;
pub mod train_generator;
pub mod train_parser;
