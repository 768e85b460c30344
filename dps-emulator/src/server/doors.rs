//! The ports that an emulator listens on, and what is spoken on each.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::connection::Front;
use super::error::StartError;
use super::options::EmulatorOptions;

/// Sockets that are bound and not yet listened to.
pub(super) struct Doors {
    pub(super) sockets: Vec<(TcpListener, Front)>,
    pub(super) https: SocketAddr,
    pub(super) mqtt: Option<SocketAddr>,
    pub(super) wss: Option<SocketAddr>,
}

impl Doors {
    /// Binds all of them, or none.
    pub(super) async fn open(options: &EmulatorOptions) -> Result<Self, StartError> {
        let shared = options.https_port != 0 && options.wss_port == Some(options.https_port);
        let front = if shared { Front::HttpsAndWebSocket } else { Front::Https };
        let (socket, https) = bind(options, options.https_port).await?;
        let mut doors = Self { sockets: vec![(socket, front)], https, mqtt: None, wss: shared.then_some(https) };
        if let Some(port) = options.mqtt_port {
            doors.mqtt = Some(doors.add(options, port, Front::Mqtt).await?);
        }
        if let Some(port) = options.wss_port.filter(|_| !shared) {
            doors.wss = Some(doors.add(options, port, Front::WebSocket).await?);
        }
        Ok(doors)
    }

    async fn add(&mut self, options: &EmulatorOptions, port: u16, front: Front) -> Result<SocketAddr, StartError> {
        let (socket, address) = bind(options, port).await?;
        self.sockets.push((socket, front));
        Ok(address)
    }
}

async fn bind(options: &EmulatorOptions, port: u16) -> Result<(TcpListener, SocketAddr), StartError> {
    let address = SocketAddr::new(options.listen, port);
    let failed = |source| StartError::Listen { address, source };
    let socket = TcpListener::bind(address).await.map_err(failed)?;
    let bound = socket.local_addr().map_err(failed)?;
    Ok((socket, bound))
}
