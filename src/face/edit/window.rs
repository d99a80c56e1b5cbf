//! Which part of the crop is rendered again, and which of its pixels may change.
//!
//! The hole is every changed pixel and a margin in proportion to the face, as in the generator's training. The window
//! is a square of the crop with context around the hole; a small edit gets a small window and so more pixels.

use rayon::prelude::*;

use crate::face::blend::smooth_step;
use crate::face::labels::CLASS_COUNT;
use crate::face::mask::{Labels, distance_outside};
use crate::raster::{Grid, Similarity};

/// How far the hole reaches beyond the changed pixels, in crop sides. Training draws 1 to 5.5 %.
const REACH: f64 = 0.035;
/// Window side over hole side, at least: the rest is context.
const CONTEXT: f64 = 1.6;
/// Least side of a window, in crop sides.
const MIN_SIDE: f64 = 0.35;
/// Window pixels per photo pixel, at most: more would show the network a blur that no training picture has.
const MAX_ZOOM: f64 = 1.5;
/// Part of the reach, from the changed pixels on, that is all rendering; the rest is feather.
const OPAQUE: f32 = 0.35;
/// At a border of the crop with photo beyond it, the rendering fades out over this part of the crop's side.
const BORDER_FADE: f64 = 0.02;

/// Where an edit asks for change.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    /// Masks of the same size.
    pub source: &'a Labels,
    pub target: &'a Labels,
    /// Classes that change wherever the target mask has them.
    pub restyled: [bool; CLASS_COUNT],
}

impl Change<'_> {
    fn is_at(&self, source: u8, target: u8) -> bool {
        source != target
            || self
                .restyled
                .get(usize::from(target))
                .copied()
                .unwrap_or(false)
    }

    fn is_at_pixel(&self, x: i64, y: i64) -> bool {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else {
            return false;
        };
        match (self.source.get(x, y), self.target.get(x, y)) {
            (Some(&source), Some(&target)) => self.is_at(source, target),
            _ => false,
        }
    }

    /// The box `[x0, y0, x1, y1]` around the changed pixels in the unit crop, cut to it; none when it is empty.
    fn bounds_in_crop(&self, image_from_crop: &Similarity) -> Option<[f64; 4]> {
        let crop_from_image = image_from_crop.inverse();
        let [_, y0, _, y1] = image_from_crop.bounds_of([0.0, 0.0, 1.0, 1.0]);
        let rows = (y0.floor() as usize)..(y1.ceil() as usize).min(self.source.height);
        let nothing = || [f64::MAX, f64::MAX, f64::MIN, f64::MIN];
        let bounds = rows
            .into_par_iter()
            .map(|y| self.row_bounds_in_crop(y, &crop_from_image))
            .reduce(nothing, |a, b| {
                [
                    a[0].min(b[0]),
                    a[1].min(b[1]),
                    a[2].max(b[2]),
                    a[3].max(b[3]),
                ]
            });
        let [x0, y0, x1, y1] = bounds;
        let cut = [x0.max(0.0), y0.max(0.0), x1.min(1.0), y1.min(1.0)];
        (cut[0] < cut[2] && cut[1] < cut[3]).then_some(cut)
    }

    fn row_bounds_in_crop(&self, y: usize, crop_from_image: &Similarity) -> [f64; 4] {
        let mut out = [f64::MAX, f64::MAX, f64::MIN, f64::MIN];
        let columns = columns_in_crop(y, crop_from_image);
        let (source, target) = (self.source.row(y), self.target.row(y));
        let width = source.len().min(target.len());
        let columns = columns.start.min(width)..columns.end.min(width);
        let (source, target) = (&source[columns.clone()], &target[columns.clone()]);
        let is_plain = !self.restyled.contains(&true);
        if is_plain && source == target {
            return out;
        }
        // The first and the last are enough: the crop is convex, and the others lie between them.
        let is_changed = |(s, t): (&u8, &u8)| self.is_at(*s, *t);
        let first = source.iter().zip(target).position(is_changed);
        let last = source.iter().zip(target).rposition(is_changed);
        for x in [first, last].into_iter().flatten() {
            let (x, y) = ((columns.start + x) as f64, y as f64);
            let [x0, y0, x1, y1] = crop_from_image.bounds_of([x, y, x + 1.0, y + 1.0]);
            out = [
                out[0].min(x0),
                out[1].min(y0),
                out[2].max(x1),
                out[3].max(y1),
            ];
        }
        out
    }
}

