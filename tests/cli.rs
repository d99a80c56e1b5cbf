//! The built program, run as a user would.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("killed by a signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|err| panic!("{err}: {}\n{}", self.stdout, self.stderr))
    }

    /// Fails unless the program ended with code 1 and one clear line that has `words`, and without a panic.
    #[track_caller]
    pub fn assert_failed_with(&self, words: &str) {
        assert_eq!(self.code, 1, "{}\n{}", self.stdout, self.stderr);
        let errors: Vec<&str> = self
            .stderr
            .lines()
            .filter(|line| line.starts_with("error: "))
            .collect();
        assert!(
            errors.iter().any(|line| line.contains(words)),
            "no {words:?} in {:?}",
            self.stderr
        );
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }

    #[track_caller]
    pub fn assert_ok(&self) -> &Self {
        assert_eq!(self.code, 0, "{}\n{}", self.stdout, self.stderr);
        self
    }
}

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vitruvian"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env("VITRUVIAN_WEIGHTS", root("weights"));
    command
}

pub fn vitruvian(arguments: &[&str]) -> Run {
    Run::of(command(arguments).output().unwrap())
}

/// A path inside the source tree.
pub fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn bad_usage_is_code_2_and_help_is_code_0() {
    assert_eq!(vitruvian(&["--nonsense"]).code, 2);
    assert_eq!(vitruvian(&["weights"]).code, 2);
    let help = vitruvian(&["--help"]);
    help.assert_ok();
    assert!(help.stdout.contains("weights"), "{}", help.stdout);
    assert!(vitruvian(&["--version"]).stdout.starts_with("vitruvian "));
}

#[test]
fn shipped_weights_are_listed_and_fit() {
    let listed = vitruvian(&["weights", "list", "--json"]);
    let rows = listed.assert_ok().json();
    let names: Vec<&str> = rows
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|row| row["name"].as_str())
        .collect();
    assert!(
        names.contains(&"face_detector") && names.contains(&"face_mesh"),
        "{names:?}"
    );

    let checked = vitruvian(&["weights", "check", "--json"]);
    for row in checked.assert_ok().json().as_array().unwrap() {
        assert_eq!(row["missing"].as_array().map(Vec::len), Some(0), "{row}");
        assert_eq!(row["unused"].as_array().map(Vec::len), Some(0), "{row}");
    }
}

#[test]
fn every_weight_file_is_in_the_table() {
    let table = std::fs::read_to_string(root("weights/README.md")).unwrap();
    for row in vitruvian(&["weights", "list", "--json"])
        .json()
        .as_array()
        .unwrap()
    {
        let name = row["name"].as_str().unwrap();
        assert!(
            table.contains(&format!("| `{name}` |")),
            "weights/README.md has no row for {name}"
        );
    }
}

#[test]
fn pytorch_weights_are_imported_and_the_failure_of_one_file_stops_no_other() {
    let out = tempfile::tempdir().unwrap();
    let (legacy, zip) = (
        root("tests/data/weights/legacy.pth"),
        root("tests/data/weights/zip.pth"),
    );
    let run = vitruvian(&[
        "weights",
        "import",
        text(&legacy),
        "no/such.pth",
        text(&zip),
        "-o",
        text(out.path()),
    ]);
    run.assert_failed_with("1 of 3 files failed");
    run.assert_failed_with("no/such.pth");
    let files = ["legacy", "zip"]
        .map(|name| std::fs::read(out.path().join(format!("{name}.safetensors"))).unwrap());
    assert!(files.iter().all(|bytes| bytes.len() > 100));
}

#[test]
fn a_closed_pipe_is_no_crash() {
    let mut child = command(&["weights", "list"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let run = Run::of(child.wait_with_output().unwrap());
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
}
