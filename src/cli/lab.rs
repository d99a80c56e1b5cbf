//! Flags of `vitruvian lab`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::face::train_parser::TrainParser;
use crate::lab::experiments::{
    batch_size::BatchSize, decay::Decay, harden::Harden, theory::Theory,
};
use crate::lab::run::{LabConfig, NormKind};

#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// Train one network on digits, with any normalisation; on several ranks under mpirun
    Train(TrainLab),
    /// Accuracy of several normalisations against batch size
    BatchSize(BatchSize),
    /// From learned ratios to hard ones: SN hardened and fine-tuned, SSN decided by itself
    Harden(Harden),
    /// Batch normalisation beside what it amounts to: population statistics with gamma decay; and with dropout
    Decay(Decay),
    /// The theory of batch normalisation in four tables, each measured too
    Theory(Theory),
    /// The face parser with several normalisations on the same budget: validation mean IoU and ratios of each
    Parser(ParserNorms),
    /// Check under mpirun that the ranks together do what one process does with the whole batch
    CheckRanks(CheckRanks),
}

#[derive(Args, Debug)]
pub struct TrainLab {
    #[command(flatten)]
    pub config: LabConfig,

    /// This is one of several processes that mpirun started: share each batch's statistics and gradients
    #[arg(long)]
    pub ranks: bool,

    /// Start from the weights of an earlier run of the same shape
    #[arg(long, value_name = "WEIGHTS.safetensors")]
    pub init: Option<PathBuf>,

    /// Go on with the run in the folder, with its own settings
    #[arg(long, conflicts_with = "init")]
    pub resume: bool,

    /// Folder for settings, log, ratios and weights
    #[arg(short, long, value_name = "DIR", default_value = "runs/lab/train")]
    pub output: PathBuf,
}

#[derive(Args, Debug)]
pub struct ParserNorms {
    /// Normalisations to compare
    #[arg(long, value_delimiter = ',', default_value = "bn,gn,sn,ssn,hard")]
    pub norms: Vec<NormKind>,

    /// Settings of every training; `--run` is the folder that each gets a folder in. Small batches are what tells
    /// normalisations apart, so give --batch 2
    #[command(flatten)]
    pub base: TrainParser,
}

#[derive(Args, Debug)]
pub struct CheckRanks {
    #[command(flatten)]
    pub config: LabConfig,

    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Lab {
        #[command(subcommand)]
        command: LabCommand,
    }

    #[test]
    fn decay_sees_few_digits_often_and_others_all() {
        let base = |args: &[&str]| {
            let args = ["lab"].iter().chain(args);
            match Lab::try_parse_from(args).unwrap().command {
                LabCommand::Decay(decay) => decay.common.base,
                LabCommand::Harden(harden) => harden.common.base,
                other => panic!("{other:?}"),
            }
        };
        let decay = base(&["decay"]);
        assert_eq!((decay.pool, decay.digits, decay.rate), (1000, 40_000, 0.05));
        assert_eq!(base(&["decay", "--pool", "50"]).pool, 50);
        assert_eq!(base(&["harden"]), LabConfig::default());
    }
}
