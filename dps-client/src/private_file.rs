//! A small file that is written whole or not at all, and never through a link.
//!
//! What is in it is for who uses it; the assignment store and the backups of IoT Edge do.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use crate::error::DpsError;
use crate::file::{check_regular, open_without_waiting};

/// Held while a file is written that does not have its name yet.
static WRITING: Mutex<()> = Mutex::new(());

/// Waits until no file is being written, and lets no write begin while the guard is there: for a program that is about
/// to end, so that no unfinished file, which may hold a key, is left behind.
pub fn pause_writes() -> MutexGuard<'static, ()> {
    WRITING.lock().unwrap_or_else(PoisonError::into_inner)
}

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
    /// As the file that is there, its owner, group and mode without set-uid and the like; the folder's owner, and 0600, where there is none.
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
    let _writing = pause_writes();
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
        if there.is_some() {
            keep_attributes(file.as_file(), path);
        }
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
    open_without_waiting(options, path, rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
}

/// A file that its owner could not read any more would be as good as lost.
#[cfg(unix)]
fn keep_owner(file: &File, there: Option<&fs::Metadata>, folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let parent = fs::metadata(folder)?;
    let (owner, mode) = match there {
        // Who may act as the owner was decided for the old content.
        Some(there) => (there, there.mode() & 0o777),
        None => (&parent, 0o600),
    };
    let ours = file.metadata()?;
    if (ours.uid(), ours.gid()) != (owner.uid(), owner.gid()) {
        std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()))?;
    }
    file.set_permissions(fs::Permissions::from_mode(mode))
}

/// Copies the extended attributes, such as access control lists and labels; what cannot be copied is logged.
///
/// Not those that speak of the old content: capabilities of a program, and signatures.
#[cfg(target_os = "linux")]
fn keep_attributes(file: &File, path: &Path) {
    use rustix::fs::{XattrFlags, fgetxattr, fsetxattr, lgetxattr, llistxattr};
    /// The most that Linux keeps in one attribute, and in the list of their names.
    const MOST: usize = 64 * 1024;
    const OF_CONTENT: [&[u8]; 3] = [b"security.capability", b"security.ima", b"security.evm"];
    let (mut names, mut value, mut ours) = (vec![0; MOST], vec![0; MOST], vec![0; MOST]);
    // A file system without attributes has none to lose.
    let length = llistxattr(path, names.as_mut_slice()).unwrap_or_default();
    let mut lost = Vec::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty() && !OF_CONTENT.contains(name)) {
        let kept = lgetxattr(path, name, value.as_mut_slice()).and_then(|length| {
            let there = fgetxattr(file, name, ours.as_mut_slice());
            // A label that the new file was given already may not be ours to set.
            if there.is_ok_and(|there| ours[..there] == value[..length]) {
                return Ok(());
            }
            fsetxattr(file, name, &value[..length], XattrFlags::empty())
        });
        lost.extend(kept.err().map(|error| format!("{} ({error})", String::from_utf8_lossy(name))));
    }
    if !lost.is_empty() {
        tracing::warn!(path = %path.display(), lost = lost.join(", "), "extended attributes of the file were not kept");
    }
}

/// Elsewhere there are none that this crate knows of.
#[cfg(not(target_os = "linux"))]
fn keep_attributes(_: &File, _: &Path) {}

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
    open_without_waiting(options, path, 0)
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
