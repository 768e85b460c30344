//! Connections: their beginning and end, and calls that arrive on them.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{Connection, Disconnection, Event, EventKind, Handshake, RefusalReason, Tls, Transport, bounded};
use crate::service::Service;
use crate::time::Now;
use crate::x509::ClientCertificates;

/// What a listener knows of a connection when its handshake was finished or has failed.
pub(crate) struct Accepted<'a> {
    pub(crate) transport: Transport,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) tls: Option<Tls>,
    pub(crate) certificates: &'a ClientCertificates,
    /// Why the handshake failed.
    pub(crate) failure: Option<String>,
}

impl Service {
    /// Records a connection.
    pub(crate) fn connected(&mut self, now: Now, accepted: Accepted<'_>) -> Arc<Connection> {
        let Accepted { transport, peer, tls, certificates, failure } = accepted;
        let connection = Arc::new(Connection {
            id: self.events.next_connection(),
            transport,
            peer,
            tls,
            client_certificate: certificates.infos().next().cloned(),
        });
        self.on_connection(&connection, |service| {
            let failure = failure.as_deref().map(bounded);
            service.events.record(now, transport, None, EventKind::Connection(Handshake { failure }));
        });
        connection
    }

    /// Calls the service on a connection, which the events of the call then have.
    pub(crate) fn on_connection<R>(&mut self, connection: &Arc<Connection>, call: impl FnOnce(&mut Self) -> R) -> R {
        self.events.current = Some(Arc::clone(connection));
        let result = call(self);
        self.events.current = None;
        result
    }

    /// Records the end of a connection.
    pub(crate) fn disconnected(&mut self, now: Now, connection: &Arc<Connection>, ended: Ended) {
        let Ended { registration_id, began_ms, reason } = ended;
        let lasted_ms = now.monotonic_ms.saturating_sub(began_ms);
        let kind = EventKind::Disconnection(Box::new(Disconnection { lasted_ms, reason, packets: Vec::new() }));
        self.on_connection(connection, |service| {
            service.events.record(now, connection.transport, registration_id.as_deref(), kind);
        });
    }
}

impl Event {
    /// Whether it happened on this connection.
    pub(crate) fn is_on(&self, connection: &Connection) -> bool {
        self.connection.as_ref().is_some_and(|own| own.id == connection.id)
    }
}

/// How a connection ended.
pub(crate) struct Ended {
    pub(crate) registration_id: Option<String>,
    /// When it began, on the service's monotonic clock.
    pub(crate) began_ms: u64,
    pub(crate) reason: Option<RefusalReason>,
}
