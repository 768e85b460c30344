//! HTTP/1.1 around the machine: the parts of a request for firmware with an HTTP library, whole messages for one
//! without, and the reading of replies. TLS and sockets are the firmware's.

use dps_core::codec::http::{self, wire};
use dps_core::{ByteStr, ErrorCode, Instant, LinkError, Misuse, Reply, RequestId, Text};

use crate::input::{Input, input};
use crate::memory::{ascii, buffer, bytes, output, value, value_mut, write_text};
use crate::registration::{Machine, dps_registration, pending};
use crate::result::{Refused, done, dps_result};
use crate::span::{dps_buffer, dps_span};

/// The port of HTTPS.
pub const DPS_HTTPS_PORT: u16 = 443;
/// A buffer that holds any target with its NUL, when the operation id has up to 128 bytes.
pub const DPS_HTTP_TARGET_SIZE: usize = 960;
/// A buffer that holds any body with its NUL, when the configuration has no payload; else add the length of that and
/// 12.
pub const DPS_HTTP_BODY_SIZE: usize = 160;
/// A buffer that holds any whole request with its NUL, when `user_agent` has up to 64 bytes and the configuration has
/// no payload; else add the length of that and 20.
pub const DPS_HTTP_REQUEST_SIZE: usize = 2304;

/// What of a reply's head matters. Spans hold the values of headers as they came; empty without the header.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dps_http_head {
    /// `sizeof(dps_http_head)`.
    #[cfg(dps_hosted)]
    pub size: usize,
    /// The status, 100 to 599.
    pub status: u32,
    /// The value of `Retry-After`.
    pub retry_after: dps_span,
    /// The value of `Date`. From it the machine learns the time, if nobody has set it.
    pub date: dps_span,
}

// SAFETY: a number and spans, for which zero is valid.
unsafe impl Input for dps_http_head {}

/// How far a reply has come.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dps_http_progress {
    /// Whether the reply is all there, and was handed over; else read more.
    pub complete: bool,
    /// When complete: whether this connection can carry no other request.
    pub close: bool,
}

/// The method of the request that is to be sent, such as `PUT`; empty when no request is pending. A constant.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_http_method(registration: *const dps_registration) -> dps_span {
    // SAFETY: as the caller promises.
    let call = unsafe { value(registration) }.ok().and_then(|machine| machine.call());
    call.map_or(dps_span::EMPTY, |call| dps_span::from_text(http::method(&call)))
}

/// Writes the target of the request, path and query, with a NUL after it. To be sent along are `Authorization` with the
/// token of the action, if there is one, `Accept: application/json`, and with a body `Content-Type: application/json; charset=utf-8`.
///
/// Returns `DPS_ERROR_MISUSE` when no request is to be sent; `DPS_ERROR_STORAGE_TOO_SMALL`, with the size that would do
/// in `length`; `DPS_ERROR_INVALID_OBJECT`, `DPS_ERROR_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_http_write_target(
    registration: *const dps_registration,
    out: dps_buffer,
    length: *mut usize,
) -> dps_result {
    let write = || {
        // SAFETY: as the caller promises.
        unsafe {
            let request = pending(registration)?;
            write_text(out, length, |text| http::write_target(text, &request, http::DEFAULT_API_VERSION))
        }
    };
    done(write())
}

/// Writes the body of the request, with a NUL after it that `length` does not count; it is empty for `DPS_CALL_STATUS`.
///
/// Returns the same as `dps_http_write_target`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_http_write_body(
    registration: *const dps_registration,
    out: dps_buffer,
    length: *mut usize,
) -> dps_result {
    let write = || {
        // SAFETY: as the caller promises.
        unsafe {
            let request = pending(registration)?;
            write_text(out, length, |text| http::write_body(text, &request))
        }
    };
    done(write())
}

/// Writes the whole request, head and body, with a NUL after it that `length` does not count. It holds the token: wipe
/// it after sending.
///
/// Returns the same as `dps_http_write_target`; `DPS_ERROR_INVALID_ARGUMENT` also when `user_agent` cannot be the value
/// of a header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_http_write_request(
    registration: *const dps_registration,
    user_agent: dps_span,
    out: dps_buffer,
    length: *mut usize,
) -> dps_result {
    let write = || {
        // SAFETY: as the caller promises.
        let (request, user_agent) = unsafe { (pending(registration)?, ascii(user_agent, ErrorCode::InvalidArgument)?) };
        // Here and not in a function that `dps_http_write_versioned_request` shares: firmware has one of the two.
        if user_agent.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
            return Err(Refused::ARGUMENT);
        }
        let write = |text: &mut Text<'_>| wire::write_request_to(text, &request, http::DEFAULT_API_VERSION, user_agent);
        // SAFETY: as the caller promises.
        unsafe { write_text(out, length, write) }
    };
    done(write())
}

