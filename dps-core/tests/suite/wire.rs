//! Whole HTTP messages as bytes: what is written, and replies that come in pieces, chunked, broken or too large.

use crate::common::{at, identity};
use dps_core::codec::http::wire::{scan, write_request};
use dps_core::codec::http::{self, DEFAULT_API_VERSION};
use dps_core::{
    Authorization, ByteStr, Call, Endpoint, LinkError, Payload, RegistrationId, Reply, Request, RequestId, Status,
};
use proptest::prelude::*;

fn request(call: Call<'static>) -> Request<'static> {
    Request::new(RequestId::new(1), call, identity(), Some(Authorization::new("SharedAccessSignature x", 1)), at(0))
}

fn written(request: &Request<'_>) -> String {
    let mut out = [0; 1024];
    let length = write_request(request, DEFAULT_API_VERSION, "dps/0", &mut out).unwrap();
    String::from_utf8(out[..length].to_vec()).unwrap()
}

#[test]
fn requests_are_written_as_the_service_expects_them() {
    let register = Call::register(Some(Payload::new("{\"model\":7}").unwrap()));
    assert_eq!(
        written(&request(register)),
        "PUT /0ne00A1B2C3/registrations/dev-01/register?api-version=2021-06-01 HTTP/1.1\r\n\
         Host: dps.test\r\nUser-Agent: dps/0\r\nAccept: application/json\r\n\
         Authorization: SharedAccessSignature x\r\n\
         Content-Type: application/json; charset=utf-8\r\nContent-Length: 49\r\n\r\n\
         {\"registrationId\":\"dev-01\",\"payload\":{\"model\":7}}"
    );
    let mut status = request(Call::Status { operation_id: "5.a/b c".into() });
    status.identity.endpoint = Endpoint::new("[::1]:8443").unwrap();
    status.identity.registration_id = RegistrationId::new("dev_1.a:b-c").unwrap();
    assert_eq!(
        written(&status),
        "GET /0ne00A1B2C3/registrations/dev_1.a%3Ab-c/operations/5.a%2Fb%20c?api-version=2021-06-01 HTTP/1.1\r\n\
         Host: [::1]:8443\r\nUser-Agent: dps/0\r\nAccept: application/json\r\n\
         Authorization: SharedAccessSignature x\r\n\r\n"
    );
    assert!(written(&request(Call::Lookup)).starts_with("POST /0ne00A1B2C3/registrations/dev-01?api-version="));
}

#[test]
fn request_that_does_not_fit_returns_the_needed_size() {
    let register = request(Call::register(None));
    let needed = written(&register).len();
    let mut out = vec![0; needed - 1];
    assert_eq!(write_request(&register, DEFAULT_API_VERSION, "dps/0", &mut out).unwrap_err().needed, needed);
    assert_eq!(write_request(&register, DEFAULT_API_VERSION, "dps/0", &mut vec![0; needed]).unwrap(), needed);
}

const BODY: &str = "{\"operationId\":\"5.op.1\",\"status\":\"assigned\",\"registrationState\":{\"registrationId\":\"dev-01\",\
    \"assignedHub\":\"hub\\u002da.test\",\"deviceId\":\"dev-01\",\"status\":\"assigned\",\"payload\":{\"a\":\"\\u0041\"}}}";

fn plain() -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nretry-after: 3\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    )
    .into_bytes()
}

fn chunked() -> Vec<u8> {
    let mut reply = b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nRetry-After: 3\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for piece in BODY.as_bytes().chunks(7) {
        reply.extend_from_slice(format!("{:x};why=not\r\n", piece.len()).as_bytes());
        reply.extend_from_slice(piece);
        reply.extend_from_slice(b"\r\n");
    }
    reply.extend_from_slice(b"0\r\nTrailer: x\r\n\r\n");
    reply
}

/// Reads what is complete; the reply and the payload's text.
fn read(bytes: &[u8], ended: bool) -> Result<Option<(Reply<'static>, String)>, LinkError> {
    let Some(layout) = scan(bytes, 4096, ended)? else { return Ok(None) };
    let buffer = Box::leak(bytes.to_vec().into_boxed_slice());
    let reply = layout.read(buffer)?;
    let payload = reply.body.payload.clone();
    // Scan again: the buffer is borrowed by the reply, and a leaked copy does for a test.
    let mut copy = bytes.to_vec();
    layout.read(&mut copy)?;
    let payload = payload.map(|range| String::from_utf8(copy[range].to_vec()).unwrap()).unwrap_or_default();
    Ok(Some((reply, payload)))
}

fn assert_whole(bytes: &[u8], ended: bool) {
    let (reply, payload) = read(bytes, ended).unwrap().unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.date.unwrap().get(), 1_767_225_600);
    assert_eq!(reply.body.status, Some(Status::Assigned));
    assert_eq!(reply.body.assigned_hub, Some("hub-a.test".into()));
    assert_eq!(payload, "{\"a\":\"\\u0041\"}", "the payload stays as it was sent");
}

