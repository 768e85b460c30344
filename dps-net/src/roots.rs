//! Which authorities a device trusts: the platform's, the platform's and more, or others instead.
//!
//! Certificates are read and checked here, before any I/O over the network.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use thiserror::Error;

/// The authorities that may vouch for the service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    platform: bool,
    certificates: Vec<CertificateDer<'static>>,
}

/// Why certificates cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RootsError {
    /// There is nothing to read.
    #[error("there is no certificate in it: it is empty")]
    Empty,
    /// It holds something else.
    #[error("there is no certificate in it: {found}; a PEM file with `-----BEGIN CERTIFICATE-----` is needed")]
    NoCertificate {
        /// What was found instead.
        found: &'static str,
    },
    /// One of them is damaged.
    #[error("certificate {number} cannot be read; export it again as PEM")]
    Damaged {
        /// Which one, counted from 1.
        number: usize,
    },
}

impl Roots {
    /// The platform's authorities.
    #[must_use]
    pub fn platform() -> Self {
        Self { platform: true, certificates: Vec::new() }
    }

    /// These authorities instead of the platform's. One PEM text may hold several.
    ///
    /// # Errors
    /// [`RootsError`] when there is no certificate in it, or one is damaged.
    pub fn replace_pem(pem: &[u8]) -> Result<Self, RootsError> {
        Ok(Self { platform: false, certificates: read_pem(pem)? })
    }

    /// These authorities besides the platform's. One PEM text may hold several.
    ///
    /// # Errors
    /// As [`Roots::replace_pem`].
    pub fn add_pem(pem: &[u8]) -> Result<Self, RootsError> {
        Ok(Self { platform: true, certificates: read_pem(pem)? })
    }

    /// Whether the platform's authorities are trusted.
    #[must_use]
    pub fn trusts_platform(&self) -> bool {
        self.platform
    }

    /// The authorities that were given, besides the platform's or instead of them, as DER.
    pub fn given(&self) -> impl Iterator<Item = &[u8]> {
        self.certificates.iter().map(AsRef::as_ref)
    }

    /// The authorities that were given.
    pub(crate) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }
}

fn read_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, RootsError> {
    if pem.trim_ascii().is_empty() {
        return Err(RootsError::Empty);
    }
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let damaged = RootsError::Damaged { number: certificates.len() + 1 };
        let certificate = certificate.map_err(|_| damaged.clone())?;
        RootCertStore::empty().add(certificate.clone()).map_err(|_| damaged)?;
        certificates.push(certificate);
    }
    if certificates.is_empty() { Err(RootsError::NoCertificate { found: what_it_is(pem) }) } else { Ok(certificates) }
}

/// Names what was given instead, without repeating any of it: it may be a private key.
fn what_it_is(bytes: &[u8]) -> &'static str {
    let holds = |mark: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
    if holds(b"PRIVATE KEY-----") {
        "it is a private key"
    } else if holds(b"-----BEGIN CERTIFICATE REQUEST") {
        "it is a certificate request"
    } else if bytes.starts_with(&[0x30, 0x82]) {
        "it looks like DER"
    } else {
        "it is no PEM"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem() -> String {
        rcgen::generate_simple_self_signed(vec!["dps.test".into()]).unwrap().cert.pem()
    }

    #[test]
    fn several_certificates_and_text_between_them_are_read() {
        let text = format!("issuer: test\n{}\nand\r\n{}", pem(), pem().replace('\n', "\r\n"));
        assert_eq!(Roots::replace_pem(text.as_bytes()).unwrap().certificates().len(), 2);
        assert!(Roots::add_pem(text.as_bytes()).unwrap().trusts_platform());
    }

    #[test]
    fn what_is_no_certificate_is_named_and_not_repeated() {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let table: [(&[u8], &str); 5] = [
            (b" \n", "it is empty"),
            (b"hello", "it is no PEM"),
            (key.as_bytes(), "it is a private key"),
            (&[0x30, 0x82, 1, 0, 0], "it looks like DER"),
            (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate 1 cannot be read"),
        ];
        for (bytes, expected) in table {
            let said = Roots::replace_pem(bytes).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
        }
        let cut = &pem()[..200];
        assert!(Roots::replace_pem(cut.as_bytes()).is_err());
    }
}
