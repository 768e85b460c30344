//! Listeners for HTTPS, MQTT and MQTT over WebSocket: sockets, TLS, the machine's clock and a state directory around
//! the pure service.
//!
//! No rule of the service is implemented here: bytes go to the service and its replies come back.

mod certificate;
mod client_certificate;
mod emulator;
mod follow;
mod https;
mod io;
mod limits;
mod listener;
mod mqtt;
mod open;
mod options;
mod shared;
mod state;
#[cfg(test)]
mod testing;
mod tls;
mod wait;

pub use emulator::Emulator;
pub use options::{EmulatorOptions, StartError, StateError, TlsVersion};
pub use wait::NoEvent;
