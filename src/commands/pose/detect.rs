//! `vitruvian pose detect`: people of some photos as a result file, with a picture of each.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use rayon::prelude::*;
use serde::Serialize;

use crate::cli::pose::DetectArgs;
use crate::commands::{Outcome, note, output_paths, print, print_error, print_json, with_path};
use crate::job::Out;
use crate::photo::{self, Photo};
use crate::pose::annotations::{ImageId, results_json};
use crate::pose::draw::draw;
use crate::pose::estimate::{PoseConfig, detect};
use crate::pose::keypoints::Person;
use crate::pose::networks::Networks;
use crate::weights::Store;

#[derive(Serialize)]
struct Detected {
    people: usize,
    overlay: PathBuf,
}

impl fmt::Display for Detected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.people == 1 { "person" } else { "people" };
        write!(f, "{} {noun}: {}", self.people, self.overlay.display())
    }
}

pub fn run(args: &DetectArgs) -> Result<()> {
    ensure!(
        !args.output.is_file(),
        "{} is a file; name a folder for the results",
        args.output.display()
    );
    std::fs::create_dir_all(&args.output)
        .with_context(|| format!("Failed to make the folder {}", args.output.display()))?;
    let overlays = output_paths(&args.photos, &args.output, "overlay.jpg")?;
    let networks = Networks::load(&Store::find())?;
    let mut found: Vec<(ImageId, Vec<Person>)> = Vec::new();
    let mut taken: BTreeMap<ImageId, PathBuf> = BTreeMap::new();
    let mut outcomes = Vec::new();
    let mut failures = Vec::new();
    let mut index = 0;
    for_each_photo(&networks, &args.photos, &args.config, |path, result| {
        let done = result.and_then(|(mut photo, people)| {
            let id = ImageId::of_file(path);
            if let Some(other) = taken.insert(id.clone(), path.to_path_buf()) {
                let text = format!(
                    "the results have the same image_id as those of {}",
                    other.display()
                );
                note(&text, path);
            }
            draw(&mut photo.rgb, &people);
            let overlay = overlays.get(index).context("No place to write to")?;
            photo::save(overlay, &Photo::from_rgb(photo.rgb))?;
            let count = people.len();
            found.push((id, people));
            Ok(Detected {
                people: count,
                overlay: overlay.clone(),
            })
        });
        index += 1;
        let (done, error) = match done {
            Ok(done) => (Some(done), None),
            Err(error) => (None, Some(with_path(error, path))),
        };
        if let (Some(done), false) = (&done, args.json) {
            print(done);
        }
        if let (Some(error), true) = (&error, args.photos.len() > 1) {
            print_error(error);
        }
        outcomes.push(Outcome {
            file: path.to_path_buf(),
            done,
            error: error.as_ref().map(|error| format!("{error:#}")),
        });
        failures.extend(error);
    });
    let json = results_json(found.iter().map(|(id, people)| (id, people.as_slice())))?;
    let path = args.output.join("results.json");
    photo::save_atomically(&path, json.as_bytes())?;
    if args.json {
        print_json(&outcomes)?;
    } else {
        print(path.display());
    }
    match failures.pop() {
        None => Ok(()),
        Some(only) if args.photos.len() == 1 => Err(only),
        Some(_) => bail!(
            "{} of {} photos failed",
            failures.len() + 1,
            args.photos.len()
        ),
    }
}

/// A photo and who is in it.
pub(super) type Looked = Result<(Photo, Vec<Person>)>;

/// Photos that are in work at the same time, at most.
const AT_ONCE: usize = 4;

/// Finds the people of each photo, in order. Some photos are read and looked at side by side, so that every core has
/// work, while those before them are handed to `done`.
pub(super) fn for_each_photo(
    networks: &Networks,
    paths: &[PathBuf],
    config: &PoseConfig,
    mut done: impl FnMut(&Path, Looked) + Send,
) {
    let out: Out<()> = Out::to_stderr("pose");
    let look = |(index, path): (usize, &PathBuf)| {
        let photo = photo::open(path)?;
        let share = |count: usize| count as f32 / paths.len() as f32;
        let part = match paths.len() {
            1 => out.part(0.0, 1.0),
            // Of several photos at once only the number is of use.
            _ => Out::silent(),
        };
        let people = detect(networks, &photo.rgb, config, &part)?;
        if paths.len() > 1 {
            out.progress(share(index + 1), format!("{} people", people.len()))?;
        }
        let people = people.into_iter().map(|zoomed| zoomed.person).collect();
        Ok((photo, people))
    };
    let window = rayon::current_num_threads().clamp(1, AT_ONCE);
    let mut ready: Vec<(&PathBuf, Looked)> = Vec::new();
    let mut indexed = paths.iter().enumerate();
    loop {
        let next: Vec<(usize, &PathBuf)> = indexed.by_ref().take(window).collect();
        let before = std::mem::take(&mut ready);
        if next.is_empty() && before.is_empty() {
            break;
        }
        let (found, ()) = rayon::join(
            || {
                next.par_iter()
                    .with_max_len(1)
                    .map(|&(index, path)| (path, look((index, path))))
                    .collect()
            },
            || {
                for (path, result) in before {
                    done(path, result);
                }
            },
        );
        ready = found;
    }
}
