//! The exit codes: a promise to scripts, written down in the README.

use dps_core::{ErrorCode, Family};

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// All was done.
    Done = 0,
    /// Something failed inside this program.
    Internal = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// A value can never work.
    Configuration = 3,
    /// The service said no.
    Service = 4,
    /// Nothing usable came back.
    Link = 5,
    /// The time was up, or the service throttles.
    Deadline = 6,
    /// Something on this machine: file, clock, signer.
    Local = 7,
    /// The work was done and something was found on the way.
    Findings = 10,
    /// Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    /// The exit code of a failure.
    pub(crate) fn of(code: ErrorCode) -> Self {
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
    fn every_failure_has_its_exit_code() {
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
            assert_eq!(Exit::of(code), exit, "{}", code.name());
        }
        // No failure passes for success.
        assert!(ErrorCode::ALL.iter().all(|code| !matches!(Exit::of(*code), Exit::Done | Exit::Findings)));
    }
}
