//! How requests and replies look on the wire; one codec a transport. Bytes in, bytes out: no sockets.

pub mod http;
pub mod mqtt;

use crate::message::{LinkError, Reply};
use crate::schema;
use crate::time::Millis;

/// A longer hint is ignored.
const HINT_MAX_SECONDS: u32 = 86_400;

/// Reads the body of a reply whose head was read, the same over every transport. It is unescaped in place.
fn read_body<'b>(reply: &mut Reply<'b>, body: &'b mut [u8]) -> Result<(), LinkError> {
    check_body(reply.status, schema::read_body(body, &mut reply.body).is_ok())
}

/// Whether a reply with this status can be used: one that promises a body has to have one that can be read.
///
/// # Errors
/// [`LinkError::InvalidReply`].
#[doc(hidden)]
pub fn check_body(status: u16, is_read: bool) -> Result<(), LinkError> {
    match status {
        200..=299 if is_read => Ok(()),
        400..=599 => Ok(()),
        _ => Err(LinkError::InvalidReply),
    }
}

/// A hint of so many seconds, unless it is absurd.
fn hint(seconds: u32) -> Option<Millis> {
    (seconds <= HINT_MAX_SECONDS).then(|| Millis::from_secs(seconds))
}
