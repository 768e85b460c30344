//! Files that are written whole or not at all, and never through a link.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::FileError;
use crate::draft::{self, Draft, WhenThere, folder};
use crate::ownership::Ownership;
use crate::read::{check_regular, open_no_link, read_regular};

/// The path of a file that is written privately. Its directory must exist.
#[derive(Clone, Debug)]
pub struct PrivateFile {
    path: PathBuf,
}

/// A [`PrivateFile`] that this process has locked, until it is dropped.
#[derive(Debug)]
pub struct LockedFile {
    file: PrivateFile,
    _lock: FileLock,
}

impl Deref for LockedFile {
    type Target = PrivateFile;

    fn deref(&self) -> &PrivateFile {
        &self.file
    }
}

/// A lock among processes, held until it is dropped.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

impl FileLock {
    /// Locks the file at this path, which is created if it does not exist, and not removed later. Removes unfinished files
    /// of killed processes in its directory.
    ///
    /// # Errors
    /// [`FileError`] if another process holds the lock ([`io::ErrorKind::WouldBlock`]), or the file cannot be created.
    pub fn acquire(path: &Path) -> Result<Self, FileError> {
        let file = open_no_link(OpenOptions::new().create(true).truncate(false).write(true), path)
            .map_err(|error| FileError::new(path, "cannot be opened", error))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                let advice = io::Error::new(io::ErrorKind::WouldBlock, "wait until it ends, or use another file");
                FileError::new(path, "is held by another process", advice)
            }
            TryLockError::Error(error) => FileError::new(path, "cannot be locked", error),
        })?;
        draft::remove_abandoned(folder(path));
        Ok(Self { _file: file })
    }
}

impl PrivateFile {
    /// Creates a `PrivateFile` for this path. The file need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns the path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Locks it for this process. The lock is a file beside it, which is not removed later. Removes unfinished files of
    /// killed processes in the directory.
    ///
    /// # Errors
    /// [`FileError`] if another process holds the lock ([`io::ErrorKind::WouldBlock`]), or the lock cannot be created.
    pub fn lock(&self) -> Result<LockedFile, FileError> {
        let lock = FileLock::acquire(&self.beside("lock"))?;
        Ok(LockedFile { file: self.clone(), _lock: lock })
    }

    /// Reads it; `None` if it does not exist. The bytes are wiped when they are dropped.
    ///
    /// # Errors
    /// [`FileError`] if it cannot be read, is a link, is not a regular file, or has more than `limit` bytes
    /// ([`io::ErrorKind::FileTooLarge`]).
    pub fn read(&self, limit: u64) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
        let file = match open_no_link(OpenOptions::new().read(true), &self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FileError::new(&self.path, "cannot be opened", error)),
        };
        let content = check_regular(&file).and_then(|()| read_regular(file, limit));
        content.map(Some).map_err(|error| FileError::new(&self.path, "cannot be read", error))
    }

    /// Returns an error if [`draft`](Self::draft) would refuse to write here.
    ///
    /// # Errors
    /// [`FileError`] if something at the path must not be replaced: a link, a directory, a device, or with
    /// [`WhenThere::Refuse`] a file.
    pub fn check(&self, when_there: WhenThere) -> Result<(), FileError> {
        draft::check_target(&self.path, when_there).map_err(|error| FileError::not_written(&self.path, error))
    }

    /// Starts to write it. The file appears at its path when the draft is finished.
    ///
    /// # Errors
    /// As [`check`](Self::check), and if a file cannot be created in the directory.
    pub fn draft(&self, ownership: Ownership, when_there: WhenThere) -> Result<Draft, FileError> {
        Draft::begin(&self.path, ownership, when_there).map_err(|error| FileError::not_written(&self.path, error))
    }

    /// Replaces its content atomically: even after a crash, the file has either the old or the new content.
    ///
    /// # Errors
    /// [`FileError`] if it cannot be written, is a link or not a regular file, or its owner cannot be kept.
    pub fn replace(&self, content: &[u8], ownership: Ownership) -> Result<(), FileError> {
        let mut draft = self.draft(ownership, WhenThere::Replace)?;
        draft.write_all(content).map_err(|error| FileError::not_written(&self.path, error))?;
        draft.finish()
    }

    /// Removes it, if it exists.
    ///
    /// # Errors
    /// [`FileError`] if it cannot be removed.
    pub fn remove(&self) -> Result<(), FileError> {
        let removed = match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => draft::sync_folder(folder(&self.path)),
        };
        removed.map_err(|error| FileError::new(&self.path, "cannot be removed", error))
    }

    /// Renames it, so that a new file can be written and this one can be examined. Returns its new path.
    ///
    /// # Errors
    /// [`FileError`] if it cannot be renamed.
    pub fn set_aside(&self) -> Result<PathBuf, FileError> {
        let path = self.beside("corrupt");
        fs::rename(&self.path, &path).map_err(|error| FileError::new(&self.path, "cannot be set aside", error))?;
        Ok(path)
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".");
        name.push(ending);
        self.path.with_file_name(name)
    }
}

/// Creates a directory and its missing parents, each readable by its owner alone.
///
/// # Errors
/// Those of the file system. It is not an error if the directory exists, whatever its mode.
pub fn create_private_folder(path: impl AsRef<Path>) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
