//! A tiny graph model is written to disk, imported and read back; then it is broken in every way.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

fn f16_bytes(values: &[f32]) -> Vec<u8> {
    let tensor = Tensor::new(values, &Device::Cpu)
        .unwrap()
        .to_dtype(DType::F16)
        .unwrap();
    let bytes = safetensors::serialize([("x", &tensor)], None).unwrap();
    bytes[bytes.len() - 2 * values.len()..].to_vec()
}

fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// conv (f16 weight, bias after it, shortcut, PReLU) -> depthwise (u8) -> linear (f32, fused bias).
fn model() -> (Value, Vec<u8>) {
    let node =
        |name: &str, op: &str, input: &[&str]| json!({ "name": name, "op": op, "input": input });
    let half = json!({ "dtype": "float16", "original_dtype": "float32" });
    let weights = json!([
        { "name": "a/Conv2D/filter", "shape": [1, 2, 3, 2], "dtype": "float32", "quantization": half },
        { "name": "a/bias/y", "shape": [2], "dtype": "float32" },
        { "name": "axis", "shape": [], "dtype": "int32" },
        { "name": "a/alpha", "shape": [1, 1, 2], "dtype": "float32" },
        { "name": "b/depthwise/filter_in", "shape": [1, 1, 2, 1], "dtype": "float32",
          "quantization": { "dtype": "uint8", "scale": 0.5, "min": -1.0 } },
        { "name": "c/kernel", "shape": [2, 1], "dtype": "float32" },
        { "name": "c/bias", "shape": [1], "dtype": "float32" },
    ]);
    let json = json!({
        "format": "graph-model",
        "generatedBy": "a test",
        "modelTopology": { "node": [
            node("in", "Placeholder", &[]),
            node("a/Conv2D/filter", "Const", &[]),
            node("a", "Conv2D", &["in", "a/Conv2D/filter"]),
            node("a/bias", "AddV2", &["a:0", "a/bias/y"]),
            node("sum", "AddN", &["in", "a/bias"]),
            node("act", "Prelu", &["sum", "a/alpha"]),
            node("b", "DepthwiseConv2dNative", &["act", "b/depthwise/filter_in"]),
            node("c", "_FusedMatMul", &["b", "c/kernel", "c/bias"]),
            node("d", "MatMul", &["c", "act"]),
        ] },
        "weightsManifest": [{ "paths": ["one.bin", "two.bin"], "weights": weights }],
    });
    let mut data = f16_bytes(&(0..12).map(|v| v as f32).collect::<Vec<_>>());
    data.extend(f32_bytes(&[0.5, -0.5]));
    data.extend(7i32.to_le_bytes());
    data.extend(f32_bytes(&[0.1, 0.2]));
    data.extend([0, 4]);
    data.extend(f32_bytes(&[3.0, 4.0, 5.0]));
    (json, data)
}

fn write(json: &Value, data: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.json");
    std::fs::write(&path, serde_json::to_vec(json).unwrap()).unwrap();
    let (one, two) = data.split_at(9.min(data.len()));
    std::fs::write(folder.path().join("one.bin"), one).unwrap();
    std::fs::write(folder.path().join("two.bin"), two).unwrap();
    (folder, path)
}

fn error(json: &Value, data: &[u8]) -> String {
    let (folder, path) = write(json, data);
    let out = folder.path().join("out.safetensors");
    let error = import(&path, &out).unwrap_err();
    assert!(!out.exists());
    format!("{error:#}")
}

#[test]
fn weights_get_pytorch_layouts_and_the_layers_names() {
    let (json, data) = model();
    let (folder, path) = write(&json, &data);
    let out = folder.path().join("out.safetensors");
    let report = import(&path, &out).unwrap();
    assert_eq!(
        (report.network, report.tensors, report.parameters),
        (None, 6, 12 + 2 + 2 + 2 + 2 + 1)
    );
    assert!(report.left_out.is_empty());
    let tensors = candle_core::safetensors::load(&out, &Device::Cpu).unwrap();
    let mut names: Vec<_> = tensors.keys().map(String::as_str).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "a.bias", "a.slope", "a.weight", "b.weight", "c.bias", "c.weight"
        ]
    );
    assert!(tensors.values().all(|t| t.dtype() == DType::F16));
    let values = |name: &str| -> Vec<f32> {
        tensors[name]
            .to_dtype(DType::F32)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap()
    };
    assert_eq!(tensors["a.weight"].dims(), [2, 3, 1, 2]);
    // [o][i][0][kw] reads [0][kw][i][o] = 6·kw + 2·i + o.
    assert_eq!(
        values("a.weight"),
        [0., 6., 2., 8., 4., 10., 1., 7., 3., 9., 5., 11.]
    );
    assert_eq!(values("a.bias"), [0.5, -0.5]);
    assert_eq!(tensors["a.slope"].dims(), [2]);
    assert_eq!(tensors["b.weight"].dims(), [2, 1, 1, 1]);
    assert_eq!(values("b.weight"), [-1.0, 1.0]);
    assert_eq!(tensors["c.weight"].dims(), [1, 2]);
    assert_eq!(values("c.bias"), [5.0]);
}

