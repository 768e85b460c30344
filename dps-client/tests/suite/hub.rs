//! Signing in to the hub: names as the hub wants them, and a password that renews itself and no more than it must.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use crate::common::{builder, device_key, service};
use dps_client::{HubCredentials, HubRenewal, ProvisioningClient, SendSigner, StoredAssignment};
use dps_core::{ErrorCode, Key, SignError, Signature};

#[tokio::test]
async fn hub_password_is_reused_while_fresh_and_renewed_before_it_expires() {
    let emulator = service().await;
    let offset = Arc::new(AtomicU64::new(0));
    let (clock, start) = (Arc::clone(&offset), SystemTime::now());
    let client = builder(&emulator)
        .symmetric_key(device_key())
        .clock(move || Some(start + Duration::from_secs(clock.load(Ordering::SeqCst))))
        .build()
        .unwrap();
    let mut credentials = client.register().await.unwrap().hub_credentials().unwrap();
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
async fn stored_assignment_signs_in_only_its_own_device() {
    let emulator = service().await;
    let client = builder(&emulator).symmetric_key(device_key()).build().unwrap();
    let stored = client.register().await.unwrap().to_stored();

    let restarted = builder(&emulator).symmetric_key(device_key()).build().unwrap();
    let mut credentials = restarted.hub_credentials(&stored).unwrap().unwrap();
    assert_eq!(credentials.user_name(), "hub-a.test/dev-01/?api-version=2021-04-12");
    let token = credentials.password().await.unwrap().expose().to_owned();
    let now = emulator.now();
    let let_in = emulator.with_service(|service| {
        service.hub_device("hub-a.test", "dev-01").is_some_and(|device| device.accepts_token(now, &token))
    });
    assert!(let_in, "the hub takes the restarted device's password");
    assert_eq!(emulator.with_service(|service| service.counters()).registers, 1);

    let other = builder(&emulator).registration_id("dev-02").symmetric_key(device_key()).build().unwrap();
    assert!(other.hub_credentials(&stored).unwrap().is_none());
    let elsewhere = builder(&emulator).id_scope("0ne99999999").symmetric_key(device_key()).build().unwrap();
    assert!(elsewhere.hub_credentials(&stored).unwrap().is_none());
}

/// What a token does when it is asked for a signature.
#[derive(Clone, Copy)]
enum Then {
    Fails,
    Hangs,
}

/// Signs so many times.
struct Wearing {
    left: Arc<AtomicUsize>,
    then: Then,
}

impl SendSigner for Wearing {
    async fn sign(&mut self, to_sign: &[u8]) -> Result<Signature, SignError> {
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Ok(Key::from_base64(crate::common::DEVICE_KEY).unwrap().sign(to_sign));
        }
        match self.then {
            Then::Fails => Err(SignError),
            Then::Hangs => std::future::pending().await,
        }
    }
}

/// Credentials of an assignment that was stored, whose clock is `seconds` after 2026-01-01 and whose signer works once.
fn worn_out(then: Then, seconds: Arc<AtomicU64>) -> HubCredentials {
    signing(1, then, seconds)
}

/// The same with a signer that works so many times.
fn signing(times: usize, then: Then, seconds: Arc<AtomicU64>) -> HubCredentials {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    let client = ProvisioningClient::builder()
        .id_scope("0ne00A1B2C3")
        .registration_id("dev-01")
        .signer(Wearing { left: Arc::new(AtomicUsize::new(times)), then })
        .clock(move || Some(start + Duration::from_secs(seconds.load(Ordering::SeqCst))))
        .request_timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    let (id_scope, id) = ("0ne00A1B2C3".parse().unwrap(), "dev-01".parse().unwrap());
    let stored = StoredAssignment::new(id_scope, id, "hub-a.test", "dev-01");
    client.hub_credentials(&stored).unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn valid_hub_password_outlives_a_failed_renewal() {
    for (then, code) in [(Then::Fails, ErrorCode::SignerFailed), (Then::Hangs, ErrorCode::SignerTimeout)] {
        let seconds = Arc::new(AtomicU64::new(0));
        let mut credentials = worn_out(then, Arc::clone(&seconds));
        let first = credentials.password().await.unwrap().expose().to_owned();
        for later in [3000, 3599] {
            seconds.store(later, Ordering::SeqCst);
            assert_eq!(credentials.password().await.unwrap().expose(), first, "after {later} s");
        }
        seconds.store(3600, Ordering::SeqCst);
        assert_eq!(credentials.password().await.unwrap_err().code(), code);
    }
}

#[tokio::test(start_paused = true)]
async fn hub_password_that_expires_during_a_failed_renewal_is_not_returned() {
    let seconds = Arc::new(AtomicU64::new(0));
    let mut credentials = worn_out(Then::Hangs, Arc::clone(&seconds));
    credentials.password().await.unwrap();
    seconds.store(3599, Ordering::SeqCst);
    let (renewed, ()) = tokio::join!(credentials.password(), async { seconds.store(3601, Ordering::SeqCst) });
    assert_eq!(renewed.unwrap_err().code(), ErrorCode::SignerTimeout);
}

#[tokio::test(start_paused = true)]
async fn hub_password_survives_a_dropped_renewal() {
    let seconds = Arc::new(AtomicU64::new(0));
    let mut credentials = worn_out(Then::Hangs, Arc::clone(&seconds));
    let first = credentials.password().await.unwrap().expose().to_owned();
    seconds.store(3000, Ordering::SeqCst);
    assert!(tokio::time::timeout(Duration::from_secs(1), credentials.password()).await.is_err());
    seconds.store(10, Ordering::SeqCst);
    assert_eq!(credentials.password().await.unwrap().expose(), first);
}

#[tokio::test]
async fn hub_password_of_any_life_does_not_overflow() {
    for life in [Duration::MAX, Duration::from_secs(u64::MAX / 2), Duration::ZERO] {
        let mut credentials = worn_out(Then::Fails, Arc::default()).password_life(life);
        credentials.password().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn hub_renewal_ends_by_its_timeout_while_a_signer_does_not_answer() {
    for (timeout, request_timeout) in [(5, 30), (30, 5)] {
        let begin = tokio::time::Instant::now();
        let renewal = HubRenewal::new(signing(0, Then::Hangs, Arc::default()))
            .timeout(Duration::from_secs(timeout))
            .request_timeout(Duration::from_secs(request_timeout));
        let error = renewal.issue(b"a certificate request").await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::SignerTimeout, "{}", error.report());
        assert_eq!(begin.elapsed().as_secs(), 5);
    }
}
