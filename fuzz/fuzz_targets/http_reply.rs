//! HTTP replies in a buffer that fills: the result is the same for all chunks and for each framing of the body.
#![no_main]

use dps_core::LinkError;
use dps_core::codec::http::wire::scan;
use dps_core::internal::schema::json;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    capacity: u16,
    piece: u8,
    ended: bool,
    received: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let capacity = usize::from(input.capacity).max(1);
    let received = &input.received[..input.received.len().min(capacity)];
    arrives_in_pieces(received, capacity, usize::from(input.piece));
    is_read(received, capacity, input.ended);
    let status = [200, 202, 401, 429, 503][usize::from(input.capacity) % 5];
    means_the_same_however_framed(status, input.received, usize::from(input.piece).max(1));
});

/// Later bytes do not change the result, and nothing is found beyond the bytes that arrived.
fn arrives_in_pieces(received: &[u8], capacity: usize, piece: usize) {
    let piece = piece.max(received.len() / 64).max(1);
    let mut decided = None;
    for end in (0..received.len()).step_by(piece).chain([received.len()]) {
        let found = scan(&received[..end], capacity, false);
        if let Some(before) = &decided {
            assert_eq!(&found, before, "after {end} bytes");
        } else if found != Ok(None) {
            assert!(
                found.as_ref().is_ok_and(|layout| layout.as_ref().is_some_and(|layout| layout.end <= end))
                    || found.is_err()
            );
            decided = Some(found);
        }
    }
}

fn is_read(received: &[u8], capacity: usize, ended: bool) {
    let Ok(found) = scan(received, capacity, ended) else { return };
    let Some(layout) = found else { return assert!(!ended && received.len() < capacity) };
    let mut buffer = received.to_vec();
    let Ok(reply) = layout.read(&mut buffer) else { return };
    let (status, payload) = (reply.status, reply.body.payload.clone());
    assert!(reply.retry_after.is_none_or(|hint| hint.get() <= 86_400_000));
    if let Some(payload) = payload {
        assert_eq!(json::check(&buffer[payload]), Ok(()));
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut theirs = httparse::Response::new(&mut headers);
    // An interim reply comes before the final one.
    if let Ok(httparse::Status::Complete(_)) = theirs.parse(received)
        && theirs.code.is_some_and(|code| code >= 200)
    {
        assert_eq!(theirs.code, Some(status));
    }
}

/// The framing of a body: by its length, in chunks, or up to the end of the connection.
fn means_the_same_however_framed(status: u16, body: &[u8], chunk: usize) {
    let head = format!("HTTP/1.1 {status} -\r\nRetry-After: 3\r\n");
    let by_length = [head.as_bytes(), format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat();
    let mut chunked = [head.as_bytes(), b"Transfer-Encoding: chunked\r\n\r\n"].concat();
    for data in body.chunks(chunk) {
        chunked.extend_from_slice(format!("{:X}\r\n", data.len()).as_bytes());
        chunked.extend_from_slice(data);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let to_the_end = [head.as_bytes(), b"\r\n", body].concat();
    let expected = read(&by_length);
    assert_eq!(read(&chunked), expected);
    assert_eq!(read(&to_the_end), expected);
}

/// The reply, its payload as text.
fn read(message: &[u8]) -> Result<(String, Vec<u8>), LinkError> {
    let layout = scan(message, message.len(), true)?.ok_or(LinkError::Cut)?;
    let mut buffer = message.to_vec();
    let mut reply = layout.read(&mut buffer)?;
    let payload = reply.body.payload.take();
    let shown = format!("{reply:?}");
    Ok((shown, payload.map(|range| buffer[range].to_vec()).unwrap_or_default()))
}
