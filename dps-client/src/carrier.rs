//! Over what a client talks to the service; makes a link for each registration.

use dps_core::ErrorCode;
use dps_net::{Proxy, Resolver, Roots};

use crate::error::DpsError;
use crate::link::{ClientLink, OwnLink};

/// Over what to talk to the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// HTTPS, port 443. The one that can look up a registration, and that learns the service's time.
    #[default]
    Https,
    /// MQTT over TLS, port 8883.
    Mqtt,
    /// MQTT over WebSocket, port 443.
    MqttWebSocket,
}

/// What links are made of.
#[derive(Clone, Debug)]
pub(crate) enum Carrier {
    #[cfg(feature = "http")]
    Http {
        tls: std::sync::Arc<rustls::ClientConfig>,
        options: dps_http::HttpOptions,
    },
    #[cfg(feature = "mqtt")]
    Mqtt {
        dialer: dps_net::Dialer,
        options: dps_mqtt::MqttOptions,
    },
    Own(OwnLink),
}

/// What can be chosen about a carrier.
#[cfg_attr(
    not(all(feature = "http", feature = "mqtt")),
    allow(dead_code, reason = "a build reads what its transports heed")
)]
pub(crate) struct Choices {
    pub(crate) transport: Transport,
    pub(crate) pipelined: bool,
    pub(crate) keep_alive: Option<std::time::Duration>,
    pub(crate) roots: Roots,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) resolver: Resolver,
    /// Of the service; the port where one is named.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) api_version: Option<String>,
    pub(crate) user_agent: Option<String>,
}

impl Carrier {
    /// Checks what was chosen. Links check their options when they are made; each registration makes its own.
    pub(crate) fn new(choices: Choices) -> Result<Self, DpsError> {
        if let Some(proxy) = &choices.proxy {
            tracing::info!(%proxy, "there is a proxy on the way");
        }
        match choices.transport {
            Transport::Https => Self::http(choices),
            Transport::Mqtt | Transport::MqttWebSocket => Self::mqtt(choices),
        }
    }

    #[cfg(feature = "http")]
    fn http(choices: Choices) -> Result<Self, DpsError> {
        if choices.pipelined {
            return Err(invalid("only MQTT can be pipelined: choose it as the transport, or leave the option out"));
        }
        if choices.keep_alive.is_some() {
            return Err(invalid("only MQTT has a keep-alive: choose it as the transport, or leave the option out"));
        }
        let tls = tls(&choices.roots)?;
        let mut options = dps_http::HttpOptions::default().user_agent(choices.agent()).proxy(choices.proxy);
        if let Some(version) = choices.api_version {
            options = options.api_version(version);
        }
        let port = choices.port.unwrap_or(dps_core::codec::http::DEFAULT_PORT);
        if let Some(addresses) = choices.resolver.overridden(&choices.host, port) {
            options = options.addresses_of(choices.host, addresses);
        }
        dps_http::HttpLink::new(tls.clone(), options.clone()).map_err(invalid)?;
        Ok(Self::Http { tls, options })
    }

    #[cfg(feature = "mqtt")]
    fn mqtt(choices: Choices) -> Result<Self, DpsError> {
        let framing = match choices.transport {
            Transport::MqttWebSocket => dps_mqtt::Framing::WebSocket,
            _ => dps_mqtt::Framing::Tcp,
        };
        let mut options =
            dps_mqtt::MqttOptions::default().framing(framing).pipelined(choices.pipelined).user_agent(choices.agent());
        if let Some(version) = choices.api_version {
            options = options.api_version(version);
        }
        if let Some(keep_alive) = choices.keep_alive {
            options = options.keep_alive(keep_alive);
        }
        let dialer = dps_net::Dialer::new(tls(&choices.roots)?, choices.proxy).resolver(choices.resolver);
        dps_mqtt::MqttLink::new(dialer.clone(), options.clone()).map_err(invalid)?;
        Ok(Self::Mqtt { dialer, options })
    }

    #[cfg(not(feature = "http"))]
    fn http(_: Choices) -> Result<Self, DpsError> {
        Err(invalid("this build has no HTTPS: turn on the feature `http`, or choose another transport"))
    }

    #[cfg(not(feature = "mqtt"))]
    fn mqtt(_: Choices) -> Result<Self, DpsError> {
        Err(invalid("this build has no MQTT: turn on the feature `mqtt`, or choose another transport"))
    }

    /// A link for one registration.
    pub(crate) async fn link(&self) -> Result<ClientLink, DpsError> {
        match self {
            #[cfg(feature = "http")]
            Self::Http { tls, options } => {
                let link = dps_http::HttpLink::new(tls.clone(), options.clone());
                Ok(ClientLink::Http(Box::new(link.map_err(invalid)?)))
            }
            #[cfg(feature = "mqtt")]
            Self::Mqtt { dialer, options } => {
                let link = dps_mqtt::MqttLink::new(dialer.clone(), options.clone());
                Ok(ClientLink::Mqtt(Box::new(link.map_err(invalid)?)))
            }
            Self::Own(link) => Ok(link.lend().await),
        }
    }

    /// Whether a registration can be looked up over it.
    pub(crate) fn can_look_up(&self) -> bool {
        match self {
            #[cfg(feature = "mqtt")]
            Self::Mqtt { .. } => false,
            _ => true,
        }
    }
}

impl Choices {
    #[cfg(any(feature = "http", feature = "mqtt"))]
    fn agent(&self) -> String {
        self.user_agent.clone().unwrap_or_else(|| concat!("dps-client/", env!("CARGO_PKG_VERSION")).to_owned())
    }
}

#[cfg(any(feature = "http", feature = "mqtt"))]
fn tls(roots: &Roots) -> Result<std::sync::Arc<rustls::ClientConfig>, DpsError> {
    dps_net::client_config(roots).map_err(|error| DpsError::config(ErrorCode::InvalidCertificate, error.to_string()))
}

fn invalid(problem: impl std::fmt::Display) -> DpsError {
    DpsError::config(ErrorCode::InvalidOption, problem.to_string())
}
