//! A device without a clock that learns the time from the service: every fault of the reply with the time, implausible
//! dates, and MQTT, whose replies do not contain the time.

use dps_core::{ErrorCode, UnixSeconds, Verdict};
use dps_emulator::{At, Fault, Flood, RetryAfter, Scope};
use pair::world::{SERVICE_EPOCH, Sent};
use pair::{End, Scene, Weather};

const YEAR: u64 = 365 * 86_400;
/// The deadline of a registration, in milliseconds.
const DEADLINE: u64 = 120_000;

/// A device without a clock, built a year before the service's time.
fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.clock_ahead = None;
    scene.config = scene.config.learn_time(UnixSeconds::new(SERVICE_EPOCH / 1000 - YEAR));
    scene
}

fn tokens(sent: &[Sent]) -> Vec<bool> {
    sent.iter().map(|sent| !sent.token.is_empty()).collect()
}

#[test]
fn device_without_a_clock_registers_over_https() {
    let mut scene = scene();
    let mut link = scene.link();
    assert_eq!(scene.register_over(&mut link).hub(), Some("hub-a.test"));
    assert_eq!(tokens(&link.sent)[..2], [false, true], "{:?}", link.sent);
    assert!(link.sent[2..].iter().all(|sent| sent.token == link.sent[1].token), "one token");
    assert_eq!(link.sent[0].line, link.sent[1].line);
    assert_eq!(link.connections, 1, "the refusal leaves the connection as it is");
}

#[test]
fn clock_cannot_be_learned_over_mqtt() {
    let mut scene = scene();
    let mut link = scene.mqtt_link();
    let end = scene.register_over(&mut link);
    let End::Failed { code, verdict, .. } = end else { panic!("{end:?}") };
    assert_eq!((code, verdict), (ErrorCode::ClockNeeded, Verdict::Reconfigure));
    assert!(link.sent.is_empty());
}

#[test]
fn time_is_learned_only_if_allowed() {
    let mut scene = Scene::new();
    scene.clock_ahead = None;
    let mut link = scene.link();
    assert_eq!(scene.register_over(&mut link).code(), Some(ErrorCode::ClockNeeded));
    assert!(link.sent.is_empty());
}

#[test]
fn implausible_dates_are_not_used_for_tokens() {
    let day = 86_400;
    let built = SERVICE_EPOCH / 1000 - YEAR;
    for (unix, believed) in [
        (built, true),
        (built + 20 * YEAR, true),
        (built - 1, false),
        (0, false),
        (built + 20 * YEAR + 6 * day, false),
        (253_402_300_799, false),
    ] {
        let mut scene = scene();
        let mut link = scene.link();
        // The world does not begin at zero.
        link.service_epoch = (unix * 1000).saturating_sub(if believed { 0 } else { scene.world.millis() + 1000 });
        let end = scene.register_over(&mut link);
        assert_eq!(end.hub().is_some(), believed, "{unix}: {end:?}");
        if !believed {
            assert_eq!(end.code(), Some(ErrorCode::ClockNeeded), "{unix}");
            assert_eq!(tokens(&link.sent), [false], "{unix}");
        }
    }
}

/// What the first reply is instead, and how it ends: with a hub, or with this error.
fn first_replies() -> Vec<(Fault, Result<(), ErrorCode>)> {
    let error = |status, retry_after| Fault::ServerError { status, retry_after };
    let flood = |of| Fault::Flood { of, answered: false };
    let mut rows = vec![
        (Fault::Throttle { retry_after: None }, Ok(())),
        (Fault::Throttle { retry_after: Some(RetryAfter::Seconds(7)) }, Ok(())),
        (error(503, Some(RetryAfter::Seconds(9))), Ok(())),
        (Fault::DropBefore, Ok(())),
        (Fault::DropAfter, Ok(())),
        (Fault::Delay { ms: 20_000 }, Ok(())),
        (Fault::Delay { ms: 45_000 }, Ok(())),
        // A refusal is one whatever its body is.
        (Fault::Garbage, Ok(())),
        (Fault::Noise, Ok(())),
        (Fault::SlowBytes, Ok(())),
        (Fault::ForgetOperation, Ok(())),
        (Fault::OversizeReply { bytes: 3000 }, Ok(())),
        (Fault::OversizeReply { bytes: 5000 }, Err(ErrorCode::ReplyTooLarge)),
        (Fault::Silent, Ok(())),
        (flood(Flood::HeaderLines), Ok(())),
        (flood(Flood::Chunks), Err(ErrorCode::ReplyTooLarge)),
    ];
    // Any refusal contains the time; after a failure of the service the request is retried.
    rows.extend(
        [400, 401, 403, 404, 405, 408, 409, 415, 418, 429, 500, 502, 503, 504]
            .map(|status| (error(status, None), Ok(()))),
    );
    rows
}

#[test]
fn every_fault_of_the_first_reply_is_retried_or_reported() {
    for (fault, expected) in first_replies() {
        let mut scene = scene();
        scene.service.borrow_mut().inject(Scope::All, At::Register, fault.clone(), 1);
        let mut link = scene.link();
        let start = scene.world.millis();
        let end = scene.register_over(&mut link);
        assert!(scene.world.millis() - start <= DEADLINE, "{fault:?}");
        assert_eq!(end.code().map_or(Ok(()), Err), expected, "{fault:?}: {end:?}");
        assert_eq!(end.hub().is_some(), expected.is_ok(), "{fault:?}");
        assert!(!link.sent[0].token.starts_with("Shared"), "{fault:?}");
        assert!(!link.connected, "{fault:?}");
    }
}

#[test]
fn every_network_fault_of_the_first_exchange_is_retried_or_reported() {
    for (weather, expected) in [
        (Weather::RequestLost, Ok(())),
        (Weather::ReplyLost, Ok(())),
        (Weather::BlackHole, Ok(())),
        (Weather::NoDns, Ok(())),
        (Weather::Refused, Ok(())),
        (Weather::UnknownCa, Err(ErrorCode::UnknownCa)),
        (Weather::NameMismatch, Err(ErrorCode::NameMismatch)),
        (Weather::ProxyRefused(407), Err(ErrorCode::ProxyRefused)),
        (Weather::ProxyRefused(503), Ok(())),
    ] {
        let mut scene = scene();
        let mut link = scene.link().weather(&[weather]);
        let end = scene.register_over(&mut link);
        assert_eq!(end.code().map_or(Ok(()), Err), expected, "{weather:?}: {end:?}");
    }
}

#[test]
fn faults_without_end_keep_the_deadline() {
    for fault in [Fault::Silent, Fault::DropBefore, Fault::Noise, Fault::ServerError { status: 503, retry_after: None }]
    {
        let mut scene = scene();
        scene.service.borrow_mut().inject(Scope::All, At::Register, fault.clone(), 1000);
        let start = scene.world.millis();
        let end = scene.register();
        assert!(end.hub().is_none(), "{fault:?}");
        assert!(scene.world.millis() - start <= DEADLINE, "{fault:?}");
    }
}
