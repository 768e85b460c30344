//! Which failures are worth another try. One table; waits and deadlines are elsewhere.

use crate::error::ErrorCode;
use crate::message::LinkError;

/// What a failure asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// Another try may succeed, until the deadline.
    Later,
    /// The same will fail again.
    Never,
    /// The caller has to change what it passed in.
    Reconfigure,
}

/// The code for an error status of the service, and whether to try again.
#[inline(never)] // Inlined at its two calls, it would be in firmware twice.
pub(super) fn of_status(status: u16) -> (ErrorCode, Retry) {
    match status {
        400 => (ErrorCode::BadRequest, Retry::Never),
        401 => (ErrorCode::Unauthorized, Retry::Never),
        403 => (ErrorCode::Forbidden, Retry::Never),
        404 => (ErrorCode::NotFound, Retry::Never),
        405 => (ErrorCode::MethodNotAllowed, Retry::Never),
        408 => (ErrorCode::RequestTimeout, Retry::Later),
        409 => (ErrorCode::Conflict, Retry::Later),
        415 => (ErrorCode::UnsupportedMediaType, Retry::Never),
        429 => (ErrorCode::Throttled, Retry::Later),
        500..=599 => (ErrorCode::ServiceUnavailable, Retry::Later),
        _ => (ErrorCode::UnexpectedStatus, Retry::Never),
    }
}

/// The code for an error of the link, and whether to try again.
pub(super) fn of_link(error: LinkError) -> (ErrorCode, Retry) {
    let retry = match error {
        LinkError::Dns
        | LinkError::Connect
        | LinkError::Cut
        | LinkError::Timeout
        | LinkError::InvalidReply
        | LinkError::ProxyUnreachable
        | LinkError::MqttRefused { code: 3 } => Retry::Later,
        LinkError::UnknownCa
        | LinkError::NameMismatch
        | LinkError::CertificateExpired
        | LinkError::Tls
        | LinkError::ProxyRefused { status: None }
        | LinkError::SubscribeRefused
        | LinkError::MqttRefused { .. } => Retry::Never,
        // Never repeated as it is: many a proxy locks an account after a few wrong passwords.
        LinkError::ProxyRefused { status: Some(403 | 407) } => Retry::Reconfigure,
        LinkError::ProxyRefused { status: Some(status) } => of_status(status).1,
        LinkError::ReplyTooLarge { .. } | LinkError::RequestTooLarge { .. } | LinkError::Unsupported => {
            Retry::Reconfigure
        }
    };
    (error.code(), retry)
}
