//! What the links of the Azure IoT DPS device SDK share: name resolution, proxies, dialing, TLS, and the classes of
//! network errors.
//!
//! It connects and shakes hands, and speaks no protocol inside TLS. The server is always verified; the crypto provider is
//! passed explicitly and never installed for the process. [`TlsOptions`] and [`Dialer`] are the places to start.

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("dps-net needs a TLS provider: turn on the feature `aws-lc-rs` or `ring`");

mod dial;
mod error;
mod inspect;
mod phase;
mod proxy;
mod proxy_choice;
mod resolver;
mod tls;
mod tunnel;
mod version;

pub use dial::{Dialer, TlsStream};
pub use error::{NetError, classify};
pub use inspect::{Inspection, inspect};
pub use phase::{CurrentPhase, Phase};
pub use proxy::{Proxy, ProxyError};
pub use proxy_choice::{ChosenProxy, ProxyChoice, ProxyReason, UnusableProxy};
pub use resolver::{AddressOverride, AddressOverrideError, Resolver};
pub use tls::{Roots, RootsError, TlsError, TlsOptions, crypto_provider, platform_root_count};
#[doc(hidden)]
pub use tunnel::fuzz_proxy_status;
pub use tunnel::{authentication_refused, open_tunnel, proxy_failed};
pub use version::is_api_version;
