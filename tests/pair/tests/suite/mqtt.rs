//! Registrations over MQTT: messages, round trips, and faults of the protocol.

use dps_core::credentials::derive_device_key;
use dps_core::{ErrorCode, Hint, Key, Millis, Payload, Registration, RegistrationId, Verdict};
use dps_emulator::{At, Fault, RetryAfter, Scope, ServiceOptions};
use pair::scene::{GROUP_KEY, ID_SCOPE};
use pair::{End, MqttPairLink, Scene};

const GROUP_DEVICE: &str = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";

fn connects(scene: &Scene) -> u64 {
    scene.service.borrow().counters().connects
}

fn gaps(link: &MqttPairLink) -> Vec<u64> {
    link.sent.windows(2).map(|pair| pair[1].at - pair[0].at).collect()
}

#[test]
fn mqtt_registration_needs_four_round_trips_and_the_hinted_wait() {
    let mut scene = Scene::new();
    let mut link = scene.mqtt_link();
    let start = scene.world.millis();
    let end = scene.register_over(&mut link);
    assert_eq!(end.hub(), Some("hub-a.test"), "{end:?}");
    let topics: Vec<&str> = link.sent.iter().map(|sent| sent.line.as_str()).collect();
    assert_eq!(topics[0], "$dps/registrations/PUT/iotdps-register/?$rid=2");
    assert!(topics[1].starts_with("$dps/registrations/GET/iotdps-get-operationstatus/?$rid=3&operationId="));
    assert_eq!(topics.len(), 2);
    // Round trips of CONNECT, SUBSCRIBE, register and poll, and the second that the service asked for.
    assert_eq!(scene.world.millis() - start, 8 * 20 + 1000);
    assert_eq!(connects(&scene), 1, "one connection for the whole registration");
    assert!(!link.is_connected());
}

#[test]
fn derived_key_and_payload_work_over_mqtt() {
    let mut scene = Scene::with(ServiceOptions::new().echo_payload(true));
    scene.identity = Scene::identity(ID_SCOPE, GROUP_DEVICE);
    let group = Key::from_base64(GROUP_KEY).unwrap();
    scene.key = derive_device_key(&group, RegistrationId::new(GROUP_DEVICE).unwrap());
    let end = scene.go(&mut scene.mqtt_link(), |identity, config, storage| {
        let payload = Payload::new(r#"{"line":"7 ü"}"#).unwrap();
        Registration::new(identity, config, storage).unwrap().with_payload(payload)
    });
    let End::Assigned { device, payload, .. } = end else { panic!("{end:?}") };
    assert_eq!((device.as_str(), payload.as_deref()), (GROUP_DEVICE, Some(r#"{"line":"7 ü"}"#)));
}

#[test]
fn new_token_opens_a_new_connection() {
    let options = ServiceOptions::new().hint(Some(RetryAfter::Seconds(20))).assigning_ms(30_000);
    let mut scene = Scene::with(options);
    // Long enough for the first poll and its margin, too short for the second.
    scene.config = scene.config.token_life(Millis::from_secs(115));
    let mut link = scene.mqtt_link();
    assert_eq!(scene.register_over(&mut link).hub(), Some("hub-a.test"));
    assert_eq!(link.sent.len(), 3);
    assert_eq!(link.sent[0].token, link.sent[1].token);
    assert_ne!(link.sent[1].token, link.sent[2].token);
    assert_eq!(connects(&scene), 2);
}

#[test]
fn refused_credential_is_unauthorized_by_connack_and_by_topic() {
    for strict in [false, true] {
        let mut scene = Scene::with(ServiceOptions::new().strict_at_connect(strict));
        scene.key = Key::from_bytes(&[9; 32]).unwrap();
        let end = scene.register_over(&mut scene.mqtt_link());
        let End::Failed { code, verdict, ref hints, tracked, .. } = end else { panic!("{end:?}") };
        assert_eq!((code, verdict, tracked), (ErrorCode::Unauthorized, Verdict::Never, !strict), "strict: {strict}");
        assert!(hints.contains(&Hint::CheckClock), "replies over MQTT do not contain the time: {hints:?}");
        assert_eq!(hints.first() == Some(&Hint::CheckClock), strict, "CONNACK 5 comes before any key: {hints:?}");
        assert_eq!(connects(&scene), 1);
    }
}

#[test]
fn long_wait_keeps_the_connection_alive() {
    let mut scene = Scene::with(ServiceOptions::new().hint(Some(RetryAfter::Seconds(100))));
    let mut link = scene.mqtt_link();
    assert_eq!(scene.register_over(&mut link).hub(), Some("hub-a.test"));
    assert_eq!((connects(&scene), gaps(&link)), (1, vec![100_040]));
}

#[test]
fn unanswered_ping_closes_the_connection_and_the_next_poll_connects_again() {
    let mut scene = Scene::with(ServiceOptions::new().hint(Some(RetryAfter::Seconds(100))));
    scene.service.borrow_mut().inject(Scope::All, At::Connect, Fault::NoPing, u32::MAX);
    let mut link = scene.mqtt_link();
    assert_eq!(scene.register_over(&mut link).hub(), Some("hub-a.test"));
    assert_eq!((connects(&scene), scene.service.borrow().counters().registers), (2, 1));
    // The wait is not cut short by it: only CONNECT and SUBSCRIBE come before the poll.
    assert_eq!(gaps(&link), [100_040 + 80]);
}

#[test]
fn lookup_over_mqtt_sends_nothing() {
    let mut scene = Scene::new();
    let end = scene.go(&mut scene.mqtt_link(), |identity, config, storage| {
        Registration::lookup(identity, config, storage).unwrap()
    });
    let End::Failed { code, verdict, .. } = end else { panic!("{end:?}") };
    assert_eq!((code, verdict, connects(&scene)), (ErrorCode::UnsupportedByTransport, Verdict::Reconfigure, 0));
}
