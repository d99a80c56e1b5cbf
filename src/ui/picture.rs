//! Pictures of what a canvas shows, drawn by the GPU and written by jobs.

use std::path::Path;

use anyhow::Result;

use crate::gpu::{self, Gpu, Layer, View};
use crate::job::Out;
use crate::photo;

/// Largest side in pixels.
const MAX_SIDE: usize = 4096;

/// Draws the stack at `size`, in pixels of what lies under it, or half of it, …, and writes it.
///
/// # Errors
/// Cancelled, no memory on the GPU, a file that cannot be written.
pub fn save_stack<T>(
    stack: &[Layer],
    size: [usize; 2],
    path: &Path,
    gpu: &Gpu,
    out: &Out<T>,
) -> Result<()> {
    out.progress(0.2, "Drawing the picture")?;
    let k = size[0].max(size[1]).div_ceil(MAX_SIDE).max(1);
    let view = View {
        offset_in_image: [0.0; 2],
        image_from_px: k as f32,
    };
    let picture = gpu::draw(gpu, view, stack, size[0].div_ceil(k), size[1].div_ceil(k))?;
    out.progress(0.7, "Saving the picture")?;
    photo::save_png(path, &picture)
}
