//! What the network sees: each walker in a frame of their own, their neighbours in that frame, the ground around.
//!
//! A walker's frame has its origin at the last observed point and x along the heading (the last two steps, or the whole
//! past for one who stands), so the network never learns where in the world or in which direction people walked. A
//! walker is encoded once, whoever looks at them; what depends on who looks is relative geometry.

use candle_core::{Device, Tensor};
use rstar::RTree;
use rstar::primitives::GeomWithData;

use super::scene::Scene;
use super::{Future, OBS_LEN, PRED_LEN, Past, Point, distance};

/// Numbers for each observed step of a walker: position and velocity.
pub const STEP_FEATURES: usize = 4;
/// Positions, velocities and accelerations of the whole past.
pub const PAST_FEATURES: usize = 2 * (OBS_LEN + OBS_LEN - 1 + OBS_LEN - 2);
/// Neighbours looked at, the nearest ones.
pub const NEIGHBOURS: usize = 8;
/// Nobody farther away, in metres, is a neighbour.
pub const REACH: f64 = 8.0;
/// Relative positions and velocities, and three numbers about meeting.
pub const PAIR_FEATURES: usize = 2 * (OBS_LEN + OBS_LEN - 1) + 3;
/// Cells of the ground along one side.
const GROUND_SIDE: usize = 10;
/// Cells of the ground around a walker.
pub const GROUND_CELLS: usize = GROUND_SIDE * GROUND_SIDE;
/// Side of a cell in metres: 2 m behind to 10 m ahead, 6 m to both sides.
const GROUND_CELL: f64 = 1.2;
/// Brings velocities (about 0.4 m a step) and accelerations to the size of positions.
const VELOCITY_SCALE: f64 = 2.5;
const ACCELERATION_SCALE: f64 = 5.0;

/// Where a walker stands and looks.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    origin: Point,
    /// Cosine and sine of the heading.
    heading: Point,
}

impl Frame {
    /// The frame of someone with this past.
    pub fn of(past: &Past) -> Self {
        let last = past[OBS_LEN - 1];
        let towards = |from: Point| [last[0] - from[0], last[1] - from[1]];
        let (near, far) = (towards(past[OBS_LEN - 3]), towards(past[0]));
        let d = if near[0].hypot(near[1]) > 0.05 {
            near
        } else {
            far
        };
        let length = d[0].hypot(d[1]);
        let heading = if length > 1e-6 {
            [d[0] / length, d[1] / length]
        } else {
            [1.0, 0.0]
        };
        Self {
            origin: last,
            heading,
        }
    }

    fn turned(&self, d: Point) -> Point {
        let [c, s] = self.heading;
        [c * d[0] + s * d[1], c * d[1] - s * d[0]]
    }

    /// A point of the world in this frame.
    pub fn to_own(&self, p: Point) -> Point {
        self.turned([p[0] - self.origin[0], p[1] - self.origin[1]])
    }

    /// A point of this frame in the world.
    pub fn to_world(&self, p: Point) -> Point {
        let [c, s] = self.heading;
        [
            self.origin[0] + c * p[0] - s * p[1],
            self.origin[1] + s * p[0] + c * p[1],
        ]
    }
}

/// A way to look at the world: mirrored or not, larger or smaller. Used to vary training data, and at prediction to ask
/// the network the same question in several ways.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    pub mirrored: bool,
    pub scale: f64,
}

impl View {
    /// The world as it is.
    pub const PLAIN: Self = Self {
        mirrored: false,
        scale: 1.0,
    };

    /// A point of the world as this view shows it.
    pub fn see(&self, p: Point) -> Point {
        let y = if self.mirrored { -p[1] } else { p[1] };
        [p[0] * self.scale, y * self.scale]
    }

    /// The point of the world that this view shows at `p`.
    pub fn unsee(&self, p: Point) -> Point {
        let y = if self.mirrored { -p[1] } else { p[1] };
        [p[0] / self.scale, y / self.scale]
    }
}

/// Walkers of one place at one time.
pub struct Crowd<'a> {
    /// As the view shows them.
    pub pasts: Vec<Past>,
    /// Whose futures are wanted.
    pub egos: Vec<usize>,
    /// The truth for each ego, as the view shows it; empty when it is not known.
    pub futures: Vec<Future>,
    /// The ground, if it is known and to be looked at.
    pub scene: Option<&'a Scene>,
    pub view: View,
    /// Whether each ego sees the neighbours.
    pub is_social: Vec<bool>,
}

