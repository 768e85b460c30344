//! Devices with a TPM: the challenge, the registration, the key for the hub, and what is refused.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dps_emulator::{
    At, Caller, Fault, HttpReply, IndividualEnrollment, Protocol, ReprovisionPolicy, Scope, ServiceOptions,
    SymmetricKey, TpmPublicKey, WebhookReply, WebhookUrl,
};
use serde_json::{Value, json};

use crate::common::{KEY, OTHER_KEY, SCOPE, World, device_token, encode, json, key, operation_id, refused, token};
use crate::soft_tpm::{Imported, Refused, SoftTpm};

const ID: &str = "dev-01";
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A device with a TPM, at a service that has it enrolled.
struct Site {
    world: World,
    tpm: SoftTpm,
}

impl Site {
    fn new() -> Self {
        Self::with(ServiceOptions::new(), enrollment())
    }

    fn with(options: ServiceOptions, enrollment: IndividualEnrollment) -> Self {
        let mut world = World::new(options);
        world.enroll(enrollment);
        Self { world, tpm: SoftTpm::new() }
    }

    /// Asks for a challenge with the keys of a TPM.
    fn ask(&mut self, tpm: &SoftTpm) -> HttpReply {
        let path = format!("/{SCOPE}/registrations/{ID}/register?api-version=2021-06-01");
        self.world.send("PUT", &path, &[JSON], &body_of(tpm))
    }

    /// Asks for a challenge with the device's own TPM and imports the key.
    fn activate(&mut self) -> String {
        let reply = self.ask(&SoftTpm::new());
        assert_eq!(reply.status, 401);
        self.import(&json(&reply)["authenticationKey"])
    }

    /// Imports a key into the device's TPM; returns its base64.
    fn import(&self, authentication_key: &Value) -> String {
        BASE64_STANDARD.encode(self.tpm.import(&blob(authentication_key)).unwrap().key)
    }

    /// Registers with a key that was imported, and polls until the registration is final.
    fn provision(&mut self, key: &str) -> HttpReply {
        self.world.provision(ID, key)
    }

    /// Registers from the challenge on; returns the key for the hub.
    fn assign(&mut self) -> String {
        let key = self.activate();
        let reply = self.provision(&key);
        assert_eq!(json(&reply)["status"], "assigned", "{}", json(&reply));
        self.import(&json(&reply)["registrationState"]["tpm"]["authenticationKey"])
    }

    /// Whether the hub accepts a token that was signed with this key.
    fn hub_accepts(&self, hub: &str, key: &str) -> bool {
        let resource = encode(&format!("{hub}/devices/{ID}"));
        let token = token(key, &resource, self.world.device_s() + 3600, "");
        let device = self.world.service.hub_device(hub, ID);
        device.is_some_and(|device| device.accepts_token(self.world.now(), &token))
    }

    /// The names of the reasons for which credentials were refused.
    fn reasons(&self) -> Vec<&'static str> {
        self.world.service.refusals().map(|refusal| refusal.reason.name()).collect()
    }
}

pub(crate) fn enrollment() -> IndividualEnrollment {
    IndividualEnrollment::new(ID).endorsement_key(TpmPublicKey::from_bytes(&SoftTpm::new().endorsement_key()).unwrap())
}

pub(crate) fn body_of(tpm: &SoftTpm) -> Vec<u8> {
    let key = |bytes: Vec<u8>| BASE64_STANDARD.encode(bytes);
    let keys = json!({
        "endorsementKey": key(tpm.endorsement_key()), "storageRootKey": key(tpm.storage_root_key()),
    });
    json!({ "registrationId": ID, "tpm": keys }).to_string().into_bytes()
}

pub(crate) fn blob(authentication_key: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(authentication_key.as_str().unwrap()).unwrap()
}

#[test]
fn register_without_a_token_is_answered_by_a_challenge_for_the_tpm() {
    let mut site = Site::new();
    let reply = site.ask(&SoftTpm::new());
    assert_eq!(reply.status, 401);
    assert_eq!(reply.header("Content-Type"), Some("application/json; charset=utf-8"));
    assert_eq!(reply.header("x-ms-error-code"), None);
    assert_eq!(reply.header("Date"), Some("Thu, 01 Jan 2026 00:00:00 GMT"));
    let body = json(&reply);
    assert_eq!(body["keyName"], "registration");
    assert_eq!(body["unencryptedAuthenticationKey"], Value::Null);
    assert!(!body["message"].as_str().unwrap().is_empty());
    assert_eq!((body.get("status"), body.get("operationId")), (None, None));

    let imported = site.tpm.import(&blob(&body["authenticationKey"])).unwrap();
    assert_eq!(imported.key.len(), 32);
    assert_eq!(imported.user_data, format!("{SCOPE}/registrations/{ID}").as_bytes());
    // A challenge is not a refusal.
    assert_eq!(site.reasons(), [""; 0]);
    assert_eq!((site.world.service.counters().registers, site.world.service.counters().rejected), (1, 0));
}

