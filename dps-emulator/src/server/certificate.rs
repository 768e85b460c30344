//! The emulator's own CA and the server certificates that it issues. The CA is short-lived, so that one that is
//! forgotten in a trust store soon becomes worthless.
//!
//! The CA's validity follows the machine's clock. A server certificate is valid by both the machine's clock and the
//! service's: a service with a skewed clock must still be reachable.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType, date_time_ymd,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::options::StartError;

const DAY_S: u64 = 86_400;
const AUTHORITY_DAYS: u64 = 90;
const SERVER_DAYS: u64 = 30;
/// How long before its end a server certificate is renewed.
pub(super) const RENEW_BEFORE_S: u64 = 10 * DAY_S;
/// For devices whose clock is slightly behind.
const BACKDATED_S: u64 = DAY_S;

/// The CA, in the form in which it is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Authority {
    common_name: String,
    not_after_unix_s: u64,
    certificate_pem: String,
    key_pem: Zeroizing<String>,
}

impl Authority {
    /// The common name differs between CAs, for clients that look issuers up by name.
    pub(super) fn generate(now_s: u64, suffix: [u8; 4]) -> Result<Self, StartError> {
        let common_name = format!("dps-emulator CA {:08x}", u32::from_be_bytes(suffix));
        let not_after_unix_s = now_s + AUTHORITY_DAYS * DAY_S;
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = authority_params(&common_name);
        set_validity(&mut params, now_s, not_after_unix_s);
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Self {
            common_name,
            not_after_unix_s,
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem().into(),
        })
    }

    pub(super) fn pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Whether it is valid for at least one more day.
    pub(super) fn is_fresh(&self, now_s: u64) -> bool {
        now_s + DAY_S < self.not_after_unix_s
    }

    /// Whether certificate and key are valid and match.
    pub(super) fn check(&self) -> Result<(), String> {
        let certificate = CertificateDer::from_pem_slice(self.certificate_pem.as_bytes())
            .map_err(|_| "certificatePem is not a valid certificate".to_owned())?;
        let key = self.key().map_err(|_| "keyPem is not a valid key".to_owned())?;
        let public = key.public_key_raw();
        let together = certificate.windows(public.len()).any(|window| window == public);
        together.then_some(()).ok_or_else(|| "the key does not match the certificate".into())
    }

    fn key(&self) -> Result<KeyPair, rcgen::Error> {
        KeyPair::from_pem(&self.key_pem)
    }

    /// The end of a server certificate that is issued now, in seconds since 1970; `clocks_s` are the clocks by which it
    /// has to be valid.
    pub(super) fn server_end_s(&self, clocks_s: [u64; 2]) -> u64 {
        let [a, b] = clocks_s;
        (a.max(b) + SERVER_DAYS * DAY_S).min(self.not_after_unix_s)
    }

    /// Issues a server certificate for these names, valid by both clocks.
    pub(super) fn issue(&self, names: &[String], clocks_s: [u64; 2]) -> Result<CertifiedKey, StartError> {
        let authority = authority_params(&self.common_name);
        let issuer = Issuer::from_params(&authority, self.key().map_err(failed)?);
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "dps-emulator");
        params.subject_alt_names = names.iter().map(|name| alternative_name(name)).collect::<Result<_, _>>()?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        set_validity(&mut params, clocks_s[0].min(clocks_s[1]), self.server_end_s(clocks_s));
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        CertifiedKey::from_der(vec![certificate.der().clone()], private, &provider()).map_err(failed)
    }
}

/// Whether a certificate can contain this name.
pub(super) fn can_be_named(name: &str) -> bool {
    alternative_name(name).is_ok()
}

fn authority_params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn alternative_name(name: &str) -> Result<SanType, StartError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let wrong = || StartError::HostName(name.into());
    if !name.split('.').all(is_label) {
        return Err(wrong());
    }
    name.try_into().map(SanType::DnsName).map_err(|_| wrong())
}

fn set_validity(params: &mut CertificateParams, now_s: u64, end_s: u64) {
    let date = |unix_s| date_time_ymd(1970, 1, 1) + Duration::from_secs(unix_s);
    params.not_before = date(now_s.saturating_sub(BACKDATED_S));
    params.not_after = date(end_s);
}

pub(super) fn failed(error: impl std::fmt::Display) -> StartError {
    StartError::Certificate(error.to_string())
}

/// The TLS crypto provider: aws-lc-rs if both are compiled in. Never installed process-wide.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    let provider = rustls::crypto::ring::default_provider();
    Arc::new(provider)
}
