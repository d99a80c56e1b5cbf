//! Whole-body pose: the 133 keypoints of everyone in a photo.
pub mod annotation_export;
pub mod annotations;
pub mod body;
pub mod candidates;
pub mod compare;
pub mod draw;
pub mod estimate;
pub mod face_region;
pub mod figure;
pub mod group_people;
pub mod grouping;
pub mod grouping_compare;
mod grouping_cutouts;
mod grouping_geometry;
mod grouping_photos;
mod grouping_scenes;
#[cfg(test)]
mod grouping_tests_support;
pub mod hand_region;
pub mod inside;
pub mod keypoints;
pub mod metrics;
pub mod networks;
pub mod toes;
pub mod train_grouping;
pub mod zoomnet;
