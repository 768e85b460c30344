//! Why a command did not do what it was asked, in the terms of the catalogue.
//!
//! Every failure, whatever part of the program it comes from, becomes one of these, and is shown in one place
//! (`report`). No secret is ever in a message.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use dps_client::DpsError;
use dps_core::{ConfigError, ErrorCode, Hint, Verdict};

/// A failure as the user sees it.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What went wrong, with its stable number and name.
    pub(crate) code: ErrorCode,
    /// One line that can be acted on.
    pub(crate) message: String,
    /// Whether trying again makes sense.
    pub(crate) verdict: Verdict,
    /// The service's HTTP status.
    pub(crate) http_status: Option<u16>,
    /// The service's six-digit code.
    pub(crate) error_code: Option<u32>,
    /// By which the service's support finds the request.
    pub(crate) tracking_id: Option<String>,
    /// When the service asks to come back.
    pub(crate) retry_after: Option<Duration>,
    /// Likely causes, the likeliest first.
    pub(crate) hints: Vec<Hint>,
}

/// What most of this program returns.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure known by its code alone.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            verdict: Verdict::Reconfigure,
            http_status: None,
            error_code: None,
            tracking_id: None,
            retry_after: None,
            hints: Vec::new(),
        }
    }

    /// The command line does not make sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Misuse, message)
    }

    /// An option that can never work.
    pub(crate) fn option(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidOption, message)
    }

    /// A file that cannot be read or written: `doing` is a verb such as "read".
    pub(crate) fn file(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::new(ErrorCode::File, format!("cannot {doing} {}: {error}", path.display()))
    }

    /// Something that should not happen.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self { verdict: Verdict::Never, ..Self::new(ErrorCode::Internal, message) }
    }

    /// Ctrl-C or a signal that means the same.
    pub(crate) fn interrupted() -> Self {
        Self::new(ErrorCode::Cancelled, "interrupted")
    }

    /// Says where the value came from that was found wrong.
    pub(crate) fn in_source(mut self, source: impl fmt::Display) -> Self {
        self.message = format!("{source}: {}", self.message);
        self
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<DpsError> for Failure {
    fn from(error: DpsError) -> Self {
        let facts = [
            error.http_status().map(|status| format!("status {status}")),
            error.error_code().map(|code| format!("code {code}")),
            error.clock_skew_seconds().map(skew),
        ];
        let facts: Vec<String> = facts.into_iter().flatten().collect();
        let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
        Self {
            code: error.code(),
            message: format!("{}{facts}", error.message()),
            verdict: error.verdict(),
            http_status: error.http_status(),
            error_code: error.error_code(),
            tracking_id: error.tracking_id().map(str::to_owned),
            retry_after: error.retry_after(),
            hints: error.hints().to_vec(),
        }
    }
}

/// How far this device's clock is behind the service's (ahead where negative), in words.
pub(crate) fn skew(seconds: i64) -> String {
    let side = if seconds > 0 { "behind" } else { "ahead of" };
    format!("this device's clock is {} s {side} the service's", seconds.unsigned_abs())
}
