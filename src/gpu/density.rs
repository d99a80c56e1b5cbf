//! Kernel density estimation in compute shaders (`shaders/density.wgsl`): samples and a bandwidth to a grid.
//!
//! Binned estimation (Wand 1994, "Fast computation of multivariate kernel estimators"): the cost of the samples does
//! not depend on the bandwidth, and a Gaussian is blurred along rows and columns on their own. Samples are spread by a
//! quadratic B-spline, whose variance of 1/4 cell² is taken off the kernel's, so the result stays within a thousandth
//! of the exact sum of Gaussians from a bandwidth of four cells on. Left out: bandwidths that differ by direction.

use anyhow::{Context as _, Result, ensure};
use eframe::egui_wgpu::wgpu;

use super::{Gpu, offscreen};
use crate::raster::{Grid, Rect};

/// Bandwidths are in cells; a wider one asks for a coarser grid.
pub const MAX_BANDWIDTH_CELLS: f32 = 64.0;
/// Below this the grid is too coarse to show the kernel.
const MIN_BANDWIDTH_CELLS: f32 = 1.0;
/// The kernel ends there, in bandwidths: what is cut off is below 1e-4 of its peak.
const REACH: f32 = 4.3;
const MAX_SAMPLES: usize = 1 << 22;
const MAX_CELLS: usize = 1 << 24;

/// A point of the grid, in cells whose centres are at +0.5, and how much it counts. Twin of `DensitySample` in
/// `shaders/density.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct DensitySample {
    pub x: f32,
    pub y: f32,
    /// Not negative.
    pub weight: f32,
}

/// Twin of `Density` in `shaders/density.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct DensityUniform {
    width: u32,
    height: u32,
    sample_count: u32,
    radius: u32,
    fixed_point: f32,
    scale: f32,
}

/// The pipelines, made when first used.
pub(super) struct Estimator {
    spread: wgpu::ComputePipeline,
    blur_rows: wgpu::ComputePipeline,
    blur_columns: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

impl Estimator {
    fn new(device: &wgpu::Device) -> Self {
        let source = super::SHADERS.iter().find(|(name, _)| *name == "density");
        let source = source.map_or("", |(_, source)| source);
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("density"),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let uniform = wgpu::BufferBindingType::Uniform;
        let storage = |read_only| wgpu::BufferBindingType::Storage { read_only };
        let kinds = [
            uniform,
            storage(true),
            storage(false),
            storage(true),
            storage(false),
        ];
        let entries: Vec<_> = (0..)
            .zip(kinds)
            .map(|(binding, ty)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty,
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("density"),
            entries: &entries,
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("density"),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = |entry_point| {
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(entry_point),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some(entry_point),
                compilation_options: Default::default(),
                cache: None,
            })
        };
        Self {
            spread: pipeline("spread"),
            blur_rows: pipeline("blur_rows"),
            blur_columns: pipeline("blur_columns"),
            layout,
        }
    }
}

impl Gpu {
    /// Whether the device runs compute shaders; old OpenGL does not.
    pub fn can_compute(&self) -> bool {
        let limits = self.device.limits();
        limits.max_compute_invocations_per_workgroup >= 256
            && limits.max_storage_buffers_per_shader_stage >= 4
    }
}

/// The density of `samples` in each cell of a grid of `width` × `height`, per cell and for a total weight of 1: over a
/// grid that holds everything it adds up to 1. `bandwidth` is the kernel's standard deviation in cells. Waits for the
/// GPU: call it from a job.
///
/// # Errors
/// When the device has no compute shaders, the bandwidth or the grid is out of range, or a sample is not a number.
pub fn kernel_density(
    gpu: &Gpu,
    samples: &[DensitySample],
    bandwidth: f32,
    [width, height]: [usize; 2],
) -> Result<Grid<f32>> {
    ensure!(
        gpu.can_compute(),
        "Failed to estimate the density: the graphics driver has no compute shaders"
    );
    ensure!(
        (MIN_BANDWIDTH_CELLS..=MAX_BANDWIDTH_CELLS).contains(&bandwidth),
        "Failed to estimate the density: a bandwidth of {bandwidth} cells is not between {MIN_BANDWIDTH_CELLS} and \
         {MAX_BANDWIDTH_CELLS}; choose another grid"
    );
    ensure!(
        width > 0 && height > 0 && width.saturating_mul(height) <= MAX_CELLS,
        "Failed to estimate the density on {width} × {height} cells: at most {MAX_CELLS} in all"
    );
    ensure!(
        samples.len() <= MAX_SAMPLES,
        "Failed to estimate the density of {} samples: at most {MAX_SAMPLES}",
        samples.len()
    );
    let is_good = |s: &DensitySample| s.x.is_finite() && s.y.is_finite() && s.weight >= 0.0;
    let total: f64 = samples.iter().map(|s| f64::from(s.weight)).sum();
    ensure!(
        samples.iter().all(is_good) && total.is_finite(),
        "Failed to estimate the density: a sample is not a number"
    );
    if total <= 0.0 {
        return Ok(Grid::new(width, height, 0.0));
    }
    let taps = taps(bandwidth);
    // The fullest bin cannot overflow, even with all samples in one place and every share rounded up.
    let fixed_point = ((f64::from(u32::MAX) - samples.len() as f64) / total).min(1e6);
    // Samples beside the grid count as far as their kernels reach into it.
    let pad = taps.len();
    let samples: Vec<DensitySample> = samples
        .iter()
        .map(|sample| DensitySample {
            x: sample.x + pad as f32,
            y: sample.y + pad as f32,
            weight: sample.weight,
        })
        .collect();
    let uniform = DensityUniform {
        width: (width + 2 * pad) as u32,
        height: (height + 2 * pad) as u32,
        sample_count: samples.len() as u32,
        radius: taps.len() as u32 - 1,
        fixed_point: fixed_point as f32,
        scale: (1.0 / (fixed_point * total)) as f32,
    };
    let padded = run(gpu, &samples, &taps, uniform)?;
    Ok(padded.crop(Rect::new(pad, pad, width, height)))
}

