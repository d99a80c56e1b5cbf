//! `vitruvian pose evaluate`: found poses against annotations.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::cli::pose::EvaluateArgs;
use crate::commands::pose::detect::for_each_photo;
use crate::commands::{note, print, print_error, print_json, with_path};
use crate::pose::annotations::{self, Annotations, ImageId, Results};
use crate::pose::keypoints::Person;
use crate::pose::metrics::{Measure, Quality, evaluate};
use crate::pose::networks::Networks;
use crate::weights::Store;

#[derive(Serialize)]
struct Evaluated {
    photos: usize,
    /// By part; parts that nobody has a label of are left out.
    parts: BTreeMap<&'static str, Quality>,
}

pub fn run(args: &EvaluateArgs) -> Result<()> {
    let path = annotation_file(&args.data)?;
    let mut annotations = annotations::read_annotations(&path)?;
    tell(&annotations.notes, &path);
    let Some(results_path) = &args.results else {
        let folder = path.parent().unwrap_or(Path::new(""));
        let (results, failures) = look_for_people(&mut annotations, folder, args)?;
        report(&annotations, &results, args.json)?;
        if failures > 0 {
            bail!("{failures} photos could not be looked at; the measures are those of the others");
        }
        return Ok(());
    };
    let results = annotations::read_results(results_path)?;
    tell(&results.notes, results_path);
    let strangers = results
        .people
        .keys()
        .filter(|id| !annotations.images.contains_key(id))
        .count();
    if strangers > 0 {
        let text = format!("people of {strangers} photos without annotations were passed over");
        note(&text, results_path);
    }
    report(&annotations, &results, args.json)
}

/// Runs detection on the annotated photos. Those that are missing or damaged are told, counted and taken out of the
/// annotations.
fn look_for_people(
    annotations: &mut Annotations,
    folder: &Path,
    args: &EvaluateArgs,
) -> Result<(Results, usize)> {
    let mut ids = Vec::new();
    let mut paths = Vec::new();
    for (id, image) in &annotations.images {
        // A file may name photos beside it and nothing else.
        let name = Path::new(&image.file_name).file_name();
        let places = name.map(|name| [folder.join(name), folder.join("images").join(name)]);
        let found = places.into_iter().flatten().find(|path| path.is_file());
        paths.push(found.unwrap_or_else(|| folder.join(name.unwrap_or_default())));
        ids.push(id.clone());
    }
    if paths.iter().all(|path| !path.is_file()) {
        bail!(
            "None of the {} annotated photos lies in {} or its folder images. Put them there, or give --results",
            paths.len(),
            folder.display()
        );
    }
    let networks = Networks::load(&Store::find())?;
    let mut found: Vec<(ImageId, Vec<Person>)> = Vec::new();
    let mut failed = Vec::new();
    let mut ids = ids.into_iter();
    for_each_photo(&networks, &paths, &args.config, |path, result| {
        let Some(id) = ids.next() else { return };
        match result {
            Ok((_, people)) => found.push((id, people)),
            Err(error) => {
                print_error(&with_path(error, path));
                failed.push(id);
            }
        }
    });
    for id in &failed {
        annotations.images.remove(id);
    }
    // By way of the file's own form, so that the figures are those of `pose detect`.
    let json = annotations::results_json(found.iter().map(|(id, people)| (id, people.as_slice())))?;
    Ok((annotations::parse_results(&json)?, failed.len()))
}

fn report(annotations: &Annotations, results: &Results, json: bool) -> Result<()> {
    let scenes = annotations::scenes(annotations, results);
    let measures = Measure::ALL
        .iter()
        .take(if annotations.is_whole_body { 6 } else { 1 });
    let parts: BTreeMap<_, _> = measures
        .filter_map(|&measure| Some((measure.name(), evaluate(&scenes, measure)?)))
        .collect();
    if parts.is_empty() {
        bail!("Nobody in the annotations has a labelled keypoint");
    }
    let photos = scenes.len();
    if json {
        return print_json(&Evaluated { photos, parts });
    }
    print(format_args!(
        "{:<12} {:>7} {:>7} {:>7} {:>7} {:>7}   {photos} photos",
        "part", "AP", "AP50", "AP75", "AR", "people"
    ));
    for measure in Measure::ALL {
        if let Some(q) = parts.get(measure.name()) {
            print(format_args!(
                "{:<12} {:>7.4} {:>7.4} {:>7.4} {:>7.4} {:>7}",
                measure.name(),
                q.ap,
                q.ap50,
                q.ap75,
                q.ar,
                q.people
            ));
        }
    }
    Ok(())
}

fn tell(notes: &[String], path: &Path) {
    for text in notes {
        note(text, path);
    }
}

/// The annotations themselves, or the one JSON file in a folder that holds any.
pub(super) fn annotation_file(data: &Path) -> Result<PathBuf> {
    if !data.is_dir() {
        return Ok(data.to_path_buf());
    }
    let entries = std::fs::read_dir(data)
        .with_context(|| format!("Failed to open the folder {}", data.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .filter(|path| path.file_stem().is_none_or(|stem| stem != "results"))
        .collect();
    files.sort();
    match files.as_slice() {
        [only] => Ok(only.clone()),
        [] => bail!("There is no annotation file (.json) in {}", data.display()),
        _ => bail!(
            "There are {} JSON files in {}; name the one with the annotations instead of the folder",
            files.len(),
            data.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotations_in_a_folder_are_found_unless_there_is_doubt() {
        let folder = tempfile::tempdir().unwrap();
        let error = |folder: &Path| format!("{:#}", annotation_file(folder).unwrap_err());
        assert!(error(folder.path()).contains("no annotation file"));
        let file = folder.path().join("people.json");
        std::fs::write(&file, "{}").unwrap();
        std::fs::write(folder.path().join("results.json"), "[]").unwrap();
        assert_eq!(annotation_file(folder.path()).unwrap(), file);
        assert_eq!(annotation_file(&file).unwrap(), file);
        std::fs::write(folder.path().join("other.json"), "{}").unwrap();
        assert!(error(folder.path()).contains("2 JSON files"));
    }
}
