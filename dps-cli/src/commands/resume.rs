//! The file of `--resume`: an operation under way, so that a second try goes on with it instead of beginning anew.
//!
//! It is there only while the operation is under way. It holds no secret.

use std::io::Read as _;
use std::path::PathBuf;

use dps_client::{Assignment, DpsError, ResumeToken};
use dps_core::{ErrorCode, Family};

use crate::failure::{Failure, Result};
use crate::output::note;
use crate::private_file::{self, WhenThere};

/// Longer than any token: two names, an endpoint and an operation id.
const MOST: u64 = 8 * 1024;

/// One file, and what stands in it.
pub(super) struct ResumeFile {
    path: PathBuf,
    kept: Option<ResumeToken>,
}

impl ResumeFile {
    /// Reads the file, if it is there.
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        private_file::check_target(&path, WhenThere::Replace)?;
        let mut text = String::new();
        let read = std::fs::File::open(&path).and_then(|file| file.take(MOST).read_to_string(&mut text));
        let kept = match read {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => return Err(unreadable(&path)),
            Err(error) => return Err(Failure::file("read", &path, &error)),
            Ok(_) if text.trim().is_empty() => None,
            Ok(_) => Some(text.trim().parse().map_err(|_| unreadable(&path))?),
        };
        Ok(Self { path, kept })
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
        let line = format!("{token}\n");
        match private_file::write(&self.path, line.as_bytes(), WhenThere::Replace) {
            Ok(()) => self.kept = Some(token),
            Err(failure) => note(format_args!("warning: {}", failure.message)),
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
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                note(format_args!("warning: cannot remove {}: {error}", self.path.display()));
            }
            _ => {}
        }
    }
}

fn unreadable(path: &std::path::Path) -> Failure {
    Failure::new(
        ErrorCode::OperationUnreadable,
        format!("{} holds no operation to resume; remove it to register afresh", path.display()),
    )
}
