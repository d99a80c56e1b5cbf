//! The figure of the paper: scenes side by side, above what walkers did and may do, below where they may arrive.
//!
//! Above: the past in white, twenty futures in a colour of each walker's own, what came then in green. Below: kernel
//! density of the destinations, predicted ones as black points, the true one red. Plain pixels, drawn on the CPU. Left
//! out: axes and words, which a caption says better.

use anyhow::{Result, ensure};

use super::kde::{Bounds, density, scott_bandwidth};
use super::moments::Moment;
use super::scene::Scene;
use super::{Futures, OBS_LEN, PRED_LEN, Point};
use crate::raster::{Grid, Rgb, resize_rgb};

/// White between pictures.
const GAP_PX: usize = 8;
/// Pixels for which no picture is known.
const BLANK: [u8; 3] = [64, 66, 70];
const PAST: [u8; 3] = [255, 255, 255];
const TRUTH: [u8; 3] = [40, 210, 70];
const TRUE_END: [u8; 3] = [230, 20, 20];
/// The narrowest kernel: narrower ones would show the samples, not a density.
const MIN_BANDWIDTH_PX: f64 = 4.0;
/// From no density (left as it is) to the highest; dark blue, green, yellow, red.
const HEAT: [[f64; 3]; 5] = [
    [20.0, 20.0, 120.0],
    [0.0, 120.0, 220.0],
    [40.0, 200.0, 90.0],
    [250.0, 220.0, 40.0],
    [220.0, 30.0, 20.0],
];

/// One scene of the figure: everyone of a moment with their futures.
pub struct Column {
    pub scene: Scene,
    pub moment: Moment,
    /// One for each walker of the moment.
    pub futures: Vec<Futures>,
}

/// Draws all columns, each `width` pixels wide.
///
/// # Errors
/// No column, or a picture that cannot be shrunk.
pub fn draw(columns: &[Column], width: usize) -> Result<Rgb> {
    ensure!(!columns.is_empty(), "There is no scene to draw");
    let mut pairs = Vec::new();
    for column in columns {
        let view = View::of(column, width)?;
        pairs.push((view.trajectories(), view.destinations()));
    }
    let height = pairs.iter().map(|p| p.0.height).max().unwrap_or(0);
    let mut figure = Rgb::new(
        columns.len() * (width + GAP_PX) + GAP_PX,
        2 * (height + GAP_PX) + GAP_PX,
        [255; 3],
    );
    for (i, (above, below)) in pairs.iter().enumerate() {
        let x = GAP_PX + i * (width + GAP_PX);
        figure.paste(above, x, GAP_PX);
        figure.paste(below, x, height + 2 * GAP_PX);
    }
    Ok(figure)
}

/// A column and its picture, shrunk.
struct View<'a> {
    column: &'a Column,
    picture: Rgb,
    /// Pixel of `picture` = (pixel of the scene − shift) · scale.
    scale: f64,
    shift: Point,
}

impl<'a> View<'a> {
    fn of(column: &'a Column, width: usize) -> Result<Self> {
        if let Some(picture) = &column.scene.picture {
            let scale = width as f64 / picture.width.max(1) as f64;
            let height = ((picture.height as f64 * scale).round() as usize).clamp(1, 4 * width);
            return Ok(Self {
                column,
                picture: resize_rgb(picture, width, height),
                scale,
                shift: [0.0; 2],
            });
        }
        // Without a picture: what was walked, with a margin.
        let walkers = &column.moment.walkers;
        let points = walkers.iter().flat_map(|w| {
            w.past
                .iter()
                .chain(w.future.iter().flatten())
                .map(|&p| column.scene.to_pixel(p))
        });
        let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
        for p in points {
            low = [low[0].min(p[0]), low[1].min(p[1])];
            high = [high[0].max(p[0]), high[1].max(p[1])];
        }
        let size = (high[0] - low[0]).max(high[1] - low[1]).max(1e-3) * 1.3;
        ensure!(size.is_finite(), "There is nobody to draw");
        let middle = [0, 1].map(|a| 0.5 * (low[a] + high[a]));
        Ok(Self {
            column,
            picture: Rgb::new(width, width, BLANK),
            scale: width as f64 / size,
            shift: middle.map(|m| m - 0.5 * size),
        })
    }

