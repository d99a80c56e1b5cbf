//! Inpainting by fast marching: Telea, "An Image Inpainting Technique Based on the Fast Marching Method", 2004.
//!
//! The hole is closed from its border inwards in the order of the distance T to it. A pixel becomes the weighted mean
//! of what its known neighbours predict for it, I(q) + ∇I(q)·(p − q), with the paper's three weights: along the
//! border's normal, near, and on the same level of T.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::face::mask::distance_outside;
use crate::raster::{Grid, Rgb};

/// The paper's ε: known pixels this near take part. It finds 3 to 10 good for strokes; small keeps edges.
const RADIUS_PX: i32 = 5;
/// Distance of a pixel that has not been reached.
const FAR: f32 = 1e6;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Known, or filled and passed by the front.
    Known,
    /// Filled, on the front.
    Band,
    /// In the hole, not filled.
    Inside,
}

/// Fills the hole (not 0). A picture without a known pixel becomes grey.
pub fn telea_fill(photo: &Rgb, hole: &Grid<u8>) -> Rgb {
    let is_known = |hole: &u8| *hole == 0;
    if !hole.data.iter().any(is_known) {
        return Rgb::new(photo.width, photo.height, super::GREY);
    }
    let mut front = Front::new(photo, hole);
    while let Some(Next { at: (x, y), .. }) = front.heap.pop() {
        front.states[(x, y)] = State::Known;
        for (dx, dy) in NEIGHBOURS {
            let p = (x + dx, y + dy);
            if !front.states.is_inside(p) || front.states[p] == State::Known {
                continue;
            }
            let time = front.arrival(p);
            if front.states[p] == State::Inside {
                front.times[p] = time;
                front.paint(p);
                front.states[p] = State::Band;
                front.update_slopes(p);
            } else if time < front.times[p] {
                front.times[p] = time;
            } else {
                continue;
            }
            front.heap.push(Next { time, at: p });
        }
    }
    front.into_rgb()
}

const NEIGHBOURS: [(i32, i32); 4] = [(-1, 0), (1, 0), (0, -1), (0, 1)];

/// A pixel waiting on the front; the heap gives the nearest first.
struct Next {
    time: f32,
    at: (i32, i32),
}

impl Ord for Next {
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .time
            .total_cmp(&self.time)
            .then_with(|| other.at.cmp(&self.at))
    }
}

impl PartialOrd for Next {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Next {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Next {}

/// A plane addressed by signed coordinates, which must lie inside.
struct Plane<T> {
    width: i32,
    height: i32,
    data: Vec<T>,
}

impl<T> Plane<T> {
    fn of<U>(grid: &Grid<U>, data: Vec<T>) -> Self {
        Self {
            width: grid.width as i32,
            height: grid.height as i32,
            data,
        }
    }

    fn is_inside(&self, (x, y): (i32, i32)) -> bool {
        (0..self.width).contains(&x) && (0..self.height).contains(&y)
    }
}

impl<T> std::ops::Index<(i32, i32)> for Plane<T> {
    type Output = T;
    fn index(&self, (x, y): (i32, i32)) -> &T {
        &self.data[(y * self.width + x) as usize]
    }
}

impl<T> std::ops::IndexMut<(i32, i32)> for Plane<T> {
    fn index_mut(&mut self, (x, y): (i32, i32)) -> &mut T {
        &mut self.data[(y * self.width + x) as usize]
    }
}

struct Front {
    states: Plane<State>,
    times: Plane<f32>,
    colours: Plane<[f32; 3]>,
    /// Colour gradient of every filled pixel, along x and y.
    slopes: Plane<[[f32; 3]; 2]>,
    heap: BinaryHeap<Next>,
}

impl Front {
    fn new(photo: &Rgb, hole: &Grid<u8>) -> Self {
        let states = hole
            .data
            .iter()
            .map(|&h| if h != 0 { State::Inside } else { State::Known });
        // Outside, T is minus the distance to the hole, so its gradient is right on the border too. The pixels next
        // to the hole have T = 0.
        let outside = distance_outside(hole);
        let times = outside
            .data
            .iter()
            .map(|&d| if d > 0.0 { 1.0 - d } else { FAR });
        let colours = photo.pixels().map(|p| p.map(f32::from)).collect();
        let mut front = Self {
            states: Plane::of(hole, states.collect()),
            times: Plane::of(hole, times.collect()),
            colours: Plane::of(hole, colours),
            slopes: Plane::of(hole, vec![[[0.0; 3]; 2]; hole.data.len()]),
            heap: BinaryHeap::new(),
        };
        for y in 0..front.states.height {
            for x in 0..front.states.width {
                // Further out no slope is asked for.
                if outside.data[(y * front.states.width + x) as usize] < (RADIUS_PX + 2) as f32 {
                    front.update_slope((x, y));
                }
                let touches = |(dx, dy): (i32, i32)| {
                    let p = (x + dx, y + dy);
                    front.states.is_inside(p) && front.states[p] == State::Inside
                };
                if front.states[(x, y)] == State::Known && NEIGHBOURS.into_iter().any(touches) {
                    front.heap.push(Next {
                        time: 0.0,
                        at: (x, y),
                    });
                }
            }
        }
        front
    }

