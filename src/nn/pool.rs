//! Pooling without padding.

use super::cpu::plane::Plane;
use super::plane_op::{apply, is_ours};
use candle_core::{Result, Tensor, bail};

fn check(xs: &Tensor, kernel: usize, stride: usize) -> Result<()> {
    let (_, _, h, w) = xs.dims4()?;
    if kernel == 0 || stride == 0 || kernel > h || kernel > w {
        bail!("pooling window {kernel} with stride {stride} does not fit {h}×{w}");
    }
    Ok(())
}

/// Maximum over windows of `kernel` × `kernel`. `xs` [N, C, H, W].
pub fn max_pool2d(xs: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    check(xs, kernel, stride)?;
    if is_ours(xs) {
        return apply(xs, Plane::MaxPool { kernel, stride });
    }
    xs.max_pool2d_with_stride(kernel, stride)
}

/// Mean over windows of `kernel` × `kernel`. `xs` [N, C, H, W].
pub fn avg_pool2d(xs: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    check(xs, kernel, stride)?;
    if is_ours(xs) {
        return apply(xs, Plane::AvgPool { kernel, stride });
    }
    xs.avg_pool2d_with_stride(kernel, stride)
}
