//! How a token signs: mechanisms, and what they are handed.

use std::borrow::Cow;

use cryptoki::mechanism::Mechanism;
#[cfg(any(feature = "http", feature = "mqtt"))]
use cryptoki::mechanism::{
    MechanismType,
    rsa::{PkcsMgfType, PkcsPssParams},
};
#[cfg(any(feature = "http", feature = "mqtt"))]
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// A way to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// HMAC-SHA256.
    Hmac,
    /// ECDSA of a hash that is computed here.
    #[cfg(any(feature = "http", feature = "mqtt"))]
    Ecdsa(Hash),
    /// RSA PKCS#1 v1.5 of a hash that is computed here.
    #[cfg(any(feature = "http", feature = "mqtt"))]
    RsaPkcs1(Hash),
    /// RSA PKCS#1 v1.5; the token computes the hash.
    #[cfg(any(feature = "http", feature = "mqtt"))]
    RsaPkcs1Hashing(Hash),
    /// RSA PSS of a hash that is computed here.
    #[cfg(any(feature = "http", feature = "mqtt"))]
    RsaPss(Hash),
    /// RSA PSS; the token computes the hash.
    #[cfg(any(feature = "http", feature = "mqtt"))]
    RsaPssHashing(Hash),
}

#[cfg(any(feature = "http", feature = "mqtt"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Method {
    /// What the token signs for this message.
    pub(super) fn data(self, message: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Hmac => Cow::Borrowed(message),
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Self::RsaPkcs1Hashing(_) | Self::RsaPssHashing(_) => Cow::Borrowed(message),
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Self::Ecdsa(hash) | Self::RsaPss(hash) => Cow::Owned(hash.of(message)),
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Self::RsaPkcs1(hash) => Cow::Owned([hash.digest_info(), &hash.of(message)].concat()),
        }
    }

    /// Hands the mechanism to `work`.
    pub(super) fn with_mechanism<T>(self, work: impl FnOnce(&Mechanism<'_>) -> T) -> T {
        let mechanism = match self {
            Self::Hmac => Mechanism::Sha256Hmac,
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Self::Ecdsa(_) => Mechanism::Ecdsa,
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Self::RsaPkcs1(_) => Mechanism::RsaPkcs,
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Self::RsaPkcs1Hashing(hash) => match hash {
                Hash::Sha256 => Mechanism::Sha256RsaPkcs,
                Hash::Sha384 => Mechanism::Sha384RsaPkcs,
                Hash::Sha512 => Mechanism::Sha512RsaPkcs,
            },
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Self::RsaPss(hash) => Mechanism::RsaPkcsPss(hash.pss()),
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Self::RsaPssHashing(hash) => match hash {
                Hash::Sha256 => Mechanism::Sha256RsaPkcsPss(hash.pss()),
                Hash::Sha384 => Mechanism::Sha384RsaPkcsPss(hash.pss()),
                Hash::Sha512 => Mechanism::Sha512RsaPkcsPss(hash.pss()),
            },
        };
        work(&mechanism)
    }

    /// The name of the mechanism, such as `CKM_SHA256_HMAC`.
    pub(super) fn name(self) -> String {
        self.with_mechanism(|mechanism| mechanism.mechanism_type().to_string())
    }

    /// Whether it is one of these mechanisms.
    #[cfg(any(feature = "http", feature = "mqtt"))]
    pub(super) fn is_among(self, offered: &[MechanismType]) -> bool {
        self.with_mechanism(|mechanism| offered.contains(&mechanism.mechanism_type()))
    }
}

#[cfg(any(feature = "http", feature = "mqtt"))]
impl Hash {
    fn of(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(message).to_vec(),
            Self::Sha384 => Sha384::digest(message).to_vec(),
            Self::Sha512 => Sha512::digest(message).to_vec(),
        }
    }

    /// What stands before the hash in PKCS#1 v1.5 (RFC 8017, section 9.2, note 1).
    fn digest_info(self) -> &'static [u8] {
        match self {
            Self::Sha256 => b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
            Self::Sha384 => b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
            Self::Sha512 => b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
        }
    }

    /// PSS as TLS uses it: the same hash everywhere, and a salt of its length (RFC 8446, section 4.2.3).
    fn pss(self) -> PkcsPssParams {
        let (hash_alg, mgf, length) = match self {
            Self::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32),
            Self::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48),
            Self::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64),
        };
        PkcsPssParams { hash_alg, mgf, s_len: length.into() }
    }
}
