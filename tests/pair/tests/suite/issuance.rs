//! Certificates that the service issues, and the hub's protocol, over both codecs: what the device reads is what the service
//! issued, and its hub accepts it.

use dps_core::codec::{ISSUANCE_API_VERSION, PROFILE_API_VERSION, http, mqtt};
use dps_core::{
    Attestation, ConnectionProfile, ErrorCode, Link, Operation, Registration, SymmetricKey, Verdict,
    WithCertificateRequest, drive,
};
use dps_emulator::{
    At, CertificatePolicy, ClientCertificates, ConnectionProfile as HubProfile, Fault, IndividualEnrollment, Scope,
    ServiceOptions, SymmetricKey as EnrolledKey,
};
use pair::Scene;
use pair::scene::DEVICE_KEY;
use rcgen::{CertificateParams, DnType, KeyPair};

const DEVICE: &str = "dev-01";

/// A certificate request with a new key.
fn request(common_name: &str) -> Vec<u8> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.serialize_request(&key).unwrap().der().to_vec()
}

/// A device whose enrollment has a certificate policy.
fn scene(options: ServiceOptions) -> Scene {
    let mut scene = Scene::with(options);
    let key = EnrolledKey::from_base64(DEVICE_KEY).unwrap();
    let enrollment = IndividualEnrollment::new(DEVICE).primary_key(key);
    let enrollment = enrollment.certificate_policy(CertificatePolicy::named("factory", "root", "devices"));
    scene.service.borrow_mut().put_enrollment(scene.now(), enrollment).unwrap();
    scene.reply_limit = 8 * 1024;
    scene
}

/// What a device knows at the end of its registration.
#[derive(Debug, PartialEq)]
struct Known {
    failure: Option<(ErrorCode, Verdict, Option<usize>)>,
    chain: Vec<Vec<u8>>,
    profile: String,
    operation: Option<String>,
}

/// Registers with this attestation, or goes on from an operation, over HTTP or MQTT.
fn register<A: Attestation>(
    scene: &mut Scene,
    attestation: A,
    is_mqtt: bool,
    api_version: &'static str,
    operation: Option<&str>,
) -> Known {
    let (mut http, mut mqtt) = (scene.link(), scene.mqtt_link());
    (http.api_version, mqtt.api_version) = (api_version, api_version);
    if is_mqtt {
        run(scene, attestation, &mut mqtt, api_version, operation)
    } else {
        run(scene, attestation, &mut http, api_version, operation)
    }
}

fn run<A: Attestation, L: Link>(
    scene: &mut Scene,
    attestation: A,
    link: &mut L,
    api_version: &str,
    operation: Option<&str>,
) -> Known {
    let (mut storage, mut buffer) = ([0; 1024], vec![0; scene.reply_limit]);
    let mut registration =
        Registration::with_attestation(scene.identity, attestation, scene.config(), &mut storage).unwrap();
    if let Some(line) = operation {
        registration.set_operation(&Operation::parse(line).unwrap()).unwrap();
    }
    let world = scene.world.clone();
    world.run(drive(&mut registration, link, &world, &mut scene.key, &mut (), &mut buffer));
    let mut chain = Vec::new();
    while let Some(certificate) = registration.issued_certificate(&mut buffer, chain.len()).unwrap() {
        chain.push(certificate.to_vec());
    }
    let mut line = [0; 256];
    Known {
        failure: registration.failure().map(|failure| (failure.code(), failure.verdict(), failure.needed())),
        chain,
        profile: registration.connection_profile(&mut buffer, api_version).unwrap().to_string(),
        operation: registration.operation().map(|operation| operation.write(&mut line).unwrap().to_owned()),
    }
}

fn with_request(der: &[u8]) -> WithCertificateRequest<SymmetricKey, &[u8]> {
    WithCertificateRequest::new(SymmetricKey, der).unwrap()
}

