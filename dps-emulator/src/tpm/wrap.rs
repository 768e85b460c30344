//! How data is protected so that one TPM alone can read it: the key derivation, the encryption and the integrity check that
//! are common to credentials and to keys from elsewhere (TPM 2.0 Library Specification, Part 1, 11.4.10, 23.3 and 24).

use aes::Aes128;
use cfb_mode::Encryptor;
use cfb_mode::cipher::KeyIvInit;
use hmac_sha256::HMAC;
use rsa::{BoxedUint, Oaep, PublicKey, sha2::Sha256};
use zeroize::Zeroizing;

use super::public_key::{EXPONENT, MODULUS, TpmKeyError, TpmPublicKey};
use crate::ids::Random;

/// The size of an AES-128 key, and of a block.
pub(super) const BLOCK: usize = 16;

/// A secret for the holder of a key.
pub(super) struct Protector {
    seed: Zeroizing<[u8; 32]>,
    /// The secret, encrypted for the key: a `TPM2B_ENCRYPTED_SECRET` without its length.
    pub(super) encrypted_secret: Vec<u8>,
}

impl Protector {
    /// Makes a secret for the holder of this key. The label is the purpose, without the 0 that ends it.
    pub(super) fn generate(key: &TpmPublicKey, label: &str, random: &mut Random) -> Result<Self, TpmKeyError> {
        let unsuitable = |_| TpmKeyError::Unsuitable { at: 0 };
        let seed = random.bytes();
        let (_, modulus) = key.bytes.split_at(key.bytes.len() - MODULUS);
        let modulus = BoxedUint::from_be_slice_vartime(modulus);
        let public = PublicKey::new(modulus, BoxedUint::from(EXPONENT)).map_err(unsuitable)?;
        let padding = Oaep::<Sha256>::new_with_label([label.as_bytes(), &[0]].concat());
        let encrypted_secret = public.encrypt(random, padding, seed.as_slice()).map_err(unsuitable)?;
        Ok(Self { seed, encrypted_secret })
    }

    /// Encrypts data and adds the integrity check over it and the name of the object that it belongs to: a
    /// `TPMS_ID_OBJECT` or a `_PRIVATE`, by what is encrypted.
    pub(super) fn protect(&self, mut data: Zeroizing<Vec<u8>>, name: &[u8]) -> Vec<u8> {
        encrypt(&kdf_a(self.seed.as_slice(), "STORAGE", name), &mut data);
        let integrity_key = kdf_a::<32>(self.seed.as_slice(), "INTEGRITY", &[]);
        let integrity = HMAC::mac([&data[..], name].concat(), integrity_key.as_slice());
        [&sized(&integrity)[..], &data].concat()
    }
}

/// `KDFa` with SHA-256, of up to 32 bytes; the second context is always empty here.
fn kdf_a<const N: usize>(key: &[u8], label: &str, context: &[u8]) -> Zeroizing<[u8; N]> {
    let bits = 8 * N as u32;
    let message = [&1_u32.to_be_bytes(), label.as_bytes(), &[0], context, &bits.to_be_bytes()].concat();
    let block = Zeroizing::new(HMAC::mac(message, key));
    Zeroizing::new(std::array::from_fn(|at| block[at]))
}

/// Encrypts in place with AES-128 in CFB mode. The initialization vector is 0, as the specification says.
pub(super) fn encrypt(key: &[u8; BLOCK], data: &mut [u8]) {
    Encryptor::<Aes128>::new(key.into(), &[0; BLOCK].into()).encrypt(data);
}

/// Bytes after their length, the form of every `TPM2B_` structure.
pub(super) fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), bytes].concat()
}
