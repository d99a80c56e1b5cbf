//! `vitruvian pose`: find people and their keypoints, measure how well.

mod detect;
mod evaluate;
mod figure;
mod grouping;

use anyhow::Result;

use crate::cli::pose::PoseCommand;

pub fn run(command: &PoseCommand) -> Result<()> {
    match command {
        PoseCommand::Detect(args) => detect::run(args),
        PoseCommand::Evaluate(args) => evaluate::run(args),
        PoseCommand::Figure(args) => figure::run(args),
        PoseCommand::Group(args) => grouping::group(args),
        PoseCommand::EvaluateGrouping(args) => grouping::evaluate(args),
    }
}
