//! The two places: where one can walk, how people cross them, and what they look like from above.
//!
//! Everything is drawn by functions of the position, so there is no picture file and the mask fits the picture exactly.

use rand::Rng as _;
use rand::rngs::SmallRng;

use crate::motion::Point;
use crate::raster::{Grid, Rgb};

/// Pixels of the picture on one metre.
pub const PIXELS_A_METRE: f64 = 50.0;
/// Metres from left to right and from top to bottom.
const SIZE: Point = [24.0, 16.0];
/// Pixels on a metre in the mask.
const MASK_PIXELS_A_METRE: f64 = 20.0;

/// A place that walkers are simulated in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A square with a fountain and trees.
    Plaza,
    /// A street with a zebra crossing and lights.
    Crossing,
}

/// Round things in the plaza: centre and radius. The first is the fountain.
const ROUND: [(Point, f64); 5] = [
    ([12.0, 8.0], 2.3),
    ([5.0, 4.2], 0.8),
    ([19.0, 4.2], 0.8),
    ([5.0, 11.8], 0.8),
    ([19.0, 11.8], 0.8),
];
/// Ways into the plaza.
const GATES: [Point; 8] = [
    [-0.8, 3.0],
    [-0.8, 12.5],
    [24.8, 3.5],
    [24.8, 12.0],
    [7.0, -0.8],
    [16.5, -0.8],
    [8.5, 16.8],
    [17.5, 16.8],
];
/// Road of the crossing, top and bottom.
const ROAD: [f64; 2] = [4.8, 11.2];
/// Zebra of the crossing, left and right.
const ZEBRA: [f64; 2] = [9.5, 14.5];
/// Walkers stay so far from a wall.
const CLEARANCE: f64 = 0.35;
/// The lights of the crossing: how long both phases last, and how long people may go.
const LIGHTS_SECS: [f64; 2] = [26.0, 15.0];

impl Place {
    pub const ALL: [Self; 2] = [Self::Plaza, Self::Crossing];

