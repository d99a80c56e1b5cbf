//! Reads PyTorch checkpoints (`.pth`, `.pt`): the tensors of a `state_dict`, by name.
//!
//! Two layouts exist. Since PyTorch 1.6 a checkpoint is a zip archive. Before that, when MaskGAN and Switchable
//! Normalization were published, it was five pickles in a row (magic number, version, machine facts, the object, the
//! list of storage keys) and then each storage as a count and its raw numbers; candle's own reader cannot open these.
//! Both are read here with one pickle reader ([`pickle`]) that never runs what a file asks for.
//!
//! Left out: the tar files of PyTorch 0.1, big-endian files, sparse and quantised tensors.

pub mod pickle;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read as _};

use anyhow::{Context as _, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};

use pickle::{Pickle, Storage, StorageKind, Value, View};

/// First value of a legacy file (`torch.serialization.MAGIC_NUMBER`).
const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
/// Second value of a legacy file.
const PROTOCOL: i128 = 1001;
/// The pickle of a checkpoint of 10,000 tensors is 2 MB.
const MAX_PICKLE_BYTES: u64 = 64 << 20;

/// The raw little-endian numbers of each storage, by key.
type Storages<'a> = HashMap<String, Cow<'a, [u8]>>;

/// Whether `bytes` begin as one of the two layouts does.
pub fn looks_like_pth(bytes: &[u8]) -> bool {
    // PROTO 2, then LONG1 with the ten bytes of the magic number.
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(&[0x80, 2, 0x8a, 10])
}

/// Reads every tensor of a checkpoint, on the CPU and in the type it was saved in.
///
/// A wrapping `{'state_dict': …}` is opened, a prefix `module.` that all names share is dropped, and entries that are
/// no tensors (epoch, learning rate) are passed over.
///
/// # Errors
/// A file of another kind, damaged or truncated data, or a pickle that wants to run something.
pub fn read(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    let (object, storages) = if bytes.starts_with(b"PK\x03\x04") {
        read_zip(bytes)?
    } else if looks_like_pth(bytes) {
        read_legacy(bytes)?
    } else {
        bail!("This is not a PyTorch checkpoint");
    };
    let tensors = tensors(&object, &storages, bytes.len())?;
    ensure!(!tensors.is_empty(), "The checkpoint holds no tensors");
    Ok(without_module_prefix(tensors))
}

fn read_legacy(bytes: &[u8]) -> Result<(Pickle, Storages<'_>)> {
    let mut rest = bytes;
    let mut next = |what: &str| {
        let limit = rest.len().min(usize::try_from(MAX_PICKLE_BYTES)?);
        let pickle = pickle::parse(rest.get(..limit).unwrap_or_default())
            .with_context(|| format!("Failed to read the checkpoint's {what}"))?;
        rest = rest.get(pickle.size_bytes..).unwrap_or_default();
        Ok::<_, anyhow::Error>(pickle)
    };
    let magic = next("magic number")?.root;
    let protocol = next("version")?.root;
    ensure!(
        matches!(magic, Value::Int(MAGIC)) && matches!(protocol, Value::Int(PROTOCOL)),
        "This is not a PyTorch checkpoint"
    );
    let machine = next("machine facts")?;
    ensure!(
        !is_big_endian(&machine),
        "Checkpoints from big-endian machines are not supported"
    );
    let object = next("object")?;
    let keys = next("storage keys")?;

    let known: HashMap<&str, &Storage> = object.storages().map(|s| (&*s.key, s)).collect();
    let mut storages = HashMap::new();
    for key in keys
        .list(&keys.root)
        .context("The list of storages is missing")?
    {
        let storage = match key {
            Value::Str(key) => known.get(&**key),
            _ => None,
        };
        let storage = storage.context("The list of storages names one that no tensor uses")?;
        let (count, numbers) = rest
            .split_first_chunk()
            .context("The checkpoint is truncated")?;
        ensure!(
            u64::from_le_bytes(*count) == u64::try_from(storage.len)?,
            "A storage has another size than its tensors say"
        );
        let size_bytes = storage_bytes(storage)?;
        let (numbers, after) = numbers
            .split_at_checked(size_bytes)
            .context("The checkpoint is truncated")?;
        storages.insert(storage.key.to_string(), Cow::Borrowed(numbers));
        rest = after;
    }
    Ok((object, storages))
}

fn is_big_endian(machine: &Pickle) -> bool {
    let entries = machine.dict(&machine.root).unwrap_or_default();
    entries.iter().any(|(key, value)| {
        matches!(key, Value::Str(key) if &**key == "little_endian")
            && matches!(value, Value::Bool(false))
    })
}

