//! Whole HTTP/1.1 messages (RFC 9112) for programs without an HTTP library: a request into a buffer, a reply out of
//! one as it fills. Bytes only; TLS and sockets are the caller's.

use core::ops::Range;

use crate::codec::http::{self, Head};
use crate::message::{LinkError, Reply, Request};
use crate::text::{ByteStr, Text, TooSmall, parse_decimal};

/// Writes a request, head and body, and returns its length. The bytes hold a token: wipe them after sending.
///
/// The body is that of [`write_body`](super::write_body), which lacks the keys that a lookup with a TPM has
/// ([`Call::LookupWithMembers`](crate::Call::LookupWithMembers)): such a lookup is sent by an HTTP library, with the body of
/// [`write_body_with_members`](super::write_body_with_members).
///
/// # Errors
/// [`TooSmall`] with the size that would do.
pub fn write_request(
    request: &Request<'_>,
    api_version: impl AsRef<[u8]>,
    user_agent: &str,
    out: &mut [u8],
) -> Result<usize, TooSmall> {
    let mut text = Text::new(out);
    write_request_to(&mut text, request, api_version, user_agent);
    text.finish_len()
}

/// Writes the same into text of the caller's.
pub fn write_request_to(text: &mut Text<'_>, request: &Request<'_>, api_version: impl AsRef<[u8]>, user_agent: &str) {
    let mut body = Text::new(&mut []);
    http::write_body(&mut body, request);
    let body_length = body.len();

    text.push(http::method(&request.call));
    text.push_byte(b' ');
    http::write_target(text, request, api_version);
    text.push(" HTTP/1.1\r\nHost: ");
    request.identity.endpoint.write(text);
    text.push("\r\nUser-Agent: ");
    text.push(user_agent);
    text.push("\r\nAccept: application/json\r\n");
    if let Some(authorization) = request.authorization {
        text.push("Authorization: ");
        text.push(authorization.token);
        text.push("\r\n");
    }
    if body_length > 0 {
        text.push("Content-Type: application/json; charset=utf-8\r\nContent-Length: ");
        text.push_decimal(body_length as u64);
        text.push("\r\n");
    }
    text.push("\r\n");
    http::write_body(text, request);
}

/// Where the parts of a reply are in the buffer that it was read into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    status: u16,
    chunked: bool,
    /// Whether the server closes the connection after this reply.
    pub close: bool,
    /// The first byte after the reply.
    pub end: usize,
    retry_after: Range<usize>,
    date: Range<usize>,
    body: Range<usize>,
}

/// Looks for a complete reply at the start of `received`. `capacity` is the size of the buffer that it is in;
/// `ended` says that the server has closed the connection and nothing more will come.
///
/// `Ok(None)` asks for more bytes.
///
/// # Errors
/// [`LinkError::InvalidReply`] when it is not an HTTP/1.x reply, [`LinkError::Cut`] when it ended too early,
/// [`LinkError::ReplyTooLarge`] when it cannot fit `capacity`.
pub fn scan(received: &[u8], capacity: usize, ended: bool) -> Result<Option<Layout>, LinkError> {
    let mut layout = Layout::default();
    let needed = match layout.scan(&mut Lines::new(received, 0)) {
        Scan::Complete => return Ok(Some(layout)),
        Scan::UntilClose if ended => return Ok(Some(layout)),
        Scan::Invalid => return Err(LinkError::InvalidReply),
        Scan::Partial if layout.end > capacity => Some(layout.end),
        _ if ended => return Err(LinkError::Cut),
        _ if received.len() >= capacity => None,
        _ => return Ok(None),
    };
    Err(LinkError::ReplyTooLarge { needed })
}

