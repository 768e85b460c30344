//! The public areas of the endorsement key and the storage root key: what they are made from, and what is accepted where one
//! exists already.

use crate::code::{alg, attribute};
use crate::wire::{Malformed, Reader, Writer};

const RSA_BITS: u16 = 2048;
/// `TPM2_PolicySecret` with the endorsement hierarchy (TCG EK Credential Profile 2.5, B.3.3, PolicyA for SHA-256).
const ENDORSEMENT_POLICY: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xB3, 0xF8, 0x1A, 0x90, 0xCC, 0x8D, 0x46, 0xA5, 0xD7, 0x24, 0xFD, 0x52, 0xD7,
    0x6E, 0x06, 0x52, 0x0B, 0x64, 0xF2, 0xA1, 0xDA, 0x1B, 0x33, 0x14, 0x69, 0xAA,
];
const PARENT: u32 = attribute::FIXED_TPM
    | attribute::FIXED_PARENT
    | attribute::SENSITIVE_DATA_ORIGIN
    | attribute::RESTRICTED
    | attribute::DECRYPT;

/// Template L-1 of the TCG EK Credential Profile, by which manufacturers certify the key and `tpm2_createek` makes it. A
/// template with a shorter `unique` gives another key.
pub(crate) fn endorsement_key() -> Result<Vec<u8>, Malformed> {
    rsa_parent(PARENT | attribute::ADMIN_WITH_POLICY, &ENDORSEMENT_POLICY)
}

/// As the TCG's provisioning guidance (7.5.1) and the C SDK make it.
pub(crate) fn storage_root_key() -> Result<Vec<u8>, Malformed> {
    rsa_parent(PARENT | attribute::USER_WITH_AUTH | attribute::NO_DA, &[])
}

/// A `TPMT_PUBLIC`: RSA 2048 that encrypts with AES-128 in CFB, and does not sign.
fn rsa_parent(attributes: u32, policy: &[u8]) -> Result<Vec<u8>, Malformed> {
    let area = Writer::new().u16(alg::RSA).u16(alg::SHA256).u32(attributes).sized(policy);
    let area = area.u16(alg::AES).u16(128).u16(alg::CFB).u16(alg::NULL).u16(RSA_BITS).u32(0);
    Ok(area.sized(&[0; RSA_BITS as usize / 8]).finish()?.to_vec())
}

/// What matters of a public area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PublicArea<'a> {
    pub(crate) kind: u16,
    pub(crate) name_algorithm: u16,
    pub(crate) attributes: u32,
    pub(crate) policy: &'a [u8],
}

impl<'a> PublicArea<'a> {
    /// Reads a `TPM2B_PUBLIC`. What depends on the kind of key is left to the TPM.
    pub(crate) fn read(public: &'a [u8]) -> Result<Self, Malformed> {
        let mut outer = Reader::new(public);
        let mut reader = Reader::new(outer.sized()?);
        outer.end()?;
        let area = Self {
            kind: reader.u16()?,
            name_algorithm: reader.u16()?,
            attributes: reader.u32()?,
            policy: reader.sized()?,
        };
        if reader.is_empty() { Err(Malformed) } else { Ok(area) }
    }

    fn has(&self, attributes: u32) -> bool {
        self.attributes & attributes == attributes
    }

    /// Whether it is an endorsement key that a session with `TPM2_PolicySecret` authorizes.
    pub(crate) fn is_endorsement_key(&self) -> bool {
        self.has(PARENT) && self.name_algorithm == alg::SHA256 && self.policy == ENDORSEMENT_POLICY
    }

    /// Whether it is a storage key that an empty password authorizes. `tpm2_createprimary` makes it without `noDA`.
    pub(crate) fn is_storage_root_key(&self) -> bool {
        self.has(PARENT | attribute::USER_WITH_AUTH)
    }

    /// Whether it is a key that signs with HMAC, as the service sends it.
    pub(crate) fn is_hmac_key(&self) -> bool {
        self.kind == alg::KEYEDHASH && self.has(attribute::SIGN | attribute::USER_WITH_AUTH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_have_the_sizes_of_the_specification() {
        // TPM2B_PUBLIC of an RSA 2048 key with this policy has 316 bytes, as the endorsement keys of published devices.
        assert_eq!(endorsement_key().unwrap().len(), 314);
        assert_eq!(storage_root_key().unwrap().len(), 282);
    }

    #[test]
    fn made_keys_are_recognized_and_others_are_not() {
        let public = |area: Vec<u8>| Writer::new().sized(&area).finish().unwrap().to_vec();
        let endorsement = public(endorsement_key().unwrap());
        let storage = public(storage_root_key().unwrap());
        let (endorsement_area, storage_area) =
            (PublicArea::read(&endorsement).unwrap(), PublicArea::read(&storage).unwrap());
        assert!(endorsement_area.is_endorsement_key() && !endorsement_area.is_storage_root_key());
        assert!(storage_area.is_storage_root_key() && !storage_area.is_endorsement_key());
        assert!(!endorsement_area.is_hmac_key());
        for end in 0..12 {
            assert_eq!(PublicArea::read(&endorsement[..end]), Err(Malformed), "{end}");
        }
        assert_eq!(PublicArea::read(&[&endorsement[..], &[0]].concat()), Err(Malformed));
    }
}
