//! Plots of experiments as PNG: lines and dots with axes and a legend.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

/// One line, or dots.
#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
    pub is_dots: bool,
}

impl Series {
    /// A line through `points`.
    pub fn line(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.into(),
            points,
            is_dots: false,
        }
    }

    /// Dots at `points`.
    pub fn dots(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.into(),
            points,
            is_dots: true,
        }
    }
}

/// What stands around the lines.
#[derive(Clone, Copy, Debug)]
pub struct Axes<'a> {
    pub title: &'a str,
    pub x: &'a str,
    pub y: &'a str,
    /// Whether x doubles from mark to mark, as batch sizes do.
    pub is_log: bool,
    /// Values above are cut off.
    pub y_max: Option<f64>,
}

const SIZE: (u32, u32) = (960, 600);
const FONT: &[u8] = include_bytes!("../../assets/fonts/Inter-Regular.otf");
/// Colours that people with any colour vision can tell apart (Okabe and Ito 2008).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];

fn drawing<E: std::fmt::Display>(error: E) -> anyhow::Error {
    anyhow!("Failed to draw the plot: {error}")
}

/// Draws `series`; lines and dots of the same name share a colour.
///
/// # Errors
/// If there is no finite point, or the file cannot be written.
pub fn plot(path: &Path, axes: Axes, series: &[Series]) -> Result<()> {
    register_font("sans-serif", FontStyle::Normal, FONT)
        .map_err(|_| anyhow!("The font inside the program is damaged"))?;
    let shown = |&(x, y): &(f64, f64)| {
        (
            if axes.is_log { x.log2() } else { x },
            axes.y_max.map_or(y, |max| y.min(max)),
        )
    };
    let finite = |p: &(f64, f64)| p.0.is_finite() && p.1.is_finite();
    let all: Vec<(f64, f64)> = series
        .iter()
        .flat_map(|s| s.points.iter().map(shown))
        .filter(finite)
        .collect();
    ensure!(!all.is_empty(), "There is nothing to plot");
    let range = |values: &dyn Fn(&(f64, f64)) -> f64| {
        let (low, high) = all
            .iter()
            .map(values)
            .fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)));
        let margin = (0.04 * (high - low)).max(1e-9);
        (low - margin)..(high + margin)
    };
    let mut pixels = vec![255u8; (SIZE.0 * SIZE.1 * 3) as usize];
    {
        let root = BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(drawing)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(axes.title, ("sans-serif", 24))
            .margin(16)
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d(range(&|p| p.0), range(&|p| p.1))
            .map_err(drawing)?;
        let label = |x: &f64| match axes.is_log {
            true => format!("{:.0}", x.exp2()),
            false => format!("{}", (x * 1e4).round() / 1e4),
        };
        chart
            .configure_mesh()
            .x_desc(axes.x)
            .y_desc(axes.y)
            .x_label_formatter(&label)
            .label_style(("sans-serif", 16))
            .light_line_style(WHITE)
            .draw()
            .map_err(drawing)?;
        let mut names: Vec<&str> = Vec::new();
        for s in series {
            let index = names.iter().position(|n| *n == s.name);
            let is_new = index.is_none();
            let index = index.unwrap_or(names.len());
            if is_new {
                names.push(&s.name);
            }
            let colour = COLOURS[index % COLOURS.len()];
            let points = s.points.iter().map(shown).filter(finite);
            let drawn = if s.is_dots {
                let dots = points.map(|p| Circle::new(p, 4, colour.filled()));
                chart.draw_series(dots).map_err(drawing)?
            } else {
                let line = LineSeries::new(points, colour.stroke_width(2));
                chart.draw_series(line).map_err(drawing)?
            };
            if is_new {
                drawn.label(s.name.clone()).legend(move |(x, y)| {
                    PathElement::new(vec![(x, y), (x + 20, y)], colour.stroke_width(3))
                });
            }
        }
        if series.len() > 1 {
            chart
                .configure_series_labels()
                .background_style(WHITE.mix(0.8))
                .border_style(RGBColor(200, 200, 200))
                .label_font(("sans-serif", 16))
                .draw()
                .map_err(drawing)?;
        }
        root.present().map_err(drawing)?;
    }
    let picture = image::RgbImage::from_raw(SIZE.0, SIZE.1, pixels)
        .context("The plot has another size than was drawn")?;
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(drawing)?;
    super::table::write(path, bytes.get_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_has_ink_in_the_colours_of_its_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plot.png");
        let axes = Axes {
            title: "Accuracy",
            x: "batch",
            y: "%",
            is_log: true,
            y_max: Some(10.0),
        };
        let lines = [
            Series::line("bn", vec![(2.0, 1.0), (64.0, 9.0)]),
            Series::dots("sn", vec![(2.0, 5.0), (8.0, f64::INFINITY)]),
        ];
        plot(&path, axes, &lines).unwrap();
        let picture = image::open(&path).unwrap().into_rgb8();
        assert_eq!(picture.dimensions(), SIZE);
        for RGBColor(r, g, b) in &COLOURS[..2] {
            let count = picture.pixels().filter(|p| p.0 == [*r, *g, *b]).count();
            assert!(count > 20, "{count}");
        }
        let dark = picture
            .pixels()
            .filter(|p| p.0[0] < 90 && p.0[2] < 90)
            .count();
        assert!(dark > 300, "there is no text: {dark}");
        assert!(plot(&path, axes, &[Series::line("none", vec![])]).is_err());
    }
}
