//! Reads TensorFlow.js graph models (`model.json` with its `.bin` shards) and writes their weights as safetensors.
//!
//! Only weights are taken, not the graph: each network of ours is written by hand in its own file, which also names
//! the layers it wants (`tfjs_layers`). The graph serves to tell which bias and which PReLU slope belong to which
//! convolution. Layouts become PyTorch's: convolution [O, I, kh, kw], depthwise [C, 1, kh, kw], linear [O, I], transposed
//! convolution [I, O, kh, kw] with the factors of the batch norm after it multiplied in.
//!
//! Format: the `weightsManifest` lists name, shape, dtype and quantisation of every tensor; the shards of a group,
//! joined, hold the raw little-endian values in that order. Left out: string and complex tensors, control flow. Files
//! come from anywhere, so every size is checked before it is believed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{
    blaze_pose, face_detector, face_mesh, hand_landmarks, multipose, palm_detector, thunder,
};

/// Largest `model.json` that is read.
const MAX_JSON_BYTES: u64 = 64 << 20;
/// Largest sum of the shards that is read.
const MAX_BIN_BYTES: u64 = 1 << 30;
const MAX_TENSORS: usize = 20_000;
const MAX_NODES: usize = 100_000;
const MAX_RANK: usize = 6;

/// What [`import`] did.
#[derive(Clone, Debug, Serialize)]
pub struct ImportReport {
    /// The network of ours that these weights are for; `None` when it is not one of them.
    pub network: Option<String>,
    /// Tensors written.
    pub tensors: usize,
    /// Values in them.
    pub parameters: usize,
    /// Layers of the source that our network does not use and that were left out.
    pub left_out: Vec<String>,
    /// Size of the file written.
    pub bytes: usize,
}

/// Converts the tfjs model at `json_path` (its shards lie beside it) to a 16-bit safetensors file at `out_path`.
///
/// A network that Vitruvian has gets our layer names and only the layers we use. Of any other one, every layer is
/// written under the name the source gives it.
///
/// # Errors
/// When a file cannot be read or written, is not a tfjs graph model, disagrees with its own sizes, or holds a value
/// that 16-bit floats cannot.
pub fn import(json_path: &Path, out_path: &Path) -> Result<ImportReport> {
    let model = Model::read(json_path)?;
    let layers = model.layers()?;
    let found: HashSet<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
    let known = [
        ("face_detector", face_detector::tfjs_layers()),
        ("face_mesh", face_mesh::tfjs_layers()),
        ("multipose", multipose::tfjs_layers()),
        // Thunder's layers are among MultiPose's, so it comes after.
        ("movenet_thunder", thunder::tfjs_layers()),
        ("blaze_pose", blaze_pose::tfjs_layers()),
        ("palm_detector", palm_detector::tfjs_layers()),
        ("hand_landmarks", hand_landmarks::tfjs_layers()),
    ];
    let known = known.into_iter().find(|(_, names)| {
        names
            .iter()
            .all(|(theirs, _)| found.contains(theirs.as_str()))
    });
    let (network, names) = match known {
        Some((network, names)) => (
            Some(network.to_owned()),
            names.into_iter().collect::<HashMap<_, _>>(),
        ),
        None => (
            None,
            found
                .iter()
                .map(|name| (name.to_string(), name.to_string()))
                .collect(),
        ),
    };

    let mut tensors: BTreeMap<String, Tensor> = BTreeMap::new();
    let mut left_out = Vec::new();
    for layer in &layers {
        let Some(name) = names.get(&layer.name) else {
            left_out.push(layer.name.clone());
            continue;
        };
        for (part, tensor) in layer.tensors(&model)? {
            let half =
                to_f16(&tensor).with_context(|| format!("Failed to convert {name}.{part}"))?;
            let clash = tensors.insert(format!("{name}.{part}"), half);
            ensure!(clash.is_none(), "two layers are called {name}");
        }
    }
    ensure!(
        !tensors.is_empty(),
        "{} has no layers with weights",
        json_path.display()
    );
    let parameters = tensors.values().map(Tensor::elem_count).sum();
    // One key only: the header's map has no fixed order, and the same input must give the same file.
    let about = HashMap::from([("source".to_owned(), model.source.clone())]);
    let bytes =
        safetensors::serialize(&tensors, Some(about)).context("Failed to encode the weights")?;
    write_whole(out_path, &bytes)?;
    Ok(ImportReport {
        network,
        tensors: tensors.len(),
        parameters,
        left_out,
        bytes: bytes.len(),
    })
}

