//! Over what a client talks to the service; makes a link for each registration.

use dps_core::ErrorCode;
use dps_net::{Proxy, Roots};

use crate::error::DpsError;
use crate::link::{ClientLink, OwnLink};

/// Over what to talk to the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// HTTPS, port 443.
    #[default]
    Https,
}

/// What links are made of.
#[derive(Clone, Debug)]
pub(crate) enum Carrier {
    #[cfg(feature = "http")]
    Http {
        tls: std::sync::Arc<rustls::ClientConfig>,
        options: dps_http::HttpOptions,
    },
    Own(OwnLink),
}

impl Carrier {
    #[cfg(feature = "http")]
    pub(crate) fn new(
        transport: Transport,
        roots: &Roots,
        proxy: Option<Proxy>,
        api_version: Option<String>,
        user_agent: Option<String>,
    ) -> Result<Self, DpsError> {
        let Transport::Https = transport;
        let tls = dps_net::client_config(roots)
            .map_err(|error| DpsError::config(ErrorCode::InvalidCertificate, error.to_string()))?;
        if let Some(proxy) = &proxy {
            tracing::info!(%proxy, "there is a proxy on the way");
        }
        let agent = user_agent.unwrap_or_else(|| concat!("dps-client/", env!("CARGO_PKG_VERSION")).to_owned());
        let mut options = dps_http::HttpOptions::default().user_agent(agent).proxy(proxy);
        if let Some(version) = api_version {
            options = options.api_version(version);
        }
        // Making a link checks the options; each registration makes its own.
        dps_http::HttpLink::new(tls.clone(), options.clone()).map_err(invalid_option)?;
        Ok(Self::Http { tls, options })
    }

    #[cfg(not(feature = "http"))]
    pub(crate) fn new(_: Transport, _: &Roots, _: Option<String>, _: Option<String>) -> Result<Self, DpsError> {
        let message = "this build has no transport: turn on the feature `http`, or give a link".to_owned();
        Err(DpsError::config(ErrorCode::InvalidOption, message))
    }

    /// A link for one registration.
    pub(crate) async fn link(&self) -> Result<ClientLink, DpsError> {
        match self {
            #[cfg(feature = "http")]
            Self::Http { tls, options } => {
                let link = dps_http::HttpLink::new(tls.clone(), options.clone());
                Ok(ClientLink::Http(link.map_err(invalid_option)?))
            }
            Self::Own(link) => Ok(link.lend().await),
        }
    }
}

#[cfg(feature = "http")]
fn invalid_option(error: dps_http::OptionError) -> DpsError {
    DpsError::config(ErrorCode::InvalidOption, error.to_string())
}
