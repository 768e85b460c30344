//! Symmetric keys, and the SAS tokens that are signed with them.
//!
//! Keys are wiped when dropped, never shown by `Debug`, and written out only by `expose`. A token is parsed and never
//! rebuilt: its signature is checked over the literal `sr` and `se`, since clients encode the resource in many ways and
//! all of them are accepted; the resource is compared after decoding.

use std::fmt;

use hmac_sha256::HMAC;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::encoding::{decode_base64, encode_base64, percent_decode};
use crate::time::Now;

/// The shortest valid key of an enrollment, in bytes (Azure IoT DPS documentation, "Symmetric key attestation").
pub const KEY_MIN: usize = 16;
/// The longest valid key of an enrollment, in bytes; generated keys have this length.
pub const KEY_MAX: usize = 64;

/// Why a string is not a valid enrollment key. Repeats no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is not base64.
    #[error("the key is not valid base64")]
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
        Ok(Self::from_bytes(&bytes))
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self { text: Zeroizing::new(encode_base64(bytes)), bytes: Zeroizing::new(bytes.to_vec()) }
    }

    /// The key as base64, to be configured on a device. Named so that every use can be found.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The key of one device of a group: HMAC-SHA256 of the registration id, as it is spelled, with this key.
    #[must_use]
    pub fn derive(&self, registration_id: &str) -> Self {
        Self::from_bytes(&*Zeroizing::new(self.sign(registration_id.as_bytes())))
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

const SCHEME: &str = "SharedAccessSignature ";

pub(crate) struct Token {
    to_sign: String,
    resource: String,
    signature: Vec<u8>,
    expiry_s: u64,
    key_name: String,
}

impl Token {
    /// Parses `SharedAccessSignature sr=…&sig=…&se=…[&skn=…]`, members in any order, unknown ones ignored.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let scheme = text.get(..SCHEME.len())?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return None;
        }
        let (mut sr, mut sig, mut se, mut skn) = (None, None, None, None);
        for pair in text[SCHEME.len()..].trim().split('&') {
            let (name, value) = pair.split_once('=')?;
            let member = match name {
                "sr" => &mut sr,
                "sig" => &mut sig,
                "se" => &mut se,
                "skn" => &mut skn,
                _ => continue,
            };
            if member.replace(value).is_some() {
                return None;
            }
        }
        let (sr, se) = (sr?, se?);
        Some(Self {
            to_sign: format!("{sr}\n{se}"),
            resource: percent_decode(sr)?,
            signature: decode_base64(&percent_decode(sig?)?)?,
            expiry_s: if se.bytes().all(|b| b.is_ascii_digit()) { se.parse().ok()? } else { return None },
            key_name: percent_decode(skn.unwrap_or_default())?,
        })
    }

    pub(crate) fn signed_by(&self, key: &SymmetricKey) -> bool {
        key.signed(self.to_sign.as_bytes(), &self.signature)
    }

    /// How long ago it expired, in milliseconds; `None` while it is valid.
    pub(crate) fn expired_for_ms(&self, now: Now, skew_ms: u64) -> Option<u64> {
        let end = self.expiry_s.saturating_mul(1000);
        (end.saturating_add(skew_ms) <= now.unix_ms).then(|| now.unix_ms - end)
    }

    /// Until when it is valid, in seconds since 1970.
    pub(crate) fn expiry_s(&self) -> u64 {
        self.expiry_s
    }

    pub(crate) fn key_name(&self) -> &str {
        &self.key_name
    }

    /// The decoded resource.
    pub(crate) fn resource(&self) -> &str {
        &self.resource
    }

    pub(crate) fn is_for_registration(&self, id_scope: &str, registration_id: &str) -> bool {
        self.resource.eq_ignore_ascii_case(&format!("{id_scope}/registrations/{registration_id}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unix_s: u64) -> Now {
        Now { monotonic_ms: 0, unix_ms: unix_s * 1000 }
    }

    #[test]
    fn token_members_come_in_any_order_and_unknown_ones_are_ignored() {
        let token = Token::parse("sharedaccesssignature skn=&x=1&se=10&sig=AQ=&sr=a/b").unwrap();
        assert_eq!((token.resource(), token.key_name(), token.expiry_s), ("a/b", "", 10));
        assert_eq!(token.signature, [1]);
    }

    #[test]
    fn bare_plus_in_the_signature_stays_a_plus() {
        let bare = Token::parse("SharedAccessSignature sr=a&sig=+/+/&se=10").unwrap();
        let encoded = Token::parse("SharedAccessSignature sr=a&sig=%2B%2f%2b%2F&se=10").unwrap();
        assert_eq!(bare.signature, encoded.signature);
    }

    #[test]
    fn invalid_tokens_are_rejected() {
        for text in [
            "",
            "Bearer abc",
            "SharedAccessSignature",
            "SharedAccessSignature sr=a&se=10",
            "SharedAccessSignature sr=a&sig=AQ==",
            "SharedAccessSignature sr=a&sig=AQ==&se=soon",
            "SharedAccessSignature sr=a&sig=AQ==&se=+10",
            "SharedAccessSignature sr=a&sig=AQ==&se=",
            "SharedAccessSignature sr=a&sr=b&sig=AQ==&se=10",
            "SharedAccessSignature sr=%2&sig=AQ==&se=10",
            "SharedAccessSignature sr=a&sig=***&se=10",
            "SharedAccessSignature sr=a&sig=AQ==&se=99999999999999999999",
        ] {
            assert!(Token::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn expiry_and_clock_skew() {
        let token = Token::parse("SharedAccessSignature sr=a&sig=AQ==&se=100").unwrap();
        assert_eq!(token.expired_for_ms(at(99), 0), None);
        assert_eq!(token.expired_for_ms(at(100), 0), Some(0));
        assert_eq!(token.expired_for_ms(at(160), 0), Some(60_000));
        assert_eq!(token.expired_for_ms(at(160), 60_001), None);
    }
}
