//! The service's rate limits. Registers, polls and admin calls are counted separately; a refused request does not
//! count.

use std::collections::{BTreeMap, VecDeque};

use crate::fault::RetryAfter;
use crate::ids::FoldedId;
use crate::time::Now;

const MINUTE_MS: u64 = 60_000;
const POLL_WINDOW_MS: u64 = 10_000;
/// How many devices' polls are remembered before those outside of the window are removed.
const SWEEP_AT: usize = 4096;

/// How often the service can be called; `None` removes a limit.
///
/// The defaults are those that Azure publishes for DPS ("Service limits"). A lookup counts as a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Registrations per minute, all devices together; 1000.
    pub registrations_per_minute: Option<u32>,
    /// Polls in 10 seconds, per device; 5.
    pub polls_per_10_s: Option<u32>,
    /// Admin calls per minute; 1000.
    pub admin_per_minute: Option<u32>,
    /// Certificate requests to a hub per minute, per device; 10. Azure publishes no limit.
    pub renewals_per_minute: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            registrations_per_minute: Some(1000),
            polls_per_10_s: Some(5),
            admin_per_minute: Some(1000),
            renewals_per_minute: Some(10),
        }
    }
}

impl Limits {
    /// No limits, for load tests.
    #[must_use]
    pub fn none() -> Self {
        Self { registrations_per_minute: None, polls_per_10_s: None, admin_per_minute: None, renewals_per_minute: None }
    }
}

/// The times of the requests that were accepted in the last window.
#[derive(Default)]
struct Window {
    passed_ms: VecDeque<u64>,
}

impl Window {
    fn pass(&mut self, now_ms: u64, window_ms: u64, limit: u32) -> Result<(), RetryAfter> {
        let over = self.over(now_ms, window_ms);
        self.passed_ms.drain(..over);
        match self.wait(now_ms, window_ms, limit) {
            Some(hint) => Err(hint),
            None => {
                self.passed_ms.push_back(now_ms);
                Ok(())
            }
        }
    }

    /// When the next request will be accepted; `None` if it would be now.
    fn wait(&self, now_ms: u64, window_ms: u64, limit: u32) -> Option<RetryAfter> {
        let over = self.over(now_ms, window_ms);
        if self.passed_ms.len() - over < limit as usize {
            return None;
        }
        let first = self.passed_ms.get(over);
        let free_ms = first.map_or(window_ms, |first| first.saturating_add(window_ms).saturating_sub(now_ms));
        Some(RetryAfter::Seconds(free_ms.div_ceil(1000) as u32))
    }

    /// How many of the times have left the window.
    fn over(&self, now_ms: u64, window_ms: u64) -> usize {
        self.passed_ms.partition_point(|passed| passed.saturating_add(window_ms) <= now_ms)
    }

    fn is_over(&self, now_ms: u64, window_ms: u64) -> bool {
        self.passed_ms.back().is_none_or(|last| last.saturating_add(window_ms) <= now_ms)
    }
}

/// Passes one device's window, and removes the windows that are over when there are many.
fn pass_of(
    windows: &mut BTreeMap<FoldedId, Window>,
    now: Now,
    registration: &FoldedId,
    window_ms: u64,
    limit: u32,
) -> Result<(), RetryAfter> {
    if windows.len() >= SWEEP_AT {
        windows.retain(|_, window| !window.is_over(now.monotonic_ms, window_ms));
    }
    windows.entry(registration.clone()).or_default().pass(now.monotonic_ms, window_ms, limit)
}

#[derive(Default)]
pub(crate) struct Throttle {
    limits: Limits,
    registrations: Window,
    admin: Window,
    polls: BTreeMap<FoldedId, Window>,
    #[cfg(feature = "mqtt")]
    renewals: BTreeMap<FoldedId, Window>,
}

impl Throttle {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    pub(crate) fn registration(&mut self, now: Now) -> Result<(), RetryAfter> {
        match self.limits.registrations_per_minute {
            Some(limit) => self.registrations.pass(now.monotonic_ms, MINUTE_MS, limit),
            None => Ok(()),
        }
    }

    /// What [`registration`](Self::registration) would return, without counting.
    pub(crate) fn registration_wait(&self, now: Now) -> Option<RetryAfter> {
        self.registrations.wait(now.monotonic_ms, MINUTE_MS, self.limits.registrations_per_minute?)
    }

    pub(crate) fn admin(&mut self, now: Now) -> Result<(), RetryAfter> {
        match self.limits.admin_per_minute {
            Some(limit) => self.admin.pass(now.monotonic_ms, MINUTE_MS, limit),
            None => Ok(()),
        }
    }

    pub(crate) fn poll(&mut self, now: Now, registration: &FoldedId) -> Result<(), RetryAfter> {
        let Some(limit) = self.limits.polls_per_10_s else { return Ok(()) };
        pass_of(&mut self.polls, now, registration, POLL_WINDOW_MS, limit)
    }

    #[cfg(feature = "mqtt")]
    pub(crate) fn renewal(&mut self, now: Now, registration: &FoldedId) -> Result<(), RetryAfter> {
        let Some(limit) = self.limits.renewals_per_minute else { return Ok(()) };
        pass_of(&mut self.renewals, now, registration, MINUTE_MS, limit)
    }
}
