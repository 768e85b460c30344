//! How requests reach the service: a transport, which makes a link for each registration, or a custom link.

#[cfg(any(feature = "http", feature = "mqtt"))]
use dps_core::Verdict;
use dps_core::{ErrorCode, Instant, Link, LinkError, Reply, Request};

use crate::error::{Diagnosis, DpsError};
use crate::link::{CustomLink, LentLink};
#[cfg(feature = "http")]
use crate::names::Endpoint;
use crate::signer::Credential;

/// What links are made of.
#[derive(Clone, Debug)]
pub(crate) enum Carrier {
    #[cfg(feature = "http")]
    Http {
        dialer: Box<dps_net::Dialer>,
        options: dps_http::HttpOptions,
    },
    #[cfg(feature = "mqtt")]
    Mqtt {
        dialer: Box<dps_net::Dialer>,
        options: dps_mqtt::MqttOptions,
        #[cfg(feature = "http")]
        time: Box<TimeSource>,
    },
    Custom(CustomLink),
}

/// Where a client over MQTT, which carries no time, asks for it.
#[cfg(all(feature = "http", feature = "mqtt"))]
#[derive(Clone, Debug)]
pub(crate) struct TimeSource {
    pub(crate) dialer: Box<dps_net::Dialer>,
    pub(crate) options: dps_http::HttpOptions,
    pub(crate) endpoint: Endpoint,
}

impl Carrier {
    /// Returns the same for this credential: a certificate is presented in TLS, by dialers of its own. A custom link has to
    /// present it by itself.
    pub(crate) fn with_credential(mut self, credential: &Credential) -> Self {
        let _ = credential;
        #[cfg(any(feature = "http", feature = "mqtt"))]
        if let Credential::Certificate(device) = credential {
            let dialer = match &mut self {
                #[cfg(feature = "http")]
                Self::Http { dialer, .. } => dialer,
                #[cfg(feature = "mqtt")]
                Self::Mqtt { dialer, .. } => dialer,
                Self::Custom(_) => return self,
            };
            **dialer = (**dialer).clone().identity(device.identity().clone());
        }
        self
    }

    /// Makes a link for one registration with this credential, or waits for the custom one.
    pub(crate) async fn link(&self, credential: &Credential) -> Result<ClientLink, DpsError> {
        match self {
            #[cfg(feature = "http")]
            Self::Http { dialer, options } => {
                let link = dps_http::HttpLink::new(dialer_for(credential, dialer)?, options.clone());
                Ok(ClientLink::Http(Box::new(link.map_err(DpsError::refused_option)?)))
            }
            #[cfg(feature = "mqtt")]
            Self::Mqtt { dialer, options, .. } => {
                let link = dps_mqtt::MqttLink::new(dialer_for(credential, dialer)?, options.clone());
                Ok(ClientLink::Mqtt(Box::new(link.map_err(DpsError::refused_option)?)))
            }
            Self::Custom(link) => {
                let _ = credential;
                Ok(ClientLink::Custom(link.lend().await))
            }
        }
    }

    /// Returns a link that can ask for the service's time, and where. `own` is the service's endpoint.
    ///
    /// # Errors
    /// `unsupported-by-transport` with the reason, where nothing here can ask.
    #[cfg(feature = "http")]
    pub(crate) fn time_link<'a>(&'a self, own: &'a Endpoint) -> Result<(dps_http::HttpLink, &'a Endpoint), DpsError> {
        let (dialer, options, endpoint) = match self {
            Self::Http { dialer, options } => (dialer, options, own),
            #[cfg(feature = "mqtt")]
            Self::Mqtt { time, .. } => (&time.dialer, &time.options, &time.endpoint),
            Self::Custom(_) => return Err(no_time("a custom link reaches the service by its own means")),
        };
        let dialer = (**dialer).clone().anonymous();
        Ok((dps_http::HttpLink::new(dialer, options.clone()).map_err(DpsError::refused_option)?, endpoint))
    }

    /// Whether replies carry the service's time, or may do so.
    pub(crate) fn carries_time(&self) -> bool {
        self.can_look_up()
    }

    /// Whether a registration can be looked up.
    pub(crate) fn can_look_up(&self) -> bool {
        match self {
            #[cfg(feature = "mqtt")]
            Self::Mqtt { .. } => false,
            _ => true,
        }
    }
}

/// The dialer of one link. Where a handshake blocks, connections are made on a thread of their own, which ends with the link.
#[cfg(any(feature = "http", feature = "mqtt"))]
pub(crate) fn dialer_for(credential: &Credential, dialer: &dps_net::Dialer) -> Result<dps_net::Dialer, DpsError> {
    if !credential.blocks_handshakes() {
        return Ok(dialer.clone());
    }
    let thread = dps_net::HandshakeThread::start().map_err(|error| {
        let message = format!("a thread for TLS handshakes cannot be started: {error}");
        DpsError::new(ErrorCode::Internal, Verdict::Never, message).caused_by(error)
    })?;
    Ok(dialer.clone().handshake_thread(thread))
}

