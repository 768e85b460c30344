//! The service's JSON bodies: what a device sends, and what it reads from the replies.
//!
//! Read by name; unknown members of any size are skipped, a known one of another type counts as absent, and of
//! two equal ones the last counts. It knows no transport.

pub mod find;
pub mod json;
mod string;

use core::ops::Range;

use crate::ids::{RegistrationId, is_device_id, is_hub_name, is_word};
use crate::message::{Body, Call, Members, Payload, Status};
use crate::schema::json::{Span, Step, Walk};
use crate::text::{ByteStr, Text, parse_decimal};

/// The body is not a JSON object in UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotABody;

/// Writes the body of a request (`DeviceRegistration` in the REST reference); nothing for a poll.
pub fn write_body(text: &mut Text<'_>, registration_id: RegistrationId<'_>, call: &Call<'_>) {
    let (payload, members) = match call {
        Call::Status { .. } => return,
        Call::Register { payload, members } => (*payload, Some(members.0)),
        Call::Lookup | Call::LookupWithMembers { .. } | Call::Time => (None, None),
    };
    let payload = payload.map_or(b"".as_slice(), Payload::as_bytes);
    open_registration(text, registration_id, payload);
    if let Some(members) = members {
        members.write_members(text);
    }
    text.push_byte(b'}');
}

/// Writes the body of a lookup with what the attestation adds to it.
pub fn write_lookup(text: &mut Text<'_>, registration_id: RegistrationId<'_>, members: Members<'_>) {
    open_registration(text, registration_id, &[]);
    members.0.write_members(text);
    text.push_byte(b'}');
}

/// Writes the body of a registration with a payload that was not checked; an empty payload is left out.
pub fn write_registration(text: &mut Text<'_>, registration_id: RegistrationId<'_>, payload: &[u8]) {
    open_registration(text, registration_id, payload);
    text.push_byte(b'}');
}

fn open_registration(text: &mut Text<'_>, registration_id: RegistrationId<'_>, payload: &[u8]) {
    // A registration id holds no character that JSON escapes.
    text.push("{\"registrationId\":\"");
    text.push(registration_id.as_bytes());
    text.push_byte(b'"');
    if !payload.is_empty() {
        text.push(",\"payload\":");
        text.push(payload);
    }
}

/// Reads a reply's body, whichever of the service's three it is: an operation with its registration state, a bare
/// registration state, or an error. Known strings are unescaped in place; the payload stays as it is.
///
/// # Errors
/// [`NotABody`] when it is not a JSON object in UTF-8. Then nothing is changed.
pub fn read_body<'b>(bytes: &'b mut [u8], body: &mut Body<'b>) -> Result<(), NotABody> {
    let mut found = Found::default();
    found.read(bytes)?;
    body.json.text = found.text;
    body.operation_id = found.string(Member::OperationId);
    body.status = found.status();
    body.substatus = found.string(Member::Substatus);
    body.assigned_hub = found.string(Member::AssignedHub);
    body.device_id = found.string(Member::DeviceId);
    body.error_code = found.error_code();
    body.message = found.message();
    body.tracking_id = found.string(Member::TrackingId);
    body.timestamp = found.string(Member::Timestamp);
    body.payload = found.payload();
    Ok(())
}

/// The level of members at the top.
const TOP: u8 = 1;
/// The level of members inside the registration state.
const STATE: u8 = 2;

/// The members that are read, in the order of `KEYS`. Strings come first.
#[derive(Clone, Copy)]
#[expect(missing_docs, reason = "their names are the service's")]
pub enum Member {
    OperationId,
    Status,
    RecordStatus,
    Substatus,
    AssignedHub,
    DeviceId,
    ErrorMessage,
    Message,
    TrackingId,
    Timestamp,
    ErrorCode,
    Code,
    Payload,
}

/// The number of members that are strings.
const STRINGS: usize = Member::ErrorCode as usize;

/// The levels and the key of each member. Both levels, where a bare registration state has at the top what else is inside
/// one. Keys are padded with NUL: a table of strings is twice the size in firmware.
static KEYS: [(u8, [u8; 12]); COUNT] = [
    (TOP, *b"operationId\0"),
    (TOP, *b"status\0\0\0\0\0\0"),
    (STATE, *b"status\0\0\0\0\0\0"),
    (TOP | STATE, *b"substatus\0\0\0"),
    (TOP | STATE, *b"assignedHub\0"),
    (TOP | STATE, *b"deviceId\0\0\0\0"),
    (TOP | STATE, *b"errorMessage"),
    (TOP | STATE, *b"message\0\0\0\0\0"),
    (TOP, *b"trackingId\0\0"),
    (TOP, *b"timestampUtc"),
    (TOP | STATE, *b"errorCode\0\0\0"),
    (TOP | STATE, *b"code\0\0\0\0\0\0\0\0"),
    (TOP | STATE, *b"payload\0\0\0\0\0"),
];
const COUNT: usize = Member::Payload as usize + 1;

