//! Flags of `vitruvian pose`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum PoseCommand {
    /// Average precision and recall of found poses on annotated photos, for each part and the whole body
    Evaluate(EvaluateArgs),
    /// Find the bodies in some photos bottom-up, by graph grouping: 17 keypoints each, as COCO results
    Group(GroupArgs),
    /// Body AP of graph grouping beside MultiPose's own decoding and greedy grouping, on annotated photos
    EvaluateGrouping(EvaluateGroupingArgs),
}

#[derive(Args, Debug)]
pub struct GroupArgs {
    #[arg(required = true, value_name = "PHOTO")]
    pub photos: Vec<PathBuf>,

    /// File to write
    #[arg(short, long, value_name = "RESULTS.json")]
    pub output: PathBuf,

    /// Longer side at which photos are looked at, in pixels
    #[arg(long, value_name = "PX", default_value_t = 512, value_parser = clap::value_parser!(u16).range(128..=2048))]
    pub side: u16,

    /// Print what was done as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct EvaluateGroupingArgs {
    /// Annotations in COCO form, or a folder with one such file. Photos lie beside it or in images/
    #[arg(value_name = "DIR|ANNOTATIONS.json")]
    pub data: PathBuf,

    /// Longer side at which photos are looked at, in pixels
    #[arg(long, value_name = "PX", default_value_t = 512, value_parser = clap::value_parser!(u16).range(128..=2048))]
    pub side: u16,

    /// Print as JSON
    #[arg(long)]
    pub json: bool,
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
