//! Over what a client talks to the service; makes a link for each registration.

#[cfg(all(feature = "http", feature = "mqtt"))]
use std::num::NonZeroU16;

use dps_core::ErrorCode;
use dps_net::{Proxy, Resolver, Roots};

use crate::error::DpsError;
use crate::link::{ClientLink, OwnLink};
use crate::names::Endpoint;

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
        #[cfg(feature = "http")]
        time: Box<TimeSource>,
    },
    Own(OwnLink),
}

/// Where MQTT, which carries no time, asks for it.
#[cfg(all(feature = "http", feature = "mqtt"))]
#[derive(Clone, Debug)]
pub(crate) struct TimeSource {
    tls: std::sync::Arc<rustls::ClientConfig>,
    options: dps_http::HttpOptions,
    endpoint: Endpoint,
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
    pub(crate) endpoint: Endpoint,
    pub(crate) api_version: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) correct_clock: bool,
    /// The port of HTTPS at the host, for transports that carry no time.
    pub(crate) service_time_port: Option<u16>,
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
        if choices.service_time_port.is_some() {
            return Err(invalid(
                "HTTPS carries the service's time: leave its port out, or choose MQTT as the transport",
            ));
        }
        let tls = tls(&choices.roots)?;
        let mut options = choices.http_options(choices.endpoint.port().unwrap_or(dps_core::codec::http::DEFAULT_PORT));
        if let Some(version) = choices.api_version {
            options = options.api_version(version);
        }
        dps_http::HttpLink::new(tls.clone(), options.clone()).map_err(refused)?;
        Ok(Self::Http { tls, options })
    }

    #[cfg(feature = "mqtt")]
    fn mqtt(choices: Choices) -> Result<Self, DpsError> {
        if cfg!(not(feature = "http")) && (choices.correct_clock || choices.service_time_port.is_some()) {
            return Err(invalid(
                "MQTT carries no time, and this build has no HTTPS to ask for it: turn on the feature `http`, or do \
                 without clock correction",
            ));
        }
        let tls = tls(&choices.roots)?;
        #[cfg(feature = "http")]
        let time = Box::new(TimeSource::new(tls.clone(), &choices)?);
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
        let dialer = dps_net::Dialer::new(tls, choices.proxy).resolver(choices.resolver);
        dps_mqtt::MqttLink::new(dialer.clone(), options.clone()).map_err(refused)?;
        Ok(Self::Mqtt {
            dialer,
            options,
            #[cfg(feature = "http")]
            time,
        })
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
                Ok(ClientLink::Http(Box::new(link.map_err(refused)?)))
            }
            #[cfg(feature = "mqtt")]
            Self::Mqtt { dialer, options, .. } => {
                let link = dps_mqtt::MqttLink::new(dialer.clone(), options.clone());
                Ok(ClientLink::Mqtt(Box::new(link.map_err(refused)?)))
            }
            Self::Own(link) => Ok(link.lend().await),
        }
    }

    /// A link that can ask for the service's time, and where. `own` is the service's endpoint.
    ///
    /// # Errors
    /// `unsupported-by-transport` with the reason, where nothing here can ask.
    #[cfg(feature = "http")]
    pub(crate) fn time_link<'a>(&'a self, own: &'a Endpoint) -> Result<(dps_http::HttpLink, &'a Endpoint), DpsError> {
        let (tls, options, endpoint) = match self {
            Self::Http { tls, options } => (tls, options, own),
            #[cfg(feature = "mqtt")]
            Self::Mqtt { time, .. } => (&time.tls, &time.options, &time.endpoint),
            Self::Own(_) => return Err(no_time("a custom link reaches the service by its own means")),
        };
        Ok((dps_http::HttpLink::new(tls.clone(), options.clone()).map_err(refused)?, endpoint))
    }

    /// Whether it carries the service's time by itself, or is not for us to say.
    pub(crate) fn carries_time(&self) -> bool {
        self.can_look_up()
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

#[cfg(all(feature = "http", feature = "mqtt"))]
impl TimeSource {
    fn new(tls: std::sync::Arc<rustls::ClientConfig>, choices: &Choices) -> Result<Self, DpsError> {
        let port = choices.service_time_port.unwrap_or(dps_core::codec::http::DEFAULT_PORT);
        let port = NonZeroU16::new(port).ok_or_else(|| invalid("the port of the service's time cannot be zero"))?;
        let options = choices.http_options(port.get());
        dps_http::HttpLink::new(tls.clone(), options.clone()).map_err(refused)?;
        Ok(Self { tls, options, endpoint: choices.endpoint.with_port(port) })
    }
}

impl Choices {
    /// How to reach a port of the service over HTTPS.
    #[cfg(feature = "http")]
    fn http_options(&self, port: u16) -> dps_http::HttpOptions {
        let options = dps_http::HttpOptions::default().user_agent(self.agent()).proxy(self.proxy.clone());
        let host = self.endpoint.host();
        match self.resolver.overridden(host, port) {
            Some(addresses) => options.addresses_of(host.to_owned(), addresses),
            None => options,
        }
    }

    #[cfg(any(feature = "http", feature = "mqtt"))]
    fn agent(&self) -> String {
        self.user_agent.clone().unwrap_or_else(|| concat!("dps-client/", env!("CARGO_PKG_VERSION")).to_owned())
    }
}

#[cfg(any(feature = "http", feature = "mqtt"))]
fn tls(roots: &Roots) -> Result<std::sync::Arc<rustls::ClientConfig>, DpsError> {
    dps_net::TlsOptions::new(roots.clone())
        .client_config()
        .map_err(|error| DpsError::refused(ErrorCode::InvalidCertificate, error))
}

/// Why the service's time cannot be asked for.
pub(crate) fn no_time(reason: &str) -> DpsError {
    DpsError::config(ErrorCode::UnsupportedByTransport, format!("the service's time cannot be asked for: {reason}"))
}

fn invalid(problem: &str) -> DpsError {
    DpsError::config(ErrorCode::InvalidOption, problem.to_owned())
}

/// An option that a link refused.
#[cfg(any(feature = "http", feature = "mqtt"))]
fn refused(error: impl std::error::Error + Send + Sync + 'static) -> DpsError {
    DpsError::refused(ErrorCode::InvalidOption, error)
}
