//! The emulator's own API under the policy key: planned faults, counters, and devices in hubs.

use crate::common::{self, KEY, OTHER_KEY, World, json, key, refused};
use dps_emulator::{At, Fault, HttpReply, IndividualEnrollment, Limits, Scope, ServiceOptions};
use serde_json::{Value, json};

const FAULTS: &str = "/emulator/faults";
const COUNTERS: &str = "/emulator/counters";

fn two_devices() -> World {
    let mut world = World::with_device();
    world.enroll(IndividualEnrollment::new("dev-02").primary_key(key(OTHER_KEY)));
    world
}

fn call(world: &mut World, method: &str, path: &str, body: &Value) -> HttpReply {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    world.as_owner(method, path, &[], &body)
}

#[track_caller]
fn done(reply: &HttpReply) -> Value {
    assert_eq!((reply.status, reply.fault), (200, None), "{}", String::from_utf8_lossy(&reply.body));
    json(reply)
}

#[test]
fn planned_faults_are_listed_with_the_number_left() {
    let mut world = two_devices();
    assert_eq!(done(&call(&mut world, "GET", FAULTS, &Value::Null)), json!({ "faults": [] }));
    let one = json!({ "registrationId": "Dev-01", "at": "register", "kind": "throttle", "retryAfter": 7, "times": 2 });
    let planned = done(&call(&mut world, "POST", FAULTS, &one));
    assert_eq!(planned["faults"][0]["left"], 2);
    let two = json!([{ "kind": "drop-after" }, { "kind": "server-error", "at": "poll", "status": 503 }]);
    assert_eq!(done(&call(&mut world, "POST", FAULTS, &two))["faults"].as_array().unwrap().len(), 2);

    let reply = world.register("dev-01", KEY);
    assert_eq!((reply.status, reply.header("Retry-After")), (429, Some("7")));
    let listed = done(&call(&mut world, "GET", "/Emulator/Faults?api-version=2021-10-01", &Value::Null));
    assert_eq!(
        listed,
        json!({ "faults": [
            { "registrationId": "Dev-01", "at": "register", "kind": "throttle", "retryAfter": 7, "times": 2, "left": 1 },
            { "at": "any", "kind": "drop-after", "times": 1, "left": 1 },
            { "at": "poll", "kind": "server-error", "status": 503, "times": 1, "left": 1 },
        ] })
    );
    assert_eq!(world.register("dev-01", KEY).status, 429);
    assert_eq!(world.service.planned_faults().count(), 2, "what was met often enough is gone");
}

#[test]
fn faults_planned_by_code_are_listed() {
    let mut world = two_devices();
    world.service.inject(Scope::Registration("dev-01"), At::Any, Fault::Delay { ms: 5 }, u32::MAX);
    let listed = done(&call(&mut world, "GET", FAULTS, &Value::Null));
    assert_eq!(listed["faults"][0]["times"], u32::MAX);
    assert_eq!((&listed["faults"][0]["kind"], &listed["faults"][0]["ms"]), (&"delay".into(), &5.into()));
}

#[test]
fn faults_are_deleted_for_all_devices_or_one() {
    let mut world = two_devices();
    let for_both = json!([{ "kind": "garbage", "registrationId": "dev-01", "times": 5 },
        { "kind": "garbage", "registrationId": "dev-02" }, { "kind": "garbage" }]);
    done(&call(&mut world, "POST", FAULTS, &for_both));
    let path = format!("{FAULTS}?registrationId=DEV%2D01");
    assert_eq!(done(&call(&mut world, "DELETE", &path, &Value::Null)), json!({ "cleared": 1 }));
    assert_eq!(done(&call(&mut world, "DELETE", &path, &Value::Null)), json!({ "cleared": 0 }));
    assert_eq!(world.service.pending_faults(), 2);
    assert_eq!(done(&call(&mut world, "DELETE", FAULTS, &Value::Null)), json!({ "cleared": 2 }));
    assert_eq!(world.register("dev-02", OTHER_KEY).status, 202);
}

#[test]
fn invalid_query_does_not_select_every_device() {
    let mut world = two_devices();
    done(&call(&mut world, "POST", FAULTS, &json!({ "kind": "garbage" })));
    for query in
        ["registration=dev-01", "registrationId=", "registrationId", "registrationId=%zz", "registrationId=a+b"]
    {
        for (method, path) in [("DELETE", FAULTS), ("GET", COUNTERS)] {
            assert_eq!(refused(&call(&mut world, method, &format!("{path}?{query}"), &Value::Null)).0, 400, "{query}");
        }
    }
    assert_eq!(world.service.pending_faults(), 1);
}

