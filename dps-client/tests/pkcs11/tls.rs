//! The private key of a certificate in a token signs in TLS.

use std::time::Duration;

use crate::common::{service, service_with};
use crate::pki::{Ca, Device, P256, P384, data};
use crate::symmetric::LIMIT;
use crate::token::Token;
use dps_client::{
    CertificateChain, ChainCheck, ChainProblem, ErrorCode, Pkcs11Key, ProvisioningClient, ProvisioningClientBuilder,
    ProxyChoice, Roots, Transport, X509,
};
use dps_emulator::{Certificate, Emulator, EmulatorOptions, IndividualEnrollment, TlsVersion};

const TRANSPORTS: [Transport; 3] = [Transport::Https, Transport::Mqtt, Transport::MqttWebSocket];
pub(crate) const URI: &str = "pkcs11:token=dps;object=tls;type=private";
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

/// A chain, and its key in PKCS#8.
pub(crate) fn material(kind: &str) -> (CertificateChain, String) {
    let pem = |device: Device| (device.chain.concat(), device.key);
    let (chain, key) = match kind {
        "P-256" => pem(Ca::root("Root").device_with("dev-01", P256, |_| {})),
        "P-384" => pem(Ca::root("Root").device_with("dev-01", P384, |_| {})),
        "RSA-4096" => {
            let text = |data: &[u8]| String::from_utf8(data.to_vec()).unwrap();
            (text(data!("rsa-4096.cert.pem")), text(data!("rsa-4096.pem")))
        }
        other => panic!("{other}"),
    };
    (CertificateChain::from_pem(chain.as_bytes()).unwrap(), key)
}

/// A token with such a key as `tls`, and the chain.
pub(crate) fn token(kind: &str) -> (Token, CertificateChain) {
    let (token, (chain, key)) = (Token::new(), material(kind));
    token.add_pair(&key, "tls", "01");
    (token, chain)
}

#[tokio::test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
async fn private_key_in_a_token_registers_over_every_transport_and_tls_version() {
    for (kind, transports) in [("P-256", TRANSPORTS.as_slice()), ("P-384", &TRANSPORTS[1..]), ("RSA-4096", &TRANSPORTS)] {
        let (token, chain) = token(kind);
        let device = X509::from_pkcs11(chain, &token.key(URI)).unwrap();
        for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
            let emulator = service_with(EmulatorOptions::new().tls_version(version)).await;
            enroll(&emulator, device.chain());
            for transport in transports {
                let client = builder(*transport, &emulator, &device).build().unwrap();
                let assignment = client.register().await.unwrap();
                assert_eq!(assignment.device_id(), "dev-01", "{kind} {transport:?} {version:?}");
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
async fn rsa_key_signs_with_the_mechanisms_that_the_token_offers() {
    let (token, chain) = token("RSA-4096");
    for (hidden, versions) in [
        (RAW_RSA.as_slice(), [TlsVersion::Tls12, TlsVersion::Tls13].as_slice()),
        // Under TLS 1.3 nothing else is allowed (RFC 8446, section 4.2.3).
        (PSS.as_slice(), &[TlsVersion::Tls12]),
        (&["hide-13", "hide-67", "hide-68", "hide-69", "hide-1"], &[TlsVersion::Tls12]),
    ] {
        hidden.iter().for_each(|mechanism| token.inject(mechanism));
        let device = X509::from_pkcs11(chain.clone(), &token.key(URI)).unwrap();
        for version in versions {
            let emulator = service_with(EmulatorOptions::new().tls_version(*version)).await;
            enroll(&emulator, device.chain());
            builder(Transport::Mqtt, &emulator, &device).build().unwrap().register().await.unwrap();
        }
        hidden.iter().for_each(|mechanism| token.mend(mechanism));
    }
}

#[tokio::test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
async fn key_is_compared_with_the_certificate_whether_the_token_has_its_public_key_or_not() {
    for kind in ["P-256", "RSA-4096"] {
        let (token, chain) = token(kind);
        let (other, _) = material("P-256");
        let device = X509::from_pkcs11(other.clone(), &token.key(URI)).unwrap();
        let findings = ChainCheck::new().device(&device);
        assert!(findings.iter().any(|finding| finding.problem() == ChainProblem::KeyMismatch), "{kind}: {findings:?}");

        token.remove_public_keys();
        let device = X509::from_pkcs11(chain, &token.key(URI)).unwrap();
        assert!(ChainCheck::new().device(&device).iter().all(|finding| finding.problem() != ChainProblem::KeyMismatch));
        let refused = X509::from_pkcs11(other, &token.key(URI)).map(|device| ChainCheck::new().device(&device));
        match refused {
            Err(refused) => assert_eq!(refused.code(), ErrorCode::ClientKeyMismatch, "{kind}: {refused}"),
            Ok(findings) => {
                assert!(findings.iter().any(|finding| finding.problem() == ChainProblem::KeyMismatch), "{kind}");
            }
        }
    }
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn key_of_another_purpose_is_refused() {
    let (token, chain) = token("P-256");
    let symmetric = X509::from_pkcs11(chain.clone(), &token.key("pkcs11:token=dps;type=secret-key")).unwrap_err();
    assert_eq!(symmetric.code(), ErrorCode::InvalidPkcs11Uri);
    let private = token.key(URI).sign(b"to sign", LIMIT).unwrap_err();
    assert_eq!(private.code(), ErrorCode::InvalidPkcs11Uri);
    token.inject(ECDSA);
    let refused = X509::from_pkcs11(chain, &token.key(URI)).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Pkcs11Mechanism);
    assert!(refused.message().contains("CKM_ECDSA"), "{refused}");
}

#[tokio::test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
async fn token_removed_between_two_connections_is_named() {
    let (emulator, (token, chain)) = (service().await, token("P-256"));
    enroll(&emulator, &chain);
    let device = X509::from_pkcs11(chain, &token.key(URI)).unwrap();
    for transport in TRANSPORTS {
        let client = builder(transport, &emulator, &device).build().unwrap();
        client.register().await.unwrap();
        token.inject("removed");
        let removed = client.register().await.unwrap_err();
        assert_eq!(removed.code(), ErrorCode::Pkcs11NoToken, "{removed:?}");
        assert!(removed.message().contains("DeviceRemoved"), "{removed}");
        token.mend("removed");
        client.register().await.unwrap();
    }
}

/// For callers that make their own TLS connections, such as that to the hub.
#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn pin_in_no_debug_output() {
    let (token, chain) = token("P-256");
    let key = Pkcs11Key::from_configuration("pkcs11:token=dps;object=tls?pin-value=right-pin-4711").unwrap();
    let device = X509::from_pkcs11(chain, &key.module(token.module())).unwrap();
    assert!(!format!("{device:?} {:?}", device.resolver()).contains("right-pin"));
}
