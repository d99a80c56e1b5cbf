//! What all painting tools obey: which classes may be painted over, and the line that mirrored painting reflects in.
//!
//! Left and right of a face are the subject's, so a reflected stroke paints the class's other side
//! ([`flip_pair`]).

use serde::{Deserialize, Serialize};

use super::{Labels, Patch};
use crate::face::labels::flip_pair;
use crate::raster::{Rect, Similarity};

/// The classes that may be painted over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard(u32);

impl Guard {
    /// Everything may be painted over.
    pub const ALL: Self = Self(u32::MAX);

    /// Only this class may be painted over.
    pub fn only(class: u8) -> Self {
        Self(Self::bit(class))
    }

    /// The same without `class`.
    pub fn never(self, class: u8) -> Self {
        Self(self.0 & !Self::bit(class))
    }

    /// Whether pixels that have this class may be painted over.
    pub fn allows(self, class: u8) -> bool {
        self.0 & Self::bit(class) != 0
    }

    fn bit(class: u8) -> u32 {
        1_u32.checked_shl(u32::from(class)).unwrap_or(0)
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self::ALL
    }
}

/// The line that mirrored painting reflects in: through `point`, along the unit vector `along`. In photo pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    pub point: [f32; 2],
    pub along: [f32; 2],
}

impl Axis {
    /// The middle of a face, from its aligned crop.
    pub fn of_crop(image_from_crop: &Similarity) -> Self {
        let (top, bottom) = (
            image_from_crop.apply([0.5, 0.0]),
            image_from_crop.apply([0.5, 1.0]),
        );
        let (x, y) = (bottom[0] - top[0], bottom[1] - top[1]);
        let length = x.hypot(y).max(f64::MIN_POSITIVE);
        Self {
            point: top.map(|v| v as f32),
            along: [(x / length) as f32, (y / length) as f32],
        }
    }

    /// The point on the other side.
    pub fn reflect(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let (dx, dy) = (x - self.point[0], y - self.point[1]);
        let along = 2.0 * (dx * self.along[0] + dy * self.along[1]);
        [
            self.point[0] + along * self.along[0] - dx,
            self.point[1] + along * self.along[1] - dy,
        ]
    }
}

/// Guard and mirror of a tool.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rules {
    pub guard: Guard,
    /// None: no mirrored painting.
    pub axis: Option<Axis>,
}

impl Rules {
    /// Each side to paint: a function that moves points there, and the class there.
    pub(super) fn sides(self, class: u8) -> impl Iterator<Item = (Option<Axis>, u8)> {
        let mirrored = self.axis.map(|axis| (Some(axis), flip_pair(class)));
        std::iter::once((None, class)).chain(mirrored)
    }
}

/// Gives `class` to a run of labels where the guard lets it.
pub(super) fn paint_run(run: &mut [u8], class: u8, guard: Guard) {
    if guard == Guard::ALL {
        run.fill(class);
        return;
    }
    for label in run.iter_mut().filter(|label| guard.allows(**label)) {
        *label = class;
    }
}

/// Fills polygons (`points_in_image`, closed by themselves, inside is where they wind around) with `class`.
/// None when nothing changes.
pub fn paint_polygon(
    mask: &mut Labels,
    points_in_image: &[[f32; 2]],
    class: u8,
    rules: Rules,
) -> Option<Patch> {
    let is_finite = |p: &[f32; 2]| p.iter().all(|v| v.is_finite());
    if points_in_image.len() < 3 || !points_in_image.iter().all(is_finite) {
        return None;
    }
    let sides: Vec<(Vec<[f32; 2]>, u8)> = rules
        .sides(class)
        .map(|(axis, class)| {
            let at = |p: &[f32; 2]| axis.map_or(*p, |axis| axis.reflect(*p));
            (points_in_image.iter().map(at).collect(), class)
        })
        .collect();
    let rect = sides
        .iter()
        .map(|(points, _)| bounds(points).intersect(mask.bounds()))
        .reduce(|a, b| a.union(b))?;
    let before = Patch::take(mask, rect);
    for (points, class) in &sides {
        fill_polygon(mask, points, *class, rules.guard);
    }
    before.trimmed(mask)
}

/// The corners of the ellipse in a box `[x0, y0, x1, y1]`: enough that no one sees they are corners.
pub fn ellipse([x0, y0, x1, y1]: [f32; 4]) -> Vec<[f32; 2]> {
    let (rx, ry) = ((x1 - x0).abs() / 2.0, (y1 - y0).abs() / 2.0);
    let (cx, cy) = ((x0 + x1) / 2.0, (y0 + y1) / 2.0);
    let count = (rx.max(ry) as usize).clamp(32, 1024);
    (0..count)
        .map(|i| {
            let angle = std::f32::consts::TAU * i as f32 / count as f32;
            [cx + rx * angle.cos(), cy + ry * angle.sin()]
        })
        .collect()
}

/// The corners of a box `[x0, y0, x1, y1]`.
pub fn rectangle([x0, y0, x1, y1]: [f32; 4]) -> Vec<[f32; 2]> {
    vec![[x0, y0], [x1, y0], [x1, y1], [x0, y1]]
}

fn bounds(points: &[[f32; 2]]) -> Rect {
    let mut low = [f32::INFINITY; 2];
    let mut high = [0.0_f32; 2];
    for point in points {
        for axis in 0..2 {
            low[axis] = low[axis].min(point[axis]);
            high[axis] = high[axis].max(point[axis]);
        }
    }
    let [x0, y0] = low.map(|v| v.floor().max(0.0) as usize);
    let [x1, y1] = high.map(|v| v.ceil() as usize);
    Rect::from_edges(x0, y0, x1, y1)
}