    /// As the user sees it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plaza => "Plaza",
            Self::Crossing => "Crossing",
        }
    }

    pub(super) const fn arrivals_a_second(self) -> f64 {
        match self {
            Self::Plaza => 1.9,
            Self::Crossing => 1.2,
        }
    }

    /// Where somebody arrives, and the points to pass until they leave.
    pub(super) fn route(self, rng: &mut SmallRng) -> (Point, Vec<Point>) {
        match self {
            Self::Plaza => {
                let from = rng.random_range(0..GATES.len());
                let to = (from + rng.random_range(1..GATES.len())) % GATES.len();
                let near =
                    |gate: Point, rng: &mut SmallRng| gate.map(|v| v + rng.random_range(-0.9..0.9));
                (near(GATES[from], rng), vec![near(GATES[to], rng)])
            }
            Self::Crossing => {
                let side = |is_top: bool, is_left: bool, rng: &mut SmallRng| {
                    let y = if is_top {
                        rng.random_range(0.9..ROAD[0] - 0.9)
                    } else {
                        rng.random_range(ROAD[1] + 0.9..SIZE[1] - 0.9)
                    };
                    [if is_left { -0.8 } else { SIZE[0] + 0.8 }, y]
                };
                let (is_top, is_left) = (rng.random_bool(0.5), rng.random_bool(0.5));
                let start = side(is_top, is_left, rng);
                if rng.random_bool(0.35) {
                    let mut end = side(is_top, !is_left, rng);
                    end[1] = 0.5 * (end[1] + start[1]);
                    return (start, vec![end]);
                }
                let x = rng.random_range(ZEBRA[0] + 0.7..ZEBRA[1] - 0.7);
                let drift = rng.random_range(-0.5..0.5);
                let kerbs = [[x, ROAD[0] - 0.7], [x + drift, ROAD[1] + 0.7]];
                let kerbs = if is_top { kerbs } else { [kerbs[1], kerbs[0]] };
                let end_left = rng.random_bool(0.5);
                let end = side(!is_top, end_left, rng);
                (start, vec![kerbs[0], kerbs[1], end])
            }
        }
    }

    /// Whether someone who heads for `goal` stands at red lights.
    pub(super) fn must_wait(self, at: Point, goal: Point, secs: f64) -> bool {
        let middle = 0.5 * (ROAD[0] + ROAD[1]);
        let crosses = (at[1] - middle) * (goal[1] - middle) < 0.0;
        let is_at_kerb = (ROAD[0] - 1.6..ROAD[0] + 0.1).contains(&at[1])
            || (ROAD[1] - 0.1..ROAD[1] + 1.6).contains(&at[1]);
        self == Self::Crossing
            && crosses
            && is_at_kerb
            && secs.rem_euclid(LIGHTS_SECS[0]) > LIGHTS_SECS[1]
    }

    /// Where to head for on the way to `goal`: beside the first round thing that is in the way.
    pub(super) fn around_obstacles(self, at: Point, goal: Point) -> Point {
        if self == Self::Crossing {
            return goal;
        }
        let way = [goal[0] - at[0], goal[1] - at[1]];
        let length = way[0].hypot(way[1]).max(1e-6);
        let way = way.map(|v| v / length);
        let mut nearest = length;
        let mut towards = goal;
        for (center, radius) in ROUND {
            let to = [center[0] - at[0], center[1] - at[1]];
            let along = to[0] * way[0] + to[1] * way[1];
            let beside = way[0] * to[1] - way[1] * to[0];
            let room = radius + 2.0 * CLEARANCE;
            if along > 0.0 && along < nearest && beside.abs() < room {
                nearest = along;
                // To the side that is nearer already.
                let side = if beside > 0.0 {
                    room - beside
                } else {
                    -room - beside
                };
                towards = [0, 1].map(|k| {
                    let across = [-way[1], way[0]][k];
                    at[k] + way[k] * along - across * side
                });
            }
        }
        towards
    }

    /// The push of walls, trees and kerbs.
    pub(super) fn push(self, at: Point) -> Point {
        const STRENGTH: f64 = 4.0;
        const RANGE: f64 = 0.25;
        let mut push = [0.0; 2];
        match self {
            Self::Plaza => {
                for (center, radius) in ROUND {
                    let away = [at[0] - center[0], at[1] - center[1]];
                    let distance = away[0].hypot(away[1]).max(1e-6);
                    let strength =
                        STRENGTH * ((radius + CLEARANCE - distance) / RANGE).min(3.0).exp();
                    for k in 0..2 {
                        push[k] += away[k] / distance * strength;
                    }
                }
            }
            Self::Crossing => {
                let wall = |gap: f64| STRENGTH * ((CLEARANCE - gap) / RANGE).min(3.0).exp();
                if (ROAD[0]..ROAD[1]).contains(&at[1]) {
                    push[0] += wall(at[0] - ZEBRA[0]) - wall(ZEBRA[1] - at[0]);
                } else if !(ZEBRA[0]..ZEBRA[1]).contains(&at[0]) {
                    if at[1] <= ROAD[0] {
                        push[1] -= wall(ROAD[0] - at[1]);
                    } else {
                        push[1] += wall(at[1] - ROAD[1]);
                    }
                }
                push[1] += wall(at[1]) - wall(SIZE[1] - at[1]);
            }
        }
        push
    }

    fn is_walkable(self, [x, y]: Point) -> bool {
        match self {
            Self::Plaza => ROUND.iter().all(|(c, r)| (x - c[0]).hypot(y - c[1]) > *r),
            Self::Crossing => !(ROAD[0]..ROAD[1]).contains(&y) || (ZEBRA[0]..ZEBRA[1]).contains(&x),
        }
    }

    /// The mask of ground that can be walked on.
    pub(super) fn walkable(self) -> Grid<bool> {
        let [width, height] = SIZE.map(|v| (v * MASK_PIXELS_A_METRE) as usize);
        let middle = |i: usize| (i as f64 + 0.5) / MASK_PIXELS_A_METRE;
        let mut grid = Grid::new(width, height, false);
        for (i, cell) in grid.data.iter_mut().enumerate() {
            *cell = self.is_walkable([middle(i % width), middle(i / width)]);
        }
        grid
    }

    /// The place from above.
    pub(super) fn picture(self) -> Rgb {
        let [width, height] = SIZE.map(|v| (v * PIXELS_A_METRE) as usize);
        let middle = |i: usize| (i as f64 + 0.5) / PIXELS_A_METRE;
        let mut picture = Rgb::new(width, height, [0; 3]);
        for y in 0..height {
            let row = picture.row_mut(y);
            for (x, pixel) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let at = [middle(x), middle(y)];
                let color = match self {
                    Self::Plaza => plaza(at),
                    Self::Crossing => crossing(at),
                };
                let grain = 5.0 * (noise(x as i64, y as i64) - 0.5);
                *pixel = color.map(|v| (v + grain).clamp(0.0, 255.0) as u8);
            }
        }
        picture
    }
}

/// A number in [0, 1) that looks random, the same for the same cell.
fn noise(x: i64, y: i64) -> f64 {
    let mut h = (x.wrapping_mul(0x9E37_79B9) ^ y.wrapping_mul(0x85EB_CA6B)) as u64;
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D_85EB_CA77);
    h = (h ^ (h >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (h >> 40) as f64 / (1u64 << 24) as f64
}

fn mix(a: [f64; 3], b: [f64; 3], share: f64) -> [f64; 3] {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * share.clamp(0.0, 1.0))
}

