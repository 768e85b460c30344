//! Registrations without faults: every kind of enrollment, to the millisecond.

use dps_core::credentials::derive_device_key;
use dps_core::{Key, Payload, Registration, RegistrationId};
use dps_emulator::{IndividualEnrollment, RetryAfter, ServiceOptions, SymmetricKey};
use pair::scene::{DEVICE_KEY, GROUP_KEY, ID_SCOPE, SECOND_DEVICE_KEY};
use pair::{End, Scene};

const GROUP_DEVICE: &str = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";

fn assigned(device: &str) -> End {
    End::Assigned {
        hub: "hub-a.test".into(),
        device: device.into(),
        substatus: Some("initialAssignment".into()),
        payload: None,
    }
}

#[test]
fn individual_enrollment_registers_with_two_requests_and_the_hinted_wait() {
    let mut scene = Scene::new();
    let mut link = scene.link();
    let start = scene.world.millis();
    assert_eq!(scene.register_over(&mut link), assigned("dev-01"));
    let lines: Vec<&str> = link.sent.iter().map(|sent| sent.line.split('?').next().unwrap()).collect();
    assert_eq!(lines[0], "PUT /0ne00A1B2C3/registrations/dev-01/register");
    assert!(lines[1].starts_with("GET /0ne00A1B2C3/registrations/dev-01/operations/"), "{lines:?}");
    assert_eq!(lines.len(), 2);
    // One way, there and back, a second as the service asked, there and back.
    assert_eq!(scene.world.millis() - start, 4 * 20 + 1000);
    assert_eq!(link.connections, 1, "one connection for the whole registration");
    assert_eq!(link.sent[0].token, link.sent[1].token, "one token does for both");
}

#[test]
fn both_keys_of_an_individual_enrollment_are_accepted() {
    for key in [DEVICE_KEY, SECOND_DEVICE_KEY] {
        let mut scene = Scene::new();
        scene.key = Key::from_base64(key).unwrap();
        assert_eq!(scene.register(), assigned("dev-01"));
    }
}

#[test]
fn derived_key_registers_a_device_of_the_group() {
    let mut scene = Scene::new();
    scene.identity = Scene::identity(ID_SCOPE, GROUP_DEVICE);
    let group = Key::from_base64(GROUP_KEY).unwrap();
    scene.key = derive_device_key(&group, RegistrationId::new(GROUP_DEVICE).unwrap());
    assert_eq!(scene.register(), assigned(GROUP_DEVICE));
}

#[test]
fn device_id_of_the_enrollment_is_used() {
    let mut scene = Scene::new();
    let key = SymmetricKey::from_base64(DEVICE_KEY).unwrap();
    let enrollment =
        IndividualEnrollment::new("dev-01").primary_key(key).device_id("Pump 7/a".replace([' ', '/'], "_"));
    scene.service.borrow_mut().put_enrollment(scene.now(), enrollment).unwrap();
    assert_eq!(scene.register(), assigned("Pump_7_a"));
}

#[test]
fn ids_with_every_allowed_character_register() {
    for id in ["a", "dev_1.a:b-c", "UPPER-9", "0"] {
        let mut scene = Scene::new();
        scene.identity = Scene::identity(ID_SCOPE, id);
        scene.key = derive_device_key(&Key::from_base64(GROUP_KEY).unwrap(), RegistrationId::new(id).unwrap());
        assert_eq!(scene.register(), assigned(id), "{id}");
    }
}

#[test]
fn assignment_in_the_first_reply_needs_one_request() {
    let mut scene = Scene::with(ServiceOptions::new().assign_at_once(true));
    let mut link = scene.link();
    assert_eq!(scene.register_over(&mut link), assigned("dev-01"));
    assert_eq!(link.sent.len(), 1);
}

#[test]
fn retry_after_date_is_honored_by_the_service_clock() {
    for ahead in [0, -86_400, 3600] {
        let mut scene = Scene::with(ServiceOptions::new().hint(Some(RetryAfter::Date(7))));
        // A device whose clock is days behind has no valid token; let the service be lenient, for this is about waits.
        scene.config = scene.config.token_life(dps_core::Millis::from_secs(7 * 86_400));
        scene.clock_ahead = Some(ahead);
        let mut link = scene.link();
        assert_eq!(scene.register_over(&mut link), assigned("dev-01"), "{ahead}");
        assert_eq!(link.sent[1].at - link.sent[0].at, 7000 + 40, "{ahead}");
    }
}

#[test]
fn poll_interval_is_kept_without_hint() {
    let mut scene = Scene::with(ServiceOptions::new().hint(None));
    let mut link = scene.link();
    assert_eq!(scene.register_over(&mut link), assigned("dev-01"));
    assert_eq!(link.sent[1].at - link.sent[0].at, 2000 + 40);
}

#[test]
fn slow_assignment_is_polled_as_hinted() {
    let mut scene = Scene::with(ServiceOptions::new().hint(Some(RetryAfter::Seconds(3))).assigning_ms(10_000));
    let mut link = scene.link();
    assert_eq!(scene.register_over(&mut link), assigned("dev-01"));
    let gaps: Vec<u64> = link.sent.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert_eq!(gaps, [3040; 4]);
    assert_eq!(scene.service.borrow().counters().throttled, 0);
}

#[test]
fn hint_of_zero_is_polled_once_per_second() {
    let options = || ServiceOptions::new().hint(Some(RetryAfter::Seconds(0))).assigning_ms(4000);
    let mut scene = Scene::with(options());
    assert_eq!(scene.register_over(&mut scene.link()), assigned("dev-01"));
    assert_eq!(scene.service.borrow().counters().polls, 4, "over HTTP");
    let mut scene = Scene::with(options());
    assert_eq!(scene.register_over(&mut scene.mqtt_link()), assigned("dev-01"));
    assert_eq!(scene.service.borrow().counters().polls, 4, "over MQTT");
}

#[test]
fn payload_is_sent_and_returned() {
    let mut scene = Scene::with(ServiceOptions::new().echo_payload(true));
    let text = r#"{"line":"7 \"b\"","ü":[1,2,{"x":null}]}"#;
    let end = scene.go(&mut scene.link(), |identity, config, storage| {
        Registration::new(identity, config, storage).unwrap().with_payload(Payload::new(text).unwrap())
    });
    let End::Assigned { payload: Some(payload), .. } = end else { panic!("{end:?}") };
    let same: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&payload).unwrap(), same);
}

#[test]
fn lookup_returns_the_record_and_registers_nothing() {
    let mut scene = Scene::new();
    let lookup = |scene: &mut Scene| {
        scene
            .go(&mut scene.link(), |identity, config, storage| Registration::lookup(identity, config, storage).unwrap())
    };
    let before = lookup(&mut scene);
    assert_eq!(before.code(), Some(dps_core::ErrorCode::NotFound), "{before:?}");
    assert_eq!(scene.service.borrow().counters().registers, 0);
    scene.register();
    assert_eq!(lookup(&mut scene), End::Record("assigned".into(), Some("hub-a.test".into())));
    assert_eq!(scene.service.borrow().counters().registers, 1);
}
