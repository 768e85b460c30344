//! What all connections share: the service behind its lock, the clock, and the log of events.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::sync::{Semaphore, watch};

use super::follow::FOLLOWERS_MAX;
use super::limits::ClientIds;
use super::state::Saver;
use crate::events::{Connection, Event, EventKind};
use crate::fault::RetryAfter;
use crate::service::Service;
use crate::time::Now;

/// The state that every connection shares.
pub(super) struct Shared {
    service: Mutex<Service>,
    pub(super) clock: Clock,
    pub(super) saver: Option<Saver>,
    pub(super) client_ids: Arc<ClientIds>,
    /// How many credentials were refused so far.
    pub(super) refused: watch::Sender<u64>,
    /// How many more clients can follow the events.
    pub(super) followers: Arc<Semaphore>,
    /// The number of the latest event.
    pub(super) recorded: watch::Sender<u64>,
}

impl Shared {
    pub(super) fn new(service: Service, clock: Clock, saver: Option<Saver>) -> Self {
        let (refused, recorded) = (watch::Sender::new(0), watch::Sender::new(0));
        Self {
            service: service.into(),
            clock,
            saver,
            client_ids: Arc::default(),
            refused,
            recorded,
            followers: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
        }
    }

    /// Calls the service, on a connection where there is one, and passes what happened on to the log and to those who wait
    /// for it.
    pub(super) fn ask<R>(&self, connection: Option<&Arc<Connection>>, ask: impl FnOnce(&mut Service, Now) -> R) -> R {
        let (answer, events) = {
            let mut service = self.service();
            let (now, before) = (self.clock.now(), service.events.last_seq());
            let answer = match connection {
                Some(connection) => service.on_connection(connection, |service| ask(service, now)),
                None => ask(&mut service, now),
            };
            let events: Vec<Arc<Event>> = service.events.after(before).cloned().collect();
            self.announce(&service);
            (answer, events)
        };
        // The log may block, so the service is unlocked by now.
        events.iter().for_each(|event| log_event(event));
        answer
    }

    /// Wakes those who wait for refusals or events.
    pub(super) fn announce(&self, service: &Service) {
        raise(&self.refused, service.refusals.count());
        raise(&self.recorded, service.events.last_seq());
    }

    /// Locks the service. A panic in a caller's closure leaves it in a usable state: each change is one call.
    pub(super) fn service(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The machine's clocks as the service sees them; the wall clock can have an offset.
pub(super) struct Clock {
    started: Instant,
    offset_ms: AtomicI64,
}

/// The machine's wall clock, in milliseconds since 1970.
pub(super) fn machine_unix_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

impl Clock {
    pub(super) fn new(offset_ms: i64) -> Self {
        Self { started: Instant::now(), offset_ms: AtomicI64::new(offset_ms) }
    }

    pub(super) fn set_offset_ms(&self, offset_ms: i64) {
        self.offset_ms.store(offset_ms, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Now {
        Now {
            monotonic_ms: self.started.elapsed().as_millis() as u64,
            unix_ms: machine_unix_ms().saturating_add_signed(self.offset_ms.load(Ordering::Relaxed)),
        }
    }
}

/// Wakes those who wait for the number to reach this value.
fn raise(number: &watch::Sender<u64>, value: u64) {
    number.send_if_modified(|number| std::mem::replace(number, value) != value);
}

/// Logs an exchange or a sign-in. What a client sent is quoted, so that control characters do not reach a terminal.
fn log_event(event: &Event) {
    let (call, status, code, wait, message) = match &event.kind {
        EventKind::Exchange(exchange) => {
            let message = exchange.message.clone().or_else(|| exchange.reason.map(|reason| reason.to_string()));
            (exchange.call.as_str(), exchange.status.unwrap_or_default(), exchange.code, exchange.wait_told, message)
        }
        EventKind::HubSignIn(sign_in) => {
            ("hub connect", sign_in.status, None, None, sign_in.reason.map(|reason| reason.to_string()))
        }
        _ => {
            return tracing::debug!(over = event.transport.name(), kind = event.name(), reason = ?event.reason(), "event");
        }
    };
    tracing::info!(
        over = event.transport.name(),
        device = event.registration_id.as_ref().map(tracing::field::debug),
        ?call,
        status,
        code,
        wait_s = wait.map(|wait| match wait {
            RetryAfter::Seconds(seconds) => i64::from(seconds),
            RetryAfter::Date(offset) => offset,
        }),
        reason = message.as_ref().map(tracing::field::debug),
        "exchange"
    );
}
