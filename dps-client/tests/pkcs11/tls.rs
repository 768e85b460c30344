//! The private key of a certificate in a token signs in TLS.

use std::time::Duration;

use crate::common::{service, service_with};
use crate::pki::{Ca, Device, P256, P384, data};
use crate::symmetric::{self, LIMIT};
use crate::token::Token;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dps_client::{
    CertificateChain, ChainCheck, ChainProblem, ErrorCode, Pkcs11Key, ProvisioningClient, ProvisioningClientBuilder,
    ProxyChoice, Roots, Transport, X509,
};
use dps_emulator::{Certificate, Emulator, EmulatorOptions, IndividualEnrollment, TlsVersion};

pub(crate) const TRANSPORTS: [Transport; 3] = [Transport::Https, Transport::Mqtt, Transport::MqttWebSocket];
pub(crate) const KINDS: [&str; 4] = ["P-256", "P-384", "RSA-2048", "RSA-4096"];
/// CKM_RSA_PKCS and CKM_RSA_PKCS_PSS.
const RAW_RSA: [&str; 2] = ["hide-1", "hide-13"];
/// CKM_RSA_PKCS_PSS and CKM_SHA256_RSA_PKCS_PSS to CKM_SHA512_RSA_PKCS_PSS.
const PSS: [&str; 4] = ["hide-13", "hide-67", "hide-68", "hide-69"];
const ECDSA: &str = "hide-4161";

/// A client whose registration id is the common name of the certificate.
pub(crate) fn builder(transport: Transport, emulator: &Emulator, device: &X509) -> ProvisioningClientBuilder {
    let endpoint = match transport {
        Transport::Mqtt => emulator.mqtt_endpoint().unwrap(),
        Transport::MqttWebSocket => emulator.wss_endpoint().unwrap(),
        _ => emulator.endpoint(),
    };
    ProvisioningClient::builder()
        .id_scope(emulator.id_scope())
        .transport(transport)
        .endpoint(endpoint)
        .roots(Roots::replace_pem(emulator.ca_pem().as_bytes()).unwrap())
        .timeout(Duration::from_secs(20))
        .minimum_spacing(Duration::ZERO)
        .proxy(ProxyChoice::Direct)
        .seed(1)
        .x509(device.clone())
}

/// Enrolls the device's certificate as `dev-01`.
pub(crate) fn enroll(emulator: &Emulator, chain: &CertificateChain) {
    let certificate = Certificate::from_der(chain.iter().next().unwrap()).unwrap();
    let enrollment = IndividualEnrollment::new("dev-01").client_certificate(certificate);
    let now = emulator.now();
    emulator.with_service(|service| service.put_enrollment(now, enrollment).unwrap());
}

/// A chain, and its key in PKCS#8, both as PEM.
fn material(kind: &str) -> (String, String) {
    let pem = |device: Device| (device.chain.concat(), device.key);
    let text = |data: &[u8]| String::from_utf8(data.to_vec()).unwrap();
    match kind {
        "P-256" => pem(Ca::root("Root").device_with("dev-01", P256, |_| {})),
        "P-384" => pem(Ca::root("Root").device_with("dev-01", P384, |_| {})),
        "RSA-2048" => (text(data!("rsa-2048.cert.pem")), pkcs8(&text(data!("rsa-2048-pkcs1.pem")))),
        "RSA-4096" => (text(data!("rsa-4096.cert.pem")), text(data!("rsa-4096.pem"))),
        other => panic!("{other}"),
    }
}

/// Wraps an RSA key in PKCS#1 as PKCS#8 (RFC 5208, section 5), which SoftHSM imports.
pub(crate) fn pkcs8(pkcs1: &str) -> String {
    let base64: String = pkcs1.lines().filter(|line| !line.starts_with("-----")).collect();
    let tagged = |tag: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], length.as_slice(), content].concat()
    };
    let head = b"\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    let key = tagged(0x30, &[head.as_slice(), &tagged(4, &STANDARD.decode(base64).unwrap())].concat());
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(key))
}

fn other_chain() -> CertificateChain {
    CertificateChain::from_pem(material("P-256").0.as_bytes()).unwrap()
}

/// A token with a key of each kind by its name, and their chains, and the symmetric key. Keys and chains are in its folder too.
pub(crate) fn token() -> (Token, [CertificateChain; 4]) {
    let token = symmetric::token();
    let mut number = 0;
    let chains = KINDS.map(|kind| {
        let (chain, key) = material(kind);
        number += 1;
        token.add_pair(&key, kind, &format!("0{number}"));
        let file = |extension| token.folder().join(format!("{kind}.{extension}"));
        std::fs::write(file("key"), key).unwrap();
        std::fs::write(file("pem"), chain).unwrap();
        CertificateChain::from_file(file("pem")).unwrap()
    });
    (token, chains)
}

pub(crate) fn uri(kind: &str) -> String {
    format!("pkcs11:token=dps;object={kind};type=private")
}

