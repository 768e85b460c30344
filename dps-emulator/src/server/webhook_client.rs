//! Calls of allocation webhooks over the network.
//!
//! A webhook is named by whoever can write enrollments, so that a call must not reach what that person cannot: only
//! loopback, and hosts that the one who runs the emulator has named. The addresses of a host are checked, and the
//! connection is made to a checked address, without another lookup. There are no redirects and no proxies.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fmt, io};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST};
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::webhook::{WEBHOOK_REPLY_MAX, WebhookError, WebhookReply, WebhookUrl};
use crate::x509::provider;

/// The largest head of a reply, in bytes.
const HEAD_MAX: usize = 32 * 1024;
/// What `localhost` always is (RFC 6761, section 6.3).
const LOCALHOST: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
/// How many addresses of a host are tried.
const ADDRESSES_MAX: usize = 8;

/// Which webhooks may be called, and how they are trusted.
#[derive(Debug, Clone, Default)]
pub struct WebhookOptions {
    hosts: Vec<String>,
    roots_pem: Option<String>,
    any_https_host: bool,
}

impl WebhookOptions {
    /// Loopback only, over HTTP or HTTPS; for HTTPS the platform's certificate authorities.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows the webhooks of one more host, a name or an IP address as the URL has it, over plain HTTP too. Repeatable.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        let host = host.into();
        let bare = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(&host);
        self.hosts.push(bare.to_owned());
        self
    }

    /// Trusts these certificate authorities, in PEM, instead of the platform's.
    #[must_use]
    pub fn roots_pem(mut self, pem: impl Into<String>) -> Self {
        self.roots_pem = Some(pem.into());
        self
    }

    /// The options that differ from their defaults, as a configuration has them.
    pub(super) fn configuration(&self) -> Map<String, Value> {
        let hosts = (!self.hosts.is_empty()).then(|| ("hosts", Value::from(self.hosts.clone())));
        let ca = self.roots_pem.clone().map(|pem| ("ca", Value::from(pem)));
        hosts.into_iter().chain(ca).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Allows every host over HTTPS: for a caller whose user has written the URL.
    #[must_use]
    pub fn any_https_host(mut self) -> Self {
        self.any_https_host = true;
        self
    }
}

/// The certificate authorities for webhooks cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate authorities for webhooks cannot be used: {0}")]
pub struct WebhookRootsError(String);

/// Calls allocation webhooks. Clones share their settings.
#[derive(Clone)]
pub struct WebhookClient(Arc<Settings>);