/// A body, and the ranges of its known members; empty where a member is missing. Each inline function is called once in
/// an image of firmware.
#[derive(Default)]
pub struct Found<'b> {
    text: &'b [u8],
    spans: [Span; COUNT],
}

impl<'b> Found<'b> {
    /// Reads a body as [`read_body`] does, without copying the members.
    ///
    /// # Errors
    /// As [`read_body`].
    #[inline]
    pub fn read(&mut self, bytes: &'b mut [u8]) -> Result<(), NotABody> {
        if !self.walk(bytes) {
            return Err(NotABody);
        }
        self.unescape(bytes);
        self.text = bytes;
        Ok(())
    }

    /// A string.
    #[must_use]
    #[inline]
    pub fn string(&self, member: Member) -> Option<ByteStr<'b>> {
        self.raw(member).map(ByteStr::new)
    }

    /// The bytes of a string; empty where it is missing.
    #[must_use]
    pub fn bytes(&self, member: Member) -> &'b [u8] {
        self.spans.get(member as usize).map_or(&[], |span| span.of(self.text))
    }

    /// How far the registration is: the operation's status, or the record's.
    #[must_use]
    #[inline]
    pub fn status(&self) -> Option<Status> {
        self.string(Member::Status).or_else(|| self.string(Member::RecordStatus)).map(Status::from_word)
    }

    /// The service's six-digit code.
    #[must_use]
    #[inline]
    pub fn error_code(&self) -> Option<u32> {
        let number = |member| self.raw(member).and_then(parse_decimal);
        number(Member::ErrorCode).or_else(|| number(Member::Code))
    }

    /// The service's words about an error.
    #[must_use]
    #[inline]
    pub fn message(&self) -> Option<ByteStr<'b>> {
        self.string(Member::ErrorMessage).or_else(|| self.string(Member::Message))
    }

    /// The range of the custom payload.
    #[must_use]
    #[inline]
    pub fn payload(&self) -> Option<Range<usize>> {
        // No value but null begins so.
        let is_value = |span: &&Span| span.of(self.text).first().is_some_and(|first| *first != b'n');
        let payload = self.spans.get(Member::Payload as usize).filter(is_value);
        payload.map(|span| span.start..span.end)
    }

    /// Checks the names as [`Body::check_names`] does.
    #[must_use]
    pub fn has_good_names(&self) -> bool {
        let name = self.bytes(Member::AssignedHub);
        if !(name.is_empty() || is_hub_name(name)) {
            return false;
        }
        let name = self.bytes(Member::DeviceId);
        if !(name.is_empty() || is_device_id(name)) {
            return false;
        }
        let name = self.bytes(Member::Substatus);
        name.is_empty() || is_word(name)
    }

    fn raw(&self, member: Member) -> Option<&'b [u8]> {
        Some(self.bytes(member)).filter(|raw| !raw.is_empty())
    }

    /// Looks for the members; `false` when `text` is not a JSON object.
    #[inline]
    fn walk(&mut self, text: &[u8]) -> bool {
        let mut walk = Walk::new(text);
        let mut is_in_state = false;
        loop {
            let step = walk.step();
            if !matches!(step, Step::Value | Step::Opened) {
                if step == Step::Closed {
                    continue;
                }
                return step == Step::End;
            }
            let start = walk.start;
            let is_object = text.get(start) == Some(&b'{');
            let level = match walk.depth {
                0 if !is_object => return false,
                1 => {
                    is_in_state = is_object && string::is_name(text, walk.key, b"registrationState");
                    TOP
                }
                2 if is_in_state => STATE,
                _ => 0,
            };
            if let Some(place) = self.place(text, walk.key, level) {
                if step == Step::Opened && !walk.finish() {
                    return false;
                }
                *place = Span { start, end: walk.at };
            }
        }
    }

    /// The place of the member with this key at this level.
    fn place(&mut self, text: &[u8], key: Span, level: u8) -> Option<&mut Span> {
        let mut rows = KEYS.iter().zip(&mut self.spans);
        let (_, place) = rows.find(|((levels, name), _)| levels & level != 0 && string::is_name(text, key, name))?;
        Some(place)
    }

    /// Unescapes the strings; what has another type counts as absent.
    #[inline]
    fn unescape(&mut self, text: &mut [u8]) {
        for span in self.spans.iter_mut().take(STRINGS) {
            let is_string = text.get(span.start) == Some(&b'"');
            *span = if is_string { string::unescape(text, *span) } else { Span::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    fn read(bytes: &mut [u8]) -> Result<Body<'_>, NotABody> {
        let mut body = Body::default();
        read_body(bytes, &mut body).map(|()| body)
    }

    #[test]
    fn every_member_is_read_where_it_counts() {
        const TOP: &str = r#""operationId":"o","status":"assigning","substatus":"s","assignedHub":"h","deviceId":"d",
            "errorCode":401002,"code":7,"errorMessage":"e","message":"m","trackingId":"t","timestampUtc":"u","payload":[{}]"#;
        let mut text = std::format!("{{{TOP}}}").into_bytes();
        let payload = text.windows(4).position(|bytes| bytes == b"[{}]").unwrap();
        let at_top = Body {
            operation_id: Some("o".into()),
            status: Some(Status::Assigning),
            substatus: Some("s".into()),
            assigned_hub: Some("h".into()),
            device_id: Some("d".into()),
            error_code: Some(401_002),
            message: Some("e".into()),
            tracking_id: Some("t".into()),
            timestamp: Some("u".into()),
            payload: Some(payload..payload + 4),
            ..Body::default()
        };
        assert_eq!(read(&mut text), Ok(at_top.clone()));

        let mut text = std::format!("{{\"registrationState\":{{{TOP}}}}}").into_bytes();
        let payload = payload + "\"registrationState\":{".len();
        let in_state = Body {
            operation_id: None,
            tracking_id: None,
            timestamp: None,
            payload: Some(payload..payload + 4),
            ..at_top
        };
        assert_eq!(read(&mut text), Ok(in_state));

        let mut text = std::format!("{{\"x\":{{{TOP}}},\"registrationState\":[{{{TOP}}}]}}").into_bytes();
        assert_eq!(read(&mut text), Ok(Body::default()), "they count nowhere else");
        let mut text = *br#"{"registrationState":[{"message":"m"},"n"]}"#;
        assert_eq!(read(&mut text), Ok(Body::default()), "an element of an array has no key");
    }

    #[test]
    fn last_of_two_members_with_the_same_key_counts() {
        let mut text = *br#"{"deviceId":"a","deviceId":"b","assignedHub":"a","assignedHub":null,"code":1,"code":{},"payload":{}, "payload" : null}"#;
        assert_eq!(read(&mut text), Ok(Body { device_id: Some("b".into()), ..Body::default() }));
    }

    #[test]
    fn status_of_the_operation_and_texts_of_errors_come_before_others() {
        let mut text = *br#"{"message":"m","errorMessage":"e","code":1,"errorCode":2,"registrationState":{"status":"failed"},"status":"assigned"}"#;
        let body = read(&mut text).unwrap();
        assert_eq!((body.status, body.message, body.error_code), (Some(Status::Assigned), Some("e".into()), Some(2)));
        let mut text = *br#"{"message":"m","code":1,"registrationState":{"status":"failed"}}"#;
        let body = read(&mut text).unwrap();
        assert_eq!((body.status, body.message, body.error_code), (Some(Status::Failed), Some("m".into()), Some(1)));
    }

    #[test]
    fn refused_body_is_not_changed() {
        for refused in ["{\"deviceId\":\"\\u0061\"", "[{\"deviceId\":\"\\u0061\"}]", "\"\\u0061\"", ""] {
            let mut text = std::vec::Vec::from(refused);
            assert_eq!(read(&mut text), Err(NotABody), "{refused}");
            assert_eq!(text, refused.as_bytes());
        }
        assert_eq!(read(&mut b"{\"x\":\"\xFF\"}".clone()), Err(NotABody));
    }

    #[test]
    fn registration_state_null_counts_as_absent() {
        let mut text = *b"{\"operationId\":\"5.0\",\"status\":\"assigning\",\"registrationState\":null}";
        let body = read(&mut text).unwrap();
        assert_eq!(
            (body.operation_id, body.status, body.device_id),
            (Some("5.0".into()), Some(Status::Assigning), None)
        );
    }

    #[test]
    fn whitespace_around_unknown_members_is_ignored() {
        let mut spaced = *b"{ \"unknown\" : 1 , \"operationId\" : \"5.0\" , \"registrationState\" : { \"x\" : [ ] , \"deviceId\" : \"d\" } }";
        let body = read(&mut spaced).unwrap();
        assert_eq!((body.operation_id, body.device_id), (Some("5.0".into()), Some("d".into())));
        for broken in ["{\"unknown\": }", "{\"registrationState\": {\"x\": }}"] {
            assert_eq!(read(&mut std::vec::Vec::from(broken)), Err(NotABody), "{broken}");
        }
    }
}
