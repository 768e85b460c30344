//! Registrations with a certificate over both codecs: accepted without a token and without a clock; refused with hints about
//! the certificate, immediately.

use dps_core::{ErrorCode, Hint, Verdict};
use dps_emulator::{
    Certificate, ClientCertificates, EnrollmentGroup, IndividualEnrollment, RefusalReason, ServiceOptions,
};
use pair::scene::ID_SCOPE;
use pair::{End, Scene, Sent};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};

const DEVICE: &str = "dev-01";

/// A certificate with its key, and the certificates above it, itself first.
struct Signed {
    issuer: Issuer<'static, KeyPair>,
    chain: Vec<Vec<u8>>,
}

impl Signed {
    fn new(common_name: &str, above: Option<&Self>, is_ca: bool) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, common_name);
        (params.not_before, params.not_after) = (date_time_ymd(2025, 12, 1), date_time_ymd(2026, 12, 1));
        if is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        } else {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate = match above {
            Some(above) => params.signed_by(&key, &above.issuer).unwrap(),
            None => params.self_signed(&key).unwrap(),
        };
        let mut chain = vec![certificate.der().to_vec()];
        chain.extend(above.iter().flat_map(|above| above.chain.clone()));
        Self { issuer: Issuer::new(params, key), chain }
    }

    fn certificate(&self) -> Certificate {
        Certificate::from_der(&self.chain[0]).unwrap()
    }

    /// The first certificates of the chain.
    fn presented(&self, count: usize) -> ClientCertificates {
        ClientCertificates::from_der(self.chain.iter().take(count).map(Vec::as_slice))
    }
}

/// A root that the service has verified, an intermediate whose group the device belongs to, and the device.
struct Site {
    root: Signed,
    line: Signed,
    device: Signed,
}

impl Site {
    fn new() -> Self {
        let root = Signed::new("Root", None, true);
        let line = Signed::new("Line 7", Some(&root), true);
        let device = Signed::new(DEVICE, Some(&line), false);
        Self { root, line, device }
    }

    /// A service with the group, and a device that has no clock and presents its whole chain.
    fn scene(&self) -> Scene {
        let mut scene = Scene::with(ServiceOptions::new());
        let now = scene.now();
        {
            let mut service = scene.service.borrow_mut();
            service.delete_enrollment(DEVICE);
            service.put_ca_certificate(now, "root", self.root.certificate(), true).unwrap();
            service.put_group(now, EnrollmentGroup::new("line").signing_certificate(self.line.certificate())).unwrap();
        }
        scene.certificates = self.device.presented(3);
        scene.clock_ahead = None;
        scene
    }
}

/// Registers over HTTP or MQTT, and returns what was sent too.
fn register(scene: &mut Scene, is_mqtt: bool) -> (End, Vec<Sent>) {
    if is_mqtt {
        let mut link = scene.mqtt_link();
        (scene.register_with_certificate(&mut link), link.sent)
    } else {
        let mut link = scene.link();
        (scene.register_with_certificate(&mut link), link.sent)
    }
}

fn is_assigned(end: &End) -> bool {
    matches!(end, End::Assigned { hub, device, .. } if hub == "hub-a.test" && device == DEVICE)
}

#[test]
fn certificate_of_a_group_registers_without_token_and_clock() {
    let site = Site::new();
    for is_mqtt in [false, true] {
        let mut scene = site.scene();
        let (end, sent) = register(&mut scene, is_mqtt);
        assert!(is_assigned(&end), "{end:?}");
        assert_eq!(sent.len(), 2);
        assert!(sent.iter().all(|sent| sent.token.is_empty()), "no request carries a token");
    }
}

#[test]
fn certificate_of_an_individual_enrollment_registers_by_its_thumbprint() {
    let site = Site::new();
    for is_mqtt in [false, true] {
        let mut scene = site.scene();
        let enrollment = IndividualEnrollment::new(DEVICE).client_certificate(site.device.certificate());
        scene.service.borrow_mut().put_enrollment(scene.now(), enrollment).unwrap();
        scene.certificates = site.device.presented(1);
        let (end, _) = register(&mut scene, is_mqtt);
        assert!(is_assigned(&end), "{end:?}");
    }
}

