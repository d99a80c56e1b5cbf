//! What networks run on, as the user names it. Which networks can run elsewhere than on the CPU is not said here.

use anyhow::{Context as _, Result, ensure};
use candle_core::{Device, utils};
use clap::ValueEnum;

/// A kind of device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DeviceKind {
    /// Every core of the processor, in every build
    #[default]
    Cpu,
    /// A graphics card of NVIDIA's, in a build with feature cuda
    Cuda,
    /// The graphics card of a Mac, in a build with feature metal
    Metal,
}

impl DeviceKind {
    /// Opens the device; `card` counts from 0 where there are several.
    ///
    /// # Errors
    /// When the program was built without support for it, or the card cannot be used.
    pub fn open(self, card: usize) -> Result<Device> {
        let (is_built, feature) = match self {
            Self::Cpu => return Ok(Device::Cpu),
            Self::Cuda => (utils::cuda_is_available(), "cuda"),
            Self::Metal => (utils::metal_is_available(), "metal"),
        };
        ensure!(
            is_built,
            "This vitruvian was built without {feature}. Build it with `cargo build --release --features {feature}`, or \
             leave out --device"
        );
        let opened = match self {
            Self::Metal => Device::new_metal(card),
            _ => Device::new_cuda(card),
        };
        opened.with_context(|| format!("Failed to open graphics card {card} ({feature})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_was_not_built_in_is_refused_with_what_to_do() {
        assert!(DeviceKind::Cpu.open(0).unwrap().is_cpu());
        for (kind, feature) in [(DeviceKind::Cuda, "cuda"), (DeviceKind::Metal, "metal")] {
            let is_built = match kind {
                DeviceKind::Cuda => cfg!(feature = "cuda"),
                _ => cfg!(feature = "metal"),
            };
            // Where it is built in, whether it opens is up to the machine.
            match kind.open(0) {
                Ok(_) => assert!(is_built, "{feature}"),
                Err(error) => {
                    let text = format!("{error:#}");
                    assert!(text.contains(feature), "{text}");
                    let is_told = text.contains("built without");
                    assert_eq!(is_told, !is_built, "{text}");
                }
            }
        }
    }
}
