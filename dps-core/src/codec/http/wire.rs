//! Whole HTTP/1.1 messages (RFC 9112) for programs without an HTTP library: a request into a buffer, a reply out of
//! one as it fills. Bytes only; TLS and sockets are the caller's.

use core::ops::Range;

use crate::codec::http::{self, Head};
use crate::message::{LinkError, Reply, Request};
use crate::text::{Text, TooSmall, parse_decimal};

/// Writes a request, head and body, and gives its length. The bytes hold a token: wipe them after sending.
///
/// # Errors
/// [`TooSmall`] with the size that would do.
pub fn write_request(
    request: &Request<'_>,
    api_version: &str,
    user_agent: &str,
    out: &mut [u8],
) -> Result<usize, TooSmall> {
    let mut text = Text::new(out);
    write_request_to(&mut text, request, api_version, user_agent);
    text.finish_len()
}

/// Writes the same into text of the caller's.
pub fn write_request_to(text: &mut Text<'_>, request: &Request<'_>, api_version: &str, user_agent: &str) {
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

/// Where the parts of a complete reply stand in the buffer it was read into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    status: u16,
    retry_after: Range<usize>,
    date: Range<usize>,
    body: Range<usize>,
    chunked: bool,
    /// The first byte after the reply.
    pub end: usize,
    /// Whether the server closes the connection after this reply.
    pub close: bool,
}

/// Looks for a complete reply at the start of `received`. `capacity` is the size of the buffer that it stands in;
/// `ended` says that the server has closed the connection and nothing more will come.
///
/// `Ok(None)` asks for more bytes.
///
/// # Errors
/// [`LinkError::InvalidReply`] when it is no HTTP/1.x reply, [`LinkError::Cut`] when it ended too early,
/// [`LinkError::ReplyTooLarge`] when it cannot fit `capacity`.
pub fn scan(received: &[u8], capacity: usize, ended: bool) -> Result<Option<Layout>, LinkError> {
    match scan_reply(received)? {
        Scan::Complete(layout) => Ok(Some(layout)),
        Scan::UntilClose(layout) if ended => Ok(Some(layout)),
        Scan::NeedsMore(Some(needed)) if needed > capacity => Err(LinkError::ReplyTooLarge { needed: Some(needed) }),
        _ if ended => Err(LinkError::Cut),
        _ if received.len() >= capacity => Err(LinkError::ReplyTooLarge { needed: None }),
        _ => Ok(None),
    }
}

impl Layout {
    /// Reads the reply from the buffer that was scanned; the body is put together and unescaped where it stands.
    ///
    /// # Errors
    /// As [`http::read_reply`].
    pub fn read<'b>(&self, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        let body_end = if self.chunked { join_chunks(buffer, &self.body) } else { self.body.end };
        let (front, rest) = buffer.split_at_mut_checked(self.body.start).ok_or(LinkError::InvalidReply)?;
        let body = rest.get_mut(..body_end.saturating_sub(self.body.start)).ok_or(LinkError::InvalidReply)?;
        let value = |range: &Range<usize>| {
            let bytes = front.get(range.clone()).filter(|bytes| !bytes.is_empty());
            bytes.and_then(|bytes| core::str::from_utf8(bytes).ok())
        };
        let head = Head { status: self.status, retry_after: value(&self.retry_after), date: value(&self.date) };
        let mut reply = http::read_reply(head, body)?;
        // The payload's place is told from the start of the whole buffer.
        if let Some(payload) = &mut reply.body.payload {
            let offset = self.body.start;
            *payload = payload.start.saturating_add(offset)..payload.end.saturating_add(offset);
        }
        Ok(reply)
    }
}

enum Scan {
    Complete(Layout),
    /// The body ends with the connection.
    UntilClose(Layout),
    /// With the whole reply's size in bytes where it is known.
    NeedsMore(Option<usize>),
}

