//! How requests and replies look on the wire; one codec a transport. Bytes in, bytes out: no sockets.

pub mod http;
pub mod mqtt;

use crate::message::{Body, LinkError, Reply};
use crate::schema;
use crate::time::{Millis, UnixSeconds};

/// A longer hint counts as none.
const HINT_MAX_SECONDS: u32 = 86_400;

/// A reply from its parts, the same over every transport. The body is unescaped where it stands.
fn read_reply(
    status: u16,
    retry_after: Option<Millis>,
    date: Option<UnixSeconds>,
    body: &mut [u8],
) -> Result<Reply<'_>, LinkError> {
    let body = match (status, schema::read_body(body)) {
        (200..=299, Ok(body)) | (400..=599, Ok(body)) => body,
        (400..=599, Err(_)) => Body::default(),
        _ => return Err(LinkError::InvalidReply),
    };
    Ok(Reply { status, retry_after, date, body })
}

/// A hint of so many seconds, unless it is absurd.
fn hint(seconds: u32) -> Option<Millis> {
    (seconds <= HINT_MAX_SECONDS).then(|| Millis::from_secs(seconds))
}