/// Paints the pixels whose centre the polygon winds around.
fn fill_polygon(mask: &mut Labels, points: &[[f32; 2]], class: u8, guard: Guard) {
    let rect = bounds(points).intersect(mask.bounds());
    let mut crossings: Vec<(f32, i32)> = Vec::new();
    for row in rect.y..rect.bottom() {
        let y = row as f32 + 0.5;
        crossings.clear();
        for (i, a) in points.iter().enumerate() {
            let b = points[(i + 1) % points.len()];
            if (a[1] <= y) != (b[1] <= y) {
                let x = a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0]);
                crossings.push((x, if b[1] > a[1] { 1 } else { -1 }));
            }
        }
        crossings.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut winding = 0;
        for pair in crossings.windows(2) {
            winding += pair[0].1;
            if winding == 0 {
                continue;
            }
            // Centres x + ½ in [left, right).
            let column = |x: f32| ((x - 0.5).ceil().max(0.0) as usize).clamp(rect.x, rect.right());
            let (left, right) = (column(pair[0].0), column(pair[1].0));
            if left < right {
                paint_run(&mut mask.row_mut(row)[left..right], class, guard);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::labels::id;
    use crate::raster::Grid;

    fn count(mask: &Labels, class: u8) -> usize {
        mask.data.iter().filter(|label| **label == class).count()
    }

    #[test]
    fn a_guard_lets_through_what_it_says() {
        let guard = Guard::ALL.never(id::HAIR).never(id::SKIN);
        assert!(!guard.allows(id::HAIR) && !guard.allows(id::SKIN) && guard.allows(id::NOSE));
        let only = Guard::only(id::NOSE);
        assert!(only.allows(id::NOSE) && !only.allows(id::HAIR) && !only.allows(77));
    }

    #[test]
    fn reflecting_twice_changes_nothing_and_the_axis_stays() {
        let turned = Similarity {
            a: 80.0,
            b: 60.0,
            tx: 30.0,
            ty: -10.0,
        };
        let axis = Axis::of_crop(&turned);
        let on_axis = turned.apply([0.5, 0.3]).map(|v| v as f32);
        let same = axis.reflect(on_axis);
        assert!((same[0] - on_axis[0]).hypot(same[1] - on_axis[1]) < 1e-3);
        let left = turned.apply([0.2, 0.7]).map(|v| v as f32);
        let right = turned.apply([0.8, 0.7]).map(|v| v as f32);
        let got = axis.reflect(left);
        assert!((got[0] - right[0]).hypot(got[1] - right[1]) < 1e-3);
        let back = axis.reflect(got);
        assert!((back[0] - left[0]).hypot(back[1] - left[1]) < 1e-3);
    }

    #[test]
    fn polygons_paint_the_pixels_inside_and_can_be_undone() {
        let mut mask = Grid::new(60, 40, 0);
        let before = mask.clone();
        let square = rectangle([5.0, 6.0, 25.0, 16.0]);
        let mut patch = paint_polygon(&mut mask, &square, 3, Rules::default()).unwrap();
        assert_eq!(
            (count(&mask, 3), patch.rect),
            (200, Rect::new(5, 6, 20, 10))
        );
        patch.swap(&mut mask);
        assert_eq!(mask, before);
        // A circle of radius 15 has 707 pixels, one more or less at the rim.
        paint_polygon(
            &mut mask,
            &ellipse([10.0, 5.0, 40.0, 35.0]),
            2,
            Rules::default(),
        );
        assert!(count(&mask, 2).abs_diff(707) < 8, "{}", count(&mask, 2));
        // A line that crosses itself still fills all that it goes around.
        let mut mask = Grid::new(60, 40, 0);
        let twice: Vec<[f32; 2]> = square.iter().chain(&square).copied().collect();
        paint_polygon(&mut mask, &twice, 3, Rules::default());
        assert_eq!(count(&mask, 3), 200);
        assert!(paint_polygon(&mut mask, &square[..2], 3, Rules::default()).is_none());
        let broken = [[f32::NAN, 0.0], [9.0, 0.0], [0.0, 9.0]];
        assert!(paint_polygon(&mut mask, &broken, 1, Rules::default()).is_none());
    }

    #[test]
    fn mirrored_shapes_swap_sides_and_respect_the_guard() {
        let mut mask = Grid::new(100, 50, id::SKIN);
        for y in 0..50 {
            mask.row_mut(y)[85..].fill(id::HAIR);
        }
        let axis = Axis {
            point: [50.0, 0.0],
            along: [0.0, 1.0],
        };
        let rules = Rules {
            guard: Guard::ALL.never(id::HAIR),
            axis: Some(axis),
        };
        let eye = rectangle([10.0, 10.0, 30.0, 20.0]);
        paint_polygon(&mut mask, &eye, id::R_EYE, rules).unwrap();
        assert_eq!(count(&mask, id::R_EYE), 200);
        // Of columns 70 to 90 the last five are hair.
        assert_eq!(count(&mask, id::L_EYE), 150);
        assert_eq!(mask.get(70, 10), Some(&id::L_EYE));
        assert_eq!(mask.get(85, 10), Some(&id::HAIR));
    }
}
