//! Names to addresses, by the platform's resolver, with an error that says which name.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;

/// A name that leads nowhere.
#[derive(Debug, Error)]
#[error("{host} cannot be resolved: {reason}")]
pub struct DnsError {
    host: String,
    reason: io::Error,
}

/// The addresses of a host. The port of each is 0, to be set by who connects.
///
/// # Errors
/// [`DnsError`] when the resolver knows none, or cannot be asked.
pub async fn resolve(host: &str) -> Result<Vec<SocketAddr>, DnsError> {
    let failed = |reason| DnsError { host: host.to_owned(), reason };
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await.map_err(failed)?.collect();
    if addresses.is_empty() { Err(failed(io::Error::other("it has no address"))) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_cannot_be_is_said_and_classified() {
        assert!(!resolve("localhost").await.unwrap().is_empty());
        let error = resolve("no such host.test").await.unwrap_err();
        assert!(error.to_string().contains("no such host.test"), "{error}");
        assert_eq!(crate::classify(&error).map(|found| found.error), Some(dps_core::LinkError::Dns));
    }
}
