//! The names in a registration, parsed once: id scope, registration id, endpoint.
//!
//! Each holds the service's limits in its constructor and borrows its text; nothing later checks them again. No name
//! is trimmed, lower-cased or otherwise changed.

use core::fmt;

use crate::error::{ConfigError, IdProblem};
use crate::text::{Text, parse_decimal, split_once};

/// The longest registration id, in bytes (Azure IoT DPS documentation, "Terminology": 128 characters).
pub const REGISTRATION_ID_MAX: usize = 128;
/// The longest id scope taken, in bytes. The service makes them about 11 long; they are opaque.
pub const ID_SCOPE_MAX: usize = 64;
/// The longest host name, in bytes (RFC 1035, section 2.3.4).
pub const HOST_MAX: usize = 253;
/// The longest device id of a hub, in bytes (Azure IoT Hub documentation, "Device identity properties": 128 characters).
pub const DEVICE_ID_MAX: usize = 128;
/// The longest word of the service that is accepted, such as a substatus, in bytes.
pub const WORD_MAX: usize = 64;

/// The id scope of one provisioning service, such as `0ne00A1B2C3`. Opaque, made by the service.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdScope<'a>(&'a str);

impl<'a> IdScope<'a> {
    /// Takes an id scope as the service shows it.
    ///
    /// # Errors
    /// [`ConfigError::IdScope`] when it is empty, longer than [`ID_SCOPE_MAX`], or holds anything but ASCII letters,
    /// digits and hyphens.
    pub fn new(text: &'a str) -> Result<Self, ConfigError> {
        check_length(text, ID_SCOPE_MAX).map_err(ConfigError::IdScope)?;
        match text.bytes().position(|byte| !byte.is_ascii_alphanumeric() && byte != b'-') {
            Some(offset) => Err(ConfigError::IdScope(IdProblem::Character { offset })),
            None => Ok(Self(text)),
        }
    }

    /// The text as it was given.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

/// The id under which a device registers, such as `sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6`.
///
/// The service compares ids without regard to letter case, but a derived key depends on it: use one spelling.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RegistrationId<'a>(&'a str);

impl<'a> RegistrationId<'a> {
    /// Takes a registration id.
    ///
    /// # Errors
    /// [`ConfigError::RegistrationId`] when it is empty, longer than [`REGISTRATION_ID_MAX`], holds anything but
    /// ASCII letters, digits and `-` `.` `_` `:`, does not begin with a letter or digit, or does not end with a
    /// letter, digit or hyphen (Azure IoT DPS documentation, "Registration ID").
    pub fn new(text: &'a str) -> Result<Self, ConfigError> {
        check_length(text, REGISTRATION_ID_MAX).map_err(ConfigError::RegistrationId)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':');
        let wrong = |offset| Err(ConfigError::RegistrationId(IdProblem::Character { offset }));
        if let Some(offset) = text.bytes().position(|byte| !allowed(byte)) {
            return wrong(offset);
        }
        if !text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric()) {
            return wrong(0);
        }
        if !text.bytes().next_back().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return wrong(text.len().saturating_sub(1));
        }
        Ok(Self(text))
    }

    /// The text as it was given.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether there is an upper-case letter in it: a usual cause of a derived key that does not match.
    #[must_use]
    pub fn has_upper_case(self) -> bool {
        self.0.bytes().any(|byte| byte.is_ascii_uppercase())
    }
}

/// Where the service answers: a host name or address, and a port when it is not the transport's own.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoint<'a> {
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Endpoint<'a> {
    /// The service's global endpoint (Azure IoT DPS documentation, "Device provisioning endpoint").
    pub const GLOBAL: Endpoint<'static> = Endpoint { host: "global.azure-devices-provisioning.net", port: None };

    /// Takes `HOST`, `HOST:PORT`, `[IPv6]:PORT`, each with or without `https://` before and one `/` after it.
    ///
    /// # Errors
    /// [`ConfigError::Endpoint`] when the host is missing or too long, the port is no number from 1 to 65535,
    /// another scheme or a path is given, or a character stands in it that no host name has.
    pub fn new(text: &'a str) -> Result<Self, ConfigError> {
        let skipped = if starts_with_https(text) { "https://".len() } else { 0 };
        let rest = text.get(skipped..).unwrap_or("");
        let rest = rest.strip_suffix("/").unwrap_or(rest);
        if rest.as_bytes().windows(3).any(|bytes| bytes == b"://") {
            return Err(ConfigError::Endpoint(IdProblem::Scheme));
        }
        let (host, port) = split_port(rest);
        check_length(host, HOST_MAX).map_err(ConfigError::Endpoint)?;
        if let Some(offset) = host.bytes().position(|byte| !is_host_byte(byte)) {
            return Err(ConfigError::Endpoint(IdProblem::Character { offset: skipped.saturating_add(offset) }));
        }
        let port = match port {
            None => None,
            Some(digits) => Some(parse_port(digits).ok_or(ConfigError::Endpoint(IdProblem::Port))?),
        };
        Ok(Self { host, port })
    }

    /// The host name or address; an IPv6 address stands without brackets.
    #[must_use]
    pub const fn host(self) -> &'a str {
        self.host
    }

    /// The port, when one was named.
    #[must_use]
    pub const fn port(self) -> Option<u16> {
        self.port
    }

    /// Writes `HOST` or `HOST:PORT`, an IPv6 address in brackets.
    pub fn write(self, text: &mut Text<'_>) {
        let brackets = self.host.bytes().any(|byte| byte == b':');
        if brackets {
            text.push_byte(b'[');
        }
        text.push(self.host);
        if brackets {
            text.push_byte(b']');
        }
        if let Some(port) = self.port {
            text.push_byte(b':');
            text.push_decimal(u64::from(port));
        }
    }

    /// The port to dial: the one named, or the transport's own.
    #[must_use]
    pub fn port_or(self, default: u16) -> u16 {
        self.port.unwrap_or(default)
    }
}

