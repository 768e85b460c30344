//! The one TLS configuration of every link: TLS 1.2 or 1.3, the server always verified, no ALPN.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use thiserror::Error;

use crate::roots::Roots;

/// Why there can be no TLS.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The platform's authorities cannot be used.
    #[error(
        "the platform's trusted authorities cannot be used ({0}); install them (Debian: ca-certificates) or name a file \
         with the authorities to trust"
    )]
    PlatformRoots(rustls::Error),
    /// The provider cannot do what TLS needs.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// The crypto provider of this build: aws-lc-rs where both are compiled in.
#[must_use]
pub fn crypto_provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    let provider = rustls::crypto::ring::default_provider();
    Arc::new(provider)
}

/// A configuration that trusts these roots. Reading the platform's takes a few milliseconds; make it once and share it.
///
/// # Errors
/// [`TlsError`] when the platform's authorities cannot be used.
pub fn client_config(roots: &Roots) -> Result<Arc<ClientConfig>, TlsError> {
    config_with(verifier(roots)?)
}

/// How many authorities the platform trusts; `None` where only the platform itself knows.
#[must_use]
pub fn platform_root_count() -> Option<usize> {
    #[cfg(all(unix, not(target_vendor = "apple"), not(target_os = "android")))]
    let count = Some(rustls_native_certs::load_native_certs().certs.len());
    #[cfg(not(all(unix, not(target_vendor = "apple"), not(target_os = "android"))))]
    let count = None;
    count
}

/// Judges a server's certificate by these roots.
pub(crate) fn verifier(roots: &Roots) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let extra = roots.certificates().iter().cloned();
    if roots.trusts_platform() {
        let verifier = Verifier::new_with_extra_roots(extra, crypto_provider()).map_err(TlsError::PlatformRoots)?;
        return Ok(Arc::new(verifier));
    }
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(extra);
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), crypto_provider()).build();
    Ok(verifier.map_err(|error| TlsError::Setup(rustls::Error::General(error.to_string())))?)
}

pub(crate) fn config_with(verifier: Arc<dyn ServerCertVerifier>) -> Result<Arc<ClientConfig>, TlsError> {
    let config = ClientConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        // rustls calls every verifier that is handed over dangerous; these are its own and the platform's.
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
