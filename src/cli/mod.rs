//! Every command and flag of the `vitruvian` program.

pub mod face;
pub mod lab;
pub mod motion;
pub mod pose;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::face::labels;
use crate::weights::DeviceKind;

/// Understand and edit pictures of people. With no command, opens the window.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// Photo to open in the window
    pub photo: Option<PathBuf>,

    /// What parses and renders faces, or trains in the lab; other work is done on the CPU. Nobody has tried anything but
    /// the CPU yet
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "DEVICE",
        default_value_t
    )]
    pub device: DeviceKind,

    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Parse and edit faces, measure the networks that do it
    #[command(subcommand)]
    Face(FaceCommand),

    /// Find people and their keypoints, measure how well
    #[command(subcommand)]
    Pose(pose::PoseCommand),

    /// Predict where walkers go, measure how well, draw it
    #[command(subcommand)]
    Motion(motion::MotionCommand),

    /// Train small networks with any normalisation, repeat the papers' experiments
    #[command(subcommand)]
    Lab(lab::LabCommand),

    /// Train the networks that ship
    Train {
        /// This is one of several processes that mpirun started: each takes batches of its own, gradients are averaged
        #[arg(long, global = true)]
        ranks: bool,

        #[command(subcommand)]
        network: TrainCommand,
    },

    /// See, convert and check weight files
    #[command(subcommand)]
    Weights(WeightsCommand),

    /// Measure how fast things are
    Bench {
        #[arg(value_enum, default_value_t = BenchSubject::Kernels)]
        subject: BenchSubject,

        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

/// What `bench` measures.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum BenchSubject {
    /// The CPU kernels beside candle's own
    Kernels,
    /// The steps of a face edit
    Face,
    /// Futures of walkers and heat maps
    Motion,
    /// Whole-body pose of one person and of ten
    Pose,
    /// Strokes on masks of up to 8192², as the window paints them
    #[cfg(feature = "gui")]
    Painting,
}

#[derive(Debug, Subcommand)]
pub enum FaceCommand {
    /// Write the mask of a face: a PNG of class ids 0 to 18 at the photo's own size
    Parse(ParseArgs),
    /// Render an edited mask back into the photo; pixels whose class stays the same stay as they are
    Edit(EditArgs),
    /// Make a saved edit again on many photos
    Apply(face::ApplyArgs),
    /// Measure the networks on a folder with images/NAME.jpg and masks/NAME.png, aligned
    #[command(subcommand)]
    Evaluate(EvaluateCommand),
}

#[derive(Debug, Subcommand)]
pub enum EvaluateCommand {
    /// Accuracy, F1 and IoU of the masks, on the crops and through face detection
    Parser {
        #[arg(value_name = "DIR")]
        data: PathBuf,

        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Likeness of rendered faces and parts to the real ones, beside simple fillings
    Generator {
        #[arg(value_name = "DIR")]
        data: PathBuf,

        /// Weights of the parser that judges painted parts: one that took no part in training. By default ours
        #[arg(long, value_name = "PARSER.safetensors")]
        judge: Option<PathBuf>,

        /// Write pictures to look at: source, hidden, rendered, real
        #[arg(long, value_name = "SHEET.png")]
        sheet: Option<PathBuf>,

        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Which face of a photo is meant.
#[derive(Args, Clone, Debug)]
pub struct FaceChoice {
    /// Take the N-th face, counted from the largest
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub face: u16,

    /// Take the face in this box (pixels of the photo) instead of searching for one
    #[arg(long = "box", value_name = "X0,Y0,X1,Y1", value_parser = parse_box, conflicts_with = "face")]
    pub bbox: Option<[f32; 4]>,

    /// The photo is an aligned square crop already (as in CelebA-HQ or FFHQ): no search
    #[arg(long, conflicts_with_all = ["face", "bbox"])]
    pub aligned: bool,
}

#[derive(Args, Debug)]
pub struct ParseArgs {
    #[arg(required = true, value_name = "PHOTO")]
    pub photos: Vec<PathBuf>,

    /// Mask to write; a folder if there are several photos, or one file a part
    #[arg(short, long, value_name = "MASK.png|DIR")]
    pub output: PathBuf,

    #[command(flatten)]
    pub form: face::MaskFormatArgs,

    #[command(flatten)]
    pub choice: FaceChoice,

    /// Put every face of the photo into the mask, not the largest alone
    #[arg(long, conflicts_with_all = ["face", "bbox", "aligned"])]
    pub all: bool,

    /// Write the mask of the aligned 512×512 crop instead, and the crop beside it
    #[arg(long, conflicts_with = "all")]
    pub crop: bool,

    /// Print what was done as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct EditArgs {
    #[arg(required = true, value_name = "PHOTO")]
    pub photos: Vec<PathBuf>,

    /// Mask as `face parse` writes it in any format, edited; with several photos a folder of masks named as the photos
    #[arg(
        short,
        long,
        value_name = "MASK.png|DIR",
        required_unless_present = "paint"
    )]
    pub mask: Option<PathBuf>,

    /// Paint a stroke over the mask: class (name or id), width, points, in pixels of the photo. May be repeated
    #[arg(short, long, value_name = "CLASS:WIDTH:X,Y:X,Y…", value_parser = parse_stroke)]
    pub paint: Vec<Stroke>,

    /// Write the mask that was rendered, strokes included
    #[arg(long, value_name = "MASK.png")]
    pub write_mask: Option<PathBuf>,

    /// Write the edit as a recipe for `face apply`
    #[arg(long, value_name = "RECIPE.json")]
    pub save_recipe: Option<PathBuf>,

    /// Picture to write (PNG, JPEG, TIFF, WebP); a folder if there are several photos
    #[arg(short, long, value_name = "OUT.png|DIR")]
    pub output: PathBuf,

    #[command(flatten)]
    pub choice: FaceChoice,

    /// Mask of the photo as it is; parsed from the photo if not given
    #[arg(long, value_name = "MASK.png")]
    pub source_mask: Option<PathBuf>,

    /// Render with MaskGAN's published generator, from your own latest_net_G.pth, instead of ours
    #[arg(long, value_name = "latest_net_G.pth")]
    pub generator: Option<PathBuf>,

    /// Speed against care
    #[arg(long, value_enum, default_value_t = EditQuality::Full)]
    pub render: EditQuality,

    #[command(flatten)]
    pub save: face::SaveArgs,

    /// Print what was done as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum EditQuality {
    /// As the window shows while painting
    Preview,
    /// As the window exports
    Full,
}

/// One stroke of a round brush.
#[derive(Clone, Debug, PartialEq)]
pub struct Stroke {
    pub class: u8,
    pub width_px: f32,
    pub points_in_image: Vec<[f32; 2]>,
}

#[derive(Debug, Subcommand)]
pub enum TrainCommand {
    /// The face parser, from a folder of aligned photos and masks
    Parser(crate::face::train_parser::TrainParser),

