//! The names of a registration and its payload: owned, and parsed once.
//!
//! Each is made from a string with [`str::parse`] or `try_from`, which is where the service's rules are checked. The
//! options of a client accept the string itself as well and keep its error for `build()`.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;
use std::sync::Arc;

use dps_core::ConfigError;
use dps_core::internal::checked;

/// The id scope of a provisioning service, such as `0ne00A1B2C3`.
///
/// The service's overview page shows it. It consists of 1 to 64 ASCII letters, digits and hyphens. Cheap to clone.
///
/// ```
/// use dps_client::IdScope;
///
/// let id_scope: IdScope = "0ne00A1B2C3".parse()?;
/// assert_eq!(id_scope.as_str(), "0ne00A1B2C3");
/// assert!("0ne/A".parse::<IdScope>().is_err());
/// # Ok::<(), dps_client::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdScope(Arc<str>);

/// The id under which a device registers, such as `sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6`.
///
/// It consists of 1 to 128 ASCII letters, digits and `-` `.` `_` `:`, begins with a letter or digit, and ends with a
/// letter, digit or hyphen (Azure IoT DPS documentation, "Registration ID"). The service ignores letter case, but a derived
/// key depends on it: use one spelling everywhere. Comparisons here are exact. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistrationId(Arc<str>);

/// The address of a provisioning service: a host name or IP address, and optionally a port.
///
/// Parsed from `HOST`, `HOST:PORT` or `[IPv6]:PORT`, each with or without `https://` before it and `/` after it; shown as
/// `HOST` or `HOST:PORT`. Without a port, each transport uses its own. Cheap to clone.
///
/// ```
/// use dps_client::Endpoint;
///
/// let endpoint: Endpoint = "https://dps.test:8443/".parse()?;
/// assert_eq!((endpoint.host(), endpoint.port()), ("dps.test", Some(8443)));
/// assert_eq!(endpoint.to_string(), "dps.test:8443");
/// assert_eq!(Endpoint::default().host(), "global.azure-devices-provisioning.net");
/// # Ok::<(), dps_client::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    text: Arc<str>,
    host: Arc<str>,
    port: Option<NonZeroU16>,
}

/// A JSON object that the service passes to its custom allocation webhook with the registration.
///
/// ```
/// use dps_client::Payload;
///
/// let payload: Payload = r#"{"firmware": "1.4.0"}"#.parse()?;
/// assert!("[1, 2]".parse::<Payload>().is_err(), "not an object");
/// # Ok::<(), dps_client::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Payload(Arc<str>);

impl IdScope {
    /// Returns the string as it was parsed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RegistrationId {
    /// Returns the string as it was parsed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Endpoint {
    /// Returns `HOST` or `HOST:PORT`, an IPv6 address in brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the host name or address; an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port, if one was given.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port.map(NonZeroU16::get)
    }
}

#[cfg(all(feature = "http", feature = "mqtt"))]
impl Endpoint {
    /// The same host with another port.
    pub(crate) fn with_port(&self, port: NonZeroU16) -> Self {
        checked::endpoint(&self.host, Some(port)).into()
    }
}

/// The service's global endpoint.
impl Default for Endpoint {
    fn default() -> Self {
        dps_core::Endpoint::GLOBAL.into()
    }
}

impl Payload {
    /// Returns the JSON text, without spaces around it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<dps_core::IdScope<'_>> for IdScope {
    fn from(id_scope: dps_core::IdScope<'_>) -> Self {
        Self(id_scope.as_str().into())
    }
}

impl From<dps_core::RegistrationId<'_>> for RegistrationId {
    fn from(registration_id: dps_core::RegistrationId<'_>) -> Self {
        Self(registration_id.as_str().into())
    }
}

impl From<dps_core::Endpoint<'_>> for Endpoint {
    fn from(endpoint: dps_core::Endpoint<'_>) -> Self {
        Self {
            text: endpoint.to_string().into(),
            host: endpoint.host().into(),
            port: endpoint.port().and_then(NonZeroU16::new),
        }
    }
}

