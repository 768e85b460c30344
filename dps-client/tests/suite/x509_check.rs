//! The chain check: each broken chain is named, with the certificate that it is about; builders refuse what cannot work.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::pki::{Ca, Device, P256, data};
use dps_client::{
    CertificateChain, ChainCheck, ChainProblem, ErrorCode, Finding, Hint, ProvisioningClient,
    ProvisioningClientBuilder, Roots, Severity, X509,
};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, date_time_ymd};

/// 2026-01-02 03:04:05 UTC
const NOW: u64 = 1_767_323_045;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn check(device: &X509) -> Vec<Finding> {
    ChainCheck::new().registration_id(&"dev-01".parse().unwrap()).at(now()).device(device)
}

/// The findings as data: what, how severe, which certificate.
fn short(findings: &[Finding]) -> Vec<(ChainProblem, Severity, usize)> {
    findings.iter().map(|finding| (finding.problem(), finding.severity(), finding.certificate())).collect()
}

/// The only finding, which must be an error.
#[track_caller]
fn assert_error(device: &X509, problem: ChainProblem, certificate: usize) {
    let findings = check(device);
    assert_eq!(short(&findings), [(problem, Severity::Error, certificate)], "{findings:?}");
    let refused = builder(device).build().unwrap_err();
    assert_eq!((refused.code(), refused.hints().first().copied()), (problem.code(), problem.hint()));
    assert!(refused.message().contains(&findings[0].to_string()), "{refused}");
}

/// The only finding, which must be a warning.
#[track_caller]
fn assert_warning(device: &X509, problem: ChainProblem) {
    let findings = check(device);
    assert_eq!(short(&findings), [(problem, Severity::Warning, 1)], "{findings:?}");
    builder(device).build().unwrap();
}

fn builder(device: &X509) -> ProvisioningClientBuilder {
    let roots = Roots::replace_pem(Device::self_signed("localhost").chain[0].as_bytes()).unwrap();
    ProvisioningClient::builder()
        .id_scope("0ne00A1B2C3")
        .registration_id("dev-01")
        .x509(device.clone())
        .roots(roots)
        .clock(|| Some(now()))
}

/// Root, upper and lower intermediate.
fn authorities() -> (Ca, Ca, Ca) {
    let root = Ca::root("Root");
    let upper = root.intermediate("Upper");
    let lower = upper.intermediate("Lower");
    (root, upper, lower)
}

fn expired(params: &mut CertificateParams) {
    params.not_after = date_time_ymd(2025, 12, 31);
}

#[test]
fn chains_of_one_to_four_certificates_have_no_findings() {
    let (_, _, lower) = authorities();
    let device = lower.device("dev-01");
    for count in 1..=4 {
        let order: Vec<usize> = (0..count).collect();
        let presented = device.in_order(&order).x509();
        assert_eq!(check(&presented), [], "{count} certificates");
        builder(&presented).build().unwrap();
    }
    assert_eq!(check(&Device::self_signed("dev-01").x509()), []);
    let without_usage = lower.device_with("dev-01", P256, |params| params.extended_key_usages.clear());
    assert_eq!(check(&without_usage.x509()), []);
    for (certificate, key) in [
        (data!("ec.pem"), data!("ec-sec1.pem")),
        (data!("rsa-2048.cert.pem"), data!("rsa-2048-pkcs1.pem")),
        (data!("rsa-4096.cert.pem"), data!("rsa-4096.pem")),
    ] {
        assert_eq!(check(&X509::from_pem(certificate, key).unwrap()), []);
    }
}

#[test]
fn missing_intermediate_inside_the_chain_is_a_gap() {
    let (_, _, lower) = authorities();
    assert_error(&lower.device("dev-01").in_order(&[0, 2, 3]).x509(), ChainProblem::Gap, 1);
    assert_error(&lower.device("dev-01").in_order(&[0, 1, 3]).x509(), ChainProblem::Gap, 2);
    let words = check(&lower.device("dev-01").in_order(&[0, 1, 3]).x509())[0].to_string();
    assert!(words.contains("certificate 2 of 3 (CN=Lower") && words.contains("was issued by CN=Upper"), "{words}");
}

#[test]
fn wrong_order_names_the_certificate_that_is_followed_by_another() {
    let (_, _, lower) = authorities();
    let device = lower.device("dev-01");
    assert_error(&device.in_order(&[0, 2, 1, 3]).x509(), ChainProblem::WrongOrder, 1);
    assert_error(&device.in_order(&[0, 1, 3, 2]).x509(), ChainProblem::WrongOrder, 2);
}

