//! Refusals in the service's shape: a status, a six-digit code of the same class, a message, a tracking id.
//!
//! Codes marked "ours" are not published anywhere; a client must read no more than their class.

use serde::Serialize;

use crate::auth::Protocol;
use crate::date::iso_8601;
use crate::fault::RetryAfter;
use crate::now::Now;

/// A certificate request where issuance is not configured.
pub(crate) const CSR_NOT_CONFIGURED: u32 = 400_000;
/// A member is missing or wrong.
pub(crate) const BAD_REQUEST: u32 = 400_004;
/// No hub to assign.
pub(crate) const NO_HUB: u32 = 400_208;
/// The credential was refused; the service says no more.
pub(crate) const UNAUTHORIZED: u32 = 401_002;
/// The same over MQTT.
pub(crate) const UNAUTHORIZED_MQTT: u32 = 401_000;
/// No such enrollment, registration or operation.
pub(crate) const NOT_FOUND: u32 = 404_201;
/// No such route (ours).
pub(crate) const NO_ROUTE: u32 = 404_000;
/// The path exists, the method does not (ours).
pub(crate) const METHOD: u32 = 405_000;
/// An enrollment of this id exists already (ours).
pub(crate) const EXISTS: u32 = 409_201;
/// The same registration is being changed by another request.
pub(crate) const CONCURRENT: u32 = 409_203;
/// A stale etag (ours).
pub(crate) const STALE_ETAG: u32 = 412_000;
/// More than 96 KB (ours).
pub(crate) const TOO_LARGE: u32 = 413_000;
/// The body is not declared as JSON (ours).
pub(crate) const MEDIA_TYPE: u32 = 415_000;
/// Too many requests (ours).
pub(crate) const THROTTLED: u32 = 429_001;

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error_code}: {message}")]
pub struct Problem {
    /// The HTTP status; its class is that of `error_code`.
    pub status: u16,
    /// The six-digit code.
    pub error_code: u32,
    /// What was wrong, in words.
    pub message: String,
    /// When to come back, if the service says so.
    pub retry_after: Option<RetryAfter>,
}

impl Problem {
    pub(crate) fn new(error_code: u32, message: impl Into<String>) -> Self {
        Self { status: (error_code / 1000) as u16, error_code, message: message.into(), retry_after: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(BAD_REQUEST, message)
    }

    pub(crate) fn unauthorized(protocol: Protocol) -> Self {
        let code = match protocol {
            Protocol::Http => UNAUTHORIZED,
            Protocol::Mqtt => UNAUTHORIZED_MQTT,
        };
        Self::new(code, "Unauthorized")
    }

    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        Self::new(NOT_FOUND, format!("No {what} has the id '{id}'."))
    }

    pub(crate) fn throttled(retry_after: Option<RetryAfter>) -> Self {
        Self { retry_after, ..Self::new(THROTTLED, "Too many requests.") }
    }

    /// The error body.
    pub(crate) fn body(&self, tracking_id: &str, now: Now) -> Vec<u8> {
        let details = ErrorDetails {
            error_code: self.error_code,
            tracking_id,
            message: &self.message,
            timestamp_utc: iso_8601(now.unix_ms),
        };
        crate::wire::to_json(&details)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorDetails<'a> {
    error_code: u32,
    tracking_id: &'a str,
    message: &'a str,
    timestamp_utc: String,
}
