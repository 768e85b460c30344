//! A session with a hub, for calls that the provisioning SDK makes there: publishes, and what the hub publishes on one filter.
//!
//! It is not a client for applications: it has neither telemetry nor the twin, and repeats nothing.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use dps_net::{CertificateUse, Dialer, NetError};
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Connect, Packet, Publish, Subscribe};
use zeroize::Zeroize as _;

use crate::connection::Connection;
use crate::options::{Framing, MqttOptions};
use crate::session::{connected, subscribed};
use crate::stream::{Answering, Io, Stream};

/// How a device signs in to its hub.
#[derive(Clone, Copy)]
pub struct HubLogin<'a> {
    /// The MQTT client id: the device id.
    pub client_id: &'a str,
    /// `{hub}/{deviceId}/?api-version=…`.
    pub user_name: &'a str,
    /// A SAS token; `None` with a certificate, which the dialer presents.
    pub password: Option<&'a str>,
}

impl fmt::Debug for HubLogin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubLogin")
            .field("client_id", &self.client_id)
            .field("user_name", &self.user_name)
            .finish_non_exhaustive()
    }
}

/// A connection to a hub that is signed in and subscribed to one filter. Dropping it closes the connection.
///
/// The futures have no deadline of their own. Dropping one of [`open`](Self::open) or [`publish`](Self::publish) leaves nothing
/// behind but a connection to close; [`next`](Self::next) can be dropped and called again.
pub struct HubSession {
    connection: Connection,
    /// What arrived and was not returned yet.
    early: VecDeque<Publish>,
}

impl HubSession {
    /// Connects to `host` on `port`, signs in with a clean session, and subscribes to `filter` with quality of service 1. Of the
    /// options, those of DPS alone are not used: API version, user agent and pipelining.
    ///
    /// # Errors
    /// [`NetError`]: `MqttRefused` with the code of CONNACK, `SubscribeRefused`, and those of the connection, with what the
    /// dialer's certificate has to do with it.
    pub async fn open(
        dialer: &Dialer,
        options: &MqttOptions,
        (host, port): (&str, u16),
        login: HubLogin<'_>,
        filter: &str,
    ) -> Result<Self, NetError> {
        let certificate = CertificateUse::default();
        let dialer = dialer.clone().certificate_use(certificate.clone());
        let opened = async {
            let io = Box::new(Answering(dialer.dial(host, port).await?));
            Self::start(io, options, (host, port), login, filter, &certificate).await
        };
        opened.await.map_err(|failure| {
            let failure = certificate.explain(failure);
            match options.framing {
                Framing::WebSocket => certificate.suspect_renegotiation(failure),
                Framing::Tcp => failure,
            }
        })
    }

    /// The same over a connection that is open already.
    pub(crate) async fn start(
        io: Box<dyn Io>,
        options: &MqttOptions,
        (host, port): (&str, u16),
        login: HubLogin<'_>,
        filter: &str,
        certificate: &CertificateUse,
    ) -> Result<Self, NetError> {
        let bracketed = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let authority = if port == options.framing.default_port() { host.to_owned() } else { bracketed };
        let stream = Stream::open(options.framing, io, &authority, options.packet_cap).await?;
        if options.framing == Framing::WebSocket {
            certificate.answered();
        }
        let mut connection = Connection::new(stream, options.packet_cap, options.keep_alive);
        queue_connect(&mut connection, options, login)?;
        connection.flush().await?;
        connected(&mut connection, certificate).await?;
        let mut subscribe = Subscribe::new(filter, QoS::AtLeastOnce);
        subscribe.pkid = connection.next_packet_id();
        connection.queue(&Packet::Subscribe(subscribe))?;
        let early = subscribed(&mut connection, |_| true).await?;
        connection.begin_idling();
        Ok(Self { connection, early })
    }

    /// Publishes with quality of service 1, and returns once it is sent.
    ///
    /// # Errors
    /// [`NetError`] when the connection is broken, or the packet is too large.
    pub async fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<(), NetError> {
        self.connection.queue_publish(Publish::new(topic, QoS::AtLeastOnce, payload))?;
        self.connection.begin_idling();
        self.connection.flush().await
    }

    /// Waits for what the hub publishes next: topic and payload. Keeps the connection alive meanwhile.
    ///
    /// # Errors
    /// [`NetError`] when the connection breaks; `InvalidReply` when more than 100 packets arrived within a minute.
    pub async fn next(&mut self) -> Result<(String, Bytes), NetError> {
        loop {
            if !self.early.is_empty() {
                // The acknowledgement. What arrived is kept while it is sent, since this future may be dropped, and returned if it
                // cannot be sent: it stays queued, so that a later call fails.
                let _ = self.connection.flush().await;
            }
            if let Some(publish) = self.early.pop_front() {
                return Ok((publish.topic, publish.payload));
            }
            let packet = self.connection.next().await?;
            self.connection.ignore()?;
            if let Packet::Publish(publish) = packet {
                self.early.push_back(publish);
            }
        }
    }

    /// Sends DISCONNECT and closes the connection.
    pub async fn close(self) {
        self.connection.close().await;
    }
}

impl fmt::Debug for HubSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubSession").finish_non_exhaustive()
    }
}

/// Queues the first packet, whose password is a token.
fn queue_connect(connection: &mut Connection, options: &MqttOptions, login: HubLogin<'_>) -> Result<(), NetError> {
    let mut connect = Connect::new(login.client_id);
    connect.keep_alive = u16::try_from(options.keep_alive.as_secs()).unwrap_or(u16::MAX);
    connect.set_login(login.user_name, login.password.unwrap_or_default());
    let mut connect = Packet::Connect(connect);
    let queued = connection.queue(&connect);
    // The library does not wipe the password.
    if let Packet::Connect(Connect { login: Some(login), .. }) = &mut connect {
        login.password.zeroize();
    }
    queued
}
