//! When a device asks the provisioning service: one table a generation, as pure functions.
//!
//! Nothing here does anything. A network error never leads to a registration, and a backup is given up only for an
//! assignment that is known.

mod hub_watch;
mod v1_1;
mod v1_2;

pub use hub_watch::{HubWatch, Retry, Verdict};

/// `auto_reprovisioning_mode` of IoT Edge 1.2 and later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Registers again when the hub turns the device away.
    #[default]
    Dynamic,
    /// Registers at each start.
    AlwaysOnStartup,
    /// Registers when the hub turns the device away at the start, and never else.
    OnErrorOnly,
}

impl Mode {
    /// The words that the configuration takes.
    pub const NAMES: &'static [&'static str] = &["Dynamic", "AlwaysOnStartup", "OnErrorOnly"];

    /// The word in the configuration.
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

/// When a device registers again, the defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The flags of 1.1.
    V1_1 {
        /// Asks the service at each start, and takes the backup when that fails.
        always_on_startup: bool,
        /// Registers again when the hub turns the device away.
        dynamic: bool,
    },
    /// The mode of 1.2 and later.
    V1_2(Mode),
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The program started.
    Start,
    /// The hub turned the device away, and had not let it in since the start.
    RefusedAtStart,
    /// The hub turned the device away that it had let in before.
    RefusedLater,
    /// The hub cannot be reached.
    Unreachable,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Go to the hub of the backup, without asking the service.
    UseBackup,
    /// Ask the service; and if it gives no assignment, go on with the backup, which is kept until then.
    RegisterOrBackup,
    /// Ask the service; and if it gives no assignment, there is nothing to go on with.
    RegisterOrFail,
    /// Ask the service; and if it gives no assignment, keep the backup, and try again later.
    RegisterOrKeep,
    /// Stay with the hub, and try it again later.
    StayWithHub,
    /// Stay with the hub, tell the owner, and do not ask the service before the next start.
    ReportUntilRestart,
}

impl Step {
    /// Whether the service is asked.
    #[must_use]
    pub const fn registers(self) -> bool {
        matches!(self, Self::RegisterOrBackup | Self::RegisterOrFail | Self::RegisterOrKeep)
    }
}

/// What a device does after `event`, with or without a backup.
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
        Policy::V1_1 { always_on_startup, dynamic } => v1_1::decide(always_on_startup, dynamic, has_backup, event),
        Policy::V1_2(mode) => v1_2::decide(mode, has_backup, event),
    }
}
