//! Masks in the forms that other tools use: written as chosen, told apart on opening.
//!
//! | form | what it is |
//! |---|---|
//! | ids | PNG, 8-bit grey, the value is the class |
//! | palette | PNG with CelebAMask-HQ's numbers and colours |
//! | BiSeNet | PNG with the numbers and colours of zllrunning's parser |
//! | parts | one black and white PNG a class, `00000_hair.png` |
//! | RLE | COCO's JSON |
//!
//! A palette's colours tell the order. Bare numbers do not: where things are in the face does ([`super::orders`]).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::Labels;
use super::file::{Told, decode_told, encode_indexed, encode_mask};
use super::orders::{Order, from_bisenet, likely_order, to_id};
use super::rle::{decode_coco, encode_coco};
use crate::face::labels::{BISENET_COLOURS, CLASSES, Class, by_name};
use crate::photo::{self, ensure_same_size};
use crate::raster::{Grid, resize_labels};

/// A form that masks are written in.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize,
)]
pub enum MaskFormat {
    /// PNG of class ids 0 to 18
    #[default]
    Id,
    /// PNG with CelebAMask-HQ's ids and colours
    Palette,
    /// PNG with the ids and colours of BiSeNet's order
    #[value(name = "bisenet")]
    BiSeNet,
    /// One black and white PNG a part, such as 00000_hair.png
    Parts,
    /// COCO's JSON with run lengths
    Rle,
}

impl MaskFormat {
    pub const ALL: [Self; 5] = [
        Self::Id,
        Self::Palette,
        Self::BiSeNet,
        Self::Parts,
        Self::Rle,
    ];

    /// In the window.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Id => "Class ids",
            Self::Palette => "Colours, CelebAMask-HQ",
            Self::BiSeNet => "Colours, BiSeNet's order",
            Self::Parts => "One file a part",
            Self::Rle => "COCO run lengths",
        }
    }

    /// How its files end.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Rle => "json",
            _ => "png",
        }
    }
}

/// Writes a mask. With [`MaskFormat::Parts`] `path` is what the parts' names are made from: `a/b.png` gives
/// `a/b_hair.png`. Returns the files.
///
/// # Errors
/// [`photo::save_atomically`]'s.
pub fn save_mask(
    path: &Path,
    mask: &Labels,
    format: MaskFormat,
    photo_name: &str,
) -> Result<Vec<PathBuf>> {
    let bytes = match format {
        MaskFormat::Id => encode_mask(mask)?,
        MaskFormat::Palette => {
            let colours: Vec<u8> = CLASSES.iter().flat_map(|class| class.official).collect();
            encode_indexed(mask, colours)?
        }
        MaskFormat::BiSeNet => {
            let ids = mask.map(|class| to_id(Order::BiSeNet, *class));
            encode_indexed(&ids, BISENET_COLOURS.concat())?
        }
        MaskFormat::Rle => encode_coco(mask, photo_name)?,
        MaskFormat::Parts => return save_parts(path, mask),
    };
    photo::save_atomically(path, &bytes)?;
    Ok(vec![path.to_path_buf()])
}

fn save_parts(path: &Path, mask: &Labels) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for class in parts() {
        if !mask.data.contains(&class.id) {
            continue;
        }
        let path = part_path(path, class);
        let part = mask.map(|label| if *label == class.id { 255 } else { 0 });
        photo::save_atomically(&path, &encode_mask(&part)?)?;
        written.push(path);
    }
    ensure!(!written.is_empty(), "The mask has no part to write");
    Ok(written)
}

fn parts() -> impl Iterator<Item = &'static Class> {
    CLASSES.iter().skip(1)
}

fn part_path(path: &Path, class: &Class) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}_{}.png", class.name))
}

/// What a mask may differ from its photo in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It must have this width and height.
    Exact([usize; 2]),
    /// It may also be smaller or larger if its shape is the same: the data set's masks have half the photos' size.
    SameShape([usize; 2]),
    Any,
}

/// A mask that was opened, whatever its form.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenedMask {
    pub labels: Labels,
    /// How it was understood, where that is not obvious; in plain words.
    pub note: Option<String>,
}

