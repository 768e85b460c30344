//! Events as JSON: one flat object each, camelCase, units in names. The form is a contract: members are only added.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::device::missing_issuer;
use super::{Connection, Event, EventKind, Exchange, MqttPacket, RefusalReason, TokenFacts};
use crate::fault::RetryAfter;
use crate::time::iso_8601;
use crate::x509::CertificateInfo;

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("seq", &self.seq)?;
        map.serialize_entry("timestampUtc", &iso_8601(self.unix_ms))?;
        map.serialize_entry("kind", self.name())?;
        map.serialize_entry("transport", self.transport.name())?;
        optional(&mut map, "registrationId", self.registration_id.as_ref())?;
        optional(&mut map, "connection", self.connection.as_deref().map(Shown).as_ref())?;
        let message = match &self.kind {
            EventKind::Connection(handshake) => handshake.failure.clone(),
            EventKind::Exchange(exchange) => exchange.message.clone(),
            EventKind::Webhook(call) => call.failure.clone(),
            _ => None,
        };
        reason(&mut map, self.reason(), message)?;
        match &self.kind {
            EventKind::Connection(_) => {}
            EventKind::Disconnection(end) => {
                map.serialize_entry("lastedMs", &end.lasted_ms)?;
                packets(&mut map, &end.packets)?;
            }
            EventKind::Exchange(exchange) => members(&mut map, exchange)?,
            EventKind::HubSignIn(sign_in) => {
                map.serialize_entry("hub", &sign_in.hub)?;
                map.serialize_entry("deviceId", &sign_in.device_id)?;
                map.serialize_entry("status", &sign_in.status)?;
                optional(&mut map, "token", sign_in.token.as_ref())?;
                packets(&mut map, &sign_in.packets)?;
            }
            EventKind::Fault(met) => {
                map.serialize_entry("fault", met.fault)?;
                map.serialize_entry("at", met.at.name())?;
            }
            EventKind::Webhook(call) => {
                map.serialize_entry("url", &call.url)?;
                map.serialize_entry("plainHttp", &call.plain_http)?;
                optional(&mut map, "status", call.status.as_ref())?;
                map.serialize_entry("tookMs", &call.took_ms)?;
                optional(&mut map, "assignedHub", call.assigned_hub.as_ref())?;
            }
        }
        map.end()
    }
}

fn optional<M: SerializeMap>(map: &mut M, name: &'static str, value: Option<&impl Serialize>) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(name, value))
}

fn reason<M: SerializeMap>(
    map: &mut M,
    reason: Option<RefusalReason>,
    message: Option<String>,
) -> Result<(), M::Error> {
    let Some(reason) = reason else { return optional(map, "message", message.as_ref()) };
    map.serialize_entry("reason", reason.name())?;
    map.serialize_entry("message", &message.unwrap_or_else(|| reason.to_string()))
}

fn packets<M: SerializeMap>(map: &mut M, packets: &[MqttPacket]) -> Result<(), M::Error> {
    optional(map, "packets", Some(packets).filter(|packets| !packets.is_empty()).as_ref())
}

fn members<M: SerializeMap>(map: &mut M, exchange: &Exchange) -> Result<(), M::Error> {
    map.serialize_entry("call", &exchange.call)?;
    optional(map, "status", exchange.status.as_ref())?;
    optional(map, "code", exchange.code.as_ref())?;
    optional(map, "trackingId", exchange.tracking_id.as_ref())?;
    optional(map, "clientId", exchange.client_id.as_ref())?;
    optional(map, "userAgent", exchange.user_agent.as_ref())?;
    optional(map, "apiVersion", exchange.api_version.as_ref())?;
    optional(map, "operationId", exchange.operation_id.as_ref())?;
    optional(map, "waitToldSeconds", exchange.wait_told.map(seconds).as_ref())?;
    if let Some(kept) = exchange.wait_kept {
        map.serialize_entry("waitedMs", &kept.waited_ms)?;
        map.serialize_entry("earlyByMs", &kept.early_by_ms)?;
    }
    map.serialize_entry("requestBytes", &exchange.request_bytes)?;
    optional(map, "request", json(&exchange.request).as_ref())?;
    optional(map, "reply", json(&exchange.reply).as_ref())?;
    optional(map, "exposed", Some(&exchange.exposed).filter(|places| !places.is_empty()))?;
    optional(map, "token", exchange.token.as_ref())?;
    let certificates: Vec<&CertificateInfo> = exchange.certificates.infos().collect();
    optional(map, "certificates", Some(&certificates).filter(|certificates| !certificates.is_empty()))?;
    optional(map, "missingIssuer", missing_issuer(exchange.reason, &exchange.certificates).as_ref())?;
    packets(map, &exchange.packets)
}

/// What was recorded is JSON already, and becomes a member as it is.
fn json(text: &Option<String>) -> Option<&RawValue> {
    text.as_deref().and_then(|text| serde_json::from_str(text).ok())
}

/// The wait in seconds; a date becomes the seconds until then, which may be negative.
fn seconds(hint: RetryAfter) -> i64 {
    match hint {
        RetryAfter::Seconds(seconds) => seconds.into(),
        RetryAfter::Date(offset) => offset,
    }
}

impl Serialize for TokenFacts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("resource", &self.resource)?;
        map.serialize_entry("expiresUtc", &iso_8601(self.expires_unix_s.saturating_mul(1000)))?;
        map.serialize_entry("expiresInSeconds", &self.expires_in_ms.div_euclid(1000))?;
        map.serialize_entry("keyName", &self.key_name)?;
        map.serialize_entry("signedBy", self.signed_by.name())?;
        optional(&mut map, "keyOf", self.signed_by.owner().as_ref())?;
        map.end()
    }
}

impl Serialize for MqttPacket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("from", if self.from_client { "client" } else { "service" })?;
        map.serialize_entry("packet", self.name)?;
        map.serialize_entry("timestampUtc", &iso_8601(self.unix_ms))?;
        map.serialize_entry("bytes", &self.bytes)?;
        optional(&mut map, "topic", self.topic.as_ref())?;
        optional(&mut map, "qos", self.qos.as_ref())?;
        optional(&mut map, "packetId", self.packet_id.as_ref())?;
        map.end()
    }
}

/// A connection as a member of its events.
struct Shown<'a>(&'a Connection);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Connection { id, peer, tls, client_certificate, .. } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", id)?;
        optional(&mut map, "peer", peer.as_ref())?;
        if let Some(tls) = tls {
            map.serialize_entry("tlsVersion", tls.version)?;
            map.serialize_entry("cipherSuite", &tls.cipher_suite)?;
            optional(&mut map, "serverName", tls.server_name.as_ref())?;
        }
        optional(&mut map, "clientCertificate", client_certificate.as_ref())?;
        map.end()
    }
}
