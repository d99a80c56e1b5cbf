//! Weight files: where they are, what is in them, and whether they fit a model.
//!
//! A model asks a [`VarBuilder`] for its tensors by PyTorch's names. candle's own `VarMap` makes up a random tensor for
//! a name that is not in the file, so a misspelt name goes unnoticed; the builder made here never does, and the
//! checkpoint keeps a list of what was asked for, from which comes the [`Report`].
//!
//! Reads `.safetensors` and, through [`crate::legacy_pth`], `.pth`. Nothing is downloaded.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::safetensors::Load as _;
use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::VarBuilder;
use candle_nn::var_builder::SimpleBackend;
use safetensors::SafeTensors;

use crate::legacy_pth;

mod device;

pub use device::DeviceKind;

/// MaskGAN's generator, the largest file of this field, has 0.36 GB.
const MAX_FILE_BYTES: u64 = 4 << 30;
/// The header of a file with 10,000 tensors has about 1 MB.
const MAX_HEADER_BYTES: u64 = 16 << 20;
/// Names listed in a message before it says how many more there are.
const NAMES_SHOWN: usize = 5;

/// Why weights could not be had. The path comes last in every message.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    #[error(
        "No weights named {name}. Looked for {name}.safetensors and {name}.pth in {}",
        list_paths(folders)
    )]
    Missing { name: String, folders: Vec<PathBuf> },
    #[error("Failed to {action} the weights ({source}): {}", path.display())]
    File {
        action: &'static str,
        source: std::io::Error,
        path: PathBuf,
    },
    #[error("The weights are unreadable ({reason}): {}", path.display())]
    Unreadable { reason: String, path: PathBuf },
    #[error("The weights do not fit the model ({report}): {}", path.display())]
    Unfit { report: Report, path: PathBuf },
    #[error("Failed to build the model ({source}): {}", path.display())]
    Model {
        source: candle_core::Error,
        path: PathBuf,
    },
}

fn list_paths(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
    paths.join(", ")
}

/// The folders that weights are looked for in, nearest first.
#[derive(Clone, Debug)]
pub struct Store {
    folders: Vec<PathBuf>,
}

impl Store {
    /// `$VITRUVIAN_WEIGHTS` alone if it is set; else `weights` here, beside the program, and in the source tree.
    pub fn find() -> Self {
        if let Some(folder) = std::env::var_os("VITRUVIAN_WEIGHTS") {
            return Self::at(folder);
        }
        let mut folders = vec![PathBuf::from("weights")];
        let program = std::env::current_exe().ok();
        folders.extend(program.and_then(|path| Some(path.parent()?.join("weights"))));
        folders.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("weights"));
        Self { folders }
    }

    /// One folder, whether it exists or not.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self {
            folders: vec![folder.into()],
        }
    }

    /// Every folder that is looked in, nearest first.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Every weight file, sorted by name; of two with the same name the one that [`Store::open`] would take.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = BTreeMap::new();
        for folder in &self.folders {
            for extension in EXTENSIONS {
                let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
                for path in entries.map(|entry| entry.path()) {
                    if path.extension().is_some_and(|e| e == extension) {
                        files
                            .entry(path.file_stem().map(ToOwned::to_owned))
                            .or_insert(path);
                    }
                }
            }
        }
        files.into_values().collect()
    }

    /// Opens the weights called `name` (a file name without its extension).
    ///
    /// # Errors
    /// No such file, or [`Checkpoint::open`]'s.
    pub fn open(&self, name: &str, device: &Device) -> Result<Checkpoint, WeightsError> {
        for folder in &self.folders {
            for extension in EXTENSIONS {
                let path = folder.join(format!("{name}.{extension}"));
                if path.exists() {
                    return Checkpoint::open(&path, device);
                }
            }
        }
        Err(WeightsError::Missing {
            name: name.to_string(),
            folders: self.folders.clone(),
        })
    }
}

const EXTENSIONS: [&str; 2] = ["safetensors", "pth"];

/// An open weight file and the record of what a model asked it for.
pub struct Checkpoint {
    path: PathBuf,
    metadata: BTreeMap<String, String>,
    contents: Arc<Contents>,
    device: Device,
}

impl Checkpoint {
    /// Reads a `.safetensors` or PyTorch file, told apart by content, not by name. The tensors go to `device`.
    ///
    /// # Errors
    /// [`WeightsError::File`] if it cannot be read, [`WeightsError::Unreadable`] if it is damaged or something else.
    pub fn open(path: &Path, device: &Device) -> Result<Self, WeightsError> {
        let bytes = read_bounded(path)?;
        let parsed = if legacy_pth::looks_like_pth(&bytes) {
            parse_pth(&bytes, device)
        } else {
            parse_safetensors(&bytes, device)
        };
        let (tensors, metadata) = parsed.map_err(|reason| WeightsError::Unreadable {
            reason,
            path: path.to_path_buf(),
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            metadata,
            contents: Arc::new(Contents {
                tensors,
                asked: Mutex::default(),
            }),
            device: device.clone(),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes that were saved with the weights: what they are for, how they were trained.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        self.metadata.clone()
    }

    /// Every tensor by name, in the type it was saved in.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.contents.tensors
    }

    /// Hands out the tensors as f32. A name that is not in the file or has another shape is an error.
    pub fn var_builder(&self) -> VarBuilder<'static> {
        self.builder(false)
    }