#[test]
fn the_same_input_gives_the_same_file() {
    let (json, data) = model();
    let (folder, path) = write(&json, &data);
    let outs = ["one", "two"].map(|name| folder.path().join(name));
    for out in &outs {
        import(&path, out).unwrap();
    }
    assert_eq!(
        std::fs::read(&outs[0]).unwrap(),
        std::fs::read(&outs[1]).unwrap()
    );
}

#[test]
fn the_shipped_networks_are_recognised_by_their_layers() {
    for layers in [face_detector::tfjs_layers(), face_mesh::tfjs_layers()] {
        let theirs: HashSet<_> = layers.iter().map(|(theirs, _)| theirs).collect();
        let ours: HashSet<_> = layers.iter().map(|(_, ours)| ours).collect();
        assert_eq!((theirs.len(), ours.len()), (layers.len(), layers.len()));
    }
    // 1 stem, 20 blocks of 4, 3 decoder stages of 2, 2 heads of 2.
    assert_eq!(face_detector::tfjs_layers().len(), 1 + 80 + 6 + 4);
    // stem, 17 blocks of 2, 4 + flag, 3 regions of 11 blocks of 2, squeeze, block of 2, head.
    assert_eq!(face_mesh::tfjs_layers().len(), 1 + 34 + 5 + 3 * 26);
}

#[test]
fn broken_files_are_refused_with_the_reason() {
    let (good, data) = model();
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut json = good.clone();
        edit(&mut json);
        error(&json, &data)
    };
    assert!(error(&good, &data[..20]).contains("the file ends inside a/Conv2D/filter"));
    assert!(error(&good, &[data.as_slice(), &[0]].concat()).contains("1 bytes are left over"));
    assert!(error(&json!({ "hello": 1 }), &data).contains("as a tfjs graph model"));
    assert!(error(&json!([]), &data).contains("as a tfjs graph model"));
    let weight = |json: &mut Value, key: &str, value: Value| {
        json["weightsManifest"][0]["weights"][0][key] = value
    };
    let huge = u64::MAX / 2;
    assert!(edited(&|json| weight(json, "shape", json!([huge, huge]))).contains("too large"));
    assert!(edited(&|json| weight(json, "shape", json!([u64::MAX]))).contains("too large"));
    assert!(
        edited(&|json| weight(json, "shape", json!([1, 1, 1, 1, 1, 1, 1])))
            .contains("too many dimensions")
    );
    assert!(edited(&|json| weight(json, "shape", json!([-1]))).contains("as a tfjs graph model"));
    assert!(edited(&|json| weight(json, "shape", json!([6, 2]))).contains("has shape [6, 2]"));
    assert!(
        edited(&|json| weight(json, "quantization", json!({ "dtype": "int4" }))).contains("int4")
    );
    assert!(
        edited(&|json| weight(json, "quantization", json!({ "dtype": "uint16" })))
            .contains("scale")
    );
    assert!(edited(&|json| weight(json, "name", json!("a/bias/y"))).contains("twice"));
    assert!(edited(&|json| json["format"] = json!("layers-model")).contains("layers-model"));
    assert!(edited(&|json| json["modelTopology"]["node"] = json!([])).contains("no layers"));
    for path in ["../one.bin", "/etc/passwd", "", "..", "a\\b", "sub/one.bin"] {
        let message = edited(&|json| json["weightsManifest"][0]["paths"] = json!([path]));
        assert!(
            message.contains("not a plain file name"),
            "{path}: {message}"
        );
    }
    let missing = edited(&|json| json["weightsManifest"][0]["paths"] = json!(["none.bin"]));
    assert!(missing.contains("none.bin"), "{missing}");
    let absent = import(Path::new("/nowhere/model.json"), Path::new("/nowhere/out")).unwrap_err();
    assert!(format!("{absent:#}").contains("/nowhere/model.json"));
}

#[test]
fn values_beyond_16_bits_are_refused() {
    let (json, data) = model();
    for value in [1e6f32, f32::NAN, f32::INFINITY] {
        let mut data = data.clone();
        let bias = 12 * 2;
        data[bias..bias + 4].copy_from_slice(&value.to_le_bytes());
        assert!(error(&json, &data).contains("does not fit"), "{value}");
    }
}

#[test]
fn a_cyclic_graph_ends() {
    let (mut json, data) = model();
    json["modelTopology"]["node"][3]["input"] = json!(["sum", "a"]);
    json["modelTopology"]["node"][4]["input"] = json!(["a/bias"]);
    let (folder, path) = write(&json, &data);
    assert_eq!(
        import(&path, &folder.path().join("out")).unwrap().tensors,
        4
    );
}
