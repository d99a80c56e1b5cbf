//! "Towards understanding regularization in batch normalization" (Luo et al. 2019, arXiv 1809.00846) in numbers that
//! anyone can check: the loss with batch normalisation is the loss with population normalisation plus ζγ² ([`zeta`]);
//! how one unit learns under that ([`dynamics`]), how fast it may ([`rates`]), and what it gains ([`generalisation`]).

pub mod dynamics;
pub mod generalisation;
pub mod rates;
pub mod zeta;

/// The unit's activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Identity,
    Relu,
}

impl Unit {
    /// The name, for tables.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Identity => "identity",
            Unit::Relu => "ReLU",
        }
    }
}
