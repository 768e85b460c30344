//! The link over a connection that is there already, for this repository's fuzz targets: not part of the interface.

use dps_core::{LinkError, Reply, Request};
use dps_net::NetError;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::MqttOptions;
use crate::session::Session;

/// Makes one request over `io` and waits for what follows; returns the reply, and why the connection ended after it.
///
/// # Errors
/// What ends the exchange.
pub async fn exchange_and_idle<'b>(
    io: impl AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static,
    options: &MqttOptions,
    request: &Request<'_>,
    buffer: &'b mut [u8],
) -> Result<(Reply<'b>, LinkError), LinkError> {
    let error = |found: NetError| found.kind();
    let mut session = Session::start(Box::new(io), options, request).await.map_err(error)?;
    if !options.pipelined {
        session.queue_request(request).map_err(error)?;
        session.connection.flush().await.map_err(error)?;
    }
    let reply = session.reply(request, buffer).await.map_err(error)?;
    let ended = session.idle().await.kind();
    Ok((reply, ended))
}
