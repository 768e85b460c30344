//! Certificates that the service issues to devices, and hubs that speak another protocol: what is accepted, what a device
//! receives, and what hubs accept afterwards.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dps_emulator::mqtt::{Effect, Session};
use dps_emulator::{
    AllocationPolicy, Certificate, CertificatePolicy, ClientCertificates, ConnectionProfile, EnrollmentGroup,
    HttpReply, HttpRequest, IndividualEnrollment, IssuanceCodes, OptionsError, Service, ServiceOptions,
};
use rcgen::{KeyPair, SignatureAlgorithm};
use serde_json::{Value, json};

use crate::common::{GROUP_KEY, KEY, SCOPE, START_S, World, device_token, json, key, refused};
use crate::hub;
use crate::mqtt::{Hello, publish, subscribe};
use crate::pki::{Device, P256, P384, params};
use crate::soft_tpm::SoftTpm;
use crate::tpm;

const VERSION: &str = "2026-11-01";
const PREVIEW: &str = "2026-11-02-preview";
const DAY_MS: u64 = 86_400_000;

pub(crate) fn policy() -> CertificatePolicy {
    CertificatePolicy::named("factory", "root", "devices")
}

/// A certificate request with a new key, in base64.
pub(crate) fn request(common_name: &str, algorithm: &'static SignatureAlgorithm) -> String {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let mut params = params(common_name);
    // A request has no validity.
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(1975, 1, 1), rcgen::date_time_ymd(4096, 1, 1));
    BASE64_STANDARD.encode(params.serialize_request(&key).unwrap().der())
}

/// A device `dev-01` under [`KEY`], with a policy, that registers by an API version.
pub(crate) struct Site {
    pub(crate) world: World,
}

impl Site {
    pub(crate) fn new(options: ServiceOptions) -> Self {
        let mut world = World::new(options);
        world.enroll(IndividualEnrollment::new("dev-01").primary_key(key(KEY)).certificate_policy(policy()));
        Self { world }
    }

    pub(crate) fn call(&mut self, method: &str, rest: &str, version: &str, body: &Value) -> HttpReply {
        let token = device_token(KEY, "dev-01", self.world.device_s() + 3600);
        let path = format!("/{SCOPE}/registrations/dev-01{rest}?api-version={version}");
        let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.world.send(method, &path, &headers, body.as_bytes())
    }

    pub(crate) fn register(&mut self, version: &str, body: &Value) -> HttpReply {
        self.call("PUT", "/register", version, body)
    }

    /// Registers over MQTT, on a connection of its own, with a service that assigns at once.
    pub(crate) fn register_over_mqtt(&mut self, body: &Value) -> Value {
        let mut hello = Hello::new(&self.world, "dev-01", KEY);
        hello.user = format!("{SCOPE}/registrations/dev-01/api-version={PREVIEW}");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (now, mut session, mut sent) = (self.world.now(), Session::new(), Vec::new());
        for packet in [
            hello.bytes(),
            subscribe("$dps/registrations/res/#", 0),
            publish(0x30, "$dps/registrations/PUT/iotdps-register/?$rid=1", body.as_bytes()),
        ] {
            sent.extend(session.receive(&mut self.world.service, now, &packet));
        }
        let Some(Effect::Send(reply)) = sent.last() else { panic!("{sent:?}") };
        let start = reply.iter().position(|byte| *byte == b'{').unwrap();
        serde_json::from_slice(&reply[start..]).unwrap()
    }

    fn poll(&mut self, version: &str, operation_id: &str) -> HttpReply {
        self.call("GET", &format!("/operations/{operation_id}"), version, &Value::Null)
    }

    /// Registers, and polls by the same version once the assignment is due; not before polls are allowed again.
    fn provision(&mut self, version: &str, body: &Value) -> Value {
        self.world.wait(2000);
        let reply = self.register(version, body);
        assert_eq!(reply.status, 202, "{}", json(&reply));
        self.world.wait(1000);
        let operation_id = json(&reply)["operationId"].as_str().unwrap().to_owned();
        let reply = self.poll(version, &operation_id);
        assert_eq!(reply.status, 200, "{}", json(&reply));
        json(&reply)
    }

    fn refused(&mut self, version: &str, body: &Value) -> (u64, &'static str) {
        let reply = self.register(version, body);
        let (_, code) = refused(&reply);
        (code, self.world.service.events().last().unwrap().reason().unwrap().name())
    }
}

