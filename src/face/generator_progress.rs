//! How the generator's training is watched: PSNR on held-out faces with fixed holes, and picture grids.

use super::generator::{Generator, STYLE_SIDE};
use super::holes::Hole;
use super::labels::CLASS_COUNT;
use super::samples::{Batch, Face, Prepared, SIDE, View, batch, composite, prepare};
use crate::raster::{Rgb, resize_rgb};
use crate::training::rng_of_step;
use anyhow::{Context as _, Result};
use candle_core::Tensor;
use std::path::Path;

/// Fixed samples of held-out faces: the same holes at every checkpoint.
fn fixed_sample(
    face: &Face,
    i: usize,
    view: View,
    kind: Hole,
    means: &[[f32; 3]; CLASS_COUNT],
) -> Prepared {
    prepare(face, view, kind, means, None, &mut rng_of_step(7, i))
}

fn render(generator: &Generator, sample: Prepared, side: usize) -> Result<(Batch, Tensor)> {
    let b = batch(vec![sample], side)?;
    let made = generator.forward(&b.window, &generator.codes(&b.style, &b.present)?)?;
    let picture = composite(&b, &made)?;
    Ok((b, picture))
}

/// PSNR in dB over all hidden pixels of held-out faces: whole faces at 256², and parts in windows.
pub(super) fn validate(
    generator: &Generator,
    held_out: &[Face],
    means: &[[f32; 3]; CLASS_COUNT],
) -> Result<(f64, f64)> {
    let score = |view: View, kind: Hole, side: usize, count: usize| -> Result<f64> {
        let mut total = 0f64;
        for (i, face) in held_out.iter().take(count).enumerate() {
            let (b, picture) = render(generator, fixed_sample(face, i, view, kind, means), side)?;
            let picture = picture.clamp(-1.0, 1.0)?;
            let mean_square = ((picture - &b.photo)? * 0.5)?
                .sqr()?
                .broadcast_mul(&b.weight)?
                .sum_all()?;
            total += -10.0 * f64::from(mean_square.to_scalar::<f32>()?.max(1e-9)).log10();
        }
        Ok(total / count.min(held_out.len()).max(1) as f64)
    };
    Ok((
        score(View::Whole, Hole::Whole, STYLE_SIDE, 16)?,
        score(View::Window, Hole::Parts, SIDE, 48)?,
    ))
}

/// Rows of (photo, hidden, rendered) for held-out faces: whole at 256² and parts in windows.
pub(super) fn grid(
    generator: &Generator,
    held_out: &[Face],
    means: &[[f32; 3]; CLASS_COUNT],
    path: &Path,
) -> Result<()> {
    let (columns, cell) = (9, SIDE);
    let mut sheet = Rgb::new(columns * cell, 6 * cell, [0, 0, 0]);
    for i in 0..18 {
        let (view, kind, side) = match i {
            0..3 => (View::Whole, Hole::Whole, STYLE_SIDE),
            3..6 => (View::Whole, Hole::Hair, STYLE_SIDE),
            _ => (View::Window, Hole::Parts, SIDE),
        };
        let Some(face) = held_out.get(i * 5) else {
            continue;
        };
        let (b, picture) = render(generator, fixed_sample(face, i, view, kind, means), side)?;
        let hidden = b.window.pixels.narrow(1, 0, 3)?;
        for (k, t) in [&b.photo, &hidden, &picture].into_iter().enumerate() {
            let shown = crate::raster::tensor_to_rgb(&t.squeeze(0)?)?;
            sheet.paste(
                &resize_rgb(&shown, cell, cell),
                (i % 3 * 3 + k) * cell,
                i / 3 * cell,
            );
        }
    }
    let (w, h) = (sheet.width as u32, sheet.height as u32);
    image::save_buffer(path, &sheet.data, w, h, image::ExtendedColorType::Rgb8)
        .with_context(|| format!("Failed to write {}", path.display()))
}
