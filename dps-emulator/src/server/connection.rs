//! One connection, from TLS handshake to close, with a deadline on everything that a client could leave hanging. Finds
//! out what the client speaks, where a port is shared.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::places::Proof;
use super::rewound::Rewound;
use super::{Shared, http_front, mqtt_front};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// No first line that tells what is spoken is longer, in bytes.
const FIRST_LINE_MAX: usize = 4096;
/// Where clients open a WebSocket: the documented path, and the root, which some of them use.
const WEBSOCKET_TARGETS: [&str; 2] = ["/$iothub/websocket", "/"];

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Front {
    Https,
    Mqtt,
    WebSocket,
    HttpsAndWebSocket,
}

pub(super) async fn serve(
    tcp: TcpStream,
    tls: TlsAcceptor,
    front: Front,
    shared: Arc<Shared>,
    proof: Proof,
    mut stop: watch::Receiver<bool>,
) {
    // Small replies should not wait for an acknowledgement; a socket that refuses this still works.
    let _ = tcp.set_nodelay(true);
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(tcp));
    let stream = tokio::select! {
        _ = stop.wait_for(|stop| *stop) => return,
        done = handshake => match done {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "no TLS session"),
            Err(_) => return tracing::debug!("no TLS session in time"),
        },
    };
    match front {
        Front::Https => http_front::serve(stream, shared, proof, stop).await,
        Front::Mqtt => mqtt_front::serve_tls(stream, shared, proof, stop).await,
        Front::WebSocket | Front::HttpsAndWebSocket => {
            let Ok(Some(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, first_line(stream)).await else {
                return tracing::debug!("no request");
            };
            if asks_for_websocket(stream.prefix()) {
                mqtt_front::serve_websocket(stream, shared, proof, stop).await;
            } else if front == Front::HttpsAndWebSocket {
                http_front::serve(stream, shared, proof, stop).await;
            } else {
                refuse(stream).await;
            }
        }
    }
}

/// Reads up to the end of the first line, and gives it back to whoever reads next.
async fn first_line(mut stream: TlsStream<TcpStream>) -> Option<Rewound<TlsStream<TcpStream>>> {
    let mut read = Vec::with_capacity(FIRST_LINE_MAX);
    while !read.contains(&b'\n') {
        if read.len() >= FIRST_LINE_MAX || stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
    Some(Rewound::new(read, stream))
}

fn asks_for_websocket(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let target = (words.next() == Some("GET")).then(|| words.next()).flatten();
    // Some clients add a query.
    target.and_then(|target| target.split('?').next()).is_some_and(|path| WEBSOCKET_TARGETS.contains(&path))
}

async fn refuse(mut stream: Rewound<TlsStream<TcpStream>>) {
    let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    if stream.write_all(answer).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}
