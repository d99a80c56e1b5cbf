//! A photo, or a patch of changed pixels, as a texture with mip levels, and how it is drawn (`shaders/picture.wgsl`).

use std::sync::Arc;

use eframe::egui_wgpu::wgpu;

use super::shader::Kind;
use super::{Gpu, ResourceId, ViewUniform};
use crate::raster::{Rect, Rgb};

/// sRGB so that filtering and the mip levels work in linear light.
const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8UnormSrgb;

/// Pixels on the GPU.
pub struct PictureTexture {
    pub(super) id: ResourceId,
    pub(super) view: wgpu::TextureView,
    size_texels: [f32; 2],
    /// Where the pixels lie in the photo: left, top, right, bottom.
    rect_in_image: [f32; 4],
}

impl PictureTexture {
    /// Uploads a whole photo. Slow for large ones: call it from a job.
    pub fn new(gpu: &Gpu, photo: &Rgb) -> Self {
        let (width, height) = (photo.width, photo.height);
        let all = Rect {
            x: 0,
            y: 0,
            width,
            height,
        };
        Self::patch(gpu, photo, all)
    }

    /// Uploads pixels that lie at `rect` of the photo.
    pub fn patch(gpu: &Gpu, pixels: &Rgb, rect: Rect) -> Self {
        let k = gpu.reduction(pixels.width, pixels.height);
        let (width, height) = (
            pixels.width.div_ceil(k).max(1),
            pixels.height.div_ceil(k).max(1),
        );
        let levels = width.max(height).ilog2() + 1;
        let texture = gpu.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("picture"),
            size: extent(width, height),
            mip_level_count: levels,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: FORMAT,
            usage: wgpu::TextureUsages::TEXTURE_BINDING
                | wgpu::TextureUsages::COPY_DST
                | wgpu::TextureUsages::RENDER_ATTACHMENT,
            view_formats: &[],
        });
        upload(gpu, &texture, pixels, k);
        fill_mip_levels(gpu, &texture, levels);
        let (left, top) = (rect.x as f32, rect.y as f32);
        Self {
            id: ResourceId::next(),
            view: texture.create_view(&Default::default()),
            // The last texel of a reduced picture may reach past its edge.
            size_texels: [
                pixels.width as f32 / k as f32,
                pixels.height as f32 / k as f32,
            ],
            rect_in_image: [
                left,
                top,
                left + rect.width as f32,
                top + rect.height as f32,
            ],
        }
    }
}

fn extent(width: usize, height: usize) -> wgpu::Extent3d {
    wgpu::Extent3d {
        width: width as u32,
        height: height as u32,
        depth_or_array_layers: 1,
    }
}

/// Writes mip level 0 in strips, so that no second copy of a large photo is made. `k` is the whole-number reduction.
fn upload(gpu: &Gpu, texture: &wgpu::Texture, pixels: &Rgb, k: usize) {
    const STRIP_BYTES: usize = 4 << 20;
    let (width, height) = (texture.width() as usize, texture.height() as usize);
    let strip_rows = (STRIP_BYTES / (4 * width)).max(1);
    let mut strip = Vec::with_capacity(4 * width * strip_rows.min(height));
    for top in (0..height).step_by(strip_rows) {
        let rows = strip_rows.min(height - top);
        strip.clear();
        for y in top..top + rows {
            if k == 1 {
                let row = pixels
                    .data
                    .chunks_exact(3 * width)
                    .nth(y)
                    .unwrap_or_default();
                let texels = row.as_chunks::<3>().0;
                strip.extend(texels.iter().flat_map(|&[r, g, b]| [r, g, b, 255]));
            } else {
                (0..width).for_each(|x| strip.extend(block_mean(pixels, x * k, y * k, k)));
            }
        }
        gpu.queue.write_texture(
            wgpu::TexelCopyTextureInfo {
                texture,
                mip_level: 0,
                origin: wgpu::Origin3d {
                    x: 0,
                    y: top as u32,
                    z: 0,
                },
                aspect: wgpu::TextureAspect::All,
            },
            &strip,
            wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some(4 * width as u32),
                rows_per_image: None,
            },
            extent(width, rows),
        );
        gpu.queue.submit([]);
    }
}

/// Mean colour of `k` × `k` pixels, fewer at the edge. In gamma space: only for display, and the blocks are small.
fn block_mean(pixels: &Rgb, left: usize, top: usize, k: usize) -> [u8; 4] {
    let mut sum = [0_u32; 3];
    let mut count = 0;
    for y in top..(top + k).min(pixels.height) {
        let start = 3 * (y * pixels.width + left);
        let end = 3 * (y * pixels.width + (left + k).min(pixels.width));
        let row = pixels.data.get(start..end).unwrap_or_default();
        for rgb in row.as_chunks::<3>().0 {
            std::iter::zip(&mut sum, rgb).for_each(|(sum, &v)| *sum += u32::from(v));
            count += 1;
        }
    }
    let [r, g, b] = sum.map(|sum| ((sum + count / 2) / count.max(1)) as u8);
    [r, g, b, 255]
}

fn fill_mip_levels(gpu: &Gpu, texture: &wgpu::Texture, levels: u32) {
    let mut shaders = gpu.shaders();
    let pipeline = shaders.pipeline(&gpu.device, Kind::Downsample, FORMAT);
    let group0 = shaders.bind_view(&gpu.device, size_of::<ViewUniform>());
    let level_view = |level| {
        texture.create_view(&wgpu::TextureViewDescriptor {
            base_mip_level: level,
            mip_level_count: Some(1),
            ..Default::default()
        })
    };
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    for level in 1..levels {
        let (source, target) = (level_view(level - 1), level_view(level));
        let len = size_of::<PictureUniform>();
        let group1 = shaders.bind_layer(&gpu.device, Kind::Downsample, len, Some(&source));
        let mut pass = super::offscreen::begin_pass(&mut encoder, &target);
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group0.group, &[]);
        pass.set_bind_group(1, &group1.group, &[]);
        pass.draw(0..3, 0..1);
    }
    drop(shaders);
    gpu.queue.submit([encoder.finish()]);
}

/// How a picture is drawn.
#[derive(Clone)]
pub struct PictureLayer {
    pub texture: Arc<PictureTexture>,
    /// Framebuffer columns that are drawn, from and up to: the before/after split.
    pub span_px: [f32; 2],
}

impl PictureLayer {
    /// Drawn everywhere.
    pub fn new(texture: Arc<PictureTexture>) -> Self {
        let span_px = [f32::MIN, f32::MAX];
        Self { texture, span_px }
    }

    pub(super) fn uniform(&self) -> PictureUniform {
        PictureUniform {
            rect_in_image: self.texture.rect_in_image,
            size_texels: self.texture.size_texels,
            span_px: self.span_px,
        }
    }
}

/// Twin of `Picture` in `shaders/picture.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct PictureUniform {
    pub rect_in_image: [f32; 4],
    pub size_texels: [f32; 2],
    pub span_px: [f32; 2],
}
