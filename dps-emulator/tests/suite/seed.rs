//! One seed, one transcript: with the same seed and the same times, every byte that the service sends repeats.

use crate::common::{GROUP_KEY, KEY, OTHER_KEY, World, key, operation_id};
use dps_emulator::{At, EnrollmentGroup, Fault, HttpReply, IndividualEnrollment, Scope, ServiceOptions};

/// Everything that a service with this seed sends in a conversation with devices and an owner.
fn transcript(options: ServiceOptions) -> Vec<String> {
    let mut world = World::new(options.assigning_ms(300));
    let mut sent = Vec::new();
    let mut note = |reply: &HttpReply| sent.push(format!("{reply:?}"));
    note(&world.admin(
        "PUT",
        "/enrollments/generated",
        r#"{"registrationId":"generated","attestation":{"type":"symmetricKey"}}"#,
    ));
    world.enroll(IndividualEnrollment::new("dev-01").primary_key(key(KEY)));
    let now = world.now();
    world.service.put_group(now, EnrollmentGroup::new("line-1").primary_key(key(GROUP_KEY))).unwrap();
    note(&world.admin("GET", "/enrollmentGroups/line-1", ""));
    for round in 0..3 {
        if round == 1 {
            world.service.inject(Scope::All, At::Poll, Fault::ServerError { status: 500, retry_after: None }, 1);
        }
        for (id, device_key) in
            [("dev-01", KEY.to_owned()), ("dev-02", key(GROUP_KEY).derive("dev-02").expose().to_owned())]
        {
            let first = world.register(id, &device_key);
            note(&first);
            let operation = operation_id(&first);
            world.wait(100);
            note(&world.poll(id, &device_key, &operation));
            world.wait(1000);
            note(&world.poll(id, &device_key, &operation));
            note(&world.lookup(id, &device_key));
        }
        note(&world.register("dev-01", OTHER_KEY));
        note(&world.admin("POST", "/enrollments/query", r#"{"query":"*"}"#));
    }
    #[cfg(feature = "mqtt")]
    sent.extend(crate::mqtt::transcript(&mut world));
    #[cfg(feature = "tpm")]
    sent.extend(challenges(&mut world));
    sent
}

/// The replies to a device with a TPM, whose keys are encrypted with random padding.
#[cfg(feature = "tpm")]
fn challenges(world: &mut World) -> Vec<String> {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    let tpm = crate::soft_tpm::SoftTpm::new();
    let (endorsement, storage) = (tpm.endorsement_key(), tpm.storage_root_key());
    let [endorsement, storage] = [endorsement, storage].map(|key| BASE64_STANDARD.encode(key));
    let public = dps_emulator::TpmPublicKey::from_base64(&endorsement).unwrap();
    world.enroll(IndividualEnrollment::new("dev-tpm").endorsement_key(public));
    let path = "/0ne00A1B2C3/registrations/dev-tpm/register?api-version=2021-06-01";
    let body = format!(r#"{{"tpm":{{"endorsementKey":"{endorsement}","storageRootKey":"{storage}"}}}}"#);
    (0..2).map(|_| format!("{:?}", world.send("PUT", path, &[], body.as_bytes()))).collect()
}

#[test]
fn same_seed_repeats_every_byte_and_another_one_does_not() {
    let first = transcript(ServiceOptions::new().seed(7));
    let second = transcript(ServiceOptions::new().seed(7));
    assert_eq!(first, second);
    let other = transcript(ServiceOptions::new().seed(8));
    assert!(first.iter().zip(&other).all(|(a, b)| a != b), "every reply has a tracking id");
}

#[test]
fn keys_with_entropy_of_their_own_do_not_follow_from_the_seed() {
    let made = |entropy: u8| {
        let mut world = World::new(ServiceOptions::new().seed(7).key_entropy([entropy; 32]));
        let made = world.enroll(IndividualEnrollment::new("dev-01"));
        let reply = world.register("dev-01", made.settings.attestation.primary.as_ref().unwrap().expose());
        let policy = world.service.connection_string().expose().to_owned();
        (
            operation_id(&reply),
            made.settings.etag,
            made.settings.attestation.primary.unwrap().expose().to_owned(),
            policy,
        )
    };
    let ((operation, etag, primary, policy), other) = (made(1), made(2));
    assert_eq!((operation, etag), (other.0, other.1), "ids follow the seed");
    assert!(primary != other.2 && policy != other.3);
}
