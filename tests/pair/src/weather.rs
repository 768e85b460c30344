//! The faults of the network in one exchange, over any protocol.

use dps_core::LinkError;

use crate::world::World;

/// A fault of the network in one exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weather {
    /// Nothing.
    #[default]
    Fair,
    /// The request is lost, and the connection with it.
    RequestLost,
    /// The reply is lost, and the connection with it: the service has handled the request.
    ReplyLost,
    /// The request is lost silently.
    BlackHole,
    /// The name cannot be resolved.
    NoDns,
    /// The connection is refused.
    Refused,
    /// The server shows a certificate from an authority that is not trusted.
    UnknownCa,
    /// The server shows another host's certificate.
    NameMismatch,
    /// The proxy answers CONNECT with this status.
    ProxyRefused(u16),
}

impl Weather {
    /// Removes and returns the next fault of a list; none after the last.
    pub(crate) fn next(forecast: &mut Vec<Self>) -> Self {
        if forecast.is_empty() { Self::Fair } else { forecast.remove(0) }
    }

    /// Returns the error if nothing of the exchange leaves the device.
    pub(crate) async fn before(self, world: &World) -> Result<(), LinkError> {
        match self {
            Self::NoDns => Err(LinkError::Dns),
            Self::Refused => Err(LinkError::Connect),
            Self::UnknownCa => Err(LinkError::UnknownCa),
            Self::NameMismatch => Err(LinkError::NameMismatch),
            Self::ProxyRefused(status) => Err(LinkError::ProxyRefused { status: Some(status) }),
            Self::BlackHole => {
                world.for_ever().await;
                Ok(())
            }
            Self::Fair | Self::RequestLost | Self::ReplyLost => Ok(()),
        }
    }
}
