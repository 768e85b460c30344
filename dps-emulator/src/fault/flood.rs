//! What a faulty service sends without end, and the bytes of it.

use super::members::{ANSWERED, Members, OF, must_be};
use super::plan::PlanError;

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

    pub(super) fn read(members: &Members) -> Result<Self, PlanError> {
        members.one_of(OF, Self::ALL.map(|of| (of.name(), of)))
    }

    /// Whether the flood comes after the answer, so that it meets a client that waits between two requests.
    pub(super) fn read_answered(members: &Members) -> Result<bool, PlanError> {
        let answered = members.flag(ANSWERED)?;
        if answered && Self::read(members)?.is_http() {
            return Err(must_be(ANSWERED, "false for what HTTPS is flooded with"));
        }
        Ok(answered)
    }
}
