//! The figure of keypoints: each person in a row, whole body, face and both hands enlarged, with points and links.
//!
//! As the papers show what is annotated (Jin et al. 2020, figure 2: the 68 points of a face, the 21 of each hand). A
//! finger has one colour from its root to its tip; brows, nose, eyes and lips have theirs.

use super::draw::{colour, line};
use super::keypoints::{FACE_LIMBS, KEYPOINTS, LIMBS, Part, Person};
use super::metrics::Truth;
use crate::people::crop::Region;
use crate::raster::Rgb;

/// Side of a picture in the figure, and the space between two, in pixels.
const TILE_PX: usize = 420;
const GAP_PX: usize = 10;
/// Room around the points, over the longer side of their box.
const ROOM: f32 = 1.3;
/// Points below this are left out.
const LEAST: f32 = 0.2;
/// The figure is white; what nobody has labelled is grey.
const PAPER: [u8; 3] = [255; 3];
const ABSENT: [u8; 3] = [232, 233, 235];
/// Rows of one figure, at most: 60 MB.
pub const MAX_ROWS: usize = 40;

/// What a row has: everything, then the parts that are looked at closely.
const COLUMNS: [&[Part]; 4] = [
    &Part::ALL,
    &[Part::Face],
    &[Part::LeftHand],
    &[Part::RightHand],
];

/// A labelled person as one that was found: what has a label is sure, the rest is not there.
pub fn labelled(truth: &Truth) -> Person {
    let [x, y, w, h] = truth.bbox.map(|v| v as f32);
    let mut person = Person::new([x, y, x + w, y + h], 1.0);
    for (index, [x, y, v]) in truth.keypoints.iter().enumerate() {
        if *v > 0.0 {
            person.set(index, [*x as f32, *y as f32], 1.0);
        }
    }
    person
}

/// Whether a figure of this person shows a face or a hand.
pub fn is_detailed(person: &Person) -> bool {
    let seen = |part: Part| part.range().filter(|i| is_seen(person, *i)).count();
    seen(Part::Face) > 0 || seen(Part::LeftHand) > 0 || seen(Part::RightHand) > 0
}

fn is_seen(person: &Person, index: usize) -> bool {
    let (point, score) = person.get(index);
    score >= LEAST && point.iter().all(|v| v.is_finite())
}

/// One person, four pictures side by side.
pub fn row(photo: &Rgb, person: &Person) -> Rgb {
    let count = COLUMNS.len();
    let width = count * TILE_PX + (count - 1) * GAP_PX;
    let mut row = Rgb::new(width, TILE_PX, PAPER);
    for (column, parts) in COLUMNS.iter().enumerate() {
        let tile = tile(photo, person, parts);
        row.paste(&tile, column * (TILE_PX + GAP_PX), 0);
    }
    row
}

/// Rows below one another.
pub fn stacked(rows: &[Rgb]) -> Rgb {
    let width = rows.iter().map(|row| row.width).max().unwrap_or(0);
    let heights: usize = rows.iter().map(|row| row.height).sum();
    let gaps = GAP_PX * rows.len().saturating_sub(1);
    let mut figure = Rgb::new(width, heights + gaps, PAPER);
    let mut top = 0;
    for row in rows {
        figure.paste(row, 0, top);
        top += row.height + GAP_PX;
    }
    figure
}