#[test]
fn device_certificate_that_is_not_the_first_is_a_wrong_order() {
    let (_, _, lower) = authorities();
    let device = lower.device("dev-01");
    assert_error(&device.in_order(&[3, 2, 1, 0]).x509(), ChainProblem::WrongOrder, 4);
    assert_error(&device.in_order(&[1, 0]).x509(), ChainProblem::WrongOrder, 2);
}

#[test]
fn issuer_of_the_same_name_with_another_key_is_named() {
    let root = Ca::root("Root");
    let (old, new) = (root.intermediate("Line"), root.intermediate("Line"));
    let mut device = old.device("dev-01");
    device.chain[1] = new.chain[0].clone();
    assert_error(&device.x509(), ChainProblem::WrongIssuer, 1);
}

#[test]
fn expired_certificates_are_named_wherever_they_are() {
    let root = Ca::root("Root");
    let device = root.device_with("dev-01", P256, expired);
    assert_error(&device.x509(), ChainProblem::Expired, 1);
    let words = check(&device.x509())[0].to_string();
    assert!(words.contains("expired at 2025-12-31 00:00:00 UTC; the time is 2026-01-02 03:04:05 UTC"), "{words}");
    let intermediate = root.intermediate_with("Line", expired);
    assert_error(&intermediate.device("dev-01").x509(), ChainProblem::Expired, 2);
    // Without a clock, no validity is checked.
    let client = builder(&device.x509()).clock(|| None).build().unwrap();
    assert_eq!(client.registration_id().as_str(), "dev-01");
}

#[test]
fn certificate_that_is_not_valid_yet_is_named() {
    let device = Ca::root("Root").device_with("dev-01", P256, |params| params.not_before = date_time_ymd(2027, 1, 1));
    assert_error(&device.x509(), ChainProblem::NotYetValid, 1);
    assert_eq!(ChainProblem::NotYetValid.code(), ErrorCode::ClientCertificateExpired);
}

#[test]
fn common_name_must_be_the_registration_id() {
    let root = Ca::root("Root");
    assert_error(&root.device("dev-02").x509(), ChainProblem::CommonNameMismatch, 1);
    // The service ignores letter case.
    assert_eq!(check(&root.device("DEV-01").x509()), []);
    assert_error(&root.device("dev 01").x509(), ChainProblem::CommonNameInvalid, 1);
    let nameless = root.device_with("", P256, |params| params.distinguished_name = rcgen::DistinguishedName::new());
    assert_error(&nameless.x509(), ChainProblem::NoCommonName, 1);
}

#[test]
fn registration_id_is_the_common_name_unless_it_is_given() {
    let device = Ca::root("Root").device("dev-07").x509();
    let roots = Roots::replace_pem(Device::self_signed("localhost").chain[0].as_bytes()).unwrap();
    let client = ProvisioningClient::builder().id_scope("0ne00A1B2C3").x509(device).roots(roots).build().unwrap();
    assert_eq!(client.registration_id().as_str(), "dev-07");
    let unusable = Ca::root("Root").device("dev 01").x509();
    let refused = ProvisioningClient::builder().id_scope("0ne00A1B2C3").x509(unusable).build().unwrap_err();
    assert_eq!((refused.code(), refused.hints()), (ErrorCode::InvalidClientCertificate, &[Hint::CertificateName][..]));
}

#[test]
fn key_of_another_certificate_is_named() {
    let root = Ca::root("Root");
    let (device, other) = (root.device("dev-01"), root.device("dev-02"));
    assert_error(&device.with_key_of(&other).x509(), ChainProblem::KeyMismatch, 1);
    let rsa = X509::from_pem(data!("rsa-2048.cert.pem"), data!("rsa-4096.pem")).unwrap();
    assert_error(&rsa, ChainProblem::KeyMismatch, 1);
    // A chain alone has no key to compare.
    let alone = ChainCheck::new().at(now()).chain(rsa.chain());
    assert_eq!(alone, []);
}

#[test]
fn authority_certificate_in_the_place_of_the_device_is_named() {
    let ca = |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let device = Ca::root("Root").device_with("dev-01", P256, ca);
    assert_error(&device.x509(), ChainProblem::CaAsLeaf, 1);
    // As `openssl req -x509` makes it: an individual enrollment accepts it by its thumbprint.
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = crate::pki::params("dev-01");
    ca(&mut params);
    let alone = Device { chain: vec![params.self_signed(&key).unwrap().pem()], key: key.serialize_pem() };
    assert_warning(&alone.x509(), ChainProblem::CaAsLeaf);
}

#[test]
fn missing_client_authentication_is_named() {
    let server =
        |params: &mut CertificateParams| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let device = Ca::root("Root").device_with("dev-01", P256, server);
    assert_error(&device.x509(), ChainProblem::ClientAuthMissing, 1);
    let encipherment = |params: &mut CertificateParams| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    let device = Ca::root("Root").device_with("dev-01", P256, encipherment);
    assert_warning(&device.x509(), ChainProblem::SignatureNotAllowed);
}

