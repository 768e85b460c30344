//! Over what a registration goes: HTTPS, MQTT, or a link of the application's own.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use dps_core::{ErrorCode, Hint, Instant, Link, LinkError, Reply, Request};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::error::Source;

/// A link whose work can move between threads; write `async fn` to implement it. What it has to keep to is said at
/// [`dps_core::Link`].
pub trait SendLink: Send {
    /// As [`dps_core::Link::exchange`].
    ///
    /// # Errors
    /// [`LinkError`] for everything that is no reply.
    fn exchange<'b>(
        &mut self,
        request: &Request<'_>,
        buffer: &'b mut [u8],
    ) -> impl Future<Output = Result<Reply<'b>, LinkError>> + Send;

    /// As [`dps_core::Link::idle`].
    fn idle(&mut self, until: Instant) -> impl Future<Output = ()> + Send {
        let _ = until;
        std::future::ready(())
    }

    /// As [`dps_core::Link::close`].
    fn close(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

type Boxed<'f, T> = Pin<Box<dyn Future<Output = T> + Send + 'f>>;

/// A [`SendLink`] behind a pointer.
pub(crate) trait DynLink: Send {
    fn exchange_boxed<'f, 'b: 'f>(
        &'f mut self,
        request: &'f Request<'_>,
        buffer: &'b mut [u8],
    ) -> Boxed<'f, Result<Reply<'b>, LinkError>>;
    fn idle_boxed(&mut self, until: Instant) -> Boxed<'_, ()>;
    fn close_boxed(&mut self) -> Boxed<'_, ()>;
}

impl<L: SendLink> DynLink for L {
    fn exchange_boxed<'f, 'b: 'f>(
        &'f mut self,
        request: &'f Request<'_>,
        buffer: &'b mut [u8],
    ) -> Boxed<'f, Result<Reply<'b>, LinkError>> {
        Box::pin(self.exchange(request, buffer))
    }

    fn idle_boxed(&mut self, until: Instant) -> Boxed<'_, ()> {
        Box::pin(self.idle(until))
    }

    fn close_boxed(&mut self) -> Boxed<'_, ()> {
        Box::pin(self.close())
    }
}

/// The application's own link, lent to one registration at a time.
#[derive(Clone)]
pub(crate) struct OwnLink(Arc<Mutex<Box<dyn DynLink>>>);

impl OwnLink {
    pub(crate) fn new(link: impl SendLink + 'static) -> Self {
        Self(Arc::new(Mutex::new(Box::new(link))))
    }

    pub(crate) async fn lend(&self) -> ClientLink {
        ClientLink::Own(Arc::clone(&self.0).lock_owned().await)
    }
}

impl fmt::Debug for OwnLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnLink(..)")
    }
}

/// The link of one registration.
pub(crate) enum ClientLink {
    #[cfg(feature = "http")]
    Http(Box<dps_http::HttpLink>),
    #[cfg(feature = "mqtt")]
    Mqtt(Box<dps_mqtt::MqttLink>),
    Own(OwnedMutexGuard<Box<dyn DynLink>>),
}

impl ClientLink {
    /// Tries the request's credential without registering: sends the request, which is a lookup, or signs in where there
    /// are none and gives no reply.
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

    /// What the link knows of a failure that ended with this code, beyond the code: where it stalled, or what was behind
    /// the last link error.
    pub(crate) fn diagnosis(&self, code: ErrorCode) -> Option<Diagnosis> {
        #[cfg(any(feature = "http", feature = "mqtt"))]
        {
            let (stalled, last) = match self {
                #[cfg(feature = "http")]
                Self::Http(link) => (link.stalled_in(), link.last_error()),
                #[cfg(feature = "mqtt")]
                Self::Mqtt(link) => (link.stalled_in(), link.last_error()),
                Self::Own(_) => (None, None),
            };
            // A request that the deadline cut short is not the cause where an earlier one failed otherwise.
            let stalled = stalled.filter(|_| code == ErrorCode::Timeout).map(dps_net::NetError::timeout);
            stalled.as_ref().or(last).map(Diagnosis::from)
        }
        #[cfg(not(any(feature = "http", feature = "mqtt")))]
        {
            let _ = code;
            None
        }
    }
}

/// What is known of a failure beyond its code.
pub(crate) struct Diagnosis {
    /// In words for a person.
    pub(crate) detail: String,
    /// What to look at first.
    pub(crate) hint: Option<Hint>,
    /// The typed cause.
    pub(crate) source: Option<Source>,
}

#[cfg(feature = "http")]
impl Diagnosis {
    pub(crate) fn new(detail: &str) -> Self {
        Self { detail: detail.to_owned(), hint: None, source: None }
    }
}

#[cfg(any(feature = "http", feature = "mqtt"))]
impl From<&dps_net::NetError> for Diagnosis {
    fn from(error: &dps_net::NetError) -> Self {
        Self { detail: error.detail().to_owned(), hint: error.hint(), source: Some(Box::new(error.clone())) }
    }
}

impl Link for ClientLink {
    async fn exchange<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        match self {
            #[cfg(feature = "http")]
            Self::Http(link) => Box::pin(link.exchange(request, buffer)).await,
            #[cfg(feature = "mqtt")]
            Self::Mqtt(link) => Box::pin(link.exchange(request, buffer)).await,
            Self::Own(link) => link.exchange_boxed(request, buffer).await,
        }
    }

    async fn idle(&mut self, until: Instant) {
        match self {
            #[cfg(feature = "http")]
            Self::Http(link) => link.idle(until).await,
            #[cfg(feature = "mqtt")]
            Self::Mqtt(link) => link.idle(until).await,
            Self::Own(link) => link.idle_boxed(until).await,
        }
    }

    async fn close(&mut self) {
        match self {
            #[cfg(feature = "http")]
            Self::Http(link) => link.close().await,
            #[cfg(feature = "mqtt")]
            Self::Mqtt(link) => link.close().await,
            Self::Own(link) => link.close_boxed().await,
        }
    }
}
