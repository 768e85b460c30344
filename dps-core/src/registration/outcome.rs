//! How a registration ended: an assignment, a record, or a failure. Views of the registration, from which each value is
//! read by its name.

use core::fmt;
use core::ops::Range;

use super::Registration;
use super::report::{End, Kept, Report};
use super::storage::Storage;
use crate::attestation::Attestation;
use crate::attestation::sealed::Token;
use crate::error::{ErrorCode, Evidence, Hint, Hints, KeyEvidence, ReplyProblem, Verdict, rank};
use crate::ids::RegistrationId;
use crate::message::Status;
use crate::text::ByteStr;

/// How it ended.
#[derive(Clone, Copy, Debug)]
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

/// The members of an outcome, whatever it is: what all three read from, and the C library's functions. What there is not is
/// empty, or 0.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Ended<'a> {
    report: &'a Report,
    storage: &'a Storage<'a>,
}

#[allow(missing_docs, reason = "the members that they return are described where they are public")]
impl<'a> Ended<'a> {
    #[must_use]
    pub fn text(self, kept: Kept) -> ByteStr<'a> {
        self.report.texts.get(kept as usize).map_or(ByteStr::default(), |place| self.storage.text(*place))
    }

    #[must_use]
    pub fn operation_id(self) -> ByteStr<'a> {
        self.storage.operation()
    }

    #[must_use]
    pub fn status(self) -> Status {
        self.report.status.unwrap_or(Status::Unknown)
    }

    #[must_use]
    pub fn payload(self) -> Option<Range<usize>> {
        self.report.payload()
    }

    #[must_use]
    pub fn verdict(self) -> Verdict {
        self.report.verdict
    }

    #[must_use]
    pub fn http_status(self) -> u16 {
        self.report.http_status
    }

    #[must_use]
    pub fn error_code(self) -> u32 {
        self.report.error_code
    }

    #[must_use]
    pub fn clock_skew(self) -> i64 {
        self.report.clock_skew
    }

    #[must_use]
    pub fn needed(self) -> usize {
        self.report.needed
    }

    #[must_use]
    pub fn reply_problem(self) -> Option<ReplyProblem> {
        self.report.reply_problem
    }

    fn option(self, kept: Kept) -> Option<ByteStr<'a>> {
        some(self.text(kept))
    }
}

fn some(text: ByteStr<'_>) -> Option<ByteStr<'_>> {
    (!text.is_empty()).then_some(text)
}

impl<A: Attestation> Registration<'_, A> {
    /// How it ended; `None` while it has not.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome<'_>> {
        match self.report.end {
            End::None => None,
            End::Assigned => Some(Outcome::Assigned(Assignment(Record(self.view())))),
            End::Record => Some(Outcome::Record(Record(self.view()))),
            End::Failed => self.failure().map(Outcome::Failed),
        }
    }

    /// What is known of the device: its assignment, or the record that a lookup found; `None` before, and after a
    /// failure.
    #[must_use]
    pub fn record(&self) -> Option<Record<'_>> {
        matches!(self.report.end, End::Assigned | End::Record).then(|| Record(self.view()))
    }

    /// Why it failed; `None` while it has not.
    #[must_use]
    pub fn failure(&self) -> Option<Failure<'_>> {
        (self.report.end == End::Failed).then(|| Failure {
            ended: self.view(),
            code: self.failure_code(),
            key: self.config.key,
            token: self.token,
            registration_id: self.identity.registration_id,
            corrected: self.corrected,
        })
    }

    /// What went wrong last; where nothing did, the deadline came before the service was done.
    pub(super) fn failure_code(&self) -> ErrorCode {
        self.code.unwrap_or(ErrorCode::DeadlineExceeded)
    }

    /// Whether it succeeded, or the code of its failure; `None` while it is not over.
    #[doc(hidden)]
    #[must_use]
    pub fn result(&self) -> Option<Result<(), ErrorCode>> {
        match self.report.end {
            End::None => None,
            End::Failed => Some(Err(self.failure_code())),
            End::Assigned | End::Record => Some(Ok(())),
        }
    }

    /// The members of the outcome; `None` while it is not over.
    #[doc(hidden)]
    #[must_use]
    pub fn ended(&self) -> Option<Ended<'_>> {
        (self.report.end != End::None).then(|| self.view())
    }

    fn view(&self) -> Ended<'_> {
        Ended { report: &self.report, storage: &self.storage }
    }
}

/// A hub and the device's name there: a record in which both are known.
#[derive(Clone, Copy, Debug)]
pub struct Assignment<'a>(Record<'a>);

impl<'a> Assignment<'a> {
    /// The hub's host name.
    #[must_use]
    pub fn assigned_hub(self) -> ByteStr<'a> {
        self.0.assigned_hub().unwrap_or_default()
    }

    /// The device id at the hub; case-sensitive there.
    #[must_use]
    pub fn device_id(self) -> ByteStr<'a> {
        self.0.device_id().unwrap_or_default()
    }

    /// How the assignment came about, such as `initialAssignment`. An open list; only to inform.
    #[must_use]
    pub fn substatus(self) -> Option<ByteStr<'a>> {
        self.0.substatus()
    }

    /// The operation that made it; none when the service assigned at once.
    #[must_use]
    pub fn operation_id(self) -> Option<ByteStr<'a>> {
        self.0.operation_id()
    }

    /// Where the custom payload's JSON text is in the reply buffer.
    #[must_use]
    pub fn payload(self) -> Option<Range<usize>> {
        self.0.payload()
    }
}

