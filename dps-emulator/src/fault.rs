//! Failures on command: which request meets one, how often, and what it is.
//!
//! Faults that are answers (429, 5xx, garbage, oversize) are made by the service; those that happen to a connection are
//! handed to the front as a [`TransportFault`].

use serde_json::{Map, Value};

use crate::time::{Now, http_date};

/// A `Retry-After` hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// Whole seconds, as the service sends it.
    Seconds(u32),
    /// An HTTP-date so many seconds after (or before) the service's clock, which HTTP allows (RFC 9110, 10.2.3).
    Date(i64),
}

impl RetryAfter {
    /// The header's value.
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
    /// Any of register, operation status and lookup.
    Any,
}

impl At {
    pub(crate) const ALL: [Self; 6] =
        [Self::Register, Self::Poll, Self::Lookup, Self::Connect, Self::Subscribe, Self::Any];

    /// As plans name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Poll => "poll",
            Self::Lookup => "lookup",
            Self::Connect => "connect",
            Self::Subscribe => "subscribe",
            Self::Any => "any",
        }
    }
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// 429, with a hint or without; the request is not carried out.
    Throttle {
        /// The hint.
        retry_after: Option<RetryAfter>,
    },
    /// This status with an error body; the request is not carried out. Meant for 5xx, takes any error status.
    ServerError {
        /// 400 to 599.
        status: u16,
        /// The hint.
        retry_after: Option<RetryAfter>,
    },
    /// The connection ends before the request is carried out.
    DropBefore,
    /// The request is carried out, then the connection ends without an answer.
    DropAfter,
    /// The answer comes this much later.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// The right status, with a body that is not JSON.
    Garbage,
    /// Bytes that are not the protocol at all.
    Noise,
    /// The answer trickles, a byte at a time.
    SlowBytes,
    /// The answer names another request than the one asked (MQTT only: HTTP has no place for it).
    WrongRequestId,
    /// The operation is forgotten: a poll finds nothing. At register, the operation that it began.
    ForgetOperation,
    /// A right answer, filled up to this size by an unknown member.
    OversizeReply {
        /// Size of the body in bytes.
        bytes: usize,
    },
    /// A right answer whose body is changed by this JSON merge patch (RFC 7396): names that no service gives, members
    /// of another type, members that are missing.
    PatchReply {
        /// An object; null removes a member.
        patch: Map<String, Value>,
    },
    /// No answer ever; the connection stays open.
    Silent,
    /// CONNACK with this code, at CONNECT (MQTT 3.1.1, section 3.2.2.3).
    RefuseConnect {
        /// 1 to 5.
        code: u8,
    },
    /// SUBACK with a failure, at SUBSCRIBE.
    RefuseSubscribe,
    /// No PINGREQ is ever answered on a connection that meets this at CONNECT.
    NoPing,
    /// The request is carried out; instead of its answer, or after it, comes a flood. It ends when the client closes
    /// the connection, and is bounded in time and size.
    Flood {
        /// What is sent without end.
        of: Flood,
        /// Whether the answer comes first; only over MQTT.
        answered: bool,
    },
}

/// What a front has to do with an answer, or instead of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportFault {
    /// Close without an answer. Nothing was carried out; the reply is empty.
    DropBefore,
    /// Close without an answer, though the request was carried out.
    DropAfter,
    /// Hold the answer back.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// Send bytes that are not the protocol.
    Noise,
    /// Send the answer a byte at a time.
    SlowBytes,
    /// Answer under another request id, where the protocol has one.
    WrongRequestId,
    /// Never answer, stay connected.
    Silent,
    /// Send this until the client closes, instead of the answer or after it.
    Flood {
        /// What is sent.
        of: Flood,
        /// Whether the answer comes first.
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
            Self::Silent => TransportFault::Silent,
            Self::Flood { of, answered } => TransportFault::Flood { of: *of, answered: *answered },
            _ => return None,
        })
    }
}

/// A chunk of 128 spaces. Larger ones would be less of a flood; of smaller ones a client in a debug build reads too few
/// to reach its limit within its request timeout.
#[cfg(feature = "server")]
const CHUNK: &[u8] = concat!(
    "80\r\n",
    "                                                                ",
    "                                                                ",
    "\r\n"
)
.as_bytes();

/// What a flood consists of. One that the transport does not have leaves the answer as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flood {
    /// MQTT: PINGRESP, answers to pings that nobody sent.
    Pingresp,
    /// MQTT: PUBACK for a publish that nobody sent.
    Puback,
    /// MQTT: publishes of one byte on a topic that nobody asked for.
    Publish,
    /// MQTT over WebSocket: ping frames. Over TLS nothing is sent.
    PingFrames,
    /// HTTPS: responses 102, each of which announces another.
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

    /// The names of all of them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().map(Self::name)
    }

    /// As plans name it.
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

    /// Whether it is of HTTPS; the others are of MQTT.
    #[must_use]
    pub fn is_http(self) -> bool {
        matches!(self, Self::InterimResponses | Self::HeaderLines | Self::Chunks)
    }

    /// The MQTT packet that is sent again and again, where it is one.
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

    /// What an HTTPS flood begins with, and what is sent again and again.
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
