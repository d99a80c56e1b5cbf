//! `vitruvian weights`: what is there, conversion, and whether it fits.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use serde::Serialize;

use super::{for_each_file, output_paths};
use crate::cli::WeightsCommand;
use crate::face::dense_mapping::DenseMapping;
use crate::face::generator::Generator;
use crate::face::parser::Parser;
use crate::face::parser::plain::{Plain, PlainConfig};
use crate::lab::resnet::ResNet50;
use crate::motion::dscmp::{Dscmp, DscmpConfig};
use crate::nn::norms::NormKind;
use crate::people::blaze_pose::BlazePose;
use crate::people::face_detector::FaceDetector;
use crate::people::face_mesh::FaceMesh;
use crate::people::hand_landmarks::HandLandmarks;
use crate::people::multipose::MultiPose;
use crate::people::palm_detector::PalmDetector;
use crate::people::tfjs;
use crate::people::thunder::Thunder;
use crate::pose::grouping::Grouper;
use crate::pose::region_head::RegionHead;
use crate::weights::{self, Checkpoint, Report, Store, WeightsError};

/// Builds a network only to see whether the weights fit.
type Build = fn(VarBuilder<'static>) -> candle_core::Result<()>;

/// The networks whose weights ship, by the name of the file.
const SHIPPED: [(&str, Build); 13] = [
    ("face_detector", |vb| FaceDetector::load(vb).map(drop)),
    ("face_mesh", |vb| FaceMesh::load(vb).map(drop)),
    ("face_parser", |vb| Parser::load(vb).map(drop)),
    ("face_generator", |vb| Generator::load(vb).map(drop)),
    ("multipose", |vb| MultiPose::load(vb).map(drop)),
    ("motion", |vb| {
        Dscmp::load(&DscmpConfig::default(), vb).map(drop)
    }),
    ("motion_sdd", |vb| {
        Dscmp::load(&DscmpConfig::default(), vb).map(drop)
    }),
    ("grouping", |vb| Grouper::load(vb).map(drop)),
    ("movenet_thunder", |vb| Thunder::load(vb).map(drop)),
    ("blaze_pose", |vb| BlazePose::load(vb).map(drop)),
    ("palm_detector", |vb| PalmDetector::load(vb).map(drop)),
    ("zoom_regions", |vb| RegionHead::load(vb).map(drop)),
    ("hand_landmarks", |vb| HandLandmarks::load(vb).map(drop)),
];

const IMAGENET_CLASSES: usize = 1000;

/// Networks for weights that users bring.
const OTHERS: [(&str, Build); 4] = [
    ("dense_mapping", |vb| DenseMapping::load(vb).map(drop)),
    ("plain_parser", |vb| {
        Plain::new(&PlainConfig::default(), vb).map(drop)
    }),
    ("resnet50_sn", |vb| {
        ResNet50::new(NormKind::Switch, IMAGENET_CLASSES, vb).map(drop)
    }),
    ("resnet50_ssn", |vb| {
        ResNet50::new(NormKind::SparseSwitch, IMAGENET_CLASSES, vb).map(drop)
    }),
];

pub fn run(command: WeightsCommand) -> Result<()> {
    match command {
        WeightsCommand::List { json } => list(json),
        WeightsCommand::Import { files, output, f32 } => import(&files, &output, f32),
        WeightsCommand::Check {
            files,
            network,
            json,
        } => check(files, network.as_deref(), json),
    }
}

#[derive(Serialize)]
struct Listed {
    name: String,
    parameters: usize,
    tensors: usize,
    bytes: u64,
    notes: BTreeMap<String, String>,
    #[serde(skip)]
    path: PathBuf,
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (millions, megabytes) = (self.parameters as f64 / 1e6, self.bytes as f64 / 1e6);
        write!(
            f,
            "{:<20} {millions:>7.2} M parameters {megabytes:>8.2} MB  {}",
            self.name,
            self.path.display()
        )?;
        self.notes
            .iter()
            .try_for_each(|(key, note)| write!(f, "\n    {key}: {note}"))
    }
}

