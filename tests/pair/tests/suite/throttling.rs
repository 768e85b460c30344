//! Hints of the service on every path: on register and on polls, with 429 and 503, as a number and as a date.

use dps_core::{ErrorCode, Millis, Verdict};
use dps_emulator::{At, Fault, Limits, RetryAfter, Scope, ServiceOptions};
use pair::{End, Scene};

fn refusal(status: u16, retry_after: Option<RetryAfter>) -> Fault {
    if status == 429 { Fault::Throttle { retry_after } } else { Fault::ServerError { status, retry_after } }
}

/// The time between the refusal's arrival and the next request, for one seed.
fn wait_after(status: u16, hint: RetryAfter, at: At, seed: u32) -> u64 {
    let mut scene = Scene::new();
    scene.config = scene.config.seed(seed);
    scene.service.borrow_mut().inject(Scope::All, at, refusal(status, Some(hint)), 1);
    let mut link = scene.link();
    assert_eq!(scene.register_over(&mut link).hub(), Some("hub-a.test"), "{status} {hint:?} {at:?}");
    let refused = usize::from(at == At::Poll);
    assert_eq!(link.sent.len(), 3);
    assert_eq!(link.sent[refused].line, link.sent[refused + 1].line, "the same is asked again");
    link.sent[refused + 1].at - link.sent[refused].at - 2 * scene.latency
}

#[test]
fn hint_is_honored_with_up_to_a_fifth_more_on_every_path() {
    for status in [429, 500, 503] {
        for at in [At::Register, At::Poll] {
            for hint in [RetryAfter::Seconds(10), RetryAfter::Date(10)] {
                let waits: Vec<u64> = (0..40).map(|seed| wait_after(status, hint, at, seed)).collect();
                let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
                assert!((10_000..=12_000).contains(least) && *most <= 12_000, "{status} {at:?} {hint:?}: {waits:?}");
                assert!(most - least > 500, "a fleet must spread: {waits:?}");
            }
        }
    }
}

#[test]
fn hints_over_a_day_are_ignored() {
    for hint in [RetryAfter::Seconds(90_000), RetryAfter::Date(-5), RetryAfter::Date(100_000)] {
        for at in [At::Register, At::Poll] {
            assert!(wait_after(429, hint, at, 3) <= 1000, "{hint:?}: the first back-off is within a second");
        }
    }
}

#[test]
fn hint_beyond_the_deadline_fails_at_once_with_retry_after() {
    for at in [At::Register, At::Poll] {
        let mut scene = Scene::new();
        scene.config = scene.config.timeout(Millis::from_secs(30));
        let fault = refusal(429, Some(RetryAfter::Seconds(45)));
        scene.service.borrow_mut().inject(Scope::All, at, fault, u32::MAX);
        let start = scene.world.millis();
        let end = scene.register();
        let End::Failed { code, verdict, .. } = end else { panic!("{end:?}") };
        assert_eq!((code, verdict), (ErrorCode::Throttled, Verdict::After(Millis::from_secs(45))), "{at:?}");
        assert!(scene.world.millis() - start < 2000, "nothing is gained by waiting");
    }
}

#[test]
fn throttling_without_hints_ends_at_the_deadline() {
    let mut scene = Scene::new();
    scene.service.borrow_mut().inject(Scope::All, At::Register, refusal(429, None), u32::MAX);
    let start = scene.world.millis();
    let end = scene.register();
    let End::Failed { code, verdict: Verdict::After(_), tracked: true, .. } = end else { panic!("{end:?}") };
    assert_eq!(code, ErrorCode::Throttled);
    assert!(scene.world.millis() - start <= 120_000);
    let asked = scene.service.borrow().counters().registers;
    assert!((4..=60).contains(&asked), "{asked} requests in two minutes");
}

#[test]
fn fleet_beyond_the_rate_registers_minute_by_minute() {
    let limits = Limits { registrations_per_minute: Some(5), ..Limits::default() };
    let mut scene = Scene::with(ServiceOptions::new().limits(limits).assign_at_once(true));
    for device in 0..12 {
        scene.config = scene.config.seed(device);
        assert_eq!(scene.register().hub(), Some("hub-a.test"), "device {device}");
    }
    assert!(scene.service.borrow().counters().throttled > 0);
}
