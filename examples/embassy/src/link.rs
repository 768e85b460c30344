//! HTTPS over a stream that the board opens: one connection for the whole registration.
//!
//! The future of a request owns the stream until the whole reply has arrived, so that dropping the future closes it. The
//! board provides TLS; this file reads and writes the bytes inside it.

use dps_core::codec::http::{DEFAULT_API_VERSION, wire};
use dps_core::{Link, LinkError, Reply, Request};
use embedded_io_async::{Read, Write};

/// Opens a TLS connection that has verified the server's name and chain.
#[allow(async_fn_in_trait, reason = "the futures run on one core and need not be Send")]
pub trait Dial {
    /// Bytes inside TLS. Dropping it closes the connection.
    type Stream: Read + Write;

    /// Connects to `host` on `port`.
    ///
    /// # Errors
    /// The [`LinkError`] that names the cause: DNS, connect, unknown CA, name mismatch.
    async fn dial(&mut self, host: &str, port: u16) -> Result<Self::Stream, LinkError>;
}

/// The link over a connection that [`Dial`] opens.
pub struct HttpLink<D: Dial> {
    dial: D,
    stream: Option<D::Stream>,
}

impl<D: Dial> HttpLink<D> {
    /// Creates a link without a connection.
    pub fn new(dial: D) -> Self {
        Self { dial, stream: None }
    }
}

impl<D: Dial> Link for HttpLink<D> {
    async fn exchange<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        let endpoint = request.identity.endpoint;
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.dial.dial(endpoint.host(), endpoint.port_or(443)).await?,
        };
        send(&mut stream, request, buffer).await?;
        let layout = receive(&mut stream, buffer).await?;
        if !layout.close {
            self.stream = Some(stream);
        }
        layout.read(buffer)
    }

    async fn close(&mut self) {
        self.stream = None;
    }
}

async fn send<S: Write>(stream: &mut S, request: &Request<'_>, buffer: &mut [u8]) -> Result<(), LinkError> {
    let length = wire::write_request(request, DEFAULT_API_VERSION, "embassy-provision", buffer)
        .map_err(|short| LinkError::RequestTooLarge { needed: short.needed })?;
    let written = buffer.get_mut(..length).unwrap_or_default();
    let sent = stream.write_all(written).await;
    // The token is a secret, and the buffer is used further.
    written.fill(0);
    sent.map_err(|_| LinkError::Cut)?;
    stream.flush().await.map_err(|_| LinkError::Cut)
}

async fn receive<S: Read>(stream: &mut S, buffer: &mut [u8]) -> Result<wire::Layout, LinkError> {
    let mut filled = 0;
    let capacity = buffer.len();
    loop {
        let space = buffer.get_mut(filled..).unwrap_or_default();
        let read = stream.read(space).await.map_err(|_| LinkError::Cut)?;
        filled += read;
        let received = buffer.get(..filled).unwrap_or_default();
        if let Some(layout) = wire::scan(received, capacity, read == 0)? {
            return Ok(layout);
        }
    }
}
