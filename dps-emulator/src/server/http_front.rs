//! HTTP/1.1 over a connection, until it ends or the emulator does.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::Shared;
use super::exchange::exchange;
use super::faulty_io::{FaultyIo, Spoiler};

/// Runs while a request head is awaited, so also while a device waits between two polls.
const HEAD_TIMEOUT: Duration = Duration::from_secs(150);
const HEAD_MAX: usize = 32 * 1024;

pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
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
