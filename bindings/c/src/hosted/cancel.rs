//! Cancels calls from another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Cancels the calls whose configuration contains it. It can be used by any number of threads and calls at the same time.
pub struct dps_cancel_token(Arc<Signal>);

#[derive(Default)]
pub(crate) struct Signal {
    cancelled: AtomicBool,
    notify: Notify,
}

impl Signal {
    /// Returns once the token was canceled.
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
    /// Returns the state of the token, if there is one; the state outlives the token.
    ///
    /// # Safety
    /// It is null, or a token that [`dps_cancel_token_new`] returned and that has not been freed.
    pub(crate) unsafe fn signal(token: *const Self) -> Option<Arc<Signal>> {
        // SAFETY: promised on.
        unsafe { token.as_ref() }.map(|token| Arc::clone(&token.0))
    }
}

/// Returns a new token. Free it with `dps_cancel_token_free`.
#[unsafe(no_mangle)]
pub extern "C" fn dps_cancel_token_new() -> *mut dps_cancel_token {
    Box::into_raw(Box::new(dps_cancel_token(Arc::default())))
}

/// Cancels every call that has this token, now and later: they close their connection and return `DPS_ERROR_CANCELLED`. It
/// can be called from any thread, but not from a signal handler. A second call has no effect, and null is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_cancel_token_cancel(token: *const dps_cancel_token) {
    // SAFETY: as the caller promises.
    if let Some(signal) = unsafe { dps_cancel_token::signal(token) } {
        signal.cancelled.store(true, Ordering::Release);
        signal.notify.notify_waiters();
    }
}

/// Frees a token. Calls that were started with it continue, and can no longer be canceled by it. Null is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_cancel_token_free(token: *mut dps_cancel_token) {
    if !token.is_null() {
        // SAFETY: it came from `Box::into_raw`, and the caller frees it once.
        drop(unsafe { Box::from_raw(token) });
    }
}
