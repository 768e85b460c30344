//! Name resolution: by the platform's resolver, or by the overrides of the caller.
//!
//! An override changes where a connection goes and nothing else: the server's certificate must still be for the name, and
//! a proxy resolves by itself.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use dps_core::LinkError;
use thiserror::Error;

use crate::error::NetError;

/// The platform's resolver, except for the names that have an [`AddressOverride`].
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    overrides: Vec<AddressOverride>,
}

impl Resolver {
    /// Returns a resolver with these overrides. When several are for the same host and port, all their addresses are used,
    /// in order.
    #[must_use]
    pub fn new(overrides: impl IntoIterator<Item = AddressOverride>) -> Self {
        Self { overrides: overrides.into_iter().collect() }
    }

    /// Returns the addresses of the overrides for `host` on `port`, or `None` where there is none. Letter case is ignored.
    #[must_use]
    pub fn overridden(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        let is_asked = |given: &&AddressOverride| given.port == port && given.name.eq_ignore_ascii_case(host);
        let addresses = self.overrides.iter().filter(is_asked).flat_map(|given| &given.addresses);
        let addresses: Vec<SocketAddr> = addresses.map(|address| SocketAddr::new(*address, port)).collect();
        (!addresses.is_empty()).then_some(addresses)
    }

    /// Returns the addresses of `host` for a connection to `port`; at least one.
    ///
    /// # Errors
    /// [`NetError`] of kind `Dns`, with the [`io::Error`] of the platform's resolver as its source.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, NetError> {
        if let Some(addresses) = self.overridden(host, port) {
            return Ok(addresses);
        }
        let failed = |reason: io::Error| {
            NetError::new(LinkError::Dns, format!("{host} cannot be resolved: {reason}")).with_source(reason)
        };
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await.map_err(failed)?.collect();
        if addresses.is_empty() { Err(failed(io::Error::other("it has no address"))) } else { Ok(addresses) }
    }
}

/// The addresses of a name on one port, as curl's `--resolve` sets them.
///
/// ```
/// use dps_net::AddressOverride;
///
/// let given: AddressOverride = "hub-a.test:8883:127.0.0.1".parse()?;
/// assert_eq!(given.to_string(), "hub-a.test:8883:127.0.0.1");
/// assert!("hub-a.test:127.0.0.1".parse::<AddressOverride>().is_err());
/// # Ok::<(), dps_net::AddressOverrideError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressOverride {
    name: String,
    port: u16,
    addresses: Vec<IpAddr>,
}

/// Why a string is not an [`AddressOverride`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddressOverrideError {
    /// It does not have three parts.
    #[error("write NAME:PORT:ADDR, such as hub-a.test:8883:127.0.0.1")]
    Shape,
    /// The first part is not a host name.
    #[error("{0:?} is not a host name; write NAME:PORT:ADDR, such as hub-a.test:8883:127.0.0.1")]
    Name(String),
    /// The second part is not a port.
    #[error("{0:?} is not a port: write 1 to 65535")]
    Port(String),
    /// The last part is not a list of addresses.
    #[error("{0:?} is not an IP address: write one such as 127.0.0.1 or [::1], or several separated by commas")]
    Address(String),
}

impl FromStr for AddressOverride {
    type Err = AddressOverrideError;

    /// `NAME:PORT:ADDR[,ADDR]…`; an IPv6 address may be in brackets.
    fn from_str(text: &str) -> Result<Self, AddressOverrideError> {
        let mut parts = text.splitn(3, ':');
        let (Some(name), Some(port), Some(addresses)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(AddressOverrideError::Shape);
        };
        let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        // An address needs no resolver.
        if name.is_empty() || !is_name(name) || name.parse::<IpAddr>().is_ok() {
            return Err(AddressOverrideError::Name(name.to_owned()));
        }
        let bad_port = || AddressOverrideError::Port(port.to_owned());
        let number = port.parse().ok().filter(|number| *number != 0).ok_or_else(bad_port)?;
        let addresses = addresses.split(',').map(address).collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), port: number, addresses })
    }
}

fn address(text: &str) -> Result<IpAddr, AddressOverrideError> {
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let parsed = match bracketed {
        Some(inside) => inside.parse::<Ipv6Addr>().map(IpAddr::V6),
        None => text.parse(),
    };
    parsed.map_err(|_| AddressOverrideError::Address(text.to_owned()))
}

impl std::fmt::Display for AddressOverride {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:", self.name, self.port)?;
        for (index, address) in self.addresses.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match address {
                IpAddr::V4(address) => write!(f, "{comma}{address}")?,
                IpAddr::V6(address) => write!(f, "{comma}[{address}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_override_is_refused_with_the_part_that_is_wrong() {
        let refused = |text: &str| text.parse::<AddressOverride>().unwrap_err();
        for text in ["", "hub-a.test", "hub-a.test:8883"] {
            assert_eq!(refused(text), AddressOverrideError::Shape);
        }
        for name in ["", "hub a.test", "[", "https", "127.0.0.1"] {
            let text = if name == "https" { "https://hub-a.test:1".to_owned() } else { format!("{name}:1:127.0.0.1") };
            assert!(matches!(refused(&text), AddressOverrideError::Name(_) | AddressOverrideError::Port(_)), "{text}");
        }
        for port in ["", "0", "65536", "-1", "mqtt"] {
            assert_eq!(refused(&format!("hub-a.test:{port}:127.0.0.1")), AddressOverrideError::Port(port.into()));
        }
        for address in ["", "localhost", "127.0.0.1:8883", "[127.0.0.1]", "127.0.0.1, ::1", "127.0.0.1,"] {
            let text = format!("hub-a.test:8883:{address}");
            assert!(matches!(refused(&text), AddressOverrideError::Address(_)), "{text}");
        }
    }

    #[test]
    fn override_applies_to_its_name_and_port_only() {
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
    async fn names_without_override_are_resolved_by_the_platform() {
        let resolver = Resolver::new(["localhost:1:192.0.2.7".parse().unwrap()]);
        assert_eq!(resolver.resolve("localhost", 1).await.unwrap(), ["192.0.2.7:1".parse().unwrap()]);
        assert!(resolver.resolve("localhost", 2).await.unwrap().iter().all(|found| found.ip().is_loopback()));
        let error = resolver.resolve("no such host.test", 1).await.unwrap_err();
        assert!(error.detail().contains("no such host.test"), "{error}");
        assert_eq!(error.kind(), LinkError::Dns);
        assert!(std::error::Error::source(&error).is_some_and(|source| source.is::<io::Error>()), "{error:?}");
    }
}
