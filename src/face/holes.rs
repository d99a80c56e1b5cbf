//! The regions that training hides: shaped like the regions that edits touch.
//!
//! An edit's region is the union of a part's old and new shape, dilated by 1–5 % of the crop; so is a hole: parts,
//! united with a shifted copy of themselves, dilated. Beside these there are whole faces, hair, the edge of the
//! hair, and free strokes.

use rand::Rng;

/// What is hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hole {
    /// The whole crop: the picture has to come from mask and style alone.
    Whole,
    /// All of the face within the hair.
    Face,
    /// Hair and hat.
    Hair,
    /// A band along the edge of the hair.
    HairEdge,
    /// One to three parts.
    Parts,
    /// Free strokes.
    Strokes,
}

/// Classes that are hidden together, and how often.
const PARTS: [(&[u8], u32); 9] = [
    (&[10, 11, 12], 6),
    (&[4, 5], 4),
    (&[4], 1),
    (&[5], 1),
    (&[6, 7], 3),
    (&[2], 4),
    (&[3, 4, 5, 6, 7], 3),
    (&[8, 9, 15], 2),
    (&[16, 17, 18], 1),
];

/// Pixels of `mask` (side × side) of any of `classes`.
fn pixels_of(mask: &[u8], classes: &[u8]) -> Vec<bool> {
    mask.iter().map(|id| classes.contains(id)).collect()
}

/// Grows `region` by about `radius_px`, with round corners (3-4 chamfer distance).
pub fn dilate(region: &mut [bool], side: usize, radius_px: f32) {
    const FAR: i32 = 1 << 24;
    let limit = (radius_px * 3.0).round() as i32;
    let mut d: Vec<i32> = region.iter().map(|&b| if b { 0 } else { FAR }).collect();
    let relax = |d: &mut [i32], at: usize, x: isize, y: isize, steps: [(isize, isize, i32); 4]| {
        for (dx, dy, cost) in steps {
            let (nx, ny) = (x + dx, y + dy);
            if nx >= 0 && ny >= 0 && (nx as usize) < side && (ny as usize) < side {
                d[at] = d[at].min(d[ny as usize * side + nx as usize] + cost);
            }
        }
    };
    for at in 0..d.len() {
        relax(
            &mut d,
            at,
            (at % side) as isize,
            (at / side) as isize,
            [(-1, 0, 3), (0, -1, 3), (-1, -1, 4), (1, -1, 4)],
        );
    }
    for at in (0..d.len()).rev() {
        relax(
            &mut d,
            at,
            (at % side) as isize,
            (at / side) as isize,
            [(1, 0, 3), (0, 1, 3), (1, 1, 4), (-1, 1, 4)],
        );
    }
    region
        .iter_mut()
        .zip(&d)
        .for_each(|(b, &d)| *b = d <= limit);
}

/// A hole in a crop with `mask` (side × side). A kind that the face has no pixels for becomes strokes.
pub fn draw(kind: Hole, mask: &[u8], side: usize, rng: &mut impl Rng) -> Vec<bool> {
    let unit = side as f32 / 256.0;
    let mut region = match kind {
        Hole::Whole => return vec![true; side * side],
        Hole::Face => pixels_of(mask, &[1, 2, 3, 4, 5, 6, 7, 10, 11, 12]),
        Hole::Hair => pixels_of(mask, &[13, 14]),
        Hole::HairEdge => hair_edge(mask, side, rng.random_range(2.0..10.0) * unit),
        Hole::Parts => {
            let mut region = vec![false; side * side];
            for _ in 0..[1, 1, 1, 2, 2, 3][rng.random_range(0..6)] {
                let mut at = rng.random_range(0..PARTS.iter().map(|p| p.1).sum::<u32>());
                for (classes, weight) in PARTS {
                    if at < weight {
                        region
                            .iter_mut()
                            .zip(pixels_of(mask, classes))
                            .for_each(|(r, p)| *r |= p);
                        break;
                    }
                    at -= weight;
                }
            }
            // Old and new shape of a part that was moved.
            if rng.random_bool(0.5) {
                let mut shift = || (rng.random_range(-9.0f32..9.0) * unit) as isize;
                let (dx, dy) = (shift(), shift());
                unite_shifted(&mut region, side, dx, dy);
            }
            region
        }
        Hole::Strokes => strokes(side, unit, rng),
    };
    if region.iter().filter(|&&b| b).count() < 24 {
        region = strokes(side, unit, rng);
    }
    let radius = match kind {
        Hole::Strokes | Hole::HairEdge => 0.0,
        _ => rng.random_range(2.5f32..14.0) * unit,
    };
    if radius > 0.0 {
        dilate(&mut region, side, radius);
    }
    region
}

