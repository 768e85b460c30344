//! Events: what reached the service, and what became of it. One for each connection and its end, exchange, hub sign-in
//! and fault that was met.
//!
//! Only what is safe to show is recorded: never a token, a signature, a key, a header as it was sent, or the body of an
//! owner's call. [`json`] writes the form that `docs/events.schema.json` describes.

#[cfg(feature = "server")]
mod connection;
mod credential;
mod device;
mod filter;
mod http;
mod json;
mod line;
mod mask;
mod reason;
mod recorder;
mod signer;
mod waits;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::fault::{At, RetryAfter};
use crate::x509::{CertificateInfo, ClientCertificates};

#[cfg(feature = "server")]
pub(crate) use connection::{Accepted, Ended};
pub use credential::{SignedBy, TokenFacts};
pub(crate) use device::{Arrival, Outcome};
pub use filter::EventFilter;
pub(crate) use filter::EventQuery;
pub use line::event_line;
pub(crate) use mask::Mask;
pub use reason::RefusalReason;
pub(crate) use recorder::Recorder;
pub use waits::WaitKept;

/// Something that happened at the service.
///
/// Serializes as one flat JSON object, whose members are described in `docs/events.md`. Members are only ever added.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Event {
    /// Counts the events since the service was created, from 1. A gap shows that older ones were dropped.
    pub seq: u64,
    /// When, in milliseconds since 1970 by the service's clock.
    pub unix_ms: u64,
    /// When, by the service's monotonic clock, in milliseconds.
    pub monotonic_ms: u64,
    /// How the client is connected.
    pub transport: Transport,
    /// The connection; `None` where the pure service is called without one.
    pub connection: Option<Arc<Connection>>,
    /// The registration id as it was sent, or the device id at a hub. `None` if the client has not named one.
    pub registration_id: Option<String>,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum EventKind {
    /// A client connected, and the TLS handshake was finished or failed.
    Connection(Handshake),
    /// A connection ended.
    Disconnection(Box<Disconnection>),
    /// A request was answered, or deliberately not answered. With a [`reason`](Exchange::reason) its name is `refusal`.
    Exchange(Box<Exchange>),
    /// A device signed in to its hub, or was refused there.
    HubSignIn(Box<HubSignIn>),
    /// A planned fault was met. The exchange that met it follows.
    Fault(MetFault),
    /// The webhook of an enrollment was called, or was not.
    Webhook(Box<WebhookExchange>),
}

/// The transport of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// HTTPS.
    Https,
    /// MQTT over TLS.
    Mqtt,
    /// MQTT over WebSocket.
    MqttWebSocket,
    /// The service itself calls a webhook, over HTTPS or HTTP.
    Webhook,
}

/// A connection, as far as it is known before its first request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Connection {
    /// Counts the connections since the service was created, from 1.
    pub id: u64,
    /// How the client is connected. The handshake on a port of several protocols is one of HTTPS.
    pub transport: Transport,
    /// The client's address.
    pub peer: Option<SocketAddr>,
    /// TLS, if the handshake was finished.
    pub tls: Option<Tls>,
    /// The certificate of the client, the first of its chain.
    pub client_certificate: Option<CertificateInfo>,
}

/// The TLS session of a connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Tls {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// The cipher suite, by its name at IANA.
    pub cipher_suite: String,
    /// The host name that the client asked for (SNI).
    pub server_name: Option<String>,
}

/// The outcome of a TLS handshake.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Handshake {
    /// Why it failed, in the words of the TLS library; `None` if it was finished.
    pub failure: Option<String>,
}

/// The end of a connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Disconnection {
    /// How long the connection lasted, in milliseconds by the service's clock.
    pub lasted_ms: u64,
    /// Why the service closed it; `None` if the client did, if a fault was planned, or if the emulator stopped.
    pub reason: Option<RefusalReason>,
    /// The MQTT packets since the last event of the connection.
    pub packets: Vec<MqttPacket>,
}

