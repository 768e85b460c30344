//! The service's JSON bodies: what a device sends, and what it reads from the replies.
//!
//! Read by name; unknown members of any size are passed over, a known one of another type counts as absent, and of
//! two equal ones the last counts. It knows no transport.

pub mod json;

use crate::ids::RegistrationId;
use crate::message::{Body, Payload, Status};
use crate::schema::json::{JsonError, Reader, Span};
use crate::text::Text;

/// The body is no JSON object in UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotABody;

/// Writes the body of a registration or a lookup (`DeviceRegistration` in the REST reference).
pub fn write_registration(text: &mut Text<'_>, registration_id: RegistrationId<'_>, payload: Option<Payload<'_>>) {
    // A registration id holds no character that JSON escapes.
    text.push("{\"registrationId\":\"");
    text.push(registration_id.as_str());
    text.push_byte(b'"');
    if let Some(payload) = payload {
        text.push(",\"payload\":");
        text.push(payload.as_str());
    }
    text.push_byte(b'}');
}

/// Reads a reply's body, whichever of the service's three it is: an operation with its registration state, a bare
/// registration state, or an error. Known strings are unescaped where they stand; the payload stays as it is.
///
/// # Errors
/// [`NotABody`] when it is no JSON object in UTF-8.
pub fn read_body(bytes: &mut [u8]) -> Result<Body<'_>, NotABody> {
    if core::str::from_utf8(bytes).is_err() {
        return Err(NotABody);
    }
    let mut found = Found::default();
    json::read_object(bytes, |reader, key| found.member(reader, key)).map_err(|_| NotABody)?;
    Ok(found.body(bytes))
}

/// Where the known members stand.
#[derive(Default)]
struct Found {
    operation_id: Option<Span>,
    status: Option<Span>,
    record_status: Option<Span>,
    substatus: Option<Span>,
    assigned_hub: Option<Span>,
    device_id: Option<Span>,
    error_code: Option<u32>,
    message: Option<Span>,
    tracking_id: Option<Span>,
    timestamp: Option<Span>,
    payload: Option<Span>,
}

impl Found {
    fn member(&mut self, reader: &mut Reader<'_>, key: Span) -> Result<(), JsonError> {
        match reader.bytes(key) {
            b"operationId" => self.operation_id = reader.string()?,
            b"status" => self.status = reader.string()?,
            b"trackingId" => self.tracking_id = reader.string()?,
            b"timestampUtc" => self.timestamp = reader.string()?,
            b"registrationState" if reader.next_is_object() => {
                reader.members(|reader, key| self.state_member(reader, key))?
            }
            _ => self.shared_member(reader, key)?,
        }
        Ok(())
    }

    fn state_member(&mut self, reader: &mut Reader<'_>, key: Span) -> Result<(), JsonError> {
        match reader.bytes(key) {
            b"status" => self.record_status = reader.string()?,
            _ => self.shared_member(reader, key)?,
        }
        Ok(())
    }

    /// What stands inside the registration state, or at the top where that comes bare.
    fn shared_member(&mut self, reader: &mut Reader<'_>, key: Span) -> Result<(), JsonError> {
        match reader.bytes(key) {
            b"assignedHub" => self.assigned_hub = reader.string()?,
            b"deviceId" => self.device_id = reader.string()?,
            b"substatus" => self.substatus = reader.string()?,
            b"errorCode" | b"code" => self.error_code = reader.number()?.or(self.error_code),
            b"errorMessage" | b"message" => self.message = reader.string()?.or(self.message),
            b"payload" => self.payload = Some(reader.skip()?).filter(|span| reader.bytes(*span) != b"null"),
            _ => {}
        }
        Ok(())
    }

    fn body<'b>(&self, bytes: &'b [u8]) -> Body<'b> {
        let text = |span: Option<Span>| {
            let found = bytes.get(span?.start..span?.end)?;
            core::str::from_utf8(found).ok().filter(|text| !text.is_empty())
        };
        let status = text(self.status).or_else(|| text(self.record_status));
        Body {
            operation_id: text(self.operation_id),
            status: status.map(Status::from_word),
            substatus: text(self.substatus),
            assigned_hub: text(self.assigned_hub),
            device_id: text(self.device_id),
            error_code: self.error_code,
            message: text(self.message),
            tracking_id: text(self.tracking_id),
            timestamp: text(self.timestamp),
            payload: self.payload.map(|span| span.start..span.end),
        }
    }
}