#[test]
fn path_length_is_counted_from_the_authority_that_sets_it() {
    let limited =
        |limit| move |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(limit));
    let device =
        |limit| Ca::root_with("Root", limited(limit)).intermediate("Upper").intermediate("Lower").device("dev-01");
    assert_eq!(check(&device(2).x509()), []);
    assert_error(&device(1).x509(), ChainProblem::PathLength, 4);
    let device = Ca::root("Root").intermediate_with("Upper", limited(0)).intermediate("Lower").device("dev-01");
    assert_error(&device.x509(), ChainProblem::PathLength, 3);
}

#[test]
fn issuer_that_is_not_an_authority_is_named() {
    let root = Ca::root("Root");
    let no_authority = root.intermediate_with("Line", |params| params.is_ca = IsCa::ExplicitNoCa);
    let device = no_authority.device("dev-01");
    assert_error(&device.x509(), ChainProblem::NotAnAuthority, 2);
    let unable = root.intermediate_with("Line", |params| params.key_usages = vec![KeyUsagePurpose::CrlSign]);
    assert_error(&unable.device("dev-01").x509(), ChainProblem::NotAnAuthority, 2);
}

#[test]
fn common_name_over_64_characters_is_a_warning() {
    let name = "d".repeat(65);
    let findings = ChainCheck::new().chain(Ca::root("Root").device(&name).x509().chain());
    assert_eq!(short(&findings), [(ChainProblem::CommonNameLength, Severity::Warning, 1)]);
    assert_eq!(ChainCheck::new().chain(Ca::root("Root").device(&name[1..]).x509().chain()), []);
}

#[test]
fn weak_signatures_and_short_keys_are_warnings() {
    assert_warning(&X509::from_pem(data!("sha1.cert.pem"), data!("ec-sec1.pem")).unwrap(), ChainProblem::WeakSignature);
    let md5 = X509::from_pem(data!("md5.cert.pem"), data!("rsa-2048-pkcs1.pem")).unwrap();
    assert_warning(&md5, ChainProblem::WeakSignature);
    assert!(check(&md5)[0].what().contains("MD5"));
    let short_key = CertificateChain::from_pem(data!("rsa-1024.cert.pem")).unwrap();
    let findings = ChainCheck::new().chain(&short_key);
    assert_eq!(short(&findings), [(ChainProblem::WeakKey, Severity::Warning, 1)]);
}

#[test]
fn key_on_another_curve_is_a_warning() {
    let device = Ca::root("Root").device_with("dev-01", &rcgen::PKCS_ECDSA_P521_SHA512, |_| {});
    assert_warning(&device.x509(), ChainProblem::UnusualKey);
    assert!(check(&device.x509())[0].what().ends_with("EC P-521"));
}

#[test]
fn expected_root_finds_a_missing_intermediate_and_another_root() {
    let (root, upper, lower) = authorities();
    let device = lower.device("dev-01");
    let with_root = |expected: &Ca, device: &Device| {
        short(&ChainCheck::new().expect_root(expected.certificates()).chain(device.x509().chain()))
    };
    for reaching in [&[0, 1, 2, 3][..], &[0, 1, 2]] {
        assert_eq!(with_root(&root, &device.in_order(reaching)), []);
    }
    let missing = |certificate| vec![(ChainProblem::MissingIntermediate, Severity::Error, certificate)];
    assert_eq!(with_root(&root, &device.in_order(&[0])), missing(1));
    assert_eq!(with_root(&root, &device.in_order(&[0, 1])), missing(2));
    assert_eq!(with_root(&upper, &device.in_order(&[0, 1])), [], "an intermediate can be the verified one");
    let unexpected = |certificate| vec![(ChainProblem::UnexpectedRoot, Severity::Error, certificate)];
    assert_eq!(with_root(&Ca::root("Other"), &device), unexpected(4));
    assert_eq!(with_root(&Ca::root("Root"), &device.in_order(&[0, 1, 2])), unexpected(3));
}

#[test]
fn several_problems_are_all_found_with_errors_first() {
    let (_, _, lower) = authorities();
    let server = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
        expired(params);
    };
    let findings = check(&lower.device_with("dev-02", P256, server).in_order(&[0, 3]).x509());
    let problems: Vec<ChainProblem> = findings.iter().map(Finding::problem).collect();
    let expected = [
        ChainProblem::Gap,
        ChainProblem::Expired,
        ChainProblem::CommonNameMismatch,
        ChainProblem::ClientAuthMissing,
        ChainProblem::SignatureNotAllowed,
    ];
    assert_eq!(problems, expected);
}
