//! The verdict about one scenario, from what the service saw and whether the device has ended. Pure: no clock and no
//! socket, so that each rule is tested with made-up observations.
//!
//! The limits are wide, so that a busy computer does not change a verdict: only what came *too early* or *too often*
//! fails, and lateness only beyond limits of tens of seconds.

use crate::scenario::{Ends, Scenario};
use crate::seen::{Call, CallKind, Seen};

/// How much earlier than told a call may arrive: clocks and timers of devices have a coarse resolution.
const TOLERANCE_MS: u64 = 50;
/// The window of the rates below.
const WINDOW_MS: u64 = 10_000;
/// The polls that the service allows in a window (Azure documentation, "Quotas and limits").
const POLLS_MOST: usize = 5;
/// Other calls of one kind, and connections, in a window: backoff with jitter stays far below, retrying at once far above.
const RETRIES_MOST: usize = 20;
/// From this number on, polls that are too many are not counted any more.
const POLLS_COUNTED: usize = 1000;
/// The calls after a refusal that is final.
const CALLS_AFTER_REFUSAL: usize = 3;
/// How long a device is watched after the first sign of it, where a fault lasts.
const WATCH_MS: u64 = 10_000;
/// How long a device is watched after it was told its assignment.
const SETTLE_MS: u64 = 1500;

/// What is known of the device itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device {
    Running,
    /// The command has ended, or the board was quiet for the time that counts as giving up.
    Over,
}

/// The state of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is too early to say.
    Open,
    Passed,
    /// With what was wrong, in a sentence without its period.
    Failed(String),
}

/// Judges a scenario that began at `began_ms`.
pub(crate) fn judge(scenario: &Scenario, seen: &Seen, device: Device, began_ms: u64, now_ms: u64) -> Verdict {
    let within_ms = scenario.expect.within_seconds * 1000;
    let is_late = now_ms.saturating_sub(began_ms) >= within_ms;
    let first_ms = seen.first_ms();
    let watched = first_ms.is_some_and(|first| now_ms.saturating_sub(first) >= WATCH_MS);
    let over = device == Device::Over;
    if let Some(problem) = broken(&SECRECY, scenario, seen) {
        return Verdict::Failed(problem);
    }
    let other = broken(&RULES, scenario, seen);
    if let Some(problem) = polls_beyond_the_quota(scenario, seen) {
        // Whether a device polls seven times or hundreds of times is known only later.
        let polls = seen.of(CallKind::Poll).count();
        let counted = over || is_late || watched || seen.is_assigned() || polls >= POLLS_COUNTED;
        return if counted || other.is_some() { Verdict::Failed(problem) } else { Verdict::Open };
    }
    if let Some(problem) = other.or_else(|| early(scenario, seen)) {
        return Verdict::Failed(problem);
    }
    match scenario.expect.ends {
        Ends::Assigned | Ends::AssignedOrOver if seen.is_assigned() => {
            let told_ms = seen.final_reply().map_or(0, |at| seen.calls[at].at_ms);
            let settled = over || now_ms.saturating_sub(told_ms) >= SETTLE_MS;
            if settled { Verdict::Passed } else { Verdict::Open }
        }
        Ends::Assigned if over => Verdict::Failed(format!("it ended without its assignment{}", last_words(seen))),
        Ends::Assigned if is_late => {
            Verdict::Failed(format!("it did not get its assignment within {} s{}", within_ms / 1000, last_words(seen)))
        }
        Ends::AssignedOrOver if over => heard_of(seen),
        Ends::AssignedOrOver if is_late => Verdict::Failed(format!(
            "it neither got its assignment nor ended within {} s{}",
            within_ms / 1000,
            last_words(seen)
        )),
        Ends::Stops if over || (watched && was_refused(seen)) => refused(seen),
        Ends::Paced if over || watched => heard_of(seen),
        Ends::SendsNothing if over || watched => connected(seen),
        Ends::Stops if is_late => refused(seen),
        Ends::Paced | Ends::SendsNothing if is_late => Verdict::Failed(NOTHING_ARRIVED.to_owned()),
        _ => Verdict::Open,
    }
}

const NOTHING_ARRIVED: &str = "nothing of it reached the service";

/// A device that did nothing passes nothing.
fn heard_of(seen: &Seen) -> Verdict {
    let made_a_call = seen.calls.iter().any(|call| call.kind == CallKind::Register || call.kind == CallKind::Poll);
    if made_a_call { Verdict::Passed } else { Verdict::Failed(format!("it made no register call{}", last_words(seen))) }
}

