//! The client for programs without a runtime: the same calls, each on a runtime of its own.

use std::time::SystemTime;

use crate::assignment::{Assignment, RegistrationRecord};
use crate::call_runtime::CallRuntime;
use crate::client::ProvisioningClient;
use crate::error::DpsError;
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
/// let mut credentials = assignment.hub_credentials();
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
