//! A minimal hub client over MQTT for examples: signs in, reads the twin, sends one message, stays connected.
//!
//! An application uses an MQTT library instead. This one sends the packets itself, so that the example can set the address
//! of a `.test` hub (Azure IoT Hub documentation, "Communicate with an IoT hub using the MQTT protocol").

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use dps_client::{HubCredentials, ProxyChoice, Resolver, Roots};
use dps_net::{Dialer, TlsStream};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rumqttc::mqttbytes::v4::{Connect, ConnectReturnCode, Packet, Publish, Subscribe};
use rumqttc::mqttbytes::{Error as PacketError, QoS};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::rustls::ClientConfig;

use crate::AnyError;

/// The default port of hubs.
pub const MQTT_PORT: u16 = 8883;
/// The timeout of signing in, and of one answer.
const LIMIT: Duration = Duration::from_secs(30);
/// The largest packet that is accepted, in bytes; a twin has at most 32 KiB of properties and as much of tags.
const PACKET_MAX: usize = 256 * 1024;
/// The characters that are not percent-encoded in a URI (RFC 3986, section 2.3).
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const TWIN_REPLIES: &str = "$iothub/twin/res/#";

/// The connection settings for the hubs to which a device can be assigned.
#[derive(Debug)]
pub struct Hubs {
    tls: Arc<ClientConfig>,
    proxy: ProxyChoice,
    resolver: Resolver,
    port: u16,
    keep_alive: Duration,
}

/// Why a connection to a hub failed or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The hub rejects the device: CONNACK 4 or 5.
    Rejected,
    /// The hub cannot be reached, or the connection was lost, which can also be a problem of the network.
    Lost(String),
    /// The device disconnected, to reconnect with a new token.
    TokenEnds,
}

impl<E: fmt::Display> From<E> for Gone {
    fn from(error: E) -> Self {
        Self::Lost(error.to_string())
    }
}

impl Hubs {
    /// Creates the settings with the certificates to trust. The keep-alive, in whole seconds, is how soon a dead connection
    /// is detected.
    ///
    /// # Errors
    /// If the roots cannot be used.
    pub fn new(
        roots: &Roots,
        proxy: ProxyChoice,
        resolver: Resolver,
        port: u16,
        keep_alive: Duration,
    ) -> Result<Self, AnyError> {
        Ok(Self { tls: dps_net::TlsOptions::new(roots.clone()).client_config()?, proxy, resolver, port, keep_alive })
    }

    /// Signs in.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn connect(&self, hub: &str, credentials: &mut HubCredentials) -> Result<Session, Gone> {
        timeout(LIMIT, self.sign_in(hub, credentials)).await?
    }

    async fn sign_in(&self, hub: &str, credentials: &mut HubCredentials) -> Result<Session, Gone> {
        let dialer = Dialer::new(Arc::clone(&self.tls), self.proxy.for_host(hub)?).resolver(self.resolver.clone());
        let stream = dialer.dial(hub, self.port).await.map_err(|failed| Gone::Lost(failed.to_string()))?;
        let mut connect = Connect::new(credentials.client_id());
        connect.keep_alive = self.keep_alive.as_secs().try_into()?;
        let user_name = credentials.user_name();
        let password = credentials.password().await?;
        connect.set_login(user_name, password.expose());
        let mut session = Session {
            stream,
            input: BytesMut::new(),
            device_id: connect.client_id.clone(),
            keep_alive: self.keep_alive,
            token_ends: password.expires_at(),
        };
        session.send_packet(&Packet::Connect(connect)).await?;
        match session.next().await? {
            Packet::ConnAck(ack) => match ack.code {
                ConnectReturnCode::Success => Ok(session),
                ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => Err(Gone::Rejected),
                other => Err(Gone::Lost(format!("CONNACK {other:?}"))),
            },
            _ => Err(Gone::Lost("the first packet is not a CONNACK".into())),
        }
    }
}

/// A connection that the hub accepted.
#[derive(Debug)]
pub struct Session {
    stream: TlsStream,
    input: BytesMut,
    device_id: String,
    keep_alive: Duration,
    token_ends: SystemTime,
}

