//! The one TLS configuration of every link: TLS 1.2 or 1.3, the server always verified, no ALPN.

use std::sync::Arc;

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
    let provider = crypto_provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?;
    let extra = roots.certificates().iter().cloned();
    let config = if roots.trusts_platform() {
        let verifier = Verifier::new_with_extra_roots(extra, provider).map_err(TlsError::PlatformRoots)?;
        // rustls calls every verifier but its own dangerous; this one asks the platform.
        builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
    } else {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(extra);
        builder.with_root_certificates(store).with_no_client_auth()
    };
    Ok(Arc::new(config))
}
