//! The face mesh as pictures: which pixels of the crop lie in the outline of an eye, a lip, the whole face.
//!
//! The mesh network has seen far more faces than there are masks to learn from, and knows where eyes, brows, nose and
//! lips are to a pixel or two. The parser is told so, and has only to learn where a mask's borders differ.
//! The lists are outlines in the topology of MediaPipe's face mesh.

use candle_core::{Device, Result, Tensor};

/// Side of the map, half the crop's.
pub const MAP_SIDE: usize = 128;
/// Outlines, each a channel.
pub const OUTLINES: usize = 9;

const OVAL: &[usize] = &[
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152,
    148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
];
const NOSE: &[usize] = &[
    168, 122, 174, 198, 209, 129, 98, 97, 2, 326, 327, 358, 429, 420, 399, 351,
];
const LEFT_EYE: &[usize] = &[
    263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466,
];
const RIGHT_EYE: &[usize] = &[
    33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246,
];
const LEFT_BROW: &[usize] = &[276, 283, 282, 295, 285, 336, 296, 334, 293, 300];
const RIGHT_BROW: &[usize] = &[46, 53, 52, 65, 55, 107, 66, 105, 63, 70];
const MOUTH: &[usize] = &[
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191,
];
const UPPER_LIP: &[usize] = &[
    61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191,
    78,
];
const LOWER_LIP: &[usize] = &[
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 308, 324, 318, 402, 317, 14, 87, 178, 88,
    95, 78,
];

/// Channel by channel; the person's left before the right.
const UPRIGHT: [&[usize]; OUTLINES] = [
    OVAL, NOSE, LEFT_EYE, RIGHT_EYE, LEFT_BROW, RIGHT_BROW, MOUTH, UPPER_LIP, LOWER_LIP,
];
/// In a mirror image the person's left eye is a right one.
const MIRRORED: [&[usize]; OUTLINES] = [
    OVAL, NOSE, RIGHT_EYE, LEFT_EYE, RIGHT_BROW, LEFT_BROW, MOUTH, UPPER_LIP, LOWER_LIP,
];

/// 1 inside of each outline, 0 outside: [OUTLINES, MAP_SIDE, MAP_SIDE]. `landmarks_in_crop` are the mesh's points in
/// the unit square; none give an empty map. `is_mirrored`: the points are those of a mirror image.
pub fn mesh_map(landmarks_in_crop: &[[f32; 2]], is_mirrored: bool) -> Vec<f32> {
    let area = MAP_SIDE * MAP_SIDE;
    let mut map = vec![0f32; OUTLINES * area];
    let outlines = if is_mirrored { MIRRORED } else { UPRIGHT };
    for (plane, outline) in map.chunks_exact_mut(area).zip(outlines) {
        let corners: Option<Vec<[f32; 2]>> = outline
            .iter()
            .map(|&i| Some(landmarks_in_crop.get(i)?.map(|v| v * MAP_SIDE as f32)))
            .collect();
        if let Some(corners) = corners {
            fill(plane, &corners);
        }
    }
    map
}

/// The map and that of the mirror image, [2, OUTLINES, MAP_SIDE, MAP_SIDE].
pub fn both_maps(landmarks_in_crop: &[[f32; 2]], device: &Device) -> Result<Tensor> {
    let mut values = mesh_map(landmarks_in_crop, false);
    let mirrored: Vec<[f32; 2]> = landmarks_in_crop
        .iter()
        .map(|p| [1.0 - p[0], p[1]])
        .collect();
    values.extend(mesh_map(&mirrored, true));
    Tensor::from_vec(values, (2, OUTLINES, MAP_SIDE, MAP_SIDE), device)
}

/// Sets the pixels whose centres lie inside of a polygon, by the even–odd rule.
fn fill(plane: &mut [f32], corners: &[[f32; 2]]) {
    let mut crossings = Vec::new();
    for (y, row) in plane.chunks_exact_mut(MAP_SIDE).enumerate() {
        let at = y as f32 + 0.5;
        crossings.clear();
        for (i, a) in corners.iter().enumerate() {
            let b = corners[(i + 1) % corners.len()];
            if (a[1] <= at) != (b[1] <= at) {
                crossings.push(a[0] + (at - a[1]) / (b[1] - a[1]) * (b[0] - a[0]));
            }
        }
        crossings.sort_by(f32::total_cmp);
        for pair in crossings.chunks_exact(2) {
            // `as` brings NaN and what lies outside to the border.
            let from = ((pair[0] - 0.5).ceil().max(0.0) as usize).min(MAP_SIDE);
            let to = ((pair[1] - 0.5).ceil().max(0.0) as usize).min(MAP_SIDE);
            if from < to {
                row[from..to].fill(1.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eye(center: [f32; 2]) -> Vec<[f32; 2]> {
        let mut points = vec![[0.5, 0.5]; 468];
        for (k, &i) in LEFT_EYE.iter().enumerate() {
            let turn = k as f32 / LEFT_EYE.len() as f32 * std::f32::consts::TAU;
            points[i] = [center[0] + 0.1 * turn.cos(), center[1] + 0.1 * turn.sin()];
        }
        points
    }

    fn area(map: &[f32], channel: usize) -> f32 {
        map[channel * MAP_SIDE * MAP_SIDE..][..MAP_SIDE * MAP_SIDE]
            .iter()
            .sum()
    }

    #[test]
    fn an_outline_fills_its_area_where_it_lies() {
        let map = mesh_map(&eye([0.7, 0.4]), false);
        // A 16-gon in a circle of 12.8 pixels.
        let expected = 8.0 * (std::f32::consts::TAU / 16.0).sin() * 12.8 * 12.8;
        assert!((area(&map, 2) - expected).abs() < 12.0, "{}", area(&map, 2));
        assert_eq!(area(&map, 3), 0.0);
        let at = |x: usize, y: usize| map[(2 * MAP_SIDE + y) * MAP_SIDE + x];
        assert_eq!((at(89, 51), at(70, 51)), (1.0, 0.0));
    }

    #[test]
    fn the_mirror_image_exchanges_sides_and_reflects() {
        let points = eye([0.7, 0.4]);
        let both = both_maps(&points, &Device::Cpu).unwrap();
        let (upright, mirrored) = (both.get(0).unwrap(), both.get(1).unwrap());
        let left = upright.get(2).unwrap().to_vec2::<f32>().unwrap();
        let right = mirrored.get(3).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(left[51][89], 1.0);
        assert_eq!(right[51][MAP_SIDE - 1 - 89], 1.0);
        assert_eq!(
            mirrored
                .get(2)
                .unwrap()
                .sum_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap(),
            0.0
        );
    }

    #[test]
    fn no_landmarks_and_wild_ones_do_no_harm() {
        assert_eq!(mesh_map(&[], false).iter().sum::<f32>(), 0.0);
        let wild = vec![[f32::NAN, 1e30]; 468];
        assert_eq!(mesh_map(&wild, true).iter().sum::<f32>(), 0.0);
    }
}
