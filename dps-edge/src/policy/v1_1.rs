//! IoT Edge 1.1: two flags.
//!
//! The daemon, told by the hub to go away, deletes its backup, removes the modules and registers at its next start; here
//! the backup stays until there is a new assignment.

use super::{Event, Step};

pub(super) const fn decide(always_on_startup: bool, dynamic: bool, has_backup: bool, event: Event) -> Step {
    match (event, always_on_startup, dynamic, has_backup) {
        (Event::Start, true, _, true) => Step::RegisterOrBackup,
        (Event::Start, false, _, true) => Step::UseBackup,
        (Event::Start, _, _, false) => Step::RegisterOrFail,
        (Event::RefusedAtStart | Event::RefusedLater, _, true, _) => Step::RegisterOrKeep,
        (Event::RefusedAtStart | Event::RefusedLater, _, false, _) => Step::ReportUntilRestart,
        (Event::Unreachable, ..) => Step::StayWithHub,
    }
}
