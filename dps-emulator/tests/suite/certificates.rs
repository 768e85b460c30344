//! Client certificates in the pure service, under virtual time: which chains belong to which enrollment, what is
//! refused and for which reason, what a registration shows of a certificate, and who may sign in to a hub.

use crate::common::{KEY, SCOPE, World, device_token, json, key, operation_id, refused};
use crate::pki::{Ca, Device, P256, P384, pem, valid};
use dps_emulator::{
    CHAIN_MAX, Certificate, ClientCertificates, EnrollmentGroup, HttpReply, IndividualEnrollment, RefusalReason,
    ServiceOptions, Status, WebhookUrl,
};
use rcgen::{BasicConstraints, CustomExtension, ExtendedKeyUsagePurpose, IsCa};
use serde_json::{Value, json};

const DAY_MS: u64 = 86_400_000;
const INVALID: &str = "Invalid certificate.";

/// A device of `line-1` behind two intermediates; the root is verified.
struct Site {
    world: World,
    root: Ca,
    upper: Ca,
    lower: Ca,
    device: Device,
}

impl Site {
    /// Without any enrollment.
    fn new() -> Self {
        Self::with(ServiceOptions::new())
    }

    fn with(options: ServiceOptions) -> Self {
        let root = Ca::root("Root");
        let upper = root.intermediate("Upper");
        let lower = upper.intermediate("Lower");
        let device = lower.device("dev-01");
        let mut site = Self { world: World::new(options), root, upper, lower, device };
        site.upload("root", site.root.certificate(), true);
        site
    }

    fn upload(&mut self, name: &str, certificate: Certificate, is_verified: bool) {
        let now = self.world.now();
        self.world.service.put_ca_certificate(now, name, certificate, is_verified).unwrap();
    }

    fn group(&mut self, group: EnrollmentGroup) {
        let now = self.world.now();
        self.world.service.put_group(now, group).unwrap();
    }

    /// One group, whose certificate is the lower intermediate.
    fn with_group() -> Self {
        let mut site = Self::new();
        site.group(EnrollmentGroup::new("line-1").signing_certificate(site.lower.certificate()));
        site
    }

    fn register(&mut self, device: &Device) -> HttpReply {
        self.world.register_presenting("dev-01", &device.presented())
    }

    /// Registers a device that is refused, and returns the reason.
    fn refusal(&mut self, device: &Device) -> RefusalReason {
        let reply = self.register(device);
        self.world.refusal(&reply)
    }

    /// Registers `dev-01` up to the end; returns the group that it was found by.
    fn provisioned_by(&mut self, device: &Device) -> Option<String> {
        let reply = self.world.provision_presenting("dev-01", &device.presented());
        assert_eq!(json(&reply)["status"], "assigned", "{:?}", self.world.service.refusals().last());
        self.world.service.record("dev-01").unwrap().enrollment_group_id().map(Into::into)
    }
}

impl World {
    fn register_presenting(&mut self, id: &str, certificates: &ClientCertificates) -> HttpReply {
        let path = format!("/{SCOPE}/registrations/{id}/register?api-version=2021-06-01");
        self.send_presenting("PUT", &path, certificates)
    }

    fn send_presenting(&mut self, method: &str, path: &str, certificates: &ClientCertificates) -> HttpReply {
        let request = dps_emulator::HttpRequest { method, path_and_query: path, headers: &[], body: b"" };
        let now = self.now();
        self.service.handle_with_certificates(now, &request, certificates)
    }

    fn provision_presenting(&mut self, id: &str, certificates: &ClientCertificates) -> HttpReply {
        let reply = self.register_presenting(id, certificates);
        if reply.status != 202 {
            return reply;
        }
        self.wait(1000);
        let operation = operation_id(&reply);
        let path = format!("/{SCOPE}/registrations/{id}/operations/{operation}?api-version=2021-06-01");
        self.send_presenting("GET", &path, certificates)
    }

    /// Checks that the reply is that of a refused certificate, and returns the reason.
    fn refusal(&self, reply: &HttpReply) -> RefusalReason {
        assert_eq!((refused(reply), &json(reply)["message"]), ((401, 401_002), &INVALID.into()));
        self.service.refusals().last().unwrap().reason
    }
}

fn individual(device: &Device) -> IndividualEnrollment {
    IndividualEnrollment::new("dev-01").client_certificate(device.certificate())
}

