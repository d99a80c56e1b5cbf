//! The theory of batch normalisation in four tables, each beside its measurement.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::job::Out;
use crate::lab::plot::{Axes, Series, plot};
use crate::lab::table::Table;
use crate::lab::theory::dynamics::{CASES, START};
use crate::lab::theory::{Unit, generalisation, rates, zeta};

/// Flags of the experiment.
#[derive(Clone, Debug, clap::Args)]
pub struct Theory {
    /// Random values for each cell of the table of ζ
    #[arg(long, default_value_t = 2_000_000)]
    pub samples: usize,

    /// Inputs of the unit that learns
    #[arg(long, default_value_t = 1000)]
    pub inputs: usize,

    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// Folder for tables and plots
    #[arg(short, long, default_value = "runs/lab", value_name = "DIR")]
    pub output: PathBuf,
}

/// Noise of the teacher in the curves of generalisation.
pub const NOISE: f64 = 0.25;
/// Decays of those curves.
pub const DECAYS: [f64; 4] = [0.0, 1.0 / 64.0, 0.125, 0.25];
const ALPHAS: [f64; 8] = [0.5, 0.9, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0];
const INPUTS_SOLVED: usize = 100;
const RUNS_SOLVED: usize = 30;

/// Computes all four and returns the tables.
///
/// # Errors
/// Wrong flags, cancel, a folder that cannot be written.
pub fn run<T>(config: &Theory, out: &Out<T>) -> Result<Vec<Table>> {
    ensure!(
        (1000..=1_000_000_000).contains(&config.samples),
        "--samples goes from 1000 to 1000000000"
    );
    ensure!(
        (10..=100_000).contains(&config.inputs),
        "--inputs goes from 10 to 100000"
    );
    std::fs::create_dir_all(&config.output)
        .with_context(|| format!("Failed to create the folder {}", config.output.display()))?;
    let tables = vec![
        zeta_table(config, &out.part(0.0, 0.4))?,
        dynamics_table(config, &out.part(0.4, 0.7))?,
        rates_table(config, &out.part(0.7, 0.8))?,
        generalisation_table(config, &out.part(0.8, 1.0))?,
    ];
    out.progress(1.0, "Done")?;
    Ok(tables)
}

fn finish(table: Table, folder: &Path, name: &str) -> Result<Table> {
    table.write_csv(&folder.join(format!("{name}.csv")))?;
    Ok(table)
}

fn axes<'a>(title: &'a str, x: &'a str, y: &'a str, is_log: bool) -> Axes<'a> {
    Axes {
        title,
        x,
        y,
        is_log,
        y_max: None,
    }
}

fn zeta_table<T>(config: &Theory, out: &Out<T>) -> Result<Table> {
    let (table, rows) = zeta::table(config.samples, config.seed, out)?;
    let mut series = Vec::new();
    for d in crate::lab::random::Distribution::ALL {
        let of = rows.iter().filter(|row| row.distribution == d);
        let line = of.clone().map(|r| (r.batch as f64, r.theory)).collect();
        series.push(Series::line(d.name(), line));
        series.push(Series::dots(
            d.name(),
            of.map(|r| (r.batch as f64, r.measured)).collect(),
        ));
    }
    let axes = axes("Gamma decay of a batch (line: theory)", "batch", "ζ", true);
    plot(&config.output.join("theory-zeta.png"), axes, &series)?;
    finish(table, &config.output, "theory-zeta")
}

fn dynamics_table<T>(config: &Theory, out: &Out<T>) -> Result<Table> {
    const TIME: f64 = 8.0;
    let title = format!(
        "Learning from a teacher, to t = 8: equations of motion / descent with N = {}",
        config.inputs
    );
    let mut table = Table::new(&title, ["unit", "η", "ζ", "γ", "R", "L"]);
    let mut series = Vec::new();
    for (i, learner) in CASES.into_iter().enumerate() {
        let at = i as f32 / CASES.len() as f32;
        out.progress(at, "Learning from a teacher")?;
        let line = learner.integrate(START, TIME, 80);
        let dots = learner.descend(START, TIME, 16, config.inputs, config.seed, |_| {
            out.progress(at, "Learning from a teacher").is_ok()
        });
        let (Some(a), Some(b)) = (line.last(), dots.last()) else {
            continue;
        };
        let pair = |a: f64, b: f64| format!("{a:.4} / {b:.4}");
        table.push([
            learner.unit.name().to_string(),
            learner.eta.to_string(),
            learner.zeta.to_string(),
            pair(a.gamma, b.gamma),
            pair(a.r, b.r),
            pair(a.l, b.l),
        ]);
        let name = format!(
            "{} η {} ζ {}",
            learner.unit.name(),
            learner.eta,
            learner.zeta
        );
        let time = |i: usize, n: usize| TIME * i as f64 / n as f64;
        let points = line.iter().enumerate().map(|(i, s)| (time(i, 80), s.r));
        series.push(Series::line(name.clone(), points.collect()));
        let points = dots.iter().enumerate().map(|(i, s)| (time(i, 16), s.r));
        series.push(Series::dots(name, points.collect()));
    }
    let axes = axes(
        "Cosine to the teacher (dots: descent)",
        "t = steps / N",
        "R",
        false,
    );
    plot(&config.output.join("theory-dynamics.png"), axes, &series)?;
    finish(table, &config.output, "theory-dynamics")
}

