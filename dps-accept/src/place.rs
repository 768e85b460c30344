//! Where the services of a run listen, and over which transport the device comes.

use std::net::{IpAddr, Ipv4Addr};

use crate::scenario::Transport;

/// Addresses and ports, and the transport under test.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) listen: IpAddr,
    /// The name or address by which the device connects.
    pub(crate) host: String,
    /// HTTPS, MQTT, MQTT over WebSocket; 0 for a free port.
    pub(crate) ports: [u16; 3],
    pub(crate) id_scope: Option<String>,
    pub(crate) transport: Transport,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            host: "localhost".to_owned(),
            ports: [0; 3],
            id_scope: None,
            transport: Transport::Https,
        }
    }
}

impl Place {
    /// The port of the transport under test.
    pub(crate) fn port(&self) -> u16 {
        match self.transport {
            Transport::Https => self.ports[0],
            Transport::Mqtt => self.ports[1],
            Transport::MqttWs => self.ports[2],
        }
    }

    /// Two services cannot listen on the same port.
    pub(crate) fn has_fixed_port(&self) -> bool {
        self.ports.iter().any(|port| *port != 0)
    }

    /// The names in a server's certificate.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        if !names.contains(&self.host) {
            names.push(self.host.clone());
        }
        names
    }
}
