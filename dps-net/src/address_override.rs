//! Where a name is, as people write it: `NAME:PORT:ADDR`, as curl's `--resolve` takes it. Asks nobody.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// Where a name is, on one port.
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
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) addresses: Vec<IpAddr>,
}

/// Why a text does not tell where a name is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddressOverrideError {
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

impl FromStr for AddressOverride {
    type Err = AddressOverrideError;

    /// `NAME:PORT:ADDR[,ADDR]…`; an IPv6 address may stand in brackets.
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
    fn what_tells_nothing_is_refused_by_its_part() {
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
}