#[test]
fn wrong_clock_of_the_device_does_not_matter_to_its_certificate() {
    let site = Site::new();
    for is_mqtt in [false, true] {
        for ahead in [-86_400 * 365 * 50, 86_400 * 365 * 50] {
            let mut scene = site.scene();
            scene.clock_ahead = Some(ahead);
            scene.config = scene.config.correct_clock(true);
            let (end, sent) = register(&mut scene, is_mqtt);
            assert!(is_assigned(&end), "{end:?}");
            assert_eq!(sent.len(), 2, "nothing is sent to learn or to correct the time");
        }
    }
}

#[test]
fn refused_certificates_are_explained_by_chain_name_and_enrollment() {
    type Change = fn(&Site, &mut Scene);
    let cases: [(&str, RefusalReason, Change); 5] = [
        ("intermediate missing", RefusalReason::IntermediateMissing { at: 0 }, |site, scene| {
            scene.certificates = site.device.presented(1);
        }),
        ("root not verified", RefusalReason::RootNotVerified, |site, scene| {
            let mut service = scene.service.borrow_mut();
            service.put_ca_certificate(scene.now(), "root", site.root.certificate(), false).unwrap();
        }),
        ("other thumbprint", RefusalReason::WrongThumbprint, |site, scene| {
            let other = Signed::new(DEVICE, Some(&site.line), false);
            let enrollment = IndividualEnrollment::new(DEVICE).client_certificate(other.certificate());
            scene.service.borrow_mut().put_enrollment(scene.now(), enrollment).unwrap();
        }),
        ("other name", RefusalReason::WrongCommonName, |_, scene| scene.identity = Scene::identity(ID_SCOPE, "dev-02")),
        ("disabled group", RefusalReason::Disabled, |site, scene| {
            let group = EnrollmentGroup::new("line").signing_certificate(site.line.certificate()).enabled(false);
            scene.service.borrow_mut().put_group(scene.now(), group).unwrap();
        }),
    ];
    let site = Site::new();
    for (name, reason, change) in cases {
        for is_mqtt in [false, true] {
            let mut scene = site.scene();
            scene.clock_ahead = Some(7200);
            scene.config = scene.config.correct_clock(true);
            change(&site, &mut scene);
            let (end, _) = register(&mut scene, is_mqtt);
            let End::Failed { code, verdict, hints, skew, .. } = end else { panic!("{name}: {end:?}") };
            assert_eq!((code, verdict, skew), (ErrorCode::Unauthorized, Verdict::Never, None), "{name}");
            assert_eq!(
                hints[..4],
                [Hint::MissingIntermediate, Hint::UnverifiedRoot, Hint::WrongThumbprint, Hint::CertificateName]
            );
            assert!(hints.contains(&Hint::NoEnrollment) && hints.contains(&Hint::DisabledGroup), "{hints:?}");
            let of_tokens = [Hint::CheckClock, Hint::ClockAhead, Hint::ClockBehind, Hint::WrongKey];
            assert!(!hints.iter().any(|hint| of_tokens.contains(hint)), "{hints:?}");
            let refusals: Vec<_> = scene.service.borrow().refusals().map(|refusal| refusal.reason).collect();
            assert_eq!(refusals, [reason], "{name}, MQTT: {is_mqtt}");
        }
    }
}

#[test]
fn topic_with_401_is_explained_by_the_certificate() {
    let site = Site::new();
    let mut scene = site.scene();
    scene.service = {
        let other = Scene::with(ServiceOptions::new().certificates_at_register(true));
        other.service
    };
    scene.service.borrow_mut().delete_enrollment(DEVICE);
    let mut link = scene.mqtt_link();
    let end = scene.register_with_certificate(&mut link);
    assert_eq!((end.code(), end.first_hint()), (Some(ErrorCode::Unauthorized), Some(Hint::MissingIntermediate)));
    assert!(matches!(end, End::Failed { error_code: Some(_), .. }), "the service answers by a topic, after CONNACK 0");
    assert_eq!(link.sent.len(), 1);
}
