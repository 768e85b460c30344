//! The TLS configuration of every link: TLS 1.2 or 1.3, the server always verified, no ALPN; and the trusted authorities.
//!
//! Certificates are parsed here, before any I/O over the network.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use thiserror::Error;

use crate::client_certificate::ClientIdentity;

/// Options of TLS: the trusted authorities, the clock, and the certificate of the device where it has one.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use dps_net::{Roots, TlsOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let issued = rcgen::generate_simple_self_signed(vec!["dps.test".into()])?;
/// # let pem = issued.cert.pem();
/// let options = TlsOptions::new(Roots::replace_pem(pem.as_bytes())?);
/// let an_hour_ahead = options.clock(|| SystemTime::now() + Duration::from_secs(3600));
/// let config = an_hour_ahead.client_config()?;
/// assert!(config.alpn_protocols.is_empty());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct TlsOptions {
    roots: Roots,
    clock: Arc<dyn TimeProvider>,
    identity: Option<ClientIdentity>,
}

impl TlsOptions {
    /// Returns options that trust these authorities and use the system's clock.
    #[must_use]
    pub fn new(roots: Roots) -> Self {
        Self { roots, clock: Arc::new(DefaultTimeProvider), identity: None }
    }

    /// Uses another clock than the system's for everything in TLS that depends on the time, such as the validity of the
    /// server's certificate. A time before 1970 counts as unknown, and then no connection can be made.
    #[must_use]
    pub fn clock(mut self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(SuppliedClock(now));
        self
    }

    /// Presents this certificate to a server that asks for one in the handshake. A configuration with one resumes no
    /// session, so that each connection shows what the server thinks of the certificate now.
    #[must_use]
    pub fn identity(mut self, identity: ClientIdentity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Returns the configuration of a TLS client. Reading the platform's authorities costs a few milliseconds: make it once
    /// and share it.
    ///
    /// # Errors
    /// [`TlsError`] when the platform's authorities cannot be used.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        self.client_config_with(self.verifier()?)
    }

    pub(crate) fn client_config_with(
        &self,
        verifier: Arc<dyn ServerCertVerifier>,
    ) -> Result<Arc<ClientConfig>, TlsError> {
        let builder = ClientConfig::builder_with_details(crypto_provider(), Arc::clone(&self.clock))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            // rustls calls every supplied verifier dangerous; these are its own and the platform's.
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let Some(identity) = &self.identity else { return Ok(Arc::new(builder.with_no_client_auth())) };
        let mut config = builder.with_client_cert_resolver(Arc::new(identity.clone()));
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }

    /// The verifier of the server's certificate.
    pub(crate) fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        let extra = self.roots.certificates.iter().cloned();
        if self.roots.platform {
            let verifier = Verifier::new_with_extra_roots(extra, crypto_provider()).map_err(TlsError::PlatformRoots)?;
            return Ok(Arc::new(verifier));
        }
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(extra);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), crypto_provider()).build();
        Ok(verifier.map_err(|error| TlsError::Setup(rustls::Error::General(error.to_string())))?)
    }
}

/// A function that returns the time.
struct SuppliedClock<F>(F);

impl<F: Fn() -> SystemTime + Send + Sync> TimeProvider for SuppliedClock<F> {
    fn current_time(&self) -> Option<UnixTime> {
        (self.0)().duration_since(UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

impl<F> fmt::Debug for SuppliedClock<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SuppliedClock(..)")
    }
}

/// Why TLS cannot be set up.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The platform's authorities cannot be used.
    #[error(
        "the platform's trusted authorities cannot be used ({0}); install them (Debian: ca-certificates) or name a file \
         with the authorities to trust"
    )]
    PlatformRoots(rustls::Error),
    /// The crypto provider does not support what TLS needs.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// Returns the crypto provider of this build: aws-lc-rs where both are compiled in.
#[must_use]
pub fn crypto_provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    let provider = rustls::crypto::ring::default_provider();
    #[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
    let provider = compile_error!("dps-net needs a TLS provider: turn on the feature `aws-lc-rs` or `ring`");
    Arc::new(provider)
}

/// Returns how many authorities the platform trusts, or `None` where it does not list them.
#[must_use]
pub fn platform_root_count() -> Option<usize> {
    platform_roots().map(|roots| roots.len())
}

/// The authorities that the platform trusts, where it lists them.
fn platform_roots() -> Option<Vec<CertificateDer<'static>>> {
    #[cfg(all(unix, not(target_vendor = "apple"), not(target_os = "android")))]
    let roots = Some(rustls_native_certs::load_native_certs().certs);
    #[cfg(not(all(unix, not(target_vendor = "apple"), not(target_os = "android"))))]
    let roots = None;
    roots
}

/// The authorities that are trusted to issue the service's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    platform: bool,
    certificates: Vec<CertificateDer<'static>>,
}