/// The columns of row `y` whose pixels touch the crop.
fn columns_in_crop(y: usize, crop_from_image: &Similarity) -> std::ops::Range<usize> {
    let Similarity { a, b, .. } = *crop_from_image;
    let [u, v] = crop_from_image.apply([0.5, y as f64 + 0.5]);
    // A pixel reaches this far from its centre.
    let margin = crop_from_image.scale() * std::f64::consts::FRAC_1_SQRT_2;
    let (mut low, mut high) = (0.0f64, f64::MAX);
    for (at, step) in [(u, a), (v, b)] {
        let (near, far) = ((-margin - at) / step, (1.0 + margin - at) / step);
        if step != 0.0 {
            low = low.max(near.min(far));
            high = high.min(near.max(far));
        } else if !(-margin..=1.0 + margin).contains(&at) {
            return 0..0;
        }
    }
    if low > high {
        return 0..0;
    }
    (low.ceil() as usize)..(high.floor() as usize).saturating_add(1)
}

/// A square of the crop that is rendered, with everything that says which of its pixels change.
#[derive(Clone, Debug)]
pub struct Window {
    /// Pixels a side.
    pub side_px: usize,
    /// Left, top, right, bottom in the unit crop.
    pub in_crop: [f64; 4],
    pub image_from_window: Similarity,
    /// 1 where pixels may change.
    pub hole: Grid<u8>,
    /// Distance to the nearest changed pixel, in window pixels; 0 on it.
    pub distance: Grid<f32>,
    /// Opacity of the rendering in the photo.
    pub opacity: Grid<f32>,
    /// How far the hole reaches beyond the changed pixels, in window pixels.
    pub reach_px: f32,
}

impl Window {
    /// The window for a change, of at most `side_px` pixels (a multiple of 32); none when nothing changed inside the
    /// crop.
    pub fn around(change: &Change, image_from_crop: &Similarity, side_px: usize) -> Option<Self> {
        Self::around_scaled(change, image_from_crop, side_px, 1.0)
    }

    /// The same for masks of another size than their photo's: `photo_per_mask` photo pixels lie in one of theirs.
    pub fn around_scaled(
        change: &Change,
        image_from_crop: &Similarity,
        side_px: usize,
        photo_per_mask: f64,
    ) -> Option<Self> {
        let bounds = change.bounds_in_crop(image_from_crop)?;
        let crop_px = image_from_crop.scale() * photo_per_mask;
        let (in_crop, side) = place(bounds, side_px as f64 / (MAX_ZOOM * crop_px));
        // A face too small for the full window even so gets a coarser one.
        let side_px = if MAX_ZOOM * crop_px * side < side_px as f64 / 2.0 {
            side_px / 2
        } else {
            side_px
        };
        let crop_from_window =
            Similarity::scale_shift(side / side_px as f64, in_crop[0], in_crop[1]);
        let image_from_window = crop_from_window.then(image_from_crop);
        let changed = changed_in_window(
            change,
            &image_from_window,
            &crop_from_window,
            bounds,
            side_px,
        );
        if changed.data.iter().all(|&v| v == 0) {
            return None;
        }
        let distance = distance_outside(&changed);
        let reach_px = (REACH / side * side_px as f64) as f32;
        let hole = distance.map(|&d| u8::from(d <= reach_px));
        let mut opacity = distance.map(|&d| {
            let fade = smooth_step(OPAQUE * reach_px, reach_px, d);
            if d <= reach_px { 1.0 - fade } else { 0.0 }
        });
        fade_at_borders(
            &mut opacity,
            &crop_from_window,
            image_from_crop,
            change.source,
        );
        Some(Self {
            side_px,
            in_crop,
            image_from_window,
            hole,
            distance,
            opacity,
            reach_px,
        })
    }

    /// Where photo and rendering can be compared: in the hole, but away from what changed. 0 to 1.
    pub fn ring(&self) -> Grid<f32> {
        self.distance.map(|&d| {
            if d <= self.reach_px {
                smooth_step(0.3 * self.reach_px, 0.6 * self.reach_px, d)
            } else {
                0.0
            }
        })
    }
}

