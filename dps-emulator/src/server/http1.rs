//! HTTP/1.1 over a connection, until it ends, the emulator stops, or its client has no credential verified in time. What is
//! replied to a request is decided by [`Answers`].

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, watch};

use super::follow::ReplyBody;
use super::limits::{PermitHandle, VERIFY_WITHIN};
use crate::auth::ConnectionAuth;
use crate::events::RefusalReason;
use crate::http::HttpReply;
use crate::wire::BODY_MAX;

/// Runs while a request head is awaited, and so also while a device waits between two polls.
const HEAD_TIMEOUT: Duration = Duration::from_secs(150);
const HEAD_MAX: usize = 32 * 1024;
/// How long sending the last reply may take when the client's credential was not verified.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How much of an oversized body is read, so that the refusal reaches a client that is still sending.
const DRAIN_MAX: usize = 1024 * 1024;

/// The connection ends here, without a reply.
#[derive(Debug, thiserror::Error)]
#[error("the connection ends without a reply")]
pub(super) struct Cut;

/// What is replied to the requests of one connection.
pub(super) trait Answers {
    /// Replies to a request, and records in `auth` what the reply reveals about the client.
    fn answer(
        &self,
        request: Request<Incoming>,
        auth: &mut ConnectionAuth,
    ) -> impl Future<Output = Result<Response<ReplyBody>, Cut>> + Send;
}

/// Serves a connection. Returns why it was closed, if the emulator closed it for its client.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    answers: &impl Answers,
    handle: &PermitHandle,
    mut stop: watch::Receiver<bool>,
) -> Option<RefusalReason> {
    let auth = Mutex::new(ConnectionAuth::default());
    let ended = {
        let service = service_fn(|request| answer(request, answers, &auth, handle));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_MAX)
            // Replies show the service's clock.
            .auto_date_header(false)
            .serve_connection(TokioIo::new(stream), service);
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
    match ended {
        Ok(None) if auth.lock().await.has_too_many_refusals() => Some(RefusalReason::TooManyRefusals),
        Ok(reason) => reason,
        Err(error) => {
            tracing::debug!(%error, "connection ended early");
            None
        }
    }
}

/// Replies to a request. `auth` is locked meanwhile.
async fn answer(
    request: Request<Incoming>,
    answers: &impl Answers,
    auth: &Mutex<ConnectionAuth>,
    handle: &PermitHandle,
) -> Result<Response<ReplyBody>, Cut> {
    let mut auth = auth.lock().await;
    let mut response = answers.answer(request, &mut auth).await?;
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

/// Returns a request with its whole body, or with one byte more than is allowed, which is then refused.
pub(super) async fn receive(request: Request<Incoming>) -> Result<(Parts, Vec<u8>), Cut> {
    let (head, body) = request.into_parts();
    let body = tokio::time::timeout(BODY_TIMEOUT, read_body(body)).await.map_err(|_| Cut)??;
    Ok((head, body))
}

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

/// Path and query of a request.
pub(super) fn target(head: &Parts) -> &str {
    head.uri.path_and_query().map_or("/", |path| path.as_str())
}

/// The headers of a request as text.
pub(super) fn headers(head: &Parts) -> Vec<(&str, Cow<'_, str>)> {
    head.headers.iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()))).collect()
}

pub(super) fn into_response(reply: HttpReply) -> Result<Response<ReplyBody>, Cut> {
    let mut response = Response::new(ReplyBody::Whole(Full::new(Bytes::from(reply.body))));
    *response.status_mut() = StatusCode::from_u16(reply.status).map_err(|_| Cut)?;
    for (name, value) in reply.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Cut)?;
        response.headers_mut().insert(name, HeaderValue::try_from(value).map_err(|_| Cut)?);
    }
    Ok(response)
}
