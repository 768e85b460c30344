//! How a registration ended, as C reads it.

use dps_core::{ErrorCode, Failure, Hint, ReplyProblem, Status, Verdict};

use crate::memory::{dps_span, output, value};
use crate::registration::dps_registration;
use crate::result::{Outcome, Refused, done, dps_result, dps_verdict, number};

/// How far a registration is.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dps_status {
    /// A word that this version does not know.
    DPS_STATUS_UNKNOWN = 0,
    /// Not registered yet.
    DPS_STATUS_UNASSIGNED = 1,
    /// Under way.
    DPS_STATUS_ASSIGNING = 2,
    /// Done: hub and device id are known.
    DPS_STATUS_ASSIGNED = 3,
    /// The service could not do it.
    DPS_STATUS_FAILED = 4,
    /// The enrollment is disabled.
    DPS_STATUS_DISABLED = 5,
}

/// What is wrong with a reply that is JSON but cannot be used. A newer library may return new numbers.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dps_reply_problem {
    /// Nothing, or nothing that is known.
    DPS_REPLY_PROBLEM_NONE = 0,
    /// It has no registration status.
    DPS_REPLY_PROBLEM_NO_STATUS = 1,
    /// It has no usable operation id, though the registration is under way.
    DPS_REPLY_PROBLEM_NO_OPERATION = 2,
    /// It assigns the device, but lacks the hub or the device id.
    DPS_REPLY_PROBLEM_NO_HUB = 3,
    /// Its assigned hub is not a host name.
    DPS_REPLY_PROBLEM_HUB = 4,
    /// Its device id is longer than 128 characters, or has characters that no device id of a hub has.
    DPS_REPLY_PROBLEM_DEVICE_ID = 5,
    /// Its substatus is not a word.
    DPS_REPLY_PROBLEM_SUBSTATUS = 6,
    /// Something that this library has no number for.
    DPS_REPLY_PROBLEM_OTHER = 7,
}

/// What a registration or a lookup found out. Spans hold until the next call on the registration that takes it as not
/// const; what there is not is empty.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dps_outcome {
    /// How far it is; always `DPS_STATUS_ASSIGNED` unless it was a lookup.
    pub status: dps_status,
    /// The service's six-digit code, when a lookup found a failure; else 0.
    pub service_code: u32,
    /// The hub's host name.
    pub assigned_hub: dps_span,
    /// The device id at the hub; case-sensitive there.
    pub device_id: dps_span,
    /// How the assignment came about, such as `initialAssignment`. An open list; only to inform.
    pub substatus: dps_span,
    /// The operation that made it; empty when the service assigned at once.
    pub operation_id: dps_span,
    /// The service's words, when a lookup found a failure.
    pub message: dps_span,
    /// Where the custom payload, a JSON object, begins in the buffer that the last reply was handed over in.
    pub payload_offset: usize,
    /// Its length in bytes; 0 when there is none.
    pub payload_length: usize,
}

/// Why a registration failed, and what to do. Spans hold until the next call on the registration that takes it as not
/// const; what there is not is empty, or 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dps_failure {
    /// What went wrong: a `DPS_ERROR_*`.
    pub result: dps_result,
    /// Whether to try again.
    pub verdict: dps_verdict,
    /// With `DPS_VERDICT_AFTER`: how long to wait first.
    pub retry_after_ms: u64,
    /// The service's HTTP status, the number in MQTT's topic, or the proxy's status.
    pub http_status: u32,
    /// The service's six-digit code.
    pub service_code: u32,
    /// By which the service's support finds the request.
    pub tracking_id: dps_span,
    /// The service's words, cut to what fits the storage.
    pub message: dps_span,
    /// When the service noted the error, ISO 8601.
    pub timestamp: dps_span,
    /// Seconds that this device's clock is behind (positive) or ahead of (negative) the service's, where far.
    pub clock_skew_s: i64,
    /// The size in bytes that would have done, where a buffer was too small.
    pub needed: usize,
    /// With `DPS_ERROR_INVALID_REPLY`: what is wrong with the reply, where it was JSON.
    pub reply_problem: dps_reply_problem,
}

/// A likely cause of a failure. Constants.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dps_hint {
    /// Its name, such as `clock-behind`.
    pub name: dps_span,
    /// What may be wrong and what to do, in a sentence.
    pub text: dps_span,
}

impl dps_outcome {
    const NOTHING: Self = Self {
        status: dps_status::DPS_STATUS_UNKNOWN,
        service_code: 0,
        assigned_hub: dps_span::EMPTY,
        device_id: dps_span::EMPTY,
        substatus: dps_span::EMPTY,
        operation_id: dps_span::EMPTY,
        message: dps_span::EMPTY,
        payload_offset: 0,
        payload_length: 0,
    };
}

impl dps_failure {
    /// A failure of which nothing more is known.
    pub(crate) fn new(code: ErrorCode, verdict: Verdict) -> Self {
        let (verdict, retry_after_ms) = match verdict {
            Verdict::Never => (dps_verdict::DPS_VERDICT_NEVER, 0),
            Verdict::After(wait) => (dps_verdict::DPS_VERDICT_AFTER, wait.get()),
            Verdict::Reconfigure => (dps_verdict::DPS_VERDICT_RECONFIGURE, 0),
        };
        Self {
            result: number(code),
            verdict,
            retry_after_ms,
            http_status: 0,
            service_code: 0,
            tracking_id: dps_span::EMPTY,
            message: dps_span::EMPTY,
            timestamp: dps_span::EMPTY,
            clock_skew_s: 0,
            needed: 0,
            reply_problem: dps_reply_problem::DPS_REPLY_PROBLEM_NONE,
        }
    }
}

