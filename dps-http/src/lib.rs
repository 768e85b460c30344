//! The device API over HTTPS: a link for `dps-core` on reqwest.
//!
//! It carries requests and replies over one connection per registration. The state machine decides when to retry and what
//! a reply means; nothing is retried or redirected here.
//!
//! ```
//! use dps_http::{HttpLink, HttpOptions};
//! use dps_net::{Dialer, Roots, TlsOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let issued = rcgen::generate_simple_self_signed(vec!["dps.test".into()])?;
//! # let pem = issued.cert.pem();
//! let tls = TlsOptions::new(Roots::replace_pem(pem.as_bytes())?).client_config()?;
//! let link = HttpLink::new(Dialer::new(tls, None), HttpOptions::default())?;
//! // Pass it to dps_core::drive(&mut registration, &mut link, …).
//! # let _ = link;
//! # Ok(()) }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod client;
mod error;
mod link;
mod options;

pub use link::HttpLink;
pub use options::{HttpOptions, OptionError};