fn scan_reply(received: &[u8]) -> Result<Scan, LinkError> {
    let mut lines = Lines { bytes: received, at: 0 };
    let Some(first) = lines.next() else { return Ok(Scan::NeedsMore(None)) };
    let (status, http_1_0) = status_line(received.get(first).unwrap_or(&[])).ok_or(LinkError::InvalidReply)?;
    let mut layout =
        Layout { status, retry_after: 0..0, date: 0..0, body: 0..0, chunked: false, end: 0, close: http_1_0 };
    let mut length = None;
    loop {
        let Some(line) = lines.next() else { return Ok(Scan::NeedsMore(None)) };
        if line.is_empty() {
            break;
        }
        header(received, line, &mut layout, &mut length)?;
    }
    let body_start = lines.at;
    layout.body = body_start..body_start;
    layout.end = body_start;
    if status < 200 {
        return after_interim(received, body_start);
    }
    if layout.chunked {
        return Ok(match chunks_end(received, body_start)? {
            Some(end) => complete(layout, end),
            None => Scan::NeedsMore(None),
        });
    }
    if status == 204 || status == 304 {
        return Ok(Scan::Complete(layout));
    }
    let Some(length) = length else {
        layout.close = true;
        layout.body.end = received.len();
        layout.end = received.len();
        return Ok(Scan::UntilClose(layout));
    };
    let end = body_start.checked_add(length).ok_or(LinkError::ReplyTooLarge { needed: None })?;
    Ok(if received.len() >= end { complete(layout, end) } else { Scan::NeedsMore(Some(end)) })
}

fn complete(mut layout: Layout, end: usize) -> Scan {
    layout.body.end = end;
    layout.end = end;
    Scan::Complete(layout)
}

/// An interim reply such as `100 Continue` announces the real one behind it.
fn after_interim(received: &[u8], start: usize) -> Result<Scan, LinkError> {
    let rest = received.get(start..).unwrap_or(&[]);
    // One is answered by none of the requests sent here; a second is nobody's.
    if rest.starts_with(b"HTTP/1.") && rest.get(9) == Some(&b'1') {
        return Err(LinkError::InvalidReply);
    }
    let moved = |range: &mut Range<usize>| *range = range.start.saturating_add(start)..range.end.saturating_add(start);
    let shift = |mut layout: Layout| {
        for range in [&mut layout.retry_after, &mut layout.date, &mut layout.body] {
            moved(range);
        }
        layout.end = layout.end.saturating_add(start);
        layout
    };
    Ok(match scan_reply(rest)? {
        Scan::Complete(layout) => Scan::Complete(shift(layout)),
        Scan::UntilClose(layout) => Scan::UntilClose(shift(layout)),
        Scan::NeedsMore(needed) => Scan::NeedsMore(needed.map(|needed| needed.saturating_add(start))),
    })
}

fn status_line(line: &[u8]) -> Option<(u16, bool)> {
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor, b' ', rest @ ..] = line else { return None };
    let status = match rest {
        [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9']
        | [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', ..] => [a, b, c]
            .into_iter()
            .fold(0, |status: u16, digit| status.wrapping_mul(10).wrapping_add(u16::from(digit & 15))),
        _ => return None,
    };
    Some((status, *minor == b'0'))
}

fn header(
    received: &[u8],
    line: Range<usize>,
    layout: &mut Layout,
    length: &mut Option<usize>,
) -> Result<(), LinkError> {
    let bytes = received.get(line.clone()).unwrap_or(&[]);
    let colon = bytes.iter().position(|byte| *byte == b':').ok_or(LinkError::InvalidReply)?;
    let (name, rest) = bytes.split_at_checked(colon).ok_or(LinkError::InvalidReply)?;
    let value = rest.get(1..).unwrap_or(&[]);
    let start = line.end.saturating_sub(value.len());
    if name.eq_ignore_ascii_case(b"content-length") {
        let parsed = parse_decimal(value.trim_ascii()).ok_or(LinkError::InvalidReply)? as usize;
        if length.is_some_and(|earlier| earlier != parsed) {
            return Err(LinkError::InvalidReply);
        }
        *length = Some(parsed);
    } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
        if !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            return Err(LinkError::InvalidReply);
        }
        layout.chunked = true;
    } else if name.eq_ignore_ascii_case(b"retry-after") {
        layout.retry_after = start..line.end;
    } else if name.eq_ignore_ascii_case(b"date") {
        layout.date = start..line.end;
    } else if name.eq_ignore_ascii_case(b"connection") {
        layout.close |= value.trim_ascii().eq_ignore_ascii_case(b"close");
    }
    Ok(())
}

