//! Draws layers on wgpu: a photo, its patches, a label map, a heat map, lines and dots; and estimates densities.
//! Takes plain pixels and numbers, knows nothing of faces or windows.
//!
//! Textures are made and filled by whoever has the pixels, usually a job. A canvas then draws a stack of [`Layer`]s
//! through one egui paint callback. What the GPU needs per layer lives in [`Layers`], the module's only entry in
//! egui's callback resources, keyed by canvas and layer: egui itself would mix up two canvases of one kind.
//! Left out: tiles. A photo larger than a texture can be is shown reduced; the pixels that are edited and saved are not.

mod density;
mod heatmap;
mod lines;
mod mask;
mod offscreen;
mod picture;
mod shader;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use eframe::egui;
use eframe::egui_wgpu::{self, wgpu};

pub use density::{DensitySample, MAX_BANDWIDTH_CELLS, kernel_density};
pub use heatmap::{ColorMap, HeatmapLayer, HeatmapTexture, HeatmapUniform, LEVEL_SLOTS};
pub use lines::{LINE_FIELDS, Lines, LinesLayer, LinesUniform, Segment};
pub use mask::{CLASS_SLOTS, MaskLayer, MaskTexture, MaskUniform};
pub use offscreen::draw;
pub use picture::{PictureLayer, PictureTexture, PictureUniform};
pub use shader::SHADERS;

use density::Estimator;
use shader::{Kind, Shaders};

/// A device with our shaders; cheap to clone, can be sent to jobs.
#[derive(Clone)]
pub struct Gpu {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    format: wgpu::TextureFormat,
    shaders: Arc<Mutex<Shaders>>,
    estimator: Arc<OnceLock<Estimator>>,
}

impl Gpu {
    /// The device that the window draws with.
    pub fn from_render_state(state: &egui_wgpu::RenderState) -> Self {
        Self::new(&state.device, &state.queue, state.target_format)
    }

    fn new(device: &wgpu::Device, queue: &wgpu::Queue, format: wgpu::TextureFormat) -> Self {
        Self {
            device: device.clone(),
            queue: queue.clone(),
            format,
            shaders: Arc::new(Mutex::new(Shaders::new(device))),
            estimator: Arc::default(),
        }
    }

    fn shaders(&self) -> MutexGuard<'_, Shaders> {
        self.shaders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By how much a picture must be reduced, as a whole number, to fit into a texture of this device.
    fn reduction(&self, width: usize, height: usize) -> usize {
        /// Keeps a photo and its mip levels below 360 MB.
        const MAX_TEXELS: usize = 8192 * 8192;
        let max_side = self.device.limits().max_texture_dimension_2d as usize;
        let fits = |k: usize| {
            let (w, h) = (width.div_ceil(k), height.div_ceil(k));
            w <= max_side && h <= max_side && w * h <= MAX_TEXELS
        };
        (1..).find(|&k| fits(k)).unwrap_or(1)
    }
}

/// How a canvas shows a photo: `image = offset + scale · framebuffer pixel`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Photo coordinates of the framebuffer's top left corner.
    pub offset_in_image: [f32; 2],
    /// Photo pixels per framebuffer pixel.
    pub image_from_px: f32,
}

/// Uniform of group 0; twin of `View` in `shaders/common.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct ViewUniform {
    pub offset_in_image: [f32; 2],
    pub image_from_px: f32,
    pub framebuffer_is_srgb: u32,
    /// Width and height of the framebuffer.
    pub framebuffer_px: [f32; 2],
}

/// Something drawn on a canvas.
#[derive(Clone)]
pub enum Layer {
    Picture(PictureLayer),
    Mask(Box<MaskLayer>),
    Heatmap(Box<HeatmapLayer>),
    Lines(LinesLayer),
}

