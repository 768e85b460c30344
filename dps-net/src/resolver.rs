//! Names to addresses, where the caller knows better than the platform's resolver: `NAME:PORT:ADDR`, as curl's
//! `--resolve` takes it.
//!
//! It changes where a connection goes and nothing else: the server's certificate has to bear the name all the same, and
//! a proxy resolves by itself.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

use crate::dns::{DnsError, resolve};

/// Where a name is, on one port.
///
/// ```
/// use dps_net::Told;
///
/// let told: Told = "hub-a.test:8883:127.0.0.1".parse()?;
/// assert_eq!(told.to_string(), "hub-a.test:8883:127.0.0.1");
/// assert!("hub-a.test:127.0.0.1".parse::<Told>().is_err());
/// # Ok::<(), dps_net::ToldError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    name: String,
    port: u16,
    addresses: Vec<IpAddr>,
}

/// Why a text does not tell where a name is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ToldError {
    /// It has not three parts.
    #[error("write NAME:PORT:ADDR, such as hub-a.test:8883:127.0.0.1")]
    Shape,
    /// The first part is no host name.
    #[error("{0:?} is no host name; write NAME:PORT:ADDR, such as hub-a.test:8883:127.0.0.1")]
    Name(String),
    /// The second part is no port.
    #[error("{0:?} is no port: give 1 to 65535")]
    Port(String),
    /// The last part holds something else than addresses.
    #[error("{0:?} is no IP address: give one such as 127.0.0.1 or [::1], or several with commas")]
    Address(String),
}

impl FromStr for Told {
    type Err = ToldError;

    /// `NAME:PORT:ADDR[,ADDR]…`; an IPv6 address may stand in brackets.
    fn from_str(text: &str) -> Result<Self, ToldError> {
        let mut parts = text.splitn(3, ':');
        let (Some(name), Some(port), Some(addresses)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(ToldError::Shape);
        };
        let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        // An address needs no resolver.
        if name.is_empty() || !is_name(name) || name.parse::<IpAddr>().is_ok() {
            return Err(ToldError::Name(name.to_owned()));
        }
        let bad_port = || ToldError::Port(port.to_owned());
        let number = port.parse().ok().filter(|number| *number != 0).ok_or_else(bad_port)?;
        let addresses = addresses.split(',').map(address).collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), port: number, addresses })
    }
}

fn address(text: &str) -> Result<IpAddr, ToldError> {
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let parsed = match bracketed {
        Some(inside) => inside.parse::<Ipv6Addr>().map(IpAddr::V6),
        None => text.parse(),
    };
    parsed.map_err(|_| ToldError::Address(text.to_owned()))
}

impl std::fmt::Display for Told {
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

/// The platform's resolver, but for the names it was told.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    told: Vec<Told>,
}

impl Resolver {
    /// One that was told this. The same name and port twice: all addresses count, in this order.
    #[must_use]
    pub fn new(told: impl IntoIterator<Item = Told>) -> Self {
        Self { told: told.into_iter().collect() }
    }

    /// What it was told of `host` on `port`; `None` when that is the platform's to say. Letter case does not count.
    #[must_use]
    pub fn told(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        let is_asked = |told: &&Told| told.port == port && told.name.eq_ignore_ascii_case(host);
        let addresses = self.told.iter().filter(is_asked).flat_map(|told| &told.addresses);
        let addresses: Vec<SocketAddr> = addresses.map(|address| SocketAddr::new(*address, port)).collect();
        (!addresses.is_empty()).then_some(addresses)
    }

    /// The addresses of `host` for a connection to `port`.
    ///
    /// # Errors
    /// [`DnsError`] when it was told nothing, and the platform's resolver knows none or cannot be asked.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, DnsError> {
        if let Some(addresses) = self.told(host, port) {
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
        let told = |text: &str| text.parse::<Told>().unwrap();
        let resolver = Resolver::new([
            told("hub-a.test:8883:127.0.0.1,[::1]"),
            told("HUB-A.test:8883:192.0.2.7"),
            told("b:1:::1"),
        ]);
        let addresses = resolver.told("Hub-A.TEST", 8883).unwrap();
        let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["127.0.0.1:8883", "[::1]:8883", "192.0.2.7:8883"]);
        assert!(resolver.told("b", 1).is_some());
        for (host, port) in [("hub-a.test", 443), ("hub-b.test", 8883), ("b", 2)] {
            assert_eq!(resolver.told(host, port), None);
        }
    }

    #[test]
    fn what_tells_nothing_is_refused_by_its_part() {
        let refused = |text: &str| text.parse::<Told>().unwrap_err();
        for text in ["", "hub-a.test", "hub-a.test:8883"] {
            assert_eq!(refused(text), ToldError::Shape);
        }
        for name in ["", "hub a.test", "[", "https", "127.0.0.1"] {
            let text = if name == "https" { "https://hub-a.test:1".to_owned() } else { format!("{name}:1:127.0.0.1") };
            assert!(matches!(refused(&text), ToldError::Name(_) | ToldError::Port(_)), "{text}");
        }
        for port in ["", "0", "65536", "-1", "mqtt"] {
            assert_eq!(refused(&format!("hub-a.test:{port}:127.0.0.1")), ToldError::Port(port.into()));
        }
        for address in ["", "localhost", "127.0.0.1:8883", "[127.0.0.1]", "127.0.0.1, ::1", "127.0.0.1,"] {
            let text = format!("hub-a.test:8883:{address}");
            assert!(matches!(refused(&text), ToldError::Address(_)), "{text}");
        }
    }

    #[tokio::test]
    async fn other_names_are_the_platforms() {
        let resolver = Resolver::new(["localhost:1:192.0.2.7".parse().unwrap()]);
        assert_eq!(resolver.resolve("localhost", 1).await.unwrap(), ["192.0.2.7:1".parse().unwrap()]);
        assert!(resolver.resolve("localhost", 2).await.unwrap().iter().all(|found| found.ip().is_loopback()));
    }
}
