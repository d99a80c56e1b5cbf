//! What the bottom-up way sees in a photo, kept to be looked at: MultiPose's heat maps, candidates, passes of grouping.
//!
//! The same steps as `group_people.rs`, on maps that are computed once; shown are those of the first look. Left out: heat maps of feet, face and hands,
//! which come from networks that answer with places instead of maps.

use anyhow::{Context as _, Result};

use super::candidates::Proposal;
use super::group_people::people_of_groups;
use super::grouping::{Grouper, Grouping, MAX_CANDIDATES};
use super::keypoints::{BODY_KEYPOINTS, Person};
use super::looks::{self, Look};
use crate::people::movenet::STRIDE_PX;
use crate::people::multipose::{MultiPose, View};
use crate::raster::{Grid, Rgb};

/// The place of the heat map of people's centres, after those of the joints.
pub const CENTRES: usize = BODY_KEYPOINTS;

/// What was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Inside {
    /// Probabilities of each joint in COCO's order, then of a person's centre.
    pub heat: Vec<Grid<f32>>,
    /// Rows of the map from photo pixels to cells of `heat`, whose middles are at +0.5.
    pub grid_from_image: [[f32; 3]; 3],
    /// Candidates and centres.
    pub proposal: Proposal,
    /// Every pass, and the groups that are left.
    pub grouping: Grouping,
    /// In photo pixels, best first; the body alone is known.
    pub people: Vec<Person>,
}

/// Looks at a photo whose longer side becomes `side_px` pixels.
///
/// # Errors
/// When the photo has no pixels.
pub fn look_inside(
    multipose: &MultiPose,
    grouper: &Grouper,
    photo: &Rgb,
    side_px: usize,
) -> Result<Inside> {
    let looks = Look::all(multipose, photo, side_px)?;
    let mut proposal = looks::proposal(&looks).context("There is nothing to look at")?;
    let (planes, view) = looks
        .first()
        .map(|look| (&look.planes, &look.view))
        .context("There is nothing to look at")?;
    proposal.limit(MAX_CANDIDATES);
    let grouping = grouper.group(&proposal)?;
    let people = people_of_groups(&proposal, &grouping);
    let cells = planes.h * planes.w;
    // What fills the view up beside the photo shows nothing.
    let seen = [view.content.0, view.content.1].map(|px| px.div_ceil(STRIDE_PX));
    let cut = |plane: &[f32]| -> Result<Grid<f32>> {
        let (w, h) = (seen[0].min(planes.w), seen[1].min(planes.h));
        let rows = plane.chunks_exact(planes.w.max(1)).take(h);
        let data = rows.flat_map(|row| row.iter().take(w).copied()).collect();
        Grid::from_vec(w, h, data)
    };
    let mut heat = Vec::with_capacity(BODY_KEYPOINTS + 1);
    for plane in planes.heat.chunks_exact(cells.max(1)) {
        heat.push(cut(plane)?);
    }
    heat.push(cut(&planes.center)?);
    Ok(Inside {
        heat,
        grid_from_image: grid_from_image(view),
        proposal,
        grouping,
        people,
    })
}

/// A cell speaks of the pixel at its corner: that is where its middle is drawn.
fn grid_from_image(view: &View) -> [[f32; 3]; 3] {
    let scale = (1.0 / (view.image_from_view.scale() * STRIDE_PX as f64)) as f32;
    [[scale, 0.0, 0.5], [0.0, scale, 0.5], [0.0, 0.0, 1.0]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Store;

    #[test]
    fn the_noses_of_two_people_are_hot_where_they_are_in_the_picture() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let store = Store::at(root.join("weights"));
        let device = candle_core::Device::Cpu;
        let multipose = store.open("multipose", &device).unwrap();
        let multipose = multipose.load(MultiPose::load).unwrap();
        let grouper = store.open("grouping", &device).unwrap();
        let grouper = grouper.load(Grouper::load).unwrap();
        let photo = crate::photo::open(&root.join("tests/data/people/multipose_a.png")).unwrap();
        let inside = look_inside(&multipose, &grouper, &photo.rgb, 192).unwrap();
        assert_eq!(inside.heat.len(), CENTRES + 1);
        let noses = &inside.heat[0];
        let scale = photo.rgb.width.max(photo.rgb.height) as f32 / 192.0;
        // Read off the picture, at 192 pixels.
        for nose in [[57.0, 30.0], [170.0, 30.0]] {
            let cell = [0, 1].map(|k| {
                let row = inside.grid_from_image[k];
                row[k] * nose[k] * scale + row[2]
            });
            let near = |x: usize, y: usize| {
                (x as f32 + 0.5 - cell[0]).abs() < 2.0 && (y as f32 + 0.5 - cell[1]).abs() < 2.0
            };
            let all = (0..noses.height).flat_map(|y| (0..noses.width).map(move |x| (x, y)));
            let hottest = all.filter(|(x, y)| near(*x, *y));
            let hottest = hottest.filter_map(|(x, y)| noses.get(x, y)).copied();
            assert!(hottest.fold(0.0, f32::max) > 0.3);
        }
        assert!(!inside.grouping.passes.is_empty());
        assert!(inside.people.len() >= 2);
    }
}
