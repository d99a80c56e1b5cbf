//! The brush, round or square. A stroke is a chain of capsules: each pointer move paints every pixel whose centre is
//! within the radius of the segment (for the square brush: inside a square that glides along it), so fast strokes
//! have no gaps and no bead shapes.

use super::rules::paint_run;
use super::{Axis, Labels, Patch, Rules};
use crate::raster::Rect;

/// The brush's outline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Tip {
    #[default]
    Round,
    Square,
}

/// A brush stroke in progress: paints at once, and remembers what it covered in one growing
/// patch.
#[derive(Debug)]
pub struct Stroke {
    class: u8,
    radius_px: f32,
    tip: Tip,
    rules: Rules,
    last: Option<[f32; 2]>,
    before: Option<Patch>,
}

impl Stroke {
    /// Starts a stroke that paints `class` with a brush `radius_px` wide to each side.
    /// A radius under half a pixel still paints the pixel under the point.
    pub fn new(class: u8, radius_px: f32) -> Self {
        Self {
            class,
            radius_px: radius_px.max(0.5),
            tip: Tip::Round,
            rules: Rules::default(),
            last: None,
            before: None,
        }
    }

    /// The same with another outline, and with what may be painted over.
    pub fn with(self, tip: Tip, rules: Rules) -> Self {
        Self { tip, rules, ..self }
    }

    /// Moves to `point_in_image` and paints from the last point to it (a dot, for the first).
    /// Returns the rectangle painted, for the upload; empty when nothing lies inside the mask.
    pub fn to(&mut self, mask: &mut Labels, point_in_image: [f32; 2]) -> Rect {
        let guard = self.rules.guard;
        self.extend(mask, point_in_image, |run, class, _, _| {
            paint_run(run, class, guard);
        })
    }

    /// Like [`Stroke::to`], but paints the labels of `original`, a mask of the same size, instead of the class.
    pub fn restore_to(
        &mut self,
        mask: &mut Labels,
        original: &Labels,
        point_in_image: [f32; 2],
    ) -> Rect {
        let guard = self.rules.guard;
        self.extend(mask, point_in_image, |run, _, x, y| {
            let kept = original.row(y).get(x..x + run.len()).unwrap_or_default();
            for (label, kept) in run.iter_mut().zip(kept) {
                if guard.allows(*label) {
                    *label = *kept;
                }
            }
        })
    }

    /// Calls `paint` with each run of labels between the last point and this one, the class to paint and where the
    /// run begins; once more for the mirrored side.
    fn extend(
        &mut self,
        mask: &mut Labels,
        point_in_image: [f32; 2],
        paint: impl Fn(&mut [u8], u8, usize, usize),
    ) -> Rect {
        let from = self.last.replace(point_in_image).unwrap_or(point_in_image);
        let sides: Vec<(Option<Axis>, u8)> = self.rules.sides(self.class).collect();
        let mut touched = Rect::default();
        for (axis, class) in sides {
            let at = |p: [f32; 2]| axis.map_or(p, |axis| axis.reflect(p));
            let (a, b) = (at(from), at(point_in_image));
            let rect = capsule_rect(a, b, self.radius_px, mask.bounds());
            if rect.is_empty() {
                continue;
            }
            self.remember(mask, rect);
            let brush = (self.tip, self.radius_px);
            paint_capsule(mask, rect, a, b, brush, |run, x, y| paint(run, class, x, y));
            touched = touched.union(rect);
        }
        touched
    }

    /// Ends the stroke. Gives what it painted over, cut to the pixels that changed; none when
    /// nothing did.
    pub fn finish(self, mask: &Labels) -> Option<Patch> {
        self.before?.trimmed(mask)
    }

    /// Takes the stroke back.
    pub fn abandon(self, mask: &mut Labels) -> Rect {
        let Some(mut patch) = self.before else {
            return Rect::default();
        };
        patch.swap(mask);
        patch.rect
    }

