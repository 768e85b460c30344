//! A certificate request (PKCS #10, RFC 2986): its form, its signature, its common name and its key.

use rcgen::{KeyPair, PublicKeyData as _, SubjectPublicKeyInfo};
use x509_parser::asn1_rs::FromDer;
use x509_parser::asn1_rs::oid;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo as ParsedKey;

use crate::events::RefusalReason;
use crate::x509::is_signed_by_key;

/// What of an accepted request goes into the certificate. Extensions that it asks for are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CertificateRequest {
    pub(super) common_name: String,
    pub(super) key: SubjectPublicKeyInfo,
}

impl CertificateRequest {
    /// Reads a request and checks everything that the service requires.
    pub(super) fn verify(der: &[u8], registration_id: &str, p384_only: bool) -> Result<Self, RefusalReason> {
        let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| RefusalReason::RequestMalformed)?;
        if !rest.is_empty() {
            return Err(RefusalReason::RequestMalformed);
        }
        let info = &request.certification_request_info;
        let names: Vec<&str> = info.subject.iter_common_name().filter_map(|name| name.as_str().ok()).collect();
        let [common_name] = names[..] else { return Err(RefusalReason::RequestName) };
        if !common_name.eq_ignore_ascii_case(registration_id) {
            return Err(RefusalReason::RequestName);
        }
        if !is_allowed(&info.subject_pki, p384_only) {
            return Err(RefusalReason::RequestKey);
        }
        let signed = is_signed_by_key(der, &info.subject_pki, info.raw, &request.signature_value);
        if !signed {
            return Err(RefusalReason::RequestSignature);
        }
        let key = SubjectPublicKeyInfo::from_der(info.subject_pki.raw).map_err(|_| RefusalReason::RequestKey)?;
        Ok(Self { common_name: common_name.to_owned(), key })
    }

    /// The same for a key that the device does not have; `None` if no key could be made.
    pub(super) fn with_another_key(&self) -> Option<Self> {
        let key = KeyPair::generate().ok()?;
        let key = SubjectPublicKeyInfo::from_der(&key.subject_public_key_info()).ok()?;
        Some(Self { common_name: self.common_name.clone(), key })
    }
}

/// EC P-384; unless only that is allowed, also EC P-256 and RSA of 2048 to 4096 bits.
fn is_allowed(key: &ParsedKey<'_>, p384_only: bool) -> bool {
    let curve = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    match key.parsed() {
        Ok(PublicKey::EC(_)) if curve == Some(oid!(1.3.132.0.34)) => true,
        Ok(PublicKey::EC(_)) if curve == Some(oid!(1.2.840.10045.3.1.7)) => !p384_only,
        Ok(PublicKey::RSA(rsa)) => !p384_only && (2048..=4096).contains(&rsa.key_size()),
        _ => false,
    }
}
