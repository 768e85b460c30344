//! The JSON of the device API, both ways, and the errors of every API. Only shapes: no rule of the service is here.
//!
//! Error codes marked "ours" are not published anywhere; clients must rely only on their class.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::events::RefusalReason;
use crate::fault::RetryAfter;
use crate::hubs::ConnectionProfile;
use crate::issuance;
use crate::time::{Now, iso_8601};
use crate::tpm::TpmState;
use crate::x509::X509State;

/// The largest message that the service accepts, in bytes.
pub const BODY_MAX: usize = 96 * 1024;

/// The key name that device tokens may carry.
pub(crate) const DEVICE_KEY_NAME: &str = "registration";

/// The protocol of a call. The service answers a refused token with one code over HTTP (401002) and with another over
/// MQTT (401000).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP.
    Http,
    /// MQTT, over TLS or a WebSocket.
    Mqtt,
}

/// What a device sends with register and lookup. Unknown members are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeviceRegistration {
    pub(crate) registration_id: Option<String>,
    pub(crate) payload: Option<Value>,
    pub(crate) csr: Option<Value>,
    pub(crate) client_certificate_csr: Option<Value>,
    pub(crate) tpm: Option<Value>,
}

impl DeviceRegistration {
    /// A body of spaces or nothing counts as an empty object: some clients send none.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let parsed: Self = if body.trim_ascii().is_empty() { Self::default() } else { parse_object(body)? };
        match &parsed.payload {
            Some(payload) if !payload.is_object() => Err(Problem::bad_request("'payload' must be a JSON object.")),
            _ => Ok(parsed),
        }
    }
}

/// Parses an object. The error names the line and column and repeats no string of the body, which may be a key.
pub(crate) fn parse_object<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Problem> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::bad_request("The body must be a JSON object."));
    }
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = if error.is_data() { redact(&error.to_string()) } else { "it is not valid JSON".into() };
        Problem::bad_request(format!("The body is invalid at line {line}, column {column}: {what}."))
    })
}

/// serde quotes an unexpected string in full, as `string "…"`; this removes it.
fn redact(message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(before, _)| before);
    match (message.find("string \""), message.rfind("\", expected")) {
        (Some(start), Some(end)) if start < end => format!("{}string{}", &message[..start], &message[end + 1..]),
        _ => message.to_owned(),
    }
}

/// The answer to register and to a poll.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationStatus<'a> {
    pub(crate) operation_id: &'a str,
    pub(crate) status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registration_state: Option<&'a RegistrationState>,
}

/// The answer to a device that has shown the keys of its TPM and no token yet.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChallengeBody<'a> {
    message: &'static str,
    authentication_key: &'a str,
    /// The service sends it, without a value.
    unencrypted_authentication_key: Option<&'a str>,
    key_name: &'static str,
}

impl<'a> ChallengeBody<'a> {
    pub(crate) fn new(authentication_key: &'a str) -> Self {
        Self {
            message: "Authorization required, resend request using supplied key",
            authentication_key,
            unencrypted_authentication_key: None,
            key_name: DEVICE_KEY_NAME,
        }
    }
}

/// The state of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Status {
    /// The service has not decided yet.
    Assigning,
    /// The device is assigned to a hub.
    Assigned,
    /// The device could not be assigned; the record has the reason.
    Failed,
    /// The enrollment is disabled.
    Disabled,
}

/// How a device was assigned to its hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Substatus {
    /// For the first time, or again without a change.
    InitialAssignment,
    /// It moved to another hub, with its twin.
    DeviceDataMigrated,
    /// It moved to another hub and starts with the enrollment's twin.
    DeviceDataReset,
    /// It returned to the hub of its first assignment.
    ReprovisionedToInitialAssignment,
}

/// A registration record as it is sent to clients.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RegistrationState {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) symmetric_key: Option<SymmetricKeyResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) x509: Option<X509State>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tpm: Option<TpmState>,
    pub(crate) registration_id: String,
    pub(crate) created_date_time_utc: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) assigned_hub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device_id: Option<String>,
    pub(crate) status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) substatus: Option<Substatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_message: Option<String>,
    pub(crate) last_updated_date_time_utc: String,
    pub(crate) etag: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) payload: Option<Value>,
    /// Of the operation that issued it, never of a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) issued_certificate_chain: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connection_profile: Option<ConnectionProfile>,
}

