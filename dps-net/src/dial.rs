//! How every link reaches a server: names to addresses, TCP, a proxy's tunnel where there is one, TLS.
//!
//! Dropping a future closes what was opened. Nothing is sent in the clear but CONNECT to a proxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dps_core::LinkError;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::client_certificate::{CertificateUse, ClientIdentity, with_identity, without_identity};
use crate::error::NetError;
use crate::handshake_thread::HandshakeThread;
use crate::phase::{CurrentPhase, Phase};
use crate::proxy::Proxy;
use crate::resolver::Resolver;
use crate::tunnel::{self, proxy_failed};

/// Bytes inside TLS.
pub type TlsStream = tokio_rustls::client::TlsStream<TcpStream>;

/// How long a connection may take where nothing else is set.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(25);
/// How long an address may stay silent before the next one is tried as well (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(300);

/// How links reach a server: the TLS configuration, the proxy and the resolver. Every link is made from one.
#[derive(Clone, Debug)]
pub struct Dialer {
    tls: Arc<ClientConfig>,
    proxy: Option<Proxy>,
    resolver: Resolver,
    connect_timeout: Duration,
    phase: CurrentPhase,
    certificate: CertificateUse,
    handshakes: Option<HandshakeThread>,
}

impl Dialer {
    /// Returns a dialer with this TLS configuration that connects through `proxy`, or directly, and uses the platform's
    /// resolver.
    #[must_use]
    pub fn new(tls: Arc<ClientConfig>, proxy: Option<Proxy>) -> Self {
        let (resolver, phase, certificate) = (Resolver::default(), CurrentPhase::default(), CertificateUse::default());
        Self { tls, proxy, resolver, connect_timeout: CONNECT_TIMEOUT, phase, certificate, handshakes: None }
    }

    /// Uses this resolver for the server's name instead of the platform's. A proxy resolves that name by itself, and
    /// the proxy's own name is always resolved by the platform.
    #[must_use]
    pub fn resolver(mut self, resolver: Resolver) -> Self {
        self.resolver = resolver;
        self
    }

    /// Sets how long a connection may take once the name is resolved: TCP, the proxy's tunnel and the TLS handshake.
    /// Default: 25 s, which is less than a request may usually take, so that a failure names the phase that stalled.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the cell that shows which phase a dial is in; [`Phase::Reply`] once there is a connection.
    #[must_use]
    pub fn phase(mut self, phase: CurrentPhase) -> Self {
        self.phase = phase;
        self
    }

    /// Sets the cell that records what becomes of the device's certificate on each connection that is dialed.
    #[must_use]
    pub fn certificate_use(mut self, certificate: CertificateUse) -> Self {
        self.certificate = certificate;
        self
    }

    /// Makes connections on this thread: for a key that blocks while it signs.
    #[must_use]
    pub fn handshake_thread(mut self, thread: HandshakeThread) -> Self {
        self.handshakes = Some(thread);
        self
    }

    /// Presents this certificate to a server that asks for one in the handshake, as
    /// [`TlsOptions::identity`](crate::TlsOptions::identity) does for every dialer of a configuration.
    #[must_use]
    pub fn identity(mut self, identity: ClientIdentity) -> Self {
        self.tls = with_identity(&self.tls, identity);
        self
    }

    /// Presents no certificate, also where the TLS configuration has one: for requests without a credential.
    #[must_use]
    pub fn anonymous(mut self) -> Self {
        self.tls = without_identity(&self.tls);
        self
    }

    /// Returns the TLS configuration.
    #[must_use]
    pub fn tls(&self) -> &Arc<ClientConfig> {
        &self.tls
    }

    /// Returns how long a connection may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Returns the proxy.
    #[must_use]
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// Returns the thread on which connections are made, if it is not the caller's.
    #[must_use]
    pub fn handshakes(&self) -> Option<&HandshakeThread> {
        self.handshakes.as_ref()
    }

    /// Connects to `host` on `port` and verifies its certificate.
    ///
    /// # Errors
    /// [`NetError`] of the kind that a registration acts on; with a certificate of the device, pass it to
    /// [`CertificateUse::explain`].
    pub async fn dial(&self, host: &str, port: u16) -> Result<TlsStream, NetError> {
        self.certificate.begin();
        let name = server_name(host)?;
        let addresses = self.resolve(host, port).await?;
        let stream = match tokio::time::timeout(self.connect_timeout, self.open(name, addresses, host, port)).await {
            Ok(stream) => stream?,
            Err(_) => return Err(NetError::timeout(self.phase.get().unwrap_or(Phase::Connect))),
        };
        self.certificate.connected();
        self.phase.enter(Phase::Reply);
        Ok(stream)
    }

