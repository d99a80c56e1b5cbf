//! A label map as a texture, and how it is drawn: tint, outline, brush ring (`shaders/mask.wgsl`).
//!
//! The labels on the CPU are the truth. After a stroke only the rectangle it touched is uploaded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use eframe::egui_wgpu::wgpu;

use super::{Gpu, ResourceId};
use crate::raster::{Grid, Rect};

/// Labels that the palette has room for.
pub const CLASS_SLOTS: usize = 32;

/// Labels on the GPU.
pub struct MaskTexture {
    pub(super) id: ResourceId,
    pub(super) view: wgpu::TextureView,
    texture: wgpu::Texture,
    /// One texel stands for this many pixels a side.
    reduction: usize,
    size: [usize; 2],
    uploaded_bytes: AtomicU64,
}

impl MaskTexture {
    /// Uploads a whole label map.
    pub fn new(gpu: &Gpu, labels: &Grid<u8>) -> Self {
        let reduction = gpu.reduction(labels.width, labels.height);
        let texture = gpu.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("mask"),
            size: wgpu::Extent3d {
                width: labels.width.div_ceil(reduction).max(1) as u32,
                height: labels.height.div_ceil(reduction).max(1) as u32,
                depth_or_array_layers: 1,
            },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::R8Uint,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        let mask = Self {
            id: ResourceId::next(),
            view: texture.create_view(&Default::default()),
            texture,
            reduction,
            size: [labels.width, labels.height],
            uploaded_bytes: AtomicU64::new(0),
        };
        let (width, height) = (labels.width, labels.height);
        let all = Rect {
            x: 0,
            y: 0,
            width,
            height,
        };
        mask.update(gpu, labels, all);
        mask
    }

    /// Uploads the pixels of `dirty` from a label map of the size this was made with. Cost follows `dirty`.
    pub fn update(&self, gpu: &Gpu, labels: &Grid<u8>, dirty: Rect) {
        let k = self.reduction;
        let right = (dirty.x + dirty.width).min(labels.width);
        let bottom = (dirty.y + dirty.height).min(labels.height);
        if [labels.width, labels.height] != self.size || dirty.x >= right || dirty.y >= bottom {
            return;
        }
        // Texels whose block touches the rectangle.
        let (left, top) = (dirty.x / k, dirty.y / k);
        let (columns, rows) = (right.div_ceil(k) - left, bottom.div_ceil(k) - top);
        let reduced: Vec<u8>;
        let (data, offset, stride) = if k == 1 {
            (&labels.data, top * labels.width + left, labels.width)
        } else {
            reduced = (top..top + rows)
                .flat_map(|y| (left..left + columns).map(move |x| (x, y)))
                .map(|(x, y)| block_label(labels, x, y, k))
                .collect();
            (&reduced, 0, columns)
        };
        gpu.queue.write_texture(
            wgpu::TexelCopyTextureInfo {
                texture: &self.texture,
                mip_level: 0,
                origin: wgpu::Origin3d {
                    x: left as u32,
                    y: top as u32,
                    z: 0,
                },
                aspect: wgpu::TextureAspect::All,
            },
            data,
            wgpu::TexelCopyBufferLayout {
                offset: offset as u64,
                bytes_per_row: Some(stride as u32),
                rows_per_image: None,
            },
            wgpu::Extent3d {
                width: columns as u32,
                height: rows as u32,
                depth_or_array_layers: 1,
            },
        );
        self.uploaded_bytes
            .fetch_add((columns * rows) as u64, Relaxed);
    }

    /// Bytes sent to the GPU so far, the first upload included.
    pub fn uploaded_bytes(&self) -> u64 {
        self.uploaded_bytes.load(Relaxed)
    }
}

/// The label in the middle of a block of `k` × `k` pixels.
fn block_label(labels: &Grid<u8>, x: usize, y: usize, k: usize) -> u8 {
    let x = (x * k + k / 2).min(labels.width - 1);
    let y = (y * k + k / 2).min(labels.height - 1);
    labels.data.get(y * labels.width + x).copied().unwrap_or(0)
}

/// How a label map is drawn.
#[derive(Clone)]
pub struct MaskLayer {
    pub texture: Arc<MaskTexture>,
    /// Colour of each label in gamma space, and 1 where the label is shown or 0 where not.
    pub colors: [[f32; 4]; CLASS_SLOTS],
    /// Of the tint, in [0, 1].
    pub opacity: f32,
    /// Width of the outline in framebuffer pixels; 0 for none.
    pub outline_px: f32,
    /// The label whose outline is drawn brighter.
    pub active_class: u8,
    /// Centre and radius of the brush ring in photo pixels.
    pub brush: Option<([f32; 2], f32)>,
    /// Framebuffer pixels per point of the screen.
    pub pixels_per_point: f32,
}

impl MaskLayer {
    pub(super) fn uniform(&self) -> MaskUniform {
        let (brush_in_image, brush_radius) = self.brush.unwrap_or_default();
        MaskUniform {
            size_in_image: self.texture.size.map(|side| side as f32),
            texels_from_image: 1.0 / self.texture.reduction as f32,
            opacity: self.opacity,
            outline_px: self.outline_px,
            active_class: u32::from(self.active_class),
            brush_in_image,
            brush_radius,
            pixels_per_point: self.pixels_per_point,
            padding: [0.0; 2],
            colors: self.colors,
        }
    }
}

/// Twin of `Mask` in `shaders/mask.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct MaskUniform {
    pub size_in_image: [f32; 2],
    pub texels_from_image: f32,
    pub opacity: f32,
    pub outline_px: f32,
    pub active_class: u32,
    pub brush_in_image: [f32; 2],
    pub brush_radius: f32,
    pub pixels_per_point: f32,
    pub padding: [f32; 2],
    pub colors: [[f32; 4]; CLASS_SLOTS],
}
