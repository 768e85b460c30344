//! Ids, etags and keys out of one seed: the same seed and the same calls give the same answers.
//!
//! HMAC-SHA256 of a counter under the seed, so that generated keys are as hard to guess as the seed is.

use hmac_sha256::HMAC;
use zeroize::Zeroizing;

use crate::keys::SymmetricKey;

pub(crate) struct Random {
    seed: Zeroizing<[u8; 32]>,
    counter: u64,
}

impl Random {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed: Zeroizing::new(seed), counter: 0 }
    }

    fn block(&mut self) -> Zeroizing<[u8; 32]> {
        self.counter += 1;
        Zeroizing::new(HMAC::mac(self.counter.to_be_bytes(), self.seed.as_slice()))
    }

    fn hex(&mut self, digits: usize) -> String {
        let block = self.block();
        let nibbles = block.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        nibbles.take(digits).filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect()
    }

    /// A GUID in its usual form.
    pub(crate) fn guid(&mut self) -> String {
        let h = self.hex(32);
        format!("{}-{}-4{}-8{}-{}", &h[..8], &h[8..12], &h[13..16], &h[17..20], &h[20..])
    }

    /// `<digit>.<16 hex digits>.<guid>`: what the service's ids look like. Clients must treat it as opaque.
    pub(crate) fn operation_id(&mut self) -> String {
        let middle = self.hex(16);
        format!("5.{middle}.{}", self.guid())
    }

    /// Base64 of a short quoted id, as the service writes its etags.
    pub(crate) fn etag(&mut self) -> String {
        let h = self.hex(12);
        crate::encoding::encode_base64(format!("\"{}-{}\"", &h[..8], &h[8..]).as_bytes())
    }

    /// A key of 64 bytes, the length that the service generates.
    pub(crate) fn key(&mut self) -> SymmetricKey {
        let (low, high) = (self.block(), self.block());
        let bytes = Zeroizing::new([low.as_slice(), high.as_slice()].concat());
        SymmetricKey::of_bytes(&bytes)
    }
}
