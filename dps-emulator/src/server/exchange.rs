//! One HTTP exchange: read the request, ask the service, carry out what a fault wants, send the reply.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};

use super::Shared;
use super::faulty_io::Spoiler;
use crate::http::{HttpReply, HttpRequest};
use crate::problem::Problem;
use crate::{BODY_MAX, TransportFault};

const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How much of a body that is too large is read on, so that the refusal reaches a client that is still sending.
const DRAIN_MAX: usize = 1024 * 1024;

/// The connection ends here, without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection ends without an answer")]
pub(super) struct Cut;

pub(super) async fn exchange(
    shared: &Shared,
    spoiler: &Spoiler,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Cut> {
    spoiler.clean();
    let (head, body) = request.into_parts();
    let body = tokio::time::timeout(BODY_TIMEOUT, read_body(body)).await.map_err(|_| Cut)??;
    let headers: Vec<(&str, Cow<'_, str>)> =
        head.headers.iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()))).collect();
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    let path_and_query = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let request = HttpRequest { method: head.method.as_str(), path_and_query, headers: &headers, body: &body };
    let mut reply = answer(shared, &request).await;
    match reply.fault.take() {
        Some(TransportFault::DropBefore | TransportFault::DropAfter) => return Err(Cut),
        Some(TransportFault::Silent) => std::future::pending().await,
        Some(TransportFault::Delay { ms }) => tokio::time::sleep(Duration::from_millis(ms)).await,
        Some(TransportFault::SlowBytes) => spoiler.slow(),
        Some(TransportFault::Noise) => spoiler.noise(),
        Some(TransportFault::Flood { of, .. }) => spoiler.flood(of),
        // HTTP has no request id that could be wrong.
        Some(TransportFault::WrongRequestId) | None => {}
    }
    into_response(reply)
}

/// Up to one byte more than is allowed, which the service then refuses.
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

/// Asks the service; a change of enrollments is on disk before its answer leaves.
async fn answer(shared: &Shared, request: &HttpRequest<'_>) -> HttpReply {
    let (reply, changed) = shared.ask("https", |service, now| {
        let before = service.revision();
        let reply = service.handle(now, request);
        (reply, service.revision() != before)
    });
    let Some(saver) = shared.saver.as_ref().filter(|_| changed) else { return reply };
    match saver.save().await {
        Ok(()) => reply,
        Err(error) => {
            let problem = Problem::new(500_000, format!("The change is in memory and was not kept: {error}."));
            shared.service().refuse(shared.clock.now(), &problem)
        }
    }
}

fn into_response(reply: HttpReply) -> Result<Response<Full<Bytes>>, Cut> {
    let mut response = Response::new(Full::new(Bytes::from(reply.body)));
    *response.status_mut() = StatusCode::from_u16(reply.status).map_err(|_| Cut)?;
    for (name, value) in reply.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Cut)?;
        response.headers_mut().insert(name, HeaderValue::try_from(value).map_err(|_| Cut)?);
    }
    Ok(response)
}
