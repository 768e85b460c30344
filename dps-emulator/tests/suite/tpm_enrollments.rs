//! Enrollments of devices with a TPM over the admin API.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dps_emulator::{EnrollmentGroup, IndividualEnrollment, ServiceOptions, TpmKeyError, TpmPublicKey};
use serde_json::{Value, json};

use crate::common::{KEY, World, json, key, refused};
use crate::soft_tpm::SoftTpm;

fn endorsement_key() -> String {
    BASE64_STANDARD.encode(SoftTpm::new().endorsement_key())
}

fn body(tpm: Value) -> String {
    json!({ "registrationId": "dev-01", "attestation": { "type": "tpm", "tpm": tpm } }).to_string()
}

#[test]
fn tpm_enrollment_is_created_shown_listed_and_deleted() {
    let mut world = World::new(ServiceOptions::new());
    let tpm = SoftTpm::new();
    let keys = json!({
        "endorsementKey": endorsement_key(), "storageRootKey": BASE64_STANDARD.encode(tpm.storage_root_key()),
    });
    for keys in [json!({ "endorsementKey": endorsement_key() }), keys] {
        let expected = json!({ "type": "tpm", "tpm": keys });
        let put = world.admin("PUT", "/enrollments/dev-01", &body(keys));
        assert_eq!((put.status, &json(&put)["attestation"]), (200, &expected));
        assert_eq!(json(&world.admin("GET", "/enrollments/dev-01", ""))["attestation"], expected);
        let query = r#"{"query":"SELECT * FROM enrollments"}"#;
        let listed = json(&world.admin("POST", "/enrollments/query", query));
        assert_eq!(listed[0]["attestation"], expected);
        let mechanism = json(&world.admin("POST", "/enrollments/dev-01/attestationmechanism", ""));
        assert_eq!(mechanism, expected);
    }
    assert_eq!(world.admin("DELETE", "/enrollments/dev-01", "").status, 204);
    assert_eq!(refused(&world.admin("GET", "/enrollments/dev-01", "")), (404, 404_201));
}

#[test]
fn tpm_enrollment_without_a_usable_endorsement_key_is_refused() {
    let mut world = World::new(ServiceOptions::new());
    let key = "'attestation.tpm.endorsementKey'";
    for (tpm, expected) in [
        (Value::Null, "'attestation.tpm' is missing".to_owned()),
        (json!({}), format!("{key} is missing")),
        (json!({ "endorsementKey": "" }), format!("{key} is missing")),
        (json!({ "endorsementKey": 1 }), format!("{key} must be a string")),
        (json!({ "endorsementKey": "AToA QALA" }), format!("{key} is invalid: it is not valid base64")),
        (json!({ "endorsementKey": "AA==" }), format!("{key} is invalid: it is not a TPM2B_PUBLIC")),
        (
            json!({ "endorsementKey": endorsement_key(), "storageRootKey": "AA==" }),
            "'attestation.tpm.storageRootKey' is invalid".into(),
        ),
    ] {
        let reply = world.admin("PUT", "/enrollments/dev-01", &body(tpm));
        assert_eq!(refused(&reply), (400, 400_004));
        let message = json(&reply)["message"].as_str().unwrap().to_owned();
        assert!(message.contains(&expected), "{message}");
    }
    assert!(world.service.enrollment("dev-01").is_none());
}

#[test]
fn group_with_tpm_is_refused() {
    let mut world = World::new(ServiceOptions::new());
    let attestation = json!({ "type": "tpm", "tpm": { "endorsementKey": endorsement_key() } });
    let body = json!({ "enrollmentGroupId": "line-1", "attestation": attestation });
    let reply = world.admin("PUT", "/enrollmentGroups/line-1", &body.to_string());
    assert_eq!(refused(&reply), (400, 400_004));
    assert!(json(&reply)["message"].as_str().unwrap().contains("individual enrollments"));
}

