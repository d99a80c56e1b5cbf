//! Every command and flag of the `vitruvian` program.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Understand and edit pictures of people. With no command, opens the window.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// Photo to open in the window
    pub photo: Option<PathBuf>,

    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train the networks that ship
    #[command(subcommand)]
    Train(TrainCommand),

    /// See, convert and check weight files
    #[command(subcommand)]
    Weights(WeightsCommand),

    /// Measure the CPU kernels beside candle's own
    Bench {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum TrainCommand {
    /// The face parser, from a folder of aligned photos and masks
    Parser(crate::face::train_parser::TrainParser),

    /// The generator, from the same folder and a trained parser
    Generator(crate::face::train_generator::TrainGenerator),
}

#[derive(Debug, Subcommand)]
pub enum WeightsCommand {
    /// Show every weight file that is found, and what it is
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Convert PyTorch (.pth) or tfjs (model.json) weights to safetensors
    Import {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,

        /// File to write; a folder if there are several
        #[arg(short, long, value_name = "OUT.safetensors|DIR")]
        output: PathBuf,

        /// Keep 32-bit numbers instead of 16-bit
        #[arg(long)]
        f32: bool,
    },
    /// Report missing, unused and mis-shaped tensors; of every network unless files are given
    Check {
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,

        /// The network that the files are for; by default the one that the file is named after
        #[arg(long, value_name = "NAME")]
        network: Option<String>,

        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_photo_alone_opens_the_window() {
        let cli = parse("vitruvian me.jpg").unwrap();
        assert_eq!(cli.photo, Some("me.jpg".into()));
        assert!(cli.command.is_none());
        assert!(parse("vitruvian").unwrap().photo.is_none());
    }
}