fn tile(photo: &Rgb, person: &Person, parts: &[Part]) -> Rgb {
    let indices = || parts.iter().flat_map(|part| part.range());
    let seen = indices().filter(|index| is_seen(person, *index));
    let points: Vec<[f32; 2]> = seen.map(|index| person.get(index).0).collect();
    if points.is_empty() {
        return Rgb::new(TILE_PX, TILE_PX, ABSENT);
    }
    let [x0, y0, x1, y1] = super::body::bounds(&points);
    let side = ROOM * (x1 - x0).max(y1 - y0).max(8.0);
    let region = Region::upright([0.5 * (x0 + x1), 0.5 * (y0 + y1)], side);
    if !region.is_usable() {
        return Rgb::new(TILE_PX, TILE_PX, ABSENT);
    }
    let mut picture = region.view(photo, TILE_PX);
    let to_tile = |[x, y]: [f32; 2]| {
        let [left, top] = [0, 1].map(|k| region.center[k] - 0.5 * side);
        [x - left, y - top].map(|v| v * TILE_PX as f32 / side)
    };
    let is_close = parts.len() == 1;
    let width = |index: usize| match (is_close, index >= Part::Face.range().start) {
        (true, _) => 3.0,
        (false, true) => 1.0,
        (false, false) => 3.5,
    };
    for [a, b] in LIMBS.iter().chain(&FACE_LIMBS) {
        let wanted = |index: &usize| parts.iter().any(|part| part.range().contains(index));
        if wanted(a) && wanted(b) && is_seen(person, *a) && is_seen(person, *b) {
            let (from, to) = (to_tile(person.get(*a).0), to_tile(person.get(*b).0));
            line(&mut picture, from, to, width(*b), figure_colour(*b), 0.9);
        }
    }
    for index in indices().filter(|index| is_seen(person, *index)) {
        let at = to_tile(person.get(index).0);
        let size = 2.0 * width(index);
        if is_close {
            line(&mut picture, at, at, size + 2.0, [20, 20, 24], 0.8);
        }
        line(&mut picture, at, at, size, figure_colour(index), 1.0);
    }
    picture
}

/// Fingers from thumb to little finger, and the groups of the face.
fn figure_colour(index: usize) -> [u8; 3] {
    const FINGERS: [[u8; 3]; 5] = [
        [255, 120, 70],
        [255, 205, 70],
        [120, 225, 100],
        [80, 170, 255],
        [205, 120, 255],
    ];
    let finger = |place: usize| match place {
        0 => [245, 245, 245],
        _ => FINGERS[(place - 1) / 4 % 5],
    };
    match Part::of(index) {
        Some(Part::Face) => match index {
            23..40 => [90, 190, 255],
            40..50 => [255, 190, 80],
            50..59 => [130, 235, 120],
            59..71 => [255, 255, 255],
            _ => [255, 110, 130],
        },
        Some(part @ (Part::LeftHand | Part::RightHand)) => finger(index - part.range().start),
        _ => colour(index.min(KEYPOINTS - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_what_is_there_and_greys_what_is_not() {
        let photo = Rgb::new(200, 160, [40, 60, 80]);
        let mut person = Person::new([20.0, 20.0, 120.0, 150.0], 0.9);
        for index in Part::LeftHand.range() {
            let place = (index - 91) as f32;
            person.set(index, [50.0 + place, 60.0 + (place * 3.0) % 17.0], 0.9);
        }
        assert!(is_detailed(&person));
        let row = row(&photo, &person);
        assert_eq!((row.width, row.height), (4 * TILE_PX + 3 * GAP_PX, TILE_PX));
        let column = |column: usize| {
            let left = column * (TILE_PX + GAP_PX);
            let at = |i: usize| row.get(left + i % TILE_PX, i / TILE_PX).unwrap();
            (0..TILE_PX * TILE_PX).map(at).collect::<Vec<_>>()
        };
        assert!(column(1).iter().all(|pixel| *pixel == ABSENT));
        assert!(column(3).iter().all(|pixel| *pixel == ABSENT));
        let hand = column(2);
        // Each finger in its colour, on the photo.
        for wanted in [
            [255, 120, 70],
            [80, 170, 255],
            [205, 120, 255],
            [40, 60, 80],
        ] {
            assert!(hand.contains(&wanted), "{wanted:?}");
        }
        assert_eq!(row.get(TILE_PX + 2, 5), Some(PAPER));
        let both = stacked(&[row.clone(), row.clone()]);
        assert_eq!(both.height, 2 * TILE_PX + GAP_PX);
        person.scores.fill(0.0);
        assert!(!is_detailed(&person));
    }

    #[test]
    fn labels_become_sure_points() {
        let mut keypoints = vec![[0.0; 3]; KEYPOINTS];
        keypoints[23] = [5.0, 6.0, 1.0];
        let truth = Truth {
            keypoints,
            area: 10.0,
            bbox: [1.0, 2.0, 30.0, 40.0],
            crowd: false,
        };
        let person = labelled(&truth);
        assert_eq!(person.get(23), ([5.0, 6.0], 1.0));
        assert_eq!(person.get(24).1, 0.0);
        assert_eq!(person.bbox_in_image, [1.0, 2.0, 31.0, 42.0]);
    }
}
