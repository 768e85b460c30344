//! A way to end calls from another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Ends the calls that it was given to. May be used by any number of threads and calls at once.
pub struct dps_cancel_token(Arc<Signal>);

#[derive(Default)]
pub(crate) struct Signal {
    cancelled: AtomicBool,
    notify: Notify,
}

impl Signal {
    /// Returns once it was cancelled.
    pub(crate) async fn cancelled(&self) {
        loop {
            let notified = self.notify.notified();
            if self.cancelled.load(Ordering::Acquire) {
                return;
            }
            notified.await;
        }
    }
}

impl dps_cancel_token {
    /// What the token stands for, if there is one; it stays when the token is freed.
    ///
    /// # Safety
    /// It is null, or what [`dps_cancel_token_new`] gave and nobody has freed yet.
    pub(crate) unsafe fn signal(token: *const Self) -> Option<Arc<Signal>> {
        // SAFETY: promised on.
        unsafe { token.as_ref() }.map(|token| Arc::clone(&token.0))
    }
}

/// A new token. Freed with `dps_cancel_token_free`.
#[unsafe(no_mangle)]
pub extern "C" fn dps_cancel_token_new() -> *mut dps_cancel_token {
    Box::into_raw(Box::new(dps_cancel_token(Arc::default())))
}

/// Ends every call that has this token, now and later: they close their connection and give `DPS_ERROR_CANCELLED`.
/// Callable from any thread, though not from a signal handler; a second time, and null, do no harm.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_cancel_token_cancel(token: *const dps_cancel_token) {
    // SAFETY: as the caller promises.
    if let Some(signal) = unsafe { dps_cancel_token::signal(token) } {
        signal.cancelled.store(true, Ordering::Release);
        signal.notify.notify_waiters();
    }
}

/// Frees a token. Calls that were begun with it go on, and can no longer be cancelled by it. Null does no harm.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_cancel_token_free(token: *mut dps_cancel_token) {
    if !token.is_null() {
        // SAFETY: it came from `Box::into_raw`, and the caller frees it once.
        drop(unsafe { Box::from_raw(token) });
    }
}
