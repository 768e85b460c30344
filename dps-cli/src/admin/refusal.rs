//! Failed calls of the service's admin API, in the terms of the error catalogue.
//!
//! The hints of a device's registration do not apply here: an owner has another key and makes other mistakes.

use std::time::Duration;

use dps_core::{ErrorCode, Hint, LinkError, Millis, Verdict};
use serde::Deserialize;

use crate::failure::Failure;

/// The service's error body (Azure IoT DPS REST reference, `ProvisioningServiceErrorDetails`).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ErrorBody {
    error_code: Option<u32>,
    tracking_id: Option<String>,
    message: Option<String>,
}

/// Returns the failure of a call that the service rejected.
pub(crate) fn from_reply(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Failure {
    let body: ErrorBody = serde_json::from_slice(body).unwrap_or_default();
    let code = error_code(status);
    let words = body.message.as_deref().unwrap_or("no reason stated");
    let what = if code == ErrorCode::NotFound { "not found at the service" } else { code.text() };
    let mut message = format!("{what}: {words} (status {status}");
    if let Some(error_code) = body.error_code {
        message.push_str(&format!(", code {error_code}"));
    }
    message.push(')');
    if code == ErrorCode::Unauthorized {
        message
            .push_str("; compare the connection string with the service's shared access policies, and check the clock");
    }
    let verdict = match code {
        ErrorCode::Throttled | ErrorCode::ServiceUnavailable => {
            Verdict::After(retry_after.map_or(Millis::from_secs(1), Millis::from))
        }
        _ => Verdict::Never,
    };
    let hints = body.tracking_id.iter().map(|_| Hint::KeepTrackingId).collect();
    Failure {
        verdict,
        http_status: Some(status),
        error_code: body.error_code,
        tracking_id: body.tracking_id,
        retry_after,
        hints,
        ..Failure::new(code, message)
    }
}

fn error_code(status: u16) -> ErrorCode {
    match status {
        400 => ErrorCode::BadRequest,
        401 => ErrorCode::Unauthorized,
        403 => ErrorCode::Forbidden,
        404 => ErrorCode::NotFound,
        405 => ErrorCode::MethodNotAllowed,
        409 | 412 => ErrorCode::Conflict,
        415 => ErrorCode::UnsupportedMediaType,
        429 => ErrorCode::Throttled,
        500..=599 => ErrorCode::ServiceUnavailable,
        _ => ErrorCode::UnexpectedStatus,
    }
}

/// Returns the failure of a call without a reply.
pub(crate) fn from_link_error(error: LinkError, detail: &str) -> Failure {
    let (code, hint, later) = match error {
        LinkError::Dns => (ErrorCode::Dns, Hint::CheckDns, true),
        LinkError::Connect => (ErrorCode::Connect, Hint::CheckNetwork, true),
        LinkError::Cut => (ErrorCode::ConnectionCut, Hint::CheckNetwork, true),
        LinkError::Timeout => (ErrorCode::Timeout, Hint::CheckNetwork, true),
        LinkError::UnknownCa => (ErrorCode::UnknownCa, Hint::TrustCa, false),
        LinkError::NameMismatch => (ErrorCode::NameMismatch, Hint::CheckEndpoint, false),
        LinkError::CertificateExpired => (ErrorCode::CertificateExpired, Hint::ClockOutsideCertificate, false),
        LinkError::Tls => (ErrorCode::Tls, Hint::TrustCa, false),
        _ => (ErrorCode::InvalidReply, Hint::NotTheService, true),
    };
    let message = if detail.is_empty() { code.text().to_owned() } else { format!("{}: {detail}", code.text()) };
    let verdict = if later { Verdict::After(Millis::from_secs(1)) } else { Verdict::Never };
    Failure { verdict, hints: vec![hint], ..Failure::new(code, message) }
}
