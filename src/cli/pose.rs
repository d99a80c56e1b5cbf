//! Flags of `vitruvian pose`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::pose::estimate::PoseConfig;

#[derive(Debug, Subcommand)]
pub enum PoseCommand {
    /// Find everyone in some photos: 133 keypoints each, as COCO-WholeBody results and drawn into the photos
    Detect(DetectArgs),
    /// Average precision and recall of found poses on annotated photos, for each part and the whole body
    Evaluate(EvaluateArgs),
    /// Draw a figure of people's keypoints, faces and hands enlarged: as annotated, or as found
    Figure(FigureArgs),
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
pub struct DetectArgs {
    #[arg(required = true, value_name = "PHOTO")]
    pub photos: Vec<PathBuf>,

    /// Folder for results.json and the drawn photos
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,

    #[command(flatten)]
    pub config: PoseConfig,

    /// Print what was done as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct FigureArgs {
    #[arg(required = true, value_name = "PHOTO")]
    pub photos: Vec<PathBuf>,

    /// Picture to write
    #[arg(short, long, value_name = "FIGURE.png")]
    pub output: PathBuf,

    /// Annotations in COCO-WholeBody form, or a folder with one such file; without it people are looked for
    #[arg(long, value_name = "DIR|ANNOTATIONS.json")]
    pub annotations: Option<PathBuf>,

    /// Rows for each photo, at most
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=40))]
    pub people: u8,

    /// Print what was done as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct EvaluateArgs {
    /// Annotations in COCO or COCO-WholeBody form, or a folder with one such file. Photos lie beside it or in images/
    #[arg(value_name = "DIR|ANNOTATIONS.json")]
    pub data: PathBuf,

    /// People found, in COCO-WholeBody's result form; without it they are looked for in the photos
    #[arg(long, value_name = "RESULTS.json")]
    pub results: Option<PathBuf>,

    #[command(flatten)]
    pub config: PoseConfig,

    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}