    /// T of a pixel not yet passed: the least solution of |∇T| = 1 over its four pairs of neighbours.
    fn arrival(&self, (x, y): (i32, i32)) -> f32 {
        let known = |p: (i32, i32)| {
            (self.states.is_inside(p) && self.states[p] == State::Known).then(|| self.times[p])
        };
        let solve = |a: Option<f32>, b: Option<f32>| match (a, b) {
            (Some(a), Some(b)) => {
                let rest = 2.0 - (a - b) * (a - b);
                let both = 0.5 * (a + b + rest.max(0.0).sqrt());
                if rest > 0.0 && both >= a.max(b) {
                    both
                } else {
                    1.0 + a.min(b)
                }
            }
            (Some(one), None) | (None, Some(one)) => 1.0 + one,
            (None, None) => FAR,
        };
        let (left, right) = (known((x - 1, y)), known((x + 1, y)));
        let (up, down) = (known((x, y - 1)), known((x, y + 1)));
        solve(left, up)
            .min(solve(right, up))
            .min(solve(left, down))
            .min(solve(right, down))
    }

    fn is_filled(&self, p: (i32, i32)) -> bool {
        self.states.is_inside(p) && self.states[p] != State::Inside
    }

    /// Central difference of `value` along one axis, one-sided where only one neighbour is filled, else 0.
    fn slope<const N: usize>(
        &self,
        (x, y): (i32, i32),
        (dx, dy): (i32, i32),
        value: impl Fn((i32, i32)) -> [f32; N],
    ) -> [f32; N] {
        let (ahead, behind) = ((x + dx, y + dy), (x - dx, y - dy));
        let minus =
            |p: [f32; N], q: [f32; N], factor: f32| std::array::from_fn(|i| (p[i] - q[i]) * factor);
        match (self.is_filled(ahead), self.is_filled(behind)) {
            (true, true) => minus(value(ahead), value(behind), 0.5),
            (true, false) => minus(value(ahead), value((x, y)), 1.0),
            (false, true) => minus(value((x, y)), value(behind), 1.0),
            (false, false) => [0.0; N],
        }
    }

    /// A newly filled pixel changes its own slope and its neighbours'.
    fn update_slopes(&mut self, (x, y): (i32, i32)) {
        self.update_slope((x, y));
        for (dx, dy) in NEIGHBOURS {
            self.update_slope((x + dx, y + dy));
        }
    }

    fn update_slope(&mut self, p: (i32, i32)) {
        if self.is_filled(p) {
            let colour_at = |q| self.colours[q];
            self.slopes[p] = [
                self.slope(p, (1, 0), colour_at),
                self.slope(p, (0, 1), colour_at),
            ];
        }
    }

