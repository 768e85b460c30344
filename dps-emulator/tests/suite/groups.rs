//! Enrollment groups: derived keys, letter case, several groups, precedence, what devices of a group receive.

use crate::common::{self, GROUP_KEY, KEY, OTHER_KEY, START_S, World, json, key, refused, token};
use dps_emulator::{EnrollmentGroup, IndividualEnrollment, RefusalReason, ServiceOptions};
use serde_json::{Map, Value};

const ID: &str = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";

fn world_with(groups: impl IntoIterator<Item = EnrollmentGroup>) -> World {
    let mut world = World::new(ServiceOptions::new());
    for group in groups {
        let now = world.now();
        world.service.put_group(now, group).unwrap();
    }
    world
}

fn line() -> EnrollmentGroup {
    EnrollmentGroup::new("Line-1").primary_key(key(GROUP_KEY)).secondary_key(key(OTHER_KEY))
}

fn derived(group_key: &str, id: &str) -> String {
    common::sign(group_key, id)
}

fn map(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn group_device_is_assigned_with_its_own_id() {
    let mut world = world_with([line()]);
    assert_eq!(derived(GROUP_KEY, ID), KEY);
    let state = json(&world.provision(ID, KEY))["registrationState"].take();
    assert_eq!((&state["status"], &state["deviceId"]), (&"assigned".into(), &ID.into()));
    assert_eq!(state["symmetricKey"]["enrollmentGroupId"], "Line-1");
    let record = world.service.record(ID).unwrap();
    assert_eq!(record.enrollment_group_id(), Some("Line-1"));
}

#[test]
fn either_key_of_every_group_is_accepted() {
    let other = EnrollmentGroup::new("line-2");
    let mut world = world_with([line(), other]);
    let second = world.service.group("LINE-2").unwrap().settings.attestation.clone();
    let (a, b) = (second.primary.unwrap(), second.secondary.unwrap());
    for (id, device_key, group) in [
        ("dev-1", derived(GROUP_KEY, "dev-1"), "Line-1"),
        ("dev-2", derived(OTHER_KEY, "dev-2"), "Line-1"),
        ("dev-3", a.derive("dev-3").expose().to_owned(), "line-2"),
        ("dev-4", derived(b.expose(), "dev-4"), "line-2"),
    ] {
        let state = json(&world.provision(id, &device_key))["registrationState"].take();
        assert_eq!(state["symmetricKey"]["enrollmentGroupId"], group);
    }
    assert_eq!(refused(&world.register("dev-5", &derived(GROUP_KEY, "dev-4"))), (401, 401_002));
}

#[test]
fn group_key_derivation_ignores_letter_case() {
    let mut world = world_with([line()]);
    let upper = "DEV-Aa-1";
    // As sent, and in lower case.
    for spelled in ["DEV-Aa-1", "dev-aa-1"] {
        world.wait(100);
        assert_eq!(world.register(upper, &derived(GROUP_KEY, spelled)).status, 202);
    }
    // As first registered, although sent in another spelling now.
    world.wait(100);
    assert_eq!(world.register("dev-AA-1", &derived(GROUP_KEY, upper)).status, 202);
    // A spelling that was never seen.
    assert_eq!(refused(&world.register("dev-aa-1", &derived(GROUP_KEY, "DEV-AA-1"))), (401, 401_002));
    assert_eq!(world.service.refusals().last().unwrap().reason, RefusalReason::BadSignature);
    world.wait(1000);
    let state = json(&world.lookup(upper, &derived(GROUP_KEY, upper)));
    assert_eq!((&state["registrationId"], &state["deviceId"]), (&upper.into(), &upper.into()));
}

#[test]
fn derive_as_sent_keeps_letter_case() {
    let mut world = World::new(ServiceOptions::new().derive_as_sent(true));
    let now = world.now();
    world.service.put_group(now, line()).unwrap();
    assert_eq!(refused(&world.register("DEV-1", &derived(GROUP_KEY, "dev-1"))), (401, 401_002));
    assert_eq!(world.register("DEV-1", &derived(GROUP_KEY, "DEV-1")).status, 202);
    world.wait(1000);
    assert_eq!(refused(&world.register("dev-1", &derived(GROUP_KEY, "DEV-1"))), (401, 401_002));
    assert_eq!(world.register("dev-1", &derived(GROUP_KEY, "dev-1")).status, 202);
}

#[test]
fn individual_enrollment_takes_precedence_over_groups() {
    let mut world = world_with([line()]);
    world.enroll(IndividualEnrollment::new(ID).primary_key(key(OTHER_KEY)));
    assert_eq!(refused(&world.register(ID, KEY)), (401, 401_002));
    assert_eq!(world.register(ID, OTHER_KEY).status, 202);
}

#[test]
fn disabled_group_disables_its_devices() {
    let mut world = world_with([line().enabled(false)]);
    let reply = world.provision(ID, KEY);
    assert_eq!((reply.status, &json(&reply)["status"]), (200, &"disabled".into()));
    assert_eq!(refused(&world.register(ID, GROUP_KEY)).0, 401);
}

#[test]
fn enabled_group_is_found_before_a_disabled_one_with_the_same_key() {
    let twin = EnrollmentGroup::new("zz-enabled").primary_key(key(GROUP_KEY));
    let mut world = world_with([line().enabled(false), twin]);
    let state = json(&world.provision(ID, KEY))["registrationState"].take();
    assert_eq!(state["symmetricKey"]["enrollmentGroupId"], "zz-enabled");
}

#[test]
fn group_devices_get_edge_capability_and_twin() {
    let group = line().iot_edge(true).initial_twin(map(r#"{"site":"a"}"#), map(r#"{"rate":5}"#));
    let mut world = world_with([group]);
    for id in ["dev-1", "dev-2"] {
        world.provision(id, &derived(GROUP_KEY, id));
        let device = world.service.hub_device("hub-a.test", id).unwrap();
        assert!(device.iot_edge);
        assert_eq!(device.twin.tags, map(r#"{"site":"a"}"#));
        assert_eq!(device.twin.desired, map(r#"{"rate":5}"#));
    }
    assert_eq!(world.service.hub_devices().count(), 2);
}

#[test]
fn hub_accepts_tokens_signed_with_derived_keys() {
    let mut world = world_with([line()]);
    world.provision(ID, KEY);
    let now = world.now();
    let device = world.service.hub_device("HUB-A.test", ID).unwrap();
    let sr = format!("hub-a.test%2Fdevices%2F{ID}");
    let end = START_S + 60;
    assert!(device.accepts_token(now, &token(KEY, &sr, end, "")));
    assert!(device.accepts_token(now, &token(&derived(OTHER_KEY, ID), &sr, end, "")));
    for wrong in [
        token(GROUP_KEY, &sr, end, ""),
        token(KEY, &sr, START_S, ""),
        token(KEY, &sr, end, "&skn=registration"),
        token(KEY, &sr.to_uppercase(), end, ""),
        token(KEY, "hub-b.test%2Fdevices%2Fx", end, ""),
    ] {
        assert!(!device.accepts_token(now, &wrong), "{wrong}");
    }
}

#[test]
fn deleting_a_group_deletes_its_records_and_keeps_hub_devices() {
    let mut world = world_with([line()]);
    world.provision(ID, KEY);
    assert!(world.service.delete_group("line-1"));
    assert!(world.service.record(ID).is_none());
    assert!(world.service.hub_device("hub-a.test", ID).is_some());
    assert_eq!(refused(&world.register(ID, KEY)), (401, 401_002));
}

#[test]
fn hundred_groups_are_accepted_and_no_more() {
    let mut world = world_with((0..100).map(|n| EnrollmentGroup::new(format!("group-{n}"))));
    let now = world.now();
    assert_eq!(world.service.put_group(now, EnrollmentGroup::new("one-more")).unwrap_err().status, 400);
    world.service.put_group(now, EnrollmentGroup::new("GROUP-7").primary_key(key(GROUP_KEY))).unwrap();
    assert_eq!(world.register(ID, KEY).status, 202);
}

#[test]
fn generated_group_keys_have_64_bytes_and_are_hidden_by_get() {
    let mut world = world_with([EnrollmentGroup::new("line-1")]);
    let attestation = world.service.group("line-1").unwrap().settings.attestation.clone();
    let (primary, secondary) = (attestation.primary.clone().unwrap(), attestation.secondary.clone().unwrap());
    assert_eq!((primary.expose().len(), secondary.expose().len()), (88, 88));
    assert_ne!(primary.expose(), secondary.expose());
    let shown = format!("{attestation:?} {:?}", world.service.connection_string());
    assert!(!shown.contains(primary.expose()) && !shown.contains("SharedAccessKey"), "{shown}");
    assert_eq!(world.register("dev-1", primary.derive("dev-1").expose()).status, 202);
}
