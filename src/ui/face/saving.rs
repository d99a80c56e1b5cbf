//! Jobs that write what was made: the result to a file or the clipboard, the mask, the edit as a recipe; and those that
//! bring a mask or an edit back in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;

use super::mirror::Mirror;
use super::steps::{Changed, Purpose, RenderInput, Value};
use crate::face::edit::{Face, Quality, RenderedPatch};
use crate::face::mask::{Fit, Guard, Labels, MaskFormat, Patch, open_mask, save_mask};
use crate::face::recipe::Recipe;
use crate::job::Out;
use crate::photo::{self, Depth, Format, Photo, SaveOptions};
use crate::ui::clipboard::Clipboard;

/// A face's part of the result: rendered already, or still to be.
pub enum ResultPart {
    Ready(Arc<RenderedPatch>),
    Missing(Box<RenderInput>),
}

/// The photo with all edits. What has not been rendered in full yet is rendered first.
fn finished(photo: &Photo, parts: Vec<ResultPart>, out: &Out<Value>) -> Result<Photo> {
    let mut result = photo.clone();
    for part in parts {
        let patch = match part {
            ResultPart::Ready(patch) => Some(patch),
            ResultPart::Missing(input) => {
                out.progress(0.0, "Rendering")?;
                input
                    .render(Quality::Full, &out.part(0.0, 0.8))?
                    .map(Arc::new)
            }
        };
        if let Some(patch) = patch {
            result.paste(&patch.rgb, patch.rect.x, patch.rect.y);
        }
    }
    Ok(result)
}

/// Writes the photo with all edits. A name without an ending gets that of `format`; else its own ending counts.
pub fn save_result(
    photo: &Photo,
    parts: Vec<ResultPart>,
    path: PathBuf,
    format: Format,
    mut options: SaveOptions,
    out: &Out<Value>,
) -> Result<()> {
    let path = match path.extension() {
        Some(_) => path,
        None => path.with_added_extension(format.extension()),
    };
    // The choice was made for another format.
    if Format::of_path(&path).is_some_and(|format| !format.is_deep()) {
        options.depth = Depth::AsPhoto;
    }
    let result = finished(photo, parts, out)?;
    out.progress(0.8, "Saving the result")?;
    photo::save_with(&path, &result, &options)?;
    out.value(Value::Saved(Purpose::SaveResult, path))?;
    Ok(())
}

/// Puts the photo with all edits on the clipboard.
pub fn copy_result(
    photo: &Photo,
    parts: Vec<ResultPart>,
    clipboard: &dyn Clipboard,
    out: &Out<Value>,
) -> Result<()> {
    let result = finished(photo, parts, out)?;
    out.progress(0.9, "Copying the result")?;
    clipboard.copy(&result)?;
    out.value(Value::Copied)?;
    Ok(())
}

/// Writes the mask. The name's ending counts more than the form that was chosen.
pub fn write_mask(
    mask: &Mirror,
    path: PathBuf,
    format: MaskFormat,
    photo_name: &str,
    out: &Out<Value>,
) -> Result<()> {
    out.progress(0.2, "Saving the mask")?;
    let is_json = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("json"));
    let format = match (is_json, format) {
        (true, _) => MaskFormat::Rle,
        (false, MaskFormat::Rle) => MaskFormat::Id,
        (false, format) => format,
    };
    let files = mask.read(|mask| save_mask(&path, mask, format, photo_name))?;
    let first = files.into_iter().next().unwrap_or(path);
    out.value(Value::Saved(Purpose::SaveMask, first))?;
    Ok(())
}

/// Writes the edit of a face as a recipe.
pub fn save_recipe(
    face: &Face,
    source: &Labels,
    target: &Mirror,
    photo_name: &str,
    path: PathBuf,
    out: &Out<Value>,
) -> Result<()> {
    out.progress(0.2, "Saving the edit")?;
    let path = match path.extension() {
        Some(_) => path,
        None => path.with_added_extension("json"),
    };
    target
        .read(|target| Recipe::of(face, source, target, photo_name))?
        .save(&path)?;
    out.value(Value::Saved(Purpose::SaveRecipe, path))?;
    Ok(())
}

/// Puts a mask file in place of the mask: `of` is its face and revision. Locked parts stay.
pub fn replace_mask(
    mask: &Mirror,
    (face, revision): (usize, u64),
    path: &Path,
    guard: Guard,
    out: &Out<Value>,
) -> Result<()> {
    out.progress(0.2, "Opening the mask")?;
    let size = mask.read(|mask| [mask.width, mask.height]);
    let opened = open_mask(path, Fit::SameShape(size))?;
    out.progress(0.7, "Opening the mask")?;
    let patch = mask.read(|mask| {
        let pairs = mask.data.iter().zip(opened.labels.data);
        let labels = pairs.map(|(old, new)| if guard.allows(*old) { new } else { *old });
        let (rect, labels) = (mask.bounds(), labels.collect());
        Patch { rect, labels }.trimmed(mask)
    });
    out.value(Value::Changed(Box::new(Changed {
        face,
        revision,
        name: "Open mask".into(),
        patch,
        note: opened.note,
    })))?;
    Ok(())
}
