//! A TLS connection to a host: names to addresses, TCP, a proxy's tunnel where there is one, TLS.
//!
//! Deadlines are the caller's: dropping the future closes what was opened. Nothing is sent in the clear but CONNECT to
//! a proxy.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use dps_core::LinkError;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::classify::{Classified, classify};
use crate::proxy::Proxy;
use crate::resolver::Resolver;

/// Bytes inside TLS.
pub type TlsStream = tokio_rustls::client::TlsStream<TcpStream>;

/// How long an address may take before the next one is tried.
const ADDRESS_LIMIT: Duration = Duration::from_secs(5);
/// No answer of a proxy to CONNECT is longer, in bytes.
const PROXY_HEAD_MAX: usize = 8 * 1024;

/// Opens TLS connections, through a proxy or straight.
#[derive(Clone, Debug)]
pub struct Dialer {
    tls: Arc<ClientConfig>,
    proxy: Option<Proxy>,
    resolver: Resolver,
}

impl Dialer {
    /// A dialer with this TLS configuration.
    #[must_use]
    pub fn new(tls: Arc<ClientConfig>, proxy: Option<Proxy>) -> Self {
        Self { tls, proxy, resolver: Resolver::default() }
    }

    /// Another resolver than the platform's. A proxy on the way resolves by itself, and its own name is the platform's.
    #[must_use]
    pub fn resolver(mut self, resolver: Resolver) -> Self {
        self.resolver = resolver;
        self
    }

    /// Connects to `host` on `port` and verifies its certificate.
    ///
    /// # Errors
    /// [`Classified`]: what it means to a registration, and in words what was behind it.
    pub async fn dial(&self, host: &str, port: u16) -> Result<TlsStream, Classified> {
        let name = server_name(host)?;
        let stream = match &self.proxy {
            Some(proxy) => open_tunnel(proxy, host, port).await?,
            None => connect(&self.resolver, host, port).await?,
        };
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        connector.connect(name, stream).await.map_err(|error| of_io(&error, LinkError::Tls))
    }
}

/// The name that the certificate has to bear.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, Classified> {
    ServerName::try_from(host.to_owned()).map_err(|error| found(LinkError::NameMismatch, format!("{host}: {error}")))
}

/// Tries one address after the other.
async fn connect(resolver: &Resolver, host: &str, port: u16) -> Result<TcpStream, Classified> {
    let addresses = resolver.resolve(host, port).await.map_err(|error| found(LinkError::Dns, error.to_string()))?;
    let mut failed = found(LinkError::Connect, format!("{host} has no address"));
    for (left, address) in addresses.iter().enumerate().map(|(index, address)| (addresses.len() - index - 1, address)) {
        // The last one may take as long as the caller waits.
        let limit = if left == 0 { Duration::MAX } else { ADDRESS_LIMIT };
        match tokio::time::timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Requests are small and wait for their answers.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => failed = of_io(&error, LinkError::Connect),
            Err(_) => failed = found(LinkError::Timeout, format!("{address} does not answer")),
        }
    }
    Err(failed)
}

/// Connects to the proxy and asks it for a tunnel to `host` on `port` (RFC 9110, section 9.3.6).
///
/// # Errors
/// [`Classified`] with `ProxyUnreachable`, or `ProxyRefused` and the status that the proxy answered with.
pub async fn open_tunnel(proxy: &Proxy, host: &str, port: u16) -> Result<TcpStream, Classified> {
    let unreachable =
        |failed: Classified| found(LinkError::ProxyUnreachable, format!("proxy {proxy}: {}", failed.detail));
    let mut stream = connect(&Resolver::default(), proxy.host(), proxy.port()).await.map_err(unreachable)?;
    let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut request = Zeroizing::new(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"));
    if let Some(authorization) = proxy.authorization() {
        request.push_str("Proxy-Authorization: ");
        request.push_str(&authorization);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    let cut = |error: io::Error| found(LinkError::ProxyUnreachable, format!("proxy {proxy}: {error}"));
    stream.write_all(request.as_bytes()).await.map_err(cut)?;
    match read_status(&mut stream).await.map_err(cut)? {
        Some(200..=299) => Ok(stream),
        Some(status) => {
            Err(found(LinkError::ProxyRefused { status: Some(status) }, format!("proxy {proxy} answered {status}")))
        }
        None => Err(found(LinkError::ProxyRefused { status: None }, format!("proxy {proxy} does not speak HTTP"))),
    }
}

/// The status of the proxy's answer; `None` when it is no HTTP. Reads to the end of the head and no further, since what
/// follows is the tunnel's.
async fn read_status(stream: &mut TcpStream) -> io::Result<Option<u16>> {
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= PROXY_HEAD_MAX {
            return Ok(None);
        }
        head.push(stream.read_u8().await?);
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    Ok(response.parse(&head).ok().and(response.code))
}

pub(crate) fn of_io(error: &io::Error, otherwise: LinkError) -> Classified {
    classify(error).unwrap_or_else(|| found(otherwise, error.to_string()))
}

fn found(error: LinkError, detail: String) -> Classified {
    Classified { error, detail }
}
