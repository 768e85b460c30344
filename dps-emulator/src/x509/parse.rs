//! Parsing of certificates by `x509-parser`, and verification of signatures by the algorithms of rustls' crypto
//! provider. Nothing is decided here.

use std::sync::{Arc, OnceLock};

use hmac_sha256::Hash;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha1::{Digest, Sha1};
use x509_parser::asn1_rs::{Any, BitString, FromDer};
use x509_parser::certificate::{TbsCertificate, X509Certificate};
use x509_parser::x509::{SubjectPublicKeyInfo, X509Version};

use super::certificate::{AuthorityLimits, CertificateError, CertificateInfo, Members};
use crate::encoding::decode_base64;
use crate::time::iso_8601_seconds;

/// The crypto provider of TLS and of signatures: aws-lc-rs if both are compiled in. Never installed process-wide.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    #[cfg(feature = "aws-lc-rs")]
    let make = rustls::crypto::aws_lc_rs::default_provider;
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    let make = rustls::crypto::ring::default_provider;
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(make())))
}

/// Whether `signature` of `message` was made with this key. The algorithms are those of the signature and of the key,
/// as contents of an `AlgorithmIdentifier`.
pub(super) fn is_signature(algorithms: (&[u8], &[u8]), key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let known = provider().signature_verification_algorithms.all;
    let (of_signature, of_key) = algorithms;
    known
        .iter()
        .filter(|known| {
            known.signature_alg_id().as_ref() == of_signature && known.public_key_alg_id().as_ref() == of_key
        })
        .any(|known| known.verify_signature(key, message, signature).is_ok())
}

/// Whether a structure of three elements, such as a certificate request, is signed with this key: what is signed, the
/// algorithm of the signature, the signature.
pub(crate) fn is_signed_by_key(
    der: &[u8],
    key: &SubjectPublicKeyInfo<'_>,
    signed: &[u8],
    signature: &BitString<'_>,
) -> bool {
    let parts = || {
        let of_signature = contents(contents(der)?.get(signed.len()..)?)?;
        let of_key = contents(contents(key.raw)?)?;
        Some((of_signature, of_key, whole_bytes(&key.subject_public_key)?, whole_bytes(signature)?))
    };
    parts().is_some_and(|(of_signature, of_key, key, signature)| {
        is_signature((of_signature, of_key), key, signed, signature)
    })
}

/// The DER of the one certificate in a text: PEM, the base64 of DER, or the base64 of PEM.
pub(super) fn der_of_text(text: &str) -> Result<Vec<u8>, CertificateError> {
    if text.contains("-----BEGIN") {
        let mut found: Vec<CertificateDer<'_>> =
            CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().unwrap_or_default();
        return match found.len() {
            1 => Ok(found.remove(0).to_vec()),
            count => Err(CertificateError::Count(count)),
        };
    }
    let text: String = text.split_ascii_whitespace().collect();
    let bytes = decode_base64(&text).filter(|bytes| !bytes.is_empty()).ok_or(CertificateError::Count(0))?;
    match String::from_utf8(bytes) {
        Ok(text) if text.contains("-----BEGIN") => der_of_text(&text),
        Ok(text) => Ok(text.into_bytes()),
        Err(error) => Ok(error.into_bytes()),
    }
}

/// Parses DER, which must contain nothing else.
pub(super) fn members(der: &[u8]) -> Result<Members, CertificateError> {
    let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
    if !rest.is_empty() || parsed.version() != X509Version::V3 {
        return Err(CertificateError::Malformed);
    }
    read(der, &parsed).ok_or(CertificateError::Malformed)
}

fn read(der: &[u8], parsed: &X509Certificate<'_>) -> Option<Members> {
    let tbs = &parsed.tbs_certificate;
    // A bit more or less would be another certificate with the same signature.
    let (signature, key) = (whole_bytes(&parsed.signature_value)?, whole_bytes(&tbs.subject_pki.subject_public_key)?);
    if parsed.signature_algorithm != tbs.signature {
        return None;
    }
    // The signature's algorithm follows what is signed, both inside the outer sequence.
    let outer = contents(der)?;
    let after = outer.get(tbs.as_ref().len()..)?;
    let (value, _) = Any::from_der(after).ok()?;
    if !Any::from_der(value).ok()?.0.is_empty() {
        return None;
    }
    let (not_before_s, not_after_s) = (tbs.validity.not_before.timestamp(), tbs.validity.not_after.timestamp());
    Some(Members {
        der: der.to_vec(),
        info: CertificateInfo {
            subject_name: tbs.subject.to_string(),
            sha1_thumbprint: hex(&Sha1::digest(der)),
            sha256_thumbprint: hex(&Hash::hash(der)),
            issuer_name: tbs.issuer.to_string(),
            not_before_utc: iso_8601_seconds(not_before_s),
            not_after_utc: iso_8601_seconds(not_after_s),
            serial_number: hex(parsed.raw_serial()),
            version: 3,
        },
        common_name: tbs.subject.iter_common_name().last().and_then(|name| name.as_str().ok()).map(str::to_owned),
        subject: tbs.subject.as_raw().to_vec(),
        issuer: tbs.issuer.as_raw().to_vec(),
        to_be_signed: tbs.as_ref().to_vec(),
        signature_algorithm: contents(after)?.to_vec(),
        signature: signature.to_vec(),
        key_algorithm: contents(contents(tbs.subject_pki.raw)?)?.to_vec(),
        key: key.to_vec(),
        not_before_s,
        not_after_s,
        authority: authority(tbs)?,
        is_for_clients: is_for_clients(tbs)?,
    })
}

/// The contents of the first element.
fn contents(der: &[u8]) -> Option<&[u8]> {
    Any::from_der(der).ok().map(|(_, any)| any.data)
}

/// `None` if the number of bits cannot be divided by eight.
fn whole_bytes<'a>(bits: &'a BitString<'_>) -> Option<&'a [u8]> {
    (bits.unused_bits == 0).then_some(bits.data.as_ref())
}

/// `None` if an extension is malformed or repeated.
fn authority(tbs: &TbsCertificate<'_>) -> Option<Option<AuthorityLimits>> {
    let basic = tbs.basic_constraints().ok()?;
    let usage = tbs.key_usage().ok()?;
    Some(basic.filter(|basic| basic.value.ca).map(|basic| AuthorityLimits {
        path_length: basic.value.path_len_constraint,
        can_sign: usage.is_none_or(|usage| usage.value.key_cert_sign()),
    }))
}

fn is_for_clients(tbs: &TbsCertificate<'_>) -> Option<bool> {
    let usage = tbs.extended_key_usage().ok()?;
    Some(usage.is_none_or(|usage| usage.value.client_auth || usage.value.any))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
