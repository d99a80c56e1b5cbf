//! Flags of `vitruvian pose`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum PoseCommand {
    /// Average precision and recall of found poses on annotated photos, for each part and the whole body
    Evaluate(EvaluateArgs),
}

#[derive(Args, Debug)]
pub struct EvaluateArgs {
    /// Annotations in COCO or COCO-WholeBody form, or a folder with one such file
    #[arg(value_name = "DIR|ANNOTATIONS.json")]
    pub data: PathBuf,

    /// People found, in COCO-WholeBody's result form
    #[arg(long, value_name = "RESULTS.json")]
    pub results: PathBuf,

    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}