#[test]
fn invalid_fault_plans_are_refused_and_plan_nothing() {
    let mut world = two_devices();
    let good = json!({ "kind": "silent" });
    for (body, words) in [
        (json!({ "kind": "silent", "at": "Poll" }), "The fault is invalid: 'at' must be one of"),
        (json!([good, { "kind": "delay" }]), "Fault 2 is invalid: 'ms' is missing"),
        (json!([good, 7]), "Fault 2 must be a JSON object"),
        (json!("silent"), "The body must be a fault plan"),
        (Value::from(vec![good.clone(); 1001]), "at most 1000 can be"),
        (Value::Null, "The body is not valid JSON"),
    ] {
        let reply = call(&mut world, "POST", FAULTS, &body);
        assert_eq!(refused(&reply).0, 400);
        assert!(json(&reply)["message"].as_str().unwrap().contains(words), "{}", json(&reply));
        assert_eq!(world.service.pending_faults(), 0, "{words}");
    }
    done(&call(&mut world, "POST", FAULTS, &Value::from(vec![good.clone(); 1000])));
    assert_eq!(refused(&call(&mut world, "POST", FAULTS, &good)).0, 400);
}

#[test]
fn control_calls_require_the_policy_key() {
    let mut world = two_devices();
    done(&call(&mut world, "POST", FAULTS, &json!({ "kind": "silent" })));
    let device = common::device_token(KEY, "dev-01", world.device_s() + 3600);
    let stranger = common::token(KEY, "localhost", world.device_s() + 3600, "&skn=provisioningserviceowner");
    for headers in [vec![], vec![("Authorization", device.as_str())], vec![("Authorization", stranger.as_str())]] {
        for (method, path, body) in [
            ("GET", FAULTS, ""),
            ("POST", FAULTS, r#"{"kind":"silent"}"#),
            ("DELETE", FAULTS, ""),
            ("GET", COUNTERS, ""),
            ("GET", "/emulator/hubs/hub-a.test/devices/dev-01", ""),
            ("PATCH", "/emulator/hubs/hub-a.test/devices/dev-01", r#"{"enabled":false}"#),
            ("DELETE", "/emulator/hubs/hub-a.test/devices/dev-01", ""),
        ] {
            let reply = world.send(method, path, &headers, body.as_bytes());
            assert_eq!(refused(&reply), (401, 401_002), "{method} {path}");
        }
    }
    assert_eq!(world.service.pending_faults(), 1);
}

#[test]
fn control_rejects_other_methods_and_paths() {
    let mut world = two_devices();
    let reply = call(&mut world, "PUT", FAULTS, &json!({}));
    assert_eq!((reply.status, reply.header("Allow")), (405, Some("POST, GET, DELETE")));
    assert_eq!(call(&mut world, "POST", COUNTERS, &json!({})).status, 405);
    assert_eq!(call(&mut world, "GET", "/emulator", &Value::Null).status, 404);
    assert_eq!(call(&mut world, "GET", "/emulator/faults/1", &Value::Null).status, 404);
}

#[test]
fn counters_overall_and_per_device() {
    let mut world = two_devices();
    done(&call(&mut world, "POST", FAULTS, &json!({ "kind": "throttle", "registrationId": "dev-02" })));
    assert_eq!(world.register("dev-02", OTHER_KEY).status, 429);
    world.provision("Dev-01", KEY);
    world.lookup("dev-01", KEY);
    world.register("dev-01", OTHER_KEY);
    world.admin("GET", "/enrollments/dev-01", "");

    let all = done(&call(&mut world, "GET", COUNTERS, &Value::Null));
    assert_eq!(
        all,
        json!({ "registers": 3, "polls": 1, "lookups": 1, "connects": 0, "subscribes": 0, "admin": 1, "rejected": 2,
            "unauthorized": 1, "throttled": 1, "conflicts": 0, "serverErrors": 0, "faults": 1,
            "refusals": { "other-device-key": 1 } })
    );
    let one = done(&call(&mut world, "GET", &format!("{COUNTERS}?registrationId=DEV-01"), &Value::Null));
    assert_eq!(
        one,
        json!({ "registrationId": "DEV-01", "registers": 2, "polls": 1, "lookups": 1, "connects": 0, "subscribes": 0,
            "admin": 0, "rejected": 1, "unauthorized": 1, "throttled": 0, "conflicts": 0, "serverErrors": 0, "faults": 0 })
    );
    assert_eq!((world.service.counters_of("dev-02").throttled, world.service.counters_of("dev-02").faults), (1, 1));
    assert_eq!(world.service.counters_of("dev-03"), Default::default());
    world.service.reset_counters();
    assert_eq!(world.service.counters_of("dev-01"), Default::default());
}

#[test]
fn control_calls_are_not_counted_or_throttled() {
    let limits = Limits { admin_per_minute: Some(1), ..Limits::default() };
    let mut world = World::new(ServiceOptions::new().limits(limits));
    for _ in 0..5 {
        done(&call(&mut world, "GET", FAULTS, &Value::Null));
        assert_eq!(call(&mut world, "POST", FAULTS, &json!({})).status, 400);
        assert_eq!(world.send("GET", FAULTS, &[], b"").status, 401);
    }
    assert_eq!(world.service.counters(), Default::default());
}

#[test]
fn hub_device_is_disabled_moved_and_deleted() {
    let mut world = two_devices();
    world.provision("dev-01", KEY);
    world.service.link_hub("hub-b.test", 1).unwrap();
    let device = |hub: &str| format!("/Emulator/hubs/{hub}/devices/dev%2D01");
    let (in_a, in_b) = (device("HUB-a.test"), device("hub-b.test"));
    let state = |world: &mut World, path: &str| done(&call(world, "GET", path, &Value::Null))["state"].clone();

    let shown = done(&call(&mut world, "GET", &device("hub-a.test"), &Value::Null));
    let counters = json!({ "hub": "hub-a.test", "deviceId": "dev-01", "state": "enabled",
        "connects": 0, "refused": 0, "twins": 0, "telemetry": 0,
        "iotEdge": false, "twin": { "tags": {}, "desired": {} } });
    assert_eq!(shown, counters);
    for (enabled, expected) in [(false, "disabled"), (true, "enabled"), (false, "disabled")] {
        let changed = done(&call(&mut world, "PATCH", &in_a, &json!({ "enabled": enabled })));
        assert_eq!(changed["state"], expected);
        assert_eq!(world.service.hub_device("hub-a.test", "dev-01").unwrap().enabled, enabled);
    }

    let moved = done(&call(&mut world, "PATCH", &in_a, &json!({ "hub": "Hub-B.test" })));
    assert_eq!((&moved["hub"], &moved["state"]), (&"Hub-B.test".into(), &"disabled".into()), "it moves as it is");
    assert_eq!((state(&mut world, &in_a), state(&mut world, &in_b)), ("absent".into(), "disabled".into()));
    assert_eq!(world.service.hub_device("hub-b.test", "dev-01").unwrap().hub, "hub-b.test");
    assert!(world.service.record("dev-01").is_some(), "the registration stays");

    assert_eq!(done(&call(&mut world, "DELETE", &in_b, &Value::Null))["state"], "absent");
    assert_eq!(world.service.hub_devices().count(), 0);
    for (method, body) in
        [("DELETE", Value::Null), ("PATCH", json!({ "enabled": true })), ("PATCH", json!({ "hub": "hub-a.test" }))]
    {
        assert_eq!(refused(&call(&mut world, method, &in_b, &body)), (404, 404_201), "{method} {body}");
    }
}

#[test]
fn invalid_change_of_a_hub_device_changes_nothing() {
    let mut world = two_devices();
    world.provision("dev-01", KEY);
    let path = "/emulator/hubs/hub-a.test/devices/dev-01";
    for body in [
        Value::Null,
        json!({}),
        json!([{ "enabled": false }]),
        json!({ "enabled": "no" }),
        json!({ "enabled": false, "hub": "nowhere.test" }),
        json!({ "enabled": false, "twin": {} }),
    ] {
        assert_eq!(refused(&call(&mut world, "PATCH", path, &body)).0, 400, "{body}");
        assert!(world.service.hub_device("hub-a.test", "dev-01").unwrap().enabled, "{body}");
    }
    assert_eq!(call(&mut world, "PUT", path, &json!({})).header("Allow"), Some("GET, PATCH, DELETE"));
    assert_eq!(call(&mut world, "GET", "/emulator/hubs/hub-a.test/devices/", &Value::Null).status, 404);
    assert!(!world.service.move_hub_device("hub-a.test", "dev-01", "nowhere.test"));
    assert!(!world.service.move_hub_device("hub-a.test", "dev-03", "hub-a.test"));
}

#[test]
fn refusals_are_listed_with_their_reasons() {
    let mut world = World::new(ServiceOptions::new());
    world.enroll(IndividualEnrollment::new("dev-01").primary_key(key(KEY)));
    assert_eq!(world.register("dev-01", OTHER_KEY).status, 401);
    let reply = world.as_owner("GET", "/emulator/refusals", &[], "");
    let refusals = &json(&reply)["refusals"];
    assert_eq!(refusals.as_array().unwrap().len(), 1);
    assert_eq!((&refusals[0]["registrationId"], &refusals[0]["reason"]), (&"dev-01".into(), &"bad-signature".into()));
    assert_eq!(
        (&refusals[0]["number"], &refusals[0]["timestampUtc"]),
        (&1.into(), &"2026-01-01T00:00:00.0000000Z".into())
    );
    assert!(!refusals[0]["message"].as_str().unwrap().is_empty());
}

#[test]
fn hubs_and_their_devices_are_listed() {
    let mut world = World::new(ServiceOptions::new().assign_at_once(true).hub("hub-a.test", 1).hub("hub-b.test", 3));
    for number in 0..3 {
        let twin = IndividualEnrollment::new(format!("dev-{number}"));
        world.enroll(twin.primary_key(key(KEY)).allocation(dps_emulator::AllocationPolicy::Static, ["hub-b.test"]));
        world.register(&format!("dev-{number}"), KEY);
    }
    world.service.unlink_hub("hub-b.test");
    let hubs = done(&call(&mut world, "GET", "/emulator/hubs", &Value::Null));
    let expected = json!([
        { "name": "hub-a.test", "weight": 1, "devices": 0 },
        { "name": "hub-b.test", "weight": null, "devices": 3 },
    ]);
    assert_eq!(hubs["hubs"], expected);
    let list = "/emulator/hubs/HUB-b.test/devices?search=dev&offset=1&limit=1";
    let devices = done(&call(&mut world, "GET", list, &Value::Null));
    let [device] = devices["devices"].as_array().unwrap().as_slice() else { panic!("{devices}") };
    assert_eq!(
        (&devices["total"], &device["deviceId"], &device["state"]),
        (&3.into(), &"dev-1".into(), &"enabled".into())
    );
    assert_eq!((&device["twin"], &device["iotEdge"]), (&json!({ "tags": {}, "desired": {} }), &false.into()));
    assert_eq!(call(&mut world, "GET", "/emulator/hubs/hub-c.test/devices", &Value::Null).status, 404);
}

#[test]
fn devices_are_listed_with_enrollment_record_and_last_reason() {
    let mut world = World::new(ServiceOptions::new().assign_at_once(true));
    let now = world.now();
    let group = dps_emulator::EnrollmentGroup::new("line-1").primary_key(key(common::GROUP_KEY));
    world.service.put_group(now, group).unwrap();
    world.enroll(IndividualEnrollment::new("dev-02").primary_key(key(KEY)));
    world.register("dev-01", key(common::GROUP_KEY).derive("dev-01").expose());
    world.register("dev-02", OTHER_KEY);
    world.register("dev-03", OTHER_KEY);
    let list = done(&call(&mut world, "GET", "/emulator/devices", &Value::Null));
    let row = |number: usize| {
        let device = &list["devices"][number];
        ["registrationId", "status", "assignedHub", "lastReason"].map(|member| device[member].clone())
    };
    assert_eq!(list["total"], 3);
    assert_eq!(row(0), ["dev-01".into(), "assigned".into(), "hub-a.test".into(), Value::Null]);
    assert_eq!(row(1), ["dev-02".into(), Value::Null, Value::Null, "bad-signature".into()]);
    assert_eq!(row(2), ["dev-03".into(), Value::Null, Value::Null, "bad-signature".into()]);
    assert_eq!(list["devices"][0]["enrollment"], json!({ "kind": "group", "id": "line-1" }));
    assert_eq!(list["devices"][1]["enrollment"], json!({ "kind": "individual", "id": "dev-02" }));
    assert_eq!(list["devices"][2]["enrollment"], Value::Null);
    for (search, total) in [("LINE", 1), ("hub-a", 1), ("dev-0", 3), ("x", 0)] {
        let found = done(&call(&mut world, "GET", &format!("/emulator/devices?search={search}"), &Value::Null));
        assert_eq!(found["total"], total, "{search}");
    }
    let one = done(&call(&mut world, "GET", "/emulator/devices/DEV-01", &Value::Null));
    assert_eq!((&one["record"]["deviceId"], &one["counters"]["registers"]), (&"dev-01".into(), &1.into()));
    assert_eq!(one["definition"]["enrollmentGroupId"], "line-1");
    assert_eq!(
        (&one["hubDevices"][0]["hub"], &one["hubDevices"][0]["state"]),
        (&"hub-a.test".into(), &"enabled".into())
    );
    assert_eq!(call(&mut world, "GET", "/emulator/devices/dev-09", &Value::Null).status, 404);
}
