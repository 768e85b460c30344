//! Packets over a stream: one at a time, capped, with pings while it is quiet.
//!
//! Knows no topic and no registration.

use std::time::Duration;

use bytes::BytesMut;
use dps_core::LinkError;
use dps_net::Classified;
use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::mqttbytes::v4::{Packet, PubAck};
use tokio::time::{Instant, sleep_until};

use crate::error::{found, of_packet};
use crate::stream::Stream;

/// A connection that packets go over.
pub(crate) struct Connection {
    stream: Stream,
    input: BytesMut,
    output: BytesMut,
    /// Something may not have left this device yet.
    unsent: bool,
    cap: usize,
    /// Half the keep-alive: how long it may be quiet, and how long a ping may stay unanswered.
    patience: Duration,
    last_sent: Instant,
    pinged: Option<Instant>,
    last_packet_id: u16,
}

impl Connection {
    pub(crate) fn new(stream: Stream, cap: usize, keep_alive: Duration) -> Self {
        let (input, output) = (BytesMut::new(), BytesMut::new());
        let patience = keep_alive / 2;
        Self {
            stream,
            input,
            output,
            unsent: false,
            cap,
            patience,
            last_sent: Instant::now(),
            pinged: None,
            last_packet_id: 0,
        }
    }

    /// The next packet id; never 0.
    pub(crate) fn next_packet_id(&mut self) -> u16 {
        self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
        self.last_packet_id
    }

    /// Puts a packet behind those that wait to be sent.
    pub(crate) fn queue(&mut self, packet: &Packet) -> Result<(), Classified> {
        self.unsent = true;
        packet.write(&mut self.output, self.cap).map(|_| ()).map_err(of_packet)
    }

    /// Sends what waits.
    pub(crate) async fn flush(&mut self) -> Result<(), Classified> {
        self.stream.write(&mut self.output).await?;
        self.unsent = false;
        self.last_sent = Instant::now();
        Ok(())
    }

    /// Waits for the next packet that means something, and keeps the connection alive meanwhile. Publishes are
    /// acknowledged where they ask for it. Can be dropped and asked for again.
    pub(crate) async fn next(&mut self) -> Result<Packet, Classified> {
        loop {
            if self.unsent {
                self.flush().await?;
            }
            match self.buffered()? {
                Some(Packet::PingResp) => self.pinged = None,
                Some(packet) => {
                    if let Packet::Publish(publish) = &packet
                        && publish.pkid != 0
                    {
                        self.queue(&Packet::PubAck(PubAck::new(publish.pkid)))?;
                    }
                    return Ok(packet);
                }
                None => self.read_or_ping().await?,
            }
        }
    }

    /// A whole packet that has arrived already.
    fn buffered(&mut self) -> Result<Option<Packet>, Classified> {
        match Packet::read(&mut self.input, self.cap) {
            Ok(packet) => Ok(Some(packet)),
            Err(PacketError::InsufficientBytes(_)) => Ok(None),
            Err(error) => Err(of_packet(error)),
        }
    }

    async fn read_or_ping(&mut self) -> Result<(), Classified> {
        let due = self.pinged.unwrap_or(self.last_sent) + self.patience;
        tokio::select! {
            read = self.stream.read(&mut self.input) => return read,
            () = sleep_until(due) => {}
        }
        if self.pinged.is_some() {
            return Err(found(LinkError::Cut, "the server answers no ping"));
        }
        self.pinged = Some(Instant::now());
        self.queue(&Packet::PingReq)
    }

    /// Ends the connection in good order. What waits to be sent goes first.
    pub(crate) async fn close(mut self) {
        if self.queue(&Packet::Disconnect).is_ok() && self.flush().await.is_ok() {
            self.stream.close().await;
        }
    }
}
