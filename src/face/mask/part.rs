//! Moves, scales, turns and gently bends a part of a mask, and copies one from another mask.
//!
//! A part is lifted off once: what it leaves behind is filled with the nearest other classes. [`Part::placed`] then
//! gives the labels for any [`Placement`], always from the lifted original, so that nothing wears out while a handle
//! is dragged. Bending is a 3 × 3 net of handles over the part's box with quadratic interpolation, which passes
//! through the handles and stays smooth; its inverse is found by fixed-point iteration, exact for gentle bends.

use std::sync::Arc;

use rayon::prelude::*;

use super::nearest::fill_gaps;
use super::{Guard, Labels, Patch, class_rect};
use crate::face::labels::id;
use crate::raster::{Grid, Rect};

/// How a part lies, relative to where it was lifted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    pub shift_px: [f32; 2],
    pub scale: [f32; 2],
    /// Clockwise on the screen.
    pub angle_rad: f32,
    /// Shifts of the net's handles, rows from the top, in sizes of the part's box.
    pub bend: [[[f32; 2]; 3]; 3],
}

impl Default for Placement {
    fn default() -> Self {
        Self {
            shift_px: [0.0; 2],
            scale: [1.0; 2],
            angle_rad: 0.0,
            bend: [[[0.0; 2]; 3]; 3],
        }
    }
}

impl Placement {
    /// Where a point of the part's box, (0, 0) top left to (1, 1), lies in the photo.
    pub fn image_from_box(&self, rect: Rect, u: [f32; 2]) -> [f32; 2] {
        let bend = self.bend_at(u);
        let (size, center) = box_of(rect);
        let x = (u[0] + bend[0] - 0.5) * size[0] * self.scale[0];
        let y = (u[1] + bend[1] - 0.5) * size[1] * self.scale[1];
        let (sin, cos) = self.angle_rad.sin_cos();
        [
            center[0] + self.shift_px[0] + cos * x - sin * y,
            center[1] + self.shift_px[1] + sin * x + cos * y,
        ]
    }

    /// The bent point of the box for a point in the photo: all of the placement undone but the bend.
    pub fn box_from_image(&self, rect: Rect, [x, y]: [f32; 2]) -> [f32; 2] {
        let (size, center) = box_of(rect);
        let (dx, dy) = (
            x - center[0] - self.shift_px[0],
            y - center[1] - self.shift_px[1],
        );
        let (sin, cos) = self.angle_rad.sin_cos();
        [
            (cos * dx + sin * dy) / (size[0] * self.scale[0]) + 0.5,
            (cos * dy - sin * dx) / (size[1] * self.scale[1]) + 0.5,
        ]
    }

    fn bend_at(&self, u: [f32; 2]) -> [f32; 2] {
        // Outside the box the bend stays what it is at its edge.
        let (wx, wy) = (
            quadratic(u[0].clamp(0.0, 1.0)),
            quadratic(u[1].clamp(0.0, 1.0)),
        );
        let mut sum = [0.0; 2];
        for (row, wy) in self.bend.iter().zip(wy) {
            for (handle, wx) in row.iter().zip(wx) {
                sum[0] += wx * wy * handle[0];
                sum[1] += wx * wy * handle[1];
            }
        }
        sum
    }

    /// The point of the lifted part that comes to lie at a point of the photo, in the photo's pixels.
    fn lifted_from_image(&self, rect: Rect, point: [f32; 2]) -> [f32; 2] {
        let bent = self.box_from_image(rect, point);
        let mut u = bent;
        if self.bend != [[[0.0; 2]; 3]; 3] {
            for _ in 0..12 {
                let bend = self.bend_at(u);
                u = [bent[0] - bend[0], bent[1] - bend[1]];
            }
        }
        let (size, center) = box_of(rect);
        [
            center[0] + (u[0] - 0.5) * size[0],
            center[1] + (u[1] - 0.5) * size[1],
        ]
    }
}

/// Lagrange's polynomials for 0, ½ and 1.
fn quadratic(u: f32) -> [f32; 3] {
    [
        2.0 * (u - 0.5) * (u - 1.0),
        4.0 * u * (1.0 - u),
        2.0 * u * (u - 0.5),
    ]
}