fn connected(seen: &Seen) -> Verdict {
    if seen.connections.is_empty() { Verdict::Failed(NOTHING_ARRIVED.to_owned()) } else { Verdict::Passed }
}

fn refused(seen: &Seen) -> Verdict {
    match was_refused(seen) {
        true => Verdict::Passed,
        false => Verdict::Failed(format!("it did not get as far as the refusal{}", last_words(seen))),
    }
}

/// The place of the first call whose reply was a refusal that a repetition does not change.
fn refusal(seen: &Seen) -> Option<usize> {
    seen.calls.iter().position(|call| match (call.kind, call.status) {
        (_, None) => false,
        (CallKind::Connect, Some(code)) => code != 0,
        (CallKind::Subscribe, Some(code)) => code >= 0x80,
        (_, Some(status)) => (400..429).contains(&status) || status == 200,
    })
}

fn was_refused(seen: &Seen) -> bool {
    refusal(seen).is_some()
}

type Rule = fn(&Scenario, &Seen) -> Option<String>;

/// What must be kept secret. These and the following rules apply to every scenario.
const SECRECY: [Rule; 2] = [leaked, secret];
/// The rules that end the watch of a device; a wait that it did not keep does not, while its polls are counted.
const RULES: [Rule; 5] = [often, operations, insisted, too_many_polls, token_life];

/// What was wrong, by the first rule that was broken.
fn broken(rules: &[Rule], scenario: &Scenario, seen: &Seen) -> Option<String> {
    rules.iter().find_map(|rule| rule(scenario, seen))
}

fn leaked(_: &Scenario, seen: &Seen) -> Option<String> {
    let bytes = seen.leaked_bytes;
    (bytes > 0).then(|| format!("it sent {bytes} bytes to a server that it must not trust"))
}

fn secret(_: &Scenario, seen: &Seen) -> Option<String> {
    seen.secret_in.first().map(|place| format!("its key is readable in {place}"))
}

/// A call after which a wait is counted.
fn is_request(call: &&Call) -> bool {
    matches!(call.kind, CallKind::Register | CallKind::Poll | CallKind::Lookup)
}

/// The waits that the service asked for are kept (RFC 9110, section 10.2.3; the service's `retry-after` over MQTT).
fn early(_: &Scenario, seen: &Seen) -> Option<String> {
    let requests: Vec<&Call> = seen.calls.iter().filter(is_request).collect();
    requests.windows(2).find_map(|pair| {
        let (told_ms, waited_ms) = (pair[0].told_ms?, pair[1].at_ms.saturating_sub(pair[0].at_ms));
        let is_early = waited_ms + TOLERANCE_MS < told_ms;
        is_early.then(|| {
            let (earlier, later) = (pair[0].kind.name(), pair[1].kind.name());
            format!(
                "told to wait {told_ms} ms by the reply to a {earlier}, it sent the next {later} after {waited_ms} ms"
            )
        })
    })
}

/// The polls are within the quota.
fn polls_beyond_the_quota(_: &Scenario, seen: &Seen) -> Option<String> {
    let polls: Vec<u64> = seen.of(CallKind::Poll).map(|call| call.at_ms).collect();
    let (is_beyond, count) = (has_more_in_a_window(&polls, POLLS_MOST), polls.len());
    is_beyond.then(|| format!("more than {POLLS_MOST} polls within {} s, {count} in all", WINDOW_MS / 1000))
}

fn has_more_in_a_window(times: &[u64], most: usize) -> bool {
    times.windows(most + 1).any(|window| window[most] - window[0] < WINDOW_MS)
}

/// Retries are within a rate that backoff stays far below.
fn often(_: &Scenario, seen: &Seen) -> Option<String> {
    let times = |kind| seen.of(kind).map(|call| call.at_ms).collect::<Vec<_>>();
    let counted = [
        ("register calls", times(CallKind::Register)),
        ("lookups", times(CallKind::Lookup)),
        ("CONNECTs", times(CallKind::Connect)),
        ("connections", seen.connections.clone()),
    ];
    counted.into_iter().find_map(|(what, times)| {
        let is_too_often = has_more_in_a_window(&times, RETRIES_MOST);
        is_too_often.then(|| format!("more than {RETRIES_MOST} {what} within {} s", WINDOW_MS / 1000))
    })
}