impl Layout {
    /// Reads the reply from the buffer that was scanned; the body is joined and unescaped in place.
    ///
    /// # Errors
    /// As [`http::read_reply`].
    pub fn read<'b>(&self, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        let mut reply = Reply::default();
        self.read_into(&mut reply, buffer)?;
        Ok(reply)
    }

    /// Reads the reply into one of the caller's, which firmware does not have to move.
    ///
    /// # Errors
    /// As [`http::read_reply`].
    pub fn read_into<'b>(&self, reply: &mut Reply<'b>, buffer: &'b mut [u8]) -> Result<(), LinkError> {
        let start = self.body.start;
        let body_end = if self.chunked { join_chunks(buffer, &self.body) } else { self.body.end };
        let (front, rest) = buffer.split_at_mut_checked(start).ok_or(LinkError::InvalidReply)?;
        let body = rest.get_mut(..body_end.wrapping_sub(start)).ok_or(LinkError::InvalidReply)?;
        let value = |range: &Range<usize>| front.get(range.clone()).filter(|value| !value.is_empty()).map(ByteStr::new);
        let head = Head { status: self.status, retry_after: value(&self.retry_after), date: value(&self.date) };
        http::read_reply_into(reply, head, body)?;
        // Places count from the start of the whole buffer.
        reply.body.json.start = start;
        if let Some(payload) = &mut reply.body.payload {
            *payload = payload.start.wrapping_add(start)..payload.end.wrapping_add(start);
        }
        Ok(())
    }

    /// Finds the parts of the reply that begins at the first line.
    fn scan(&mut self, lines: &mut Lines<'_>) -> Scan {
        // An interim reply, such as `100 Continue`, comes before the one that counts. A second answers no request of ours.
        for _ in 0..2 {
            *self = Self::default();
            let mut length = None;
            if !lines.next() {
                return Scan::Partial;
            }
            if !self.status_line(lines.line()) {
                return Scan::Invalid;
            }
            loop {
                if !lines.next() {
                    return Scan::Partial;
                }
                if lines.line().is_empty() {
                    break;
                }
                if !self.header(lines, &mut length) {
                    return Scan::Invalid;
                }
            }
            if self.status >= 200 {
                return self.scan_body(lines, length);
            }
        }
        Scan::Invalid
    }

    fn status_line(&mut self, line: &[u8]) -> bool {
        let Some([minor, b' ', a, b, c, rest @ ..]) = line.strip_prefix(b"HTTP/1.") else { return false };
        let status = parse_decimal(&[*a, *b, *c]).filter(|status| (100..600).contains(status));
        self.status = status.unwrap_or(0) as u16;
        self.close = *minor == b'0';
        status.is_some() && matches!(rest, [] | [b' ', ..])
    }

    /// Keeps what matters of a header; `false` when it is not one, or contradicts another.
    fn header(&mut self, lines: &Lines<'_>, length: &mut Option<u32>) -> bool {
        let line = lines.line();
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return false };
        let (name, value) = line.split_at_checked(colon).unwrap_or((line, &[]));
        let value = value.get(1..).unwrap_or(&[]);
        let range = lines.end.wrapping_sub(value.len())..lines.end;
        let value = value.trim_ascii();
        let is = |expected: &[u8]| name.eq_ignore_ascii_case(expected);
        if is(b"content-length") {
            let parsed = parse_decimal(value);
            let is_same = length.is_none() || *length == parsed;
            *length = parsed;
            return parsed.is_some() && is_same;
        }
        if is(b"transfer-encoding") {
            self.chunked = value.eq_ignore_ascii_case(b"chunked");
            return self.chunked;
        }
        if is(b"retry-after") {
            self.retry_after = range;
        } else if is(b"date") {
            self.date = range;
        } else if is(b"connection") {
            self.close |= value.eq_ignore_ascii_case(b"close");
        }
        true
    }

    fn scan_body(&mut self, lines: &mut Lines<'_>, length: Option<u32>) -> Scan {
        let (start, received) = (lines.at, lines.bytes.len());
        let (scan, end) = if self.chunked {
            (lines.chunks(), lines.at)
        } else if matches!(self.status, 204 | 304) {
            (Scan::Complete, start)
        } else if let Some(length) = length {
            let end = start.saturating_add(length as usize);
            (if received >= end { Scan::Complete } else { Scan::Partial }, end)
        } else {
            self.close = true;
            (Scan::UntilClose, received)
        };
        self.body = start..end;
        self.end = end;
        scan
    }
}

