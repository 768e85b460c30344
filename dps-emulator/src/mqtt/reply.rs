//! Replies to calls, as packets: with what a fault does to them, and the publish that carries each.

use mqtt_protocol_core::mqtt::connection::Event;
use mqtt_protocol_core::mqtt::packet::{GenericPacketTrait, Packet, Qos, v3_1_1};

use super::{Effect, Session};
use crate::device::Reply;
use crate::fault::TransportFault;
use crate::time::Now;

impl Session {
    /// Sends a reply to a client that has subscribed with this quality of service, or what its fault makes of it. The topic
    /// is that for a request id. Returns the packet ids of what was sent, if it is to be acknowledged.
    pub(super) fn reply(
        &mut self,
        now: Now,
        reply: &Reply,
        request_id: &str,
        granted: Option<Qos>,
        topic: impl Fn(&str) -> String,
        effects: &mut Vec<Effect>,
    ) -> Vec<u16> {
        let mut copies = 1;
        let mut request_id = request_id.to_owned();
        match reply.fault {
            Some(TransportFault::DropBefore | TransportFault::DropAfter) => {
                effects.push(Effect::Close);
                return Vec::new();
            }
            Some(TransportFault::Silent) => return Vec::new(),
            // A server never sends CONNECT.
            Some(TransportFault::Noise) => {
                effects.push(Effect::Send(vec![0x10, 3, 0xff, 0xff, 0xff]));
                return Vec::new();
            }
            Some(TransportFault::Flood { of, answered: false }) if !of.is_http() => {
                effects.push(Effect::Flood(of));
                return Vec::new();
            }
            Some(TransportFault::Delay { ms }) => effects.push(Effect::Pause(ms)),
            Some(TransportFault::WrongRequestId) => request_id.push('0'),
            Some(TransportFault::Duplicate) => copies = 2,
            _ => {}
        }
        let before = effects.len();
        let ids = (0..copies).filter_map(|_| {
            let mut topic = topic(&request_id);
            if reply.fault == Some(TransportFault::MissingRequestId) {
                topic = topic.replace(&format!("$rid={request_id}"), "");
            }
            let payload = reply.body.clone();
            self.send_publish(now, granted, topic, payload, effects)
        });
        let ids = ids.collect();
        if reply.fault == Some(TransportFault::SlowBytes) {
            for effect in &mut effects[before..] {
                if let Effect::Send(bytes) = effect {
                    *effect = Effect::Trickle(std::mem::take(bytes));
                }
            }
        }
        if let Some(TransportFault::Flood { of, answered: true }) = reply.fault {
            effects.push(Effect::Flood(of));
        }
        ids
    }

    /// Sends a publish to a client that has subscribed. Returns its packet id, if it has one.
    pub(super) fn send_publish(
        &mut self,
        now: Now,
        granted: Option<Qos>,
        topic: String,
        payload: Vec<u8>,
        effects: &mut Vec<Effect>,
    ) -> Option<u16> {
        let granted = granted?;
        let mut publish = v3_1_1::Publish::builder().qos(granted).payload(payload);
        let mut packet_id = None;
        if granted != Qos::AtMostOnce {
            let Ok(id) = self.connection.acquire_packet_id() else {
                effects.push(Effect::Close);
                return None;
            };
            packet_id = Some(id);
            publish = publish.packet_id(id);
        }
        match publish.topic_name(topic).and_then(|publish| publish.build()) {
            Ok(publish) => self.send(now, publish.into(), effects),
            Err(_) => effects.push(Effect::Close),
        }
        packet_id
    }

    pub(super) fn send(&mut self, now: Now, packet: Packet, effects: &mut Vec<Effect>) {
        self.packets.add(now, false, &packet, &mut self.mask);
        for event in self.connection.send(packet) {
            match event {
                Event::RequestSendPacket { packet, .. } => effects.push(Effect::Send(packet.to_continuous_buffer())),
                Event::RequestClose | Event::NotifyError(_) => effects.push(Effect::Close),
                _ => {}
            }
        }
    }
}
