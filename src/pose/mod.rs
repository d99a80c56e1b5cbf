//! Whole-body pose: the 133 keypoints of everyone in a photo.
pub mod annotations;
pub mod candidates;
pub mod group_people;
pub mod grouping;
pub mod grouping_compare;
mod grouping_cutouts;
mod grouping_geometry;
mod grouping_photos;
mod grouping_scenes;
#[cfg(test)]
mod grouping_tests_support;
pub mod keypoints;
pub mod metrics;
pub mod train_grouping;
