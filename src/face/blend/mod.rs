//! Brings a rendered window back into the photo, so that only the edit changes.
//!
//! In the edit's hole the photo gives way to the rendering along a feathered seam, after three corrections:
//! 1. colour: where hole and photo overlap, class by class, the rendering is shifted to the photo's colours
//!    ([`colour`]; a local stand-in for Poisson blending, which would carry a stray offset through the whole hole);
//! 2. detail: what the window was too coarse to hold, the photo's own fine detail, goes on top where the class did
//!    not change;
//! 3. grain: where the class did change, detail of the same class from nearby is laid instead ([`grain`]).
//!
//! Pixels of opacity 0 are not computed at all: they keep the photo's bytes.

mod blur;
mod colour;
mod grain;
mod seam;

pub use blur::blur;
pub use colour::match_colours;
pub use seam::meet_surroundings;

use rayon::prelude::*;

use super::mask::Labels;
use crate::raster::{Grid, Rect, Rgb, Similarity, warp_grid, warp_rgb};

/// What is blended.
pub struct Blend<'a> {
    pub photo: &'a Rgb,
    /// The photo's mask before and after the edit, at the photo's size.
    pub source_mask: &'a Labels,
    pub target_mask: &'a Labels,
    /// The rendered window, N × N.
    pub rendered: &'a Rgb,
    /// Opacity of the rendering, N × N, 0 outside the hole.
    pub opacity: &'a Grid<f32>,
    /// Distance to the nearest changed pixel in window pixels, N × N.
    pub distance: &'a Grid<f32>,
    pub image_from_window: Similarity,
}

/// Deviation of the Gaussian that parts detail from colour, in window pixels. Half a pixel is what the window's
/// sampling itself takes away.
const DETAIL_SIGMA: f64 = 0.7;
/// And at least this, in photo pixels: a window finer than the photo takes no detail, but the grain is still there.
const DETAIL_SIGMA_MIN_PX: f64 = 1.0;

impl Blend<'_> {
    /// The photo's pixels that the rendering can touch: the bounds of the opacity, in the photo.
    pub fn rect(&self) -> Rect {
        let mut inside = Rect::default();
        for (y, row) in self.opacity.rows().enumerate() {
            let first = row.iter().position(|&a| a > 0.0);
            let last = row.iter().rposition(|&a| a > 0.0);
            if let (Some(first), Some(last)) = (first, last) {
                inside = inside.union(Rect::new(first, y, last + 1 - first, 1));
            }
        }
        if inside.is_empty() {
            return inside;
        }
        // Interpolation reaches one window pixel further.
        let window = [
            inside.x as f64 - 1.0,
            inside.y as f64 - 1.0,
            inside.right() as f64 + 1.0,
            inside.bottom() as f64 + 1.0,
        ];
        let [x0, y0, x1, y1] = self.image_from_window.bounds_of(window);
        // Conversion saturates: what lies left of or above the photo becomes 0.
        let low = |v: f64| v.floor() as usize;
        let high = |v: f64| v.ceil() as usize;
        Rect::from_edges(low(x0), low(y0), high(x1), high(y1)).intersect(self.photo.bounds())
    }

    /// The pixels of `rect` after the edit.
    pub fn run(&self, rect: Rect) -> Rgb {
        let window_from_rect = Similarity::scale_shift(1.0, rect.x as f64, rect.y as f64)
            .then(&self.image_from_window.inverse());
        let seen = |grid: &Grid<f32>| warp_grid(grid, &window_from_rect, rect.width, rect.height);
        let opacity = seen(self.opacity);
        let distance = seen(self.distance);
        let rendered = warp_rgb(self.rendered, &window_from_rect, rect.width, rect.height);
        let window_px = self.image_from_window.scale();
        let sigma_px = (DETAIL_SIGMA * window_px).max(DETAIL_SIGMA_MIN_PX);
        let detail = grain::Detail::new(self, rect, &rendered, &opacity, sigma_px as f32);

        let layer = detail.layer(&distance, (sigma_px / window_px) as f32);
        let mut out = self.photo.crop(rect);
        out.data
            .par_chunks_exact_mut(3)
            .with_min_len(4096)
            .zip(rendered.data.par_chunks_exact(3))
            .zip(layer.par_iter().zip(&opacity.data))
            .for_each(|((pixel, new), (detail, &alpha))| {
                if alpha <= 0.0 {
                    return;
                }
                for c in 0..3 {
                    let old = f32::from(pixel[c]);
                    let mixed = old + alpha.min(1.0) * (f32::from(new[c]) + detail[c] - old);
                    pixel[c] = (mixed + 0.5).clamp(0.0, 255.0) as u8;
                }
            });
        out
    }
}

/// 0 below `from`, 1 above `to`, smooth between.
pub fn smooth_step(from: f32, to: f32, value: f32) -> f32 {
    let t = ((value - from) / (to - from).max(1e-6)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests;