/// Why authorities cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RootsError {
    /// The input is empty.
    #[error("no certificate found: the input is empty")]
    Empty,
    /// The input is something else.
    #[error("no certificate found: {found}; a PEM file with `-----BEGIN CERTIFICATE-----` is needed")]
    NoCertificate {
        /// What was found instead.
        found: &'static str,
    },
    /// A certificate is damaged.
    #[error("certificate {number} cannot be parsed; export it again as PEM")]
    Damaged {
        /// Which one, counted from 1.
        number: usize,
    },
}

impl Roots {
    /// Returns the platform's authorities.
    #[must_use]
    pub fn platform() -> Self {
        Self { platform: true, certificates: Vec::new() }
    }

    /// Parses authorities to trust instead of the platform's. The PEM may hold several.
    ///
    /// # Errors
    /// [`RootsError`] when there is no certificate, or one is damaged.
    pub fn replace_pem(pem: &[u8]) -> Result<Self, RootsError> {
        Ok(Self { platform: false, certificates: read_pem(pem)? })
    }

    /// Parses authorities to trust in addition to the platform's. The PEM may hold several.
    ///
    /// # Errors
    /// As [`Roots::replace_pem`].
    pub fn add_pem(pem: &[u8]) -> Result<Self, RootsError> {
        Ok(Self { platform: true, certificates: read_pem(pem)? })
    }

    /// Returns whether the platform's authorities are trusted.
    #[must_use]
    pub fn trusts_platform(&self) -> bool {
        self.platform
    }

    /// Returns whether a server is accepted whose chain ends at this root, as far as trust decides: whether an authority of the
    /// same name and key is trusted. `None` where the platform's are trusted and it does not list them; `root` is DER. Reads
    /// the platform's authorities.
    ///
    /// ```
    /// use dps_net::Roots;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let issue = || rcgen::generate_simple_self_signed(vec!["dps.test".into()]);
    /// # let (old, new) = (issue()?.cert, issue()?.cert);
    /// let trusted = Roots::replace_pem(old.pem().as_bytes())?;
    /// assert_eq!((trusted.contains(old.der()), trusted.contains(new.der())), (Some(true), Some(false)));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn contains(&self, root: &[u8]) -> Option<bool> {
        let mut wanted = RootCertStore::empty();
        if wanted.add(CertificateDer::from(root)).is_err() {
            return Some(false);
        }
        let mut trusted = RootCertStore::empty();
        trusted.add_parsable_certificates(self.certificates.iter().cloned());
        let platform = if self.platform { platform_roots() } else { Some(Vec::new()) };
        trusted.add_parsable_certificates(platform.iter().flatten().cloned());
        let same = trusted.roots.iter().any(|anchor| {
            wanted.roots.iter().any(|wanted| {
                anchor.subject == wanted.subject && anchor.subject_public_key_info == wanted.subject_public_key_info
            })
        });
        (same || platform.is_some()).then_some(same)
    }

    /// Returns the parsed authorities, which are trusted in addition to the platform's or instead of them, as DER.
    pub fn given(&self) -> impl Iterator<Item = &[u8]> {
        self.certificates.iter().map(AsRef::as_ref)
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

/// Names what the input is instead, without repeating any of it: it may be a private key.
fn what_it_is(bytes: &[u8]) -> &'static str {
    let holds = |mark: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
    if holds(b"PRIVATE KEY-----") {
        "it is a private key"
    } else if holds(b"-----BEGIN CERTIFICATE REQUEST") {
        "it is a certificate request"
    } else if bytes.starts_with(&[0x30, 0x82]) {
        "it looks like DER"
    } else {
        "it is not PEM"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem() -> String {
        rcgen::generate_simple_self_signed(vec!["dps.test".into()]).unwrap().cert.pem()
    }

    #[test]
    fn pem_with_several_certificates_and_text_between_them_is_read() {
        let text = format!("issuer: test\n{}\nand\r\n{}", pem(), pem().replace('\n', "\r\n"));
        assert_eq!(Roots::replace_pem(text.as_bytes()).unwrap().certificates.len(), 2);
        assert!(Roots::add_pem(text.as_bytes()).unwrap().trusts_platform());
    }

    #[test]
    fn input_without_certificate_is_named_and_not_repeated() {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let table: [(&[u8], &str); 5] = [
            (b" \n", "the input is empty"),
            (b"hello", "it is not PEM"),
            (key.as_bytes(), "it is a private key"),
            (&[0x30, 0x82, 1, 0, 0], "it looks like DER"),
            (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate 1 cannot be parsed"),
        ];
        for (bytes, expected) in table {
            let said = Roots::replace_pem(bytes).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
        }
        let cut = &pem()[..200];
        assert!(Roots::replace_pem(cut.as_bytes()).is_err());
    }
}
