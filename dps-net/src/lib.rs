//! What the links of the SDK share: one TLS configuration, and what an error of the network means.
//!
//! It dials, through a proxy where there is one, and speaks no protocol inside TLS. Verification of the server is always on; the crypto
//! provider is passed explicitly and never installed for the process.
//!
//! ```
//! use dps_net::{Roots, client_config};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let issued = rcgen::generate_simple_self_signed(vec!["dps.test".into()])?;
//! # let pem = issued.cert.pem();
//! let roots = Roots::replace_pem(pem.as_bytes())?;
//! let config = client_config(&roots)?;
//! assert!(config.alpn_protocols.is_empty());
//! # Ok(()) }
//! ```

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("dps-net needs a TLS provider: turn on the feature `aws-lc-rs` or `ring`");

mod address_override;
mod classify;
mod dial;
mod dns;
mod inspect;
mod phase;
mod proxy;
mod proxy_choice;
mod resolver;
mod roots;
mod tls;
mod tunnel;
mod version;

pub use address_override::{AddressOverride, AddressOverrideError};
pub use classify::{Classified, classify};
pub use dial::{Dialer, TlsStream};
pub use dns::{DnsError, resolve};
pub use inspect::{Inspection, inspect};
pub use phase::{CurrentPhase, Phase};
pub use proxy::{Proxy, ProxyError};
pub use proxy_choice::{ChosenProxy, ProxyChoice, ProxyReason, UnusableProxy};
pub use resolver::Resolver;
pub use roots::{Roots, RootsError};
pub use tls::{TlsError, client_config, crypto_provider, platform_root_count};
#[doc(hidden)]
pub use tunnel::fuzz_proxy_status;
pub use tunnel::{authentication_refused, open_tunnel};
pub use version::is_api_version;
