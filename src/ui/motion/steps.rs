//! What the jobs of the motion tab do: open or make up a recording, predict, estimate the density, save.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;

use super::work::{Id, Opened, Shown};
use crate::gpu::{DensitySample, Gpu, HeatmapTexture, Layer, kernel_density};
use crate::job::Out;
use crate::motion::dscmp::Dscmp;
use crate::motion::export::{self, Exported, ExportedWalker};
use crate::motion::kde::{self, Bounds};
use crate::motion::metrics::{self, Scores, Tally};
use crate::motion::predict::{Care, predict_within};
use crate::motion::scene::Scene;
use crate::motion::{self, Future, Futures, Past, Point};
use crate::ui::dialog::{self, Ask, FileDialog};
use crate::ui::picture::save_stack;
use crate::weights::{Store, WeightsError};
use candle_core::Device;

/// The model of the tab.
pub trait Predictor: Send + Sync {
    /// K futures for each walker, in metres. `is_quick` asks for an answer while the user drags.
    ///
    /// # Errors
    /// Cancelled, or a failure of the network.
    fn predict(
        &self,
        pasts: &[Past],
        scene: Option<&Scene>,
        is_quick: bool,
        out: &Out<Value>,
    ) -> Result<Vec<Futures>>;

    /// What predicts, in a few words.
    fn name(&self) -> String;
}

/// Loads the model; runs in a job.
pub type Load = Box<dyn FnOnce() -> Result<Arc<dyn Predictor>> + Send>;

/// The network that the program ships; without its weights everybody goes on as they walk.
///
/// # Errors
/// When the weights are there but cannot be read.
pub fn load() -> Result<Arc<dyn Predictor>> {
    match Store::find().open("motion", &Device::Cpu) {
        Ok(checkpoint) => Ok(Arc::new(motion::predict::load(&checkpoint)?)),
        Err(WeightsError::Missing { .. }) => Ok(Arc::new(ConstantVelocity)),
        Err(error) => Err(error.into()),
    }
}

impl Predictor for Dscmp {
    fn predict(
        &self,
        pasts: &[Past],
        scene: Option<&Scene>,
        is_quick: bool,
        out: &Out<Value>,
    ) -> Result<Vec<Futures>> {
        let everyone: Vec<usize> = (0..pasts.len()).collect();
        let care = if is_quick { Care::Quick } else { Care::Full };
        predict_within(self, pasts, &everyone, scene, care, out)
    }

    fn name(&self) -> String {
        "DSCMP".to_owned()
    }
}

/// Where there are no weights.
struct ConstantVelocity;

impl Predictor for ConstantVelocity {
    fn predict(
        &self,
        pasts: &[Past],
        _scene: Option<&Scene>,
        _is_quick: bool,
        _out: &Out<Value>,
    ) -> Result<Vec<Futures>> {
        Ok(pasts.iter().map(motion::velocity::going_on).collect())
    }

    fn name(&self) -> String {
        "Constant velocity".to_owned()
    }
}

/// What a path is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Open,
    SavePng,
    SaveCsv,
    SaveJson,
}

/// What comes from the jobs.
pub enum Value {
    Model(Arc<dyn Predictor>),
    Opened(Box<Opened>),
    Notes(Vec<String>),
    Predicted(Arc<Predicted>),
    Density(Arc<Density>),
    Chosen(Purpose, Vec<PathBuf>),
    NoDialog(Purpose, Ask),
    Saved(Purpose, PathBuf),
}

/// What was predicted at a frame.
pub struct Predicted {
    pub frame: i64,
    pub revision: u64,
    /// Asked carefully, not in haste.
    pub is_full: bool,
    pub walkers: Vec<PredictedWalker>,
    /// In metres; of everyone whose future is known.
    pub scores: Option<Scores>,
    pub secs: f32,
}

/// One walker of it, in the unit of the tracks.
pub struct PredictedWalker {
    pub id: Id,
    pub past: Past,
    pub truth: Option<Future>,
    pub futures: Futures,
    /// ADE and FDE of the best future, in metres.
    pub errors: Option<[f64; 2]>,
    /// Share of predicted points where nobody can walk.
    pub off_walkable: Option<f64>,
}

/// What the density was estimated for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DensityKey {
    pub frame: i64,
    pub revision: u64,
    pub is_full: bool,
    pub focus: Option<Id>,
    pub bandwidth: f32,
}

/// A heat map of destinations.
pub struct Density {
    pub key: DensityKey,
    pub texture: Arc<HeatmapTexture>,
    pub grid_from_image: [[f32; 3]; 3],
    /// The highest density, per cell.
    pub peak: f32,
    /// Densities that enclose [`ENCLOSED`] of the probability.
    pub levels: Vec<f32>,
    /// By the graphics device, or by the processor where that cannot.
    pub on_gpu: bool,
}

