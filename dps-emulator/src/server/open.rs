//! An open connection: calls of the service that arrive on it, and the record of its end, however it ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::shared::Shared;
use crate::events::{Accepted, Connection, Ended, RefusalReason, Tls, Transport};
use crate::mqtt::Session;
use crate::service::Service;
use crate::x509::ClientCertificates;

/// The longest wait for something that is due by the service's clock.
const RECHECK: Duration = Duration::from_millis(100);

/// A connection. Its end is recorded when this is dropped, so also when its task is cancelled.
pub(super) struct OpenConnection {
    pub(super) shared: Arc<Shared>,
    connection: Arc<Connection>,
    /// The registration id of the latest request that named one, as its event has it.
    registration_id: Mutex<Option<String>>,
    /// On the service's monotonic clock.
    began_ms: u64,
    /// The certificates that the client presented.
    pub(super) client: ClientCertificates,
    /// The MQTT session, once it began.
    pub(super) session: Option<Session>,
    /// Why the service closes the connection.
    pub(super) close_reason: Option<RefusalReason>,
}

impl OpenConnection {
    /// Records a connection whose TLS handshake is finished.
    pub(super) fn accept(
        shared: Arc<Shared>,
        transport: Transport,
        stream: &TlsStream<TcpStream>,
        client: ClientCertificates,
    ) -> Self {
        let (tcp, tls) = stream.get_ref();
        let version = match tls.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
            _ => "1.3",
        };
        let suite = tls.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        let cipher_suite = suite.unwrap_or_default().to_owned();
        let tls = Tls { version, cipher_suite, server_name: tls.server_name().map(str::to_owned) };
        let accepted =
            Accepted { transport, peer: tcp.peer_addr().ok(), tls: Some(tls), certificates: &client, failure: None };
        Self::record(shared, accepted)
    }

    /// Records a connection.
    pub(super) fn record(shared: Arc<Shared>, accepted: Accepted<'_>) -> Self {
        let client = accepted.certificates.clone();
        let (connection, began_ms) =
            shared.ask(None, |service, now| (service.connected(now, accepted), now.monotonic_ms));
        let registration_id = Mutex::default();
        Self { shared, connection, registration_id, began_ms, client, session: None, close_reason: None }
    }

    /// The same for a connection that turns out to be one of a WebSocket.
    pub(super) fn is_websocket(&mut self) {
        let connection = Connection { transport: Transport::MqttWebSocket, ..Connection::clone(&self.connection) };
        self.connection = Arc::new(connection);
    }

    /// The connection, for calls that arrive on it.
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Makes a call that arrives on this connection, and remembers the device that it names.
    pub(super) fn call<R>(&self, service: &mut Service, call: impl FnOnce(&mut Service) -> R) -> R {
        let before = service.events.last_seq();
        let answer = call(service);
        let own = service.events.after(before).filter(|event| event.is_on(&self.connection));
        if let Some(id) = own.filter_map(|event| event.registration_id.as_ref()).last() {
            *self.registration_id.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.clone());
        }
        answer
    }

    /// Passes bytes to the MQTT session, which begins with the first ones.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Vec<crate::mqtt::Effect> {
        let client = &self.client;
        let session = self.session.get_or_insert_with(|| Session::with_certificates(client.clone()));
        self.shared.ask(Some(&self.connection), |service, now| session.receive(service, now, bytes))
    }

    /// How long until the MQTT session has something to send by itself; `None` if it has nothing. The service's clock may be
    /// moved meanwhile: a long wait is cut short, to be asked for again.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let session = self.session.as_ref()?;
        let due = |service: &mut Service, now| Some((session.due_in_ms(service, now)?, service.clock().scale()));
        let (ms, scale) = self.shared.ask(Some(&self.connection), due)?;
        Some(Duration::from_millis(ms.div_ceil(scale.into())).min(RECHECK))
    }

    /// Has the MQTT session send what is due.
    pub(super) fn advance(&mut self) -> Vec<crate::mqtt::Effect> {
        let Some(session) = &mut self.session else { return Vec::new() };
        self.shared.ask(Some(&self.connection), |service, now| session.advance(service, now))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let reason = self.close_reason;
        let (session, connection, began_ms) = (self.session.as_mut(), &self.connection, self.began_ms);
        let registration_id = self.registration_id.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        self.shared.ask(Some(connection), |service, now| match session {
            Some(session) => session.disconnected(service, now, reason),
            None => service.disconnected(now, connection, Ended { registration_id, began_ms, reason }),
        });
    }
}
