//! HTTP/1.1 over a connection, until it ends, the emulator stops, or its client has no credential verified in time. For
//! each exchange: read the request, pass it to the service, carry out a fault, send the reply.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, watch};

use super::follow::{FOLLOWERS_MAX, ReplyBody, follow};
use super::io::{FaultyIo, WriteFault};
use super::limits::{PermitHandle, VERIFY_WITHIN};
use super::open::OpenConnection;
use super::public;
use crate::auth::ConnectionAuth;
use crate::control_events::FOLLOWED;
use crate::events::{EventQuery, RefusalReason};
use crate::fault::TransportFault;
use crate::http::{HttpReply, HttpRequest};
use crate::wire::{BODY_MAX, Problem};

/// Runs while a request head is awaited, and so also while a device waits between two polls.
const HEAD_TIMEOUT: Duration = Duration::from_secs(150);
const HEAD_MAX: usize = 32 * 1024;
/// How long sending the last reply may take when the client's credential was not verified.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How much of an oversized body is read, so that the refusal reaches a client that is still sending.
const DRAIN_MAX: usize = 1024 * 1024;

pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    mut open: OpenConnection,
    handle: PermitHandle,
    mut stop: watch::Receiver<bool>,
) {
    let write_fault = WriteFault::default();
    let io = TokioIo::new(FaultyIo::new(stream, write_fault.clone()));
    let auth = Mutex::new(ConnectionAuth::default());
    let ended = {
        let stopped = stop.clone();
        let service = service_fn(|request| answer(request, &open, &write_fault, &auth, &handle, &stopped));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_MAX)
            // Replies show the service's clock.
            .auto_date_header(false)
            .serve_connection(io, service);
        tokio::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => ended.map(|()| None),
            () = async { drop(stop.wait_for(|stop| *stop).await) } => {
                connection.as_mut().graceful_shutdown();
                connection.await.map(|()| None)
            }
            () = unverified_for_long(&auth) => {
                // A reply that is ready is still sent. A request that is still arriving would keep the connection open.
                connection.as_mut().graceful_shutdown();
                let ended = tokio::time::timeout(SEND_TIMEOUT, connection).await.unwrap_or(Ok(()));
                ended.map(|()| Some(RefusalReason::Unverified))
            }
        }
    };
    open.close_reason = match ended {
        Ok(None) if auth.lock().await.has_too_many_refusals() => Some(RefusalReason::TooManyRefusals),
        Ok(reason) => reason,
        Err(error) => {
            tracing::debug!(%error, "connection ended early");
            None
        }
    };
}

/// Replies to a request, and records what the reply reveals about the client. `auth` is locked meanwhile.
async fn answer(
    request: Request<Incoming>,
    open: &OpenConnection,
    write_fault: &WriteFault,
    auth: &Mutex<ConnectionAuth>,
    handle: &PermitHandle,
    stop: &watch::Receiver<bool>,
) -> Result<Response<ReplyBody>, Cut> {
    let mut auth = auth.lock().await;
    let path_and_query = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if let Some(reply) = public::reply(&open.shared, request.method().as_str(), path_and_query) {
        write_fault.clean();
        return into_response(reply);
    }
    let mut response = exchange(open, write_fault, request, stop).await?;
    auth.record_reply(response.status().as_u16());
    if auth.is_verified() {
        handle.mark_verified();
    } else if auth.has_too_many_refusals() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// Returns when no credential of the client was verified in time and no request of it is in progress.
async fn unverified_for_long(auth: &Mutex<ConnectionAuth>) {
    tokio::time::sleep(VERIFY_WITHIN).await;
    if auth.lock().await.is_verified() {
        std::future::pending().await
    }
}

/// The connection ends here, without a reply.
#[derive(Debug, thiserror::Error)]
#[error("the connection ends without a reply")]
struct Cut;

async fn exchange(
    open: &OpenConnection,
    write_fault: &WriteFault,
    request: Request<Incoming>,
    stop: &watch::Receiver<bool>,
) -> Result<Response<ReplyBody>, Cut> {
    write_fault.clean();
    let (head, body) = request.into_parts();
    let body = tokio::time::timeout(BODY_TIMEOUT, read_body(body)).await.map_err(|_| Cut)??;
    let headers: Vec<(&str, Cow<'_, str>)> =
        head.headers.iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()))).collect();
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    let path_and_query = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let request = HttpRequest { method: head.method.as_str(), path_and_query, headers: &headers, body: &body };
    let mut reply = ask_service(open, &request).await;
    match reply.fault.take() {
        Some(TransportFault::DropBefore | TransportFault::DropAfter) => return Err(Cut),
        Some(TransportFault::Silent) => std::future::pending().await,
        Some(TransportFault::Delay { ms }) => tokio::time::sleep(Duration::from_millis(ms)).await,
        Some(TransportFault::SlowBytes) => write_fault.slow(),
        Some(TransportFault::Noise) => write_fault.noise(),
        Some(TransportFault::Flood { of, .. }) => write_fault.flood(of),
        // HTTP has no request id.
        Some(TransportFault::WrongRequestId) | None => {}
    }
    if reply.header("Content-Type") == Some(FOLLOWED) {
        return follow_events(open, path_and_query, reply, stop);
    }
    into_response(reply)
}