    /// Builds a model and makes sure that the weights fit it. Better than [`Checkpoint::var_builder`] alone: the error
    /// lists everything that is wrong, not the first name only. Tensors that the model has no use for are no error.
    ///
    /// # Errors
    /// [`WeightsError::Unfit`], or [`WeightsError::Model`] if building failed for another reason.
    pub fn load<M>(
        &self,
        build: impl FnOnce(VarBuilder<'static>) -> candle_core::Result<M>,
    ) -> Result<M, WeightsError> {
        let model = build(self.builder(true));
        let report = self.report();
        if !report.fits() {
            return Err(WeightsError::Unfit {
                report,
                path: self.path.clone(),
            });
        }
        model.map_err(|source| WeightsError::Model {
            source,
            path: self.path.clone(),
        })
    }

    /// What is missing, unused and mis-shaped, after a model has asked for its tensors.
    pub fn report(&self) -> Report {
        let asked = self.contents.asked();
        let mut report = Report::default();
        for (name, expected) in asked.iter() {
            match (self.contents.tensors.get(name), expected) {
                (None, _) => report.missing.push(name.clone()),
                (Some(tensor), Some(expected)) if tensor.dims() != expected => {
                    report.mis_shaped.push(MisShaped {
                        name: name.clone(),
                        expected: expected.clone(),
                        found: tensor.dims().to_vec(),
                    });
                }
                (Some(_), _) => {}
            }
        }
        let unused = self
            .contents
            .tensors
            .keys()
            .filter(|name| !asked.contains_key(*name));
        report.unused = unused.cloned().collect();
        report
    }

    fn builder(&self, goes_on: bool) -> VarBuilder<'static> {
        let backend = Recorder {
            contents: Arc::clone(&self.contents),
            goes_on,
        };
        VarBuilder::from_backend(Box::new(backend), DType::F32, self.device.clone())
    }
}

/// How a file's tensors compare with what a model asked for. All lists are sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    pub missing: Vec<String>,
    pub unused: Vec<String>,
    pub mis_shaped: Vec<MisShaped>,
}

/// A tensor whose shape is not the one the model wants.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MisShaped {
    pub name: String,
    pub expected: Vec<usize>,
    pub found: Vec<usize>,
}

impl Report {
    /// Whether the model got everything it asked for. Unused tensors do not matter.
    pub fn fits(&self) -> bool {
        self.missing.is_empty() && self.mis_shaped.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mis_shaped: Vec<String> = self.mis_shaped.iter().map(ToString::to_string).collect();
        let parts = [
            ("missing", self.missing.as_slice()),
            ("of another shape", mis_shaped.as_slice()),
            ("unused", self.unused.as_slice()),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| {
                let shown: Vec<&str> = names.iter().map(String::as_str).take(NAMES_SHOWN).collect();
                let more = if names.len() > NAMES_SHOWN {
                    ", …"
                } else {
                    ""
                };
                format!("{} {what}: {}{more}", names.len(), shown.join(", "))
            })
            .collect();
        match parts.is_empty() {
            true => f.write_str("all tensors fit"),
            false => f.write_str(&parts.join("; ")),
        }
    }
}

impl fmt::Display for MisShaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is {:?} and not {:?}",
            self.name, self.found, self.expected
        )
    }
}

/// Writes tensors as `.safetensors` in the type `dtype` (f16 for files that ship), by way of a temporary file: an
/// interrupted or failed write leaves what was there before.
///
/// # Errors
/// [`WeightsError::File`], for example on a full disk.
pub fn save(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    metadata: &BTreeMap<String, String>,
    dtype: DType,
) -> Result<(), WeightsError> {
    let bytes = serialize(tensors, metadata, dtype).map_err(|source| WeightsError::Model {
        source,
        path: path.to_path_buf(),
    })?;
    let temporary = path.with_extension("safetensors.tmp");
    let written =
        std::fs::write(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|source| {
        std::fs::remove_file(&temporary).ok(); // the first error is the one to tell
        WeightsError::File {
            action: "write",
            source,
            path: path.to_path_buf(),
        }
    })
}

/// The bytes of a `.safetensors` file. Not the library's own writer: that one orders the notes at random, and the same
/// weights should give the same file.
fn serialize(
    tensors: &BTreeMap<String, Tensor>,
    metadata: &BTreeMap<String, String>,
    dtype: DType,
) -> candle_core::Result<Vec<u8>> {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_string(), serde_json::json!(metadata));
    let mut data = Vec::new();
    for (name, tensor) in tensors {
        let tensor = in_range(tensor, dtype).map_err(|err| err.context(name.clone()))?;
        let start = data.len();
        data.extend_from_slice(&safetensors::View::data(&&tensor));
        let entry = serde_json::json!({
            "dtype": safetensors::View::dtype(&&tensor),
            "shape": tensor.dims(),
            "data_offsets": [start, data.len()],
        });
        header.insert(name.clone(), entry);
    }
    let mut header = serde_json::Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' '); // numbers start at a multiple of their size
    let mut bytes = header.len().to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(data);
    Ok(bytes)
}

