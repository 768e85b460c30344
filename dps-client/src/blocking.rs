//! The client for programs without a runtime: the same loop, on a runtime of its own that lasts one call.

use crate::assignment::{Assignment, RegistrationRecord};
use crate::call_runtime::CallRuntime;
use crate::client::ProvisioningClient;
use crate::error::DpsError;

/// The blocking twin of a [`ProvisioningClient`].
///
/// A call ends by its timeout also while a name is being resolved; the platform's resolver may go on in a thread of its
/// own for as long as it takes.
///
/// ```no_run
/// # fn example(client: dps_client::ProvisioningClient) -> Result<(), dps_client::DpsError> {
/// let assignment = client.blocking().register()?;
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

    /// Registers the device and blocks until its assignment, or the timeout.
    ///
    /// # Errors
    /// As [`ProvisioningClient::register`]; `misuse` when called from within a runtime, whose thread it would block.
    pub fn register(&self) -> Result<Assignment, DpsError> {
        CallRuntime::new()?.block_on(self.client.register())
    }

    /// Asks for the device's record and blocks until the answer.
    ///
    /// # Errors
    /// As [`BlockingClient::register`].
    pub fn lookup(&self) -> Result<RegistrationRecord, DpsError> {
        CallRuntime::new()?.block_on(self.client.lookup())
    }
}
