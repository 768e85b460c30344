//! Errors of the MQTT and WebSocket libraries, classified for the state machine and shortened for people. They contain
//! nothing that was sent.

use std::io;

use dps_core::LinkError;
use dps_net::NetError;
use rumqttc::mqttbytes::Error as PacketError;
use tokio_tungstenite::tungstenite;

/// An error of the stream; one that is not known counts as a connection that was cut.
pub(crate) fn from_io(error: io::Error) -> NetError {
    NetError::from_error(error, LinkError::Cut)
}

/// Bytes that are not an MQTT packet, or a packet that is too large.
pub(crate) fn from_packet(error: PacketError) -> NetError {
    let (kind, detail) = match error {
        PacketError::PayloadSizeLimitExceeded(size) => {
            (LinkError::ReplyTooLarge { needed: Some(size) }, format!("a packet of {size} bytes"))
        }
        PacketError::OutgoingPacketTooLarge { pkt_size, .. } => {
            (LinkError::RequestTooLarge { needed: pkt_size }, format!("a packet of {pkt_size} bytes"))
        }
        ref other => (LinkError::InvalidReply, format!("not valid MQTT: {other}")),
    };
    NetError::new(kind, detail).with_source(error)
}

/// Explains a connection that was closed instead of the first answer: the server may not speak the protocol at all.
pub(crate) fn explain_early_close(broken: NetError, instead_of: &str) -> NetError {
    if broken.kind() != LinkError::Cut {
        return broken;
    }
    let detail = format!(
        "the server closed the connection instead of answering {instead_of} ({broken}); the port may speak another \
         protocol: MQTT is on 8883, HTTPS and MQTT over WebSocket are on 443"
    );
    broken.with_detail(detail)
}

/// An error while the WebSocket is opened.
pub(crate) fn from_opening(error: tungstenite::Error) -> NetError {
    match error {
        tungstenite::Error::Http(response) => from_upgrade_status(response.status().as_u16()),
        other => explain_early_close(from_websocket(other), "the WebSocket handshake"),
    }
}

/// An error of the WebSocket, while it is opened or later.
pub(crate) fn from_websocket(error: tungstenite::Error) -> NetError {
    use tungstenite::Error;
    use tungstenite::error::ProtocolError;
    let (kind, detail) = match error {
        Error::Io(error) => return from_io(error),
        Error::ConnectionClosed | Error::AlreadyClosed => (LinkError::Cut, "the WebSocket was closed".to_owned()),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete) => {
            (LinkError::Cut, "the WebSocket was cut without a closing handshake".to_owned())
        }
        Error::Capacity(ref error) => (LinkError::ReplyTooLarge { needed: None }, error.to_string()),
        ref other => (LinkError::InvalidReply, format!("not a valid WebSocket: {other}")),
    };
    NetError::new(kind, detail).with_source(error)
}

/// The server answered the handshake with a status other than 101.
fn from_upgrade_status(status: u16) -> NetError {
    let kind = if (500..600).contains(&status) { LinkError::Cut } else { LinkError::InvalidReply };
    NetError::new(kind, format!("the server answered {status} instead of opening a WebSocket"))
}