/// `tensor` as `dtype`, unless a number becomes infinite or was none before.
fn in_range(tensor: &Tensor, dtype: DType) -> candle_core::Result<Tensor> {
    let converted = tensor.to_dtype(dtype)?.contiguous()?;
    let sum = converted.to_dtype(DType::F64)?.sum_all()?;
    if sum.to_scalar::<f64>()?.is_finite() {
        Ok(converted)
    } else {
        candle_core::bail!("a value is not finite in {dtype:?}")
    }
}

struct Contents {
    tensors: BTreeMap<String, Tensor>,
    /// Names asked for, with the shape if the model said one.
    asked: Mutex<BTreeMap<String, Option<Vec<usize>>>>,
}

impl Contents {
    fn asked(&self) -> MutexGuard<'_, BTreeMap<String, Option<Vec<usize>>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives out tensors and writes down what it was asked for.
struct Recorder {
    contents: Arc<Contents>,
    /// Zeros in place of what is missing, so that one pass finds every fault. Only [`Checkpoint::load`] does this, and
    /// it throws such a model away.
    goes_on: bool,
}

impl SimpleBackend for Recorder {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: candle_nn::Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let expected = Some(shape.dims().to_vec());
        self.contents.asked().insert(name.to_string(), expected);
        match self.contents.tensors.get(name) {
            Some(tensor) if tensor.shape() == &shape => tensor.to_device(device)?.to_dtype(dtype),
            _ if self.goes_on => Tensor::zeros(shape, dtype, device),
            Some(tensor) => Err(candle_core::Error::UnexpectedShape {
                msg: format!("the shape of {name} differs"),
                expected: shape,
                got: tensor.shape().clone(),
            }),
            None => Err(cannot_find(name)),
        }
    }

    fn get_unchecked(
        &self,
        name: &str,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        self.contents
            .asked()
            .entry(name.to_string())
            .or_insert(None);
        let tensor = self.contents.tensors.get(name);
        tensor
            .ok_or_else(|| cannot_find(name))?
            .to_device(device)?
            .to_dtype(dtype)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.contents.tensors.contains_key(name)
    }
}

fn cannot_find(name: &str) -> candle_core::Error {
    candle_core::Error::CannotFindTensor {
        path: name.to_string(),
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, WeightsError> {
    let file_error = |source| WeightsError::File {
        action: "read",
        source,
        path: path.to_path_buf(),
    };
    let file = std::fs::File::open(path).map_err(file_error)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(file_error)?;
    match u64::try_from(bytes.len()) {
        Ok(len) if len <= MAX_FILE_BYTES => Ok(bytes),
        _ => Err(WeightsError::Unreadable {
            reason: "the file is larger than 4 GiB".to_string(),
            path: path.to_path_buf(),
        }),
    }
}

type Parsed = (BTreeMap<String, Tensor>, BTreeMap<String, String>);

fn parse_pth(bytes: &[u8], device: &Device) -> Result<Parsed, String> {
    let mut tensors = legacy_pth::read(bytes).map_err(|err| format!("{err:#}"))?;
    for tensor in tensors.values_mut() {
        *tensor = tensor.to_device(device).map_err(|err| err.to_string())?;
    }
    Ok((tensors, BTreeMap::new()))
}

fn parse_safetensors(bytes: &[u8], device: &Device) -> Result<Parsed, String> {
    let (size, rest) = bytes
        .split_first_chunk()
        .ok_or("the file is shorter than a header")?;
    let header_bytes = u64::from_le_bytes(*size);
    // A file of another kind has letters where the size should be, which makes an enormous number.
    if header_bytes > MAX_HEADER_BYTES || rest.first() != Some(&b'{') {
        return Err("it is neither a safetensors nor a PyTorch file".to_string());
    }
    if !usize::try_from(header_bytes).is_ok_and(|size| size <= rest.len()) {
        return Err("the file ends within its header".to_string());
    }
    let file = SafeTensors::deserialize(bytes).map_err(explain)?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(explain)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let tensor = view
            .load(device)
            .map_err(|err| format!("tensor {name}: {err}"))?;
        tensors.insert(name, tensor);
    }
    let metadata = header.metadata().clone().unwrap_or_default();
    Ok((tensors, metadata.into_iter().collect()))
}

/// The library's errors in words; most of them come from a file that was cut short.
fn explain(error: safetensors::SafeTensorError) -> String {
    use safetensors::SafeTensorError as E;
    match error {
        E::MetadataIncompleteBuffer => {
            "the file is truncated or has bytes that belong to no tensor".to_string()
        }
        E::InvalidOffset(name) => format!("tensor {name} lies outside the file or overlaps"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