#[tokio::test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
async fn private_key_in_a_token_registers_over_every_transport_and_tls_version() {
    let (token, chains) = token();
    for (kind, chain) in KINDS.into_iter().zip(chains) {
        let device = X509::from_pkcs11(chain, &token.key(&uri(kind))).unwrap();
        for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
            let emulator = service_with(EmulatorOptions::new().tls_version(version)).await;
            enroll(&emulator, device.chain());
            for transport in TRANSPORTS {
                let client = builder(transport, &emulator, &device).build().unwrap();
                let assignment = client.register().await.unwrap();
                assert_eq!(assignment.device_id(), "dev-01", "{kind} {transport:?} {version:?}");
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
async fn rsa_key_signs_with_the_mechanisms_that_the_token_offers() {
    let (token, [.., chain]) = token();
    for (hidden, versions) in [
        (RAW_RSA.as_slice(), [TlsVersion::Tls12, TlsVersion::Tls13].as_slice()),
        // Under TLS 1.3 nothing but PSS is allowed (RFC 8446, section 4.2.3).
        (PSS.as_slice(), &[TlsVersion::Tls12]),
        (&["hide-13", "hide-67", "hide-68", "hide-69", "hide-1"], &[TlsVersion::Tls12]),
    ] {
        hidden.iter().for_each(|mechanism| token.inject(mechanism));
        let device = X509::from_pkcs11(chain.clone(), &token.key(&uri("RSA-4096"))).unwrap();
        for version in versions {
            let emulator = service_with(EmulatorOptions::new().tls_version(*version)).await;
            enroll(&emulator, device.chain());
            builder(Transport::Mqtt, &emulator, &device).build().unwrap().register().await.unwrap();
        }
        hidden.iter().for_each(|mechanism| token.clear(mechanism));
    }
}

/// Whether the chain check, or the token, finds that a key belongs to another certificate.
fn is_mismatch(token: &Token, kind: &str, chain: &CertificateChain) -> bool {
    match X509::from_pkcs11(chain.clone(), &token.key(&uri(kind))) {
        Ok(device) => {
            let findings = ChainCheck::new().device(&device);
            findings.iter().any(|finding| finding.problem() == ChainProblem::KeyMismatch)
        }
        Err(refused) => {
            assert_eq!(refused.code(), ErrorCode::ClientKeyMismatch, "{refused}");
            true
        }
    }
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn key_is_compared_with_the_certificate_by_its_public_key() {
    let (token, chains) = token();
    for (kind, chain) in KINDS.into_iter().zip(&chains) {
        assert!(!is_mismatch(&token, kind, chain), "{kind}");
        assert!(is_mismatch(&token, kind, &other_chain()), "{kind}");
    }
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn key_is_compared_with_the_certificate_by_a_signature_where_the_token_has_no_public_key() {
    let (token, chains) = token();
    token.remove_public_keys();
    for (kind, chain) in KINDS.into_iter().zip(&chains) {
        assert!(!is_mismatch(&token, kind, chain), "{kind}");
        assert!(is_mismatch(&token, kind, &other_chain()), "{kind}");
    }
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn key_of_another_purpose_is_refused() {
    let (token, [chain, ..]) = token();
    let symmetric = X509::from_pkcs11(chain.clone(), &token.key("pkcs11:token=dps;type=secret-key")).unwrap_err();
    assert_eq!(symmetric.code(), ErrorCode::InvalidPkcs11Uri);
    let private = token.key(&uri("P-256")).sign(b"to sign", LIMIT).unwrap_err();
    assert_eq!(private.code(), ErrorCode::InvalidPkcs11Uri);
    token.inject(ECDSA);
    let refused = X509::from_pkcs11(chain, &token.key(&uri("P-256"))).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Pkcs11Mechanism);
    assert!(refused.message().contains("CKM_ECDSA"), "{refused}");
}

#[tokio::test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
async fn token_removed_between_two_connections_is_named() {
    let (emulator, (token, [chain, ..])) = (service().await, token());
    enroll(&emulator, &chain);
    let device = X509::from_pkcs11(chain, &token.key(&uri("P-256"))).unwrap();
    for transport in TRANSPORTS {
        let client = builder(transport, &emulator, &device).build().unwrap();
        client.register().await.unwrap();
        token.inject("removed");
        let removed = client.register().await.unwrap_err();
        assert_eq!(removed.code(), ErrorCode::Pkcs11NoToken, "{removed:?}");
        assert!(removed.message().contains("DeviceRemoved"), "{removed}");
        token.clear("removed");
        client.register().await.unwrap();
    }
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn pin_is_in_no_debug_output() {
    let (token, [chain, ..]) = token();
    let key = Pkcs11Key::from_configuration("pkcs11:token=dps;object=P-256?pin-value=right-pin-4711").unwrap();
    let device = X509::from_pkcs11(chain, &key.module(token.module())).unwrap();
    assert!(!format!("{device:?} {:?}", device.resolver()).contains("right-pin"));
}
