//! Lines, heat maps and densities on the GPU: pixels where they belong, and numbers equal to a CPU twin.

use std::sync::Arc;

use eframe::egui_wgpu::wgpu::naga;
use vitruvian::gpu::{
    self, ColorMap, DensitySample, Gpu, HeatmapLayer, HeatmapTexture, LINE_FIELDS, Layer, Lines,
    LinesLayer, Segment, kernel_density,
};
use vitruvian::raster::{Grid, Rgb};

use crate::shaders::{close, module, pixel, view};

const WHITE: [u8; 4] = [255; 4];

#[test]
fn segments_are_laid_out_as_the_shader_reads_them() {
    let module = module("lines");
    let mut types = module.types.iter();
    let (_, segment) = types
        .find(|(_, ty)| ty.name.as_deref() == Some("Segment"))
        .unwrap();
    let naga::TypeInner::Struct { members, .. } = &segment.inner else {
        panic!("Segment is not a struct")
    };
    for (i, member) in members.iter().enumerate() {
        assert_eq!(member.name.as_deref(), Some(LINE_FIELDS[i].0));
        let Some(naga::Binding::Location { location, .. }) = member.binding else {
            panic!("{member:?} has no location")
        };
        assert_eq!(location as usize, i);
    }
    assert_eq!(members.len(), LINE_FIELDS.len());
    // Fields follow one another without holes.
    let sizes = [8, 8, 4, 4, 4, 4, 4, 4, 4];
    let mut end = 0;
    for ((name, offset), size) in LINE_FIELDS.into_iter().zip(sizes) {
        assert_eq!(offset, end, "{name}");
        end += size;
    }
    assert_eq!(end, size_of::<Segment>());
}

fn draw(gpu: &Gpu, segments: &[Segment], scale: f32, change: impl Fn(&mut LinesLayer)) -> Rgb {
    let mut layer = LinesLayer::new(Arc::new(Lines::new(gpu, segments)), 1.0);
    change(&mut layer);
    gpu::draw(
        gpu,
        view([0.0, 0.0], scale),
        &[Layer::Lines(layer)],
        100,
        60,
    )
    .unwrap()
}

/// How many whole pixels of light a column or the picture holds.
fn light(picture: &Rgb, columns: std::ops::Range<usize>) -> f32 {
    let all = columns.flat_map(|x| (0..picture.height).map(move |y| (x, y)));
    all.map(|(x, y)| f32::from(pixel(picture, x, y)[0]) / 255.0)
        .sum()
}

#[test]
fn a_line_is_as_wide_as_asked_at_every_zoom_and_has_round_ends() {
    let gpu = Gpu::headless().unwrap();
    for (scale, in_image, expected) in [
        (1.0, 0.0, 6.0),
        (0.5, 0.0, 6.0),
        (0.5, 2.0, 10.0),
        (2.0, 2.0, 7.0),
    ] {
        let mut line = Segment::line(
            [20.0 * scale, 30.0 * scale],
            [80.0 * scale, 30.0 * scale],
            WHITE,
            6.0,
        );
        line.width_in_image = in_image;
        let shown = draw(&gpu, &[line], scale, |_| {});
        let width = light(&shown, 50..51);
        assert!((width - expected).abs() < 0.1, "{width} for {expected}");
        // Half a disc on either side: together a disc.
        let area = light(&shown, 0..100) - 60.0 * expected;
        let disc = std::f32::consts::PI * expected * expected / 4.0;
        assert!((area - disc).abs() < 0.06 * disc, "{area} for {disc}");
    }
    let dot = draw(
        &gpu,
        &[Segment::dot([30.0, 20.0], WHITE, 21.0)],
        1.0,
        |_| {},
    );
    let area = light(&dot, 0..100);
    assert!((area - 346.4).abs() < 4.0, "{area}");
    assert_eq!(pixel(&dot, 30, 20), [255; 3]);
    assert_eq!(pixel(&dot, 45, 20), [0; 3]);
}

#[test]
fn colours_fade_along_a_line_and_joints_are_not_drawn_twice() {
    let gpu = Gpu::headless().unwrap();
    let points = [[10.0, 30.0], [50.0, 30.0], [90.0, 30.0]];
    let fading = |share: f32| [255, 255, 255, (255.0 * (1.0 - share)) as u8];
    let segments: Vec<_> = Segment::polyline(&points, 8.0, fading).collect();
    let shown = draw(&gpu, &segments, 1.0, |_| {});
    for (x, expected) in [(20, 223), (50, 127), (80, 31)] {
        assert!(close(pixel(&shown, x, 30), [expected; 3], 4), "{x}");
    }

    let half: Vec<_> = Segment::polyline(&points, 8.0, |_| [255, 255, 255, 128]).collect();
    let shown = draw(&gpu, &half, 1.0, |_| {});
    for x in 12..88 {
        assert!(
            close(pixel(&shown, x, 30), [128; 3], 3),
            "{x}: {:?}",
            pixel(&shown, x, 30)
        );
    }
    let faint = draw(&gpu, &half, 1.0, |layer| layer.opacity = 0.5);
    assert!(close(pixel(&faint, 30, 30), [64; 3], 2));
}

