//! Options of the MQTT link, checked before anything is sent.

use std::time::Duration;

use dps_core::codec::mqtt::{DEFAULT_API_VERSION, DEFAULT_PORT, WEBSOCKET_PORT};
use thiserror::Error;

/// The longest keep-alive that CONNECT can hold, in seconds (MQTT 3.1.1, section 3.1.2.10).
const KEEP_ALIVE_MAX: u64 = 0xffff;

/// What carries the packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// TLS over TCP, port 8883.
    #[default]
    Tcp,
    /// WebSocket over TLS, port 443.
    WebSocket,
}

impl Framing {
    /// Returns the port where the endpoint has none.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Tcp => DEFAULT_PORT,
            Self::WebSocket => WEBSOCKET_PORT,
        }
    }
}

/// Options of the MQTT link.
#[derive(Clone, Debug)]
pub struct MqttOptions {
    pub(crate) framing: Framing,
    pub(crate) api_version: String,
    pub(crate) user_agent: String,
    pub(crate) keep_alive: Duration,
    pub(crate) packet_cap: usize,
    pub(crate) pipelined: bool,
}

/// An option that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OptionError {
    /// It is not an API version.
    #[error("the API version {0:?} is not valid; write one such as 2019-03-31 or 2025-07-01-preview")]
    ApiVersion(String),
    /// It is not 1 to 65535 whole seconds, as CONNECT requires.
    #[error("the keep-alive {0:?} is not valid; use 1 to 65535 whole seconds")]
    KeepAlive(Duration),
}

impl Default for MqttOptions {
    /// Returns the defaults: TLS over TCP, API version 2019-03-31, this crate's name as the client version, a keep-alive of
    /// a minute, packets of up to 256 KiB.
    fn default() -> Self {
        Self {
            framing: Framing::default(),
            api_version: DEFAULT_API_VERSION.to_owned(),
            user_agent: concat!("dps-mqtt/", env!("CARGO_PKG_VERSION")).to_owned(),
            keep_alive: Duration::from_secs(60),
            packet_cap: 256 * 1024,
            pipelined: false,
        }
    }
}

impl MqttOptions {
    /// Sets what carries the packets. Default: TLS over TCP.
    #[must_use]
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Sets the API version. Default: 2019-03-31.
    #[must_use]
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.api_version = version.into();
        self
    }

    /// Sets the `ClientVersion`; it is not sent when empty. Default: this crate's name and version.
    #[must_use]
    pub fn user_agent(mut self, agent: impl Into<String>) -> Self {
        self.user_agent = agent.into();
        self
    }

    /// Sets the silence after which the server may close the connection; it is pinged at half of that. Whole seconds, 1 to
    /// 65535. Default: 60 s.
    #[must_use]
    pub fn keep_alive(mut self, keep_alive: Duration) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    /// Sets the largest packet that is accepted, in bytes. Default: 256 KiB.
    #[must_use]
    pub fn packet_cap(mut self, bytes: usize) -> Self {
        self.packet_cap = bytes;
        self
    }

    /// Sends CONNECT, SUBSCRIBE and the first request in one flight, without waiting for the answers in between. Saves
    /// two round trips; MQTT 3.1.1 allows it (section 3.1.4), the service does not promise it. Default: no.
    #[must_use]
    pub fn pipelined(mut self, pipelined: bool) -> Self {
        self.pipelined = pipelined;
        self
    }

    pub(crate) fn check(&self) -> Result<(), OptionError> {
        if !dps_net::is_api_version(&self.api_version) {
            return Err(OptionError::ApiVersion(self.api_version.clone()));
        }
        let seconds = self.keep_alive.as_secs();
        let good = self.keep_alive.subsec_nanos() == 0 && (1..=KEEP_ALIVE_MAX).contains(&seconds);
        if good { Ok(()) } else { Err(OptionError::KeepAlive(self.keep_alive)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_options_are_rejected() {
        assert_eq!(MqttOptions::default().check(), Ok(()));
        let refused = MqttOptions::default().api_version("latest").check();
        assert_eq!(refused, Err(OptionError::ApiVersion("latest".into())));
        for life in [Duration::ZERO, Duration::from_millis(1500), Duration::from_secs(70_000)] {
            assert_eq!(MqttOptions::default().keep_alive(life).check(), Err(OptionError::KeepAlive(life)));
        }
    }
}
