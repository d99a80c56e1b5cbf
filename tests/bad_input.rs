//! Bad input gets a clear message, and nothing is lost. Every case goes through the built program.

use crate::cli::{command, root, text, vitruvian};

/// Runs `weights check` on a file with these bytes.
fn check_weights(name: &str, bytes: &[u8]) -> crate::cli::Run {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    vitruvian(&["weights", "check", text(&path), "--network", "face_mesh"])
}

#[test]
fn corrupt_weights() {
    let good = std::fs::read(root("weights/face_mesh.safetensors")).unwrap();
    check_weights("face_mesh.safetensors", &good).assert_ok();
    check_weights("face_mesh.safetensors", &good[..good.len() / 2]).assert_failed_with("truncated");
    check_weights("face_mesh.safetensors", &good[..40])
        .assert_failed_with("ends within its header");
    check_weights("face_mesh.safetensors", b"").assert_failed_with("shorter than a header");
    let legacy = std::fs::read(root("tests/data/weights/legacy.pth")).unwrap();
    check_weights("old.pth", &legacy[..legacy.len() - 3]).assert_failed_with("truncated");
}

#[test]
fn foreign_weights() {
    let photo = std::fs::read(root("assets/samples/beard.jpg")).unwrap();
    check_weights("face_mesh.safetensors", &photo)
        .assert_failed_with("neither a safetensors nor a PyTorch file");
    let others = std::fs::read(root("weights/face_detector.safetensors")).unwrap();
    check_weights("face_mesh.safetensors", &others).assert_failed_with("do not fit");
    let small = std::fs::read(root("tests/data/weights/zip.pth")).unwrap();
    check_weights("face_mesh.pth", &small).assert_failed_with("missing");
}

#[test]
fn missing_weights() {
    let empty = tempfile::tempdir().unwrap();
    let output = command(&["weights", "check"])
        .env("VITRUVIAN_WEIGHTS", empty.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.contains("No weights named face_detector"),
        "{stderr}"
    );
    assert!(stderr.contains(text(empty.path())), "{stderr}");
}

/// A folder below a regular file cannot be written to, even by root.
#[test]
fn a_place_that_cannot_be_written() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let below = file.path().join("out.safetensors");
    let legacy = root("tests/data/weights/legacy.pth");
    vitruvian(&["weights", "import", text(&legacy), "-o", text(&below)])
        .assert_failed_with("Failed to write");
}
