//! IoT Edge 1.2 and later: one mode.
//!
//! The daemons delete their backup before they register again, at each start in `AlwaysOnStartup` and when the hub
//! turned the device away; here it stays until there is a new assignment. That the hub is asked at the start, and a
//! refusal then leads to a registration, is part of all three modes.

use super::{Event, Mode, Step};

pub(super) const fn decide(mode: Mode, has_backup: bool, event: Event) -> Step {
    match (event, mode, has_backup) {
        (Event::Start, Mode::AlwaysOnStartup, true) => Step::RegisterOrBackup,
        (Event::Start, Mode::Dynamic | Mode::OnErrorOnly, true) => Step::UseBackup,
        (Event::Start, _, false) => Step::RegisterOrFail,
        (Event::RefusedAtStart, ..) | (Event::RefusedLater, Mode::Dynamic, _) => Step::RegisterOrKeep,
        (Event::RefusedLater, Mode::AlwaysOnStartup | Mode::OnErrorOnly, _) => Step::ReportUntilRestart,
        (Event::Unreachable, ..) => Step::StayWithHub,
    }
}
