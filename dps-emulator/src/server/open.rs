//! An open connection: calls of the service that arrive on it, and the record of its end, however it ends.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

use super::shared::Shared;
use crate::events::{Accepted, Connection, Ended, RefusalReason, Tls, Transport};
use crate::mqtt::Session;
use crate::x509::ClientCertificates;

/// A connection. Its end is recorded when this is dropped, so also when its task is cancelled.
pub(super) struct OpenConnection {
    pub(super) shared: Arc<Shared>,
    connection: Arc<Connection>,
    began: Instant,
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
        let connection = shared.ask(None, |service, now| service.connected(now, accepted));
        Self { shared, connection, began: Instant::now(), client, session: None, close_reason: None }
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

    /// Passes bytes to the MQTT session, which begins with the first ones.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Vec<crate::mqtt::Effect> {
        let client = &self.client;
        let session = self.session.get_or_insert_with(|| Session::with_certificates(client.clone()));
        self.shared.ask(Some(&self.connection), |service, now| session.receive(service, now, bytes))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let reason = self.close_reason;
        let (session, connection) = (self.session.as_mut(), &self.connection);
        let lasted_ms = self.began.elapsed().as_millis() as u64;
        self.shared.ask(Some(connection), |service, now| match session {
            Some(session) => session.disconnected(service, now, reason),
            None => service.disconnected(now, connection, Ended { lasted_ms, reason, ..Ended::default() }),
        });
    }
}
