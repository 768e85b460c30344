//! What `register` and `lookup` have in common: a client for one device, from the words of the command line.
//!
//! Everything that can never work is found here, before any connection; names before any file is read.

use dps_client::ProvisioningClientBuilder;
use dps_core::{IdScope, RegistrationId};

use crate::args::DeviceArgs;
use crate::connection::Connection;
use crate::failure::Result;
use crate::key::DeviceOrGroup;

/// Checks the names, reads certificates and key, and begins a client. Blocks while it reads.
pub(super) fn begin(args: &DeviceArgs) -> Result<ProvisioningClientBuilder> {
    let identity = &args.identity;
    IdScope::new(&identity.id_scope)?;
    RegistrationId::new(&identity.registration_id)?;
    let builder = Connection::read(&args.connection)?
        .builder()
        .id_scope(identity.id_scope.as_str())
        .registration_id(identity.registration_id.as_str());
    DeviceOrGroup::read(&identity.key)?.give_to(builder)
}
