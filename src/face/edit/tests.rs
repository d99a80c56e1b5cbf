//! The way of an edit from photo to photo, with a renderer of one colour instead of a network.

use super::*;
use crate::raster::Grid;

fn photo(width: usize, height: usize) -> Rgb {
    let mut picture = Rgb::new(width, height, [0; 3]);
    for y in 0..height {
        for x in 0..width {
            let texture = ((x * 7 + y * 13) % 11) as u8;
            picture.set(x, y, [150 + texture, 110 + texture, (90 + x / 8) as u8]);
        }
    }
    picture
}

fn painted(source: &Labels, rect: Rect, class: u8) -> Labels {
    let mut target = source.clone();
    for y in rect.y..rect.bottom() {
        target.row_mut(y)[rect.x..rect.right()].fill(class);
    }
    target
}

/// The smallest distance from a pixel to a rectangle.
fn distance_to(rect: Rect, x: usize, y: usize) -> f64 {
    let outside = |v: usize, low: usize, high: usize| {
        (low.saturating_sub(v)).max((v + 1).saturating_sub(high)) as f64
    };
    outside(x, rect.x, rect.right()).hypot(outside(y, rect.y, rect.bottom()))
}

#[test]
fn only_the_edit_and_its_feather_change() {
    let photo = photo(600, 500);
    let source = Grid::new(600, 500, 1u8);
    let edit = Rect::new(280, 300, 60, 20);
    let target = painted(&source, edit, 10);
    // A head rolled by about 20 degrees, crop side about 320 px.
    let face = Face {
        image_from_crop: Similarity {
            a: 300.0,
            b: 110.0,
            tx: 200.0,
            ty: 60.0,
        },
        ..face_from_box([200.0, 100.0, 500.0, 400.0])
    };
    let request = EditRequest::new(&photo, &face, &source, &target);
    for quality in [Quality::Preview, Quality::Full] {
        let patch = render_with(
            &request,
            quality,
            &Out::<()>::silent(),
            |window, seen, labels| {
                assert_eq!((seen.width, labels.width), (window.side_px, window.side_px));
                // The window shows the painted mask where the hole's middle is.
                assert!(labels.data.contains(&10));
                Ok(Rgb::new(window.side_px, window.side_px, [10, 220, 10]))
            },
        )
        .unwrap()
        .unwrap();
        let mut result = photo.clone();
        result.paste(&patch.rgb, patch.rect.x, patch.rect.y);
        let reach = 0.035 * face.image_from_crop.scale() + 4.0;
        for y in 0..500 {
            for x in 0..600 {
                if distance_to(edit, x, y) > reach {
                    assert_eq!(result.get(x, y), photo.get(x, y), "{x} {y}");
                }
            }
        }
        let [r, g, _] = result.get(310, 310).unwrap();
        assert!(r < 60 && g > 180, "{r} {g}");
    }
}

#[test]
fn the_window_shows_the_photo_the_right_way_round() {
    let photo = photo(512, 512);
    let source = Grid::new(512, 512, 1u8);
    let edit = Rect::new(200, 240, 40, 40);
    let target = painted(&source, edit, 2);
    let face = Face::whole(&photo);
    let request = EditRequest::new(&photo, &face, &source, &target);
    // A renderer that gives the photo back changes nothing that can be seen.
    let patch = render_with(
        &request,
        Quality::Full,
        &Out::<()>::silent(),
        |_, seen, _| Ok(seen.clone()),
    )
    .unwrap()
    .unwrap();
    let mut worst = 0;
    for y in 0..patch.rect.height {
        for x in 0..patch.rect.width {
            let new = patch.rgb.get(x, y).unwrap();
            let old = photo.get(patch.rect.x + x, patch.rect.y + y).unwrap();
            worst = worst.max((0..3).map(|c| new[c].abs_diff(old[c])).max().unwrap());
        }
    }
    assert!(worst <= 14, "{worst}");
}

#[test]
fn unchanged_masks_render_nothing_and_wrong_sizes_are_refused() {
    let photo = photo(64, 64);
    let source = Grid::new(64, 64, 1u8);
    let face = Face::whole(&photo);
    let never = |_: &Window, _: &Rgb, _: &Labels| -> Result<Rgb> { anyhow::bail!("rendered") };
    let request = EditRequest::new(&photo, &face, &source, &source);
    let out = Out::<()>::silent();
    assert_eq!(
        render_with(&request, Quality::Full, &out, never).unwrap(),
        None
    );
    let small = Grid::new(32, 64, 1u8);
    let request = EditRequest::new(&photo, &face, &source, &small);
    let text = format!(
        "{:#}",
        render_with(&request, Quality::Full, &out, never).unwrap_err()
    );
    assert!(text.contains("32 × 64"), "{text}");
}

#[test]
fn a_drawn_box_becomes_a_square_crop() {
    let face = face_from_box([100.0, 40.0, 180.0, 240.0]);
    assert_eq!(face.image_from_crop.scale(), 200.0);
    assert_eq!(face.image_from_crop.apply([0.5, 0.5]), [140.0, 140.0]);
    let picture = photo(96, 96);
    assert_eq!(Face::whole(&picture).crop(&picture, 96), picture);
}