/// What a layer reads besides its uniform.
enum Resource<'a> {
    Texture(&'a wgpu::TextureView),
    /// A vertex buffer and how many instances it holds.
    Instances(&'a wgpu::Buffer, u32),
}

impl Layer {
    fn kind(&self) -> Kind {
        match self {
            Self::Picture(_) => Kind::Picture,
            Self::Mask(_) => Kind::Mask,
            Self::Heatmap(_) => Kind::Heatmap,
            Self::Lines(_) => Kind::Lines,
        }
    }

    fn resource(&self) -> (ResourceId, Resource<'_>) {
        match self {
            Self::Picture(layer) => (layer.texture.id, Resource::Texture(&layer.texture.view)),
            Self::Mask(layer) => (layer.texture.id, Resource::Texture(&layer.texture.view)),
            Self::Heatmap(layer) => (layer.texture.id, Resource::Texture(&layer.texture.view)),
            Self::Lines(layer) => {
                let lines = &layer.lines;
                (lines.id, Resource::Instances(&lines.buffer, lines.count))
            }
        }
    }

    fn uniform_bytes(&self) -> Vec<u8> {
        match self {
            Self::Picture(layer) => bytemuck::bytes_of(&layer.uniform()).to_vec(),
            Self::Mask(layer) => bytemuck::bytes_of(&layer.uniform()).to_vec(),
            Self::Heatmap(layer) => bytemuck::bytes_of(&layer.uniform()).to_vec(),
            Self::Lines(layer) => bytemuck::bytes_of(&layer.uniform()).to_vec(),
        }
    }
}

/// Tells textures and buffers apart, also after one was freed and another took its place in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ResourceId(u64);

impl ResourceId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The GPU's side of all layers of all canvases.
#[derive(Default)]
struct Layers {
    views: HashMap<&'static str, Binding>,
    /// By canvas, and by position in its stack.
    layers: HashMap<(&'static str, usize), LayerBinding>,
}

struct Binding {
    buffer: wgpu::Buffer,
    group: wgpu::BindGroup,
}

struct LayerBinding {
    resource: ResourceId,
    kind: Kind,
    binding: Binding,
    pipeline: wgpu::RenderPipeline,
    instances: Option<(wgpu::Buffer, u32)>,
    has_border: bool,
}

impl Layers {
    /// Writes the uniforms and makes what is new; layers that the stack no longer has are let go.
    fn prepare(
        &mut self,
        gpu: &Gpu,
        format: wgpu::TextureFormat,
        canvas: &'static str,
        view: View,
        framebuffer_px: [u32; 2],
        stack: &[Layer],
    ) {
        let mut shaders = gpu.shaders();
        shaders.reload_changed(&gpu.device);
        let uniform = ViewUniform {
            offset_in_image: view.offset_in_image,
            image_from_px: view.image_from_px,
            framebuffer_is_srgb: u32::from(format.is_srgb()),
            framebuffer_px: framebuffer_px.map(|side| side as f32),
        };
        let bytes = bytemuck::bytes_of(&uniform);
        let binding = self
            .views
            .entry(canvas)
            .or_insert_with(|| shaders.bind_view(&gpu.device, bytes.len()));
        gpu.queue.write_buffer(&binding.buffer, 0, bytes);

        self.layers
            .retain(|(of, index), _| *of != canvas || *index < stack.len());
        for (index, layer) in stack.iter().enumerate() {
            let (id, resource) = layer.resource();
            let (kind, bytes) = (layer.kind(), layer.uniform_bytes());
            let pipeline = shaders.pipeline(&gpu.device, kind, format);
            let same = self
                .layers
                .get(&(canvas, index))
                .is_some_and(|bound| bound.resource == id && bound.kind == kind);
            if !same {
                let (texture, instances) = match resource {
                    Resource::Texture(view) => (Some(view), None),
                    Resource::Instances(buffer, count) => (None, Some((buffer.clone(), count))),
                };
                let bound = LayerBinding {
                    resource: id,
                    kind,
                    binding: shaders.bind_layer(&gpu.device, kind, bytes.len(), texture),
                    pipeline: pipeline.clone(),
                    instances,
                    has_border: false,
                };
                self.layers.insert((canvas, index), bound);
            }
            if let Some(bound) = self.layers.get_mut(&(canvas, index)) {
                bound.pipeline = pipeline;
                bound.has_border = matches!(layer, Layer::Lines(lines) if lines.border_px > 0.0);
                gpu.queue.write_buffer(&bound.binding.buffer, 0, &bytes);
            }
        }
    }

    fn paint(
        &self,
        pass: &mut wgpu::RenderPass<'static>,
        canvas: &'static str,
        framebuffer_px: [u32; 2],
        count: usize,
    ) {
        let Some(view) = self.views.get(canvas) else {
            return;
        };
        // Lines are placed in the framebuffer as a whole; the scissor rectangle cuts them to the canvas.
        let [width, height] = framebuffer_px.map(|side| side as f32);
        pass.set_viewport(0.0, 0.0, width, height, 0.0, 1.0);
        pass.set_bind_group(0, &view.group, &[]);
        for index in 0..count {
            if let Some(layer) = self.layers.get(&(canvas, index)) {
                pass.set_pipeline(&layer.pipeline);
                pass.set_bind_group(1, &layer.binding.group, &[]);
                match &layer.instances {
                    None => pass.draw(0..3, 0..1),
                    Some((_, 0)) => {}
                    Some((buffer, count)) => {
                        pass.set_vertex_buffer(0, buffer.slice(..));
                        // Borders first, so that no line lies under another's border.
                        if layer.has_border {
                            pass.draw(0..6, 0..*count);
                        }
                        pass.draw(6..12, 0..*count);
                    }
                }
            }
        }
    }
}

/// A shape for egui that draws `stack`, bottom first, into `rect`. `canvas` names the place on the screen: no two
/// canvases shown at once may share it.
pub fn paint(
    gpu: &Gpu,
    rect: egui::Rect,
    canvas: &'static str,
    view: View,
    stack: Vec<Layer>,
) -> egui::Shape {
    let gpu = gpu.clone();
    let callback = CanvasPaint {
        gpu,
        canvas,
        view,
        stack,
    };
    egui::Shape::Callback(egui_wgpu::Callback::new_paint_callback(rect, callback))
}

struct CanvasPaint {
    gpu: Gpu,
    canvas: &'static str,
    view: View,
    stack: Vec<Layer>,
}

impl egui_wgpu::CallbackTrait for CanvasPaint {
    fn prepare(
        &self,
        _device: &wgpu::Device,
        _queue: &wgpu::Queue,
        screen: &egui_wgpu::ScreenDescriptor,
        _encoder: &mut wgpu::CommandEncoder,
        resources: &mut egui_wgpu::CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        let layers = resources.entry().or_insert_with(Layers::default);
        layers.prepare(
            &self.gpu,
            self.gpu.format,
            self.canvas,
            self.view,
            screen.size_in_pixels,
            &self.stack,
        );
        Vec::new()
    }

    fn paint(
        &self,
        info: egui::PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        resources: &egui_wgpu::CallbackResources,
    ) {
        if let Some(layers) = resources.get::<Layers>() {
            layers.paint(pass, self.canvas, info.screen_size_px, self.stack.len());
        }
    }
}
