//! The hub that a provisioned device signs in to, byte by byte under virtual time: which devices it accepts, and until
//! when.

use crate::common::{KEY, OTHER_KEY, World, encode, key, token};
use dps_emulator::mqtt::{Effect, Session};
use dps_emulator::{HubCounters, IndividualEnrollment, ServiceOptions};
use serde_json::{Map, Value, json};

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u16).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let (low, high) = (body.len() % 128, body.len() / 128);
    packet.extend(if high > 0 { vec![low as u8 | 0x80, high as u8] } else { vec![low as u8] });
    packet.extend_from_slice(body);
    packet
}

pub(crate) fn subscribe(filter: &str) -> Vec<u8> {
    let mut body = vec![0, 1];
    text(&mut body, filter);
    body.push(1);
    packet(0x82, &body)
}

pub(crate) fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, topic);
    body.extend_from_slice(&[0, 7]);
    body.extend_from_slice(payload);
    packet(0x32, &body)
}

const PING: [u8; 2] = [0xc0, 0];
const TELEMETRY: &str = "devices/gateway-7/messages/events/";
const ACCEPTED: [u8; 4] = [0x20, 2, 0, 0];
const NOT_AUTHORIZED: [u8; 4] = [0x20, 2, 0, 5];

/// `gateway-7` at `hub-a.test`, which `dev-01` was assigned to.
pub(crate) fn provisioned() -> World {
    provisioned_as("gateway-7")
}

fn provisioned_as(device_id: &str) -> World {
    let mut world = World::new(ServiceOptions::new().hub("hub-a.test", 1).hub("hub-b.test", 1));
    let tags = Map::from_iter([("site".to_owned(), Value::from("a"))]);
    let enrollment = IndividualEnrollment::new("dev-01").device_id(device_id).primary_key(key(KEY));
    let enrollment = enrollment.initial_twin(tags, Map::from_iter([("rate".to_owned(), Value::from(5))]));
    world.enroll(enrollment.allocation(dps_emulator::AllocationPolicy::Static, ["hub-a.test"]));
    assert_eq!(world.provision("dev-01", KEY).status, 200);
    world
}

pub(crate) fn says(world: &mut World, session: &mut Session, bytes: &[u8]) -> Vec<Effect> {
    let now = world.now();
    session.receive(&mut world.service, now, bytes)
}

/// Sends CONNECT with this key; returns the hub's reply.
pub(crate) fn connect(world: &mut World, hub: &str, signed_with: &str) -> (Session, Vec<u8>) {
    connect_as(world, hub, "gateway-7", signed_with)
}

fn connect_as(world: &mut World, hub: &str, device_id: &str, signed_with: &str) -> (Session, Vec<u8>) {
    connect_with(world, hub, device_id, device_id, signed_with, Session::new())
}

/// The same with another client id than the device id, or with a client certificate.
pub(crate) fn connect_with(
    world: &mut World,
    hub: &str,
    device_id: &str,
    client_id: &str,
    signed_with: &str,
    mut session: Session,
) -> (Session, Vec<u8>) {
    let hello = hello(hub, device_id, client_id, signed_with, world.device_s());
    let effects = says(world, &mut session, &hello);
    let Some(Effect::Send(answer)) = effects.first() else { panic!("{effects:?}") };
    (session, answer.clone())
}

/// CONNECT at this time.
pub(crate) fn hello(hub: &str, device_id: &str, client_id: &str, signed_with: &str, now_s: u64) -> Vec<u8> {
    let password = token(signed_with, &encode(&format!("{hub}/devices/{device_id}")), now_s + 3600, "");
    let mut body = Vec::new();
    text(&mut body, "MQTT");
    body.extend_from_slice(&[4, 0xc2, 0, 60]);
    text(&mut body, client_id);
    text(&mut body, &format!("{hub}/{device_id}/?api-version=2021-04-12"));
    text(&mut body, &password);
    packet(0x10, &body)
}

fn counters(world: &World, hub: &str) -> HubCounters {
    world.service.hub_counters(hub, "gateway-7")
}

#[test]
fn provisioned_device_signs_in_reads_its_twin_and_sends_telemetry() {
    let mut world = provisioned();
    let (mut session, answer) = connect(&mut world, "hub-a.test", KEY);
    assert!(session.is_connected() && answer == ACCEPTED);
    let granted = says(&mut world, &mut session, &subscribe("$iothub/twin/res/#"));
    assert_eq!(granted, [Effect::Send(vec![0x90, 3, 0, 1, 1])]);
    let refused = says(&mut world, &mut session, &subscribe("$dps/registrations/res/#"));
    assert_eq!(refused, [Effect::Send(vec![0x90, 3, 0, 1, 0x80])]);

    let effects = says(&mut world, &mut session, &publish("$iothub/twin/GET/?$rid=42", b""));
    let twin = effects.iter().find_map(|effect| match effect {
        Effect::Send(bytes) if bytes[0] >> 4 == 3 => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    });
    let twin = twin.unwrap();
    assert!(twin.contains("$iothub/twin/res/200/?$rid=42"), "{twin}");
    let body: Value = serde_json::from_str(&twin[twin.find('{').unwrap()..]).unwrap();
    let expected =
        json!({ "tags": { "site": "a" }, "desired": { "rate": 5, "$version": 1 }, "reported": { "$version": 1 } });
    assert_eq!(body, expected);

    for _ in 0..3 {
        let acknowledged = says(&mut world, &mut session, &publish(TELEMETRY, b"{}"));
        assert_eq!(acknowledged, [Effect::Send(vec![0x40, 2, 0, 7])]);
    }
    let seen = counters(&world, "hub-a.test");
    assert_eq!((seen.connects, seen.refused, seen.twins, seen.telemetry), (1, 0, 1, 3));
    assert_eq!(
        says(&mut world, &mut session, &publish("devices/other/messages/events/", b"")).last(),
        Some(&Effect::Close)
    );
}

