//! A grid of numbers as colours and contours over a photo (`shaders/heatmap.wgsl`): densities, keypoint heat maps.
//!
//! The grid may lie anywhere in the photo, also on the ground seen at a slant: the way from the photo to its cells is a
//! projective map. Colour maps are matplotlib's (CC0), which look evenly spaced to the eye and survive print in grey.

use std::sync::Arc;

use anyhow::{Result, ensure};
use eframe::egui_wgpu::wgpu;
use serde::{Deserialize, Serialize};

use super::{Gpu, ResourceId};
use crate::raster::Grid;

/// Contours that a layer has room for.
pub const LEVEL_SLOTS: usize = 8;

/// Colours for values from low to high.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColorMap {
    #[default]
    Inferno,
    Viridis,
    Magma,
}

impl ColorMap {
    pub const ALL: [Self; 3] = [Self::Inferno, Self::Viridis, Self::Magma];

    /// As matplotlib calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inferno => "Inferno",
            Self::Viridis => "Viridis",
            Self::Magma => "Magma",
        }
    }

    /// Ten evenly spaced colours, 0xRRGGBB.
    const fn stops(self) -> [u32; 10] {
        match self {
            Self::Inferno => [
                0x000004, 0x1b0c41, 0x4a0c6b, 0x781c6d, 0xa52c60, 0xcf4446, 0xed6925, 0xfb9b06,
                0xf7d13d, 0xfcffa4,
            ],
            Self::Viridis => [
                0x440154, 0x482878, 0x3e4989, 0x31688e, 0x26828e, 0x1f9e89, 0x35b779, 0x6ece58,
                0xb5de2b, 0xfde725,
            ],
            Self::Magma => [
                0x000004, 0x180f3d, 0x440f76, 0x721f81, 0x9e2f7f, 0xcd4071, 0xf1605d, 0xfd9668,
                0xfeca8d, 0xfcfdbf,
            ],
        }
    }

    /// The colour of a value, 0 for the lowest and 1 for the highest, in gamma space.
    pub fn color(self, share: f32) -> [f32; 3] {
        let at = share.clamp(0.0, 1.0) * 9.0;
        let index = (at as usize).min(8);
        let [low, high] = [self.stops()[index], self.stops()[index + 1]].map(rgb);
        std::array::from_fn(|i| low[i] + (high[i] - low[i]) * (at - index as f32))
    }
}

fn rgb(hex: u32) -> [f32; 3] {
    [hex >> 16, hex >> 8, hex].map(|v| (v & 255) as f32 / 255.0)
}

/// A grid of numbers on the GPU.
pub struct HeatmapTexture {
    pub(super) id: ResourceId,
    pub(super) view: wgpu::TextureView,
}

impl HeatmapTexture {
    /// Uploads a grid.
    ///
    /// # Errors
    /// When it is empty or larger than a texture can be.
    pub fn new(gpu: &Gpu, values: &Grid<f32>) -> Result<Self> {
        let max_side = gpu.device.limits().max_texture_dimension_2d as usize;
        let (width, height) = (values.width, values.height);
        ensure!(
            width.min(height) > 0 && width.max(height) <= max_side,
            "Failed to show a grid of {width} × {height}: 1 to {max_side} cells a side"
        );
        let size = wgpu::Extent3d {
            width: width as u32,
            height: height as u32,
            depth_or_array_layers: 1,
        };
        let texture = gpu.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("heatmap"),
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::R32Float,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        gpu.queue.write_texture(
            texture.as_image_copy(),
            bytemuck::cast_slice(&values.data),
            wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some(4 * width as u32),
                rows_per_image: None,
            },
            size,
        );
        Ok(Self {
            id: ResourceId::next(),
            view: texture.create_view(&Default::default()),
        })
    }
}

/// How a grid is drawn.
#[derive(Clone)]
pub struct HeatmapLayer {
    pub texture: Arc<HeatmapTexture>,
    /// Rows of the projective map from the photo to cells of the grid, whose centres are at +0.5.
    pub grid_from_image: [[f32; 3]; 3],
    pub color_map: ColorMap,
    /// Values with the first and the last colour.
    pub range: [f32; 2],
    /// In [0, 1].
    pub opacity: f32,
    /// Share of the range over which the colour appears from nothing, so that the photo shows where little is; 0 where
    /// the colour covers all of the grid.
    pub fade_in: f32,
    /// Values of lines of equal value; at most [`LEVEL_SLOTS`] are drawn.
    pub levels: Vec<f32>,
    /// Width of those lines in framebuffer pixels.
    pub contour_px: f32,
}

impl HeatmapLayer {
    pub(super) fn uniform(&self) -> HeatmapUniform {
        let rows = self.grid_from_image;
        let mut levels = [[0.0; 4]; LEVEL_SLOTS / 4];
        for (slot, level) in levels.as_flattened_mut().iter_mut().zip(&self.levels) {
            *slot = *level;
        }
        let stop = |i: usize| {
            let [r, g, b] = self.color_map.color(i as f32 / 9.0);
            [r, g, b, 1.0]
        };
        HeatmapUniform {
            grid_from_image: std::array::from_fn(|i| [rows[0][i], rows[1][i], rows[2][i], 0.0]),
            stops: std::array::from_fn(stop),
            levels,
            range: self.range,
            opacity: self.opacity,
            fade_in: self.fade_in,
            contour_px: self.contour_px,
            contour_count: self.levels.len().min(LEVEL_SLOTS) as u32,
            padding: [0.0; 2],
        }
    }
}

/// Twin of `Heatmap` in `shaders/heatmap.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct HeatmapUniform {
    /// Columns, each filled up to four.
    pub grid_from_image: [[f32; 4]; 3],
    pub stops: [[f32; 4]; 10],
    pub levels: [[f32; 4]; LEVEL_SLOTS / 4],
    pub range: [f32; 2],
    pub opacity: f32,
    pub fade_in: f32,
    pub contour_px: f32,
    pub contour_count: u32,
    pub padding: [f32; 2],
}