fn box_of(rect: Rect) -> ([f32; 2], [f32; 2]) {
    let size = [rect.width.max(1) as f32, rect.height.max(1) as f32];
    let corner = [rect.x as f32, rect.y as f32];
    (size, [corner[0] + size[0] / 2.0, corner[1] + size[1] / 2.0])
}

/// A part that was lifted off a mask.
#[derive(Clone, Debug)]
pub struct Part {
    base: Arc<Labels>,
    /// Around the part.
    rect: Rect,
    /// The part's labels in `rect`; [`NOT_PART`] elsewhere.
    labels: Grid<u8>,
    /// What lies under it: `rect` without the part.
    under: Grid<u8>,
}

const NOT_PART: u8 = u8::MAX;
/// No placement may be larger than this many times the part, so that a slip of the hand costs no minute.
const MAX_SCALE: f32 = 50.0;

impl Part {
    /// Lifts all pixels of `classes`. None when there are none.
    pub fn lift(base: Arc<Labels>, classes: &[u8]) -> Option<Self> {
        let is_part = |label: u8| classes.contains(&label);
        let rect = class_rect(&base, is_part);
        if rect.is_empty() {
            return None;
        }
        // One pixel more on each side, so that there is something to fill the gap with.
        let around = rect.grown(1, base.bounds());
        let mut under = base.crop(around);
        let gap = under.map(|label| u8::from(is_part(*label)));
        fill_gaps(&mut under, &gap, |label| !is_part(label));
        let under = under.crop(rect.relative_to(around));
        let labels = base
            .crop(rect)
            .map(|label| if is_part(*label) { *label } else { NOT_PART });
        Some(Self {
            base,
            rect,
            labels,
            under,
        })
    }

    /// The box around the part as it was lifted.
    pub fn rect(&self) -> Rect {
        self.rect
    }

    /// The labels with the part placed anew; none when nothing changes. The part covers what `guard` allows.
    pub fn placed(&self, placement: &Placement, guard: Guard) -> Option<Patch> {
        let is_sane = placement
            .scale
            .iter()
            .all(|s| s.is_finite() && s.abs() > 1e-3 && s.abs() <= MAX_SCALE)
            && placement.shift_px.iter().all(|s| s.is_finite());
        if !is_sane {
            return None;
        }
        let onto = self.reach(placement).intersect(self.base.bounds());
        let rect = self.rect.union(onto);
        let mut new = self.base.crop(rect);
        let own = self.rect.relative_to(rect);
        for y in 0..own.height {
            new.row_mut(own.y + y)[own.x..own.right()].copy_from_slice(self.under.row(y));
        }
        let inside = onto.relative_to(rect);
        let width = new.width.max(1);
        new.data
            .par_chunks_mut(width)
            .enumerate()
            .skip(inside.y)
            .take(inside.height)
            .for_each(|(y, row)| {
                for x in inside.x..inside.right() {
                    let center = [(rect.x + x) as f32 + 0.5, (rect.y + y) as f32 + 0.5];
                    let [sx, sy] = placement.lifted_from_image(self.rect, center);
                    let (sx, sy) = (sx - self.rect.x as f32, sy - self.rect.y as f32);
                    if sx < 0.0 || sy < 0.0 {
                        continue;
                    }
                    match self.labels.get(sx as usize, sy as usize) {
                        Some(&label) if label != NOT_PART && guard.allows(row[x]) => {
                            row[x] = label;
                        }
                        _ => {}
                    }
                }
            });
        Patch {
            rect,
            labels: new.data,
        }
        .trimmed(&self.base)
    }

    /// The pixels that the placed part can touch.
    fn reach(&self, placement: &Placement) -> Rect {
        const STEPS: usize = 16;
        let mut low = [f32::INFINITY; 2];
        let mut high = [f32::NEG_INFINITY; 2];
        for i in 0..=STEPS {
            for j in 0..=STEPS {
                let u = [i as f32 / STEPS as f32, j as f32 / STEPS as f32];
                let point = placement.image_from_box(self.rect, u);
                for axis in 0..2 {
                    low[axis] = low[axis].min(point[axis]);
                    high[axis] = high[axis].max(point[axis]);
                }
            }
        }
        // Between the points looked at a bend reaches a little further.
        let spare = 2.0 + 0.02 * (high[0] - low[0]).max(high[1] - low[1]);
        let [x0, y0] = low.map(|v| (v - spare).floor().max(0.0) as usize);
        let [x1, y1] = high.map(|v| (v + spare).ceil().max(0.0) as usize);
        Rect::from_edges(x0, y0, x1, y1)
    }
}

