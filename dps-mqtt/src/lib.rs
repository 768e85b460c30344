//! The device API over MQTT 3.1.1, on TLS or WebSocket: a link for `dps-core`.
//!
//! It carries requests and replies over one connection per registration. The state machine decides when to retry and what
//! a reply means; nothing is retried here. rumqttc's packets are used, its event loop is not (see the README).
//!
//! ```
//! use dps_mqtt::{Framing, MqttLink, MqttOptions};
//! use dps_net::{Dialer, Roots, TlsOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let issued = rcgen::generate_simple_self_signed(vec!["dps.test".into()])?;
//! # let pem = issued.cert.pem();
//! let tls = TlsOptions::new(Roots::replace_pem(pem.as_bytes())?).client_config()?;
//! let dialer = Dialer::new(tls, None);
//! let link = MqttLink::new(dialer, MqttOptions::default().framing(Framing::WebSocket))?;
//! // Pass it to dps_core::drive(&mut registration, &mut link, …).
//! # let _ = link;
//! # Ok(()) }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod connection;
mod error;
mod hub;
#[cfg(test)]
mod hub_tests;
mod link;
mod options;
mod session;
mod stream;
#[cfg(test)]
mod tests;

pub use hub::{HubLogin, HubSession};
pub use link::MqttLink;
pub use options::{Framing, MqttOptions, OptionError};
#[cfg(fuzzing)]
pub use session::exchange_and_idle;
