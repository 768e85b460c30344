//! What all connections share: the service behind its lock, the clock, and the log of exchanges.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::sync::watch;

use super::limits::ClientIds;
use super::public::Public;
use super::state::Saver;
use crate::activity::Exchange;
use crate::clock::ServiceClock;
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
}

impl Shared {
    pub(super) fn new(mut service: Service, saver: Option<Saver>, public: Public) -> Self {
        service.exchanges.collect();
        let clock = Clock { started: Instant::now(), service: service.clock().clone() };
        let (client_ids, refused) = (Arc::default(), watch::Sender::new(0));
        Self { service: service.into(), clock, saver, public, client_ids, refused }
    }

    /// Calls the service, and passes what happened on to the log and to those who wait for refusals.
    pub(super) fn ask<R>(&self, over: &'static str, ask: impl FnOnce(&mut Service, Now) -> R) -> R {
        let (answer, exchanges, refused) = {
            let mut service = self.service();
            let answer = ask(&mut service, self.clock.now());
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
