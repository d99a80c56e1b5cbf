//! How an edit of one face is made again on another.
//!
//! Call the masks before and after the edit S and T, and the other face's mask N, all in the aligned crop. The crop puts
//! eyes and mouths in about the same place, but a mouth is wider here and a brow higher there, so three things are done.
//!
//! 1. **A map from N to S.** Each part that both faces have gives one: its own box in N goes to its box in S (centre and
//!    size; from moments, so that a stray speck does not move it). Near a part its map counts, between parts they are
//!    blended by inverse distance, far from all of them the crop itself is the map. Brows, eyes, nose, mouth and ears
//!    take part; skin and hair are too large to say where things are.
//! 2. **Outlines that moved.** Let s, t, n be the signed distances to a class's outline in S, T and N, positive inside.
//!    The edit moved the outline by t − s (read through the map, scaled by it), so after the edit N's outline is where
//!    n + (t − s) is zero, and each pixel takes the class for which that is largest. A smile that widened one mouth by a
//!    tenth widens another's by a tenth, whatever its lips look like. With N = S this gives T exactly.
//! 3. **Areas painted anew.** Where the outline would move by more than [`FAR_PX`], it was not moved: hair was painted
//!    over a forehead, glasses put on. Distances to outlines would then find some other piece of hair nearby, so there T
//!    itself is taken through the map, and only where S and T differ.
//!
//! Nothing changes further than [`REACH_PX`] from where the edit changed something, but for classes that the edit removed
//! altogether: these go wherever N has them. The way back to the photo interpolates, so that outlines are smooth at any
//! size. Left out: turned heads, for which outlines in the crop say too little; and light, which the renderer finds.

use rayon::prelude::*;

use super::SIDE;
use crate::face::edit::{Face, labels_from_probabilities};
use crate::face::labels::{CLASS_COUNT, id};
use crate::face::mask::{Labels, Patch, dilate, squared_distance};
use crate::raster::Grid;

/// An outline that moves further was not moved but painted anew. In pixels of the crop.
const FAR_PX: f32 = 20.0;
/// How far from the edit another face's outline may lie and still be moved by it.
const REACH_PX: f32 = 16.0;
/// A signed distance that stands for nowhere.
const NOWHERE: f32 = -1e4;
/// The parts that say where things are.
const ANCHORS: [&[u8]; 8] = [
    &[id::L_BROW],
    &[id::R_BROW],
    &[id::L_EYE],
    &[id::R_EYE],
    &[id::NOSE],
    &[id::MOUTH, id::U_LIP, id::L_LIP],
    &[id::L_EAR],
    &[id::R_EAR],
];
/// A part of fewer pixels says nothing.
const LEAST_PART_PX: usize = 40;
/// Boxes that differ by a larger factor are not of the same part: one was hidden or not seen well.
const MOST_RATIO: f32 = 2.5;
/// Distance from a part over which its map gives way to the others.
const NEAR_PX: f32 = 12.0;
/// Distance from all parts over which the crop itself becomes the map.
const AWAY_PX: f32 = 80.0;

/// An edit, ready to be made on any number of faces.
pub struct Replay {
    source: Labels,
    target: Labels,
    /// Signed distances by class; none where a class is not there.
    from: Vec<Option<Grid<f32>>>,
    to: Vec<Option<Grid<f32>>>,
    /// 1 where the edit may change something.
    reach: Grid<u8>,
    boxes: Vec<Option<PartBox>>,
}

impl Replay {
    pub(super) fn new(source: &Labels, target: &Labels) -> Self {
        let changed = Grid {
            width: SIDE,
            height: SIDE,
            data: std::iter::zip(&source.data, &target.data)
                .map(|(a, b)| u8::from(a != b))
                .collect(),
        };
        Self {
            from: distances(source),
            to: distances(target),
            reach: dilate(&changed, REACH_PX),
            boxes: ANCHORS.map(|part| PartBox::of(source, part)).to_vec(),
            source: source.clone(),
            target: target.clone(),
        }
    }

    /// New labels for a mask of a photo's size; none when the edit changes nothing on this face.
    pub fn apply(&self, face: &Face, mask: &Labels) -> Option<Patch> {
        let own = face.crop_labels(mask, SIDE);
        let edited = self.in_crop(&own);
        if edited == own {
            return None;
        }
        let lift = |labels: &Labels| {
            let crop = &face.image_from_crop;
            labels_from_probabilities(&planes(labels), SIDE, crop, mask.width, mask.height)
        };
        let (before, after) = (lift(&own), lift(&edited));
        let mut labels = mask.data.clone();
        for (label, (before, after)) in labels.iter_mut().zip(before.data.iter().zip(&after.data)) {
            // What is removed goes even where it is too thin to have come back through the crop.
            let is_left =
                self.is_removed(*label) && !self.is_removed(*after) && *after != id::BACKGROUND;
            if before != after || is_left {
                *label = *after;
            }
        }
        let rect = mask.bounds();
        Patch { rect, labels }.trimmed(mask)
    }

