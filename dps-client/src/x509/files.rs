//! Files of certificates and keys: read within limits, with a warning where others can read a secret; and the error where
//! what was read cannot be used.

use std::io;
use std::path::Path;

use dps_core::{ErrorCode, Hint};
use dps_files::mode_open_to_others;
use tracing::warn;
use zeroize::Zeroizing;

use crate::error::DpsError;

/// No file of certificates or of a key is longer, in bytes.
const FILE_MAX: u64 = 256 * 1024;

/// A file that could not be read.
pub(crate) struct Unread(io::Error);

impl Unread {
    /// An error with the code of the catalog for the content, or `file` where the file itself is the problem.
    pub(crate) fn into_error(self, code: ErrorCode, path: &Path) -> DpsError {
        if self.0.kind() != io::ErrorKind::FileTooLarge {
            return DpsError::file(path, "cannot be read", self.0);
        }
        let words = format!("{}; use a file with only the certificates or the key", self.0);
        Refused { code, hint: Some(Hint::CertificateFormat), words }.into_error(Some(path))
    }
}

pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Unread> {
    dps_files::read(path, FILE_MAX).map_err(Unread)
}

/// The same for a secret, which may come through a FIFO.
pub(crate) fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, Unread> {
    let bytes = dps_files::read_secret(path, FILE_MAX).map_err(Unread)?;
    if let Some(mode) = std::fs::metadata(path).ok().as_ref().and_then(mode_open_to_others) {
        warn!("{} can be read by other users (mode {mode:o}); allow it to its owner alone: chmod 600", path.display());
    }
    Ok(bytes)
}

/// Why a certificate, a key or a passphrase cannot be used, before it is known from which file it came.
pub(crate) struct Refused {
    pub(crate) code: ErrorCode,
    pub(crate) hint: Option<Hint>,
    /// What is wrong, without anything of what was read.
    pub(crate) words: String,
}

impl Refused {
    pub(crate) fn into_error(self, path: Option<&Path>) -> DpsError {
        let words = match path {
            Some(path) => format!("{}: {}", path.display(), self.words),
            None => self.words,
        };
        DpsError::config(self.code, format!("{}: {words}", self.code.text())).hinted(self.hint)
    }
}