struct Settings {
    options: WebhookOptions,
    roots: Option<RootCertStore>,
    /// Reading the platform's authorities takes a while, and plain HTTP needs none.
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl WebhookClient {
    /// Creates a client.
    ///
    /// # Errors
    /// [`WebhookRootsError`] if the certificate authorities of the options are not valid PEM.
    pub fn new(options: WebhookOptions) -> Result<Self, WebhookRootsError> {
        let roots = options.roots_pem.as_deref().map(read_roots).transpose()?;
        Ok(Self(Arc::new(Settings { options, roots, tls: OnceLock::new() })))
    }

    /// Sends the request body to the webhook, and returns its reply within the time limit, however slowly the webhook sends.
    /// Must be called inside a tokio runtime whose network and time drivers are enabled.
    ///
    /// # Errors
    /// [`WebhookError`] if the URL must not be called, or no complete reply arrived in time.
    pub async fn post(&self, url: &WebhookUrl, body: Vec<u8>, limit: Duration) -> Result<WebhookReply, WebhookError> {
        let limit_ms = limit.as_millis() as u64;
        let called = tokio::time::timeout(limit, self.call(url, body)).await;
        called.unwrap_or(Err(WebhookError::TimedOut { limit_ms }))
    }

    async fn call(&self, url: &WebhookUrl, body: Vec<u8>) -> Result<WebhookReply, WebhookError> {
        let trust = self.trust(url)?;
        let addresses = resolve(url, trust).await?;
        let tcp = connect(&addresses).await?;
        // A request in one piece must not wait for an acknowledgement; a socket that refuses the option still works.
        let _ = tcp.set_nodelay(true);
        if !url.is_https() {
            return exchange(tcp, url, body).await;
        }
        let failed = |problem: String| WebhookError::Tls { problem };
        let config = self.0.tls.get_or_init(|| self.0.client_config()).clone().map_err(failed)?;
        let name = ServerName::try_from(url.host().to_owned()).map_err(|error| failed(error.to_string()))?;
        let tls = TlsConnector::from(config).connect(name, tcp).await.map_err(|error| failed(error.to_string()))?;
        exchange(tls, url, body).await
    }

    /// How far the addresses of the URL's host are trusted, if it may be called at all. Resolves no name.
    fn trust(&self, url: &WebhookUrl) -> Result<Trust, WebhookError> {
        let host = url.host();
        let options = &self.0.options;
        let address = host.parse::<IpAddr>().ok();
        let is_local = match address {
            Some(address) => address.to_canonical().is_loopback(),
            None => host.eq_ignore_ascii_case("localhost"),
        };
        if options.hosts.iter().any(|named| named.eq_ignore_ascii_case(host)) {
            return Ok(if address.is_some() { Trust::Address } else { Trust::Named });
        }
        if is_local {
            return Ok(Trust::Loopback);
        }
        if options.any_https_host && url.is_https() {
            return Ok(Trust::Named);
        }
        Err(WebhookError::HostNotAllowed { host: host.to_owned() })
    }
}

impl fmt::Debug for WebhookClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookClient").field("hosts", &self.0.options.hosts).finish_non_exhaustive()
    }
}

/// How far the addresses of a host are trusted.
#[derive(Clone, Copy)]
enum Trust {
    /// Loopback addresses only.
    Loopback,
    /// The host was named: every address but those that no webhook can have, among them link-local ones, where clouds
    /// serve credentials of the machine.
    Named,
    /// The address itself was named.
    Address,
}

impl Trust {
    fn allows(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match (self, address) {
            (Self::Loopback, _) => address.is_loopback(),
            (Self::Address, _) => true,
            (Self::Named, IpAddr::V4(v4)) => {
                !v4.is_unspecified() && !v4.is_link_local() && !v4.is_multicast() && !v4.is_broadcast()
            }
            (Self::Named, IpAddr::V6(v6)) => !v6.is_unspecified() && !v6.is_unicast_link_local() && !v6.is_multicast(),
        }
    }
}

/// The addresses of the host, all of which are allowed.
async fn resolve(url: &WebhookUrl, trust: Trust) -> Result<Vec<SocketAddr>, WebhookError> {
    let (host, port) = (url.host(), url.port());
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) if host.eq_ignore_ascii_case("localhost") => LOCALHOST.map(|ip| SocketAddr::new(ip, port)).to_vec(),
        Err(_) => look_up(host.to_owned(), port)
            .await
            .map_err(|error| WebhookError::Unresolved { host: host.to_owned(), problem: error.to_string() })?,
    };
    match addresses.iter().find(|address| !trust.allows(address.ip())) {
        Some(address) => Err(WebhookError::AddressNotAllowed { host: host.to_owned(), address: address.ip() }),
        None if addresses.is_empty() => {
            Err(WebhookError::Unresolved { host: host.to_owned(), problem: "it has no address".into() })
        }
        None => Ok(addresses),
    }
}

/// Asks the operating system, on a thread of its own: a runtime that is dropped would wait for one of its own threads.
async fn look_up(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let resolve = move || {
        let found = (host.as_str(), port).to_socket_addrs();
        // Nobody waits any more once the time limit has passed.
        let _ = sender.send(found.map(|addresses| addresses.take(ADDRESSES_MAX).collect()));
    };
    std::thread::Builder::new().name("dps-webhook-dns".into()).spawn(resolve)?;
    receiver.await.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))
}

