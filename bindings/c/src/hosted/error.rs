//! Why there is no assignment, on the heap: the sentence, the facts and the hints.

use core::ffi::c_char;
use std::ffi::CString;

use dps_client::{DpsError, ErrorCode, Hint, Verdict};
use dps_core::ReplyProblem;

use crate::hosted::assignment::c_text;
use crate::memory::{dps_span, output};
use crate::outcome::{dps_hint, dps_reply_problem, reply_problem};
use crate::result::{Refused, done, dps_result, dps_verdict, number, retry_after_ms};

/// Why a call failed. Freed with `dps_error_free`; what it gives lives as long.
pub struct dps_error {
    text: CString,
    code: ErrorCode,
    verdict: Verdict,
    http_status: Option<u16>,
    service_code: Option<u32>,
    tracking_id: String,
    message: String,
    timestamp: String,
    clock_skew_s: Option<i64>,
    needed: Option<usize>,
    reply_problem: Option<ReplyProblem>,
    hints: Vec<Hint>,
    resume: CString,
}

/// Why a call failed, fact by fact. Spans live as long as the error; what is not known is empty, or 0.
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
    /// The service's message.
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

impl dps_error {
    /// Something that the client knows nothing of.
    pub(crate) fn new(code: ErrorCode, verdict: Verdict, text: &str) -> Box<Self> {
        Box::new(Self {
            text: c_text(Some(text)),
            code,
            verdict,
            http_status: None,
            service_code: None,
            tracking_id: String::new(),
            message: text.to_owned(),
            timestamp: String::new(),
            clock_skew_s: None,
            needed: None,
            reply_problem: None,
            hints: Vec::new(),
            resume: CString::default(),
        })
    }

    pub(crate) fn code(&self) -> ErrorCode {
        self.code
    }
}

impl From<DpsError> for Box<dps_error> {
    fn from(error: DpsError) -> Self {
        Self::new(dps_error {
            text: c_text(Some(&error.report().to_string())),
            code: error.code(),
            verdict: error.verdict(),
            http_status: error.http_status(),
            service_code: error.error_code(),
            tracking_id: error.tracking_id().unwrap_or_default().to_owned(),
            message: error.message().to_owned(),
            timestamp: error.timestamp().unwrap_or_default().to_owned(),
            clock_skew_s: error.clock_skew_seconds(),
            needed: error.needed_bytes(),
            reply_problem: error.reply_problem(),
            hints: error.hints().to_vec(),
            resume: c_text(error.resume_token().map(ToString::to_string).as_deref()),
        })
    }
}

/// One line that can be acted on: what went wrong, the facts, the likeliest cause. Ends with a NUL, never null. No secret
/// is in it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_error_text(error: *const dps_error) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { error.as_ref() }.map_or(c"".as_ptr(), |error| error.text.as_ptr())
}

/// The facts, one by one. `message` is what went wrong, without numbers and hints.
///
/// Gives `DPS_ERROR_INVALID_ARGUMENT` when a pointer is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_error_failure(error: *const dps_error, failure: *mut dps_failure) -> dps_result {
    let tell = || {
        // SAFETY: as the caller promises.
        let (error, failure) = unsafe { (error.as_ref().ok_or(Refused::ARGUMENT)?, output(failure)?) };
        failure.write(dps_failure {
            result: number(error.code),
            verdict: error.verdict.into(),
            retry_after_ms: retry_after_ms(error.verdict),
            http_status: error.http_status.map_or(0, u32::from),
            service_code: error.service_code.unwrap_or(0),
            tracking_id: dps_span::of(error.tracking_id.as_str()),
            message: dps_span::of(error.message.as_str()),
            timestamp: dps_span::of(error.timestamp.as_str()),
            clock_skew_s: error.clock_skew_s.unwrap_or(0),
            needed: error.needed.unwrap_or(0),
            reply_problem: reply_problem(error.reply_problem),
        });
        Ok(())
    };
    done(tell())
}

/// The likely causes, the likeliest at `index` 0.
///
/// Gives `DPS_ERROR_INVALID_ARGUMENT` past the last, or when a pointer is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_error_hint(error: *const dps_error, index: usize, hint: *mut dps_hint) -> dps_result {
    let tell = || {
        // SAFETY: as the caller promises.
        let (error, place) = unsafe { (error.as_ref().ok_or(Refused::ARGUMENT)?, output(hint)?) };
        place.write(dps_hint::of(*error.hints.get(index).ok_or(Refused::ARGUMENT)?));
        Ok(())
    };
    done(tell())
}

/// What to give as `resume` later, so that the device goes on from the operation that the service had begun. Ends with a
/// NUL, never null; empty when there is nothing to go on from. No secret is in it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_error_resume_token(error: *const dps_error) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { error.as_ref() }.map_or(c"".as_ptr(), |error| error.resume.as_ptr())
}

/// Frees an error. Null does no harm.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_error_free(error: *mut dps_error) {
    if !error.is_null() {
        // SAFETY: it came from `Box::into_raw`, and the caller frees it once.
        drop(unsafe { Box::from_raw(error) });
    }
}
