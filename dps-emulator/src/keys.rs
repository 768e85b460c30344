//! Symmetric keys: wiped when dropped, never shown by `Debug`, written out only through `expose`.

use std::fmt;

use hmac_sha256::HMAC;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::encoding::{decode_base64, encode_base64};

/// The shortest key of an enrollment, in bytes (Azure IoT DPS documentation, "Symmetric key attestation").
pub const KEY_MIN: usize = 16;
/// The longest key of an enrollment, in bytes; generated keys are this long.
pub const KEY_MAX: usize = 64;

/// Why a text is no enrollment key. Repeats nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It does not decode.
    #[error("the key is not base64")]
    NotBase64,
    /// It decodes to fewer than 16 or more than 64 bytes.
    #[error("the key has {0} bytes; an enrollment key has 16 to 64")]
    Length(usize),
}

/// A key of an enrollment, of a group, of a device or of the service's policy: 16 to 64 bytes.
#[derive(Clone)]
pub struct SymmetricKey {
    bytes: Zeroizing<Vec<u8>>,
    text: Zeroizing<String>,
}

impl SymmetricKey {
    /// Reads base64; padding is optional.
    ///
    /// # Errors
    /// [`KeyError`] when it is not base64 or has a length that an enrollment key cannot have.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(decode_base64(text.trim()).ok_or(KeyError::NotBase64)?);
        if !(KEY_MIN..=KEY_MAX).contains(&bytes.len()) {
            return Err(KeyError::Length(bytes.len()));
        }
        Ok(Self::of_bytes(&bytes))
    }

    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self { text: Zeroizing::new(encode_base64(bytes)), bytes: Zeroizing::new(bytes.to_vec()) }
    }

    /// The key as base64, for the one who has to give it to a device.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The key of one device of a group: HMAC-SHA256 of the registration id, exactly as it is spelled, under this key.
    #[must_use]
    pub fn derive(&self, registration_id: &str) -> Self {
        Self::of_bytes(&*Zeroizing::new(self.sign(registration_id.as_bytes())))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 32] {
        HMAC::mac(message, self.bytes.as_slice())
    }

    /// Compares in constant time.
    pub(crate) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        signature.try_into().is_ok_and(|expected| HMAC::verify(message, self.bytes.as_slice(), expected))
    }
}

impl fmt::Debug for SymmetricKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SymmetricKey(..)")
    }
}

impl Serialize for SymmetricKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for SymmetricKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        Self::from_base64(&text).map_err(serde::de::Error::custom)
    }
}
