//! The service's clock, which its owner can advance and scale.

use crate::common::{KEY, World, device_token, json, key, operation_id, refused};
use dps_emulator::{At, Fault, HttpReply, IndividualEnrollment, RetryAfter, Scope, ServiceOptions};
use serde_json::{Value, json};

const CLOCK: &str = "/emulator/clock";
const HOUR_MS: u64 = 3_600_000;

fn world(options: ServiceOptions) -> World {
    let mut world = World::new(options);
    world.enroll(IndividualEnrollment::new("dev-01").primary_key(key(KEY)));
    world
}

fn change(world: &mut World, body: &Value) -> HttpReply {
    world.as_owner("PATCH", CLOCK, &[], &body.to_string())
}

#[track_caller]
fn changed(world: &mut World, body: &Value) -> Value {
    let reply = change(world, body);
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    json(&reply)
}

#[test]
fn advance_makes_an_assignment_due() {
    let mut world = world(ServiceOptions::new().assigning_ms(HOUR_MS).operation_life_ms(2 * HOUR_MS));
    let operation = operation_id(&world.register("dev-01", KEY));
    assert_eq!(world.poll("dev-01", KEY, &operation).status, 202);
    changed(&mut world, &json!({ "advanceMs": HOUR_MS }));
    assert_eq!(world.service.record("dev-01").unwrap().assigned_hub(), Some("hub-a.test"), "before anybody asks");
    assert_eq!(world.poll("dev-01", KEY, &operation).status, 200);
    changed(&mut world, &json!({ "advanceMs": 2 * HOUR_MS }));
    assert_eq!(refused(&world.poll("dev-01", KEY, &operation)), (404, 404_201), "the operation's life has ended");
}

#[test]
fn advance_ends_rate_windows() {
    let mut world = world(ServiceOptions::new());
    let operation = operation_id(&world.register("dev-01", KEY));
    for _ in 0..5 {
        assert!(world.poll("dev-01", KEY, &operation).status < 400);
    }
    assert_eq!(world.poll("dev-01", KEY, &operation).status, 429);
    changed(&mut world, &json!({ "advanceMs": 10_000 }));
    assert_eq!(world.poll("dev-01", KEY, &operation).status, 200);
}

#[test]
fn advance_expires_tokens_and_moves_the_date() {
    let mut world = world(ServiceOptions::new());
    let token = device_token(KEY, "dev-01", world.device_s() + 3600);
    assert_eq!(world.register_with("dev-01", &token, "{}").status, 202);
    let shown = changed(&mut world, &json!({ "advanceMs": 2 * HOUR_MS }));
    assert_eq!(shown, json!({ "dateTimeUtc": "2026-01-01T02:00:00.0000000Z", "offsetMs": 2 * HOUR_MS, "scale": 1 }));
    let reply = world.register_with("dev-01", &token, "{}");
    assert_eq!(refused(&reply), (401, 401_002));
    assert_eq!(reply.header("Date"), Some("Thu, 01 Jan 2026 02:00:00 GMT"));
    let later = device_token(KEY, "dev-01", world.device_s() + 3 * 3600);
    assert_eq!(world.register_with("dev-01", &later, "{}").status, 202);
}

#[test]
fn owner_controls_a_service_whose_date_was_moved_with_a_token_by_the_machines_date() {
    let mut world = world(ServiceOptions::new());
    changed(&mut world, &json!({ "advanceMs": 60 * 24 * HOUR_MS }));
    assert_eq!(json(&world.as_owner("GET", CLOCK, &[], ""))["offsetMs"], 60 * 24 * HOUR_MS);
    assert_eq!(world.as_owner("GET", "/emulator/faults", &[], "").status, 200);
    // The service's own API follows its date.
    assert_eq!(refused(&world.admin("GET", "/enrollments/dev-01", "")), (401, 401_002));
    world.service.clock().set_offset_ms(0);
    assert_eq!(world.admin("GET", "/enrollments/dev-01", "").status, 200);
}

#[test]
fn scale_divides_waits_hints_rate_windows_and_lives_and_leaves_the_date_alone() {
    let options = ServiceOptions::new().hint(Some(RetryAfter::Seconds(90))).assigning_ms(HOUR_MS);
    let mut world = world(options.operation_life_ms(2 * HOUR_MS));
    world.wait(5000);
    assert_eq!(changed(&mut world, &json!({ "scale": 60 }))["scale"], 60);
    let first = world.register("dev-01", KEY);
    assert_eq!(first.header("Retry-After"), Some("2"), "90 s are 1.5 s");
    let operation = operation_id(&first);
    world.wait(59_000);
    assert_eq!(world.poll("dev-01", KEY, &operation).status, 202);
    world.wait(1000);
    let last = world.poll("dev-01", KEY, &operation);
    assert_eq!((last.status, last.header("Date")), (200, Some("Thu, 01 Jan 2026 00:01:05 GMT")));
    // 10 s for five polls are a sixth of a second.
    for _ in 0..4 {
        assert_eq!(world.poll("dev-01", KEY, &operation).status, 200);
    }
    let throttled = world.poll("dev-01", KEY, &operation);
    assert_eq!((throttled.status, throttled.header("Retry-After")), (429, Some("1")));
    world.wait(170);
    assert_eq!(world.poll("dev-01", KEY, &operation).status, 200);
    world.wait(120_000);
    assert_eq!(world.poll("dev-01", KEY, &operation).status, 404);
}

#[test]
fn scale_divides_the_hints_of_planned_faults() {
    let mut world = world(ServiceOptions::new());
    changed(&mut world, &json!({ "scale": 60 }));
    for (hint, header) in [
        (RetryAfter::Seconds(3600), "60"),
        (RetryAfter::Seconds(0), "0"),
        (RetryAfter::Date(600), "Thu, 01 Jan 2026 00:00:10 GMT"),
        (RetryAfter::Date(-60), "Wed, 31 Dec 2025 23:59:00 GMT"),
    ] {
        world.service.inject(Scope::All, At::Register, Fault::Throttle { retry_after: Some(hint) }, 1);
        assert_eq!(world.register("dev-01", KEY).header("Retry-After"), Some(header));
    }
}

#[test]
fn invalid_changes_are_refused_and_change_nothing() {
    let mut world = world(ServiceOptions::new());
    for (body, words) in [
        (json!({}), "'advanceMs'"),
        (json!({ "scale": 0 }), "from 1 to 1000"),
        (json!({ "scale": 1001 }), "from 1 to 1000"),
        (json!({ "advanceMs": u64::MAX, "scale": 2 }), "100 years"),
        (json!({ "advanceMs": -1 }), "line 1"),
        (json!({ "advance": 1 }), "unknown field `advance`"),
        (json!([]), "JSON object"),
    ] {
        let reply = change(&mut world, &body);
        assert_eq!(refused(&reply), (400, 400_004), "{body}");
        assert!(json(&reply)["message"].as_str().unwrap().contains(words), "{body}: {}", json(&reply));
    }
    let shown = json(&world.as_owner("GET", CLOCK, &[], ""));
    assert_eq!(shown, json!({ "dateTimeUtc": "2026-01-01T00:00:00.0000000Z", "offsetMs": 0, "scale": 1 }));
}
