//! Keys and signatures: wiped when dropped, never shown, never compared with `==`.
//!
//! A key is read here, from text or bytes, and says what is wrong with it without repeating any of it.

use core::fmt;

use zeroize::Zeroize;

use crate::credentials::hmac;
use crate::error::{ConfigError, KeyProblem};
use crate::text::{self, Base64Error, Text, TooSmall};

/// The shortest symmetric key, in bytes (Azure IoT DPS documentation, "Symmetric key attestation").
pub const KEY_MIN: usize = 16;
/// The longest symmetric key, in bytes; the service makes them this long.
pub const KEY_MAX: usize = 64;
/// The longest base64 text of a key, padding included.
pub const KEY_TEXT_MAX: usize = 88;
/// The length of the base64 text of a signature, or of a derived key, padding included.
pub const SIGNATURE_TEXT: usize = 44;

/// A symmetric key of 16 to 64 bytes: an enrollment's, a group's, or one derived for a device.
pub struct Key {
    /// Zeros follow the key: the block that HMAC hashes.
    bytes: [u8; KEY_MAX],
    len: u8,
}

impl Key {
    /// Reads a key as the service shows it: base64, padding optional.
    ///
    /// # Errors
    /// [`ConfigError::Key`] when it is not base64, decodes to fewer than 16 or more than 64 bytes, or is hex.
    pub fn from_base64(text: &str) -> Result<Self, ConfigError> {
        let mut key = Self { bytes: [0; KEY_MAX], len: 0 };
        let problem = match text::decode_base64(text, &mut key.bytes) {
            Ok(_) if looks_like_hex(text) => KeyProblem::LooksLikeHex,
            Ok(length) if length >= KEY_MIN => {
                key.len = length as u8;
                return Ok(key);
            }
            Ok(length) | Err(Base64Error::TooLong(length)) => KeyProblem::Length { length },
            Err(Base64Error::Digit(offset)) if matches!(text.as_bytes().get(offset), Some(b'\r' | b'\n')) => {
                KeyProblem::LineBreak { offset }
            }
            Err(Base64Error::Digit(offset)) => KeyProblem::NotBase64 { offset },
            Err(Base64Error::Length) => KeyProblem::Truncated,
        };
        Err(ConfigError::Key(problem))
    }

    /// Reads a key as [`Key::from_base64`] does, with an error that names what is often pasted in place of a key.
    /// This is a function of its own so that firmware, which shows no error text, does not link it.
    ///
    /// # Errors
    /// [`ConfigError::Key`], which recognizes PEM, a token, a connection string and a line that sets a variable.
    pub fn from_base64_explained(text: &str) -> Result<Self, ConfigError> {
        Self::from_base64(text).map_err(|error| mistaken_for_a_key(text).map_or(error, ConfigError::Key))
    }

    /// Takes a key's raw bytes.
    ///
    /// # Errors
    /// [`ConfigError::Key`] when there are fewer than 16 or more than 64.
    pub fn from_bytes(raw: &[u8]) -> Result<Self, ConfigError> {
        let wrong = ConfigError::Key(KeyProblem::Length { length: raw.len() });
        if raw.len() < KEY_MIN {
            return Err(wrong);
        }
        let mut key = Self { bytes: [0; KEY_MAX], len: raw.len() as u8 };
        let Some(room) = key.bytes.get_mut(..raw.len()) else { return Err(wrong) };
        for (to, from) in room.iter_mut().zip(raw) {
            *to = *from;
        }
        Ok(key)
    }

    /// HMAC-SHA256 of `message` under this key.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature::new(hmac::sha256(&self.bytes, message))
    }

    /// Writes the key as base64 into `out`; [`KEY_TEXT_MAX`] bytes always do.
    ///
    /// The text is as secret as the key: wipe `out` after use.
    ///
    /// # Errors
    /// [`TooSmall`] with the size that would do.
    pub fn write_base64<'o>(&self, out: &'o mut [u8]) -> Result<&'o str, TooSmall> {
        let mut text = Text::new(out);
        text.push_base64(self.expose());
        text.finish()
    }

    /// The key's bytes. Named so that every use can be found.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// The key's length in bytes, which is no secret: a device key derived from a group key has 32, keys made by the
    /// service 64.
    #[must_use]
    pub fn length(&self) -> usize {
        usize::from(self.len)
    }
}

/// The key that was derived as an HMAC, whose 32 bytes are always a good length.
impl From<Signature> for Key {
    fn from(hmac: Signature) -> Self {
        let mut key = Self { bytes: [0; KEY_MAX], len: 32 };
        for (to, from) in key.bytes.iter_mut().zip(hmac.expose()) {
            *to = *from;
        }
        key
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.bytes.as_mut_slice().zeroize();
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} bytes)", self.len)
    }
}

