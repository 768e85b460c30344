//! The MQTT connection between the two: the core's codec and rumqttc's packets on the device's side, the emulator's session
//! on the other, only bytes between them.
//!
//! It behaves like the link over sockets: one connection for a registration, pings while it is idle, a new connection for
//! a new token. Latency, loss and the emulator's transport faults are simulated here.

use std::rc::Rc;

use bytes::BytesMut;
use dps_core::codec::mqtt::{self, DEFAULT_API_VERSION, SUBSCRIBE_FILTER};
use dps_core::{Call, Instant, Link, LinkError, Reply, Request, Text};
use dps_emulator::mqtt::{Effect, Session};
use dps_emulator::{ClientCertificates, Flood};
use rumqttc::mqttbytes::v4::{Connect, Packet, PubAck, Publish, Subscribe, SubscribeReasonCode};
use rumqttc::mqttbytes::{Error as PacketError, QoS};

use crate::weather::Weather;
use crate::world::{SERVICE_EPOCH, Sent, SharedService, World};

/// The largest packet, in bytes.
const PACKET_CAP: usize = 256 * 1024;
/// The number of packets that may answer nothing in one exchange, or while the link is idle.
const PACKETS_WITHOUT_CAUSE: u32 = 100;
/// So many packets arrive where a flood is as long as the connection.
const FLOOD_PACKETS: usize = 1000;

/// A link over MQTT to a service in the same world.
pub struct MqttPairLink {
    world: World,
    service: SharedService,
    latency: u64,
    /// The faults of the network, exchange by exchange; none after the last.
    pub weather: Vec<Weather>,
    /// The keep-alive, in seconds.
    pub keep_alive: u16,
    /// The topics of the published messages.
    pub sent: Vec<Sent>,
    /// The API version of the user name.
    pub api_version: &'static str,
    /// What the device presents in TLS, which is not modelled otherwise.
    pub certificates: ClientCertificates,
    connection: Option<Connection>,
}

impl MqttPairLink {
    /// A link with a keep-alive of a minute, in fair weather.
    #[must_use]
    pub fn new(world: &World, service: &SharedService, latency: u64) -> Self {
        Self {
            world: world.clone(),
            service: Rc::clone(service),
            latency,
            weather: Vec::new(),
            keep_alive: 60,
            sent: Vec::new(),
            api_version: DEFAULT_API_VERSION,
            certificates: ClientCertificates::none(),
            connection: None,
        }
    }

    /// Sets the faults of the network, exchange by exchange.
    #[must_use]
    pub fn weather(mut self, weather: &[Weather]) -> Self {
        self.weather = weather.to_vec();
        self
    }

    /// Whether a connection is open.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// CONNECT and SUBSCRIBE.
    async fn open(&self, request: &Request<'_>) -> Result<Connection, LinkError> {
        let mut connection = Connection {
            world: self.world.clone(),
            service: Rc::clone(&self.service),
            latency: self.latency,
            session: Session::with_certificates(self.certificates.clone()),
            arrived: BytesMut::new(),
            ended: false,
            patience: u64::from(self.keep_alive) * 500,
            last_sent: self.world.millis(),
            pinged: None,
            allowance: PACKETS_WITHOUT_CAUSE,
            generation: request.authorization.map(|authorization| authorization.generation),
        };
        let mut connect = Connect::new(request.identity.registration_id.as_str());
        connect.keep_alive = self.keep_alive;
        let user = written(|text| mqtt::write_user_name(text, &request.identity, self.api_version, "pair"))?;
        // The flag of the password is set only where there is one.
        connect.set_login(user, request.authorization.map_or("", |authorization| authorization.token.as_str()));
        connection.send(&Packet::Connect(connect)).await?;
        match connection.next().await? {
            Packet::ConnAck(ack) if ack.code as u8 == 0 => {}
            Packet::ConnAck(ack) => return Err(LinkError::MqttRefused { code: ack.code as u8 }),
            _ => return Err(LinkError::InvalidReply),
        }
        let mut subscribe = Subscribe::new(SUBSCRIBE_FILTER, QoS::AtLeastOnce);
        subscribe.pkid = 1;
        connection.send(&Packet::Subscribe(subscribe)).await?;
        match connection.next().await? {
            Packet::SubAck(ack) if ack.return_codes.contains(&SubscribeReasonCode::Failure) => {
                Err(LinkError::SubscribeRefused)
            }
            Packet::SubAck(_) => Ok(connection),
            _ => Err(LinkError::InvalidReply),
        }
    }
}

impl Link for MqttPairLink {
    async fn exchange<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        if let Call::Lookup | Call::Time = request.call {
            return Err(LinkError::Unsupported);
        }
        let weather = Weather::next(&mut self.weather);
        weather.before(&self.world).await?;
        let generation = request.authorization.map(|authorization| authorization.generation);
        let token = request.authorization.map_or("", |authorization| authorization.token.as_str()).to_owned();
        // As links must: the connection counts as closed until the reply has arrived.
        let old = self.connection.take();
        let mut connection = match old.filter(|connection| connection.generation == generation) {
            Some(connection) => connection,
            None => self.open(request).await?,
        };
        let topic = written(|text| mqtt::write_topic(text, request))?;
        self.sent.push(Sent { at: self.world.millis(), line: topic.clone(), token });
        if weather == Weather::RequestLost {
            self.world.wait(self.latency).await;
            return Err(LinkError::Cut);
        }
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, written(|text| mqtt::write_payload(text, request))?);
        publish.pkid = 2;
        connection.send(&Packet::Publish(publish)).await?;
        if weather == Weather::ReplyLost {
            return Err(LinkError::Cut);
        }
        let reply = connection.reply(request, buffer).await?;
        self.connection = Some(connection);
        Ok(reply)
    }

    async fn idle(&mut self, _until: Instant) {
        let Some(connection) = &mut self.connection else { return };
        connection.allowance = PACKETS_WITHOUT_CAUSE;
        while connection.next().await.is_ok_and(|_| connection.pass_over().is_ok()) {}
        self.connection = None;
    }

    async fn close(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            connection.say(&Packet::Disconnect);
            assert!(connection.ended, "the service closes the connection too");
        }
    }
}

