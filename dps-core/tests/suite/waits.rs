//! The table of waits: what the service's hints, its silence and the deadline lead to.

use crate::common::{Did, Sent, assigned, assigning, at, config, default_config, error, failure, identity, sent, step};
use dps_core::{ErrorCode, LinkError, Millis, Outcome, Registration, Reply, Verdict};

/// Answers the register call with `reply`, or the first poll when `on_poll`, at 1 s, and gives the wait that follows.
fn wait_after(config: dps_core::Config, reply: &Reply<'_>, on_poll: bool) -> Did {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config, &mut storage).unwrap();
    let mut id = sent(&mut machine, 0).0;
    if on_poll {
        machine.handle_reply(at(0), id, &assigning(Some(1))).unwrap();
        id = sent(&mut machine, 1000).0;
    }
    machine.handle_reply(at(1000), id, reply).unwrap();
    step(&mut machine, 1000)
}

#[test]
fn assigning_hint_is_honored_exactly() {
    for on_poll in [false, true] {
        for seconds in [1, 3, 17, 100] {
            let wait = wait_after(config(), &assigning(Some(seconds)), on_poll);
            assert_eq!(wait, Did::Wait(1000 + u64::from(seconds) * 1000), "poll: {on_poll}");
        }
    }
}

#[test]
fn hint_of_zero_waits_the_minimum_spacing() {
    for on_poll in [false, true] {
        assert_eq!(wait_after(default_config(), &assigning(Some(0)), on_poll), Did::Wait(2000));
        assert!(matches!(wait_after(config(), &assigning(Some(0)), on_poll), Did::Send { sent: Sent::Status(_), .. }));
        let spaced = config().minimum_spacing(Millis::new(250));
        assert_eq!(wait_after(spaced, &assigning(Some(0)), on_poll), Did::Wait(1250));
        assert_eq!(wait_after(spaced, &assigning(Some(2)), on_poll), Did::Wait(3000));
    }
}

#[test]
fn assigning_without_hint_waits_the_poll_interval() {
    for on_poll in [false, true] {
        assert_eq!(wait_after(config(), &assigning(None), on_poll), Did::Wait(3000));
        let slower = config().poll_interval(Millis::from_secs(5));
        assert_eq!(wait_after(slower, &assigning(None), on_poll), Did::Wait(6000));
    }
}

#[test]
fn throttling_hint_is_honored_with_up_to_a_fifth_more() {
    for status in [429, 500, 503] {
        for on_poll in [false, true] {
            let mut waits: Vec<u64> = (0..200)
                .map(|seed| match wait_after(config().seed(seed), &error(status, Some(10)), on_poll) {
                    Did::Wait(until) => until - 1000,
                    other => panic!("{other:?}"),
                })
                .collect();
            waits.sort_unstable();
            assert!(*waits.first().unwrap() >= 10_000 && *waits.last().unwrap() <= 12_000, "{status}: {waits:?}");
            assert!(waits.first().unwrap() + 1000 < *waits.last().unwrap(), "{status} does not spread: {waits:?}");
        }
    }
}

#[test]
fn hint_of_an_incomplete_reply_is_honored() {
    let (mut nameless, mut homeless) = (assigning(Some(10)), assigned());
    nameless.body.operation_id = None;
    homeless.body.assigned_hub = None;
    homeless.retry_after = Some(Millis::from_secs(10));
    let mut silent = Reply::new(200);
    silent.retry_after = Some(Millis::from_secs(10));
    for reply in [nameless, homeless, silent] {
        match wait_after(config(), &reply, false) {
            Did::Wait(until) => assert!((11_000..=13_000).contains(&until), "{until}: {reply:?}"),
            other => panic!("{other:?}: {reply:?}"),
        }
    }
}

#[test]
fn failure_without_hint_backs_off_with_full_jitter() {
    let patient = config().timeout(Millis::from_secs(86_400));
    for seed in 0..50 {
        let mut storage = [0; 1024];
        let mut machine = Registration::new(identity(), patient.seed(seed), &mut storage).unwrap();
        let mut now = 0;
        for (attempt, bound) in [1, 2, 4, 8, 16, 32, 64, 100, 100, 100].into_iter().enumerate() {
            let (id, _) = sent(&mut machine, now);
            match attempt % 3 {
                0 => machine.handle_reply(at(now), id, &error(503, None)).unwrap(),
                1 => machine.handle_reply(at(now), id, &error(429, None)).unwrap(),
                _ => machine.handle_link_error(at(now), id, LinkError::Cut).unwrap(),
            }
            let until = match step(&mut machine, now) {
                Did::Wait(until) => until,
                // A jitter of zero goes on at once; give the request back.
                Did::Send { .. } => {
                    machine.abandon();
                    now
                }
                Did::Finish => panic!("{:?}", machine.outcome()),
            };
            assert!(until - now <= bound * 1000, "attempt {attempt}: {} ms", until - now);
            now = until;
        }
    }
}

#[test]
fn throttling_hint_of_zero_backs_off() {
    for status in [429, 503] {
        let mut storage = [0; 1024];
        let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
        let (mut now, mut requests) = (0, 0);
        loop {
            match step(&mut machine, now) {
                Did::Send { id, .. } => {
                    requests += 1;
                    assert!(requests <= 60, "{status} is asked for again and again within {now} ms");
                    machine.handle_reply(at(now), id, &error(status, Some(0))).unwrap();
                }
                Did::Wait(until) => now = until,
                Did::Finish => break,
            }
        }
        assert!(requests >= 4, "{requests} requests in two minutes of {status}");
        assert!(matches!(failure(&machine), (_, Verdict::After(wait)) if wait > Millis::ZERO));
    }
}

