//! The public part of a key of a TPM, as devices and owners send it: a `TPM2B_PUBLIC` (TPM 2.0 Library Specification,
//! Part 2, 12.2.5).

use std::fmt;

use super::key_blob::SUPPORTED;
use crate::encoding::{decode_base64, encode_base64};

/// `TPM_ALG_RSA`.
const RSA: u16 = 0x0001;
/// `TPM_ALG_AES`.
const AES: u16 = 0x0006;
/// `TPM_ALG_SHA256`.
pub(super) const SHA256: u16 = 0x000b;
/// `TPM_ALG_NULL`.
const NULL: u16 = 0x0010;
/// `TPM_ALG_CFB`.
const CFB: u16 = 0x0043;

/// Of `TPMA_OBJECT`: the bits `restricted` and `decrypt`, which a key that protects others has.
const RESTRICTED_DECRYPT: u32 = 1 << 16 | 1 << 17;
/// Of `TPMA_OBJECT`: the bit `sign`, which it does not have.
const SIGN: u32 = 1 << 18;

/// The size of the modulus in bytes.
pub(super) const MODULUS: usize = 256;
/// The exponent; in the structure also written as 0.
pub(super) const EXPONENT: u32 = 65_537;

/// Why bytes or a string are not the public part of an endorsement key or a storage root key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TpmKeyError {
    /// It is not base64.
    #[error("it is not valid base64: invalid at offset {at}")]
    NotBase64 {
        /// The offset of the first invalid character; the length of the string if it is cut off.
        at: usize,
    },
    /// It is not a `TPM2B_PUBLIC`.
    #[error(
        "it is not a TPM2B_PUBLIC, the structure that `tpm2_readpublic -o` writes, in base64: it ends early, or contains something else, at byte {at} of {length}"
    )]
    NotPublicArea {
        /// The offset of the first part that a `TPM2B_PUBLIC` does not have there, in bytes.
        at: usize,
        /// How many bytes there are.
        length: usize,
    },
    /// The key has another algorithm or purpose.
    #[error(
        "it is not a key that can be used: it must be an RSA key of 2048 bits that protects other keys (restricted, decrypt), with SHA-256, AES-128 in CFB mode and the exponent 65537; what differs is at byte {at}"
    )]
    Unsuitable {
        /// The offset of the first unsuitable part, in bytes.
        at: usize,
    },
    /// This build has no TPM attestation.
    #[error("this build has no TPM attestation (feature `tpm`)")]
    Unsupported,
}

/// The public part of a TPM's endorsement key or storage root key: RSA of 2048 bits, the kind that devices of the service
/// have. Not a secret.
///
/// ```
/// use dps_emulator::TpmPublicKey;
///
/// // The PEM of a key is not the structure that the service expects.
/// let error = TpmPublicKey::from_base64("MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A").unwrap_err();
/// assert!(error.to_string().contains("TPM2B_PUBLIC"), "{error}");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TpmPublicKey {
    /// The whole `TPM2B_PUBLIC`.
    pub(super) bytes: Vec<u8>,
}

impl TpmPublicKey {
    /// Reads the base64 of a `TPM2B_PUBLIC`. Space around it is ignored, padding is optional.
    ///
    /// # Errors
    /// [`TpmKeyError`] says what is wrong, and where.
    pub fn from_base64(text: &str) -> Result<Self, TpmKeyError> {
        let text = text.trim();
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        let at = text.bytes().position(|byte| !is_base64(byte)).unwrap_or(text.len());
        Self::from_bytes(&decode_base64(text).ok_or(TpmKeyError::NotBase64 { at })?)
    }

    /// Reads a `TPM2B_PUBLIC`.
    ///
    /// # Errors
    /// [`TpmKeyError`] says what is wrong, and where.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TpmKeyError> {
        if !SUPPORTED {
            return Err(TpmKeyError::Unsupported);
        }
        check(bytes).map(|()| Self { bytes: bytes.to_vec() })
    }

    /// The base64 of the `TPM2B_PUBLIC`, as an enrollment shows it.
    #[must_use]
    pub fn base64(&self) -> String {
        encode_base64(&self.bytes)
    }

    /// Another key, to which nobody has the private part: for a fault.
    pub(super) fn altered(&self) -> Self {
        let mut bytes = self.bytes.clone();
        // Still odd, and of the same size.
        if let Some(byte) = bytes.iter_mut().rev().nth(1) {
            *byte ^= 1;
        }
        Self { bytes }
    }
}

impl fmt::Debug for TpmPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TpmPublicKey").field(&self.base64()).finish()
    }
}

/// Reads the structure from its beginning; errors name the offset.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], TpmKeyError> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..count)).ok_or(self.malformed(self.at))?;
        self.at += count;
        Ok(taken)
    }

    fn number(&mut self, bytes: usize) -> Result<u32, TpmKeyError> {
        Ok(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    /// Bytes after their length.
    fn sized(&mut self) -> Result<&'a [u8], TpmKeyError> {
        let length = self.number(2)?;
        self.take(length as usize)
    }

    /// Reads a number that must be suitable for a key that protects others.
    fn suitable(&mut self, bytes: usize, is_suitable: impl Fn(u32) -> bool) -> Result<(), TpmKeyError> {
        let at = self.at;
        let number = self.number(bytes)?;
        if is_suitable(number) { Ok(()) } else { Err(TpmKeyError::Unsuitable { at }) }
    }

    fn algorithm(&mut self, algorithm: u16) -> Result<(), TpmKeyError> {
        self.suitable(2, |found| found == u32::from(algorithm))
    }

    fn malformed(&self, at: usize) -> TpmKeyError {
        TpmKeyError::NotPublicArea { at, length: self.bytes.len() }
    }
}

/// Checks that this is a `TPM2B_PUBLIC`, and its key one that protects others.
fn check(bytes: &[u8]) -> Result<(), TpmKeyError> {
    /// The largest number of an algorithm that the TCG has assigned for keys; ASN.1 begins with a larger one.
    const ALGORITHM_MAX: u32 = 0x00ff;
    let mut reader = Reader { bytes, at: 0 };
    let length = reader.number(2)?;
    if length as usize != bytes.len() - 2 {
        return Err(reader.malformed(0));
    }
    let kind = reader.number(2)?;
    if kind > ALGORITHM_MAX {
        return Err(reader.malformed(2));
    }
    if kind != u32::from(RSA) {
        return Err(TpmKeyError::Unsuitable { at: 2 });
    }
    reader.algorithm(SHA256)?;
    reader.suitable(4, |attributes| attributes & (RESTRICTED_DECRYPT | SIGN) == RESTRICTED_DECRYPT)?;
    let _policy = reader.sized()?;
    reader.algorithm(AES)?;
    reader.suitable(2, |bits| bits == 128)?;
    reader.algorithm(CFB)?;
    reader.algorithm(NULL)?;
    reader.suitable(2, |bits| bits == 8 * MODULUS as u32)?;
    reader.suitable(4, |exponent| exponent == 0 || exponent == EXPONENT)?;
    let at = reader.at;
    let modulus = reader.sized()?;
    if reader.at != bytes.len() {
        return Err(reader.malformed(reader.at));
    }
    let is_modulus = modulus.len() == MODULUS
        && modulus.first().is_some_and(|first| first & 0x80 != 0)
        && modulus.last().is_some_and(|last| last & 1 == 1);
    if is_modulus { Ok(()) } else { Err(TpmKeyError::Unsuitable { at }) }
}
