//! HMAC-SHA256 (RFC 2104, FIPS 180-4) over the block function of the `sha2` crate.
//!
//! The `hmac` crate computes the same and is the oracle of the tests here. In firmware even its block-level interface
//! needs 210 bytes of flash and 220 of stack more, for the buffer and the counter of a message that comes in parts.

use core::slice;

use sha2::block_api::compress256;
use zeroize::Zeroize as _;

/// A block of SHA-256, in bytes. A key of at most this length, followed by zeros, is what HMAC hashes.
pub(crate) const BLOCK: usize = 64;

/// The state of SHA-256 before the first block (FIPS 180-4, section 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
/// Where the last block holds the length of what was hashed.
const LENGTH_AT: usize = BLOCK - 8;

/// HMAC-SHA256 of `message` under `key`, which is padded with zeros. Everything else that this writes is wiped.
pub(crate) fn sha256(key: &[u8; BLOCK], message: &[u8], out: &mut [u8; 32]) {
    let (mut block, mut inner) = ([0; BLOCK], [0; 32]);
    hash(&mut block, key, 0x36, message, &mut inner);
    hash(&mut block, key, 0x5c, &inner, out);
    block.zeroize();
    inner.zeroize();
}

/// SHA-256 of `key`, each byte of it combined with `pad`, and of `message` after it.
#[inline(never)]
fn hash(block: &mut [u8; BLOCK], key: &[u8; BLOCK], pad: u8, message: &[u8], out: &mut [u8; 32]) {
    let mut state = INITIAL;
    for (to, from) in block.iter_mut().zip(key) {
        *to = from ^ pad;
    }
    compress256(&mut state, slice::from_ref(block));

    let (blocks, rest) = message.as_chunks();
    compress256(&mut state, blocks);

    // The rest is followed by a one bit, zeros, and the number of bits at the end of a block.
    *block = [0; BLOCK];
    for (to, from) in block.iter_mut().zip(rest) {
        *to = *from;
    }
    if let Some(end) = block.get_mut(rest.len()) {
        *end = 0x80;
    }
    if rest.len() >= LENGTH_AT {
        compress256(&mut state, slice::from_ref(block));
        *block = [0; BLOCK];
    }
    let bits = (BLOCK as u64).wrapping_add(message.len() as u64).wrapping_mul(8);
    if let Some(end) = block.last_chunk_mut() {
        *end = bits.to_be_bytes();
    }
    compress256(&mut state, slice::from_ref(block));

    for (to, word) in out.as_chunks_mut().0.iter_mut().zip(&state) {
        *to = word.to_be_bytes();
    }
    state.zeroize();
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use ::hmac::{Hmac, KeyInit as _, Mac as _};
    use proptest::prelude::*;
    use sha2::Sha256;

    fn computed(key: &[u8; BLOCK], message: &[u8]) -> [u8; 32] {
        let mut out = [0; 32];
        sha256(key, message, &mut out);
        out
    }

    proptest! {
        /// Across the lengths at which a message fills a block, or leaves no room for its length.
        #[test]
        fn hmac_is_what_the_hmac_crate_computes(
            key in prop::collection::vec(any::<u8>(), 0..=BLOCK),
            message in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let expected = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(&message).finalize();
            let mut block = [0; BLOCK];
            block[..key.len()].copy_from_slice(&key);
            prop_assert_eq!(computed(&block, &message), <[u8; 32]>::from(expected.into_bytes()));
        }
    }

    #[test]
    fn hmac_of_every_short_length_is_what_the_hmac_crate_computes() {
        let (key, message) = ([7; BLOCK], [5; 3 * BLOCK]);
        for length in 0..message.len() {
            let message = &message[..length];
            let expected = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(message).finalize();
            assert_eq!(computed(&key, message), <[u8; 32]>::from(expected.into_bytes()), "{length} bytes");
        }
    }
}
