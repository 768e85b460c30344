//! The service over MQTT 3.1.1: bytes in, and effects out that the caller carries out. No socket and no clock.
//!
//! There is one session per connection. Packets are parsed by `mqtt-protocol-core`, another implementation than any
//! client's; topics and user names are interpreted here.

mod hub;
mod hub_session;
mod names;
mod packets;
mod record;
mod reply;
mod subscribe;

use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{ConnectionOptions, Event};
use mqtt_protocol_core::mqtt::packet::{GenericPacketTrait, Packet, Qos, v3_1_1};
use mqtt_protocol_core::mqtt::result_code::ConnectReturnCode;
use mqtt_protocol_core::mqtt::{Connection, Version, role};

use crate::auth::{Caller, ConnectionAuth};
use crate::encoding::is_api_version;
use crate::events::{Mask, RefusalReason, Transport};
use crate::fault::{At, Fault, Flood};
use crate::ids::FoldedId;
use crate::service::Service;
use crate::time::Now;
use crate::wire::{BODY_MAX, Protocol};
use crate::x509::ClientCertificates;
use hub::HubClient;
use names::Call;
use packets::Packets;

/// The largest packet, in bytes: the largest body, its topic, and some reserve.
const PACKET_MAX: u32 = (BODY_MAX + 4096) as u32;
/// The offset of the protocol level in the variable header of CONNECT (MQTT 3.1.1, section 3.1.2).
const LEVEL_AT: usize = 6;

/// What the caller has to do with the connection, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Wait this many milliseconds before the next effect.
    Pause(u64),
    /// Send these bytes one at a time.
    Trickle(Vec<u8>),
    /// Send this repeatedly until the client closes the connection or a bound is reached, then close it.
    Flood(Flood),
    /// Close the connection.
    Close,
}

/// One connection of one device.
pub struct Session {
    connection: Connection<role::Server>,
    /// The device, once CONNECT was accepted.
    device: Option<Device>,
    /// The same for a connection to a hub.
    hub_client: Option<HubClient>,
    /// The quality of service that was granted for replies, once the client subscribed.
    granted: Option<Qos>,
    keep_alive_s: u16,
    answers_pings: bool,
    auth: ConnectionAuth,
    certificates: ClientCertificates,
    /// The first bytes, until they reveal the protocol's version.
    head: Option<Vec<u8>>,
    /// What events still have to show.
    packets: Packets,
    /// Masks the keys of the device in what it sends.
    mask: Mask,
    /// When the first bytes arrived, on the monotonic clock.
    began_ms: Option<u64>,
    /// Why the service closes the connection.
    close_reason: Option<RefusalReason>,
    /// Whether the end of the connection was recorded.
    is_over: bool,
}

struct Device {
    id_scope: String,
    registration_id: String,
    api_version: String,
    user_agent: Option<String>,
    token: Option<String>,
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// A connection on which nothing was received, of a client without a certificate.
    #[must_use]
    pub fn new() -> Self {
        Self::with_certificates(ClientCertificates::none())
    }

    /// A connection on which nothing was received, of a client that presented these certificates. They take precedence
    /// over a password.
    #[must_use]
    pub fn with_certificates(certificates: ClientCertificates) -> Self {
        let options = ConnectionOptions::new().maximum_packet_size_recv(PACKET_MAX);
        let connection = Connection::with_options(Version::V3_1_1, options);
        Self {
            connection,
            device: None,
            hub_client: None,
            granted: None,
            keep_alive_s: 0,
            answers_pings: true,
            auth: ConnectionAuth::default(),
            certificates,
            head: Some(Vec::new()),
            packets: Packets::default(),
            mask: Mask::default(),
            began_ms: None,
            close_reason: None,
            is_over: false,
        }
    }

    /// After how many milliseconds of silence the connection is to be closed: one and a half times the keep-alive (MQTT
    /// 3.1.1, section 3.1.2.10). `None` if the client set no keep-alive.
    #[must_use]
    pub fn silence_limit_ms(&self) -> Option<u64> {
        (self.keep_alive_s > 0).then_some(u64::from(self.keep_alive_s) * 1500)
    }

