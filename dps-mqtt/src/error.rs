//! What a failure means to the machine, and what of it a person may see. Nothing that was sent is ever in it.

use std::io;

use dps_core::LinkError;
use dps_net::{Classified, classify};
use rumqttc::mqttbytes::Error as PacketError;
use tokio_tungstenite::tungstenite;

pub(crate) fn found(error: LinkError, detail: impl Into<String>) -> Classified {
    Classified::new(error, detail)
}

/// An error of the stream: what is not known by name is a connection that ended.
pub(crate) fn of_io(error: &io::Error) -> Classified {
    classify(error).unwrap_or_else(|| found(LinkError::Cut, error.to_string()))
}

/// Bytes that are no packet, or one too many of them.
pub(crate) fn of_packet(error: PacketError) -> Classified {
    match error {
        PacketError::PayloadSizeLimitExceeded(size) => {
            found(LinkError::ReplyTooLarge { needed: Some(size) }, format!("a packet of {size} bytes"))
        }
        PacketError::OutgoingPacketTooLarge { pkt_size, .. } => {
            found(LinkError::RequestTooLarge { needed: pkt_size }, format!("a packet of {pkt_size} bytes"))
        }
        other => found(LinkError::InvalidReply, format!("no MQTT: {other}")),
    }
}

/// A server that closes the connection where its first answer should come: it may not speak the protocol at all.
pub(crate) fn closed_early(broken: Classified, instead_of: &str) -> Classified {
    if broken.error != LinkError::Cut {
        return broken;
    }
    let detail = format!(
        "the server closed the connection instead of answering {instead_of} ({}); the port may speak another protocol: \
         MQTT is on 8883, HTTPS and MQTT over WebSocket are on 443",
        broken.detail
    );
    Classified { detail, ..broken }
}

/// An error while the WebSocket is opened.
pub(crate) fn of_opening(error: tungstenite::Error) -> Classified {
    match error {
        tungstenite::Error::Http(response) => of_handshake(response.status().as_u16()),
        other => closed_early(of_websocket(other), "the WebSocket handshake"),
    }
}

/// An error of the WebSocket, while it is opened or later.
pub(crate) fn of_websocket(error: tungstenite::Error) -> Classified {
    use tungstenite::Error;
    use tungstenite::error::ProtocolError;
    match error {
        Error::Io(error) => of_io(&error),
        Error::ConnectionClosed | Error::AlreadyClosed => found(LinkError::Cut, "the WebSocket was closed"),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete) => {
            found(LinkError::Cut, "the WebSocket ended without a word")
        }
        Error::Capacity(error) => found(LinkError::ReplyTooLarge { needed: None }, error.to_string()),
        other => found(LinkError::InvalidReply, format!("no WebSocket: {other}")),
    }
}

/// The server answered the handshake with something else than 101.
fn of_handshake(status: u16) -> Classified {
    let error = if (500..600).contains(&status) { LinkError::Cut } else { LinkError::InvalidReply };
    found(error, format!("the server answered {status} instead of opening a WebSocket"))
}
