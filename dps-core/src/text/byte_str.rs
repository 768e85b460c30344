//! A string as bytes: what the service sent, or what is sent to it.

use core::fmt::{self, Write as _};

/// A string that is kept as bytes, so that firmware that only compares, stores or sends it links no UTF-8 decoder.
///
/// What the core returns is always UTF-8: codecs refuse a reply that is not. Names of the service are ASCII.
///
/// ```
/// use dps_core::ByteStr;
/// let hub = ByteStr::new(b"hub-a.test");
/// assert_eq!(hub, "hub-a.test");
/// assert_eq!(hub.as_str().strip_suffix(".test"), Some("hub-a"));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteStr<'a>(&'a [u8]);

impl<'a> ByteStr<'a> {
    /// The string made of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The string; of bytes that are not UTF-8, the part before the first invalid one.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        let valid = match core::str::from_utf8(self.0) {
            Ok(string) => return string,
            Err(error) => self.0.get(..error.valid_up_to()),
        };
        valid.and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or("")
    }

    /// The length in bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> From<&'a str> for ByteStr<'a> {
    fn from(string: &'a str) -> Self {
        Self(string.as_bytes())
    }
}

impl<'a> From<&'a [u8]> for ByteStr<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for ByteStr<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}

impl PartialEq<str> for ByteStr<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for ByteStr<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<ByteStr<'_>> for str {
    fn eq(&self, other: &ByteStr<'_>) -> bool {
        other == self
    }
}

impl PartialEq<ByteStr<'_>> for &str {
    fn eq(&self, other: &ByteStr<'_>) -> bool {
        other == self
    }
}

/// Invalid UTF-8 is shown as U+FFFD.
impl fmt::Display for ByteStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}

/// As a string literal; invalid bytes as `\xff`.
impl fmt::Debug for ByteStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for chunk in self.0.utf8_chunks() {
            write!(f, "{}", chunk.valid().escape_debug())?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;
    use std::string::ToString;

    #[test]
    fn byte_str_is_shown_as_its_string() {
        let string = ByteStr::from("hub-\u{e9}\n");
        assert_eq!(string.to_string(), "hub-\u{e9}\n");
        assert_eq!(format!("{string:?}"), "\"hub-\u{e9}\\n\"");
        assert_eq!((string.as_str(), string.len()), ("hub-\u{e9}\n", 7));
    }

    #[test]
    fn invalid_utf8_is_replaced_when_shown_and_cut_off_as_str() {
        let string = ByteStr::new(b"ab\xff\xfec");
        assert_eq!(string.to_string(), "ab\u{fffd}\u{fffd}c");
        assert_eq!(format!("{string:?}"), "\"ab\\xff\\xfec\"");
        assert_eq!(string.as_str(), "ab");
    }
}
