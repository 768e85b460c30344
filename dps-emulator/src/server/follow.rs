//! Events as they happen, for clients of `GET /emulator/events?follow=true`: a reply of server-sent events (WHATWG HTML,
//! section 9.2) that lasts until the client closes the connection.
//!
//! A client that reads too slowly misses events and delays nothing: what it missed is counted in an event `dropped`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::shared::Shared;
use crate::events::{Event, EventFilter};

/// How many clients can follow the events at a time.
pub(super) const FOLLOWERS_MAX: usize = 16;
/// How many events are read at once, so that the service is never locked for long.
const BATCH: usize = 500;
/// How long events are gathered after a piece, so that those of a burst share the next one: each piece costs both sides a system
/// call. An event after a longer pause is sent at once.
const GATHER: Duration = Duration::from_millis(20);
/// How many pieces are made ready for a client that does not read.
const READY_MAX: usize = 8;
/// How often a comment is sent while nothing happens, so that both sides notice a broken connection.
const COMMENT_EVERY: Duration = Duration::from_secs(15);

/// The body of a reply.
pub(super) enum ReplyBody {
    /// As the service made it.
    Whole(Full<Bytes>),
    /// Events as they happen.
    Events(mpsc::Receiver<Bytes>),
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(body) => Pin::new(body).poll_frame(cx),
            Self::Events(events) => Poll::Ready(ready!(events.poll_recv(cx)).map(|piece| Ok(Frame::data(piece)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Events(_) => SizeHint::default(),
        }
    }
}

/// Starts to send the events that match; the body ends when the client leaves or the emulator stops.
pub(super) fn follow(
    shared: Arc<Shared>,
    permit: OwnedSemaphorePermit,
    filter: EventFilter,
    mut stop: watch::Receiver<bool>,
) -> ReplyBody {
    let (sender, receiver) = mpsc::channel(READY_MAX);
    tokio::spawn(async move {
        let _permit = permit;
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            () = sender.closed() => {}
            _ = send_all(&shared, &filter, &sender) => {}
        }
    });
    ReplyBody::Events(receiver)
}

/// Returns when the client has left.
async fn send_all(shared: &Shared, filter: &EventFilter, sender: &mpsc::Sender<Bytes>) -> Option<()> {
    let mut recorded = shared.recorded.subscribe();
    let mut seen = filter.first();
    // A client may ask for events before it knows any number.
    sender.send(Bytes::from_static(b": follows\n\n")).await.ok()?;
    let mut next_piece = Instant::now();
    loop {
        let (dropped, batch) = {
            let service = shared.service();
            let batch: Vec<Arc<Event>> = service.events.after(seen).take(BATCH).cloned().collect();
            (service.events.dropped_after(seen), batch)
        };
        let mut piece = Vec::new();
        if dropped > 0 {
            piece.extend_from_slice(format!("event: dropped\ndata: {{\"dropped\":{dropped}}}\n\n").as_bytes());
        }
        for event in batch.iter().filter(|event| filter.matches(event)) {
            piece.extend_from_slice(format!("id: {}\ndata: ", event.seq).as_bytes());
            // An event is always JSON.
            let _ = serde_json::to_writer(&mut piece, &**event);
            piece.extend_from_slice(b"\n\n");
        }
        if !piece.is_empty() {
            sender.send(piece.into()).await.ok()?;
            next_piece = Instant::now() + GATHER;
        }
        if let Some(last) = batch.last() {
            seen = last.seq;
            continue;
        }
        let quiet = tokio::time::timeout(COMMENT_EVERY, recorded.wait_for(|last| *last > seen)).await.is_err();
        if quiet {
            sender.send(Bytes::from_static(b": nothing happened\n\n")).await.ok()?;
        }
        sleep_until(next_piece).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::super::testing::{opened, shared};
    use super::*;
    use crate::events::Transport;

    #[tokio::test(start_paused = true)]
    async fn first_event_is_sent_at_once_and_those_of_a_burst_share_the_next_piece() {
        let shared = shared();
        let (_stop, stopped) = watch::channel(false);
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let body = follow(Arc::clone(&shared), permit, EventFilter::new(), stopped);
        let ReplyBody::Events(mut pieces) = body else { panic!("the body has a length") };
        assert_eq!(pieces.recv().await.unwrap(), ": follows\n\n");
        let began = Instant::now();
        let mut open = vec![opened(&shared, Transport::Https)];
        assert_eq!(events_in(pieces.recv().await), 1);
        assert_eq!(began.elapsed(), Duration::ZERO);
        for _ in 0..3 {
            open.push(opened(&shared, Transport::Https));
            tokio::task::yield_now().await;
        }
        assert_eq!(events_in(pieces.recv().await), 3);
    }

    fn events_in(piece: Option<Bytes>) -> usize {
        String::from_utf8(piece.unwrap().into()).unwrap().matches("\ndata: {\"seq\":").count()
    }
}
