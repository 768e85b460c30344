//! Stands for `key_blob` in a build without the feature `tpm`: every key of a TPM is refused.

use super::challenge::TpmKeys;
use super::public_key::TpmKeyError;
use crate::credentials::SymmetricKey;
use crate::ids::Random;

pub(super) const SUPPORTED: bool = false;

pub(crate) struct KeyBlob {
    pub(crate) key: SymmetricKey,
    pub(crate) text: String,
}

impl KeyBlob {
    pub(crate) fn generate(_keys: &TpmKeys, _user_data: &str, _random: &mut Random) -> Result<Self, TpmKeyError> {
        Err(TpmKeyError::Unsupported)
    }
}