/// The square around `bounds` (in crop units) and its side: with context, not below `least_side`, inside the crop.
fn place([x0, y0, x1, y1]: [f64; 4], least_side: f64) -> ([f64; 4], f64) {
    let hole = (x1 - x0).max(y1 - y0) + 2.0 * REACH;
    let side = (CONTEXT * hole).max(MIN_SIDE).max(least_side).min(1.0);
    let start = |low: f64, high: f64| (0.5 * (low + high - side)).clamp(0.0, 1.0 - side);
    let (left, top) = (start(x0, x1), start(y0, y1));
    ([left, top, left + side, top + side], side)
}

/// 1 for every window pixel that holds a changed photo pixel. There are none outside `bounds`, in crop units.
fn changed_in_window(
    change: &Change,
    image_from_window: &Similarity,
    crop_from_window: &Similarity,
    bounds: [f64; 4],
    side_px: usize,
) -> Grid<u8> {
    let [x0, y0, x1, y1] = crop_from_window.inverse().bounds_of(bounds);
    let columns = (x0.floor() as usize)..(x1.ceil() as usize).min(side_px);
    let rows = (y0.floor() as usize)..(y1.ceil() as usize).min(side_px);
    // Samples less than 1/√2 photo pixels apart miss no pixel, whatever the rotation.
    let samples = (image_from_window.scale() * std::f64::consts::SQRT_2)
        .ceil()
        .max(1.0) as usize;
    let mut changed = Grid::new(side_px, side_px, 0u8);
    changed
        .data
        .par_chunks_mut(side_px)
        .enumerate()
        .for_each(|(y, row)| {
            if !rows.contains(&y) {
                return;
            }
            for (x, cell) in row
                .iter_mut()
                .enumerate()
                .take(columns.end)
                .skip(columns.start)
            {
                let hit = |k: usize| {
                    let offset = |i: usize| (i as f64 + 0.5) / samples as f64;
                    let at = [
                        x as f64 + offset(k % samples),
                        y as f64 + offset(k / samples),
                    ];
                    let [u, v] = image_from_window.apply(at);
                    change.is_at_pixel(u.floor() as i64, v.floor() as i64)
                };
                *cell = u8::from((0..samples * samples).any(hit));
            }
        });
    changed
}

