//! Ids: which registration ids are valid, when two are the same, and how ids, etags and keys are generated.
//!
//! Everything generated is HMAC-SHA256 of a counter with a seed as key: the same seed and the same calls produce the
//! same values, and generated keys are as hard to guess as their seed, which can be another than that of public ids.

use std::fmt;

use hmac_sha256::HMAC;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::credentials::SymmetricKey;

/// The longest registration or enrollment group id, in characters.
pub const ID_MAX: usize = 128;

/// Why a string is not a valid registration or enrollment group id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// It is empty.
    #[error("the id is empty")]
    Empty,
    /// It has more than 128 characters.
    #[error("the id has {0} characters; at most 128 are allowed")]
    TooLong(usize),
    /// It has a character outside of letters, digits, `-`, `.`, `_`, `:`.
    #[error("the character at offset {0} of the id is not a letter, digit, '-', '.', '_' or ':'")]
    Character(usize),
    /// It ends with `.`, `_` or `:`.
    #[error("the id must end with a letter, digit or '-'")]
    End,
}

/// Checks an id against what the service documents. A leading special character, which the specification excludes and
/// the service was never seen to reject, is accepted.
pub(crate) fn check(id: &str) -> Result<(), IdError> {
    if let Some(at) = id.bytes().position(|b| !b.is_ascii_alphanumeric() && !b"-._:".contains(&b)) {
        return Err(IdError::Character(at));
    }
    match id.bytes().last() {
        None => Err(IdError::Empty),
        Some(_) if id.len() > ID_MAX => Err(IdError::TooLong(id.len())),
        Some(b'.' | b'_' | b':') => Err(IdError::End),
        Some(_) => Ok(()),
    }
}

/// An id in lower case: the service ignores letter case when it compares ids, and keeps the spelling that it saw first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct FoldedId(String);

impl FoldedId {
    pub(crate) fn new(id: &str) -> Self {
        Self(id.to_ascii_lowercase())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for FoldedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

pub(crate) struct Random {
    ids: Stream,
    secrets: Stream,
}

struct Stream {
    seed: Zeroizing<[u8; 32]>,
    counter: u64,
}

impl Stream {
    fn next(&mut self) -> Zeroizing<[u8; 32]> {
        self.counter += 1;
        Zeroizing::new(HMAC::mac(self.counter.to_be_bytes(), self.seed.as_slice()))
    }
}

/// Where secrets begin to count, so that ids and secrets of one seed differ.
const SECRETS_FROM: u64 = 1 << 63;

impl Random {
    /// `secrets` is the seed of keys, if it is another one.
    pub(crate) fn new(seed: [u8; 32], secrets: Option<[u8; 32]>) -> Self {
        let stream = |seed, counter| Stream { seed: Zeroizing::new(seed), counter };
        Self { ids: stream(seed, 0), secrets: stream(secrets.unwrap_or(seed), SECRETS_FROM) }
    }

    /// 32 secret bytes, such as a key.
    pub(crate) fn bytes(&mut self) -> Zeroizing<[u8; 32]> {
        self.secrets.next()
    }

    fn hex(&mut self, digits: usize) -> String {
        let block = self.ids.next();
        let nibbles = block.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        nibbles.take(digits).filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect()
    }

    /// A GUID in its usual form.
    pub(crate) fn guid(&mut self) -> String {
        let h = self.hex(32);
        format!("{}-{}-4{}-8{}-{}", &h[..8], &h[8..12], &h[13..16], &h[17..20], &h[20..])
    }

    /// `<digit>.<16 hex digits>.<guid>`, the form of the service's ids. Clients must treat it as opaque.
    pub(crate) fn operation_id(&mut self) -> String {
        let middle = self.hex(16);
        format!("5.{middle}.{}", self.guid())
    }

    /// Base64 of a short quoted id, as the service writes its etags.
    pub(crate) fn etag(&mut self) -> String {
        let h = self.hex(12);
        crate::encoding::encode_base64(format!("\"{}-{}\"", &h[..8], &h[8..]).as_bytes())
    }

    /// A serial number of a certificate, which is positive.
    pub(crate) fn serial(&mut self) -> [u8; 16] {
        let block = self.ids.next();
        std::array::from_fn(|at| if at == 0 { block[at] & 0x7F | 0x40 } else { block[at] })
    }

    /// A key of 64 bytes, the length that the service generates.
    pub(crate) fn key(&mut self) -> SymmetricKey {
        let (low, high) = (self.bytes(), self.bytes());
        let bytes = Zeroizing::new([low.as_slice(), high.as_slice()].concat());
        SymmetricKey::from_bytes(&bytes)
    }
}

/// For the padding of RSA.
#[cfg(feature = "tpm")]
impl rsa::rand_core::TryRng for Random {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        rsa::rand_core::utils::next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        rsa::rand_core::utils::next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        for chunk in out.chunks_mut(32) {
            chunk.copy_from_slice(&self.bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// As unpredictable as its seed.
#[cfg(feature = "tpm")]
impl rsa::rand_core::TryCryptoRng for Random {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_accepts_valid_ids_and_names_the_error_of_others() {
        for good in ["a", "dev_1.a:b-c", "A-", "-dev", &"d".repeat(128)] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert_eq!(check(""), Err(IdError::Empty));
        assert_eq!(check(&"d".repeat(129)), Err(IdError::TooLong(129)));
        assert_eq!(check("dev 1"), Err(IdError::Character(3)));
        assert_eq!(check("gerät"), Err(IdError::Character(3)));
        assert_eq!(check("dev."), Err(IdError::End));
    }
}
