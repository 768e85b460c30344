//! What `register` and `lookup` have in common: a client for one device, from the words of the command line.
//!
//! Everything that can never work is found here, before any connection; names before any file is read.

use dps_client::{IdScope, ProvisioningClientBuilder, RegistrationId};

use crate::args::DeviceArgs;
use crate::connection::Connection;
use crate::failure::Result;
use crate::key::DeviceOrGroup;

/// Checks the names, reads certificates and key, and begins a client. Blocks while it reads.
pub(super) fn begin(args: &DeviceArgs) -> Result<ProvisioningClientBuilder> {
    let identity = &args.identity;
    let id_scope: IdScope = identity.id_scope.parse()?;
    let registration_id: RegistrationId = identity.registration_id.parse()?;
    let builder = Connection::read(&args.connection)?.builder().id_scope(id_scope).registration_id(registration_id);
    DeviceOrGroup::read(&identity.key)?.give_to(builder)
}
