//! A TLS connection to a host: names to addresses, TCP, a proxy's tunnel where there is one, TLS.
//!
//! Deadlines are the caller's: dropping the future closes what was opened. Nothing is sent in the clear but CONNECT to
//! a proxy.

use std::sync::Arc;
use std::time::Duration;

use dps_core::LinkError;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::NetError;
use crate::phase::{CurrentPhase, Phase};
use crate::proxy::Proxy;
use crate::resolver::Resolver;
use crate::tunnel::open_tunnel_in;

/// Bytes inside TLS.
pub type TlsStream = tokio_rustls::client::TlsStream<TcpStream>;

/// How long an address may take before the next one is tried.
const ADDRESS_LIMIT: Duration = Duration::from_secs(5);

/// Opens TLS connections, through a proxy or straight.
#[derive(Clone, Debug)]
pub struct Dialer {
    tls: Arc<ClientConfig>,
    proxy: Option<Proxy>,
    resolver: Resolver,
    phase: CurrentPhase,
}

impl Dialer {
    /// A dialer with this TLS configuration.
    #[must_use]
    pub fn new(tls: Arc<ClientConfig>, proxy: Option<Proxy>) -> Self {
        Self { tls, proxy, resolver: Resolver::default(), phase: CurrentPhase::default() }
    }

    /// Another resolver than the platform's. A proxy on the way resolves by itself, and its own name is the platform's.
    #[must_use]
    pub fn resolver(mut self, resolver: Resolver) -> Self {
        self.resolver = resolver;
        self
    }

    /// Where to write which phase a dial is in. It is [`Phase::Reply`] once there is a connection.
    #[must_use]
    pub fn phase(mut self, phase: CurrentPhase) -> Self {
        self.phase = phase;
        self
    }

    /// Connects to `host` on `port` and verifies its certificate.
    ///
    /// # Errors
    /// [`NetError`]: what it means to a registration, and in words what was behind it.
    pub async fn dial(&self, host: &str, port: u16) -> Result<TlsStream, NetError> {
        let name = server_name(host)?;
        let stream = match &self.proxy {
            Some(proxy) => open_tunnel_in(proxy, host, port, &self.phase).await?,
            None => connect(&self.resolver, host, port, Phase::Connect, &self.phase).await?,
        };
        self.phase.enter(Phase::Tls);
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let stream =
            connector.connect(name, stream).await.map_err(|error| NetError::from_error(error, LinkError::Tls))?;
        self.phase.enter(Phase::Reply);
        Ok(stream)
    }
}

/// The name that the certificate has to bear.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, NetError> {
    ServerName::try_from(host.to_owned())
        .map_err(|error| NetError::new(LinkError::NameMismatch, format!("{host}: {error}")).with_source(error))
}

/// Tries one address after the other, in phase `to`.
pub(crate) async fn connect(
    resolver: &Resolver,
    host: &str,
    port: u16,
    to: Phase,
    phase: &CurrentPhase,
) -> Result<TcpStream, NetError> {
    phase.enter(Phase::NameResolution);
    let addresses = resolver.resolve(host, port).await?;
    phase.enter(to);
    let mut failed = NetError::new(LinkError::Connect, format!("{host} has no address"));
    for (left, address) in addresses.iter().enumerate().map(|(index, address)| (addresses.len() - index - 1, address)) {
        // The last one may take as long as the caller waits.
        let limit = if left == 0 { Duration::MAX } else { ADDRESS_LIMIT };
        match tokio::time::timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Requests are small and wait for their answers.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => failed = NetError::from_error(error, LinkError::Connect),
            Err(_) => failed = NetError::new(LinkError::Timeout, format!("{address} does not answer")),
        }
    }
    Err(failed)
}