fn read_zip(bytes: &[u8]) -> Result<(Pickle, Storages<'_>)> {
    let mut archive =
        zip::ZipArchive::new(Cursor::new(bytes)).context("The zip archive is damaged")?;
    let name = archive
        .file_names()
        .filter_map(Result::ok)
        .find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"))
        .context("The zip archive has no data.pkl, so it is no PyTorch checkpoint")?
        .into_owned();
    let folder = name.strip_suffix("data.pkl").unwrap_or_default();
    let mut entry = |name: &str, limit: u64| -> Result<Vec<u8>> {
        let file = archive
            .by_name(name)
            .with_context(|| format!("Failed to read the archive's entry {name}"))?;
        let mut data = Vec::new();
        file.take(limit)
            .read_to_end(&mut data)
            .with_context(|| format!("Failed to read the archive's entry {name}"))?;
        Ok(data)
    };
    if let Ok(order) = entry(&format!("{folder}byteorder"), 16) {
        ensure!(
            order == b"little",
            "Checkpoints from big-endian machines are not supported"
        );
    }
    let object = pickle::parse(&entry(&name, MAX_PICKLE_BYTES)?)
        .context("Failed to read the checkpoint's object")?;
    let mut storages = HashMap::new();
    for storage in object.storages() {
        if storages.contains_key(&*storage.key) {
            continue;
        }
        // Entries are stored uncompressed, so a storage cannot be larger than the file.
        let size_bytes = storage_bytes(storage)?;
        ensure!(size_bytes <= bytes.len(), "The checkpoint is truncated");
        let numbers = entry(
            &format!("{folder}data/{}", storage.key),
            u64::try_from(size_bytes)?,
        )?;
        ensure!(numbers.len() == size_bytes, "The checkpoint is truncated");
        storages.insert(storage.key.to_string(), Cow::Owned(numbers));
    }
    Ok((object, storages))
}

fn storage_bytes(storage: &Storage) -> Result<usize> {
    storage
        .len
        .checked_mul(dtype(storage.kind).size_in_bytes())
        .context("A storage has an impossible size")
}

fn dtype(kind: StorageKind) -> DType {
    match kind {
        StorageKind::Double => DType::F64,
        StorageKind::Float => DType::F32,
        StorageKind::Half => DType::F16,
        StorageKind::BFloat16 => DType::BF16,
        StorageKind::Long => DType::I64,
        StorageKind::Int => DType::I32,
        StorageKind::Short => DType::I16,
        StorageKind::Byte | StorageKind::Bool => DType::U8,
    }
}

fn tensors(
    object: &Pickle,
    storages: &Storages<'_>,
    file_bytes: usize,
) -> Result<BTreeMap<String, Tensor>> {
    let mut entries = object
        .dict(&object.root)
        .context("The checkpoint is no dict of tensors")?;
    let wrapped = entries.iter().find_map(|(key, value)| match key {
        Value::Str(key) if &**key == "state_dict" => object.dict(value),
        _ => None,
    });
    entries = wrapped.unwrap_or(entries);

    let mut tensors = BTreeMap::new();
    // Tensors may share a storage; a file that repeats one without end must not fill the memory.
    let mut budget_bytes = file_bytes.saturating_mul(4);
    for (key, value) in entries {
        if let (Value::Str(name), Some(view)) = (key, object.tensor(value)) {
            let tensor = tensor(view, storages, &mut budget_bytes)
                .with_context(|| format!("Failed to read the tensor {name}"))?;
            tensors.insert(name.to_string(), tensor);
        }
    }
    Ok(tensors)
}

fn tensor(view: &View, storages: &Storages<'_>, budget_bytes: &mut usize) -> Result<Tensor> {
    let dtype = dtype(view.storage.kind);
    let size = dtype.size_in_bytes();
    let numbers = storages
        .get(&*view.storage.key)
        .context("Its numbers are missing")?;
    ensure!(
        view.shape.len() == view.stride.len(),
        "Its shape and stride differ in length"
    );
    let count = view
        .shape
        .iter()
        .try_fold(1usize, |count, &dim| count.checked_mul(dim));
    let needed = count.and_then(|count| count.checked_mul(size));
    *budget_bytes = needed
        .and_then(|needed| budget_bytes.checked_sub(needed))
        .context("It claims more numbers than the file has")?;
    let count = count.unwrap_or_default();

    let mut bytes = Vec::with_capacity(count.saturating_mul(size));
    // Saved tensors are nearly always contiguous: one copy then, element by element otherwise.
    let (pieces, per_piece) = if is_contiguous(view) {
        (1, count)
    } else {
        (count, 1)
    };
    for index in 0..pieces {
        let start = element(view, index).and_then(|at| at.checked_mul(size));
        let piece = start.and_then(|start| {
            let end = start.checked_add(per_piece.checked_mul(size)?)?;
            numbers.get(start..end)
        });
        bytes.extend_from_slice(piece.context("It lies outside its storage")?);
    }
    Ok(Tensor::from_raw_buffer(
        &bytes,
        dtype,
        &view.shape,
        &Device::Cpu,
    )?)
}

fn is_contiguous(view: &View) -> bool {
    let mut expected = 1usize;
    view.shape
        .iter()
        .zip(&view.stride)
        .rev()
        .all(|(&dim, &stride)| {
            let fits = dim == 1 || stride == expected;
            expected = expected.saturating_mul(dim);
            fits
        })
}

