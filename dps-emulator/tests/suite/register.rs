//! Register, polls and lookup of a device, and what HTTP refuses.

use crate::common::{KEY, OTHER_KEY, SCOPE, World, device_token, json, key, operation_id, refused};
use dps_emulator::{BODY_MAX, IndividualEnrollment, RetryAfter, ServiceOptions, Status};

#[test]
fn register_is_assigned_after_one_poll() {
    let mut world = World::with_device();
    let first = world.register("dev-01", KEY);
    assert_eq!(first.status, 202);
    assert_eq!(first.header("Retry-After"), Some("1"));
    assert_eq!(
        first.header("Location"),
        Some(format!("https://dps.test/{SCOPE}/registrations/dev-01/register").as_str())
    );
    assert_eq!(first.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(first.header("Date"), Some("Thu, 01 Jan 2026 00:00:00 GMT"));
    let body = json(&first);
    assert_eq!(body["status"], "assigning");
    assert!(body.get("registrationState").is_none());

    let operation = operation_id(&first);
    assert!(operation.starts_with("5.") && operation.len() == 2 + 16 + 1 + 36, "{operation}");
    world.wait(100);
    let early = world.poll("dev-01", KEY, &operation);
    assert_eq!((early.status, early.header("Retry-After")), (202, Some("1")));
    let state = &json(&early)["registrationState"];
    assert_eq!((&state["registrationId"], &state["status"]), (&"dev-01".into(), &"assigning".into()));
    assert!(state.get("assignedHub").is_none());

    world.wait(1000);
    let last = world.poll("dev-01", KEY, &operation);
    assert_eq!((last.status, last.header("Retry-After"), last.header("Location")), (200, None, None));
    let body = json(&last);
    let state = &body["registrationState"];
    assert_eq!(body["operationId"], operation.as_str());
    assert_eq!(body["status"], "assigned");
    assert_eq!(state["assignedHub"], "hub-a.test");
    assert_eq!(state["deviceId"], "dev-01");
    assert_eq!(state["substatus"], "initialAssignment");
    assert_eq!(state["symmetricKey"], serde_json::json!({}));
    assert_eq!(state["createdDateTimeUtc"], "2026-01-01T00:00:00.0000000Z");
    assert_eq!(state["lastUpdatedDateTimeUtc"], "2026-01-01T00:00:01.1000000Z");
    assert!(state.get("payload").is_none());
}

#[test]
fn lookup_returns_the_record_without_operation() {
    let mut world = World::with_device();
    assert_eq!(refused(&world.lookup("dev-01", KEY)), (404, 404_201));
    world.provision("dev-01", KEY);
    let reply = world.lookup("dev-01", KEY);
    assert_eq!(reply.status, 200);
    let record = json(&reply);
    assert_eq!((&record["status"], &record["assignedHub"]), (&"assigned".into(), &"hub-a.test".into()));
    assert!(record.get("operationId").is_none());
    assert_eq!(refused(&world.lookup("dev-01", OTHER_KEY)), (401, 401_002));
    let counters = world.service.counters();
    assert_eq!((counters.lookups, counters.registers, counters.polls, counters.unauthorized), (3, 1, 1, 1));
}

#[test]
fn assign_at_once_needs_no_poll() {
    let mut world = World::new(ServiceOptions::new().assign_at_once(true));
    world.enroll(IndividualEnrollment::new("dev-01").primary_key(key(KEY)).device_id("Device#1"));
    let reply = world.register("dev-01", KEY);
    assert_eq!((reply.status, reply.header("Retry-After")), (200, None));
    assert_eq!(json(&reply)["registrationState"]["deviceId"], "Device#1");
    // Again at the same instant: no assignment is in progress.
    assert_eq!(world.register("dev-01", KEY).status, 200);
}

#[test]
fn hint_is_sent_as_number_date_or_not_at_all() {
    for (hint, wanted) in [
        (Some(RetryAfter::Seconds(7)), Some("7")),
        (Some(RetryAfter::Date(90)), Some("Thu, 01 Jan 2026 00:01:30 GMT")),
        (Some(RetryAfter::Date(-60)), Some("Wed, 31 Dec 2025 23:59:00 GMT")),
        (None, None),
    ] {
        let mut world = World::new(ServiceOptions::new().hint(hint));
        world.enroll(IndividualEnrollment::new("dev-01").primary_key(key(KEY)));
        let first = world.register("dev-01", KEY);
        assert_eq!(first.header("Retry-After"), wanted);
        let poll = world.poll("dev-01", KEY, &operation_id(&first));
        assert_eq!(poll.header("Retry-After"), wanted);
    }
}

#[test]
fn date_header_shows_the_services_clock() {
    let mut world = World::with_device();
    world.wall_offset_ms = 2 * 3600 * 1000;
    assert_eq!(world.register("dev-01", KEY).header("Date"), Some("Thu, 01 Jan 2026 02:00:00 GMT"));
    assert_eq!(world.send("GET", "/nowhere", &[], b"").header("Date"), Some("Thu, 01 Jan 2026 02:00:00 GMT"));
}

#[test]
fn disabled_enrollment_is_reported_by_poll() {
    let mut world = World::new(ServiceOptions::new());
    world.enroll(IndividualEnrollment::new("dev-01").primary_key(key(KEY)).enabled(false));
    assert_eq!(world.register("dev-01", KEY).status, 202);
    world.wait(1000);
    let reply = world.provision("dev-01", KEY);
    assert_eq!((reply.status, &json(&reply)["status"]), (200, &"disabled".into()));
    assert!(json(&reply)["registrationState"].get("assignedHub").is_none());
    assert_eq!(json(&world.admin("GET", "/registrations/dev-01", ""))["status"], "disabled");
    // A wrong key is refused nevertheless.
    assert_eq!(refused(&world.register("dev-01", OTHER_KEY)), (401, 401_002));

    world.wait(1000);
    world.enroll(IndividualEnrollment::new("dev-01").enabled(true));
    assert_eq!(json(&world.provision("dev-01", KEY))["status"], "assigned");
}

#[test]
fn unlinked_hub_fails_the_registration_with_a_code() {
    let mut world = World::with_device();
    assert!(world.service.unlink_hub("hub-a.test"));
    let reply = world.provision("dev-01", KEY);
    assert_eq!(reply.status, 200);
    let body = json(&reply);
    let state = &body["registrationState"];
    assert_eq!((&body["status"], &state["status"]), (&"failed".into(), &"failed".into()));
    assert_eq!(state["errorCode"], 400_208);
    assert!(!state["errorMessage"].as_str().unwrap().is_empty());
    assert!(state.get("substatus").is_none());

    world.service.link_hub("hub-b.test", 1).unwrap();
    let state = json(&world.provision("dev-01", KEY))["registrationState"].take();
    assert_eq!((&state["status"], &state["assignedHub"]), (&"assigned".into(), &"hub-b.test".into()));
    assert!(state.get("errorCode").is_none());
}

#[test]
fn operation_expires_after_its_life() {
    let mut world = World::with_device();
    let operation = operation_id(&world.register("dev-01", KEY));
    for _ in 0..9 {
        world.wait(60_000);
        assert_eq!(world.poll("dev-01", KEY, &operation).status, 200);
    }
    world.wait(61_000);
    assert_eq!(refused(&world.poll("dev-01", KEY, &operation)), (404, 404_201));
    assert_eq!(refused(&world.poll("dev-01", KEY, "5.none")), (404, 404_201));
}

#[test]
fn operation_of_another_device_is_not_found() {
    let mut world = World::with_device();
    world.enroll(IndividualEnrollment::new("dev-02").primary_key(key(OTHER_KEY)));
    let operation = operation_id(&world.register("dev-01", KEY));
    assert_eq!(refused(&world.poll("dev-02", OTHER_KEY, &operation)), (404, 404_201));
}

#[test]
fn concurrent_registers_of_one_id_collide() {
    let mut world = World::with_device();
    world.enroll(IndividualEnrollment::new("dev-02").primary_key(key(OTHER_KEY)));
    let first = operation_id(&world.register("dev-01", KEY));
    assert_eq!(refused(&world.register("DEV-01", KEY)), (409, 409_203));
    assert_eq!(world.register("dev-02", OTHER_KEY).status, 202);
    world.wait(20);
    let second = operation_id(&world.register("dev-01", KEY));
    assert_ne!(first, second);
    world.wait(1000);
    for operation in [first, second] {
        assert_eq!(json(&world.poll("dev-01", KEY, &operation))["status"], "assigned");
    }
    assert_eq!(world.service.counters().conflicts, 1);
}

#[test]
fn later_operation_does_not_finish_an_earlier_one() {
    let mut world = World::with_device();
    world.provision("dev-01", KEY);
    let second = operation_id(&world.register("dev-01", KEY));
    world.wait(450);
    let third = operation_id(&world.register("dev-01", KEY));
    world.wait(100);
    assert_eq!(json(&world.poll("dev-01", KEY, &second))["status"], "assigned");
    let reply = world.poll("dev-01", KEY, &third);
    assert_eq!((reply.status, &json(&reply)["registrationState"]["status"]), (202, &"assigning".into()));
}

#[test]
fn payload_is_echoed_only_with_the_option() {
    let body = r#"{"registrationId":"dev-01","payload":{"model":"x","n":[1,2]}}"#;
    for echo in [false, true] {
        let mut world = World::new(ServiceOptions::new().echo_payload(echo).assign_at_once(true));
        world.enroll(IndividualEnrollment::new("dev-01").primary_key(key(KEY)));
        let token = device_token(KEY, "dev-01", world.device_s() + 60);
        let state = json(&world.register_with("dev-01", &token, body))["registrationState"].take();
        let wanted = echo.then(|| serde_json::json!({"model": "x", "n": [1, 2]}));
        assert_eq!(state.get("payload"), wanted.as_ref());
    }
}

#[test]
fn register_accepts_valid_bodies_and_refuses_others() {
    let mut world = World::with_device();
    let token = device_token(KEY, "dev-01", world.device_s() + 3600);
    let taken = [
        "",
        " \n",
        "{}",
        r#"{"registrationId":"DEV-01"}"#,
        r#"{"registrationId":null,"payload":null,"csr":null,"data":{"old":1},"tpm":null}"#,
    ];
    for body in taken {
        world.wait(100);
        assert_eq!(world.register_with("dev-01", &token, body).status, 202, "{body}");
    }
    let refused_with = [
        ("{", 400_004),
        ("[]", 400_004),
        ("null", 400_004),
        ("\"dev-01\"", 400_004),
        ("{\"registrationId\":7}", 400_004),
        ("{\"registrationId\":\"dev-02\"}", 400_004),
        ("{\"payload\":\"text\"}", 400_004),
        ("{\"payload\":[1]}", 400_004),
        ("{} {}", 400_004),
        ("{\"clientCertificateCsr\":\"AQID\"}", 400_000),
    ];
    for (body, code) in refused_with {
        world.wait(100);
        assert_eq!(refused(&world.register_with("dev-01", &token, body)), (400, code), "{body}");
    }
    let deep = format!("{{\"payload\":{}{}}}", "{\"a\":".repeat(5000), "1".to_owned() + &"}".repeat(5000));
    world.wait(100);
    assert_eq!(refused(&world.register_with("dev-01", &token, &deep)).0, 400);
}

#[test]
fn bodies_up_to_96_kb_are_accepted() {
    let mut world = World::with_device();
    let token = device_token(KEY, "dev-01", world.device_s() + 3600);
    let body = |size: usize| format!("{{{}}}", " ".repeat(size - 2));
    assert_eq!(world.register_with("dev-01", &token, &body(BODY_MAX)).status, 202);
    world.wait(100);
    assert_eq!(refused(&world.register_with("dev-01", &token, &body(BODY_MAX + 1))).0, 413);
}

#[test]
fn api_version_is_required_and_checked() {
    let mut world = World::with_device();
    let token = device_token(KEY, "dev-01", world.device_s() + 3600);
    let mut with = |query: &str| {
        world.wait(100);
        let path = format!("/{SCOPE}/registrations/dev-01/register{query}");
        world.send("PUT", &path, &[("Authorization", &token)], b"{}").status
    };
    for good in [
        "?api-version=2019-03-31",
        "?api-version=2025-07-01-preview",
        "?forceRegistration=true&API-Version=2021-10-01",
        "?api-version=2021%2D06%2D01",
    ] {
        assert_eq!(with(good), 202, "{good}");
    }
    for bad in [
        "",
        "?",
        "?api-version",
        "?api-version=",
        "?api-version=latest",
        "?api-version=2021-6-1",
        "?api-version=2021-13-01",
        "?api-version=2021-01-32",
        "?api-version=2021-06-01-beta",
        "?api-version=2021-06-01Z",
    ] {
        assert_eq!(with(bad), 400, "{bad}");
    }
}

#[test]
fn unknown_routes_and_methods_are_refused() {
    let mut world = World::with_device();
    let token = device_token(KEY, "dev-01", world.device_s() + 3600);
    let mut status = |method: &str, path: &str| {
        world.wait(100);
        let reply = world.send(method, &format!("{path}?api-version=2021-06-01"), &[("AUTHORIZATION", &token)], b"");
        (reply.status, reply.header("Allow").map(str::to_owned))
    };
    let register = format!("/{SCOPE}/registrations/dev-01/register");
    assert_eq!(status("PUT", &register).0, 202);
    assert_eq!(status("PUT", "/0ne00a1b2c3/Registrations/dev%2D01/REGISTER").0, 202);
    assert_eq!(status("POST", &register), (405, Some("PUT".into())));
    assert_eq!(status("put", &register).0, 405);
    assert_eq!(status("GET", &format!("/{SCOPE}/registrations/dev-01")), (405, Some("POST".into())));
    assert_eq!(status("DELETE", &format!("/{SCOPE}/registrations/dev-01/operations/x")).0, 405);
    assert_eq!(status("DELETE", "/enrollments/query"), (401, None));
    for unknown in [
        "",
        "/",
        "/x",
        &format!("/{SCOPE}"),
        &format!("/{SCOPE}/registrations"),
        &format!("/{SCOPE}/registrations/dev-01/getDeviceUpdate"),
        &format!("//{SCOPE}/registrations/dev-01/register"),
        &format!("/{SCOPE}//registrations/dev-01/register"),
        &format!("/{SCOPE}/registrations//register"),
        &format!("/{SCOPE}/registrations/dev-01/register/"),
    ] {
        assert_eq!(status("PUT", unknown).0, 404, "{unknown}");
    }
    for broken in ["dev%2", "dev%zz", "dev%ff"] {
        assert_eq!(status("PUT", &format!("/{SCOPE}/registrations/{broken}/register")).0, 400, "{broken}");
    }
    for bad_id in ["dev%2001", "dev%2F01", "dev-01.", &"d".repeat(129)] {
        assert_eq!(status("PUT", &format!("/{SCOPE}/registrations/{bad_id}/register")).0, 400, "{bad_id}");
    }
}

#[test]
fn content_type_must_be_json() {
    let mut world = World::with_device();
    let token = device_token(KEY, "dev-01", world.device_s() + 3600);
    let path = format!("/{SCOPE}/registrations/dev-01/register?api-version=2021-06-01");
    let mut with = |headers: &[(&str, &str)]| {
        world.wait(100);
        let mut all = vec![("Authorization", token.as_str())];
        all.extend(headers);
        world.send("PUT", &path, &all, b"{}").status
    };
    assert_eq!(with(&[]), 202);
    assert_eq!(with(&[("content-type", "Application/JSON; charset=utf-8")]), 202);
    // The curl commands in the documentation send this; it has no effect.
    assert_eq!(with(&[("Content-Type", "application/json"), ("Content-Encoding", "utf-8")]), 202);
    assert_eq!(with(&[("Content-Type", "text/plain")]), 415);
    assert_eq!(with(&[("Content-Type", "application/x-www-form-urlencoded")]), 415);
}

#[test]
fn deleting_a_record_deletes_its_operations() {
    let mut world = World::with_device();
    let operation = operation_id(&world.register("dev-01", KEY));
    assert!(world.service.delete_record("DEV-01"));
    world.wait(1000);
    assert_eq!(refused(&world.poll("dev-01", KEY, &operation)).0, 404);
    assert!(world.service.record("dev-01").is_none());
    assert!(world.service.hub_device("hub-a.test", "dev-01").is_none());
}

#[test]
fn enrollment_deleted_while_assigning_fails_the_registration() {
    let mut world = World::with_device();
    world.register("dev-01", KEY);
    assert!(world.service.delete_enrollment("dev-01"));
    world.wait(1000);
    world.service.advance(world.now());
    assert!(world.service.record("dev-01").is_none());
    assert_eq!(refused(&world.register("dev-01", KEY)), (401, 401_002));
}

#[test]
fn advance_updates_the_state_without_a_request() {
    let mut world = World::with_device();
    world.register("dev-01", KEY);
    assert_eq!(world.service.record("dev-01").unwrap().status(), Status::Assigning);
    world.wait(500);
    world.service.advance(world.now());
    let record = world.service.record("DEV-01").unwrap();
    assert_eq!((record.status(), record.assigned_hub()), (Status::Assigned, Some("hub-a.test")));
    assert_eq!((record.device_id(), record.enrollment_group_id()), (Some("dev-01"), None));
}

#[test]
fn same_seed_generates_the_same_keys_and_ids() {
    let run = |seed| {
        let mut world = World::new(ServiceOptions::new().seed(seed));
        let made = world.enroll(IndividualEnrollment::new("dev-01"));
        let primary = made.settings.attestation.primary.unwrap();
        (operation_id(&world.register("dev-01", primary.expose())), primary.expose().to_owned())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn invalid_options_are_rejected() {
    use dps_emulator::Service;
    for (options, part) in [
        (ServiceOptions::new().id_scope(""), "id scope"),
        (ServiceOptions::new().id_scope("0ne/1"), "id scope"),
        (ServiceOptions::new().hub("hub-a.test", 1001), "weight 1001"),
        (ServiceOptions::new().hub("hub a", 1), "host name"),
        (ServiceOptions::new().host_name(""), "host name"),
    ] {
        let error = Service::new(options).err().unwrap().to_string();
        assert!(error.contains(part), "{error}");
    }
}
