//! The names in a registration, parsed once: id scope, registration id, endpoint.
//!
//! Each holds the service's limits in its constructor and borrows its string; nothing later checks them again. No name
//! is trimmed, lower-cased or otherwise changed. Parsing returns yes or no; what is wrong is found by functions of their
//! own, which firmware that shows no text does not link.

use core::fmt;
use core::num::NonZeroU16;

use crate::error::{ConfigError, IdProblem};
use crate::text::{ByteStr, Text, has, is_alphanumeric_or, parse_decimal};

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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdScope<'a>(ByteStr<'a>);

impl<'a> IdScope<'a> {
    /// Accepts an id scope as the service shows it.
    ///
    /// # Errors
    /// [`ConfigError::IdScope`] when it is empty, longer than [`ID_SCOPE_MAX`], or holds anything but ASCII letters,
    /// digits and hyphens.
    pub fn new(string: &'a str) -> Result<Self, ConfigError> {
        let explain = || ConfigError::IdScope(explain(string.as_bytes(), ID_SCOPE_MAX, SCOPE_OTHERS));
        Self::from_bytes(string.as_bytes()).ok_or_else(explain)
    }

    /// As [`IdScope::new`], without an explanation: `None` for anything that is not an id scope.
    #[must_use]
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        is_made_of(bytes, ID_SCOPE_MAX, SCOPE_OTHERS).then_some(Self(ByteStr::new(bytes)))
    }

    /// The string as it was given.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0.as_str()
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0.as_bytes()
    }
}

/// The id under which a device registers, such as `sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6`.
///
/// The service compares ids without regard to letter case, but a derived key depends on it: use one spelling.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistrationId<'a>(ByteStr<'a>);

impl<'a> RegistrationId<'a> {
    /// Accepts a registration id.
    ///
    /// # Errors
    /// [`ConfigError::RegistrationId`] when it is empty, longer than [`REGISTRATION_ID_MAX`], holds anything but
    /// ASCII letters, digits and `-` `.` `_` `:`, does not begin with a letter or digit, or does not end with a
    /// letter, digit or hyphen (Azure IoT DPS documentation, "Registration ID").
    pub fn new(string: &'a str) -> Result<Self, ConfigError> {
        Self::from_bytes(string.as_bytes()).ok_or_else(|| ConfigError::RegistrationId(explain_registration_id(string)))
    }

    /// As [`RegistrationId::new`], without an explanation: `None` for anything that is not a registration id.
    #[must_use]
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        let is_id = is_made_of(bytes, REGISTRATION_ID_MAX, ID_OTHERS)
            && is_one_of(bytes.first(), b"")
            && is_one_of(bytes.last(), b"-");
        is_id.then_some(Self(ByteStr::new(bytes)))
    }

    /// The string as it was given.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0.as_str()
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0.as_bytes()
    }

    /// Whether there is an upper-case letter in it: a usual cause of a derived key that does not match.
    #[must_use]
    pub fn has_upper_case(self) -> bool {
        self.as_bytes().iter().any(u8::is_ascii_uppercase)
    }
}

/// Where the service answers: a host name or address, and a port when it is not the transport's own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Endpoint<'a> {
    host: ByteStr<'a>,
    port: Option<NonZeroU16>,
}

impl<'a> Endpoint<'a> {
    /// The service's global endpoint (Azure IoT DPS documentation, "Device provisioning endpoint").
    pub const GLOBAL: Endpoint<'static> =
        Endpoint { host: ByteStr::new(b"global.azure-devices-provisioning.net"), port: None };

    /// Accepts `HOST`, `HOST:PORT`, `[IPv6]:PORT`, each with or without `https://` before and one `/` after it.
    ///
    /// # Errors
    /// [`ConfigError::Endpoint`] when the host is missing or too long, the port is not a number from 1 to 65535,
    /// another scheme or a path is given, or it contains a character that no host name has.
    pub fn new(string: &'a str) -> Result<Self, ConfigError> {
        Self::from_bytes(string.as_bytes()).ok_or_else(|| ConfigError::Endpoint(explain_endpoint(string)))
    }