/// Input of the network for the egos of some crowds.
pub struct Batch {
    /// [walkers, OBS_LEN, STEP_FEATURES]
    pub steps: Tensor,
    /// Row in `steps` of each ego, `[egos]`.
    pub egos: Tensor,
    /// [egos, PAST_FEATURES]
    pub past: Tensor,
    /// Rows in `steps`, [egos · NEIGHBOURS]; 0 where there is none.
    pub neighbours: Tensor,
    /// 1 where there is a neighbour, [egos, NEIGHBOURS].
    pub is_near: Tensor,
    /// [egos, NEIGHBOURS, PAIR_FEATURES]
    pub pairs: Tensor,
    /// 1 walkable, −1 not, 0 unknown: [egos, GROUND_CELLS].
    pub ground: Tensor,
    /// 1 where the ground is known, [egos, 1].
    pub is_known: Tensor,
    /// Constant velocity, [egos, 1, PRED_LEN · 2].
    pub drift: Tensor,
    /// [egos, 1, PRED_LEN · 2], when known.
    pub truth: Option<Tensor>,
    /// Of each ego.
    pub frames: Vec<Frame>,
}

#[derive(Default)]
struct Columns {
    steps: Vec<f32>,
    egos: Vec<u32>,
    past: Vec<f32>,
    neighbours: Vec<u32>,
    is_near: Vec<f32>,
    pairs: Vec<f32>,
    ground: Vec<f32>,
    is_known: Vec<f32>,
    drift: Vec<f32>,
    truth: Vec<f32>,
    frames: Vec<Frame>,
}

/// Finds the walkers near each other at the last observed step.
pub struct Neighbourhood {
    tree: RTree<GeomWithData<Point, usize>>,
}

impl Neighbourhood {
    /// An index of all walkers' last positions.
    pub fn new(pasts: &[Past]) -> Self {
        let points = pasts.iter().enumerate();
        let points = points.map(|(i, past)| GeomWithData::new(past[OBS_LEN - 1], i));
        Self {
            tree: RTree::bulk_load(points.collect()),
        }
    }

    /// The nearest others within `reach`, nearest first.
    pub fn of(&self, walker: usize, past: &Past, reach: f64) -> Vec<usize> {
        let here = past[OBS_LEN - 1];
        self.tree
            .nearest_neighbor_iter(&here)
            .take_while(|other| distance(*other.geom(), here) <= reach)
            .map(|other| other.data)
            .filter(|&other| other != walker)
            .take(NEIGHBOURS)
            .collect()
    }
}

impl Batch {
    /// Gathers the input for all egos of `crowds`.
    ///
    /// # Errors
    /// When there is no ego.
    pub fn new(crowds: &[Crowd]) -> candle_core::Result<Self> {
        let mut columns = Columns::default();
        for crowd in crowds {
            let hood = Neighbourhood::new(&crowd.pasts);
            add_crowd(&mut columns, crowd, &hood);
        }
        columns.finish()
    }

    /// The same for one crowd whose neighbourhood is known already.
    ///
    /// # Errors
    /// As [`Batch::new`].
    pub fn of_crowd(crowd: &Crowd, hood: &Neighbourhood) -> candle_core::Result<Self> {
        let mut columns = Columns::default();
        add_crowd(&mut columns, crowd, hood);
        columns.finish()
    }
}

fn add_crowd(columns: &mut Columns, crowd: &Crowd, hood: &Neighbourhood) {
    let mut rows = vec![u32::MAX; crowd.pasts.len()];
    for (nth, &ego) in crowd.egos.iter().enumerate() {
        let past = &crowd.pasts[ego];
        let frame = Frame::of(past);
        let row = columns.row(crowd, &mut rows, ego);
        columns.egos.push(row);
        columns.add_past(past, frame);
        let mut near = Vec::new();
        if crowd.is_social[nth] {
            near = hood.of(ego, past, REACH);
        }
        for &other in &near {
            let row = columns.row(crowd, &mut rows, other);
            columns.neighbours.push(row);
            columns.is_near.push(1.0);
            columns.add_pair(frame, past, &crowd.pasts[other]);
        }
        let missing = NEIGHBOURS - near.len();
        columns.neighbours.extend(std::iter::repeat_n(0, missing));
        columns.is_near.extend(std::iter::repeat_n(0.0, missing));
        let zeros = std::iter::repeat_n(0.0, missing * PAIR_FEATURES);
        columns.pairs.extend(zeros);
        columns.add_ground(crowd, frame);
        if let Some(future) = crowd.futures.get(nth) {
            let own = future.iter().flat_map(|&p| frame.to_own(p));
            columns.truth.extend(own.map(|v| v as f32));
        }
        columns.frames.push(frame);
    }
}

