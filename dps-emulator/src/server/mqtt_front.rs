//! MQTT over a connection: carries bytes between TLS or a WebSocket and a [`Session`], and acts out its effects.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use super::Shared;
use super::faulty_io::{BYTE_INTERVAL, FLOOD_BYTES, FLOOD_PIECE, FLOOD_TIME};
use super::rewound::Rewound;
use crate::Flood;
use crate::mqtt::{Effect, Session};

/// How long a client may take to open a WebSocket, to say CONNECT, or to take what it is sent.
const PATIENCE: Duration = Duration::from_secs(10);
/// No message of a WebSocket is larger, in bytes.
const MESSAGE_MAX: usize = 256 * 1024;
/// How much is read at once, in bytes.
const READ_SIZE: usize = 4096;
const SUBPROTOCOL: &str = "Sec-WebSocket-Protocol";

/// What carries the bytes.
enum Wire {
    Tls(Box<TlsStream<TcpStream>>),
    WebSocket(Box<WebSocketStream<Rewound<TlsStream<TcpStream>>>>),
}

pub(super) async fn serve_tls(stream: TlsStream<TcpStream>, shared: Arc<Shared>, stop: watch::Receiver<bool>) {
    serve(Wire::Tls(Box::new(stream)), &shared, stop).await;
}

pub(super) async fn serve_websocket(
    stream: Rewound<TlsStream<TcpStream>>,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
) {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_SIZE)
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX));
    let accepted = accept_hdr_async_with_config(stream, choose_subprotocol, Some(config));
    match tokio::time::timeout(PATIENCE, accepted).await {
        Ok(Ok(stream)) => serve(Wire::WebSocket(Box::new(stream)), &shared, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, "no WebSocket"),
        Err(_) => tracing::debug!("no WebSocket in time"),
    }
}

/// Takes `mqtt` in any letter case, and echoes it as it was offered.
#[allow(clippy::result_large_err, reason = "the library's callback has this type")]
fn choose_subprotocol(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let offered = request.headers().get_all(SUBPROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut offered = offered.flat_map(|list| list.split(',')).map(str::trim);
    let chosen = offered.find(|name| name.eq_ignore_ascii_case("mqtt")).and_then(|name| name.parse().ok());
    let Some(chosen) = chosen else {
        let mut refusal = ErrorResponse::new(Some("The subprotocol has to be mqtt.".into()));
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return Err(refusal);
    };
    response.headers_mut().insert(SUBPROTOCOL, chosen);
    Ok(response)
}

async fn serve(mut wire: Wire, shared: &Shared, mut stop: watch::Receiver<bool>) {
    let mut session = Session::new();
    loop {
        let limit = match session.is_connected() {
            true => session.silence_limit_ms().map_or(Duration::MAX, Duration::from_millis),
            false => PATIENCE,
        };
        let received = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            received = tokio::time::timeout(limit, wire.receive()) => received,
        };
        let Ok(Some(bytes)) = received else { break };
        let effects = {
            let now = shared.clock.now();
            session.receive(&mut shared.service(), now, &bytes)
        };
        for effect in effects {
            if wire.act(effect).await.is_none() {
                return wire.close().await;
            }
        }
    }
    wire.close().await;
}

impl Wire {
    /// The next bytes; `None` when there will be no more.
    async fn receive(&mut self) -> Option<Bytes> {
        match self {
            Self::Tls(stream) => {
                let mut bytes = Vec::with_capacity(READ_SIZE);
                match stream.read_buf(&mut bytes).await {
                    Ok(0) | Err(_) => None,
                    Ok(_) => Some(bytes.into()),
                }
            }
            Self::WebSocket(stream) => loop {
                match stream.next().await {
                    Some(Ok(Message::Binary(bytes))) => return Some(bytes),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    _ => return None,
                }
            },
        }
    }

    /// `None` when the connection is to be closed, or is gone.
    async fn act(&mut self, effect: Effect) -> Option<()> {
        match effect {
            Effect::Send(bytes) => self.send(bytes).await,
            Effect::Pause(ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Some(())
            }
            Effect::Trickle(bytes) => {
                for byte in bytes {
                    self.send(vec![byte]).await?;
                    tokio::time::sleep(BYTE_INTERVAL).await;
                }
                Some(())
            }
            Effect::Flood(of) => {
                let _ = tokio::time::timeout(FLOOD_TIME, self.flood(of)).await;
                None
            }
            Effect::Close => None,
        }
    }

    /// Sends until the client is gone, or enough was sent. `None` when the client is gone.
    async fn flood(&mut self, of: Flood) -> Option<()> {
        match (of.packet(), self) {
            (Some(packet), wire) => {
                let piece = packet.repeat(FLOOD_PIECE / packet.len());
                for _ in 0..FLOOD_BYTES / FLOOD_PIECE as u64 {
                    wire.send(piece.clone()).await?;
                }
                Some(())
            }
            (None, Self::WebSocket(stream)) => loop {
                stream.send(Message::Ping(Bytes::from_static(b"flood"))).await.ok()?;
            },
            // Without frames nothing is sent, and nothing answered.
            (None, Self::Tls(_)) => std::future::pending().await,
        }
    }

    async fn send(&mut self, bytes: Vec<u8>) -> Option<()> {
        let sent = async {
            match self {
                Self::Tls(stream) => {
                    stream.write_all(&bytes).await.ok()?;
                    stream.flush().await.ok()
                }
                Self::WebSocket(stream) => stream.send(Message::Binary(bytes.into())).await.ok(),
            }
        };
        tokio::time::timeout(PATIENCE, sent).await.ok().flatten()
    }

    async fn close(&mut self) {
        let closed = async {
            match self {
                Self::Tls(stream) => drop(stream.shutdown().await),
                Self::WebSocket(stream) => {
                    let _ = (**stream).close(None).await;
                    let _ = stream.get_mut().shutdown().await;
                }
            }
        };
        let _ = tokio::time::timeout(PATIENCE, closed).await;
    }
}
