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

/// One file. The folder has to exist.
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
    /// Locks the file at this path, which is made if it is not there and stays. Removes what processes that were killed
    /// left in its folder.
    ///
    /// # Errors
    /// [`FileError`] when another process holds the lock ([`io::ErrorKind::WouldBlock`]), or it cannot be made.
    pub fn acquire(path: &Path) -> Result<Self, FileError> {
        let file = open_no_link(OpenOptions::new().create(true).truncate(false).write(true), path)
            .map_err(|error| FileError::new(path, "cannot be opened", error))?;
        file.try_lock().map_err(|error| {
            let held = matches!(error, TryLockError::WouldBlock);
            FileError::new(path, if held { "is held by another process" } else { "cannot be locked" }, error.into())
        })?;
        draft::remove_abandoned(folder(path));
        Ok(Self { _file: file })
    }
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

    /// Locks it for this process. The lock is a file beside it, which stays. Removes what processes that were killed left
    /// in the folder.
    ///
    /// # Errors
    /// [`FileError`] when another process holds the lock ([`io::ErrorKind::WouldBlock`]), or it cannot be made.
    pub fn lock(&self) -> Result<LockedFile, FileError> {
        let lock = FileLock::acquire(&self.beside("lock"))?;
        Ok(LockedFile { file: self.clone(), _lock: lock })
    }

    /// Reads it; `None` when it is not there. The bytes are wiped when they are dropped.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be read, is a link, is not a regular file, or has more than `limit` bytes
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
    /// [`FileError`] when something is at the path that is not replaced: a link, a folder, a device, or with
    /// [`WhenThere::Refuse`] a file.
    pub fn check(&self, when_there: WhenThere) -> Result<(), FileError> {
        draft::check_target(&self.path, when_there).map_err(|error| FileError::not_written(&self.path, error))
    }

    /// Starts to write it. The file is at its path once the draft is finished, and not before.
    ///
    /// # Errors
    /// As [`check`](Self::check), and when a file cannot be made in the folder.
    pub fn draft(&self, ownership: Ownership, when_there: WhenThere) -> Result<Draft, FileError> {
        Draft::begin(&self.path, ownership, when_there).map_err(|error| FileError::not_written(&self.path, error))
    }

    /// Writes it anew: the old content or the new one is there afterwards, whatever happens.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be written, is a link or not a regular file, or its owner cannot be kept.
    pub fn replace(&self, content: &[u8], ownership: Ownership) -> Result<(), FileError> {
        let mut draft = self.draft(ownership, WhenThere::Replace)?;
        draft.write_all(content).map_err(|error| FileError::not_written(&self.path, error))?;
        draft.finish()
    }

    /// Removes it, if it exists.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be removed.
    pub fn remove(&self) -> Result<(), FileError> {
        let removed = match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => draft::sync_folder(folder(&self.path)),
        };
        removed.map_err(|error| FileError::new(&self.path, "cannot be removed", error))
    }

    /// Renames it, so that a new one can be written and this one examined. Returns its new path.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be renamed.
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

/// Makes a folder and those above it that are missing, each for its owner alone.
///
/// # Errors
/// Those of the file system; nothing when the folder is there already, whatever its mode.
pub fn create_private_folder(path: impl AsRef<Path>) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