/// The chain of a final reply, the device's certificate first.
pub(crate) fn chain_of(reply: &Value) -> Vec<Certificate> {
    let chain = reply["registrationState"]["issuedCertificateChain"].as_array().unwrap();
    chain.iter().map(|der| Certificate::from_pem(der.as_str().unwrap()).unwrap()).collect()
}

fn presented(reply: &Value) -> ClientCertificates {
    let chain = chain_of(reply);
    ClientCertificates::from_der(chain.iter().map(Certificate::der))
}

#[test]
fn device_receives_a_chain_of_three_that_its_root_signed() {
    let mut site = Site::new(ServiceOptions::new().certificate_days(7));
    for algorithm in [P256, P384] {
        let reply =
            site.provision(VERSION, &json!({ "registrationId": "dev-01", "csr": request("dev-01", algorithm) }));
        let chain = chain_of(&reply);
        let names: Vec<_> = chain.iter().map(|certificate| certificate.common_name().unwrap()).collect();
        assert_eq!(names, ["dev-01", "DPS Emulator Device Issuing CA", "DPS Emulator Device Root CA"]);
        assert!(chain[1].is_authority() && chain[2].is_authority() && !chain[0].is_authority());
        // The service checks a chain as it does at sign-in: order, signatures, path lengths, validity.
        let hub = site.world.service.hub_device("hub-a.test", "dev-01").unwrap();
        assert!(hub.accepts_certificates(site.world.now(), &presented(&reply)));
        let info = chain[0].info();
        let day = |text: &str| text[8..10].parse::<u64>().unwrap();
        // The tests begin on the first of a month; the start is a few minutes earlier.
        assert_eq!((day(&info.not_before_utc), day(&info.not_after_utc)), (31, 8), "{info:?}");
    }
}

#[test]
fn serial_numbers_differ_and_the_authority_stays() {
    let mut site = Site::new(ServiceOptions::new());
    let body = json!({ "csr": request("dev-01", P256) });
    let (first, second) = (chain_of(&site.provision(VERSION, &body)), chain_of(&site.provision(VERSION, &body)));
    assert_ne!(first[0].info().serial_number, second[0].info().serial_number);
    assert_eq!(first[1..], second[1..]);
}