/// Slabs with joints: `size` metres a side.
fn paving([x, y]: Point, size: f64, base: [f64; 3]) -> [f64; 3] {
    let row = (y / size).floor();
    let shifted = x + 0.5 * size * row.rem_euclid(2.0);
    let tone = 14.0 * (noise((shifted / size).floor() as i64, row as i64) - 0.5);
    let edge = |v: f64| (v / size).fract().abs().min(1.0 - (v / size).fract().abs()) * size;
    let joint = if edge(shifted).min(edge(y)) < 0.018 {
        -22.0
    } else {
        0.0
    };
    base.map(|v| v + tone + joint)
}

fn plaza(at: Point) -> [f64; 3] {
    const STONE: [f64; 3] = [186.0, 178.0, 164.0];
    let from = |center: Point| (at[0] - center[0]).hypot(at[1] - center[1]);
    let fountain = from(ROUND[0].0);
    let mut color = paving(at, 0.8, STONE);
    // A ring of darker stone around the fountain, and one across the square.
    if (3.2..3.6).contains(&fountain) || (5.6..5.8).contains(&fountain) {
        color = mix(color, [150.0, 132.0, 116.0], 0.65);
    }
    let rim = ROUND[0].1;
    if fountain < rim {
        let ripple = 9.0 * (fountain * 16.0).sin() * (1.0 - fountain / rim);
        let water = [96.0, 150.0, 176.0].map(|v| v + ripple);
        color = if fountain > rim - 0.28 {
            [206.0, 200.0, 190.0]
        } else {
            water
        };
        if fountain < 0.3 {
            color = [220.0, 224.0, 226.0];
        }
    } else {
        color = mix(
            color,
            [70.0, 64.0, 58.0],
            0.35 * (1.0 - (fountain - rim) / 0.25),
        );
    }
    for (center, radius) in &ROUND[1..] {
        let shadow = (at[0] - center[0] - 0.5).hypot(at[1] - center[1] - 0.45);
        if shadow < radius * 1.5 {
            color = mix(color, [60.0, 62.0, 64.0], 0.32);
        }
    }
    for (center, radius) in &ROUND[1..] {
        let d = from(*center);
        if d > 1.5 * radius {
            continue;
        }
        let angle = (at[1] - center[1]).atan2(at[0] - center[0]);
        // Crowns are wider than the trunks' planters and uneven.
        let crown =
            radius * (1.22 + 0.08 * (angle * 7.0).sin() + 0.06 * (angle * 13.0 + center[0]).cos());
        if d < crown {
            let leaf =
                34.0 * (noise((at[0] * 9.0).floor() as i64, (at[1] * 9.0).floor() as i64) - 0.5);
            let light = 16.0 * (center[0] - at[0] + center[1] - at[1]) / crown;
            color = [92.0, 124.0, 78.0].map(|v| v + leaf + light);
        }
    }
    color
}

fn crossing(at: Point) -> [f64; 3] {
    let [x, y] = at;
    if !(ROAD[0]..ROAD[1]).contains(&y) {
        let kerb = (y - ROAD[0]).abs().min((y - ROAD[1]).abs());
        let base = paving(at, 0.6, [172.0, 170.0, 166.0]);
        // Ribbed slabs where the zebra begins.
        if kerb < 0.9 && (ZEBRA[0]..ZEBRA[1]).contains(&x) {
            let rib = if (x * 8.0).fract() < 0.5 { 12.0 } else { -8.0 };
            return [214.0, 190.0, 110.0].map(|v| v + rib);
        }
        return if kerb < 0.18 {
            [206.0, 205.0, 202.0]
        } else {
            base
        };
    }
    let rough = 12.0 * (noise((x * 24.0).floor() as i64, (y * 24.0).floor() as i64) - 0.5);
    let asphalt = [82.0, 84.0, 88.0].map(|v| v + rough);
    let paint = [232.0, 232.0, 226.0].map(|v| v + rough);
    if (ZEBRA[0]..ZEBRA[1]).contains(&x) {
        let stripe = (x - ZEBRA[0]).rem_euclid(1.0);
        return if stripe < 0.52 { paint } else { asphalt };
    }
    let gap = (ZEBRA[0] - x).max(x - ZEBRA[1]);
    let middle = 0.5 * (ROAD[0] + ROAD[1]);
    // Stop lines on the side that traffic comes from, and dashes in the middle.
    let stops = (0.8..1.15).contains(&gap) && ((x < ZEBRA[0]) == (y > middle));
    let dashes = (y - middle).abs() < 0.08 && gap > 1.6 && x.rem_euclid(2.0) < 1.1;
    if stops || dashes { paint } else { asphalt }
}
