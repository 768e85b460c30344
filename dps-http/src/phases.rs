//! Tells which phase an exchange is in, from the places where the HTTP library calls code of its user: the resolver, a
//! layer around its connector, and the TLS session store, which is asked as soon as there is a TCP connection.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use dps_net::{CurrentPhase, Phase, Resolver};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use tower_layer::Layer;
use tower_service::Service;

/// How many servers' sessions are kept: there is one server.
const SESSIONS: usize = 2;

/// Asks the platform, and fails with an error that can be told from others.
#[derive(Clone)]
pub(crate) struct PlatformResolver {
    pub(crate) phase: CurrentPhase,
    /// The phase that follows.
    pub(crate) then: Phase,
}

impl Resolve for PlatformResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { phase, then } = self.clone();
        Box::pin(async move {
            phase.enter(Phase::NameResolution);
            // The port is the endpoint's, whatever is set here.
            let addresses = Resolver::default().resolve(name.as_str(), 0).await?;
            phase.enter(then);
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Enters a phase when a connection is begun, and [`Phase::Reply`] when there is one.
#[derive(Clone)]
pub(crate) struct ConnectorPhase<S = ()> {
    pub(crate) phase: CurrentPhase,
    pub(crate) first: Phase,
    pub(crate) inner: S,
}

impl<S> Layer<S> for ConnectorPhase {
    type Service = ConnectorPhase<S>;

    fn layer(&self, inner: S) -> ConnectorPhase<S> {
        ConnectorPhase { phase: self.phase.clone(), first: self.first, inner }
    }
}

impl<R, S> Service<R> for ConnectorPhase<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.phase.enter(self.first);
        let (phase, connecting) = (self.phase.clone(), self.inner.call(request));
        Box::pin(async move {
            let connected = connecting.await;
            phase.enter(Phase::Reply);
            connected
        })
    }
}

/// Keeps TLS sessions in memory, and enters [`Phase::Tls`] when a handshake begins.
struct Sessions {
    phase: CurrentPhase,
    inner: ClientSessionMemoryCache,
}

/// Where a TLS configuration keeps its sessions.
pub(crate) fn resumption(phase: CurrentPhase) -> Resumption {
    Resumption::store(Arc::new(Sessions { phase, inner: ClientSessionMemoryCache::new(SESSIONS) }))
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
        self.inner.set_tls12_session(server_name, value);
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.inner.tls12_session(server_name)
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        self.inner.remove_tls12_session(server_name);
    }

    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.inner.insert_tls13_ticket(server_name, value);
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
