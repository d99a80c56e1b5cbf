//! Resizing of feature maps. Sizes other than twice have no nearest-neighbour form here.

use super::cpu::plane::Plane;
use super::plane_op::{apply, is_ours};
use candle_core::{Result, Tensor};

/// Doubles height and width by repetition. `xs` [N, C, H, W] → [N, C, 2H, 2W].
pub fn upsample_nearest2x(xs: &Tensor) -> Result<Tensor> {
    if is_ours(xs) {
        return apply(xs, Plane::Nearest2x);
    }
    let (_, _, h, w) = xs.dims4()?;
    xs.upsample_nearest2d(2 * h, 2 * w)
}

/// Bilinear resize of `xs` [N, C, H, W] to `height` × `width`; corners aligned, or pixel centres at one half.
/// Without antialiasing when it shrinks, as PyTorch's `interpolate` by default.
pub fn resize_bilinear(
    xs: &Tensor,
    height: usize,
    width: usize,
    align_corners: bool,
) -> Result<Tensor> {
    if is_ours(xs) {
        return apply(
            xs,
            Plane::Bilinear {
                height,
                width,
                align_corners,
            },
        );
    }
    xs.upsample_bilinear2d(height, width, align_corners)
}