#[test]
fn chains_of_one_to_four_certificates_are_accepted_up_to_the_verified_one() {
    let mut site = Site::with_group();
    let device = site.device.clone();
    assert_eq!(device.chain.len(), 4);
    // The verified root may be left out, since the service has it.
    for count in [4, 3] {
        assert_eq!(site.provisioned_by(&device.presenting(count)).as_deref(), Some("line-1"), "{count} certificates");
    }
    for count in [2, 1] {
        let refusal = site.refusal(&device.presenting(count));
        assert_eq!(refusal, RefusalReason::IntermediateMissing { at: count - 1 }, "{count} certificates");
    }
    // With the intermediates verified, shorter chains lead to a verified certificate.
    site.upload("upper", site.upper.certificate(), true);
    assert_eq!(site.provisioned_by(&device.presenting(2)).as_deref(), Some("line-1"));
    site.upload("lower", site.lower.certificate(), true);
    assert_eq!(site.provisioned_by(&device.presenting(1)).as_deref(), Some("line-1"));
}

#[test]
fn keys_of_each_size_are_verified() {
    for (ca, leaf) in [(P256, P384), (P384, P256), (P384, P384)] {
        let mut site = Site::new();
        let root = Ca::root_with("Other", ca, |_| {});
        let device = root.intermediate_with("Line", ca, |_| {}).device_with("dev-01", leaf, |_| {});
        site.upload("other", root.certificate(), true);
        site.group(EnrollmentGroup::new("line-1").ca_reference("other", None));
        assert_eq!(site.provisioned_by(&device).as_deref(), Some("line-1"));
    }
}

#[test]
fn certificates_in_wrong_order_are_refused() {
    let mut site = Site::with_group();
    let device = site.device.clone();
    assert_eq!(site.refusal(&device.in_order(&[0, 2, 1, 3])), RefusalReason::ChainOrder { at: 0 });
    assert_eq!(site.refusal(&device.in_order(&[0, 1, 3, 2])), RefusalReason::ChainOrder { at: 1 });
    // The root first, as some tools write a chain: it is taken for the device's own.
    assert_eq!(site.refusal(&device.in_order(&[3, 2, 1, 0])), RefusalReason::WrongCommonName);
    assert_eq!(site.refusal(&device.in_order(&[0, 2, 3])), RefusalReason::IntermediateMissing { at: 0 });
}

#[test]
fn validity_is_checked_by_the_services_clock_at_each_place_of_the_chain() {
    let mut site = Site::new();
    let root = Ca::root("Dated");
    let line = root.intermediate_with("Line", P256, |params| valid(params, 20, 30));
    let device = line.device_with("dev-01", P256, |params| valid(params, 10, 40));
    site.upload("dated", root.certificate(), true);
    site.group(EnrollmentGroup::new("line-1").ca_reference("dated", None));
    for (day, refusal) in [
        (5, Some(RefusalReason::CertificateNotYetValid { at: 0 })),
        (15, Some(RefusalReason::CertificateNotYetValid { at: 1 })),
        (25, None),
        (35, Some(RefusalReason::CertificateExpired { at: 1 })),
        (45, Some(RefusalReason::CertificateExpired { at: 0 })),
        (400, Some(RefusalReason::CertificateExpired { at: 0 })),
    ] {
        site.world.ms = day * DAY_MS;
        match refusal {
            Some(refusal) => assert_eq!(site.refusal(&device), refusal, "day {day}"),
            None => drop(site.provisioned_by(&device)),
        }
    }
    // The verified certificate too, also where it is not presented.
    let mut site = Site::with_group();
    let old = Ca::root_with("Old", P256, |params| valid(params, 0, 10));
    site.upload("old", old.certificate(), true);
    site.group(EnrollmentGroup::new("line-2").ca_reference("old", None));
    site.world.ms = 20 * DAY_MS;
    assert_eq!(site.refusal(&old.device("dev-01").presenting(1)), RefusalReason::CertificateExpired { at: 1 });
}

#[test]
fn certificate_that_expires_during_a_registration_is_refused_on_polls_only_by_option() {
    for (check, status) in [(false, 200), (true, 401)] {
        let mut site = Site::with(ServiceOptions::new().check_expiry_on_poll(check));
        let device = site.root.device_with("dev-01", P256, |params| valid(params, 0, 1));
        site.world.enroll(individual(&device));
        // The last second of the certificate.
        site.world.ms = DAY_MS + 500;
        let reply = site.world.provision_presenting("dev-01", &device.presented());
        assert_eq!(reply.status, status);
    }
}

#[test]
fn chain_to_another_root_is_refused() {
    let mut site = Site::with_group();
    let other = Ca::root("Other").intermediate("Lower");
    assert_eq!(site.refusal(&other.device("dev-01")), RefusalReason::RootNotVerified);
    // With a root of the same name.
    let forged = Ca::root("Root").intermediate("Lower").device("dev-01");
    assert_eq!(site.refusal(&forged), RefusalReason::RootNotVerified);
    assert_eq!(site.refusal(&forged.presenting(2)), RefusalReason::CertificateSignature { at: 1 });
    // With a genuine CA certificate above it, whose key the forger does not have.
    let mut stolen = forged.presenting(1);
    stolen.chain.extend_from_slice(&site.device.chain[1..]);
    assert_eq!(site.refusal(&stolen), RefusalReason::CertificateSignature { at: 0 });
}

