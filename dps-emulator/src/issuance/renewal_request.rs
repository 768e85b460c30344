//! The body and the request id of a certificate request to a hub: their form, not what the certificate request itself has.

use serde_json::{Map, Value};

use super::IssuanceCodes;
use super::renewal_reply::HubProblem;
use crate::encoding::decode_base64;
use crate::events::RefusalReason;
use crate::wire::{BAD_REQUEST, NOT_JSON};

/// The longest certificate request, in bytes of base64 (Azure IoT Hub documentation).
const CSR_MAX: usize = 8 * 1024;
const MEMBERS: [&str; 3] = ["id", "csr", "replace"];

#[derive(Debug)]
pub(super) struct RenewalRequest {
    /// The base64 of a certificate request in DER.
    pub(super) csr: String,
    /// The request id of the operation to cancel, or `*` for any.
    pub(super) replace: Option<String>,
}

impl RenewalRequest {
    /// Reads a body. Other members than the three are refused.
    pub(super) fn parse(body: &[u8], device_id: &str, codes: IssuanceCodes) -> Result<Self, HubProblem> {
        if body.trim_ascii().is_empty() {
            return Err(invalid("The body is missing: send a JSON object with 'id' and 'csr'."));
        }
        let body: Value = serde_json::from_slice(body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let message = format!("The body is not valid JSON: see line {line}, column {column}.");
            HubProblem::new(NOT_JSON, message).because(RefusalReason::InvalidRequest)
        })?;
        let Value::Object(body) = body else { return Err(invalid("The body must be a JSON object.")) };
        if let Some(unknown) = body.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
            let shown: String = unknown.chars().take(40).collect();
            return Err(invalid(format!("'{shown}' is not allowed: the members are 'id', 'csr' and 'replace'.")));
        }
        if text(&body, "id")? != Some(device_id) {
            return Err(invalid("'id' must be the device id that the device signed in with."));
        }
        let csr = text(&body, "csr")?.filter(|csr| !csr.is_empty());
        let csr = csr.ok_or_else(|| invalid("'csr' is missing: send the base64 of a certificate request in DER."))?;
        if csr.len() > CSR_MAX || decode_base64(csr).is_none_or(|der| der.is_empty()) {
            let message = format!("'csr' must be base64 of at most {CSR_MAX} characters, without line breaks.");
            return Err(HubProblem::new(codes.undecodable(), message).because(RefusalReason::RequestMalformed));
        }
        let replace = match text(&body, "replace")? {
            Some(replace) if replace != "*" && !is_request_id(replace) => {
                return Err(invalid("'replace' must be '*' or the request id of an earlier request."));
            }
            replace => replace.map(str::to_owned),
        };
        Ok(Self { csr: csr.to_owned(), replace })
    }
}

/// Refuses a request id that has not the form that hubs require.
pub(super) fn check_request_id(request_id: &str) -> Result<(), HubProblem> {
    if is_request_id(request_id) {
        return Ok(());
    }
    let reason = RefusalReason::RequestId;
    Err(HubProblem::new(BAD_REQUEST, format!("The request is refused: {reason}.")).because(reason))
}

/// 4 to 36 letters, digits and hyphens, without a hyphen at either end.
fn is_request_id(text: &str) -> bool {
    (4..=36).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A member that is a string, if it is there; null counts as absent.
fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, HubProblem> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid(format!("'{name}' must be a string."))),
    }
}

fn invalid(message: impl Into<String>) -> HubProblem {
    HubProblem::new(BAD_REQUEST, message).because(RefusalReason::InvalidRequest)
}