/// Opens a mask in any of the forms.
///
/// # Errors
/// Not a mask, damaged, with values that are no class, or of a size that does not fit.
pub fn open_mask(path: &Path, fit: Fit) -> Result<OpenedMask> {
    photo::read_bounded(path)
        .and_then(|bytes| understand(path, &bytes))
        .and_then(|opened| fitted(opened, fit))
        .map_err(|err| anyhow!("Failed to read the mask. {err:#}: {}", path.display()))
}

fn understand(path: &Path, bytes: &[u8]) -> Result<OpenedMask> {
    if bytes.trim_ascii_start().starts_with(b"{") {
        let (labels, note) = (decode_coco(bytes)?, None);
        return Ok(OpenedMask { labels, note });
    }
    if let Some((labels, count)) = read_parts(path, bytes)? {
        let note = match count {
            1 => "Read as one part; the rest is background".to_owned(),
            _ => format!("Put together from {count} files, one a part"),
        };
        let note = Some(note);
        return Ok(OpenedMask { labels, note });
    }
    let (labels, told) = decode_told(bytes)?;
    let (labels, note) = match told {
        Told::Colours => (labels, None),
        Told::BisenetColours => (labels, Some("Read in BiSeNet's order, by its colours")),
        Told::Numbers => match likely_order(&labels) {
            (Order::Official, true) => (labels, None),
            (Order::Official, false) => {
                let note = "Read in CelebAMask-HQ's order. If parts are wrong, the file may be in another order";
                (labels, Some(note))
            }
            (Order::BiSeNet, _) => {
                let note = "Read in BiSeNet's order, which fits where the parts are";
                (from_bisenet(&labels), Some(note))
            }
        },
    };
    let note = note.map(str::to_owned);
    Ok(OpenedMask { labels, note })
}

/// If this is one of a set of part files, the mask that they make and how many they are.
fn read_parts(path: &Path, bytes: &[u8]) -> Result<Option<(Labels, usize)>> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let Some((prefix, _)) = parts()
        .filter_map(|class| Some((stem.strip_suffix(class.name)?.strip_suffix('_')?, class)))
        .find(|(prefix, class)| by_name(class.name).is_some() && !prefix.is_empty())
    else {
        return Ok(None);
    };
    let Ok(own) = photo::decode(bytes) else {
        return Ok(None);
    };
    // Parts are black and white. Larger than any id: this is no mask of ids.
    if !own
        .rgb
        .data
        .iter()
        .any(|v| usize::from(*v) >= CLASSES.len())
    {
        return Ok(None);
    }
    if !own.rgb.pixels().all(|[r, g, b]| r == g && g == b) {
        return Ok(None);
    }
    let (width, height) = (own.rgb.width, own.rgb.height);
    let mut mask = Grid::new(width, height, 0);
    let mut count = 0;
    for class in parts() {
        let path = part_path(&path.with_file_name(format!("{prefix}.png")), class);
        if !path.is_file() {
            continue;
        }
        let part = photo::open(&path)?.rgb;
        ensure_same_size("part", (part.width, part.height), (width, height))
            .with_context(|| format!("The parts differ in size ({})", class.name))?;
        for (label, pixel) in mask.data.iter_mut().zip(part.pixels()) {
            if pixel != [0; 3] {
                *label = class.id;
            }
        }
        count += 1;
    }
    Ok(Some((mask, count)))
}

