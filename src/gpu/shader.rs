//! Shader sources, the pipelines made from them, and the shapes of their bindings.
//!
//! A shader that draws is `shaders/common.wgsl` followed by its own file: with so few files text put together beats a
//! preprocessor. One that computes stands alone. In debug builds a changed file is compiled again while the window is open; if that fails the last
//! good one stays and the error goes to stderr.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use eframe::egui_wgpu::wgpu;

use super::Binding;

const COMMON: &str = include_str!("../../shaders/common.wgsl");

macro_rules! with_common {
    ($name:literal) => {
        (
            $name,
            concat!(
                include_str!("../../shaders/common.wgsl"),
                include_str!(concat!("../../shaders/", $name, ".wgsl"))
            ),
        )
    };
}

/// Name and full source of every shader. Those that draw come first, in the order of their modules.
pub const SHADERS: [(&str, &str); DRAWING + 1] = [
    with_common!("picture"),
    with_common!("mask"),
    with_common!("heatmap"),
    with_common!("lines"),
    ("density", include_str!("../../shaders/density.wgsl")),
];

/// How many of them draw.
const DRAWING: usize = 4;

/// What is drawn; each has an entry point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Picture,
    /// One mip level of a picture from the one above.
    Downsample,
    Mask,
    Heatmap,
    Lines,
}

impl Kind {
    /// Position of its shader among [`SHADERS`].
    fn shader(self) -> usize {
        match self {
            Self::Picture | Self::Downsample => 0,
            Self::Mask => 1,
            Self::Heatmap => 2,
            Self::Lines => 3,
        }
    }

    fn entry_point(self) -> &'static str {
        match self {
            Self::Picture => "fs_picture",
            Self::Downsample => "fs_downsample",
            Self::Mask => "fs_mask",
            Self::Heatmap => "fs_heatmap",
            Self::Lines => "fs_lines",
        }
    }
}

/// Compiled shaders of one device.
pub(super) struct Shaders {
    /// As in [`SHADERS`].
    modules: Vec<wgpu::ShaderModule>,
    pipelines: HashMap<(Kind, wgpu::TextureFormat), wgpu::RenderPipeline>,
    sampler: wgpu::Sampler,
    view_layout: wgpu::BindGroupLayout,
    picture_layout: wgpu::BindGroupLayout,
    mask_layout: wgpu::BindGroupLayout,
    heatmap_layout: wgpu::BindGroupLayout,
    lines_layout: wgpu::BindGroupLayout,
    checked: Instant,
    /// The newest change among the files that was compiled or rejected.
    seen: Option<SystemTime>,
}

impl Shaders {
    pub(super) fn new(device: &wgpu::Device) -> Self {
        let compiled = SHADERS
            .iter()
            .take(DRAWING)
            .map(|(name, source)| compile(device, name, source));
        let color = wgpu::TextureSampleType::Float { filterable: true };
        let exact = wgpu::TextureSampleType::Float { filterable: false };
        Self {
            modules: compiled.collect(),
            pipelines: HashMap::new(),
            sampler: device.create_sampler(&wgpu::SamplerDescriptor {
                label: Some("linear"),
                mag_filter: wgpu::FilterMode::Linear,
                min_filter: wgpu::FilterMode::Linear,
                mipmap_filter: wgpu::MipmapFilterMode::Linear,
                ..Default::default()
            }),
            view_layout: layout(
                device,
                Some(wgpu::BindingType::Sampler(
                    wgpu::SamplerBindingType::Filtering,
                )),
            ),
            picture_layout: layout(device, Some(texture_binding(color))),
            mask_layout: layout(device, Some(texture_binding(wgpu::TextureSampleType::Uint))),
            heatmap_layout: layout(device, Some(texture_binding(exact))),
            lines_layout: layout(device, None),
            checked: Instant::now(),
            seen: None,
        }
    }

    fn layer_layout(&self, kind: Kind) -> &wgpu::BindGroupLayout {
        match kind {
            Kind::Picture | Kind::Downsample => &self.picture_layout,
            Kind::Mask => &self.mask_layout,
            Kind::Heatmap => &self.heatmap_layout,
            Kind::Lines => &self.lines_layout,
        }
    }

    /// The pipeline that draws `kind` into a framebuffer of this format, made when first asked for.
    pub(super) fn pipeline(
        &mut self,
        device: &wgpu::Device,
        kind: Kind,
        format: wgpu::TextureFormat,
    ) -> wgpu::RenderPipeline {
        if let Some(pipeline) = self.pipelines.get(&(kind, format)) {
            return pipeline.clone();
        }
        let pipeline = self.make_pipeline(device, kind, format);
        self.pipelines.insert((kind, format), pipeline.clone());
        pipeline
    }