/// An HMAC-SHA256 of 32 bytes. It lets its bearer in until the token expires, so it is kept like a key.
pub struct Signature([u8; 32]);

impl Signature {
    /// Takes the 32 bytes a signer gave.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The signature's bytes. Named so that every use can be found.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Writes the signature as base64: ASCII, and as secret as the signature.
    pub fn write_base64(&self, out: &mut [u8; SIGNATURE_TEXT]) {
        Text::new(out).push_base64(&self.0);
    }
}

impl Drop for Signature {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(redacted)")
    }
}

/// Recognises what people paste where a key belongs, in text that was found to be none.
fn mistaken_for_a_key(text: &str) -> Option<KeyProblem> {
    let contains = |needle: &str| {
        text.as_bytes().windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
    };
    if text.is_empty() {
        Some(KeyProblem::Empty)
    } else if contains("-----BEGIN") {
        Some(KeyProblem::LooksLikePem)
    } else if contains("SharedAccessSignature ") {
        Some(KeyProblem::LooksLikeToken)
    } else if contains("HostName=") || contains("SharedAccessKey=") || contains("SharedAccessSignature") {
        Some(KeyProblem::LooksLikeConnectionString)
    } else if looks_like_assignment(text) {
        Some(KeyProblem::LooksLikeAssignment)
    } else if looks_like_hex(text) {
        Some(KeyProblem::LooksLikeHex)
    } else {
        None
    }
}

/// `NAME=…`, perhaps after `export`. In a key, only its end has `=`.
fn looks_like_assignment(text: &str) -> bool {
    let text = text.strip_prefix("export ").or_else(|| text.strip_prefix("set ")).unwrap_or(text);
    text.split_once('=').is_some_and(|(name, value)| {
        !value.trim_start_matches('=').is_empty()
            && text.len() > 8
            && (1..=32).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

/// Hex digits are base64 as well, and of some other key.
fn looks_like_hex(text: &str) -> bool {
    text.len() >= 32 && text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use base64::prelude::*;
    use std::format;

    fn problem(text: &str) -> KeyProblem {
        match Key::from_base64_explained(text) {
            Err(ConfigError::Key(problem)) => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_no_key_is_named_for_what_it_is() {
        assert_eq!(problem(""), KeyProblem::Empty);
        assert_eq!(problem("-----BEGIN PRIVATE KEY-----\nMIIE"), KeyProblem::LooksLikePem);
        for part in ["HostName=h.test", "sharedaccesskey=AAAA", "HostName=h;SharedAccessSignature=x"] {
            assert_eq!(problem(part), KeyProblem::LooksLikeConnectionString);
        }
        for part in ["SharedAccessSignature sr=x", "export TOKEN='SharedAccessSignature sr=x&sig=y'"] {
            assert_eq!(problem(part), KeyProblem::LooksLikeToken);
        }
        for line in ["export DPS_KEY=AAAA", "DPS_KEY=\"AAAA==\"", "set KEY=AAAAAAAA"] {
            assert_eq!(problem(line), KeyProblem::LooksLikeAssignment);
        }
        let wrapped = format!("{}\n{}", "A".repeat(76), "A".repeat(12));
        assert_eq!(problem(&wrapped), KeyProblem::LineBreak { offset: 76 });
        assert_eq!(problem(&wrapped.replace('\n', "\r\n")), KeyProblem::LineBreak { offset: 76 });
        assert_eq!(problem("AAAA AAAA"), KeyProblem::NotBase64 { offset: 4 });
        for length in [16, 31, 32, 64] {
            assert_eq!(problem(&"0f".repeat(length)), KeyProblem::LooksLikeHex);
        }
        assert_eq!(problem("AAAAAAAAAAAAAAAAAAAAAAAA\n"), KeyProblem::LineBreak { offset: 24 });
        assert_eq!(problem(&BASE64_STANDARD.encode([1; 15])), KeyProblem::Length { length: 15 });
        assert_eq!(problem(&BASE64_STANDARD.encode([1; 65])), KeyProblem::Length { length: 65 });
        assert_eq!(problem(&BASE64_STANDARD.encode([1; 900])), KeyProblem::Length { length: 900 });
    }

    #[test]
    fn padding_is_optional_and_every_length_in_range_is_taken() {
        for length in KEY_MIN..=KEY_MAX {
            let padded = BASE64_STANDARD.encode(std::vec![7; length]);
            for text in [padded.as_str(), padded.trim_end_matches('=')] {
                assert_eq!(Key::from_base64(text).unwrap().expose(), std::vec![7; length]);
            }
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = Key::from_bytes(b"0123456789abcdef").unwrap();
        assert_eq!(format!("{key:?} {:?}", key.sign(b"x")), "Key(16 bytes) Signature(redacted)");
    }
}