impl RegistrationState {
    /// The same without the members that this API version does not have.
    pub(crate) fn known_to(mut self, api_version: &str) -> Self {
        self.issued_certificate_chain = self.issued_certificate_chain.filter(|_| issuance::is_known_to(api_version));
        self.connection_profile = self.connection_profile.filter(|_| ConnectionProfile::is_known_to(api_version));
        self
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SymmetricKeyResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enrollment_group_id: Option<String>,
}

/// Everything serialized here is a map with string keys, which cannot fail.
pub(crate) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// A certificate request, while issuance is not configured.
pub(crate) const CSR_NOT_CONFIGURED: u32 = 400_000;
/// A member is missing or invalid.
pub(crate) const BAD_REQUEST: u32 = 400_004;
/// The body of a certificate request to a hub is not JSON.
#[cfg(feature = "mqtt")]
pub(crate) const NOT_JSON: u32 = 400_006;
/// No certificate request that `replace` names is active at the hub.
#[cfg(feature = "mqtt")]
pub(crate) const NOTHING_TO_REPLACE: u32 = 412_001;
/// Too many certificate requests at a hub.
#[cfg(feature = "mqtt")]
pub(crate) const HUB_THROTTLED: u32 = 429_002;
/// A hub failed.
#[cfg(feature = "mqtt")]
pub(crate) const HUB_FAILED: u32 = 500_001;
/// The custom allocation webhook returned an error, or could not be called.
pub(crate) const WEBHOOK_FAILED: u32 = 400_207;
/// The certificate authority failed (ours).
pub(crate) const NOT_ISSUED: u32 = 500_002;
/// No hub can be assigned.
pub(crate) const NO_HUB: u32 = 400_208;
/// The credential was refused; the service does not say why.
const UNAUTHORIZED: u32 = 401_002;
/// The same over MQTT.
const UNAUTHORIZED_MQTT: u32 = 401_000;
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
/// An outdated etag (ours).
pub(crate) const STALE_ETAG: u32 = 412_000;
/// More than 96 KB (ours).
pub(crate) const TOO_LARGE: u32 = 413_000;
/// The body is not declared as JSON (ours).
pub(crate) const MEDIA_TYPE: u32 = 415_000;
/// Too many requests (ours).
const THROTTLED: u32 = 429_001;

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
    /// How long to wait before the next request, if the service sends a hint.
    pub retry_after: Option<RetryAfter>,
    /// Why, which events show and the reply often does not.
    pub reason: RefusalReason,
}

impl Problem {
    pub(crate) fn new(error_code: u32, message: impl Into<String>) -> Self {
        let status = (error_code / 1000) as u16;
        Self { status, error_code, message: message.into(), retry_after: None, reason: reason_of(error_code) }
    }

    /// The same for a reason that the code does not tell.
    pub(crate) fn because(self, reason: RefusalReason) -> Self {
        Self { reason, ..self }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(BAD_REQUEST, message)
    }

    pub(crate) fn unauthorized(protocol: Protocol, reason: RefusalReason) -> Self {
        let code = match protocol {
            Protocol::Http => UNAUTHORIZED,
            Protocol::Mqtt => UNAUTHORIZED_MQTT,
        };
        Self::new(code, "Unauthorized").because(reason)
    }

    /// A refused certificate has the same code over every protocol.
    pub(crate) fn invalid_certificate(reason: RefusalReason) -> Self {
        Self::new(UNAUTHORIZED, "Invalid certificate.").because(reason)
    }

    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        Self::new(NOT_FOUND, format!("No {what} has the id '{id}'."))
    }

    pub(crate) fn throttled(retry_after: Option<RetryAfter>) -> Self {
        Self { retry_after, ..Self::new(THROTTLED, "Too many requests.") }
    }

    /// The message for events: the reply to a refused credential does not tell the reason.
    pub(crate) fn event_message(&self) -> String {
        let is_hidden = match self.reason {
            RefusalReason::NoTpmEnrollment | RefusalReason::WrongEndorsementKey | RefusalReason::WrongIdScope => true,
            reason => self.status == 401 || reason == RefusalReason::PlannedFault,
        };
        if is_hidden { self.reason.to_string() } else { self.message.clone() }
    }

    /// The error body.
    pub(crate) fn body(&self, tracking_id: &str, now: Now) -> Vec<u8> {
        let details = ErrorDetails {
            error_code: self.error_code,
            tracking_id,
            message: &self.message,
            timestamp_utc: iso_8601(now.unix_ms),
        };
        to_json(&details)
    }
}

/// The reason that an error code stands for.
fn reason_of(error_code: u32) -> RefusalReason {
    match error_code {
        CSR_NOT_CONFIGURED => RefusalReason::CertificateRequest,
        NO_HUB => RefusalReason::HubNotLinked,
        NOT_FOUND => RefusalReason::NotFound,
        NO_ROUTE => RefusalReason::UnknownPath,
        METHOD => RefusalReason::MethodNotAllowed,
        CONCURRENT => RefusalReason::ConcurrentRegister,
        EXISTS | STALE_ETAG => RefusalReason::PreconditionFailed,
        TOO_LARGE => RefusalReason::BodyTooLarge,
        MEDIA_TYPE => RefusalReason::MediaType,
        THROTTLED => RefusalReason::Throttled,
        500_000.. => RefusalReason::Internal,
        _ => RefusalReason::InvalidRequest,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_error_repeats_no_string_of_the_body() {
        let body = br#"{"registrationId": "a", "payload": {}, "registrationId": "b"}"#;
        assert!(DeviceRegistration::parse(body).unwrap_err().message.contains("duplicate field"));
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only its shape matters")]
        struct Wanted {
            key: Vec<u8>,
        }
        let error = parse_object::<Wanted>(br#"{"key":"topsecret"}"#).unwrap_err();
        assert!(!error.message.contains("topsecret") && error.message.contains("expected"), "{error}");
    }
}
