//! `vitruvian pose evaluate`: found poses against annotations.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::cli::pose::EvaluateArgs;
use crate::commands::{note, print, print_json};
use crate::pose::annotations::{self, Annotations, Results};
use crate::pose::metrics::{Measure, Quality, evaluate};

#[derive(Serialize)]
struct Evaluated {
    photos: usize,
    /// By part; parts that nobody has a label of are left out.
    parts: BTreeMap<&'static str, Quality>,
}

pub fn run(args: &EvaluateArgs) -> Result<()> {
    let path = annotation_file(&args.data)?;
    let annotations = annotations::read_annotations(&path)?;
    tell(&annotations.notes, &path);
    let results = annotations::read_results(&args.results)?;
    tell(&results.notes, &args.results);
    let strangers = results
        .people
        .keys()
        .filter(|id| !annotations.images.contains_key(id))
        .count();
    if strangers > 0 {
        let text = format!("people of {strangers} photos without annotations were passed over");
        note(&text, &args.results);
    }
    report(&annotations, &results, args.json)
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
