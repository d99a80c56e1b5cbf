//! Opens what a user has at hand: a track file, with its picture, homography and mask beside it or named as well.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::scene::{Homography, Scene};
use super::tracks::{self, Tracks};
use crate::photo;

/// Most that is looked at to tell a homography from tracks.
const HOMOGRAPHY_BYTES: u64 = 4096;

/// What files turned out to be.
#[derive(Default)]
pub struct Found {
    pub tracks: Option<(PathBuf, Tracks)>,
    /// What was named, or what lay beside the tracks.
    pub scene: Scene,
}

/// Reads tracks (text or CSV), a picture, a homography (nine numbers) and a mask (a picture with `walkable` or `mask` in
/// its name), in any order and each of them optional. Where only tracks are named, a scene in the same folder is taken.
///
/// # Errors
/// The first file that cannot be read, or two of one kind.
pub fn open(paths: &[PathBuf]) -> Result<Found> {
    let (mut track_file, mut picture, mut homography, mut walkable) = (None, None, None, None);
    for path in paths {
        let (slot, kind) = match kind_of(path) {
            Kind::Tracks => (&mut track_file, "tracks"),
            Kind::Picture => (&mut picture, "a picture"),
            Kind::Homography => (&mut homography, "a homography"),
            Kind::Walkable => (&mut walkable, "a mask of walkable ground"),
        };
        ensure!(
            slot.is_none(),
            "Two files are {kind}; open one at a time: {}",
            path.display()
        );
        *slot = Some(path.clone());
    }
    let is_alone = picture.is_none() && homography.is_none() && walkable.is_none();
    let tracks = match track_file {
        Some(path) => {
            let read = tracks::read(&path)?;
            Some((path, read))
        }
        None => None,
    };
    let folder = tracks.as_ref().and_then(|(path, _)| path.parent());
    // A folder without a scene is no error here: tracks can be shown on their own.
    let beside = folder
        .filter(|_| is_alone)
        .and_then(|f| Scene::open_folder(f).ok());
    let scene = match beside {
        Some(scene) => scene,
        None => Scene::open(
            picture.as_deref(),
            homography.as_deref(),
            walkable.as_deref(),
        )?,
    };
    Ok(Found { tracks, scene })
}

enum Kind {
    Tracks,
    Picture,
    Homography,
    Walkable,
}

fn kind_of(path: &Path) -> Kind {
    let lower = |part: Option<&std::ffi::OsStr>| {
        part.map(|part| part.to_string_lossy().to_lowercase())
            .unwrap_or_default()
    };
    let (extension, name) = (lower(path.extension()), lower(path.file_stem()));
    if photo::EXTENSIONS.contains(&extension.as_str()) {
        let is_mask = name.contains("walkable") || name.contains("mask");
        return if is_mask {
            Kind::Walkable
        } else {
            Kind::Picture
        };
    }
    let is_small = std::fs::metadata(path).is_ok_and(|m| m.len() <= HOMOGRAPHY_BYTES);
    let text = if is_small {
        std::fs::read_to_string(path).ok()
    } else {
        None
    };
    match text {
        Some(text) if Homography::parse(&text).is_ok() => Kind::Homography,
        _ => Kind::Tracks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raster::Rgb;

    #[test]
    fn files_are_told_apart_by_what_is_in_them() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        let walk: String = (0..20).map(|i| format!("{} 1 {} 2\n", i * 10, i)).collect();
        std::fs::write(path("obsmat.txt"), walk).unwrap();
        std::fs::write(path("H.txt"), "0.02 0 0\n0 0.02 0\n0 0 1\n").unwrap();
        photo::save_png(&path("street.png"), &Rgb::new(60, 40, [90; 3])).unwrap();
        photo::save_png(&path("walkable.png"), &Rgb::new(30, 20, [255; 3])).unwrap();
        let all = ["street.png", "obsmat.txt", "H.txt", "walkable.png"].map(path);
        let found = open(&all).unwrap();
        assert_eq!(found.tracks.unwrap().1.tracks.len(), 1);
        assert_eq!(found.scene.to_world([100.0, 50.0]), [2.0, 1.0]);
        assert_eq!(found.scene.picture.as_ref().unwrap().width, 60);
        assert_eq!(found.scene.is_walkable([0.5, 0.5]), Some(true));

        // Alone, tracks take the mask that lies beside them under its usual name.
        let found = open(&[path("obsmat.txt")]).unwrap();
        assert!(found.scene.walkable.is_some() && found.scene.picture.is_none());

        photo::save_png(&path("other.png"), &Rgb::new(60, 40, [90; 3])).unwrap();
        let two = open(&[path("street.png"), path("other.png")]);
        assert!(
            two.err()
                .unwrap()
                .to_string()
                .contains("Two files are a picture")
        );
        assert!(open(&[path("missing.txt")]).is_err());
    }
}
