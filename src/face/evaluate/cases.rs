//! What is hidden and what is painted in: parts, holes and transplanted masks.
//!
//! All at [`SIDE`]² of the aligned crop. Holes are made by the same [`Window`] as the app's edits.

use serde::Serialize;

use crate::face::edit::{Change, Window};
use crate::face::labels::{CLASS_COUNT, id};
use crate::face::mask::{Labels, dilate};
use crate::raster::{Grid, Similarity, resize_labels};

/// Side of the crop that scores are taken at.
pub(super) const SIDE: usize = 256;
/// Side of the rendered window, as in the app.
const WINDOW_SIDE: usize = 256;
/// A part with fewer pixels in the crop at [`SIDE`]² is not there.
const LEAST_PX: usize = 40;
/// Half the width of the band along the edge of the hair, in pixels of [`SIDE`]².
const HAIR_EDGE_PX: f32 = 4.0;

/// A part of the face that is hidden, or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Mouth,
    Eyes,
    Brows,
    Nose,
    HairEdge,
}

impl Part {
    /// All that are hidden.
    pub const ALL: [Self; 5] = [
        Self::Mouth,
        Self::Eyes,
        Self::Brows,
        Self::Nose,
        Self::HairEdge,
    ];
    /// Those that are taken from another face.
    pub const TRANSPLANTED: [Self; 4] = [Self::Mouth, Self::Eyes, Self::Brows, Self::Nose];

    /// What to call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mouth => "mouth",
            Self::Eyes => "eyes",
            Self::Brows => "brows",
            Self::Nose => "nose",
            Self::HairEdge => "hair edge",
        }
    }

    /// Its classes.
    pub fn classes(self) -> &'static [u8] {
        match self {
            Self::Mouth => &[id::MOUTH, id::U_LIP, id::L_LIP],
            Self::Eyes => &[id::L_EYE, id::R_EYE],
            Self::Brows => &[id::L_BROW, id::R_BROW],
            Self::Nose => &[id::NOSE],
            Self::HairEdge => &[id::HAIR],
        }
    }

    fn has(self, class: u8) -> bool {
        self.classes().contains(&class)
    }

    /// 1 on the part's pixels (for the edge of the hair, on a band along it); none when it is not there.
    pub fn region(self, mask: &Labels) -> Option<Grid<u8>> {
        let mut region = mask.map(|&class| u8::from(self.has(class)));
        if self == Self::HairEdge {
            // Pixels near hair and near something else.
            let near_hair = dilate(&region, HAIR_EDGE_PX);
            let near_other = dilate(&region.map(|&v| 1 - v), HAIR_EDGE_PX);
            for ((v, a), b) in region
                .data
                .iter_mut()
                .zip(&near_hair.data)
                .zip(&near_other.data)
            {
                *v = a & b;
            }
        }
        let count = region.data.iter().filter(|&&v| v == 1).count();
        // The frame of the picture is no edge, and a picture that is all edge is none either.
        (count >= LEAST_PX && count < region.data.len() / 2).then_some(region)
    }
}

/// The window that an edit of `region` (1 = changed) gets. The crop has `face_px` pixels a side in its photo.
pub(super) fn window_for(region: &Grid<u8>, face_px: usize) -> Option<Window> {
    let nothing = Grid::new(region.width, region.height, 0u8);
    let change = Change {
        source: &nothing,
        target: region,
        restyled: [false; CLASS_COUNT],
    };
    // The region's grid stands for the photo: crop side in its pixels, zoom allowed as for the photo's.
    let image_from_crop = Similarity::scale_shift(region.width as f64, 0.0, 0.0);
    let zoom = face_px as f64 / region.width.max(1) as f64;
    Window::around_scaled(&change, &image_from_crop, WINDOW_SIDE, zoom)
}

