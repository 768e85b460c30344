//! A TPM in software, as far as a device needs one for the service: it activates credentials and imports keys, with the
//! checks of a real TPM (TPM 2.0 Library Specification, Part 3, 12.5 and 13.3).
//!
//! It shares no code with the service: AES in CFB mode, HMAC and the structures are its own.

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use hmac::{Hmac, Mac};
use rsa::oaep::DecryptingKey;
use rsa::traits::{Decryptor, PublicKeyParts};
use rsa::{BoxedUint, PrivateKey};
use sha2::{Digest, Sha256};

/// The template of endorsement keys (TCG EK Credential Profile, B.3.3): its attributes, and its policy.
const EK_ATTRIBUTES: u32 = 0x0003_00b2;
const EK_POLICY: &str = "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa";
/// The attributes of the storage root keys of devices of the service.
const SRK_ATTRIBUTES: u32 = 0x0003_0472;

const PRIMES: &str = include_str!("../data/tpm_primes.txt");

/// What a TPM refuses.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The blob does not have the expected layout.
    Layout,
    /// A secret was not encrypted for the key.
    Decryption,
    /// An integrity check failed.
    Integrity,
    /// The public area of the key does not belong to its sensitive part.
    Binding,
}

pub(crate) struct SoftTpm {
    ek: PrivateKey,
    srk: PrivateKey,
}

/// A key that was imported.
#[derive(Debug)]
pub(crate) struct Imported {
    pub(crate) key: Vec<u8>,
    /// Its `TPMT_PUBLIC`.
    pub(crate) public: Vec<u8>,
    pub(crate) user_data: Vec<u8>,
    /// The sizes of the six parts of the blob.
    pub(crate) sizes: [usize; 6],
}

impl SoftTpm {
    /// The TPM of the device.
    pub(crate) fn new() -> Self {
        Self { ek: key("ek"), srk: key("srk") }
    }

    /// A TPM with another endorsement key.
    pub(crate) fn other() -> Self {
        Self { ek: key("other"), srk: key("srk") }
    }

    /// The same TPM after it was cleared, which changes the storage root key.
    pub(crate) fn cleared() -> Self {
        Self { ek: key("ek"), srk: key("other") }
    }

    /// The `TPM2B_PUBLIC` of the endorsement key.
    pub(crate) fn endorsement_key(&self) -> Vec<u8> {
        public(&self.ek, EK_ATTRIBUTES, &unhex(EK_POLICY))
    }

    /// The `TPM2B_PUBLIC` of the storage root key.
    pub(crate) fn storage_root_key(&self) -> Vec<u8> {
        public(&self.srk, SRK_ATTRIBUTES, &[])
    }

    /// Activates the credential of an `authenticationKey` and imports the key.
    pub(crate) fn import(&self, blob: &[u8]) -> Result<Imported, Refused> {
        let mut rest = blob;
        let mut part = || take_sized(&mut rest).ok_or(Refused::Layout);
        let parts = [part()?, part()?, part()?, part()?, part()?, part()?];
        let [id_object, secret, private, seed, public, user_data] = parts;
        if !rest.is_empty() {
            return Err(Refused::Layout);
        }
        let srk_name = name(&self.storage_root_key()[2..]);
        let credential = unprotect(&self.ek, "IDENTITY\0", secret, id_object, &srk_name)?;
        let wrapping_key = only_sized(&credential)?;
        let object_name = name(public);
        let inner = unprotect(&self.srk, "DUPLICATE\0", seed, private, &object_name)?;
        let inner = decrypt(wrapping_key, &inner);
        let mut rest = inner.as_slice();
        let integrity = take_sized(&mut rest).ok_or(Refused::Layout)?;
        if Sha256::digest([rest, &object_name].concat())[..] != *integrity {
            return Err(Refused::Integrity);
        }
        let key = sensitive_key(only_sized(rest)?, public)?;
        let (public, user_data) = (public.to_vec(), decrypt(wrapping_key, user_data));
        Ok(Imported { key, public, user_data, sizes: parts.map(<[u8]>::len) })
    }
}

