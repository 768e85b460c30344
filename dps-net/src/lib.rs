//! Connections for the links of the Azure IoT DPS device SDK: name resolution, proxies, TLS, and the kinds of network
//! errors.
//!
//! This crate opens TLS connections; the protocol inside is that of `dps-http` or `dps-mqtt`. The server is always verified; the crypto provider is
//! passed explicitly and never installed for the process. [`TlsOptions`] and [`Dialer`] are the places to start.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod client_certificate;
mod dial;
mod error;
mod handshake_thread;
mod inspect;
mod phase;
mod proxy;
mod resolver;
mod tls;
mod tunnel;

pub use client_certificate::{CertificateUse, ClientIdentity};
pub use dial::{Dialer, TlsStream, open_tunnel};
pub use error::{NetError, SigningFailed, classify};
pub use handshake_thread::HandshakeThread;
pub use inspect::{Inspection, inspect};
pub use phase::{CurrentPhase, Phase};
pub use proxy::{ChosenProxy, Proxy, ProxyChoice, ProxyError, ProxyReason, UnusableProxy};
pub use resolver::{AddressOverride, AddressOverrideError, Resolver};
pub use tls::{Roots, RootsError, TlsError, TlsOptions, crypto_provider, platform_root_count};
#[cfg(fuzzing)]
pub use tunnel::proxy_status;
pub use tunnel::{authentication_refused, proxy_failed};

/// Returns whether a string is an API version: `YYYY-MM-DD`, or the same with `-preview` (Azure IoT DPS REST reference).
///
/// ```
/// assert!(dps_net::is_api_version("2021-06-01") && dps_net::is_api_version("2025-07-01-preview"));
/// assert!(!dps_net::is_api_version("latest"));
/// ```
#[must_use]
pub fn is_api_version(text: &str) -> bool {
    let date = text.strip_suffix("-preview").unwrap_or(text);
    let shaped = date.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    shaped && date.len() == 10
}