    /// Whether CONNECT was accepted.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.device.is_some() || self.hub_client.is_some()
    }

    /// Whether the credential was verified, by an accepted call or by signing in to a hub. Until then the caller must
    /// close the connection after a short time: CONNECT is accepted with any token of the right shape.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.auth.is_verified()
    }

    /// The name that only one open connection can have, once CONNECT was accepted: the client id and the service or hub
    /// that it is connected to.
    #[must_use]
    pub fn client(&self) -> Option<String> {
        let device = self.device.as_ref().map(|device| device.registration_id.clone());
        device.or_else(|| self.hub_client.as_ref().map(HubClient::connection_name))
    }

    /// Handles bytes as they arrive, which may be parts of packets.
    pub fn receive(&mut self, service: &mut Service, now: Now, bytes: &[u8]) -> Vec<Effect> {
        self.began_ms.get_or_insert(now.monotonic_ms);
        let effects = self.receive_bytes(service, now, bytes);
        if effects.contains(&Effect::Close) {
            self.disconnected(service, now, self.close_reason);
        }
        effects
    }

    fn receive_bytes(&mut self, service: &mut Service, now: Now, bytes: &[u8]) -> Vec<Effect> {
        let Some(mut head) = self.head.take() else { return self.read(service, now, bytes) };
        head.extend_from_slice(bytes);
        match is_other_version(&head) {
            Some(true) => {
                let code = ConnectReturnCode::UnacceptableProtocolVersion;
                self.record_connect(service, now, "", code, Some(RefusalReason::MqttVersion));
                vec![Effect::Send(connack(code)), Effect::Close]
            }
            Some(false) => self.read(service, now, &head),
            None => {
                self.head = Some(head);
                Vec::new()
            }
        }
    }

    fn read(&mut self, service: &mut Service, now: Now, bytes: &[u8]) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut cursor = Cursor::new(bytes);
        while (cursor.position() as usize) < bytes.len() {
            for event in self.connection.recv(&mut cursor) {
                match event {
                    Event::NotifyPacketReceived(packet) => self.packet(service, now, &packet, &mut effects),
                    Event::RequestSendPacket { packet, .. } => {
                        self.packets.add(now, false, &packet, &mut self.mask);
                        effects.push(Effect::Send(packet.to_continuous_buffer()))
                    }
                    Event::RequestClose | Event::NotifyError(_) => {
                        self.close(RefusalReason::MalformedPacket, &mut effects);
                    }
                    _ => {}
                }
                if effects.contains(&Effect::Close) {
                    return effects;
                }
            }
        }
        effects
    }

    fn packet(&mut self, service: &mut Service, now: Now, packet: &Packet, effects: &mut Vec<Effect>) {
        let before = service.events.last_seq();
        self.packets.add(now, true, packet, &mut self.mask);
        self.handle(service, now, packet, effects);
        service.events.add_packets(before, self.packets.pending(), &mut self.mask);
    }

    fn handle(&mut self, service: &mut Service, now: Now, packet: &Packet, effects: &mut Vec<Effect>) {
        // A hub disconnects a device that was deleted, disabled or moved, or whose token has expired.
        if let Some(client) = &self.hub_client
            && let Err(reason) = client.check(service, now, &self.certificates)
        {
            return self.close(reason, effects);
        }
        match packet {
            Packet::V3_1_1Connect(connect) => self.connect(service, now, connect, effects),
            Packet::V3_1_1Subscribe(subscribe) => self.subscribe(service, now, subscribe, effects),
            Packet::V3_1_1Publish(publish) => self.publish(service, now, publish, effects),
            Packet::V3_1_1Pingreq(_) if self.answers_pings => self.send(now, v3_1_1::Pingresp::new().into(), effects),
            Packet::V3_1_1Puback(puback) => self.acknowledged(service, puback.packet_id()),
            Packet::V3_1_1Unsubscribe(unsubscribe) => self.unsubscribe(service, now, unsubscribe, effects),
            Packet::V3_1_1Disconnect(_) => effects.push(Effect::Close),
            _ => {}
        }
    }

    fn connect(&mut self, service: &mut Service, now: Now, connect: &v3_1_1::Connect, effects: &mut Vec<Effect>) {
        if let Some(client) = HubClient::from_connect(connect) {
            return self.connect_to_hub(service, now, connect, client, effects);
        }
        let registration = FoldedId::new(connect.client_id());
        service.tally.arrived(At::Connect, &registration);
        let refusal = match self.admit(service, now, connect) {
            Ok(fault) => match fault {
                Some(Fault::RefuseConnect { code }) => Some((return_code(code), RefusalReason::PlannedFault)),
                Some(Fault::DropBefore | Fault::DropAfter) => return effects.push(Effect::Close),
                Some(Fault::Silent) => return,
                Some(Fault::NoPing) => {
                    self.answers_pings = false;
                    None
                }
                _ => None,
            },
            Err(refused) => Some(refused),
        };
        let (code, reason) = refusal.unzip();
        let accepted = ConnectReturnCode::Accepted;
        self.record_connect(service, now, connect.client_id(), code.unwrap_or(accepted), reason);
        let Some(code) = code else { return self.accept(now, connect, effects) };
        self.device = None;
        service.tally.refused(401, Some(&registration));
        self.refuse(now, code, effects);
    }

    /// Sends the CONNACK of a refusal, and closes the connection.
    fn refuse(&mut self, now: Now, code: ConnectReturnCode, effects: &mut Vec<Effect>) {
        self.packets.add_refusal(now);
        effects.push(Effect::Send(connack(code)));
        effects.push(Effect::Close);
    }

    /// Closes the connection because of what the client did.
    fn close(&mut self, reason: RefusalReason, effects: &mut Vec<Effect>) {
        self.close_reason = Some(reason);
        effects.push(Effect::Close);
    }

    fn accept(&mut self, now: Now, connect: &v3_1_1::Connect, effects: &mut Vec<Effect>) {
        self.keep_alive_s = connect.keep_alive();
        let accepted = v3_1_1::Connack::builder().session_present(false).return_code(ConnectReturnCode::Accepted);
        match accepted.build() {
            Ok(connack) => self.send(now, connack.into(), effects),
            Err(_) => effects.push(Effect::Close),
        }
    }

    /// Checks the shape of CONNECT and what the service requires of it. Returns the fault that is planned for it, or the
    /// code of a refusal and its reason.
    fn admit(
        &mut self,
        service: &mut Service,
        now: Now,
        connect: &v3_1_1::Connect,
    ) -> Result<Option<Fault>, (ConnectReturnCode, RefusalReason)> {
        let mut refuse = |reason, code| {
            service.refusals.note(now, connect.client_id(), reason);
            Err((code, reason))
        };
        if connect.client_id().is_empty() {
            return refuse(RefusalReason::ClientId, ConnectReturnCode::IdentifierRejected);
        }
        let Some(user) = connect.user_name().and_then(names::parse_user_name) else {
            return refuse(RefusalReason::UserName, ConnectReturnCode::NotAuthorized);
        };
        if !is_api_version(user.api_version) {
            return refuse(RefusalReason::ApiVersion, ConnectReturnCode::NotAuthorized);
        }
        let token = match connect.password() {
            _ if !self.certificates.is_empty() => None,
            None => return refuse(RefusalReason::NoToken, ConnectReturnCode::BadUserNameOrPassword),
            Some(password) => match std::str::from_utf8(password) {
                Ok(token) => Some(token.to_owned()),
                Err(_) => return refuse(RefusalReason::Malformed, ConnectReturnCode::BadUserNameOrPassword),
            },
        };
        if connect.client_id() != user.registration_id {
            return refuse(RefusalReason::ClientId, ConnectReturnCode::NotAuthorized);
        }
        let device = Device {
            id_scope: user.id_scope.into(),
            registration_id: user.registration_id.into(),
            api_version: user.api_version.into(),
            user_agent: user.client_version,
            token,
        };
        self.mask = Mask::new(&service.keys_of_device(&device.registration_id));
        let device = self.device.insert(device);
        let checked = service.check_connect(now, &device.caller(&self.certificates));
        if checked.map_err(|(code, reason)| (return_code(code), reason))? {
            self.auth.mark_verified();
        }
        Ok(service.take_fault(now, Transport::Mqtt, At::Connect, &FoldedId::new(&device.registration_id)))
    }

    fn publish(&mut self, service: &mut Service, now: Now, publish: &v3_1_1::Publish, effects: &mut Vec<Effect>) {
        if !self.is_connected() {
            return self.close(RefusalReason::NotConnected, effects);
        }
        if publish.retain() || publish.qos() == Qos::ExactlyOnce {
            return self.close(RefusalReason::PublishFlags, effects);
        }
        // Acknowledged here and not by the library, which panics at packet id 0.
        if let Some(id) = publish.packet_id() {
            match v3_1_1::Puback::builder().packet_id(id).build() {
                Ok(puback) => self.send(now, puback.into(), effects),
                Err(_) => return effects.push(Effect::Close),
            }
        }
        if self.hub_client.is_some() {
            return self.publish_to_hub(service, now, publish, effects);
        }
        let (Some(device), Some((call, request_id))) = (&self.device, names::parse_topic(publish.topic_name())) else {
            return self.close(RefusalReason::Topic, effects);
        };
        let reply = match call {
            Call::Register => service.register(now, &device.caller(&self.certificates), publish.payload().as_slice()),
            Call::Status { operation_id } => {
                service.operation_status(now, &device.caller(&self.certificates), operation_id)
            }
        };
        let (status, hint) = (reply.status, reply.retry_after);
        let topic = |request_id: &str| names::reply_topic(status, request_id, hint);
        self.reply(now, &reply, request_id, self.granted, topic, effects);
        self.auth.record_reply(reply.status);
        if self.auth.has_too_many_refusals() {
            self.close(RefusalReason::TooManyRefusals, effects);
        }
    }
}

