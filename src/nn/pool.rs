//! Pooling.
use candle_core::{Result, Tensor};

/// Maximum over windows of `kernel` × `kernel`, without padding. `xs` [N, C, H, W].
pub fn max_pool2d(xs: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    xs.max_pool2d_with_stride(kernel, stride)
}

/// Mean over windows of `kernel` × `kernel`, without padding. `xs` [N, C, H, W].
pub fn avg_pool2d(xs: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    xs.avg_pool2d_with_stride(kernel, stride)
}
