//! The proxy on the way to the service: from the options, or else the environment's.

use std::fmt::Display;

use dps_client::{Proxy, ProxyChoice};

use crate::args::ProxyArgs;
use crate::failure::{Failure, Result};
use crate::secret;

/// What the options choose. Blocks while it reads the password.
pub(crate) fn choice(args: &ProxyArgs) -> Result<ProxyChoice> {
    let Some(url) = &args.proxy else { return Ok(ProxyChoice::Environment) };
    let proxy = Proxy::parse(url).map_err(|error| unusable(error).in_source("--proxy"))?;
    if proxy.credentials().is_some_and(|(_, password)| !password.is_empty()) {
        let reason = "--proxy: a password on the command line can be seen by others on this machine; \
                      leave it out there and give --proxy-password-file FILE";
        return Err(Failure::option(reason));
    }
    Ok(ProxyChoice::Fixed(match &args.proxy_password_file {
        Some(path) => proxy
            .with_password(secret::read(path, "the proxy's password")?.expose())
            .map_err(unusable)?
            .named_by(format!("--proxy and --proxy-password-file {}", path.display())),
        None => proxy.named_by("--proxy"),
    }))
}

/// A proxy that cannot be used, in the terms of the catalogue.
pub(crate) fn unusable(error: impl Display) -> Failure {
    Failure::option(error.to_string())
}
