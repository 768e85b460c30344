//! The file of `--resume`: an operation under way, so that a second try goes on with it instead of beginning anew.
//!
//! It is there only while the operation is under way. It holds no secret.

use std::io;
use std::path::PathBuf;

use dps_client::{Assignment, DpsError, ResumeToken};
use dps_core::{ErrorCode, Family};
use dps_files::{LockedFile, Ownership, PrivateFile};

use crate::failure::{Failure, Result};
use crate::output::note;

/// Longer than any operation, in bytes: two names, an endpoint and an operation id.
const FILE_MAX: u64 = 8 * 1024;

/// One file, and what is in it. Another process that names the same file is refused.
pub(super) struct ResumeFile {
    file: LockedFile,
    kept: Option<ResumeToken>,
}

impl ResumeFile {
    /// Locks the file and reads it, if it is there.
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        let file = PrivateFile::new(path).lock()?;
        let kept = match file.read(FILE_MAX) {
            Ok(None) => None,
            Ok(Some(bytes)) => parse(&bytes).map_err(|Unreadable| unreadable(file.path()))?,
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Err(unreadable(file.path())),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { file, kept })
    }

    /// What to go on from.
    pub(super) fn token(&self) -> Option<ResumeToken> {
        self.kept.clone()
    }

    /// Keeps the operation. A file that cannot be written does not end a registration that works.
    pub(super) fn keep(&mut self, token: ResumeToken) {
        if self.kept.as_ref() == Some(&token) {
            return;
        }
        match self.file.replace(format!("{token}\n").as_bytes(), Ownership::Private) {
            Ok(()) => {
                tracing::debug!(path = %self.file.path().display(), "the operation was written");
                self.kept = Some(token);
            }
            Err(error) => note(format_args!("warning: {error}")),
        }
    }

    /// After the end: keeps what there is to go on from, and removes what the service is done with.
    pub(super) fn settle(&mut self, ended: &std::result::Result<Assignment, DpsError>) {
        match ended {
            Ok(_) => self.remove(),
            Err(error) => match error.resume_token() {
                Some(token) => self.keep(token.clone()),
                None if error.family() == Family::Service => self.remove(),
                // The service was not asked about it.
                None => {}
            },
        }
    }

    /// The operation is over: there is nothing to go on from.
    fn remove(&self) {
        if let Err(error) = self.file.remove() {
            note(format_args!("warning: {error}"));
        }
    }
}

fn unreadable(path: &std::path::Path) -> Failure {
    Failure::new(
        ErrorCode::OperationUnreadable,
        format!("{} holds no operation to resume; remove it to register afresh", path.display()),
    )
}

/// The file holds something else than an operation.
#[derive(Debug, PartialEq, Eq)]
struct Unreadable;

/// Reads the content; `None` for a file without an operation.
fn parse(bytes: &[u8]) -> std::result::Result<Option<ResumeToken>, Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable)?.trim();
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| Unreadable) }
}
