//! Flags of `vitruvian face` that several of its commands share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::face::mask::MaskFormat;
use crate::photo::{Depth, Format, SaveOptions};

/// How pictures are written.
#[derive(Args, Clone, Debug)]
pub struct SaveArgs {
    /// Quality of JPEG files, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 95, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub quality: u8,

    /// Bits per channel of PNG and TIFF files; by default as many as the photo has
    #[arg(long, value_enum, value_name = "N")]
    pub bits: Option<Bits>,

    /// Leave the camera's data (EXIF) out
    #[arg(long)]
    pub strip_metadata: bool,

    /// Leave the colour profile out; colours may look different then
    #[arg(long)]
    pub strip_profile: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bits {
    #[value(name = "8")]
    Eight,
    #[value(name = "16")]
    Sixteen,
}

impl SaveArgs {
    /// The same for [`crate::photo::save_with`].
    pub fn options(&self) -> SaveOptions {
        SaveOptions {
            quality: self.quality,
            depth: match self.bits {
                None => Depth::AsPhoto,
                Some(Bits::Eight) => Depth::Eight,
                Some(Bits::Sixteen) => Depth::Sixteen,
            },
            keep_metadata: !self.strip_metadata,
            keep_profile: !self.strip_profile,
        }
    }
}

/// The form of a mask that is written.
#[derive(Args, Clone, Copy, Debug)]
pub struct MaskFormatArgs {
    /// Form of the mask
    #[arg(long, value_enum, default_value_t = MaskFormat::Id)]
    pub format: MaskFormat,
}

#[derive(Args, Debug)]
pub struct ApplyArgs {
    /// Saved edit: from the window, or from `face edit --save-recipe`
    pub recipe: PathBuf,

    /// Photos, or folders of photos
    #[arg(required = true, value_name = "PHOTO")]
    pub photos: Vec<PathBuf>,

    /// Folder for the results and report.json
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,

    /// Format of the results; by default each photo's own where that can be written, else PNG
    #[arg(long, value_enum)]
    pub format: Option<PictureFormat>,

    /// Edit every face of a photo, not the largest alone
    #[arg(long, conflicts_with = "aligned")]
    pub all_faces: bool,

    /// The photos are aligned square crops already (as in CelebA-HQ or FFHQ): no search
    #[arg(long)]
    pub aligned: bool,

    /// Do only the I-th of N equal shares of the photos, for a cluster
    #[arg(long, value_name = "I/N", default_value = "1/1", value_parser = parse_shard)]
    pub shard: (usize, usize),

    /// Photos at once; by default as many as there are cores and memory for
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,

    /// Do photos again that were done before
    #[arg(long)]
    pub again: bool,

    #[command(flatten)]
    pub save: SaveArgs,

    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// A format that pictures are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PictureFormat {
    Png,
    #[value(alias = "jpeg")]
    Jpg,
    #[value(name = "webp")]
    WebP,
    #[value(alias = "tiff")]
    Tif,
}

impl From<PictureFormat> for Format {
    fn from(format: PictureFormat) -> Self {
        match format {
            PictureFormat::Png => Self::Png,
            PictureFormat::Jpg => Self::Jpeg,
            PictureFormat::WebP => Self::WebP,
            PictureFormat::Tif => Self::Tiff,
        }
    }
}

fn parse_shard(text: &str) -> Result<(usize, usize), String> {
    let numbers = text.split_once('/');
    let numbers = numbers.and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match numbers {
        Some((index, count)) if index >= 1 && index <= count => Ok((index, count)),
        _ => Err("write it as I/N with I from 1 to N, such as 2/8".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_counted_from_one() {
        assert_eq!(parse_shard("2/8"), Ok((2, 8)));
        for bad in ["0/8", "9/8", "2", "a/b", "2/0", "-1/2"] {
            assert!(parse_shard(bad).is_err(), "{bad}");
        }
    }
}
