//! Listeners for HTTPS, MQTT and MQTT over WebSocket: sockets, TLS, the machine's clock and a state directory around
//! the pure service.
//!
//! No rule of the service is implemented here: bytes go to the service and its replies come back.

mod addresses;
mod certificate;
mod client_certificate;
mod emulator;
mod follow;
mod http1;
mod https;
mod io;
mod limits;
mod listener;
mod mqtt;
mod open;
mod options;
mod page;
mod public;
mod shared;
mod state;
#[cfg(test)]
mod testing;
mod tls;
mod wait;
mod webhook_client;
mod webhooks;

#[cfg(feature = "config")]
pub(crate) use addresses::can_be_announced;
pub use emulator::Emulator;
pub use options::{EmulatorOptions, StartError, StateError, TlsVersion, UnavailablePort};
pub use page::PageLink;
pub use wait::NoEvent;
pub use webhook_client::{WebhookClient, WebhookOptions, WebhookRootsError};
