//! Draws a stack of layers to pixels without a window: for pictures with an overlay and for tests.

use std::pin::pin;
use std::task::{Context as TaskContext, Poll, Waker};

use anyhow::{Context as _, Result, bail};
use eframe::egui_wgpu::wgpu;

use super::{Gpu, Layer, Layers, View};
use crate::raster::Rgb;

const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;

impl Gpu {
    /// A device of its own, on whatever the machine has, a software renderer included.
    ///
    /// # Errors
    /// When there is no Vulkan, Metal, DirectX 12 or OpenGL driver at all.
    pub fn headless() -> Result<Self> {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::from_env().unwrap_or(wgpu::Backends::all());
        let instance = wgpu::Instance::new(descriptor);
        let adapter = ready(instance.request_adapter(&Default::default()))
            .context("Failed to find a graphics adapter in time")?
            .context("Failed to find a graphics adapter")?;
        let can_compute = adapter
            .get_downlevel_capabilities()
            .flags
            .contains(wgpu::DownlevelFlags::COMPUTE_SHADERS);
        let limits = match can_compute {
            true => wgpu::Limits::downlevel_defaults(),
            false => wgpu::Limits::downlevel_webgl2_defaults(),
        };
        let limits = limits.using_resolution(adapter.limits());
        let (device, queue) = ready(adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("offscreen"),
            required_limits: limits,
            ..Default::default()
        }))
        .context("Failed to open the graphics device in time")?
        .context("Failed to open the graphics device")?;
        Ok(Self::new(&device, &queue, FORMAT))
    }
}

/// The value of a future that wgpu has already completed: off the web all of its futures are.
pub(super) fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = TaskContext::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// A pass that clears `target` to black and draws to all of it.
pub(super) fn begin_pass(
    encoder: &mut wgpu::CommandEncoder,
    target: &wgpu::TextureView,
) -> wgpu::RenderPass<'static> {
    encoder
        .begin_render_pass(&wgpu::RenderPassDescriptor {
            label: None,
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: target,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations {
                    load: wgpu::LoadOp::Clear(wgpu::Color::BLACK),
                    store: wgpu::StoreOp::Store,
                },
            })],
            ..Default::default()
        })
        .forget_lifetime()
}

/// Draws `stack`, bottom first, on black. Waits for the GPU: call it from a job.
///
/// # Errors
/// When the picture is larger than a texture can be, or the device is lost.
pub fn draw(gpu: &Gpu, view: View, stack: &[Layer], width: usize, height: usize) -> Result<Rgb> {
    let max_side = gpu.device.limits().max_texture_dimension_2d as usize;
    if width == 0 || height == 0 || width > max_side || height > max_side {
        bail!("Failed to draw {width}×{height} pixels: at most {max_side} a side");
    }
    let size = wgpu::Extent3d {
        width: width as u32,
        height: height as u32,
        depth_or_array_layers: 1,
    };
    let texture = gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: Some("offscreen"),
        size,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: FORMAT,
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC,
        view_formats: &[],
    });
    let mut layers = Layers::default();
    let framebuffer_px = [size.width, size.height];
    layers.prepare(gpu, FORMAT, "offscreen", view, framebuffer_px, stack);
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    let mut pass = begin_pass(&mut encoder, &texture.create_view(&Default::default()));
    layers.paint(&mut pass, "offscreen", framebuffer_px, stack.len());
    drop(pass);

    let row_bytes = (4 * width).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT as usize);
    let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("offscreen"),
        size: (row_bytes * height) as u64,
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });
    encoder.copy_texture_to_buffer(
        texture.as_image_copy(),
        wgpu::TexelCopyBufferInfo {
            buffer: &buffer,
            layout: wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some(row_bytes as u32),
                rows_per_image: None,
            },
        },
        size,
    );
    gpu.queue.submit([encoder.finish()]);
    let data = read_back(gpu, &buffer, |mapped| {
        mapped
            .chunks_exact(row_bytes)
            .flat_map(|row| row.as_chunks::<4>().0.iter().take(width))
            .flat_map(|&[r, g, b, _]| [r, g, b])
            .collect()
    })?;
    Ok(Rgb {
        width,
        height,
        data,
    })
}

/// What `read` makes of the bytes of a buffer that can be mapped. Waits for the GPU: call it from a job.
pub(super) fn read_back<R>(
    gpu: &Gpu,
    buffer: &wgpu::Buffer,
    read: impl FnOnce(&[u8]) -> R,
) -> Result<R> {
    buffer.map_async(wgpu::MapMode::Read, .., |_| {});
    gpu.device
        .poll(wgpu::PollType::wait_indefinitely())
        .context("Failed to wait for the graphics device")?;
    let mapped = buffer
        .get_mapped_range(..)
        .context("Failed to read back what the graphics device made")?;
    Ok(read(&mapped))
}
