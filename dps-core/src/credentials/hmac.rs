//! HMAC-SHA256 (RFC 2104, FIPS 180-4) over the compression function of the `sha2` crate, in a form that cannot fail.
//!
//! Keys of any length are taken: a longer one than 64 bytes is hashed first, as the RFC says. The `hmac` crate does the
//! same with a third more time and flash, for it copies and wipes two whole hashers a message; it is the oracle in the
//! tests.

use sha2::block_api::compress256;
use zeroize::Zeroize;

const BLOCK: usize = 64;
const DIGEST: usize = 32;
/// The last bytes of a message's last block hold its length in bits.
const LENGTH: usize = 8;

type State = [u32; 8];

/// The state of a hash that has seen nothing (FIPS 180-4, section 5.3.3).
const INITIAL: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A key made ready: the two hash states that begin every HMAC under it.
#[derive(Clone)]
pub struct PreparedKey {
    inner: State,
    outer: State,
}

impl PreparedKey {
    /// Prepares `key`, of any length.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let mut block = [0; BLOCK];
        if key.len() > BLOCK {
            put(&mut block, 0, &finish(INITIAL, 0, key));
        } else {
            put(&mut block, 0, key);
        }
        let prepared = Self { inner: after_pad(&block, 0x36), outer: after_pad(&block, 0x5c) };
        block.as_mut_slice().zeroize();
        prepared
    }

    /// HMAC-SHA256 of `message`.
    #[must_use]
    pub fn sha256(&self, message: &[u8]) -> [u8; DIGEST] {
        let mut digest = finish(self.inner, BLOCK, message);
        let mac = finish(self.outer, BLOCK, &digest);
        digest.as_mut_slice().zeroize();
        mac
    }
}

impl Drop for PreparedKey {
    fn drop(&mut self) {
        self.inner.as_mut_slice().zeroize();
        self.outer.as_mut_slice().zeroize();
    }
}

impl core::fmt::Debug for PreparedKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PreparedKey(redacted)")
    }
}

/// HMAC-SHA256 of `message` under `key`, of any length.
#[must_use]
pub fn sha256(key: &[u8], message: &[u8]) -> [u8; DIGEST] {
    PreparedKey::new(key).sha256(message)
}

/// The state after the first block of an HMAC: the key under one of the two pads.
fn after_pad(key: &[u8; BLOCK], pad: u8) -> State {
    let mut block = key.map(|byte| byte ^ pad);
    let mut state = INITIAL;
    compress256(&mut state, &[block]);
    block.as_mut_slice().zeroize();
    state
}

/// The hash of `rest`, after `seen` bytes in whole blocks that led to `state`.
fn finish(mut state: State, seen: usize, rest: &[u8]) -> [u8; DIGEST] {
    let (blocks, tail) = rest.as_chunks::<BLOCK>();
    compress256(&mut state, blocks);
    let mut block = [0; BLOCK];
    put(&mut block, 0, tail);
    put(&mut block, tail.len(), &[0x80]);
    if tail.len() >= BLOCK - LENGTH {
        compress256(&mut state, &[block]);
        block = [0; BLOCK];
    }
    let bits = (seen as u64).wrapping_add(rest.len() as u64).wrapping_mul(8);
    put(&mut block, BLOCK - LENGTH, &bits.to_be_bytes());
    compress256(&mut state, &[block]);
    let mut digest = [0; DIGEST];
    for (to, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *to = word.to_be_bytes();
    }
    block.as_mut_slice().zeroize();
    state.as_mut_slice().zeroize();
    digest
}

fn put(block: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    for (to, from) in block.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use ::hmac::{Hmac, KeyInit as _, Mac as _};
    use proptest::prelude::*;

    proptest! {
        /// Across the places where a message or a key fills a block.
        #[test]
        fn it_is_what_the_hmac_crate_says(
            key in prop::collection::vec(any::<u8>(), 0..140),
            message in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut oracle = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
            oracle.update(&message);
            prop_assert_eq!(sha256(&key, &message), <[u8; 32]>::from(oracle.finalize().into_bytes()));
        }
    }
}
