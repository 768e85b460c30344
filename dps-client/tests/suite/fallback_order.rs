//! Several credentials: which one is tried first, what is kept of it, and which lists are refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::common::{DEVICE_KEY, builder, device_key, service};
use crate::issued::issued_identity;
use crate::pki::Device;
use crate::x509_register::enroll;
use dps_client::{
    DeviceCredential, HubCredentials, IssuedIdentity, ProvisioningClient, ProvisioningClientBuilder, SymmetricKey,
};
use dps_core::ErrorCode;
use dps_emulator::{Emulator, EventKind, IndividualEnrollment};

fn other_key() -> SymmetricKey {
    SymmetricKey::from_bytes(&[9; 32]).unwrap()
}

fn enroll_key(emulator: &Emulator, key: &str) {
    let key = dps_emulator::SymmetricKey::from_base64(key).unwrap();
    let now = emulator.now();
    let enrollment = IndividualEnrollment::new("dev-01").primary_key(key);
    emulator.with_service(|service| service.put_enrollment(now, enrollment)).unwrap();
}

/// Registers and returns which credential was accepted, and after how many connections.
async fn registers(emulator: &Emulator, client: &ProvisioningClient) -> (usize, usize) {
    let count = || {
        let is_connection = |kind: &EventKind| matches!(kind, EventKind::Connection(_));
        emulator.with_service(|service| service.events().filter(|event| is_connection(&event.kind)).count())
    };
    let before = count();
    let assignment = client.register().await.unwrap();
    (assignment.credential_index(), count() - before)
}

#[tokio::test]
async fn credential_that_was_accepted_is_tried_first_until_it_is_refused() {
    let emulator = service().await;
    let client = builder(&emulator).symmetric_key(other_key()).fallback(device_key()).build().unwrap();
    assert_eq!(registers(&emulator, &client).await, (1, 2));
    assert_eq!(registers(&emulator, &client).await, (1, 1), "it is kept");
    enroll_key(&emulator, other_key().to_base64().expose());
    assert_eq!(registers(&emulator, &client).await, (0, 2), "it is refused, and the other one accepted");
    assert_eq!(registers(&emulator, &client).await, (0, 1));
    enroll_key(&emulator, DEVICE_KEY);
    assert_eq!(registers(&emulator, &client).await, (1, 2));
}

