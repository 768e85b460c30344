//! One certificate: its DER, and the members of it that decide whether it is accepted.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::parse;
use crate::encoding::encode_base64;
use crate::events::RefusalReason;
use crate::time::Now;

/// Why a certificate cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The text contains another number of certificates than one.
    #[error("it contains {0} certificates instead of one; it must be PEM, or the base64 of the certificate's DER")]
    Count(usize),
    /// It is not a certificate of version 3 that can be parsed.
    #[error("it is not a valid X.509 certificate of version 3")]
    Malformed,
    /// The crate was built without the feature `x509`.
    #[error("this emulator was built without X.509 (feature `x509`)")]
    Unsupported,
}

/// A certificate of version 3 (RFC 5280). Cheap to clone.
///
/// ```
/// # #[cfg(feature = "x509")] {
/// use dps_emulator::{Certificate, CertificateError};
///
/// assert_eq!(Certificate::from_pem("no certificate").unwrap_err(), CertificateError::Count(0));
/// # }
/// ```
#[derive(Clone)]
pub struct Certificate(Arc<Members>);

/// The members of a certificate. Names and algorithms are compared by their DER.
#[cfg_attr(not(feature = "x509"), allow(dead_code, reason = "nothing creates one"))]
pub(super) struct Members {
    pub(super) der: Vec<u8>,
    pub(super) info: CertificateInfo,
    pub(super) common_name: Option<String>,
    pub(super) subject: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    /// What the signature signs.
    pub(super) to_be_signed: Vec<u8>,
    pub(super) signature_algorithm: Vec<u8>,
    pub(super) signature: Vec<u8>,
    pub(super) key_algorithm: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) not_before_s: i64,
    pub(super) not_after_s: i64,
    pub(super) authority: Option<AuthorityLimits>,
    /// Whether the extended key usage, if there is one, allows TLS clients.
    pub(super) is_for_clients: bool,
}

/// What a CA certificate may sign.
pub(super) struct AuthorityLimits {
    /// How many CA certificates may follow it on the way to the leaf.
    pub(super) path_length: Option<u32>,
    /// Whether the key usage, if there is one, allows signing certificates.
    pub(super) can_sign: bool,
}

/// What the service shows of a certificate (`X509CertificateInfo` in Azure's REST reference).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CertificateInfo {
    /// The subject, such as `CN=dev-01`.
    pub subject_name: String,
    /// SHA-1 of the DER in upper-case hexadecimal.
    pub sha1_thumbprint: String,
    /// SHA-256 of the DER in upper-case hexadecimal.
    pub sha256_thumbprint: String,
    /// The issuer.
    pub issuer_name: String,
    /// The start of its validity, as `2026-01-02T03:04:05Z`.
    pub not_before_utc: String,
    /// The end of its validity.
    pub not_after_utc: String,
    /// The serial number in upper-case hexadecimal.
    pub serial_number: String,
    /// The version, which is 3.
    pub version: u32,
}

impl Certificate {
    /// Parses DER.
    ///
    /// # Errors
    /// [`CertificateError`] if it is not a certificate, or the crate was built without the feature `x509`.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        parse::members(der).map(|members| Self(Arc::new(members)))
    }

    /// Parses PEM that contains exactly one certificate, or the base64 of a certificate's DER, as owners send it.
    ///
    /// # Errors
    /// As [`from_der`](Self::from_der), and [`CertificateError::Count`].
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        Self::from_der(&parse::der_of_text(text)?)
    }

    /// The DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// What the service shows of it.
    #[must_use]
    pub fn info(&self) -> &CertificateInfo {
        &self.0.info
    }

    /// The common name of the subject; the last one, if there are several.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.0.common_name.as_deref()
    }

    /// Whether it is a CA certificate that may sign others.
    #[must_use]
    pub fn is_authority(&self) -> bool {
        self.0.authority.as_ref().is_some_and(|limits| limits.can_sign)
    }

    pub(crate) fn base64(&self) -> String {
        encode_base64(&self.0.der)
    }

    pub(super) fn is_for_clients(&self) -> bool {
        self.0.is_for_clients
    }

    /// Whether subject and issuer are the same.
    pub(super) fn is_self_issued(&self) -> bool {
        self.0.subject == self.0.issuer
    }

    /// Whether `issuer` has the name of this certificate's issuer.
    pub(super) fn names_issuer(&self, issuer: &Self) -> bool {
        self.0.issuer == issuer.0.subject
    }

    /// Whether the signature was made with the key of `issuer`.
    pub(super) fn is_signed_by(&self, issuer: &Self) -> bool {
        let (own, issuer) = (&self.0, &issuer.0);
        let algorithms = (own.signature_algorithm.as_slice(), issuer.key_algorithm.as_slice());
        parse::is_signature(algorithms, &issuer.key, &own.to_be_signed, &own.signature)
    }

    /// Whether it may issue a certificate below which there are `below` other CA certificates.
    pub(super) fn may_issue(&self, below: usize) -> bool {
        self.0.authority.as_ref().is_some_and(|limits| {
            limits.can_sign && limits.path_length.is_none_or(|length| below as u64 <= u64::from(length))
        })
    }

    /// Checks the validity period; `at` is the certificate's place in the chain.
    pub(super) fn check_validity(&self, now: Now, at: usize) -> Result<(), RefusalReason> {
        let now_s = i64::try_from(now.unix_s()).unwrap_or(i64::MAX);
        if now_s < self.0.not_before_s {
            return Err(RefusalReason::CertificateNotYetValid { at });
        }
        if now_s > self.0.not_after_s {
            return Err(RefusalReason::CertificateExpired { at });
        }
        Ok(())
    }
}

/// Two certificates are equal if their DER is.
impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = &self.0.info;
        write!(f, "Certificate({}, {})", info.subject_name, info.sha256_thumbprint)
    }
}
