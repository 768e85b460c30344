//! A small file that is written whole or not at all, and never through a link.
//!
//! What is in it is for who uses it; the assignment store and the backups of IoT Edge do.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::DpsError;

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

/// Whose a file is that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// This process's, readable by its owner alone (0600).
    Private,
    /// As the file that is there, its owner, group and mode; the folder's owner, and 0600, where there is none.
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

    /// Locks it for this process, or says that another has it. The lock is a file beside it, which stays.
    ///
    /// # Errors
    /// [`DpsError`] `file` when another process holds the lock, or it cannot be made.
    pub fn lock(&self) -> Result<StoreLock, DpsError> {
        let path = self.beside("lock");
        let file = open(OpenOptions::new().create(true).truncate(false).write(true), &path)
            .map_err(|error| DpsError::file(&path, "cannot be opened", error))?;
        lock_exclusively(&file).map_err(|error| DpsError::file(&path, "is held by another process", error))?;
        Ok(StoreLock { _file: file })
    }

    /// What is in it, at most `most` bytes and one more; `None` when it is not there.
    ///
    /// # Errors
    /// [`DpsError`] `file` when it cannot be read, or is a link.
    pub fn read(&self, most: u64) -> Result<Option<Zeroizing<Vec<u8>>>, DpsError> {
        let mut bytes = Zeroizing::new(Vec::new());
        match open(OpenOptions::new().read(true), &self.path) {
            Ok(file) => {
                file.take(most + 1)
                    .read_to_end(&mut bytes)
                    .map_err(|error| DpsError::file(&self.path, "cannot be read", error))?;
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(DpsError::file(&self.path, "cannot be opened", error)),
        }
    }

    /// Writes it anew: the old content or the new one is there afterwards, whatever happens.
    ///
    /// # Errors
    /// [`DpsError`] `file` when it cannot be written, is a link or no plain file, or its owner cannot be kept.
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
        replace(&self.path, content, ownership, watch)
            .map_err(|error| DpsError::file(&self.path, "cannot be written", error))
    }

    /// Removes it; nothing there is no error.
    ///
    /// # Errors
    /// [`DpsError`] `file` when it cannot be removed.
    pub fn remove(&self) -> Result<(), DpsError> {
        let removed = match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => sync_folder(folder(&self.path)),
        };
        removed.map_err(|error| DpsError::file(&self.path, "cannot be removed", error))
    }

    /// Renames it, so that a new one can be written and this one looked at. Gives where it is now.
    ///
    /// # Errors
    /// [`DpsError`] `file` when it cannot be renamed.
    pub fn set_aside(&self) -> Result<PathBuf, DpsError> {
        let path = self.beside("corrupt");
        fs::rename(&self.path, &path).map_err(|error| DpsError::file(&self.path, "cannot be set aside", error))?;
        Ok(path)
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".");
        name.push(ending);
        self.path.with_file_name(name)
    }
}

/// Writes beside the file and renames: readers see the old content or the new one.
fn replace(path: &Path, content: &[u8], ownership: Ownership, watch: &mut dyn FnMut(WritePoint)) -> io::Result<()> {
    let there = fs::symlink_metadata(path).ok();
    if there.as_ref().is_some_and(|found| !found.is_file()) {
        return Err(io::Error::other("it is no plain file"));
    }
    // Opened exclusively under a random name, readable by the owner only.
    let mut file = tempfile::Builder::new().prefix(".assignment-").tempfile_in(folder(path))?;
    watch(WritePoint::Begun);
    let (first, second) = content.split_at(content.len() / 2);
    file.write_all(first)?;
    watch(WritePoint::HalfWritten);
    file.write_all(second)?;
    watch(WritePoint::Written);
    if ownership == Ownership::Kept {
        keep_owner(file.as_file(), there.as_ref(), folder(path))?;
    }
    watch(WritePoint::Owned);
    file.as_file().sync_all()?;
    watch(WritePoint::OnDisk);
    file.persist(path)?;
    watch(WritePoint::Renamed);
    sync_folder(folder(path))?;
    watch(WritePoint::Done);
    Ok(())
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(unix)]
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    options.mode(0o600).custom_flags(no_follow).open(path)
}

/// A file that its owner could not read any more would be as good as lost.
#[cfg(unix)]
fn keep_owner(file: &File, there: Option<&fs::Metadata>, folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let parent = fs::metadata(folder)?;
    let (owner, mode) = match there {
        Some(there) => (there, there.mode() & 0o7777),
        None => (&parent, 0o600),
    };
    let ours = file.metadata()?;
    if (ours.uid(), ours.gid()) != (owner.uid(), owner.gid()) {
        std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()))?;
    }
    file.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(unix)]
fn lock_exclusively(file: &File) -> io::Result<()> {
    Ok(rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.open(path)
}

/// There, a file belongs to who may change its folder.
#[cfg(not(unix))]
fn keep_owner(_: &File, _: Option<&fs::Metadata>, _: &Path) -> io::Result<()> {
    Ok(())
}

/// Elsewhere the open file itself keeps others from writing it.
#[cfg(not(unix))]
fn lock_exclusively(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
