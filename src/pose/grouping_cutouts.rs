//! Assembled pictures for learning to group: people cut out of annotated photos and pasted into others.
//!
//! COCO's annotations outline each person with polygons; what lies within is scaled and pasted over another photo,
//! so that neighbours overlap and hide each other in pictures whose every joint is known. Left out: seamless blending
//! (edges of a paste betray it, but not where its joints are) and crowds, which have no outline.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use rand::Rng;
use rand::rngs::SmallRng;
use serde::Deserialize;

use super::annotations::ImageId;
use super::grouping_scenes::{mirrored, truth_through};
use super::keypoints::KEYPOINTS;
use super::metrics::Truth;
use crate::raster::{Rect, Rgb, Similarity, resize_rgb};

/// Labelled joints that a person must have to be worth cutting out.
const MIN_JOINTS: usize = 6;
/// People smaller than this are too coarse to be pasted, in pixels.
const MIN_SIDE_PX: f64 = 40.0;

#[derive(Deserialize)]
struct File {
    annotations: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    image_id: ImageId,
    bbox: [f64; 4],
    #[serde(default)]
    area: f64,
    #[serde(default)]
    keypoints: Vec<f64>,
    segmentation: serde_json::Value,
}

/// The outline and the joints of one person of a photo.
#[derive(Clone, Debug)]
pub struct Outline {
    polygons: Vec<Vec<[f64; 2]>>,
    truth: Truth,
}

/// People with outlines, by photo.
///
/// # Errors
/// When the file cannot be read as COCO annotations.
pub fn read_outlines(path: &Path) -> Result<BTreeMap<ImageId, Vec<Outline>>> {
    let text = crate::photo::read_bounded(path)
        .with_context(|| format!("Failed to read {}", path.display()))?;
    let file: File = serde_json::from_slice(&text)
        .with_context(|| format!("{} holds no annotations", path.display()))?;
    let mut found: BTreeMap<ImageId, Vec<Outline>> = BTreeMap::new();
    for entry in file.annotations {
        // A crowd's mask is run-length coded, not a list of polygons.
        let polygons = serde_json::from_value::<Vec<Vec<f64>>>(entry.segmentation);
        let Ok(polygons) = polygons else { continue };
        let polygons: Vec<Vec<[f64; 2]>> = polygons
            .iter()
            .map(|p| p.as_chunks::<2>().0.to_vec())
            .collect();
        let mut keypoints = vec![[0.0; 3]; KEYPOINTS];
        for (slot, point) in keypoints.iter_mut().zip(entry.keypoints.as_chunks::<3>().0) {
            *slot = *point;
        }
        let joints = keypoints.iter().filter(|p| p[2] > 0.0).count();
        if joints < MIN_JOINTS || entry.bbox[2].max(entry.bbox[3]) < MIN_SIDE_PX {
            continue;
        }
        let truth = Truth {
            keypoints,
            area: entry.area,
            bbox: entry.bbox,
            crowd: false,
        };
        found
            .entry(entry.image_id)
            .or_default()
            .push(Outline { polygons, truth });
    }
    Ok(found)
}

/// Whether a point lies within an odd number of the polygons' edges to its right.
fn is_inside(polygons: &[Vec<[f64; 2]>], [x, y]: [f64; 2]) -> bool {
    let mut inside = false;
    for polygon in polygons {
        let Some(mut last) = polygon.last().copied() else {
            continue;
        };
        for &[px, py] in polygon {
            let [qx, qy] = last;
            if (py > y) != (qy > y) && x < (qx - px) * (y - py) / (qy - py) + px {
                inside = !inside;
            }
            last = [px, py];
        }
    }
    inside
}

