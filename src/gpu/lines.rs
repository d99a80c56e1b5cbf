//! Many thick lines and dots in one draw (`shaders/lines.wgsl`): skeletons, trajectories, edges of a graph.
//!
//! Ends are round. Widths are the sum of a part in points, which stays the same at every zoom, and a part in photo
//! pixels, which grows with the photo. Colours run along a segment, so a line can fade with time.
//! Left out: mitred corners, curves, text.

use std::sync::Arc;

use eframe::egui_wgpu::wgpu;

use super::{Gpu, ResourceId};

/// A line between two points of the photo, or a dot where they are one. Twin of `Segment` in `shaders/lines.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Segment {
    pub start: [f32; 2],
    pub end: [f32; 2],
    /// Red, green, blue in gamma space and alpha, not multiplied.
    pub start_color: [u8; 4],
    pub end_color: [u8; 4],
    /// Part of the width that stays the same at every zoom.
    pub width_points: f32,
    /// Part of the width that grows with the photo.
    pub width_in_image: f32,
    /// Length of a dash with its gap; 0 for a solid line.
    pub dash_points: f32,
    /// How much of the line came before, in photo pixels, so that dashes go on around a corner.
    pub dash_start_in_image: f32,
    /// 1 where the segment goes on from the end of the one before: what can be seen through is then not drawn twice.
    pub joined: f32,
}

impl Segment {
    /// A solid line of one colour and a width in points.
    pub fn line(start: [f32; 2], end: [f32; 2], color: [u8; 4], width_points: f32) -> Self {
        Self {
            start,
            end,
            start_color: color,
            end_color: color,
            width_points,
            width_in_image: 0.0,
            dash_points: 0.0,
            dash_start_in_image: 0.0,
            joined: 0.0,
        }
    }

    /// A disc with a diameter in points.
    pub fn dot(center: [f32; 2], color: [u8; 4], diameter_points: f32) -> Self {
        Self::line(center, center, color, diameter_points)
    }

    /// The same line as dashes.
    pub fn dashed(mut self, dash_points: f32) -> Self {
        self.dash_points = dash_points;
        self
    }

    /// A line through `points`. `color_at` is asked with the share of the way, from 0 at the first point to 1.
    pub fn polyline(
        points: &[[f32; 2]],
        width_points: f32,
        color_at: impl Fn(f32) -> [u8; 4],
    ) -> impl Iterator<Item = Self> {
        let count = points.len().saturating_sub(1).max(1) as f32;
        let mut before = 0.0;
        points.windows(2).enumerate().map(move |(i, pair)| {
            let (start, end) = (pair[0], pair[1]);
            let segment = Self {
                start_color: color_at(i as f32 / count),
                end_color: color_at((i + 1) as f32 / count),
                dash_start_in_image: before,
                joined: f32::from(u8::from(i > 0)),
                ..Self::line(start, end, [0; 4], width_points)
            };
            before += (end[0] - start[0]).hypot(end[1] - start[1]);
            segment
        })
    }
}

/// Names of the fields of [`Segment`] in the order of their locations, and where each begins.
pub const LINE_FIELDS: [(&str, usize); 9] = [
    ("start", std::mem::offset_of!(Segment, start)),
    ("end", std::mem::offset_of!(Segment, end)),
    ("start_color", std::mem::offset_of!(Segment, start_color)),
    ("end_color", std::mem::offset_of!(Segment, end_color)),
    ("width_points", std::mem::offset_of!(Segment, width_points)),
    (
        "width_in_image",
        std::mem::offset_of!(Segment, width_in_image),
    ),
    ("dash_points", std::mem::offset_of!(Segment, dash_points)),
    (
        "dash_start_in_image",
        std::mem::offset_of!(Segment, dash_start_in_image),
    ),
    ("joined", std::mem::offset_of!(Segment, joined)),
];

const ATTRIBUTES: [wgpu::VertexAttribute; 9] = {
    const FORMATS: [wgpu::VertexFormat; 9] = [
        wgpu::VertexFormat::Float32x2,
        wgpu::VertexFormat::Float32x2,
        wgpu::VertexFormat::Unorm8x4,
        wgpu::VertexFormat::Unorm8x4,
        wgpu::VertexFormat::Float32,
        wgpu::VertexFormat::Float32,
        wgpu::VertexFormat::Float32,
        wgpu::VertexFormat::Float32,
        wgpu::VertexFormat::Float32,
    ];
    let mut attributes = [wgpu::VertexAttribute {
        format: wgpu::VertexFormat::Float32,
        offset: 0,
        shader_location: 0,
    }; 9];
    let mut i = 0;
    while i < attributes.len() {
        attributes[i].format = FORMATS[i];
        attributes[i].offset = LINE_FIELDS[i].1 as u64;
        attributes[i].shader_location = i as u32;
        i += 1;
    }
    attributes
};

pub(super) fn instance_layout() -> Option<wgpu::VertexBufferLayout<'static>> {
    Some(wgpu::VertexBufferLayout {
        array_stride: size_of::<Segment>() as u64,
        step_mode: wgpu::VertexStepMode::Instance,
        attributes: &ATTRIBUTES,
    })
}

/// Segments on the GPU, drawn in their order.
pub struct Lines {
    pub(super) id: ResourceId,
    pub(super) buffer: wgpu::Buffer,
    pub(super) count: u32,
}

impl Lines {
    /// Most segments drawn at once: 44 MB. Those after it are left out.
    pub const MAX: usize = 1 << 20;

    /// Uploads segments.
    pub fn new(gpu: &Gpu, segments: &[Segment]) -> Self {
        let segments = &segments[..segments.len().min(Self::MAX)];
        let bytes: &[u8] = bytemuck::cast_slice(segments);
        let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("lines"),
            size: bytes.len().max(size_of::<Segment>()) as u64,
            usage: wgpu::BufferUsages::VERTEX | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        if !bytes.is_empty() {
            gpu.queue.write_buffer(&buffer, 0, bytes);
        }
        Self {
            id: ResourceId::next(),
            buffer,
            count: segments.len() as u32,
        }
    }

    /// How many segments there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// How segments are drawn.
#[derive(Clone)]
pub struct LinesLayer {
    pub lines: Arc<Lines>,
    /// Of everything, in [0, 1].
    pub opacity: f32,
    /// Red, green, blue and alpha of a border around each line, in gamma space, so that it shows on any photo.
    pub border_color: [f32; 4],
    /// Width of the border in framebuffer pixels; 0 for none.
    pub border_px: f32,
    /// Framebuffer pixels per point of the screen.
    pub pixels_per_point: f32,
}

impl LinesLayer {
    /// Fully opaque, without a border.
    pub fn new(lines: Arc<Lines>, pixels_per_point: f32) -> Self {
        Self {
            lines,
            opacity: 1.0,
            border_color: [0.0, 0.0, 0.0, 0.55],
            border_px: 0.0,
            pixels_per_point,
        }
    }

    pub(super) fn uniform(&self) -> LinesUniform {
        LinesUniform {
            border_color: self.border_color,
            border_px: self.border_px,
            opacity: self.opacity,
            pixels_per_point: self.pixels_per_point,
            padding: 0.0,
        }
    }
}

/// Twin of `Lines` in `shaders/lines.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct LinesUniform {
    pub border_color: [f32; 4],
    pub border_px: f32,
    pub opacity: f32,
    pub pixels_per_point: f32,
    pub padding: f32,
}
