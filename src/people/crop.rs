//! Square views of a photo for the networks: where they lie, what they show, and the way back.
//!
//! Beyond the border of the photo a view is black, as the networks were trained.

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::raster::{Rgb, Similarity, rgbs_to_tensor, warp_rgb_for_network};

/// A square part of a photo, turned by any angle, that a network sees at its own size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// Its middle in photo pixels.
    pub center: [f32; 2],
    /// Its side in photo pixels.
    pub side: f32,
    /// Direction of its x axis in the photo, of length 1: (1, 0) when it is upright.
    pub axis: [f32; 2],
    /// Whether the network sees it in a mirror: its x axis runs the other way then.
    pub mirrored: bool,
}

impl Region {
    /// An upright one.
    pub fn upright(center: [f32; 2], side: f32) -> Self {
        Self {
            center,
            side,
            axis: [1.0, 0.0],
            mirrored: false,
        }
    }

    /// One in which `up` (any vector in the photo but zero) points up.
    pub fn with_up(center: [f32; 2], side: f32, up: [f32; 2]) -> Self {
        let length = up[0].hypot(up[1]);
        let axis = if length > 0.0 && length.is_finite() {
            [-up[1] / length, up[0] / length]
        } else {
            [1.0, 0.0]
        };
        Self {
            center,
            side,
            axis,
            mirrored: false,
        }
    }

    /// The same region in a mirror.
    pub fn mirrored(self, mirrored: bool) -> Self {
        Self { mirrored, ..self }
    }

    /// Whether a view of it makes sense: finite, and neither a speck nor a world.
    pub fn is_usable(&self) -> bool {
        let numbers = [self.center[0], self.center[1], self.axis[0], self.axis[1]];
        numbers.iter().all(|v| v.is_finite() && v.abs() < 1e6) && (2.0..1e6).contains(&self.side)
    }

    /// From pixels of a view of `view_px` pixels a side, not mirrored, to pixels of the photo.
    pub fn image_from_view(&self, view_px: usize) -> Similarity {
        let scale = f64::from(self.side) / view_px as f64;
        let [a, b] = self.axis.map(|v| f64::from(v) * scale);
        let half = view_px as f64 / 2.0;
        Similarity {
            a,
            b,
            tx: f64::from(self.center[0]) - (a * half - b * half),
            ty: f64::from(self.center[1]) - (b * half + a * half),
        }
    }

    /// A point of the view in photo pixels.
    pub fn to_image(&self, view_px: usize, [x, y]: [f32; 2]) -> [f32; 2] {
        let x = if self.mirrored { view_px as f32 - x } else { x };
        self.image_from_view(view_px)
            .apply([f64::from(x), f64::from(y)])
            .map(|v| v as f32)
    }

    /// A point of the photo in pixels of the view.
    pub fn to_view(&self, view_px: usize, point: [f32; 2]) -> [f32; 2] {
        let view_from_image = self.image_from_view(view_px).inverse();
        let [x, y] = view_from_image
            .apply(point.map(f64::from))
            .map(|v| v as f32);
        [if self.mirrored { view_px as f32 - x } else { x }, y]
    }

    /// What the network sees.
    pub fn view(&self, photo: &Rgb, view_px: usize) -> Rgb {
        let image_from_view = self.image_from_view(view_px);
        let mut view = warp_rgb_for_network(photo, &image_from_view, view_px, view_px);
        blacken_outside(&mut view, &image_from_view, photo.width, photo.height);
        if self.mirrored { view.flipped() } else { view }
    }
}

/// Makes black what lies beyond the photo.
fn blacken_outside(view: &mut Rgb, image_from_view: &Similarity, width: usize, height: usize) {
    let (w, h) = (width as f64, height as f64);
    let size = [view.width as f64, view.height as f64];
    let [x0, y0, x1, y1] = image_from_view.bounds_of([0.0, 0.0, size[0], size[1]]);
    if x0 >= 0.0 && y0 >= 0.0 && x1 <= w && y1 <= h {
        return;
    }
    for y in 0..view.height {
        let [mut u, mut v] = image_from_view.apply([0.5, y as f64 + 0.5]);
        for pixel in view.row_mut(y).chunks_exact_mut(3) {
            if u < 0.0 || v < 0.0 || u >= w || v >= h {
                pixel.fill(0);
            }
            u += image_from_view.a;
            v += image_from_view.b;
        }
    }
}