#[test]
fn reply_is_read_only_when_complete() {
    for whole in [plain(), chunked(), [b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), plain()].concat()] {
        for end in 0..whole.len() {
            assert!(read(&whole[..end], false).unwrap().is_none(), "taken after {end} of {} bytes", whole.len());
            assert_eq!(read(&whole[..end], true).unwrap_err(), LinkError::Cut);
        }
        assert_whole(&whole, false);
        let two = [whole.clone(), whole.clone()].concat();
        assert_eq!(scan(&two, 4096, false).unwrap().unwrap().end, whole.len());
    }
}

#[test]
fn reply_without_content_length_ends_with_the_connection() {
    let until_close = format!("HTTP/1.1 200 OK\nDate: Thu, 01 Jan 2026 00:00:00 GMT\n\n{BODY}").into_bytes();
    assert!(read(&until_close, false).unwrap().is_none());
    assert_whole(&until_close, true);
    assert!(scan(&until_close, 4096, true).unwrap().unwrap().close);
}

#[test]
fn reply_with_status_that_has_no_body_ends_with_its_head() {
    for status in ["204 No Content", "304 Not Modified"] {
        let head = format!("HTTP/1.1 {status}\r\n\r\n");
        assert_eq!(scan(head.as_bytes(), 4096, false).unwrap().map(|layout| layout.end), Some(head.len()), "{status}");
    }
}

#[test]
fn connection_close_follows_http_version_and_header() {
    let closes = |version: &str, connection: &str| {
        let reply = format!("HTTP/1.{version} 200 OK\r\n{connection}Content-Length: 2\r\n\r\n{{}}");
        scan(reply.as_bytes(), 4096, false).unwrap().unwrap().close
    };
    assert!(!closes("1", "") && closes("0", ""));
    assert!(closes("1", "Connection: close\r\n") && !closes("1", "Connection: keep-alive\r\n"));
}

#[test]
fn chunk_must_have_the_length_of_its_size() {
    let longer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n";
    assert_eq!(scan(longer, 4096, false), Err(LinkError::InvalidReply));
}

#[test]
fn reply_too_large_for_the_buffer_is_reported_early() {
    let long = b"HTTP/1.1 200 OK\r\nContent-Length: 99328\r\n\r\n";
    let needed = Some(long.len() + 99_328);
    assert_eq!(scan(long, 4096, false), Err(LinkError::ReplyTooLarge { needed }));
    let endless = [b'a'; 64];
    assert_eq!(scan(&endless, 64, false), Err(LinkError::ReplyTooLarge { needed: None }));
}

#[test]
fn garbage_is_refused() {
    for garbage in [
        &b"\x15\x03\x01\x00\x02\x02F\n"[..],
        b"SSH-2.0-x\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 100 Continue\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<html",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        assert_eq!(read(garbage, false).unwrap_err(), LinkError::InvalidReply, "{}", String::from_utf8_lossy(garbage));
    }
}

#[test]
fn error_page_is_a_refusal_by_its_status() {
    let (reply, _) =
        read(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 6\r\n\r\n<html>", false).unwrap().unwrap();
    assert_eq!((reply.status, reply.retry_after.unwrap().get()), (503, 7000));
    assert_eq!(reply.body, Default::default());
}

/// What `serde_json` finds where the core's reader looks.
fn oracle(text: &str) -> Option<(Option<String>, Option<String>)> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let object = value.as_object()?;
    let string =
        |value: Option<&serde_json::Value>| value.and_then(|v| v.as_str()).filter(|s| !s.is_empty()).map(str::to_owned);
    let state = object.get("registrationState").and_then(|state| state.as_object());
    let hub = match state.and_then(|state| state.get("assignedHub")) {
        Some(hub) => string(Some(hub)),
        None => string(object.get("assignedHub")),
    };
    Some((string(object.get("operationId")), hub))
}

proptest! {
    #[test]
    fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), head in 0..4_usize, ended in any::<bool>()) {
        let heads = ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"];
        let mut received = heads[head].as_bytes().to_vec();
        received.extend(bytes);
        if let Ok(Some(layout)) = scan(&received, 4096, ended) {
            let _ = layout.read(&mut received);
        }
    }

    #[test]
    fn bodies_are_read_as_serde_json_reads_them(id in "\\PC{0,20}", hub in "[a-z\\\\\"\u{e9}\u{1F600}]{0,12}", noise in "[a-z]{1,5}", bare in any::<bool>()) {
        let mut value = serde_json::json!({ "operationId": id, noise.as_str(): [{ "deviceId": noise }, 1.5e3, null] });
        if bare {
            value["assignedHub"] = hub.into();
        } else {
            value["registrationState"] = serde_json::json!({ "assignedHub": hub, "x509": {}, "substatus": 7 });
        }
        let text = serde_json::to_string(&value).unwrap();
        let (expected_id, expected_hub) = oracle(&text).unwrap();
        let mut body = text.into_bytes();
        let head = http::Head { status: 200, ..Default::default() };
        let reply = http::read_reply(head, &mut body).unwrap();
        prop_assert_eq!(reply.body.operation_id.map(ByteStr::as_str), expected_id.as_deref());
        prop_assert_eq!(reply.body.assigned_hub.map(ByteStr::as_str), expected_hub.as_deref());
        prop_assert_eq!(reply.body.substatus, None);
    }
}