/// Writes beside the target first, so that a full disk leaves no half file under the right name.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let part = path.with_extension("part");
    let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, path));
    if written.is_err() && part.exists() {
        fs::remove_file(&part).with_context(|| format!("Failed to remove {}", part.display()))?;
    }
    written.with_context(|| format!("Failed to write {}", path.display()))
}

fn to_f16(tensor: &Tensor) -> Result<Tensor> {
    let largest = tensor.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
    // `max` skips NaN, a sum does not.
    let sum = tensor.sum_all()?.to_scalar::<f32>()?;
    ensure!(
        largest <= 65_504.0 && sum.is_finite(),
        "a value does not fit a 16-bit float"
    );
    Ok(tensor.to_dtype(DType::F16)?)
}

#[derive(Deserialize)]
struct ModelJson {
    format: Option<String>,
    #[serde(rename = "generatedBy")]
    generated_by: Option<String>,
    #[serde(rename = "modelTopology")]
    topology: Topology,
    #[serde(rename = "weightsManifest")]
    manifest: Vec<Group>,
}

#[derive(Deserialize)]
struct Topology {
    node: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    name: String,
    op: String,
    #[serde(default)]
    input: Vec<String>,
}

#[derive(Deserialize)]
struct Group {
    paths: Vec<String>,
    weights: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    shape: Vec<usize>,
    dtype: String,
    quantization: Option<Quantization>,
}

#[derive(Deserialize)]
struct Quantization {
    dtype: String,
    scale: Option<f64>,
    min: Option<f64>,
}

/// A graph and its float constants.
struct Model {
    source: String,
    nodes: Vec<Node>,
    /// By node name, as f32 in the source's layout.
    weights: HashMap<String, Tensor>,
}

impl Model {
    fn read(json_path: &Path) -> Result<Self> {
        let text = read_bounded(json_path, MAX_JSON_BYTES)?;
        let json: ModelJson = serde_json::from_slice(&text).with_context(|| {
            format!(
                "Failed to read {} as a tfjs graph model",
                json_path.display()
            )
        })?;
        if let Some(format) = &json.format {
            ensure!(
                format == "graph-model",
                "{format} is not supported, only graph-model is"
            );
        }
        ensure!(
            json.topology.node.len() <= MAX_NODES,
            "the graph has too many nodes"
        );
        let folder = json_path.parent().unwrap_or(Path::new(""));
        let mut weights = HashMap::new();
        for group in &json.manifest {
            let data = read_shards(folder, &group.paths)?;
            group.decode(&data, &mut weights).with_context(|| {
                format!("Failed to read the weights in {}", group.paths.join(", "))
            })?;
        }
        let stem = json_path.file_stem().unwrap_or_default().to_string_lossy();
        let by = json.generated_by.as_deref().unwrap_or("unknown");
        Ok(Self {
            source: format!("tfjs graph model {stem}, generated by {by}"),
            nodes: json.topology.node,
            weights,
        })
    }