impl Columns {
    /// The row of a walker among the encoded ones, made when first asked for.
    fn row(&mut self, crowd: &Crowd, rows: &mut [u32], walker: usize) -> u32 {
        if rows[walker] == u32::MAX {
            rows[walker] = (self.steps.len() / (OBS_LEN * STEP_FEATURES)) as u32;
            let past = &crowd.pasts[walker];
            let frame = Frame::of(past);
            let own = past.map(|p| frame.to_own(p));
            for t in 0..OBS_LEN {
                let before = own[t.saturating_sub(1)];
                let velocity = [0, 1].map(|a| (own[t][a] - before[a]) * VELOCITY_SCALE);
                self.steps
                    .extend(own[t].into_iter().chain(velocity).map(|v| v as f32));
            }
        }
        rows[walker]
    }

    fn add_past(&mut self, past: &Past, frame: Frame) {
        let own = past.map(|p| frame.to_own(p));
        let velocity = |t: usize, a: usize| own[t + 1][a] - own[t][a];
        for p in own {
            self.past.extend(p.map(|v| v as f32));
        }
        for t in 0..OBS_LEN - 1 {
            self.past
                .extend([0, 1].map(|a| (velocity(t, a) * VELOCITY_SCALE) as f32));
        }
        for t in 0..OBS_LEN - 2 {
            let change = |a| (velocity(t + 1, a) - velocity(t, a)) * ACCELERATION_SCALE;
            self.past.extend([0, 1].map(|a| change(a) as f32));
        }
        // The mean of the last two steps: one alone carries all the noise of the annotation.
        let [vx, vy] = [0, 1].map(|a| 0.5 * (velocity(OBS_LEN - 2, a) + velocity(OBS_LEN - 3, a)));
        for k in 1..=PRED_LEN {
            self.drift
                .extend([(vx * k as f64) as f32, (vy * k as f64) as f32]);
        }
    }

    fn add_pair(&mut self, frame: Frame, past: &Past, other: &Past) {
        let own = other.map(|p| frame.to_own(p));
        for p in own {
            self.pairs.extend(p.map(|v| v as f32));
        }
        for t in 0..OBS_LEN - 1 {
            let velocity = [0, 1].map(|a| ((own[t + 1][a] - own[t][a]) * VELOCITY_SCALE) as f32);
            self.pairs.extend(velocity);
        }
        // If both went on as in the last two steps: how near would they come, and when?
        let mine = past.map(|p| frame.to_own(p));
        let speed = |p: &Past, a: usize| 0.5 * (p[OBS_LEN - 1][a] - p[OBS_LEN - 3][a]);
        let between = [0, 1].map(|a| own[OBS_LEN - 1][a] - mine[OBS_LEN - 1][a]);
        let closing = [0, 1].map(|a| speed(&own, a) - speed(&mine, a));
        let square = closing[0] * closing[0] + closing[1] * closing[1];
        let dot = between[0] * closing[0] + between[1] * closing[1];
        let when = if square > 1e-9 {
            (-dot / square).clamp(0.0, PRED_LEN as f64)
        } else {
            0.0
        };
        let closest = (between[0] + when * closing[0]).hypot(between[1] + when * closing[1]);
        let now = between[0].hypot(between[1]);
        self.pairs.extend([
            (1.0 / (now + 0.3)) as f32,
            (when / PRED_LEN as f64) as f32,
            (-closest).exp() as f32,
        ]);
    }

    fn add_ground(&mut self, crowd: &Crowd, frame: Frame) {
        let scene = crowd.scene.filter(|scene| scene.walkable.is_some());
        self.is_known.push(f32::from(scene.is_some()));
        let Some(scene) = scene else {
            self.ground.extend([0.0; GROUND_CELLS]);
            return;
        };
        for cell in 0..GROUND_CELLS {
            let middle = |i: usize, start: f64| start + (i as f64 + 0.5) * GROUND_CELL;
            let own = [
                middle(cell % GROUND_SIDE, -2.0),
                middle(cell / GROUND_SIDE, -6.0),
            ];
            let at = crowd.view.unsee(frame.to_world(own));
            self.ground.push(match scene.is_walkable(at) {
                Some(true) => 1.0,
                Some(false) => -1.0,
                None => 0.0,
            });
        }
    }