    /// Whether the edit left nothing of a class.
    fn is_removed(&self, class: u8) -> bool {
        let class = usize::from(class).min(CLASS_COUNT - 1);
        self.to[class].is_none() && self.from[class].is_some()
    }

    /// The other face's mask in the crop, edited.
    pub(super) fn in_crop(&self, own: &Labels) -> Labels {
        let here = distances(own);
        let map = Map::between(&self.boxes, own);
        let mut edited = own.clone();
        edited
            .data
            .par_chunks_mut(SIDE)
            .enumerate()
            .for_each(|(y, row)| {
                for (x, label) in row.iter_mut().enumerate() {
                    if let Some(new) = self.label_at(x, y, *label, &here, &map) {
                        *label = new;
                    }
                }
            });
        edited
    }

    fn label_at(
        &self,
        x: usize,
        y: usize,
        own: u8,
        here: &[Option<Grid<f32>>],
        map: &Map,
    ) -> Option<u8> {
        let (there, scale) = map.at([x as f32 + 0.5, y as f32 + 0.5]);
        let near = |v: f32| (v.max(0.0) as usize).min(SIDE - 1);
        let (i, j) = (near(there[0]), near(there[1]));
        let class = |v: u8| usize::from(v).min(CLASS_COUNT - 1);
        let is_removed = self.is_removed(own);
        if !is_removed && self.reach.get(i, j) != Some(&1) {
            return None;
        }
        let moved = |class: usize| {
            let read = |field: &Option<Grid<f32>>| {
                field.as_ref().map_or(NOWHERE, |field| sample(field, there))
            };
            scale * (read(&self.to[class]) - read(&self.from[class]))
        };
        let (was, becomes) = (self.source.get(i, j)?, *self.target.get(i, j)?);
        let is_painted = *was != becomes;
        // A removed part that lies elsewhere on this face: what is nearest takes its place.
        let is_elsewhere = is_removed && !is_painted;
        let mut best = (f32::NEG_INFINITY, class(own));
        for class in 0..CLASS_COUNT {
            let Some(here) = here[class].as_ref() else {
                continue;
            };
            let is_removed = self.to[class].is_none() && self.from[class].is_some();
            let is_untouched = self.to[class].is_none() && self.from[class].is_none();
            let moved = match (is_removed, is_untouched || is_elsewhere) {
                (true, _) => continue,
                (_, true) => 0.0,
                _ => moved(class),
            };
            let score = here.get(x, y).copied().unwrap_or(NOWHERE) + moved;
            if score > best.0 {
                best = (score, class);
            }
        }
        let is_far = |class: usize| moved(class).abs() > FAR_PX;
        let is_anew = match is_painted {
            true => here[class(becomes)].is_none() || is_far(class(becomes)),
            false => false,
        };
        if is_anew {
            return Some(becomes);
        }
        // Something else of this class would be dragged along.
        if best.1 != class(own) && !is_elsewhere && is_far(best.1) {
            return is_painted.then_some(becomes);
        }
        u8::try_from(best.1).ok()
    }
}

/// Signed distances to the outline of each class, positive inside.
fn distances(mask: &Labels) -> Vec<Option<Grid<f32>>> {
    let of = |class: u8| {
        if !mask.data.contains(&class) {
            return None;
        }
        let inside = mask.map(|label| u8::from(*label == class));
        let (out, into) = (
            squared_distance(&inside),
            squared_distance(&inside.map(|v| 1 - v)),
        );
        let mut signed = out;
        for (value, into) in signed.data.iter_mut().zip(into.data) {
            *value = match *value > 0.0 {
                true => -value.sqrt(),
                false => into.sqrt().min(-NOWHERE),
            };
        }
        Some(signed)
    };
    (0..CLASS_COUNT as u8).map(of).collect()
}

/// The value between pixel centres.
fn sample(field: &Grid<f32>, [x, y]: [f32; 2]) -> f32 {
    let last = (SIDE - 1) as f32;
    let (x, y) = ((x - 0.5).clamp(0.0, last), (y - 0.5).clamp(0.0, last));
    let (i, j) = (x as usize, y as usize);
    let (fx, fy) = (x - i as f32, y - j as f32);
    let at = |i: usize, j: usize| {
        let (i, j) = (i.min(SIDE - 1), j.min(SIDE - 1));
        field.data.get(j * SIDE + i).copied().unwrap_or(NOWHERE)
    };
    let top = at(i, j) * (1.0 - fx) + at(i + 1, j) * fx;
    let bottom = at(i, j + 1) * (1.0 - fx) + at(i + 1, j + 1) * fx;
    top * (1.0 - fy) + bottom * fy
}

