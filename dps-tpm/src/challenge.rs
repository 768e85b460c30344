//! What the service sends to a TPM, as its `authenticationKey`: a credential that only this TPM can open, and a key that is
//! encrypted with it.
//!
//! In order: `TPM2B_ID_OBJECT`, `TPM2B_ENCRYPTED_SECRET`, `TPM2B_PRIVATE`, `TPM2B_ENCRYPTED_SECRET`, `TPM2B_PUBLIC`, and
//! encrypted data after its size (`hsm_client_tpm.c` of the Azure IoT SDK for C), which no client uses.

use crate::error::{Error, ErrorKind};
use crate::template::PublicArea;
use crate::wire::{Malformed, Reader};

/// A challenge, in its parts; each with its size in front.
pub(crate) struct Challenge<'a> {
    pub(crate) credential: &'a [u8],
    pub(crate) secret: &'a [u8],
    pub(crate) duplicate: &'a [u8],
    pub(crate) seed: &'a [u8],
    pub(crate) public: &'a [u8],
}

impl<'a> Challenge<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let malformed = |words: &str| Error::new(ErrorKind::MalformedChallenge, words);
        let challenge = Self::parts(bytes)
            .map_err(|Malformed| malformed("its sizes do not match its length: it was cut, or is of another format"))?;
        let area = PublicArea::read(challenge.public).map_err(|Malformed| malformed("its public area is invalid"))?;
        if !area.is_hmac_key() {
            return Err(malformed("the key in it is not one for HMAC that can sign"));
        }
        Ok(challenge)
    }

    fn parts(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let mut part = || reader.with_size();
        let (credential, secret, duplicate, seed, public) = (part()?, part()?, part()?, part()?, part()?);
        if !reader.is_empty() {
            reader.with_size()?;
        }
        reader.end()?;
        Ok(Self { credential, secret, duplicate, seed, public })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(public: &[u8]) -> Vec<u8> {
        let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
        [sized(b"credential"), sized(b"secret"), sized(b"private"), sized(b"seed"), sized(public)].concat()
    }

    const KEY: [u8; 12] = [0, 8, 0, 11, 0, 4, 0, 0x40, 0, 0, 0, 0x10];

    #[test]
    fn challenge_is_read_with_and_without_data_after_it() {
        for tail in [&[][..], &[0, 0], &[0, 2, 1, 2]] {
            let bytes = [&challenge(&KEY)[..], tail].concat();
            let read = Challenge::read(&bytes).unwrap();
            assert_eq!(read.secret, b"\0\x06secret");
            assert_eq!(read.public[2..], KEY);
        }
    }

    #[test]
    fn challenge_that_is_cut_or_goes_on_is_refused() {
        let bytes = challenge(&KEY);
        for end in 0..bytes.len() {
            assert!(Challenge::read(&bytes[..end]).is_err(), "{end}");
        }
        for tail in [&[0][..], &[0, 1], &[0, 0, 0], &[0, 2, 1]] {
            assert!(Challenge::read(&[&bytes[..], tail].concat()).is_err(), "{tail:?}");
        }
    }

    #[test]
    fn key_that_cannot_sign_is_refused() {
        let mut rsa = KEY;
        rsa[1] = 1;
        let mut sealed = KEY;
        sealed[5] = 0;
        for public in [&rsa[..], &sealed, &KEY[..10], b""] {
            let error = Challenge::read(&challenge(public)).err().expect("it is not a key");
            assert_eq!(error.kind(), ErrorKind::MalformedChallenge);
        }
    }
}
