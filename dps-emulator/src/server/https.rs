//! HTTPS: each request is passed to the service, a fault is carried out, and the reply is sent.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::follow::{FOLLOWERS_MAX, ReplyBody, follow};
use super::http1::{self, Answers, Cut, into_response};
use super::io::{FaultyIo, WriteFault};
use super::limits::PermitHandle;
use super::open::OpenConnection;
use super::public;
use super::shared::Shared;
use crate::auth::ConnectionAuth;
use crate::control_events::FOLLOWED;
use crate::events::{Connection, EventQuery};
use crate::fault::TransportFault;
use crate::http::{HttpReply, HttpRequest};
use crate::service::Service;
use crate::time::Now;
use crate::wire::Problem;

pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    mut open: OpenConnection,
    handle: PermitHandle,
    stop: watch::Receiver<bool>,
) {
    let write_fault = WriteFault::default();
    let stream = FaultyIo::new(stream, write_fault.clone());
    let calls = Calls { open: &open, write_fault: &write_fault, stop: &stop };
    let close_reason = http1::serve(stream, &calls, &handle, stop.clone()).await;
    open.close_reason = close_reason;
}

/// The calls that arrive on a connection.
struct Calls<'a> {
    open: &'a OpenConnection,
    write_fault: &'a WriteFault,
    stop: &'a watch::Receiver<bool>,
}

impl Answers for Calls<'_> {
    async fn answer(&self, request: Request<Incoming>, auth: &mut ConnectionAuth) -> Result<Response<ReplyBody>, Cut> {
        self.write_fault.clean();
        let path_and_query = request.uri().path_and_query().map_or("/", |path| path.as_str());
        if let Some(reply) = public::reply(&self.open.shared, request.method().as_str(), path_and_query) {
            return into_response(reply);
        }
        let response = self.exchange(request).await?;
        auth.record_reply(response.status().as_u16());
        Ok(response)
    }
}

impl Calls<'_> {
    async fn exchange(&self, request: Request<Incoming>) -> Result<Response<ReplyBody>, Cut> {
        let (head, body) = http1::receive(request).await?;
        let headers = http1::headers(&head);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        let path_and_query = http1::target(&head);
        let request = HttpRequest { method: head.method.as_str(), path_and_query, headers: &headers, body: &body };
        let client = &self.open.client;
        let call = |service: &mut Service, now| {
            self.open.call(service, |service| service.handle_with_certificates(now, &request, client))
        };
        let mut reply = ask_service(&self.open.shared, Some(self.open.connection()), &request, call).await;
        match reply.fault.take() {
            Some(TransportFault::DropBefore | TransportFault::DropAfter) => return Err(Cut),
            Some(TransportFault::Silent) => std::future::pending().await,
            Some(TransportFault::Delay { ms }) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Some(TransportFault::SlowBytes) => self.write_fault.slow(),
            Some(TransportFault::Noise) => self.write_fault.noise(),
            Some(TransportFault::Flood { of, .. }) => self.write_fault.flood(of),
            // HTTP has no request id.
            Some(TransportFault::WrongRequestId | TransportFault::MissingRequestId | TransportFault::Duplicate)
            | None => {}
        }
        reply_or_follow(&self.open.shared, path_and_query, reply, self.stop)
    }
}

/// Sends a reply, or begins one that goes on as long as events happen.
pub(super) fn reply_or_follow(
    shared: &Arc<Shared>,
    path_and_query: &str,
    reply: HttpReply,
    stop: &watch::Receiver<bool>,
) -> Result<Response<ReplyBody>, Cut> {
    if reply.header("Content-Type") != Some(FOLLOWED) {
        return into_response(reply);
    }
    let query = path_and_query.split_once('?').map_or("", |(_, query)| query);
    let (Ok(query), Ok(permit)) = (EventQuery::parse(query), Arc::clone(&shared.followers).try_acquire_owned()) else {
        let message = format!("{FOLLOWERS_MAX} clients follow the events already.");
        let busy = Problem { message, ..Problem::throttled(None) };
        return into_response(shared.service().refuse(shared.clock.now(), &busy));
    };
    let (head, _) = into_response(reply)?.into_parts();
    Ok(Response::from_parts(head, follow(Arc::clone(shared), permit, query.filter, stop.clone())))
}

/// Passes a request to the service; a change of enrollments is on disk before its reply is sent.
pub(super) async fn ask_service(
    shared: &Shared,
    connection: Option<&Arc<Connection>>,
    request: &HttpRequest<'_>,
    call: impl FnOnce(&mut Service, Now) -> HttpReply,
) -> HttpReply {
    let (reply, changed) = shared.ask(connection, |service, now| {
        let before = service.revision();
        let reply = call(service, now);
        (reply, service.revision() != before)
    });
    let Some(saver) = shared.saver.as_ref().filter(|_| changed) else { return reply };
    match saver.save().await {
        Ok(()) => reply,
        Err(error) => {
            let problem = Problem::new(500_000, format!("The change is in memory but could not be saved: {error}."));
            shared.ask(connection, |service, now| service.refuse_unsaved(now, request, &problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::time::Instant;

    use super::super::limits::{ConnectionLimiter, VERIFY_WITHIN};
    use super::super::shared::Shared;
    use super::super::testing::{forged_token, good_token, opened, shared};
    use crate::events::{EventKind, RefusalReason, Transport};

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