#[test]
fn backoff_starts_over_after_a_good_reply() {
    let mut storage = [0; 1024];
    let patient = config().timeout(Millis::from_secs(86_400));
    let mut machine = Registration::new(identity(), patient, &mut storage).unwrap();
    let mut now = 0;
    for _ in 0..6 {
        let (id, _) = sent(&mut machine, now);
        machine.handle_reply(at(now), id, &error(503, None)).unwrap();
        now += 100_000;
    }
    let (id, _) = sent(&mut machine, now);
    machine.handle_reply(at(now), id, &assigning(Some(1))).unwrap();
    now += 1000;
    let (id, _) = sent(&mut machine, now);
    machine.handle_reply(at(now), id, &error(503, None)).unwrap();
    match step(&mut machine, now) {
        Did::Wait(until) => assert!(until - now <= 1000),
        Did::Send { .. } => {}
        Did::Finish => panic!("{:?}", machine.outcome()),
    }
}

#[test]
fn wait_past_the_deadline_fails_at_once_with_retry_after() {
    for (reply, code) in [
        (error(429, Some(500)), ErrorCode::Throttled),
        (error(503, Some(500)), ErrorCode::ServiceUnavailable),
        (assigning(Some(500)), ErrorCode::DeadlineExceeded),
    ] {
        let mut storage = [0; 1024];
        let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
        let (id, _) = sent(&mut machine, 0);
        machine.handle_reply(at(500), id, &reply).unwrap();
        assert_eq!(step(&mut machine, 500), Did::Finish);
        assert_eq!(failure(&machine), (code, Verdict::After(Millis::from_secs(500))));
    }
}

#[test]
fn failure_at_the_deadline_reports_the_last_cause() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    assert_eq!(machine.deadline(), None, "it runs from the first poll");
    let (id, _) = sent(&mut machine, 0);
    assert_eq!(machine.deadline(), Some(at(120_000)));
    machine.handle_reply(at(0), id, &error(429, Some(100))).unwrap();
    let Did::Wait(until) = step(&mut machine, 0) else { panic!() };
    let (id, _) = sent(&mut machine, until);
    machine.handle_reply(at(until), id, &error(429, Some(100))).unwrap();
    assert_eq!(step(&mut machine, until), Did::Finish);
    let Some(Outcome::Failed(failure)) = machine.outcome() else { panic!() };
    assert_eq!(failure.code(), ErrorCode::Throttled);
    assert_eq!((failure.http_status(), failure.error_code()), (Some(429), Some(429_002)));
    assert_eq!(failure.tracking_id(), Some("6f1e0f0a-0000-4000-8000-000000000001".into()));
    assert_eq!(failure.message(), Some("the service's words".into()));
}

#[test]
fn unanswered_request_counts_as_timeout() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let (mut now, mut requests) = (0, 0);
    loop {
        match step(&mut machine, now) {
            Did::Send { respond_by, .. } => {
                requests += 1;
                assert!(respond_by <= 120_000);
                now = respond_by;
            }
            Did::Wait(until) => {
                assert!(until > now && until <= 120_000);
                now = until;
            }
            Did::Finish => break,
        }
    }
    assert!((4..=5).contains(&requests), "{requests} requests of 30 s each");
    assert!(now <= 120_000);
    assert!(matches!(failure(&machine), (ErrorCode::Timeout, Verdict::After(_))));
}

#[test]
fn registration_waits_exactly_as_the_service_asks() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config(), &mut storage).unwrap();
    let (id, first) = sent(&mut machine, 10);
    assert_eq!(first, Sent::Register);
    machine.handle_reply(at(20), id, &assigning(Some(3))).unwrap();
    assert_eq!(step(&mut machine, 20), Did::Wait(3020));
    assert_eq!(step(&mut machine, 3019), Did::Wait(3020));
    let (id, second) = sent(&mut machine, 3020);
    assert_eq!(second, Sent::Status("5.op.1".into()));
    machine.handle_reply(at(3030), id, &assigned()).unwrap();
    assert_eq!(step(&mut machine, 3030), Did::Finish);
    let Some(Outcome::Assigned(assignment)) = machine.outcome() else { panic!() };
    assert_eq!((assignment.assigned_hub(), assignment.device_id()), ("hub-a.test".into(), "dev-01".into()));
    assert_eq!(
        (assignment.substatus(), assignment.operation_id()),
        (Some("initialAssignment".into()), Some("5.op.1".into()))
    );
}

#[test]
fn deadline_during_a_request_reports_the_last_cause() {
    let mut storage = [0; 1024];
    let mut machine = Registration::new(identity(), config().timeout(Millis::from_secs(5)), &mut storage).unwrap();
    let (id, _) = sent(&mut machine, 0);
    machine.handle_reply(at(0), id, &error(503, Some(1))).unwrap();
    let Did::Wait(next) = step(&mut machine, 0) else { panic!() };
    sent(&mut machine, next);
    assert_eq!(step(&mut machine, 5000), Did::Finish);
    assert_eq!(failure(&machine).0, ErrorCode::ServiceUnavailable, "it had less time than a request may take");

    // Requests that had their whole time are time-outs, the last one too.
    let mut storage = [0; 1024];
    let patient = config().timeout(Millis::from_secs(60)).request_timeout(Millis::from_secs(30));
    let mut machine = Registration::new(identity(), patient, &mut storage).unwrap();
    sent(&mut machine, 0);
    let Did::Wait(next) = step(&mut machine, 30_000) else { panic!() };
    sent(&mut machine, next);
    assert_eq!(step(&mut machine, 60_000), Did::Finish);
    assert_eq!(failure(&machine).0, ErrorCode::Timeout);
}
