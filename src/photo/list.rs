//! What the user has named or dropped: photos, folders of photos, and files that belong to them.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::pictures_in;

/// Photos of one list, at most.
pub const MAX_PHOTOS: usize = 20_000;

/// Files sorted by what they are, by their endings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// In the order they were named; those of a folder by name, numbers in names by value.
    pub photos: Vec<PathBuf>,
    pub json: Vec<PathBuf>,
    /// What was left out, in plain words.
    pub notes: Vec<String>,
}

/// Looks through files and folders; folders within folders are left out, and those that cannot be read are told.
///
/// # Errors
/// More than [`MAX_PHOTOS`] photos.
pub fn list(paths: &[PathBuf]) -> Result<Listing> {
    let mut listing = Listing::default();
    for path in paths {
        if path.is_dir() {
            match pictures_in(path) {
                Ok(pictures) => listing.photos.extend(pictures),
                Err(error) => listing.notes.push(format!("{error:#}")),
            }
        } else if path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("json"))
        {
            listing.json.push(path.clone());
        } else {
            // What is no picture is told when it is opened.
            listing.photos.push(path.clone());
        }
        ensure!(
            listing.photos.len() <= MAX_PHOTOS,
            "These are more than {MAX_PHOTOS} photos. Open a part of them"
        );
    }
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_looked_through_in_the_order_of_numbers() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b10.JPG", "b9.png", "a.webp", "notes.txt", "people.json"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        std::fs::create_dir(folder.path().join("inner.png")).unwrap();
        let own = folder.path().join("notes.txt");
        let json = folder.path().join("people.json");
        let named = [folder.path().to_path_buf(), own.clone(), json.clone()];
        let listing = list(&named).unwrap();
        let mut expected: Vec<_> = ["a.webp", "b9.png", "b10.JPG"]
            .map(|name| folder.path().join(name))
            .into();
        expected.push(own);
        assert_eq!(listing.photos, expected);
        assert_eq!(listing.json, [json]);
        assert!(listing.notes.is_empty());

        let empty = folder.path().join("inner.png");
        let note = &list(&[empty]).unwrap().notes[0];
        assert!(note.contains("no picture"), "{note}");
    }
}
