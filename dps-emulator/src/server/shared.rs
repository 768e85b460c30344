//! What all connections share: the service behind its lock, the clock, and the log of exchanges.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::sync::watch;

use super::limits::ClientIds;
use super::state::Saver;
use super::webhooks::Calls;
use crate::activity::Exchange;
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
    webhooks: OnceLock<Calls>,
}

impl Shared {
    pub(super) fn new(mut service: Service, clock: Clock, saver: Option<Saver>) -> Self {
        service.exchanges.collect();
        Self {
            service: service.into(),
            clock,
            saver,
            client_ids: Arc::default(),
            refused: watch::Sender::new(0),
            webhooks: OnceLock::new(),
        }
    }

    /// Calls the service, and passes what happened on to the log and to those who wait for refusals.
    pub(super) fn ask<R>(&self, over: &'static str, ask: impl FnOnce(&mut Service, Now) -> R) -> R {
        let (answer, exchanges, refused) = {
            let mut service = self.service();
            let answer = ask(&mut service, self.clock.now());
            self.call_webhooks(&mut service);
            (answer, service.exchanges.take(), service.refusals.count())
        };
        // The log may block, so the service is unlocked by now.
        exchanges.iter().for_each(|exchange| log_exchange(over, exchange));
        self.refused.send_if_modified(|count| {
            let more = refused > *count;
            *count = refused.max(*count);
            more
        });
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

/// Logs an exchange. What a client sent is quoted, so that control characters do not reach a terminal.
fn log_exchange(over: &'static str, exchange: &Exchange) {
    let Exchange { device, call, status, .. } = exchange;
    tracing::info!(
        over,
        device = (!device.is_empty()).then_some(tracing::field::debug(device)),
        ?call,
        status,
        code = exchange.code,
        wait_s = exchange.wait.map(|wait| match wait {
            RetryAfter::Seconds(seconds) => i64::from(seconds),
            RetryAfter::Date(offset) => offset,
        }),
        reason = exchange.reason.as_ref().map(tracing::field::debug),
        "exchange"
    );
}