/// Where a part is: centre and half size, as an ellipse with the same moments would have them.
#[derive(Clone, Copy, Debug)]
struct PartBox {
    center: [f32; 2],
    half: [f32; 2],
}

impl PartBox {
    fn of(mask: &Labels, part: &[u8]) -> Option<Self> {
        let mut count = 0_usize;
        let mut sums = [0.0_f64; 4];
        for (y, row) in mask.rows().enumerate() {
            for (x, _) in row.iter().enumerate().filter(|(_, l)| part.contains(l)) {
                let (x, y) = (x as f64 + 0.5, y as f64 + 0.5);
                for (sum, add) in sums.iter_mut().zip([x, y, x * x, y * y]) {
                    *sum += add;
                }
                count += 1;
            }
        }
        if count < LEAST_PART_PX {
            return None;
        }
        let [x, y, xx, yy] = sums.map(|sum| sum / count as f64);
        // Of a filled ellipse the half axis is twice the deviation.
        let half = |mean: f64, square: f64| 2.0 * (square - mean * mean).max(0.25).sqrt();
        Some(Self {
            center: [x as f32, y as f32],
            half: [half(x, xx) as f32, half(y, yy) as f32],
        })
    }

    /// How far a point is from the box; 0 inside.
    fn distance(&self, point: [f32; 2]) -> f32 {
        let away =
            |axis: usize| ((point[axis] - self.center[axis]).abs() - self.half[axis]).max(0.0);
        away(0).hypot(away(1))
    }
}

/// From another face's crop to the recipe's.
struct Map {
    /// The same part in both: (there, here).
    pairs: Vec<(PartBox, PartBox)>,
}

impl Map {
    fn between(there: &[Option<PartBox>], mask: &Labels) -> Self {
        let pair = |(there, part): (&Option<PartBox>, &[u8])| {
            let (there, here) = ((*there)?, PartBox::of(mask, part)?);
            let is_alike = (0..2).all(|axis| {
                let ratio = there.half[axis] / here.half[axis];
                (1.0 / MOST_RATIO..=MOST_RATIO).contains(&ratio)
            });
            is_alike.then_some((there, here))
        };
        Self {
            pairs: there.iter().zip(ANCHORS).filter_map(pair).collect(),
        }
    }

    /// Where a point lies in the recipe's crop, and how much larger things are here than there.
    fn at(&self, point: [f32; 2]) -> ([f32; 2], f32) {
        let weight = |distance: f32| 1.0 / (distance * distance).powi(2);
        let mut total = weight(AWAY_PX);
        let mut sum = point.map(|v| v * total);
        let mut scale = total;
        for (there, here) in &self.pairs {
            let weight = weight(NEAR_PX.hypot(here.distance(point)));
            let ratio = [0, 1].map(|axis| there.half[axis] / here.half[axis]);
            for axis in 0..2 {
                let offset = (point[axis] - here.center[axis]) * ratio[axis];
                sum[axis] += weight * (there.center[axis] + offset);
            }
            scale += weight / (ratio[0] * ratio[1]).sqrt();
            total += weight;
        }
        (sum.map(|v| v / total), scale / total)
    }
}

/// Labels as softened planes, one a class, so that their outlines are smooth when they are enlarged.
fn planes(labels: &Labels) -> Vec<f32> {
    let mut planes = vec![0.0_f32; CLASS_COUNT * SIDE * SIDE];
    planes
        .par_chunks_mut(SIDE * SIDE)
        .enumerate()
        .for_each(|(class, plane)| {
            let is_there = |label: &u8| usize::from(*label) == class;
            if !labels.data.iter().any(is_there) {
                return;
            }
            let mut across = vec![0.0_f32; SIDE * SIDE];
            for (line, row) in across.chunks_exact_mut(SIDE).zip(labels.rows()) {
                let at = |x: usize| {
                    if is_there(&row[x.min(SIDE - 1)]) {
                        0.25
                    } else {
                        0.0
                    }
                };
                for (x, value) in line.iter_mut().enumerate() {
                    *value = at(x.saturating_sub(1)) + 2.0 * at(x) + at(x + 1);
                }
            }
            for y in 0..SIDE {
                let line = |y: usize| &across[y.min(SIDE - 1) * SIDE..][..SIDE];
                let (above, own, below) = (line(y.saturating_sub(1)), line(y), line(y + 1));
                for (x, value) in plane[y * SIDE..][..SIDE].iter_mut().enumerate() {
                    *value = 0.25 * above[x] + 0.5 * own[x] + 0.25 * below[x];
                }
            }
        });
    planes
}