#[test]
fn webhook_sees_the_keys_of_the_tpm_and_assigns_the_device() {
    let url = WebhookUrl::parse("https://f.test/").unwrap();
    let mut site = Site::with(ServiceOptions::new(), enrollment().custom_allocation(url));
    let key = site.activate();
    let operation = operation_id(&site.world.register(ID, &key));
    let call = site.world.service.take_webhook_calls().remove(0);
    let request: Value = serde_json::from_slice(&call.body).unwrap();
    let shown: Value = serde_json::from_slice(&body_of(&site.tpm)).unwrap();
    let expected = json!({ "registrationId": ID, "tpm": shown["tpm"] });
    assert_eq!(request["deviceRuntimeContext"], expected);
    let reply = WebhookReply { status: 200, body: br#"{"iotHubHostName":"hub-a.test"}"#.to_vec() };
    let now = site.world.now();
    site.world.service.answer_webhook(now, call.id, Ok(reply));
    site.world.wait(1000);
    let state = json(&site.world.poll(ID, &key, &operation))["registrationState"].take();
    assert!(site.hub_accepts("hub-a.test", &site.import(&state["tpm"]["authenticationKey"])));
}

/// Sizes and public area are those of a challenge of the service that is printed in the Azure IoT SDK for Java
/// (`RegisterResponseTPMParser`).
#[test]
fn challenge_has_the_layout_of_the_services_own() {
    let mut site = Site::new();
    let Imported { public, sizes, .. } = {
        let reply = site.ask(&SoftTpm::new());
        site.tpm.import(&blob(&json(&reply)["authenticationKey"])).unwrap()
    };
    assert_eq!(sizes[..5], [52, 256, 142, 256, 48]);
    let algorithms = [0, 0x08, 0, 0x0b, 0, 0x04, 0x04, 0x40, 0, 0, 0, 0x05, 0, 0x0b, 0, 0x20];
    assert_eq!(public[..16], algorithms);
}

#[test]
fn only_the_enrolled_tpm_can_use_the_challenge() {
    let mut site = Site::new();
    let reply = site.ask(&SoftTpm::new());
    let blob = blob(&json(&reply)["authenticationKey"]);
    assert_eq!(SoftTpm::other().import(&blob).unwrap_err(), Refused::Decryption);
    // Of the two keys, the storage root key alone has changed.
    assert_eq!(SoftTpm::cleared().import(&blob).unwrap_err(), Refused::Integrity);
    // Every part but the user data is protected.
    let end = blob.len() - format!("{SCOPE}/registrations/{ID}").len();
    for at in (0..end).step_by(37) {
        let mut changed = blob.clone();
        changed[at] ^= 1;
        assert!(site.tpm.import(&changed).is_err(), "byte {at}");
    }
}

#[test]
fn register_with_the_challenges_key_is_assigned() {
    for repeats_keys in [false, true] {
        let mut site = Site::new();
        let key = site.activate();
        let token = device_token(&key, ID, site.world.device_s() + 3600);
        let body = if repeats_keys { body_of(&site.tpm) } else { json!({ "registrationId": ID }).to_string().into() };
        let first = site.world.register_with(ID, &token, std::str::from_utf8(&body).unwrap());
        assert_eq!(first.status, 202, "{}", json(&first));
        let operation = operation_id(&first);

        let early = json(&site.world.poll(ID, &key, &operation));
        assert_eq!(early["registrationState"]["status"], "assigning");
        assert_eq!(early["registrationState"].get("tpm"), None);
        assert_eq!(refused(&site.world.poll(ID, OTHER_KEY, &operation)), (401, 401_002));

        site.world.wait(1000);
        let state = json(&site.world.poll(ID, &key, &operation))["registrationState"].clone();
        assert_eq!((&state["assignedHub"], &state["deviceId"]), (&"hub-a.test".into(), &ID.into()));
        assert_eq!((state.get("symmetricKey"), state.get("x509")), (None, None));
        let hub_key = site.import(&state["tpm"]["authenticationKey"]);
        assert_ne!(hub_key, key);
        assert!(site.hub_accepts("hub-a.test", &hub_key));
        assert!(!site.hub_accepts("hub-a.test", &key));
    }
}

#[test]
fn every_registration_has_a_new_key_and_the_hub_refuses_the_old_one() {
    let mut site = Site::new();
    let first = site.assign();
    site.world.wait(1000);
    let second = site.assign();
    assert_ne!(first, second);
    assert!(site.hub_accepts("hub-a.test", &second));
    assert!(!site.hub_accepts("hub-a.test", &first));
}

#[test]
fn wrong_signature_is_refused_without_another_challenge() {
    let mut site = Site::new();
    site.activate();
    let reply = site.world.register(ID, OTHER_KEY);
    assert_eq!(refused(&reply), (401, 401_002));
    assert_eq!(json(&reply).get("authenticationKey"), None);
    assert_eq!(site.reasons(), ["challenge-signature"]);
}

#[test]
fn token_without_a_challenge_is_refused() {
    let mut site = Site::new();
    assert_eq!(refused(&site.world.register(ID, KEY)), (401, 401_002));
    assert_eq!(site.reasons(), ["no-challenge"]);
}

#[test]
fn key_of_an_earlier_challenge_is_refused() {
    let mut site = Site::new();
    let earlier = site.activate();
    let latest = site.activate();
    assert_eq!(refused(&site.world.register(ID, &earlier)), (401, 401_002));
    assert_eq!(site.reasons(), ["challenge-signature"]);
    assert_eq!(site.world.register(ID, &latest).status, 202);
}

#[test]
fn challenge_expires() {
    let mut site = Site::with(ServiceOptions::new().challenge_life_ms(60_000), enrollment());
    let key = site.activate();
    site.world.wait(59_999);
    assert_eq!(site.world.register(ID, &key).status, 202);
    let key = site.activate();
    site.world.wait(60_000);
    assert_eq!(refused(&site.world.register(ID, &key)), (401, 401_002));
    assert_eq!(site.reasons(), ["no-challenge"]);
}

#[test]
fn poll_is_accepted_with_the_key_of_its_operation_after_another_challenge() {
    let mut site = Site::with(ServiceOptions::new().challenge_life_ms(100), enrollment());
    let key = site.activate();
    let operation = operation_id(&site.world.register(ID, &key));
    site.activate();
    assert_eq!(site.world.poll(ID, &key, &operation).status, 202);
    // The challenge has expired, the operation has not.
    site.world.wait(1000);
    assert_eq!(site.world.poll(ID, &key, &operation).status, 200);
    assert_eq!(refused(&site.world.poll(ID, &key, "5.0123456789abcdef.unknown")), (401, 401_002));
}

#[test]
fn unknown_tpm_is_not_found() {
    let mut site = Site::new();
    assert_eq!(refused(&site.ask(&SoftTpm::other())), (404, 404_201));
    site.world.service.delete_enrollment(ID);
    assert_eq!(refused(&site.ask(&SoftTpm::new())), (404, 404_201));
    site.world.enroll(IndividualEnrollment::new(ID).primary_key(key(KEY)));
    assert_eq!(refused(&site.ask(&SoftTpm::new())), (404, 404_201));
    let path = format!("/0neFFFFFFFF/registrations/{ID}/register?api-version=2021-06-01");
    let body = body_of(&SoftTpm::new());
    assert_eq!(refused(&site.world.send("PUT", &path, &[JSON], &body)), (404, 404_201));
    let expected = ["wrong-endorsement-key", "no-tpm-enrollment", "no-tpm-enrollment", "wrong-id-scope"];
    assert_eq!(site.reasons(), expected);
    assert_eq!(site.world.service.counters().rejected, 4);
}

#[test]
fn register_with_the_keys_of_another_tpm_in_the_body_is_not_found() {
    let mut site = Site::new();
    let key = site.activate();
    let token = device_token(&key, ID, site.world.device_s() + 3600);
    let body = body_of(&SoftTpm::other());
    let reply = site.world.register_with(ID, &token, std::str::from_utf8(&body).unwrap());
    assert_eq!(refused(&reply), (404, 404_201));
    assert_eq!(site.reasons(), ["wrong-endorsement-key"]);
}

#[test]
fn challenge_is_void_after_the_enrollment_got_another_endorsement_key() {
    let mut site = Site::new();
    let key = site.activate();
    let other = TpmPublicKey::from_bytes(&SoftTpm::other().endorsement_key()).unwrap();
    site.world.enroll(IndividualEnrollment::new(ID).endorsement_key(other));
    assert_eq!(refused(&site.world.register(ID, &key)), (401, 401_002));
}

#[test]
fn disabled_enrollment_is_reported_by_poll() {
    let mut site = Site::with(ServiceOptions::new(), enrollment().enabled(false));
    let key = site.activate();
    let reply = site.provision(&key);
    assert_eq!((reply.status, &json(&reply)["status"]), (200, &"disabled".into()));
    assert_eq!(json(&reply)["registrationState"].get("tpm"), None);
}

#[test]
fn device_moves_to_another_hub_with_a_new_key() {
    let policy = ReprovisionPolicy { update_hub_assignment: true, migrate_device_data: false };
    let mut site = Site::with(ServiceOptions::new(), enrollment().reprovision(policy));
    site.assign();
    site.world.service.link_hub("hub-b.test", 1).unwrap();
    site.world.service.unlink_hub("hub-a.test");
    site.world.wait(1000);
    let key = site.assign();
    assert!(site.hub_accepts("hub-b.test", &key));
    assert!(site.world.service.hub_device("hub-a.test", ID).is_none());
    let record = site.world.service.record(ID).unwrap();
    assert_eq!(serde_json::to_value(record.substatus()).unwrap(), "deviceDataReset");
}

#[test]
fn assign_at_once_returns_the_key_for_the_hub() {
    let mut site = Site::with(ServiceOptions::new().assign_at_once(true), enrollment());
    let key = site.activate();
    let reply = site.world.register(ID, &key);
    assert_eq!(reply.status, 200);
    let hub_key = site.import(&json(&reply)["registrationState"]["tpm"]["authenticationKey"]);
    assert!(site.hub_accepts("hub-a.test", &hub_key));
}

#[test]
fn lookup_begins_with_a_challenge_and_returns_the_key_of_the_assignment() {
    let mut site = Site::new();
    let hub_key = site.assign();
    let path = format!("/{SCOPE}/registrations/{ID}?api-version=2021-06-01");
    let body = body_of(&site.tpm);
    let challenge = site.world.send("POST", &path, &[JSON], &body);
    assert_eq!(challenge.status, 401);
    let key = site.import(&json(&challenge)["authenticationKey"]);
    let record = site.world.lookup(ID, &key);
    assert_eq!((record.status, &json(&record)["assignedHub"]), (200, &"hub-a.test".into()));
    assert_eq!(site.import(&json(&record)["tpm"]["authenticationKey"]), hub_key);
    // The key for the hub does not sign for the provisioning service.
    assert_eq!(refused(&site.world.lookup(ID, &hub_key)), (401, 401_002));
    // The admin API does not show it.
    assert_eq!(json(&site.world.admin("GET", "/registrations/dev-01", "")).get("tpm"), None);
}

#[test]
fn storage_root_key_of_the_enrollment_is_used_if_the_device_sends_none() {
    let tpm = SoftTpm::new();
    let mut keys = json!({ "endorsementKey": BASE64_STANDARD.encode(tpm.endorsement_key()) });
    let ask = |site: &mut Site, keys: &Value| {
        let path = format!("/{SCOPE}/registrations/{ID}/register?api-version=2021-06-01");
        site.world.send("PUT", &path, &[JSON], json!({ "tpm": keys }).to_string().as_bytes())
    };
    let mut site = Site::new();
    let reply = ask(&mut site, &keys);
    assert_eq!(refused(&reply), (400, 400_004));
    assert!(json(&reply)["message"].as_str().unwrap().contains("'tpm.storageRootKey' is missing"));

    keys["storageRootKey"] = BASE64_STANDARD.encode(tpm.storage_root_key()).into();
    let enrollment = json!({ "registrationId": ID, "attestation": { "type": "tpm", "tpm": keys } });
    assert_eq!(site.world.admin("PUT", "/enrollments/dev-01", &enrollment.to_string()).status, 200);
    keys["storageRootKey"] = Value::Null;
    let challenge = ask(&mut site, &keys);
    assert_eq!(challenge.status, 401);
    site.import(&json(&challenge)["authenticationKey"]);
    // After it was cleared, the TPM has another one, which the device sends.
    let cleared = site.ask(&SoftTpm::cleared());
    assert!(SoftTpm::cleared().import(&blob(&json(&cleared)["authenticationKey"])).is_ok());
}

#[test]
fn invalid_keys_of_a_device_are_named() {
    let mut site = Site::new();
    let valid = BASE64_STANDARD.encode(SoftTpm::new().endorsement_key());
    for (tpm, part) in [
        (json!("key"), "'tpm' must be an object"),
        (json!({}), "'tpm.endorsementKey' is missing"),
        (json!({ "endorsementKey": 7 }), "'tpm.endorsementKey' must be a string"),
        (json!({ "endorsementKey": "AToA\nAQ==" }), "'tpm.endorsementKey' is invalid: it is not valid base64"),
        (json!({ "endorsementKey": &valid[..400] }), "'tpm.endorsementKey' is invalid: it is not a TPM2B_PUBLIC"),
        (json!({ "endorsementKey": valid, "storageRootKey": "AAA=" }), "'tpm.storageRootKey' is invalid"),
    ] {
        let path = format!("/{SCOPE}/registrations/{ID}/register?api-version=2021-06-01");
        let reply = site.world.send("PUT", &path, &[JSON], json!({ "tpm": tpm }).to_string().as_bytes());
        assert_eq!(refused(&reply), (400, 400_004));
        let message = json(&reply)["message"].as_str().unwrap().to_owned();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn tpm_is_refused_over_mqtt() {
    let mut site = Site::new();
    let key = site.activate();
    let token = device_token(&key, ID, site.world.device_s() + 3600);
    let now = site.world.now();
    let mut call = |token: Option<&str>| {
        let caller = Caller {
            id_scope: SCOPE,
            registration_id: ID,
            token,
            certificates: None,
            api_version: "2019-03-31",
            user_agent: None,
            protocol: Protocol::Mqtt,
        };
        site.world.service.register(now, &caller, &body_of(&SoftTpm::new()))
    };
    assert_eq!(call(Some(&token)).error_code, Some(401_000));
    assert_eq!(call(None).error_code, Some(401_000));
    assert_eq!(site.reasons(), ["tpm-over-mqtt", "no-token"]);
}

#[test]
fn replayed_challenge_imports_and_its_key_is_refused() {
    let mut site = Site::new();
    let mut earlier = Value::Null;
    // Before the first challenge was given, and afterwards.
    for _ in 0..2 {
        site.world.service.inject(Scope::All, At::Register, Fault::ReplayedChallenge, 1);
        let reply = site.ask(&SoftTpm::new());
        let replayed = json(&reply)["authenticationKey"].clone();
        let key = site.import(&replayed);
        assert_eq!(refused(&site.world.register(ID, &key)), (401, 401_002));
        if !earlier.is_null() {
            assert_eq!(replayed, earlier);
        }
        earlier = json(&site.ask(&SoftTpm::new()))["authenticationKey"].clone();
    }
}

#[test]
fn foreign_challenge_cannot_be_imported() {
    let mut site = Site::new();
    site.world.service.inject(Scope::Registration(ID), At::Register, Fault::ForeignChallenge, 1);
    let reply = site.ask(&SoftTpm::new());
    assert_eq!(reply.status, 401);
    assert!(site.tpm.import(&blob(&json(&reply)["authenticationKey"])).is_err());
    site.activate();
}

#[test]
fn faults_apply_to_the_key_for_the_hub_too() {
    for fault in [Fault::ForeignChallenge, Fault::ReplayedChallenge] {
        let mut site = Site::new();
        let key = site.activate();
        site.world.service.inject(Scope::All, At::Poll, fault.clone(), 1);
        let reply = site.provision(&key);
        assert_eq!(json(&reply)["status"], "assigned");
        let hub_key = blob(&json(&reply)["registrationState"]["tpm"]["authenticationKey"]);
        match site.tpm.import(&hub_key) {
            Ok(imported) => assert!(!site.hub_accepts("hub-a.test", &BASE64_STANDARD.encode(imported.key))),
            Err(_) => assert_eq!(fault, Fault::ForeignChallenge),
        }
    }
}

#[test]
fn keys_of_devices_differ_with_the_seed_and_are_the_same_with_the_same() {
    let challenge = |seed| {
        let mut site = Site::with(ServiceOptions::new().seed(seed), enrollment());
        json(&site.ask(&SoftTpm::new()))["authenticationKey"].clone()
    };
    assert_eq!(challenge(1), challenge(1));
    assert_ne!(challenge(1), challenge(2));
}

#[test]
fn debug_output_of_a_key_shows_only_what_is_public() {
    let public = TpmPublicKey::from_bytes(&SoftTpm::new().endorsement_key()).unwrap();
    assert!(format!("{public:?}").contains(&public.base64()));
    let key = SymmetricKey::from_base64(KEY).unwrap();
    assert!(!format!("{:?}", IndividualEnrollment::new(ID).primary_key(key)).contains(KEY));
}
