//! Names to addresses, where the caller knows better than the platform's resolver.
//!
//! It changes where a connection goes and nothing else: the server's certificate has to bear the name all the same, and
//! a proxy resolves by itself.

use std::net::SocketAddr;

use crate::address_override::AddressOverride;
use crate::dns::{DnsError, resolve};

/// The platform's resolver, but for the names it was told.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    overrides: Vec<AddressOverride>,
}

impl Resolver {
    /// One that was told this. The same name and port twice: all addresses count, in this order.
    #[must_use]
    pub fn new(overrides: impl IntoIterator<Item = AddressOverride>) -> Self {
        Self { overrides: overrides.into_iter().collect() }
    }

    /// What it was told of `host` on `port`; `None` when that is the platform's to say. Letter case does not count.
    #[must_use]
    pub fn overridden(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        let is_asked = |given: &&AddressOverride| given.port == port && given.name.eq_ignore_ascii_case(host);
        let addresses = self.overrides.iter().filter(is_asked).flat_map(|given| &given.addresses);
        let addresses: Vec<SocketAddr> = addresses.map(|address| SocketAddr::new(*address, port)).collect();
        (!addresses.is_empty()).then_some(addresses)
    }

    /// The addresses of `host` for a connection to `port`.
    ///
    /// # Errors
    /// [`DnsError`] when it was told nothing, and the platform's resolver knows none or cannot be asked.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, DnsError> {
        if let Some(addresses) = self.overridden(host, port) {
            return Ok(addresses);
        }
        let found = resolve(host).await?;
        Ok(found.into_iter().map(|address| SocketAddr::new(address.ip(), port)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_counts_for_its_name_and_port_alone() {
        let given = |text: &str| text.parse::<AddressOverride>().unwrap();
        let resolver = Resolver::new([
            given("hub-a.test:8883:127.0.0.1,[::1]"),
            given("HUB-A.test:8883:192.0.2.7"),
            given("b:1:::1"),
        ]);
        let addresses = resolver.overridden("Hub-A.TEST", 8883).unwrap();
        let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["127.0.0.1:8883", "[::1]:8883", "192.0.2.7:8883"]);
        assert!(resolver.overridden("b", 1).is_some());
        for (host, port) in [("hub-a.test", 443), ("hub-b.test", 8883), ("b", 2)] {
            assert_eq!(resolver.overridden(host, port), None);
        }
    }

    #[tokio::test]
    async fn other_names_are_the_platforms() {
        let resolver = Resolver::new(["localhost:1:192.0.2.7".parse().unwrap()]);
        assert_eq!(resolver.resolve("localhost", 1).await.unwrap(), ["192.0.2.7:1".parse().unwrap()]);
        assert!(resolver.resolve("localhost", 2).await.unwrap().iter().all(|found| found.ip().is_loopback()));
    }
}
