//! How good a mask or a picture is, in the numbers the field uses.
//!
//! Masks: [`Confusion`]. Pictures: PSNR, SSIM (Wang et al., "Image Quality Assessment: From Error Visibility to
//! Structural Similarity", 2004) and Laplacian energy, each over all pixels or within a region.
//! Left out: metrics that need a foreign network (FID, LPIPS).

mod confusion;
mod pictures;

pub use confusion::Confusion;
pub use pictures::{laplacian_energy, mean_squared_error, psnr, psnr_of, ssim};
