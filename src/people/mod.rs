//! Where people are in a photo: detectors and landmark networks shared by the areas.
pub mod face_detector;
pub mod face_landmarks;
pub mod face_mesh;
mod face_mesh_regions;
mod face_search;
pub mod find_faces;
pub mod movenet;
pub mod multipose;
pub mod tfjs;

#[cfg(test)]
mod test_support;
