//! The networks of face editing, loaded from the weights folder.

use anyhow::{Result, anyhow};
use candle_core::Device;

use super::Face;
use crate::face::align;
use crate::face::generator::Generator;
use crate::face::parser::Parser;
use crate::people::face_detector::FaceDetector;
use crate::people::face_mesh::FaceMesh;
use crate::people::find_faces;
use crate::raster::Rgb;
use crate::weights::{Store, WeightsError};

/// All networks of face editing.
pub struct FaceModels {
    pub detector: FaceDetector,
    pub mesh: FaceMesh,
    pub parser: Parser,
    /// Parsing works without it, so its absence is an error only when something is to be rendered.
    generator: Result<Generator, WeightsError>,
    /// What parser and generator run on.
    device: Device,
}

impl FaceModels {
    /// Reads the weights `face_detector`, `face_mesh`, `face_parser` and `face_generator`.
    ///
    /// # Errors
    /// When one of the first three is missing, damaged or does not fit.
    pub fn load(store: &Store, device: &Device) -> Result<Self> {
        // Finding faces is many small convolutions, which the CPU does best.
        let cpu = Device::Cpu;
        Ok(Self {
            detector: store
                .open("face_detector", &cpu)?
                .load(FaceDetector::load)?,
            mesh: store.open("face_mesh", &cpu)?.load(FaceMesh::load)?,
            parser: Parser::open(&store.open("face_parser", device)?)?,
            generator: store
                .open("face_generator", device)
                .and_then(|checkpoint| checkpoint.load(Generator::load)),
            device: device.clone(),
        })
    }

    /// What parsing and rendering run on, within a sentence.
    pub fn device(&self) -> &'static str {
        match self.device {
            Device::Cpu => "the CPU",
            Device::Cuda(_) => "CUDA",
            Device::Metal(_) => "Metal",
        }
    }

    /// The generator.
    ///
    /// # Errors
    /// When its weights could not be loaded.
    pub fn generator(&self) -> Result<&Generator> {
        self.generator
            .as_ref()
            .map_err(|err| anyhow!("Nothing can be rendered. {err}"))
    }

    pub(super) fn find_faces(&self, photo: &Rgb, max_faces: usize) -> Result<Vec<Face>> {
        let found = find_faces::find_faces(&self.detector, &self.mesh, photo, max_faces)?;
        let face_of = |face: find_faces::FoundFace| Face {
            bbox_in_image: face.bbox_in_image,
            score: face.score,
            image_from_crop: align::crop_from_landmarks(&face.mesh.points_in_image),
            landmarks_in_image: face.mesh.points_in_image,
        };
        Ok(found.into_iter().map(face_of).collect())
    }
}
