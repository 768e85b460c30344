//! Devices that register again, and which hub a device is assigned to.

use crate::common::{KEY, SCOPE, START_S, World, device_token, json, key};
use dps_emulator::{AllocationPolicy, IndividualEnrollment, ReprovisionPolicy, ServiceOptions, UnchangedSubstatus};
use serde_json::{Map, Value};

const MIGRATE: ReprovisionPolicy = ReprovisionPolicy { update_hub_assignment: true, migrate_device_data: true };
const RESET: ReprovisionPolicy = ReprovisionPolicy { update_hub_assignment: true, migrate_device_data: false };
const NEVER: ReprovisionPolicy = ReprovisionPolicy { update_hub_assignment: false, migrate_device_data: false };

fn map(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap()
}

fn enrollment(policy: ReprovisionPolicy, hub: &str) -> IndividualEnrollment {
    IndividualEnrollment::new("dev-01")
        .primary_key(key(KEY))
        .reprovision(policy)
        .iot_edge(true)
        .initial_twin(map(r#"{"site":"factory"}"#), Map::new())
        .allocation(AllocationPolicy::Static, [hub])
}

/// Assigned to hub-a, where a cloud application then changed the twin.
fn settled(policy: ReprovisionPolicy, options: ServiceOptions) -> World {
    let mut world = World::new(options.hub("hub-a.test", 1).hub("hub-b.test", 1));
    world.enroll(enrollment(policy, "hub-a.test"));
    assert_eq!(outcome(&mut world), ("hub-a.test".into(), "initialAssignment".into()));
    world.service.hub_device_mut("hub-a.test", "dev-01").unwrap().twin.tags = map(r#"{"site":"field"}"#);
    world
}

fn outcome(world: &mut World) -> (String, String) {
    world.wait(1000);
    let state = json(&world.provision("dev-01", KEY))["registrationState"].take();
    let text = |member: &str| state[member].as_str().unwrap_or_else(|| panic!("{state}")).to_owned();
    (text("assignedHub"), text("substatus"))
}

fn moved(world: &mut World, policy: ReprovisionPolicy, hub: &str) -> (String, String) {
    world.enroll(enrollment(policy, hub));
    outcome(world)
}

#[test]
fn unchanged_assignment_keeps_its_substatus() {
    let mut world = settled(MIGRATE, ServiceOptions::new());
    for _ in 0..3 {
        assert_eq!(outcome(&mut world), ("hub-a.test".into(), "initialAssignment".into()));
    }
    assert_eq!(world.service.hub_device("hub-a.test", "dev-01").unwrap().twin.tags, map(r#"{"site":"field"}"#));
}

#[test]
fn unchanged_assignment_as_iot_edge_1_1_expects_it() {
    let mut world = settled(MIGRATE, ServiceOptions::new().unchanged_substatus(UnchangedSubstatus::Reprovisioned));
    assert_eq!(outcome(&mut world), ("hub-a.test".into(), "reprovisionedToInitialAssignment".into()));
}

#[test]
fn move_migrates_the_twin_and_back() {
    let mut world = settled(MIGRATE, ServiceOptions::new());
    assert_eq!(moved(&mut world, MIGRATE, "hub-b.test"), ("hub-b.test".into(), "deviceDataMigrated".into()));
    assert!(world.service.hub_device("hub-a.test", "dev-01").is_none());
    let device = world.service.hub_device("hub-b.test", "dev-01").unwrap();
    assert_eq!((&device.twin.tags, device.iot_edge), (&map(r#"{"site":"field"}"#), true));
    // Unchanged since: the substatus of the move stays.
    assert_eq!(outcome(&mut world), ("hub-b.test".into(), "deviceDataMigrated".into()));
    let back = moved(&mut world, MIGRATE, "hub-a.test");
    assert_eq!(back, ("hub-a.test".into(), "reprovisionedToInitialAssignment".into()));
    assert_eq!(world.service.hub_devices().count(), 1);
}

#[test]
fn move_resets_the_twin() {
    let mut world = settled(RESET, ServiceOptions::new());
    assert_eq!(moved(&mut world, RESET, "hub-b.test"), ("hub-b.test".into(), "deviceDataReset".into()));
    assert!(world.service.hub_device("hub-a.test", "dev-01").is_none());
    let device = world.service.hub_device("hub-b.test", "dev-01").unwrap();
    assert_eq!(device.twin.tags, map(r#"{"site":"factory"}"#));
}

#[test]
fn device_stays_without_update_hub_assignment() {
    let mut world = settled(NEVER, ServiceOptions::new());
    let stays = ("hub-a.test".to_owned(), "initialAssignment".to_owned());
    assert_eq!(moved(&mut world, NEVER, "hub-b.test"), stays);
    world.service.unlink_hub("hub-a.test");
    assert_eq!(outcome(&mut world), stays);
}

#[test]
fn old_api_versions_keep_the_hub() {
    let mut world = settled(MIGRATE, ServiceOptions::new());
    world.enroll(enrollment(MIGRATE, "hub-b.test"));
    for (version, hub) in
        [("2017-11-15", "hub-a.test"), ("2018-04-01", "hub-a.test"), ("2018-09-01-preview", "hub-b.test")]
    {
        world.wait(1000);
        let path = format!("/{SCOPE}/registrations/dev-01/register?api-version={version}");
        let token = device_token(KEY, "dev-01", START_S + 3600);
        assert_eq!(world.send("PUT", &path, &[("Authorization", &token)], b"").status, 202);
        world.wait(1000);
        world.service.advance(world.now());
        assert_eq!(world.service.record("dev-01").unwrap().assigned_hub(), Some(hub), "{version}");
    }
}

#[test]
fn record_is_assigning_during_a_move() {
    let mut world = settled(MIGRATE, ServiceOptions::new());
    world.enroll(enrollment(MIGRATE, "hub-b.test"));
    world.wait(1000);
    world.register("dev-01", KEY);
    let record = json(&world.lookup("dev-01", KEY));
    assert_eq!((&record["status"], record.get("assignedHub")), (&"assigning".into(), None));
    world.wait(500);
    assert_eq!(json(&world.lookup("dev-01", KEY))["assignedHub"], "hub-b.test");
}

#[test]
fn failed_move_keeps_the_hub_for_later() {
    let mut world = settled(MIGRATE, ServiceOptions::new());
    world.service.unlink_hub("hub-a.test");
    world.wait(1000);
    assert_eq!(json(&world.provision("dev-01", KEY))["registrationState"]["errorCode"], 400_208);
    world.service.link_hub("hub-a.test", 1).unwrap();
    assert_eq!(outcome(&mut world), ("hub-a.test".into(), "initialAssignment".into()));
    assert_eq!(world.service.hub_device("hub-a.test", "dev-01").unwrap().twin.tags, map(r#"{"site":"field"}"#));
}

#[test]
fn device_id_changes_only_after_record_deletion() {
    let mut world = World::with_device();
    world.provision("dev-01", KEY);
    world.enroll(IndividualEnrollment::new("dev-01").device_id("press-7"));
    world.wait(1000);
    assert_eq!(json(&world.provision("dev-01", KEY))["registrationState"]["deviceId"], "dev-01");
    assert!(world.service.delete_record("dev-01"));
    world.wait(1000);
    assert_eq!(json(&world.provision("dev-01", KEY))["registrationState"]["deviceId"], "press-7");
    // The old entry stays in the hub.
    assert_eq!(world.service.hub_devices().count(), 2);
}

#[test]
fn hashed_allocation_uses_the_enrollments_hubs() {
    let hubs = ["hub-a.test", "hub-b.test", "hub-c.test"];
    let mut world =
        World::new(hubs.iter().fold(ServiceOptions::new(), |options, hub| options.hub(*hub, 1)).assign_at_once(true));
    let mut seen = std::collections::BTreeMap::new();
    for n in 0..60 {
        let id = format!("dev-{n}");
        world.enroll(
            IndividualEnrollment::new(&id)
                .primary_key(key(KEY))
                .allocation(AllocationPolicy::Hashed, ["HUB-A.test", "hub-c.test"]),
        );
        let hub = json(&world.register(&id, KEY))["registrationState"]["assignedHub"].as_str().unwrap().to_owned();
        *seen.entry(hub).or_insert(0) += 1;
    }
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["hub-a.test", "hub-c.test"]);
    assert!(seen.values().all(|count| *count >= 10), "{seen:?}");
}

#[test]
fn static_allocation_accepts_the_older_member_and_needs_a_linked_hub() {
    let mut world = World::new(ServiceOptions::new().hub("hub-a.test", 1).hub("hub-b.test", 1000));
    let body = r#"{"registrationId":"dev-01","attestation":{"type":"symmetricKey"},"iotHubHostName":"hub-a.test"}"#;
    let put = json(&world.admin("PUT", "/enrollments/dev-01", body));
    assert_eq!(put["allocationPolicy"], "static");
    let device_key = put["attestation"]["symmetricKey"]["primaryKey"].as_str().unwrap().to_owned();
    assert_eq!(json(&world.provision("dev-01", &device_key))["registrationState"]["assignedHub"], "hub-a.test");
    world.enroll(enrollment(MIGRATE, "hub-x.test"));
    world.wait(1000);
    assert_eq!(json(&world.provision("dev-01", KEY))["registrationState"]["errorCode"], 400_208);
}