/// One side of the kernel from its middle, narrowed by what spreading the samples widens it. Adds up to 1 over both
/// sides.
fn taps(bandwidth: f32) -> Vec<f32> {
    let variance = bandwidth * bandwidth - 0.25;
    let radius = (REACH * bandwidth).ceil() as usize;
    let side = (0..=radius).map(|d| (-0.5 * (d * d) as f32 / variance).exp());
    let side: Vec<f32> = side.collect();
    let sum = 2.0 * side.iter().sum::<f32>() - side.first().copied().unwrap_or(0.0);
    side.iter().map(|tap| tap / sum).collect()
}

fn run(
    gpu: &Gpu,
    samples: &[DensitySample],
    taps: &[f32],
    uniform: DensityUniform,
) -> Result<Grid<f32>> {
    let device = &gpu.device;
    let estimator = gpu.estimator.get_or_init(|| Estimator::new(device));
    let (width, height) = (uniform.width, uniform.height);
    let cells_bytes = 4 * u64::from(width) * u64::from(height);
    let limit = device.limits().max_storage_buffer_binding_size;
    let most = cells_bytes.max(size_of_val(samples) as u64);
    ensure!(
        most <= limit,
        "Failed to estimate the density: the graphics device takes {limit} bytes at once, not {most}"
    );
    let make = |label, size, usage| {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size,
            usage,
            mapped_at_creation: false,
        })
    };
    let filled = |label, bytes: &[u8], usage| {
        let buffer = make(
            label,
            bytes.len() as u64,
            usage | wgpu::BufferUsages::COPY_DST,
        );
        gpu.queue.write_buffer(&buffer, 0, bytes);
        buffer
    };
    let storage = wgpu::BufferUsages::STORAGE;
    let copied = storage | wgpu::BufferUsages::COPY_SRC;
    let read = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
    // wgpu fills new buffers with zeros.
    let bins = make("bins", cells_bytes, copied);
    let result = make("density", cells_bytes, read);
    let buffers = [
        filled(
            "uniform",
            bytemuck::bytes_of(&uniform),
            wgpu::BufferUsages::UNIFORM,
        ),
        filled("samples", bytemuck::cast_slice(samples), storage),
        bins.clone(),
        filled("taps", bytemuck::cast_slice(taps), storage),
        make("rows", cells_bytes, storage),
    ];
    let entries: Vec<_> = (0..)
        .zip(&buffers)
        .map(|(binding, buffer)| wgpu::BindGroupEntry {
            binding,
            resource: buffer.as_entire_binding(),
        })
        .collect();
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("density"),
        layout: &estimator.layout,
        entries: &entries,
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    let mut pass = encoder.begin_compute_pass(&Default::default());
    pass.set_bind_group(0, &group, &[]);
    let tiles = [width.div_ceil(16), height.div_ceil(16)];
    for (pipeline, [x, y]) in [
        (&estimator.spread, [uniform.sample_count.div_ceil(256), 1]),
        (&estimator.blur_rows, tiles),
        (&estimator.blur_columns, tiles),
    ] {
        pass.set_pipeline(pipeline);
        pass.dispatch_workgroups(x, y, 1);
    }
    drop(pass);
    encoder.copy_buffer_to_buffer(&bins, 0, &result, 0, cells_bytes);
    gpu.queue.submit([encoder.finish()]);
    let data = offscreen::read_back(gpu, &result, |bytes| {
        bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_ne_bytes(*b))
            .collect()
    })?;
    Grid::from_vec(width as usize, height as usize, data).context("Failed to read the density back")
}
