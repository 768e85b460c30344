//! Why a certificate, a key or a passphrase cannot be used, before it is known from which file it came.

use std::path::Path;

use dps_core::{ErrorCode, Hint};

use crate::error::DpsError;

pub(super) struct Refused {
    pub(super) code: ErrorCode,
    pub(super) hint: Option<Hint>,
    /// What is wrong, without anything of what was read.
    pub(super) words: String,
}

impl Refused {
    pub(super) fn into_error(self, path: Option<&Path>) -> DpsError {
        let words = match path {
            Some(path) => format!("{}: {}", path.display(), self.words),
            None => self.words,
        };
        DpsError::config(self.code, format!("{}: {words}", self.code.text())).hinted(self.hint)
    }
}
