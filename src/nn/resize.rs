//! Resizing of feature maps.
use candle_core::{Result, Tensor};

/// Doubles height and width by repetition. `xs` [N, C, H, W].
pub fn upsample_nearest2x(xs: &Tensor) -> Result<Tensor> {
    let (_, _, h, w) = xs.dims4()?;
    xs.upsample_nearest2d(2 * h, 2 * w)
}

/// Bilinear resize to `height` × `width`; corners aligned, or pixel centres at one half.
pub fn resize_bilinear(
    xs: &Tensor,
    height: usize,
    width: usize,
    align_corners: bool,
) -> Result<Tensor> {
    xs.upsample_bilinear2d(height, width, align_corners)
}
