//! The client for programs without a runtime: the same calls, each on a runtime of its own.

use std::time::SystemTime;

use dps_core::{ErrorCode, Verdict};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::assignment::{Assignment, RegistrationRecord};
use crate::client::ProvisioningClient;
use crate::error::DpsError;
use crate::hub::{HubCredentials, HubPassword};
use crate::probe::Probe;
use crate::progress::ResumeToken;

/// The calls of a [`ProvisioningClient`] for programs without an async runtime: each blocks the calling thread.
///
/// A call ends by its deadline also while a name is being resolved; the platform's resolver may continue in a thread of its
/// own for as long as it needs. A release build needs a stack of 96 KB. For passwords at the hub, see
/// [`HubCredentials::blocking_password`](crate::HubCredentials::blocking_password).
///
/// ```no_run
/// # fn example(client: dps_client::ProvisioningClient) -> Result<(), dps_client::DpsError> {
/// let assignment = client.blocking().register()?;
/// let mut credentials = assignment.hub_credentials()?;
/// let password = credentials.blocking_password()?;
/// # let _ = password.expose();
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BlockingClient<'c> {
    client: &'c ProvisioningClient,
}

impl<'c> BlockingClient<'c> {
    pub(crate) fn new(client: &'c ProvisioningClient) -> Self {
        Self { client }
    }

    /// Registers the device and blocks until its assignment, or the deadline.
    ///
    /// # Errors
    /// As [`ProvisioningClient::register`]; `misuse` when called from within a runtime, whose thread it would block.
    pub fn register(&self) -> Result<Assignment, DpsError> {
        CallRuntime::new()?.block_on(self.client.register())
    }

    /// Continues a registration that an earlier call began, and blocks until the assignment, or the deadline.
    ///
    /// # Errors
    /// As [`ProvisioningClient::resume`], and `misuse` as [`BlockingClient::register`].
    pub fn resume(&self, token: &ResumeToken) -> Result<Assignment, DpsError> {
        CallRuntime::new()?.block_on(self.client.resume(token))
    }

    /// Requests the device's record and blocks until the answer.
    ///
    /// # Errors
    /// As [`ProvisioningClient::lookup`], and `misuse` as [`BlockingClient::register`].
    pub fn lookup(&self) -> Result<RegistrationRecord, DpsError> {
        CallRuntime::new()?.block_on(self.client.lookup())
    }

    /// Tries the credential without registering and blocks until the result, or the request timeout.
    ///
    /// # Errors
    /// As [`ProvisioningClient::probe`], and `misuse` as [`BlockingClient::register`].
    pub fn probe(&self) -> Result<Probe, DpsError> {
        CallRuntime::new()?.block_on(self.client.probe())
    }

    /// Requests the service's time and blocks until the answer.
    ///
    /// # Errors
    /// As [`ProvisioningClient::service_time`], and `misuse` as [`BlockingClient::register`].
    pub fn service_time(&self) -> Result<SystemTime, DpsError> {
        CallRuntime::new()?.block_on(self.client.service_time())
    }
}

impl ProvisioningClient {
    /// The same for programs without a runtime: each call runs one of its own on this thread.
    #[must_use]
    pub fn blocking(&self) -> BlockingClient<'_> {
        BlockingClient::new(self)
    }
}

impl HubCredentials {
    /// As [`password`](Self::password), for programs without a runtime: blocks the calling thread until a password is signed,
    /// for the client's request timeout at most.
    ///
    /// # Errors
    /// As [`password`](Self::password); `misuse` when called from within a runtime, whose thread it would block.
    pub fn blocking_password(&mut self) -> Result<&HubPassword, DpsError> {
        CallRuntime::new()?.block_on(self.password())
    }
}

/// A tokio runtime on the calling thread, for the time of a blocking call.
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
