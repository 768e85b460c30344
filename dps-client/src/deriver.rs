//! The keys of many devices of one enrollment group.

use std::fmt;

use dps_core::limits::{KEY_MAX, SIGNATURE_TEXT};
use dps_core::{Key, RegistrationId, Signature};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

#[cfg(doc)]
use crate::GroupKey;

/// A group key prepared for deriving the keys of many devices, twice as fast as by [`GroupKey::derive`].
///
/// Group keys belong in factories and tests, never on a device: whoever has one can be any device of the group.
///
/// ```
/// use dps_client::{GroupDeriver, GroupKey};
/// use dps_client::RegistrationId;
///
/// let group = GroupKey::from_base64(
///     "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==",
/// )?;
/// let deriver = group.deriver();
/// let mut key = [0; GroupDeriver::KEY_TEXT_LEN];
/// let id: RegistrationId = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6".parse()?;
/// deriver.write_base64(&id, &mut key);
/// assert_eq!(key, *b"Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=");
/// # Ok::<(), dps_client::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct GroupDeriver(Hmac<Sha256>);

impl GroupDeriver {
    /// The length of a derived key as base64, padding included, in bytes.
    pub const KEY_TEXT_LEN: usize = SIGNATURE_TEXT;

    /// Prepares `group_key`.
    #[must_use]
    pub fn new(group_key: &Key) -> Self {
        // A key of at most a block, followed by zeros, is the same key, and a whole block is never refused.
        let mut block = Zeroizing::new([0; KEY_MAX]);
        for (to, from) in block.iter_mut().zip(group_key.expose()) {
            *to = *from;
        }
        Self(Hmac::new((&*block).into()))
    }

    /// The key of the device `registration_id`, which is used exactly as it is spelled.
    #[must_use]
    pub fn derive<'a>(&self, registration_id: impl Into<RegistrationId<'a>>) -> Key {
        self.hmac(registration_id.into()).into()
    }

    /// Writes the key of the device `registration_id` as base64: ASCII, and as secret as the key.
    pub fn write_base64<'a>(&self, registration_id: impl Into<RegistrationId<'a>>, out: &mut [u8; Self::KEY_TEXT_LEN]) {
        self.hmac(registration_id.into()).write_base64(out);
    }

    /// A derived key is an HMAC, as a signature is, and is wiped as one.
    fn hmac(&self, registration_id: RegistrationId<'_>) -> Signature {
        let hmac = self.0.clone().chain_update(registration_id.as_bytes()).finalize();
        Signature::new(hmac.into_bytes().into())
    }
}

impl fmt::Debug for GroupDeriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupDeriver(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use dps_core::credentials::derive_device_key;

    use super::*;

    /// The core hashes by itself, this file by the `hmac` crate.
    #[test]
    fn keys_are_those_that_the_core_derives() {
        let bytes: Vec<u8> = (0..KEY_MAX as u8).collect();
        for key_length in [16, 31, 32, 33, 63, 64] {
            let group = Key::from_bytes(&bytes[..key_length]).unwrap();
            let deriver = GroupDeriver::new(&group);
            for id_length in 1..=128 {
                let id = "a".repeat(id_length);
                let id = RegistrationId::new(&id).unwrap();
                let (mut one, mut of_many) = ([0; GroupDeriver::KEY_TEXT_LEN], [0; GroupDeriver::KEY_TEXT_LEN]);
                derive_device_key(&group, id).write_base64(&mut one).unwrap();
                deriver.write_base64(id, &mut of_many);
                assert_eq!(of_many, one, "a key of {key_length} bytes, an id of {id_length}");
                deriver.derive(id).write_base64(&mut of_many).unwrap();
                assert_eq!(of_many, one, "a key of {key_length} bytes, an id of {id_length}");
            }
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let deriver = GroupDeriver::new(&Key::from_bytes(&[7; 16]).unwrap());
        assert_eq!(format!("{deriver:?}"), "GroupDeriver(redacted)");
    }
}
