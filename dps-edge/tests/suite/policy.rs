//! The decision tables, row by row: every policy, with and without a backup, for every event.

use std::time::Duration;

use dps_edge::policy::Step::{
    RegisterOrBackup, RegisterOrFail, RegisterOrKeep, ReportUntilRestart, StayWithHub, UseBackup,
};
use dps_edge::policy::{Event, HubWatch, Mode, Policy, Retry, Step, Verdict, decide};

/// A policy, and its step at the start with a backup, at the start without, when refused at the start, and when refused
/// later. Unreachable hubs are the same for all.
const TABLE: &[(Policy, [Step; 4])] = &[
    (
        Policy::V1_1 { always_on_startup: true, dynamic: false },
        [RegisterOrBackup, RegisterOrFail, ReportUntilRestart, ReportUntilRestart],
    ),
    (
        Policy::V1_1 { always_on_startup: false, dynamic: false },
        [UseBackup, RegisterOrFail, ReportUntilRestart, ReportUntilRestart],
    ),
    (
        Policy::V1_1 { always_on_startup: true, dynamic: true },
        [RegisterOrBackup, RegisterOrFail, RegisterOrKeep, RegisterOrKeep],
    ),
    (
        Policy::V1_1 { always_on_startup: false, dynamic: true },
        [UseBackup, RegisterOrFail, RegisterOrKeep, RegisterOrKeep],
    ),
    (Policy::V1_2(Mode::Dynamic), [UseBackup, RegisterOrFail, RegisterOrKeep, RegisterOrKeep]),
    (Policy::V1_2(Mode::AlwaysOnStartup), [RegisterOrBackup, RegisterOrFail, RegisterOrKeep, ReportUntilRestart]),
    (Policy::V1_2(Mode::OnErrorOnly), [UseBackup, RegisterOrFail, RegisterOrKeep, ReportUntilRestart]),
];

#[test]
fn decide_follows_the_documented_tables() {
    for (policy, [start, first_start, refused_at_start, refused_later]) in TABLE {
        assert_eq!(decide(*policy, true, Event::Start), *start, "{policy:?}");
        assert_eq!(decide(*policy, false, Event::Start), *first_start, "{policy:?}");
        for has_backup in [false, true] {
            assert_eq!(decide(*policy, has_backup, Event::RefusedAtStart), *refused_at_start, "{policy:?}");
            assert_eq!(decide(*policy, has_backup, Event::RefusedLater), *refused_later, "{policy:?}");
            let unreachable = decide(*policy, has_backup, Event::Unreachable);
            assert_eq!(unreachable, StayWithHub, "{policy:?}");
            assert!(!unreachable.registers(), "a network error never causes a registration");
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
const RETRY: Retry = Retry { first: SECOND, longest: Duration::from_secs(60) };

fn watch(mode: Mode, fresh: bool) -> HubWatch {
    HubWatch::new(Policy::V1_2(mode), RETRY, fresh)
}

/// A wait may be up to a fifth longer.
#[track_caller]
fn about(wait: Duration, seconds: u32) {
    let least = SECOND * seconds;
    assert!((least..=least + least / 5).contains(&wait), "{wait:?} is not about {seconds} s");
}

fn registers_after(verdict: Verdict) -> Duration {
    match verdict {
        Verdict::Register { after } => after,
        other => panic!("{other:?}"),
    }
}

fn tries_again_after(verdict: Verdict) -> Duration {
    match verdict {
        Verdict::TryHubAgain { after } => after,
        other => panic!("{other:?}"),
    }
}

#[test]
fn dynamic_mode_registers_at_once_after_a_refusal() {
    let mut hub = watch(Mode::Dynamic, false);
    hub.connected();
    assert_eq!(registers_after(hub.refused()), Duration::ZERO);
    hub.assigned();
    hub.connected();
    assert_eq!(registers_after(hub.refused()), Duration::ZERO, "another move is another matter");
}

#[test]
fn new_device_entry_is_retried_before_registering_again() {
    let mut hub = watch(Mode::Dynamic, true);
    for seconds in [1, 2, 4] {
        about(tries_again_after(hub.refused()), seconds);
    }
    registers_after(hub.refused());
}

#[test]
fn registration_backs_off_while_the_hub_refuses() {
    let mut hub = watch(Mode::Dynamic, false);
    hub.connected();
    let mut waits = Vec::new();
    while waits.len() < 10 {
        if let Verdict::Register { after } = hub.refused() {
            waits.push(after);
            // The service assigns the same hub again, and the hub refuses the device again.
            hub.assigned();
        }
    }
    assert_eq!(waits[0], Duration::ZERO);
    for (wait, seconds) in waits[1..].iter().zip([1, 2, 4, 8, 16, 32, 60, 60, 60]) {
        about(*wait, seconds);
    }
}

#[test]
fn on_error_only_registers_only_after_a_restart() {
    let mut hub = watch(Mode::OnErrorOnly, false);
    hub.connected();
    for seconds in [1, 2, 4] {
        let Verdict::NotBeforeRestart { try_hub_after } = hub.refused() else { panic!("the service is asked") };
        about(try_hub_after, seconds);
    }
    let mut restarted = watch(Mode::OnErrorOnly, false);
    assert_eq!(registers_after(restarted.refused()), Duration::ZERO);
}

#[test]
fn unreachable_hub_is_retried_and_never_registers() {
    for (policy, _) in TABLE {
        let mut hub = HubWatch::new(*policy, RETRY, false);
        let waits: Vec<Duration> = (0..100).map(|_| tries_again_after(hub.unreachable())).collect();
        for (wait, seconds) in waits.iter().zip([1, 2, 4, 8, 16, 32, 60, 60]) {
            about(*wait, seconds);
        }
        hub.connected();
        about(tries_again_after(hub.unreachable()), 1);
    }
}