#[test]
fn changed_certificate_is_refused() {
    let mut site = Site::with_group();
    let genuine = site.device.clone();
    // Any bit of the signed part, or of the signature: it cannot be parsed any more, or the signature is wrong.
    for at in 0..genuine.chain[0].len() {
        let mut device = genuine.clone();
        let mut der = device.chain[0].to_vec();
        der[at] ^= 1;
        device.chain[0] = der.into();
        assert_eq!(site.register(&device).status, 401, "byte {at}");
    }
}

#[test]
fn unverified_ca_certificate_is_refused_until_it_is_verified() {
    let mut site = Site::new();
    let root = Ca::root("Second");
    let device = root.device("dev-01");
    site.upload("second", root.certificate(), false);
    site.group(EnrollmentGroup::new("line-1").ca_reference("second", None));
    assert_eq!(site.refusal(&device), RefusalReason::RootNotVerified);
    assert_eq!(site.refusal(&device.presenting(1)), RefusalReason::RootNotVerified);
    site.upload("second", root.certificate(), true);
    assert_eq!(site.provisioned_by(&device).as_deref(), Some("line-1"));
    assert!(site.world.service.delete_ca_certificate("second"));
    assert_eq!(site.refusal(&device), RefusalReason::RootNotVerified);
}

#[test]
fn signing_certificate_alone_does_not_replace_a_verified_root() {
    let mut site = Site::with_group();
    assert!(site.world.service.delete_ca_certificate("root"));
    let device = site.device.clone();
    assert_eq!(site.refusal(&device), RefusalReason::RootNotVerified);
    assert_eq!(site.refusal(&device.presenting(3)), RefusalReason::IntermediateMissing { at: 2 });
}

#[test]
fn nearest_group_decides_even_if_it_is_disabled() {
    let mut site = Site::new();
    site.group(EnrollmentGroup::new("all").ca_reference("root", None));
    site.group(EnrollmentGroup::new("upper").signing_certificate(site.upper.certificate()));
    let device = site.device.clone();
    assert_eq!(site.provisioned_by(&device).as_deref(), Some("upper"));
    site.group(EnrollmentGroup::new("lower").signing_certificate(site.lower.certificate()).enabled(false));
    assert_eq!(site.refusal(&device), RefusalReason::Disabled);
    // A device of another line is not below the disabled one.
    let other = site.upper.intermediate("Third").device("dev-02");
    assert_eq!(site.world.register_presenting("dev-02", &other.presented()).status, 202);
    // Deleting a group blocks nothing: a higher one takes over.
    site.world.wait(1000);
    assert!(site.world.service.delete_group("lower"));
    assert_eq!(site.provisioned_by(&device).as_deref(), Some("upper"));
    site.group(EnrollmentGroup::new("upper").signing_certificate(site.upper.certificate()).enabled(false));
    assert_eq!(site.refusal(&device), RefusalReason::Disabled);
}

#[test]
fn group_above_a_verified_intermediate_is_found() {
    let mut site = Site::new();
    site.upload("lower", site.lower.certificate(), true);
    site.group(EnrollmentGroup::new("all").ca_reference("root", None));
    let device = site.device.clone();
    assert_eq!(site.provisioned_by(&device).as_deref(), Some("all"));
    assert_eq!(site.provisioned_by(&device.presenting(3)).as_deref(), Some("all"));
    // Without the intermediates the path ends at the verified one, below the group.
    assert_eq!(site.refusal(&device.presenting(1)), RefusalReason::UnknownSigner);
    // The service's own certificates continue the path.
    site.upload("upper", site.upper.certificate(), true);
    assert_eq!(site.provisioned_by(&device.presenting(1)).as_deref(), Some("all"));
    // A group above the last verified certificate has none that it leads to.
    assert!(site.world.service.delete_ca_certificate("root"));
    site.group(EnrollmentGroup::new("all").signing_certificate(site.root.certificate()));
    assert_eq!(site.refusal(&device), RefusalReason::RootNotVerified);
}

#[test]
fn certificates_above_the_verified_one_may_have_expired() {
    let mut site = Site::new();
    let old = Ca::root_with("Old", P256, |params| valid(params, 0, 10));
    let line = old.intermediate("Line");
    site.upload("line", line.certificate(), true);
    site.group(EnrollmentGroup::new("line-1").ca_reference("line", None));
    site.world.ms = 20 * DAY_MS;
    assert_eq!(site.provisioned_by(&line.device("dev-01")).as_deref(), Some("line-1"));
}

