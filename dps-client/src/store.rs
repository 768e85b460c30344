//! Keeps an assignment over a restart, so that a device goes straight to its hub and asks the service only when that
//! fails (Azure IoT DPS documentation, "IoT Hub Device reprovisioning concepts").
//!
//! A file is written whole or not at all, readable by its owner only, and never through a link. No secret is in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::DpsError;

const VERSION: u32 = 1;
/// No stored assignment is longer, in bytes.
const FILE_MAX: u64 = 16 * 1024;

/// What is worth keeping of an assignment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredAssignment {
    /// The id scope it was made in.
    pub id_scope: String,
    /// The registration id it was made for.
    pub registration_id: String,
    /// The hub's host name.
    pub hub: String,
    /// The device id at the hub.
    pub device_id: String,
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    #[serde(flatten)]
    assignment: StoredAssignment,
}

/// What [`AssignmentStore::load`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Loaded {
    /// Nothing was stored.
    Nothing,
    /// An assignment.
    Found(StoredAssignment),
    /// A file that holds no assignment. It was renamed, so that a new one can be stored and this one looked at.
    SetAside {
        /// Where it is now.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// One file that holds one device's assignment.
///
/// ```
/// use dps_client::{AssignmentStore, Loaded, StoredAssignment};
///
/// # let folder = tempfile::tempdir()?;
/// let store = AssignmentStore::new(folder.path().join("assignment.json"));
/// let lock = store.lock()?;
/// assert_eq!(store.load(&lock)?, Loaded::Nothing);
/// let assignment = StoredAssignment {
///     id_scope: "0ne00A1B2C3".into(),
///     registration_id: "dev-01".into(),
///     hub: "hub-a.test".into(),
///     device_id: "dev-01".into(),
/// };
/// store.save(&lock, &assignment)?;
/// assert_eq!(store.load(&lock)?, Loaded::Found(assignment));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct AssignmentStore {
    path: PathBuf,
}

/// Keeps other processes from the store until it is dropped.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

impl AssignmentStore {
    /// A store in this file. The folder has to exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Locks the store for this process, or says that another has it. The lock is a file beside the store's, which
    /// stays.
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

    /// Reads the stored assignment.
    ///
    /// # Errors
    /// [`DpsError`] `file` when the file cannot be read, or is a link.
    pub fn load(&self, _lock: &StoreLock) -> Result<Loaded, DpsError> {
        let mut text = Vec::new();
        match open(OpenOptions::new().read(true), &self.path) {
            Ok(file) => file
                .take(FILE_MAX + 1)
                .read_to_end(&mut text)
                .map_err(|error| DpsError::file(&self.path, "cannot be read", error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Loaded::Nothing),
            Err(error) => return Err(DpsError::file(&self.path, "cannot be opened", error)),
        };
        match parse(&text) {
            Ok(assignment) => Ok(Loaded::Found(assignment)),
            Err(problem) => self.set_aside(problem),
        }
    }

    /// Stores an assignment: the old one or the new one is there afterwards, whatever happens.
    ///
    /// # Errors
    /// [`DpsError`] `file` when it cannot be written.
    pub fn save(&self, _lock: &StoreLock, assignment: &StoredAssignment) -> Result<(), DpsError> {
        let document = Document { version: VERSION, assignment: assignment.clone() };
        let written = serde_json::to_vec_pretty(&document).map_err(io::Error::other);
        written
            .and_then(|text| replace(&self.path, &text))
            .map_err(|error| DpsError::file(&self.path, "cannot be written", error))
    }

    /// Forgets the stored assignment; nothing stored is no error.
    ///
    /// # Errors
    /// [`DpsError`] `file` when it cannot be removed.
    pub fn clear(&self, _lock: &StoreLock) -> Result<(), DpsError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DpsError::file(&self.path, "cannot be removed", error))
            }
            _ => {
                sync_folder(folder(&self.path)).map_err(|error| DpsError::file(&self.path, "cannot be removed", error))
            }
        }
    }

    fn set_aside(&self, problem: String) -> Result<Loaded, DpsError> {
        let path = self.beside("corrupt");
        fs::rename(&self.path, &path).map_err(|error| DpsError::file(&self.path, "cannot be set aside", error))?;
        tracing::warn!(path = %path.display(), problem, "a stored assignment cannot be used and was set aside");
        Ok(Loaded::SetAside { path, problem })
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".");
        name.push(ending);
        self.path.with_file_name(name)
    }
}

fn parse(text: &[u8]) -> Result<StoredAssignment, String> {
    if text.len() as u64 > FILE_MAX {
        return Err(format!("it is longer than {FILE_MAX} bytes"));
    }
    let document: Document = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    match document.version {
        VERSION => Ok(document.assignment),
        other => Err(format!("its version is {other}; this program reads version {VERSION}")),
    }
}

/// Writes beside the file and renames: readers see the old text or the new one.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::other("it is no plain file"));
    }
    // Opened exclusively under a random name, readable by the owner only.
    let mut file = tempfile::Builder::new().prefix(".assignment-").tempfile_in(folder(path))?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    sync_folder(folder(path))
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

/// Elsewhere the open file itself keeps others from writing it.
#[cfg(not(unix))]
fn lock_exclusively(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
