//! MQTT over a connection: carries bytes between TLS or a WebSocket and a [`Session`], carries out its effects, and
//! closes the connection when it is silent, unverified for too long, or superseded by a later one.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use super::io::{BYTE_INTERVAL, FLOOD_BYTES, FLOOD_PIECE, FLOOD_TIME, PrefixedStream};
use super::limits::{ClientIdClaim, PermitHandle, VERIFY_WITHIN};
use super::open::OpenConnection;
use crate::events::RefusalReason;
use crate::fault::Flood;
use crate::mqtt::{Effect, Session};

/// How long a client may take to open a WebSocket, to send CONNECT, or to receive what it is sent.
const PATIENCE: Duration = Duration::from_secs(10);
/// Stands for no limit.
const FAR_AWAY: Duration = Duration::from_secs(365 * 86_400);
/// The largest WebSocket message, in bytes.
const MESSAGE_MAX: usize = 256 * 1024;
/// How many bytes are read at once.
const READ_SIZE: usize = 4096;
const SUBPROTOCOL: &str = "Sec-WebSocket-Protocol";

/// The transport of the bytes.
enum Wire<S> {
    Stream(Box<S>),
    WebSocket(Box<WebSocketStream<PrefixedStream<S>>>),
}

pub(super) async fn serve_tls(
    stream: TlsStream<TcpStream>,
    open: OpenConnection,
    handle: PermitHandle,
    stop: watch::Receiver<bool>,
) {
    serve(Wire::Stream(Box::new(stream)), open, &handle, stop).await;
}

pub(super) async fn serve_websocket(
    stream: PrefixedStream<TlsStream<TcpStream>>,
    mut open: OpenConnection,
    handle: PermitHandle,
    stop: watch::Receiver<bool>,
) {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_SIZE)
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX));
    let accepted = accept_hdr_async_with_config(stream, choose_subprotocol, Some(config));
    match tokio::time::timeout(PATIENCE, accepted).await {
        Ok(Ok(stream)) => serve(Wire::WebSocket(Box::new(stream)), open, &handle, stop).await,
        Ok(Err(error)) => {
            tracing::debug!(%error, "no WebSocket");
            open.close_reason = Some(RefusalReason::WebSocketRefused);
        }
        Err(_) => open.close_reason = Some(RefusalReason::Silent),
    }
}

/// Accepts `mqtt` in any letter case, and echoes it as it was offered.
#[allow(clippy::result_large_err, reason = "the library's callback has this type")]
fn choose_subprotocol(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let offered = request.headers().get_all(SUBPROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut offered = offered.flat_map(|list| list.split(',')).map(str::trim);
    let chosen = offered.find(|name| name.eq_ignore_ascii_case("mqtt")).and_then(|name| name.parse().ok());
    let Some(chosen) = chosen else {
        let mut refusal = ErrorResponse::new(Some("The subprotocol must be mqtt.".into()));
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return Err(refusal);
    };
    response.headers_mut().insert(SUBPROTOCOL, chosen);
    Ok(response)
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut wire: Wire<S>,
    mut open: OpenConnection,
    handle: &PermitHandle,
    mut stop: watch::Receiver<bool>,
) {
    let mut claim: Option<ClientIdClaim> = None;
    let mut heard = Instant::now();
    let verify_by = heard + VERIFY_WITHIN;
    loop {
        let (until, reason) = silence_limit(open.session.as_ref(), heard, verify_by);
        let due_in = open.due_in();
        let received = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            () = superseded(&mut claim) => {
                open.close_reason = Some(RefusalReason::Superseded);
                break;
            }
            received = timeout_at(until, wire.receive()) => Some(received),
            () = tokio::time::sleep(due_in.unwrap_or_default()), if due_in.is_some() => None,
        };
        let effects = match received {
            None => open.advance(),
            Some(received) => {
                open.close_reason = received.is_err().then_some(reason);
                let Ok(Some(bytes)) = received else { break };
                heard = Instant::now();
                open.receive(&bytes)
            }
        };
        let Some(session) = &open.session else { break };
        if session.is_verified() {
            handle.mark_verified();
        }
        if claim.is_none() {
            claim = session.client().and_then(|client| open.shared.client_ids.claim(client, session.is_verified()));
        } else if let Some(claim) = claim.as_ref().filter(|_| session.is_verified()) {
            claim.mark_verified();
        }
        for effect in effects {
            let done = tokio::select! {
                () = superseded(&mut claim) => {
                    open.close_reason = Some(RefusalReason::Superseded);
                    None
                }
                done = wire.act(effect) => done,
            };
            if done.is_none() {
                return wire.close().await;
            }
        }
    }
    wire.close().await;
}

