//! Flags of `vitruvian motion`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::motion::predict::Care;

#[derive(Debug, Subcommand)]
pub enum MotionCommand {
    /// Write 20 futures of every walker who is seen for eight steps, as CSV
    Predict(PredictArgs),
    /// Measure networks on ETH/UCY, each on the scene that it was not trained on, beside constant velocity
    Evaluate(EvaluateArgs),
    /// Draw scenes with futures above and heat maps of destinations below
    Figure(FigureArgs),
}

/// How track files are to be read.
#[derive(Args, Clone, Debug)]
pub struct TrackArgs {
    /// Frames between two steps of 0.4 s; by default the most frequent distance of two lines of a walker
    #[arg(long, value_name = "FRAMES")]
    pub step: Option<i64>,

    /// Metres of one unit of x and y, where tracks are not in metres (SDD's pixels: 0.02 to 0.06 by video)
    #[arg(long, value_name = "M", default_value_t = 1.0)]
    pub metres_per_unit: f64,
}

#[derive(Args, Debug)]
pub struct PredictArgs {
    /// Track files: lines of `frame agent x y`, SDD annotations, or CSV with a header
    #[arg(required = true, value_name = "TRACKS")]
    pub tracks: Vec<PathBuf>,

    /// Weights to use; by default ours for pedestrians seen from a building (ETH/UCY, metres). For drone pictures of
    /// walkers and riders take weights/motion_sdd.safetensors
    #[arg(long, value_name = "WEIGHTS")]
    pub checkpoint: Option<PathBuf>,

    /// Table to write: file,agent,frame,sample,step,x,y, in the unit of the tracks
    #[arg(short, long, value_name = "OUT.csv")]
    pub output: PathBuf,

    /// At which of the frames with eight observed steps to predict
    #[arg(long, value_enum, default_value_t = WhichFrames::Ends)]
    pub frames: WhichFrames,

    /// Folder with H_pixel_to_world.txt and walkable.png of the place
    #[arg(long, value_name = "DIR")]
    pub scene: Option<PathBuf>,

    /// Ask the network once, or in several views whose answers are brought together
    #[arg(long, value_enum, default_value_t = Care::Full)]
    pub care: Care,

    #[command(flatten)]
    pub reading: TrackArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WhichFrames {
    /// For each walker the first and the last one
    Ends,
    /// For each walker the first one
    First,
    /// For each walker the last one
    Last,
    /// All of them
    Every,
}

#[derive(Args, Debug)]
pub struct EvaluateArgs {
    /// Folder of ETH/UCY in Social GAN's leave-one-out split; with --sdd that of drone tracks in metres and H_SDD.txt
    #[arg(value_name = "DIR")]
    pub data: PathBuf,

    /// Measure these weights on the held-out drone videos instead, in metres and pixels
    #[arg(long, value_name = "WEIGHTS", conflicts_with_all = ["runs", "folds"])]
    pub sdd: Option<PathBuf>,

    /// Drone videos that were held out of training
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_values_t = crate::motion::data::HELD_OUT.map(String::from))]
    pub held_out: Vec<String>,

    /// Folders with runs of `train motion`, motion-FOLD in each; several are rows of the table (seeds, ablations)
    #[arg(long, value_name = "DIR", default_value = "runs", num_args = 1..)]
    pub runs: Vec<PathBuf>,

    /// Folds to measure
    #[arg(long, value_delimiter = ',', default_values_t = crate::motion::data::FOLDS.map(String::from))]
    pub folds: Vec<String>,

    /// Ask the network once, or in several views whose answers are brought together
    #[arg(long, value_enum, default_value_t = Care::Full)]
    pub care: Care,

    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct FigureArgs {
    /// A column of the figure: track file, folder of the scene, and if wanted the last observed frame. Repeat it for
    /// each column
    #[arg(long = "panel", required = true, value_name = "TRACKS,SCENE[,FRAME]", value_parser = parse_panel)]
    pub panels: Vec<Panel>,

    /// Weights to use; by default ours
    #[arg(long, value_name = "WEIGHTS")]
    pub checkpoint: Option<PathBuf>,

    /// Picture to write
    #[arg(short, long, value_name = "OUT.png")]
    pub output: PathBuf,

    /// Width of a column in pixels
    #[arg(long, value_name = "PX", default_value_t = 480, value_parser = clap::value_parser!(u32).range(64..=2048))]
    pub width: u32,

    #[command(flatten)]
    pub reading: TrackArgs,
}

/// One column of the figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    pub tracks: PathBuf,
    pub scene: PathBuf,
    pub frame: Option<i64>,
}

fn parse_panel(text: &str) -> Result<Panel, String> {
    let parts: Vec<&str> = text.split(',').collect();
    let frame = match parts.get(2) {
        Some(frame) => Some(
            frame
                .parse()
                .map_err(|_| format!("the frame {frame} is no whole number"))?,
        ),
        None => None,
    };
    match parts[..] {
        [tracks, scene] | [tracks, scene, _] if !tracks.is_empty() && !scene.is_empty() => {
            Ok(Panel {
                tracks: tracks.into(),
                scene: scene.into(),
                frame,
            })
        }
        _ => Err("write it as TRACKS,SCENE or TRACKS,SCENE,FRAME".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panel_is_tracks_scene_and_maybe_a_frame() {
        let panel = parse_panel("a.txt,scenes/zara1,7800").unwrap();
        assert_eq!(panel.scene, PathBuf::from("scenes/zara1"));
        assert_eq!(panel.frame, Some(7800));
        assert_eq!(parse_panel("a.txt,s").unwrap().frame, None);
        for bad in ["a.txt", "a.txt,", ",s", "a,b,c", "a,b,1,2"] {
            assert!(parse_panel(bad).is_err(), "{bad}");
        }
    }
}