    /// Grows the remembered patch to cover `rect`. It grows by at least half its size at a time,
    /// so a long stroke copies each label only a few times.
    fn remember(&mut self, mask: &Labels, rect: Rect) {
        let Some(old) = self.before.take() else {
            self.before = Some(Patch::take(mask, rect));
            return;
        };
        if old.rect.union(rect) == old.rect {
            self.before = Some(old);
            return;
        }
        let wanted = old.rect.union(rect);
        let (spare_x, spare_y) = (old.rect.width / 2, old.rect.height / 2);
        let grown = Rect::from_edges(
            if wanted.x < old.rect.x {
                wanted.x.saturating_sub(spare_x)
            } else {
                wanted.x
            },
            if wanted.y < old.rect.y {
                wanted.y.saturating_sub(spare_y)
            } else {
                wanted.y
            },
            if wanted.right() > old.rect.right() {
                wanted.right() + spare_x
            } else {
                wanted.right()
            },
            if wanted.bottom() > old.rect.bottom() {
                wanted.bottom() + spare_y
            } else {
                wanted.bottom()
            },
        );
        // What the stroke has already painted over must come from the old patch, not the mask.
        let mut new = Patch::take(mask, grown);
        for y in 0..old.rect.height {
            let start = (old.rect.y + y - new.rect.y) * new.rect.width + old.rect.x - new.rect.x;
            let kept = &old.labels[y * old.rect.width..(y + 1) * old.rect.width];
            new.labels[start..start + old.rect.width].copy_from_slice(kept);
        }
        self.before = Some(new);
    }
}

/// Paints one dot; gives what it changed.
pub fn brush_dot(
    mask: &mut Labels,
    centre_in_image: [f32; 2],
    radius_px: f32,
    class: u8,
) -> Option<Patch> {
    let mut stroke = Stroke::new(class, radius_px);
    stroke.to(mask, centre_in_image);
    stroke.finish(mask)
}

/// The pixels a capsule can touch, cut to `bounds`.
fn capsule_rect(a: [f32; 2], b: [f32; 2], radius_px: f32, bounds: Rect) -> Rect {
    let low = |p: f32, q: f32| (p.min(q) - radius_px).floor().max(0.0) as usize;
    let high = |p: f32, q: f32| (p.max(q) + radius_px).ceil().max(0.0) as usize;
    Rect::from_edges(
        low(a[0], b[0]),
        low(a[1], b[1]),
        high(a[0], b[0]),
        high(a[1], b[1]),
    )
    .intersect(bounds)
}

/// Paints the pixels of `rect` whose centre is within `radius_px` of the segment `a`–`b`. A
/// capsule is convex: each row is one span, found without testing every pixel. `paint` gets the
/// span and where it begins.
fn paint_capsule(
    mask: &mut Labels,
    rect: Rect,
    a: [f32; 2],
    b: [f32; 2],
    (tip, radius_px): (Tip, f32),
    paint: impl Fn(&mut [u8], usize, usize),
) {
    for y in rect.y..rect.bottom() {
        let span = match tip {
            Tip::Round => row_span(a, b, radius_px, y as f32 + 0.5),
            Tip::Square => square_span(a, b, radius_px, y as f32 + 0.5),
        };
        let Some((left, right)) = span else {
            continue;
        };
        // Centres x + ½ with left ≤ x + ½ ≤ right.
        let x0 = ((left - 0.5).ceil().max(0.0) as usize).max(rect.x);
        let x1 = ((right - 0.5).floor() + 1.0).max(0.0) as usize;
        let x1 = x1.min(rect.right());
        if x0 < x1 {
            paint(&mut mask.row_mut(y)[x0..x1], x0, y);
        }
    }
    // The pixel under the pointer is always painted, however small the brush.
    for [x, y] in [a, b] {
        let (column, row) = (x as usize, y as usize);
        if x >= 0.0
            && y >= 0.0
            && let Some(pixel) = mask.row_mut(row).get_mut(column..=column)
        {
            paint(pixel, column, row);
        }
    }
}

/// Where the line at height `y` is inside a square of `radius` to each side that glides along the segment.
fn square_span(a: [f32; 2], b: [f32; 2], radius: f32, y: f32) -> Option<(f32, f32)> {
    let (low, high) = (y - radius, y + radius);
    // The part of the segment from whose points the square reaches this height.
    let (mut t0, mut t1) = (0.0_f32, 1.0_f32);
    let dy = b[1] - a[1];
    if dy.abs() < 1e-6 {
        if !(low..=high).contains(&a[1]) {
            return None;
        }
    } else {
        let (u, v) = ((low - a[1]) / dy, (high - a[1]) / dy);
        (t0, t1) = (t0.max(u.min(v)), t1.min(u.max(v)));
        if t0 > t1 {
            return None;
        }
    }
    let x = |t: f32| a[0] + t * (b[0] - a[0]);
    Some((x(t0).min(x(t1)) - radius, x(t0).max(x(t1)) + radius))
}

