//! Which failures are worth another try. One table; waits and deadlines are elsewhere.

use crate::error::ErrorCode;

/// What a failure calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// Another try may succeed, until the deadline.
    Later,
    /// The same will fail again.
    Never,
    /// The caller has to change what it passed in.
    Reconfigure,
}

/// The code for an error status of the service.
#[inline(never)] // Inlined at its two calls, it would be in firmware twice.
pub(super) fn code_of_status(status: u16) -> ErrorCode {
    match status {
        400 => ErrorCode::BadRequest,
        401 => ErrorCode::Unauthorized,
        403 => ErrorCode::Forbidden,
        404 => ErrorCode::NotFound,
        405 => ErrorCode::MethodNotAllowed,
        408 => ErrorCode::RequestTimeout,
        409 => ErrorCode::Conflict,
        415 => ErrorCode::UnsupportedMediaType,
        429 => ErrorCode::Throttled,
        500..=599 => ErrorCode::ServiceUnavailable,
        _ => ErrorCode::UnexpectedStatus,
    }
}

/// Whether to try again; a proxy's refusal is judged by its status, 0 where that is not known.
pub(super) fn retry_of(code: ErrorCode, proxy_status: u16) -> Retry {
    let code = match (code, proxy_status) {
        // Never repeated as it is: many a proxy locks an account after a few wrong passwords.
        (ErrorCode::ProxyRefused, 403 | 407) => return Retry::Reconfigure,
        (ErrorCode::ProxyRefused, status) => code_of_status(status),
        _ => code,
    };
    match code {
        ErrorCode::Dns
        | ErrorCode::Connect
        | ErrorCode::ConnectionCut
        | ErrorCode::Timeout
        | ErrorCode::InvalidReply
        | ErrorCode::ProxyUnreachable
        | ErrorCode::RequestTimeout
        | ErrorCode::Conflict
        | ErrorCode::Throttled
        | ErrorCode::ServiceUnavailable => Retry::Later,
        ErrorCode::ReplyTooLarge
        | ErrorCode::RequestTooLarge
        | ErrorCode::UnsupportedByTransport
        | ErrorCode::RenegotiationUnsupported => Retry::Reconfigure,
        _ => Retry::Never,
    }
}
