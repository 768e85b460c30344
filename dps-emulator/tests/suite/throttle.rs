//! The service's rate limits: what they count, what they do not, and when they end.

use crate::common::{self, KEY, OTHER_KEY, World, operation_id, refused};
use dps_emulator::{IndividualEnrollment, Limits, RetryAfter, ServiceOptions};

fn world(limits: Limits) -> World {
    let mut world = World::new(ServiceOptions::new().limits(limits).conflict_window_ms(0));
    world.enroll(IndividualEnrollment::new("dev-01").primary_key(common::key(KEY)));
    world.enroll(IndividualEnrollment::new("dev-02").primary_key(common::key(OTHER_KEY)));
    world
}

#[test]
fn throttle_allows_five_polls_in_ten_seconds_per_device() {
    let mut world = world(Limits::default());
    let operation = operation_id(&world.register("dev-01", KEY));
    let other = operation_id(&world.register("dev-02", OTHER_KEY));
    for _ in 0..5 {
        assert_ne!(world.poll("dev-01", KEY, &operation).status, 429);
        world.wait(1000);
    }
    let reply = world.poll("DEV-01", KEY, &operation);
    assert_eq!(refused(&reply).0, 429);
    assert_eq!(reply.header("Retry-After"), Some("5"));
    // Another device, and register calls of the same one, are not limited.
    assert_eq!(world.poll("dev-02", OTHER_KEY, &other).status, 200);
    assert_eq!(world.register("dev-01", KEY).status, 202);
    world.wait(4999);
    assert_eq!(world.poll("dev-01", KEY, &operation).status, 429);
    world.wait(1);
    assert_eq!(world.poll("dev-01", KEY, &operation).status, 200);
    assert_eq!(world.service.counters().throttled, 2);
}

#[test]
fn throttle_allows_thousand_registrations_per_minute() {
    let mut world = world(Limits::default());
    for n in 0..1000 {
        let reply = if n % 2 == 0 { world.register("dev-01", KEY) } else { world.lookup("dev-01", KEY) };
        assert!(reply.status < 300, "{n}");
    }
    for reply in [world.register("dev-02", OTHER_KEY), world.lookup("dev-01", KEY)] {
        assert_eq!(refused(&reply).0, 429);
        assert_eq!(reply.header("Retry-After"), Some("60"));
    }
    assert_eq!(world.service.registration_wait(world.now()), Some(RetryAfter::Seconds(60)));
    assert_eq!(world.admin("GET", "/registrations/dev-01", "").status, 200);
    world.wait(59_999);
    assert_eq!(world.service.registration_wait(world.now()), Some(RetryAfter::Seconds(1)));
    assert_eq!(world.register("dev-02", OTHER_KEY).status, 429);
    world.wait(1);
    for _ in 0..1001 {
        assert_eq!(world.service.registration_wait(world.now()), None, "asking does not count");
    }
    assert_eq!(world.register("dev-02", OTHER_KEY).status, 202);
}

#[test]
fn refused_credentials_do_not_count_for_the_rate() {
    let mut world = world(Limits { registrations_per_minute: Some(2), polls_per_10_s: Some(1), ..Limits::none() });
    let operation = operation_id(&world.register("dev-01", KEY));
    for _ in 0..10 {
        assert_eq!(world.register("dev-01", OTHER_KEY).status, 401);
        assert_eq!(world.poll("dev-01", OTHER_KEY, &operation).status, 401);
    }
    assert_eq!(world.register("dev-01", KEY).status, 202);
    assert_eq!(world.register("dev-01", KEY).status, 429);
    assert_eq!(world.poll("dev-01", KEY, &operation).status, 202);
}

#[test]
fn throttle_counts_admin_calls_separately() {
    let mut world = world(Limits { admin_per_minute: Some(3), ..Limits::default() });
    for _ in 0..3 {
        assert_eq!(world.admin("GET", "/enrollments/dev-01", "").status, 200);
    }
    let reply = world.admin("GET", "/enrollments/dev-01", "");
    assert_eq!(refused(&reply).0, 429);
    assert_eq!(reply.header("Retry-After"), Some("60"));
    assert_eq!(world.register("dev-01", KEY).status, 202);
}

#[test]
fn throttle_can_be_disabled() {
    let mut world = world(Limits::none());
    let operation = operation_id(&world.register("dev-01", KEY));
    for _ in 0..1500 {
        assert_eq!(world.register("dev-01", KEY).status, 202);
        assert_eq!(world.poll("dev-01", KEY, &operation).status, 202);
    }
}

#[test]
fn polls_are_not_throttled_with_hint_0() {
    let options = ServiceOptions::new().hint(Some(RetryAfter::Seconds(0))).conflict_window_ms(0);
    let mut world = World::new(options);
    world.enroll(IndividualEnrollment::new("dev-01").primary_key(common::key(KEY)));
    let operation = operation_id(&world.register("dev-01", KEY));
    for _ in 0..100 {
        assert_eq!(world.poll("dev-01", KEY, &operation).status, 202);
    }
}
