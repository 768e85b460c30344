//! The JSON of the device API, both ways. Only shapes: no rule of the service lives here.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::problem::Problem;

/// The largest message that the service takes, in bytes.
pub const BODY_MAX: usize = 96 * 1024;

/// What a device sends with register and lookup. Unknown members are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeviceRegistration {
    pub(crate) registration_id: Option<String>,
    pub(crate) payload: Option<Value>,
    csr: Option<Value>,
    client_certificate_csr: Option<Value>,
}

impl DeviceRegistration {
    /// A blank body counts as an empty object: some clients send none.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let parsed: Self = if body.trim_ascii().is_empty() { Self::default() } else { parse_object(body)? };
        match &parsed.payload {
            Some(payload) if !payload.is_object() => Err(Problem::bad_request("'payload' must be a JSON object.")),
            _ => Ok(parsed),
        }
    }

    pub(crate) fn has_csr(&self) -> bool {
        self.csr.is_some() || self.client_certificate_csr.is_some()
    }
}

/// Reads an object. The message names the place and repeats no string of the body, which may be a key.
pub(crate) fn parse_object<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Problem> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::bad_request("The body must be a JSON object."));
    }
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = if error.is_data() { redact(&error.to_string()) } else { "it is not JSON".into() };
        Problem::bad_request(format!("The body cannot be read at line {line}, column {column}: {what}."))
    })
}

/// serde quotes an unexpected string in full, as `string "…"`; cut it out.
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

/// Where a registration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// The service is still at work.
    Assigning,
    /// The device has a hub.
    Assigned,
    /// No hub could be given; the record says why.
    Failed,
    /// The enrollment is switched off.
    Disabled,
}

/// How a device came to its hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Substatus {
    /// For the first time, or again with nothing changed.
    InitialAssignment,
    /// It moved, and its twin with it.
    DeviceDataMigrated,
    /// It moved and starts with the enrollment's twin.
    DeviceDataReset,
    /// It came back to the hub of its first assignment.
    ReprovisionedToInitialAssignment,
}

/// A registration record as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RegistrationState {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) symmetric_key: Option<SymmetricKeyResult>,
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
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SymmetricKeyResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enrollment_group_id: Option<String>,
}

/// All that is written here are maps with string keys, for which serialization has no failing case.
pub(crate) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_repeats_no_string_of_the_body() {
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
