//! Pixel buffers to candle tensors and back.

use candle_core::{DType, Device, Result, Tensor};
use rayon::prelude::*;

use super::{Grid, Rgb};

/// A picture as `[3, H, W]`, `f32` in −1…1.
///
/// # Errors
/// When the device cannot take the values.
pub fn rgb_to_tensor(picture: &Rgb, device: &Device) -> Result<Tensor> {
    let mut planes = vec![0f32; 3 * picture.width * picture.height];
    fill(&mut planes, picture, [-1.0, 1.0]);
    Tensor::from_vec(planes, (3, picture.height, picture.width), device)
}

/// Pictures of one size as `[N, 3, H, W]`, black and white being `range`.
///
/// # Errors
/// When there are none, or they differ in size.
pub fn rgbs_to_tensor(pictures: &[Rgb], range: [f32; 2], device: &Device) -> Result<Tensor> {
    let Some(Rgb { width, height, .. }) = pictures.first() else {
        candle_core::bail!("There are no pictures");
    };
    let (width, height) = (*width, *height);
    if pictures
        .iter()
        .any(|p| (p.width, p.height) != (width, height))
    {
        candle_core::bail!("The pictures differ in size");
    }
    let values = 3 * width * height;
    let mut planes = vec![0f32; values * pictures.len()];
    for (planes, picture) in planes.chunks_exact_mut(values.max(1)).zip(pictures) {
        fill(planes, picture, range);
    }
    Tensor::from_vec(planes, (pictures.len(), 3, height, width), device)
}

/// Writes the planes of a picture, black and white being `low` and `high`.
fn fill(planes: &mut [f32], picture: &Rgb, [low, high]: [f32; 2]) {
    let area = picture.width * picture.height;
    let step = (high - low) / 255.0;
    let (pixels, _) = picture.data.as_chunks::<3>();
    planes
        .par_chunks_mut(area.max(1))
        .enumerate()
        .for_each(|(channel, plane)| {
            for (value, pixel) in plane.iter_mut().zip(pixels) {
                *value = f32::from(pixel[channel]) * step + low;
            }
        });
}

/// `[3, H, W]` (or `[1, 3, H, W]`) in −1…1 as a picture; rounded, and clamped to 0…255.
///
/// # Errors
/// When the shape is another, or the values cannot be read from the device.
pub fn tensor_to_rgb(xs: &Tensor) -> Result<Rgb> {
    let xs = match xs.rank() {
        4 => xs.squeeze(0)?,
        _ => xs.clone(),
    };
    let (channels, height, width) = xs.dims3()?;
    if channels != 3 {
        candle_core::bail!("A picture has 3 channels, not {channels}");
    }
    let planes = xs
        .to_dtype(DType::F32)?
        .flatten_all()?
        .contiguous()?
        .to_vec1::<f32>()?;
    let (red, rest) = planes.split_at(width * height);
    let (green, blue) = rest.split_at(width * height);
    let byte = |value: f32| ((value + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8;
    let mut data = vec![0u8; width * height * 3];
    data.par_chunks_exact_mut(3)
        .with_min_len(4096)
        .zip(red.par_iter().zip(green).zip(blue))
        .for_each(|(pixel, ((&r, &g), &b))| {
            pixel.copy_from_slice(&[byte(r), byte(g), byte(b)]);
        });
    Ok(Rgb {
        width,
        height,
        data,
    })
}

/// A grid of numbers as `[H, W]`, `f32`.
///
/// # Errors
/// When the device cannot take the values.
pub fn grid_to_tensor(grid: &Grid<f32>, device: &Device) -> Result<Tensor> {
    Tensor::from_slice(&grid.data, (grid.height, grid.width), device)
}

/// A grid of bytes (label ids, or a 0/1 region) as `[H, W]`, `u8`.
///
/// # Errors
/// When the device cannot take the values.
pub fn labels_to_tensor(grid: &Grid<u8>, device: &Device) -> Result<Tensor> {
    Tensor::from_slice(&grid.data, (grid.height, grid.width), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_survive_the_round_trip() {
        let data: Vec<u8> = (0..=255u8).flat_map(|v| [v, 255 - v, v / 2]).collect();
        let picture = Rgb::from_vec(64, 4, data).unwrap();
        let xs = rgb_to_tensor(&picture, &Device::Cpu).unwrap();
        assert_eq!(xs.dims(), [3, 4, 64]);
        let first = xs.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!((first[0], first[255], first[256]), (-1.0, 1.0, 1.0));
        assert_eq!(tensor_to_rgb(&xs).unwrap(), picture);
        assert_eq!(
            tensor_to_rgb(&xs.unsqueeze(0).unwrap()).unwrap().data,
            picture.data
        );
    }

    #[test]
    fn values_out_of_range_are_clamped() {
        let xs = Tensor::new(&[[[-3f32]], [[0.0]], [[1.2]]], &Device::Cpu).unwrap();
        assert_eq!(tensor_to_rgb(&xs).unwrap().data, [0, 128, 255]);
        let four = Tensor::zeros((4, 1, 1), DType::F32, &Device::Cpu).unwrap();
        assert!(tensor_to_rgb(&four).is_err());
    }
}
