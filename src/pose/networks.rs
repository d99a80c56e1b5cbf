//! The networks of whole-body pose, loaded together.

use anyhow::Result;
use candle_core::Device;
use candle_nn::VarBuilder;

use super::grouping::Grouper;
use super::region_head::RegionHead;
use crate::people::blaze_pose::BlazePose;
use crate::people::face_detector::FaceDetector;
use crate::people::face_mesh::FaceMesh;
use crate::people::hand_landmarks::HandLandmarks;
use crate::people::multipose::MultiPose;
use crate::people::palm_detector::PalmDetector;
use crate::people::thunder::Thunder;
use crate::weights::Store;

/// All of them, on the CPU.
pub struct Networks {
    /// People of a whole photo.
    pub multipose: MultiPose,
    /// Which of its keypoint candidates are one person.
    pub grouper: Grouper,
    /// 17 joints of one person.
    pub thunder: Thunder,
    /// Where face and hands of that person are; none while the head is being trained.
    pub regions: Option<RegionHead>,
    /// Feet, and which way hands point.
    pub blaze_pose: BlazePose,
    pub face_detector: FaceDetector,
    pub face_mesh: FaceMesh,
    pub palm_detector: PalmDetector,
    pub hand_landmarks: HandLandmarks,
}

impl Networks {
    /// Loads them from the folders of `store`.
    ///
    /// # Errors
    /// When a weight file is missing, damaged or made for another network.
    pub fn load(store: &Store) -> Result<Self> {
        Ok(Self {
            regions: Some(load(store, "zoom_regions", RegionHead::load)?),
            ..Self::load_without_regions(store)?
        })
    }

    /// Those that the region head is trained with.
    ///
    /// # Errors
    /// As [`Networks::load`].
    pub fn load_without_regions(store: &Store) -> Result<Self> {
        Ok(Self {
            regions: None,
            multipose: load(store, "multipose", MultiPose::load)?,
            grouper: load(store, "grouping", Grouper::load)?,
            thunder: load(store, "movenet_thunder", Thunder::load)?,
            blaze_pose: load(store, "blaze_pose", BlazePose::load)?,
            face_detector: load(store, "face_detector", FaceDetector::load)?,
            face_mesh: load(store, "face_mesh", FaceMesh::load)?,
            palm_detector: load(store, "palm_detector", PalmDetector::load)?,
            hand_landmarks: load(store, "hand_landmarks", HandLandmarks::load)?,
        })
    }
}

fn load<M>(
    store: &Store,
    name: &str,
    build: fn(VarBuilder<'static>) -> candle_core::Result<M>,
) -> Result<M> {
    Ok(store.open(name, &Device::Cpu)?.load(build)?)
}
