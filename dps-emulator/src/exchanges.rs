//! What was answered, call by call, for the log of whoever runs the service. Nothing is kept until someone asks for it.

use crate::fault::RetryAfter;

/// How many exchanges wait to be collected; later ones are dropped.
const WAITING_MAX: usize = 1000;

/// One call and its answer. Holds nothing of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exchange {
    /// The registration or device id as it was sent; empty where the call is not a device's.
    pub(crate) device: String,
    /// `register`, `poll`, `connect` and so on, or the method and path of another HTTP request.
    pub(crate) call: String,
    /// The status; for `connect` the CONNACK code, 0 where nothing was sent.
    pub(crate) status: u16,
    /// The six-digit code of an error.
    pub(crate) code: Option<u32>,
    /// The wait that the client was told.
    pub(crate) wait: Option<RetryAfter>,
    /// Why the call was refused.
    pub(crate) reason: Option<String>,
}

impl Exchange {
    pub(crate) fn new(device: &str, call: impl Into<String>, status: u16) -> Self {
        let device = device.chars().take(128).collect();
        Self { device, call: call.into(), status, code: None, wait: None, reason: None }
    }

    #[cfg(feature = "mqtt")]
    pub(crate) fn because(mut self, reason: Option<String>) -> Self {
        self.reason = reason;
        self
    }
}

/// The exchanges that were not collected yet, once collecting is on.
#[derive(Default)]
pub(crate) struct Exchanges {
    waiting: Option<Vec<Exchange>>,
    count: u64,
}

impl Exchanges {
    #[cfg(feature = "server")]
    pub(crate) fn collect(&mut self) {
        self.waiting.get_or_insert_default();
    }

    pub(crate) fn note(&mut self, exchange: impl FnOnce() -> Exchange) {
        self.count += 1;
        if let Some(waiting) = self.waiting.as_mut().filter(|waiting| waiting.len() < WAITING_MAX) {
            waiting.push(exchange());
        }
    }

    /// How many were noted, collected or not.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    #[cfg(feature = "server")]
    pub(crate) fn take(&mut self) -> Vec<Exchange> {
        self.waiting.as_mut().map(std::mem::take).unwrap_or_default()
    }
}