/// What the service has on record for a registration id.
#[derive(Clone, Copy)]
pub struct Record<'a>(Ended<'a>);

impl<'a> Record<'a> {
    /// How far the registration is.
    #[must_use]
    pub fn status(self) -> Status {
        self.0.status()
    }

    /// The hub's host name, when assigned.
    #[must_use]
    pub fn assigned_hub(self) -> Option<ByteStr<'a>> {
        self.0.option(Kept::Hub)
    }

    /// The device id at the hub, when assigned.
    #[must_use]
    pub fn device_id(self) -> Option<ByteStr<'a>> {
        self.0.option(Kept::Device)
    }

    /// How the assignment came about.
    #[must_use]
    pub fn substatus(self) -> Option<ByteStr<'a>> {
        self.0.option(Kept::Substatus)
    }

    /// The operation that made an assignment; none after a lookup.
    #[must_use]
    pub fn operation_id(self) -> Option<ByteStr<'a>> {
        some(self.0.operation_id())
    }

    /// The service's six-digit code, when failed.
    #[must_use]
    pub fn error_code(self) -> Option<u32> {
        Some(self.0.error_code()).filter(|code| *code != 0)
    }

    /// The service's words, when failed.
    #[must_use]
    pub fn message(self) -> Option<ByteStr<'a>> {
        self.0.option(Kept::Message)
    }

    /// Where the custom payload's JSON text is in the reply buffer.
    #[must_use]
    pub fn payload(self) -> Option<Range<usize>> {
        self.0.payload()
    }
}

/// Why there is no assignment, whether to try again, and what to look at first.
#[derive(Clone, Copy)]
pub struct Failure<'a> {
    ended: Ended<'a>,
    code: ErrorCode,
    key: KeyEvidence,
    token: Token,
    registration_id: RegistrationId<'a>,
    corrected: bool,
}

impl<'a> Failure<'a> {
    /// What went wrong; the last cause when the deadline ended a series of tries.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        self.code
    }

    /// Whether, and when, trying again makes sense.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        self.ended.verdict()
    }

    /// The service's HTTP status, the MQTT topic's number, or the proxy's status.
    #[must_use]
    pub fn http_status(self) -> Option<u16> {
        Some(self.ended.http_status()).filter(|status| *status != 0)
    }

    /// The service's six-digit code.
    #[must_use]
    pub fn error_code(self) -> Option<u32> {
        Some(self.ended.error_code()).filter(|code| *code != 0)
    }

    /// By which the service's support finds the request.
    #[must_use]
    pub fn tracking_id(self) -> Option<ByteStr<'a>> {
        self.ended.option(Kept::TrackingId)
    }

    /// The service's words, cut to what fits.
    #[must_use]
    pub fn message(self) -> Option<ByteStr<'a>> {
        self.ended.option(Kept::Message)
    }

    /// When the service noted the error, ISO 8601.
    #[must_use]
    pub fn timestamp(self) -> Option<ByteStr<'a>> {
        self.ended.option(Kept::Timestamp)
    }

    /// Seconds that this device's clock is behind (positive) or ahead of (negative) the service's, where far.
    #[must_use]
    pub fn clock_skew(self) -> Option<i64> {
        Some(self.ended.clock_skew()).filter(|skew| *skew != 0)
    }

    /// The size in bytes that would have done, where a buffer was too small.
    #[must_use]
    pub fn needed(self) -> Option<usize> {
        Some(self.ended.needed()).filter(|needed| *needed != 0)
    }

    /// What is wrong with the reply, where the code is [`ErrorCode::InvalidReply`] and it was JSON.
    #[must_use]
    pub fn reply_problem(self) -> Option<ReplyProblem> {
        self.ended.reply_problem()
    }

    /// The likely causes, the likeliest first.
    #[must_use]
    pub fn hints(self) -> Hints {
        let report = self.ended.report;
        let hints = rank(
            self.code(),
            &Evidence {
                upper_case_id: self.registration_id.has_upper_case(),
                key: self.key,
                by_certificate: self.token == Token::Never,
                by_tpm: self.token == Token::AfterChallenge,
                clock_skew: self.clock_skew(),
                time_known: report.time_known || self.corrected,
                refused_at_connect: report.refused_at_connect,
                error_code: self.error_code(),
                http_status: self.http_status(),
            },
        );
        if self.tracking_id().is_some() { hints } else { hints.without(Hint::KeepTrackingId) }
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("status", &self.status())
            .field("assigned_hub", &self.assigned_hub())
            .field("device_id", &self.device_id())
            .field("substatus", &self.substatus())
            .field("operation_id", &self.operation_id())
            .field("error_code", &self.error_code())
            .field("message", &self.message())
            .field("payload", &self.payload())
            .finish()
    }
}

impl fmt::Debug for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("code", &self.code())
            .field("verdict", &self.verdict())
            .field("http_status", &self.http_status())
            .field("error_code", &self.error_code())
            .field("tracking_id", &self.tracking_id())
            .field("message", &self.message())
            .field("clock_skew", &self.clock_skew())
            .field("needed", &self.needed())
            .field("reply_problem", &self.reply_problem())
            .finish()
    }
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code().text())?;
        if let Some(message) = self.message() {
            write!(f, ": {message}")?;
        }
        if let Some(problem) = self.reply_problem() {
            write!(f, ": {problem}")?;
        }
        if let Some(status) = self.http_status() {
            write!(f, " (status {status}")?;
            if let Some(code) = self.error_code() {
                write!(f, ", code {code}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl core::error::Error for Failure<'_> {}
