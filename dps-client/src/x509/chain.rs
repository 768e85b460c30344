//! The certificates of a device, read from PEM or DER: its own first, then its issuers.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use dps_core::{ErrorCode, Hint};
#[cfg(feature = "pkcs11")]
use rustls::SignatureScheme;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::files::{self, Refused};
use super::pem;
use crate::error::DpsError;

/// No chain has more certificates.
const CERTIFICATES_MAX: usize = 32;

/// Certificates in the order in which they were given: a device's own first, then each one's issuer. A clone shares them.
///
/// Whether that order holds, and whether the certificates fit together, is what a [`ChainCheck`](crate::ChainCheck) finds out.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateChain(Arc<[CertificateDer<'static>]>);

impl CertificateChain {
    /// Reads certificates from PEM, where they may have other text and keys between them, or from DER, one after the other.
    ///
    /// ```
    /// # let issued = rcgen::generate_simple_self_signed(vec!["dev-01".into()])?;
    /// # let pem = issued.cert.pem();
    /// let chain = dps_client::CertificateChain::from_pem(pem.as_bytes())?;
    /// assert_eq!(chain.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `invalid-client-certificate` when a certificate is missing or damaged, or there are more than 32.
    pub fn from_pem(bytes: &[u8]) -> Result<Self, DpsError> {
        Self::read(bytes).map_err(|refused| refused.into_error(None))
    }

    /// Reads a file of certificates, as [`from_pem`](Self::from_pem).
    ///
    /// # Errors
    /// [`DpsError`] with the file's name when it cannot be read, has more than 256 KiB, or as [`from_pem`](Self::from_pem).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, DpsError> {
        let path = path.as_ref();
        let bytes = files::read(path).map_err(|error| error.into_error(ErrorCode::InvalidClientCertificate, path))?;
        Self::read(&bytes).map_err(|refused| refused.into_error(Some(path)))
    }

    fn read(bytes: &[u8]) -> Result<Self, Refused> {
        let sections = pem::sections(bytes).map_err(|label| wrong(format!("the section {label:?} has no end")))?;
        let certificates = if sections.is_empty() {
            split_der(bytes)?
        } else {
            let is_certificate = |label: &str| matches!(label, "CERTIFICATE" | "X509 CERTIFICATE");
            let found = sections.iter().filter(|section| is_certificate(section.label));
            let decoded = found
                .enumerate()
                .map(|(index, section)| section.decode().map(|der| der.to_vec()).ok_or_else(|| damaged(index + 1)));
            decoded.collect::<Result<Vec<_>, _>>()?
        };
        if certificates.is_empty() {
            let labels: Vec<&str> = sections.iter().map(|section| section.label).collect();
            return Err(wrong(format!("there is no certificate, only {}", labels.join(", "))));
        }
        Self::checked(certificates)
    }

    /// Reads certificates as DER, each an element, such as those that the service issued.
    ///
    /// # Errors
    /// `invalid-client-certificate` when one is damaged, and for none or more than 32 of them.
    pub fn from_der(certificates: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Result<Self, DpsError> {
        let certificates: Vec<Vec<u8>> = certificates.into_iter().take(CERTIFICATES_MAX + 1).map(Into::into).collect();
        if certificates.is_empty() {
            return Err(wrong("there is no certificate".to_owned()).into_error(None));
        }
        Self::checked(certificates).map_err(|refused| refused.into_error(None))
    }

    fn checked(certificates: Vec<Vec<u8>>) -> Result<Self, Refused> {
        if certificates.len() > CERTIFICATES_MAX {
            return Err(wrong(format!("there are more than {CERTIFICATES_MAX} certificates")));
        }
        for (index, der) in certificates.iter().enumerate() {
            if !X509Certificate::from_der(der).is_ok_and(|(rest, _)| rest.is_empty()) {
                return Err(damaged(index + 1));
            }
        }
        Ok(Self(certificates.into_iter().map(CertificateDer::from).collect()))
    }

    /// Returns the certificates as DER, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// Returns how many certificates there are; never 0.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the public key of the device's certificate, a SubjectPublicKeyInfo as DER, if it verifies this signature.
    #[cfg(feature = "pkcs11")]
    pub(crate) fn verified_key(&self, scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> Option<Vec<u8>> {
        let (_, leaf) = X509Certificate::from_der(self.0.first()?).ok()?;
        let key = leaf.public_key();
        let provider = dps_net::crypto_provider();
        let (_, algorithms) =
            provider.signature_verification_algorithms.mapping.iter().find(|(known, _)| *known == scheme)?;
        let verified = algorithms
            .iter()
            .any(|algorithm| algorithm.verify_signature(&key.subject_public_key.data, message, signature).is_ok());
        verified.then(|| key.raw.to_vec())
    }

    pub(super) fn der(&self) -> &[CertificateDer<'static>] {
        &self.0
    }
}

impl fmt::Debug for CertificateChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateChain({} certificates)", self.0.len())
    }
}

/// Certificates in DER, one after the other.
fn split_der(mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, Refused> {
    if bytes.trim_ascii().is_empty() {
        return Err(wrong("there is no certificate: it is empty".into()));
    }
    let mut certificates = Vec::new();
    while !bytes.is_empty() && certificates.len() <= CERTIFICATES_MAX {
        let rest = match X509Certificate::from_der(bytes) {
            Ok((rest, _)) => rest,
            Err(_) if certificates.is_empty() => return Err(wrong(what_it_is(bytes).into())),
            Err(_) => return Err(damaged(certificates.len() + 1)),
        };
        certificates.push(bytes[..bytes.len() - rest.len()].to_vec());
        bytes = rest;
    }
    Ok(certificates)
}

/// Names what bytes are instead, without repeating any of them.
fn what_it_is(bytes: &[u8]) -> &'static str {
    match bytes {
        // SEQUENCE { INTEGER 3, … } (RFC 7292, section 4)
        [0x30, 0x82, _, _, 2, 1, 3, ..] => {
            "it is a PKCS#12 file; export its certificates: openssl pkcs12 -in FILE -nokeys -out certificates.pem"
        }
        // SEQUENCE { OBJECT IDENTIFIER signedData, … } (RFC 2315, section 7)
        [0x30, 0x82, _, _, 6, 9, ..] | [0x30, 0x80, 6, 9, ..] => {
            "it is a PKCS#7 file; export its certificates: openssl pkcs7 -inform DER -in FILE -print_certs -out certificates.pem"
        }
        [0x30, ..] => "it is DER, but not a certificate, or the certificate is damaged",
        _ => "there is no certificate: it is neither PEM, with `-----BEGIN CERTIFICATE-----`, nor DER",
    }
}

fn wrong(words: String) -> Refused {
    Refused { code: ErrorCode::InvalidClientCertificate, hint: Some(Hint::CertificateFormat), words }
}

fn damaged(number: usize) -> Refused {
    wrong(format!("certificate {number} is damaged; export it again"))
}