/// The labels after `classes` were taken from another mask: of the same size where they are there, else scaled so that
/// the boxes around both faces agree. None when there is nothing to copy or to change.
pub fn copy_part(mask: &Labels, other: &Labels, classes: &[u8], guard: Guard) -> Option<Patch> {
    let is_part = |label: u8| classes.contains(&label);
    let theirs = class_rect(other, is_part);
    if theirs.is_empty() {
        return None;
    }
    let is_same_size = (mask.width, mask.height) == (other.width, other.height);
    let (to, from) = if is_same_size {
        (mask.bounds(), other.bounds())
    } else {
        (face_rect(mask)?, face_rect(other)?)
    };
    let scale = [
        from.width as f32 / to.width as f32,
        from.height as f32 / to.height as f32,
    ];
    let to_ours = |x: usize, from_start: usize, to_start: usize, scale: f32| {
        to_start as f32 + (x as f32 - from_start as f32) / scale
    };
    let onto = Rect::from_edges(
        to_ours(theirs.x, from.x, to.x, scale[0]).floor().max(0.0) as usize,
        to_ours(theirs.y, from.y, to.y, scale[1]).floor().max(0.0) as usize,
        to_ours(theirs.right(), from.x, to.x, scale[0])
            .ceil()
            .max(0.0) as usize,
        to_ours(theirs.bottom(), from.y, to.y, scale[1])
            .ceil()
            .max(0.0) as usize,
    )
    .intersect(mask.bounds());

    let ours = class_rect(mask, is_part);
    let rect = ours.union(onto).grown(1, mask.bounds());
    let mut new = mask.crop(rect);
    let gap = new.map(|label| u8::from(is_part(*label)));
    fill_gaps(&mut new, &gap, |label| !is_part(label));
    for y in 0..rect.height {
        for x in 0..rect.width {
            let at = |v: usize, to: usize, from: usize, scale: f32| {
                from as f32 + (v as f32 + 0.5 - to as f32) * scale
            };
            let sx = at(rect.x + x, to.x, from.x, scale[0]);
            let sy = at(rect.y + y, to.y, from.y, scale[1]);
            if sx < 0.0 || sy < 0.0 {
                continue;
            }
            if let Some(&label) = other.get(sx as usize, sy as usize)
                && is_part(label)
                && let Some(now) = new.get(x, y).copied()
                && guard.allows(now)
            {
                new.set(x, y, label);
            }
        }
    }
    Patch {
        rect,
        labels: new.data,
    }
    .trimmed(mask)
}

/// Around what belongs to a face itself: skin, nose, glasses, eyes, brows, mouth and lips, ears left out.
fn face_rect(mask: &Labels) -> Option<Rect> {
    let is_face = |label: u8| matches!(label, id::SKIN..=id::R_BROW | id::MOUTH..=id::L_LIP);
    let rect = class_rect(mask, is_face);
    (!rect.is_empty()).then_some(rect)
}

#[cfg(test)]
mod tests {
    use super::super::brush_dot;
    use super::*;

    /// Skin with a mouth of 40 × 10 pixels.
    fn face() -> Labels {
        let mut mask = Grid::new(120, 100, id::SKIN);
        for y in 60..70 {
            mask.row_mut(y)[40..80].fill(id::MOUTH);
        }
        mask
    }

    fn placed(mask: &Labels, placement: &Placement, guard: Guard) -> Labels {
        let part = Part::lift(Arc::new(mask.clone()), &[id::MOUTH]).unwrap();
        let mut mask = mask.clone();
        if let Some(mut patch) = part.placed(placement, guard) {
            patch.swap(&mut mask);
        }
        mask
    }

    fn mouth(mask: &Labels) -> (Rect, usize) {
        let count = mask.data.iter().filter(|l| **l == id::MOUTH).count();
        (class_rect(mask, |l| l == id::MOUTH), count)
    }