    /// Every convolution and linear layer, in the graph's order, with the bias and PReLU slope that follow it.
    fn layers(&self) -> Result<Vec<Layer<'_>>> {
        let mut readers: HashMap<&str, Vec<&Node>> = HashMap::new();
        for node in &self.nodes {
            for input in &node.input {
                readers.entry(tensor_name(input)).or_default().push(node);
            }
        }
        let mut layers: Vec<Layer<'_>> = Vec::new();
        let mut names = HashSet::new();
        for node in &self.nodes {
            let kind = match node.op.as_str() {
                "Conv2D" | "_FusedConv2D" => Kind::Conv,
                "DepthwiseConv2dNative" | "FusedDepthwiseConv2dNative" => Kind::Depthwise,
                "MatMul" | "_FusedMatMul" => Kind::Linear,
                "Conv2DBackpropInput" => Kind::Transposed,
                _ => continue,
            };
            // A product of two computed matrices is not a layer.
            let Some(weight) = self.float_input(node, 1) else {
                continue;
            };
            let mut layer = Layer {
                name: layer_name(weight),
                kind,
                weight,
                bias: self.float_input(node, 2),
                slope: self.float_input(node, 3),
                factor: None,
            };
            self.follow(node, &readers, &mut layer);
            // A layer applied twice is written once.
            if layers.iter().any(|other| other.weight == layer.weight) {
                continue;
            }
            ensure!(
                names.insert(layer.name.clone()),
                "two layers are called {}",
                layer.name
            );
            layers.push(layer);
        }
        Ok(layers)
    }

    /// Walks from a layer through the additions after it, up to its activation.
    fn follow<'a>(
        &'a self,
        node: &'a Node,
        readers: &HashMap<&str, Vec<&'a Node>>,
        layer: &mut Layer<'a>,
    ) {
        let mut at = node;
        // Bias and shortcut are all that can stand in between; the bound also ends a cyclic graph.
        for _ in 0..4 {
            let Some([next]) = readers.get(at.name.as_str()).map(Vec::as_slice) else {
                return;
            };
            let constant = (0..next.input.len()).find_map(|i| self.float_input(next, i));
            match next.op.as_str() {
                "Add" | "AddV2" | "AddN" | "BiasAdd" => layer.bias = layer.bias.or(constant),
                "Mul" if matches!(layer.kind, Kind::Transposed) && layer.factor.is_none() => {
                    layer.factor = constant;
                }
                "Prelu" => {
                    layer.slope = constant;
                    return;
                }
                _ => return,
            }
            at = next;
        }
    }

    /// The name of the float constant that is input `index` of `node`.
    fn float_input<'a>(&'a self, node: &'a Node, index: usize) -> Option<&'a str> {
        let name = tensor_name(node.input.get(index)?);
        self.weights.contains_key(name).then_some(name)
    }

    fn weight(&self, name: &str) -> Result<&Tensor> {
        self.weights
            .get(name)
            .with_context(|| format!("{name} is missing"))
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Conv,
    Depthwise,
    Linear,
    Transposed,
}

struct Layer<'a> {
    name: String,
    kind: Kind,
    weight: &'a str,
    bias: Option<&'a str>,
    slope: Option<&'a str>,
    /// What each output channel is multiplied by before the bias is added.
    factor: Option<&'a str>,
}

impl Layer<'_> {
    /// `weight`, `bias` and `slope`, in PyTorch's layouts.
    fn tensors(&self, model: &Model) -> Result<Vec<(&'static str, Tensor)>> {
        let weight = model.weight(self.weight)?;
        let expect = |rank: usize| -> Result<()> {
            let dims = weight.dims();
            ensure!(dims.len() == rank, "{} has shape {dims:?}", self.weight);
            Ok(())
        };
        let weight = match self.kind {
            Kind::Conv => {
                expect(4)?;
                weight.permute((3, 2, 0, 1))?.contiguous()? // [kh, kw, I, O] -> [O, I, kh, kw]
            }
            Kind::Depthwise => {
                expect(4)?;
                let (kh, kw, c, m) = weight.dims4()?;
                weight.permute((2, 3, 0, 1))?.reshape((c * m, 1, kh, kw))? // [kh, kw, C, M] -> [C·M, 1, kh, kw]
            }
            Kind::Linear => {
                expect(2)?;
                weight.t()?.contiguous()? // [I, O] -> [O, I]
            }
            Kind::Transposed => {
                expect(4)?;
                let weight = weight.permute((3, 2, 0, 1))?.contiguous()?; // [kh, kw, O, I] -> [I, O, kh, kw]
                match self.factor {
                    Some(factor) => {
                        let factor = model.weight(factor)?.flatten_all()?;
                        ensure!(
                            factor.dim(0)? == weight.dim(1)?,
                            "the factors after {} do not fit it",
                            self.weight
                        );
                        weight.broadcast_mul(&factor.reshape((1, (), 1, 1))?)?
                    }
                    None => weight,
                }
            }
        };
        let mut tensors = vec![("weight", weight)];
        if let Some(bias) = self.bias {
            tensors.push(("bias", model.weight(bias)?.flatten_all()?));
        }
        if let Some(slope) = self.slope {
            tensors.push(("slope", model.weight(slope)?.flatten_all()?));
        }
        Ok(tensors)
    }
}

/// `^name` is a control input, `name:0` names an output: both mean the node `name`.
fn tensor_name(input: &str) -> &str {
    let name = input.strip_prefix('^').unwrap_or(input);
    name.split_once(':').map_or(name, |(name, _)| name)
}