#[test]
fn individual_enrollment_decides_before_any_group() {
    let mut site = Site::with_group();
    let device = site.device.clone();
    site.world.enroll(individual(&device));
    assert_eq!(site.provisioned_by(&device), None);
    site.world.enroll(individual(&device).enabled(false));
    assert_eq!(site.refusal(&device), RefusalReason::Disabled, "the group would accept it");
    let another = site.lower.device("dev-01");
    assert_eq!(site.refusal(&another), RefusalReason::WrongThumbprint);
}

#[test]
fn individual_enrollment_needs_neither_chain_nor_root() {
    let mut site = Site::new();
    let (first, second) = (Device::self_signed("dev-01"), Device::self_signed("dev-01"));
    site.world.enroll(individual(&first));
    assert_eq!(site.provisioned_by(&first), None);
    assert_eq!(site.refusal(&second), RefusalReason::WrongThumbprint);
    site.world.enroll(individual(&first).secondary_client_certificate(second.certificate()));
    assert_eq!(site.provisioned_by(&second), None);
    assert_eq!(site.provisioned_by(&first), None);
    // A chain that is not in order does not matter, since only the first certificate is compared.
    let device = site.device.clone();
    site.world.enroll(individual(&device));
    assert_eq!(site.provisioned_by(&device.in_order(&[0, 2, 1])), None);
}

#[test]
fn individual_enrollment_can_refer_to_ca_certificates() {
    let mut site = Site::new();
    let device = site.device.clone();
    let other = Ca::root("Other");
    site.upload("other", other.certificate(), true);
    site.world.enroll(IndividualEnrollment::new("dev-01").ca_reference("other", Some("root")));
    assert_eq!(site.provisioned_by(&device), None);
    assert_eq!(site.provisioned_by(&other.device("dev-01")), None);
    site.world.enroll(IndividualEnrollment::new("dev-01").ca_reference("other", None));
    assert_eq!(site.refusal(&device), RefusalReason::UnknownSigner);
}

#[test]
fn group_accepts_its_secondary_certificate() {
    let mut site = Site::new();
    let renewed = site.root.intermediate("Lower");
    let group = EnrollmentGroup::new("line-1").signing_certificate(site.lower.certificate());
    site.group(group.clone());
    assert_eq!(site.refusal(&renewed.device("dev-01")), RefusalReason::UnknownSigner);
    site.group(group.secondary_signing_certificate(renewed.certificate()));
    assert_eq!(site.provisioned_by(&renewed.device("dev-01")).as_deref(), Some("line-1"));
}

#[test]
fn common_name_must_be_the_registration_id() {
    let mut site = Site::with_group();
    let device = site.lower.device("dev-02");
    assert_eq!(site.refusal(&device), RefusalReason::WrongCommonName);
    // Letter case is ignored, as in ids.
    let reply = site.world.register_presenting("Dev-02", &device.presented());
    assert_eq!(reply.status, 202);
    let unnamed = site.lower.device_with("x", P256, |params| params.distinguished_name = Default::default());
    assert_eq!(site.refusal(&unnamed), RefusalReason::WrongCommonName);
}