    /// Opens a connection to one of these addresses, on the thread for handshakes if there is one.
    async fn open(
        &self,
        name: ServerName<'static>,
        addresses: Vec<SocketAddr>,
        host: &str,
        port: u16,
    ) -> Result<TlsStream, NetError> {
        match &self.handshakes {
            None => self.shake_hands(name, &addresses, host, port).await,
            Some(thread) => {
                let (dialer, host) = (self.clone(), host.to_owned());
                thread.run(async move { dialer.shake_hands(name, &addresses, &host, port).await }).await
            }
        }
    }

    async fn shake_hands(
        &self,
        name: ServerName<'static>,
        addresses: &[SocketAddr],
        host: &str,
        port: u16,
    ) -> Result<TlsStream, NetError> {
        let stream = self.connect_to(addresses, host, port).await?;
        self.phase.enter(Phase::Tls);
        let connector = TlsConnector::from(self.watched_tls());
        connector.connect(name, stream).await.map_err(|error| NetError::from_error(error, LinkError::Tls))
    }

    /// The TLS configuration of one connection.
    fn watched_tls(&self) -> Arc<ClientConfig> {
        if !self.tls.client_auth_cert_resolver.has_certs() {
            return Arc::clone(&self.tls);
        }
        let mut tls = ClientConfig::clone(&self.tls);
        self.certificate.watch(&mut tls);
        Arc::new(tls)
    }

    /// Connects to `host` on `port` over TCP, through the proxy where there is one; no byte of TLS is sent.
    ///
    /// # Errors
    /// As [`Dialer::dial`].
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, NetError> {
        let addresses = self.resolve(host, port).await?;
        let connected = tokio::time::timeout(self.connect_timeout, self.connect_to(&addresses, host, port)).await;
        connected.unwrap_or_else(|_| Err(NetError::timeout(self.phase.get().unwrap_or(Phase::Connect))))
    }

    /// Returns the addresses that a connection to `host` on `port` is opened to: those of the proxy where there is one,
    /// else those of the host. Sets no time limit.
    ///
    /// # Errors
    /// [`NetError`] of kind `Dns`, or `ProxyUnreachable` when the proxy's name cannot be resolved.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, NetError> {
        self.phase.enter(Phase::NameResolution);
        match &self.proxy {
            Some(proxy) => resolve_proxy(proxy).await,
            None => self.resolver.resolve(host, port).await,
        }
    }

    async fn connect_to(&self, addresses: &[SocketAddr], host: &str, port: u16) -> Result<TcpStream, NetError> {
        self.phase.enter(if self.proxy.is_some() { Phase::Proxy } else { Phase::Connect });
        match &self.proxy {
            Some(proxy) => connect_through(proxy, addresses, host, port).await,
            None => connect(addresses).await,
        }
    }
}

/// Returns the name that the certificate must have.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, NetError> {
    ServerName::try_from(host.to_owned())
        .map_err(|error| NetError::new(LinkError::NameMismatch, format!("{host}: {error}")).with_source(error))
}

/// Connects to the proxy and asks it for a tunnel to `host` on `port` (RFC 9110, section 9.3.6). Sets no time limit.
///
/// # Errors
/// [`NetError`] with `ProxyUnreachable`, or `ProxyRefused` and the status that the proxy answered with.
pub async fn open_tunnel(proxy: &Proxy, host: &str, port: u16) -> Result<TcpStream, NetError> {
    connect_through(proxy, &resolve_proxy(proxy).await?, host, port).await
}

async fn resolve_proxy(proxy: &Proxy) -> Result<Vec<SocketAddr>, NetError> {
    let addresses = Resolver::default().resolve(proxy.host(), proxy.port()).await;
    addresses.map_err(|failed| proxy_failed(proxy, failed))
}

async fn connect_through(
    proxy: &Proxy,
    addresses: &[SocketAddr],
    host: &str,
    port: u16,
) -> Result<TcpStream, NetError> {
    let stream = connect(addresses).await.map_err(|failed| proxy_failed(proxy, failed))?;
    tunnel::open(proxy, stream, host, port).await
}

/// Connects to the first of these addresses that answers. The next one is tried when the one before it has failed, or has
/// been silent for [`ATTEMPT_DELAY`]; the first connection ends the other attempts.
async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, NetError> {
    let mut failed = NetError::new(LinkError::Connect, "there is no address to connect to");
    let mut attempts = JoinSet::new();
    let mut left = addresses.iter();
    loop {
        if let Some(address) = left.next() {
            attempts.spawn(TcpStream::connect(*address));
        }
        // The last ones may take as long as the caller waits.
        let delay = if left.len() == 0 { Duration::MAX } else { ATTEMPT_DELAY };
        match tokio::time::timeout(delay, attempts.join_next()).await {
            Ok(Some(Ok(Ok(stream)))) => {
                // Requests are small and wait for their answers.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Some(Ok(Err(error)))) => failed = NetError::from_error(error, LinkError::Connect),
            Ok(Some(Err(stopped))) => failed = NetError::from_error(stopped, LinkError::Connect),
            Ok(None) => return Err(failed),
            Err(_) => {}
        }
    }
}
