//! The data sets that networks are trained and measured on.
//!
//! ETH (Pellegrini et al. 2009) and UCY (Lerner et al. 2007) in Social GAN's leave-one-out folders
//! `FOLD/{train,val,test}/*.txt`, with `scenes/NAME` beside them as far as it is there; and a folder of Stanford Drone
//! tracks. Left out: downloading, and the pictures of the drone data.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};

use super::moments::{Moment, Steps, moments};
use super::scene::Scene;
use super::tracks;

/// The five test scenes of the leave-one-out protocol.
pub const FOLDS: [&str; 5] = ["eth", "hotel", "univ", "zara1", "zara2"];
/// People that Social GAN's protocol scores in each fold's test files.
pub const TEST_PEOPLE: [usize; 5] = [181, 1053, 24334, 2253, 5833];

/// Drone videos that validate unless others are named: four places, a sixth of all people.
pub const HELD_OUT: [&str; 4] = ["gates_3", "hyang_6", "nexus_8", "bookstore_3"];

/// One file: who was seen when, and where.
#[derive(Clone)]
pub struct Recording {
    /// The file's name without extension.
    pub name: String,
    pub moments: Vec<Moment>,
    pub scene: Option<Arc<Scene>>,
}

/// Recordings to train on and to choose a checkpoint with.
pub struct Split {
    pub train: Vec<Recording>,
    pub val: Vec<Recording>,
}

/// The files of one part (`train`, `val` or `test`) of a fold.
///
/// # Errors
/// No such folder or no tracks in it, or a file that cannot be read.
pub fn fold_part(data: &Path, fold: &str, part: &str) -> Result<Vec<Recording>> {
    let files = text_files(&data.join(fold).join(part))?;
    files
        .iter()
        .map(|path| open_recording(data, path))
        .collect()
}

/// Training and validation part of a fold; the fold `all` takes every scene, each once.
///
/// # Errors
/// As [`fold_part`].
pub fn fold(data: &Path, fold: &str) -> Result<Split> {
    let parts = |part: &str| -> Result<Vec<Recording>> {
        if FOLDS.contains(&fold) {
            return fold_part(data, fold, part);
        }
        ensure!(
            fold == "all",
            "There is no fold {fold}; there are {} and all",
            FOLDS.join(", ")
        );
        let mut files: Vec<PathBuf> = Vec::new();
        for fold in FOLDS {
            for path in text_files(&data.join(fold).join(part))? {
                if files
                    .iter()
                    .all(|known| known.file_name() != path.file_name())
                {
                    files.push(path);
                }
            }
        }
        files
            .iter()
            .map(|path| open_recording(data, path))
            .collect()
    };
    Ok(Split {
        train: parts("train")?,
        val: parts("val")?,
    })
}

/// Stanford Drone tracks in metres: the files of `data/train`, or of `data` itself. Files of the videos named in
/// `held_out` validate.
///
/// # Errors
/// As [`fold_part`], or when one of the two parts is empty.
pub fn drone(data: &Path, held_out: &[String]) -> Result<Split> {
    let folder = Some(data.join("train")).filter(|path| path.is_dir());
    let folder = folder.unwrap_or_else(|| data.to_path_buf());
    let mut split = Split {
        train: Vec::new(),
        val: Vec::new(),
    };
    for path in text_files(&folder)? {
        let recording = open_recording(data, &path)?;
        match held_out.contains(&recording.name) {
            true => split.val.push(recording),
            false => split.train.push(recording),
        }
    }
    ensure!(
        !split.val.is_empty(),
        "None of the files to validate with ({}) is in {}",
        held_out.join(", "),
        folder.display()
    );
    ensure!(!split.train.is_empty(), "All files are held out");
    Ok(split)
}

/// Metres of a pixel in each video, from the table that comes with the TrajNet files (`H_SDD.txt`): the mean of a
/// video's rows.
///
/// # Errors
/// No such file, or none of its rows has a name and a ratio.
pub fn drone_ratios(table: &Path) -> Result<std::collections::BTreeMap<String, f64>> {
    let text = std::fs::read_to_string(table)
        .with_context(|| format!("Failed to read {}", table.display()))?;
    let mut sums = std::collections::BTreeMap::<String, (f64, f64)>::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        let (Some(name), Some(ratio)) = (words.first(), words.last()) else {
            continue;
        };
        if let (Some(name), Ok(ratio)) = (name.strip_suffix(".jpg"), ratio.trim().parse::<f64>()) {
            let sum = sums.entry(name.to_string()).or_default();
            *sum = (sum.0 + ratio, sum.1 + 1.0);
        }
    }
    ensure!(!sums.is_empty(), "There is no ratio in {}", table.display());
    Ok(sums
        .into_iter()
        .map(|(name, (sum, n))| (name, sum / n))
        .collect())
}

fn text_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("Failed to read the folder {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_text = path.extension().is_some_and(|e| e == "txt" || e == "csv");
        // The table of scales lies beside the tracks.
        if is_text
            && !path
                .file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with("H_"))
        {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        bail!("There are no track files (.txt) in {}", folder.display());
    }
    Ok(files)
}

fn open_recording(data: &Path, path: &Path) -> Result<Recording> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let scene = match scene_of(&name).map(|scene| data.join("scenes").join(scene)) {
        Some(folder) if folder.is_dir() => Some(Arc::new(Scene::open_folder(&folder)?)),
        _ => None,
    };
    Ok(Recording {
        name: name.into_owned(),
        moments: moments(&tracks::read(path)?, Steps::Listed),
        scene,
    })
}

/// The scene in which a file of ETH/UCY was recorded. All of UCY's university were filmed by one camera; for the third
/// recording of Zara there is no homography.
fn scene_of(file: &str) -> Option<&'static str> {
    let known = [
        ("biwi_eth", "eth"),
        ("biwi_hotel", "hotel"),
        ("crowds_zara01", "zara1"),
        ("crowds_zara02", "zara2"),
        ("students00", "univ"),
        ("uni_examples", "univ"),
    ];
    known
        .iter()
        .find(|(start, _)| file.starts_with(start))
        .map(|(_, scene)| *scene)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_out_videos_validate_and_the_table_of_scales_is_no_recording() {
        let folder = tempfile::tempdir().unwrap();
        let walk: String = (0..20).map(|s| format!("{} 1 {s} 0\n", s * 12)).collect();
        for name in ["quad_0.txt", "quad_1.txt"] {
            std::fs::write(folder.path().join(name), &walk).unwrap();
        }
        let table = folder.path().join("H_SDD.txt");
        std::fs::write(&table, "File\tRatio\nquad_0.jpg\t0.04\nquad_0.jpg\t0.02\n").unwrap();
        let split = drone(folder.path(), &["quad_1".to_string()]).unwrap();
        assert_eq!((split.train.len(), split.val.len()), (1, 1));
        assert_eq!(split.val[0].name, "quad_1");
        assert_eq!(
            split.train[0]
                .moments
                .iter()
                .filter(|m| m.complete().count() == 1)
                .count(),
            1
        );
        assert!((drone_ratios(&table).unwrap()["quad_0"] - 0.03).abs() < 1e-12);
        assert!(drone(folder.path(), &["quad_9".to_string()]).is_err());
        assert!(
            fold(folder.path(), "paris")
                .err()
                .unwrap()
                .to_string()
                .contains("zara2")
        );
    }
}