/// Shares of the probability inside the contours.
pub const ENCLOSED: [f32; 4] = [0.9, 0.7, 0.5, 0.25];

/// Everything that predicting needs.
pub struct PredictInput {
    pub predictor: Arc<dyn Predictor>,
    pub scene: Arc<Scene>,
    pub metres_a_unit: f64,
    pub frame: i64,
    pub revision: u64,
    pub is_full: bool,
    pub shown: Vec<Shown>,
}

/// Predicts everyone at a frame.
pub fn predict(input: &PredictInput, out: &Out<Value>) -> Result<()> {
    let start = Instant::now();
    let scale = input.metres_a_unit;
    let metric = |past: &Past| past.map(|p| p.map(|v| v * scale));
    let pasts: Vec<Past> = input.shown.iter().map(|s| metric(&s.past)).collect();
    // The network's scene is in metres. Where tracks are in pixels it would not fit.
    let scene = Some(&*input.scene).filter(|_| scale == 1.0);
    let futures = input
        .predictor
        .predict(&pasts, scene, !input.is_full, out)?;
    let mut tally = Tally::default();
    let truths: Vec<Option<Future>> = input
        .shown
        .iter()
        .map(|s| s.truth.map(|truth| truth.map(|p| p.map(|v| v * scale))))
        .collect();
    let known: Vec<(&Futures, &Future)> = std::iter::zip(&futures, &truths)
        .filter_map(|(futures, truth)| Some((futures, truth.as_ref()?)))
        .collect();
    tally.add(&known, scene);
    let scores = (!known.is_empty()).then(|| tally.scores());
    let walkers = std::iter::zip(&input.shown, std::iter::zip(futures, truths))
        .map(|(shown, (mut futures, truth))| {
            let errors = truth.map(|truth| {
                let (ade, fde) = metrics::best_of(&futures.samples, &truth);
                [ade, fde]
            });
            let points = futures.samples.iter().flatten();
            let on: Vec<bool> = points.filter_map(|p| scene?.is_walkable(*p)).collect();
            let off = on.iter().filter(|on| !**on).count() as f64 / on.len().max(1) as f64;
            for point in futures.samples.iter_mut().flatten() {
                *point = point.map(|v| v / scale);
            }
            PredictedWalker {
                id: shown.id,
                past: shown.past,
                truth: shown.truth,
                futures,
                errors,
                off_walkable: (!on.is_empty()).then_some(off),
            }
        })
        .collect();
    out.value(Value::Predicted(Arc::new(Predicted {
        frame: input.frame,
        revision: input.revision,
        is_full: input.is_full,
        walkers,
        scores,
        secs: start.elapsed().as_secs_f32(),
    })))?;
    Ok(())
}