#[test]
fn policy_is_named_in_three_spellings_of_which_an_enrollment_has_one() {
    let csr = request("dev-01", P256);
    for policy in [
        json!({ "credentialPolicyName": "p" }),
        json!({ "certificatePolicyResourceId": "/subscriptions/s/p" }),
        json!({ "namespaceName": "n", "certificateAuthorityName": "a", "certificatePolicyName": "p" }),
    ] {
        let mut site = Site { world: World::new(ServiceOptions::new()) };
        let attestation = json!({ "type": "symmetricKey", "symmetricKey": { "primaryKey": KEY, "secondaryKey": KEY } });
        let mut enrollment = json!({ "registrationId": "dev-01", "attestation": attestation });
        enrollment.as_object_mut().unwrap().extend(policy.as_object().unwrap().clone());
        let reply = site.world.admin("PUT", "/enrollments/dev-01", &enrollment.to_string());
        assert_eq!(reply.status, 200, "{}", json(&reply));
        let shown = json(&site.world.admin("GET", "/enrollments/dev-01", ""));
        assert!(policy.as_object().unwrap().iter().all(|(name, value)| shown[name] == *value), "{shown}");
        assert_eq!(chain_of(&site.provision(VERSION, &json!({ "csr": csr }))).len(), 3, "{policy}");
    }
    let mut world = World::new(ServiceOptions::new());
    for policy in [
        r#""namespaceName":"n","certificatePolicyName":"p""#,
        r#""credentialPolicyName":"""#,
        r#""credentialPolicyName":"p","certificatePolicyResourceId":"r""#,
    ] {
        let body = format!(r#"{{"registrationId":"dev-02","attestation":{{"type":"symmetricKey"}},{policy}}}"#);
        assert_eq!(refused(&world.admin("PUT", "/enrollments/dev-02", &body)), (400, 400_004), "{policy}");
    }
}

#[test]
fn certificate_is_issued_to_a_device_of_a_group_at_once_and_never_shown_in_a_lookup() {
    let mut world = World::new(ServiceOptions::new().assign_at_once(true));
    let now = world.now();
    let group = EnrollmentGroup::new("line-1").primary_key(key(GROUP_KEY)).certificate_policy(policy());
    world.service.put_group(now, group).unwrap();
    let device_key = key(GROUP_KEY).derive("dev-01");
    let token = device_token(device_key.expose(), "dev-01", world.device_s() + 3600);
    let path = format!("/{SCOPE}/registrations/dev-01/register?api-version={VERSION}");
    let body = json!({ "csr": request("dev-01", P256) }).to_string();
    let reply = world.send("PUT", &path, &[("Authorization", &token)], body.as_bytes());
    assert_eq!((reply.status, chain_of(&json(&reply)).len()), (200, 3));
    let lookup = world.send("POST", &path.replace("/register", ""), &[("Authorization", &token)], b"{}");
    assert_eq!(lookup.status, 200);
    assert!(!String::from_utf8_lossy(&lookup.body).contains("issuedCertificateChain"));
    let admin = world.admin("GET", "/registrations/dev-01", "");
    assert!(admin.status == 200 && !String::from_utf8_lossy(&admin.body).contains("issuedCertificateChain"));
}

#[test]
fn certificate_is_issued_to_a_device_that_registers_by_a_certificate() {
    let mut world = World::new(ServiceOptions::new().assign_at_once(true));
    let device = Device::self_signed("dev-01");
    let enrollment = IndividualEnrollment::new("dev-01").client_certificate(device.certificate());
    world.enroll(enrollment.certificate_policy(CertificatePolicy::credential_policy("p")));
    let path = format!("/{SCOPE}/registrations/dev-01/register?api-version={VERSION}");
    let body = json!({ "csr": request("dev-01", P384) }).to_string();
    let request = HttpRequest { method: "PUT", path_and_query: &path, headers: &[], body: body.as_bytes() };
    let now = world.now();
    let reply = json(&world.service.handle_with_certificates(now, &request, &device.presented()));
    let entry = world.service.hub_device("hub-a.test", "dev-01").unwrap();
    assert!(entry.accepts_certificates(now, &presented(&reply)), "the issued one");
    assert!(entry.accepts_certificates(now, &device.presented()), "and the one it registered with");
}

#[test]
fn certificate_is_issued_to_a_device_with_a_tpm() {
    let mut world = World::new(ServiceOptions::new().assign_at_once(true));
    world.enroll(tpm::enrollment().certificate_policy(policy()));
    let device = SoftTpm::new();
    let mut body: Value = serde_json::from_slice(&tpm::body_of(&device)).unwrap();
    body["csr"] = request("dev-01", P256).into();
    let path = format!("/{SCOPE}/registrations/dev-01/register?api-version={VERSION}");
    let challenge = world.send("PUT", &path, &[], body.to_string().as_bytes());
    assert_eq!(challenge.status, 401);
    let imported = device.import(&tpm::blob(&json(&challenge)["authenticationKey"])).unwrap();
    let token = device_token(&BASE64_STANDARD.encode(imported.key), "dev-01", world.device_s() + 3600);
    let reply = json(&world.send("PUT", &path, &[("Authorization", &token)], body.to_string().as_bytes()));
    let entry = world.service.hub_device("hub-a.test", "dev-01").unwrap();
    assert!(entry.accepts_certificates(world.now(), &presented(&reply)), "{reply}");
}

/// The bodies of register calls as Microsoft's SDKs send them, and how many certificates the reply has. Null stands for an empty body.
fn bodies_of_other_clients() -> [(Value, usize); 7] {
    let csr = request("dev-01", P256);
    [
        (Value::Null, 0),
        (json!({}), 0),
        (json!({ "payload": { "a": 1 } }), 0),
        (json!({ "csr": csr }), 3),
        (json!({ "payload": { "a": 1 }, "csr": csr }), 3),
        (json!({ "registrationId": "DEV-01", "csr": csr, "laterMember": [1] }), 3),
        (json!({ "csr": null }), 0),
    ]
}

/// How many certificates a final reply has.
fn chain_length(reply: &Value) -> usize {
    assert_eq!(reply["registrationState"]["status"], "assigned", "{reply}");
    reply["registrationState"]["issuedCertificateChain"].as_array().map_or(0, Vec::len)
}

#[test]
fn bodies_of_other_clients_are_accepted_over_https() {
    let mut site = Site::new(ServiceOptions::new());
    for (body, count) in bodies_of_other_clients() {
        assert_eq!(chain_length(&site.provision(VERSION, &body)), count, "{body}");
    }
}

#[test]
fn bodies_of_other_clients_are_accepted_over_mqtt() {
    let mut site = Site::new(ServiceOptions::new().assign_at_once(true));
    for (body, count) in bodies_of_other_clients() {
        assert_eq!(chain_length(&site.register_over_mqtt(&body)), count, "{body}");
    }
}

#[test]
fn older_api_versions_have_neither_requests_nor_chains() {
    let mut site = Site::new(ServiceOptions::new());
    let body = json!({ "csr": request("dev-01", P256) });
    let state = site.provision("2021-06-01", &body)["registrationState"].clone();
    assert!(state.get("issuedCertificateChain").is_none() && state["status"] == "assigned", "the member is ignored");
    assert_eq!(chain_of(&site.provision("2025-07-01-preview", &body)).len(), 3);
    // A poll by an older version does not show what a newer one has requested.
    let operation_id = json(&site.register(VERSION, &body))["operationId"].as_str().unwrap().to_owned();
    site.world.wait(1000);
    for (version, is_shown) in [("2021-06-01", false), (VERSION, true), ("2021-06-01", false)] {
        let state = json(&site.poll(version, &operation_id))["registrationState"].clone();
        assert_eq!(state.get("issuedCertificateChain").is_some(), is_shown, "{version}");
    }
}

#[test]
fn request_that_cannot_be_accepted_is_refused_by_the_codes_of_both_generations() {
    let good = BASE64_STANDARD.decode(request("dev-01", P256)).unwrap();
    let encode = |der: &[u8]| json!({ "csr": BASE64_STANDARD.encode(der) });
    let mut forged = good.clone();
    // In the common name, which the signature covers: dev-01 in another letter case.
    let at = forged.windows(6).position(|bytes| bytes == b"dev-01").unwrap();
    forged[at] = b'D';
    let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\n{}\n", BASE64_STANDARD.encode(&good));
    let refusals = [
        (json!({ "csr": pem }), "certificate-request-malformed"),
        (json!({ "csr": "" }), "certificate-request-malformed"),
        (encode(&[0; 7000]), "certificate-request-malformed"),
        (encode(&good[..good.len() - 1]), "certificate-request-malformed"),
        (encode(&[good.as_slice(), &[0]].concat()), "certificate-request-malformed"),
        (encode(&forged), "certificate-request-signature"),
        (json!({ "csr": request("dev-02", P256) }), "certificate-request-name"),
        (json!({ "csr": request("", P256) }), "certificate-request-name"),
        (json!({ "csr": request("dev-01", &rcgen::PKCS_ED25519) }), "certificate-request-key"),
    ];
    for (codes, code) in [(IssuanceCodes::Early, 400_037), (IssuanceCodes::Current, 400_040)] {
        let mut site = Site::new(ServiceOptions::new().issuance_codes(codes));
        for (body, reason) in &refusals {
            assert_eq!(site.refused(VERSION, body), (code, *reason), "{body}");
        }
        assert_eq!(site.refused(VERSION, &json!({ "csr": 7 })), (400_004, "invalid-request"));
        assert!(site.world.service.record("dev-01").is_none(), "nothing was registered");
    }
    let mut strict = Site::new(ServiceOptions::new().p384_only(true));
    let body = json!({ "csr": request("dev-01", P256) });
    assert_eq!(strict.refused(VERSION, &body), (400_040, "certificate-request-key"));
    assert_eq!(chain_of(&strict.provision(VERSION, &json!({ "csr": request("dev-01", P384) }))).len(), 3);
}

#[test]
fn request_without_policy_and_request_in_a_lookup_are_refused() {
    let body = json!({ "csr": request("dev-01", P256) });
    let mut site = Site { world: World::with_device() };
    assert_eq!(site.refused(VERSION, &body), (400_000, "certificate-request"));
    let mut site = Site::new(ServiceOptions::new());
    site.provision(VERSION, &json!({}));
    assert_eq!(refused(&site.call("POST", "", VERSION, &body)), (400, 400_004));
    assert_eq!(site.world.service.events().last().unwrap().reason().unwrap().name(), "certificate-request-in-lookup");
}

#[test]
fn issued_certificate_signs_in_to_the_hub_until_it_expires() {
    let mut site = Site::new(ServiceOptions::new().certificate_days(7));
    let first = site.provision(VERSION, &json!({ "csr": request("dev-01", P256) }));
    let connect = |site: &mut Site, reply: &Value| {
        let session = Session::with_certificates(presented(reply));
        hub::connect_with(&mut site.world, "hub-a.test", "dev-01", "dev-01", KEY, session).1[3]
    };
    assert_eq!(connect(&mut site, &first), 0);
    site.world.wait(6 * DAY_MS);
    let second = site.provision(VERSION, &json!({ "csr": request("dev-01", P256) }));
    assert_eq!((connect(&mut site, &first), connect(&mut site, &second)), (0, 0), "both until the first expires");
    site.world.wait(DAY_MS);
    assert_eq!((connect(&mut site, &first), connect(&mut site, &second)), (5, 0));
    // A registration without a request leaves the certificate valid; one of another authority is not accepted.
    site.provision(VERSION, &json!({}));
    assert_eq!(connect(&mut site, &second), 0);
    let mut other = Site::new(ServiceOptions::new());
    let foreign = other.provision(VERSION, &json!({ "csr": request("dev-01", P256) }));
    assert_eq!(connect(&mut site, &foreign), 5);
}

#[test]
fn certificate_is_issued_over_mqtt() {
    let mut site = Site::new(ServiceOptions::new().assign_at_once(true));
    let reply = site.register_over_mqtt(&json!({ "csr": request("dev-01", P384) }));
    assert_eq!(chain_of(&reply).len(), 3);
    assert_eq!(reply["registrationState"]["connectionProfile"], "classic");
}

#[test]
fn profile_of_the_hub_is_shown_only_to_versions_that_have_it() {
    let options = ServiceOptions::new().hub("hub-5.test", 1).hub_profile("HUB-5.test", ConnectionProfile::MqttV5);
    let mut site = Site::new(options);
    for (version, expected) in [(VERSION, Value::Null), (PREVIEW, json!("mqttV5")), ("2021-06-01", Value::Null)] {
        let state = site.provision(version, &json!({}))["registrationState"].clone();
        assert_eq!(state["connectionProfile"], expected, "{version}");
        let record = json(&site.call("POST", "", version, &json!({})));
        assert_eq!(record["connectionProfile"], expected, "{version}");
    }
    assert!(site.world.service.set_hub_profile("hub-5.test", ConnectionProfile::Classic));
    assert!(!site.world.service.set_hub_profile("hub-6.test", ConnectionProfile::Classic));
    assert_eq!(site.provision(PREVIEW, &json!({}))["registrationState"]["connectionProfile"], "classic");
}

#[test]
fn hub_of_mqtt_5_refuses_mqtt_3_1_1() {
    let hubs = ServiceOptions::new().hub("hub-a.test", 1).hub("hub-5.test", 1);
    let mut world = World::new(hubs.hub_profile("hub-5.test", ConnectionProfile::MqttV5));
    let enrollment = IndividualEnrollment::new("dev-01").device_id("gateway-7").primary_key(key(KEY));
    world.enroll(enrollment.allocation(AllocationPolicy::Static, ["hub-5.test"]));
    assert_eq!(world.provision("dev-01", KEY).status, 200);
    assert_eq!(hub::connect(&mut world, "hub-5.test", KEY).1, [0x20, 2, 0, 1], "unacceptable protocol version");
    let reason = world.service.events().filter_map(|event| event.reason()).last();
    assert_eq!(reason.unwrap().name(), "hub-profile");
}

#[test]
fn options_that_cannot_work_are_refused() {
    for days in [0, 6, 91] {
        let refused = Service::new(ServiceOptions::new().certificate_days(days)).err();
        assert_eq!(refused, Some(OptionsError::CertificateDays(days)));
    }
    let refused = Service::new(ServiceOptions::new().hub_profile("hub-9.test", ConnectionProfile::MqttV5)).err();
    assert_eq!(refused, Some(OptionsError::UnknownHub("hub-9.test".into())));
    assert_eq!(ConnectionProfile::from_word("mqttV5"), Some(ConnectionProfile::MqttV5));
    assert_eq!(ConnectionProfile::from_word("mqtt5"), None);
    assert_eq!(START_S % 86_400, 0, "the tests begin at midnight");
}