    fn paint(&mut self, p: (i32, i32)) {
        let time_at = |q| [self.times[q]];
        let [normal_x] = self.slope(p, (1, 0), time_at);
        let [normal_y] = self.slope(p, (0, 1), time_at);
        let time = self.times[p];
        let (mut sum, mut total) = ([0f32; 3], 0f32);
        let (left, right) = (
            (p.0 - RADIUS_PX).max(0),
            (p.0 + RADIUS_PX).min(self.states.width - 1),
        );
        for y in (p.1 - RADIUS_PX).max(0)..=(p.1 + RADIUS_PX).min(self.states.height - 1) {
            let start = (y * self.states.width + left) as usize;
            let row = start..start + (right - left + 1) as usize;
            let ry = (p.1 - y) as f32;
            let pixels = self.states.data[row.clone()]
                .iter()
                .zip(&self.times.data[row.clone()]);
            let colours = self.colours.data[row.clone()]
                .iter()
                .zip(&self.slopes.data[row]);
            for (x, ((state, q_time), (colour, [slope_x, slope_y]))) in
                (left..).zip(pixels.zip(colours))
            {
                // From q to p.
                let rx = (p.0 - x) as f32;
                let square = rx * rx + ry * ry;
                if *state == State::Inside || square > (RADIUS_PX * RADIUS_PX) as f32 {
                    continue;
                }
                // The paper's weights. A pixel square to the normal still counts a little.
                let direction = ((rx * normal_x + ry * normal_y) / square.sqrt())
                    .abs()
                    .max(1e-6);
                let level = 1.0 + (q_time - time).abs();
                let weight = direction / (square * level);
                for c in 0..3 {
                    sum[c] += weight * (colour[c] + slope_x[c] * rx + slope_y[c] * ry);
                }
                total += weight;
            }
        }
        if total > 0.0 {
            self.colours[p] = sum.map(|s| (s / total).clamp(0.0, 255.0));
        }
    }

    fn into_rgb(self) -> Rgb {
        let data = self
            .colours
            .data
            .iter()
            .flat_map(|c| c.map(|v| (v + 0.5) as u8))
            .collect();
        Rgb {
            width: self.states.width as usize,
            height: self.states.height as usize,
            data,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::metrics::psnr;

    fn hole_in(width: usize, height: usize, x0: usize, y0: usize, size: usize) -> Grid<u8> {
        let mut hole = Grid::new(width, height, 0);
        for y in y0..y0 + size {
            hole.row_mut(y)[x0..x0 + size].fill(1);
        }
        hole
    }

    #[test]
    fn flat_colour_is_continued_exactly() {
        let mut photo = Rgb::new(40, 30, [90, 120, 7]);
        let hole = hole_in(40, 30, 12, 8, 12);
        let clean = photo.clone();
        photo.paste(&Rgb::new(12, 12, [255, 0, 255]), 12, 8);
        assert_eq!(telea_fill(&photo, &hole), clean);
        assert_eq!(
            telea_fill(&photo, &Grid::new(40, 30, 1)).get(3, 3),
            Some([128; 3])
        );
        assert_eq!(telea_fill(&photo, &Grid::new(40, 30, 0)), photo);
    }

    #[test]
    fn a_ramp_is_continued_closely_and_the_rest_stays() {
        let data = (0..40usize * 40)
            .flat_map(|i| [(4 * (i % 40)) as u8, (3 * (i / 40)) as u8, 50])
            .collect();
        let photo = Rgb::from_vec(40, 40, data).unwrap();
        let hole = hole_in(40, 40, 14, 14, 10);
        let filled = telea_fill(&photo, &hole);
        let quality = psnr(&photo, &filled, Some(&hole)).unwrap();
        assert!(quality > 35.0, "{quality}");
        let border = super::super::border_fill(&photo, &hole);
        assert!(quality > psnr(&photo, &border, Some(&hole)).unwrap() + 10.0);
        let outside = hole.map(|&h| 1 - h);
        assert_eq!(psnr(&photo, &filled, Some(&outside)), Some(f64::INFINITY));
    }

    #[test]
    fn an_edge_runs_on_through_the_hole() {
        let mut photo = Rgb::new(40, 40, [20; 3]);
        photo.paste(&Rgb::new(20, 40, [220; 3]), 20, 0);
        let filled = telea_fill(&photo, &hole_in(40, 40, 16, 16, 8));
        assert!(filled.get(17, 20).unwrap()[0] < 70);
        assert!(filled.get(22, 20).unwrap()[0] > 170);
    }

    #[test]
    fn the_front_arrives_by_distance() {
        // A hole with its left column known only: T grows by 1 a column.
        let mut hole = Grid::new(9, 9, 1);
        for y in 0..9 {
            hole.set(0, y, 0);
        }
        let photo = Rgb::new(9, 9, [1; 3]);
        let mut front = Front::new(&photo, &hole);
        assert_eq!(front.heap.len(), 9);
        for y in 0..9 {
            front.states[(0, y)] = State::Known;
        }
        assert_eq!(front.arrival((1, 4)), 1.0);
    }
}