#[test]
fn hub_topics_accept_the_percent_encoded_device_id() {
    let device_id = "aZ9-:.+%_#*?!(),=@;$'";
    let mut world = provisioned_as(device_id);
    let (mut session, answer) = connect_as(&mut world, "hub-a.test", device_id, KEY);
    assert_eq!(answer, ACCEPTED);
    let commands = format!("devices/{}/messages/devicebound/#", encode(device_id));
    assert_eq!(says(&mut world, &mut session, &subscribe(&commands)), [Effect::Send(vec![0x90, 3, 0, 1, 1])]);
    let telemetry = format!("devices/{}/messages/events/", encode(device_id));
    let acknowledged = says(&mut world, &mut session, &publish(&telemetry, b"{}"));
    assert_eq!(acknowledged, [Effect::Send(vec![0x40, 2, 0, 7])]);
    assert_eq!(world.service.hub_counters("hub-a.test", device_id).telemetry, 1);
}

#[test]
fn hub_refuses_a_wildcard_as_device_id() {
    let mut world = provisioned_as("+");
    let (mut session, answer) = connect_as(&mut world, "hub-a.test", "+", KEY);
    assert_eq!(answer, ACCEPTED);
    let refused = says(&mut world, &mut session, &subscribe("devices/+/messages/devicebound/#"));
    assert_eq!(refused, [Effect::Send(vec![0x90, 3, 0, 1, 0x80])]);
}

#[test]
fn hub_refuses_wrong_key_other_hub_and_expired_token() {
    let mut world = provisioned();
    for (hub, signed_with) in [("hub-a.test", OTHER_KEY), ("hub-b.test", KEY), ("nowhere.test", KEY)] {
        let (session, answer) = connect(&mut world, hub, signed_with);
        assert!(!session.is_connected() && answer == NOT_AUTHORIZED, "{hub}");
        assert_eq!(counters(&world, hub).refused, 1);
    }
    let (mut session, _) = connect(&mut world, "hub-a.test", KEY);
    world.wait(3_600_000 + 1000);
    assert_eq!(says(&mut world, &mut session, &PING), [Effect::Close], "the token has expired");
}

#[test]
fn hub_disconnects_disabled_deleted_and_moved_devices() {
    let disable: fn(&mut World) = |world| {
        world.service.hub_device_mut("hub-a.test", "gateway-7").unwrap().enabled = false;
    };
    let delete: fn(&mut World) = |world| assert!(world.service.delete_hub_device("hub-a.test", "gateway-7"));
    let move_it: fn(&mut World) = |world| {
        let enrollment = IndividualEnrollment::new("dev-01").device_id("gateway-7").primary_key(key(KEY));
        world.enroll(enrollment.allocation(dps_emulator::AllocationPolicy::Static, ["hub-b.test"]));
        assert_eq!(world.provision("dev-01", KEY).status, 200);
    };
    for (turn_away, name, hub_after) in
        [(disable, "disabled", None), (delete, "deleted", None), (move_it, "moved", Some("hub-b.test"))]
    {
        let mut world = provisioned();
        let (mut session, answer) = connect(&mut world, "hub-a.test", KEY);
        assert_eq!(answer, ACCEPTED);
        assert_eq!(says(&mut world, &mut session, &PING), [Effect::Send(vec![0xd0, 0])]);
        turn_away(&mut world);
        assert_eq!(says(&mut world, &mut session, &publish(TELEMETRY, b"{}")).last(), Some(&Effect::Close), "{name}");
        assert_eq!(counters(&world, "hub-a.test").telemetry, 0, "{name}");
        assert_eq!(connect(&mut world, "hub-a.test", KEY).1, NOT_AUTHORIZED, "{name}");
        if let Some(hub) = hub_after {
            assert_eq!(connect(&mut world, hub, KEY).1, ACCEPTED);
        }
    }
}

#[test]
fn hub_acknowledges_reported_properties() {
    let mut world = provisioned();
    let (mut session, answer) = connect(&mut world, "hub-a.test", KEY);
    assert_eq!(answer, ACCEPTED);
    says(&mut world, &mut session, &subscribe("$iothub/twin/res/#"));
    let patch = "$iothub/twin/PATCH/properties/reported/?$rid=5";
    let answers = |effects: &[Effect], topic: &str| {
        effects.iter().any(|effect| match effect {
            Effect::Send(bytes) => bytes.windows(topic.len()).any(|window| window == topic.as_bytes()),
            _ => false,
        })
    };
    let effects = says(&mut world, &mut session, &publish(patch, br#"{"rate":5}"#));
    assert!(answers(&effects, "$iothub/twin/res/204/?$rid=5&$version=2"), "{effects:?}");
    let effects = says(&mut world, &mut session, &publish(patch, b"no JSON"));
    assert!(answers(&effects, "$iothub/twin/res/400/?$rid=5"), "{effects:?}");
    assert!(!effects.contains(&Effect::Close));
}
