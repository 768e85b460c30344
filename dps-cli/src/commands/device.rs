//! What `register` and `lookup` have in common: a client for one device, from the words of the command line.
//!
//! Everything that can never work is found here, before any connection; names before any file is read.

use dps_client::{ProvisioningClient, ProvisioningClientBuilder, Roots};
use dps_core::{Endpoint, IdScope, RegistrationId};

use crate::args::{ConnectionArgs, IdentityArgs};
use crate::failure::Result;
use crate::key::DeviceOrGroup;
use crate::{proxy, trust};

/// Checks the names, reads key and certificates, and begins a client. Blocks while it reads.
pub(super) fn begin(identity: &IdentityArgs, connection: &ConnectionArgs) -> Result<ProvisioningClientBuilder> {
    check(identity, connection)?;
    let key = DeviceOrGroup::read(&identity.key)?;
    let roots: Roots = trust::roots(&connection.trust)?;
    let mut builder = ProvisioningClient::builder()
        .id_scope(identity.id_scope.as_str())
        .registration_id(identity.registration_id.as_str())
        .roots(roots)
        .timeout(connection.timeout)
        .transport(connection.transport.transport())
        .proxy(proxy::choice(&connection.proxy)?)
        .user_agent(concat!("dps/", env!("CARGO_PKG_VERSION")));
    if let Some(endpoint) = &connection.endpoint {
        builder = builder.endpoint(endpoint.as_str());
    }
    key.give_to(builder)
}

fn check(identity: &IdentityArgs, connection: &ConnectionArgs) -> Result<()> {
    IdScope::new(&identity.id_scope)?;
    RegistrationId::new(&identity.registration_id)?;
    if let Some(endpoint) = &connection.endpoint {
        Endpoint::new(endpoint)?;
    }
    Ok(())
}
