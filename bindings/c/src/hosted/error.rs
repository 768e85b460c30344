//! The error of a call, on the heap: its message, facts and hints.

use core::ffi::c_char;
use std::ffi::CString;

use dps_client::{DpsError, ErrorCode, Hint, RefusedCredential, Verdict};
use dps_core::ReplyProblem;

use crate::hosted::assignment::c_text;
use crate::memory::output;
use crate::outcome::{dps_hint, dps_reply_problem, reply_problem};
use crate::result::{Refused, done, dps_result, dps_verdict, number, retry_after_ms};
use crate::span::dps_span;

/// The error of a call. Free it with `dps_error_free`; strings and spans from it live as long.
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
    refused: Vec<RefusedCredential>,
    resume: CString,
}

/// The facts of an error. Spans live as long as the error; what is not known is empty or 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dps_failure {
    /// The number of the error: a `DPS_ERROR_*`.
    pub result: dps_result,
    /// Whether to retry.
    pub verdict: dps_verdict,
    /// With `DPS_VERDICT_AFTER`: how long to wait before the retry.
    pub retry_after_ms: u64,
    /// The service's HTTP status, the number in MQTT's topic, or the proxy's status.
    pub http_status: u32,
    /// The service's six-digit code.
    pub service_code: u32,
    /// The service's tracking id, by which Azure's support finds the request.
    pub tracking_id: dps_span,
    /// The service's message.
    pub message: dps_span,
    /// The service's timestamp of the error, in ISO 8601.
    pub timestamp: dps_span,
    /// The seconds by which the device's clock is behind (positive) or ahead of (negative) the service's, if it is far off.
    pub clock_skew_s: i64,
    /// The required size in bytes, if a buffer was too small.
    pub needed: usize,
    /// With `DPS_ERROR_INVALID_REPLY`: what is wrong with the reply, if it was JSON.
    pub reply_problem: dps_reply_problem,
}

/// Why the service refused a credential. Spans live as long as the error that it is from; what is not known is empty or 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dps_refused_credential {
    /// Which credential it is: 0 is the one of `dps_client_config`, 1 its `fallback`, and so on.
    pub credential_index: u32,
    /// `DPS_ERROR_UNAUTHORIZED` or `DPS_ERROR_CLIENT_CERTIFICATE_REFUSED`.
    pub result: dps_result,
    /// The service's HTTP status, or the number in MQTT's topic.
    pub http_status: u32,
    /// The service's six-digit code.
    pub service_code: u32,
    /// The service's tracking id, by which Azure's support finds the request.
    pub tracking_id: dps_span,
    /// What went wrong.
    pub message: dps_span,
}

impl dps_error {
    /// An error that does not come from the client.
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
            refused: Vec::new(),
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
            refused: error.refused_credentials().to_vec(),
            resume: c_text(error.resume_token().map(ToString::to_string).as_deref()),
        })
    }
}

/// Returns one line with the problem, the facts and the most likely cause. It ends with a NUL, is never null, and contains
/// no secrets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_error_text(error: *const dps_error) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { error.as_ref() }.map_or(c"".as_ptr(), |error| error.text.as_ptr())
}

/// Writes the facts to `failure`. Its `message` describes the problem, without numbers and hints.
///
/// Returns `DPS_ERROR_INVALID_ARGUMENT` if a pointer is null.
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
            tracking_id: dps_span::from_text(error.tracking_id.as_str()),
            message: dps_span::from_text(error.message.as_str()),
            timestamp: dps_span::from_text(error.timestamp.as_str()),
            clock_skew_s: error.clock_skew_s.unwrap_or(0),
            needed: error.needed.unwrap_or(0),
            reply_problem: reply_problem(error.reply_problem),
        });
        Ok(())
    };
    done(tell())
}

/// Writes one of the likely causes to `hint`; the most likely is at `index` 0.
///
/// Returns `DPS_ERROR_INVALID_ARGUMENT` if `index` is past the last hint, or if a pointer is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_error_hint(error: *const dps_error, index: usize, hint: *mut dps_hint) -> dps_result {
    let tell = || {
        // SAFETY: as the caller promises.
        let (error, place) = unsafe { (error.as_ref().ok_or(Refused::ARGUMENT)?, output(hint)?) };
        place.write(dps_hint::from_hint(*error.hints.get(index).ok_or(Refused::ARGUMENT)?));
        Ok(())
    };
    done(tell())
}

/// Writes to `refused` why the service refused a credential. `index` counts the refusals in their order, from 0. A call with a single
/// credential has no refusals.
///
/// Returns `DPS_ERROR_INVALID_ARGUMENT` if `index` is past the last refusal, or if a pointer is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_error_refused_credential(
    error: *const dps_error,
    index: usize,
    refused: *mut dps_refused_credential,
) -> dps_result {
    let tell = || {
        // SAFETY: as the caller promises.
        let (error, place) = unsafe { (error.as_ref().ok_or(Refused::ARGUMENT)?, output(refused)?) };
        let refused = error.refused.get(index).ok_or(Refused::ARGUMENT)?;
        place.write(dps_refused_credential {
            // A call has 8 credentials at most.
            credential_index: refused.place().index() as u32,
            result: number(refused.code()),
            http_status: refused.http_status().map_or(0, u32::from),
            service_code: refused.error_code().unwrap_or(0),
            tracking_id: dps_span::from_text(refused.tracking_id().unwrap_or_default()),
            message: dps_span::from_text(refused.message()),
        });
        Ok(())
    };
    done(tell())
}

/// Returns the resume token: set `resume` to it in a later call, to continue the operation that the service had started. It
/// ends with a NUL, is never null, and contains no secrets; it is empty if there is no operation to continue.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_error_resume_token(error: *const dps_error) -> *const c_char {
    // SAFETY: as the caller promises.
    unsafe { error.as_ref() }.map_or(c"".as_ptr(), |error| error.resume.as_ptr())
}

/// Frees an error. Null is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_error_free(error: *mut dps_error) {
    if !error.is_null() {
        // SAFETY: it came from `Box::into_raw`, and the caller frees it once.
        drop(unsafe { Box::from_raw(error) });
    }
}
