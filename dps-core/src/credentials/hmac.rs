//! HMAC-SHA256 (RFC 2104, FIPS 180-4) over the `hmac` and `sha2` crates, in a form that cannot fail.
//!
//! Keys of any length are taken: a longer one than 64 bytes is hashed first, as the RFC says.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

const BLOCK: usize = 64;

/// A key made ready: the two hash states that begin every HMAC under it.
#[derive(Clone)]
pub struct PreparedKey(Hmac<Sha256>);

impl PreparedKey {
    /// Prepares `key`, of any length.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let mut block = [0; BLOCK];
        if key.len() > BLOCK {
            fill(&mut block, &Sha256::digest(key));
        } else {
            fill(&mut block, key);
        }
        let prepared = Self(Hmac::new(&block.into()));
        block.zeroize();
        prepared
    }

    /// HMAC-SHA256 of `message`.
    #[must_use]
    pub fn sha256(&self, message: &[u8]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.finalize().into_bytes().into()
    }
}

impl core::fmt::Debug for PreparedKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PreparedKey(redacted)")
    }
}

/// HMAC-SHA256 of `message` under `key`, of any length.
#[must_use]
pub fn sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    PreparedKey::new(key).sha256(message)
}

fn fill(block: &mut [u8; BLOCK], bytes: &[u8]) {
    for (to, from) in block.iter_mut().zip(bytes) {
        *to = *from;
    }
}
