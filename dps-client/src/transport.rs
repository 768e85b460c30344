//! Registering over HTTPS or MQTT: the transports, their options, and what links are made of.

#[cfg(all(feature = "http", feature = "mqtt"))]
use std::num::NonZeroU16;
use std::time::{Duration, SystemTime};

use dps_core::ErrorCode;
use dps_net::{Dialer, ProxyChoice, Resolver, Roots, TlsOptions};

use crate::carrier::Carrier;
#[cfg(all(feature = "http", feature = "mqtt"))]
use crate::carrier::TimeSource;
use crate::clock::Clock;
use crate::error::DpsError;
use crate::names::Endpoint;

/// How much of a request's time is left for its reply, where that sets how long connecting may take.
const REPLY_TIME: Duration = Duration::from_secs(5);

/// What a device registers over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// HTTPS, port 443. It can look up a registration, and it learns the service's time.
    #[cfg(feature = "http")]
    #[default]
    Https,
    /// MQTT over TLS, port 8883.
    #[cfg(feature = "mqtt")]
    #[cfg_attr(not(feature = "http"), default)]
    Mqtt,
    /// MQTT over WebSocket, port 443.
    #[cfg(feature = "mqtt")]
    MqttWebSocket,
}

/// The options that only a transport can honor; a custom link cannot.
#[derive(Default)]
pub(crate) struct TransportOptions {
    pub(crate) transport: Option<Transport>,
    pub(crate) roots: Option<Roots>,
    pub(crate) proxy: Option<ProxyChoice>,
    pub(crate) resolver: Option<Resolver>,
    pub(crate) api_version: Option<String>,
    pub(crate) user_agent: Option<String>,
    #[cfg(feature = "mqtt")]
    pub(crate) pipelined: bool,
    #[cfg(feature = "mqtt")]
    pub(crate) keep_alive: Option<Duration>,
    #[cfg(all(feature = "http", feature = "mqtt"))]
    pub(crate) service_time_port: Option<u16>,
}