/// How much of a reply has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scan {
    Complete,
    /// All of it, if the connection ends here.
    UntilClose,
    /// Some of it. `end` is that of the whole reply where it is known.
    Partial,
    Invalid,
}

/// How much of a chunk has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chunk {
    /// All of it. The line is its data.
    Data,
    /// All of the last one, which has no data.
    Last,
    Partial,
    Invalid,
}

/// Goes from line to line; each ends with LF, and a CR before it does not count.
struct Lines<'r> {
    bytes: &'r [u8],
    /// The first byte after the line.
    at: usize,
    start: usize,
    end: usize,
}

impl<'r> Lines<'r> {
    /// The lines from `at` on.
    fn new(bytes: &'r [u8], at: usize) -> Self {
        Self { bytes, at, start: at, end: at }
    }

    fn line(&self) -> &'r [u8] {
        self.bytes.get(self.start..self.end).unwrap_or(&[])
    }

    /// Goes to the next line; `false` when it is not all there.
    fn next(&mut self) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let Some(length) = rest.iter().position(|byte| *byte == b'\n') else { return false };
        self.start = self.at;
        self.end = self.at.wrapping_add(length);
        self.at = self.end.wrapping_add(1);
        if self.line().ends_with(b"\r") {
            self.end = self.end.wrapping_sub(1);
        }
        true
    }

    /// Goes to the end of a chunked body (RFC 9112, section 7.1).
    fn chunks(&mut self) -> Scan {
        loop {
            match self.chunk() {
                Chunk::Data => {}
                Chunk::Last => return Scan::Complete,
                Chunk::Partial => return Scan::Partial,
                Chunk::Invalid => return Scan::Invalid,
            }
        }
    }

    /// Goes to the next chunk, and over the trailer after the last.
    fn chunk(&mut self) -> Chunk {
        if !self.next() {
            return Chunk::Partial;
        }
        let Some(size) = chunk_size(self.line()) else { return Chunk::Invalid };
        if size == 0 {
            while self.next() {
                if self.line().is_empty() {
                    return Chunk::Last;
                }
            }
            return Chunk::Partial;
        }
        let start = self.at;
        let end = start.saturating_add(size);
        if end > self.bytes.len() {
            return Chunk::Partial;
        }
        self.at = end;
        if !self.next() {
            return Chunk::Partial;
        }
        if !self.line().is_empty() {
            return Chunk::Invalid;
        }
        (self.start, self.end) = (start, end);
        Chunk::Data
    }
}

fn chunk_size(line: &[u8]) -> Option<usize> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, extension) = line.split_at_checked(digits)?;
    let extension = extension.trim_ascii();
    if !(1..=7).contains(&digits.len()) || !(extension.is_empty() || extension.starts_with(b";")) {
        return None;
    }
    Some(digits.iter().fold(0, |size, digit| (size << 4) | (*digit as char).to_digit(16).unwrap_or(0) as usize))
}

/// Moves the chunks' data together at the start of `body` and returns its end.
fn join_chunks(buffer: &mut [u8], body: &Range<usize>) -> usize {
    let (mut from, mut to) = (body.start, body.start);
    loop {
        let mut lines = Lines::new(buffer.get(..body.end).unwrap_or(&[]), from);
        if lines.chunk() != Chunk::Data {
            return to;
        }
        let data = lines.start..lines.end;
        from = lines.at;
        for at in data {
            if let (Some(byte), true) = (buffer.get(at).copied(), to <= at)
                && let Some(slot) = buffer.get_mut(to)
            {
                *slot = byte;
            }
            to = to.wrapping_add(1);
        }
    }
}
