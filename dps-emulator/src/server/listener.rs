//! The ports that an emulator listens on, and each connection from accept to the end of its TLS handshake. On a shared
//! port the first line of the request selects the protocol.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::client_certificate::presented;
use super::io::PrefixedStream;
use super::limits::{ConnectionLimiter, PermitHandle};
use super::open::OpenConnection;
use super::options::{EmulatorOptions, StartError, UnavailablePort};
use super::shared::Shared;
use super::tls::Handshakes;
use super::{https, mqtt};
use crate::events::{Accepted, RefusalReason, Transport};
use crate::x509::ClientCertificates;

/// How long requests in progress have to finish at shutdown, which takes two seconds at most.
const GRACE: Duration = Duration::from_millis(1500);
/// The pause after a failed accept, which usually means that file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest first line of a request on a shared port, in bytes.
const FIRST_LINE_MAX: usize = 4096;
/// The paths at which clients open a WebSocket: the documented one, and the root, which some clients use.
const WEBSOCKET_TARGETS: [&str; 2] = ["/$iothub/websocket", "/"];

/// Sockets that are bound but not yet accepting.
pub(super) struct BoundPorts {
    pub(super) sockets: Vec<(TcpListener, PortProtocol)>,
    pub(super) https: SocketAddr,
    pub(super) mqtt: Option<SocketAddr>,
    pub(super) wss: Option<SocketAddr>,
    /// The socket of the page, if that is enabled.
    pub(super) page: Option<(TcpListener, SocketAddr)>,
}

impl BoundPorts {
    /// Binds all ports, or none.
    pub(super) async fn open(options: &EmulatorOptions) -> Result<Self, StartError> {
        let shared = options.https_port != 0 && options.wss_port == Some(options.https_port);
        let protocol = if shared { PortProtocol::HttpsAndWebSocket } else { PortProtocol::Https };
        let at = |port| SocketAddr::new(options.listen, port);
        let wanted = [
            Some((at(options.https_port), Some(protocol))),
            options.mqtt_port.map(|port| (at(port), Some(PortProtocol::Mqtt))),
            options.wss_port.filter(|_| !shared).map(|port| (at(port), Some(PortProtocol::WebSocket))),
            options.ui.port.map(|port| (SocketAddr::new(options.ui.listen, port), None)),
        ];
        let (mut sockets, mut page, mut bound, mut unavailable) = (Vec::new(), None, [None; 4], Vec::new());
        // All are tried, so that one error names all that cannot be had.
        for (place, (address, protocol)) in
            wanted.into_iter().enumerate().filter_map(|(place, port)| Some((place, port?)))
        {
            match bind(address).await {
                Ok((socket, address)) => {
                    match protocol {
                        Some(protocol) => sockets.push((socket, protocol)),
                        None => page = Some((socket, address)),
                    }
                    bound[place] = Some(address);
                }
                Err(source) => unavailable.push(UnavailablePort { address, source }),
            }
        }
        match (bound, unavailable.pop()) {
            ([Some(https), mqtt, wss, _], None) => {
                Ok(Self { sockets, https, mqtt, wss: wss.or(shared.then_some(https)), page })
            }
            (_, Some(UnavailablePort { address, source })) if unavailable.is_empty() => {
                Err(StartError::Listen { address, source })
            }
            (_, last) => {
                unavailable.extend(last);
                Err(StartError::Ports(unavailable))
            }
        }
    }
}

async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = TcpListener::bind(address).await?;
    let bound = socket.local_addr()?;
    Ok((socket, bound))
}

/// Serves the clients of one port of the service until the emulator stops.
pub(super) async fn run(
    listener: TcpListener,
    tls: Handshakes,
    protocol: PortProtocol,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
) {
    let _ending = Ending { shared: Arc::clone(&shared), protocol };
    let stopped = stop.clone();
    let serve = |tcp, handle| serve(tcp, tls.clone(), protocol, Arc::clone(&shared), handle, stopped.clone());
    run_with(listener, serve, stop).await;
}

/// Serves the clients of a port until the emulator stops; then connections have a short time to end.
pub(super) async fn run_with<S: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    serve: impl Fn(TcpStream, PermitHandle) -> S,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        () = accept(&listener, serve, &mut connections) => {}
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        connections.shutdown().await;
    }
}

/// Records the end of a listener, by a panic too.
struct Ending {
    shared: Arc<Shared>,
    protocol: PortProtocol,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.shared.public.end(self.protocol);
    }
}