/// Until when the next bytes have to arrive after those at `heard`, and why the connection is closed otherwise. A client whose
/// credential was not verified is disconnected at `verify_by`, whatever keep-alive it set: otherwise anybody could hold all
/// permits forever.
fn silence_limit(session: Option<&Session>, heard: Instant, verify_by: Instant) -> (Instant, RefusalReason) {
    let allowed = match session.filter(|session| session.is_connected()) {
        Some(session) => session.silence_limit_ms().map(Duration::from_millis),
        None => Some(PATIENCE),
    };
    let allowed = heard + allowed.unwrap_or(FAR_AWAY);
    match session.is_some_and(Session::is_verified) || allowed <= verify_by {
        true => (allowed, RefusalReason::Silent),
        false => (verify_by, RefusalReason::Unverified),
    }
}

/// Returns when another connection of the same client supersedes this one.
async fn superseded(claim: &mut Option<ClientIdClaim>) {
    match claim {
        Some(claim) => claim.superseded().await,
        None => std::future::pending().await,
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Returns the next bytes, or `None` at the end of the connection.
    async fn receive(&mut self) -> Option<Bytes> {
        match self {
            Self::Stream(stream) => {
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

    /// Carries out an effect. Returns `None` when the connection is to be closed, or was closed.
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

    /// Sends a flood until the connection is closed or a bound is reached. Returns `None` when the connection was
    /// closed.
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
            // Without WebSocket frames nothing is sent, and nothing answered.
            (None, Self::Stream(_)) => std::future::pending().await,
        }
    }

    async fn send(&mut self, bytes: Vec<u8>) -> Option<()> {
        let sent = async {
            match self {
                Self::Stream(stream) => {
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
                Self::Stream(stream) => drop(stream.shutdown().await),
                Self::WebSocket(stream) => {
                    let _ = (**stream).close(None).await;
                    let _ = stream.get_mut().shutdown().await;
                }
            }
        };
        let _ = tokio::time::timeout(PATIENCE, closed).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::DuplexStream;
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;

    use super::super::limits::ConnectionLimiter;
    use super::super::shared::Shared;
    use super::super::testing::{connect, forged_token, good_token, opened, register, shared};
    use crate::events::{Event, Transport};
    use std::sync::Arc;

    /// Connects with a forged token, and returns the task that serves the connection.
    async fn connected(shared: &Arc<Shared>, id: &str) -> (DuplexStream, JoinHandle<()>) {
        let (mut client, server) = tokio::io::duplex(4096);
        let shared_here = Arc::clone(shared);
        let served = tokio::spawn(async move {
            let permit = Arc::new(ConnectionLimiter::default()).acquire().await;
            let (_stop, stopped) = watch::channel(false);
            let open = opened(&shared_here, Transport::Mqtt);
            serve(Wire::Stream(Box::new(server)), open, &permit.handle(), stopped).await;
        });
        client.write_all(&connect(shared, id, &forged_token(shared, id))).await.unwrap();
        let mut connack = [0; 4];
        client.read_exact(&mut connack).await.unwrap();
        assert_eq!(connack, [0x20, 2, 0, 0]);
        (client, served)
    }

    /// A listener: serves connections in the order of their arrival, as permits become free.
    fn listener(shared: &Arc<Shared>) -> mpsc::UnboundedSender<DuplexStream> {
        let (arrive, mut arrived) = mpsc::unbounded_channel();
        let (shared, limiter) = (Arc::clone(shared), Arc::new(ConnectionLimiter::default()));
        tokio::spawn(async move {
            while let Some(server) = arrived.recv().await {
                let permit = limiter.acquire().await;
                let (shared, handle) = (Arc::clone(&shared), permit.handle());
                tokio::spawn(permit.hold(async move {
                    let (_stop, stopped) = watch::channel(false);
                    let open = opened(&shared, Transport::Mqtt);
                    serve(Wire::Stream(Box::new(server)), open, &handle, stopped).await;
                }));
            }
        });
        arrive
    }

    async fn call(listener: &mpsc::UnboundedSender<DuplexStream>, packets: &[u8]) -> DuplexStream {
        let (mut client, server) = tokio::io::duplex(4096);
        listener.send(server).unwrap();
        client.write_all(packets).await.unwrap();
        client
    }

    /// Reads up to the end of the reply to a register call that has `part` in its topic.
    async fn read_reply(client: &mut DuplexStream, part: &str) {
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).contains(part) || !read.ends_with(b"}") {
            assert_ne!(client.read_buf(&mut read).await.unwrap(), 0, "the connection ended before {part}");
        }
    }

    async fn assert_open(client: &mut DuplexStream) {
        client.write_all(&[0xc0, 0]).await.unwrap();
        let mut pong = [0; 2];
        client.read_exact(&mut pong).await.unwrap();
        assert_eq!(pong, [0xd0, 0]);
    }

    /// Why the service closed connections, in the order of their ends.
    fn close_reasons(shared: &Shared) -> Vec<Option<RefusalReason>> {
        let service = shared.service();
        service.events().filter(|event| event.name() == "disconnection").map(Event::reason).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn connection_without_connect_is_closed_after_ten_seconds() {
        let shared = shared();
        let mut client = call(&listener(&shared), &[]).await;
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(close_reasons(&shared), [Some(RefusalReason::Silent)]);
    }

    #[tokio::test(start_paused = true)]
    async fn forged_tokens_without_keep_alive_are_closed_within_a_minute() {
        let shared = shared();
        let mut clients = Vec::new();
        for number in 0..1024 {
            clients.push(connected(&shared, &format!("dev-{number}")).await);
        }
        for (mut client, served) in clients {
            // A ping does not help. One day is far more than is allowed.
            let _ = client.write_all(&[0xc0, 0]).await;
            let ended = tokio::time::timeout(Duration::from_secs(86_400), served).await;
            ended.expect("a client without a verified credential stays connected").unwrap();
        }
        assert_eq!(close_reasons(&shared), vec![Some(RefusalReason::Unverified); 1024]);
    }

    #[tokio::test(start_paused = true)]
    async fn connections_with_forged_tokens_do_not_block_a_device() {
        let shared = shared();
        let listener = listener(&shared);
        for number in 0..1024 {
            let (listener, id) = (listener.clone(), format!("forger-{number}"));
            let packets = connect(&shared, &id, &forged_token(&shared, &id));
            tokio::spawn(async move {
                loop {
                    let mut client = call(&listener, &packets).await;
                    while client.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
                }
            });
        }
        // All of them arrive before the device.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let packets = [connect(&shared, "dev-01", &good_token(&shared, "dev-01")), register()].concat();
        let registered = async {
            let mut device = call(&listener, &packets).await;
            read_reply(&mut device, "/res/202/").await;
            device
        };
        let mut device =
            tokio::time::timeout(Duration::from_secs(30), registered).await.expect("the device is blocked");
        // It keeps its permit longer than an unverified connection.
        tokio::time::sleep(2 * VERIFY_WITHIN).await;
        assert_open(&mut device).await;
    }

    #[tokio::test(start_paused = true)]
    async fn second_connection_with_the_same_client_id_closes_the_first() {
        let shared = shared();
        let began = Instant::now();
        let (mut first, first_served) = connected(&shared, "dev-01").await;
        let (mut second, _second_served) = connected(&shared, "dev-01").await;
        let (mut other, _other_served) = connected(&shared, "dev-02").await;
        assert_eq!(first.read(&mut [0; 1]).await.unwrap(), 0, "the first is closed");
        first_served.await.unwrap();
        assert!(began.elapsed() < VERIFY_WITHIN, "at once, not by a timeout");
        assert_eq!(close_reasons(&shared), [Some(RefusalReason::Superseded)]);
        assert_open(&mut second).await;
        assert_open(&mut other).await;
    }

    #[tokio::test(start_paused = true)]
    async fn verified_connection_is_closed_only_by_another_verified_one() {
        let shared = shared();
        let listener = listener(&shared);
        let packets = [connect(&shared, "dev-01", &good_token(&shared, "dev-01")), register()].concat();
        let mut device = call(&listener, &packets).await;
        read_reply(&mut device, "/res/202/").await;
        let (mut forger, _served) = connected(&shared, "dev-01").await;
        assert_open(&mut forger).await;
        assert_open(&mut device).await;
        let mut again = call(&listener, &packets).await;
        // Another register call while the first is being decided on is answered too, by 409 within 20 ms.
        read_reply(&mut again, "/res/").await;
        assert_eq!(device.read(&mut [0; 1]).await.unwrap(), 0, "the first is closed");
        assert_open(&mut again).await;
    }
}