    /// As [`Endpoint::new`], without an explanation: `None` for anything that is not an endpoint.
    #[must_use]
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        let (host, digits) = split_port(after_scheme(bytes));
        let port = match digits {
            None => None,
            Some(digits) => Some(NonZeroU16::new(parse_decimal(digits).and_then(|port| u16::try_from(port).ok())?)?),
        };
        is_made_of(host, HOST_MAX, HOST_OTHERS).then_some(Self { host: ByteStr::new(host), port })
    }

    /// The host name or address; an IPv6 address is without brackets.
    #[must_use]
    pub fn host(self) -> &'a str {
        self.host.as_str()
    }

    /// The port, when one was named.
    #[must_use]
    pub const fn port(self) -> Option<u16> {
        match self.port {
            Some(port) => Some(port.get()),
            None => None,
        }
    }

    /// Writes `HOST` or `HOST:PORT`, an IPv6 address in brackets.
    #[inline(always)] // Once in firmware for each type of the version.
    pub fn write(self, text: &mut Text<'_>) {
        let brackets = has(self.host.as_bytes(), b':');
        if brackets {
            text.push_byte(b'[');
        }
        text.push(self.host);
        if brackets {
            text.push_byte(b']');
        }
        if let Some(port) = self.port() {
            text.push_byte(b':');
            text.push_decimal(u64::from(port));
        }
    }

    /// The port to dial: the one named, or the transport's own.
    #[must_use]
    pub fn port_or(self, default: u16) -> u16 {
        self.port().unwrap_or(default)
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

/// Text in and out, alike for both ids.
macro_rules! string_traits {
    ($($name:ident)+) => { $(
        impl<'a> TryFrom<&'a str> for $name<'a> {
            type Error = ConfigError;

            fn try_from(string: &'a str) -> Result<Self, ConfigError> {
                Self::new(string)
            }
        }

        impl AsRef<str> for $name<'_> {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl AsRef<[u8]> for $name<'_> {
            fn as_ref(&self) -> &[u8] {
                self.as_bytes()
            }
        }

        impl fmt::Display for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )+ };
}

string_traits! { IdScope RegistrationId }

impl<'a> TryFrom<&'a str> for Endpoint<'a> {
    type Error = ConfigError;

    fn try_from(string: &'a str) -> Result<Self, ConfigError> {
        Self::new(string)
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

impl fmt::Debug for Endpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names from strings that were parsed before, for a crate that owns such strings. They are not parsed again; in debug builds
/// that is asserted.
pub(crate) mod checked {
    use super::{ByteStr, Endpoint, IdScope, NonZeroU16, RegistrationId};

    /// The id scope in `string`.
    #[must_use]
    pub fn id_scope(string: &str) -> IdScope<'_> {
        debug_assert!(IdScope::from_bytes(string.as_bytes()).is_some());
        IdScope(ByteStr::new(string.as_bytes()))
    }

    /// The registration id in `string`.
    #[must_use]
    pub fn registration_id(string: &str) -> RegistrationId<'_> {
        debug_assert!(RegistrationId::from_bytes(string.as_bytes()).is_some());
        RegistrationId(ByteStr::new(string.as_bytes()))
    }

    /// The endpoint at `host`, an IPv6 address without brackets.
    #[must_use]
    pub fn endpoint(host: &str, port: Option<NonZeroU16>) -> Endpoint<'_> {
        debug_assert!(Endpoint::from_bytes(host.as_bytes()).is_some_and(|parsed| parsed.host() == host));
        Endpoint { host: ByteStr::new(host.as_bytes()), port }
    }
}

/// Whether `name` can be a hub's host name: 1 to [`HOST_MAX`] ASCII letters, digits, `-` and `.`, the first of them a
/// letter or digit. Nothing else is assumed of a hub.
#[must_use]
pub fn is_hub_name(name: impl AsRef<[u8]>) -> bool {
    let name = name.as_ref();
    !matches!(name.first(), Some(b'-' | b'.')) && is_made_of(name, HOST_MAX, b"-.")
}

/// Whether `id` can be a device id of a hub: 1 to [`DEVICE_ID_MAX`] ASCII letters, digits and
/// `- : . + % _ # * ? ! ( ) , = @ ; $ '` (Azure IoT Hub documentation, "Device identity properties"). Some of these
/// characters mean something in a URI or a connection string: encode the id, or refuse it, there.
#[must_use]
pub fn is_device_id(id: impl AsRef<[u8]>) -> bool {
    is_made_of(id.as_ref(), DEVICE_ID_MAX, b"-:.+%_#*?!(),=@;$'")
}

/// Whether `word` is one word, such as a substatus: 1 to [`WORD_MAX`] ASCII letters, digits, `-` and `_`.
#[must_use]
#[inline(always)] // Firmware that reads no profile has one call.
pub(crate) fn is_word(word: impl AsRef<[u8]>) -> bool {
    is_made_of(word.as_ref(), WORD_MAX, b"-_")
}

/// Whether `id` can be an operation id: ASCII letters, digits, `.`, `-` and `_`, which is what the service uses. It does
/// not begin with `.`, since it becomes a segment of a path.
#[must_use]
pub fn is_operation_id(id: impl AsRef<[u8]>) -> bool {
    let id = id.as_ref();
    id.first() != Some(&b'.') && is_made_of(id, usize::MAX, b".-_")
}

/// What an id scope may have besides ASCII letters and digits.
const SCOPE_OTHERS: &[u8] = b"-";
/// As [`SCOPE_OTHERS`], for a registration id.
const ID_OTHERS: &[u8] = b"-._:";
/// As [`SCOPE_OTHERS`], for a host.
const HOST_OTHERS: &[u8] = b"-._:";