async fn accept<S: Future<Output = ()> + Send + 'static>(
    listener: &TcpListener,
    serve: impl Fn(TcpStream, PermitHandle) -> S,
    connections: &mut JoinSet<()>,
) {
    let limiter = Arc::new(ConnectionLimiter::default());
    loop {
        let tcp = match listener.accept().await {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Small replies must not wait for an acknowledgement; a socket that refuses the option still works.
        let _ = tcp.set_nodelay(true);
        // While no permit is free, later connections wait in the listen queue.
        let permit = limiter.acquire().await;
        let served = serve(tcp, permit.handle());
        connections.spawn(permit.hold(served));
        while connections.try_join_next().is_some() {}
    }
}

/// The protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PortProtocol {
    Https,
    Mqtt,
    WebSocket,
    HttpsAndWebSocket,
}

async fn serve(
    tcp: TcpStream,
    tls: Handshakes,
    protocol: PortProtocol,
    shared: Arc<Shared>,
    handle: PermitHandle,
    mut stop: watch::Receiver<bool>,
) {
    let peer = tcp.peer_addr().ok();
    let failed = |failure: String| {
        let (tls, certificates) = (None, &ClientCertificates::none());
        let accepted = Accepted { transport: protocol.transport(), peer, tls, certificates, failure: Some(failure) };
        let mut open = OpenConnection::record(Arc::clone(&shared), accepted);
        open.close_reason = Some(RefusalReason::HandshakeFailed);
    };
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, shake_hands(tls.next(&shared), tcp, failed));
    let stream = tokio::select! {
        _ = stop.wait_for(|stop| *stop) => return,
        done = handshake => match done {
            Ok(Some(stream)) => stream,
            Ok(None) => return,
            Err(_) => return failed("the handshake was not finished within 10 seconds".into()),
        },
    };
    let client = presented(&stream);
    let mut open = OpenConnection::accept(shared, protocol.transport(), &stream, client);
    match protocol {
        PortProtocol::Https => https::serve(stream, open, handle, stop).await,
        PortProtocol::Mqtt => mqtt::serve_tls(stream, open, handle, stop).await,
        PortProtocol::WebSocket | PortProtocol::HttpsAndWebSocket => {
            let Ok(Some(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, first_line(stream)).await else {
                open.close_reason = Some(RefusalReason::Silent);
                return;
            };
            if asks_for_websocket(stream.prefix()) {
                open.is_websocket();
                mqtt::serve_websocket(stream, open, handle, stop).await;
            } else if protocol == PortProtocol::HttpsAndWebSocket {
                https::serve(stream, open, handle, stop).await;
            } else {
                open.close_reason = Some(RefusalReason::WebSocketRefused);
                refuse(stream).await;
            }
        }
    }
}

impl PortProtocol {
    /// The transport of a connection whose request is not known yet.
    fn transport(self) -> Transport {
        match self {
            Self::Https | Self::HttpsAndWebSocket => Transport::Https,
            Self::Mqtt => Transport::Mqtt,
            Self::WebSocket => Transport::MqttWebSocket,
        }
    }
}

/// Returns the TLS session; `None` if the handshake failed, which is recorded at once.
async fn shake_hands(tls: &TlsAcceptor, tcp: TcpStream, failed: impl Fn(String)) -> Option<TlsStream<TcpStream>> {
    let (error, mut tcp) = match tls.accept(tcp).into_fallible().await {
        Ok(stream) => return Some(stream),
        Err(failed) => failed,
    };
    failed(error.to_string());
    // A client that has finished its part may have sent a request already: a close without reading it would reset the
    // connection, and the client would lose the alert.
    if tcp.shutdown().await.is_ok() {
        let _ = tokio::io::copy(&mut tcp, &mut tokio::io::sink()).await;
    }
    None
}

/// Reads up to the end of the first line, and returns a stream that starts with these bytes again.
async fn first_line(mut stream: TlsStream<TcpStream>) -> Option<PrefixedStream<TlsStream<TcpStream>>> {
    let mut read = Vec::with_capacity(FIRST_LINE_MAX);
    while !read.contains(&b'\n') {
        if read.len() >= FIRST_LINE_MAX || stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
    Some(PrefixedStream::new(read, stream))
}

fn asks_for_websocket(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let target = (words.next() == Some("GET")).then(|| words.next()).flatten();
    // Some clients append a query.
    target.and_then(|target| target.split('?').next()).is_some_and(|path| WEBSOCKET_TARGETS.contains(&path))
}

async fn refuse(mut stream: PrefixedStream<TlsStream<TcpStream>>) {
    let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    if stream.write_all(answer).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}
