//! X.509 attestation: certificates, the chain that a client presents, the certificate authorities that an owner
//! uploaded, and which enrollment a chain belongs to.
//!
//! Only `parse` and `signature` need the feature `x509`; without it no certificate can be created.

mod attestation;
mod authorities;
mod certificate;
mod chain;
mod decide;
#[cfg(feature = "x509")]
mod parse;
#[cfg(not(feature = "x509"))]
#[path = "unsupported.rs"]
mod parse;

pub use attestation::{Slots, X509Attestation};
pub use authorities::{AUTHORITIES_MAX, CertificateAuthority};
pub use certificate::{Certificate, CertificateError, CertificateInfo};
pub use chain::{CHAIN_MAX, ClientCertificates};

pub(crate) use authorities::Authorities;
pub(crate) use decide::X509State;
#[cfg(feature = "x509")]
pub(crate) use parse::is_signed_by_key;
#[cfg(feature = "server")]
pub(crate) use parse::provider;

#[cfg(all(feature = "x509", not(any(feature = "aws-lc-rs", feature = "ring"))))]
compile_error!("dps-emulator with `x509` or `server` needs a TLS provider: turn on the feature `aws-lc-rs` or `ring`");