impl TransportOptions {
    /// Returns the name of an option that was set.
    pub(crate) fn first_set(&self) -> Option<&'static str> {
        let set = [
            ("transport", self.transport.is_some()),
            ("roots", self.roots.is_some()),
            ("proxy", self.proxy.is_some()),
            ("resolver", self.resolver.is_some()),
            ("api_version", self.api_version.is_some()),
            ("user_agent", self.user_agent.is_some()),
            #[cfg(feature = "mqtt")]
            ("pipelined", self.pipelined),
            #[cfg(feature = "mqtt")]
            ("keep_alive", self.keep_alive.is_some()),
            #[cfg(all(feature = "http", feature = "mqtt"))]
            ("service_time_port", self.service_time_port.is_some()),
        ];
        set.into_iter().find_map(|(option, set)| set.then_some(option))
    }

    /// Sets the API version that was chosen.
    pub(crate) fn with_api_version(self, api_version: Option<String>) -> Self {
        Self { api_version, ..self }
    }

    /// Checks the options. Links check theirs when they are made; each registration makes its own.
    pub(crate) fn carrier(
        mut self,
        endpoint: &Endpoint,
        clock: &Clock,
        request_timeout: Duration,
    ) -> Result<Carrier, DpsError> {
        let proxy = self.proxy.take().unwrap_or_default().for_host(endpoint.host())?;
        if let Some(proxy) = &proxy {
            tracing::info!(%proxy, "connections go through a proxy");
        }
        let tls = tls(self.roots.take().unwrap_or_else(Roots::platform), clock.clone());
        let tls = tls.client_config().map_err(|error| DpsError::refused(ErrorCode::InvalidCertificate, error))?;
        let dialer = Dialer::new(tls, proxy).resolver(self.resolver.take().unwrap_or_default());
        let connect_timeout = dialer.timeout().max(request_timeout.saturating_sub(REPLY_TIME));
        let route = Route {
            dialer: Box::new(dialer.connect_timeout(connect_timeout)),
            #[cfg(all(feature = "http", feature = "mqtt"))]
            endpoint: endpoint.clone(),
            agent: self
                .user_agent
                .take()
                .unwrap_or_else(|| concat!("dps-client/", env!("CARGO_PKG_VERSION")).to_owned()),
        };
        match self.transport.unwrap_or_default() {
            #[cfg(feature = "http")]
            Transport::Https => self.http(route),
            #[cfg(feature = "mqtt")]
            Transport::Mqtt => self.mqtt(route, dps_mqtt::Framing::Tcp),
            #[cfg(feature = "mqtt")]
            Transport::MqttWebSocket => self.mqtt(route, dps_mqtt::Framing::WebSocket),
        }
    }

    /// The service does not offer TPM attestation over MQTT (Azure IoT DPS documentation, "Communicate with your DPS using the
    /// MQTT protocol").
    #[cfg(feature = "tpm")]
    pub(crate) fn refuse_tpm_without_https(&self) -> Result<(), DpsError> {
        match self.transport.unwrap_or_default() {
            #[cfg(feature = "mqtt")]
            Transport::Mqtt | Transport::MqttWebSocket => {
                let message = "a device with a TPM registers over HTTPS only, since the service does not offer TPM attestation \
                               over MQTT: set the transport to HTTPS (feature `http`)";
                Err(DpsError::config(ErrorCode::UnsupportedByTransport, message.to_owned()))
            }
            #[cfg(feature = "http")]
            Transport::Https => Ok(()),
        }
    }

    #[cfg(feature = "http")]
    fn http(self, route: Route) -> Result<Carrier, DpsError> {
        #[cfg(feature = "mqtt")]
        self.refuse_options_of_mqtt()?;
        let mut options = dps_http::HttpOptions::default().user_agent(route.agent);
        if let Some(version) = self.api_version {
            options = options.api_version(version);
        }
        dps_http::HttpLink::new((*route.dialer).clone(), options.clone()).map_err(DpsError::refused_option)?;
        Ok(Carrier::Http { dialer: route.dialer, options })
    }

    #[cfg(all(feature = "http", feature = "mqtt"))]
    fn refuse_options_of_mqtt(&self) -> Result<(), DpsError> {
        let problem = if self.pipelined {
            "only MQTT can be pipelined: choose it as the transport, or leave the option out"
        } else if self.keep_alive.is_some() {
            "only MQTT has a keep-alive: choose it as the transport, or leave the option out"
        } else if self.service_time_port.is_some() {
            "HTTPS carries the service's time: leave its port out, or choose MQTT as the transport"
        } else {
            return Ok(());
        };
        Err(DpsError::config(ErrorCode::InvalidOption, problem.to_owned()))
    }

    #[cfg(feature = "mqtt")]
    fn mqtt(self, route: Route, framing: dps_mqtt::Framing) -> Result<Carrier, DpsError> {
        #[cfg(feature = "http")]
        let time = Box::new(route.time_source(self.service_time_port)?);
        let mut options =
            dps_mqtt::MqttOptions::default().framing(framing).pipelined(self.pipelined).user_agent(route.agent);
        if let Some(version) = self.api_version {
            options = options.api_version(version);
        }
        if let Some(keep_alive) = self.keep_alive {
            options = options.keep_alive(keep_alive);
        }
        dps_mqtt::MqttLink::new((*route.dialer).clone(), options.clone()).map_err(DpsError::refused_option)?;
        Ok(Carrier::Mqtt {
            dialer: route.dialer,
            options,
            #[cfg(feature = "http")]
            time,
        })
    }
}

/// How the service is reached, whatever the transport.
struct Route {
    dialer: Box<Dialer>,
    #[cfg(all(feature = "http", feature = "mqtt"))]
    endpoint: Endpoint,
    agent: String,
}

#[cfg(all(feature = "http", feature = "mqtt"))]
impl Route {
    fn time_source(&self, port: Option<u16>) -> Result<TimeSource, DpsError> {
        let port = NonZeroU16::new(port.unwrap_or(dps_core::codec::http::DEFAULT_PORT)).ok_or_else(|| {
            DpsError::config(ErrorCode::InvalidOption, "the port of the service's time cannot be zero".to_owned())
        })?;
        let options = dps_http::HttpOptions::default().user_agent(self.agent.clone());
        dps_http::HttpLink::new((*self.dialer).clone(), options.clone()).map_err(DpsError::refused_option)?;
        let dialer = Box::new((*self.dialer).clone().anonymous());
        Ok(TimeSource { dialer, options, endpoint: self.endpoint.with_port(port) })
    }
}

/// TLS that checks certificates by the client's clock, or by the system's while that one does not know the time.
pub(crate) fn tls(roots: Roots, clock: Clock) -> TlsOptions {
    TlsOptions::new(roots).clock(move || clock.now().unwrap_or_else(SystemTime::now))
}
