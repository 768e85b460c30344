//! When a device registers with the provisioning service: one decision table per generation, as pure functions.
//!
//! Nothing here does I/O. A network error never leads to a registration, and a backup is given up only for an
//! assignment that is known. The daemons delete their backup before they register again; here it stays until there is a
//! new assignment.

use std::time::Duration;

/// How often a newly assigned hub is tried before its refusal counts: it may take a moment until the hub accepts a new
/// device entry.
const FRESH_TRIES: u32 = 3;

/// `auto_reprovisioning_mode` of IoT Edge 1.2 and later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Registers again when the hub refuses the device.
    #[default]
    Dynamic,
    /// Registers at each start.
    AlwaysOnStartup,
    /// Registers when the hub refuses the device at the start, and never otherwise.
    OnErrorOnly,
}

impl Mode {
    /// The names that the configuration accepts.
    pub const NAMES: &'static [&'static str] = &["Dynamic", "AlwaysOnStartup", "OnErrorOnly"];

    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dynamic => "Dynamic",
            Self::AlwaysOnStartup => "AlwaysOnStartup",
            Self::OnErrorOnly => "OnErrorOnly",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Dynamic, Self::AlwaysOnStartup, Self::OnErrorOnly].into_iter().find(|mode| mode.name() == text)
    }
}

/// When a device registers again, with defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// The flags of 1.1.
    V1_1 {
        /// Registers at each start, and uses the backup if that fails.
        always_on_startup: bool,
        /// Registers again when the hub refuses the device.
        dynamic: bool,
    },
    /// The mode of 1.2 and later.
    V1_2(Mode),
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The program started.
    Start,
    /// The hub refused the device, and had not accepted it since the start.
    RefusedAtStart,
    /// The hub refused the device after it had accepted it.
    RefusedLater,
    /// The hub cannot be reached.
    Unreachable,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Connect to the hub of the backup, without registering.
    UseBackup,
    /// Register; without an assignment, continue with the backup, which is kept until then.
    RegisterOrBackup,
    /// Register; without an assignment, fail.
    RegisterOrFail,
    /// Register; without an assignment, keep the backup, and try again later.
    RegisterOrKeep,
    /// Stay with the hub, and try it again later.
    StayWithHub,
    /// Stay with the hub, report, and do not register before the next start.
    ReportUntilRestart,
}

impl Step {
    /// Whether the device registers.
    #[must_use]
    pub const fn registers(self) -> bool {
        matches!(self, Self::RegisterOrBackup | Self::RegisterOrFail | Self::RegisterOrKeep)
    }
}

/// Returns what a device does after `event`, with or without a backup.
///
/// ```
/// use dps_edge::policy::{Event, Mode, Policy, Step, decide};
///
/// let policy = Policy::V1_2(Mode::OnErrorOnly);
/// assert_eq!(decide(policy, true, Event::Start), Step::UseBackup);
/// assert_eq!(decide(policy, true, Event::RefusedLater), Step::ReportUntilRestart);
/// ```
#[must_use]
pub const fn decide(policy: Policy, has_backup: bool, event: Event) -> Step {
    match policy {
        Policy::V1_1 { always_on_startup, dynamic } => decide_v1_1(always_on_startup, dynamic, has_backup, event),
        Policy::V1_2(mode) => decide_v1_2(mode, has_backup, event),
    }
}

/// The table of 1.1: two flags.
const fn decide_v1_1(always_on_startup: bool, dynamic: bool, has_backup: bool, event: Event) -> Step {
    match (event, always_on_startup, dynamic, has_backup) {
        (Event::Start, true, _, true) => Step::RegisterOrBackup,
        (Event::Start, false, _, true) => Step::UseBackup,
        (Event::Start, _, _, false) => Step::RegisterOrFail,
        (Event::RefusedAtStart | Event::RefusedLater, _, true, _) => Step::RegisterOrKeep,
        (Event::RefusedAtStart | Event::RefusedLater, _, false, _) => Step::ReportUntilRestart,
        (Event::Unreachable, ..) => Step::StayWithHub,
    }
}