/// Where the `index`-th element in row-major order lies in the storage.
fn element(view: &View, index: usize) -> Option<usize> {
    let mut rest = index;
    let mut at = view.offset;
    for (&dim, &stride) in view.shape.iter().zip(&view.stride).rev() {
        at = at.checked_add(rest.checked_rem(dim)?.checked_mul(stride)?)?;
        rest /= dim;
    }
    Some(at)
}

/// `nn.DataParallel` puts `module.` before every name.
fn without_module_prefix(tensors: BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    if !tensors.keys().all(|name| name.starts_with("module.")) {
        return tensors;
    }
    let strip = |(name, tensor): (String, Tensor)| match name.strip_prefix("module.") {
        Some(short) => (short.to_string(), tensor),
        None => (name, tensor),
    };
    tensors.into_iter().map(strip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEGACY: &[u8] = include_bytes!("../tests/data/weights/legacy.pth");
    const ZIP: &[u8] = include_bytes!("../tests/data/weights/zip.pth");

    fn numbers(tensor: &Tensor) -> Vec<f64> {
        let flat = tensor.to_dtype(DType::F64).and_then(|t| t.flatten_all());
        flat.and_then(|t| t.to_vec1()).unwrap()
    }

    /// Both files hold `Sequential(Conv2d(1, 2, 1), BatchNorm2d(2)).state_dict()`, saved by PyTorch.
    #[test]
    fn both_layouts_give_the_same_tensors() {
        let (legacy, zip) = (read(LEGACY).unwrap(), read(ZIP).unwrap());
        let names: Vec<&str> = legacy.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "0.bias",
                "0.weight",
                "1.bias",
                "1.num_batches_tracked",
                "1.running_mean",
                "1.running_var",
                "1.weight"
            ]
        );
        for (name, tensor) in &legacy {
            assert_eq!(tensor.dims(), zip[name].dims(), "{name}");
            assert_eq!(tensor.dtype(), zip[name].dtype(), "{name}");
            assert_eq!(numbers(tensor), numbers(&zip[name]), "{name}");
        }
        assert_eq!(legacy["0.weight"].dims(), [2, 1, 1, 1]);
        assert_eq!(numbers(&legacy["1.weight"]), [1.0, 1.0]);
        assert_eq!(legacy["1.num_batches_tracked"].dtype(), DType::I64);
        // Compared with candle's reader as well, for the layout that it knows.
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), ZIP).unwrap();
        for (name, tensor) in candle_core::pickle::read_all(file.path()).unwrap() {
            assert_eq!(numbers(&tensor), numbers(&zip[&name]), "{name}");
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        for bytes in [LEGACY, ZIP] {
            for len in 0..bytes.len() {
                assert!(
                    read(&bytes[..len]).is_err(),
                    "{len} of {} bytes",
                    bytes.len()
                );
            }
        }
    }

    /// Damaged bytes may still make a readable file, but never a panic or a huge allocation.
    #[test]
    fn damaged_bytes_do_no_harm() {
        for original in [LEGACY, ZIP] {
            for at in 0..original.len() {
                for value in [0, 0x7f, 0xff, b'R', b'(', original[at] ^ 1] {
                    let mut bytes = original.to_vec();
                    bytes[at] = value;
                    read(&bytes).ok();
                }
            }
        }
    }

    /// Joins pickles and storages to a legacy file around one object.
    fn legacy(object: &[u8], keys: &[u8]) -> Vec<u8> {
        let start = LEGACY.windows(4).position(|w| w == b"\x80\x02cc").unwrap();
        [&LEGACY[..start], object, keys].concat()
    }

    #[test]
    fn a_pickle_that_calls_python_is_refused_by_name() {
        let file = legacy(b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R.", b"\x80\x02].");
        let error = format!("{:#}", read(&file).unwrap_err());
        assert!(error.contains("wants to run `os.system`"), "{error}");
    }

    /// `{'state_dict': {'module.w': tensor}, 'epoch': 3}`, the tensor a transposed view of 2×3 numbers.
    #[test]
    fn wrapper_prefix_and_strides_are_undone() {
        let object = b"\x80\x02}(X\x0a\0\0\0state_dict}X\x08\0\0\0module.w\
            ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n\
            X\x01\0\0\x007X\x03\0\0\0cpuK\x06NtQK\0K\x03K\x02\x86K\x01K\x03\x86\x89ccollections\nOrderedDict\n)RtRs\
            X\x05\0\0\0epochK\x03u.";
        let mut file = legacy(object, b"\x80\x02]X\x01\0\0\x007a.");
        file.extend(6u64.to_le_bytes());
        (1..=6u8).for_each(|n| file.extend(f32::from(n).to_le_bytes()));
        let tensors = read(&file).unwrap();
        assert_eq!(tensors.len(), 1);
        assert_eq!(
            tensors["w"].to_vec2::<f32>().unwrap(),
            [[1., 4.], [2., 5.], [3., 6.]]
        );
    }

    #[test]
    fn other_files_are_named_as_such() {
        let error = read(b"GIF89a, not weights").unwrap_err().to_string();
        assert_eq!(error, "This is not a PyTorch checkpoint");
    }
}
