//! Draws people into a picture, on the CPU: soft-edged lines and dots, a colour for each part and side.

use super::keypoints::{FACE_LIMBS, KEYPOINTS, LIMBS, Part, Person};
use crate::raster::Rgb;

/// Points below this are not drawn; up to `FULL` they fade in.
const LEAST: f32 = 0.1;
const FULL: f32 = 0.5;
/// Width of a line over the longer side of a person's box, and its bounds in pixels.
const WIDTH: f32 = 0.012;
const MIN_WIDTH_PX: f32 = 1.0;
const MAX_WIDTH_PX: f32 = 8.0;
/// Face and hands are fine work.
const FINE: f32 = 0.5;

/// The colour of a keypoint: warm on the person's right, cold on the left.
pub fn colour(index: usize) -> [u8; 3] {
    let is_right = index > 0 && index.is_multiple_of(2);
    match Part::of(index) {
        Some(Part::Body) if is_right => [255, 140, 60],
        Some(Part::Body) => [70, 170, 255],
        Some(Part::Foot) if index >= 20 => [255, 205, 70],
        Some(Part::Foot) => [80, 225, 215],
        Some(Part::Face) => [255, 255, 255],
        Some(Part::LeftHand) => [130, 255, 150],
        _ => [255, 110, 170],
    }
}

/// Draws everyone into `picture`, which they were found in.
pub fn draw(picture: &mut Rgb, people: &[Person]) {
    for person in people {
        let [x0, y0, x1, y1] = person.bbox_in_image;
        let size = (x1 - x0).max(y1 - y0);
        let width = (WIDTH * size).clamp(MIN_WIDTH_PX, MAX_WIDTH_PX);
        for [a, b] in LIMBS.iter().chain(&FACE_LIMBS) {
            let ((from, first), (to, second)) = (person.get(*a), person.get(*b));
            let is_fine = *a >= Part::Face.range().start;
            let width = if is_fine { FINE * width } else { width };
            line(
                picture,
                from,
                to,
                width,
                colour(*b),
                opacity(first.min(second)),
            );
        }
        for index in 0..KEYPOINTS {
            let (point, score) = person.get(index);
            let is_fine = index >= Part::Face.range().start;
            let width = if is_fine { 0.8 * width } else { 2.0 * width };
            line(picture, point, point, width, colour(index), opacity(score));
        }
    }
}

fn opacity(score: f32) -> f32 {
    opacity_above(LEAST, score)
}

/// How strongly a point of this score is drawn where those below `least` are not, 0 to 1.
pub fn opacity_above(least: f32, score: f32) -> f32 {
    // Where only the surest are wanted, they still fade in.
    let full = FULL.max(least + 0.1);
    ((score - least) / (full - least)).clamp(0.0, 1.0)
}

/// A line with round ends; a dot where both ends are one point.
pub(super) fn line(
    picture: &mut Rgb,
    a: [f32; 2],
    b: [f32; 2],
    width: f32,
    colour: [u8; 3],
    opacity: f32,
) {
    let is_there = [a, b]
        .as_flattened()
        .iter()
        .all(|v| v.is_finite() && v.abs() < 1e6);
    if opacity <= 0.0 || !is_there {
        return;
    }
    let reach = 0.5 * width + 1.0;
    let range = |from: f32, to: f32, size: usize| {
        let low = (from.min(to) - reach).max(0.0) as usize;
        let high = (from.max(to) + reach).max(0.0).ceil() as usize;
        low.min(size)..high.min(size)
    };
    let columns = range(a[0], b[0], picture.width);
    let along = [b[0] - a[0], b[1] - a[1]];
    let square = along[0] * along[0] + along[1] * along[1];
    for y in range(a[1], b[1], picture.height) {
        let row = picture.row_mut(y);
        for x in columns.clone() {
            let [dx, dy] = [x as f32 + 0.5 - a[0], y as f32 + 0.5 - a[1]];
            let t = if square > 0.0 {
                ((dx * along[0] + dy * along[1]) / square).clamp(0.0, 1.0)
            } else {
                0.0
            };
            let distance = (dx - t * along[0]).hypot(dy - t * along[1]);
            let cover = (0.5 * width + 0.5 - distance).clamp(0.0, 1.0) * opacity;
            if cover > 0.0
                && let Some(pixel) = row.get_mut(3 * x..3 * x + 3)
            {
                for (byte, ink) in pixel.iter_mut().zip(colour) {
                    let old = f32::from(*byte);
                    *byte = (old + cover * (f32::from(ink) - old)).round() as u8;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_cover_what_lies_under_them_and_nothing_else() {
        let mut picture = Rgb::new(20, 20, [0; 3]);
        line(
            &mut picture,
            [5.0, 10.0],
            [15.0, 10.0],
            2.0,
            [200, 100, 50],
            1.0,
        );
        assert_eq!(picture.get(10, 9), Some([200, 100, 50]));
        assert_eq!(picture.get(10, 10), Some([200, 100, 50]));
        assert_eq!(picture.get(10, 13), Some([0; 3]));
        assert_eq!(picture.get(1, 10), Some([0; 3]));
        line(&mut picture, [5.0, 3.0], [5.0, 3.0], 3.0, [255; 3], 0.5);
        assert_eq!(picture.get(5, 3), Some([128; 3]));
    }

    #[test]
    fn people_partly_or_wholly_outside_do_no_harm() {
        let mut picture = Rgb::new(30, 20, [9; 3]);
        let mut person = Person::new([-50.0, -50.0, 80.0, 90.0], 0.9);
        for index in 0..KEYPOINTS {
            person.set(
                index,
                [index as f32 - 20.0, 5.0 * (index % 9) as f32 - 10.0],
                0.9,
            );
        }
        person.set(3, [f32::NAN, 4.0], 0.9);
        person.set(4, [f32::INFINITY, 4.0], 0.9);
        draw(&mut picture, std::slice::from_ref(&person));
        assert!(picture.data.iter().any(|&v| v != 9));
        let mut clean = Rgb::new(30, 20, [9; 3]);
        person.scores.fill(0.05);
        draw(&mut clean, &[person]);
        assert!(clean.data.iter().all(|&v| v == 9));
    }
}
