//! Faults of the network, and combinations of faults: the registration recovers, or ends with the right error before its
//! deadline. Single faults of the service are in the matrix.

use dps_core::{ErrorCode, Hint};
use dps_emulator::{At, Fault, RetryAfter, Scope};
use pair::{End, Scene, Weather};
use proptest::prelude::*;

/// Temporary faults: each is retried.
const FAULTS: [Fault; 12] = [
    Fault::Throttle { retry_after: None },
    Fault::ServerError { status: 500, retry_after: None },
    Fault::ServerError { status: 503, retry_after: Some(RetryAfter::Seconds(9)) },
    Fault::ServerError { status: 408, retry_after: None },
    Fault::ServerError { status: 409, retry_after: None },
    Fault::DropBefore,
    Fault::DropAfter,
    Fault::Delay { ms: 45_000 },
    Fault::Garbage,
    Fault::Noise,
    Fault::SlowBytes,
    Fault::Silent,
];

#[test]
fn network_faults_are_reported_by_name() {
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
        for mqtt in [false, true] {
            let mut scene = Scene::new();
            let start = scene.world.millis();
            let (end, _) = register_in(&mut scene, &[weather; 1000], mqtt);
            let took = scene.world.millis() - start;
            assert_eq!((end.code(), end.first_hint()), (Some(code), Some(hint)), "{weather:?}, MQTT {mqtt}: {end:?}");
            assert!(took <= 120_000, "{weather:?}, MQTT {mqtt}");
            let certain = matches!(weather, Weather::UnknownCa | Weather::NameMismatch);
            assert_eq!(took < 1000, certain, "{weather:?}, MQTT {mqtt}: trying again helps, or it does not");
        }
    }
}

/// Registers in this weather; also whether a connection was left open.
fn register_in(scene: &mut Scene, weather: &[Weather], mqtt: bool) -> (End, bool) {
    if mqtt {
        let mut link = scene.mqtt_link().weather(weather);
        (scene.register_over(&mut link), link.is_connected())
    } else {
        let mut link = scene.link().weather(weather);
        (scene.register_over(&mut link), link.connected)
    }
}

#[test]
fn lost_reply_to_register_leads_to_a_second_register() {
    let mut scene = Scene::new();
    let mut link = scene.link().weather(&[Weather::ReplyLost]);
    assert_eq!(scene.register_over(&mut link).hub(), Some("hub-a.test"));
    assert_eq!(scene.service.borrow().counters().registers, 2);
    assert_eq!(link.connections, 2, "the broken connection is not used again");
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
    prop::collection::vec((0..FAULTS.len(), any::<bool>(), 1..3_u32), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// With any faults, the registration ends by its deadline, with the hub or with the error of a fault.
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
            scene.service.borrow_mut().inject(Scope::All, at, FAULTS[index].clone(), times);
        }
        let start = scene.world.millis();
        let (end, connected) = register_in(&mut scene, &weather, mqtt);
        prop_assert!(scene.world.millis() - start <= 120_000);
        match end {
            End::Assigned { hub, .. } => prop_assert_eq!(hub, "hub-a.test"),
            End::Failed { verdict, .. } => prop_assert!(matches!(verdict, dps_core::Verdict::After(_)), "{:?}", verdict),
            End::Record(..) => prop_assert!(false, "nobody asked for a record"),
        }
        prop_assert!(!connected, "the link was closed in good order");
    }
}