fn fitted(opened: OpenedMask, fit: Fit) -> Result<OpenedMask> {
    let found = (opened.labels.width, opened.labels.height);
    let (size, may_scale) = match fit {
        Fit::Any => return Ok(opened),
        Fit::Exact([width, height]) => ((width, height), false),
        Fit::SameShape([width, height]) => ((width, height), true),
    };
    if found == size {
        return Ok(opened);
    }
    // A pixel more or less is rounding.
    let is_same_shape = {
        let across = (found.0 * size.1).abs_diff(found.1 * size.0);
        across <= size.0.max(size.1) && found.0 > 0
    };
    if !may_scale || !is_same_shape {
        ensure_same_size("mask", found, size)?;
    }
    let scaled = format!(
        "Brought from {} × {} to {} × {} pixels",
        found.0, found.1, size.0, size.1
    );
    let note = match opened.note {
        Some(note) => format!("{note}. {scaled}"),
        None => scaled,
    };
    Ok(OpenedMask {
        labels: resize_labels(&opened.labels, size.0, size.1),
        note: Some(note),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::labels::id;

    /// A face of ellipses: centre and half axes in hundredths.
    fn face() -> Labels {
        let parts: [(u8, [i32; 4]); 13] = [
            (id::CLOTH, [50, 98, 45, 14]),
            (id::NECK, [50, 82, 14, 20]),
            (id::HAIR, [50, 34, 40, 34]),
            (id::R_EAR, [23, 48, 4, 8]),
            (id::L_EAR, [77, 48, 4, 8]),
            (id::SKIN, [50, 46, 27, 34]),
            (id::R_BROW, [37, 36, 9, 2]),
            (id::L_BROW, [63, 36, 9, 2]),
            (id::R_EYE, [37, 43, 7, 3]),
            (id::L_EYE, [63, 43, 7, 3]),
            (id::NOSE, [50, 52, 6, 10]),
            (id::U_LIP, [50, 66, 10, 3]),
            (id::L_LIP, [50, 71, 9, 3]),
        ];
        let mut mask = Grid::new(100, 100, id::BACKGROUND);
        for (class, [cx, cy, rx, ry]) in parts {
            for y in 0..100 {
                for x in 0..100 {
                    let (dx, dy) = ((x - cx) * ry, (y - cy) * rx);
                    if dx * dx + dy * dy <= rx * rx * ry * ry {
                        mask.set(x as usize, y as usize, class);
                    }
                }
            }
        }
        mask
    }

    #[test]
    fn every_form_opens_as_it_was_saved() {
        let folder = tempfile::tempdir().unwrap();
        let mask = face();
        for format in MaskFormat::ALL {
            let name = format!("00000.{}", format.extension());
            let files = save_mask(&folder.path().join(name), &mask, format, "00000.jpg").unwrap();
            let opened = open_mask(&files[0], Fit::Exact([100, 100])).unwrap();
            assert_eq!(opened.labels, mask, "{format:?}");
            let is_told = opened.note.is_some();
            let is_other = matches!(format, MaskFormat::BiSeNet | MaskFormat::Parts);
            assert_eq!(is_told, is_other, "{format:?}: {:?}", opened.note);
            if format == MaskFormat::Parts {
                assert_eq!(files.len(), 13);
                let hair = folder.path().join("00000_hair.png");
                assert!(files.contains(&hair));
                let grey = image::open(hair).unwrap().into_luma8();
                assert_eq!((grey[(50, 5)][0], grey[(50, 50)][0]), (255, 0));
            }
        }
        // BiSeNet's numbers are in the file: the nose is its 10.
        let path = folder.path().join("b.png");
        save_mask(&path, &mask, MaskFormat::BiSeNet, "").unwrap();
        let mut decoder =
            png::Decoder::new(std::io::BufReader::new(std::fs::File::open(&path).unwrap()));
        decoder.set_transformations(png::Transformations::IDENTITY);
        let mut reader = decoder.read_info().unwrap();
        let mut data = vec![0; 100 * 100];
        reader.next_frame(&mut data).unwrap();
        assert_eq!(data[52 * 100 + 50], 10);
    }

    #[test]
    fn bare_numbers_are_told_apart_by_where_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.png");
        let other = face().map(|class| to_id(Order::BiSeNet, *class));
        photo::save_atomically(&path, &encode_mask(&other).unwrap()).unwrap();
        let opened = open_mask(&path, Fit::Any).unwrap();
        assert_eq!(opened.labels, face());
        assert!(opened.note.unwrap().contains("BiSeNet"));
        assert_eq!(likely_order(&face()), (Order::Official, true));
        // Nothing in it says which.
        let vague = Grid::new(4, 4, id::HAIR);
        assert_eq!(likely_order(&vague), (Order::Official, false));
        let same = Grid::new(4, 4, id::SKIN);
        assert_eq!(likely_order(&same), (Order::Official, true));
    }

    #[test]
    fn masks_of_the_same_shape_are_scaled_where_that_is_meant() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.png");
        save_mask(&path, &face(), MaskFormat::Id, "").unwrap();
        assert!(open_mask(&path, Fit::Exact([200, 200])).is_err());
        assert!(open_mask(&path, Fit::SameShape([200, 100])).is_err());
        let opened = open_mask(&path, Fit::SameShape([200, 200])).unwrap();
        assert_eq!(opened.labels, resize_labels(&face(), 200, 200));
        assert!(opened.note.unwrap().contains("100 × 100"));
    }
}