    fn pixel(&self, world: Point) -> Point {
        let p = self.column.scene.to_pixel(world);
        [0, 1].map(|a| (p[a] - self.shift[a]) * self.scale)
    }

    fn trajectories(&self) -> Rgb {
        let mut picture = self.picture.clone();
        let walkers = self.column.moment.walkers.iter();
        for (i, (walker, futures)) in walkers.zip(&self.column.futures).enumerate() {
            let here = walker.past[OBS_LEN - 1];
            let colour = colour_of(i);
            for (future, weight) in futures.samples.iter().zip(&futures.weights) {
                let strength = (0.35 + 2.0 * f64::from(*weight)).min(0.9);
                self.path(
                    &mut picture,
                    std::iter::once(here).chain(*future),
                    colour,
                    1.2,
                    strength,
                );
            }
            self.path(&mut picture, walker.past.into_iter(), PAST, 2.5, 0.95);
            if let Some(truth) = walker.future {
                self.path(
                    &mut picture,
                    std::iter::once(here).chain(truth),
                    TRUTH,
                    2.5,
                    0.95,
                );
            }
            dot(&mut picture, self.pixel(here), 3.5, PAST);
        }
        picture
    }

    fn destinations(&self) -> Rgb {
        let mut picture = self.picture.clone();
        let size = (picture.width, picture.height);
        let mut heat = Grid::new(size.0, size.1, 0f32);
        for futures in &self.column.futures {
            let ends: Vec<(Point, f32)> = futures
                .destinations()
                .map(|(p, w)| (self.pixel(p), w))
                .collect();
            let bandwidth = (0.6 * scott_bandwidth(&ends)).max(MIN_BANDWIDTH_PX);
            let one = density(&ends, Bounds::of_pixels(size.0, size.1), size, bandwidth);
            // Each walker's map up to its own height, else one who stands would outshine all others.
            let peak = one.data.iter().copied().fold(1e-12, f32::max);
            for (cell, value) in heat.data.iter_mut().zip(&one.data) {
                *cell = cell.max(value / peak);
            }
        }
        for (pixel, &value) in picture.data.chunks_exact_mut(3).zip(&heat.data) {
            let value = f64::from(value);
            let colour = heat_colour(value);
            let strength = 0.8 * (3.0 * value).min(1.0);
            for (p, c) in pixel.iter_mut().zip(colour) {
                *p = (f64::from(*p) * (1.0 - strength) + c * strength) as u8;
            }
        }
        let walkers = self.column.moment.walkers.iter();
        for (walker, futures) in walkers.zip(&self.column.futures) {
            self.path(&mut picture, walker.past.into_iter(), PAST, 2.0, 0.9);
            for (end, _) in futures.destinations() {
                dot(&mut picture, self.pixel(end), 1.8, [0; 3]);
            }
        }
        for truth in self.column.moment.walkers.iter().filter_map(|w| w.future) {
            dot(&mut picture, self.pixel(truth[PRED_LEN - 1]), 4.0, TRUE_END);
        }
        picture
    }

    fn path(
        &self,
        picture: &mut Rgb,
        points: impl Iterator<Item = Point>,
        colour: [u8; 3],
        width_px: f64,
        strength: f64,
    ) {
        let mut before: Option<Point> = None;
        for point in points.map(|p| self.pixel(p)) {
            if let Some(before) = before {
                segment(picture, before, point, width_px, colour, strength);
            }
            before = Some(point);
        }
    }
}

/// Colours that differ from one walker to the next, none like past, truth or destinations.
fn colour_of(walker: usize) -> [u8; 3] {
    const COLOURS: [[u8; 3]; 6] = [
        [255, 150, 30],
        [70, 170, 255],
        [240, 90, 200],
        [250, 225, 60],
        [150, 120, 255],
        [60, 225, 215],
    ];
    COLOURS[walker % COLOURS.len()]
}

fn heat_colour(value: f64) -> [f64; 3] {
    let at = value.clamp(0.0, 1.0) * (HEAT.len() - 1) as f64;
    let low = (at as usize).min(HEAT.len() - 2);
    let part = at - low as f64;
    [0, 1, 2].map(|c| HEAT[low][c] * (1.0 - part) + HEAT[low + 1][c] * part)
}