/// Views of several regions, [N, 3, view_px, view_px] in [-1, 1].
///
/// # Errors
/// When there are none.
pub fn views(photo: &Rgb, regions: &[Region], view_px: usize) -> Result<Tensor> {
    views_in(photo, regions, view_px, [-1.0, 1.0])
}

/// The same in [0, 1].
///
/// # Errors
/// When there are none.
pub fn unit_views(photo: &Rgb, regions: &[Region], view_px: usize) -> Result<Tensor> {
    views_in(photo, regions, view_px, [0.0, 1.0])
}

fn views_in(photo: &Rgb, regions: &[Region], view_px: usize, range: [f32; 2]) -> Result<Tensor> {
    let views: Vec<Rgb> = regions.iter().map(|r| r.view(photo, view_px)).collect();
    rgbs_to_tensor(&views, range, &Device::Cpu)
}

/// Regions that go through a network in one batch, at most: more would not stay in the caches.
const BATCH: usize = 4;

/// What a network says of each region: `run` takes some of them at once, and batches run side by side.
///
/// # Errors
/// The first of `run`.
pub fn in_batches<T: Send>(
    regions: &[Region],
    run: impl Fn(&[Region]) -> Result<Vec<T>> + Send + Sync,
) -> Result<Vec<T>> {
    let size = regions.len().div_ceil(rayon::current_num_threads());
    let batches = regions.par_chunks(size.clamp(1, BATCH)).map(run);
    let found: Vec<Vec<T>> = batches.collect::<Result<_>>()?;
    Ok(found.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red grows to the right, green downwards.
    fn ramp() -> Rgb {
        let data = (0..60).flat_map(|y| (0..80).flat_map(move |x| [2 * x as u8, 3 * y as u8, 50]));
        Rgb::from_vec(80, 60, data.collect()).unwrap()
    }

    #[test]
    fn views_and_points_agree_on_where_things_are() {
        let photo = ramp();
        let turned = Region::with_up([40.0, 30.0], 24.0, [1.0, 1.0]);
        for region in [
            turned,
            turned.mirrored(true),
            Region::upright([30.0, 25.0], 32.0),
        ] {
            let view = region.view(&photo, 48);
            for (x, y) in [(5, 7), (24, 24), (40, 11)] {
                let [u, v] = region.to_image(48, [x as f32 + 0.5, y as f32 + 0.5]);
                let back = region.to_view(48, [u, v]);
                assert!((back[0] - x as f32 - 0.5).abs() < 1e-3, "{region:?}");
                assert!((back[1] - y as f32 - 0.5).abs() < 1e-3, "{region:?}");
                let got = view.get(x, y).unwrap();
                assert!(
                    (f32::from(got[0]) - 2.0 * (u - 0.5)).abs() < 2.5,
                    "{region:?}"
                );
                assert!(
                    (f32::from(got[1]) - 3.0 * (v - 0.5)).abs() < 3.0,
                    "{region:?}"
                );
            }
        }
        let up = turned.to_image(48, [24.0, 0.0]);
        assert!(up[0] > 40.0 && up[1] > 30.0, "{up:?}");
    }

    #[test]
    fn beyond_the_photo_it_is_black() {
        let photo = Rgb::new(20, 20, [200; 3]);
        let view = Region::upright([0.0, 10.0], 20.0).view(&photo, 10);
        assert_eq!(
            (view.get(4, 5), view.get(5, 5)),
            (Some([0; 3]), Some([200; 3]))
        );
        let far = Region::upright([500.0, 10.0], 20.0).view(&photo, 10);
        assert!(far.data.iter().all(|&v| v == 0));
    }

    #[test]
    fn senseless_regions_are_told() {
        assert!(Region::upright([5.0, 5.0], 10.0).is_usable());
        for side in [0.0, f32::NAN, f32::INFINITY, -3.0] {
            assert!(!Region::upright([5.0, 5.0], side).is_usable());
        }
        assert!(!Region::upright([f32::NAN, 5.0], 9.0).is_usable());
        assert_eq!(Region::with_up([0.0; 2], 1.0, [0.0; 2]).axis, [1.0, 0.0]);
    }
}
