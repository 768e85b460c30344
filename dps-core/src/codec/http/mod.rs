//! The device API over HTTP (Azure IoT DPS REST reference): method, target, body, and the reading of replies.
//!
//! These are the pieces for a program with an HTTP library; [`wire`] has whole messages for one without. Retry hints
//! and dates are read here, so that the machine never sees a header.

mod date;
pub mod wire;

pub use date::parse_date;

use crate::codec;
use crate::message::{Call, LinkError, Reply, Request};
use crate::schema;
use crate::text::{ByteStr, Text, parse_decimal};
use crate::time::{Millis, UnixSeconds};

/// The API version that is asked for unless the caller names another.
pub const DEFAULT_API_VERSION: &str = "2021-06-01";
/// The port of HTTPS (RFC 9110, section 4.2.2).
pub const DEFAULT_PORT: u16 = 443;

/// The method of a call.
#[inline(always)] // Once in firmware for each type of the version.
#[must_use]
pub fn method(call: &Call<'_>) -> &'static str {
    match call {
        Call::Register { .. } | Call::Time => "PUT",
        Call::Status { .. } => "GET",
        Call::Lookup | Call::LookupWithMembers { .. } => "POST",
    }
}

/// Writes the request target: path and query.
pub fn write_target(text: &mut Text<'_>, request: &Request<'_>, api_version: impl AsRef<[u8]>) {
    text.push_byte(b'/');
    text.push_percent(request.identity.id_scope.as_bytes());
    text.push("/registrations/");
    text.push_percent(request.identity.registration_id.as_bytes());
    match request.call {
        Call::Register { .. } | Call::Time => text.push("/register"),
        Call::Status { operation_id } => {
            text.push("/operations/");
            text.push_percent(operation_id);
        }
        Call::Lookup | Call::LookupWithMembers { .. } => {}
    }
    text.push("?api-version=");
    text.push_percent(api_version);
}

/// Writes the body; nothing for a call that has none.
pub fn write_body(text: &mut Text<'_>, request: &Request<'_>) {
    schema::write_body(text, request.identity.registration_id, &request.call);
}

/// As [`write_body`], which leaves out the members of [`Call::LookupWithMembers`]. Firmware without a TPM does not need it.
pub fn write_body_with_members(text: &mut Text<'_>, request: &Request<'_>) {
    match request.call {
        Call::LookupWithMembers { members } => {
            schema::write_lookup(text, request.identity.registration_id, members);
        }
        _ => write_body(text, request),
    }
}

/// What of a reply's head matters; header values as they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head<'h> {
    /// The status.
    pub status: u16,
    /// The value of `Retry-After`.
    pub retry_after: Option<ByteStr<'h>>,
    /// The value of `Date`.
    pub date: Option<ByteStr<'h>>,
}

/// Reads a reply. The body is unescaped in place.
///
/// # Errors
/// [`LinkError::InvalidReply`] when the status promises a body that is not there (2xx), or is no final answer of an
/// API (1xx, 3xx: a proxy or captive portal). An error status with an unreadable body is still a reply.
pub fn read_reply<'b>(head: Head<'_>, body: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
    let mut reply = Reply::default();
    read_reply_into(&mut reply, head, body)?;
    Ok(reply)
}

/// Reads a reply into one of the caller's, which firmware does not have to move.
///
/// # Errors
/// As [`read_reply`].
pub fn read_reply_into<'b>(reply: &mut Reply<'b>, head: Head<'_>, body: &'b mut [u8]) -> Result<(), LinkError> {
    reply.status = head.status;
    reply.date = head.date.and_then(parse_date);
    reply.retry_after = head.retry_after.and_then(|hint| parse_hint(hint.as_bytes(), reply.date));
    codec::read_body(reply, body)
}

/// A hint in seconds, or a date measured against the same reply's `Date`; absurd ones count as none.
fn parse_hint(hint: &[u8], date: Option<UnixSeconds>) -> Option<Millis> {
    let seconds = match parse_decimal(hint.trim_ascii()) {
        Some(seconds) => seconds,
        None => u32::try_from(date?.seconds_until(parse_date(hint)?)).ok()?,
    };
    codec::hint(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_up_to_a_day() {
        let date = parse_date("Thu, 01 Jan 2026 00:00:00 GMT");
        for (hint, expected) in [
            ("0", Some(0)),
            (" 3 ", Some(3)),
            ("86400", Some(86_400)),
            ("86401", None),
            ("99999999999999999999", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
            ("Thu, 01 Jan 2026 00:00:07 GMT", Some(7)),
            ("Thu, 01 Jan 2026 00:00:00 GMT", Some(0)),
            ("Wed, 31 Dec 2025 23:59:59 GMT", None),
            ("Sat, 03 Jan 2026 00:00:00 GMT", None),
        ] {
            assert_eq!(parse_hint(hint.as_bytes(), date), expected.map(Millis::from_secs), "{hint:?}");
        }
        assert_eq!(parse_hint(b"Thu, 01 Jan 2026 00:00:07 GMT", None), None, "the device's clock is never asked");
    }

    #[test]
    fn reply_that_is_not_from_the_service_is_refused() {
        let read = |status, body: &[u8; 6]| {
            read_reply(Head { status, ..Head::default() }, &mut body.clone()).map(|reply| reply.status)
        };
        assert_eq!(read(200, b"<html>"), Err(LinkError::InvalidReply));
        assert_eq!(read(302, b"{}    "), Err(LinkError::InvalidReply));
        assert_eq!(read(503, b"<html>"), Ok(503));
    }
}