fn list(json: bool) -> Result<()> {
    let store = Store::find();
    let files = store.files();
    if files.is_empty() {
        let folders: Vec<String> = store
            .folders()
            .iter()
            .map(|f| f.display().to_string())
            .collect();
        bail!("No weights found. Looked in {}", folders.join(", "));
    }
    for_each_file(&files, json, |_, path| {
        let checkpoint = Checkpoint::open(path, &Device::Cpu)?;
        Ok(Listed {
            name: stem(path),
            parameters: checkpoint.tensors().values().map(Tensor::elem_count).sum(),
            tensors: checkpoint.tensors().len(),
            bytes: std::fs::metadata(path)
                .map(|meta| meta.len())
                .unwrap_or_default(),
            notes: checkpoint.metadata(),
            path: path.to_path_buf(),
        })
    })
}

#[derive(Serialize)]
struct Imported {
    output: PathBuf,
    tensors: usize,
    parameters: usize,
    network: Option<String>,
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let network = self
            .network
            .as_ref()
            .map(|name| format!(" for {name}"))
            .unwrap_or_default();
        let (tensors, parameters) = (self.tensors, self.parameters);
        write!(
            f,
            "{tensors} tensors, {parameters} parameters{network}: {}",
            self.output.display()
        )
    }
}

fn import(files: &[PathBuf], output: &Path, is_f32: bool) -> Result<()> {
    let outputs = output_paths(files, output, "safetensors")?;
    for_each_file(files, false, |index, path| {
        let output = outputs.get(index).context("No place to write to")?;
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            ensure!(!is_f32, "tfjs weights are always written with 16 bits");
            let report = tfjs::import(path, output)?;
            return Ok(Imported {
                output: output.clone(),
                tensors: report.tensors,
                parameters: report.parameters,
                network: report.network,
            });
        }
        let checkpoint = Checkpoint::open(path, &Device::Cpu)?;
        let mut notes = checkpoint.metadata();
        notes
            .entry("source".to_string())
            .or_insert_with(|| stem(path));
        let dtype = if is_f32 { DType::F32 } else { DType::F16 };
        weights::save(output, checkpoint.tensors(), &notes, dtype)?;
        Ok(Imported {
            output: output.clone(),
            tensors: checkpoint.tensors().len(),
            parameters: checkpoint.tensors().values().map(Tensor::elem_count).sum(),
            network: None,
        })
    })
}

#[derive(Serialize)]
struct Checked {
    network: String,
    #[serde(flatten)]
    report: Report,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<20} {}", self.network, self.report)
    }
}

fn check(mut files: Vec<PathBuf>, network: Option<&str>, json: bool) -> Result<()> {
    let store = Store::find();
    if files.is_empty() {
        // Names, not paths: a missing file is then reported with every folder that was looked in.
        files = SHIPPED
            .iter()
            .map(|(name, _)| PathBuf::from(name))
            .collect();
        if let Some(network) = network {
            files = vec![PathBuf::from(network)];
        }
    }
    for_each_file(&files, json, |_, path| {
        let name = network.map_or_else(|| stem(path), str::to_string);
        let known = SHIPPED
            .iter()
            .chain(&OTHERS)
            .find(|(known, _)| *known == name);
        let (_, build) = known.with_context(|| {
            let known: Vec<&str> = SHIPPED
                .iter()
                .chain(&OTHERS)
                .map(|(name, _)| *name)
                .collect();
            format!(
                "There is no network {name}. Say which it is with --network; there are {}",
                known.join(", ")
            )
        })?;
        let checkpoint = match path.components().count() {
            1 if path.extension().is_none() && !path.exists() => {
                store.open(&stem(path), &Device::Cpu)?
            }
            _ => Checkpoint::open(path, &Device::Cpu)?,
        };
        match checkpoint.load(build) {
            Ok(()) => Ok(Checked {
                network: name,
                report: checkpoint.report(),
            }),
            Err(WeightsError::Unfit { report, .. }) => {
                bail!("The weights do not fit {name}: {report}")
            }
            Err(error) => Err(error.into()),
        }
    })
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
