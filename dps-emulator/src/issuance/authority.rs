//! The certificate authority of issued certificates: a root and an issuing CA, both EC P-384 with SHA-384, made anew by each
//! service. Not the one of the listeners.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P384_SHA384, SerialNumber, date_time_ymd,
};

use super::IssuedChain;
use super::request::CertificateRequest;
use crate::encoding::encode_base64;
use crate::time::Now;
use crate::x509::Certificate;

const DAY_S: u64 = 86_400;
/// For clocks that are behind.
const BACKDATED_S: u64 = 300;
const ROOT_DAYS: u64 = 10 * 365;
const ISSUING_DAYS: u64 = 5 * 365;

pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// The issuing CA, and the root.
    certificates: [String; 2],
    root: Certificate,
    ends_s: u64,
}

impl Authority {
    /// `None` if no keys could be made.
    pub(super) fn new(now: Now) -> Option<Self> {
        let (root_key, issuing_key) = (key()?, key()?);
        let root_params = params(now, "DPS Emulator Device Root CA", ROOT_DAYS, Some(1));
        let root = root_params.self_signed(&root_key).ok()?;
        let root_issuer = Issuer::new(root_params, root_key);
        let issuing_params = params(now, "DPS Emulator Device Issuing CA", ISSUING_DAYS, Some(0));
        let issuing = issuing_params.signed_by(&issuing_key, &root_issuer).ok()?;
        Some(Self {
            issuer: Issuer::new(issuing_params, issuing_key),
            certificates: [encode_base64(issuing.der()), encode_base64(root.der())],
            root: Certificate::from_der(root.der()).ok()?,
            ends_s: now.unix_s() + ISSUING_DAYS * DAY_S,
        })
    }

    /// Whether it is valid for as long as a certificate that is issued now, whichever way the clock was moved since.
    pub(super) fn outlives(&self, now: Now, days: u32) -> bool {
        let begins_s = self.ends_s - ISSUING_DAYS * DAY_S;
        now.unix_s() >= begins_s && now.unix_s() + u64::from(days) * DAY_S <= self.ends_s
    }

    pub(super) fn issue(
        &self,
        now: Now,
        days: u32,
        serial: [u8; 16],
        request: &CertificateRequest,
    ) -> Option<IssuedChain> {
        let mut params = params(now, &request.common_name, days.into(), None);
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let certificate = params.signed_by(&request.key, &self.issuer).ok()?;
        let mut certificates = vec![encode_base64(certificate.der())];
        certificates.extend_from_slice(&self.certificates);
        Some(IssuedChain { certificates, root: self.root.clone() })
    }
}

fn key() -> Option<KeyPair> {
    KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).ok()
}

/// A certificate from now on; that of a CA with the number of CAs that may follow it, or that of a device.
fn params(now: Now, common_name: &str, days: u64, path_length: Option<u8>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, common_name);
    let date = |unix_s: u64| date_time_ymd(1970, 1, 1) + Duration::from_secs(unix_s);
    params.not_before = date(now.unix_s().saturating_sub(BACKDATED_S));
    params.not_after = date(now.unix_s() + days * DAY_S);
    params.use_authority_key_identifier_extension = true;
    match path_length {
        Some(most) => {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(most));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        }
        None => {
            params.is_ca = IsCa::ExplicitNoCa;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }
    }
    params
}