/// The device starts no second operation without need, and nothing after its assignment.
fn operations(scenario: &Scenario, seen: &Seen) -> Option<String> {
    let started = seen.of(CallKind::Register).filter(|call| matches!(call.status, Some(200 | 202))).count();
    let most = scenario.expect.operations;
    if started > most {
        return Some(format!("it started {started} operations, where {most} would do"));
    }
    let at = seen.final_reply().filter(|_| seen.is_assigned())?;
    let after = seen.calls[at + 1..].iter().find(is_request)?;
    Some(format!("after its assignment it sent another {}", after.kind.name()))
}

/// A refusal that a repetition does not change is not repeated more than a few times.
fn insisted(scenario: &Scenario, seen: &Seen) -> Option<String> {
    let at = refusal(seen).filter(|_| scenario.expect.ends == Ends::Stops)?;
    let is_call = |call: &&Call| is_request(call) || call.kind == CallKind::Connect && call.status != Some(0);
    let after = seen.calls[at + 1..].iter().filter(is_call).count();
    (after > CALLS_AFTER_REFUSAL).then(|| format!("it made {after} more calls after it was refused"))
}

fn too_many_polls(scenario: &Scenario, seen: &Seen) -> Option<String> {
    let (most, polls) = (scenario.expect.polls?, seen.of(CallKind::Poll).count());
    (polls > most).then(|| format!("it polled {polls} times, where {most} would do"))
}

fn token_life(scenario: &Scenario, seen: &Seen) -> Option<String> {
    let most = scenario.expect.token_life_seconds_most?;
    let life = seen.calls.iter().filter_map(|call| call.token_life_s).max()?;
    (life > most).then(|| format!("its token was valid for another {life} s"))
}