fn rates_table<T>(config: &Theory, out: &Out<T>) -> Result<Table> {
    let mut table = Table::new(
        "Largest stable effective learning rate, and the cosine descent reaches at 0.7 and 1.4 of it (from 0.9)",
        [
            "unit",
            "ζ",
            "theory",
            "from the equations",
            "R at 0.7",
            "R at 1.4",
        ],
    );
    let mut series = Vec::new();
    let n = config.inputs.min(400);
    for unit in [Unit::Identity, Unit::Relu] {
        let (mut line, mut dots) = (Vec::new(), Vec::new());
        for zeta in [0.0, 0.01, 0.05, 0.1, 0.25] {
            out.progress(0.0, "Learning rates")?;
            let (theory, found) = (rates::theory(unit, zeta), rates::measure(unit, zeta));
            let reached =
                |factor: f64| rates::reached(unit, zeta, factor * theory, 10.0, n, config.seed);
            table.push([
                unit.name().to_string(),
                zeta.to_string(),
                format!("{theory:.3}"),
                format!("{found:.3}"),
                format!("{:.3}", reached(0.7)),
                format!("{:.3}", reached(1.4)),
            ]);
            line.push((zeta, theory));
            dots.push((zeta, found));
        }
        series.push(Series::line(unit.name(), line));
        series.push(Series::dots(unit.name(), dots));
    }
    let axes = axes(
        "Largest stable effective learning rate",
        "ζ",
        "ηγ₀ / L²",
        false,
    );
    plot(&config.output.join("theory-rates.png"), axes, &series)?;
    finish(table, &config.output, "theory-rates")
}

fn generalisation_table<T>(config: &Theory, out: &Out<T>) -> Result<Table> {
    let mut columns = vec!["α".to_string()];
    columns.extend(DECAYS.iter().map(|z| format!("ζ = {z}")));
    columns.push("best λ".to_string());
    columns.push("risk at it".to_string());
    let mut table = Table::new(
        "Excess risk at P = αN samples: theory / solved with N = 100",
        columns,
    );
    let mut dots: Vec<Vec<(f64, f64)>> = vec![Vec::new(); DECAYS.len()];
    for (i, alpha) in ALPHAS.into_iter().enumerate() {
        let mut row = vec![alpha.to_string()];
        for (zeta, dots) in DECAYS.into_iter().zip(&mut dots) {
            out.progress(i as f32 / ALPHAS.len() as f32, "Generalisation")?;
            let samples = (alpha * INPUTS_SOLVED as f64).round() as usize;
            let theory = generalisation::theory(alpha, 2.0 * zeta, NOISE);
            let solved = generalisation::measure(
                INPUTS_SOLVED,
                samples,
                2.0 * zeta,
                NOISE,
                RUNS_SOLVED,
                config.seed,
            );
            row.push(format!("{theory:.3} / {solved:.3}"));
            dots.push((alpha, solved));
        }
        let best = generalisation::best_lambda(alpha, NOISE);
        row.push(format!("{best:.3}"));
        row.push(format!("{:.3}", generalisation::theory(alpha, best, NOISE)));
        table.push(row);
    }
    let grid: Vec<f64> = (0..=160).map(|i| 0.3 + 0.048 * f64::from(i)).collect();
    let mut series = Vec::new();
    for (zeta, dots) in DECAYS.into_iter().zip(dots) {
        let name = format!("ζ = {zeta}");
        let curve = grid
            .iter()
            .map(|&a| (a, generalisation::theory(a, 2.0 * zeta, NOISE)));
        series.push(Series::line(name.clone(), curve.collect()));
        series.push(Series::dots(name, dots));
    }
    let best = |a: f64| generalisation::theory(a, generalisation::best_lambda(a, NOISE), NOISE);
    series.push(Series::line(
        "best decay",
        grid.iter().map(|&a| (a, best(a))).collect(),
    ));
    let axes = Axes {
        y_max: Some(1.5),
        ..axes(
            "Excess risk (dots: solved)",
            "α = samples / inputs",
            "risk",
            false,
        )
    };
    plot(
        &config.output.join("theory-generalisation.png"),
        axes,
        &series,
    )?;
    finish(table, &config.output, "theory-generalisation")
}
