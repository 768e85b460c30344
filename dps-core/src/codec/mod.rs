//! How requests and replies look on the wire; one codec a transport. Bytes in, bytes out: no sockets.

pub mod http;
pub mod mqtt;

use crate::message::{LinkError, Reply};
use crate::schema;
use crate::time::Millis;

/// The API version for a registration with a certificate request ([`WithCertificateRequest`](crate::WithCertificateRequest)):
/// the first final one that has it, over every transport.
pub const ISSUANCE_API_VERSION: &str = "2026-11-01";
/// The API version by which the service reports the hub's protocol ([`ConnectionProfile`](crate::ConnectionProfile)), over every
/// transport: the first one that does, a preview, which accepts certificate requests too. Asked for only by a caller who names
/// it.
pub const PROFILE_API_VERSION: &str = "2026-11-02-preview";

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
