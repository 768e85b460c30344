//! The HTTP library's client, set up to connect as a [`Dialer`] does: to the same addresses, through the same proxy, with
//! the same TLS and time limit.
//!
//! The library connects by itself. The phase is known where it calls code of its user: in a layer around its connector,
//! and in the TLS session store, which it reads when a handshake begins.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use dps_net::{CertificateUse, CurrentPhase, Dialer, HandshakeThread, Phase, Proxy};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderValue;
use reqwest::{Client, ClientBuilder, redirect, retry};
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, NamedGroup};
use tower_layer::Layer;
use tower_service::Service;
use zeroize::Zeroizing;

use crate::options::HttpOptions;

/// How many servers' TLS sessions are kept: there is one server.
const SESSIONS: usize = 2;

/// Returns a client that connects to these addresses: those of the dialer's proxy, or of the server.
pub(crate) fn connect_to(
    addresses: Vec<SocketAddr>,
    dialer: &Dialer,
    options: &HttpOptions,
    phase: &CurrentPhase,
    certificate: &CertificateUse,
) -> Result<Client, reqwest::Error> {
    let first = if dialer.proxy().is_some() { Phase::Proxy } else { Phase::Connect };
    let mut tls = ClientConfig::clone(dialer.tls());
    certificate.watch(&mut tls);
    // As in the dialer's own configuration, a session is not resumed with a certificate.
    let resumes = !tls.client_auth_cert_resolver.has_certs();
    tls.resumption = resumption(phase.clone(), resumes);
    let builder = ClientBuilder::new().tls_backend_preconfigured(tls).no_proxy();
    let builder = match dialer.proxy() {
        Some(proxy) => builder.proxy(library_proxy(proxy)?),
        None => builder,
    };
    builder
        .http1_only()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .user_agent(&options.user_agent)
        .dns_resolver(Resolved(addresses))
        // The library also divides this by the number of addresses, so that one that is silent leaves time for the next.
        .connect_timeout(dialer.timeout())
        .connector_layer(ConnectorPhase {
            phase: phase.clone(),
            certificate: certificate.clone(),
            first,
            handshakes: dialer.handshakes().cloned(),
            inner: (),
        })
        .pool_max_idle_per_host(1)
        // The service chooses the waits between polls; the connection is kept over all of them.
        .pool_idle_timeout(None)
        .build()
}

fn library_proxy(proxy: &Proxy) -> Result<reqwest::Proxy, reqwest::Error> {
    let library = reqwest::Proxy::all(format!("http://{proxy}"))?;
    Ok(match proxy.authorization().and_then(secret_header) {
        Some(authorization) => library.custom_http_auth(authorization),
        None => library,
    })
}

/// Returns a header value that is wiped with the library's last reference to it, or `None` when it is not valid.
pub(crate) fn secret_header(text: Zeroizing<String>) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text)).ok()?;
    // Keeps it out of the library's own debug output.
    value.set_sensitive(true);
    Some(value)
}

/// The addresses of the only name that is looked up.
struct Resolved(Vec<SocketAddr>);

impl Resolve for Resolved {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(self.0.clone().into_iter());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// Enters a phase when a connection is begun, and [`Phase::Reply`] when there is one; after a failure the phase stays.
#[derive(Clone)]
struct ConnectorPhase<S = ()> {
    phase: CurrentPhase,
    certificate: CertificateUse,
    first: Phase,
    /// Where connections are made, if not by the caller.
    handshakes: Option<HandshakeThread>,
    inner: S,
}

impl<S> Layer<S> for ConnectorPhase {
    type Service = ConnectorPhase<S>;

    fn layer(&self, inner: S) -> ConnectorPhase<S> {
        let (phase, certificate) = (self.phase.clone(), self.certificate.clone());
        ConnectorPhase { phase, certificate, first: self.first, handshakes: self.handshakes.clone(), inner }
    }
}

impl<R, S> Service<R> for ConnectorPhase<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.phase.enter(self.first);
        self.certificate.begin();
        let (phase, certificate) = (self.phase.clone(), self.certificate.clone());
        let handshakes = self.handshakes.clone();
        let connecting = self.inner.call(request);
        Box::pin(async move {
            let connected = match handshakes {
                None => connecting.await?,
                Some(thread) => thread.run(connecting).await?,
            };
            certificate.connected();
            phase.enter(Phase::Reply);
            Ok(connected)
        })
    }
}

/// Keeps TLS sessions in memory, where they may be resumed, and enters [`Phase::Tls`] when a handshake begins.
struct Sessions {
    phase: CurrentPhase,
    resumes: bool,
    inner: ClientSessionMemoryCache,
}

/// Returns the session store of a TLS configuration.
fn resumption(phase: CurrentPhase, resumes: bool) -> Resumption {
    Resumption::store(Arc::new(Sessions { phase, resumes, inner: ClientSessionMemoryCache::new(SESSIONS) }))
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.inner.set_kx_hint(server_name, group);
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.phase.enter(Phase::Tls);
        self.inner.kx_hint(server_name)
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        if self.resumes {
            self.inner.set_tls12_session(server_name, value);
        }
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.inner.tls12_session(server_name)
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        self.inner.remove_tls12_session(server_name);
    }

    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, value: Tls13ClientSessionValue) {
        if self.resumes {
            self.inner.insert_tls13_ticket(server_name, value);
        }
    }

    fn take_tls13_ticket(&self, server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.inner.take_tls13_ticket(server_name)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions(..)")
    }
}
