//! How a registration ended: an assignment, a record, or a failure. Borrowed from the machine's storage.

use core::fmt;
use core::ops::Range;

use crate::error::{ErrorCode, Evidence, Hint, Hints, ReplyProblem, Verdict, rank};
use crate::message::Status;
use crate::text::ByteStr;

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// The device has a hub.
    Assigned(Assignment<'a>),
    /// What the service has on record; answers a lookup.
    Record(Record<'a>),
    /// It failed.
    Failed(Failure<'a>),
}

/// A hub and the device's name there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Assignment<'a> {
    /// The hub's host name.
    pub assigned_hub: ByteStr<'a>,
    /// The device id at the hub; case-sensitive there.
    pub device_id: ByteStr<'a>,
    /// How the assignment came about, such as `initialAssignment`. An open list; only to inform.
    pub substatus: Option<ByteStr<'a>>,
    /// The operation that made it; none when the service assigned at once.
    pub operation_id: Option<ByteStr<'a>>,
    /// Where the custom payload's JSON text stands in the reply buffer.
    pub payload: Option<Range<usize>>,
}

/// What the service has on record for a registration id.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Record<'a> {
    /// How far the registration is.
    pub status: Status,
    /// The hub's host name, when assigned.
    pub assigned_hub: Option<ByteStr<'a>>,
    /// The device id at the hub, when assigned.
    pub device_id: Option<ByteStr<'a>>,
    /// How the assignment came about.
    pub substatus: Option<ByteStr<'a>>,
    /// The service's six-digit code, when failed.
    pub error_code: Option<u32>,
    /// The service's words, when failed.
    pub message: Option<ByteStr<'a>>,
    /// Where the custom payload's JSON text stands in the reply buffer.
    pub payload: Option<Range<usize>>,
}

/// Why there is no assignment, whether to try again, and what to look at first.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure<'a> {
    /// What went wrong; the last cause when the deadline ended a series of tries.
    pub code: ErrorCode,
    /// Whether, and when, trying again makes sense.
    pub verdict: Verdict,
    /// The service's HTTP status, the MQTT topic's number, or the proxy's status.
    pub http_status: Option<u16>,
    /// The service's six-digit code.
    pub error_code: Option<u32>,
    /// By which the service's support finds the request.
    pub tracking_id: Option<ByteStr<'a>>,
    /// The service's words, cut to what fits.
    pub message: Option<ByteStr<'a>>,
    /// When the service noted the error, ISO 8601.
    pub timestamp: Option<ByteStr<'a>>,
    /// Seconds that this device's clock is behind (positive) or ahead of (negative) the service's, where far.
    pub clock_skew: Option<i64>,
    /// The size in bytes that would have done, where a buffer was too small.
    pub needed: Option<usize>,
    /// What is wrong with the reply, where the code is [`ErrorCode::InvalidReply`] and it was JSON.
    pub reply_problem: Option<ReplyProblem>,
    pub(crate) evidence: Evidence,
}

impl Failure<'_> {
    /// The likely causes, the likeliest first.
    #[must_use]
    pub fn hints(&self) -> Hints {
        let hints = rank(self.code, &self.evidence);
        if self.tracking_id.is_some() { hints } else { hints.without(Hint::KeepTrackingId) }
    }
}

impl fmt::Debug for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("code", &self.code)
            .field("verdict", &self.verdict)
            .field("http_status", &self.http_status)
            .field("error_code", &self.error_code)
            .field("tracking_id", &self.tracking_id)
            .field("message", &self.message)
            .field("clock_skew", &self.clock_skew)
            .field("needed", &self.needed)
            .field("reply_problem", &self.reply_problem)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.text())?;
        if let Some(message) = self.message {
            write!(f, ": {message}")?;
        }
        if let Some(problem) = self.reply_problem {
            write!(f, ": {problem}")?;
        }
        if let Some(status) = self.http_status {
            write!(f, " (status {status}")?;
            if let Some(code) = self.error_code {
                write!(f, ", code {code}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}
