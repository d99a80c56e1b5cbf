//! `vitruvian pose`: find people and their keypoints, measure how well.

mod evaluate;

use anyhow::Result;

use crate::cli::pose::PoseCommand;

pub fn run(command: &PoseCommand) -> Result<()> {
    match command {
        PoseCommand::Evaluate(args) => evaluate::run(args),
    }
}
