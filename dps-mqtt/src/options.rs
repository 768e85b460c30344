//! What can be chosen about MQTT, checked before anything is sent.

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
    /// The port where no other is named.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Tcp => DEFAULT_PORT,
            Self::WebSocket => WEBSOCKET_PORT,
        }
    }
}

/// What can be chosen about MQTT.
#[derive(Clone, Debug)]
pub struct MqttOptions {
    pub(crate) framing: Framing,
    pub(crate) api_version: String,
    pub(crate) user_agent: String,
    pub(crate) keep_alive: Duration,
    pub(crate) packet_cap: usize,
    pub(crate) pipelined: bool,
}

/// An option that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OptionError {
    /// The service's versions are dates.
    #[error("the API version cannot be {0:?}; it looks like 2019-03-31 or 2025-07-01-preview")]
    ApiVersion(String),
    /// CONNECT holds whole seconds.
    #[error("the keep-alive cannot be {0:?}; it is 1 to 65535 seconds")]
    KeepAlive(Duration),
}

impl Default for MqttOptions {
    /// TLS over TCP, API version 2019-03-31, this crate's name as the client version, a keep-alive of a minute, packets
    /// of up to 256 KiB.
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
    /// What carries the packets. Default: TLS over TCP.
    #[must_use]
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Another API version than 2019-03-31.
    #[must_use]
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.api_version = version.into();
        self
    }

    /// What to tell the service as `ClientVersion`; nothing when empty.
    #[must_use]
    pub fn user_agent(mut self, agent: impl Into<String>) -> Self {
        self.user_agent = agent.into();
        self
    }

    /// After how much silence the server may give the connection up; it is pinged at half of that. Whole seconds, 1 to
    /// 65535. Default: 60 s.
    #[must_use]
    pub fn keep_alive(mut self, keep_alive: Duration) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    /// The largest packet that is taken, in bytes. Default: 256 KiB.
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
    fn options_that_cannot_work_are_refused() {
        assert_eq!(MqttOptions::default().check(), Ok(()));
        let refused = MqttOptions::default().api_version("latest").check();
        assert_eq!(refused, Err(OptionError::ApiVersion("latest".into())));
        for life in [Duration::ZERO, Duration::from_millis(1500), Duration::from_secs(70_000)] {
            assert_eq!(MqttOptions::default().keep_alive(life).check(), Err(OptionError::KeepAlive(life)));
        }
    }
}
