//! What an edit did: how many pixels it changed and by how much, and whether the result parses as it was painted.
//!
//! Left out: measures against a known answer; these are in [`super::metrics`].

use super::edit::RenderedPatch;
use super::mask::Labels;
use crate::raster::Rgb;

/// Pixels of the patch that differ from the photo.
pub fn changed_pixels(photo: &Rgb, patch: &RenderedPatch) -> usize {
    let before = photo.crop(patch.rect);
    let pairs = before.pixels().zip(patch.rgb.pixels());
    pairs.filter(|(a, b)| a != b).count()
}

/// The difference as a heat map over a dim, grey photo: nothing where it is the same, through red and orange to white
/// where a channel differs by 96 or more.
pub fn difference(photo: &Rgb, patch: &RenderedPatch) -> Rgb {
    const FULL: f32 = 96.0;
    let mut out = photo.crop(patch.rect);
    let pairs = out.data.as_chunks_mut::<3>().0.iter_mut();
    for (pixel, after) in pairs.zip(patch.rgb.pixels()) {
        let most = pixel.iter().zip(after).map(|(a, b)| a.abs_diff(b)).max();
        let heat = (f32::from(most.unwrap_or(0)) / FULL).min(1.0);
        let grey = pixel.iter().map(|v| f32::from(*v)).sum::<f32>() / 3.0 * 0.35;
        // Each channel rises in a third of the range.
        let ramp = [0.0, 1.0, 2.0].map(|third| (3.0 * heat - third).clamp(0.0, 1.0) * 255.0);
        let share = (4.0 * heat).min(1.0);
        for (value, ramp) in pixel.iter_mut().zip(ramp) {
            *value = (grey + share * (ramp - grey)).round() as u8;
        }
    }
    out
}

/// Of the pixels whose class was changed, the part that the result's own parse agrees with, 0 to 1; none when no class
/// was changed. All three masks have the same size.
pub fn agreement(source: &Labels, target: &Labels, parsed: &Labels) -> Option<f32> {
    let mut changed = 0_usize;
    let mut same = 0_usize;
    let all = source.data.iter().zip(&target.data).zip(&parsed.data);
    for ((source, target), parsed) in all {
        if source != target {
            changed += 1;
            same += usize::from(target == parsed);
        }
    }
    (changed > 0).then(|| same as f32 / changed as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raster::{Grid, Rect};

    #[test]
    fn changed_pixels_are_counted_and_coloured() {
        let photo = Rgb::new(20, 20, [100, 100, 100]);
        let rect = Rect::new(5, 5, 10, 10);
        let mut rgb = photo.crop(rect);
        rgb.set(0, 0, [101, 100, 100]);
        rgb.set(9, 9, [255, 0, 100]);
        let patch = RenderedPatch { rect, rgb };
        assert_eq!(changed_pixels(&photo, &patch), 2);
        let heat = difference(&photo, &patch);
        assert_eq!(heat.get(4, 4), Some([35, 35, 35]));
        assert_eq!(heat.get(9, 9), Some([255, 255, 255]));
        let [r, g, b] = heat.get(0, 0).unwrap();
        assert!(r.abs_diff(35) < 8 && g < 36 && b < 36, "a trace");
    }

    #[test]
    fn agreement_counts_only_what_was_painted() {
        let source: Labels = Grid::new(10, 1, 1);
        let mut target = source.clone();
        target.row_mut(0)[..4].fill(5);
        let mut parsed = source.clone();
        assert_eq!(agreement(&source, &source, &parsed), None);
        assert_eq!(agreement(&source, &target, &parsed), Some(0.0));
        parsed.row_mut(0)[..3].fill(5);
        assert_eq!(agreement(&source, &target, &parsed), Some(0.75));
    }
}
