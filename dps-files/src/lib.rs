//! Files with secrets and state: read within limits, written whole or not at all, locked among processes.
//!
//! The crates of the Azure IoT DPS device SDK read and write files with this crate. [`PrivateFile`] writes files, [`read()`]
//! and [`read_secret`] read files that a user names, [`SecretString`] contains a secret that must not be shown.
//!
//! ```
//! use dps_files::{Ownership, PrivateFile};
//!
//! # let folder = tempfile::tempdir()?;
//! let file = PrivateFile::new(folder.path().join("state.json")).lock()?;
//! assert_eq!(file.read(1024)?, None);
//! file.replace(b"{}", Ownership::Private)?;
//! assert_eq!(file.read(1024)?.as_deref().map(Vec::as_slice), Some(&b"{}"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! On Windows a new file inherits access from its directory, since files there have no mode.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod draft;
mod ownership;
mod private_file;
mod read;
mod secret_string;

use std::io;
use std::path::{Path, PathBuf};

pub use draft::{Draft, WhenThere, abandon_drafts};
pub use ownership::Ownership;
pub use private_file::{FileLock, LockedFile, PrivateFile, create_private_folder};
pub use read::{mode_open_to_others, open, read, read_secret};
pub use secret_string::SecretString;

/// A file that cannot be read, written, locked or removed; its source is the [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{} {what}: {source}", path.display())]
pub struct FileError {
    path: PathBuf,
    what: &'static str,
    source: io::Error,
}

impl FileError {
    fn new(path: &Path, what: &'static str, source: io::Error) -> Self {
        Self { path: path.to_owned(), what, source }
    }

    fn not_written(path: &Path, source: io::Error) -> Self {
        Self::new(path, "cannot be written", source)
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the kind of the error, such as [`io::ErrorKind::AlreadyExists`].
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}