impl Session {
    /// Returns the tags of the device's twin. A real hub does not send them to devices; then this is null.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn tags(&mut self) -> Result<Value, Gone> {
        timeout(LIMIT, self.ask_for_twin()).await?.map(|mut twin| twin["tags"].take())
    }

    async fn ask_for_twin(&mut self) -> Result<Value, Gone> {
        let mut subscribe = Subscribe::new(TWIN_REPLIES, QoS::AtMostOnce);
        subscribe.pkid = 1;
        self.send_packet(&Packet::Subscribe(subscribe)).await?;
        self.send_packet(&Packet::Publish(Publish::new("$iothub/twin/GET/?$rid=1", QoS::AtMostOnce, ""))).await?;
        loop {
            if let Packet::Publish(reply) = self.next().await? {
                return match reply.topic.strip_prefix("$iothub/twin/res/200/") {
                    Some(_) => Ok(serde_json::from_slice(&reply.payload)?),
                    None => Err(Gone::Lost(format!("the hub answered {}", reply.topic))),
                };
            }
        }
    }

    /// Sends one telemetry message and waits until the hub has acknowledged it.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn send(&mut self, message: &str) -> Result<(), Gone> {
        let mut publish = Publish::new(telemetry_topic(&self.device_id), QoS::AtLeastOnce, message);
        publish.pkid = 2;
        let taken = async {
            self.send_packet(&Packet::Publish(publish)).await?;
            while !matches!(self.next().await?, Packet::PubAck(_)) {}
            Ok(())
        };
        timeout(LIMIT, taken).await?
    }

    /// Keeps the connection until it is lost, or until its token is about to expire.
    pub async fn stay(&mut self) -> Gone {
        // So late that the credentials sign a new token for the next connection.
        let left = self.token_ends.duration_since(SystemTime::now()).unwrap_or_default();
        match timeout(left.mul_f64(0.9), self.ping_until_lost()).await {
            Ok(lost) => lost,
            Err(_) => {
                // Errors do not matter: the connection is closed anyway.
                let _ = timeout(LIMIT, self.leave()).await;
                Gone::TokenEnds
            }
        }
    }

    async fn ping_until_lost(&mut self) -> Gone {
        let mut pinged = false;
        loop {
            // Half the keep-alive, so that the hub receives the ping in time.
            match timeout(self.keep_alive / 2, self.next()).await {
                Ok(Ok(_)) => pinged = false,
                Ok(Err(gone)) => return gone,
                Err(_) if pinged => return Gone::Lost("the hub does not answer pings".into()),
                Err(_) => match self.send_packet(&Packet::PingReq).await {
                    Ok(()) => pinged = true,
                    Err(gone) => return gone,
                },
            }
        }
    }

    async fn leave(&mut self) -> Result<(), Gone> {
        self.send_packet(&Packet::Disconnect).await?;
        Ok(self.stream.shutdown().await?)
    }

    async fn send_packet(&mut self, packet: &Packet) -> Result<(), Gone> {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, PACKET_MAX)?;
        let sent = self.stream.write_all(&bytes).await;
        bytes.fill(0); // It may have contained a token.
        sent?;
        Ok(self.stream.flush().await?)
    }

    /// Returns the next packet. The future can be dropped and the function called again.
    async fn next(&mut self) -> Result<Packet, Gone> {
        loop {
            match Packet::read(&mut self.input, PACKET_MAX) {
                Ok(packet) => return Ok(packet),
                Err(PacketError::InsufficientBytes(_)) => {}
                Err(error) => return Err(error.into()),
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(Gone::Lost("the hub closed the connection".into()));
            }
        }
    }
}

/// Returns the topic for messages of a device. Device ids may contain `#` and `+`, which the topic of a message must not
/// contain.
fn telemetry_topic(device_id: &str) -> String {
    format!("devices/{}/messages/events/", utf8_percent_encode(device_id, &UNRESERVED))
}

#[cfg(test)]
mod tests {
    use super::telemetry_topic;

    #[test]
    fn device_id_of_the_whole_alphabet_is_one_level_of_the_topic() {
        let topic = telemetry_topic("aZ9-:.+%_#*?!(),=@;$'");
        assert_eq!(topic, "devices/aZ9-%3A.%2B%25_%23%2A%3F%21%28%29%2C%3D%40%3B%24%27/messages/events/");
        assert_eq!(telemetry_topic("gateway-7"), "devices/gateway-7/messages/events/");
    }
}