/// Where the line at height `y` is inside the capsule.
fn row_span(a: [f32; 2], b: [f32; 2], radius: f32, y: f32) -> Option<(f32, f32)> {
    let mut span: Option<(f32, f32)> = None;
    let mut add = |left: f32, right: f32| {
        span = Some(match span {
            Some((l, r)) => (l.min(left), r.max(right)),
            None => (left, right),
        });
    };
    for [cx, cy] in [a, b] {
        let square = radius * radius - (y - cy) * (y - cy);
        if square >= 0.0 {
            add(cx - square.sqrt(), cx + square.sqrt());
        }
    }
    // The straight part: a parallelogram row, from the two edges offset by the radius.
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let length = dx.hypot(dy);
    if length > 0.0 {
        let (nx, ny) = (-dy / length * radius, dx / length * radius);
        let corners = [
            [a[0] + nx, a[1] + ny],
            [b[0] + nx, b[1] + ny],
            [b[0] - nx, b[1] - ny],
            [a[0] - nx, a[1] - ny],
        ];
        for i in 0..4 {
            let ([x0, y0], [x1, y1]) = (corners[i], corners[(i + 1) % 4]);
            if (y0 <= y) != (y1 <= y) {
                let x = x0 + (y - y0) / (y1 - y0) * (x1 - x0);
                add(x, x);
            }
        }
    }
    span
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raster::Grid;

    fn within(a: [f32; 2], b: [f32; 2], p: [f32; 2]) -> f32 {
        let (d, e) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
        let square = d[0] * d[0] + d[1] * d[1];
        let t = if square > 0.0 {
            ((d[0] * e[0] + d[1] * e[1]) / square).clamp(0.0, 1.0)
        } else {
            0.0
        };
        (e[0] - t * d[0]).hypot(e[1] - t * d[1])
    }

    #[test]
    fn a_dot_is_a_disc() {
        let mut mask = Grid::new(64, 64, 0);
        brush_dot(&mut mask, [32.0, 32.0], 10.0, 5).unwrap();
        let painted = mask.data.iter().filter(|&&c| c == 5).count() as f32;
        assert!(
            (painted - std::f32::consts::PI * 100.0).abs() < 8.0,
            "{painted}"
        );
        assert_eq!(mask.get(32, 22), Some(&5));
        assert_eq!(mask.get(32, 21), Some(&0));
        assert_eq!(mask.get(39, 39), Some(&0));
        assert_eq!(mask.get(38, 38), Some(&5));
    }

    #[test]
    fn strokes_match_the_distance_to_the_segment() {
        for (a, b, radius) in [
            ([8.3, 50.2], [55.1, 9.9], 4.7),
            ([10.0, 12.0], [50.0, 12.0], 3.0),
            ([31.0, 60.0], [31.5, 2.0], 6.0),
            ([30.0, 30.0], [31.0, 33.0], 12.0),
        ] {
            let mut mask = Grid::new(64, 64, 0);
            let mut stroke = Stroke::new(7, radius);
            stroke.to(&mut mask, a);
            stroke.to(&mut mask, b);
            for y in 0..64 {
                for x in 0..64 {
                    let distance = within(a, b, [x as f32 + 0.5, y as f32 + 0.5]);
                    // Rounding may decide for a centre that lies on the edge itself.
                    if (distance - radius).abs() > 1e-3 {
                        let painted = mask.get(x, y) == Some(&7);
                        assert_eq!(painted, distance < radius, "{x} {y} {distance}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_thin_brush_has_no_gaps() {
        let mut mask = Grid::new(100, 40, 0);
        let mut stroke = Stroke::new(1, 1.0);
        stroke.to(&mut mask, [2.0, 3.0]);
        stroke.to(&mut mask, [97.0, 36.0]);
        for x in 3..96 {
            assert!((0..40).any(|y| mask.get(x, y) == Some(&1)), "column {x}");
        }
        let mut mask = Grid::new(5, 5, 0);
        brush_dot(&mut mask, [2.9, 3.9], 0.1, 4).unwrap();
        assert_eq!(mask.data.iter().filter(|&&c| c == 4).count(), 1);
        assert_eq!(mask.get(2, 3), Some(&4));
    }

    #[test]
    fn a_finished_stroke_undoes_exactly() {
        let mut mask =
            Grid::from_vec(200, 150, (0..30_000).map(|i| (i % 19) as u8).collect()).unwrap();
        let before = mask.clone();
        let mut stroke = Stroke::new(3, 6.0);
        // Out and back over itself, and off the mask on two sides.
        for point in [
            [100.0, 75.0],
            [140.0, 90.0],
            [100.0, 75.0],
            [20.0, 10.0],
            [-30.0, -20.0],
            [250.0, 140.0],
        ] {
            stroke.to(&mut mask, point);
        }
        let after = mask.clone();
        let mut patch = stroke.finish(&mask).unwrap();
        patch.swap(&mut mask);
        assert_eq!(mask, before);
        patch.swap(&mut mask);
        assert_eq!(mask, after);

        let mut stroke = Stroke::new(2, 9.0);
        stroke.to(&mut mask, [50.0, 50.0]);
        stroke.to(&mut mask, [90.0, 20.0]);
        stroke.abandon(&mut mask);
        assert_eq!(mask, after);
    }

    #[test]
    fn restoring_brings_back_the_original_under_the_brush_only() {
        let original = Grid::from_vec(50, 40, (0..2000).map(|i| (i % 19) as u8).collect()).unwrap();
        let (mut mask, mut painted) = (Grid::new(50, 40, 18), Grid::new(50, 40, 18));
        let (mut stroke, mut plain) = (Stroke::new(0, 5.0), Stroke::new(0, 5.0));
        for point in [[-3.0, 20.0], [30.0, 20.0], [60.0, 45.0]] {
            let rect = stroke.restore_to(&mut mask, &original, point);
            assert_eq!(rect, plain.to(&mut painted, point));
        }
        for (i, label) in mask.data.iter().enumerate() {
            let is_under = painted.data[i] == 0;
            assert_eq!(*label, if is_under { original.data[i] } else { 18 });
        }
        let mut patch = stroke.finish(&mask).unwrap();
        patch.swap(&mut mask);
        assert!(mask.data.iter().all(|label| *label == 18));
    }

    #[test]
    fn cost_follows_the_brush_not_the_mask() {
        let mut mask = Grid::new(4096, 4096, 0);
        let mut stroke = Stroke::new(1, 150.0);
        let rect = stroke.to(&mut mask, [2000.0, 2000.0]);
        assert_eq!(rect, Rect::new(1850, 1850, 300, 300));
        let patch = stroke.finish(&mask).unwrap();
        assert_eq!(patch.labels.len(), 300 * 300);
        // Painting what is there already leaves nothing to undo.
        assert_eq!(brush_dot(&mut mask, [2000.0, 2000.0], 50.0, 1), None);
        assert_eq!(brush_dot(&mut mask, [-400.0, 9.0], 50.0, 1), None);
    }

    #[test]
    fn a_square_brush_paints_squares_and_their_sweep() {
        let mut mask = Grid::new(60, 60, 0);
        let mut stroke = Stroke::new(2, 5.0).with(Tip::Square, Rules::default());
        stroke.to(&mut mask, [20.0, 20.0]);
        assert_eq!(mask.data.iter().filter(|&&c| c == 2).count(), 100);
        stroke.to(&mut mask, [40.0, 40.0]);
        // Two triangles of 20 × 20 are not swept from the hull of both squares.
        let painted = mask.data.iter().filter(|&&c| c == 2).count();
        assert!(painted.abs_diff(30 * 30 - 400) <= 20, "{painted}");
        assert_eq!((mask.get(44, 44), mask.get(44, 16)), (Some(&2), Some(&0)));
    }

    #[test]
    fn a_mirrored_guarded_stroke_paints_both_sides_and_undoes_as_one() {
        use crate::face::labels::id;
        let mut mask = Grid::new(100, 40, id::SKIN);
        for y in 0..40 {
            mask.row_mut(y)[..8].fill(id::HAIR);
        }
        let before = mask.clone();
        let rules = Rules {
            guard: super::super::Guard::ALL.never(id::HAIR),
            axis: Some(Axis {
                point: [50.0, 0.0],
                along: [0.0, 1.0],
            }),
        };
        let mut stroke = Stroke::new(id::R_BROW, 4.0).with(Tip::Round, rules);
        stroke.to(&mut mask, [10.5, 20.5]);
        stroke.to(&mut mask, [30.5, 20.5]);
        assert_eq!(mask.get(20, 20), Some(&id::R_BROW));
        assert_eq!(mask.get(79, 20), Some(&id::L_BROW));
        assert_eq!(mask.get(7, 20), Some(&id::HAIR));
        let count = |class| mask.data.iter().filter(|l| **l == class).count();
        assert!(
            count(id::L_BROW) > count(id::R_BROW),
            "hair keeps its pixels"
        );
        let mut patch = stroke.finish(&mask).unwrap();
        patch.swap(&mut mask);
        assert_eq!(mask, before);
    }
}
