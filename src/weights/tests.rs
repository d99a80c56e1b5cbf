//! Weight files of every kind, sound and damaged.

use super::*;

fn tensor(numbers: &[f32]) -> Tensor {
    Tensor::new(numbers, &Device::Cpu).unwrap()
}

/// A file with `a.weight` [3] and `b` [2] in f16 in a folder of its own.
fn example() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("example.safetensors");
    let tensors = [
        ("a.weight", tensor(&[1.0, 2.5, -3.0])),
        ("b", tensor(&[0.0, 1.0])),
    ];
    let tensors = tensors.map(|(name, t)| (name.to_string(), t)).into();
    let notes = [("licence".to_string(), "none".to_string())].into();
    save(&path, &tensors, &notes, DType::F16).unwrap();
    (folder, path)
}

fn open_bytes(bytes: &[u8]) -> Result<Checkpoint, WeightsError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    std::fs::write(&path, bytes).unwrap();
    Checkpoint::open(&path, &Device::Cpu)
}

fn message(bytes: &[u8]) -> String {
    open_bytes(bytes).err().unwrap().to_string()
}

#[test]
fn f16_files_come_back_as_f32_with_their_notes() {
    let (folder, _) = example();
    let checkpoint = Store::at(folder.path())
        .open("example", &Device::Cpu)
        .unwrap();
    assert_eq!(checkpoint.metadata()["licence"], "none");
    let vb = checkpoint.var_builder();
    let weight = vb.pp("a").get(3, "weight").unwrap();
    assert_eq!(weight.to_vec1::<f32>().unwrap(), [1.0, 2.5, -3.0]);
    assert_eq!(checkpoint.report().unused, ["b"]);
    assert!(checkpoint.report().fits());
}

#[test]
fn a_missing_name_is_never_invented() {
    let (_folder, path) = example();
    let checkpoint = Checkpoint::open(&path, &Device::Cpu).unwrap();
    let vb = checkpoint.var_builder();
    assert!(vb.get(3, "a.wieght").is_err());
    assert!(
        vb.get_with_hints(3, "a.wieght", candle_nn::Init::Const(1.0))
            .is_err()
    );
    assert!(vb.get(4, "a.weight").is_err());
    assert!(!vb.contains_tensor("a.wieght"));
    assert_eq!(checkpoint.report().missing, ["a.wieght"]);
}

#[test]
fn loading_an_unfit_model_names_every_fault_at_once() {
    let (_folder, path) = example();
    let checkpoint = Checkpoint::open(&path, &Device::Cpu).unwrap();
    let error = checkpoint
        .load(|vb| {
            vb.get(3, "a.bias")?;
            vb.get((2, 2), "b")?;
            vb.get(3, "a.weight")
        })
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("1 missing: a.bias"), "{text}");
    assert!(
        text.contains("1 of another shape: b is [2] and not [2, 2]"),
        "{text}"
    );
    assert!(text.ends_with("example.safetensors"), "{text}");
}

#[test]
fn a_missing_file_says_where_it_was_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let error = Store::at(folder.path())
        .open("face_parser", &Device::Cpu)
        .err();
    let text = error.unwrap().to_string();
    assert!(
        text.contains("face_parser.safetensors") && text.contains("face_parser.pth"),
        "{text}"
    );
}

#[test]
fn files_of_another_kind_are_refused_in_words() {
    assert!(message(b"").contains("shorter than a header"));
    assert!(message(b"\x89PNG\r\n\x1a\n0000000000").contains("neither a safetensors nor"));
    assert!(message(&[0xff; 64]).contains("neither a safetensors nor"));
    assert!(message(b"\xff\0\0\0\0\0\0\0{\"a\":").contains("ends within its header"));
}

#[test]
fn hostile_headers_allocate_nothing() {
    let lie =
        br#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,4]}}"#;
    let mut bytes = u64::try_from(lie.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend(lie);
    bytes.extend([0; 4]);
    assert!(message(&bytes).contains("unreadable"));
}

#[test]
fn every_truncation_is_an_error() {
    let (_folder, path) = example();
    let bytes = std::fs::read(path).unwrap();
    for len in 0..bytes.len() {
        assert!(
            open_bytes(&bytes[..len]).is_err(),
            "{len} of {} bytes",
            bytes.len()
        );
    }
}

#[test]
fn a_failed_write_leaves_the_old_file_and_no_temporary() {
    let (folder, path) = example();
    let inside_a_file = path.join("below.safetensors");
    assert!(
        save(
            &inside_a_file,
            &BTreeMap::new(),
            &BTreeMap::new(),
            DType::F32
        )
        .is_err()
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(Checkpoint::open(&path, &Device::Cpu).is_ok());
}

#[test]
fn the_same_weights_give_the_same_file_which_the_library_reads() {
    let folder = tempfile::tempdir().unwrap();
    let notes: BTreeMap<String, String> = ["a", "b", "c", "d"]
        .map(|k| (k.to_string(), "1".to_string()))
        .into();
    let tensors: BTreeMap<String, Tensor> = [("t".to_string(), tensor(&[0.5]))].into();
    let paths = ["1", "2"].map(|name| folder.path().join(name));
    for path in &paths {
        save(path, &tensors, &notes, DType::F32).unwrap();
    }
    let bytes = paths.map(|path| std::fs::read(path).unwrap());
    assert_eq!(bytes[0], bytes[1]);
    let file = SafeTensors::deserialize(&bytes[0]).unwrap();
    assert_eq!(file.tensor("t").unwrap().data(), 0.5f32.to_le_bytes());
}

#[test]
fn numbers_that_16_bits_cannot_hold_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    for number in [70_000.0, f32::NAN] {
        let tensors = [("layer.weight".to_string(), tensor(&[1.0, number]))].into();
        let error = save(&path, &tensors, &BTreeMap::new(), DType::F16).unwrap_err();
        assert!(error.to_string().contains("layer.weight"), "{error}");
        assert!(!path.exists());
    }
}