    #[test]
    fn a_part_moves_whole_and_leaves_skin_behind() {
        let moved = placed(
            &face(),
            &Placement {
                shift_px: [15.0, -20.0],
                ..Default::default()
            },
            Guard::ALL,
        );
        assert_eq!(mouth(&moved), (Rect::new(55, 40, 40, 10), 400));
        assert_eq!(moved.get(45, 65), Some(&id::SKIN));
        let part = Part::lift(Arc::new(face()), &[id::MOUTH]).unwrap();
        assert_eq!(part.placed(&Placement::default(), Guard::ALL), None);
        assert!(Part::lift(Arc::new(face()), &[id::HAT]).is_none());
    }

    #[test]
    fn scaling_and_turning_act_about_the_middle() {
        let wide = Placement {
            scale: [1.5, 1.0],
            ..Default::default()
        };
        assert_eq!(
            mouth(&placed(&face(), &wide, Guard::ALL)),
            (Rect::new(30, 60, 60, 10), 600)
        );
        let upright = Placement {
            angle_rad: std::f32::consts::FRAC_PI_2,
            ..Default::default()
        };
        let (rect, count) = mouth(&placed(&face(), &upright, Guard::ALL));
        assert!(rect.width.abs_diff(10) <= 1 && rect.height.abs_diff(40) <= 1);
        assert!(count.abs_diff(400) <= 20, "{count}");
        let mad = Placement {
            scale: [0.0, f32::NAN],
            ..Default::default()
        };
        assert_eq!(placed(&face(), &mad, Guard::ALL), face());
    }

    #[test]
    fn bending_the_corners_up_makes_a_smile() {
        let mut smile = Placement::default();
        for row in &mut smile.bend {
            row[0] = [0.0, -0.8];
            row[2] = [0.0, -0.8];
        }
        let bent = placed(&face(), &smile, Guard::ALL);
        let top = |x: usize| (0..100).find(|y| bent.get(x, *y) == Some(&id::MOUTH));
        assert_eq!(top(60), Some(60), "the middle stays");
        assert!(
            top(41).is_some_and(|y| y <= 53),
            "corners rise by eight pixels"
        );
        assert_eq!(top(41), top(78));
        assert!(mouth(&bent).1.abs_diff(400) < 24);
        // The inverse is one.
        let rect = Rect::new(40, 60, 40, 10);
        for u in [[0.1, 0.9], [0.5, 0.5], [0.93, 0.2]] {
            let there = smile.image_from_box(rect, u);
            let back = smile.lifted_from_image(rect, there);
            let want = [40.0 + 40.0 * u[0], 60.0 + 10.0 * u[1]];
            assert!((back[0] - want[0]).abs() < 0.01 && (back[1] - want[1]).abs() < 0.01);
        }
    }

    #[test]
    fn a_locked_class_is_not_covered() {
        let mut mask = face();
        brush_dot(&mut mask, [90.0, 65.0], 8.0, id::HAIR);
        let hair = mask.data.iter().filter(|l| **l == id::HAIR).count();
        let right = Placement {
            shift_px: [20.0, 0.0],
            ..Default::default()
        };
        let moved = placed(&mask, &right, Guard::ALL.never(id::HAIR));
        assert_eq!(moved.data.iter().filter(|l| **l == id::HAIR).count(), hair);
        assert!(mouth(&moved).1 < 400 && mouth(&moved).1 > 200);
    }

    #[test]
    fn a_part_comes_over_from_masks_of_any_size() {
        let mut other = face();
        Part::lift(Arc::new(face()), &[id::MOUTH])
            .and_then(|part| {
                part.placed(
                    &Placement {
                        scale: [1.5, 2.0],
                        ..Default::default()
                    },
                    Guard::ALL,
                )
            })
            .unwrap()
            .swap(&mut other);
        let mut mask = face();
        copy_part(&mask, &other, &[id::MOUTH], Guard::ALL)
            .unwrap()
            .swap(&mut mask);
        assert_eq!(mask, other);
        // The same at twice the size.
        let mut mask = face();
        let large = crate::raster::resize_labels(&other, 240, 200);
        copy_part(&mask, &large, &[id::MOUTH], Guard::ALL)
            .unwrap()
            .swap(&mut mask);
        assert_eq!(mask, other);
        assert_eq!(copy_part(&mask, &other, &[id::HAT], Guard::ALL), None);
    }
}
