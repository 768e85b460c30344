//! Custom links: the application carries requests by its own network stack.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use dps_core::{Instant, LinkError, Reply, Request};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// A link whose work can move between threads; write `async fn` to implement it. What it has to keep to is said at
/// [`dps_core::Link`].
pub trait SendLink: Send {
    /// As [`dps_core::Link::exchange`].
    ///
    /// # Errors
    /// [`LinkError`] for everything but a reply.
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

/// A custom link, lent to one registration at a time.
#[derive(Clone)]
pub(crate) struct CustomLink(Arc<Mutex<Box<dyn DynLink>>>);

/// A custom link while one registration has it.
pub(crate) type LentLink = OwnedMutexGuard<Box<dyn DynLink>>;

impl CustomLink {
    pub(crate) fn new(link: impl SendLink + 'static) -> Self {
        Self(Arc::new(Mutex::new(Box::new(link))))
    }

    pub(crate) async fn lend(&self) -> LentLink {
        Arc::clone(&self.0).lock_owned().await
    }
}

impl fmt::Debug for CustomLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomLink(..)")
    }
}