/// One request and its reply.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Exchange {
    /// `register`, `poll`, `lookup`, `connect`, `subscribe`, `hub-twin`, `hub-reported`, `hub-telemetry`, `hub-renew` (a
    /// certificate request), `hub-issue` (its last answer), or the method and path of another HTTP request.
    pub call: String,
    /// The MQTT client id.
    pub client_id: Option<String>,
    /// `User-Agent`, or the `ClientVersion` of an MQTT user name.
    pub user_agent: Option<String>,
    /// The api-version.
    pub api_version: Option<String>,
    /// The operation that is polled, or that a register call started.
    pub operation_id: Option<String>,
    /// The status of the service's reply, even if a fault keeps it from the client; at `connect` the code of CONNACK, at
    /// `subscribe` that of SUBACK. `None` if a fault kept the request from the service.
    pub status: Option<u16>,
    /// The six-digit code of an error.
    pub code: Option<u32>,
    /// The tracking id of the reply.
    pub tracking_id: Option<String>,
    /// Why the request was refused, or the registration ended without an assignment.
    pub reason: Option<RefusalReason>,
    /// The reason in words, often with more than [`RefusalReason`] has.
    pub message: Option<String>,
    /// The wait that the reply asks for.
    pub wait_told: Option<RetryAfter>,
    /// How the client kept the wait that the last reply to this device asked for, if it did.
    pub wait_kept: Option<WaitKept>,
    /// The size of the request's body, in bytes.
    pub request_bytes: usize,
    /// The request's body as JSON, with secrets masked. `None` if it is not JSON, large, or an owner's.
    pub request: Option<String>,
    /// The reply's body, in the same way, before a fault changed it.
    pub reply: Option<String>,
    /// Where the device sent a key of its own: `path`, `client-id`, `user-agent` or `body`. The key is masked everywhere.
    pub exposed: Vec<&'static str>,
    /// The token, taken apart.
    pub token: Option<TokenFacts>,
    /// The certificates that the client presented, its own first, if the call depends on them.
    pub certificates: ClientCertificates,
    /// The MQTT packets since the last event of the connection.
    pub packets: Vec<MqttPacket>,
}

/// CONNECT to a hub.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HubSignIn {
    /// The hub that the user name has.
    pub hub: String,
    /// The device id that the user name has.
    pub device_id: String,
    /// The code of CONNACK; 0 if the device was accepted.
    pub status: u16,
    /// Why the device was refused.
    pub reason: Option<RefusalReason>,
    /// The token, taken apart.
    pub token: Option<TokenFacts>,
    /// The MQTT packets since the last event of the connection.
    pub packets: Vec<MqttPacket>,
}

/// A call of an allocation webhook.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct WebhookExchange {
    /// The URL, with `****` in place of its query.
    pub url: String,
    /// Whether the call was without TLS.
    pub plain_http: bool,
    /// The status of the reply; `None` if there was no complete reply.
    pub status: Option<u16>,
    /// How long the call took, in milliseconds by the service's clock.
    pub took_ms: u64,
    /// The hub that the webhook chose; `None` if the reply was not valid.
    pub assigned_hub: Option<String>,
    /// Why the registration fails: what the device receives with 400207.
    pub failure: Option<String>,
}

/// A planned fault that was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetFault {
    /// Its kind, as in a fault plan.
    pub fault: &'static str,
    /// The request that met it.
    pub at: At,
}

/// A packet of MQTT, without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MqttPacket {
    /// Whether the client sent it.
    pub from_client: bool,
    /// Its name, such as `PUBLISH`.
    pub name: &'static str,
    /// When, in milliseconds since 1970 by the service's clock.
    pub unix_ms: u64,
    /// The size of the packet, in bytes.
    pub bytes: usize,
    /// The topic of a publish, or the first topic filter of a subscription.
    pub topic: Option<String>,
    /// The quality of service of a publish.
    pub qos: Option<u8>,
    /// The packet id.
    pub packet_id: Option<u16>,
}