/// Pastes a person of `donor` into `picture` at a random place and size; `truth` takes it in and forgets the joints
/// that it hides.
pub fn paste(
    picture: &mut Rgb,
    truth: &mut Vec<Truth>,
    donor: &Rgb,
    outline: &Outline,
    rng: &mut SmallRng,
) {
    let [left, top, width, height] = outline.truth.bbox;
    let bounds = Rect::from_edges(
        left.max(0.0) as usize,
        top.max(0.0) as usize,
        (left + width).max(0.0).ceil() as usize,
        (top + height).max(0.0).ceil() as usize,
    )
    .intersect(donor.bounds());
    if bounds.is_empty() || picture.width < 32 || picture.height < 32 {
        return;
    }
    let longer = picture.width.max(picture.height) as f64;
    let side_px = longer * rng.random_range(0.15..0.7);
    // Enlarging more than this only makes blur.
    let scale = (side_px / width.max(height)).min(1.8);
    let size = |px: usize| ((px as f64 * scale) as usize).max(1);
    let mut patch = resize_rgb(&donor.crop(bounds), size(bounds.width), size(bounds.height));
    let crop_from_patch = Similarity::scale_shift(1.0 / scale, bounds.x as f64, bounds.y as f64);
    let flip = rng.random_bool(0.5);
    let inside = |x: usize, y: usize, width: usize| {
        let x = if flip { width - 1 - x } else { x };
        let at = crop_from_patch.apply([x as f64 + 0.5, y as f64 + 0.5]);
        is_inside(&outline.polygons, at)
    };
    let mut person = truth_through(
        std::slice::from_ref(&outline.truth),
        &crop_from_patch.inverse(),
    );
    if flip {
        patch = patch.flipped();
        person = mirrored(&person, patch.width as f64);
    }
    let x0 = rng.random_range(0..picture.width) as i64 - patch.width as i64 / 2;
    let y0 = rng.random_range(picture.height / 4..picture.height) as i64 - patch.height as i64 / 2;
    let shift = Similarity::scale_shift(1.0, x0 as f64, y0 as f64);
    let mut person = truth_through(&person, &shift);
    let is_hidden = |x: f64, y: f64| {
        let (px, py) = (x as i64 - x0, y as i64 - y0);
        let within = px >= 0 && py >= 0 && px < patch.width as i64 && py < patch.height as i64;
        within && inside(px as usize, py as usize, patch.width)
    };
    for other in truth.iter_mut() {
        for point in other.keypoints.iter_mut().filter(|p| p[2] > 0.0) {
            if is_hidden(point[0], point[1]) {
                point[2] = 0.0;
            }
        }
    }
    for y in 0..patch.height {
        for x in 0..patch.width {
            let (px, py) = (x0 + x as i64, y0 + y as i64);
            if px < 0 || py < 0 || !inside(x, y, patch.width) {
                continue;
            }
            if let Some(colour) = patch.get(x, y) {
                picture.set(px as usize, py as usize, colour);
            }
        }
    }
    for point in person.iter_mut().flat_map(|p| &mut p.keypoints) {
        let outside = point[0] < 0.0
            || point[1] < 0.0
            || point[0] >= picture.width as f64
            || point[1] >= picture.height as f64;
        if outside {
            point[2] = 0.0;
        }
    }
    truth.append(&mut person);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn insides_of_polygons_are_told_from_outsides() {
        let square = vec![vec![[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]]];
        assert!(is_inside(&square, [2.0, 2.0]));
        assert!(!is_inside(&square, [5.0, 2.0]) && !is_inside(&square, [2.0, -1.0]));
    }

    #[test]
    fn a_pasted_person_brings_pixels_and_joints_and_hides_what_is_behind() {
        let mut keypoints = vec![[0.0; 3]; KEYPOINTS];
        keypoints[0] = [50.0, 50.0, 2.0];
        let outline = Outline {
            polygons: vec![vec![[10.0, 10.0], [90.0, 10.0], [90.0, 90.0], [10.0, 90.0]]],
            truth: Truth {
                keypoints,
                area: 6400.0,
                bbox: [10.0, 10.0, 80.0, 80.0],
                crowd: false,
            },
        };
        let donor = Rgb::new(100, 100, [200, 0, 0]);
        let mut everywhere = vec![[0.0; 3]; KEYPOINTS];
        for (i, point) in everywhere.iter_mut().take(17).enumerate() {
            *point = [6.0 * i as f64 + 1.0, 60.0, 2.0];
        }
        let behind = Truth {
            keypoints: everywhere,
            area: 100.0,
            bbox: [0.0, 0.0, 100.0, 100.0],
            crowd: false,
        };
        let mut picture = Rgb::new(100, 100, [0, 0, 90]);
        let mut truth = vec![behind];
        let mut rng = SmallRng::seed_from_u64(3);
        paste(&mut picture, &mut truth, &donor, &outline, &mut rng);
        assert_eq!(truth.len(), 2);
        let red = picture.pixels().filter(|p| p[0] > 100).count();
        assert!(red > 50, "{red}");
        for [x, y, v] in truth[0].keypoints[..17].iter().copied() {
            let hidden = picture.get(x as usize, y as usize).unwrap()[0] > 100;
            assert_eq!(v == 0.0, hidden, "{x} {y}");
        }
        let [x, y, v] = truth[1].keypoints[0];
        if v > 0.0 {
            assert!(
                picture.get(x as usize, y as usize).unwrap()[0] > 100,
                "its nose is on it"
            );
        }
    }
}
