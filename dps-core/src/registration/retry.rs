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
    /// The caller can mend it.
    Reconfigure,
}

/// The code for an error status of the service, and whether to try again.
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
    match error {
        LinkError::Dns => (ErrorCode::Dns, Retry::Later),
        LinkError::Connect => (ErrorCode::Connect, Retry::Later),
        LinkError::Cut => (ErrorCode::ConnectionCut, Retry::Later),
        LinkError::Timeout => (ErrorCode::Timeout, Retry::Later),
        LinkError::InvalidReply => (ErrorCode::InvalidReply, Retry::Later),
        LinkError::ProxyUnreachable => (ErrorCode::ProxyUnreachable, Retry::Later),
        LinkError::UnknownCa => (ErrorCode::UnknownCa, Retry::Never),
        LinkError::NameMismatch => (ErrorCode::NameMismatch, Retry::Never),
        LinkError::CertificateExpired => (ErrorCode::CertificateExpired, Retry::Never),
        LinkError::Tls => (ErrorCode::Tls, Retry::Never),
        LinkError::ProxyRefused { .. } => (ErrorCode::ProxyRefused, Retry::Never),
        LinkError::SubscribeRefused => (ErrorCode::SubscribeRefused, Retry::Never),
        LinkError::MqttRefused { code: 3 } => (ErrorCode::ServiceUnavailable, Retry::Later),
        LinkError::MqttRefused { code: 4 | 5 } => (ErrorCode::Unauthorized, Retry::Never),
        LinkError::MqttRefused { .. } => (ErrorCode::MqttRefused, Retry::Never),
        LinkError::ReplyTooLarge { .. } => (ErrorCode::ReplyTooLarge, Retry::Reconfigure),
        LinkError::RequestTooLarge { .. } => (ErrorCode::RequestTooLarge, Retry::Reconfigure),
        LinkError::Unsupported => (ErrorCode::UnsupportedByTransport, Retry::Reconfigure),
    }
}
