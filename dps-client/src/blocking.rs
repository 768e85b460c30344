//! The client for programs without a runtime: the same loop, on a runtime of its own that lasts one call.

use dps_core::{ErrorCode, Verdict};

use crate::assignment::{Assignment, RegistrationRecord};
use crate::client::ProvisioningClient;
use crate::error::DpsError;

/// The blocking twin of a [`ProvisioningClient`].
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
        runtime()?.block_on(self.client.register())
    }

    /// Asks for the device's record and blocks until the answer.
    ///
    /// # Errors
    /// As [`BlockingClient::register`].
    pub fn lookup(&self) -> Result<RegistrationRecord, DpsError> {
        runtime()?.block_on(self.client.lookup())
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, DpsError> {
    if tokio::runtime::Handle::try_current().is_ok() {
        let message = "the blocking client was called from within an async runtime; call `register().await` there";
        return Err(DpsError::new(ErrorCode::Misuse, Verdict::Never, message.into()));
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| DpsError::new(ErrorCode::Internal, Verdict::Never, format!("no runtime can be made: {error}")))
}
