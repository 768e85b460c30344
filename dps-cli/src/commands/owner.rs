//! What every command of a service's owner begins with.

use std::path::Path;

use dps_client::Resolver;
use dps_core::Endpoint;

use super::blocking;
use crate::admin::{AdminClient, ConnectionString};
use crate::args::OwnerArgs;
use crate::failure::Result;
use crate::{proxy, secret, trust};

/// Prepares the connection. Everything that can be wrong on this side is found before the first byte is sent.
pub(super) async fn connect(args: OwnerArgs) -> Result<AdminClient> {
    if let Some(endpoint) = &args.endpoint {
        Endpoint::new(endpoint)?;
    }
    let (owner, roots, proxy, args) = blocking(move || {
        let path: &Path = &args.connection_string_file;
        let text = secret::read(path, "the service's connection string")?;
        let owner = ConnectionString::parse(text.expose()).map_err(|failure| failure.in_source(path.display()))?;
        let roots = trust::roots(&args.trust)?;
        Ok((owner, roots, proxy::choice(&args.proxy)?, args))
    })
    .await?;
    let resolver = Resolver::new(args.resolve.overrides);
    AdminClient::connect(owner, args.endpoint.as_deref(), &roots, &proxy, &resolver, args.timeout).await
}
