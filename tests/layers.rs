//! The rules of ARCHITECTURE.md that the compiler does not check: who may import whom, how long a file may get, and
//! where windows, files and threads may be touched. A failure quotes the rule and the line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What each module may import besides itself. A module is a folder or file right under `src`.
const MAY_IMPORT: [(&str, &[&str]); 17] = [
    ("main", &["cli", "commands", "ui", "weights"]),
    (
        "cli",
        &[
            "face", "lab", "motion", "people", "photo", "pose", "training", "weights",
        ],
    ),
    (
        "commands",
        &[
            "cli",
            "face",
            "lab",
            "motion",
            "people",
            "pose",
            "gpu",
            "job",
            "legacy_pth",
            "nn",
            "photo",
            "raster",
            "training",
            "weights",
        ],
    ),
    (
        "ui",
        &[
            "cli", "face", "lab", "motion", "people", "pose", "gpu", "job", "photo", "raster",
            "training", "weights",
        ],
    ),
    ("gpu", &["raster"]),
    (
        "face",
        &[
            "nn", "people", "weights", "training", "raster", "photo", "job",
        ],
    ),
    (
        "pose",
        &[
            "nn", "people", "weights", "training", "raster", "photo", "job",
        ],
    ),
    ("lab", &["nn", "weights", "training", "job"]),
    (
        "motion",
        &["nn", "weights", "training", "raster", "photo", "job"],
    ),
    ("people", &["nn", "weights", "raster"]),
    ("training", &["nn", "weights", "job"]),
    ("weights", &["legacy_pth"]),
    ("photo", &["raster"]),
    ("nn", &[]),
    ("raster", &[]),
    ("job", &[]),
    ("legacy_pth", &[]),
];

type WordRule = (&'static [&'static str], fn(&str) -> bool, &'static str);

/// Words that may stand in some places only: the words, in which files, and why.
const MAY_APPEAR: [WordRule; 4] = [
    (
        &["egui", "eframe", "wgpu", "rfd"],
        |file| in_window(file),
        "the graphics stack stays in ui and gpu, so that the command line builds without it",
    ),
    (
        &["std::fs", "fs::"],
        |file| !in_window(file) || file == "gpu/shader.rs",
        "ui and gpu touch no files: a job does (gpu/shader.rs reloads shaders in debug builds)",
    ),
    (
        &[".forward(", ".recv()", ".join()"],
        |file| !in_window(file),
        "ui and gpu never compute or wait: a job does",
    ),
    (
        &["thread::"],
        |file| file == "job.rs",
        "job.rs is the only file that starts threads",
    ),
];

const MAX_LINES: usize = 600;

fn in_window(file: &str) -> bool {
    file.starts_with("ui/") || file.starts_with("gpu/")
}

/// Every Rust file under `folder`: its path from there and its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
        {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                files.push((name.to_string(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files
}

/// The lines of code, numbered from 1: no comments and, if `is_shipped`, no tests at the end of the file.
fn code(text: &str, is_shipped: bool) -> impl Iterator<Item = (usize, &str)> {
    let end = text
        .find("#[cfg(test)]\nmod tests {")
        .filter(|_| is_shipped);
    let lines = text[..end.unwrap_or(text.len())].lines().enumerate();
    lines.map(|(i, line)| (i + 1, line.split("//").next().unwrap_or(line)))
}

/// The modules that a line names after `crate::` (in `main.rs`, `vitruvian::`), a braced list included.
fn imports(line: &str) -> BTreeSet<&str> {
    let starts = ["crate::", "vitruvian::"]
        .iter()
        .flat_map(|p| line.match_indices(p).map(|(i, p)| i + p.len()));
    let mut found = BTreeSet::new();
    for rest in starts.map(|start| &line[start..]) {
        let list = rest
            .strip_prefix('{')
            .map(|list| list.split('}').next().unwrap_or(list));
        for path in list.map_or(vec![rest], |list| list.split(", ").collect()) {
            found.insert(
                path.split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
                    .unwrap_or(path),
            );
        }
    }
    found.remove("");
    found
}

#[test]
fn modules_import_only_what_lies_below_them() {
    let mut faults = Vec::new();
    for (file, text) in sources("src") {
        let module = file.split(['/', '.']).next().unwrap();
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            assert_eq!(module, "lib", "src/{file} is in no rule of tests/layers.rs");
            continue;
        };
        for (number, line) in code(&text, false) {
            for import in imports(line)
                .into_iter()
                .filter(|i| MAY_IMPORT.iter().any(|(name, _)| name == i))
            {
                if import != module && !allowed.contains(&import) {
                    faults.push(format!(
                        "src/{file}:{number}: {module} may import {allowed:?}, not {import}"
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn windows_files_and_threads_stay_where_they_belong() {
    let mut faults = Vec::new();
    for (file, text) in sources("src")
        .iter()
        .filter(|(file, _)| !file.ends_with("tests.rs"))
    {
        for (number, line) in code(text, true) {
            for (words, is_allowed, reason) in MAY_APPEAR {
                if let Some(word) = words
                    .iter()
                    .find(|word| is_word_in(line, word) && !is_allowed(file))
                {
                    faults.push(format!("src/{file}:{number}: {word}, but {reason}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Whether `line` has `word`, not merely as the end of a longer name.
fn is_word_in(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(i, _)| {
        let (before, after) = (
            line[..i].chars().next_back(),
            line[i + word.len()..].chars().next(),
        );
        let is_longer_before = word.starts_with(is_name) && before.is_some_and(is_name);
        let is_longer_after = word.ends_with(is_name) && after.is_some_and(is_name);
        !is_longer_before && !is_longer_after
    })
}

#[test]
fn files_stay_short_and_say_what_they_are_for() {
    let files = ["src", "tests", "benches"].map(|folder| {
        sources(folder)
            .into_iter()
            .map(move |(f, t)| (folder, f, t))
    });
    for (folder, file, text) in files.into_iter().flatten() {
        let lines = text.lines().count();
        assert!(
            lines <= MAX_LINES,
            "{folder}/{file} has {lines} lines; split it, {MAX_LINES} is the wall"
        );
        assert!(
            text.starts_with("//! "),
            "{folder}/{file} does not open by saying what it is for"
        );
    }
}

#[test]
fn the_rules_themselves_work() {
    assert_eq!(
        imports("use crate::{face::Mask, job};")
            .into_iter()
            .collect::<Vec<_>>(),
        ["face", "job"]
    );
    assert_eq!(
        imports("    crate::nn::conv2d(crate::raster::Rgb)").len(),
        2
    );
    assert!(is_word_in("use wgpu::Device;", "wgpu") && !is_word_in("let egui_like = 1;", "egui"));
    assert!(!is_word_in("use eframe::egui_wgpu;", "wgpu") && is_word_in("a.join();", ".join()"));
}
