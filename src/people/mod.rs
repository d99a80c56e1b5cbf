//! Where people are in a photo: detectors and landmark networks shared by the areas.
pub mod blaze_pose;
mod blaze_trunk;
pub mod crop;
pub mod face_detector;
pub mod face_landmarks;
pub mod face_mesh;
mod face_mesh_regions;
mod face_search;
pub mod find_faces;
pub mod hand_landmarks;
pub mod movenet;
pub mod multipose;
pub mod palm_detector;
pub mod tfjs;
pub mod thunder;

#[cfg(test)]
mod test_support;
