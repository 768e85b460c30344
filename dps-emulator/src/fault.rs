//! Planned faults: which request meets one, how often, and what goes wrong.
//!
//! Faults in a reply (429, 5xx, garbage, oversize) are produced by the service; those of a connection are handed to the
//! listener as a [`TransportFault`].

use serde_json::{Map, Value};

use crate::time::{Now, http_date};

/// A `Retry-After` hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// Whole seconds, the form that the service sends.
    Seconds(u32),
    /// An HTTP-date this many seconds after the service's clock, or before it; HTTP allows that form (RFC 9110,
    /// 10.2.3).
    Date(i64),
}

impl RetryAfter {
    /// The whole seconds until then, for a protocol without dates; 0 for a date that has passed.
    #[cfg(feature = "mqtt")]
    pub(crate) fn seconds(self) -> u64 {
        match self {
            Self::Seconds(seconds) => u64::from(seconds),
            Self::Date(offset) => u64::try_from(offset).unwrap_or_default(),
        }
    }

    /// The value of the header.
    #[must_use]
    pub fn header_value(self, now: Now) -> String {
        match self {
            Self::Seconds(seconds) => seconds.to_string(),
            Self::Date(offset) => http_date(now.unix_s().saturating_add_signed(offset)),
        }
    }
}

/// Whose requests a fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// Every device's.
    All,
    /// One registration's; letter case does not matter.
    Registration(&'a str),
}

/// Which requests a fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Register.
    Register,
    /// Operation status.
    Poll,
    /// Registration status lookup.
    Lookup,
    /// CONNECT; MQTT only.
    Connect,
    /// SUBSCRIBE; MQTT only.
    Subscribe,
    /// The TLS handshake of a connection.
    Handshake,
    /// A certificate request to a hub; MQTT only.
    Renew,
    /// The last answer of a hub to a certificate request; the certificate is issued whatever the fault. For
    /// [`Fault::ForeignCertificate`] any issuing of a certificate, at registration too.
    Issue,
    /// Any of register, operation status and lookup.
    Any,
}

impl At {
    pub(crate) const ALL: [Self; 9] = [
        Self::Register,
        Self::Poll,
        Self::Lookup,
        Self::Connect,
        Self::Subscribe,
        Self::Handshake,
        Self::Renew,
        Self::Issue,
        Self::Any,
    ];

    /// The name in plans.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Poll => "poll",
            Self::Lookup => "lookup",
            Self::Connect => "connect",
            Self::Subscribe => "subscribe",
            Self::Handshake => "handshake",
            Self::Renew => "renew",
            Self::Issue => "issue",
            Self::Any => "any",
        }
    }
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// 429, with or without a hint; the request is not processed.
    Throttle {
        /// The hint.
        retry_after: Option<RetryAfter>,
    },
    /// This status with an error body; the request is not processed. Meant for 5xx; any error status is accepted.
    ServerError {
        /// 400 to 599.
        status: u16,
        /// The hint.
        retry_after: Option<RetryAfter>,
    },
    /// The connection is closed before the request is processed.
    DropBefore,
    /// The request is processed, then the connection is closed without a reply.
    DropAfter,
    /// The reply is sent this much later.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// The right status, with a body that is not JSON.
    Garbage,
    /// Bytes that are not the protocol at all, instead of the reply.
    Noise,
    /// The reply is sent one byte at a time.
    SlowBytes,
    /// The reply has another request id than the request (only MQTT; HTTP has no request ids).
    WrongRequestId,
    /// The reply has no request id (only MQTT).
    MissingRequestId,
    /// The operation is forgotten: a poll does not find it. At register, the operation that the call started.
    ForgetOperation,
    /// A valid reply, padded to this size with an unknown member.
    OversizeReply {
        /// Size of the body in bytes.
        bytes: usize,
    },
    /// A valid reply whose body is changed by this JSON merge patch (RFC 7396): names that the service never sends,
    /// members of another type, missing members.
    PatchReply {
        /// An object; null removes a member.
        patch: Map<String, Value>,
    },
    /// No reply; the connection stays open.
    Silent,
    /// CONNACK with this code, at CONNECT (MQTT 3.1.1, section 3.2.2.3).
    RefuseConnect {
        /// 1 to 5.
        code: u8,
    },
    /// SUBACK with a failure code, at SUBSCRIBE.
    RefuseSubscribe,
    /// No PINGREQ is answered on a connection that meets this at CONNECT.
    NoPing,
    /// The handshake does not request a client certificate. Only for every device, since the device is not known then; the
    /// handshakes of service clients meet it too.
    NoCertificateRequest,
    /// The handshake refuses the client's certificate by the alert `unknown_ca`; the device is that of the common name. Under
    /// TLS 1.3 the client has finished its part then, and may have sent a request.
    RefuseCertificate,
    /// The key for the device's TPM is one of an earlier challenge, or otherwise one that the service does not accept: in
    /// the challenge, or for the hub. No effect on a reply without such a key.
    ReplayedChallenge,
    /// The key for the device's TPM is made for another TPM, which alone can import it: in the challenge, or for the hub. No
    /// effect on a reply without such a key.
    ForeignChallenge,
    /// The reply of a hub to a certificate request is sent twice.
    DuplicateReply,
    /// The certificate is issued for another key than that of the request.
    ForeignCertificate,
    /// The request is processed; a flood is sent instead of its reply, or after it. The flood ends when the client
    /// closes the connection, and is bounded in time and size.
    Flood {
        /// What is sent without end.
        of: Flood,
        /// Whether the reply is sent first; only over MQTT.
        answered: bool,
    },
}

