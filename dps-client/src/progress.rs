//! What a registration is doing, for who watches it, and what a restarted device goes on from.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use dps_core::{ConfigError, Instant, Operation};

/// What a registration is about to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// A token is being signed.
    Signing,
    /// A request is being sent.
    Sending {
        /// `register`, `status` or `lookup`.
        call: &'static str,
    },
    /// Nothing happens for a while.
    Waiting {
        /// How long.
        wait: Duration,
        /// What to store so that a restarted device resumes instead of registering again, once there is something.
        resume: Option<ResumeToken>,
    },
}

/// An operation under way, bound to endpoint, id scope and registration id. One line of text without a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeToken(String);

impl ResumeToken {
    pub(crate) fn of(operation: &Operation<'_>) -> Option<Self> {
        let needed = operation.write(&mut []).err()?.needed;
        operation.write(&mut vec![0; needed]).ok().map(|text| Self(text.to_owned()))
    }

    /// The text, to be stored and read back with [`str::parse`].
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ResumeToken {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Operation::parse(text)?;
        Ok(Self(text.trim().to_owned()))
    }
}

impl fmt::Display for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Progress {
    pub(crate) fn of(now: Instant, progress: &dps_core::Progress<'_>) -> Option<Self> {
        use dps_core::message::Call;
        Some(match progress {
            dps_core::Progress::Signing => Self::Signing,
            dps_core::Progress::Sending(request) => Self::Sending {
                call: match request.call {
                    Call::Register { .. } => "register",
                    Call::Status { .. } => "status",
                    Call::Lookup => "lookup",
                    _ => return None,
                },
            },
            dps_core::Progress::Waiting { until, operation } => Self::Waiting {
                wait: Duration::from_millis(until.since(now).get()),
                resume: operation.as_ref().and_then(ResumeToken::of),
            },
            _ => return None,
        })
    }
}
