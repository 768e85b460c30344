//! Planned faults: which requests meet them, how often, and what each does.

use crate::common::{KEY, OTHER_KEY, World, json, key, operation_id, refused};
use dps_emulator::{At, Fault, Flood, IndividualEnrollment, RetryAfter, Scope, TransportFault};

fn two_devices() -> World {
    let mut world = World::with_device();
    world.enroll(IndividualEnrollment::new("dev-02").primary_key(key(OTHER_KEY)));
    world
}

fn inject(world: &mut World, at: At, fault: Fault) {
    world.service.inject(Scope::Registration("DEV-01"), at, fault, 1);
}

#[test]
fn faults_match_scope_request_and_number() {
    let mut world = two_devices();
    let busy = || Fault::Throttle { retry_after: None };
    world.service.inject(Scope::Registration("Dev-01"), At::Register, busy(), 2);
    assert_eq!(world.register("dev-02", OTHER_KEY).status, 202);
    for _ in 0..2 {
        assert_eq!(world.register("dev-01", KEY).status, 429);
    }
    let operation = operation_id(&world.register("dev-01", KEY));
    assert_eq!(world.service.pending_faults(), 0);

    world.service.inject(Scope::All, At::Any, busy(), 3);
    world.wait(1000);
    assert_eq!(world.poll("dev-01", KEY, &operation).status, 429);
    assert_eq!(world.lookup("dev-01", KEY).status, 429);
    assert_eq!(world.admin("GET", "/enrollments/dev-01", "").status, 200);
    assert_eq!(world.register("dev-02", OTHER_KEY).status, 429);
    assert_eq!(world.poll("dev-01", KEY, &operation).status, 200);

    world.service.inject(Scope::All, At::Any, busy(), 9);
    assert_eq!(world.service.pending_faults(), 9);
    world.service.clear_faults();
    assert_eq!(world.lookup("dev-01", KEY).status, 200);
    assert_eq!(world.service.counters().faults, 5);
}

#[test]
fn faults_are_met_in_the_order_of_their_planning() {
    let mut world = two_devices();
    inject(&mut world, At::Register, Fault::ServerError { status: 503, retry_after: None });
    inject(&mut world, At::Any, Fault::Throttle { retry_after: None });
    assert_eq!(world.register("dev-01", KEY).status, 503);
    assert_eq!(world.register("dev-01", KEY).status, 429);
    assert_eq!(world.register("dev-01", KEY).status, 202);
}

#[test]
fn throttle_and_server_error_send_every_form_of_hint() {
    let mut world = two_devices();
    for (hint, header) in [
        (None, None),
        (Some(RetryAfter::Seconds(0)), Some("0")),
        (Some(RetryAfter::Seconds(4_000_000)), Some("4000000")),
        (Some(RetryAfter::Date(30)), Some("Thu, 01 Jan 2026 00:00:30 GMT")),
    ] {
        inject(&mut world, At::Register, Fault::Throttle { retry_after: hint });
        let reply = world.register("dev-01", KEY);
        assert_eq!((refused(&reply).0, reply.header("Retry-After")), (429, header));
        inject(&mut world, At::Register, Fault::ServerError { status: 500, retry_after: hint });
        let reply = world.register("dev-01", KEY);
        assert_eq!((refused(&reply).0, reply.header("Retry-After")), (500, header));
    }
    assert!(world.service.record("dev-01").is_none());
    let counters = world.service.counters();
    assert_eq!((counters.throttled, counters.server_errors, counters.rejected), (4, 4, 4));
}

#[test]
fn drop_before_does_not_process_and_drop_after_does() {
    let mut world = two_devices();
    inject(&mut world, At::Register, Fault::DropBefore);
    let reply = world.register("dev-01", KEY);
    assert_eq!((reply.fault, reply.status, reply.body.len()), (Some(TransportFault::DropBefore), 0, 0));
    assert!(world.service.record("dev-01").is_none());

    inject(&mut world, At::Register, Fault::DropAfter);
    let reply = world.register("dev-01", KEY);
    assert_eq!((reply.fault, reply.status), (Some(TransportFault::DropAfter), 202));
    assert!(world.service.record("dev-01").is_some());
}