/// Who asks whom: the three names every request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity<'a> {
    /// The service to ask.
    pub endpoint: Endpoint<'a>,
    /// The scope the device belongs to.
    pub id_scope: IdScope<'a>,
    /// The device.
    pub registration_id: RegistrationId<'a>,
}

impl fmt::Display for IdScope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for RegistrationId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for Endpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A host of at most 253 bytes, brackets, a colon and five digits.
        let mut buffer = [0; HOST_MAX + 8];
        let mut text = Text::new(&mut buffer);
        self.write(&mut text);
        f.write_str(text.finish().map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for IdScope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for RegistrationId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Endpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether `text` can be a hub's host name: 1 to [`HOST_MAX`] ASCII letters, digits, `-` and `.`, the first of them a
/// letter or digit. Nothing else is assumed of a hub.
#[must_use]
pub fn is_hub_name(text: &str) -> bool {
    let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    starts_well && is_made_of(text, HOST_MAX, "-.")
}

/// Whether `text` can be a device id of a hub: 1 to [`DEVICE_ID_MAX`] ASCII letters, digits and
/// `- : . + % _ # * ? ! ( ) , = @ ; $ '` (Azure IoT Hub documentation, "Device identity properties"). Some of these
/// characters mean something in a URI or a connection string: encode the id, or refuse it, there.
#[must_use]
pub fn is_device_id(text: &str) -> bool {
    is_made_of(text, DEVICE_ID_MAX, "-:.+%_#*?!(),=@;$'")
}

/// Whether `text` is one word, such as a substatus: 1 to [`WORD_MAX`] ASCII letters, digits, `-` and `_`.
#[must_use]
pub fn is_word(text: &str) -> bool {
    is_made_of(text, WORD_MAX, "-_")
}

/// Whether `text` can be an operation id: ASCII letters, digits, `.`, `-` and `_`, which is what the service uses, but
/// not `.` or `..`, since it becomes a segment of a path.
#[must_use]
pub fn is_operation_id(text: &str) -> bool {
    (text.len() > 2 || text.bytes().any(|byte| byte != b'.')) && is_made_of(text, usize::MAX, ".-_")
}

/// Whether `text` has 1 to `most` bytes, each an ASCII letter, a digit, or one of the others.
fn is_made_of(text: &str, most: usize, others: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || others.bytes().any(|other| other == byte);
    (1..=most).contains(&text.len()) && text.bytes().all(fits)
}

fn check_length(text: &str, most: usize) -> Result<(), IdProblem> {
    match text.len() {
        0 => Err(IdProblem::Empty),
        length if length > most => Err(IdProblem::TooLong { length, most }),
        _ => Ok(()),
    }
}

fn starts_with_https(text: &str) -> bool {
    text.get(.."https://".len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

/// Splits the port off; brackets around an IPv6 address are dropped, one without brackets has no port.
fn split_port(text: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = text.strip_prefix("[").and_then(|rest| split_once(rest, b']')) {
        return if rest.is_empty() { (host, None) } else { (host, Some(rest.strip_prefix(":").unwrap_or("-"))) };
    }
    match split_once(text, b':') {
        Some((_, port)) if port.bytes().any(|byte| byte == b':') => (text, None),
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    }
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':')
}

fn parse_port(digits: &str) -> Option<u16> {
    parse_decimal(digits.as_bytes()).and_then(|port| u16::try_from(port).ok()).filter(|&port| port != 0)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;
    use std::string::ToString;

    #[test]
    fn registration_ids_follow_the_services_rule() {
        for good in ["a", "A", "dev-01", "dev_1.a:b-c", "sn-007-", &"x".repeat(128)] {
            assert!(RegistrationId::new(good).is_ok(), "{good}");
        }
        let bad = |text: &str| match RegistrationId::new(text) {
            Err(ConfigError::RegistrationId(problem)) => problem,
            other => panic!("{text:?}: {other:?}"),
        };
        assert_eq!(bad(""), IdProblem::Empty);
        assert_eq!(bad(&"x".repeat(129)), IdProblem::TooLong { length: 129, most: 128 });
        for (text, offset) in [("a b", 1), ("dev\n", 3), ("-a", 0), ("a.", 1), ("a_", 1), ("a/b", 1), ("é", 0)] {
            assert_eq!(bad(text), IdProblem::Character { offset }, "{text:?}");
        }
    }

    #[test]
    fn an_id_scope_is_opaque_but_bounded() {
        assert!(IdScope::new("0ne00A1B2C3").is_ok());
        assert!(IdScope::new("0ab1234C5D6").is_ok());
        assert!(IdScope::new("").is_err());
        assert!(IdScope::new("0ne/1").is_err());
        assert!(IdScope::new("0ne00A1B2C3\n").is_err());
    }

    #[test]
    fn hub_names_are_host_names() {
        for good in ["hub-a.test", "HUB.azure-devices.net", "a", "1.2.3.4", "x..y", &"h".repeat(253)] {
            assert!(is_hub_name(good), "{good:?}");
        }
        let foreign = "a;SharedAccessKey=AAAA;HostName=evil.example";
        for bad in [
            "",
            foreign,
            "hub\r\nX: y",
            "hub\"",
            "$(reboot).test",
            "-oProxyCommand",
            "../../etc/passwd",
            "..",
            ".",
            "hub.test\u{202e}",
            "hub.test\0.evil",
            "hub.test:443",
            "hub_a.test",
            "hub a",
            "h\u{f6}b.test",
            &"h".repeat(254),
        ] {
            assert!(!is_hub_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn device_ids_are_of_the_hubs_alphabet() {
        for good in ["dev-01", "-:.+%_#*?!(),=@;$'", "..", "x;HostName=evil", &"d".repeat(128)] {
            assert!(is_device_id(good), "{good:?}");
        }
        for bad in ["", "a/b", "a b", "a\n", "a\"", "a\\b", "a&b", "a\0", "\u{e9}", "a\u{202e}", &"d".repeat(129)] {
            assert!(!is_device_id(bad), "{bad:?}");
        }
    }

    #[test]
    fn words_and_operation_ids_hold_nothing_that_means_something_elsewhere() {
        for good in ["initialAssignment", "a_b-1", &"w".repeat(64)] {
            assert!(is_word(good), "{good:?}");
        }
        for bad in ["", "two words", "a\u{1b}[31m", "a.b", "a\n", &"w".repeat(65)] {
            assert!(!is_word(bad), "{bad:?}");
        }
        for good in ["5.316aac5bdc130deb.b1e02da8-0000-4000-8000-000000000001", "a_b", "...", "1"] {
            assert!(is_operation_id(good), "{good:?}");
        }
        for bad in ["", ".", "..", "../x", "a/b", "#", "+", "1&$rid=2", "a%2f", "a b", "a\n", "a:b", "\u{e9}"] {
            assert!(!is_operation_id(bad), "{bad:?}");
        }
    }

    #[test]
    fn an_endpoint_is_a_host_with_or_without_a_port() {
        for (text, host, port, shown) in [
            ("dps.test", "dps.test", None, "dps.test"),
            ("https://dps.test", "dps.test", None, "dps.test"),
            ("HTTPS://dps.test:8443/", "dps.test", Some(8443), "dps.test:8443"),
            ("127.0.0.1:1", "127.0.0.1", Some(1), "127.0.0.1:1"),
            ("[::1]:443", "::1", Some(443), "[::1]:443"),
            ("::1", "::1", None, "[::1]"),
        ] {
            let endpoint = Endpoint::new(text).unwrap();
            assert_eq!((endpoint.host(), endpoint.port()), (host, port), "{text}");
            assert_eq!(endpoint.to_string(), shown);
        }
        for text in
            ["", "https://", ":443", "dps.test:0", "dps.test:65536", "dps.test:x", "http://dps.test", "a/b", "[::1]443"]
        {
            assert!(Endpoint::new(text).is_err(), "{text:?} was taken");
        }
        for text in
            ["http://dps.test", "HTTP://dps.test:80/", "mqtts://dps.test:8883", "https://http://dps.test", "://x"]
        {
            assert_eq!(Endpoint::new(text), Err(ConfigError::Endpoint(IdProblem::Scheme)), "{text:?}");
        }
        assert_eq!(format!("{:?}", Endpoint::GLOBAL), "global.azure-devices-provisioning.net");
    }
}
