//! What must hold for every blend: nothing else changes, seams are smooth, grain goes on.

use super::*;
use crate::face::mask::{dilate, distance_outside};

/// Skin of one colour with noise of deviation about 6, repeatable.
fn grainy(width: usize, height: usize, base: [u8; 3]) -> Rgb {
    let mut state = 9u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as f32 / 65_536.0 - 0.5
    };
    let data = (0..width * height)
        .flat_map(|_| {
            base.map(|b| (f32::from(b) + 7.0 * (next() + next() + next() + next())) as u8)
        })
        .collect();
    Rgb::from_vec(width, height, data).unwrap()
}

fn deviation(picture: &Rgb, rect: Rect) -> f32 {
    let part = picture.crop(rect);
    let values: Vec<f32> = part.pixels().map(|p| f32::from(p[1])).collect();
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / values.len() as f32).sqrt()
}

struct Scene {
    photo: Rgb,
    source: Labels,
    target: Labels,
    opacity: Grid<f32>,
    distance: Grid<f32>,
    image_from_window: Similarity,
}

/// A 200 × 160 photo of skin in which a square becomes `class`; the window is 128² over its middle, at `scale`.
fn scene(class: u8, scale: f64) -> Scene {
    let photo = grainy(200, 160, [180, 140, 120]);
    let source = Grid::new(200, 160, 1u8);
    let mut target = source.clone();
    for y in 70..90 {
        target.row_mut(y)[85..115].fill(class);
    }
    let image_from_window =
        Similarity::scale_shift(scale, 100.0 - 64.0 * scale, 80.0 - 64.0 * scale);
    let mut changed = Grid::new(128, 128, 0u8);
    for y in 0..128 {
        for x in 0..128 {
            let [u, v] = image_from_window.apply([x as f64 + 0.5, y as f64 + 0.5]);
            let inside = (85.0..115.0).contains(&u) && (70.0..90.0).contains(&v);
            changed.set(x, y, u8::from(inside));
        }
    }
    let reach = 10.0 / scale as f32;
    let distance = distance_outside(&changed);
    let hole = dilate(&changed, reach);
    let mut opacity = distance.map(|&d| 1.0 - smooth_step(0.3 * reach, reach, d));
    for (a, &h) in opacity.data.iter_mut().zip(&hole.data) {
        if h == 0 {
            *a = 0.0;
        }
    }
    Scene {
        photo,
        source,
        target,
        opacity,
        distance,
        image_from_window,
    }
}

fn blend<'a>(scene: &'a Scene, rendered: &'a Rgb) -> Blend<'a> {
    Blend {
        photo: &scene.photo,
        source_mask: &scene.source,
        target_mask: &scene.target,
        rendered,
        opacity: &scene.opacity,
        distance: &scene.distance,
        image_from_window: scene.image_from_window,
    }
}

#[test]
fn outside_the_feather_every_byte_stays() {
    for scale in [0.5, 1.0, 1.3] {
        let scene = scene(10, scale);
        let rendered = Rgb::new(128, 128, [20, 200, 40]);
        let blend = blend(&scene, &rendered);
        let rect = blend.rect();
        let result = blend.run(rect);
        assert_eq!((result.width, result.height), (rect.width, rect.height));
        assert!(rect.x > 60 && rect.right() < 140, "{rect:?}");
        for y in 0..rect.height {
            for x in 0..rect.width {
                let (px, py) = (rect.x + x, rect.y + y);
                let outside_x = (84 - px as i32).max(px as i32 - 115).max(0) as f32;
                let outside_y = (69 - py as i32).max(py as i32 - 90).max(0) as f32;
                // 10 photo pixels of hole and one window pixel of interpolation.
                if outside_x.hypot(outside_y) > 12.0 + scale as f32 {
                    assert_eq!(result.get(x, y), scene.photo.get(px, py), "{px} {py}");
                }
            }
        }
        let [r, g, _] = result.get(100 - rect.x, 80 - rect.y).unwrap();
        assert!(r < 60 && g > 160, "{r} {g}");
    }
}

#[test]
fn a_smooth_rendering_gets_the_grain_of_the_photo() {
    // Class 1 becomes class 2, of which the photo has no block: the camera's grain is laid.
    let scene = scene(2, 1.0);
    let rendered = Rgb::new(128, 128, [180, 140, 120]);
    let blend = blend(&scene, &rendered);
    let rect = blend.rect();
    let result = blend.run(rect);
    let inside = Rect::new(88 - rect.x, 73 - rect.y, 24, 14);
    let (got, wanted) = (
        deviation(&result, inside),
        deviation(&scene.photo, Rect::new(10, 10, 60, 60)),
    );
    assert!(
        wanted > 3.0 && (got / wanted - 0.9).abs() < 0.2,
        "{got} of {wanted}"
    );
}

#[test]
fn a_rendering_with_grain_of_its_own_gets_none() {
    let scene = scene(2, 1.0);
    let rendered = grainy(128, 128, [180, 140, 120]);
    let blend = blend(&scene, &rendered);
    let rect = blend.rect();
    let result = blend.run(rect);
    let inside = Rect::new(88 - rect.x, 73 - rect.y, 24, 14);
    let wanted = deviation(&scene.photo, Rect::new(10, 10, 60, 60));
    let got = deviation(&result, inside);
    assert!((got / wanted - 1.0).abs() < 0.15, "{got} of {wanted}");
}

#[test]
fn the_seam_has_no_step() {
    // A flat photo and a rendering 60 brighter: neighbours differ by less than the feather's steepest slope.
    let mut scene = scene(10, 1.0);
    scene.photo = Rgb::new(200, 160, [100; 3]);
    let rendered = Rgb::new(128, 128, [160; 3]);
    let blend = blend(&scene, &rendered);
    let rect = blend.rect();
    let mut whole = scene.photo.clone();
    whole.paste(&blend.run(rect), rect.x, rect.y);
    for y in 1..159 {
        for x in 1..199 {
            let [here, ..] = whole.get(x, y).unwrap();
            let [right, ..] = whole.get(x + 1, y).unwrap();
            assert!(here.abs_diff(right) <= 14, "{x} {y}");
        }
    }
    assert_eq!(whole.get(100, 80), Some([160; 3]));
}

#[test]
fn nothing_to_show_is_an_empty_rectangle() {
    let mut scene = scene(10, 1.0);
    scene.opacity.data.fill(0.0);
    let rendered = Rgb::new(128, 128, [0; 3]);
    assert!(blend(&scene, &rendered).rect().is_empty());
}
