//! The history as bytes, for project files.
//!
//! Little endian: magic, made steps, steps, forgotten steps; then each step: name, thumbnail, rectangle, packed labels,
//! every part with its length before it.

use anyhow::{Context as _, Result, ensure};

use super::history::{History, Step, THUMBNAIL_PX};
use super::packed::Packed;
use crate::face::labels::CLASS_COUNT;
use crate::raster::{Grid, Rect};

const MAGIC: &[u8; 8] = b"VITHIST1";
const MAX_NAME: usize = 1_000;

impl History {
    /// All steps as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let number = |out: &mut Vec<u8>, v: usize| out.extend((v as u32).to_le_bytes());
        for count in [self.position(), self.len(), self.forgotten] {
            number(&mut out, count);
        }
        for step in self.undo.iter().chain(self.redo.iter().rev()) {
            let rect = step.patch.rect();
            number(&mut out, step.name.len());
            out.extend(step.name.as_bytes());
            out.extend(&step.thumbnail.data);
            for v in [
                rect.x,
                rect.y,
                rect.width,
                rect.height,
                step.patch.runs().len(),
            ] {
                number(&mut out, v);
            }
            out.extend(step.patch.runs());
        }
        out
    }

    /// The history of a mask of this size (width, height).
    ///
    /// # Errors
    /// When the bytes are damaged or do not fit the mask.
    pub fn decode(bytes: &[u8], size: [usize; 2]) -> Result<Self> {
        let mut bytes = bytes;
        ensure!(
            take(&mut bytes, MAGIC.len())? == MAGIC,
            "The history is damaged"
        );
        let (made, count) = (number(&mut bytes)?, number(&mut bytes)?);
        let forgotten = number(&mut bytes)?;
        ensure!(made <= count, "The history is damaged");
        let mut history = Self::default();
        history.forgotten += forgotten;
        for _ in 0..count {
            let len = number(&mut bytes)?;
            ensure!(len <= MAX_NAME, "The history is damaged");
            let name = String::from_utf8_lossy(take(&mut bytes, len)?).into_owned();
            let pixels = take(&mut bytes, THUMBNAIL_PX * THUMBNAIL_PX)?.to_vec();
            let thumbnail = Grid::from_vec(THUMBNAIL_PX, THUMBNAIL_PX, pixels)?;
            let [x, y, width, height] = [
                number(&mut bytes)?,
                number(&mut bytes)?,
                number(&mut bytes)?,
                number(&mut bytes)?,
            ];
            let len = number(&mut bytes)?;
            let runs = take(&mut bytes, len)?.to_vec();
            let rect = Rect::new(x, y, width, height);
            let patch = Packed::checked(rect, runs, size, CLASS_COUNT as u8)?;
            history.add(Step {
                name,
                thumbnail,
                patch,
            });
        }
        ensure!(bytes.is_empty(), "The history is damaged");
        // Undone steps hold what they would make again.
        while history.position() > made.saturating_sub(history.forgotten - forgotten) {
            let Some(step) = history.undo.pop_back() else {
                break;
            };
            history.redo.push(step);
        }
        Ok(history)
    }
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8]> {
    let (taken, rest) = bytes
        .split_at_checked(len)
        .context("The history is cut short")?;
    *bytes = rest;
    Ok(taken)
}

fn number(bytes: &mut &[u8]) -> Result<usize> {
    let taken = take(bytes, 4)?
        .try_into()
        .context("The history is damaged")?;
    Ok(u32::from_le_bytes(taken) as usize)
}