impl From<dps_core::Payload<'_>> for Payload {
    fn from(payload: dps_core::Payload<'_>) -> Self {
        Self(payload.as_str().into())
    }
}

impl<'a> From<&'a IdScope> for dps_core::IdScope<'a> {
    fn from(id_scope: &'a IdScope) -> Self {
        checked::id_scope(&id_scope.0)
    }
}

impl<'a> From<&'a RegistrationId> for dps_core::RegistrationId<'a> {
    fn from(registration_id: &'a RegistrationId) -> Self {
        checked::registration_id(&registration_id.0)
    }
}

impl<'a> From<&'a Endpoint> for dps_core::Endpoint<'a> {
    fn from(endpoint: &'a Endpoint) -> Self {
        checked::endpoint(&endpoint.host, endpoint.port)
    }
}

impl<'a> From<&'a Payload> for dps_core::Payload<'a> {
    fn from(payload: &'a Payload) -> Self {
        checked::payload(&payload.0)
    }
}

/// Conversions from and to strings, alike for all.
macro_rules! string_conversions {
    ($($name:ident)+) => { $(
        impl FromStr for $name {
            type Err = ConfigError;

            fn from_str(string: &str) -> Result<Self, ConfigError> {
                dps_core::$name::new(string).map(Self::from)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = ConfigError;

            fn try_from(string: &str) -> Result<Self, ConfigError> {
                string.parse()
            }
        }

        impl TryFrom<&String> for $name {
            type Error = ConfigError;

            fn try_from(string: &String) -> Result<Self, ConfigError> {
                string.parse()
            }
        }

        impl TryFrom<String> for $name {
            type Error = ConfigError;

            fn try_from(string: String) -> Result<Self, ConfigError> {
                string.parse()
            }
        }

        /// Clones it, which is cheap.
        impl From<&$name> for $name {
            fn from(parsed: &$name) -> Self {
                parsed.clone()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    )+ };
}

string_conversions! { IdScope RegistrationId Endpoint Payload }

macro_rules! debug_as_string {
    ($($name:ident)+) => { $(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }
    )+ };
}

debug_as_string! { IdScope RegistrationId Endpoint }

/// The length alone: a payload may hold what is not for a log.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_keeps_host_and_port_and_is_shown_without_scheme() {
        for (text, shown, host, port) in [
            ("dps.test", "dps.test", "dps.test", None),
            ("https://dps.test:8443/", "dps.test:8443", "dps.test", Some(8443)),
            ("[::1]:443", "[::1]:443", "::1", Some(443)),
            ("::1", "[::1]", "::1", None),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.as_str(), endpoint.host(), endpoint.port()), (shown, host, port), "{text}");
            let borrowed = dps_core::Endpoint::from(&endpoint);
            assert_eq!(borrowed, dps_core::Endpoint::new(text).unwrap());
            assert_eq!(shown.parse::<Endpoint>().unwrap(), endpoint, "what is shown parses to the same");
        }
    }

    #[test]
    fn invalid_strings_are_refused_by_every_conversion() {
        assert!("0ne/A".parse::<IdScope>().is_err());
        assert!(IdScope::try_from("0ne/A".to_owned()).is_err());
        assert!(RegistrationId::try_from("a b").is_err());
        assert!(Endpoint::try_from("http://dps.test").is_err());
        assert!(Payload::try_from(&"[1]".to_owned()).is_err());
    }

    #[test]
    fn payload_is_trimmed_and_not_shown_by_debug() {
        let payload: Payload = " {\"pin\": 1234}\n".parse().unwrap();
        assert_eq!(payload.as_str(), "{\"pin\": 1234}");
        assert_eq!(dps_core::Payload::from(&payload).as_str(), payload.as_str());
        assert_eq!(format!("{payload:?}"), "Payload(13 bytes)");
    }
}
