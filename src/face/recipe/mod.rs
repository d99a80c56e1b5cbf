//! A saved edit that can be made again on other faces.
//!
//! A recipe holds the mask before and after the edit, both in the aligned crop of CelebA-HQ (512², [`super::align`]), so
//! it knows nothing of the photo's size or of how the head was held. How it is brought to another face is written in
//! [`adapt`]: outlines that were moved move by as much relative to the other face's own part, and areas that were painted
//! anew go where they were relative to the parts around them.
//!
//! The file is JSON. For each class that is there before the edit, its region as COCO's compressed run lengths
//! (readable with pycocotools); for each class that the edit changed, its region after. No pixels of the photo are in it.
//!
//! Left out: styles taken from another photo, and edits outside the aligned crop.

mod adapt;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};

pub use adapt::Replay;

use super::edit::Face;
use super::labels::{CLASS_COUNT, CLASSES, by_name};
use super::mask::{Counts, Labels, Patch, Rle};
use crate::photo;
use crate::raster::Grid;

/// Side of the aligned crop that recipes are made in.
pub const SIDE: usize = 512;
const FORMAT: &str = "vitruvian recipe";
const VERSION: u32 = 1;
/// Run lengths of two masks of [`SIDE`]² never take more.
const MAX_BYTES: usize = 32 << 20;

/// A saved edit.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// What the photo was called.
    pub made_from: String,
    /// Before and after, [`SIDE`] a side.
    source: Labels,
    target: Labels,
}

/// The file.
#[derive(Serialize, Deserialize)]
struct File {
    format: String,
    version: u32,
    made_from: String,
    /// Height, width.
    size: [usize; 2],
    /// Regions by class before the edit.
    before: BTreeMap<String, String>,
    /// Regions of the classes that the edit changed, after it.
    after: BTreeMap<String, String>,
}

impl Recipe {
    /// The edit that made `target` of `source`, both of the photo's size.
    ///
    /// # Errors
    /// When nothing differs inside the face's crop.
    pub fn of(face: &Face, source: &Labels, target: &Labels, made_from: &str) -> Result<Self> {
        let recipe = Self {
            made_from: made_from.to_owned(),
            source: face.crop_labels(source, SIDE),
            target: face.crop_labels(target, SIDE),
        };
        ensure!(
            recipe.source != recipe.target,
            "Nothing was painted on this face, so there is no edit to save"
        );
        Ok(recipe)
    }

    /// The classes that have another region after the edit.
    pub fn changed(&self) -> Vec<u8> {
        let mut changed = [false; CLASS_COUNT];
        for (a, b) in self.source.data.iter().zip(&self.target.data) {
            if a != b {
                for class in [a, b] {
                    if let Some(changed) = changed.get_mut(usize::from(*class)) {
                        *changed = true;
                    }
                }
            }
        }
        (0..)
            .zip(changed)
            .filter(|(_, c)| *c)
            .map(|(i, _)| i)
            .collect()
    }

    /// Ready to be made again on many faces.
    pub fn replay(&self) -> Replay {
        Replay::new(&self.source, &self.target)
    }

    /// New labels for a photo's mask; none when the edit changes nothing on this face.
    pub fn apply(&self, face: &Face, mask: &Labels) -> Option<Patch> {
        self.replay().apply(face, mask)
    }

    /// As the bytes of its file.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let region = |mask: &Labels, class: u8| match Rle::of_class(mask, class).counts {
            Counts::Compressed(text) => text,
            Counts::Plain(_) => String::new(),
        };
        let changed = self.changed();
        let before = CLASSES.iter().filter(|c| self.source.data.contains(&c.id));
        let after = CLASSES.iter().filter(|class| changed.contains(&class.id));
        let file = File {
            format: FORMAT.into(),
            version: VERSION,
            made_from: self.made_from.clone(),
            size: [SIDE, SIDE],
            before: before
                .map(|class| (class.name.into(), region(&self.source, class.id)))
                .collect(),
            after: after
                .map(|class| (class.name.into(), region(&self.target, class.id)))
                .collect(),
        };
        serde_json::to_vec_pretty(&file).context("Failed to write the recipe")
    }

    /// From the bytes of its file.
    ///
    /// # Errors
    /// Not a recipe, damaged, without a change, or made by a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        ensure!(bytes.len() <= MAX_BYTES, "This is larger than any recipe");
        let file: File = serde_json::from_slice(bytes).context("This is not a recipe")?;
        ensure!(file.format == FORMAT, "This is not a recipe of Vitruvian");
        if file.version > VERSION {
            bail!("The recipe was made by a newer Vitruvian. Use that");
        }
        ensure!(
            file.size == [SIDE, SIDE],
            "The recipe is damaged: its size is not {SIDE}"
        );
        let changed: Vec<&String> = file.after.keys().collect();
        let same = file
            .before
            .iter()
            .filter(|(name, _)| !changed.contains(name));
        let recipe = Self {
            source: put_together(file.before.iter())?,
            target: put_together(same.chain(file.after.iter()))?,
            made_from: file.made_from.clone(),
        };
        ensure!(recipe.source != recipe.target, "The recipe changes nothing");
        Ok(recipe)
    }

    /// Reads a recipe's file.
    ///
    /// # Errors
    /// It cannot be read, or [`Recipe::decode`]'s; the path comes last.
    pub fn open(path: &Path) -> Result<Self> {
        photo::read_bounded(path)
            .and_then(|bytes| Self::decode(&bytes))
            .map_err(|err| anyhow!("Failed to open the recipe. {err:#}: {}", path.display()))
    }

    /// Writes a recipe's file, whole or not at all.
    ///
    /// # Errors
    /// [`photo::save_atomically`]'s.
    pub fn save(&self, path: &Path) -> Result<()> {
        photo::save_atomically(path, &self.encode()?)
    }
}

fn put_together<'a>(regions: impl Iterator<Item = (&'a String, &'a String)>) -> Result<Labels> {
    let mut mask = Grid::new(SIDE, SIDE, 0);
    for (name, counts) in regions {
        let class = by_name(name).with_context(|| format!("There is no class {name}"))?;
        let region = Rle {
            size: [SIDE, SIDE],
            counts: Counts::Compressed(counts.clone()),
        };
        region
            .paint(&mut mask, class.id)
            .with_context(|| format!("The recipe is damaged ({name})"))?;
    }
    Ok(mask)
}

#[cfg(test)]
mod tests;