/// The part of a weight's name that names its layer, with dots.
fn layer_name(weight: &str) -> String {
    const SCOPES: [&str; 2] = ["StatefulPartitionedCall", "model"];
    const ROLES: [&str; 8] = [
        "ReadVariableOp",
        "Conv2D",
        "Conv2D_weights",
        "depthwise",
        "depthwise_weights",
        "filter",
        "filter_in",
        "kernel",
    ];
    let mut parts: Vec<&str> = weight.split('/').collect();
    while parts.len() > 1 && parts.first().is_some_and(|part| SCOPES.contains(part)) {
        parts.remove(0);
    }
    while parts.len() > 1 && parts.last().is_some_and(|part| ROLES.contains(part)) {
        parts.pop();
    }
    parts.join(".")
}

impl Entry {
    /// Bytes of one value as stored.
    fn width(&self) -> Result<usize> {
        let stored = self.quantization.as_ref().map_or(&self.dtype, |q| &q.dtype);
        match stored.as_str() {
            "float32" | "int32" => Ok(4),
            "float16" | "uint16" => Ok(2),
            "uint8" | "bool" => Ok(1),
            other => bail!("{} has type {other}, which is not supported", self.name),
        }
    }

    fn values(&self) -> Result<usize> {
        ensure!(
            self.shape.len() <= MAX_RANK,
            "{} has too many dimensions",
            self.name
        );
        self.shape
            .iter()
            .try_fold(1usize, |n, &dim| n.checked_mul(dim))
            .with_context(|| format!("{} is too large: {:?}", self.name, self.shape))
    }

    /// The values as f32; `None` for integer constants, which belong to the graph.
    fn decode(&self, bytes: &[u8]) -> Result<Option<Tensor>> {
        if self.dtype != "float32" || bytes.is_empty() {
            return Ok(None);
        }
        let raw = |dtype| {
            Tensor::from_raw_buffer(bytes, dtype, &self.shape, &Device::Cpu)?.to_dtype(DType::F32)
        };
        let Some(q) = &self.quantization else {
            return Ok(Some(raw(DType::F32)?));
        };
        let steps: Vec<f64> = match q.dtype.as_str() {
            "float16" => return Ok(Some(raw(DType::F16)?)),
            "uint8" => bytes.iter().map(|&b| f64::from(b)).collect(),
            "uint16" => bytes
                .as_chunks::<2>()
                .0
                .iter()
                .map(|&pair| f64::from(u16::from_le_bytes(pair)))
                .collect(),
            other => bail!(
                "{} is quantised as {other}, which is not supported",
                self.name
            ),
        };
        let (Some(scale), Some(min)) = (q.scale, q.min) else {
            bail!("{} lacks its quantisation scale", self.name);
        };
        let values: Vec<f32> = steps
            .into_iter()
            .map(|step| (step * scale + min) as f32)
            .collect();
        Ok(Some(Tensor::from_vec(
            values,
            self.shape.as_slice(),
            &Device::Cpu,
        )?))
    }
}

impl Group {
    fn decode(&self, data: &[u8], weights: &mut HashMap<String, Tensor>) -> Result<()> {
        ensure!(self.weights.len() <= MAX_TENSORS, "too many tensors");
        let mut rest = data;
        for entry in &self.weights {
            let bytes = entry
                .values()?
                .checked_mul(entry.width()?)
                .with_context(|| format!("{} is too large", entry.name))?;
            let (mine, after) = rest
                .split_at_checked(bytes)
                .with_context(|| format!("the file ends inside {}", entry.name))?;
            rest = after;
            if let Some(tensor) = entry.decode(mine)? {
                let clash = weights.insert(entry.name.clone(), tensor);
                ensure!(clash.is_none(), "{} is there twice", entry.name);
            }
        }
        ensure!(rest.is_empty(), "{} bytes are left over", rest.len());
        Ok(())
    }
}

fn read_bounded(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    let file =
        fs::File::open(path).with_context(|| format!("Failed to open {}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(max_bytes + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("Failed to read {}", path.display()))?;
    ensure!(
        bytes.len() as u64 <= max_bytes,
        "{} is too large",
        path.display()
    );
    Ok(bytes)
}

fn read_shards(folder: &Path, paths: &[String]) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    for path in paths {
        // A manifest may name files beside it and nothing else.
        let plain = Path::new(path)
            .file_name()
            .is_some_and(|name| name == path.as_str());
        ensure!(
            plain && !path.contains('\\'),
            "the shard {path:?} is not a plain file name"
        );
        data.extend(read_bounded(
            &folder.join(path),
            MAX_BIN_BYTES - data.len() as u64,
        )?);
    }
    Ok(data)
}

#[cfg(test)]
#[path = "tfjs_tests.rs"]
mod tests;
