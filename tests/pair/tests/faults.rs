//! Everything that can go wrong on the way, once and for ever: it recovers, or ends with a name before its deadline.

use dps_core::{ErrorCode, Hint, Millis};
use dps_emulator::{At, Fault, RetryAfter, Scope, ServiceOptions};
use pair::{End, Scene, Weather};
use proptest::prelude::*;

/// Every fault of a service, with what it is called when it never stops.
fn faults() -> Vec<(Fault, ErrorCode)> {
    vec![
        (Fault::Throttle { retry_after: None }, ErrorCode::Throttled),
        (Fault::ServerError { status: 500, retry_after: None }, ErrorCode::ServiceUnavailable),
        (Fault::ServerError { status: 503, retry_after: None }, ErrorCode::ServiceUnavailable),
        (Fault::ServerError { status: 408, retry_after: None }, ErrorCode::RequestTimeout),
        (Fault::ServerError { status: 409, retry_after: None }, ErrorCode::Conflict),
        (Fault::DropBefore, ErrorCode::ConnectionCut),
        (Fault::DropAfter, ErrorCode::ConnectionCut),
        (Fault::Delay { ms: 45_000 }, ErrorCode::Timeout),
        (Fault::Garbage, ErrorCode::InvalidReply),
        (Fault::Noise, ErrorCode::InvalidReply),
        (Fault::SlowBytes, ErrorCode::Timeout),
        (Fault::Silent, ErrorCode::Timeout),
    ]
}

#[test]
fn a_fault_that_passes_is_got_over() {
    for (fault, _) in faults() {
        for at in [At::Register, At::Poll] {
            let mut scene = Scene::new();
            scene.service.borrow_mut().inject(Scope::All, at, fault.clone(), 1);
            let end = scene.register();
            assert_eq!(end.hub(), Some("hub-a.test"), "{fault:?} {at:?}: {end:?}");
            assert_eq!(scene.service.borrow().pending_faults(), 0, "{fault:?} {at:?} was met");
        }
    }
}

#[test]
fn a_fault_that_stays_ends_with_its_name_at_the_deadline() {
    for (fault, code) in faults() {
        for at in [At::Register, At::Poll] {
            let mut scene = Scene::new();
            // Less than what it takes to trickle through.
            scene.config = scene.config.request_timeout(Millis::from_secs(5));
            scene.service.borrow_mut().inject(Scope::All, at, fault.clone(), u32::MAX);
            let start = scene.world.millis();
            let end = scene.register();
            assert_eq!(end.code(), Some(code), "{fault:?} {at:?}: {end:?}");
            assert!(scene.world.millis() - start <= 120_000, "{fault:?} {at:?} outlasts the deadline");
        }
    }
}

#[test]
fn bad_weather_has_its_names() {
    let table = [
        (Weather::NoDns, ErrorCode::Dns, Hint::CheckDns),
        (Weather::Refused, ErrorCode::Connect, Hint::CheckNetwork),
        (Weather::BlackHole, ErrorCode::Timeout, Hint::CheckNetwork),
        (Weather::RequestLost, ErrorCode::ConnectionCut, Hint::CheckNetwork),
        (Weather::ReplyLost, ErrorCode::ConnectionCut, Hint::CheckNetwork),
        (Weather::UnknownCa, ErrorCode::UnknownCa, Hint::TrustCa),
        (Weather::NameMismatch, ErrorCode::NameMismatch, Hint::CheckEndpoint),
    ];
    for (weather, code, hint) in table {
        let mut scene = Scene::new();
        let start = scene.world.millis();
        let end = scene.register_over(&mut scene.link().weather(&[weather; 1000]));
        assert_eq!((end.code(), end.first_hint()), (Some(code), Some(hint)), "{weather:?}: {end:?}");
        assert!(scene.world.millis() - start <= 120_000, "{weather:?}");
        let certain = matches!(weather, Weather::UnknownCa | Weather::NameMismatch);
        assert_eq!(scene.world.millis() - start < 1000, certain, "{weather:?}: trying again helps, or it does not");
    }
}