/// Begins a reply that goes on as long as events happen.
fn follow_events(
    open: &OpenConnection,
    path_and_query: &str,
    head: HttpReply,
    stop: &watch::Receiver<bool>,
) -> Result<Response<ReplyBody>, Cut> {
    let shared = &open.shared;
    let query = path_and_query.split_once('?').map_or("", |(_, query)| query);
    let (Ok(query), Ok(permit)) = (EventQuery::parse(query), Arc::clone(&shared.followers).try_acquire_owned()) else {
        let message = format!("{FOLLOWERS_MAX} clients follow the events already.");
        let busy = Problem { message, ..Problem::throttled(None) };
        return into_response(shared.service().refuse(shared.clock.now(), &busy));
    };
    let (head, _) = into_response(head)?.into_parts();
    Ok(Response::from_parts(head, follow(Arc::clone(shared), permit, query.filter, stop.clone())))
}

/// Reads up to one byte more than is allowed, which the service then refuses.
async fn read_body(mut body: Incoming) -> Result<Vec<u8>, Cut> {
    let (mut kept, mut seen) = (Vec::new(), 0);
    while seen < DRAIN_MAX {
        let Some(frame) = body.frame().await else { break };
        let Ok(data) = frame.map_err(|_| Cut)?.into_data() else { continue };
        let room = (BODY_MAX + 1).saturating_sub(kept.len());
        kept.extend_from_slice(&data[..data.len().min(room)]);
        seen += data.len();
    }
    Ok(kept)
}

/// Passes a request to the service; a change of enrollments is on disk before its reply is sent.
async fn ask_service(open: &OpenConnection, request: &HttpRequest<'_>) -> HttpReply {
    let (reply, changed) = open.ask(|service, now| {
        let before = service.revision();
        let reply = service.handle_with_certificates(now, request, &open.client);
        (reply, service.revision() != before)
    });
    let shared = &open.shared;
    let Some(saver) = shared.saver.as_ref().filter(|_| changed) else { return reply };
    match saver.save().await {
        Ok(()) => reply,
        Err(error) => {
            let problem = Problem::new(500_000, format!("The change is in memory but could not be saved: {error}."));
            open.ask(|service, now| service.refuse_unsaved(now, request, &problem))
        }
    }
}

fn into_response(reply: HttpReply) -> Result<Response<ReplyBody>, Cut> {
    let mut response = Response::new(ReplyBody::Whole(Full::new(Bytes::from(reply.body))));
    *response.status_mut() = StatusCode::from_u16(reply.status).map_err(|_| Cut)?;
    for (name, value) in reply.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Cut)?;
        response.headers_mut().insert(name, HeaderValue::try_from(value).map_err(|_| Cut)?);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::time::Instant;

    use super::super::limits::ConnectionLimiter;
    use super::super::shared::Shared;
    use super::super::testing::{forged_token, good_token, opened, shared};
    use crate::events::{EventKind, Transport};

    async fn connected(shared: &Arc<Shared>) -> DuplexStream {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let (shared, permit) = (Arc::clone(shared), Arc::new(ConnectionLimiter::default()).acquire().await);
        tokio::spawn(async move {
            let (_stop, stopped) = watch::channel(false);
            serve(server, opened(&shared, Transport::Https), permit.handle(), stopped).await;
        });
        client
    }

    /// Makes a register call. Returns the status and whether the server announced that it will close the connection;
    /// `None` once it is closed.
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
            assert!(began.elapsed() < 2 * VERIFY_WITHIN, "a client without a verified credential stays connected");
            tokio::time::sleep(Duration::from_secs(25)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn connection_lasts_by_the_services_clock_as_over_mqtt() {
        let shared = shared();
        let mut client = connected(&shared).await;
        register(&mut client, &shared, &good_token(&shared, "dev-01")).await;
        shared.clock.service.advance_ms(3_600_000).unwrap();
        drop(client);
        let mut recorded = shared.recorded.subscribe();
        loop {
            let last = shared.service().events().last().cloned().unwrap();
            if let EventKind::Disconnection(end) = last.kind {
                assert!(end.lasted_ms >= 3_600_000, "{}", end.lasted_ms);
                assert_eq!(last.registration_id.as_deref(), Some("dev-01"));
                return;
            }
            recorded.changed().await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn request_that_never_ends_does_not_keep_a_connection_open() {
        let shared = shared();
        let mut client = connected(&shared).await;
        let began = Instant::now();
        client.write_all(b"PUT /").await.unwrap();
        while client.write_all(b"x").await.is_ok() {
            assert!(began.elapsed() < 2 * VERIFY_WITHIN, "a client without a verified credential stays connected");
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
        // The client may see the end before the connection's task has ended.
        let mut recorded = shared.recorded.subscribe();
        let last = || shared.service().events().last().and_then(crate::events::Event::reason);
        while last() != Some(RefusalReason::TooManyRefusals) {
            recorded.changed().await.unwrap();
        }
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