    fn make_pipeline(
        &self,
        device: &wgpu::Device,
        kind: Kind,
        format: wgpu::TextureFormat,
    ) -> wgpu::RenderPipeline {
        let module = &self.modules[kind.shader()];
        let segments = [super::lines::instance_layout()];
        let (vertex, buffers): (_, &[_]) = match kind {
            Kind::Lines => ("vs_lines", &segments),
            _ => ("vs_cover", &[]),
        };
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(kind.entry_point()),
            bind_group_layouts: &[Some(&self.view_layout), Some(self.layer_layout(kind))],
            immediate_size: 0,
        });
        let blend =
            (kind != Kind::Downsample).then_some(wgpu::BlendState::PREMULTIPLIED_ALPHA_BLENDING);
        device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some(kind.entry_point()),
            layout: Some(&layout),
            vertex: wgpu::VertexState {
                module,
                entry_point: Some(vertex),
                compilation_options: Default::default(),
                buffers,
            },
            primitive: Default::default(),
            depth_stencil: None,
            multisample: Default::default(),
            fragment: Some(wgpu::FragmentState {
                module,
                entry_point: Some(kind.entry_point()),
                compilation_options: Default::default(),
                targets: &[Some(wgpu::ColorTargetState {
                    format,
                    blend,
                    write_mask: wgpu::ColorWrites::ALL,
                })],
            }),
            multiview_mask: None,
            cache: None,
        })
    }

    /// Group 0 with a uniform buffer of its own.
    pub(super) fn bind_view(&self, device: &wgpu::Device, len: usize) -> Binding {
        let sampler = wgpu::BindingResource::Sampler(&self.sampler);
        bind(device, &self.view_layout, len, Some(sampler))
    }

    /// Group 1 with a uniform buffer of its own and the layer's texture, if it has one.
    pub(super) fn bind_layer(
        &self,
        device: &wgpu::Device,
        kind: Kind,
        len: usize,
        view: Option<&wgpu::TextureView>,
    ) -> Binding {
        let texture = view.map(wgpu::BindingResource::TextureView);
        bind(device, self.layer_layout(kind), len, texture)
    }

    /// Compiles the files again when one has changed; looks twice a second, and only in debug builds.
    pub(super) fn reload_changed(&mut self, device: &wgpu::Device) {
        if !cfg!(debug_assertions) || self.checked.elapsed() < Duration::from_millis(500) {
            return;
        }
        self.checked = Instant::now();
        let newest = SHADERS
            .iter()
            .take(DRAWING)
            .map(|(name, _)| *name)
            .chain(["common"])
            .filter_map(|name| std::fs::metadata(path(name)).ok()?.modified().ok())
            .max();
        let before = std::mem::replace(&mut self.seen, newest);
        if before.is_none() || newest <= before {
            return;
        }
        for (index, (name, _)) in SHADERS.iter().enumerate().take(DRAWING) {
            let common = std::fs::read_to_string(path("common"));
            let common = common.unwrap_or_else(|_| COMMON.to_owned());
            if let Ok(own) = std::fs::read_to_string(path(name)) {
                self.try_replace(device, index, &(common + &own));
            }
        }
    }

    /// Takes a new source in use if it compiles and fits its bindings; else keeps the old one. Returns the error.
    fn try_replace(&mut self, device: &wgpu::Device, index: usize, source: &str) -> Option<String> {
        let name = SHADERS[index].0;
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let new = compile(device, name, source);
        let old = std::mem::replace(&mut self.modules[index], new);
        let remade: Vec<_> = self
            .pipelines
            .keys()
            .filter(|(kind, _)| kind.shader() == index)
            .map(|&(kind, format)| ((kind, format), self.make_pipeline(device, kind, format)))
            .collect();
        let error = super::offscreen::ready(scope.pop()).flatten();
        match error {
            None => self.pipelines.extend(remade),
            Some(_) => self.modules[index] = old,
        }
        let message = error.map(|err| err.to_string());
        if let Some(message) = &message {
            eprintln!("Kept the last good shader {name}: {message}");
        }
        message
    }
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders")).join(format!("{name}.wgsl"))
}

fn compile(device: &wgpu::Device, name: &str, source: &str) -> wgpu::ShaderModule {
    device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(name),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    })
}

fn texture_binding(sample_type: wgpu::TextureSampleType) -> wgpu::BindingType {
    wgpu::BindingType::Texture {
        sample_type,
        view_dimension: wgpu::TextureViewDimension::D2,
        multisampled: false,
    }
}

/// A uniform buffer at binding 0 and perhaps something else at binding 1: the shape of both groups.
fn layout(device: &wgpu::Device, second: Option<wgpu::BindingType>) -> wgpu::BindGroupLayout {
    let uniform = wgpu::BindingType::Buffer {
        ty: wgpu::BufferBindingType::Uniform,
        has_dynamic_offset: false,
        min_binding_size: None,
    };
    let entry = |binding, visibility, ty| wgpu::BindGroupLayoutEntry {
        binding,
        visibility,
        ty,
        count: None,
    };
    let mut entries = vec![entry(0, wgpu::ShaderStages::VERTEX_FRAGMENT, uniform)];
    entries.extend(second.map(|ty| entry(1, wgpu::ShaderStages::FRAGMENT, ty)));
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: None,
        entries: &entries,
    })
}

fn bind(
    device: &wgpu::Device,
    layout: &wgpu::BindGroupLayout,
    len: usize,
    second: Option<wgpu::BindingResource<'_>>,
) -> Binding {
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: len as u64,
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let entry = |binding, resource| wgpu::BindGroupEntry { binding, resource };
    let mut entries = vec![entry(0, buffer.as_entire_binding())];
    entries.extend(second.map(|resource| entry(1, resource)));
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout,
        entries: &entries,
    });
    Binding { buffer, group }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Gpu;

    #[test]
    fn a_broken_shader_is_refused_and_the_last_good_one_stays() {
        let gpu = Gpu::headless().unwrap();
        let mut shaders = Shaders::new(&gpu.device);
        let format = wgpu::TextureFormat::Rgba8Unorm;
        let good = shaders.pipeline(&gpu.device, Kind::Mask, format);
        let source = SHADERS[1].1;

        let syntax = shaders.try_replace(&gpu.device, 1, "fn fs_mask( {");
        assert!(syntax.is_some());
        let bindings = source.replace("texture_2d<u32>", "texture_2d<f32>");
        assert!(shaders.try_replace(&gpu.device, 1, &bindings).is_some());
        assert_eq!(shaders.pipeline(&gpu.device, Kind::Mask, format), good);

        assert_eq!(shaders.try_replace(&gpu.device, 1, source), None);
        assert_ne!(shaders.pipeline(&gpu.device, Kind::Mask, format), good);
    }
}
