//! Registers a device over a custom link: here over a TLS stream, on a device perhaps over a modem.
//!
//! The SDK writes the requests and reads the replies; the link only transports bytes.
//!
//! ```text
//! the custom link connects
//! assigned: hub hub-a.test, device id dev-01
//! ```

use dps_client::dps_core::codec::http::{DEFAULT_API_VERSION, DEFAULT_PORT, wire};
use dps_client::dps_core::{Endpoint, LinkError, Reply, Request};
use dps_client::{ProvisioningClient, SendLink, Transport};
use dps_examples::{AnyError, Setting};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

/// HTTPS by hand, one connection for the whole registration.
struct OwnLink {
    tls: TlsConnector,
    connection: Option<TlsStream<TcpStream>>,
}

impl SendLink for OwnLink {
    async fn exchange<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        // The future owns the connection until the reply is complete, so that dropping the future closes it.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect(request.identity.endpoint).await?,
        };
        let length = wire::write_request(request, DEFAULT_API_VERSION, "own-link", buffer)
            .map_err(|short| LinkError::RequestTooLarge { needed: short.needed })?;
        let sent = connection.write_all(&buffer[..length]).await;
        buffer[..length].fill(0); // It contained a token.
        sent.map_err(|_| LinkError::Cut)?;

        let mut filled = 0;
        let layout = loop {
            let read = connection.read(&mut buffer[filled..]).await.map_err(|_| LinkError::Cut)?;
            filled += read;
            if let Some(layout) = wire::scan(&buffer[..filled], buffer.len(), read == 0)? {
                break layout;
            }
        };
        if !layout.close {
            self.connection = Some(connection);
        }
        layout.read(buffer)
    }
}

impl OwnLink {
    /// Connects. The error decides whether the SDK retries: `LinkError` has more variants than this link distinguishes.
    async fn connect(&self, endpoint: Endpoint<'_>) -> Result<TlsStream<TcpStream>, LinkError> {
        println!("the custom link connects");
        let address = (endpoint.host(), endpoint.port_or(DEFAULT_PORT));
        let stream = TcpStream::connect(address).await.map_err(|_| LinkError::Connect)?;
        let name = ServerName::try_from(endpoint.host().to_owned()).map_err(|_| LinkError::NameMismatch)?;
        self.tls.connect(name, stream).await.map_err(|_| LinkError::Tls)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let setting = Setting::read().await?;
    let tls = TlsConnector::from(dps_net::TlsOptions::new(setting.roots()?).client_config()?);
    let link = OwnLink { tls, connection: None };

    // The link itself handles proxies, certificates and the transport.
    let client = ProvisioningClient::builder()
        .id_scope(setting.id_scope())
        .registration_id(setting.registration_id())
        .symmetric_key(setting.key()?)
        .endpoint(setting.endpoint(Transport::Https))
        .link(link)
        .build()?;
    let assignment = client.register().await?;
    println!("assigned: hub {}, device id {}", assignment.hub(), assignment.device_id());
    Ok(())
}
