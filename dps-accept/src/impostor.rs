//! A server that is not the service: its certificate must not be accepted. Counts the connections, and what is sent to it
//! after the handshake, which is never read for its content.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::certificates::{Authority, Issued};
use crate::error::AcceptError;
use crate::scenario::ImpostorPlan;
use crate::seen::Seen;

/// How long a connection may stay open.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(20);
/// How many connections are served at a time; others wait.
const CONNECTIONS_MOST: usize = 64;

/// A running impostor; it ends when this is dropped.
pub(crate) struct Impostor {
    pub(crate) address: SocketAddr,
    began: Instant,
    counted: Arc<Mutex<Counted>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Counted {
    connections: Vec<u64>,
    leaked_bytes: u64,
}

impl Impostor {
    /// Listens at this address, with a certificate that is wrong in one respect.
    pub(crate) async fn start(
        plan: ImpostorPlan,
        trusted: &Authority,
        names: Vec<String>,
        (listen, port): (IpAddr, u16),
    ) -> Result<Self, AcceptError> {
        let issued = match plan {
            ImpostorPlan::AnotherAuthority => Authority::generate("impostor")?.server(names, false)?,
            ImpostorPlan::AnotherName => trusted.server(vec!["another-host.test".to_owned()], false)?,
            ImpostorPlan::Expired => trusted.server(names, true)?,
        };
        let tls = acceptor(&issued)?;
        let failed = |source| AcceptError::Listen { port, source };
        let listener = TcpListener::bind((listen, port)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (began, counted) = (Instant::now(), Arc::<Mutex<Counted>>::default());
        let task = tokio::spawn(accept(listener, tls, began, Arc::clone(&counted)));
        Ok(Self { address, began, counted, task })
    }

    /// The time on the clock of [`Seen`].
    pub(crate) fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// Closes its port.
    pub(crate) async fn end(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    pub(crate) fn seen(&self) -> Seen {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        Seen { connections: counted.connections.clone(), leaked_bytes: counted.leaked_bytes, ..Seen::default() }
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, began: Instant, counted: Arc<Mutex<Counted>>) {
    // Ends its connections with itself.
    let mut connections = JoinSet::new();
    loop {
        if connections.len() >= CONNECTIONS_MOST {
            connections.join_next().await;
        }
        let Ok((tcp, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let at_ms = began.elapsed().as_millis() as u64;
        counted.lock().unwrap_or_else(PoisonError::into_inner).connections.push(at_ms);
        let (tls, counted) = (tls.clone(), Arc::clone(&counted));
        connections.spawn(async move {
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, count(tcp, tls, &counted)).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Counts the bytes that arrive after the handshake; a client that refuses the certificate ends before.
async fn count(tcp: TcpStream, tls: TlsAcceptor, counted: &Mutex<Counted>) {
    let Ok(mut stream) = tls.accept(tcp).await else { return };
    let mut bytes = [0; 1024];
    while let Ok(received) = stream.read(&mut bytes).await {
        if received == 0 {
            return;
        }
        counted.lock().unwrap_or_else(PoisonError::into_inner).leaked_bytes += received as u64;
    }
}

fn acceptor(issued: &Issued) -> Result<TlsAcceptor, AcceptError> {
    let failed = |error: &dyn std::fmt::Display| AcceptError::Certificate(error.to_string());
    let chain = CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).map_err(|error| failed(&error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .with_no_client_auth()
        .with_single_cert(chain.map_err(|error| failed(&error))?, key)
        .map_err(|error| failed(&error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(feature = "aws-lc-rs")]
fn provider() -> rustls::crypto::CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
fn provider() -> rustls::crypto::CryptoProvider {
    rustls::crypto::ring::default_provider()
}

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
fn provider() -> rustls::crypto::CryptoProvider {
    compile_error!("dps-accept needs a TLS provider: turn on the feature `aws-lc-rs` or `ring`")
}
