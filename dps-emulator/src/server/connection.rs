//! One connection, from TLS handshake to close, with a deadline on everything that a client could leave hanging.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::Shared;
use super::exchange::exchange;
use super::faulty_io::{FaultyIo, Spoiler};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Runs while a request head is awaited, so also while a device waits between two polls.
const HEAD_TIMEOUT: Duration = Duration::from_secs(150);
const HEAD_MAX: usize = 32 * 1024;

pub(super) async fn serve(tcp: TcpStream, tls: TlsAcceptor, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
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
    let spoiler = Spoiler::default();
    let io = TokioIo::new(FaultyIo::new(stream, spoiler.clone()));
    let service = service_fn(move |request| {
        let (shared, spoiler) = (Arc::clone(&shared), spoiler.clone());
        async move { exchange(&shared, &spoiler, request).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX)
        // The service's clock is the one that replies show.
        .auto_date_header(false)
        .serve_connection(io, service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = stop.wait_for(|stop| *stop) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}