/// One connection: what has arrived at the device and was not read yet, and the service's session.
struct Connection {
    world: World,
    service: SharedService,
    latency: u64,
    session: Session,
    arrived: BytesMut,
    ended: bool,
    /// Half the keep-alive in milliseconds: how long it may be quiet, and how long a ping may stay unanswered.
    patience: u64,
    last_sent: u64,
    pinged: Option<u64>,
    /// How many more packets may answer nothing.
    allowance: u32,
    /// Of the token that it was made with.
    generation: Option<u32>,
}

impl Connection {
    /// A packet there, and what the service has to say to it back here.
    async fn send(&mut self, packet: &Packet) -> Result<(), LinkError> {
        if self.ended {
            return Err(LinkError::Cut);
        }
        self.last_sent = self.world.millis();
        self.world.wait(self.latency).await;
        for effect in self.say(packet) {
            match effect {
                Effect::Send(bytes) => self.arrived.extend_from_slice(&bytes),
                Effect::Pause(ms) => self.world.wait(ms).await,
                Effect::Trickle(bytes) => {
                    self.world.trickle(bytes.len()).await;
                    self.arrived.extend_from_slice(&bytes);
                }
                // Frames are not modelled: a packet stands for each.
                Effect::Flood(of) => {
                    let packet = of.packet().or(Flood::Pingresp.packet()).unwrap_or_default();
                    self.arrived.extend_from_slice(&packet.repeat(FLOOD_PACKETS));
                    self.ended = true;
                }
                other => assert_eq!(other, Effect::Close),
            }
        }
        self.world.wait(self.latency).await;
        Ok(())
    }

    /// A packet that nothing is waited for after.
    fn say(&mut self, packet: &Packet) -> Vec<Effect> {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, PACKET_CAP).expect("the packet can be written");
        let now = self.world.now_at(SERVICE_EPOCH);
        let effects = self.session.receive(&mut self.service.borrow_mut(), now, &bytes);
        self.ended |= effects.contains(&Effect::Close);
        effects
    }

    /// Returns the next relevant packet. The future can be dropped and the function called again.
    async fn next(&mut self) -> Result<Packet, LinkError> {
        loop {
            match Packet::read(&mut self.arrived, PACKET_CAP) {
                Ok(Packet::PingResp) if self.pinged.is_some() => self.pinged = None,
                Ok(packet) => return Ok(packet),
                Err(PacketError::InsufficientBytes(_)) if self.ended => return Err(LinkError::Cut),
                Err(PacketError::InsufficientBytes(_)) => self.ping().await?,
                Err(PacketError::PayloadSizeLimitExceeded(size)) => {
                    return Err(LinkError::ReplyTooLarge { needed: Some(size) });
                }
                Err(_) => return Err(LinkError::InvalidReply),
            }
        }
    }

    /// Counts a packet that answers nothing.
    fn pass_over(&mut self) -> Result<(), LinkError> {
        self.allowance = self.allowance.checked_sub(1).ok_or(LinkError::InvalidReply)?;
        Ok(())
    }

    /// Handles idle time: sends a ping after a while, and closes the connection if it is not answered.
    async fn ping(&mut self) -> Result<(), LinkError> {
        self.world.wait_until(self.pinged.unwrap_or(self.last_sent) + self.patience).await;
        if self.pinged.is_some() {
            return Err(LinkError::Cut);
        }
        self.pinged = Some(self.world.millis());
        self.send(&Packet::PingReq).await
    }

    /// Returns the reply to this request; others are skipped.
    async fn reply<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        self.allowance = PACKETS_WITHOUT_CAUSE;
        loop {
            let publish = match self.next().await? {
                Packet::Publish(publish) => publish,
                // The first acknowledgement; others are packets like any other.
                Packet::PubAck(ack) if ack.pkid == 2 => continue,
                _ => {
                    self.pass_over()?;
                    continue;
                }
            };
            if publish.pkid != 0 {
                self.say(&Packet::PubAck(PubAck::new(publish.pkid)));
            }
            let topic = mqtt::parse_topic(&publish.topic).filter(|topic| topic.answers(request.id));
            let Some(topic) = topic else {
                self.pass_over()?;
                continue;
            };
            let needed = Some(publish.payload.len());
            let space = buffer.get_mut(..publish.payload.len()).ok_or(LinkError::ReplyTooLarge { needed })?;
            space.copy_from_slice(&publish.payload);
            return mqtt::read_reply(&topic, space);
        }
    }
}

/// A text of the codec.
fn written(write: impl FnOnce(&mut Text<'_>)) -> Result<String, LinkError> {
    let mut bytes = vec![0; PACKET_CAP];
    let mut text = Text::new(&mut bytes);
    write(&mut text);
    let text = text.finish().map_err(|short| LinkError::RequestTooLarge { needed: short.needed })?;
    Ok(text.to_owned())
}
