//! The same work as in the window, without one: one short function for each subcommand.
//!
//! Results go to stdout, progress and errors to stderr. Where a command takes several files, one that fails is told
//! and the others are still done.

mod apply;
mod bench;
mod evaluate;
mod face;
mod lab;
mod motion;
mod pose;
mod ranks;
mod weights;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;

use crate::cli::{Command, TrainCommand};
use crate::job::Out;
use crate::training::Ranks;
use crate::weights::DeviceKind;

/// Runs one command.
///
/// # Errors
/// What went wrong, in words; with several files, how many failed (each was told on the way).
pub fn run(command: Command, device: DeviceKind) -> Result<()> {
    let serves = matches!(command, Command::Face(_) | Command::Lab(_));
    ensure!(
        serves || device == DeviceKind::Cpu,
        "This is done on the CPU only. Leave out --device"
    );
    match command {
        Command::Face(command) => face::run(&command, device),
        Command::Pose(command) => pose::run(&command),
        Command::Motion(command) => motion::run(&command),
        Command::Lab(command) => lab::run(&command, device),
        Command::Train { ranks, network } => {
            let place = ranks::Place {
                is_ranked: ranks,
                device,
            };
            ranks::run(place, |ranks| train(network, ranks))
        }
        Command::Bench { subject, json } => bench::run(subject, json),
        Command::Weights(command) => weights::run(command),
    }
}

/// Trains a network; progress on stderr.
fn train(command: TrainCommand, ranks: &Ranks) -> Result<()> {
    match command {
        TrainCommand::Toes { feet, seed } => {
            let ([forward, up, outward], error) = crate::pose::toes::fit(feet as usize, seed);
            print(format_args!(
                "forward {forward:.3}, up {up:.3}, outward {outward:.3}; error {error:.3} of the foot's length"
            ));
            Ok(())
        }
        TrainCommand::Parser(config) => {
            crate::face::train_parser::train(&config, ranks, &out_of("parser", ranks))
        }
        TrainCommand::Generator(config) => {
            crate::face::train_generator::train(&config, ranks, &out_of("generator", ranks))
        }
        TrainCommand::Motion(config) => {
            crate::motion::train::train(&config, ranks, &out_of("motion", ranks))
        }
        TrainCommand::Zoom(config) => {
            anyhow::ensure!(
                ranks.count() == 1,
                "The zoom head is trained in one process: it takes minutes. Leave out --ranks"
            );
            crate::pose::train_zoom::train(&config, &out_of("zoom", ranks))
        }
        TrainCommand::Grouping(config) => {
            anyhow::ensure!(
                ranks.count() == 1,
                "Grouping is trained in one process: it takes minutes. Leave out --ranks"
            );
            crate::pose::train_grouping::train(&config, &out_of("grouping", ranks))
        }
    }
}

/// The first of several processes tells how it goes.
fn out_of(name: &str, ranks: &Ranks) -> Out<()> {
    match ranks.is_first() {
        true => Out::to_stderr(name),
        false => Out::silent(),
    }
}

/// Shows an error on stderr, in one line, causes included.
pub fn print_error(error: &anyhow::Error) {
    print_line(std::io::stderr(), format_args!("error: {error:#}"));
}

/// Tells the user something about a file that is no error.
fn note(text: &str, path: &Path) {
    print_line(
        std::io::stderr(),
        format_args!("note: {text}: {}", path.display()),
    );
}

/// Writes a line to stdout. A reader that has gone away (`| head`) is no error.
fn print(line: impl Display) {
    print_line(std::io::stdout(), line);
}

fn print_line(mut to: impl std::io::Write, line: impl Display) {
    writeln!(to, "{line}").ok();
}

fn print_json(value: &impl Serialize) -> Result<()> {
    print(serde_json::to_string_pretty(value).context("Failed to write JSON")?);
    Ok(())
}

