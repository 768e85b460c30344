//! Failures of commands, in the terms of the error catalogue, and the exit codes that they end with.
//!
//! Every failure of any part of the program becomes a [`Failure`]; `output` prints it. No message contains a secret.
//! The exit codes are documented in the README; scripts rely on them.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use dps_client::DpsError;
use dps_core::{ConfigError, ErrorCode, Family, Hint, Verdict};

/// A failure as the user sees it.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What went wrong, with its stable number and name.
    pub(crate) code: ErrorCode,
    /// One line that says what is wrong, where, and what to do.
    pub(crate) message: String,
    /// Whether trying again makes sense.
    pub(crate) verdict: Verdict,
    /// The service's HTTP status.
    pub(crate) http_status: Option<u16>,
    /// The service's six-digit code.
    pub(crate) error_code: Option<u32>,
    /// The id by which the service's support finds the request.
    pub(crate) tracking_id: Option<String>,
    /// The wait that the service asked for.
    pub(crate) retry_after: Option<Duration>,
    /// Likely causes, most likely first.
    pub(crate) hints: Vec<Hint>,
}

/// The result of most functions of this program.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// Returns a failure with this code and message and without further details.
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

    /// Returns a failure for a command line that is not valid.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Misuse, message)
    }

    /// Returns a failure for an option's value that can never work.
    pub(crate) fn option(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidOption, message)
    }

    /// Returns a failure for a file that cannot be read or written; `doing` is a verb such as "read".
    pub(crate) fn file(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::new(ErrorCode::File, format!("cannot {doing} {}: {error}", path.display()))
    }

    /// Returns a failure for something that should not happen.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self { verdict: Verdict::Never, ..Self::new(ErrorCode::Internal, message) }
    }

    /// Returns the failure for Ctrl-C or a signal with the same meaning.
    pub(crate) fn interrupted() -> Self {
        Self::new(ErrorCode::Cancelled, "interrupted")
    }

    /// Prefixes the message with the source of the invalid value.
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

/// Describes how far this device's clock is behind the service's (ahead where negative).
pub(crate) fn skew(seconds: i64) -> String {
    let side = if seconds > 0 { "behind" } else { "ahead of" };
    format!("this device's clock is {} s {side} the service's", seconds.unsigned_abs())
}

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// The command succeeded.
    Done = 0,
    /// An internal error of this program.
    Internal = 1,
    /// The command line is not valid.
    Usage = 2,
    /// A configuration value can never work.
    Configuration = 3,
    /// The service rejected the request.
    Service = 4,
    /// No usable reply was received.
    Link = 5,
    /// The deadline passed, or the service throttles.
    Deadline = 6,
    /// A problem on this machine: file, clock, signer.
    Local = 7,
    /// The command succeeded and reported findings.
    Findings = 10,
    /// Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    /// Returns the exit code of a failure.
    pub(crate) fn from_code(code: ErrorCode) -> Self {
        match (code, code.family()) {
            (ErrorCode::Cancelled, _) => Self::Interrupted,
            (ErrorCode::Internal, _) => Self::Internal,
            (ErrorCode::Throttled | ErrorCode::DeadlineExceeded, _) => Self::Deadline,
            (_, Family::Misuse) => Self::Usage,
            (_, Family::Configuration) => Self::Configuration,
            (_, Family::Local) => Self::Local,
            (_, Family::Service) => Self::Service,
            (_, Family::Link) => Self::Link,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_follow_error_codes() {
        for (code, exit) in [
            (ErrorCode::Misuse, Exit::Usage),
            (ErrorCode::InvalidKey, Exit::Configuration),
            (ErrorCode::Unauthorized, Exit::Service),
            (ErrorCode::UnknownCa, Exit::Link),
            (ErrorCode::Throttled, Exit::Deadline),
            (ErrorCode::DeadlineExceeded, Exit::Deadline),
            (ErrorCode::File, Exit::Local),
            (ErrorCode::Internal, Exit::Internal),
            (ErrorCode::Cancelled, Exit::Interrupted),
        ] {
            assert_eq!(Exit::from_code(code), exit, "{}", code.name());
        }
        // No failure has an exit code of success.
        assert!(ErrorCode::ALL.iter().all(|code| !matches!(Exit::from_code(*code), Exit::Done | Exit::Findings)));
    }
}
