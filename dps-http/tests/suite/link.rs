//! The link against a server that sends exactly what the test says, byte for byte, over real TLS.

use dps_core::{
    Authorization, Call, Endpoint, IdScope, Identity, Instant, Link, LinkError, Millis, Payload, RegistrationId,
    Request, RequestId, Status, UnixSeconds,
};
use dps_emulator::test_servers::SelfSigned;
use dps_http::{HttpLink, HttpOptions};
use dps_net::{Dialer, Roots, TlsOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

pub(crate) const ASSIGNING: &str = "HTTP/1.1 202 Accepted\r\nRetry-After: 3\r\nContent-Length: 42\r\n\r\n\
    {\"operationId\":\"5.0\",\"status\":\"assigning\"}";

/// What the server does with one request.
#[derive(Clone)]
pub(crate) enum Do {
    /// Sends this and keeps the connection.
    Answer(&'static str),
    /// Sends this and closes the connection.
    AnswerAndClose(&'static str),
}

pub(crate) struct Server {
    pub(crate) endpoint: String,
    ca: String,
    /// Each request as it arrived, with the number of its connection.
    requests: mpsc::UnboundedReceiver<(usize, String)>,
}

/// A server that follows `script`, one step per request, on as many connections as needed.
pub(crate) async fn server(script: Vec<Do>) -> Server {
    server_valid_in(1975, 4096, script).await
}

/// The same, with a certificate that is valid from the first day of the one year to the first day of the other.
async fn server_valid_in(from: i32, to: i32, script: Vec<Do>) -> Server {
    let tls = SelfSigned::valid_in(from, to);
    let ca = tls.pem().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("localhost:{}", listener.local_addr().unwrap().port());
    let (seen, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut steps = script.into_iter();
        for connection in 1.. {
            let Ok((tcp, _)) = listener.accept().await else { return };
            let Ok(mut stream) = tls.accept(tcp).await else { continue };
            while let Some(request) = read_request(&mut stream).await {
                let _ = seen.send((connection, request));
                match steps.next() {
                    Some(Do::Answer(text)) => stream.write_all(text.as_bytes()).await.unwrap(),
                    Some(Do::AnswerAndClose(text)) => {
                        stream.write_all(text.as_bytes()).await.unwrap();
                        let _ = stream.shutdown().await;
                        break;
                    }
                    None => return,
                }
            }
        }
    });
    Server { endpoint, ca, requests }
}

/// Head and body of one request, or `None` when the client has closed.
async fn read_request(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<String> {
    let mut text = String::new();
    loop {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).await.ok().filter(|read| *read > 0)?;
        text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return Some(text);
        }
    }
}

impl Server {
    fn link(&self) -> HttpLink {
        self.link_with(self.tls())
    }

    pub(crate) fn tls(&self) -> TlsOptions {
        TlsOptions::new(Roots::replace_pem(self.ca.as_bytes()).unwrap())
    }

    fn link_with(&self, tls: TlsOptions) -> HttpLink {
        HttpLink::new(Dialer::new(tls.client_config().unwrap(), None), HttpOptions::default().user_agent("test/1"))
            .unwrap()
    }

    pub(crate) fn request<'a>(&'a self, call: Call<'a>) -> Request<'a> {
        let identity = Identity {
            endpoint: Endpoint::new(&self.endpoint).unwrap(),
            id_scope: IdScope::new("0ne00A1B2C3").unwrap(),
            registration_id: RegistrationId::new("dev:01").unwrap(),
        };
        let token = Some(Authorization::new("SharedAccessSignature sr=x", 1));
        Request::new(RequestId::new(1), call, identity, token, Instant::from_millis(30_000))
    }
}

async fn error_of(reply: &'static str) -> LinkError {
    let server = server(vec![Do::AnswerAndClose(reply)]).await;
    let mut buffer = [0; 1024];
    let mut link = server.link();
    let error = link.exchange(&server.request(Call::register(None)), &mut buffer).await.unwrap_err();
    assert!(link.last_error_detail().is_some_and(|detail| !detail.is_empty()), "{error}");
    error
}

#[tokio::test]
async fn requests_have_path_headers_and_body_of_the_service() {
    let mut server = server(vec![Do::Answer(ASSIGNING); 3]).await;
    let mut link = server.link();
    let payload = Payload::new(r#"{"line":7}"#).unwrap();
    let calls = [Call::register(Some(payload)), Call::Status { operation_id: "5.0/x".into() }, Call::Lookup];
    for call in calls {
        let mut buffer = [0; 1024];
        let reply = link.exchange(&server.request(call), &mut buffer).await.unwrap();
        assert_eq!((reply.status, reply.retry_after), (202, Some(Millis::from_secs(3))));
        assert_eq!((reply.body.operation_id, reply.body.status), (Some("5.0".into()), Some(Status::Assigning)));
    }
    let path = "/0ne00A1B2C3/registrations/dev%3A01";
    let expected = [
        (
            format!("PUT {path}/register?api-version=2021-06-01 HTTP/1.1"),
            r#"{"registrationId":"dev:01","payload":{"line":7}}"#,
        ),
        (format!("GET {path}/operations/5.0%2Fx?api-version=2021-06-01 HTTP/1.1"), ""),
        (format!("POST {path}?api-version=2021-06-01 HTTP/1.1"), r#"{"registrationId":"dev:01"}"#),
    ];
    for (line, body) in expected {
        let (connection, request) = server.requests.recv().await.unwrap();
        assert_eq!(connection, 1, "one connection for all");
        let (head, sent) = request.split_once("\r\n\r\n").unwrap();
        assert_eq!((head.lines().next().unwrap(), sent), (line.as_str(), body));
        let head = head.to_lowercase();
        assert!(head.contains("\r\nauthorization: sharedaccesssignature sr=x"), "{head}");
        assert!(head.contains("\r\nuser-agent: test/1") && head.contains("\r\naccept: application/json"), "{head}");
        assert_eq!(head.contains("\r\ncontent-type: application/json; charset=utf-8"), !body.is_empty(), "{head}");
    }
}

#[tokio::test]
async fn connection_closed_between_polls_is_replaced() {
    let mut server = server(vec![Do::AnswerAndClose(ASSIGNING), Do::Answer(ASSIGNING)]).await;
    let mut link = server.link();
    let mut buffer = [0; 1024];
    link.exchange(&server.request(Call::register(None)), &mut buffer).await.unwrap();
    // A close that crosses the next request shows as a cut, which the machine tries again.
    let status = server.request(Call::Status { operation_id: "5.0".into() });
    let replied = match link.exchange(&status, &mut buffer).await {
        Err(LinkError::Cut) => link.exchange(&status, &mut [0; 1024]).await.map(|reply| reply.status),
        other => other.map(|reply| reply.status),
    };
    assert_eq!(replied, Ok(202));
    assert_eq!(server.requests.recv().await.unwrap().0, 1);
    assert_eq!(server.requests.recv().await.unwrap().0, 2);
}

#[tokio::test]
async fn invalid_replies_are_classified() {
    let table = [
        ("", LinkError::Cut),
        ("HTTP/1.1 202 Acc", LinkError::Cut),
        ("HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\n{\"operationId\":", LinkError::Cut),
        ("HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"op", LinkError::Cut),
        ("SSH-2.0-OpenSSH_9\r\n\r\n", LinkError::InvalidReply),
        ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", LinkError::InvalidReply),
        ("HTTP/1.1 302 Found\r\nLocation: https://portal.test/\r\nContent-Length: 0\r\n\r\n", LinkError::InvalidReply),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{", LinkError::ReplyTooLarge { needed: Some(5000) }),
    ];
    for (reply, expected) in table {
        assert_eq!(error_of(reply).await, expected, "{reply:?}");
    }
}

#[tokio::test]
async fn detail_describes_an_invalid_answer() {
    for (answer, words) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
            "status 200 with a body that is not a JSON object, of type text/html",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "status 200 with a body that is not a JSON object"),
        (
            "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
            "status 302, which the service does not use: a proxy or a portal may have answered",
        ),
    ] {
        let server = server(vec![Do::AnswerAndClose(answer)]).await;
        let mut link = server.link();
        let request = server.request(Call::register(None));
        assert_eq!(link.exchange(&request, &mut [0; 64]).await.unwrap_err(), LinkError::InvalidReply);
        assert_eq!(link.last_error_detail(), Some(words));
    }
}

#[tokio::test]
async fn service_time_is_requested_without_credential() {
    let dated = "HTTP/1.1 404 Not Found\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n";
    let undated = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let mut server = server(vec![Do::AnswerAndClose(dated), Do::AnswerAndClose(undated)]).await;
    let mut link = server.link();
    let endpoint = server.endpoint.clone();
    let endpoint = Endpoint::new(&endpoint).unwrap();
    assert_eq!(link.service_time(endpoint).await, Ok(UnixSeconds::new(1_767_225_600)));
    let (_, asked) = server.requests.recv().await.unwrap();
    assert!(asked.starts_with("GET / HTTP/1.1\r\n") && asked.ends_with("\r\n\r\n"), "{asked}");
    assert!(!asked.to_lowercase().contains("authorization") && !asked.contains("dev"), "{asked}");
    assert_eq!(link.service_time(endpoint).await, Err(LinkError::InvalidReply));
    assert_eq!(link.last_error_detail(), Some("the answer has no Date header"));
}

#[tokio::test]
async fn certificate_validity_is_checked_by_the_supplied_clock() {
    let clock = |year| move || rcgen::date_time_ymd(year, 1, 1).into();
    for (from, to, year, expected) in [
        (2001, 2003, None, Err(LinkError::CertificateExpired)),
        (2001, 2003, Some(2002), Ok(202)),
        (1975, 4096, None, Ok(202)),
        (1975, 4096, Some(1974), Err(LinkError::CertificateExpired)),
    ] {
        let server = server_valid_in(from, to, vec![Do::Answer(ASSIGNING)]).await;
        let tls = year.into_iter().fold(server.tls(), |tls, year| tls.clock(clock(year)));
        let (mut link, mut buffer) = (server.link_with(tls), [0; 1024]);
        let reply = link.exchange(&server.request(Call::register(None)), &mut buffer).await;
        assert_eq!(reply.map(|reply| reply.status), expected, "{from} to {to} in {year:?}");
    }
}

#[tokio::test]
async fn endless_body_is_rejected_at_the_end_of_the_buffer() {
    let chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n";
    let long: &'static str = Box::leak(format!("{chunk}{}\r\n400\r\n{}", "x".repeat(1024), "x".repeat(1024)).into());
    assert_eq!(error_of(long).await, LinkError::ReplyTooLarge { needed: None });
}

#[tokio::test]
async fn error_status_with_html_body_is_a_reply() {
    let page = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 6\r\n\r\n<html>";
    let server = server(vec![Do::Answer(page)]).await;
    let mut buffer = [0; 64];
    let request = server.request(Call::register(None));
    let mut link = server.link();
    let reply = link.exchange(&request, &mut buffer).await.unwrap();
    assert_eq!((reply.status, reply.retry_after), (503, Some(Millis::from_secs(7))));
}
