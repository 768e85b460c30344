//! A device and its hub over time: counts refusals and failures, and says what to do next and how soon.
//!
//! Time comes in as nothing but the order of events, so the waits can be tested without any.

use std::time::Duration;

use super::{Event, Policy, Step, decide};

/// How often a hub that has only just been assigned is tried before its refusal counts: a new device entry can need a
/// moment.
const FRESH_TRIES: u32 = 3;

/// How long to wait between tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Before the first repetition; doubled with each.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Default for Retry {
    /// 5 seconds, doubled up to 5 minutes (Azure IoT DPS documentation, "Best practices for large-scale deployments").
    fn default() -> Self {
        Self { first: Duration::from_secs(5), longest: Duration::from_secs(300) }
    }
}

impl Retry {
    /// The wait after so many failures, with up to a fifth more, so that a fleet does not come back at once.
    fn wait(self, failures: u32, jitter: f64) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        doubled.min(self.longest).mul_f64(1.0 + 0.2 * jitter.clamp(0.0, 1.0))
    }
}

/// What to do after the hub turned the device away or could not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Try the same hub again.
    TryHubAgain {
        /// After this long.
        after: Duration,
    },
    /// Ask the provisioning service.
    Register {
        /// After this long.
        after: Duration,
    },
    /// Tell the owner that a restart is needed; meanwhile try the same hub again.
    NotBeforeRestart {
        /// After this long.
        try_hub_after: Duration,
    },
}

/// Follows one device from its start on.
#[derive(Debug)]
pub struct HubWatch {
    policy: Policy,
    retry: Retry,
    let_in: bool,
    fresh: bool,
    refusals: u32,
    failures: u32,
    registrations: u32,
}

impl HubWatch {
    /// From the start. `fresh` says that the service has only just assigned the hub.
    #[must_use]
    pub fn new(policy: Policy, retry: Retry, fresh: bool) -> Self {
        Self { policy, retry, let_in: false, fresh, refusals: 0, failures: 0, registrations: 0 }
    }

    /// The hub let the device in.
    pub fn connected(&mut self) {
        self.let_in = true;
        self.fresh = false;
        (self.refusals, self.failures, self.registrations) = (0, 0, 0);
    }

    /// The service gave an assignment.
    pub fn assigned(&mut self) {
        self.fresh = true;
        self.refusals = 0;
    }

    /// The hub turned the device away: the token, the device or the whole hub is not what it was.
    pub fn refused(&mut self) -> Verdict {
        self.refusals += 1;
        if self.fresh && self.refusals <= FRESH_TRIES {
            return Verdict::TryHubAgain { after: self.wait(self.refusals) };
        }
        let event = if self.let_in { Event::RefusedLater } else { Event::RefusedAtStart };
        if decide(self.policy, true, event) == Step::RegisterOrKeep {
            // The first time at once; after that the service was asked and it did not help.
            let after = if self.registrations == 0 { Duration::ZERO } else { self.wait(self.registrations) };
            self.registrations += 1;
            return Verdict::Register { after };
        }
        Verdict::NotBeforeRestart { try_hub_after: self.wait(self.refusals) }
    }

    /// The hub could not be reached, or the connection broke. Never leads to a registration.
    pub fn unreachable(&mut self) -> Verdict {
        self.failures += 1;
        Verdict::TryHubAgain { after: self.wait(self.failures) }
    }

    fn wait(&self, failures: u32) -> Duration {
        self.retry.wait(failures, fastrand::f64())
    }
}