/// Passes on the reply to the request with this `id`, read by an HTTP library. `body` is changed in place; the custom
/// payload of the outcome stays in it. A reply that cannot be read counts as a failed request.
///
/// Returns `DPS_ERROR_MISUSE`, and changes nothing, when no reply is awaited with this id; `DPS_ERROR_INVALID_OBJECT`;
/// `DPS_ERROR_INVALID_ARGUMENT`, also for a status that HTTP does not have.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_handle_http(
    registration: *mut dps_registration,
    now_ms: u64,
    id: u32,
    head: *const dps_http_head,
    body: dps_buffer,
) -> dps_result {
    let handle = || {
        // SAFETY: as the caller promises.
        let (machine, head, body) = unsafe { (value_mut(registration)?, input(head)?, buffer(body)?) };
        // SAFETY: as the caller promises.
        let (retry_after, date) = unsafe { (bytes(head.retry_after)?, bytes(head.date)?) };
        let value = |bytes| Some(ByteStr::new(bytes)).filter(|value| !value.is_empty());
        let status = u16::try_from(head.status).ok().filter(|status| (100..600).contains(status));
        let status = status.ok_or(Refused::ARGUMENT)?;
        let head = http::Head { status, retry_after: value(retry_after), date: value(date) };
        awaited(machine, id)?;
        let mut reply = Reply::default();
        let read = http::read_reply_into(&mut reply, head, body);
        Ok(hand_over(machine, now_ms, RequestId::new(id), read, &reply)?)
    };
    done(handle())
}

/// Passes on what was received so far of the reply to the request with this `id`: `received` bytes at the start of
/// `buffer`. `ended` means that the server has closed the connection and nothing more will come. While
/// `progress->complete` is false, read more after those bytes and call again; then the reply was read, or the reason
/// why it cannot be. `buffer` is changed then; the custom payload of the outcome stays in it.
///
/// Returns `DPS_ERROR_MISUSE`, and changes nothing, when no reply is awaited with this id; `DPS_ERROR_INVALID_OBJECT`;
/// `DPS_ERROR_INVALID_ARGUMENT`, also when `received` is more than the buffer has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_registration_receive_http(
    registration: *mut dps_registration,
    now_ms: u64,
    id: u32,
    buffer: dps_buffer,
    received: usize,
    ended: bool,
    progress: *mut dps_http_progress,
) -> dps_result {
    let receive = || {
        // SAFETY: as the caller promises.
        let (machine, buffer, progress) =
            unsafe { (value_mut(registration)?, crate::memory::buffer(buffer)?, output(progress)?) };
        awaited(machine, id)?;
        let capacity = buffer.len();
        let bytes = buffer.get_mut(..received).ok_or(Refused::ARGUMENT)?;
        let mut reply = Reply::default();
        let (close, read) = match wire::scan(bytes, capacity, ended) {
            Ok(None) => {
                progress.write(dps_http_progress { complete: false, close: false });
                return Ok(());
            }
            Ok(Some(layout)) => (layout.close, layout.read_into(&mut reply, bytes)),
            Err(error) => (true, Err(error)),
        };
        progress.write(dps_http_progress { complete: true, close: close || read.is_err() });
        Ok(hand_over(machine, now_ms, RequestId::new(id), read, &reply)?)
    };
    done(receive())
}

/// Whether the reply to this request is awaited: nothing is read, or unescaped in its place, otherwise.
fn awaited(machine: &Machine, id: u32) -> Result<(), Misuse> {
    machine.awaited().filter(|awaited| awaited.get() == id).map(|_| ()).ok_or(Misuse)
}

/// Passes on a reply that a codec has read, or the reason why it could not.
fn hand_over(
    machine: &mut Machine,
    now_ms: u64,
    id: RequestId,
    read: Result<(), LinkError>,
    reply: &Reply<'_>,
) -> Result<(), Misuse> {
    let now = Instant::from_millis(now_ms);
    match read {
        Ok(()) => machine.handle_reply(now, id, reply),
        Err(error) => {
            // The errors that a codec has; by their codes, without the table for those of every link.
            let (code, needed) = match error {
                LinkError::ReplyTooLarge { needed } => (ErrorCode::ReplyTooLarge, needed.unwrap_or(0)),
                LinkError::Cut => (ErrorCode::ConnectionCut, 0),
                _ => (ErrorCode::InvalidReply, 0),
            };
            machine.handle_link_error_code(now, id, code, needed)
        }
    }
}
