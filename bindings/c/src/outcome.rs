//! How a registration ended, as C reads it.

use dps_core::internal::{Ended, Kept};
use dps_core::{Hint, ReplyProblem, Status};

use crate::memory::{buffer, output, value};
use crate::registration::dps_registration;
use crate::result::{Refused, done, dps_result, dps_verdict, retry_after_ms};
use crate::span::{dps_buffer, dps_span};

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

/// A likely cause of a failure. Constants.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dps_hint {
    /// Its name, such as `clock-behind`.
    pub name: dps_span,
    /// What may be wrong and what to do, in a sentence.
    pub text: dps_span,
}

impl dps_hint {
    pub(crate) fn from_hint(hint: Hint) -> Self {
        Self { name: dps_span::from_text(hint.name()), text: dps_span::from_text(hint.text()) }
    }
}

/// How it ended: `DPS_OK` when the device has a hub, or a lookup found its record; otherwise the reason why it failed.
///
/// `DPS_ERROR_MISUSE` while it is not over; `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`. With any of these
/// three, and while it is not over, the functions below return 0 or an empty span.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_result(registration: *const dps_registration) -> dps_result {
    // SAFETY: as the caller promises.
    done(unsafe { value(registration) }.and_then(|machine| match machine.result() {
        None => Err(Refused::MISUSE),
        Some(Ok(())) => Ok(()),
        Some(Err(code)) => Err(code.into()),
    }))
}

/// How far the device's registration is: `DPS_STATUS_ASSIGNED` after a registration that succeeded; what the record has
/// after a lookup.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_status(registration: *const dps_registration) -> dps_status {
    // SAFETY: as the caller promises.
    unsafe { ended(registration) }.map_or(dps_status::DPS_STATUS_UNKNOWN, |ended| status(ended.status()))
}

/// The hub's host name. Like every span of the outcome, it points into the registration's storage until the next call
/// on the registration that takes it as not const, and is empty where the service sent none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_assigned_hub(registration: *const dps_registration) -> dps_span {
    // SAFETY: as the caller promises.
    unsafe { text(registration, Kept::Hub) }
}

/// The device id at the hub; case-sensitive there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_device_id(registration: *const dps_registration) -> dps_span {
    // SAFETY: as the caller promises.
    unsafe { text(registration, Kept::Device) }
}

/// How the assignment came about, such as `initialAssignment`. An open list; only to inform.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_substatus(registration: *const dps_registration) -> dps_span {
    // SAFETY: as the caller promises.
    unsafe { text(registration, Kept::Substatus) }
}

/// The operation of the service that registers the device, or did; empty when the service assigned at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_operation_id(registration: *const dps_registration) -> dps_span {
    // SAFETY: as the caller promises.
    unsafe { ended(registration) }.map_or(dps_span::EMPTY, |ended| dps_span::from_text(ended.operation_id()))
}

/// The custom payload, a JSON object, in `reply`: the buffer that the last reply was handed over in, which must be
/// unchanged since.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_payload(
    registration: *const dps_registration,
    reply: dps_buffer,
) -> dps_span {
    // SAFETY: as the caller promises.
    let (ended, reply) = unsafe { (ended(registration), buffer(reply)) };
    let payload = ended.and_then(|ended| ended.payload());
    let found = payload.and_then(|range| reply.ok()?.get(range));
    found.map_or(dps_span::EMPTY, dps_span::from_bytes)
}

/// Whether to try again after a failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_verdict(registration: *const dps_registration) -> dps_verdict {
    // SAFETY: as the caller promises.
    unsafe { ended(registration) }.map_or(dps_verdict::DPS_VERDICT_NEVER, |ended| ended.verdict().into())
}

/// With `DPS_VERDICT_AFTER`: how long to wait first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_retry_after_ms(registration: *const dps_registration) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { ended(registration) }.map_or(0, |ended| retry_after_ms(ended.verdict()))
}

/// After a failure: the service's HTTP status, the number in MQTT's topic, or the proxy's status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_http_status(registration: *const dps_registration) -> u32 {
    // SAFETY: as the caller promises.
    unsafe { ended(registration) }.map_or(0, |ended| u32::from(ended.http_status()))
}

/// The service's six-digit code of an error; also that of a record.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_service_code(registration: *const dps_registration) -> u32 {
    // SAFETY: as the caller promises.
    unsafe { ended(registration) }.map_or(0, |ended| ended.error_code())
}

/// After a failure: the id by which the service's support finds the request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_tracking_id(registration: *const dps_registration) -> dps_span {
    // SAFETY: as the caller promises.
    unsafe { text(registration, Kept::TrackingId) }
}

/// The service's message about an error, cut to what fits the storage; also that of a record.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_message(registration: *const dps_registration) -> dps_span {
    // SAFETY: as the caller promises.
    unsafe { text(registration, Kept::Message) }
}

/// After a failure: when the service noted the error, ISO 8601.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_timestamp(registration: *const dps_registration) -> dps_span {
    // SAFETY: as the caller promises.
    unsafe { text(registration, Kept::Timestamp) }
}

/// After a failure: seconds that this device's clock is behind (positive) or ahead of (negative) the service's, where
/// far.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_clock_skew_s(registration: *const dps_registration) -> i64 {
    // SAFETY: as the caller promises.
    unsafe { ended(registration) }.map_or(0, |ended| ended.clock_skew())
}

/// After a failure for want of space: the size in bytes that would have done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_needed(registration: *const dps_registration) -> usize {
    // SAFETY: as the caller promises.
    unsafe { ended(registration) }.map_or(0, |ended| ended.needed())
}

/// With `DPS_ERROR_INVALID_REPLY`: what is wrong with the reply, where it was JSON.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_reply_problem(registration: *const dps_registration) -> dps_reply_problem {
    // SAFETY: as the caller promises.
    reply_problem(unsafe { ended(registration) }.and_then(|ended| ended.reply_problem()))
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

/// The likely causes of a failure, the likeliest at `index` 0. Firmware that never calls it links none of the texts.
///
/// Returns `DPS_ERROR_INVALID_ARGUMENT` past the last; `DPS_ERROR_MISUSE` when the registration has not failed;
/// `DPS_ERROR_INVALID_OBJECT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_hint(
    registration: *const dps_registration,
    index: usize,
    hint: *mut dps_hint,
) -> dps_result {
    let tell = || {
        // SAFETY: as the caller promises.
        let (machine, place) = unsafe { (value(registration)?, output(hint)?) };
        let hint = machine.failure().ok_or(Refused::MISUSE)?.hints().iter().nth(index).ok_or(Refused::ARGUMENT)?;
        place.write(dps_hint::from_hint(hint));
        Ok(())
    };
    done(tell())
}

/// What is left of a registration that is over; once in firmware, for all functions here.
///
/// # Safety
/// As the caller of the exported functions promises.
#[inline(never)]
unsafe fn ended<'a>(registration: *const dps_registration) -> Option<Ended<'a>> {
    // SAFETY: promised on.
    unsafe { value(registration) }.ok()?.ended()
}

/// One of the texts; once in firmware, as above.
///
/// # Safety
/// As the caller of the exported functions promises.
#[inline(never)]
unsafe fn text(registration: *const dps_registration, kept: Kept) -> dps_span {
    // SAFETY: promised on.
    unsafe { ended(registration) }.map_or(dps_span::EMPTY, |ended| dps_span::from_text(ended.text(kept)))
}