#[test]
fn issued_chain_is_read_over_http_and_mqtt_and_the_hub_accepts_it() {
    let der = request(DEVICE);
    for is_mqtt in [false, true] {
        for at_once in [false, true] {
            let mut scene = scene(ServiceOptions::new().assign_at_once(at_once));
            let known = register(&mut scene, with_request(&der), is_mqtt, ISSUANCE_API_VERSION, None);
            assert_eq!((known.failure, known.chain.len()), (None, 3));
            // The key of the certificate is that of the request.
            let key = der.windows(97).find(|bytes| bytes[0] == 4).expect("an uncompressed point of P-384");
            assert!(known.chain[0].windows(97).any(|bytes| bytes == key));
            let presented = ClientCertificates::from_der(known.chain.iter().map(Vec::as_slice));
            let service = scene.service.borrow();
            assert!(service.hub_device("hub-a.test", DEVICE).unwrap().accepts_certificates(scene.now(), &presented));
        }
    }
}

#[test]
fn buffer_too_small_for_the_chain_is_named_and_the_operation_goes_on_with_a_larger_one() {
    let der = request(DEVICE);
    for is_mqtt in [false, true] {
        let mut scene = scene(ServiceOptions::new());
        scene.reply_limit = 1500;
        let known = register(&mut scene, with_request(&der), is_mqtt, ISSUANCE_API_VERSION, None);
        let Some((ErrorCode::ReplyTooLarge, Verdict::Reconfigure, Some(needed))) = known.failure else {
            panic!("{known:?}")
        };
        assert!((2000..5000).contains(&needed), "{needed}");
        scene.reply_limit = needed;
        let operation = known.operation.as_deref();
        let known = register(&mut scene, with_request(&der), is_mqtt, ISSUANCE_API_VERSION, operation);
        assert_eq!((known.failure, known.chain.len()), (None, 3));
        assert_eq!(scene.service.borrow().counters_of(DEVICE).registers, 1, "it was not registered again");
    }
}

#[test]
fn request_that_the_service_refuses_ends_the_registration_as_a_bad_request() {
    for is_mqtt in [false, true] {
        let mut scene = scene(ServiceOptions::new());
        let known = register(&mut scene, with_request(&request("dev-02")), is_mqtt, ISSUANCE_API_VERSION, None);
        assert_eq!(known.failure, Some((ErrorCode::BadRequest, Verdict::Never, None)));
        assert!(scene.service.borrow().record(DEVICE).is_none());
    }
}

#[test]
fn profile_and_chain_follow_the_api_version() {
    let der = request(DEVICE);
    for hub in [HubProfile::Classic, HubProfile::MqttV5] {
        for is_mqtt in [false, true] {
            let oldest = if is_mqtt { mqtt::DEFAULT_API_VERSION } else { http::DEFAULT_API_VERSION };
            for (version, has_chain, has_profile) in
                [(oldest, false, false), (ISSUANCE_API_VERSION, true, false), (PROFILE_API_VERSION, true, true)]
            {
                let mut scene = scene(ServiceOptions::new().hub("hub-a.test", 1).hub_profile("hub-a.test", hub));
                let known = register(&mut scene, with_request(&der), is_mqtt, version, None);
                assert_eq!((&known.failure, known.chain.len()), (&None, if has_chain { 3 } else { 0 }), "{version}");
                let expected = if has_profile { hub.word() } else { "not reported" };
                assert_eq!(known.profile, expected, "{version}");
                // Without a request nothing else changes.
                let known = register(&mut scene, SymmetricKey, is_mqtt, version, None);
                assert_eq!((known.failure, known.chain.len(), known.profile.as_str()), (None, 0, expected));
            }
        }
    }
    assert!(ConnectionProfile::is_reported_by(PROFILE_API_VERSION));
}

#[test]
fn members_that_nobody_knows_change_nothing() {
    let der = request(DEVICE);
    for is_mqtt in [false, true] {
        let mut scene = scene(ServiceOptions::new());
        let patch = serde_json::json!({
            "later": [{ "issuedCertificateChain": ["AAAA"] }],
            "registrationState": { "later": { "connectionProfile": 5 }, "x509": null },
        });
        let fault = Fault::PatchReply { patch: patch.as_object().unwrap().clone() };
        scene.service.borrow_mut().inject(Scope::All, At::Poll, fault, 1);
        let known = register(&mut scene, with_request(&der), is_mqtt, PROFILE_API_VERSION, None);
        assert_eq!((known.failure, known.chain.len(), known.profile.as_str()), (None, 3, "classic"));
    }
}