#[test]
fn attestation_of_an_enrollment_can_change_to_a_tpm_and_back() {
    let mut world = World::with_device();
    assert_eq!(world.provision("dev-01", KEY).status, 200);
    let tpm = json!({ "endorsementKey": endorsement_key() });
    assert_eq!(world.admin("PUT", "/enrollments/dev-01", &body(tpm)).status, 200);
    world.wait(1000);
    assert_eq!(refused(&world.register("dev-01", KEY)), (401, 401_002));
    world.enroll(IndividualEnrollment::new("dev-01").primary_key(key(KEY)));
    assert_eq!(world.register("dev-01", KEY).status, 202);
}

#[test]
fn tpm_enrollments_survive_a_restart() {
    let mut world = World::new(ServiceOptions::new());
    let tpm = TpmPublicKey::from_base64(&endorsement_key()).unwrap();
    world.enroll(IndividualEnrollment::new("dev-01").endorsement_key(tpm.clone()));
    let kept = serde_json::to_string(&world.service.snapshot()).unwrap();
    let mut restarted = World::new(ServiceOptions::new());
    restarted.service.restore(serde_json::from_str(&kept).unwrap()).unwrap();
    let attestation = &restarted.service.enrollment("dev-01").unwrap().settings.attestation;
    assert_eq!(attestation.tpm.as_ref().unwrap().endorsement_key, tpm);
    // A group of a state file that was edited.
    let mut group = serde_json::to_value(EnrollmentGroup::new("line-1")).unwrap();
    group["attestation"] = json!({ "type": "tpm", "tpm": { "endorsementKey": endorsement_key() } });
    let edited = json!({ "enrollments": [], "enrollmentGroups": [group] });
    assert!(restarted.service.restore(serde_json::from_value(edited).unwrap()).is_err());
}

/// Changes one byte of a valid key at a time.
#[test]
fn unsuitable_key_is_refused_with_the_place() {
    let valid = SoftTpm::new().endorsement_key();
    assert!(TpmPublicKey::from_bytes(&valid).is_ok());
    let policy = 12 + 32;
    for (at, value, unsuitable_at) in [
        // An ECC key, SHA-1, a key that signs, AES-256, CBC, a scheme, 3072 bits, the exponent 3.
        (3, 0x23, 2),
        (5, 0x04, 4),
        (7, 0x07, 6),
        (policy + 2, 0x01, policy + 2),
        (policy + 5, 0x42, policy + 4),
        (policy + 7, 0x14, policy + 6),
        (policy + 8, 0x0c, policy + 8),
        (policy + 13, 0x03, policy + 10),
        // An even modulus.
        (valid.len() - 1, valid[valid.len() - 1] ^ 1, policy + 14),
    ] {
        let mut changed = valid.clone();
        changed[at] = value;
        let error = TpmPublicKey::from_bytes(&changed).unwrap_err();
        assert_eq!(error, TpmKeyError::Unsuitable { at: unsuitable_at }, "byte {at}");
    }
}

/// Every part of a valid key, and a valid key with any byte changed, is read or refused.
#[test]
fn damaged_key_does_not_panic() {
    let valid = SoftTpm::new().endorsement_key();
    for end in 0..valid.len() {
        assert!(TpmPublicKey::from_bytes(&valid[..end]).is_err(), "{end} bytes");
        for value in [0, 1, 0x7f, 0xff] {
            let mut changed = valid.clone();
            changed[end] = value;
            if let Ok(key) = TpmPublicKey::from_bytes(&changed) {
                assert_eq!(key.base64(), BASE64_STANDARD.encode(&changed));
            }
        }
    }
}

#[test]
fn bytes_of_another_kind_are_not_a_public_area() {
    let valid = SoftTpm::new().endorsement_key();
    let longer = [&valid[..], &[0]].concat();
    let without_length = &valid[2..];
    let der = [0x30, 0x82, 0x01, 0x22, 0x30, 0x0d];
    for bytes in [&[][..], &[0], &[0, 0], &valid[..200], &longer, without_length, &der] {
        let error = TpmPublicKey::from_bytes(bytes).unwrap_err();
        assert!(matches!(error, TpmKeyError::NotPublicArea { length, .. } if length == bytes.len()), "{error:?}");
    }
}
