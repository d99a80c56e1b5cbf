//! Padding other than zeros.

use super::cpu::plane::Plane;
use super::plane_op::{apply, is_ours};
use candle_core::{Result, Tensor, bail};

/// Pads all four sides of `xs` [N, C, H, W] by mirroring without the edge, as PyTorch's `ReflectionPad2d`.
/// Fails when `px` is not smaller than both sides.
pub fn reflection_pad2d(xs: &Tensor, px: usize) -> Result<Tensor> {
    let (_, _, h, w) = xs.dims4()?;
    if px >= h || px >= w {
        bail!(
            "reflection padding of {px} needs more than {px} pixels a side, the input has {h}×{w}"
        );
    }
    if is_ours(xs) {
        return apply(xs, Plane::Reflect { px });
    }
    let mirror = |size: usize| -> Vec<u32> {
        let ahead = (1..=px).rev();
        ahead
            .chain(0..size)
            .chain((size - 1 - px..size - 1).rev())
            .map(|i| i as u32)
            .collect()
    };
    let rows = Tensor::new(mirror(h), xs.device())?;
    let columns = Tensor::new(mirror(w), xs.device())?;
    xs.index_select(&rows, 2)?.index_select(&columns, 3)
}
