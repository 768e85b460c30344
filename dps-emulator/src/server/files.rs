//! Private files, written completely or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::options::StateError;

/// The suffix of an unfinished file's name.
const UNFINISHED: &str = ".new";

/// A directory that is used by one process at a time.
pub(super) struct Folder {
    path: PathBuf,
    /// Open for as long as the directory is in use; closing it releases the lock.
    _lock: File,
}

impl Folder {
    /// Creates the directory (0700) if it does not exist, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, StateError> {
        let cannot = |source| StateError::Folder { path: path.to_owned(), source };
        make(path).map_err(cannot)?;
        refuse_exposed(path)?;
        let lock = private().truncate(false).write(true).create(true).open(path.join("lock")).map_err(cannot)?;
        match try_lock(&lock) {
            Ok(()) => {
                remove_unfinished(path).map_err(cannot)?;
                Ok(Self { path: path.to_owned(), _lock: lock })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(StateError::InUse(path.to_owned())),
            Err(error) => Err(cannot(error)),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The file's content; `None` if there is no such file.
    pub(super) fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StateError> {
        let path = self.path(name);
        match read_regular(&path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StateError::Read { path, source }),
        }
    }

    /// Replaces the file (0600): writes a temporary file, makes it durable and renames it.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> Result<(), StateError> {
        let (path, temporary) = (self.path(name), self.path(&format!("{name}{UNFINISHED}")));
        let written = (|| {
            remove(&temporary)?;
            let mut file = private().write(true).create_new(true).open(&temporary)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            sync_folder(&self.path)
        })();
        written.map_err(|source| StateError::Write { path, source })
    }
}

/// Removes the unfinished files of a process that was killed, which may contain a key. The directory is locked, so no
/// process is writing them.
fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.as_os_str().as_encoded_bytes().ends_with(UNFINISHED.as_bytes()) {
            remove(&path)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Reads a regular file. Does not follow a link, and does not block on a FIFO.
fn read_regular(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut file = private().read(true).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    // Allocated at once: a vector that grew would leave copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1));
    file.read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(unix)]
fn make(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn make(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(unix)]
fn refuse_exposed(path: &Path) -> Result<(), StateError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = fs::metadata(path).map_err(|source| StateError::Folder { path: path.to_owned(), source })?;
    if metadata.permissions().mode() & 0o022 != 0 { Err(StateError::Exposed(path.to_owned())) } else { Ok(()) }
}

#[cfg(not(unix))]
fn refuse_exposed(_: &Path) -> Result<(), StateError> {
    Ok(())
}

/// Options that create a file for its owner only, do not follow a link, and do not block on a FIFO.
#[cfg(unix)]
fn private() -> OpenOptions {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt;
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(flags.bits().cast_signed());
    options
}

#[cfg(not(unix))]
fn private() -> OpenOptions {
    OpenOptions::new()
}

#[cfg(unix)]
fn try_lock(file: &File) -> io::Result<()> {
    use rustix::fs::{FlockOperation, flock};
    Ok(flock(file, FlockOperation::NonBlockingLockExclusive)?)
}

#[cfg(not(unix))]
fn try_lock(_: &File) -> io::Result<()> {
    Ok(())
}

/// Makes the rename itself durable.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
