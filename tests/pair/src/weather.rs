//! What the network does to one exchange, over whatever protocol.

use dps_core::LinkError;

use crate::world::World;

/// What the network does to one exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weather {
    /// Nothing.
    #[default]
    Fair,
    /// The request is lost, and the connection with it.
    RequestLost,
    /// The reply is lost, and the connection with it: the service has done its part.
    ReplyLost,
    /// The request is swallowed without a word.
    BlackHole,
    /// The name cannot be resolved.
    NoDns,
    /// Nobody listens.
    Refused,
    /// The server shows a certificate from an authority that is not trusted.
    UnknownCa,
    /// The server shows another host's certificate.
    NameMismatch,
    /// The proxy answers CONNECT with this status.
    ProxyRefused(u16),
}

impl Weather {
    /// Takes the next of a forecast; it is fair after the last.
    pub(crate) fn next(forecast: &mut Vec<Self>) -> Self {
        if forecast.is_empty() { Self::Fair } else { forecast.remove(0) }
    }

    /// What happens before anything of the exchange has left the device.
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
