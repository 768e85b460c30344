//! A proxy's answer, or a TLS handshake, that never ends while bytes keep arriving: each registration ends by its
//! timeout, and reads little from each connection.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::common::{builder_over, device_key, service};
use dps_client::{Proxy, ProxyChoice, Transport};
use dps_core::Family;
use dps_emulator::Emulator;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const ALL: [Transport; 3] = [Transport::Https, Transport::Mqtt, Transport::MqttWebSocket];
const TIMEOUT: Duration = Duration::from_secs(2);
/// How much later than its timeout a call may end on a busy machine.
const GRACE: Duration = Duration::from_secs(5);
/// The most bytes that a server can send on a connection: what is read of it, and what fits the sockets' buffers.
const SENT_MAX: u64 = 8 * 1024 * 1024;

/// What a server sends once a client has sent something: a beginning, and then the same bytes without end.
#[derive(Clone, Copy)]
struct Flood {
    name: &'static str,
    first: &'static [u8],
    then: &'static [u8],
}

const PROXY_FLOODS: [Flood; 4] = [
    Flood { name: "headers", first: b"HTTP/1.1 200 Connection established\r\n", then: b"X-Filler: y\r\n" },
    Flood {
        name: "one header",
        first: b"HTTP/1.1 200 Connection established\r\nX-Filler: ",
        then: b"yyyyyyyyyyyyyyyy",
    },
    Flood { name: "responses 1xx", first: b"", then: b"HTTP/1.1 100 Continue\r\n\r\n" },
    Flood { name: "line ends", first: b"", then: b"\r\n\r\n" },
];

/// Records are a type, a version, a length and the content (RFC 8446, section 5.1); 21 is an alert, 22 a handshake
/// message, 20 a change of the cipher.
const TLS_FLOODS: [Flood; 6] = [
    Flood { name: "warning alerts", first: b"", then: &[21, 3, 3, 0, 2, 1, 90] },
    Flood { name: "empty records", first: b"", then: &[22, 3, 3, 0, 0] },
    Flood { name: "changes of the cipher", first: b"", then: &[20, 3, 3, 0, 1, 1] },
    // A ServerHello of the greatest length, in records of one byte.
    Flood { name: "one message", first: &[22, 3, 3, 0, 4, 2, 0, 255, 255], then: &[22, 3, 3, 0, 1, 0] },
    Flood { name: "one message of 16 MiB", first: &[22, 3, 3, 0, 4, 2, 255, 255, 255], then: &[22, 3, 3, 0, 1, 0] },
    // HelloRequest, which means nothing during a handshake (RFC 5246, section 7.4.1.1).
    Flood { name: "whole messages", first: b"", then: &[22, 3, 3, 0, 4, 0, 0, 0, 0] },
];

/// Starts the server. Returns its port, and the most bytes that were sent on one connection.
async fn server(flood: Flood) -> (u16, Arc<AtomicU64>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener = socket.listen(64).unwrap();
    let port = listener.local_addr().unwrap().port();
    let most = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&most);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(send_without_end(stream, flood, Arc::clone(&counter)));
        }
    });
    (port, most)
}

async fn send_without_end(mut stream: TcpStream, flood: Flood, most: Arc<AtomicU64>) -> io::Result<()> {
    stream.read_u8().await?;
    stream.write_all(flood.first).await?;
    let chunk = flood.then.repeat(4096 / flood.then.len());
    let mut sent = 0;
    loop {
        stream.write_all(&chunk).await?;
        sent += chunk.len() as u64;
        most.fetch_max(sent, Ordering::SeqCst);
    }
}

/// Registers over each transport, each with such a server as the proxy or as the endpoint.
async fn all_end(emulator: &Emulator, flood: Flood, as_proxy: bool) {
    for transport in ALL {
        let (port, most) = server(flood).await;
        let address = format!("127.0.0.1:{port}");
        let builder = builder_over(transport, emulator).symmetric_key(device_key()).timeout(TIMEOUT);
        let builder = if as_proxy {
            builder.proxy(ProxyChoice::Fixed(Proxy::parse(&address).unwrap()))
        } else {
            builder.endpoint(address)
        };
        let client = builder.build().unwrap();
        let start = Instant::now();
        let error = client.register().await.unwrap_err();
        let (elapsed, most) = (start.elapsed(), most.load(Ordering::SeqCst));
        let name = flood.name;
        assert!(elapsed < TIMEOUT + GRACE, "{name} over {transport:?}: {elapsed:?}: {error}");
        assert_eq!(error.family(), Family::Link, "{name} over {transport:?}: {error}");
        assert!(most < SENT_MAX, "{name} over {transport:?}: {most} bytes: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxy_answer_without_end_ends_the_registration() {
    let emulator = service().await;
    for flood in PROXY_FLOODS {
        all_end(&emulator, flood, true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_handshake_without_end_ends_the_registration() {
    let emulator = service().await;
    for flood in TLS_FLOODS {
        all_end(&emulator, flood, false).await;
    }
}
