//! MQTT packets over a stream: of limited size, with pings while it is quiet, and with a limit to unexpected packets.
//!
//! Knows no topic and no registration.

use std::time::Duration;

use bytes::BytesMut;
use dps_core::LinkError;
use dps_net::NetError;
use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::mqttbytes::v4::{Packet, PubAck, Publish};
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep_until};
use tracing::trace;

use crate::error::from_packet;
use crate::stream::{Output, Stream};

/// How the answer of an HTTP server begins. No MQTT packet does: these flags are not allowed in any.
const HTTP: &[u8] = b"HTTP/";

/// How many unexpected packets may arrive during one exchange, or during a minute without one. A server that follows the
/// protocol sends hardly any.
const PACKETS_MAX: u32 = 100;
/// The time after which an idle connection has its whole allowance again.
const IDLE_PERIOD: Duration = Duration::from_secs(60);

/// A connection that carries packets.
pub(crate) struct Connection {
    stream: Stream,
    input: BytesMut,
    output: Output,
    /// Something may not have left this device yet.
    unsent: bool,
    cap: usize,
    /// Half the keep-alive: how long it may be quiet, and how long a ping may stay unanswered.
    patience: Duration,
    last_sent: Instant,
    pinged: Option<Instant>,
    last_packet_id: u16,
    /// The publish that the server has not acknowledged yet.
    unacknowledged: Option<u16>,
    allowance: Allowance,
}

impl Connection {
    pub(crate) fn new(stream: Stream, cap: usize, keep_alive: Duration) -> Self {
        let patience = keep_alive / 2;
        Self {
            stream,
            input: BytesMut::new(),
            output: Output::default(),
            unsent: false,
            cap,
            patience,
            last_sent: Instant::now(),
            pinged: None,
            last_packet_id: 0,
            unacknowledged: None,
            allowance: Allowance::for_exchange(),
        }
    }

    /// The next packet id; never 0.
    pub(crate) fn next_packet_id(&mut self) -> u16 {
        self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
        self.last_packet_id
    }

    /// Queues a packet.
    pub(crate) fn queue(&mut self, packet: &Packet) -> Result<(), NetError> {
        self.unsent = true;
        self.output.put(packet, self.cap).map_err(from_packet)
    }

    /// Queues a publish with the next packet id. An exchange begins with it.
    pub(crate) fn queue_publish(&mut self, mut publish: Publish) -> Result<(), NetError> {
        publish.pkid = self.next_packet_id();
        self.unacknowledged = Some(publish.pkid);
        self.allowance = Allowance::for_exchange();
        self.queue(&Packet::Publish(publish))
    }

    /// Ends an exchange: until the next publish, unexpected packets are counted per minute.
    pub(crate) fn begin_idling(&mut self) {
        self.allowance = Allowance::for_idling();
    }

    /// Counts an unexpected packet.
    ///
    /// # Errors
    /// `InvalidReply` when there were too many.
    pub(crate) fn ignore(&mut self) -> Result<(), NetError> {
        trace!("ignored an unexpected packet");
        self.allowance.spend()
    }

    /// Sends what is queued.
    pub(crate) async fn flush(&mut self) -> Result<(), NetError> {
        self.stream.write(&mut self.output).await?;
        self.unsent = false;
        self.last_sent = Instant::now();
        Ok(())
    }

    /// Waits for the next packet and keeps the connection alive meanwhile. The answer to our own ping and the first
    /// acknowledgement of our own publish are handled here, and publishes with quality 1 are acknowledged. Can be dropped and
    /// called again.
    pub(crate) async fn next(&mut self) -> Result<Packet, NetError> {
        loop {
            // Reading what has arrived already never waits: this yields to the runtime.
            consume_budget().await;
            match self.buffered()? {
                Some(Packet::PingResp) if self.pinged.is_some() => self.pinged = None,
                Some(Packet::PubAck(ack)) if self.unacknowledged == Some(ack.pkid) => self.unacknowledged = None,
                Some(packet) => {
                    if let Packet::Publish(publish) = &packet
                        && publish.pkid != 0
                    {
                        self.queue(&Packet::PubAck(PubAck::new(publish.pkid)))?;
                    }
                    return Ok(packet);
                }
                // What has arrived is handled first: a connection that is broken for sending may have brought the answer.
                None if self.unsent => self.flush().await?,
                None => self.read_or_ping().await?,
            }
        }
    }

    /// A whole packet that has arrived already.
    fn buffered(&mut self) -> Result<Option<Packet>, NetError> {
        if self.input.starts_with(HTTP) {
            let detail = "the server answers HTTP, not MQTT; MQTT is on port 8883, or over WebSocket on port 443";
            return Err(NetError::new(LinkError::InvalidReply, detail));
        }
        match Packet::read(&mut self.input, self.cap) {
            Ok(packet) => Ok(Some(packet)),
            Err(PacketError::InsufficientBytes(_)) => Ok(None),
            Err(error) => Err(from_packet(error)),
        }
    }

    async fn read_or_ping(&mut self) -> Result<(), NetError> {
        let due = self.pinged.unwrap_or(self.last_sent) + self.patience;
        let had = self.input.len();
        tokio::select! {
            read = self.stream.read(&mut self.input) => {
                read?;
                // A ping of a WebSocket, or an empty message.
                return if self.input.len() == had { self.allowance.spend() } else { Ok(()) };
            }
            () = sleep_until(due) => {}
        }
        if self.pinged.is_some() {
            return Err(NetError::new(LinkError::Cut, "the server does not answer pings"));
        }
        self.pinged = Some(Instant::now());
        self.queue(&Packet::PingReq)
    }

    /// Sends what is queued and DISCONNECT, and closes the connection.
    pub(crate) async fn close(mut self) {
        if self.queue(&Packet::Disconnect).is_ok() && self.flush().await.is_ok() {
            self.stream.close().await;
        }
    }
}

/// How many unexpected packets may still arrive.
pub(crate) struct Allowance {
    left: u32,
    /// When the allowance is full again; never during an exchange.
    renewed_at: Option<Instant>,
}

impl Allowance {
    /// Returns the allowance of one exchange.
    pub(crate) fn for_exchange() -> Self {
        Self { left: PACKETS_MAX, renewed_at: None }
    }

    /// Returns the allowance of a connection without an exchange, for each minute.
    pub(crate) fn for_idling() -> Self {
        Self { left: PACKETS_MAX, renewed_at: Some(Instant::now() + IDLE_PERIOD) }
    }

    /// Counts one unexpected packet, or one WebSocket frame without a packet.
    ///
    /// # Errors
    /// `InvalidReply` when there were too many.
    pub(crate) fn spend(&mut self) -> Result<(), NetError> {
        if self.renewed_at.is_some_and(|at| Instant::now() >= at) {
            *self = Self::for_idling();
        }
        let Some(left) = self.left.checked_sub(1) else {
            let detail = format!("the server sent more than {PACKETS_MAX} unexpected packets");
            return Err(NetError::new(LinkError::InvalidReply, detail));
        };
        self.left = left;
        Ok(())
    }
}