/// Goes from line to line; each ends with LF, and a CR before it does not count.
struct Lines<'r> {
    bytes: &'r [u8],
    at: usize,
}

impl Lines<'_> {
    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        let length = self.bytes.get(start..)?.iter().position(|byte| *byte == b'\n')?;
        let end = start.saturating_add(length);
        self.at = end.saturating_add(1);
        let carriage_return = end > start && self.bytes.get(end.saturating_sub(1)) == Some(&b'\r');
        Some(start..if carriage_return { end.saturating_sub(1) } else { end })
    }
}

/// One chunk of a chunked body, or the end of it.
enum Chunk {
    Data(Range<usize>),
    End,
}

impl Lines<'_> {
    /// The next chunk (RFC 9112, section 7.1); `Ok(None)` when it is not all there.
    fn chunk(&mut self) -> Result<Option<Chunk>, LinkError> {
        let Some(line) = self.next() else { return Ok(None) };
        let size = chunk_size(self.bytes.get(line).unwrap_or(&[])).ok_or(LinkError::InvalidReply)?;
        if size == 0 {
            // Trailer lines, then an empty one.
            loop {
                match self.next() {
                    None => return Ok(None),
                    Some(line) if line.is_empty() => return Ok(Some(Chunk::End)),
                    Some(_) => {}
                }
            }
        }
        let data = self.at..self.at.checked_add(size).ok_or(LinkError::ReplyTooLarge { needed: None })?;
        if self.bytes.len() < data.end {
            return Ok(None);
        }
        self.at = data.end;
        match self.next() {
            None => Ok(None),
            Some(rest) if rest.is_empty() => Ok(Some(Chunk::Data(data))),
            Some(_) => Err(LinkError::InvalidReply),
        }
    }
}

fn chunk_size(line: &[u8]) -> Option<usize> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let extension = line.get(digits..).unwrap_or(&[]).trim_ascii();
    if digits == 0 || digits > 7 || !(extension.is_empty() || extension.starts_with(b";")) {
        return None;
    }
    line.get(..digits)?.iter().try_fold(0, |size: usize, digit| {
        (*digit as char).to_digit(16).map(|value| size.wrapping_mul(16).wrapping_add(value as usize))
    })
}

/// The first byte after a complete chunked body.
fn chunks_end(received: &[u8], start: usize) -> Result<Option<usize>, LinkError> {
    let mut lines = Lines { bytes: received, at: start };
    loop {
        match lines.chunk()? {
            Some(Chunk::Data(_)) => {}
            Some(Chunk::End) => return Ok(Some(lines.at)),
            None => return Ok(None),
        }
    }
}

/// Moves the chunks' data together at the start of `body` and gives its end.
fn join_chunks(buffer: &mut [u8], body: &Range<usize>) -> usize {
    let (mut from, mut to) = (body.start, body.start);
    loop {
        let mut lines = Lines { bytes: buffer.get(..body.end).unwrap_or(&[]), at: from };
        let Ok(Some(Chunk::Data(data))) = lines.chunk() else { return to };
        from = lines.at;
        for at in data {
            if let (Some(byte), true) = (buffer.get(at).copied(), to <= at)
                && let Some(slot) = buffer.get_mut(to)
            {
                *slot = byte;
            }
            to = to.saturating_add(1);
        }
    }
}