fn dot(picture: &mut Rgb, at: Point, radius_px: f64, colour: [u8; 3]) {
    segment(picture, at, at, 2.0 * radius_px, colour, 1.0);
}

/// A line with round ends, its edge one pixel soft.
fn segment(
    picture: &mut Rgb,
    from: Point,
    to: Point,
    width_px: f64,
    colour: [u8; 3],
    strength: f64,
) {
    // A point on the horizon is infinitely far away: there is nothing to draw.
    if from.iter().chain(&to).any(|v| v.is_nan() || v.abs() > 1e6) {
        return;
    }
    let reach = 0.5 * width_px + 1.0;
    let range = |a: usize, size: usize| {
        let low = (from[a].min(to[a]) - reach).floor().clamp(0.0, size as f64);
        let high = (from[a].max(to[a]) + reach).ceil().clamp(0.0, size as f64);
        low as usize..high as usize
    };
    let along = [to[0] - from[0], to[1] - from[1]];
    let square = (along[0] * along[0] + along[1] * along[1]).max(1e-12);
    let columns = range(0, picture.width);
    for y in range(1, picture.height) {
        for x in columns.clone() {
            let p = [x as f64 + 0.5 - from[0], y as f64 + 0.5 - from[1]];
            let t = ((p[0] * along[0] + p[1] * along[1]) / square).clamp(0.0, 1.0);
            let off = (p[0] - t * along[0]).hypot(p[1] - t * along[1]);
            let cover = strength * (0.5 * width_px + 0.5 - off).clamp(0.0, 1.0);
            if cover > 0.0
                && let Some(under) = picture.get(x, y)
            {
                let mix = |c: usize| {
                    (f64::from(under[c]) * (1.0 - cover) + f64::from(colour[c]) * cover).round()
                        as u8
                };
                picture.set(x, y, [mix(0), mix(1), mix(2)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::moments::Walker;
    use super::*;

    fn column(picture: Option<Rgb>) -> Column {
        let past = std::array::from_fn(|t| [10.0 + 2.0 * t as f64, 40.0]);
        let future = std::array::from_fn(|t| [26.0 + 2.0 * t as f64, 40.0]);
        let low = future.map(|[x, y]: Point| [x, y + (x - 24.0)]);
        Column {
            scene: Scene {
                picture,
                ..Scene::default()
            },
            moment: Moment {
                frame: 0,
                walkers: vec![Walker {
                    track: 0,
                    past,
                    future: Some(future),
                }],
            },
            futures: vec![Futures {
                samples: vec![future, low],
                weights: vec![0.5, 0.5],
            }],
        }
    }

    #[test]
    fn past_truth_and_destinations_have_their_colours_where_they_are() {
        let figure = draw(&[column(Some(Rgb::new(100, 80, [100; 3])))], 100).unwrap();
        assert_eq!((figure.width, figure.height), (116, 184));
        let above = |x: usize, y: usize| figure.get(GAP_PX + x, GAP_PX + y).unwrap();
        let below = |x: usize, y: usize| figure.get(GAP_PX + x, 80 + 2 * GAP_PX + y).unwrap();
        assert!(above(15, 40).iter().all(|&v| v > 240), "the past is white");
        let truth = above(40, 39);
        assert!(truth[1] > 150 && truth[0] < 120, "{truth:?}");
        assert_eq!(below(48, 40), TRUE_END);
        assert_eq!(below(48, 64), [0; 3], "a predicted destination");
        assert_ne!(below(53, 64), [100; 3], "heat around it");
        assert_eq!(below(90, 10), [100; 3], "nothing elsewhere");
    }

    #[test]
    fn a_scene_without_picture_shows_what_was_walked() {
        let figure = draw(&[column(None), column(None)], 64).unwrap();
        assert_eq!((figure.width, figure.height), (2 * 72 + 8, 2 * 72 + 8));
        let is_white = |p: [u8; 3]| p.iter().all(|&v| v > 240);
        let inside = (0..64).flat_map(|y| (0..64).map(move |x| (x, y)));
        let white = inside.filter(|&(x, y)| is_white(figure.get(x + 8, y + 8).unwrap()));
        assert!(white.count() > 20);
        assert!(draw(&[], 64).is_err());
    }
}
