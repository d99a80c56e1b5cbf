//! Face editing: find, align, parse, paint, generate, blend, export.
pub mod align;
pub mod blend;
pub mod dataset;
pub mod edit;
pub mod generator;
pub mod labels;
pub mod mask;
pub mod parser;
pub mod train_parser;
