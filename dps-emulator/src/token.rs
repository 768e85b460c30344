//! SAS tokens as they arrive: taken apart, never rebuilt.
//!
//! The signature is checked over the literal `sr` and `se`, since clients encode the resource in a dozen ways and all
//! of them are accepted; the resource itself is compared after decoding.

use crate::encoding::{decode_base64, percent_decode};
use crate::keys::SymmetricKey;
use crate::now::Now;

const SCHEME: &str = "SharedAccessSignature ";

pub(crate) struct Token {
    to_sign: String,
    resource: String,
    signature: Vec<u8>,
    expiry_s: u64,
    key_name: String,
}

impl Token {
    /// Reads `SharedAccessSignature sr=…&sig=…&se=…[&skn=…]`, members in any order, unknown ones ignored.
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
    fn members_in_any_order_and_unknown_ones_ignored() {
        let token = Token::parse("sharedaccesssignature skn=&x=1&se=10&sig=AQ=&sr=a/b").unwrap();
        assert_eq!((token.resource(), token.key_name(), token.expiry_s), ("a/b", "", 10));
        assert_eq!(token.signature, [1]);
    }

    #[test]
    fn a_bare_plus_in_the_signature_is_a_plus() {
        let bare = Token::parse("SharedAccessSignature sr=a&sig=+/+/&se=10").unwrap();
        let encoded = Token::parse("SharedAccessSignature sr=a&sig=%2B%2f%2b%2F&se=10").unwrap();
        assert_eq!(bare.signature, encoded.signature);
    }

    #[test]
    fn what_is_no_token() {
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
    fn expiry_and_its_allowance() {
        let token = Token::parse("SharedAccessSignature sr=a&sig=AQ==&se=100").unwrap();
        assert_eq!(token.expired_for_ms(at(99), 0), None);
        assert_eq!(token.expired_for_ms(at(100), 0), Some(0));
        assert_eq!(token.expired_for_ms(at(160), 0), Some(60_000));
        assert_eq!(token.expired_for_ms(at(160), 60_001), None);
    }
}
