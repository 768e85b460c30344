//! Signing in to the hub: names as the hub wants them, and a password that renews itself and no more than it must.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use common::{builder, device_key, service};

#[tokio::test]
async fn the_password_is_kept_while_fresh_and_renewed_before_it_ends() {
    let emulator = service().await;
    let offset = Arc::new(AtomicU64::new(0));
    let (clock, start) = (Arc::clone(&offset), SystemTime::now());
    let client = builder(&emulator)
        .symmetric_key(device_key())
        .clock(move || Some(start + Duration::from_secs(clock.load(Ordering::SeqCst))))
        .build()
        .unwrap();
    let mut credentials = client.register().await.unwrap().hub_credentials();
    assert_eq!(credentials.client_id(), "dev-01");
    assert_eq!(credentials.user_name(), "hub-a.test/dev-01/?api-version=2021-04-12");

    let first = credentials.password().await.unwrap().clone();
    assert_eq!(first.expires_at(), start + Duration::from_secs(3600));
    assert!(first.expose().starts_with("SharedAccessSignature sr=hub-a.test%2Fdevices%2Fdev-01&sig="));
    assert!(!first.expose().contains("skn="));
    for (seconds, renewed) in [(0, false), (2800, false), (2900, true), (2901, false), (100_000, true)] {
        offset.store(seconds, Ordering::SeqCst);
        let before = credentials.password().await.unwrap().expires_at();
        let signed_now = before == start + Duration::from_secs(seconds + 3600);
        assert_eq!(signed_now && seconds > 0, renewed, "after {seconds} s");
    }
    // The clock was set back: the old password would seem to last for a day.
    offset.store(10, Ordering::SeqCst);
    assert_eq!(credentials.password().await.unwrap().expires_at(), start + Duration::from_secs(3610));

    let mut short = credentials.password_life(Duration::from_secs(60));
    assert_eq!(short.password().await.unwrap().expires_at(), start + Duration::from_secs(70));
}

#[tokio::test]
async fn a_stored_assignment_signs_in_its_own_device_and_no_other() {
    let emulator = service().await;
    let client = builder(&emulator).symmetric_key(device_key()).build().unwrap();
    let stored = client.register().await.unwrap().to_stored();

    let restarted = builder(&emulator).symmetric_key(device_key()).build().unwrap();
    let mut credentials = restarted.hub_credentials(&stored).unwrap();
    assert_eq!(credentials.user_name(), "hub-a.test/dev-01/?api-version=2021-04-12");
    let token = credentials.password().await.unwrap().expose().to_owned();
    let now = emulator.now();
    let let_in = emulator.with_service(|service| {
        service.hub_device("hub-a.test", "dev-01").is_some_and(|device| device.accepts_token(now, &token))
    });
    assert!(let_in, "the hub takes the restarted device's password");
    assert_eq!(emulator.with_service(|service| service.counters()).registers, 1);

    let other = builder(&emulator).registration_id("dev-02").symmetric_key(device_key()).build().unwrap();
    assert!(other.hub_credentials(&stored).is_none());
    let elsewhere = builder(&emulator).id_scope("0ne99999999").symmetric_key(device_key()).build().unwrap();
    assert!(elsewhere.hub_credentials(&stored).is_none());
}
