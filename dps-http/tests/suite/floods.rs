//! Servers whose answer has no end: an exchange ends by itself or with the caller's timeout, and its connection is closed.

use std::time::Duration;

use dps_core::{Call, Endpoint, IdScope, Identity, Instant, Link, LinkError, RegistrationId, Request, RequestId};
use dps_emulator::test_servers::SelfSigned;
use dps_http::{HttpLink, HttpOptions};
use dps_net::{Dialer, Roots, TlsOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How long the caller waits for what does not end by itself.
const CALLERS_LIMIT: Duration = Duration::from_secs(1);
/// Wide: the server notices at once that the client is gone.
const WIDE: Duration = Duration::from_secs(20);

/// What a server sends: a beginning, then the same again and again, with a pause between.
struct Flood {
    name: &'static str,
    beginning: &'static str,
    again: &'static str,
    pause: Duration,
    /// How the exchange ends by itself; `None` when it is the caller who ends it.
    ends: Option<LinkError>,
}

const FLOODS: [Flood; 6] = [
    Flood {
        name: "interim responses",
        beginning: "",
        again: "HTTP/1.1 102 Processing\r\n\r\n",
        pause: Duration::ZERO,
        ends: None,
    },
    Flood {
        name: "header lines",
        beginning: "HTTP/1.1 200 OK\r\n",
        again: "x-flood: y\r\n",
        pause: Duration::ZERO,
        ends: Some(LinkError::InvalidReply),
    },
    Flood {
        name: "one header",
        beginning: "HTTP/1.1 200 OK\r\nx-flood: ",
        again: "y",
        pause: Duration::ZERO,
        ends: Some(LinkError::InvalidReply),
    },
    Flood {
        name: "chunks",
        beginning: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        again: "1\r\n \r\n",
        pause: Duration::ZERO,
        ends: Some(LinkError::ReplyTooLarge { needed: None }),
    },
    Flood {
        name: "zeros of a chunk's size",
        beginning: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        again: "0",
        pause: Duration::ZERO,
        ends: None,
    },
    Flood {
        name: "slow bytes",
        beginning: "HTTP/1.1 200 OK\r\n",
        again: "x",
        pause: Duration::from_millis(20),
        ends: None,
    },
];

#[tokio::test]
async fn endless_answer_ends_with_the_callers_timeout_and_closes_its_connection() {
    for flood in &FLOODS {
        let (endpoint, ca, served) = server(flood).await;
        let tls = TlsOptions::new(Roots::replace_pem(ca.as_bytes()).unwrap()).client_config().unwrap();
        let mut link = HttpLink::new(Dialer::new(tls, None), HttpOptions::default()).unwrap();
        let (mut buffer, request) = ([0; 1024], request(&endpoint));
        let limit = if flood.ends.is_some() { WIDE } else { CALLERS_LIMIT };
        let ended = tokio::time::timeout(limit, link.exchange(&request, &mut buffer)).await;
        assert_eq!(ended.ok().map(|ended| ended.unwrap_err()), flood.ends, "{}", flood.name);
        tokio::time::timeout(WIDE, served)
            .await
            .unwrap_or_else(|_| panic!("{}: it stays connected", flood.name))
            .unwrap();
    }
}

#[tokio::test]
async fn detail_names_a_server_that_is_not_https() {
    // An MQTT server closes at once, or sends a packet of its own.
    for (sent, error, words) in [
        ("", LinkError::Cut, "closed the connection"),
        ("\u{20}\u{2}\0\u{5}\r\n\r\n", LinkError::InvalidReply, "not valid HTTP"),
    ] {
        let flood = Flood { name: "no HTTP", beginning: sent, again: "", pause: Duration::ZERO, ends: None };
        let (endpoint, ca, _served) = server(&flood).await;
        let tls = TlsOptions::new(Roots::replace_pem(ca.as_bytes()).unwrap()).client_config().unwrap();
        let mut link = HttpLink::new(Dialer::new(tls, None), HttpOptions::default()).unwrap();
        assert_eq!(link.exchange(&request(&endpoint), &mut [0; 1024]).await.unwrap_err(), error);
        let detail = link.last_error_detail().unwrap_or_default();
        assert!(detail.contains(words) && detail.contains("8883"), "{detail}");
    }
}

fn request(endpoint: &str) -> Request<'_> {
    let identity = Identity {
        endpoint: Endpoint::new(endpoint).unwrap(),
        id_scope: IdScope::new("0ne00A1B2C3").unwrap(),
        registration_id: RegistrationId::new("dev-01").unwrap(),
    };
    Request::new(RequestId::new(1), Call::register(None), identity, None, Instant::from_millis(30_000))
}

/// Takes one connection, reads once, and floods until the client is gone, or closes where there is nothing to repeat:
/// its endpoint, its certificate and the end of its work.
async fn server(flood: &Flood) -> (String, String, JoinHandle<()>) {
    let tls = SelfSigned::new();
    let ca = tls.pem().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("localhost:{}", listener.local_addr().unwrap().port());
    let (beginning, again, pause) = (flood.beginning, flood.again, flood.pause);
    let served = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut stream = tls.accept(tcp).await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(beginning.as_bytes()).await;
        if again.is_empty() {
            let _ = stream.shutdown().await;
            return;
        }
        let piece = if pause.is_zero() { again.repeat(4096 / again.len()) } else { again.to_owned() };
        while stream.write_all(piece.as_bytes()).await.is_ok() && stream.flush().await.is_ok() {
            tokio::time::sleep(pause).await;
        }
    });
    (endpoint, ca, served)
}
