//! The fronts, HTTPS, MQTT and MQTT over WebSocket: sockets, TLS, the machine's clock and a folder around the pure service.
//!
//! Rules of the service have no place here; this only carries bytes to the service and back.

mod certificate;
mod clock;
mod connection;
mod doors;
mod emulator;
mod error;
mod exchange;
mod faulty_io;
mod files;
mod http_front;
mod listener;
mod log;
mod mqtt_front;
mod options;
mod places;
mod rewound;
mod saver;
mod seats;
mod state;
#[cfg(test)]
mod testing;
mod tls;

pub use emulator::Emulator;
pub use error::{StartError, StateError};
pub use options::EmulatorOptions;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::crypto::CryptoProvider;

use crate::now::Now;
use crate::service::Service;
use clock::Clock;
use saver::Saver;
use seats::Seats;
use tokio::sync::watch;

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("feature `server` of dps-emulator needs a crypto provider: enable `aws-lc-rs` or `ring`");

/// The provider of TLS: aws-lc-rs where both are compiled in. Never installed process-wide.
fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    let provider = rustls::crypto::ring::default_provider();
    Arc::new(provider)
}

/// How long a connection may last without a credential that was verified.
const PROVE_WITHIN: Duration = Duration::from_secs(60);

/// What every connection shares.
struct Shared {
    service: Mutex<Service>,
    clock: Clock,
    saver: Option<Saver>,
    seats: Arc<Seats>,
    /// How many credentials were refused so far.
    refused: watch::Sender<u64>,
}

impl Shared {
    fn new(mut service: Service, clock: Clock, saver: Option<Saver>) -> Self {
        service.exchanges.collect();
        Self { service: service.into(), clock, saver, seats: Arc::default(), refused: watch::Sender::new(0) }
    }

    /// Asks the service something, and tells what happened to the log and to those who wait for refusals.
    fn ask<R>(&self, over: &'static str, ask: impl FnOnce(&mut Service, Now) -> R) -> R {
        let (answer, exchanges, refused) = {
            let mut service = self.service();
            let answer = ask(&mut service, self.clock.now());
            (answer, service.exchanges.take(), service.refusals.count())
        };
        // The log may block: the service is free by now.
        exchanges.iter().for_each(|exchange| log::exchange(over, exchange));
        self.refused.send_if_modified(|count| {
            let more = refused > *count;
            *count = refused.max(*count);
            more
        });
        answer
    }

    /// A panic in a caller's closure leaves the service whole enough to go on with: each change is one call.
    fn service(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
