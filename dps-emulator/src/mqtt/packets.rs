//! The packets of a session, for its events: their names, sizes, topics and ids, and nothing of their payloads.

use mqtt_protocol_core::mqtt::packet::{GenericPacketTrait, Packet};

use crate::events::{Mask, MqttPacket};
use crate::time::Now;

/// How many packets are kept until an event has them: a device that only pings makes no events.
const KEPT_MAX: usize = 100;

/// The packets since the last event.
#[derive(Default)]
pub(super) struct Packets(Vec<MqttPacket>);

impl Packets {
    pub(super) fn add(&mut self, now: Now, from_client: bool, packet: &Packet, mask: &mut Mask) {
        let (mut topic, mut qos, mut packet_id) = (None, None, None);
        let name = match packet {
            Packet::V3_1_1Connect(_) => "CONNECT",
            Packet::V3_1_1Connack(_) => "CONNACK",
            Packet::V3_1_1Publish(publish) => {
                topic = Some(mask.text("topic", publish.topic_name()));
                qos = Some(publish.qos() as u8);
                packet_id = publish.packet_id();
                "PUBLISH"
            }
            Packet::V3_1_1Puback(puback) => {
                packet_id = Some(puback.packet_id());
                "PUBACK"
            }
            Packet::V3_1_1Subscribe(subscribe) => {
                topic = subscribe.entries().first().map(|entry| mask.text("topic", entry.topic_filter()));
                packet_id = Some(subscribe.packet_id());
                "SUBSCRIBE"
            }
            Packet::V3_1_1Suback(suback) => {
                packet_id = Some(suback.packet_id());
                "SUBACK"
            }
            Packet::V3_1_1Unsubscribe(unsubscribe) => {
                packet_id = Some(unsubscribe.packet_id());
                "UNSUBSCRIBE"
            }
            Packet::V3_1_1Unsuback(unsuback) => {
                packet_id = Some(unsuback.packet_id());
                "UNSUBACK"
            }
            Packet::V3_1_1Pingreq(_) => "PINGREQ",
            Packet::V3_1_1Pingresp(_) => "PINGRESP",
            Packet::V3_1_1Disconnect(_) => "DISCONNECT",
            _ => "other",
        };
        let (unix_ms, bytes) = (now.unix_ms, packet.size());
        self.push(MqttPacket { from_client, name, unix_ms, bytes, topic, qos, packet_id });
    }

    /// Adds the CONNACK of a refusal.
    pub(super) fn add_refusal(&mut self, now: Now) {
        let (topic, qos, packet_id) = (None, None, None);
        let (unix_ms, bytes) = (now.unix_ms, 4);
        self.push(MqttPacket { from_client: false, name: "CONNACK", unix_ms, bytes, topic, qos, packet_id });
    }

    fn push(&mut self, packet: MqttPacket) {
        if self.0.len() == KEPT_MAX {
            self.0.remove(0);
        }
        self.0.push(packet);
    }

    pub(super) fn pending(&mut self) -> &mut Vec<MqttPacket> {
        &mut self.0
    }
}