#[test]
fn dashes_keep_their_length_on_the_screen() {
    let gpu = Gpu::headless().unwrap();
    for scale in [1.0, 0.25] {
        let line = Segment::line(
            [0.0, 30.0 * scale],
            [100.0 * scale, 30.0 * scale],
            WHITE,
            2.0,
        );
        let shown = draw(&gpu, &[line.dashed(20.0)], scale, |_| {});
        let row: Vec<u8> = (0..100).map(|x| pixel(&shown, x, 30)[0]).collect();
        for period in 0..5 {
            assert_eq!(row[20 * period + 10], 255, "a dash in its period's middle");
            assert_eq!(row[20 * period], 0, "a gap at its ends");
        }
        let share = row.iter().map(|v| f32::from(*v)).sum::<f32>() / 25_500.0;
        assert!((share - 0.5).abs() < 0.06, "{share} of the line is drawn");
    }
}

#[test]
fn borders_lie_under_every_line() {
    let gpu = Gpu::headless().unwrap();
    let cross = [
        Segment::line([50.0, 5.0], [50.0, 55.0], WHITE, 6.0),
        Segment::line([5.0, 30.0], [95.0, 30.0], WHITE, 6.0),
    ];
    let shown = draw(&gpu, &cross, 1.0, |layer| {
        (layer.border_color, layer.border_px) = ([1.0, 0.0, 0.0, 1.0], 3.0);
    });
    assert_eq!(pixel(&shown, 50, 30), [255; 3]);
    assert_eq!(
        pixel(&shown, 50, 34),
        [255; 3],
        "the first line goes on through the second's border"
    );
    assert!(close(pixel(&shown, 20, 34), [255, 0, 0], 2));
    assert_eq!(pixel(&shown, 20, 40), [0; 3]);
    assert_eq!(draw(&gpu, &[], 1.0, |_| {}), Rgb::new(100, 60, [0; 3]));
}

const IDENTITY: [[f32; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

fn heatmap(gpu: &Gpu, values: &Grid<f32>) -> HeatmapLayer {
    HeatmapLayer {
        texture: Arc::new(HeatmapTexture::new(gpu, values).unwrap()),
        grid_from_image: IDENTITY,
        color_map: ColorMap::Viridis,
        range: [0.0, 1.0],
        opacity: 1.0,
        fade_in: 0.0,
        levels: Vec::new(),
        contour_px: 1.5,
    }
}

fn ramp(width: usize, height: usize) -> Grid<f32> {
    let at = |i: usize| ((i % width) as f32 + 0.5) / width as f32;
    Grid::from_vec(width, height, (0..width * height).map(at).collect()).unwrap()
}

#[test]
fn values_become_colours_of_the_map_and_contours_lie_on_their_value() {
    let gpu = Gpu::headless().unwrap();
    let mut layer = heatmap(&gpu, &ramp(100, 20));
    layer.levels = vec![0.25, 0.625];
    for map in ColorMap::ALL {
        layer.color_map = map;
        let stack = [Layer::Heatmap(Box::new(layer.clone()))];
        let shown = gpu::draw(&gpu, view([0.0, 0.0], 1.0), &stack, 110, 20).unwrap();
        for x in [0, 10, 40, 50, 80, 99] {
            let expected = map
                .color((x as f32 + 0.5) / 100.0)
                .map(|c| (c * 255.0) as u8);
            assert!(close(pixel(&shown, x, 9), expected, 2), "{map:?} at {x}");
        }
        let brightness = |x: usize| {
            pixel(&shown, x, 9)
                .iter()
                .map(|c| u32::from(*c))
                .sum::<u32>()
        };
        for line in [25, 62] {
            assert!(
                brightness(line) > brightness(line - 4) + 90,
                "{map:?}, {line}"
            );
            assert!(
                brightness(line) > brightness(line + 4) + 90,
                "{map:?}, {line}"
            );
        }
        assert_eq!(pixel(&shown, 105, 9), [0; 3], "nothing beside the grid");
    }
}

#[test]
fn low_values_let_the_photo_through_and_the_grid_may_lie_at_a_slant() {
    let gpu = Gpu::headless().unwrap();
    let mut layer = heatmap(&gpu, &ramp(100, 100));
    (layer.fade_in, layer.color_map) = (0.5, ColorMap::Inferno);
    let draw = |layer: &HeatmapLayer| {
        let stack = [Layer::Heatmap(Box::new(layer.clone()))];
        gpu::draw(&gpu, view([0.0, 0.0], 1.0), &stack, 100, 100).unwrap()
    };
    let shown = draw(&layer);
    let full = ColorMap::Inferno.color(0.255);
    let expected = full.map(|c| (c * 255.0 * 0.5) as u8);
    assert!(
        close(pixel(&shown, 25, 50), expected, 4),
        "half faded in at a quarter of the range"
    );

    // Perspective: what is at the top of the picture is farther away.
    layer.fade_in = 0.0;
    layer.grid_from_image = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.01, 1.0]];
    let shown = draw(&layer);
    for (x, y) in [(80, 10), (80, 60), (40, 90)] {
        let cell = (x as f32 + 0.5) / (1.0 + 0.01 * (y as f32 + 0.5));
        let expected = ColorMap::Inferno.color(cell / 100.0);
        let expected = expected.map(|c| (c * 255.0).round() as u8);
        assert!(close(pixel(&shown, x, y), expected, 3), "({x}, {y})");
    }
}

