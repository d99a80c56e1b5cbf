//! The pictures in a folder, in the order that people expect: `face2` before `face10`.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, ensure};

use super::EXTENSIONS;

/// More are not listed, so that opening the wrong folder costs little.
const MAX_PICTURES: usize = 100_000;

/// The pictures right inside a folder, told by their endings, in natural order.
///
/// # Errors
/// The folder cannot be read, or there is no picture in it. The path comes last.
pub fn pictures_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |text: String| anyhow!("{text}: {}", folder.display());
    let entries = std::fs::read_dir(folder)
        .map_err(|err| fail(format!("Failed to read the folder ({err})")))?;
    let is_picture = |path: &PathBuf| {
        let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        !is_hidden && EXTENSIONS.iter().any(|known| ending == *known) && path.is_file()
    };
    let mut pictures: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_picture)
        .take(MAX_PICTURES)
        .collect();
    ensure!(
        !pictures.is_empty(),
        fail("There is no picture in this folder".into())
    );
    pictures.sort_by(|a, b| natural(&a.to_string_lossy(), &b.to_string_lossy()));
    Ok(pictures)
}

/// Compares names so that runs of digits count as numbers.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    loop {
        let (x, y) = (piece(&mut rest_a), piece(&mut rest_b));
        let number = |text: &str| {
            let is_number = text.starts_with(|c: char| c.is_ascii_digit());
            is_number.then(|| text.trim_start_matches('0').to_owned())
        };
        let order = match (number(x), number(y)) {
            (Some(x), Some(y)) => x.len().cmp(&y.len()).then_with(|| x.cmp(&y)),
            _ => x.to_lowercase().cmp(&y.to_lowercase()),
        };
        if order != Ordering::Equal || (x.is_empty() && y.is_empty()) {
            return order.then_with(|| a.cmp(b));
        }
    }
}

/// Takes the next run of digits, or of anything else, off the front.
fn piece<'a>(rest: &mut &'a str) -> &'a str {
    let is_number = rest.starts_with(|c: char| c.is_ascii_digit());
    let end = rest.find(|c: char| c.is_ascii_digit() != is_number);
    let (piece, after) = rest.split_at(end.unwrap_or(rest.len()));
    *rest = after;
    piece
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_come_in_the_order_of_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "face10.png",
            "face2.JPG",
            "Face1.png",
            "notes.txt",
            ".hidden.png",
        ] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        std::fs::create_dir(folder.path().join("folder.png")).unwrap();
        let names: Vec<String> = pictures_in(folder.path())
            .unwrap()
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["Face1.png", "face2.JPG", "face10.png"]);
        let empty = tempfile::tempdir().unwrap();
        let text = pictures_in(empty.path()).unwrap_err().to_string();
        assert!(text.contains("no picture"), "{text}");
        assert!(pictures_in(Path::new("no/such")).is_err());
    }

    #[test]
    fn names_compare_naturally() {
        assert_eq!(natural("a1b2", "a1b10"), Ordering::Less);
        assert_eq!(natural("a", "a1"), Ordering::Less);
        assert_eq!(natural("007", "7"), Ordering::Less);
        assert_eq!(natural("x", "x"), Ordering::Equal);
    }
}