/// What was last seen of the device, to be appended to a sentence.
fn last_words(seen: &Seen) -> String {
    match seen.calls.last() {
        Some(Call { kind, status: Some(status), is_readable: true, .. }) => {
            format!("; its last {} was answered by {status}", kind.name())
        }
        Some(Call { kind, .. }) => format!("; its last {} was not answered, or not readably", kind.name()),
        None if seen.other_id.is_some() => {
            format!("; it used the registration id {:?}", seen.other_id.as_deref().unwrap_or_default())
        }
        None if seen.connections.is_empty() => format!("; {NOTHING_ARRIVED}"),
        None => "; it connected, and made no call".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use dps_emulator::Status;

    use super::*;
    use crate::scenario::ScenarioSet;

    fn scenario(name: &str) -> &'static Scenario {
        ScenarioSet::get().scenarios().iter().find(|scenario| scenario.name() == name).unwrap()
    }

    fn call(at_ms: u64, kind: CallKind, status: u16, told_ms: u64) -> Call {
        let status = (status > 0 || kind == CallKind::Connect).then_some(status);
        let told_ms = (told_ms > 0).then_some(told_ms);
        Call { at_ms, kind, status, is_readable: true, told_ms, token_life_s: Some(3600) }
    }

    fn seen(calls: &[Call]) -> Seen {
        let is_assigned = calls.last().is_some_and(|call| call.status == Some(200));
        let record = Some(if is_assigned { Status::Assigned } else { Status::Assigning });
        Seen { calls: calls.to_vec(), connections: vec![0], record, ..Seen::default() }
    }

    /// A registration without any fault: told to wait 1 s, polled after `waited_ms`.
    fn registered(waited_ms: u64) -> Seen {
        seen(&[call(0, CallKind::Register, 202, 1000), call(waited_ms, CallKind::Poll, 200, 0)])
    }

    #[track_caller]
    fn assert_fails(name: &str, seen: &Seen, device: Device, now_ms: u64, why: &str) {
        match judge(scenario(name), seen, device, 0, now_ms) {
            Verdict::Failed(problem) => assert!(problem.contains(why), "{problem}"),
            other => panic!("{other:?} instead of a failure with {why:?}"),
        }
    }

    fn verdict(name: &str, seen: &Seen, device: Device, now_ms: u64) -> Verdict {
        judge(scenario(name), seen, device, 0, now_ms)
    }

    #[test]
    fn device_that_does_nothing_fails_every_scenario() {
        for scenario in ScenarioSet::get().scenarios() {
            let verdict = judge(scenario, &Seen::default(), Device::Over, 0, 10);
            assert!(matches!(verdict, Verdict::Failed(_)), "{}", scenario.name());
            assert_eq!(judge(scenario, &Seen::default(), Device::Running, 0, 10), Verdict::Open, "{}", scenario.name());
            let late = judge(scenario, &Seen::default(), Device::Running, 0, 1_000_000);
            assert!(matches!(late, Verdict::Failed(_)), "{}", scenario.name());
        }
    }

    #[test]
    fn registration_passes_when_the_device_has_ended_or_settled() {
        assert_eq!(verdict("registers", &registered(1000), Device::Over, 1001), Verdict::Passed);
        assert_eq!(verdict("registers", &registered(1000), Device::Running, 1001), Verdict::Open);
        assert_eq!(verdict("registers", &registered(1000), Device::Running, 3000), Verdict::Passed);
        // Lateness within the limit does not matter.
        assert_eq!(verdict("registers", &registered(50_000), Device::Over, 50_001), Verdict::Passed);
    }

    #[test]
    fn wait_that_is_not_kept_fails_and_a_coarse_timer_does_not() {
        assert_eq!(verdict("registers", &registered(951), Device::Over, 1001), Verdict::Passed);
        let why = "told to wait 1000 ms by the reply to a register call, it sent the next poll after 900 ms";
        assert_fails("registers", &registered(900), Device::Over, 1001, why);
        let throttled = seen(&[call(0, CallKind::Register, 429, 3000), call(2000, CallKind::Register, 202, 1000)]);
        assert_fails("throttled-register", &throttled, Device::Running, 2001, "told to wait 3000 ms");
    }

    #[test]
    fn polls_beyond_the_quota_and_retries_without_backoff_fail() {
        let polls = |count: u64| {
            let polls = (1..=count).map(|number| call(number * 1999, CallKind::Poll, 202, 0));
            seen(&[call(0, CallKind::Register, 202, 0)].into_iter().chain(polls).collect::<Vec<_>>())
        };
        assert_eq!(verdict("no-hint", &polls(5), Device::Running, 12_000), Verdict::Open);
        assert_fails("no-hint", &polls(6), Device::Running, 12_000, "more than 5 polls within 10 s, 6 in all");
        let registers = |every_ms: u64| {
            seen(&(0..21).map(|number| call(number * every_ms, CallKind::Register, 503, 0)).collect::<Vec<_>>())
        };
        assert_eq!(verdict("server-error-for-long", &registers(501), Device::Running, 10_021), Verdict::Passed);
        assert_fails("server-error-for-long", &registers(499), Device::Running, 9990, "more than 20 register calls");
        let connected = Seen { connections: (0..21).collect(), ..Seen::default() };
        assert_fails("server-of-another-name", &connected, Device::Running, 50, "more than 20 connections");
    }

    #[test]
    fn polls_beyond_the_quota_are_counted_until_the_device_is_assigned_or_was_watched() {
        let polling = |count: u64| {
            let polls = (1..=count).map(|number| call(number, CallKind::Poll, 202, 0));
            seen(&[call(0, CallKind::Register, 202, 0)].into_iter().chain(polls).collect::<Vec<_>>())
        };
        let name = "hint-as-a-date";
        assert_eq!(verdict(name, &polling(300), Device::Running, 9_999), Verdict::Open);
        assert_fails(name, &polling(300), Device::Running, 10_000, "more than 5 polls within 10 s, 300 in all");
        assert_fails(name, &polling(300), Device::Over, 400, "300 in all");
        assert_fails(name, &polling(1000), Device::Running, 1001, "1000 in all");
        let mut assigned = polling(300);
        assigned.calls.push(call(2500, CallKind::Poll, 200, 0));
        assigned.record = Some(Status::Assigned);
        assert_fails(name, &assigned, Device::Running, 2501, "301 in all");
        // What it leaked is a reason to stop it at once.
        let shown = Seen { secret_in: vec!["the user agent".to_owned()], ..polling(300) };
        assert_fails(name, &shown, Device::Running, 400, "its key is readable");
    }

    #[test]
    fn second_operation_and_calls_after_the_assignment_fail() {
        let twice = [
            call(0, CallKind::Register, 202, 0),
            call(2000, CallKind::Register, 202, 0),
            call(4000, CallKind::Poll, 200, 0),
        ];
        assert_fails("registers", &seen(&twice), Device::Over, 5000, "it started 2 operations");
        assert_eq!(verdict("cut-after-register", &seen(&twice), Device::Over, 5000), Verdict::Passed);
        let after = [
            call(0, CallKind::Register, 202, 0),
            call(1000, CallKind::Poll, 200, 0),
            call(2000, CallKind::Poll, 200, 0),
        ];
        assert_fails("registers", &seen(&after), Device::Running, 2100, "after its assignment it sent another poll");
    }

    #[test]
    fn device_that_does_not_come_back_or_hangs_fails() {
        let cut = seen(&[call(0, CallKind::Register, 202, 1000), call(1000, CallKind::Poll, 0, 0)]);
        assert_fails(
            "cut-at-poll",
            &cut,
            Device::Over,
            1100,
            "ended without its assignment; its last poll was not answered, or",
        );
        assert_fails("cut-at-poll", &cut, Device::Running, 60_000, "did not get its assignment within 60 s");
        // The assignment was in a reply that could not be read.
        let mut garbled = registered(1000);
        garbled.calls[1].is_readable = false;
        assert_fails("not-json-at-poll", &garbled, Device::Running, 90_000, "neither got its assignment nor ended");
        let hangs = seen(&[call(0, CallKind::Register, 202, 0)]);
        assert_fails("not-json-at-register", &hangs, Device::Running, 90_000, "neither got its assignment nor ended");
        assert_eq!(verdict("not-json-at-register", &hangs, Device::Over, 300), Verdict::Passed);
    }

    #[test]
    fn refusal_that_is_repeated_without_end_fails() {
        let refused = |count: u64| {
            seen(&(0..count).map(|number| call(number * 1000, CallKind::Register, 401, 0)).collect::<Vec<_>>())
        };
        assert_eq!(verdict("wrong-key", &refused(1), Device::Over, 500), Verdict::Passed);
        assert_eq!(verdict("wrong-key", &refused(4), Device::Running, 5000), Verdict::Open);
        assert_eq!(verdict("wrong-key", &refused(4), Device::Running, 10_000), Verdict::Passed);
        assert_fails("wrong-key", &refused(5), Device::Running, 5000, "4 more calls after it was refused");
        let connects = |count: u64| {
            seen(&(0..count).map(|number| call(number * 1000, CallKind::Connect, 5, 0)).collect::<Vec<_>>())
        };
        assert_eq!(verdict("refused-at-connect", &connects(2), Device::Over, 5000), Verdict::Passed);
        assert_fails("refused-at-connect", &connects(5), Device::Running, 5000, "4 more calls");
        // A device that never got as far shows nothing.
        let connected = Seen { connections: vec![0], ..Seen::default() };
        assert_fails("wrong-key", &connected, Device::Over, 500, "it connected, and made no call");
    }

    #[test]
    fn forgotten_operation_that_is_polled_on_fails() {
        let mut calls = vec![call(0, CallKind::Register, 202, 0)];
        calls.extend((1..=5).map(|number| call(number * 3000, CallKind::Poll, 404, 0)));
        assert_fails("forgotten-operation", &seen(&calls), Device::Running, 16_000, "it polled 5 times");
    }

    #[test]
    fn server_that_must_not_be_trusted_gets_nothing() {
        let connected = Seen { connections: vec![5], ..Seen::default() };
        for name in ["server-of-another-authority", "server-of-another-name"] {
            assert_eq!(verdict(name, &connected, Device::Over, 100), Verdict::Passed);
            assert_eq!(verdict(name, &connected, Device::Running, 10_005), Verdict::Passed);
            let leaked = Seen { leaked_bytes: 7, ..connected.clone() };
            assert_fails(name, &leaked, Device::Running, 100, "it sent 7 bytes to a server that it must not trust");
        }
    }

    #[test]
    fn key_that_is_readable_and_token_that_lives_long_fail() {
        let shown = Seen { secret_in: vec!["the user agent".to_owned()], ..registered(1000) };
        assert_fails("registers", &shown, Device::Over, 1100, "its key is readable in the user agent");
        let mut long = registered(1000);
        long.calls[0].token_life_s = Some(100 * 86_400);
        assert_eq!(verdict("registers", &long, Device::Over, 1100), Verdict::Passed);
        assert_fails("token-life", &long, Device::Over, 1100, "its token was valid for another 8640000 s");
        assert_eq!(verdict("token-life", &registered(1000), Device::Over, 1100), Verdict::Passed);
    }

    #[test]
    fn other_registration_id_is_named_in_the_problem() {
        let other = Seen { other_id: Some("dev-\u{1b}".to_owned()), connections: vec![1], ..Seen::default() };
        assert_fails("registers", &other, Device::Over, 100, "it used the registration id \"dev-\\u{1b}\"");
    }
}
