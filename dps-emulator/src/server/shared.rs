//! What all connections share: the service behind its lock, the clock, and the log of events.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::sync::{Semaphore, watch};

use super::follow::FOLLOWERS_MAX;
use super::limits::ClientIds;
use super::public::Public;
use super::state::Saver;
use super::webhooks::Calls;
use crate::clock::ServiceClock;
use crate::events::{Connection, Event, EventKind, WebhookExchange};
use crate::fault::RetryAfter;
use crate::service::Service;
use crate::time::Now;

/// The state that every connection shares.
pub(super) struct Shared {
    service: Mutex<Service>,
    pub(super) clock: Clock,
    pub(super) saver: Option<Saver>,
    pub(super) public: Public,
    pub(super) client_ids: Arc<ClientIds>,
    /// How many credentials were refused so far.
    pub(super) refused: watch::Sender<u64>,
    /// How many more clients can follow the events.
    pub(super) followers: Arc<Semaphore>,
    /// The number of the latest event.
    pub(super) recorded: watch::Sender<u64>,
    webhooks: OnceLock<Calls>,
}

impl Shared {
    pub(super) fn new(service: Service, saver: Option<Saver>, public: Public) -> Self {
        let clock = Clock { started: Instant::now(), service: service.clock().clone() };
        let (refused, recorded) = (watch::Sender::new(0), watch::Sender::new(0));
        let (client_ids, webhooks) = (Arc::default(), OnceLock::new());
        let followers = Arc::new(Semaphore::new(FOLLOWERS_MAX));
        Self { service: service.into(), clock, saver, public, client_ids, refused, followers, recorded, webhooks }
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
            self.call_webhooks(&mut service);
            let events: Vec<Arc<Event>> = service.events.after(before).cloned().collect();
            self.announce(&service);
            (answer, events)
        };
        // The log may block, so the service is unlocked by now.
        events.iter().for_each(|event| log_event(event));
        answer
    }

    /// Has the calls of webhooks passed to this task, which keeps their time limits.
    pub(super) fn set_webhooks(&self, calls: Calls) {
        self.service().webhooks.leave_limits_to_caller();
        // There is one task, started once.
        let _ = self.webhooks.set(calls);
    }

    /// Passes on the webhook calls that are to be made; after every change of the service.
    pub(super) fn call_webhooks(&self, service: &mut Service) {
        for call in service.take_webhook_calls() {
            // Without the task, the emulator is shutting down.
            let _ = self.webhooks.get().map(|calls| calls.send(call));
        }
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

/// The machine's clocks, and the service's, which follows them.
pub(super) struct Clock {
    started: Instant,
    pub(super) service: ServiceClock,
}

/// The machine's wall clock, in milliseconds since 1970.
pub(super) fn machine_unix_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

impl Clock {
    /// The service's time.
    pub(super) fn now(&self) -> Now {
        let monotonic_ms = self.started.elapsed().as_millis() as u64;
        self.service.now(Now { monotonic_ms, unix_ms: machine_unix_ms() })
    }
}

/// Wakes those who wait for the number to reach this value.
fn raise(number: &watch::Sender<u64>, value: u64) {
    number.send_if_modified(|number| std::mem::replace(number, value) != value);
}

/// Logs a call of a webhook. Nothing of its reply is shown as it was sent.
fn log_webhook(event: &Event, call: &WebhookExchange) {
    tracing::info!(
        device = event.registration_id.as_ref().map(tracing::field::debug),
        url = call.url,
        plain_http = call.plain_http,
        status = call.status,
        ms = call.took_ms,
        hub = call.assigned_hub.as_ref().map(tracing::field::debug),
        problem = call.failure.as_ref().map(tracing::field::debug),
        "webhook"
    );
}

/// Logs an exchange, a sign-in or a webhook's call. What a client sent is quoted, so that control characters do not reach a
/// terminal.
fn log_event(event: &Event) {
    let (call, status, code, wait, message) = match &event.kind {
        EventKind::Exchange(exchange) => {
            let message = exchange.message.clone().or_else(|| exchange.reason.map(|reason| reason.to_string()));
            (exchange.call.as_str(), exchange.status.unwrap_or_default(), exchange.code, exchange.wait_told, message)
        }
        EventKind::HubSignIn(sign_in) => {
            ("hub connect", sign_in.status, None, None, sign_in.reason.map(|reason| reason.to_string()))
        }
        EventKind::Webhook(call) => return log_webhook(event, call),
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
