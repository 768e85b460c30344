//! What the service calls an `authenticationKey`: an HMAC key that one TPM alone can import, in the layout that devices
//! of the service parse (`hsm_client_tpm.c` of the Azure IoT SDK for C).

use hmac_sha256::Hash;
use rsa::rand_core::Rng;
use zeroize::Zeroizing;

use super::challenge::TpmKeys;
use super::public_key::{SHA256, TpmKeyError};
use super::wrap::{BLOCK, Protector, encrypt, sized};
use crate::credentials::SymmetricKey;
use crate::encoding::encode_base64;
use crate::ids::Random;

/// Whether this build can make such keys.
pub(super) const SUPPORTED: bool = true;

/// `TPM_ALG_HMAC`.
const HMAC: u16 = 0x0005;
/// `TPM_ALG_KEYEDHASH`.
const KEYED_HASH: u16 = 0x0008;
/// `TPMA_OBJECT`: the bits `userWithAuth`, `noDA` and `sign`, as the service sets them. Neither `fixedTPM` nor
/// `fixedParent`: such a key could not be imported.
const ATTRIBUTES: u32 = 1 << 6 | 1 << 10 | 1 << 18;

/// A new HMAC key, and the same for the device.
pub(crate) struct KeyBlob {
    /// The key with which the device's signatures are verified.
    pub(crate) key: SymmetricKey,
    /// The base64 that is sent to the device.
    pub(crate) text: String,
}

impl KeyBlob {
    /// Makes a key for the TPM that has both these keys; another one cannot import it. The user data is encrypted beside
    /// it.
    pub(crate) fn generate(keys: &TpmKeys, user_data: &str, random: &mut Random) -> Result<Self, TpmKeyError> {
        let key = random.bytes();
        let object = HmacObject::new(key.as_slice(), random);
        let mut wrapping_key = Zeroizing::new([0; BLOCK]);
        random.fill_bytes(wrapping_key.as_mut_slice());
        // ActivateCredential returns the wrapping key in the TPM that has both keys, so that Import succeeds there.
        let credential = Protector::generate(&keys.endorsement_key, "IDENTITY", random)?;
        // Without its length, the public area is what the name of a key is made of.
        let storage_root_key = name(&keys.storage_root_key.bytes[2..]);
        let id_object = credential.protect(Zeroizing::new(sized(wrapping_key.as_slice())), &storage_root_key);
        let duplicate = Protector::generate(&keys.storage_root_key, "DUPLICATE", random)?;
        let private = duplicate.protect(object.inner_wrapped(&wrapping_key), &name(&object.public));
        let mut user_data = user_data.as_bytes().to_vec();
        encrypt(&wrapping_key, &mut user_data);
        let parts = [
            &id_object,
            &credential.encrypted_secret,
            &private,
            &duplicate.encrypted_secret,
            &object.public,
            &user_data,
        ];
        let blob = parts.map(|part| sized(part)).concat();
        Ok(Self { key: SymmetricKey::from_bytes(key.as_slice()), text: encode_base64(&blob) })
    }
}

/// The name of an object whose public area this is: the algorithm and the digest of the area (Part 1, 16).
fn name(public: &[u8]) -> Vec<u8> {
    [&SHA256.to_be_bytes()[..], &Hash::hash(public)].concat()
}

/// An HMAC key as an object of a TPM.
struct HmacObject {
    /// The `TPMT_PUBLIC`.
    public: Vec<u8>,
    /// The `TPM2B_SENSITIVE`.
    sensitive: Zeroizing<Vec<u8>>,
}

impl HmacObject {
    fn new(key: &[u8], random: &mut Random) -> Self {
        // Obfuscates the digest of the key in the public area (Part 1, 27).
        let seed = random.bytes();
        let unique = Hash::hash(&Zeroizing::new([seed.as_slice(), key].concat()));
        let public = [
            &KEYED_HASH.to_be_bytes()[..],
            &SHA256.to_be_bytes(),
            &ATTRIBUTES.to_be_bytes(),
            // No policy.
            &sized(&[]),
            &HMAC.to_be_bytes(),
            &SHA256.to_be_bytes(),
            &sized(&unique),
        ];
        let no_password = sized(&[]);
        let (seed, key) = (Zeroizing::new(sized(seed.as_slice())), Zeroizing::new(sized(key)));
        let sensitive = Zeroizing::new([&KEYED_HASH.to_be_bytes()[..], &no_password, &seed, &key].concat());
        Self { public: public.concat(), sensitive: Zeroizing::new(sized(&sensitive)) }
    }

    /// The sensitive part with its integrity, encrypted with the wrapping key (Part 1, 23.3.2.2).
    fn inner_wrapped(&self, wrapping_key: &[u8; BLOCK]) -> Zeroizing<Vec<u8>> {
        let integrity = Hash::hash(&Zeroizing::new([&self.sensitive[..], &name(&self.public)].concat()));
        let mut wrapped = Zeroizing::new([&sized(&integrity)[..], &self.sensitive].concat());
        encrypt(wrapping_key, &mut wrapped);
        wrapped
    }
}