/// Whether there are 1 to `most` bytes, each an ASCII letter, a digit, or one of the others.
#[inline(never)]
fn is_made_of(bytes: &[u8], most: usize, others: &[u8]) -> bool {
    !bytes.is_empty() && bytes.len() <= most && bytes.iter().all(|byte| is_alphanumeric_or(*byte, others))
}

/// Whether there is a byte, and it is an ASCII letter, a digit, or one of the others.
fn is_one_of(byte: Option<&u8>, others: &[u8]) -> bool {
    byte.is_some_and(|byte| is_alphanumeric_or(*byte, others))
}

/// What follows `https://`, if that is there.
fn after_scheme(bytes: &[u8]) -> &[u8] {
    const SCHEME: &[u8] = b"https://";
    match bytes.split_at_checked(SCHEME.len()) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => rest,
        _ => bytes,
    }
}

/// Splits host and port; a slash after them and brackets around an IPv6 address are dropped. An IPv6 address without
/// brackets has no port.
fn split_port(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    let bytes = if let [rest @ .., b'/'] = bytes { rest } else { bytes };
    let colon = bytes.iter().rposition(|byte| *byte == b':').unwrap_or(0);
    let (host, port) = match bytes.split_at_checked(colon) {
        Some((host, [b':', port @ ..])) if host.last() == Some(&b']') || !has(host, b':') => (host, Some(port)),
        _ => (bytes, None),
    };
    (if let [b'[', address @ .., b']'] = host { address } else { host }, port)
}

/// Why bytes are not 1 to `most`, each of the alphabet.
fn explain(bytes: &[u8], most: usize, others: &[u8]) -> IdProblem {
    match bytes.len() {
        0 => IdProblem::Empty,
        length if length > most => IdProblem::TooLong { length, most },
        _ => IdProblem::Character {
            offset: bytes.iter().position(|byte| !is_alphanumeric_or(*byte, others)).unwrap_or(0),
        },
    }
}

fn explain_registration_id(string: &str) -> IdProblem {
    let bytes = string.as_bytes();
    let of_the_alphabet = is_made_of(bytes, REGISTRATION_ID_MAX, ID_OTHERS);
    if of_the_alphabet && bytes.first().is_some_and(u8::is_ascii_alphanumeric) {
        IdProblem::Character { offset: bytes.len().saturating_sub(1) }
    } else if of_the_alphabet {
        IdProblem::Character { offset: 0 }
    } else {
        explain(bytes, REGISTRATION_ID_MAX, ID_OTHERS)
    }
}

fn explain_endpoint(string: &str) -> IdProblem {
    let rest = after_scheme(string.as_bytes());
    if rest.windows(3).any(|bytes| bytes == b"://") {
        return IdProblem::Scheme;
    }
    let (host, _) = split_port(rest);
    if is_made_of(host, HOST_MAX, HOST_OTHERS) {
        return IdProblem::Port;
    }
    let skipped = string.len().saturating_sub(rest.len());
    match explain(host, HOST_MAX, HOST_OTHERS) {
        IdProblem::Character { offset } => IdProblem::Character { offset: skipped.saturating_add(offset) },
        other => other,
    }
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
        assert_eq!(bad(&("x".repeat(127) + " ")), IdProblem::Character { offset: 127 });
        for (text, offset) in [("a b", 1), ("dev\n", 3), ("-a", 0), ("a.", 1), ("a_", 1), ("a/b", 1), ("é", 0)] {
            assert_eq!(bad(text), IdProblem::Character { offset }, "{text:?}");
        }
    }

    #[test]
    fn id_scope_is_opaque_but_bounded() {
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
    fn device_id_has_the_characters_that_hubs_allow() {
        for good in ["dev-01", "-:.+%_#*?!(),=@;$'", "..", "x;HostName=evil", &"d".repeat(128)] {
            assert!(is_device_id(good), "{good:?}");
        }
        for bad in ["", "a/b", "a b", "a\n", "a\"", "a\\b", "a&b", "a\0", "\u{e9}", "a\u{202e}", &"d".repeat(129)] {
            assert!(!is_device_id(bad), "{bad:?}");
        }
    }

    #[test]
    fn words_and_operation_ids_have_no_special_characters() {
        for good in ["initialAssignment", "a_b-1", &"w".repeat(64)] {
            assert!(is_word(good), "{good:?}");
        }
        for bad in ["", "two words", "a\u{1b}[31m", "a.b", "a\n", &"w".repeat(65)] {
            assert!(!is_word(bad), "{bad:?}");
        }
        for good in ["5.316aac5bdc130deb.b1e02da8-0000-4000-8000-000000000001", "a_b", "a..", "-", "1"] {
            assert!(is_operation_id(good), "{good:?}");
        }
        for bad in ["", ".", "..", ".a", "../x", "a/b", "#", "+", "1&$rid=2", "a%2f", "a b", "a\n", "a:b", "\u{e9}"] {
            assert!(!is_operation_id(bad), "{bad:?}");
        }
    }

    #[test]
    fn endpoint_is_a_host_with_or_without_a_port() {
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
