//! Activations.
use candle_core::{Result, Tensor};

/// `max(x, 0)`.
pub fn relu(xs: &Tensor) -> Result<Tensor> {
    xs.relu()
}

/// `x` where positive, `slope[c]·x` elsewhere. `xs` [N, C, H, W], `slope` [C].
pub fn prelu(xs: &Tensor, slope: &Tensor) -> Result<Tensor> {
    xs.relu()?.sub(
        &xs.neg()?
            .relu()?
            .broadcast_mul(&slope.reshape((1, (), 1, 1))?)?,
    )
}
