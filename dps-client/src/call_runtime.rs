//! The runtime of one blocking call.

use dps_core::{ErrorCode, Verdict};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::DpsError;

/// A tokio runtime on the calling thread, for as long as a blocking call takes.
///
/// Dropping it waits for nothing. A tokio runtime by itself waits for the threads of work that blocks, and so for the
/// platform's resolver (`getaddrinfo`), which takes as long as its own configuration allows: often 10 s, and a minute with
/// several name servers and search domains. Such a thread ends by itself once the resolver returns.
///
/// ```
/// # fn main() -> Result<(), dps_client::DpsError> {
/// let runtime = dps_client::CallRuntime::new()?;
/// assert_eq!(runtime.block_on(async { 6 * 7 }), 42);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct CallRuntime(Option<Runtime>);

impl CallRuntime {
    /// Starts the runtime. No thread is started before there is work that blocks.
    ///
    /// # Errors
    /// `misuse` on a thread that belongs to an async runtime, which the call would block; `internal` when the system
    /// refuses the descriptors that a runtime needs.
    pub fn new() -> Result<Self, DpsError> {
        if Handle::try_current().is_ok() {
            let message = "the call would block a thread that belongs to an async runtime; await the async client \
                           there, as in `register().await`";
            return Err(DpsError::new(ErrorCode::Misuse, Verdict::Never, message.into()));
        }
        let started = Builder::new_current_thread().enable_all().build();
        started.map(|runtime| Self(Some(runtime))).map_err(|error| {
            DpsError::new(ErrorCode::Internal, Verdict::Never, format!("a runtime cannot be started: {error}"))
                .caused_by(error)
        })
    }

    /// Blocks this thread until the work is done. Large futures are best boxed: they are on this thread's stack.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        match &self.0 {
            Some(runtime) => runtime.block_on(work),
            None => unreachable!("the runtime is taken out only when this is dropped"),
        }
    }
}

impl Drop for CallRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
