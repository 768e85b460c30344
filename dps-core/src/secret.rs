//! Keys and signatures: wiped when dropped, never shown, never compared with `==`.
//!
//! A key is read here, from text or bytes, and says what is wrong with it without repeating any of it.

mod explain;

use core::fmt;

use zeroize::Zeroize;

use crate::credentials::hmac;
use crate::error::{ConfigError, KeyProblem};
use crate::ids::RegistrationId;
use crate::text::{self, Text, TooSmall};

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
    /// [`ConfigError::Key`], which says what is wrong, and recognizes hex, PEM, a token, a connection string and a line
    /// that sets a variable. Firmware that shows no error text is smaller with [`Key::read_base64`].
    pub fn from_base64(text: &str) -> Result<Self, ConfigError> {
        let mut key = Self::empty();
        match key.read_base64(text.as_bytes()) {
            true => Ok(key),
            false => Err(ConfigError::Key(explain::why_not_a_key(text))),
        }
    }

    /// Takes a key's raw bytes.
    ///
    /// # Errors
    /// [`ConfigError::Key`] when there are fewer than 16 or more than 64.
    pub fn from_bytes(raw: &[u8]) -> Result<Self, ConfigError> {
        let mut key = Self::empty();
        match key.read_bytes(raw) {
            true => Ok(key),
            false => Err(ConfigError::Key(KeyProblem::Length { length: raw.len() })),
        }
    }

    /// Memory for a key, to be filled in place: a key that is returned by value is copied on its way. No service accepts
    /// what an empty key signs.
    ///
    /// ```
    /// let mut key = dps_core::Key::empty();
    /// assert!(key.read_base64(b"Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="));
    /// assert_eq!(key.length(), 32);
    /// ```
    #[must_use]
    pub const fn empty() -> Self {
        Self { bytes: [0; KEY_MAX], len: 0 }
    }

    /// As [`Key::from_base64`], in place and without an explanation: false for anything that is not a key, when this one
    /// is empty.
    #[must_use]
    pub fn read_base64(&mut self, text: &[u8]) -> bool {
        self.clear();
        let length = text::decode_base64(text, &mut self.bytes).unwrap_or(0);
        let good = length >= KEY_MIN && !explain::looks_like_hex(text);
        if good {
            self.len = length as u8;
        } else {
            self.clear();
        }
        good
    }

    /// As [`Key::from_bytes`], in place and without an explanation: false for any other length, when this key is empty.
    #[must_use]
    pub fn read_bytes(&mut self, raw: &[u8]) -> bool {
        self.clear();
        let good = (KEY_MIN..=KEY_MAX).contains(&raw.len());
        if good {
            for (to, from) in self.bytes.iter_mut().zip(raw) {
                *to = *from;
            }
            self.len = raw.len() as u8;
        }
        good
    }

    /// Derives this key, a device's, from its group's: [`derive_device_key`](crate::credentials::derive_device_key) in
    /// place.
    pub fn derive_from(&mut self, group_key: &Self, registration_id: RegistrationId<'_>) {
        self.clear();
        if let Some(digest) = self.bytes.first_chunk_mut() {
            hmac::sha256(&group_key.bytes, registration_id.as_bytes(), digest);
            self.len = digest.len() as u8;
        }
    }

    fn clear(&mut self) {
        self.bytes = [0; KEY_MAX];
        self.len = 0;
    }

    /// HMAC-SHA256 of `message` under this key.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        let mut signature = Signature([0; 32]);
        hmac::sha256(&self.bytes, message, &mut signature.0);
        signature
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

    /// The key's length in bytes, which is not secret: a device key derived from a group key has 32, keys made by the
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
        self.bytes.zeroize();
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} bytes)", self.len)
    }
}

/// An HMAC-SHA256 of 32 bytes. It lets its bearer in until the token expires, so it is kept like a key. In memory it is
/// its bytes.
#[repr(transparent)]
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

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use base64::prelude::*;
    use std::format;

    fn problem(text: &str) -> KeyProblem {
        match Key::from_base64(text) {
            Err(ConfigError::Key(problem)) => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn text_that_is_not_a_key_is_recognized() {
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
    fn key_that_is_read_in_place_is_the_same_and_empty_after_a_refusal() {
        let mut key = Key::from_bytes(&[7; KEY_MAX]).unwrap();
        for length in 0..=KEY_MAX + 2 {
            let bytes = std::vec![9; length];
            let good = (KEY_MIN..=KEY_MAX).contains(&length);
            let expected = if good { bytes.as_slice() } else { &[] };
            assert_eq!((key.read_bytes(&bytes), key.expose()), (good, expected));
            assert_eq!((key.read_base64(BASE64_STANDARD.encode(&bytes).as_bytes()), key.expose()), (good, expected));
            // HMAC hashes the whole block.
            assert!(key.bytes.iter().skip(key.length()).all(|byte| *byte == 0), "{length}");
        }
        for text in ["0123456789abcdefABCDEF0123456789", "AAAAAAAAAAAAAAAAAAAAAA!", "\u{e9}AAAAAAAAAAAAAAAAAAAAAA"] {
            assert!(key.read_bytes(&[7; KEY_MAX]) && !key.read_base64(text.as_bytes()), "{text}");
            assert!(key.bytes.iter().all(|byte| *byte == 0), "{text}");
        }
    }

    #[test]
    fn key_of_hex_digits_with_padding_is_a_key() {
        assert!(Key::from_base64("0123456789abcdefABCDEF012345678=").is_ok());
    }

    #[test]
    fn base64_padding_is_optional_for_every_key_length() {
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