/// What a listener has to do with a reply, or instead of sending it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportFault {
    /// Close without a reply. The request was not processed; the reply is empty.
    DropBefore,
    /// Close without a reply, although the request was processed.
    DropAfter,
    /// Delay the reply.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// Send bytes that are not the protocol.
    Noise,
    /// Send the reply one byte at a time.
    SlowBytes,
    /// Reply with another request id, where the protocol has one.
    WrongRequestId,
    /// Reply without a request id, where the protocol has one.
    MissingRequestId,
    /// Send the reply twice, where the protocol has request ids.
    Duplicate,
    /// Never reply, and keep the connection open.
    Silent,
    /// Send this until the client closes the connection, instead of the reply or after it.
    Flood {
        /// What is sent.
        of: Flood,
        /// Whether the reply is sent first.
        answered: bool,
    },
}

impl Fault {
    pub(crate) fn for_transport(&self) -> Option<TransportFault> {
        Some(match self {
            Self::DropBefore => TransportFault::DropBefore,
            Self::DropAfter => TransportFault::DropAfter,
            Self::Delay { ms } => TransportFault::Delay { ms: *ms },
            Self::Noise => TransportFault::Noise,
            Self::SlowBytes => TransportFault::SlowBytes,
            Self::WrongRequestId => TransportFault::WrongRequestId,
            Self::MissingRequestId => TransportFault::MissingRequestId,
            Self::DuplicateReply => TransportFault::Duplicate,
            Self::Silent => TransportFault::Silent,
            Self::Flood { of, answered } => TransportFault::Flood { of: *of, answered: *answered },
            _ => return None,
        })
    }
}

/// A chunk of 128 spaces. With larger chunks there would be too few of them for a flood; with smaller ones a client in
/// a debug build reads too few to reach its limit within its request timeout.
#[cfg(feature = "server")]
const CHUNK: &[u8] = concat!(
    "80\r\n",
    "                                                                ",
    "                                                                ",
    "\r\n"
)
.as_bytes();

/// What a flood consists of. A flood of another transport leaves the reply as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flood {
    /// MQTT: PINGRESP without a PINGREQ.
    Pingresp,
    /// MQTT: PUBACK without a PUBLISH.
    Puback,
    /// MQTT: publishes of one byte on a topic that the client did not subscribe to.
    Publish,
    /// MQTT over WebSocket: ping frames. Over TLS nothing is sent.
    PingFrames,
    /// HTTPS: interim responses 102, without a final one.
    InterimResponses,
    /// HTTPS: header lines.
    HeaderLines,
    /// HTTPS: chunks of a body.
    Chunks,
}

impl Flood {
    pub(crate) const ALL: [Self; 7] = [
        Self::Pingresp,
        Self::Puback,
        Self::Publish,
        Self::PingFrames,
        Self::InterimResponses,
        Self::HeaderLines,
        Self::Chunks,
    ];

    /// All names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().map(Self::name)
    }

    /// The name in plans.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pingresp => "pingresp",
            Self::Puback => "puback",
            Self::Publish => "publish",
            Self::PingFrames => "ping-frames",
            Self::InterimResponses => "interim-responses",
            Self::HeaderLines => "header-lines",
            Self::Chunks => "chunks",
        }
    }

    /// Whether it is a flood over HTTPS; the others are over MQTT.
    #[must_use]
    pub fn is_http(self) -> bool {
        matches!(self, Self::InterimResponses | Self::HeaderLines | Self::Chunks)
    }

    /// The MQTT packet that is repeated, if the flood consists of packets.
    #[must_use]
    pub fn packet(self) -> Option<&'static [u8]> {
        match self {
            Self::Pingresp => Some(&[0xd0, 0]),
            // Packet id 65,535.
            Self::Puback => Some(&[0x40, 2, 0xff, 0xff]),
            // Quality 0, the topic "a", no payload.
            Self::Publish => Some(&[0x30, 3, 0, 1, b'a']),
            _ => None,
        }
    }

    /// The beginning of an HTTPS flood, and what is repeated after it.
    #[cfg(feature = "server")]
    pub(crate) fn http(self) -> Option<(&'static [u8], &'static [u8])> {
        match self {
            Self::InterimResponses => Some((b"", b"HTTP/1.1 102 Processing\r\n\r\n")),
            Self::HeaderLines => Some((b"HTTP/1.1 200 OK\r\n", b"x-flood: y\r\n")),
            Self::Chunks => Some((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNK)),
            _ => None,
        }
    }
}
