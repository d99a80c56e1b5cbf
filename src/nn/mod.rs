//! The layers the models are made of.
pub mod activation;
pub mod conv;
pub mod norm;
pub mod pad;
pub mod pool;
pub mod resize;