impl dps_hint {
    pub(crate) fn of(hint: Hint) -> Self {
        Self { name: dps_span::of(hint.name()), text: dps_span::of(hint.text()) }
    }
}

/// How it ended. Gives `DPS_OK` and fills in `outcome` when the device has a hub, or a lookup found its record.
///
/// Gives, and leaves `outcome` unchanged, the reason when the registration failed (`dps_registration_failure` has more);
/// `DPS_ERROR_MISUSE` when it is not over; `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_outcome(
    registration: *const dps_registration,
    outcome: *mut dps_outcome,
) -> dps_result {
    let tell = || {
        // SAFETY: as the caller promises.
        let (machine, outcome) = unsafe { (value(registration)?, output(outcome)?) };
        let Some(found) = machine.record() else {
            return Err(machine.failure().map_or(Refused::MISUSE, |failure| failure.code().into()));
        };
        let payload = found.payload().unwrap_or_default();
        // One by one: a whole struct is put together on the stack first.
        let outcome = outcome.write(dps_outcome::NOTHING);
        outcome.status = status(found.status());
        outcome.service_code = found.error_code().unwrap_or(0);
        outcome.assigned_hub = dps_span::of_option(found.assigned_hub());
        outcome.device_id = dps_span::of_option(found.device_id());
        outcome.substatus = dps_span::of_option(found.substatus());
        outcome.operation_id = dps_span::of_option(found.operation_id());
        outcome.message = dps_span::of_option(found.message());
        outcome.payload_offset = payload.start;
        outcome.payload_length = payload.len();
        Ok(())
    };
    done(tell())
}

pub(crate) fn status(status: Status) -> dps_status {
    match status {
        Status::Unassigned => dps_status::DPS_STATUS_UNASSIGNED,
        Status::Assigning => dps_status::DPS_STATUS_ASSIGNING,
        Status::Assigned => dps_status::DPS_STATUS_ASSIGNED,
        Status::Failed => dps_status::DPS_STATUS_FAILED,
        Status::Disabled => dps_status::DPS_STATUS_DISABLED,
        _ => dps_status::DPS_STATUS_UNKNOWN,
    }
}

pub(crate) fn reply_problem(problem: Option<ReplyProblem>) -> dps_reply_problem {
    match problem {
        None => dps_reply_problem::DPS_REPLY_PROBLEM_NONE,
        Some(ReplyProblem::NoStatus) => dps_reply_problem::DPS_REPLY_PROBLEM_NO_STATUS,
        Some(ReplyProblem::NoOperation) => dps_reply_problem::DPS_REPLY_PROBLEM_NO_OPERATION,
        Some(ReplyProblem::NoHub) => dps_reply_problem::DPS_REPLY_PROBLEM_NO_HUB,
        Some(ReplyProblem::Hub) => dps_reply_problem::DPS_REPLY_PROBLEM_HUB,
        Some(ReplyProblem::DeviceId) => dps_reply_problem::DPS_REPLY_PROBLEM_DEVICE_ID,
        Some(ReplyProblem::Substatus) => dps_reply_problem::DPS_REPLY_PROBLEM_SUBSTATUS,
        Some(_) => dps_reply_problem::DPS_REPLY_PROBLEM_OTHER,
    }
}

/// Why it failed.
///
/// Gives `DPS_ERROR_MISUSE` when it has not failed; `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_failure(
    registration: *const dps_registration,
    failure: *mut dps_failure,
) -> dps_result {
    let tell = || {
        // SAFETY: as the caller promises.
        let (found, place) = unsafe { (failed(registration)?, output(failure)?) };
        let failure = place.write(dps_failure::new(found.code(), found.verdict()));
        failure.http_status = found.http_status().map_or(0, u32::from);
        failure.service_code = found.error_code().unwrap_or(0);
        failure.tracking_id = dps_span::of_option(found.tracking_id());
        failure.message = dps_span::of_option(found.message());
        failure.timestamp = dps_span::of_option(found.timestamp());
        failure.clock_skew_s = found.clock_skew().unwrap_or(0);
        failure.needed = found.needed().unwrap_or(0);
        failure.reply_problem = reply_problem(found.reply_problem());
        Ok(())
    };
    done(tell())
}

/// The likely causes of a failure, the likeliest at `index` 0. Firmware that never calls it links none of the texts.
///
/// Gives `DPS_ERROR_INVALID_ARGUMENT` past the last; `DPS_ERROR_MISUSE` when the registration has not failed;
/// `DPS_ERROR_INVALID_OBJECT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_hint(
    registration: *const dps_registration,
    index: usize,
    hint: *mut dps_hint,
) -> dps_result {
    let tell = || {
        // SAFETY: as the caller promises.
        let (found, place) = unsafe { (failed(registration)?, output(hint)?) };
        let hint = found.hints().iter().nth(index).ok_or(Refused::ARGUMENT)?;
        place.write(dps_hint::of(hint));
        Ok(())
    };
    done(tell())
}

/// # Safety
/// As the caller of the exported functions promises.
unsafe fn failed<'a>(registration: *const dps_registration) -> Outcome<Failure<'a>> {
    // SAFETY: promised on.
    unsafe { value(registration)? }.failure().ok_or(Refused::MISUSE)
}
