//! Files that are written whole or not at all, and never through a link. Every crate that depends on this one writes by
//! this module.

mod draft;
mod kept;

pub use draft::{Draft, abandon_drafts};

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::DpsError;
use crate::file::{check_regular, open_without_waiting};

/// One file. The folder has to exist.
#[derive(Clone, Debug)]
pub struct PrivateFile {
    path: PathBuf,
}

/// Keeps other processes from the file until it is dropped.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

/// What to do when there is a file at the path already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenThere {
    /// Return an error and leave it as it is.
    Refuse,
    /// Replace it in one step.
    Replace,
}

/// The owner and the mode of a file that is written. While it is written, only this process's user can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// This process's user, readable by its owner alone (0600).
    Private,
    /// This process's user, readable by all users (0644).
    Public,
    /// Owner, group and mode of the file that is replaced, without set-uid, set-gid and sticky bit; without such a
    /// file, owner and group of the folder, and 0600.
    Kept,
}

/// How far the writing of a file is. For tests that stop it there.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WritePoint {
    Begun,
    HalfWritten,
    Written,
    Owned,
    OnDisk,
    /// Only if a file is replaced, or the file system has no unnamed files.
    Named,
    Renamed,
    Done,
}

impl PrivateFile {
    /// The file at this path, whether it is there or not.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Locks it for this process, or returns an error when another process has it. The lock is a file beside it, which
    /// stays. Removes what processes that were killed left in the folder.
    ///
    /// # Errors
    /// [`DpsError`] `file` when another process holds the lock, or it cannot be made.
    pub fn lock(&self) -> Result<StoreLock, DpsError> {
        let path = self.beside("lock");
        let file = open(OpenOptions::new().create(true).truncate(false).write(true), &path)
            .map_err(|error| DpsError::file(&path, "cannot be opened", error))?;
        lock_exclusively(&file).map_err(|error| DpsError::file(&path, "is held by another process", error))?;
        draft::remove_abandoned(folder(&self.path));
        Ok(StoreLock { _file: file })
    }

    /// What is in it, at most `most` bytes and one more; `None` when it is not there.
    ///
    /// # Errors
    /// [`DpsError`] `file` when it cannot be read, is a link, or is not a regular file.
    pub fn read(&self, most: u64) -> Result<Option<Zeroizing<Vec<u8>>>, DpsError> {
        let mut bytes = Zeroizing::new(Vec::new());
        match open(OpenOptions::new().read(true), &self.path) {
            Ok(file) => {
                check_regular(&file)
                    .and_then(|()| file.take(most + 1).read_to_end(&mut bytes))
                    .map_err(|error| DpsError::file(&self.path, "cannot be read", error))?;
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(DpsError::file(&self.path, "cannot be opened", error)),
        }
    }

    /// Returns an error if [`draft`](Self::draft) would refuse to write here.
    ///
    /// # Errors
    /// [`DpsError`] `file` when something is at the path that is not replaced: a link, a folder, a device, or with
    /// [`WhenThere::Refuse`] a file.
    pub fn check(&self, when_there: WhenThere) -> Result<(), DpsError> {
        draft::check_target(&self.path, when_there).map_err(|error| self.cannot_be_written(error))
    }

    /// Starts to write it. The file is at its path once the draft is finished, and not before.
    ///
    /// # Errors
    /// As [`check`](Self::check), and when a file cannot be made in the folder.
    pub fn draft(&self, ownership: Ownership, when_there: WhenThere) -> Result<Draft, DpsError> {
        Draft::begin(&self.path, ownership, when_there).map_err(|error| self.cannot_be_written(error))
    }

    /// Writes it anew: the old content or the new one is there afterwards, whatever happens.
    ///
    /// # Errors
    /// [`DpsError`] `file` when it cannot be written, is a link or not a regular file, or its owner cannot be kept.
    pub fn replace(&self, content: &[u8], ownership: Ownership) -> Result<(), DpsError> {
        self.replace_watched(content, ownership, &mut |_| {})
    }

    /// The same, telling how far it is.
    #[doc(hidden)]
    pub fn replace_watched(
        &self,
        content: &[u8],
        ownership: Ownership,
        watch: &mut dyn FnMut(WritePoint),
    ) -> Result<(), DpsError> {
        let mut draft = self.draft(ownership, WhenThere::Replace)?;
        watch(WritePoint::Begun);
        let (first, second) = content.split_at(content.len() / 2);
        draft
            .write_all(first)
            .and_then(|()| {
                watch(WritePoint::HalfWritten);
                draft.write_all(second)
            })
            .and_then(|()| {
                watch(WritePoint::Written);
                draft.finish_watched(watch)
            })
            .map_err(|error| self.cannot_be_written(error))
    }

    /// Removes it, if it exists.
    ///
    /// # Errors
    /// [`DpsError`] `file` when it cannot be removed.
    pub fn remove(&self) -> Result<(), DpsError> {
        let removed = match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => draft::sync_folder(folder(&self.path)),
        };
        removed.map_err(|error| DpsError::file(&self.path, "cannot be removed", error))
    }

    /// Renames it, so that a new one can be written and this one examined. Returns its new path.
    ///
    /// # Errors
    /// [`DpsError`] `file` when it cannot be renamed.
    pub fn set_aside(&self) -> Result<PathBuf, DpsError> {
        let path = self.beside("corrupt");
        fs::rename(&self.path, &path).map_err(|error| DpsError::file(&self.path, "cannot be set aside", error))?;
        Ok(path)
    }

    fn cannot_be_written(&self, error: io::Error) -> DpsError {
        DpsError::file(&self.path, "cannot be written", error)
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".");
        name.push(ending);
        self.path.with_file_name(name)
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(unix)]
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    open_without_waiting(options, path, rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
}

#[cfg(unix)]
fn lock_exclusively(file: &File) -> io::Result<()> {
    Ok(rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?)
}

#[cfg(not(unix))]
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    open_without_waiting(options, path, 0)
}

/// Does nothing: outside Unix, other processes are not kept from the file.
#[cfg(not(unix))]
fn lock_exclusively(_: &File) -> io::Result<()> {
    Ok(())
}