/// Connects to the first address that accepts.
async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, WebhookError> {
    let mut problem = String::new();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => problem = format!("cannot connect to {address}: {error}"),
        }
    }
    Err(WebhookError::Connection { problem })
}

/// One request on its own connection.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &WebhookUrl,
    body: Vec<u8>,
) -> Result<WebhookReply, WebhookError> {
    let request = Request::post(url.expose_target().as_str())
        .header(HOST, url.authority())
        .header(CONTENT_TYPE, "application/json; charset=utf-8")
        .header(CONNECTION, "close")
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| WebhookError::Connection { problem: "the path of its URL cannot be sent".into() })?;
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD_MAX).handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let replied = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        read_reply(response).await
    };
    tokio::pin!(replied, connection);
    // The connection ends with this future: nothing of it continues after the time limit.
    tokio::select! {
        biased;
        reply = &mut replied => reply,
        ended = &mut connection => match ended {
            // What has arrived is still read.
            Ok(()) => replied.await,
            Err(error) => Err(failed(error)),
        },
    }
}

async fn read_reply(response: Response<Incoming>) -> Result<WebhookReply, WebhookError> {
    let status = response.status().as_u16();
    // Of another status only the number counts.
    if status != 200 {
        return Ok(WebhookReply { status, body: Vec::new() });
    }
    let (mut incoming, mut body) = (response.into_body(), Vec::new());
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.map_err(failed)?.into_data() else { continue };
        if body.len() + data.len() > WEBHOOK_REPLY_MAX {
            return Err(WebhookError::ReplyTooLarge);
        }
        body.extend_from_slice(&data);
    }
    Ok(WebhookReply { status, body })
}

fn failed(error: hyper::Error) -> WebhookError {
    if error.is_parse() {
        return WebhookError::InvalidReply;
    }
    WebhookError::Connection { problem: error.to_string() }
}

impl Settings {
    fn client_config(&self) -> Result<Arc<ClientConfig>, String> {
        let verifier: Arc<dyn ServerCertVerifier> = match &self.roots {
            Some(roots) => WebPkiServerVerifier::builder_with_provider(Arc::new(roots.clone()), provider())
                .build()
                .map_err(|error| error.to_string())?,
            None => Arc::new(Verifier::new(provider()).map_err(|error| {
                format!("the platform's certificate authorities cannot be used ({error}); name a file with them")
            })?),
        };
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        // rustls calls every supplied verifier dangerous; these are its own and the platform's.
        let builder = builder.map_err(|error| error.to_string())?.dangerous();
        let mut config = builder.with_custom_certificate_verifier(verifier).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn read_roots(pem: &str) -> Result<RootCertStore, WebhookRootsError> {
    let mut roots = RootCertStore::empty();
    for (at, certificate) in CertificateDer::pem_slice_iter(pem.as_bytes()).enumerate() {
        let damaged = || WebhookRootsError(format!("certificate {} is damaged", at + 1));
        roots.add(certificate.map_err(|_| damaged())?).map_err(|_| damaged())?;
    }
    if roots.is_empty() {
        return Err(WebhookRootsError("the PEM has no certificate (-----BEGIN CERTIFICATE-----)".into()));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_host_may_have_any_address_but_those_that_no_webhook_has() {
        for (address, named, loopback) in [
            ("127.0.0.1", true, true),
            ("::1", true, true),
            ("::ffff:127.0.0.1", true, true),
            ("10.0.0.7", true, false),
            ("2001:db8::7", true, false),
            ("fd00::7", true, false),
            ("169.254.169.254", false, false),
            ("::ffff:169.254.169.254", false, false),
            ("fe80::1", false, false),
            ("0.0.0.0", false, false),
            ("::", false, false),
            ("255.255.255.255", false, false),
            ("224.0.0.1", false, false),
            ("ff02::1", false, false),
        ] {
            let parsed = address.parse().unwrap();
            assert_eq!((Trust::Named.allows(parsed), Trust::Loopback.allows(parsed)), (named, loopback), "{address}");
            assert!(Trust::Address.allows(parsed), "the address itself was named");
        }
    }
}