/// What became of one file, for `--json`.
#[derive(Serialize)]
struct Outcome<T> {
    file: PathBuf,
    #[serde(flatten)]
    done: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Does `step` for each file and prints what it returns: a line each, or one JSON list at the end.
///
/// # Errors
/// The error itself if there is one file only; else the number of failures, after all files have been tried.
fn for_each_file<T: Serialize + Display>(
    files: &[PathBuf],
    json: bool,
    mut step: impl FnMut(usize, &Path) -> Result<T>,
) -> Result<()> {
    let mut outcomes = Vec::new();
    let mut failures = Vec::new();
    for (index, path) in files.iter().enumerate() {
        let (done, error) = match step(index, path) {
            Ok(done) => (Some(done), None),
            Err(error) => (None, Some(with_path(error, path))),
        };
        if let (Some(done), false) = (&done, json) {
            print(done);
        }
        if let (Some(error), true) = (&error, files.len() > 1) {
            print_error(error);
        }
        outcomes.push(Outcome {
            file: path.clone(),
            done,
            error: error.as_ref().map(|error| format!("{error:#}")),
        });
        failures.extend(error);
    }
    if json {
        print_json(&outcomes)?;
    }
    match failures.pop() {
        None => Ok(()),
        Some(only) if files.len() == 1 => Err(only),
        Some(_) => bail!("{} of {} files failed", failures.len() + 1, files.len()),
    }
}

/// Puts the path last, unless the message has it already.
fn with_path(error: anyhow::Error, path: &Path) -> anyhow::Error {
    let (message, path) = (format!("{error:#}"), path.display().to_string());
    if message.contains(&path) {
        error
    } else {
        anyhow::anyhow!("{message}: {path}")
    }
}

/// Where the result for each input goes. One input: `output` itself, unless that is a folder. Several: files in the
/// folder `output`, called like the inputs, with `extension`. The folder is made if it is missing.
///
/// # Errors
/// Nothing has been done yet if two results would share a name, or one would replace an input.
fn output_paths(inputs: &[PathBuf], output: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let is_folder = inputs.len() > 1 || output.is_dir() || output.to_string_lossy().ends_with('/');
    if !is_folder {
        refuse_to_replace(inputs, output)?;
        return Ok(vec![output.to_path_buf()]);
    }
    std::fs::create_dir_all(output)
        .with_context(|| format!("Failed to make the folder {}", output.display()))?;
    let mut taken: BTreeMap<PathBuf, &Path> = BTreeMap::new();
    let mut paths = Vec::new();
    for input in inputs {
        let stem = input.file_stem().context("This has no file name")?;
        let mut name = stem.to_os_string();
        name.push(".");
        name.push(extension);
        let path = output.join(name);
        refuse_to_replace(inputs, &path)?;
        if let Some(other) = taken.insert(path.clone(), input) {
            bail!(
                "{} and {} would both be written to {}",
                other.display(),
                input.display(),
                path.display()
            );
        }
        paths.push(path);
    }
    Ok(paths)
}

fn refuse_to_replace(inputs: &[PathBuf], output: &Path) -> Result<()> {
    let Ok(output_file) = output.canonicalize() else {
        return Ok(()); // not there yet
    };
    let replaced = inputs
        .iter()
        .any(|input| input.canonicalize().is_ok_and(|input| input == output_file));
    ensure!(
        !replaced,
        "The result would replace its own input, {}",
        output.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_results_go_to_a_folder_that_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("masks");
        let inputs = ["a/one.jpg".into(), "b/two.tar.png".into()];
        let paths = output_paths(&inputs, &out, "png").unwrap();
        assert_eq!(paths, [out.join("one.png"), out.join("two.tar.png")]);
        assert!(out.is_dir());
        let single = output_paths(&inputs[..1], &folder.path().join("m.png"), "png").unwrap();
        assert_eq!(single, [folder.path().join("m.png")]);
        assert_eq!(
            output_paths(&inputs[..1], &out, "png").unwrap(),
            [out.join("one.png")]
        );
    }

    #[test]
    fn results_never_replace_each_other_or_an_input() {
        let folder = tempfile::tempdir().unwrap();
        let same = ["a/x.jpg".into(), "b/x.jpg".into()];
        let error = output_paths(&same, folder.path(), "png")
            .unwrap_err()
            .to_string();
        assert!(error.contains("would both be written"), "{error}");
        let photo = folder.path().join("x.png");
        std::fs::write(&photo, b"").unwrap();
        let error = output_paths(std::slice::from_ref(&photo), &photo, "png")
            .unwrap_err()
            .to_string();
        assert!(error.contains("replace its own input"), "{error}");
        assert!(output_paths(&[photo], folder.path(), "png").is_err());
    }

    #[derive(Serialize)]
    struct Done;
    impl Display for Done {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("done")
        }
    }

    #[test]
    fn one_failure_does_not_stop_the_others() {
        let files: Vec<PathBuf> = ["a.jpg", "b.jpg", "c.jpg"].map(PathBuf::from).into();
        let mut tried = Vec::new();
        let result = for_each_file(&files, false, |index, path| {
            tried.push(path.to_path_buf());
            ensure!(index != 1, "Failed to like it");
            Ok(Done)
        });
        assert_eq!(tried, files);
        assert_eq!(result.unwrap_err().to_string(), "1 of 3 files failed");
        let result = for_each_file::<Done>(&files[..1], false, |_, _| bail!("Failed to like it"));
        assert_eq!(result.unwrap_err().to_string(), "Failed to like it: a.jpg");
    }
}
