//! CPU kernels behind the layers: plain functions over `f32` slices, no tensors.
//!
//! [`micro`] holds the innermost loops (AVX2 + FMA when the machine has them, portable code otherwise),
//! [`direct`] and [`pointwise`] the convolutions built on them, [`depthwise`] one filter per channel, [`widened`] the last
//! two in one, [`plane`] per-plane resampling and pooling. What they leave out: other number types, other memory layouts
//! than NCHW.

pub mod depthwise;
pub mod direct;
pub mod geometry;
pub mod micro;
mod packed;
pub mod plane;
pub mod pointwise;
pub mod widened;

pub use packed::Packed;

use candle_core::{CpuStorage, Layout, Result, Tensor, bail};
use rayon::prelude::*;

/// The contiguous `f32` values of a tensor handed to a custom operation.
pub fn slice<'a>(storage: &'a CpuStorage, layout: &Layout, op: &'static str) -> Result<&'a [f32]> {
    let CpuStorage::F32(values) = storage else {
        bail!("{op} takes f32 tensors on the CPU");
    };
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => bail!("{op} takes contiguous tensors"),
    }
}

/// Calls `body` with the contiguous `f32` values of `xs`, copying only when the layout demands it.
pub fn with_slice<T>(xs: &Tensor, op: &'static str, body: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let xs = xs.contiguous()?;
    let (storage, layout) = xs.storage_and_layout();
    let candle_core::Storage::Cpu(storage) = &*storage else {
        bail!("{op}: expected a CPU tensor");
    };
    Ok(body(slice(storage, layout, op)?))
}

/// Runs `body(i, chunk)` over equal chunks of `out`, in parallel when there is enough to share.
pub fn for_each_chunk(out: &mut [f32], chunk: usize, body: impl Fn(usize, &mut [f32]) + Sync) {
    if chunk == 0 {
        return;
    }
    if out.len() < 1 << 14 {
        out.chunks_mut(chunk)
            .enumerate()
            .for_each(|(i, c)| body(i, c));
    } else {
        out.par_chunks_mut(chunk)
            .enumerate()
            .for_each(|(i, c)| body(i, c));
    }
}

/// An output buffer whose every element is written before it is read.
pub fn uninit(len: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    // SAFETY: f32 has no invalid bit patterns that matter here, the capacity was just reserved, and every
    // caller writes all elements before the buffer becomes a tensor.
    #[allow(clippy::uninit_vec)]
    unsafe {
        values.set_len(len);
    }
    values
}

/// A mutable pointer that parallel tasks share; they write disjoint elements.
#[derive(Clone, Copy)]
pub struct SharedMut(pub *mut f32);
// SAFETY: the tasks that receive a copy write disjoint index ranges, which each caller states.
unsafe impl Send for SharedMut {}
// SAFETY: as above.
unsafe impl Sync for SharedMut {}

impl SharedMut {
    /// The pointer; a method so that closures capture the whole wrapper.
    pub fn get(self) -> *mut f32 {
        self.0
    }
}