/// Estimates where walkers may arrive. The bandwidth is in the unit of the tracks.
pub fn density(
    predicted: &Predicted,
    key: DensityKey,
    scene: &Scene,
    gpu: &Gpu,
    out: &Out<Value>,
) -> Result<()> {
    /// Cells on a bandwidth: fine enough for the kernel, and no finer.
    const CELLS: f64 = 6.0;
    /// The grid reaches so far beyond the outermost destination, in bandwidths.
    const MARGIN: f64 = 4.0;
    const MAX_SIDE: f64 = 1024.0;
    let walkers = predicted.walkers.iter();
    let counted = walkers.filter(|w| key.focus.is_none_or(|focus| focus == w.id));
    let samples: Vec<(Point, f32)> = counted.flat_map(|w| w.futures.destinations()).collect();
    let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
    for (point, _) in &samples {
        for k in 0..2 {
            low[k] = low[k].min(point[k]);
            high[k] = high[k].max(point[k]);
        }
    }
    if samples.is_empty() {
        return Ok(());
    }
    let bandwidth = f64::from(key.bandwidth);
    let (low, high) = (
        low.map(|v| v - MARGIN * bandwidth),
        high.map(|v| v + MARGIN * bandwidth),
    );
    let extent = (high[0] - low[0]).max(high[1] - low[1]);
    let cell = (bandwidth / CELLS).max(extent / MAX_SIDE);
    let size =
        [0, 1].map(|k| (((high[k] - low[k]) / cell).ceil() as usize).clamp(1, MAX_SIDE as usize));
    out.progress(0.1, "Estimating the density")?;
    let (grid, on_gpu) = if gpu.can_compute() && bandwidth / cell >= 1.0 {
        let in_cells = samples.iter().map(|(point, weight)| DensitySample {
            x: ((point[0] - low[0]) / cell) as f32,
            y: ((point[1] - low[1]) / cell) as f32,
            weight: *weight,
        });
        let in_cells: Vec<_> = in_cells.collect();
        (
            kernel_density(gpu, &in_cells, (bandwidth / cell) as f32, size)?,
            true,
        )
    } else {
        let bounds = Bounds {
            min: low,
            max: [0, 1].map(|k| low[k] + size[k] as f64 * cell),
        };
        let mut grid = kde::density(&samples, bounds, (size[0], size[1]), bandwidth);
        let area = (cell * cell) as f32;
        grid.data.iter_mut().for_each(|v| *v *= area);
        (grid, false)
    };
    let peak = grid.data.iter().copied().fold(0.0, f32::max);
    let world_from_image = match &scene.homography {
        Some(homography) => homography.world_from_pixel(),
        None => [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    };
    out.value(Value::Density(Arc::new(Density {
        key,
        texture: Arc::new(HeatmapTexture::new(gpu, &grid)?),
        grid_from_image: cells_from(world_from_image, low, cell),
        peak,
        levels: enclosing_levels(&grid.data),
        on_gpu,
    })))?;
    Ok(())
}

/// The map from pixels to cells: from pixels to the world, then shifted to `low` and scaled.
fn cells_from(world_from_image: [[f64; 3]; 3], low: Point, cell: f64) -> [[f32; 3]; 3] {
    let [x, y, w] = world_from_image;
    let row =
        |row: [f64; 3], low: f64| std::array::from_fn(|i| ((row[i] - low * w[i]) / cell) as f32);
    [row(x, low[0]), row(y, low[1]), w.map(|v| v as f32)]
}

/// For each share of [`ENCLOSED`] the density such that all cells above it hold that much of the probability.
fn enclosing_levels(cells: &[f32]) -> Vec<f32> {
    let mut sorted: Vec<f32> = cells.iter().copied().filter(|v| *v > 0.0).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let total: f64 = sorted.iter().map(|v| f64::from(*v)).sum();
    let level = |share: f32| {
        let mut sum = 0.0;
        let found = sorted.iter().find(|v| {
            sum += f64::from(**v);
            sum >= f64::from(share) * total
        });
        found.copied().unwrap_or(f32::MAX)
    };
    ENCLOSED.into_iter().map(level).collect()
}

/// Asks for paths.
pub fn choose(dialog: &FileDialog, purpose: Purpose, ask: Ask, out: &Out<Value>) -> Result<()> {
    match dialog::answer(dialog, &ask) {
        dialog::Answer::Paths(paths) => out.value(Value::Chosen(purpose, paths))?,
        dialog::Answer::NoDialog => out.value(Value::NoDialog(purpose, ask))?,
        dialog::Answer::Nothing => {}
    }
    Ok(())
}

/// What a moment is written from.
pub fn exported(file: String, predicted: &Predicted, name_of: impl Fn(Id) -> String) -> Exported {
    let walkers = predicted.walkers.iter();
    Exported {
        file,
        frame: predicted.frame,
        walkers: walkers
            .map(|w| ExportedWalker::new(name_of(w.id), w.past, &w.futures, w.truth))
            .collect(),
        scores: predicted.scores.clone(),
    }
}

/// Writes a moment as CSV or JSON.
pub fn save_numbers(
    purpose: Purpose,
    path: PathBuf,
    exported: &Exported,
    out: &Out<Value>,
) -> Result<()> {
    out.progress(0.2, "Saving the predictions")?;
    match purpose {
        Purpose::SaveJson => export::save_json(&path, exported)?,
        _ => export::save_csv(&path, exported)?,
    }
    out.value(Value::Saved(purpose, path))?;
    Ok(())
}

/// Draws the stack and writes it.
pub fn save_png(
    stack: &[Layer],
    size: [usize; 2],
    path: PathBuf,
    gpu: &Gpu,
    out: &Out<Value>,
) -> Result<()> {
    save_stack(stack, size, &path, gpu, out)?;
    out.value(Value::Saved(Purpose::SavePng, path))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion::scene::Homography;

    #[test]
    fn contours_enclose_the_shares_they_are_named_after() {
        let cells: Vec<f32> = (0..1000).map(|i| if i < 500 { 1.5 } else { 0.5 }).collect();
        // The dense half holds 75 % of the probability.
        assert_eq!(enclosing_levels(&cells), [0.5, 1.5, 1.5, 1.5]);
    }

    #[test]
    fn cells_are_found_through_a_slanted_view() {
        let h = [[0.02, 0.001, -3.0], [0.0, 0.03, 1.0], [0.0001, 0.0002, 1.0]];
        let m = cells_from(h, [-2.0, 0.5], 0.1);
        let homography = Homography::new(h).unwrap();
        let pixel = [321.0, 123.0];
        let world = homography.to_world(pixel);
        let row =
            |r: [f32; 3]| f64::from(r[0]) * pixel[0] + f64::from(r[1]) * pixel[1] + f64::from(r[2]);
        for k in 0..2 {
            let cell = row(m[k]) / row(m[2]);
            let expected = (world[k] - [-2.0, 0.5][k]) / 0.1;
            assert!((cell - expected).abs() < 1e-3, "{cell} {expected}");
        }
    }
}