#[test]
fn a_lost_reply_to_register_registers_again_and_no_harm_is_done() {
    let mut scene = Scene::new();
    let mut link = scene.link().weather(&[Weather::ReplyLost]);
    assert_eq!(scene.register_over(&mut link).hub(), Some("hub-a.test"));
    assert_eq!(scene.service.borrow().counters().registers, 2);
    assert_eq!(link.connections, 2, "the broken connection is not used again");
}

#[test]
fn a_forgotten_operation_is_registered_afresh_once() {
    let mut scene = Scene::new();
    scene.service.borrow_mut().inject(Scope::All, At::Poll, Fault::ForgetOperation, 1);
    assert_eq!(scene.register().hub(), Some("hub-a.test"));
    assert_eq!(scene.service.borrow().counters().registers, 2);

    let mut scene = Scene::new();
    scene.service.borrow_mut().inject(Scope::All, At::Poll, Fault::ForgetOperation, u32::MAX);
    let end = scene.register();
    assert_eq!(end.code(), Some(ErrorCode::NotFound), "not for ever: {end:?}");
    assert_eq!(scene.service.borrow().counters().registers, 2);
}

#[test]
fn a_reply_of_97_kilobytes_is_refused_with_the_size_that_would_do() {
    for at in [At::Register, At::Poll] {
        let mut scene = Scene::new();
        let fault = Fault::OversizeReply { bytes: 97 * 1024 };
        scene.service.borrow_mut().inject(Scope::All, at, fault, u32::MAX);
        let end = scene.register();
        assert_eq!(
            (end.code(), end.first_hint()),
            (Some(ErrorCode::ReplyTooLarge), Some(Hint::EnlargeBuffer)),
            "{end:?}"
        );
    }
}

#[test]
fn a_registration_that_is_still_assigning_at_the_deadline_says_so() {
    let mut scene = Scene::with(ServiceOptions::new().assigning_ms(10_000_000).hint(Some(RetryAfter::Seconds(3))));
    scene.config = scene.config.deadline(Millis::from_secs(20));
    let start = scene.world.millis();
    let end = scene.register();
    assert_eq!(
        (end.code(), end.first_hint()),
        (Some(ErrorCode::DeadlineExceeded), Some(Hint::RaiseTimeout)),
        "{end:?}"
    );
    assert!(scene.world.millis() - start <= 20_000);
}

fn any_weather() -> impl Strategy<Value = Vec<Weather>> {
    let one = prop_oneof![
        4 => Just(Weather::Fair),
        1 => Just(Weather::RequestLost),
        1 => Just(Weather::ReplyLost),
        1 => Just(Weather::BlackHole),
        1 => Just(Weather::NoDns),
        1 => Just(Weather::Refused),
    ];
    prop::collection::vec(one, 0..12)
}

fn any_faults() -> impl Strategy<Value = Vec<(usize, bool, u32)>> {
    prop::collection::vec((0..faults().len(), any::<bool>(), 1..3_u32), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever happens on the way: it ends by its deadline, and with the hub unless something named stood in the way.
    #[test]
    fn every_journey_ends(
        weather in any_weather(),
        planned in any_faults(),
        seed: u32,
        latency in 0..3000_u64,
        mqtt: bool,
    ) {
        let mut scene = Scene::new();
        scene.config = scene.config.seed(seed);
        scene.latency = latency;
        for (index, on_poll, times) in planned {
            let at = if on_poll { At::Poll } else { At::Register };
            scene.service.borrow_mut().inject(Scope::All, at, faults()[index].0.clone(), times);
        }
        let start = scene.world.millis();
        let (end, connected) = if mqtt {
            let mut link = scene.mqtt_link().weather(&weather);
            (scene.register_over(&mut link), link.is_connected())
        } else {
            let mut link = scene.link().weather(&weather);
            (scene.register_over(&mut link), link.connected)
        };
        prop_assert!(scene.world.millis() - start <= 120_000);
        match end {
            End::Assigned { hub, .. } => prop_assert_eq!(hub, "hub-a.test"),
            End::Failed { verdict, .. } => prop_assert!(matches!(verdict, dps_core::Verdict::After(_)), "{:?}", verdict),
            End::Record(..) => prop_assert!(false, "nobody asked for a record"),
        }
        prop_assert!(!connected, "the link was closed in good order");
    }
}
