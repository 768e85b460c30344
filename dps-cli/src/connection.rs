//! Where the service is and how it is reached, from the words of the command line. Files are read, nothing is sent.

use std::time::Duration;

use dps_client::{Endpoint, ProvisioningClient, ProvisioningClientBuilder, ProxyChoice, Resolver, Roots};
use dps_core::codec::{http, mqtt};

use crate::args::{ConnectionArgs, TransportName};
use crate::failure::Result;
use crate::{proxy, trust};

/// The way to the service.
pub(crate) struct Connection {
    endpoint: Endpoint,
    pub(crate) roots: Roots,
    pub(crate) proxy: ProxyChoice,
    pub(crate) resolver: Resolver,
    pub(crate) transport: TransportName,
    pub(crate) timeout: Duration,
    time_port: Option<u16>,
}

impl Connection {
    /// Checks the endpoint, then reads certificates and the proxy's password. Blocks while it reads.
    pub(crate) fn read(args: &ConnectionArgs) -> Result<Self> {
        let endpoint = args.endpoint.as_deref().map(str::parse).transpose()?.unwrap_or_default();
        Ok(Self {
            endpoint,
            roots: trust::roots(&args.trust)?,
            proxy: proxy::choice(&args.proxy)?,
            resolver: Resolver::new(args.resolve.overrides.iter().cloned()),
            transport: args.transport,
            timeout: args.timeout,
            time_port: args.time_port,
        })
    }

    /// A client that goes this way, without an identity yet.
    pub(crate) fn builder(&self) -> ProvisioningClientBuilder {
        let builder = match self.time_port {
            Some(port) => ProvisioningClient::builder().service_time_port(port),
            None => ProvisioningClient::builder(),
        };
        builder
            .endpoint(&self.endpoint)
            .roots(self.roots.clone())
            .proxy(self.proxy.clone())
            .resolver(self.resolver.clone())
            .transport(self.transport.transport())
            .timeout(self.timeout)
            .user_agent(concat!("dps/", env!("CARGO_PKG_VERSION")))
    }

    /// The service's host name or address.
    pub(crate) fn host(&self) -> &str {
        self.endpoint.host()
    }

    /// The port that the transport dials.
    pub(crate) fn port(&self) -> u16 {
        self.endpoint.port().unwrap_or(match self.transport {
            TransportName::Https => http::DEFAULT_PORT,
            TransportName::Mqtt => mqtt::DEFAULT_PORT,
            TransportName::MqttWs => mqtt::WEBSOCKET_PORT,
        })
    }

    /// Host and port, as a client connects to them.
    pub(crate) fn endpoint(&self) -> String {
        let host = self.host();
        if host.contains(':') { format!("[{host}]:{}", self.port()) } else { format!("{host}:{}", self.port()) }
    }
}
