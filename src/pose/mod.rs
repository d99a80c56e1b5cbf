//! Whole-body pose: the 133 keypoints of everyone in a photo.
pub mod annotations;
pub mod keypoints;
pub mod metrics;
