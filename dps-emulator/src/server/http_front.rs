//! HTTP/1.1 over a connection, until it ends, the emulator stops, or its client does not prove a credential in time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, watch};

use super::exchange::{Cut, exchange};
use super::faulty_io::{FaultyIo, Spoiler};
use super::places::Proof;
use super::{PROVE_WITHIN, Shared};
use crate::standing::Standing;

/// Runs while a request head is awaited, so also while a device waits between two polls.
const HEAD_TIMEOUT: Duration = Duration::from_secs(150);
const HEAD_MAX: usize = 32 * 1024;
/// How long the last reply to a client may take that did not prove its credential.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    shared: Arc<Shared>,
    proof: Proof,
    mut stop: watch::Receiver<bool>,
) {
    let spoiler = Spoiler::default();
    let io = TokioIo::new(FaultyIo::new(stream, spoiler.clone()));
    let standing = Mutex::new(Standing::default());
    let service = service_fn(|request| answer(request, &shared, &spoiler, &standing, &proof));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX)
        // The service's clock is the one that replies show.
        .auto_date_header(false)
        .serve_connection(io, service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async { drop(stop.wait_for(|stop| *stop).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = unproved_for_long(&standing) => {
            // A reply that is ready is still sent. A request that is only arriving would keep the connection open.
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(SEND_TIMEOUT, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}

/// Answers a request, and notes what its answer shows of the client. `standing` is locked meanwhile.
async fn answer(
    request: Request<Incoming>,
    shared: &Shared,
    spoiler: &Spoiler,
    standing: &Mutex<Standing>,
    proof: &Proof,
) -> Result<Response<Full<Bytes>>, Cut> {
    let mut standing = standing.lock().await;
    let mut response = exchange(shared, spoiler, request).await?;
    standing.judge(response.status().as_u16());
    if standing.has_proved() {
        proof.give();
    } else if standing.is_spent() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// Returns when the client did not prove its credential in time and no request of it is being answered.
async fn unproved_for_long(standing: &Mutex<Standing>) {
    tokio::time::sleep(PROVE_WITHIN).await;
    if standing.lock().await.has_proved() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::time::Instant;

    use super::super::places::Places;
    use super::super::testing::{forged_token, good_token, shared};
    use super::*;

    async fn connected(shared: &Arc<Shared>) -> DuplexStream {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let (shared, place) = (Arc::clone(shared), Arc::new(Places::default()).take().await);
        tokio::spawn(async move {
            let (_stop, stopped) = watch::channel(false);
            serve(server, shared, place.proof(), stopped).await;
        });
        client
    }

    /// Makes a register call. Returns the status and whether the server announced to close the connection; `None` once
    /// it is closed.
    async fn register(client: &mut DuplexStream, shared: &Shared, token: &str) -> Option<(String, bool)> {
        let path = format!("/{}/registrations/dev-01/register?api-version=2021-06-01", shared.service().id_scope());
        let request =
            format!("PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nAuthorization: {token}\r\n\r\n");
        client.write_all(request.as_bytes()).await.ok()?;
        let mut reply = vec![0; 4096];
        let count = client.read(&mut reply).await.ok().filter(|count| *count > 0)?;
        let reply = String::from_utf8_lossy(&reply[..count]).to_lowercase();
        Some((reply[9..12].to_owned(), reply.contains("connection: close")))
    }

    #[tokio::test(start_paused = true)]
    async fn refused_requests_do_not_keep_a_connection_open() {
        let shared = shared();
        let mut client = connected(&shared).await;
        let token = forged_token(&shared, "dev-01");
        let began = Instant::now();
        while register(&mut client, &shared, &token).await.is_some() {
            assert!(began.elapsed() < 2 * PROVE_WITHIN, "a client without a verified credential keeps its place");
            tokio::time::sleep(Duration::from_secs(25)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn request_that_never_ends_does_not_keep_a_connection_open() {
        let shared = shared();
        let mut client = connected(&shared).await;
        let began = Instant::now();
        client.write_all(b"PUT /").await.unwrap();
        while client.write_all(b"x").await.is_ok() {
            assert!(began.elapsed() < 2 * PROVE_WITHIN, "a client without a verified credential keeps its place");
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn tenth_refused_request_closes_the_connection() {
        let shared = shared();
        let mut client = connected(&shared).await;
        let token = forged_token(&shared, "dev-01");
        for number in 1..=10 {
            let reply = register(&mut client, &shared, &token).await;
            assert_eq!(reply, Some(("401".to_owned(), number == 10)), "request {number}");
        }
        assert_eq!(register(&mut client, &shared, &token).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn connection_with_an_accepted_request_stays_open() {
        let shared = shared();
        let mut client = connected(&shared).await;
        let accepted = register(&mut client, &shared, &good_token(&shared, "dev-01")).await;
        assert_eq!(accepted, Some(("202".to_owned(), false)));
        let token = forged_token(&shared, "dev-01");
        for _ in 0..12 {
            tokio::time::sleep(Duration::from_secs(25)).await;
            assert_eq!(register(&mut client, &shared, &token).await, Some(("401".to_owned(), false)));
        }
    }
}
