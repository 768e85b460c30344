//! Bytes of MQTT over TLS, or in the binary messages of a WebSocket over TLS. Packets and messages need not line up.
//!
//! Every future here can be dropped and made again without losing a byte.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use dps_core::LinkError;
use dps_core::codec::mqtt::{WEBSOCKET_PATH, WEBSOCKET_PROTOCOL};
use dps_net::NetError;
use futures_util::{FutureExt, Sink, SinkExt, StreamExt};
use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::mqttbytes::v4::Packet;
use std::future::poll_fn;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::{from_io, from_opening, from_websocket};
use crate::options::Framing;

/// How much is read at once, in bytes.
const READ_SIZE: usize = 4096;

/// A byte stream: TLS over a socket, or memory in tests.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Io for T {}

/// A TLS stream whose reads also send what TLS itself has to answer, such as that a renegotiation is declined. The library sends
/// that with the next write only, and a server may wait for it.
pub(crate) struct Answering<S>(pub(crate) S);

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Answering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.0).poll_read(context, buffer) {
            Poll::Pending => match Pin::new(&mut self.0).poll_flush(context) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                _ => Poll::Pending,
            },
            read => read,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Answering<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// A stream of MQTT.
pub(crate) enum Stream {
    Tcp(Box<dyn Io>),
    WebSocket(Box<WebSocketStream<Box<dyn Io>>>),
}

impl Stream {
    /// Opens the stream inside TLS. `authority` is the host, with its port where that is not the default.
    pub(crate) async fn open(framing: Framing, io: Box<dyn Io>, authority: &str, cap: usize) -> Result<Self, NetError> {
        if framing == Framing::Tcp {
            return Ok(Self::Tcp(io));
        }
        let invalid = |_| NetError::new(LinkError::Unsupported, "the endpoint is not valid in a URI");
        let uri: Uri = format!("wss://{authority}{WEBSOCKET_PATH}").parse().map_err(invalid)?;
        let request = ClientRequestBuilder::new(uri).with_sub_protocol(WEBSOCKET_PROTOCOL);
        let request = request.into_client_request().map_err(from_websocket)?;
        // Messages are small; the library's own buffers hold a quarter of a megabyte.
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_SIZE)
            .write_buffer_size(0)
            .max_message_size(Some(cap))
            .max_frame_size(Some(cap));
        // The library checks that the answer names the subprotocol that was asked for.
        let (stream, _) = client_async_with_config(request, io, Some(config)).await.map_err(from_opening)?;
        Ok(Self::WebSocket(Box::new(stream)))
    }

    /// Waits for more bytes and appends them; a WebSocket's ping or pong adds none.
    pub(crate) async fn read(&mut self, into: &mut BytesMut) -> Result<(), NetError> {
        match self {
            Self::Tcp(stream) => {
                into.reserve(READ_SIZE);
                match stream.read_buf(into).await {
                    Ok(0) => Err(NetError::new(LinkError::Cut, "the server closed the connection")),
                    Ok(_) => Ok(()),
                    Err(error) => Err(from_io(error)),
                }
            }
            Self::WebSocket(stream) => match stream.next().await {
                Some(Ok(Message::Binary(bytes))) => {
                    into.extend_from_slice(&bytes);
                    Ok(())
                }
                // The library answers pings by itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
                Some(Ok(Message::Close(_))) | None => {
                    Err(NetError::new(LinkError::Cut, "the server closed the WebSocket"))
                }
                Some(Ok(_)) => Err(NetError::new(LinkError::InvalidReply, "the server sent text over the WebSocket")),
                Some(Err(error)) => Err(from_websocket(error)),
            },
        }
    }

    /// Sends all of `output`, which is empty afterwards.
    pub(crate) async fn write(&mut self, output: &mut Output) -> Result<(), NetError> {
        match self {
            Self::Tcp(stream) => {
                while !output.bytes().is_empty() {
                    match stream.write(output.bytes()).await {
                        Ok(written) => output.remove(written),
                        Err(error) => return Err(from_io(why_unsent(stream, error))),
                    }
                }
                stream.flush().await.map_err(|error| from_io(why_unsent(stream, error)))
            }
            Self::WebSocket(stream) => {
                if !output.bytes().is_empty() {
                    let mut sink = Pin::new(&mut **stream);
                    poll_fn(|context| sink.as_mut().poll_ready(context)).await.map_err(from_websocket)?;
                    // From here on the library sends the message, whether or not this future is dropped.
                    sink.as_mut().start_send(Message::Binary(output.take())).map_err(from_websocket)?;
                }
                stream.flush().await.map_err(from_websocket)
            }
        }
    }

    /// Closes the stream: the closing handshake of a WebSocket, and TLS's close_notify.
    pub(crate) async fn close(&mut self) {
        // The stream is dropped anyway.
        match self {
            Self::Tcp(stream) => drop(stream.shutdown().await),
            Self::WebSocket(stream) => {
                let _ = (**stream).close(None).await;
                let _ = stream.get_mut().shutdown().await;
            }
        }
    }
}

/// Returns why a server closed the connection that could not be written to any more, where it has said so by an alert of
/// TLS, else `unsent`. Does not wait: an alert arrives before the end of the connection.
fn why_unsent(stream: &mut Box<dyn Io>, unsent: io::Error) -> io::Error {
    let mut ignored = [0; 64];
    match stream.read(&mut ignored).now_or_never() {
        Some(Err(alert)) if alert.get_ref().is_some() => alert,
        _ => unsent,
    }
}

/// Packets that wait to be sent, in the order in which they were put. They may contain a token: bytes are wiped when they are removed, moved to a
/// larger buffer, or dropped.
#[derive(Default)]
pub(crate) struct Output(BytesMut);

impl Output {
    /// Adds a packet.
    ///
    /// # Errors
    /// When it has more than `cap` bytes.
    pub(crate) fn put(&mut self, packet: &Packet, cap: usize) -> Result<(), PacketError> {
        self.reserve(packet.size());
        packet.write(&mut self.0, cap).map(drop)
    }

    /// The bytes that wait.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Removes the first `count` bytes.
    pub(crate) fn remove(&mut self, count: usize) {
        if let Some(sent) = self.0.get_mut(..count) {
            sent.zeroize();
            self.0.advance(count);
        }
    }

    /// Removes everything. What is returned is wiped with the last reference to it.
    pub(crate) fn take(&mut self) -> Bytes {
        let taken = Zeroizing::new(self.0.to_vec());
        self.remove(taken.len());
        Bytes::from_owner(taken)
    }

    /// Enlarges the buffer where that is needed, and wipes the old one: `BytesMut` would leave it as it was.
    fn reserve(&mut self, more: usize) {
        let needed = self.0.len() + more;
        if self.0.capacity() < needed {
            let mut larger = BytesMut::with_capacity(needed);
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = larger;
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
