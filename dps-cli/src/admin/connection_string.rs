//! The connection string of a provisioning service, parsed and checked before anything is sent.
//!
//! `HostName=…;SharedAccessKeyName=…;SharedAccessKey=…` (Azure IoT DPS documentation, "Control access").

use dps_core::{Endpoint, ErrorCode, Key};

use crate::failure::{Failure, Result};

/// The service's host, and the shared access policy with its key.
pub(crate) struct ConnectionString {
    /// The host, with a port where the string has one.
    pub(crate) host: String,
    pub(crate) policy: String,
    pub(crate) key: Key,
}

impl ConnectionString {
    /// Parses the parts, in any order.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let part = |wanted: &str| {
            text.split(';')
                .filter_map(|part| part.split_once('='))
                .find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value.trim())
                .filter(|value| !value.is_empty())
        };
        if part("DeviceId").is_some() {
            return Err(invalid("it is a device's; use the provisioning service's"));
        }
        let needed = |name: &str| part(name).ok_or_else(|| invalid(&format!("{name} is missing")));
        let host = needed("HostName")?;
        Endpoint::new(host).map_err(|error| invalid(&error.to_string()))?;
        let policy = needed("SharedAccessKeyName")?.to_owned();
        let key = Key::from_base64(needed("SharedAccessKey")?).map_err(|error| invalid(&error.to_string()))?;
        Ok(Self { host: host.to_owned(), policy, key })
    }
}

/// Quotes no part of the string: any of them may be the key.
fn invalid(problem: &str) -> Failure {
    Failure::new(
        ErrorCode::InvalidOption,
        format!(
            "the connection string is not valid: {problem}; the format is \
             HostName=…;SharedAccessKeyName=…;SharedAccessKey=…"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "c2VydmljZS1wb2xpY3kta2V5LTAxMjM0NTY3ODlhYmM=";

    #[test]
    fn connection_string_parts_can_be_in_any_order() {
        let text = format!("SharedAccessKey={KEY};HostName=localhost:8443;SharedAccessKeyName=owner");
        let parsed = ConnectionString::parse(&text).unwrap();
        assert_eq!((parsed.host.as_str(), parsed.policy.as_str()), ("localhost:8443", "owner"));
        assert_eq!(parsed.key.length(), 32);
    }

    #[test]
    fn connection_string_errors_name_the_part_and_never_the_key() {
        for (text, word) in [
            (format!("HostName=a.test;SharedAccessKeyName=b;SharedAccessKey={KEY}!"), "base64"),
            (format!("HostName=a.test;SharedAccessKey={KEY}"), "SharedAccessKeyName is missing"),
            (format!("SharedAccessKeyName=b;SharedAccessKey={KEY}"), "HostName is missing"),
            (format!("HostName=a.test;DeviceId=b;SharedAccessKey={KEY}"), "a device's"),
            (format!("HostName=http://a.test;SharedAccessKeyName=b;SharedAccessKey={KEY}"), "endpoint"),
            (KEY.to_owned(), "HostName is missing"),
        ] {
            let Err(failure) = ConnectionString::parse(&text) else { panic!("{word}: accepted") };
            assert!(failure.message.contains(word), "{}", failure.message);
            assert!(!failure.message.contains(KEY));
        }
    }
}