    fn finish(self) -> candle_core::Result<Batch> {
        let n = self.frames.len();
        if n == 0 {
            candle_core::bail!("there is nobody to predict for");
        }
        let device = &Device::Cpu;
        let truth = match self.truth.len() == n * PRED_LEN * 2 {
            true => Some(Tensor::from_vec(self.truth, (n, 1, PRED_LEN * 2), device)?),
            false => None,
        };
        let walkers = self.steps.len() / (OBS_LEN * STEP_FEATURES);
        Ok(Batch {
            steps: Tensor::from_vec(self.steps, (walkers, OBS_LEN, STEP_FEATURES), device)?,
            egos: Tensor::from_vec(self.egos, n, device)?,
            past: Tensor::from_vec(self.past, (n, PAST_FEATURES), device)?,
            neighbours: Tensor::from_vec(self.neighbours, n * NEIGHBOURS, device)?,
            is_near: Tensor::from_vec(self.is_near, (n, NEIGHBOURS), device)?,
            pairs: Tensor::from_vec(self.pairs, (n, NEIGHBOURS, PAIR_FEATURES), device)?,
            ground: Tensor::from_vec(self.ground, (n, GROUND_CELLS), device)?,
            is_known: Tensor::from_vec(self.is_known, (n, 1), device)?,
            drift: Tensor::from_vec(self.drift, (n, 1, PRED_LEN * 2), device)?,
            truth,
            frames: self.frames,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(start: Point, step: Point) -> Past {
        std::array::from_fn(|t| [start[0] + t as f64 * step[0], start[1] + t as f64 * step[1]])
    }

    fn crowd(pasts: Vec<Past>, view: View) -> Crowd<'static> {
        let pasts: Vec<Past> = pasts.iter().map(|p| p.map(|q| view.see(q))).collect();
        Crowd {
            egos: vec![0],
            futures: Vec::new(),
            scene: None,
            view,
            is_social: vec![true],
            pasts,
        }
    }

    #[test]
    fn input_does_not_depend_on_place_and_direction() {
        let here = vec![walk([0.0; 2], [0.4, 0.0]), walk([1.0, 2.0], [0.0, -0.2])];
        let turned: Vec<Past> = here
            .iter()
            .map(|p| p.map(|[x, y]| [100.0 - y, x - 7.0]))
            .collect();
        let (a, b) = (
            Batch::new(&[crowd(here, View::PLAIN)]).unwrap(),
            Batch::new(&[crowd(turned, View::PLAIN)]).unwrap(),
        );
        for (a, b) in [
            (&a.steps, &b.steps),
            (&a.past, &b.past),
            (&a.pairs, &b.pairs),
            (&a.drift, &b.drift),
        ] {
            let worst = (a - b).unwrap().abs().unwrap().max_all().unwrap();
            assert!(worst.to_scalar::<f32>().unwrap() < 1e-5);
        }
        let drift = a.drift.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!((drift[22] - 4.8).abs() < 1e-5 && drift[23].abs() < 1e-6);
    }

    #[test]
    fn frames_and_views_go_there_and_back() {
        let frame = Frame::of(&walk([3.0, 4.0], [0.1, 0.3]));
        let view = View {
            mirrored: true,
            scale: 1.7,
        };
        let p = [2.0, -5.0];
        assert!(distance(frame.to_world(frame.to_own(p)), p) < 1e-12);
        assert!(distance(view.unsee(view.see(p)), p) < 1e-12);
        let ahead = frame.to_own([3.0 + 0.8, 4.0 + 2.4]);
        assert!(ahead[0] > 0.0 && ahead[1].abs() < 1e-12);
    }

    #[test]
    fn only_the_nearest_within_reach_are_neighbours() {
        let mut pasts = vec![walk([0.0; 2], [0.4, 0.0])];
        pasts.extend((1..=12).map(|i| walk([0.0, i as f64 * 0.5], [0.4, 0.0])));
        pasts.push(walk([0.0, 8.5], [0.4, 0.0]));
        let hood = Neighbourhood::new(&pasts);
        let near = hood.of(0, &pasts[0], REACH);
        assert_eq!(near, (1..=8).collect::<Vec<_>>());
        assert_eq!(hood.of(13, &pasts[13], 1.0), Vec::<usize>::new());
    }
}