/// Lets the opacity fall to 0 at each side of the crop beyond which the photo goes on.
fn fade_at_borders(
    opacity: &mut Grid<f32>,
    crop_from_window: &Similarity,
    image_from_crop: &Similarity,
    photo: &Labels,
) {
    let goes_on = |point: [f64; 2]| {
        let [x, y] = image_from_crop.apply(point);
        (0.0..photo.width as f64).contains(&x) && (0.0..photo.height as f64).contains(&y)
    };
    let beyond = BORDER_FADE / 2.0;
    let left = goes_on([-beyond, 0.5]);
    let right = goes_on([1.0 + beyond, 0.5]);
    let top = goes_on([0.5, -beyond]);
    let bottom = goes_on([0.5, 1.0 + beyond]);
    let width = opacity.width.max(1);
    for (i, alpha) in opacity.data.iter_mut().enumerate() {
        let [u, v] = crop_from_window.apply([(i % width) as f64 + 0.5, (i / width) as f64 + 0.5]);
        for (is_open, depth) in [(left, u), (right, 1.0 - u), (top, v), (bottom, 1.0 - v)] {
            if is_open && depth < BORDER_FADE {
                *alpha *= smooth_step(0.0, BORDER_FADE as f32, depth as f32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks(
        width: usize,
        height: usize,
        x0: usize,
        y0: usize,
        w: usize,
        h: usize,
    ) -> (Labels, Labels) {
        let source = Grid::new(width, height, 1u8);
        let mut target = source.clone();
        for y in y0..y0 + h {
            target.row_mut(y)[x0..x0 + w].fill(12);
        }
        (source, target)
    }

    fn change<'a>((source, target): &'a (Labels, Labels)) -> Change<'a> {
        Change {
            source,
            target,
            restyled: [false; CLASS_COUNT],
        }
    }

    #[test]
    fn a_small_edit_gets_a_small_window_with_context() {
        let masks = masks(1000, 1000, 450, 700, 100, 40);
        let crop = Similarity::scale_shift(1000.0, 0.0, 0.0);
        let window = Window::around(&change(&masks), &crop, 256).unwrap();
        assert_eq!(window.side_px, 256);
        let [x0, y0, x1, y1] = window.in_crop;
        assert!((x1 - x0 - 0.35).abs() < 1e-9 && (y1 - y0 - 0.35).abs() < 1e-9);
        assert!((x0 + x1 - 1.0).abs() < 0.01 && (y0 + y1 - 1.44).abs() < 0.01);
        // 10 % × 4 % of the crop at 256/0.35 pixels a crop, and 3.5 % more on every side, with round corners.
        let unit = 256.0 / 0.35;
        let (w, h, r) = (0.1 * unit, 0.04 * unit, 0.035 * unit);
        let expected = w * h + 2.0 * r * (w + h) + std::f64::consts::PI * r * r;
        let hole = window.hole.data.iter().filter(|&&v| v == 1).count() as f64;
        assert!((hole / expected - 1.0).abs() < 0.05, "{hole} {expected}");
        for (&h, &a) in window.hole.data.iter().zip(&window.opacity.data) {
            assert!(h == 1 || a == 0.0);
        }
        let changed = window.distance.data.iter().zip(&window.opacity.data);
        assert!(changed.filter(|(d, _)| **d == 0.0).all(|(_, a)| *a == 1.0));
    }

    #[test]
    fn windows_stay_in_the_crop_and_large_edits_take_all_of_it() {
        let crop = Similarity::scale_shift(800.0, 100.0, 50.0);
        let corner = masks(1000, 1000, 880, 60, 15, 15);
        let window = Window::around(&change(&corner), &crop, 256).unwrap();
        assert_eq!(window.in_crop[2..4], [1.0, 0.35]);
        let large = masks(1000, 1000, 200, 100, 600, 600);
        let window = Window::around(&change(&large), &crop, 128).unwrap();
        assert_eq!(window.in_crop, [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(window.side_px, 128);
    }

    #[test]
    fn no_change_in_the_crop_is_no_window() {
        let crop = Similarity::scale_shift(100.0, 0.0, 0.0);
        let same = masks(300, 300, 0, 0, 0, 0);
        assert!(Window::around(&change(&same), &crop, 256).is_none());
        let outside = masks(300, 300, 200, 200, 20, 20);
        assert!(Window::around(&change(&outside), &crop, 256).is_none());
        let mut restyled = change(&same);
        restyled.restyled[1] = true;
        let window = Window::around(&restyled, &crop, 256).unwrap();
        assert_eq!(window.in_crop, [0.0, 0.0, 1.0, 1.0]);
        assert!(window.distance.data.iter().all(|&d| d == 0.0));
    }

    #[test]
    fn one_changed_pixel_of_a_large_turned_photo_is_seen() {
        let turned = Similarity {
            a: 1050.0,
            b: 1050.0,
            tx: 1250.0,
            ty: 200.0,
        };
        for (x, y) in [(1000, 1000), (1311, 1577), (999, 1254)] {
            let masks = masks(2600, 2600, x, y, 1, 1);
            let window = Window::around(&change(&masks), &turned, 256).unwrap();
            let nearest = window.distance.data.iter().filter(|&&d| d == 0.0).count();
            assert!((1..=4).contains(&nearest), "{nearest}");
        }
    }

    #[test]
    fn small_faces_are_not_blown_up() {
        let crop = Similarity::scale_shift(60.0, 10.0, 10.0);
        let masks = masks(100, 100, 35, 50, 8, 4);
        let window = Window::around(&change(&masks), &crop, 256).unwrap();
        assert_eq!(
            (window.side_px, window.in_crop),
            (128, [0.0, 0.0, 1.0, 1.0])
        );
    }

    #[test]
    fn the_rendering_fades_where_the_photo_goes_on_beyond_the_crop() {
        // The crop's left border lies inside the photo, its right border is the photo's.
        let crop = Similarity::scale_shift(400.0, 100.0, 0.0);
        let masks = masks(500, 400, 100, 0, 400, 400);
        let window = Window::around(&change(&masks), &crop, 256).unwrap();
        let row = window.opacity.row(128);
        assert!(row[0] < 0.1 && row[20] == 1.0 && row[255] == 1.0);
        assert_eq!(window.opacity.row(0)[128], 1.0);
    }
}