fn hair_edge(mask: &[u8], side: usize, radius: f32) -> Vec<bool> {
    let hair = |at: usize| mask[at] == 13 || mask[at] == 14;
    let mut edge = vec![false; side * side];
    for at in 0..side * side {
        let is_edge = |next: usize| hair(at) != hair(next);
        edge[at] = (at % side + 1 < side && is_edge(at + 1))
            || (at + side < side * side && is_edge(at + side));
    }
    dilate(&mut edge, side, radius);
    edge
}

fn unite_shifted(region: &mut [bool], side: usize, dx: isize, dy: isize) {
    let before = region.to_vec();
    for (at, &b) in before.iter().enumerate() {
        let (x, y) = ((at % side) as isize + dx, (at / side) as isize + dy);
        if b && x >= 0 && y >= 0 && (x as usize) < side && (y as usize) < side {
            region[y as usize * side + x as usize] = true;
        }
    }
}

/// One to four brush strokes of three to eight turns, over the middle of the crop.
fn strokes(side: usize, unit: f32, rng: &mut impl Rng) -> Vec<bool> {
    let mut region = vec![false; side * side];
    for _ in 0..rng.random_range(1..=4) {
        let radius = rng.random_range(4.0f32..16.0) * unit;
        let mut spot = || rng.random_range(0.15f32..0.9) * side as f32;
        let (mut x, mut y) = (spot(), spot());
        let mut angle = rng.random_range(0.0f32..6.3);
        for _ in 0..rng.random_range(3..=8) {
            angle += rng.random_range(-1.2f32..1.2);
            let length = rng.random_range(6.0f32..24.0) * unit;
            let steps = (length / (radius * 0.5).max(1.0)).ceil() as usize;
            for _ in 0..steps {
                x += angle.cos() * length / steps as f32;
                y += angle.sin() * length / steps as f32;
                disc(&mut region, side, x, y, radius);
            }
        }
    }
    region
}

fn disc(region: &mut [bool], side: usize, x: f32, y: f32, radius: f32) {
    let range =
        |c: f32| ((c - radius).max(0.0) as usize)..(((c + radius).max(0.0) as usize + 1).min(side));
    for py in range(y) {
        for px in range(x) {
            let (dx, dy) = (px as f32 - x, py as f32 - y);
            if dx * dx + dy * dy <= radius * radius {
                region[py * side + px] = true;
            }
        }
    }
}

/// The smallest rectangle (x0, y0, x1, y1; the end exclusive) around `region`; the whole square when it is empty.
pub fn bounds(region: &[bool], side: usize) -> [usize; 4] {
    let mut b = [side, side, 0, 0];
    for (at, _) in region.iter().enumerate().filter(|(_, r)| **r) {
        let (x, y) = (at % side, at / side);
        b = [b[0].min(x), b[1].min(y), b[2].max(x + 1), b[3].max(y + 1)];
    }
    if b[2] == 0 { [0, 0, side, side] } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn dilation_is_round_and_as_wide_as_asked() {
        let side = 41;
        let mut region = vec![false; side * side];
        region[20 * side + 20] = true;
        dilate(&mut region, side, 10.0);
        assert!(region[20 * side + 30] && !region[20 * side + 31]);
        assert!(region[27 * side + 27] && !region[29 * side + 29]);
        assert_eq!(bounds(&region, side), [10, 10, 31, 31]);
    }

    #[test]
    fn every_kind_hides_something_also_on_an_empty_mask() {
        let rng = &mut rand::rngs::SmallRng::seed_from_u64(3);
        for kind in [
            Hole::Whole,
            Hole::Face,
            Hole::Hair,
            Hole::HairEdge,
            Hole::Parts,
            Hole::Strokes,
        ] {
            for _ in 0..10 {
                let region = draw(kind, &[0; 64 * 64], 64, rng);
                assert!(region.iter().any(|&b| b), "{kind:?}");
            }
        }
    }

    #[test]
    fn a_hidden_part_is_covered() {
        let mut mask = vec![1u8; 64 * 64];
        (40..46).for_each(|y| mask[y * 64 + 24..y * 64 + 40].fill(11));
        let rng = &mut rand::rngs::SmallRng::seed_from_u64(5);
        let covered = (0..40)
            .map(|_| draw(Hole::Parts, &mask, 64, rng))
            .filter(|r| (0..64 * 64).all(|i| mask[i] != 11 || r[i]))
            .count();
        assert!(covered >= 5, "{covered} of 40 hide the mouth");
    }
}