/// A mask in which `part` has the shape of another face's: the old part becomes skin, the other's is laid with its
/// middle where the old one's was, on skin and parts only (hair, hats and glasses stay in front). None when one of
/// them lacks it or nearly nothing changes.
pub(super) fn transplanted(part: Part, mask: &Labels, other: &Labels) -> Option<Labels> {
    let (own, theirs) = (part.region(mask)?, part.region(other)?);
    // Glasses hide what is behind them.
    if matches!(part, Part::Eyes | Part::Brows)
        && (mask.data.contains(&id::EYE_G) || other.data.contains(&id::EYE_G))
    {
        return None;
    }
    let all_there = |mask: &Labels| {
        part.classes()
            .iter()
            .all(|c| *c == id::MOUTH || mask.data.contains(c))
    };
    if !all_there(mask) || !all_there(other) {
        return None;
    }
    let ([x, y], [u, v]) = (middle(&own), middle(&theirs));
    let (dx, dy) = ((x - u).round() as i64, (y - v).round() as i64);
    let mut target = mask.map(|&class| if part.has(class) { id::SKIN } else { class });
    for (i, &class) in other
        .data
        .iter()
        .enumerate()
        .filter(|(_, class)| part.has(**class))
    {
        let (x, y) = ((i % other.width) as i64 + dx, (i / other.width) as i64 + dy);
        if let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y))
            && target
                .get(x, y)
                .is_some_and(|c| matches!(*c, 1 | 2 | 4..=7 | 10..=12))
        {
            target.set(x, y, class);
        }
    }
    let changed = target
        .data
        .iter()
        .zip(&mask.data)
        .filter(|(a, b)| a != b)
        .count();
    (changed >= LEAST_PX).then_some(target)
}

fn middle(region: &Grid<u8>) -> [f64; 2] {
    let (mut x, mut y, mut count) = (0.0, 0.0, 0.0);
    for (i, _) in region.data.iter().enumerate().filter(|(_, v)| **v == 1) {
        x += (i % region.width) as f64;
        y += (i / region.width) as f64;
        count += 1.0;
    }
    [x / f64::max(count, 1.0), y / f64::max(count, 1.0)]
}

/// A mask at [`SIDE`]².
pub(super) fn small(mask: &Labels) -> Labels {
    resize_labels(mask, SIDE, SIDE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Skin with a mouth (lips around an opening) of this width and height at (x, y).
    fn face(x: usize, y: usize, width: usize, height: usize) -> Labels {
        let mut mask = Grid::new(SIDE, SIDE, id::SKIN);
        for row in y..y + height {
            let class = if row < y + height / 2 {
                id::U_LIP
            } else {
                id::L_LIP
            };
            mask.row_mut(row)[x..x + width].fill(class);
        }
        mask
    }

    #[test]
    fn parts_have_regions_and_windows() {
        let mask = face(100, 180, 60, 20);
        let region = Part::Mouth.region(&mask).unwrap();
        assert_eq!(region.data.iter().filter(|&&v| v == 1).count(), 1200);
        assert!(Part::Nose.region(&mask).is_none());
        assert!(Part::HairEdge.region(&mask).is_none());
        let window = window_for(&region, 512).unwrap();
        let side = window.in_crop[2] - window.in_crop[0];
        // (60/256 + 2·3.5 %)·1.6.
        assert!((side - 0.487).abs() < 1e-3, "{side}");
        assert_eq!(window.side_px, 256);
    }

    #[test]
    fn the_edge_of_the_hair_is_a_band() {
        let mut mask = Grid::new(SIDE, SIDE, id::SKIN);
        for y in 0..100 {
            mask.row_mut(y).fill(id::HAIR);
        }
        let region = Part::HairEdge.region(&mask).unwrap();
        let rows: Vec<usize> = (0..SIDE).filter(|&y| region.row(y)[128] == 1).collect();
        assert_eq!(rows, (96..104).collect::<Vec<_>>());
    }

    #[test]
    fn another_mouth_is_laid_where_the_old_one_was() {
        let (mask, other) = (face(100, 180, 60, 20), face(80, 170, 30, 40));
        let target = transplanted(Part::Mouth, &mask, &other).unwrap();
        // Same middle, the other's size; nothing is left of the old corners.
        assert_eq!(target.get(100, 190), Some(&id::SKIN));
        let count = target
            .data
            .iter()
            .filter(|&&c| c == id::U_LIP || c == id::L_LIP)
            .count();
        assert_eq!(count, 1200);
        assert_eq!(target.get(130, 172), Some(&id::U_LIP));
        assert_eq!(target.get(130, 208), Some(&id::L_LIP));
        assert_eq!(transplanted(Part::Mouth, &mask, &mask), None);
        assert_eq!(transplanted(Part::Nose, &mask, &other), None);
    }

    #[test]
    fn hair_in_front_stays() {
        let mut mask = face(100, 180, 60, 20);
        for y in 150..256 {
            mask.row_mut(y)[150..256].fill(id::HAIR);
        }
        let target = transplanted(Part::Mouth, &mask, &face(100, 180, 60, 40)).unwrap();
        for y in 150..256 {
            assert!(target.row(y)[150..].iter().all(|&c| c == id::HAIR));
        }
    }
}