#[tokio::test]
async fn credential_that_was_accepted_is_forgotten_when_all_are_refused() {
    let emulator = service().await;
    let client = builder(&emulator).symmetric_key(other_key()).fallback(device_key()).build().unwrap();
    assert_eq!(registers(&emulator, &client).await, (1, 2));
    enroll_key(&emulator, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let error = client.register().await.unwrap_err();
    let tried: Vec<_> = error.refused_credentials().iter().map(|refused| refused.place().index()).collect();
    assert_eq!(tried, [1, 0], "the one that was accepted first");
    enroll_key(&emulator, other_key().to_base64().expose());
    assert_eq!(registers(&emulator, &client).await, (0, 1));
}

#[tokio::test]
async fn restarted_device_begins_with_the_credential_of_its_stored_assignment() {
    let emulator = service().await;
    let both = || builder(&emulator).symmetric_key(other_key()).fallback(device_key());
    let stored = both().build().unwrap().register().await.unwrap().to_stored();
    let restarted = both().first_credential(stored.credential_index).build().unwrap();
    assert_eq!(registers(&emulator, &restarted).await, (1, 1));
    enroll_key(&emulator, other_key().to_base64().expose());
    assert_eq!(registers(&emulator, &restarted).await, (0, 2), "it is refused, and the other one accepted");
}

#[tokio::test]
async fn refused_credential_is_followed_by_the_others_as_they_were_set() {
    let emulator = service().await;
    let third = SymmetricKey::from_bytes(&[7; 32]).unwrap();
    let client = builder(&emulator).symmetric_key(other_key()).fallback(third).fallback(device_key()).build().unwrap();
    assert_eq!(registers(&emulator, &client).await, (2, 3));
    enroll_key(&emulator, other_key().to_base64().expose());
    assert_eq!(registers(&emulator, &client).await, (0, 2), "after the third the first, not the second");
}

#[tokio::test]
async fn issued_certificate_is_tried_first_once_there_is_one() {
    let emulator = service().await;
    let identity = issued_identity("dev-01");
    let client = builder(&emulator).issued(None).fallback(device_key()).build().unwrap();
    assert_eq!(registers(&emulator, &client).await, (1, 1), "the place is empty");
    enroll(&emulator, identity.x509());
    client.set_issued(&identity).unwrap();
    assert_eq!(registers(&emulator, &client).await, (0, 1), "although the key was accepted before");
    // A client of a restarted program.
    let client = builder(&emulator).issued(identity).fallback(device_key()).build().unwrap();
    assert_eq!(registers(&emulator, &client).await, (0, 1));
}

/// A device's clock, and by how many seconds it is ahead.
fn clock_ahead() -> (Arc<AtomicU64>, impl Fn() -> Option<SystemTime> + Clone + Send + Sync + 'static) {
    let ahead = Arc::new(AtomicU64::new(0));
    let seconds = Arc::clone(&ahead);
    let clock = move || Some(SystemTime::now() + Duration::from_secs(seconds.load(Ordering::SeqCst)));
    (ahead, clock)
}

/// The device's own and any issued certificate are valid for 10 days, that of the service for longer.
#[tokio::test]
async fn certificate_of_the_device_that_has_expired_is_left_out() {
    let emulator = service().await;
    let (ahead, clock) = clock_ahead();
    ahead.store(11 * 86_400, Ordering::SeqCst);
    emulator.set_clock_offset_ms(11 * 86_400_000);
    enroll_key(&emulator, DEVICE_KEY);
    let expired = || issued_identity("dev-01").x509().clone();
    let first = || builder(&emulator).clock(clock.clone()).x509(expired());
    let client = first().fallback(device_key()).build().unwrap();
    assert_eq!(registers(&emulator, &client).await, (1, 1));
    let others = first().fallback(expired()).build().unwrap();
    assert_eq!(others.register().await.unwrap_err().code(), ErrorCode::ClientCertificateExpired, "all have expired");
    assert_eq!(first().build().unwrap_err().code(), ErrorCode::ClientCertificateExpired, "it is the only one");
}

#[tokio::test]
async fn device_signs_in_to_its_hub_with_the_issued_certificate_while_it_is_valid() {
    let emulator = service().await;
    let (ahead, clock) = clock_ahead();
    let client = builder(&emulator).clock(clock).issued(None).fallback(device_key()).build().unwrap();
    let has_certificate = |credentials: HubCredentials| credentials.certificate().is_some();
    let bootstrap = client.register().await.unwrap();
    assert!(!has_certificate(bootstrap.hub_credentials().unwrap()), "nothing was issued yet");
    client.set_issued(&issued_identity("dev-01")).unwrap();
    // The enrollment has a key, so that the service accepts only that.
    let assignment = client.register().await.unwrap();
    assert_eq!(assignment.credential_index(), 1);
    assert!(has_certificate(assignment.hub_credentials().unwrap()));
    let stored = assignment.to_stored();
    assert!(has_certificate(client.hub_credentials(&stored).unwrap().unwrap()));
    ahead.store(11 * 86_400, Ordering::SeqCst);
    assert!(!has_certificate(client.hub_credentials(&stored).unwrap().unwrap()), "it has expired");
}

#[tokio::test]
async fn issued_certificate_that_has_expired_is_left_out() {
    let emulator = service().await;
    let identity: IssuedIdentity = issued_identity("dev-01");
    let (ahead, clock) = clock_ahead();
    let issued = || builder(&emulator).clock(clock.clone()).issued(identity.clone());
    let with_key = issued().fallback(device_key()).build().unwrap();
    let alone = issued().build().unwrap();
    enroll(&emulator, identity.x509());
    assert_eq!(registers(&emulator, &with_key).await, (0, 1));
    // The service's certificate is valid for longer.
    ahead.store(11 * 86_400, Ordering::SeqCst);
    emulator.set_clock_offset_ms(11 * 86_400_000);
    enroll_key(&emulator, DEVICE_KEY);
    assert_eq!(registers(&emulator, &with_key).await, (1, 1));
    let expired = alone.register().await.unwrap_err();
    assert_eq!(expired.code(), ErrorCode::ClientCertificateExpired);
}

#[tokio::test]
async fn stored_assignment_signs_in_with_the_credential_that_was_accepted() {
    let emulator = service().await;
    let device = Device::self_signed("dev-01").x509();
    enroll(&emulator, &device);
    let client = builder(&emulator).symmetric_key(device_key()).fallback(device).build().unwrap();
    let assignment = client.register().await.unwrap();
    assert!(assignment.hub_credentials().unwrap().certificate().is_some());
    let mut stored = assignment.to_stored();
    assert_eq!(stored.credential_index, 1);
    for (index, is_certificate) in [(1, Some(true)), (0, Some(false)), (2, None)] {
        stored.credential_index = index;
        let credentials = client.hub_credentials(&stored).unwrap();
        assert_eq!(credentials.map(|found| found.certificate().is_some()), is_certificate, "{index}");
    }
}

fn refused(builder: ProvisioningClientBuilder) -> String {
    let error = builder.build().unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidOption);
    error.to_string()
}

#[test]
fn lists_of_credentials_that_cannot_work_are_refused() {
    let base = || ProvisioningClient::builder().id_scope("0ne00A1B2C3").registration_id("dev-01");
    let two = refused(base().symmetric_key(device_key()).symmetric_key(other_key()));
    assert!(two.contains("there are two credentials"), "{two}");
    let empty = refused(base().issued(None));
    assert!(empty.contains("is missing"), "{empty}");
    let only_fallbacks = refused(base().fallback(device_key()));
    assert!(only_fallbacks.contains("is missing"), "{only_fallbacks}");
    let many = refused((0..8).fold(base().symmetric_key(device_key()), |builder, _| builder.fallback(other_key())));
    assert!(many.contains("a client tries 8 at most"), "{many}");
    let twice = refused(base().issued(None).fallback(None::<IssuedIdentity>));
    assert!(twice.contains("two places for an issued certificate"), "{twice}");
    let absent = refused(base().symmetric_key(device_key()).fallback(other_key()).first_credential(2));
    assert!(absent.contains("has the index 2, but the client has 2"), "{absent}");
    let missing = base().symmetric_key(device_key()).fallback(DeviceCredential::key_file("/nowhere/device.key"));
    assert_eq!(missing.build().unwrap_err().code(), ErrorCode::File);
    let foreign = base().symmetric_key(device_key()).fallback(Device::self_signed("dev-02").x509());
    assert_eq!(foreign.build().unwrap_err().code(), ErrorCode::CommonNameMismatch);
}

#[test]
fn certificate_is_issued_only_into_its_place_and_for_its_device() {
    let base = || ProvisioningClient::builder().id_scope("0ne00A1B2C3").registration_id("dev-01");
    let without_place = base().symmetric_key(device_key()).build().unwrap();
    let error = without_place.set_issued(&issued_identity("dev-01")).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidOption);
    let client = base().issued(None).fallback(device_key()).build().unwrap();
    let error = client.set_issued(&issued_identity("dev-02")).unwrap_err();
    assert_eq!(error.code(), ErrorCode::CommonNameMismatch);
}
