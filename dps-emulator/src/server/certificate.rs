//! The CA of the emulator, its own or one of the options, and the server certificates that it issues. Its own is
//! short-lived, so that one that is forgotten in a trust store soon becomes worthless.
//!
//! Its validity follows the machine's clock. A server certificate is valid by both the machine's clock and the
//! service's: a service with a skewed clock must still be reachable.

use std::net::IpAddr;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use x509_parser::parse_x509_certificate;
use zeroize::Zeroizing;

use super::options::StartError;
use crate::x509::provider;

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

    /// A CA of the caller: a certificate and its key in PEM, which may be in the same text.
    pub(super) fn from_pem(certificate: &str, key: &str) -> Result<Self, StartError> {
        let wrong = |what: &str| StartError::Authority(what.to_owned());
        let mut certificates = CertificateDer::pem_slice_iter(certificate.as_bytes());
        let (Some(Ok(der)), None) = (certificates.next(), certificates.next()) else {
            return Err(wrong("the PEM must contain exactly one certificate"));
        };
        let (_, parsed) = parse_x509_certificate(&der).map_err(|_| wrong("its certificate cannot be parsed"))?;
        if !parsed.is_ca() {
            return Err(wrong("its certificate is not a CA certificate (basic constraints without CA:TRUE)"));
        }
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|_| wrong("the PEM contains no private key that is not encrypted"))?;
        let key = KeyPair::try_from(&key).map_err(|_| {
            wrong("its key must be an EC P-256, EC P-384, Ed25519 or RSA key in PKCS#8 (\"BEGIN PRIVATE KEY\")")
        })?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(wrong("the key does not belong to the certificate"));
        }
        let common_name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        Ok(Self {
            common_name: common_name.unwrap_or_default().to_owned(),
            not_after_unix_s: u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or_default(),
            certificate_pem: pem_of(&der),
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
        let certificate = self.certificate().map_err(|_| "certificatePem is not a valid certificate".to_owned())?;
        let key = self.key().map_err(|_| "keyPem is not a valid key".to_owned())?;
        let public = key.public_key_raw();
        let together = certificate.windows(public.len()).any(|window| window == public);
        together.then_some(()).ok_or_else(|| "the key does not match the certificate".into())
    }

    fn certificate(&self) -> Result<CertificateDer<'static>, rustls::pki_types::pem::Error> {
        CertificateDer::from_pem_slice(self.certificate_pem.as_bytes())
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
        let authority = self.certificate().map_err(failed)?;
        let issuer = Issuer::from_ca_cert_der(&authority, self.key().map_err(failed)?).map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "dps-emulator");
        params.subject_alt_names = names.iter().map(|name| alternative_name(name)).collect::<Result<_, _>>()?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let end_s = self.server_end_s(clocks_s);
        // A CA of the options may have ended already.
        set_validity(&mut params, clocks_s[0].min(clocks_s[1]).min(end_s), end_s);
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

fn pem_of(certificate: &CertificateDer<'_>) -> String {
    let text = crate::encoding::encode_base64(certificate);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn set_validity(params: &mut CertificateParams, now_s: u64, end_s: u64) {
    let date = |unix_s| date_time_ymd(1970, 1, 1) + Duration::from_secs(unix_s);
    params.not_before = date(now_s.saturating_sub(BACKDATED_S));
    params.not_after = date(end_s);
}

pub(super) fn failed(error: impl std::fmt::Display) -> StartError {
    StartError::Certificate(error.to_string())
}
