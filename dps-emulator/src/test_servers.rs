//! Servers for the tests of this workspace: TLS with a self-signed certificate, and an HTTP proxy. They are here since a
//! published crate's tests can use only published crates; they are no part of the API and panic when something is wrong.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::x509::provider;

/// The TLS of a server named `localhost`, with a self-signed certificate.
#[derive(Clone)]
pub struct SelfSigned {
    acceptor: TlsAcceptor,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl SelfSigned {
    /// A certificate that is valid for the lifetime of any test.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "each call generates another key")]
    pub fn new() -> Self {
        Self::valid_in(1975, 4096)
    }

    /// A certificate that is valid from the first day of the year `from` to the first day of the year `to`.
    #[must_use]
    pub fn valid_in(from: i32, to: i32) -> Self {
        let mut params = CertificateParams::new(vec!["localhost".into()]).expect("the name is valid");
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        let key = KeyPair::generate().expect("keys can be generated");
        let certificate = params.self_signed(&key).expect("the parameters are valid");
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], private)
            })
            .expect("key and certificate match");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self { acceptor, pem: certificate.pem(), certificate: certificate.der().clone() }
    }

    /// The certificate, for the client's roots.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The certificate's DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }

    /// The server's side of a handshake.
    ///
    /// # Errors
    /// Those of the handshake.
    pub async fn accept(&self, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(tcp).await
    }
}

/// An HTTP proxy on loopback that opens tunnels, or does not.
pub mod proxy_server {
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
    use tokio::net::{TcpListener, TcpStream};

    /// How the proxy handles requests.
    #[derive(Clone, Copy)]
    pub enum Manner {
        /// Opens a tunnel for every request.
        Opens,
        /// Opens a tunnel for requests with these credentials; replies 407 to others.
        Wants(&'static str),
        /// Replies this.
        Says(&'static str),
        /// Replies this to the given number of requests, and opens a tunnel for later ones.
        SaysFirst(&'static str, usize),
        /// Never replies.
        Hangs,
    }

    /// Refuses every request.
    pub const FORBIDDEN: Manner = Manner::Says("HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\n<html>");

    /// Starts a proxy and returns its port. Whatever the host of a request, the tunnel leads to its port on loopback.
    ///
    /// # Panics
    /// When nothing can be bound.
    pub async fn proxy(manner: Manner) -> u16 {
        counted(manner).await.0
    }

    /// The same, with a counter of the connections to the proxy.
    ///
    /// # Panics
    /// When nothing can be bound.
    pub async fn counted(manner: Manner) -> (u16, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, manner, counter.fetch_add(1, Ordering::SeqCst)));
            }
        });
        (port, count)
    }

    async fn serve(stream: TcpStream, manner: Manner, earlier: usize) {
        let mut stream = BufReader::new(stream);
        let mut lines: Vec<String> = Vec::new();
        while lines.last().is_none_or(|line| !line.is_empty()) {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            lines.push(line.trim_end().to_owned());
        }
        let is_authorization = |name: &str| name.eq_ignore_ascii_case("Proxy-Authorization");
        let mut headers = lines.iter().filter_map(|line| line.split_once(": "));
        let mut knows = |credentials: &str| headers.any(|(name, value)| is_authorization(name) && value == credentials);
        let reply = match manner {
            Manner::Wants(credentials) if !knows(credentials) => {
                "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
            }
            Manner::SaysFirst(text, times) if earlier < times => text,
            Manner::Opens | Manner::Wants(_) | Manner::SaysFirst(..) => {
                let port = lines[0].strip_suffix(" HTTP/1.1").and_then(|line| line.rsplit(':').next()).unwrap();
                let mut to = TcpStream::connect((Ipv4Addr::LOCALHOST, port.parse().unwrap())).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n").await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut to).await;
                return;
            }
            Manner::Says(text) => text,
            Manner::Hangs => return std::future::pending().await,
        };
        let _ = stream.write_all(reply.as_bytes()).await;
    }
}

/// A listener that never answers, and the connections that wait in its queue; dropping it ends them.
pub struct Silent {
    _listener: TcpListener,
    _waiting: JoinSet<io::Result<TcpStream>>,
}

/// Listens at this address without answering: the queue is full, so that the kernel drops further connections. Works so on
/// Linux.
pub async fn silent(address: SocketAddr) -> Silent {
    let socket = TcpSocket::new_v4().expect("sockets can be made");
    socket.bind(address).expect("the address is free");
    let listener = socket.listen(1).expect("the socket can listen");
    let mut waiting = JoinSet::new();
    for _ in 0..6 {
        waiting.spawn(TcpStream::connect(address));
    }
    // The last of them stays unanswered.
    while tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await.is_ok() {}
    Silent { _listener: listener, _waiting: waiting }
}