    /// The generator, from the same folder and a trained parser
    Generator(crate::face::train_generator::TrainGenerator),

    /// The motion network, from tracks of walkers
    Motion(crate::motion::train::TrainMotion),

    /// Graph grouping of keypoint candidates, from a folder of annotated photos
    Grouping(crate::pose::train_grouping::TrainGrouping),

    /// The head that says where face and hands are, from photos of people without labels
    Zoom(crate::pose::train_zoom::TrainZoom),

    /// Where small toes are, from feet of average shape seen from everywhere; prints the factors of src/pose/toes.rs
    Toes {
        /// Random feet to fit
        #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(10..=10_000_000))]
        feet: u32,

        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
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

fn parse_box(text: &str) -> Result<[f32; 4], String> {
    match numbers(text).as_deref() {
        Some(&[x0, y0, x1, y1]) if x0 < x1 && y0 < y1 => Ok([x0, y0, x1, y1]),
        _ => Err("write it as X0,Y0,X1,Y1 with X0 < X1 and Y0 < Y1".to_string()),
    }
}

fn parse_stroke(text: &str) -> Result<Stroke, String> {
    let mut parts = text.split(':');
    let (class, width) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let by_id = || class.parse().ok().and_then(labels::by_id);
    let class = labels::by_name(class).or_else(by_id).ok_or_else(|| {
        let names: Vec<&str> = labels::CLASSES.iter().map(|class| class.name).collect();
        format!(
            "there is no class {class}; the classes are {}",
            names.join(", ")
        )
    })?;
    let width_px = match numbers(width).as_deref() {
        Some(&[width]) if (1.0..=4000.0).contains(&width) => width,
        _ => return Err("the width is a number of pixels, 1 to 4000".to_string()),
    };
    let points: Option<Vec<[f32; 2]>> =
        parts.map(|point| numbers(point)?.try_into().ok()).collect();
    match points {
        Some(points_in_image) if !points_in_image.is_empty() => Ok(Stroke {
            class: class.id,
            width_px,
            points_in_image,
        }),
        _ => Err("after class and width come points, each X,Y".to_string()),
    }
}

/// Finite numbers separated by commas.
fn numbers(text: &str) -> Option<Vec<f32>> {
    let number = |number: &str| {
        number
            .trim()
            .parse()
            .ok()
            .filter(|number: &f32| number.is_finite())
    };
    text.split(',').map(number).collect()
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

    fn face_parse(rest: &str) -> Result<Cli, clap::Error> {
        parse(&format!("vitruvian face parse a.jpg b.jpg -o out {rest}"))
    }

    #[test]
    fn faces_are_counted_from_one_and_boxes_are_four_numbers_in_order() {
        for bad in [
            "--face 0",
            "--box 1,2,3",
            "--box 9,2,3,4",
            "--box 1,2,3,nan",
            "--box 1,2,3,4 --aligned",
        ] {
            assert!(face_parse(bad).is_err(), "{bad}");
        }
        match face_parse("--box 1,2.5,3,4").unwrap().command {
            Some(Command::Face(FaceCommand::Parse(args))) => {
                assert_eq!(args.photos.len(), 2);
                assert_eq!(args.choice.bbox, Some([1.0, 2.5, 3.0, 4.0]));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn strokes_are_read_by_class_name_or_id() {
        let stroke = parse_stroke("u_lip:8:1,2:3.5,4").unwrap();
        assert_eq!((stroke.class, stroke.width_px), (11, 8.0));
        assert_eq!(stroke.points_in_image, [[1.0, 2.0], [3.5, 4.0]]);
        assert_eq!(parse_stroke("11:8:1,2:3.5,4").unwrap(), stroke);
        for bad in [
            "",
            "u_lip",
            "u_lip:8",
            "lips:8:1,2",
            "19:8:1,2",
            "u_lip:0:1,2",
            "u_lip:8:1",
            "u_lip:8:1,2,3",
            "u_lip:8:inf,2",
        ] {
            assert!(parse_stroke(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_edit_needs_a_mask_or_a_stroke() {
        assert!(parse("vitruvian face edit a.jpg -o b.png").is_err());
        assert!(parse("vitruvian face edit a.jpg -o b.png --mask m.png").is_ok());
        assert!(
            parse("vitruvian face edit a.jpg -o b.png --paint skin:3:1,1 --paint 2:4:5,6").is_ok()
        );
    }
}