/// The key in a `TPMT_SENSITIVE`, which must belong to this public area.
fn sensitive_key(sensitive: &[u8], public: &[u8]) -> Result<Vec<u8>, Refused> {
    let (kind, mut rest) = sensitive.split_at_checked(2).ok_or(Refused::Layout)?;
    let mut part = || take_sized(&mut rest).ok_or(Refused::Layout);
    let (password, seed, key) = (part()?, part()?, part()?);
    if kind != [0, 8] || !password.is_empty() || !rest.is_empty() {
        return Err(Refused::Layout);
    }
    let unique = Sha256::digest([seed, key].concat());
    if public.ends_with(&[&[0, 32], &unique[..]].concat()) { Ok(key.to_vec()) } else { Err(Refused::Binding) }
}

/// Decrypts what was protected for the holder of a key, and checks its integrity with this name.
fn unprotect(key: &PrivateKey, label: &str, secret: &[u8], data: &[u8], name: &[u8]) -> Result<Vec<u8>, Refused> {
    let decrypting = DecryptingKey::<Sha256>::new_with_label(key.clone(), label.as_bytes());
    let seed = decrypting.decrypt(secret).map_err(|_| Refused::Decryption)?;
    let mut encrypted = data;
    let integrity = take_sized(&mut encrypted).ok_or(Refused::Layout)?;
    let mac = hmac(&kdf_a(&seed, b"INTEGRITY\0", &[], 32), &[encrypted, name].concat());
    if mac != integrity {
        return Err(Refused::Integrity);
    }
    Ok(decrypt(&kdf_a(&seed, b"STORAGE\0", name, 16), encrypted))
}

/// `KDFa` (Part 1, 11.4.10.2): the counter, the label with its 0, the context, the length in bits.
fn kdf_a(key: &[u8], label: &[u8], context: &[u8], length: u8) -> Vec<u8> {
    let bits = u32::from(length) * 8;
    let input = [&[0, 0, 0, 1], label, context, &bits.to_be_bytes()].concat();
    hmac(key, &input)[..usize::from(length)].to_vec()
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    hmac.update(message);
    hmac.finalize().into_bytes().to_vec()
}

/// AES-128 in CFB mode with 0 as the initialization vector, block by block.
fn decrypt(key: &[u8], data: &[u8]) -> Vec<u8> {
    let cipher = Aes128::new_from_slice(key).unwrap();
    let mut previous = [0; 16];
    let mut plain = Vec::new();
    for chunk in data.chunks(16) {
        let mut stream = previous.into();
        cipher.encrypt_block(&mut stream);
        plain.extend(chunk.iter().zip(&stream).map(|(byte, mask)| byte ^ mask));
        previous[..chunk.len()].copy_from_slice(chunk);
    }
    plain
}

fn name(area: &[u8]) -> Vec<u8> {
    [&[0, 0x0b], &Sha256::digest(area)[..]].concat()
}

fn take_sized<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<2>()?;
    let (part, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *rest = after;
    Some(part)
}

fn only_sized(mut bytes: &[u8]) -> Result<&[u8], Refused> {
    take_sized(&mut bytes).filter(|_| bytes.is_empty()).ok_or(Refused::Layout)
}

/// A `TPM2B_PUBLIC` of an RSA key that protects others.
fn public(key: &PrivateKey, attributes: u32, policy: &[u8]) -> Vec<u8> {
    let area = [
        &[0x00, 0x01, 0x00, 0x0b][..],
        &attributes.to_be_bytes(),
        &(policy.len() as u16).to_be_bytes(),
        policy,
        // AES, 128 bits, CFB; no scheme; 2048 bits; the default exponent.
        &[0x00, 0x06, 0x00, 0x80, 0x00, 0x43, 0x00, 0x10, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00],
        &[0x01, 0x00],
        &key.n_bytes(),
    ];
    let area = area.concat();
    [&(area.len() as u16).to_be_bytes()[..], &area].concat()
}

fn key(wanted: &str) -> PrivateKey {
    let line = PRIMES.lines().find_map(|line| line.strip_prefix(wanted)?.strip_prefix(' ')).unwrap();
    let (p, q) = line.split_once(' ').unwrap();
    let [p, q] = [p, q].map(|prime| BoxedUint::from_be_slice_vartime(&unhex(prime)));
    PrivateKey::from_p_q(p, q, BoxedUint::from(65_537_u32)).unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
