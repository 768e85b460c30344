//! An operational key in a token: it signs the certificate request there, and the stored identity names it.

use std::time::{Duration, SystemTime};

use crate::pki::data;
use crate::tls::pkcs8;
use crate::token::Token;
use dps_client::{
    CertificateChain, ChainCheck, ErrorCode, IdentityStore, IssuedIdentity, OperationalKey, RegistrationId,
};
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair};

const URI: &str = "pkcs11:token=dps;object=operational";

fn id() -> RegistrationId {
    "dev-01".parse().unwrap()
}

/// Issues a certificate for the request of a key; the signature of the request is verified.
fn issue(key: &OperationalKey) -> CertificateChain {
    let request = key.certificate_request(&id()).unwrap();
    let mut request = CertificateSigningRequestParams::from_der(&request.into()).unwrap();
    let now = SystemTime::now();
    request.params.not_before = (now - Duration::from_secs(60)).into();
    request.params.not_after = (now + Duration::from_secs(86_400)).into();
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = Issuer::new(root, KeyPair::generate().unwrap());
    CertificateChain::from_der([request.signed_by(&issuer).unwrap().der().to_vec()]).unwrap()
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn identity_with_a_key_in_a_token_is_stored_without_the_key_and_loaded_with_the_token() {
    let rsa = pkcs8(std::str::from_utf8(data!("rsa-2048-pkcs1.pem")).unwrap());
    let ec = |kind| KeyPair::generate_for(kind).unwrap().serialize_pem();
    let pairs = [ec(&rcgen::PKCS_ECDSA_P256_SHA256), ec(&rcgen::PKCS_ECDSA_P384_SHA384), rsa];
    let token = Token::new();
    for (index, pem) in pairs.iter().enumerate() {
        token.add_pair(pem, &format!("key-{index}"), &format!("0{index}"));
    }
    for index in 0..pairs.len() {
        let uri = format!("pkcs11:token=dps;object=key-{index}");
        let key = OperationalKey::from_pkcs11(&token.key(&uri)).unwrap();
        let identity = IssuedIdentity::accept(key.clone(), issue(&key), &id(), Some(SystemTime::now())).unwrap();
        assert!(ChainCheck::new().device(identity.x509()).iter().all(|finding| finding.what().contains("authority")));

        let folder = tempfile::tempdir().unwrap();
        let store = IdentityStore::new(folder.path());
        store.lock().unwrap().save(&identity).unwrap();
        let stored = std::fs::read_to_string(folder.path().join("identity.pem")).unwrap();
        assert!(stored.starts_with(&format!("Key-URI: {uri}\nPublic-Key-SHA256: ")), "{stored}");
        assert!(!stored.contains("PRIVATE KEY") && !stored.contains(crate::token::PIN));
        assert!(!folder.path().join("key.pem").exists());

        let without = store.lock().unwrap().load().unwrap_err();
        assert_eq!(without.code(), ErrorCode::InvalidOption);
        assert!(without.message().contains(&uri), "{without}");
        let loaded = store.pkcs11_key(&token.key(&uri)).lock().unwrap().load().unwrap().found().unwrap();
        assert_eq!(loaded.chain(), identity.chain());

        let other = token.key(&format!("pkcs11:token=dps;object=key-{}", (index + 1) % pairs.len()));
        let refused = IdentityStore::new(folder.path()).pkcs11_key(&other).lock().unwrap().load().unwrap_err();
        assert_eq!(refused.code(), ErrorCode::ClientKeyMismatch);
    }
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn operational_key_without_a_public_key_in_the_token_is_refused() {
    let token = Token::new();
    token.add_pair(&KeyPair::generate().unwrap().serialize_pem(), "operational", "01");
    token.remove_public_keys();
    let refused = OperationalKey::from_pkcs11(&token.key(URI)).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Pkcs11NoObject);
    assert!(refused.message().contains("no public key"), "{refused}");
}

#[test]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
fn token_that_fails_to_sign_a_certificate_request_says_why() {
    let token = Token::new();
    token.add_pair(&KeyPair::generate().unwrap().serialize_pem(), "operational", "01");
    let key = OperationalKey::from_pkcs11(&token.key(URI)).unwrap();
    token.inject("removed");
    let failed = key.certificate_request(&id()).unwrap_err();
    assert_eq!(failed.code(), ErrorCode::Pkcs11NoToken, "{}", failed.report());
}