impl Device {
    fn caller<'a>(&'a self, certificates: &'a ClientCertificates) -> Caller<'a> {
        Caller {
            id_scope: &self.id_scope,
            registration_id: &self.registration_id,
            token: self.token.as_deref(),
            certificates: Some(certificates),
            api_version: &self.api_version,
            user_agent: self.user_agent.as_deref(),
            protocol: Protocol::Mqtt,
        }
    }
}

/// Whether a connection starts with a CONNECT of another version than 3.1.1; `None` while too few bytes have arrived.
fn is_other_version(bytes: &[u8]) -> Option<bool> {
    let (first, rest) = bytes.split_first()?;
    let length_more = rest.iter().take(4).take_while(|byte| **byte & 0x80 != 0).count();
    if *first != 0x10 || length_more == 4 {
        return Some(false);
    }
    let (length, body) = rest.split_at_checked(length_more + 1)?;
    let length = length.iter().rev().fold(0_usize, |length, byte| length << 7 | usize::from(byte & 0x7f));
    if length <= LEVEL_AT {
        return Some(false);
    }
    body.get(LEVEL_AT).map(|level| *level != 4)
}

/// The bytes of a refusal: fixed header, session-present 0, code (MQTT 3.1.1, section 3.2).
fn connack(code: ConnectReturnCode) -> Vec<u8> {
    vec![0x20, 2, 0, code as u8]
}

fn return_code(code: u8) -> ConnectReturnCode {
    match code {
        1 => ConnectReturnCode::UnacceptableProtocolVersion,
        2 => ConnectReturnCode::IdentifierRejected,
        3 => ConnectReturnCode::ServerUnavailable,
        4 => ConnectReturnCode::BadUserNameOrPassword,
        _ => ConnectReturnCode::NotAuthorized,
    }
}
