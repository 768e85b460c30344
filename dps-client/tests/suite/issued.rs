//! Issued identities: keys and certificate requests, and which chains are accepted.

use std::time::{Duration, SystemTime};

use dps_client::{CertificateChain, DpsError, ErrorCode, IssuedIdentity, IssuedState, KeyAlgorithm, OperationalKey};
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer, KeyPair};

const DAY: Duration = Duration::from_secs(86_400);

/// Issues a certificate for a request, valid from a minute ago for ten days, and returns it with its root.
fn issue(request: Vec<u8>) -> CertificateChain {
    let key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_der = root.self_signed(&key).unwrap().der().to_vec();
    // The signature of the request is verified here.
    let mut request = CertificateSigningRequestParams::from_der(&request.into()).unwrap();
    let now = SystemTime::now();
    request.params.not_before = (now - Duration::from_secs(60)).into();
    request.params.not_after = (now + 10 * DAY).into();
    let leaf = request.signed_by(&Issuer::new(root, key)).unwrap();
    CertificateChain::from_der([leaf.der().to_vec(), root_der]).unwrap()
}

/// An identity that was issued for ten days.
pub(crate) fn issued_identity(id: &str) -> IssuedIdentity {
    let key = OperationalKey::generate(KeyAlgorithm::EcP256).unwrap();
    let chain = issue(key.certificate_request(&id.parse().unwrap()).unwrap());
    accept(&key, &chain, id, SystemTime::now()).unwrap()
}

fn accept(
    key: &OperationalKey,
    chain: &CertificateChain,
    id: &str,
    now: SystemTime,
) -> Result<IssuedIdentity, DpsError> {
    IssuedIdentity::accept(key.clone(), chain.clone(), &id.parse().unwrap(), Some(now))
}

#[test]
fn request_for_each_kind_of_key_has_the_registration_id_as_its_only_name() {
    for algorithm in [KeyAlgorithm::EcP256, KeyAlgorithm::EcP384, KeyAlgorithm::Rsa2048] {
        let key = OperationalKey::generate(algorithm).unwrap();
        let request = key.certificate_request(&"dev-01".parse().unwrap()).unwrap();
        let parsed = CertificateSigningRequestParams::from_der(&request.clone().into()).unwrap();
        let names: Vec<_> = parsed.params.distinguished_name.iter().map(|(kind, _)| kind.clone()).collect();
        assert_eq!(names, [DnType::CommonName], "{algorithm:?}");
        let identity = accept(&key, &issue(request), "dev-01", SystemTime::now()).unwrap();
        assert_eq!(identity.x509().common_name().as_deref(), Some("dev-01"), "{algorithm:?}");
        assert_eq!(identity.state_at(SystemTime::now()), IssuedState::Valid);
        assert!(
            identity.renew_at() > identity.not_before() + 7 * DAY && identity.renew_at() < identity.not_after() - DAY
        );
    }
}

#[test]
fn key_that_was_read_makes_the_same_request_as_its_source() {
    let pair = KeyPair::generate().unwrap();
    for bytes in [pair.serialize_pem().into_bytes(), pair.serialize_der()] {
        let key = OperationalKey::from_pem(&bytes).unwrap();
        let request = key.certificate_request(&"dev-01".parse().unwrap()).unwrap();
        let parsed = CertificateSigningRequestParams::from_der(&request.into()).unwrap();
        assert_eq!(rcgen::PublicKeyData::der_bytes(&parsed.public_key), pair.public_key_raw());
    }
    let refused = OperationalKey::from_pem(b"not a key").unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidClientKey);
}

#[test]
fn chain_for_another_key_id_or_time_is_refused() {
    let key = OperationalKey::generate(KeyAlgorithm::EcP256).unwrap();
    let chain = issue(key.certificate_request(&"dev-01".parse().unwrap()).unwrap());
    let now = SystemTime::now();
    assert!(accept(&key, &chain, "DEV-01", now).is_ok(), "the service ignores letter case");
    let other = OperationalKey::generate(KeyAlgorithm::EcP256).unwrap();
    for (refused, code) in [
        (accept(&other, &chain, "dev-01", now), ErrorCode::ClientKeyMismatch),
        (accept(&key, &chain, "dev-02", now), ErrorCode::CommonNameMismatch),
        (accept(&key, &chain, "dev-01", now + 11 * DAY), ErrorCode::ClientCertificateExpired),
        (accept(&key, &chain, "dev-01", now - DAY), ErrorCode::ClientCertificateExpired),
    ] {
        assert_eq!(refused.unwrap_err().code(), code);
    }
    let reversed = CertificateChain::from_der(chain.iter().collect::<Vec<_>>().into_iter().rev()).unwrap();
    assert_eq!(accept(&key, &reversed, "dev-01", now).unwrap_err().code(), ErrorCode::InvalidClientCertificate);
}

#[test]
fn issued_chain_that_is_empty_damaged_or_endless_is_refused() {
    let good = issue(
        OperationalKey::generate(KeyAlgorithm::EcP256)
            .unwrap()
            .certificate_request(&"dev-01".parse().unwrap())
            .unwrap(),
    );
    let leaf = good.iter().next().unwrap();
    let cut = &leaf[..leaf.len() - 1];
    let with_tail = [leaf, b"x"].concat();
    for chain in [vec![], vec![cut.to_vec()], vec![with_tail], vec![leaf.to_vec(); 33], vec![Vec::new()]] {
        let refused = CertificateChain::from_der(chain).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InvalidClientCertificate);
    }
}

#[test]
fn key_is_not_shown_by_debug() {
    let key = OperationalKey::generate(KeyAlgorithm::EcP256).unwrap();
    assert_eq!(format!("{key:?}"), "OperationalKey { .. }");
}
