//! HMAC-SHA256 (RFC 2104, FIPS 180-4) by the `hmac` and `sha2` crates, in a form that cannot fail.
//!
//! Keys of any length are taken: a longer one than 64 bytes is hashed first, as the RFC says. Both crates wipe what
//! they leave behind.

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
        // A whole block cannot be refused, as a slice could.
        let prepared = Self(Hmac::new(&block.into()));
        block.as_mut_slice().zeroize();
        prepared
    }

    /// HMAC-SHA256 of `message`.
    #[must_use]
    pub fn sha256(&self, message: &[u8]) -> [u8; 32] {
        self.0.clone().chain_update(message).finalize().into_bytes().into()
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

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The RFC's own definition, across the places where a message or a key fills a block.
        #[test]
        fn it_is_what_the_rfc_says(
            key in prop::collection::vec(any::<u8>(), 0..140),
            message in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut block = [0; BLOCK];
            let key_block = if key.len() > BLOCK { Sha256::digest(&key).to_vec() } else { key.clone() };
            block[..key_block.len()].copy_from_slice(&key_block);
            let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(&message).finalize();
            let outer = Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize();
            prop_assert_eq!(sha256(&key, &message), <[u8; 32]>::from(outer));
        }
    }
}