#[test]
fn connection_faults_are_returned_as_transport_faults() {
    const FLOOD: Fault = Fault::Flood { of: Flood::Puback, answered: false };
    let mut world = two_devices();
    for (fault, wanted) in [
        (Fault::Delay { ms: 1500 }, TransportFault::Delay { ms: 1500 }),
        (Fault::SlowBytes, TransportFault::SlowBytes),
        (Fault::Noise, TransportFault::Noise),
        (Fault::Silent, TransportFault::Silent),
        (Fault::WrongRequestId, TransportFault::WrongRequestId),
        (Fault::MissingRequestId, TransportFault::MissingRequestId),
        (FLOOD, TransportFault::Flood { of: Flood::Puback, answered: false }),
    ] {
        inject(&mut world, At::Register, fault);
        world.wait(100);
        let reply = world.register("dev-01", KEY);
        assert_eq!((reply.fault, reply.status), (Some(wanted), 202));
    }
}

#[test]
fn garbage_is_not_json() {
    let mut world = two_devices();
    inject(&mut world, At::Register, Fault::Garbage);
    let reply = world.register("dev-01", KEY);
    assert_eq!((reply.status, reply.fault), (202, None));
    assert!(serde_json::from_slice::<serde_json::Value>(&reply.body).is_err());
}

#[test]
fn oversize_reply_is_valid_and_padded() {
    let mut world = two_devices();
    let operation = operation_id(&world.register("dev-01", KEY));
    world.wait(1000);
    inject(&mut world, At::Poll, Fault::OversizeReply { bytes: 97 * 1024 });
    let reply = world.poll("dev-01", KEY, &operation);
    assert_eq!((reply.status, reply.body.len()), (200, 97 * 1024));
    assert_eq!(json(&reply)["registrationState"]["assignedHub"], "hub-a.test");
}

#[test]
fn patch_reply_changes_only_what_the_patch_names() {
    let mut world = two_devices();
    let operation = operation_id(&world.register("dev-01", KEY));
    world.wait(1000);
    let patch =
        serde_json::json!({ "operationId": null, "registrationState": { "assignedHub": "a;b", "new": { "c": 1 } } });
    inject(&mut world, At::Poll, Fault::PatchReply { patch: patch.as_object().unwrap().clone() });
    let reply = world.poll("dev-01", KEY, &operation);
    let (status, body) = (reply.status, json(&reply));
    let state = &body["registrationState"];
    assert_eq!((status, &body["status"], body.get("operationId")), (200, &"assigned".into(), None));
    assert_eq!(
        (&state["assignedHub"], &state["deviceId"], &state["new"]["c"]),
        (&"a;b".into(), &"dev-01".into(), &1.into())
    );
    // The service's own record is not changed.
    assert_eq!(json(&world.poll("dev-01", KEY, &operation))["registrationState"]["assignedHub"], "hub-a.test");
}

#[test]
fn forgotten_operation_is_not_found_by_polls() {
    let mut world = two_devices();
    let first = operation_id(&world.register("dev-01", KEY));
    inject(&mut world, At::Poll, Fault::ForgetOperation);
    for _ in 0..2 {
        assert_eq!(refused(&world.poll("dev-01", KEY, &first)), (404, 404_201));
    }
    world.wait(1000);
    inject(&mut world, At::Register, Fault::ForgetOperation);
    let second = operation_id(&world.register("dev-01", KEY));
    assert_eq!(refused(&world.poll("dev-01", KEY, &second)), (404, 404_201));
    // The assignment itself took place.
    world.wait(1000);
    assert_eq!(json(&world.lookup("dev-01", KEY))["status"], "assigned");
    world.wait(1000);
    assert_eq!(json(&world.provision("dev-01", KEY))["status"], "assigned");
}

#[test]
fn faults_meet_unauthenticated_requests() {
    let mut world = two_devices();
    inject(&mut world, At::Register, Fault::Throttle { retry_after: None });
    assert_eq!(world.register("dev-01", OTHER_KEY).status, 429);
    assert_eq!(world.register("dev-01", OTHER_KEY).status, 401);
}
