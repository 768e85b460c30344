//! The service's JSON bodies: what a device sends, and what it reads from the replies.
//!
//! Read by name; unknown members of any size are passed over, a known one of another type counts as absent, and of
//! two equal ones the last counts. It knows no transport.

pub mod json;
mod string;

use crate::ids::RegistrationId;
use crate::message::{Body, Payload, Status};
use crate::schema::json::{Span, Step, Walk};
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
    let is_object = bytes.trim_ascii_start().starts_with(b"{");
    let mut found = Found::default();
    if !is_object || core::str::from_utf8(bytes).is_err() || !found.walk(bytes) {
        return Err(NotABody);
    }
    found.unescape(bytes);
    Ok(found.body(bytes))
}

/// At the top.
const TOP: u8 = 1;
/// Inside the registration state.
const STATE: u8 = 2;
/// At either: a bare registration state has at the top what else is inside one.
const EITHER: u8 = TOP | STATE;

/// The members that are read, each with its index in [`MEMBERS`]. Strings come first.
#[derive(Clone, Copy)]
enum Member {
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

const MEMBERS: [(&[u8], u8); COUNT] = [
    (b"operationId", TOP),
    (b"status", TOP),
    (b"status", STATE),
    (b"substatus", EITHER),
    (b"assignedHub", EITHER),
    (b"deviceId", EITHER),
    (b"errorMessage", EITHER),
    (b"message", EITHER),
    (b"trackingId", TOP),
    (b"timestampUtc", TOP),
    (b"errorCode", EITHER),
    (b"code", EITHER),
    (b"payload", EITHER),
];
const COUNT: usize = Member::Payload as usize + 1;

/// Where the values of the known members are; an empty span is none.
#[derive(Default)]
struct Found([Span; COUNT]);

impl Found {
    /// Looks for the members; `false` when `text` is not JSON.
    fn walk(&mut self, text: &[u8]) -> bool {
        let mut walk = Walk::new(text);
        let mut is_in_state = false;
        loop {
            let step = walk.step();
            match step {
                Step::Invalid => return false,
                Step::End => return true,
                Step::Closed => continue,
                Step::Value | Step::Opened => {}
            }
            let (start, is_opened) = (walk.start, step == Step::Opened);
            if walk.depth == 1 {
                let is_object = text.get(start) == Some(&b'{');
                is_in_state = is_object && string::is_name(text, walk.key, b"registrationState");
            }
            let level = match walk.depth {
                1 => TOP,
                2 if is_in_state => STATE,
                _ => 0,
            };
            if let Some(place) = self.place(text, walk.key, level) {
                if is_opened && !walk.finish() {
                    return false;
                }
                *place = Span { start, end: walk.at };
            }
        }
    }

    /// The place of the member with this key at this level.
    fn place(&mut self, text: &[u8], key: Span, level: u8) -> Option<&mut Span> {
        let mut rows = MEMBERS.iter().zip(&mut self.0);
        rows.find(|((name, at), _)| at & level != 0 && string::is_name(text, key, name)).map(|(_, place)| place)
    }

    /// Unescapes the strings; what has another type counts as absent.
    fn unescape(&mut self, text: &mut [u8]) {
        for span in self.0.iter_mut().take(STRINGS) {
            *span = match text.get(span.start) {
                Some(b'"') => {
                    string::unescape(text, Span { start: span.start.wrapping_add(1), end: span.end.wrapping_sub(1) })
                }
                _ => Span::default(),
            };
        }
    }

    fn body<'b>(&self, bytes: &'b [u8]) -> Body<'b> {
        let raw = |member: Member| self.0.get(member as usize).map(|span| span.of(bytes)).filter(|raw| !raw.is_empty());
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
            payload: self
                .0
                .get(Member::Payload as usize)
                .filter(|span| !matches!(span.of(bytes), b"" | b"null"))
                .map(|span| span.start..span.end),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

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
        };
        assert_eq!(read_body(&mut text), Ok(at_top.clone()));

        let mut text = std::format!("{{\"registrationState\":{{{TOP}}}}}").into_bytes();
        let payload = payload + "\"registrationState\":{".len();
        let in_state = Body {
            operation_id: None,
            tracking_id: None,
            timestamp: None,
            payload: Some(payload..payload + 4),
            ..at_top
        };
        assert_eq!(read_body(&mut text), Ok(in_state));

        let mut text = std::format!("{{\"x\":{{{TOP}}},\"registrationState\":[{{{TOP}}}]}}").into_bytes();
        assert_eq!(read_body(&mut text), Ok(Body::default()), "they count nowhere else");
    }

    #[test]
    fn last_of_two_equal_members_counts() {
        let mut text = *br#"{"deviceId":"a","deviceId":"b","assignedHub":"a","assignedHub":null,"code":1,"code":{},"payload":{}, "payload" : null}"#;
        assert_eq!(read_body(&mut text), Ok(Body { device_id: Some("b".into()), ..Body::default() }));
    }

    #[test]
    fn status_of_the_operation_and_texts_of_errors_come_before_others() {
        let mut text = *br#"{"message":"m","errorMessage":"e","code":1,"errorCode":2,"registrationState":{"status":"failed"},"status":"assigned"}"#;
        let body = read_body(&mut text).unwrap();
        assert_eq!((body.status, body.message, body.error_code), (Some(Status::Assigned), Some("e".into()), Some(2)));
        let mut text = *br#"{"message":"m","code":1,"registrationState":{"status":"failed"}}"#;
        let body = read_body(&mut text).unwrap();
        assert_eq!((body.status, body.message, body.error_code), (Some(Status::Failed), Some("m".into()), Some(1)));
    }

    #[test]
    fn body_that_is_refused_stays_as_it_is() {
        for refused in ["{\"deviceId\":\"\\u0061\"", "[{\"deviceId\":\"\\u0061\"}]", "\"\\u0061\"", ""] {
            let mut text = std::vec::Vec::from(refused);
            assert_eq!(read_body(&mut text), Err(NotABody), "{refused}");
            assert_eq!(text, refused.as_bytes());
        }
        assert_eq!(read_body(&mut b"{\"x\":\"\xFF\"}".clone()), Err(NotABody));
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
