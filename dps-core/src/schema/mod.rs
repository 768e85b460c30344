//! The service's JSON bodies: what a device sends, and what it reads from the replies.
//!
//! Read by name; unknown members of any size are passed over, a known one of another type counts as absent, and of
//! two equal ones the last counts. It knows no transport.

pub mod json;

use crate::ids::RegistrationId;
use crate::message::{Body, Payload, Status};
use crate::schema::json::{JsonError, Reader, Span};
use crate::text::{ByteStr, Text, parse_decimal};

/// The body is no JSON object in UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotABody;

/// Writes the body of a registration or a lookup (`DeviceRegistration` in the REST reference).
pub fn write_registration(text: &mut Text<'_>, registration_id: RegistrationId<'_>, payload: Option<Payload<'_>>) {
    // A registration id holds no character that JSON escapes.
    text.push("{\"registrationId\":\"");
    text.push(registration_id.as_bytes());
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
    json::read_object(bytes, &mut |reader, key| found.member(reader, key, Level::Top)).map_err(|_| NotABody)?;
    Ok(found.body(bytes))
}

/// Where a member stands: at the top, inside the registration state, or at either (a bare registration state has at
/// the top what else stands inside one).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Top,
    State,
    Either,
}

/// The members that are read, each with a place in [`Found`].
#[derive(Clone, Copy)]
enum Member {
    OperationId,
    Status,
    RecordStatus,
    Substatus,
    AssignedHub,
    DeviceId,
    ErrorCode,
    Code,
    ErrorMessage,
    Message,
    TrackingId,
    Timestamp,
    Payload,
}

/// A table rather than a `match`: in firmware it is half the size.
const MEMBERS: [(&[u8], Level, Member); COUNT] = [
    (b"operationId", Level::Top, Member::OperationId),
    (b"status", Level::Top, Member::Status),
    (b"status", Level::State, Member::RecordStatus),
    (b"substatus", Level::Either, Member::Substatus),
    (b"assignedHub", Level::Either, Member::AssignedHub),
    (b"deviceId", Level::Either, Member::DeviceId),
    (b"errorCode", Level::Either, Member::ErrorCode),
    (b"code", Level::Either, Member::Code),
    (b"errorMessage", Level::Either, Member::ErrorMessage),
    (b"message", Level::Either, Member::Message),
    (b"trackingId", Level::Top, Member::TrackingId),
    (b"timestampUtc", Level::Top, Member::Timestamp),
    (b"payload", Level::Either, Member::Payload),
];
const COUNT: usize = Member::Payload as usize + 1;

/// Where the known members stand; an empty span is none.
#[derive(Default)]
struct Found([Span; COUNT]);

impl Found {
    fn member(&mut self, reader: &mut Reader<'_>, key: Span, level: Level) -> Result<(), JsonError> {
        let is_object = reader.next_is(b'{');
        let name = reader.bytes(key);
        if level == Level::Top && name == b"registrationState" && is_object {
            return reader.members(&mut |reader, key| self.member(reader, key, Level::State));
        }
        let is_it = |row: &&(&[u8], Level, Member)| row.0 == name && (row.1 == level || row.1 == Level::Either);
        let Some(&(_, _, member)) = MEMBERS.iter().find(is_it) else { return Ok(()) };
        let span = match member {
            Member::ErrorCode | Member::Code | Member::Payload => reader.skip()?,
            _ => reader.string()?.unwrap_or_default(),
        };
        if let Some(place) = self.0.get_mut(member as usize) {
            *place = span;
        }
        Ok(())
    }

    fn body<'b>(&self, bytes: &'b [u8]) -> Body<'b> {
        let span = |member: Member| self.0.get(member as usize).filter(|span| span.end > span.start);
        let raw = |member| span(member).and_then(|span| bytes.get(span.start..span.end));
        let text = |member| raw(member).map(ByteStr::new);
        let number = |member| raw(member).and_then(parse_decimal);
        Body {
            operation_id: text(Member::OperationId),
            status: text(Member::Status).or_else(|| text(Member::RecordStatus)).map(Status::from_word),
            substatus: text(Member::Substatus),
            assigned_hub: text(Member::AssignedHub),
            device_id: text(Member::DeviceId),
            error_code: number(Member::ErrorCode).or_else(|| number(Member::Code)),
            message: text(Member::ErrorMessage).or_else(|| text(Member::Message)),
            tracking_id: text(Member::TrackingId),
            timestamp: text(Member::Timestamp),
            payload: span(Member::Payload)
                .filter(|_| raw(Member::Payload) != Some(b"null"))
                .map(|span| span.start..span.end),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn every_member_has_its_own_place() {
        for (index, (_, _, member)) in MEMBERS.iter().enumerate() {
            assert_eq!(*member as usize, index);
        }
    }

    #[test]
    fn a_registration_state_that_is_null_counts_as_absent() {
        let mut text = *b"{\"operationId\":\"5.0\",\"status\":\"assigning\",\"registrationState\":null}";
        let body = read_body(&mut text).unwrap();
        assert_eq!(
            (body.operation_id, body.status, body.device_id),
            (Some("5.0".into()), Some(Status::Assigning), None)
        );
    }

    #[test]
    fn blanks_around_members_that_are_not_read_change_nothing() {
        let mut spaced = *b"{ \"unknown\" : 1 , \"operationId\" : \"5.0\" , \"registrationState\" : { \"x\" : [ ] , \"deviceId\" : \"d\" } }";
        let body = read_body(&mut spaced).unwrap();
        assert_eq!((body.operation_id, body.device_id), (Some("5.0".into()), Some("d".into())));
        for broken in ["{\"unknown\": }", "{\"registrationState\": {\"x\": }}"] {
            assert_eq!(read_body(&mut std::vec::Vec::from(broken)), Err(NotABody), "{broken}");
        }
    }
}