/// The table of 1.2 and later: one mode. In all three modes a refusal at the start leads to a registration.
const fn decide_v1_2(mode: Mode, has_backup: bool, event: Event) -> Step {
    match (event, mode, has_backup) {
        (Event::Start, Mode::AlwaysOnStartup, true) => Step::RegisterOrBackup,
        (Event::Start, Mode::Dynamic | Mode::OnErrorOnly, true) => Step::UseBackup,
        (Event::Start, _, false) => Step::RegisterOrFail,
        (Event::RefusedAtStart, ..) | (Event::RefusedLater, Mode::Dynamic, _) => Step::RegisterOrKeep,
        (Event::RefusedLater, Mode::AlwaysOnStartup | Mode::OnErrorOnly, _) => Step::ReportUntilRestart,
        (Event::Unreachable, ..) => Step::StayWithHub,
    }
}

/// The waits between tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Before the first repetition; doubled with each further one.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Default for Retry {
    /// 5 seconds, doubled up to 5 minutes (Azure IoT DPS documentation, "Best practices for large-scale deployments").
    fn default() -> Self {
        Self { first: Duration::from_secs(5), longest: Duration::from_secs(300) }
    }
}

impl Retry {
    /// The wait after this many failures, plus up to a fifth of it, so that a fleet does not return at once.
    fn wait(self, failures: u32, jitter: f64) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        doubled.min(self.longest).mul_f64(1.0 + 0.2 * jitter.clamp(0.0, 1.0))
    }
}

/// What to do after the hub refused the device or could not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Try the same hub again.
    TryHubAgain {
        /// After this time.
        after: Duration,
    },
    /// Register with the provisioning service.
    Register {
        /// After this time.
        after: Duration,
    },
    /// Report that a restart is needed; meanwhile try the same hub again.
    NotBeforeRestart {
        /// After this time.
        try_hub_after: Duration,
    },
}

/// Tracks one device from its start on.
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
    /// Starts tracking. `fresh` means that the service has just assigned the hub.
    #[must_use]
    pub fn new(policy: Policy, retry: Retry, fresh: bool) -> Self {
        Self { policy, retry, let_in: false, fresh, refusals: 0, failures: 0, registrations: 0 }
    }

    /// The hub accepted the device.
    pub fn connected(&mut self) {
        self.let_in = true;
        self.fresh = false;
        (self.refusals, self.failures, self.registrations) = (0, 0, 0);
    }

    /// The service returned an assignment.
    pub fn assigned(&mut self) {
        self.fresh = true;
        self.refusals = 0;
    }

    /// The hub refused the device: the token, the device or the whole hub has changed.
    pub fn refused(&mut self) -> Verdict {
        self.refusals += 1;
        if self.fresh && self.refusals <= FRESH_TRIES {
            return Verdict::TryHubAgain { after: self.wait(self.refusals) };
        }
        let event = if self.let_in { Event::RefusedLater } else { Event::RefusedAtStart };
        if decide(self.policy, true, event) == Step::RegisterOrKeep {
            // The first time at once; after that, registering did not help.
            let after = if self.registrations == 0 { Duration::ZERO } else { self.wait(self.registrations) };
            self.registrations += 1;
            return Verdict::Register { after };
        }
        Verdict::NotBeforeRestart { try_hub_after: self.wait(self.refusals) }
    }

    /// The hub could not be reached, or the connection was lost. Never leads to a registration.
    pub fn unreachable(&mut self) -> Verdict {
        self.failures += 1;
        Verdict::TryHubAgain { after: self.wait(self.failures) }
    }

    fn wait(&self, failures: u32) -> Duration {
        self.retry.wait(failures, fastrand::f64())
    }
}
