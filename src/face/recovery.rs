//! Work that survives a crash: every few seconds the window writes what was done into a folder of its own, and the
//! next start offers what a program that is no longer there has left.
//!
//! Each running program holds a lock on a file in its folder, which the system lets go of however the program ends.
//! The photo is written once, the rest is a project ([`super::project`]) without the photo, written beside and renamed.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::{Context as _, Result};

use super::project::{self, Project};
use crate::photo::{read_bounded, save_atomically};

const LOCK: &str = "lock";
const WORK: &str = "work.vitruvian";

/// Where one running program keeps its work.
pub struct Session {
    base: PathBuf,
    open: Mutex<Option<Open>>,
}

struct Open {
    folder: PathBuf,
    /// Of the photo that lies in the folder.
    photo: Option<u64>,
    /// Locked as long as it is open.
    _lock: File,
}

impl Session {
    /// A session that makes its folder under `base` once there is something to keep.
    pub fn new(base: PathBuf) -> Self {
        let open = Mutex::default();
        Self { base, open }
    }

    /// Where all sessions are.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Keeps the work. `photo_id` tells photos apart, so that each is written once.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, project: &Project, photo: &[u8], photo_id: u64) -> Result<()> {
        let mut slot = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            *slot = Some(Open::new(&self.base)?);
        }
        let open = slot.as_mut().context("Failed to keep the work")?;
        if open.photo != Some(photo_id) {
            // The old work belongs to the old photo.
            fs::remove_file(open.folder.join(WORK)).ok();
            save_atomically(&open.folder.join("photo"), photo)?;
            open.photo = Some(photo_id);
        }
        save_atomically(&open.folder.join(WORK), &project::encode(project, None)?)
    }

    /// Removes what was kept: it is saved elsewhere, or nobody wants it. A folder that stays does no harm.
    pub fn clear(&self) {
        let mut slot = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = slot.take() {
            fs::remove_dir_all(&open.folder).ok();
        }
    }
}

impl Open {
    fn new(base: &Path) -> Result<Self> {
        let process = std::process::id();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let nanos = now.map_or(0, |now| now.as_nanos());
        let folder = base.join(format!("{process}-{nanos}"));
        let advice = || format!("Failed to keep the work in {}", folder.display());
        fs::create_dir_all(&folder).with_context(advice)?;
        let lock = File::create(folder.join(LOCK)).with_context(advice)?;
        lock.lock().with_context(advice)?;
        Ok(Self {
            folder,
            photo: None,
            _lock: lock,
        })
    }
}

/// Work that a program left when it ended without asking.
pub struct Orphan {
    folder: PathBuf,
    /// When it was last written.
    pub when: SystemTime,
    /// Kept while the user is asked, so that no other program offers it too.
    _lock: File,
}

/// The newest work under `base` that no running program holds. Folders without work are removed.
pub fn find_orphan(base: &Path) -> Option<Orphan> {
    let folders = fs::read_dir(base).ok()?.flatten().map(|entry| entry.path());
    let mut found: Vec<Orphan> = folders.filter_map(|folder| orphan_in(&folder)).collect();
    found.sort_by_key(|orphan| orphan.when);
    found.pop()
}

fn orphan_in(folder: &Path) -> Option<Orphan> {
    let lock = File::options()
        .read(true)
        .write(true)
        .open(folder.join(LOCK))
        .ok()?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => return None,
    }
    let written = fs::metadata(folder.join(WORK)).and_then(|m| m.modified());
    match written {
        Ok(when) => Some(Orphan {
            folder: folder.to_path_buf(),
            when,
            _lock: lock,
        }),
        Err(_) => {
            fs::remove_dir_all(folder).ok();
            None
        }
    }
}

impl Orphan {
    /// Reads the work and the photo's bytes.
    ///
    /// # Errors
    /// When they are damaged.
    pub fn read(&self) -> Result<(Project, Vec<u8>)> {
        let work =
            read_bounded(&self.folder.join(WORK)).context("Failed to bring the work back")?;
        let (project, _) = project::decode(&work).context("Failed to bring the work back")?;
        let photo = read_bounded(&self.folder.join("photo"))?;
        Ok((project, photo))
    }

    /// Removes it.
    pub fn discard(self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::project::tests::project;

    #[test]
    fn work_is_offered_once_its_program_is_gone() {
        let base = tempfile::tempdir().unwrap();
        assert!(find_orphan(base.path()).is_none());
        let session = Session::new(base.path().join("recovery"));
        let base = session.base().to_path_buf();
        session.save(&project(), b"photo one", 1).unwrap();
        session.save(&project(), b"photo two", 2).unwrap();
        assert!(find_orphan(&base).is_none(), "its program runs");
        // As when the program is killed: the lock goes, the files stay.
        drop(session);
        let orphan = find_orphan(&base).unwrap();
        assert!(find_orphan(&base).is_none(), "one program asks at a time");
        let (found, photo) = orphan.read().unwrap();
        assert_eq!(photo, b"photo two");
        assert_eq!(found.faces, project().faces);
        orphan.discard();
        assert!(find_orphan(&base).is_none());
        assert_eq!(fs::read_dir(&base).unwrap().count(), 0);
    }

    #[test]
    fn what_was_saved_elsewhere_is_not_offered() {
        let base = tempfile::tempdir().unwrap();
        let session = Session::new(base.path().to_path_buf());
        session.save(&project(), b"photo", 1).unwrap();
        session.clear();
        drop(session);
        assert!(find_orphan(base.path()).is_none());
    }
}