#[test]
fn issuers_must_be_ca_certificates_within_their_path_length() {
    let mut site = Site::with_group();
    // A device that issues certificates for others.
    let forger = site.lower.intermediate_with("dev-00", P256, |params| params.is_ca = IsCa::NoCa);
    assert_eq!(site.refusal(&forger.device("dev-01")), RefusalReason::NotAuthority { at: 1 });
    let usage = site.lower.intermediate_with("dev-00", P256, |params| {
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    });
    assert_eq!(site.refusal(&usage.device("dev-01")), RefusalReason::NotAuthority { at: 1 });
    let last = site.root.intermediate_with("Last", P256, |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    site.group(EnrollmentGroup::new("line-2").signing_certificate(last.certificate()));
    assert_eq!(site.provisioned_by(&last.device("dev-01")).as_deref(), Some("line-2"));
    let too_deep = last.intermediate("Below").device("dev-01");
    assert_eq!(site.refusal(&too_deep), RefusalReason::NotAuthority { at: 2 });
    // Also where the issuer is the service's own copy.
    site.upload("last", last.certificate(), true);
    assert_eq!(site.refusal(&too_deep.presenting(2)), RefusalReason::NotAuthority { at: 2 });
}

#[test]
fn extended_key_usage_must_allow_clients() {
    let mut site = Site::with_group();
    let with = |site: &Site, usages: &[ExtendedKeyUsagePurpose]| {
        site.lower.device_with("dev-01", P256, |params| params.extended_key_usages = usages.to_vec())
    };
    let server = with(&site, &[ExtendedKeyUsagePurpose::ServerAuth]);
    assert_eq!(site.refusal(&server), RefusalReason::CertificateUsage);
    for usages in [
        vec![],
        vec![ExtendedKeyUsagePurpose::Any],
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
    ] {
        let device = with(&site, &usages);
        site.provisioned_by(&device);
    }
}

/// A device whose chain has this many bytes.
fn of_size(ca: &Ca, size: usize) -> Device {
    let padded = |padding: usize| {
        ca.device_with("dev-01", P256, |params| {
            let extension = CustomExtension::from_oid_content(&[2, 999, 1], vec![0x04; padding]);
            params.custom_extensions = vec![extension];
        })
    };
    // Signatures differ in size by a few bytes.
    let bytes = |device: &Device| device.chain.iter().map(|der| der.len()).sum::<usize>();
    let mut padding = size - bytes(&padded(1000)) + 990;
    loop {
        let device = padded(padding);
        match bytes(&device) {
            found if found == size => return device,
            found if found < size => padding += 1,
            _ => padding -= 1,
        }
    }
}

#[test]
fn chains_of_up_to_20_kib_are_accepted() {
    let mut site = Site::with_group();
    let device = of_size(&site.lower, CHAIN_MAX);
    site.provisioned_by(&device);
    assert_eq!(site.refusal(&of_size(&site.lower, CHAIN_MAX + 1)), RefusalReason::ChainTooLarge);
}

#[test]
fn bytes_that_are_not_certificates_are_refused() {
    let mut site = Site::with_group();
    let genuine = site.device.clone();
    let mut garbage = genuine.clone();
    garbage.chain[2] = vec![0x30, 0x82, 0xff].into();
    assert_eq!(site.refusal(&garbage), RefusalReason::CertificateMalformed { at: 2 });
    garbage.chain[0] = vec![].into();
    assert_eq!(site.refusal(&garbage), RefusalReason::CertificateMalformed { at: 0 });
    let mut longer = genuine.clone();
    longer.chain[0] = [genuine.chain[0].as_ref(), b"\0"].concat().into();
    assert_eq!(site.refusal(&longer), RefusalReason::CertificateMalformed { at: 0 });
    // One more element behind the signature, inside of the certificate's sequence.
    let mut longer = [genuine.chain[0].as_ref(), &[5, 0]].concat();
    assert_eq!(longer[..2], [0x30, 0x82], "a length of two bytes");
    let length = u16::from_be_bytes([longer[2], longer[3]]) + 2;
    longer[2..4].copy_from_slice(&length.to_be_bytes());
    let mut padded = genuine.clone();
    padded.chain[0] = longer.into();
    assert_eq!(site.refusal(&padded), RefusalReason::CertificateMalformed { at: 0 });
    assert_eq!(site.world.register_with("dev-01", "", "").status, 401, "no certificate and no token");
}

#[test]
fn refusals_are_counted_by_reason() {
    let mut site = Site::with_group();
    let (other, device) = (Ca::root("Other").device("dev-01"), site.device.clone());
    for _ in 0..120 {
        site.register(&other);
    }
    site.register(&device.presenting(1));
    let counts = json(&site.world.as_owner("GET", "/emulator/counters", &[], ""))["refusals"].clone();
    assert_eq!(counts, json!({ "intermediate-missing": 1, "root-not-verified": 120 }));
    let of_device = json(&site.world.as_owner("GET", "/emulator/counters?registrationId=dev-01", &[], ""));
    assert_eq!((of_device.get("refusals"), &of_device["unauthorized"]), (None, &121.into()));
    site.world.service.reset_counters();
    assert_eq!(site.world.service.refusal_counts().count(), 0);
}

#[test]
fn certificate_takes_precedence_over_a_token() {
    let mut site = Site::new();
    site.world.enroll(IndividualEnrollment::new("dev-01").primary_key(key(KEY)));
    let token = device_token(KEY, "dev-01", site.world.device_s() + 3600);
    let path = format!("/{SCOPE}/registrations/dev-01/register?api-version=2021-06-01");
    let headers = [("Authorization", token.as_str())];
    let request = dps_emulator::HttpRequest { method: "PUT", path_and_query: &path, headers: &headers, body: b"" };
    let (now, presented) = (site.world.now(), site.device.presented());
    let reply = site.world.service.handle_with_certificates(now, &request, &presented);
    assert_eq!(site.world.refusal(&reply), RefusalReason::OtherAttestation);
    // A token for an enrollment with a certificate.
    let device = site.device.clone();
    site.world.enroll(individual(&device));
    assert_eq!(refused(&site.world.register_with("dev-01", &token, "{}")), (401, 401_002));
    assert_eq!(site.world.service.refusals().last().unwrap().reason, RefusalReason::OtherAttestation);
    // With both, the certificate counts.
    let now = site.world.now();
    assert_eq!(site.world.service.handle_with_certificates(now, &request, &presented).status, 202);
    // Owners sign with a token, whatever certificate their connection has.
    assert_eq!(site.world.send_presenting("GET", "/enrollments/dev-01?api-version=2021-10-01", &presented).status, 401);
}

#[test]
fn wrong_id_scope_is_refused() {
    let mut site = Site::with_group();
    let path = "/0ne00FFFFFF/registrations/dev-01/register?api-version=2021-06-01";
    let reply = site.world.send_presenting("PUT", path, &site.device.presented());
    assert_eq!(site.world.refusal(&reply), RefusalReason::WrongIdScope);
}

#[test]
fn registration_state_shows_the_group_and_by_option_the_certificates() {
    let mut site = Site::with_group();
    let device = site.device.clone();
    let reply = site.world.provision_presenting("dev-01", &device.presented());
    let state = &json(&reply)["registrationState"];
    assert_eq!((&state["x509"], state.get("symmetricKey")), (&json!({"enrollmentGroupId": "line-1"}), None));
    site.world.enroll(individual(&device));
    let reply = site.world.provision_presenting("dev-01", &device.presented());
    assert_eq!(json(&reply)["registrationState"]["x509"], json!({}));
    // The owner does not see it.
    assert_eq!(json(&site.world.admin("GET", "/registrations/dev-01", "")).get("x509"), None);

    let mut site = Site::with(ServiceOptions::new().certificate_info(true));
    site.group(EnrollmentGroup::new("line-1").signing_certificate(site.upper.certificate()));
    let reply = site.world.provision_presenting("dev-01", &site.device.presented());
    let shown = &json(&reply)["registrationState"]["x509"];
    assert_eq!(shown["certificateInfo"]["subjectName"], "CN=dev-01");
    assert_eq!(shown["certificateInfo"]["issuerName"], "CN=Lower");
    assert_eq!(shown["signingCertificateInfo"]["subjectName"], "CN=Upper");
    assert_eq!(shown["certificateInfo"]["notBeforeUtc"], "2026-01-01T00:00:00Z");
    assert_eq!(shown["certificateInfo"]["notAfterUtc"], "2027-01-01T00:00:00Z");
    assert_eq!(shown["certificateInfo"]["version"], 3);
}

#[test]
fn webhook_sees_the_certificate_that_a_registration_does_not_show() {
    let mut site = Site::new();
    let group = EnrollmentGroup::new("line-1").signing_certificate(site.lower.certificate());
    site.group(group.custom_allocation(WebhookUrl::parse("https://f.test/").unwrap()));
    let device = site.device.clone();
    assert_eq!(site.register(&device).status, 202);
    let call = site.world.service.take_webhook_calls().remove(0);
    let request: Value = serde_json::from_slice(&call.body).unwrap();
    let context = &request["deviceRuntimeContext"];
    assert_eq!(context["x509"]["certificateInfo"]["subjectName"], "CN=dev-01");
    assert_eq!(context["x509"]["signingCertificateInfo"]["subjectName"], "CN=Lower");
    assert_eq!(context.get("symmetricKey"), None);
    let record = json(&site.world.send_presenting(
        "POST",
        &format!("/{SCOPE}/registrations/dev-01?api-version=2021-06-01"),
        &device.presented(),
    ));
    assert_eq!(record["x509"], json!({ "enrollmentGroupId": "line-1" }));
}

#[test]
fn hub_accepts_the_certificate_of_the_enrollment() {
    let mut site = Site::with_group();
    let device = site.device.clone();
    site.provisioned_by(&device);
    let accepts = |site: &Site, device: &Device| {
        let now = site.world.now();
        let entry = site.world.service.hub_device("hub-a.test", "dev-01").unwrap();
        assert!(!entry.accepts_token(now, &device_token(KEY, "dev-01", site.world.device_s() + 60)));
        entry.accepts_certificates(now, &device.presented())
    };
    // A group's device is accepted by its chain to the group's certificate.
    assert!(accepts(&site, &device) && accepts(&site, &device.presenting(1)));
    assert!(accepts(&site, &site.lower.device("dev-01")), "a renewed certificate");
    assert!(!accepts(&site, &site.lower.device("dev-02")) && !accepts(&site, &site.upper.device("dev-01")));
    site.world.wait(400 * DAY_MS);
    assert!(!accepts(&site, &device), "it has expired");
    // An individual one by its thumbprint.
    let mut site = Site::new();
    let device = Device::self_signed("dev-01");
    site.world.enroll(individual(&device));
    site.provisioned_by(&device);
    assert!(accepts(&site, &device) && !accepts(&site, &Device::self_signed("dev-01")));
    site.world.wait(400 * DAY_MS);
    assert!(!accepts(&site, &device), "it has expired");
}

#[test]
fn hub_entry_follows_a_change_of_attestation() {
    let mut site = Site::with_group();
    let device = site.device.clone();
    site.world.enroll(IndividualEnrollment::new("dev-01").primary_key(key(KEY)));
    assert_eq!(json(&site.world.provision("dev-01", KEY))["status"], "assigned");
    site.world.wait(1000);
    site.world.service.delete_enrollment("dev-01");
    site.provisioned_by(&device);
    let now = site.world.now();
    let entry = site.world.service.hub_device("hub-a.test", "dev-01").unwrap();
    assert!(entry.accepts_certificates(now, &device.presented()));
    assert_eq!(site.world.service.record("dev-01").unwrap().status(), Status::Assigned);
}

fn base64(der: &[u8]) -> String {
    base64::Engine::encode(&base64::prelude::BASE64_STANDARD, der)
}

fn x509(member: &str, primary: Value, secondary: Option<Value>) -> Value {
    let mut slots = json!({ "primary": primary });
    slots["secondary"] = secondary.unwrap_or_default();
    json!({ "type": "x509", "x509": { member: slots }, "symmetricKey": null })
}

#[test]
fn owner_enrolls_certificates_over_the_admin_api() {
    let mut site = Site::new();
    let (device, other) = (site.device.clone(), Device::self_signed("dev-01"));
    let attestation = x509(
        "clientCertificates",
        json!({ "certificate": base64(&device.chain[0]) }),
        Some(json!({ "certificate": pem(&other.chain[0]), "info": null })),
    );
    let body = json!({ "registrationId": "dev-01", "attestation": attestation }).to_string();
    let made = site.world.admin("PUT", "/enrollments/dev-01", &body);
    assert_eq!(made.status, 200, "{}", json(&made));
    let got = json(&site.world.admin("GET", "/enrollments/dev-01", ""));
    assert_eq!(got["attestation"]["type"], "x509");
    assert_eq!(got["attestation"].get("symmetricKey"), None);
    let slots = &got["attestation"]["x509"]["clientCertificates"];
    let info = &slots["primary"]["info"];
    assert_eq!((&info["subjectName"], &info["issuerName"]), (&"CN=dev-01".into(), &"CN=Lower".into()));
    for (thumbprint, length) in [("sha1Thumbprint", 40), ("sha256Thumbprint", 64)] {
        let thumbprint = info[thumbprint].as_str().unwrap();
        assert!(thumbprint.len() == length && thumbprint.bytes().all(|b| b"0123456789ABCDEF".contains(&b)));
    }
    assert_eq!(slots["secondary"]["certificate"], base64(&other.chain[0]));
    assert_eq!(site.provisioned_by(&device), None);
    assert_eq!(site.provisioned_by(&other), None);
    // What GET returned can be put again.
    assert_eq!(site.world.admin("PUT", "/enrollments/dev-01", &got.to_string()).status, 200);
    let mechanism = json(&site.world.admin("POST", "/enrollments/dev-01/attestationmechanism", ""));
    assert_eq!(mechanism, got["attestation"]);

    let group =
        x509("signingCertificates", json!({ "certificate": base64(pem(&site.device.chain[1]).as_bytes()) }), None);
    let body = json!({ "enrollmentGroupId": "line-1", "attestation": group }).to_string();
    assert_eq!(site.world.admin("PUT", "/enrollmentGroups/line-1", &body).status, 200);
    let group = x509("caReferences", json!("root"), Some(json!("")));
    let body = json!({ "enrollmentGroupId": "line-2", "attestation": group }).to_string();
    let made = json(&site.world.admin("PUT", "/enrollmentGroups/line-2", &body));
    assert_eq!(made["attestation"], json!({"type": "x509", "x509": {"caReferences": {"primary": "root"}}}));
    // Back to keys, which are generated.
    let keys = json!({ "enrollmentGroupId": "line-2", "attestation": { "type": "symmetricKey" } }).to_string();
    let made = json(&site.world.admin("PUT", "/enrollmentGroups/line-2", &keys));
    assert!(made["attestation"]["symmetricKey"]["primaryKey"].is_string());
    assert_eq!(made["attestation"].get("x509"), None);
}

#[test]
fn admin_api_refuses_x509_attestations_that_cannot_work() {
    let mut site = Site::new();
    let leaf = json!({ "certificate": base64(&site.device.chain[0]) });
    let authority = json!({ "certificate": base64(&site.device.chain[1]) });
    let two = json!({ "certificate": format!("{0}{0}", pem(&site.device.chain[0])) });
    let chain = pem(&site.device.chain[0]).repeat(2);
    for (path, attestation, wanted) in [
        ("enrollments", x509("signingCertificates", authority.clone(), None), "individual enrollment has"),
        ("enrollmentGroups", x509("clientCertificates", leaf.clone(), None), "a group has"),
        ("enrollmentGroups", x509("signingCertificates", leaf.clone(), None), "not a CA certificate"),
        ("enrollmentGroups", x509("caReferences", json!("nobody"), None), "no CA certificate has the name 'nobody'"),
        (
            "enrollments",
            x509("clientCertificates", json!({ "info": { "version": 3 } }), None),
            "'certificate' is missing",
        ),
        ("enrollments", x509("clientCertificates", json!({ "certificate": "AAAA" }), None), "not a valid X.509"),
        ("enrollments", x509("clientCertificates", json!({ "certificate": chain }), None), "2 certificates"),
        ("enrollments", x509("clientCertificates", two, None), "2 certificates"),
        (
            "enrollments",
            x509("clientCertificates", json!(""), Some(leaf.clone())),
            "'clientCertificates.primary' is missing",
        ),
        ("enrollments", json!({ "type": "x509" }), "must have one of"),
        (
            "enrollments",
            json!({ "type": "x509", "x509": { "clientCertificates": { "primary": leaf }, "caReferences": { "primary": "root" } } }),
            "must have one of",
        ),
    ] {
        let id = if path == "enrollments" { "registrationId" } else { "enrollmentGroupId" };
        let body = json!({ id: "dev-01", "attestation": attestation }).to_string();
        let reply = site.world.admin("PUT", &format!("/{path}/dev-01"), &body);
        assert_eq!(reply.status, 400, "{body}");
        let message = json(&reply)["message"].as_str().unwrap().to_owned();
        assert!(message.contains(wanted), "{message}");
    }
}

#[test]
fn owner_manages_ca_certificates() {
    let mut site = Site::new();
    let upload = |certificate: &Ca, verified: Option<bool>| {
        let mut body = json!({ "certificate": pem(certificate.certificate().der()) });
        if let Some(verified) = verified {
            body["isVerified"] = verified.into();
        }
        body.to_string()
    };
    let body = upload(&Ca::root("Second"), Some(false));
    let made = site.world.as_owner("PUT", "/emulator/certificates/second", &[], &body);
    let made = json(&made);
    assert_eq!((&made["name"], &made["isVerified"]), (&"second".into(), &false.into()));
    assert_eq!(made["info"]["subjectName"], "CN=Second");
    let body = upload(&Ca::root("Third"), None);
    let made = json(&site.world.as_owner("PUT", "/emulator/certificates/third", &[], &body));
    assert_eq!(made["isVerified"], true);
    let list = json(&site.world.as_owner("GET", "/emulator/certificates", &[], ""));
    let names: Vec<&str> =
        list["certificates"].as_array().unwrap().iter().filter_map(|item| item["name"].as_str()).collect();
    assert_eq!(names, ["root", "second", "third"]);
    assert_eq!(site.world.as_owner("GET", "/emulator/certificates/second", &[], "").status, 200);
    assert_eq!(site.world.as_owner("DELETE", "/emulator/certificates/second", &[], "").status, 200);
    assert_eq!(refused(&site.world.as_owner("GET", "/emulator/certificates/second", &[], "")), (404, 404_201));
    assert_eq!(refused(&site.world.as_owner("DELETE", "/emulator/certificates/second", &[], "")), (404, 404_201));
    let leaf = json!({ "certificate": pem(&site.device.chain[0]) }).to_string();
    for (name, body, wanted) in [
        ("leaf", leaf.as_str(), "not a CA certificate"),
        ("a%2Fb", body.as_str(), "1 to 64 letters"),
        ("other", "{\"certificate\":\"\"}", "0 certificates"),
        ("other", "{\"certificate\":\"\",\"verified\":true}", "unknown field"),
    ] {
        let reply = site.world.as_owner("PUT", &format!("/emulator/certificates/{name}"), &[], body);
        assert_eq!(reply.status, 400, "{name}");
        assert!(json(&reply)["message"].as_str().unwrap().contains(wanted), "{}", json(&reply));
    }
    for number in 0..23 {
        site.upload(&format!("ca-{number}"), site.root.certificate(), true);
    }
    let reply = site.world.as_owner("PUT", "/emulator/certificates/one-more", &[], &body);
    assert!(json(&reply)["message"].as_str().unwrap().contains("at most 25"));
}

#[test]
fn snapshot_keeps_certificates() {
    let mut site = Site::with_group();
    let device = site.device.clone();
    let own = Device::self_signed("dev-02");
    site.world.enroll(IndividualEnrollment::new("dev-02").client_certificate(own.certificate()));
    site.group(EnrollmentGroup::new("line-2").ca_reference("root", None));
    let text = serde_json::to_string(&site.world.service.snapshot()).unwrap();
    let mut restored = World::new(ServiceOptions::new());
    restored.service.restore(serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(serde_json::to_string(&restored.service.snapshot()).unwrap(), text);
    assert_eq!(restored.register_presenting("dev-01", &device.presented()).status, 202);
    assert_eq!(restored.register_presenting("dev-02", &own.presented()).status, 202);
    // A snapshot of an earlier version has no CA certificates.
    let old = r#"{"enrollments":[],"enrollmentGroups":[]}"#;
    World::new(ServiceOptions::new()).service.restore(serde_json::from_str(old).unwrap()).unwrap();
}
