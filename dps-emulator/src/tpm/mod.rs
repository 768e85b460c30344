//! TPM attestation: the keys of a TPM that an enrollment names, what is encrypted so that only this TPM can read it, and
//! the challenges that devices were given.
//!
//! The structures and their protection are those of the TPM 2.0 Library Specification, written anew here: the client
//! uses other code for them. Only `key_blob` needs the feature `tpm`; without it no key of a TPM can be enrolled.

mod attestation;
mod challenge;
#[cfg(feature = "tpm")]
mod key_blob;
#[cfg(not(feature = "tpm"))]
#[path = "unsupported.rs"]
mod key_blob;
mod public_key;
#[cfg(feature = "tpm")]
mod wrap;

pub use attestation::TpmAttestation;
pub use public_key::{TpmKeyError, TpmPublicKey};

pub(crate) use challenge::{Challenge, Challenges, TpmState};
pub(crate) use key_blob::KeyBlob;