impl Event {
    /// The name of what happened: `connection`, `disconnection`, `exchange`, `refusal`, `hub-sign-in`, `fault` or `webhook`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match &self.kind {
            EventKind::Connection(_) => "connection",
            EventKind::Disconnection(_) => "disconnection",
            EventKind::Exchange(exchange) if exchange.reason.is_some() => "refusal",
            EventKind::Exchange(_) => "exchange",
            EventKind::HubSignIn(_) => "hub-sign-in",
            EventKind::Fault(_) => "fault",
            EventKind::Webhook(_) => "webhook",
        }
    }

    /// Why something was refused, if it was.
    #[must_use]
    pub fn reason(&self) -> Option<RefusalReason> {
        match &self.kind {
            EventKind::Connection(handshake) => handshake.failure.as_ref().map(|_| RefusalReason::HandshakeFailed),
            EventKind::Disconnection(end) => end.reason,
            EventKind::Exchange(exchange) => exchange.reason,
            EventKind::HubSignIn(sign_in) => sign_in.reason,
            EventKind::Fault(_) => None,
            EventKind::Webhook(call) => call.failure.as_ref().map(|_| RefusalReason::WebhookFailed),
        }
    }

    /// The exchange, if the event is one.
    #[must_use]
    pub fn exchange(&self) -> Option<&Exchange> {
        match &self.kind {
            EventKind::Exchange(exchange) => Some(exchange),
            _ => None,
        }
    }

    /// About how much memory the event uses, in bytes. What events of one connection share counts for each of them.
    fn size(&self) -> usize {
        const FIXED: usize = 768;
        const PACKET: usize = 128;
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let packets = |packets: &[MqttPacket]| packets.iter().map(|packet| PACKET + text(&packet.topic)).sum::<usize>();
        let token = |token: &Option<TokenFacts>| token.as_ref().map_or(0, TokenFacts::size);
        let shared = self.connection.as_ref().map_or(0, |connection| {
            let client = connection.client_certificate.as_ref();
            let client = client.map_or(0, |info| info.subject_name.len() + info.issuer_name.len());
            client + connection.tls.as_ref().map_or(0, |tls| text(&tls.server_name))
        });
        let own = match &self.kind {
            EventKind::Exchange(exchange) => {
                let texts = [
                    &exchange.client_id,
                    &exchange.user_agent,
                    &exchange.api_version,
                    &exchange.operation_id,
                    &exchange.message,
                    &exchange.request,
                    &exchange.reply,
                ];
                let texts = exchange.call.len() + texts.into_iter().map(text).sum::<usize>();
                texts + token(&exchange.token) + exchange.certificates.size() + packets(&exchange.packets)
            }
            EventKind::Disconnection(end) => packets(&end.packets),
            EventKind::HubSignIn(sign_in) => {
                sign_in.hub.len() + sign_in.device_id.len() + token(&sign_in.token) + packets(&sign_in.packets)
            }
            EventKind::Webhook(call) => call.url.len() + text(&call.failure) + text(&call.assigned_hub),
            EventKind::Connection(handshake) => text(&handshake.failure),
            EventKind::Fault(_) => 0,
        };
        FIXED + text(&self.registration_id) + shared + own
    }

    #[cfg(feature = "mqtt")]
    fn can_have_packets(&self) -> bool {
        !matches!(self.kind, EventKind::Connection(_) | EventKind::Fault(_) | EventKind::Webhook(_))
    }

    /// The packets of the event's connection, where it can have some.
    #[cfg(feature = "mqtt")]
    fn packets_mut(&mut self) -> Option<&mut Vec<MqttPacket>> {
        match &mut self.kind {
            EventKind::Exchange(exchange) => Some(&mut exchange.packets),
            EventKind::Disconnection(end) => Some(&mut end.packets),
            EventKind::HubSignIn(sign_in) => Some(&mut sign_in.packets),
            EventKind::Connection(_) | EventKind::Fault(_) | EventKind::Webhook(_) => None,
        }
    }
}

impl Transport {
    /// `https`, `mqtt`, `mqtt-ws` or `webhook`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Mqtt => "mqtt",
            Self::MqttWebSocket => "mqtt-ws",
            Self::Webhook => "webhook",
        }
    }
}

/// The first characters of what a client sent, which is bounded so that the list of events is.
pub(crate) fn bounded(text: &str) -> String {
    const CHARACTERS_MAX: usize = 256;
    text.chars().take(CHARACTERS_MAX).collect()
}