/// Why the service's time cannot be asked for.
pub(crate) fn no_time(reason: &str) -> DpsError {
    DpsError::config(ErrorCode::UnsupportedByTransport, format!("the service's time cannot be asked for: {reason}"))
}

/// The link of one registration.
pub(crate) enum ClientLink {
    #[cfg(feature = "http")]
    Http(Box<dps_http::HttpLink>),
    #[cfg(feature = "mqtt")]
    Mqtt(Box<dps_mqtt::MqttLink>),
    Custom(LentLink),
}

impl ClientLink {
    /// Tries the request's credential without registering: sends the request, which is a lookup, or signs in where there
    /// is no lookup, and then returns no reply.
    pub(crate) async fn probe<'b>(
        &mut self,
        lookup: &Request<'_>,
        buffer: &'b mut [u8],
    ) -> Result<Option<Reply<'b>>, LinkError> {
        match self {
            #[cfg(feature = "mqtt")]
            Self::Mqtt(link) => Box::pin(link.sign_in(lookup)).await.map(|()| None),
            _ => self.exchange(lookup, buffer).await.map(Some),
        }
    }

    /// Returns whether the server asked for the device's certificate on the last connection; `None` where that is not known.
    #[cfg(any(feature = "http", feature = "mqtt"))]
    pub(crate) fn certificate_requested(&self) -> Option<bool> {
        match self {
            #[cfg(feature = "http")]
            Self::Http(link) => link.certificate_use().requested(),
            #[cfg(feature = "mqtt")]
            Self::Mqtt(link) => link.certificate_use().requested(),
            Self::Custom(_) => None,
        }
    }

    /// Returns whether the handshake of the last connection has ended, so that an alert on it was encrypted.
    pub(crate) fn handshake_ended(&self) -> bool {
        match self {
            #[cfg(feature = "http")]
            Self::Http(link) => link.certificate_use().handshake_ended(),
            #[cfg(feature = "mqtt")]
            Self::Mqtt(link) => link.certificate_use().handshake_ended(),
            Self::Custom(_) => false,
        }
    }

    /// Returns `None`: a custom link tells nothing of TLS.
    #[cfg(not(any(feature = "http", feature = "mqtt")))]
    pub(crate) fn certificate_requested(&self) -> Option<bool> {
        None
    }

    /// Returns what the link knows of a failure that ended with this code, beyond the code: where it stalled, or the last
    /// link error.
    #[cfg(any(feature = "http", feature = "mqtt"))]
    pub(crate) fn diagnosis(&self, code: ErrorCode) -> Option<Diagnosis> {
        let (stalled, last) = match self {
            #[cfg(feature = "http")]
            Self::Http(link) => (link.stalled_in(), link.last_error()),
            #[cfg(feature = "mqtt")]
            Self::Mqtt(link) => (link.stalled_in(), link.last_error()),
            Self::Custom(_) => (None, None),
        };
        // A request that the deadline cut short is not the cause where an earlier one failed otherwise.
        let stalled = stalled.filter(|_| code == ErrorCode::Timeout).map(dps_net::NetError::timeout);
        stalled.as_ref().or(last).map(Diagnosis::from)
    }

    /// Returns `None`: a custom link has nothing to add.
    #[cfg(not(any(feature = "http", feature = "mqtt")))]
    pub(crate) fn diagnosis(&self, _: ErrorCode) -> Option<Diagnosis> {
        None
    }
}

impl Link for ClientLink {
    async fn exchange<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        match self {
            #[cfg(feature = "http")]
            Self::Http(link) => Box::pin(link.exchange(request, buffer)).await,
            #[cfg(feature = "mqtt")]
            Self::Mqtt(link) => Box::pin(link.exchange(request, buffer)).await,
            Self::Custom(link) => link.exchange_boxed(request, buffer).await,
        }
    }

    async fn idle(&mut self, until: Instant) {
        match self {
            #[cfg(feature = "http")]
            Self::Http(link) => link.idle(until).await,
            #[cfg(feature = "mqtt")]
            Self::Mqtt(link) => link.idle(until).await,
            Self::Custom(link) => link.idle_boxed(until).await,
        }
    }

    async fn close(&mut self) {
        match self {
            #[cfg(feature = "http")]
            Self::Http(link) => link.close().await,
            #[cfg(feature = "mqtt")]
            Self::Mqtt(link) => link.close().await,
            Self::Custom(link) => link.close_boxed().await,
        }
    }
}