/// Points of three clusters and some scattered ones, always the same.
fn samples(count: usize, [width, height]: [usize; 2]) -> Vec<DensitySample> {
    let mut state = 12_345_u64;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    (0..count)
        .map(|i| {
            let (cx, cy, spread) = [
                (0.3, 0.4, 0.08),
                (0.7, 0.5, 0.03),
                (0.5, 0.8, 0.15),
                (0.5, 0.5, 1.3),
            ][i % 4];
            let mut around = |center: f32| center + spread * (next() + next() - 1.0);
            DensitySample {
                x: around(cx) * width as f32,
                y: around(cy) * height as f32,
                weight: 0.25 + (i % 3) as f32,
            }
        })
        .collect()
}

/// The sum of Gaussians itself, at the centre of each cell.
fn exact(samples: &[DensitySample], bandwidth: f32, [width, height]: [usize; 2]) -> Grid<f32> {
    let total: f64 = samples.iter().map(|s| f64::from(s.weight)).sum();
    let scale = 1.0 / (total * std::f64::consts::TAU * f64::from(bandwidth).powi(2));
    let at = |i: usize| {
        let (x, y) = ((i % width) as f32 + 0.5, (i / width) as f32 + 0.5);
        let kernel = |s: &DensitySample| {
            let d2 = ((s.x - x).powi(2) + (s.y - y).powi(2)) / bandwidth.powi(2);
            f64::from(s.weight) * f64::from(-0.5 * d2).exp()
        };
        (scale * samples.iter().map(kernel).sum::<f64>()) as f32
    };
    Grid::from_vec(width, height, (0..width * height).map(at).collect()).unwrap()
}

#[test]
fn the_density_on_the_gpu_is_the_sum_of_gaussians() {
    let gpu = Gpu::headless().unwrap();
    let size = [96, 64];
    for (count, bandwidth) in [(1, 4.0), (40, 5.0), (300, 4.0), (300, 9.5)] {
        let samples = samples(count, size);
        let density = kernel_density(&gpu, &samples, bandwidth, size).unwrap();
        let exact = exact(&samples, bandwidth, size);
        let peak = exact.data.iter().copied().fold(0.0, f32::max);
        let worst = std::iter::zip(&density.data, &exact.data)
            .map(|(a, b)| (a - b).abs() / peak)
            .fold(0.0, f32::max);
        assert!(worst < 1e-3, "{count} samples, {bandwidth} cells: {worst}");
    }
    // Everything is inside: the density adds up to 1, however many samples lie in one cell.
    let heap = vec![
        DensitySample {
            x: 48.2,
            y: 32.9,
            weight: 1e3
        };
        20_000
    ];
    let density = kernel_density(&gpu, &heap, 4.0, size).unwrap();
    let sum: f32 = density.data.iter().sum();
    assert!((sum - 1.0).abs() < 1e-3, "{sum}");
}

#[test]
fn densities_out_of_range_are_refused_with_words() {
    let gpu = Gpu::headless().unwrap();
    let one = [DensitySample {
        x: 5.0,
        y: 5.0,
        weight: 1.0,
    }];
    let told = |samples: &[DensitySample], bandwidth, size| {
        kernel_density(&gpu, samples, bandwidth, size)
            .unwrap_err()
            .to_string()
    };
    assert!(told(&one, 0.2, [9, 9]).contains("bandwidth of 0.2 cells"));
    assert!(told(&one, 500.0, [9, 9]).contains("choose another grid"));
    assert!(told(&one, f32::NAN, [9, 9]).contains("NaN"));
    assert!(told(&one, 3.0, [1 << 20, 1 << 20]).contains("at most"));
    let bad = [DensitySample {
        x: f32::NAN,
        ..one[0]
    }];
    assert!(told(&bad, 3.0, [9, 9]).contains("not a number"));
    let none = kernel_density(&gpu, &[], 3.0, [9, 9]).unwrap();
    assert_eq!(none.data, [0.0; 81]);
}

/// Prints what 100,000 samples on a grid of 1024² cost.
/// `cargo test --release --test main density_times -- --ignored --nocapture`
#[test]
#[ignore = "a measurement, not a test"]
fn density_times() {
    let gpu = Gpu::headless().unwrap();
    let size = [1024, 1024];
    let samples = samples(100_000, size);
    for bandwidth in [4.0, 8.0, 16.0] {
        kernel_density(&gpu, &samples, bandwidth, size).unwrap();
        let mut times: Vec<f64> = (0..5)
            .map(|_| {
                let start = std::time::Instant::now();
                kernel_density(&gpu, &samples, bandwidth, size).unwrap();
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!("bandwidth {bandwidth} cells: median {:.1} ms", times[2]);
    }
}
