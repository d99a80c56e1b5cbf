//! The layers the models are made of. Imports candle only.
//!
//! On the CPU in `f32` they run on kernels of our own ([`cpu`]), forward and backward; on CUDA, on Metal and
//! in other number types the same functions use candle's operations.

pub mod activation;
pub mod blocks;
pub mod conv;
pub mod conv_act;
pub mod cpu;
pub mod losses;
pub mod lstm;
pub mod mobilenet;
pub mod norm;
pub mod norms;
pub mod pad;
mod plane_op;
pub mod pool;
pub mod resize;
pub mod shuffle;
#[cfg(test)]
mod tests;
